"""A daemon thread that watches something until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watcher:
    """Starts and stops a thread; not alive in a fork, where it can be started anew.

    Args:
        name: The thread's name.
        run: What it does until the event that it is given is set.
    """

    def __init__(self, name: str, run: Callable[[threading.Event], object]) -> None:
        self._name, self._run = name, run
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name=self._name, daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """Tell the thread to stop, and wait for it ``timeout`` seconds unless this is the thread itself."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
