"""Many records at once: read, saved or read again side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from ttorm.flows import Flow, gather
from ttorm.pairs import twin_of
from ttorm.records.loading import check_part, load
from ttorm.records.record import Record
from ttorm.records.saving import save
from ttorm.results import SaveResult, all_of
from ttorm.sessions import current_session

__all__ = [
    "Progress",
    "aload_all",
    "arefresh_all",
    "asave_all",
    "load_all",
    "load_each",
    "refresh_all",
    "save_all",
]

T = TypeVar("T", bound=Record)
R = TypeVar("R")
Progress: TypeAlias = Callable[[int, int], object]
"""Called after each record with how many are done, and how many there are."""


def load_all(records: Iterable[T], *parts: str, progress: Progress | None = None) -> list[T]:
    """Read parts of many records that were not read yet, side by side.

    Every record is tried; as many requests are under way at once as the connection allows.

    Args:
        records: The records, of one connection.
        *parts: See `Twin.load`; without any, the parts each record's class has fields in.
        progress: Called after each record with the number done and the number of all.

    Returns:
        The records, as a list.

    Raises:
        TtormError: The first failure; notes on it name the others.

    Example:
        >>> pumps = [Twin.create(entries={"pressure": n}) for n in range(3)]
        >>> [pump.ledger["pressure"].value for pump in ttorm.load_all(pumps, "ledger")]
        [0, 1, 2]
    """
    known = _records(records)
    _connection(known).run(load_each(known, parts, progress))
    return known


@twin_of(load_all)
async def aload_all(records: Iterable[T], *parts: str, progress: Progress | None = None) -> list[T]:
    known = _records(records)
    await _connection(known).arun(load_each(known, parts, progress))
    return known


def refresh_all(records: Iterable[T], *, progress: Progress | None = None) -> list[T]:
    """Read again, from the service, what was read of many records; unsaved changes stay.

    Args:
        records: The records, of one connection.
        progress: Called after each record with the number done and the number of all.

    Returns:
        The records, as a list.

    Raises:
        TtormError: The first failure; notes on it name the others.

    Example:
        >>> [pump] = ttorm.refresh_all([Twin.create()])
        >>> pump.status
        'alive'
    """
    known = _records(records)
    _connection(known).run(_all(known, _refresh, progress))
    return known


@twin_of(refresh_all)
async def arefresh_all(records: Iterable[T], *, progress: Progress | None = None) -> list[T]:
    known = _records(records)
    await _connection(known).arun(_all(known, _refresh, progress))
    return known


def save_all(
    records: Iterable[Record], *, check: bool = False, progress: Progress | None = None
) -> SaveResult:
    """Save many records, side by side; those without changes send nothing.

    Args:
        records: The records, of one connection.
        check: Write only over values the records have seen.
        progress: Called after each record with the number done and the number of all.

    Returns:
        What was done, all records together.

    Raises:
        TtormError: The first failure; notes on it name the others. The other records are saved.

    Example:
        >>> pumps = [Twin(entries={"pressure": n}) for n in range(3)]
        >>> ttorm.save_all(pumps).requests
        6
    """
    known = _records(records)
    flow = _all(known, lambda record: save(record, check=check), progress)
    return SaveResult.sum(_connection(known).run(flow))


@twin_of(save_all)
async def asave_all(
    records: Iterable[Record], *, check: bool = False, progress: Progress | None = None
) -> SaveResult:
    known = _records(records)
    flow = _all(known, lambda record: save(record, check=check), progress)
    return SaveResult.sum(await _connection(known).arun(flow))


def load_each(
    records: Sequence[Any], parts: Sequence[str], progress: Progress | None = None
) -> Flow[list[None]]:
    """Read parts of many records, side by side.

    Raises:
        ValidationError: A Twin has no such part; nothing was sent.
    """
    for part in parts:
        check_part(part)
    return _all(records, lambda record: _load(record, parts), progress)


def _records(records: Iterable[T]) -> list[T]:
    """Return the records as a list, before anything is sent for any of them.

    Raises:
        TypeError: One of them is no record.
    """
    known = list(records)
    for one in known:
        if not isinstance(one, Record):
            raise TypeError(
                f"expected Twins, found {type(one).__name__} {one!r}: of a UUID, Twin.at(uuid) "
                "makes one"
            )
    return known


def _connection(records: Sequence[Record]) -> Any:
    # Records go their own ways; the first one's connection tells how many at once.
    return records[0]._connection if records else current_session().connection


def _load(record: Any, parts: Sequence[str]) -> Flow[None]:
    return load(record._state, parts or record._own_parts())


def _refresh(record: Any) -> Flow[None]:
    return load(record._state, record._loaded(), fresh=True)


def _all(
    records: Sequence[Any], task: Callable[[Any], Flow[R]], progress: Progress | None
) -> Flow[list[R]]:
    done = 0
    # The same record twice would wait for itself.
    several = {id(record._state): record for record in records}.values()

    def told(record: Any) -> Flow[R]:
        nonlocal done
        try:
            return (yield from task(record))
        finally:
            done += 1
            if progress is not None:
                progress(done, len(several))

    return all_of((yield from gather(map(told, several))))
