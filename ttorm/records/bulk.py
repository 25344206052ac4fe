"""Many records at once: read, saved or read again side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from ttorm.api.errors import SaveError, ValidationError
from ttorm.flows import Flow, gather
from ttorm.ordering import Together, in_order
from ttorm.pairs import twin_of
from ttorm.records.batches import Rounds
from ttorm.records.fields import FieldSpec
from ttorm.records.links import holds_links, load_linked
from ttorm.records.loading import check_part, load
from ttorm.records.meta import did_you_mean
from ttorm.records.needs import spots_that_wait
from ttorm.records.record import Record
from ttorm.records.saving import save
from ttorm.records.state import TwinState
from ttorm.records.turns import check_unasked
from ttorm.results import SaveResult, all_of
from ttorm.sessions import current_session

__all__ = [
    "Progress",
    "aload_all",
    "arefresh_all",
    "asave_all",
    "load_all",
    "load_each",
    "part_named",
    "refresh_all",
    "save_all",
]

T = TypeVar("T", bound=Record)
R = TypeVar("R")
Progress: TypeAlias = Callable[[int, int], object]
"""Called after each record with how many are done, and how many there are."""
Via: TypeAlias = Literal["requests", "batch"]
"""How writes reach the service."""


def load_all(records: Iterable[T], *parts: str, progress: Progress | None = None) -> list[T]:
    """Read parts of many records that were not read yet, side by side.

    Every record is tried; as many requests are under way at once as the connection allows.

    Args:
        records: The records, of one connection.
        *parts: See `Twin.load`, or names of fields, which stand for the parts they are in; with a
            field of links come the Twins it links to, each one once. Without any, the parts each
            record's class has fields in.
        progress: Called after each record with the number done and the number of all. What it
            raises is raised when all are done; it is not called again then.

    Returns:
        The records, as a list.

    Raises:
        ValidationError: A record has no such part or field; nothing was sent.
        TtormError: The first failure; notes on it name the others.

    Example:
        >>> pumps = [Twin.create(entries={"pressure": n}) for n in range(3)]
        >>> [pump.ledger["pressure"].value for pump in ttorm.load_all(pumps, "ledger")]
        [0, 1, 2]
    """
    known = _records(records)
    _connection(known).run(_load_named(known, parts, progress))
    return known


@twin_of(load_all)
async def aload_all(records: Iterable[T], *parts: str, progress: Progress | None = None) -> list[T]:
    known = _records(records)
    await _connection(known).arun(_load_named(known, parts, progress))
    return known


def refresh_all(records: Iterable[T], *, progress: Progress | None = None) -> list[T]:
    """Read again, from the service, what was read of many records; unsaved changes stay.

    Args:
        records: The records, of one connection.
        progress: Called after each record with the number done and the number of all. What it
            raises is raised when all are done; it is not called again then.

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
    _connection(known).run(_refresh_each(known, progress))
    return known


@twin_of(refresh_all)
async def arefresh_all(records: Iterable[T], *, progress: Progress | None = None) -> list[T]:
    known = _records(records)
    await _connection(known).arun(_refresh_each(known, progress))
    return known


def save_all(
    records: Iterable[Record],
    *,
    check: bool = False,
    progress: Progress | None = None,
    via: Via = "requests",
) -> SaveResult:
    """Save many records, side by side; those without changes send nothing.

    What others speak of is saved before them: a Twin before links to it, a new Entry before
    references to it.

    Args:
        records: The records, of one connection.
        check: Write only over values the records have seen.
        progress: Called after each record with the number done and the number of all. What it
            raises is raised when all are done; it is not called again then.
        via: ``"batch"`` uploads the writes as files of calls, one for each operation and round,
            which the service works through (see `Batch`); what is alone of its kind is sent as
            ever. Provisional.

    Returns:
        What was done, all records together.

    Raises:
        ConfigurationError: What files of batches look like is not known (only via batches).
        TtormError: The first failure; notes on it name its record and the others. The other
            records are saved.

    Example:
        >>> pumps = [Twin(entries={"pressure": n}) for n in range(3)]
        >>> ttorm.save_all(pumps).requests
        6
    """
    known = _records(records)
    return SaveResult.sum(_connection(known).run(_save_each(known, check, progress, via)))


@twin_of(save_all)
async def asave_all(
    records: Iterable[Record],
    *,
    check: bool = False,
    progress: Progress | None = None,
    via: Via = "requests",
) -> SaveResult:
    known = _records(records)
    return SaveResult.sum(await _connection(known).arun(_save_each(known, check, progress, via)))


def part_named(model: Any, name: str) -> str:
    """Return the part of a Twin that a name stands for: its own, or one of a field of a class.

    Raises:
        ValidationError: There is no such part or field.
    """
    fields: Mapping[str, FieldSpec] = getattr(model, "__fields__", {})
    if name in fields:
        return fields[name].part
    return check_part(name, did_you_mean(name, fields))


def load_each(
    records: Sequence[Any], parts: Sequence[str], progress: Progress | None = None
) -> Flow[None]:
    """Read parts of many records, side by side.

    Args:
        records: The records.
        parts: Parts, or names of fields of all of them.
        progress: Called after each record.

    Raises:
        ValidationError: A Twin has no such part; nothing was sent.
    """
    # The same record twice would wait for itself.
    several = {
        id(record._state): load(record._state, record._parts_named(parts)) for record in records
    }
    yield from _each(several.values(), progress)


def _load_named(
    records: Sequence[Any], names: Sequence[str], progress: Progress | None
) -> Flow[None]:
    yield from load_each(records, names, progress)
    for name in names:
        linking = [record for record in records if _links(type(record), name)]
        if linking:
            yield from load_linked(linking, [name])


def _links(model: Any, name: str) -> bool:
    return name in model.__fields__ and holds_links(model.__fields__[name])


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


def _refresh_each(records: Sequence[Any], progress: Progress | None) -> Flow[list[None]]:
    several = {
        id(record._state): load(record._state, record._loaded(), fresh=True) for record in records
    }
    return _each(several.values(), progress)


class _Count:
    """Tells a callback how far it is; what the callback raises waits until all is done."""

    def __init__(self, number: int, progress: Progress | None) -> None:
        self._number = number
        self._progress = progress
        self._done = 0
        self._error: Exception | None = None

    def after(self, flow: Flow[R], *, early: bool = False) -> Flow[R]:
        """Count a flow when it is done; an early one is followed by another, unless it failed."""
        try:
            result = yield from flow
        except Exception as error:
            if not early or not isinstance(error, SaveError):
                self._tell()
            raise
        if not early:
            self._tell()
        return result

    def _tell(self) -> None:
        self._done += 1
        if self._progress is None or self._error is not None:
            return
        try:
            self._progress(self._done, self._number)
        except Exception as error:  # noqa: BLE001 # raised when all is done
            self._error = error

    def end(self, outcomes: Iterable[R | Exception]) -> list[R]:
        """Give the results, or raise what failed: of the records first."""
        try:
            results = all_of(outcomes)
        except Exception as error:
            if self._error is not None:
                error.add_note(f"also, the progress callback failed: {self._error!r}")
            raise
        if self._error is not None:
            raise self._error
        return results


def _each(flows: Collection[Flow[R]], progress: Progress | None) -> Flow[list[R]]:
    count = _Count(len(flows), progress)
    return count.end((yield from gather(map(count.after, flows))))


def _save_each(
    records: Sequence[Any], check: bool, progress: Progress | None, via: Via
) -> Flow[list[SaveResult]]:
    if via == "batch":
        rounds = Rounds(records)
        results = yield from _save_in_order(records, check, progress, rounds.together)
        return [*results, rounds.correction()]
    if via != "requests":
        raise ValidationError(f"via={via!r}: expected 'requests' or 'batch'", code="bad-argument")
    return (yield from _save_in_order(records, check, progress, gather))


def _save_in_order(
    records: Sequence[Any], check: bool, progress: Progress | None, together: Together
) -> Flow[list[SaveResult]]:
    several = {id(record._state): record for record in records}
    count = _Count(len(several), progress)

    def saved(state: TwinState, early: bool) -> Flow[SaveResult]:
        check_unasked(state)  # here, since several flows go on in tasks of their own
        without = spots_that_wait(state, None) if early else None
        return count.after(save(several[id(state)], check=check, without=without), early=early)

    units = [record._state for record in several.values()]
    return count.end((yield from in_order(units, saved, together)))
