"""The driver for threads: runs a flow on the calling thread.

All flows of a gather are stepped on the caller's thread, so their code needs no locks among
themselves. Only sends leave it, and only inside a gather; the bound counts sends alone, so nested
gathers cannot starve each other.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from heapq import heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ttorm.api.errors import StateError
from ttorm.flows import Await, Carry, Effect, Flow, Gather, Send, Sleep, Wait, gathering

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["BOUND", "run", "runner", "running_loop"]

R = TypeVar("R")
BOUND = 16
"""How many requests of one gather are under way at once, unless told otherwise."""

_GLANCE = 1.0
"""Seconds of one wait: a Ctrl-C that comes right before it is only seen after it."""

_Step = Callable[[Flow[Any]], Effect]


def run(flow: Flow[R], bound: int = BOUND) -> R:
    """Drive a flow to its end and return its result.

    Args:
        flow: The flow.
        bound: Most sends under way at once inside gathers.

    Raises:
        Exception: Whatever the flow raises.
    """
    step: _Step = next
    try:
        while True:
            effect = step(flow)
            try:
                result = _perform(effect, bound)
            except Exception as error:  # noqa: BLE001 # all of them are the flow's to handle
                step = _throwing(error)
            else:
                step = _sending(result)
    except StopIteration as end:
        return cast(R, end.value)
    finally:
        flow.close()


def _sending(result: Any) -> _Step:
    return lambda flow: flow.send(result)


def _throwing(error: Exception) -> _Step:
    return lambda flow: flow.throw(error)


def _perform(effect: Effect, bound: int) -> Any:
    match effect:
        case Send(transport, request):
            return transport.send(request)
        case Sleep(seconds):
            return sleep(seconds)
        case Wait(future):
            if running_loop() is not None and not future.done():
                return False
            _until_done(future)
            return True
        case Await(coroutine):
            raise _no_loop(coroutine)
        case Carry():
            return None
        case Gather(flows):
            return _Round(bound).run(flows)


def _until_done(future: Future[Any]) -> None:
    done = Event()
    future.add_done_callback(lambda _: done.set())
    done.wait()


def _no_loop(coroutine: Coroutine[Any, Any, Any]) -> StateError:
    name = getattr(coroutine, "__qualname__", "the receiver")
    coroutine.close()
    return StateError(
        f"{name}() is a coroutine, which a blocking verb cannot run: "
        "use the verb's async twin (asave, aload, ...), or connect a plain function"
    )


def running_loop() -> Any:
    """Return the event loop running in this thread, or None; never imports asyncio for it."""
    asyncio = sys.modules.get("asyncio")
    # _get_running_loop is asyncio's documented-for-libraries form that does not raise.
    return None if asyncio is None else asyncio._get_running_loop()


def runner() -> object:
    """Name the running task, or else the thread."""
    loop = running_loop()
    task = None if loop is None else sys.modules["asyncio"].current_task(loop)
    return threading.get_ident() if task is None else weakref.ref(task)


class _Group:
    """The flows of one gather, and who waits for them."""

    __slots__ = ("left", "parent", "results")

    def __init__(self, size: int, parent: _Task | None) -> None:
        self.results: list[Any] = [None] * size
        self.left = size
        self.parent = parent


class _Task:
    """One flow under way."""

    __slots__ = ("flow", "group", "index")

    def __init__(self, flow: Flow[Any], group: _Group, index: int) -> None:
        self.flow = flow
        self.group = group
        self.index = index


class _Round:
    """Steps the flows of a gather, and of the gathers inside it, until all have ended."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._ready: deque[tuple[_Task, _Step]] = deque()
        self._sends: deque[tuple[_Task, Send]] = deque()
        self._sending = 0
        self._timers: list[tuple[float, int, _Task]] = []
        self._order = count()
        self._done: SimpleQueue[tuple[_Task, _Step, bool]] = SimpleQueue()
        self._live: set[_Task] = set()

    def run(self, flows: tuple[Flow[Any], ...]) -> list[Any]:
        from concurrent.futures import ThreadPoolExecutor

        root = self._start(flows, None)
        pool = ThreadPoolExecutor(self._bound, thread_name_prefix="ttorm")
        outside = gathering.set(True)
        try:
            while root.left:
                self._step_ready()
                self._submit(pool)
                if root.left and not self._ready:
                    self._collect()
        finally:
            # Only an exception from outside (Ctrl-C) leaves flows and sends behind: it does not
            # wait for them.
            pool.shutdown(wait=False, cancel_futures=True)
            gathering.reset(outside)
            for task in self._live:
                task.flow.close()
        return root.results

    def _start(self, flows: tuple[Flow[Any], ...], parent: _Task | None) -> _Group:
        group = _Group(len(flows), parent)
        for index, flow in enumerate(flows):
            task = _Task(flow, group, index)
            self._live.add(task)
            self._ready.append((task, next))
        if not flows and parent is not None:
            self._ready.append((parent, _sending([])))
        return group

    def _step_ready(self) -> None:
        while self._ready:
            task, step = self._ready.popleft()
            try:
                effect = step(task.flow)
            except StopIteration as end:
                self._finish(task, end.value)
            except Exception as error:  # noqa: BLE001 # it is the gather's result
                self._finish(task, error)
            else:
                self._begin(task, effect)

    def _finish(self, task: _Task, result: Any) -> None:
        self._live.discard(task)
        group = task.group
        group.results[task.index] = result
        group.left -= 1
        if not group.left and group.parent is not None:
            self._ready.append((group.parent, _sending(group.results)))

    def _begin(self, task: _Task, effect: Effect) -> None:
        match effect:
            case Send():
                self._sends.append((task, effect))
            case Sleep(seconds):
                heappush(self._timers, (monotonic() + seconds, next(self._order), task))
            case Wait(future) if running_loop() is not None and not future.done():
                self._ready.append((task, _sending(result=False)))
            case Wait(future):
                future.add_done_callback(
                    lambda _: self._done.put((task, _sending(result=True), False))
                )
            case Await(coroutine):
                self._ready.append((task, _throwing(_no_loop(coroutine))))
            case Carry():
                self._ready.append((task, _sending(None)))
            case Gather(flows):
                self._start(flows, task)

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        while self._sends and self._sending < self._bound:
            task, effect = self._sends.popleft()
            self._sending += 1
            # The sender sees the caller's context variables, as it would without a pool.
            sent = pool.submit(copy_context().run, effect.transport.send, effect.request)
            sent.add_done_callback(lambda done, task=task: self._sent(task, done))  # type: ignore[misc]

    def _sent(self, task: _Task, done: Future[Any]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        step = _sending(done.result()) if error is None else _throwing(cast(Exception, error))
        self._done.put((task, step, True))

    def _collect(self) -> None:
        """Block until a send, a wait or a timer has ended, then take all that have."""
        timeout = _GLANCE
        if self._timers:
            timeout = min(timeout, max(0.0, self._timers[0][0] - monotonic()))
        try:
            self._take(*self._done.get(timeout=timeout))
            while True:
                self._take(*self._done.get_nowait())
        except Empty:
            pass
        now = monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._ready.append((heappop(self._timers)[2], _sending(None)))

    def _take(self, task: _Task, step: _Step, was_send: bool) -> None:
        if was_send:
            self._sending -= 1
        self._ready.append((task, step))
