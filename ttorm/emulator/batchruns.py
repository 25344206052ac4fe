"""Running batches: step by step, each step in a transaction.

What a call of a batch changes is committed together with the fact that its line is done. So each
call happens once, however often the process is killed and however many processes run batches of
the same store.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ttorm.api import codec, names
from ttorm.api.errors import StateError
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import dictionary_header
from ttorm.emulator.batches import BatchRow, caller_of, unfinished
from ttorm.emulator.batchfile import BatchCall, BatchFileError, read_calls, result_line
from ttorm.emulator.blobs import Received
from ttorm.emulator.clock import later
from ttorm.emulator.dispatch import dispatch
from ttorm.emulator.handlers.uploads import note_release, remove_released
from ttorm.emulator.logs import report
from ttorm.emulator.routing import Route
from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["run", "work"]

_PAGE = 1_000
"""How many results are read at once."""
_CHECKED = 500
"""How many lines are checked at once."""
_STRETCH = 10
"""After how many steps of each batch the other work in the background has its turn."""

_log = logging.getLogger("ttorm.emulator")


def run(world: Emulator, steps: int | None = None) -> int:
    """Run the batches of all accounts on the calling thread.

    Args:
        world: The emulator.
        steps: How many steps each takes; None lets them come to their end.

    Returns:
        How many are not finished.
    """
    failed: set[str] = set()
    while steps != 0 and _advance(world, failed):
        steps = None if steps is None else steps - 1
    return len(_unfinished(world))


def work(world: Emulator) -> float | None:
    """Run the batches of all accounts for a while.

    Returns:
        0 when there is more to do, else None.
    """
    failed: set[str] = set()
    for _ in range(_STRETCH):
        if not _advance(world, failed):
            return None
    return 0.0


def _unfinished(world: Emulator) -> list[BatchRow]:
    with world.store.transaction(write=False) as tx:
        return unfinished(tx)


def _advance(world: Emulator, failed: set[str]) -> bool:
    """Let each batch take one step, so that a long one does not hold up the others.

    Args:
        world: The emulator.
        failed: Batches that cannot take a step for now, such as with a full disk; more are added.

    Returns:
        Whether any did.
    """
    batches = [batch for batch in _unfinished(world) if batch.uuid not in failed]
    for batch in batches:
        try:
            _STEPS[batch.status](world, batch)
        except StateError:
            raise
        except Exception:  # noqa: BLE001 - no caller is there who could be told
            _log.exception("Batch %s stays at %r for now", batch.uuid, batch.status)
            failed.add(batch.uuid)
    return bool(batches)


def _update(tx: Transaction, batch: BatchRow, **columns: Any) -> bool:
    """Change a batch, unless it has changed since it was read: cancelled, or run by others."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    return bool(
        tx.run(
            f"UPDATE batches SET {assignments} WHERE uuid = ? AND status = ? AND line = ?",  # noqa: S608 - names of columns
            *columns.values(),
            batch.uuid,
            batch.status,
            batch.line,
        )
    )


def _progress(tx: Transaction, batch: BatchRow, call: BatchCall) -> bool:
    return _update(tx, batch, line=call.line, position=call.end)


def _move(world: Emulator, batch: BatchRow, status: str, **columns: Any) -> None:
    updated_ts = later(world.clock.now(), batch.updated_ts)
    with world.store.transaction(write=True) as tx:
        _update(tx, batch, status=status, updated_ts=updated_ts, **columns)


def _to(status: str) -> Callable[[Emulator, BatchRow], None]:
    return lambda world, batch: _move(world, batch, status)


def _copy(world: Emulator, batch: BatchRow) -> None:
    # The copy is a name for the same content; a file with another hash gets none.
    if batch.hash in (None, batch.content):
        _move(world, batch, "copied")
    else:
        problem = f"Batch file has another hash: batch=[{batch.uuid}], hash=[{batch.content}]."
        _end(world, batch, "hash_mismatch", problem=problem)


def _validate(world: Emulator, batch: BatchRow) -> None:
    """Read the file, or the next part of a long one."""
    try:
        last = deque(enumerate(_calls(world, batch, _CHECKED), 1), maxlen=1)
        if not last and batch.line == 0:
            raise BatchFileError("there is no call in it")  # noqa: TRY301 - is as wrong as others
    except BatchFileError as error:
        problem = f"Batch file refused: batch=[{batch.uuid}], reason=[{error}]."
        _end(world, batch, "validation_failed", problem=problem)
        return
    checked, call = last.pop() if last else (0, None)
    if call is None or checked < _CHECKED:
        _move(world, batch, "processing", line=0, position=0)
        return
    with world.store.transaction(write=True) as tx:
        _progress(tx, batch, call)


def _calls(world: Emulator, batch: BatchRow, most: int) -> Iterator[BatchCall]:
    """Read the next calls of a batch."""
    operation = OPERATIONS[batch.operation]
    with world.blobs.open(batch.content or "") as file:
        calls = read_calls(file, operation, line=batch.line, position=batch.position)
        yield from islice(calls, most)


def _process(world: Emulator, batch: BatchRow) -> None:
    """Make the next call."""
    call = next(_calls(world, batch, 1), None)
    if call is None:
        _move(world, batch, "processed")
        return
    segments = tuple(map(names.encode_segment, call.request.arguments))
    request = _request(batch, call)
    try:
        with world.store.transaction(write=True) as tx:
            if not _progress(tx, batch, call):
                return
            route = Route(call.request.operation, segments)
            done = dispatch(world, tx, route, request, partial(caller_of, batch))
            _keep(tx, batch, call, done.answer)
    except StateError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of the emulator is an answer too
        answer = world.failure(request, error)
        with world.store.transaction(write=True) as tx:
            if _progress(tx, batch, call):
                _keep(tx, batch, call, answer)
    else:
        done.finish()


def _request(batch: BatchRow, call: BatchCall) -> HttpRequest:
    """Make the request that a client would send."""
    asked = call.request
    dictionary = batch.dictionary if asked.dictionary is None else asked.dictionary
    return HttpRequest(
        asked.operation.method,
        batch.origin + asked.target,
        {} if dictionary is None else {"x-trustedtwin": dictionary_header(dictionary)},
        b"" if asked.body is None else codec.encode(asked.body),
    )


def _keep(tx: Transaction, batch: BatchRow, call: BatchCall, answer: HttpResponse) -> None:
    tx.run(
        "INSERT INTO batch_results (batch, line, status, response) VALUES (?, ?, ?, ?)",
        batch.uuid,
        call.line,
        answer.status,
        answer.body.decode(),
    )


def _finish(status: str) -> Callable[[Emulator, BatchRow], None]:
    def finish(world: Emulator, batch: BatchRow) -> None:
        """Write the results of all calls that were made."""
        received = world.blobs.write(_results(world, batch))
        try:
            _end(world, batch, status, results=received if received.size else None)
        finally:
            world.blobs.forget(received)

    return finish


def _results(world: Emulator, batch: BatchRow) -> Iterator[bytes]:
    line = 0
    while True:
        with world.store.transaction(write=False) as tx:
            rows = tx.rows(
                "SELECT * FROM batch_results WHERE batch = ? AND line > ? ORDER BY line LIMIT ?",
                batch.uuid,
                line,
                _PAGE,
            )
        if not rows:
            return
        for row in rows:
            yield result_line(row["line"], row["status"], row["response"])
        line = rows[-1]["line"]


def _end(
    world: Emulator,
    batch: BatchRow,
    status: str,
    *,
    results: Received | None = None,
    problem: str | None = None,
) -> None:
    """Finish a batch: its file is not needed any more, and a problem goes to the log."""
    with world.store.transaction(write=True) as tx:
        ended = _update(
            tx,
            batch,
            status=status,
            content=None,
            results=results and results.content,
            results_size=results and results.size,
            updated_ts=later(world.clock.now(), batch.updated_ts),
        )
        if not ended:
            return
        tx.run("DELETE FROM batch_results WHERE batch = ?", batch.uuid)
        report(tx, batch.account, [] if problem is None else [problem])
        if results is not None:
            world.blobs.keep(tx, results)
        if batch.content is not None:
            note_release(tx, batch.content)
    remove_released(world)


_STEPS: dict[str, Callable[[Emulator, BatchRow], None]] = {
    "new": _to("copying"),
    "copying": _copy,
    "copied": _to("validating"),
    "validating": _validate,
    "processing": _process,
    "processed": _to("writing_results"),
    "writing_results": _finish("completed"),
    "cancel": _to("cancelling"),
    "cancelling": _finish("cancelled"),
}
