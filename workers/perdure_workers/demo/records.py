"""What the receiver got, kept in an append-only file of JSON lines."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import TextIO


class Records:
    """The receiver's memory: one line for each request, and which events' work is done.

    Args:
        path: The file; what it has from before is read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, list[str]] = {}
        self._events: dict[str, str] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            self._remember(**json.loads(line))
        self._file: TextIO = path.open("a", buffering=1)

    def tries(self, key: str) -> int:
        """Return how many requests with this idempotency key came so far."""
        return len(self._answers.get(key, ()))

    def is_done(self, key: str) -> bool:
        """Return whether the work of the event with this idempotency key was done."""
        return key in self._events

    def note(self, key: str, answer: str, event: str | None = None) -> None:
        """Record a request.

        Args:
            key: Its idempotency key.
            answer: How it was answered.
            event: What it was about, if its work was done now.
        """
        with self._lock:
            self._remember(key, answer, event)
            self._file.write(json.dumps({"key": key, "answer": answer, "event": event}) + "\n")

    def report(self) -> dict[str, int]:
        """Return the counts by which the sender is judged.

        Returns:
            ``requests``; ``effects``: events whose work was done; ``accepted_twice``: keys that came again after their
            sender had got a 2xx; ``events_twice``: events that were done under more than one key; and a count for each kind
            of answer, ``recognised`` (done before and not done again) and ``forged`` among them.
        """
        with self._lock:
            answers = Counter(answer for answers in self._answers.values() for answer in answers)
            accepted = [sum(answer in ("done", "recognised") for answer in answers) for answers in self._answers.values()]
            return {
                "recognised": 0,
                "forged": 0,
                **answers,
                "requests": answers.total(),
                "effects": len(self._events),
                "accepted_twice": sum(count > 1 for count in accepted),
                "events_twice": len(self._events) - len(set(self._events.values())),
            }

    def _remember(self, key: str, answer: str, event: str | None) -> None:
        self._answers.setdefault(key, []).append(answer)
        if event is not None:
            self._events[key] = event
