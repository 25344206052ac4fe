"""The driver for asyncio: runs a flow as part of the current task.

Imported at the first ``await`` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NoReturn, TypeVar, cast

from ttorm.api.http import HttpResponse
from ttorm.connection.blocking import BOUND
from ttorm.flows import Await, Carry, Effect, Flow, Gather, Send, Sleep, Wait, gathering, telling

__all__ = ["begin_beside", "run"]

R = TypeVar("R")


async def run(flow: Flow[R], bound: int = BOUND) -> R:
    """Drive a flow to its end and return its result.

    Args:
        flow: The flow.
        bound: Most sends under way at once inside gathers.

    Raises:
        Exception: Whatever the flow raises.
        asyncio.CancelledError: The task was cancelled; the flow has seen it and is closed.
    """
    return cast(R, await _drive(flow, None, bound))


def begin_beside(flow: Flow[None], bound: int, under_way: set[asyncio.Task[None]]) -> None:
    """Drive a flow in a task that nobody waits for but the loop's end.

    Args:
        flow: The flow.
        bound: Most sends under way at once inside gathers.
        under_way: Keeps the task until it is done: loops hold theirs weakly.
    """
    task = asyncio.ensure_future(run(flow, bound))
    under_way.add(task)
    guard: Any = _waiting_for(task)

    def end(_: object) -> None:
        under_way.discard(task)
        if not guard.ag_running:  # else the loop ends, and closes it
            _step(guard.aclose())

    # Started in the loop, so that the loop ends the guard, and with it the task, when it ends.
    _step(guard.__anext__())
    task.add_done_callback(end)


async def _waiting_for(task: asyncio.Task[None]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        if not task.done():
            await asyncio.wait([task])


def _step(awaitable: Awaitable[object]) -> None:
    """Run what waits for nothing to its end."""
    with suppress(StopIteration):
        awaitable.__await__().send(None)


async def _drive(flow: Flow[Any], slots: asyncio.Semaphore | None, bound: int) -> Any:
    cancellation: asyncio.CancelledError | None = None
    try:
        effect = next(flow)
        while True:
            try:
                if cancellation is None:
                    result = await _perform(effect, slots, bound)
                else:
                    result = _refuse(effect, cancellation)
            except _OvertakenError as overtaken:
                cancellation = overtaken.cancellation
                effect = flow.send(overtaken.answer)
            except BaseException as error:
                # A cancellation, too, is for the flow to see: it may have state to mark.
                effect = flow.throw(error)
                if not isinstance(error, Exception):
                    raise
            else:
                effect = flow.send(result)
    except StopIteration as end:
        if cancellation is not None:
            raise cancellation from None
        return end.value
    finally:
        flow.close()


async def _perform(effect: Effect, slots: asyncio.Semaphore | None, bound: int) -> Any:
    match effect:
        case Send(transport, request, True):
            return await _to_the_end(transport.asend(request))
        case Send(transport, request):
            if slots is None:
                return await transport.asend(request)
            async with slots:
                return await transport.asend(request)
        case Sleep(seconds):
            return await asyncio.sleep(seconds)
        case Wait(future):
            await _until_done(future)
            return True
        case Await(coroutine):
            outside = telling.set(True)
            try:
                return await coroutine
            finally:
                telling.reset(outside)
        case Carry():
            return None
        case Gather(flows):
            return await _gather(flows, slots or asyncio.Semaphore(bound), bound)


def _refuse(effect: Effect, cancellation: asyncio.CancelledError) -> NoReturn:
    if isinstance(effect, Await):
        effect.coroutine.close()
    raise cancellation


async def _to_the_end(sending: Coroutine[Any, Any, HttpResponse]) -> HttpResponse:
    """Send, and wait for the answer also when the task is cancelled meanwhile."""
    sent = asyncio.ensure_future(sending)
    try:
        return await asyncio.shield(sent)
    except asyncio.CancelledError as cancellation:
        while not sent.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([sent])
        if sent.cancelled() or sent.exception() is not None:
            raise
        raise _OvertakenError(sent.result(), cancellation) from None


class _OvertakenError(Exception):
    """An answer that came while its task was cancelled: the flow gets it first."""

    def __init__(self, answer: HttpResponse, cancellation: asyncio.CancelledError) -> None:
        super().__init__()
        self.answer = answer
        self.cancellation = cancellation


async def _until_done(future: Future[Any]) -> None:
    """Wait for a future of any thread; cancelling the waiter leaves the future alone."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    future.add_done_callback(wake)
    await done


async def _gather(flows: tuple[Flow[Any], ...], slots: asyncio.Semaphore, bound: int) -> list[Any]:
    # Tasks begin with a copy of the context.
    outside = gathering.set(True)
    tasks = [asyncio.ensure_future(_drive(flow, slots, bound)) for flow in flows]
    gathering.reset(outside)
    try:
        if tasks:
            await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # Their outcomes are seen, so that none is reported as never retrieved.
        for task in tasks:
            _ = task.cancelled() or task.exception()
        raise
    return [_outcome(task) for task in tasks]


def _outcome(task: asyncio.Future[Any]) -> Any:
    if task.cancelled():
        raise asyncio.CancelledError
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, Exception):
        return error
    raise error
