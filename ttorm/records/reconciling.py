"""Bringing existing Twins up to what their class declares: properties of Entries, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, overload

from ttorm.api.errors import TtormError
from ttorm.flows import Flow, gather
from ttorm.records.cells import alike
from ttorm.records.changes import Change
from ttorm.records.loading import load_part
from ttorm.records.saving import save
from ttorm.records.scanning import Scan
from ttorm.records.state import PERSONAL, TwinState
from ttorm.results import all_of
from ttorm.sessions import Session

__all__ = ["Reconciled", "Reconciliation", "reconcile"]

_ROUND = 100
"""Twins held in memory at the same time."""


class Reconciled(NamedTuple):
    """What became of one Twin.

    Attributes:
        uuid: The Twin's UUID.
        changes: Properties that differ from the declaration, by field and property.
        done: Whether they were written.
        error: Why they were not, when it was tried.
    """

    uuid: str
    changes: dict[str, Change]
    done: bool = False
    error: TtormError | None = None

    def __str__(self) -> str:
        state = "done" if self.done else "planned"
        if self.error is not None:
            state = f"failed: {self.error}"
        lines = [f"  {name}: {change}" for name, change in self.changes.items()]
        return "\n".join([f"{self.uuid} ({state})", *lines])


class Reconciliation(Sequence[Reconciled]):
    """The Twins that differ from what their class declares; ``str`` shows them.

    Attributes:
        looked_at: How many Twins were looked at.
    """

    def __init__(self, looked_at: int, twins: Sequence[Reconciled]) -> None:
        self.looked_at = looked_at
        self._twins = tuple(twins)

    @overload
    def __getitem__(self, index: int) -> Reconciled: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Reconciled]: ...
    def __getitem__(self, index: int | slice) -> Reconciled | Sequence[Reconciled]:
        return self._twins[index]

    def __len__(self) -> int:
        return len(self._twins)

    @property
    def failed(self) -> list[Reconciled]:
        """The Twins whose properties could not be written."""
        return [twin for twin in self if twin.error is not None]

    def __str__(self) -> str:
        shown = "\n".join(map(str, self)) or "(all as declared)"
        return f"{self.looked_at} Twins looked at, {len(self)} differ\n{shown}"

    def __repr__(self) -> str:
        return f"<Reconciliation of {self.looked_at} Twins: {len(self)} differ>"


Told: TypeAlias = Callable[[int], object]
"""Called with the number of Twins looked at so far."""


def reconcile(
    scan: Scan[Any], session: Session, *, dry_run: bool, progress: Told | None
) -> Flow[Reconciliation]:
    """Compare the Entries of Twins with their classes' declarations.

    Args:
        scan: The Twins.
        session: A session of its own: nobody's changes are in it.
        dry_run: Only tell what would be written.
        progress: Called with the number of Twins looked at so far.
    """
    found: list[Reconciled] = []
    looked_at = 0
    cursor: str | None = None
    while True:
        page = yield from scan._read_page(session, cursor)
        records = page.records
        for start in range(0, len(records), _ROUND):
            some = records[start : start + _ROUND]
            outcomes = yield from gather(_bring_up(one, dry_run=dry_run) for one in some)
            found += [one for one in all_of(outcomes) if one.changes]
            looked_at += len(some)
            if progress is not None:
                progress(looked_at)
        cursor = page.cursor
        if cursor is None:
            return Reconciliation(looked_at, found)


def _bring_up(record: Any, *, dry_run: bool) -> Flow[Reconciled]:
    state: TwinState = record._state
    yield from load_part(state, "ledger", fresh=True)
    changes = _differences(record)
    told = Reconciled(record.uuid, changes)
    if dry_run or not changes:
        return told
    try:
        yield from save(record)
    except TtormError as error:
        return told._replace(error=error)
    return told._replace(done=True)


def _differences(record: Any) -> dict[str, Change]:
    """Assign what is declared where it differs; returns the changes."""
    state: TwinState = record._state
    found: dict[str, Change] = {}
    for name, spec in record.__fields__.items():
        if not spec.in_ledger or spec.alias != PERSONAL or spec.target not in state.ledger.base:
            continue
        item = state.ledger.item(spec.target)
        for option, wanted in spec.options.items():
            cell = item.cell(option)
            if not alike(cell.current(), wanted):
                found[f"{name}.{option}"] = Change(item.known.get(option), wanted)
                cell.assign(wanted)
    state.touch()
    return found
