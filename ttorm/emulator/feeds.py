"""What follows from the changes of Ledgers: rows of tables, and notifications.

Trouble never fails the write that causes it: it goes to the log of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ttorm.emulator import sql
from ttorm.emulator.cells import Cells, message
from ttorm.emulator.events import raise_event
from ttorm.emulator.history import period_start
from ttorm.emulator.ledgers import Entries, values_of
from ttorm.emulator.logs import report
from ttorm.emulator.publications import events_of
from ttorm.emulator.rows import EntryRow, TwinRow
from ttorm.emulator.rules import Effort, holds
from ttorm.emulator.tables import INDEXES, TIMESERIES, IndexesTable, TimeseriesTable, tables_of
from ttorm.emulator.templates import Room
from ttorm.emulator.variables import of_caller, of_entry, of_twin

if TYPE_CHECKING:
    from ttorm.emulator.call import Call

__all__ = ["Change", "Feed", "Ledger", "indexed_in"]

_BAD_LEDGER = "Invalid Ledger configuration."
_ROOM = 1 << 20
"""How many characters one request may make for tables: rows multiply what a body says."""
_ROW = 256
"""Characters that a row takes, however little is in it."""

Ledger: TypeAlias = Callable[[], tuple[TwinRow, Entries]]
"""Reads the Twin of a Ledger and its Entries after the changes, includes resolved."""


class Change(NamedTuple):
    """What became of an Entry.

    Attributes:
        old: The Entry as it was; None when it was added.
        new: The Entry as it is; None when it was removed.
    """

    old: EntryRow | None
    new: EntryRow | None

    @property
    def entry(self) -> EntryRow:
        """The Entry as it is, or as it was before it was removed."""
        entry = self.new or self.old
        if entry is None:
            raise ValueError("a change of no Entry")
        return entry

    @property
    def kind(self) -> str:
        """What subscribers are told; empty when there is nothing to tell."""
        if self.old is None:
            return "ledger.entry.added"
        if self.new is None:
            return "ledger.entry.deleted"
        return "ledger.entry.updated" if self.has_value else ""

    @property
    def has_value(self) -> bool:
        """Whether a value was written; a reference has none before it was looked up."""
        if self.new is None or self.new.ref_status == "created":
            return False
        return self.old is None or self.old.value_changed_ts != self.new.value_changed_ts


def indexed_in(call: Call, account: str, twin: str) -> list[str] | None:
    """Return the names of the Indexes tables that a Ledger is said to be in.

    Returns:
        The names; None when accounts have no Indexes service.
    """
    if "indexes" not in call.policy.services:
        return None
    rows = call.tx.rows(
        "SELECT name FROM indexed_ledgers WHERE account = ? AND twin = ? ORDER BY name",
        account,
        twin,
    )
    return [row["name"] for row in rows]


class Feed:
    """Fills the tables of an account from the changes of its Ledgers, and tells its subscribers.

    Args:
        call: The request.
        account: The account.
        by_user: Whether the caller wrote the values, so that templates may mention the caller;
            else they came along references.
    """

    def __init__(self, call: Call, account: str, *, by_user: bool) -> None:
        self._call = call
        self._account = account
        self._by_user = by_user
        self._room = Room(_ROOM)
        self._is_full = False
        self._series: dict[str, TimeseriesTable] | None = None
        self._indexes: dict[str, IndexesTable] = {}
        if "indexes" in call.policy.services:
            self._indexes = tables_of(call.tx, INDEXES, account)

    def take(self, twin: str, changes: Iterable[Change], ledger: Ledger) -> list[str] | None:
        """Write what follows from the changes of one Ledger.

        Args:
            twin: UUID of its Twin.
            changes: What became of its Entries.
            ledger: Reads it, if that is needed.

        Returns:
            The names of the Indexes tables that the Ledger is in now; None when accounts have no
            Indexes service.
        """
        before = indexed_in(self._call, self._account, twin)
        changes = [*changes]
        fed = [change for change in changes if change.new and change.new.timeseries]
        told = [change for change in changes if change.entry.publish and change.kind]
        if not (fed or told or before or self._indexes):
            return before
        variables = self._variables(*ledger())
        messages = self._add_rows(fed, variables) if fed else []
        self._publish(told, variables, messages)
        after = self._index(variables, messages)
        self._remember(twin, before or [], after)
        report(self._call.tx, self._account, messages)
        return None if before is None else after

    def _variables(self, twin: TwinRow, entries: Entries) -> dict[str, Any]:
        call = self._call
        variables: dict[str, Any] = {"account": self._account, "now": call.now, "DICT": {}}
        if self._by_user:
            variables = {**of_caller(call), "DICT": call.dictionary or {}}
        own = {"ledger": self._account, "LEDGER": values_of(entries)}
        return {**variables, **of_twin(twin), **own}

    def _add_rows(self, fed: Sequence[Change], variables: dict[str, Any]) -> list[str]:
        twin: str = variables["twin"]
        if "timeseries" not in self._call.policy.services:
            return [
                message(f"{_BAD_LEDGER} Attempt to use a disabled Timeseries service", twin=twin)
            ]
        if self._series is None:
            self._series = tables_of(self._call.tx, TIMESERIES, self._account)
        messages: list[str] = []
        for entry, change in ((change.new, change) for change in fed if change.new):
            for name, templates in (entry.timeseries or {}).items():
                table = self._series.get(name)
                if table is None:
                    about = {"timeseries": name, "entry": entry.name, "twin": twin}
                    messages.append(message(f"{_BAD_LEDGER} Unknown Timeseries table", **about))
                elif change.has_value and self._has_room(twin, messages):
                    known = {**variables, **of_entry(entry.account, entry.name, entry)}
                    cells = Cells(known, self._room, timeseries=name)
                    messages += _add_row(self._call, table, entry, templates, cells)
        return messages

    def _publish(
        self, told: Sequence[Change], variables: dict[str, Any], messages: list[str]
    ) -> None:
        """Tell subscribers of changes, as far as the Entries' rules say so."""
        twin: str = variables["twin"]
        has_room = partial(self._has_room, twin, messages)
        effort = self._call.effort
        events = events_of(told, variables, self._room, has_room, messages, effort)
        for (kind, topic), event in events.items():
            raise_event(
                self._call, kind, account=self._account, twin=twin, topics=[topic], event=event
            )

    def _has_room(self, twin: str, messages: list[str]) -> bool:
        """Tell whether another row can be written, and say once when none can."""
        if self._room.left >= _ROW:
            self._room.left -= _ROW
            return True
        if not self._is_full:
            messages.append(message("Too much for one request. Not all was done", twin=twin))
        self._is_full = True
        return False

    def _index(self, variables: dict[str, Any], messages: list[str]) -> list[str]:
        """Write the Ledger's rows in Indexes tables, and return the names of these tables."""
        tx, effort, twin = self._call.tx, self._call.effort, variables["twin"]
        names: list[str] = []
        for name, table in self._indexes.items():
            if not (_selects(table, variables, effort) and self._has_room(twin, messages)):
                sql.drop_row(tx, table.sql_name, twin)
                continue
            cells = Cells(variables, self._room, indexes=name)
            row = cells.row(table.properties.column_types(), table.templates)
            sql.put_row(tx, table.sql_name, twin, row)
            self._call.count("ix_db_write_cost", account=self._account)
            messages += cells.finish()
            names.append(name)
        return names

    def _remember(self, twin: str, before: list[str], after: list[str]) -> None:
        """Keep which tables the Ledger is in, for those who read it."""
        for name in {*before} - {*after}:
            self._call.tx.run(
                "DELETE FROM indexed_ledgers WHERE account = ? AND twin = ? AND name = ?",
                *(self._account, twin, name),
            )
        for name in {*after} - {*before}:
            self._call.tx.run(
                "INSERT INTO indexed_ledgers (account, twin, name) VALUES (?, ?, ?) "
                "ON CONFLICT (account, twin, name) DO NOTHING",
                *(self._account, twin, name),
            )


def _add_row(
    call: Call,
    table: TimeseriesTable,
    entry: EntryRow,
    templates: Mapping[str, Any],
    cells: Cells,
) -> list[str]:
    """Write the value of an Entry into a Timeseries table, and return what was wrong."""
    defaults = table.defaults or {}
    dimensions = {**defaults.get("dimensions", {}), **templates.get("dimensions", {})}
    templates = {**defaults, **templates}
    measurement = _measurement(cells, templates.get("measurement"), table, entry)
    if measurement is None:
        return cells.messages
    for name in dimensions.keys() - {*table.dimensions.names}:
        cells.complain("Unknown dimension", dimension=name)
    sql.add_measurement(
        call.tx,
        table.sql_name,
        cells.moment(templates.get("timestamp"), entry.value_changed_ts),
        cells.row(table.dimensions.column_types(), dimensions),
        measurement,
    )
    call.count("ts_db_write_cost", account=table.account)
    if table.retention != "INF":
        sql.drop_before(call.tx, table.sql_name, period_start(table.retention, call.now))
    return cells.finish()


def _measurement(
    cells: Cells, template: str | None, table: TimeseriesTable, entry: EntryRow
) -> dict[str, Any] | None:
    """Return the one cell that an Entry fills, by its column, or None if there is no such."""
    if template is None:
        cells.complain("No measurement column", entry=entry.name)
        return None
    name = cells.name(template)
    kind = dict(table.measurements.column_types()).get(name or "")
    if name is None or kind is None:
        cells.complain("Unknown measurement column", measurement=name or "")
        return None
    return {name: cells.fitting(name, kind, entry.value)}


def _selects(table: IndexesTable, variables: Mapping[str, Any], effort: Effort) -> bool:
    """Tell whether a Ledger is to have a row in an Indexes table; rules know no caller there.

    A rule that fails says no and is not worth a message: ``LEDGER.serial > 3`` does so on each
    Ledger that has no such Entry.
    """
    known = {**variables, "user": None, "role": None, "USER": None, "DICT": None}
    return holds(table.rule, known, effort)
