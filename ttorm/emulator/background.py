"""Work that no caller waits for, such as batches, on threads that are there while there is any."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from functools import cached_property
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

    The thread keeps an emulator that nobody closed alive only while it works for it. What takes
    long, such as waiting for others, a job hands to a thread of its own.

    Args:
        world: The emulator.
        jobs: Returns what is to be done; each is called in turn.
        enabled: Whether there is a thread at all; else whoever calls the jobs does the work.
        interrupt: Breaks off what tasks wait for, when all is to end.
        poll: Seconds after which the thread looks for what other processes have left undone; None
            lets it end when it has done its own.

    Attributes:
        stopping: Whether all is to end; tasks then do so at the next opportunity.
    """

    def __init__(
        self,
        world: Emulator,
        jobs: Callable[[], Iterable[Job]],
        *,
        enabled: bool = True,
        interrupt: Callable[[], None] = lambda: None,
        poll: float | None = None,
    ) -> None:
        self._world = weakref.ref(world)
        self._find_jobs = jobs
        self._enabled = enabled
        self._interrupt = interrupt
        self._poll = poll
        self.stopping = False
        self._renew()
        self._closing = weakref.finalize(world, self._stop)
        # At the end of the process before finalizers, which remove what the work still needs.
        atexit.register(self._closing)

    def _renew(self) -> None:
        self._process = os.getpid()
        self._lock = RLock()
        self._woken = Event()
        self._thread: Thread | None = None
        self._tasks: dict[Thread, str] = {}

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

    def spawn(self, name: str, task: Callable[[], None]) -> bool:
        """Do something on a thread of its own, and look for work when it is done.

        Args:
            name: What `tasks` says about it.
            task: Does it.

        Returns:
            False when all is to end, and it is not done.
        """

        def run() -> None:
            try:
                task()
            except Exception:  # noqa: BLE001 - no caller is there who could be told
                _log.exception("Work in the background failed")
            finally:
                with self._lock:
                    del self._tasks[current_thread()]
                self.wake()

        with self._lock:
            if self.stopping:
                return False
            thread = Thread(target=run, name=f"ttorm-task {name}", daemon=True)
            self._tasks[thread] = name
            thread.start()
            return True

    def tasks(self) -> list[str]:
        """Return the names of the tasks that are being done."""
        with self._lock:
            return [*self._tasks.values()]

    def close(self) -> None:
        """End the thread after the piece of work at hand; closing twice is harmless."""
        self._closing()

    def _stop(self) -> None:
        atexit.unregister(self._closing)
        if self._process != os.getpid():
            self._renew()
        with self._lock:
            self._enabled = False
            self.stopping = True
            self._woken.set()
            threads = [*self._tasks] if self._thread is None else [self._thread, *self._tasks]
            if self._tasks:
                self._interrupt()
        for thread in threads:
            # Where a thread itself lets go of the emulator last, it is about to end anyway.
            if thread is not current_thread():
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

    @cached_property
    def _jobs(self) -> tuple[Job, ...]:
        return tuple(self._find_jobs())

    def _work(self) -> float | None:
        world = self._world()
        pauses = [_done(job, world) for job in self._jobs] if world is not None else []
        return min((pause for pause in pauses if pause is not None), default=self._poll)


def _done(job: Job, world: Emulator) -> float | None:
    try:
        return job(world)
    except StateError:
        return None
    except Exception:  # noqa: BLE001 - no caller is there who could be told
        _log.exception("Work in the background failed; it is tried again when there is more of it")
        return None
