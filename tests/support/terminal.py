"""A program in a real pseudo-terminal, whose screen is drawn as a terminal emulator draws it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyte

from support.waiting import wait_until

PATIENCE = 30.0


def _hear_interrupts() -> None:
    """Undo what a shell does to what it starts in the background: it has them ignore SIGINT, and they pass that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A program and its terminal; a context that ends the program.

    Args:
        command: What to run.
        columns: The terminal's width.
        lines: Its height.
    """

    def __init__(
        self, command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            command, cwd=cwd, env={**environment, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=_hear_interrupts,
        )  # fmt: skip

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._master)
        os.close(self._slave)

    def shown(self) -> list[str]:
        """Read what has come and return the screen's lines."""
        ready = select.poll()  # select() knows no file descriptor above 1023
        ready.register(self._master, select.POLLIN)
        while ready.poll(20):
            try:
                self._stream.feed(os.read(self._master, 65536))
            except OSError:  # the program has gone
                break
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        return "\n".join(self.shown())

    def await_text(self, *texts: str) -> str:
        """Wait until all of these are on the screen, and return it."""
        wait_until(
            lambda: all(text in self.text() for text in texts), PATIENCE, message=lambda: f"{texts} in:\n{self.text()}"
        )
        return self.text()

    def await_none(self, text: str) -> str:
        """Wait until something is no longer on the screen."""
        wait_until(lambda: text not in self.text(), PATIENCE, message=lambda: f"no {text} in:\n{self.text()}")
        return self.text()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._screen.reset()
        self._set_size(columns, lines)
        os.kill(self.process.pid, signal.SIGWINCH)

    def modes(self) -> object:
        """Return how the terminal treats what is typed."""
        return termios.tcgetattr(self._slave)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
