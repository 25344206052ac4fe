"""Work that no caller waits for, such as batches: one thread, which is there while there is any."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from threading import Event, RLock, Thread, current_thread
from typing import TYPE_CHECKING, TypeAlias

from ttorm.api.errors import StateError

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Background", "Job"]

Job: TypeAlias = Callable[["Emulator"], float | None]
"""Does what there is to do, or a part of it, and returns the seconds after which it wants to be
called again; None when it has nothing to do until somebody calls `Background.wake`."""

_log = logging.getLogger("ttorm.emulator")


class Background:
    """Runs an emulator's jobs on a thread, which ends when no job has anything to do.

    The thread keeps an emulator that nobody closed alive only while it works for it.

    Args:
        world: The emulator.
        jobs: What is to be done; each is called in turn.
        enabled: Whether there is a thread at all; else whoever calls the jobs does the work.
    """

    def __init__(self, world: Emulator, jobs: Iterable[Job], *, enabled: bool = True) -> None:
        self._world = weakref.ref(world)
        self._jobs = tuple(jobs)
        self._enabled = enabled
        self._renew()
        self._closing = weakref.finalize(world, self._stop)
        # At the end of the process before finalizers, which remove what the work still needs.
        atexit.register(self._closing)

    def _renew(self) -> None:
        self._process = os.getpid()
        self._lock = RLock()
        self._woken = Event()
        self._thread: Thread | None = None

    def wake(self) -> None:
        """Let the thread look for work; call it after the commit of what is to be done."""
        if self._process != os.getpid():
            # A forked child has neither the thread nor anybody who would release its lock.
            self._renew()
        with self._lock:
            if not self._enabled:
                return
            self._woken.set()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="ttorm-background", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread after the piece of work at hand; closing twice is harmless."""
        self._closing()

    def _stop(self) -> None:
        atexit.unregister(self._closing)
        if self._process != os.getpid():
            self._renew()
        with self._lock:
            self._enabled = False
            self._woken.set()
            thread = self._thread
        # Where the thread itself lets go of the emulator last, it is about to end anyway.
        if thread is not None and thread is not current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            pause = self._work()
            with self._lock:
                if not self._enabled or (pause is None and not self._woken.is_set()):
                    self._thread = None
                    return
            self._woken.wait(pause or 0.0)

    def _work(self) -> float | None:
        world = self._world()
        pauses = [_done(job, world) for job in self._jobs] if world is not None else []
        return min((pause for pause in pauses if pause is not None), default=None)


def _done(job: Job, world: Emulator) -> float | None:
    try:
        return job(world)
    except StateError:
        return None
    except Exception:  # noqa: BLE001 - no caller is there who could be told
        _log.exception("Work in the background failed; it is tried again when there is more of it")
        return None
