"""Saves of many records in batches: calls of one operation go together, in dependent rounds.

The saves are the same flows as ever. Their writes are collected (see `ttorm.flows.Carry`) until
none of them can go on without an answer; then each operation's calls make one batch, and every
save goes on with its own answer: a new Twin with its Entries, which make the next round.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, TypeAlias, TypeVar, cast

from ttorm.api import codec
from ttorm.api.errors import (
    BatchError,
    OutcomeUnknownError,
    ServerError,
    TransportError,
    TtormError,
)
from ttorm.api.http import HttpResponse
from ttorm.api.request import ApiRequest
from ttorm.connection.core import Connection
from ttorm.flows import Await, Carry, Effect, Flow, collecting, gather, gathering
from ttorm.records.batch import Batch
from ttorm.records.batchcalls import codec_of, decoded
from ttorm.results import SaveResult

__all__ = ["Rounds"]

R = TypeVar("R")
_PATIENCE = 3_600.0
"""Seconds after which nobody waits for a batch any more."""
_BEGIN, _END = 2, 2
"""Requests before the first look at a batch, and after the last one."""

_Answer: TypeAlias = HttpResponse | Exception | None
_Step: TypeAlias = Callable[[Flow[Any]], Effect]


class _Task:
    """A save under way, and which one it is."""

    __slots__ = ("_context", "flow", "index")

    def __init__(self, flow: Flow[Any], index: int) -> None:
        self.flow = flow
        self.index = index
        self._context = copy_context()
        self._context.run(_collect)

    def go_on(self, step: _Step, outcomes: list[Any]) -> Effect | None:
        """Let it go on, up to what it asks for; None when it has come to its end."""
        try:
            return self._context.run(step, self.flow)
        except StopIteration as end:
            outcomes[self.index] = end.value
        except Exception as error:  # noqa: BLE001 # it is the save's result
            outcomes[self.index] = error
        return None


class _Waiting(NamedTuple):
    """A save that cannot go on without what it asks for."""

    task: _Task
    effect: Any


class Rounds:
    """Runs saves side by side, and makes their writes in batches.

    Args:
        records: What is saved.

    Raises:
        ConfigurationError: What files of batches look like is not known for their service.

    Attributes:
        requests: How many requests the batches took.
        calls: How many calls went in batches that results of saves count as requests.
    """

    def __init__(self, records: Iterable[Any]) -> None:
        for connection in {record._connection for record in records}:
            codec_of(connection)
        self.requests = 0
        self.calls = 0

    def correction(self) -> SaveResult:
        """Give what the results of saves count too much: calls that were no requests."""
        return SaveResult(requests=self.requests - self.calls)

    def together(self, flows: Iterable[Flow[R]]) -> Flow[list[R | Exception]]:
        """Run flows to their ends; see `ttorm.flows.gather`."""
        tasks = [_Task(flow, index) for index, flow in enumerate(flows)]
        outcomes: list[Any] = [None] * len(tasks)
        ready: list[tuple[_Task, _Step]] = [(task, next) for task in tasks]
        calls: list[_Waiting] = []
        try:
            while ready or calls:
                others: list[_Waiting] = []
                for task, step in ready:
                    effect = task.go_on(step, outcomes)
                    if effect is not None:
                        kind = calls if isinstance(effect, Carry) else others
                        kind.append(_Waiting(task, effect))
                if others:
                    ready = yield from _done(others)
                else:
                    # Nobody can go on without an answer to a call.
                    ready, calls = (yield from self._made(calls)), []
        finally:
            for task in tasks:
                task.flow.close()
        return outcomes

    def _made(self, calls: list[_Waiting]) -> Flow[list[tuple[_Task, _Step]]]:
        """Make calls in batches, one for each operation, side by side."""
        groups: dict[tuple[int, str], list[_Waiting]] = {}
        for one in calls:
            key = (id(one.effect.connection), one.effect.call.operation.name)
            groups.setdefault(key, []).append(one)
        answers = yield from gather(self._batch(group) for group in groups.values())
        return [
            (one.task, _going_on(answer))
            for group, several in zip(groups.values(), answers, strict=True)
            for one, answer in zip(group, _for_each(several, len(group)), strict=True)
        ]

    def _batch(self, group: list[_Waiting]) -> Flow[list[_Answer]]:
        if len(group) == 1:
            # By itself it is one request, not six.
            return [None]
        connection: Connection = group[0].effect.connection
        calls: list[ApiRequest] = [one.effect.call for one in group]
        try:
            batch = yield from Batch._run(connection, calls[0].operation.name, calls)
        except ServerError as error:
            raise TransportError(
                f"the file of a batch did not arrive, and none of its calls was made: {error}",
                sent=False,
            ) from error
        self.requests += _BEGIN
        try:
            self.requests += _END + (yield from batch._wait(_PATIENCE))
            answers = yield from _answers(connection, batch, len(calls))
        except BatchError:
            raise
        except TtormError as error:
            raise _unknown(batch, calls[0], str(error)) from error
        except BaseException:
            # A cancelled task, which can send nothing any more.
            connection.log.batch_left(batch._saved_key())
            raise
        self.calls += sum(map(_is_counted, calls, answers))
        with suppress(TtormError):
            # What it did is known: nobody needs it any more.
            yield from batch._delete()
        return answers


def _collect() -> None:
    """Say that who runs here is one of many, as in any gather, and that writes are collected."""
    gathering.set(True)
    collecting.set(True)


def _done(waiting: list[_Waiting]) -> Flow[list[tuple[_Task, _Step]]]:
    """Do what is no call to collect: coroutines one by one, as part of whoever saves."""
    ready: list[tuple[_Task, _Step]] = []
    for one in waiting:
        if isinstance(one.effect, Await):
            try:
                result = yield one.effect
            except Exception as error:  # noqa: BLE001 # the save's to handle
                result = error
            ready.append((one.task, _going_on(result)))
    others = [one for one in waiting if not isinstance(one.effect, Await)]
    results = yield from gather(_performed(one.effect) for one in others)
    ready += [(one.task, _going_on(result)) for one, result in zip(others, results, strict=True)]
    return ready


def _performed(effect: Effect) -> Flow[Any]:
    return (yield effect)


def _going_on(result: Any) -> _Step:
    if isinstance(result, Exception):
        return lambda flow: flow.throw(result)
    return lambda flow: flow.send(result)


def _for_each(answers: list[_Answer] | Exception, count: int) -> list[_Answer]:
    """Give the answers of a batch, or its failure to every call."""
    if isinstance(answers, Exception):
        # Each save tells of its own.
        return [copy.copy(answers) for _ in range(count)]
    return answers


def _is_counted(call: ApiRequest, answer: _Answer) -> bool:
    """Tell whether the result of a save counts a call: it was done, or had been before."""
    if not isinstance(answer, HttpResponse):
        return False
    gone = answer.status == 404 and call.operation.method == "DELETE"
    return gone or 200 <= answer.status < 300


def _answers(connection: Connection, batch: Batch, count: int) -> Flow[list[_Answer]]:
    """Read the answers to all calls of a batch."""
    with TemporaryFile() as file:
        yield from batch._download(cast(IO[bytes], file))
        found = {
            result.line: HttpResponse(result.status, {}, codec.encode(result.response))
            for result in decoded(connection, cast(IO[bytes], file), batch.operation)
        }
    return [
        found.get(line) or _unknown(batch, None, "its results tell nothing of this call")
        for line in range(1, count + 1)
    ]


def _unknown(batch: Batch, call: ApiRequest | None, reason: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"calls were sent in the batch {batch._key}, and what became of them is not known "
        f"({reason}): look at Batch.get({batch._key!r}), and read the objects afresh before you "
        "save them again",
        operation=batch.operation,
        request=None if call is None else call.label,
    )
