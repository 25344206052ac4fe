"""Tables as the service has them: records with columns by name, read and altered at run time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from ttorm import signals
from ttorm.api.answers import listed, member, refusal
from ttorm.api.errors import (
    ItemError,
    NotFoundError,
    OutcomeUnknownError,
    SaveError,
    StateError,
    ValidationError,
)
from ttorm.api.names import check_period, check_table_name
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.readers import KEYS, Kind
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT
from ttorm.records.changes import Change
from ttorm.records.collection import Collection
from ttorm.records.database import Database
from ttorm.records.keyed import Deletable
from ttorm.records.members import CheckedCodec, Member
from ttorm.records.meta import did_you_mean
from ttorm.results import SaveResult
from ttorm.tables.alterations import (
    Definition,
    altered,
    check_renames,
    extended,
    names_and_types,
    types_of,
)
from ttorm.tables.columns import Column, ColumnRole
from ttorm.tables.conditions import Condition, Place
from ttorm.tables.rows import OrderBy, Prepared, Row, Rows, Source, asked_for
from ttorm.tables.sqltypes import TYPES

__all__ = ["COLUMNS", "PERIOD", "StoredTable", "TableStats", "found_as", "given", "refused"]


T = TypeVar("T", bound="StoredTable")


class TableStats(NamedTuple):
    """How large a table is, in bytes.

    Attributes:
        table_size: Its rows.
        index_size: Its indexes.
        toast_size: Long values, which are kept beside the rows.
        total_size: All of it.
    """

    table_size: int = 0
    index_size: int = 0
    toast_size: int = 0
    total_size: int = 0

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> TableStats:
        """Read the sizes of an answer."""
        return cls(*(int(wire.get(name) or 0) for name in cls._fields))


def _checked_columns(columns: Any) -> dict[str, Any]:
    for name, kind in dict(columns).items():
        check_table_name(name, "column name")
        check_type(kind)
    return names_and_types(columns)


def check_type(kind: Any) -> None:
    """Refuse what is no type of columns.

    Raises:
        ValidationError: There is no such type.
    """
    if kind not in TYPES:
        raise ValidationError(
            f"{kind!r} is no type of columns{did_you_mean(str(kind), TYPES)}: expected one of "
            f"{', '.join(sorted(TYPES))}",
            code="bad-argument",
        )


COLUMNS = CheckedCodec(_checked_columns, types_of)
"""Columns: types by name here, two lists there."""
PERIOD = CheckedCodec(check_period)
_STATS = CheckedCodec(lambda stats: stats._asdict(), TableStats.of)


class StoredTable(Deletable):
    """A table as the service has it."""

    __slots__ = ()

    _key_member = "name"
    _kind: ClassVar[Kind]
    _truncation: ClassVar[str]
    _groups: ClassVar[Mapping[str, ColumnRole]]

    stats: Member[TableStats] = Member("How large it is, in bytes.", _STATS)
    database_uuid: Member[str] = Member(
        "UUID of the database it is in; it stays there.", name="database"
    )

    @classmethod
    def _checked_key(cls, key: str) -> str:
        return check_table_name(key)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._key)

    @property
    def database(self) -> Database:
        """The database it is in."""
        return Database._at(self.database_uuid, connection=self._connection)

    @property
    def columns(self) -> Mapping[str, Column[Any]]:
        """Its columns by name, to write conditions with: ``table.columns["city"] == "Oslo"``."""
        found = {KEYS[self._kind]: self._key_column()}
        for attribute, role in self._groups.items():
            types: Mapping[str, str] = getattr(self, attribute) or {}
            for name, kind in types.items():
                found[name] = Column.untyped(role, name, kind, self._table)
        return found

    def _key_column(self) -> Column[Any]:
        kind = {"timeseries": "timestamptz", "indexes": "uuid"}[self._kind]
        return Column.untyped("key", KEYS[self._kind], kind, self._table)

    @property
    def _table(self) -> Place:
        return Place(self._kind, self.name)

    @classmethod
    def list(cls) -> Collection[Self]:
        """Go through the account's tables of this kind, in the order of their names."""
        return Collection(f"{cls._kind} tables", cls._listed)

    @classmethod
    def _listed(cls, connection: Connection, place: Any) -> Flow[tuple[Any, Any]]:  # noqa: ARG003 # one page
        answer = yield from perform(connection, api_request(f"get_{cls._kind}_tables"))
        return [cls._at(name, None, connection) for name in listed(answer, cls._kind)], None

    # Its rows

    def rows(
        self,
        where: Condition | None = None,
        *,
        order_by: OrderBy = (),
        limit: int | None = None,
    ) -> Rows[Row]:
        """Read its rows: ``row["city"]``.

        Args:
            where: Only rows that fulfil it, such as ``table.columns["city"] == "Oslo"``.
            order_by: A column or several, each perhaps with ``.desc()``.
            limit: Most rows; None for all.

        Raises:
            ConfigurationError: The connection has nothing to read rows with.
        """
        asked = asked_for(where, order_by, limit)
        return Rows(Source(self._table, lambda: self._connection, self._prepare), asked)

    def _prepare(self) -> Flow[Prepared[Row]]:
        self._saved_key()
        yield from self._load()
        columns = self.columns
        return columns, partial(Row._of, columns)

    def truncate(self) -> SaveResult:
        """Remove all its rows at once.

        Raises:
            NotFoundError: There is no such table.
        """
        return self._connection.run(self._truncate())

    @twin_of(truncate)
    async def atruncate(self) -> SaveResult:
        return await self._connection.arun(self._truncate())

    def _truncate(self) -> Flow[SaveResult]:
        self._saved_key()
        answer = yield from perform(self._connection, self._request(self._truncation))
        self._item.rebase(self._whole(answer))
        return SaveResult(requests=1)

    # How it is saved

    @classmethod
    def _defined(cls, definition: Definition) -> Self:
        """Return the table of a definition, which is not saved yet."""
        table = cls.__new__(cls)
        table._begin(definition.name, ABSENT)
        for name, value in definition.wire.items():
            table._item.cell(name).assign(value)
        return table

    def _creation(self) -> ApiRequest:
        wire = self._wire()
        self._check(wire)
        return self._request(self._operations.create, {self._kind: {self.name: wire}})

    def _write(self) -> Flow[tuple[dict[str, Change], SaveResult]]:
        new, changes, sent = not self.is_saved, self._changes(), self._wire()
        try:
            return (yield from super()._write())
        except OutcomeUnknownError:
            found = None
            if new:
                found = yield from found_as(
                    type(self), Definition(self.name, sent, {}), self._connection
                )
            if found is None:
                raise
            # The answer was lost, not the table.
            self._settle(sent, found._item.known, new=True)
            return changes, SaveResult(created=tuple(changes), requests=1)

    def _update(self) -> ApiRequest:
        wire = self._wire()
        wanted = Definition(self.name, {name: wire[name] for name in wire}, {})
        # Refuses what the platform would: columns dropped, reordered, of other types.
        altered(wanted, self._item.known)
        self._check({**self._item.known, **wire})
        return self._request(self._operations.update, wire)

    def _check(self, wire: Mapping[str, Any]) -> None:
        """Refuse templates that do not fit the columns of a table to be.

        Raises:
            ValidationError: One is missing, or one is for no column.
        """
        raise NotImplementedError

    def _object_of(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(answer.get(self._kind), dict):
            return answer
        reason = refusal(answer, self._kind, self.name)
        if reason is not None:
            raise refused(self._operations.create or "", {self.name: reason})
        return member(member(answer, self._kind), self.name)

    def _become_new(self) -> None:
        key = self._key
        super()._become_new()
        self._key = key

    # How it is altered

    def _altered(
        self,
        rename: Mapping[str, str] | None,
        added: Mapping[str, Mapping[str, str] | None],
        members: Mapping[str, Any],
        templates: Mapping[str, str] | None = None,
    ) -> Flow[SaveResult]:
        """Send what alters it, computed from what it is now."""
        yield from self._load(fresh=True)
        renames = dict(rename or {})
        wire = {
            **self._lists(renames, {name: found for name, found in added.items() if found}),
            **self._renamed(renames, templates or {}),
            **members,
        }
        return (yield from self._sent(wire)) if wire else SaveResult()

    def _renamed(self, rename: Mapping[str, str], templates: Mapping[str, str]) -> dict[str, Any]:
        """Give the templates that follow new names of columns, and those that are new."""
        raise NotImplementedError

    def _sent(self, wire: Mapping[str, Any]) -> Flow[SaveResult]:
        before = self._item.known
        self._check({**before, **wire})
        request = self._request(self._operations.update, dict(wire))
        answer = yield from perform(self._connection, request)
        self._item.rebase({**before, **self._object_of(answer)})
        changes = {name: Change(before.get(name), answer.get(name)) for name in wire}
        result = SaveResult(updated=tuple(wire), requests=1)
        yield from self._tell((signals.changed, signals.post_save), changes=changes, result=result)
        return result

    def _lists(
        self, rename: Mapping[str, str], added: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        """Give the lists of columns in which some are renamed, or new."""
        known = {name: types_of(member(self._item.known, name)) for name in self._groups}
        check_renames(self.name, [name for group in known.values() for name in group], rename)
        for columns in added.values():
            for kind in columns.values():
                check_type(kind)
        return {
            name: extended(self.name, columns, rename, added.get(name, {}))
            for name, columns in known.items()
            if added.get(name) or rename.keys() & columns
        }


def found_as(kind: type[T], wanted: Definition, connection: Connection) -> Flow[T | None]:
    """Read the table of a definition; None when there is none, or another one of its name."""
    table = kind._at(wanted.name, None, connection)
    try:
        yield from table._load(fresh=True)
        differs = altered(wanted, table._item.known)
    except (NotFoundError, StateError):
        return None
    return None if differs else table


def refused(operation: str, reasons: Mapping[str, str], result: Any = None) -> SaveError:
    """Make the error of tables that the service refused, by their names."""
    errors = {name: ItemError(reason, operation) for name, reason in reasons.items()}
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return SaveError(
        f"the service refused {told}: alter a table that is there with alter() or migrate()",
        errors=errors,
        result=result or SaveResult(requests=1),
    )


def given(**members: Any) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}
