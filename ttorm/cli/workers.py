"""Processes that all do the same work, each replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from time import monotonic
from typing import Any

import click

__all__ = ["end_with_parent", "supervise"]

_LOOK = 0.1
"""Seconds between two looks at the processes."""
_SHORT = 2.0
"""A process that lived for fewer seconds than this is replaced after a pause of as many."""
_GRACE = 20.0
"""Seconds in which processes have to end when they are asked to."""


def supervise(
    work: Callable[..., None], arguments: tuple[Any, ...], count: int, ready: Callable[[], None]
) -> None:
    """Let processes work until a signal ends this one, and then all of them.

    Args:
        work: What each process does, a function of a module; it is called with the arguments and
            an event to set once it is at work.
        arguments: Its arguments, which can be pickled.
        count: How many processes there are.
        ready: Called when the first process is at work.
    """
    workers = _Workers(work, arguments, count)
    with _stopped_by_signals(workers.stopping):
        workers.run(ready)


def end_with_parent() -> None:
    """Let this process end, as if asked to, when the one that started it is no more."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="ttorm-parent", daemon=True).start()


class _Workers:
    def __init__(self, work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._started: Event = self._context.Event()
        self._work = work
        self._arguments = arguments
        self._count = count
        self._processes: dict[SpawnProcess, float] = {}
        self.stopping = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Keep the processes going until `stopping` is set."""
        try:
            for _ in range(self._count):
                self._start()
            told = False
            while not self.stopping.wait(_LOOK):
                if not told and self._started.is_set():
                    told = True
                    ready()
                self._replace_the_dead()
        finally:
            self._end()

    def _start(self) -> None:
        process = self._context.Process(
            target=self._work, args=(*self._arguments, self._started), name="ttorm-worker"
        )
        process.start()
        self._processes[process] = monotonic()

    def _replace_the_dead(self) -> None:
        for process, since in [*self._processes.items()]:
            if process.is_alive():
                continue
            del self._processes[process]
            click.echo(
                f"ttorm: worker {process.pid} ended with {process.exitcode}; another one takes "
                "its place",
                err=True,
            )
            # What fails at once is not repeated as fast as it can fail.
            if monotonic() - since < _SHORT and self.stopping.wait(_SHORT):
                return
            self._start()

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        until = monotonic() + _GRACE
        for process in self._processes:
            process.join(max(0.0, until - monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _stopped_by_signals(stopping: threading.Event) -> Generator[None]:
    def stop(number: int, frame: object) -> None:
        stopping.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
