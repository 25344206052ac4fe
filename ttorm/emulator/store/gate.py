"""Forks beside busy threads: no child process begins in the middle of what they do."""

from __future__ import annotations

import os
import threading
from types import TracebackType

__all__ = ["Gate"]


class Gate:
    """Where threads go in and out; a fork waits until no other thread is inside.

    Locks that a thread of the parent process holds, a database library's own ones included, are
    released by nobody in a forked child.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._inside = 0
        self._mine = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._close, after_in_parent=self._open, after_in_child=self._open
            )

    def _depth(self) -> int:
        depth: int = getattr(self._mine, "depth", 0)
        return depth

    def __enter__(self) -> None:
        depth = self._depth()
        if not depth:
            with self._changed:
                while self._closed:
                    self._changed.wait()
                self._inside += 1
        self._mine.depth = depth + 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._mine.depth -= 1
        if not self._depth():
            with self._changed:
                self._inside -= 1
                if self._closed:
                    self._changed.notify_all()

    def _close(self) -> None:
        # Held until the fork is done, by the one thread that both processes have afterwards.
        self._changed.acquire()
        self._closed = True
        while self._inside > bool(self._depth()):
            self._changed.wait()

    def _open(self) -> None:
        self._closed = False
        self._changed.notify_all()
        self._changed.release()
