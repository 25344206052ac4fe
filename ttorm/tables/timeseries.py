"""Timeseries tables: a row for each moment at which Entries wrote their values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from ttorm.api import names
from ttorm.api.answers import member
from ttorm.api.errors import ValidationError
from ttorm.pairs import twin_of
from ttorm.records.fields import FieldSpec
from ttorm.records.members import Writable
from ttorm.records.meta import Expected, did_you_mean
from ttorm.records.resource import Operations
from ttorm.results import SaveResult
from ttorm.rules import Attribute
from ttorm.tables.alterations import named_in
from ttorm.tables.columns import Column, ColumnRole, key
from ttorm.tables.declared import COMMON_OPTIONS, DeclaredTable, is_text
from ttorm.tables.stored import COLUMNS, PERIOD, StoredTable, given
from ttorm.tables.templates import checked_template, template_of

__all__ = ["StoredTimeseries", "TimeseriesTable"]

_GROUPS: Mapping[str, ColumnRole] = {"dimensions": "dimension", "measurements": "measurement"}
_BY_NAME = "{entry_name}"
"""The template of tables whose measurements are named like Entries."""


class StoredTimeseries(StoredTable):
    """A Timeseries table as the service has it; `TimeseriesTable.get` gives one.

    Columns that are put behind the others in `dimensions` or `measurements` are added by `save`;
    `alter` renames columns as well.

    Example:
        >>> table = StoredTimeseries.create(
        ...     "weather", dimensions={"city": "varchar"}, measurements={"celsius": "real"}
        ... )
        >>> table.measurements["ozone"] = "real"
        >>> table.retention = "1Y"
        >>> table.save().updated
        ('measurements', 'retention')
    """

    __slots__ = ()

    _kind = "timeseries"
    _truncation = "truncate_timeseries_table"
    _groups = _GROUPS
    _operations = Operations(
        "get_timeseries_table",
        "create_timeseries_table",
        "update_timeseries_table",
        "delete_timeseries_table",
    )

    dimensions: Writable[dict[str, str]] = Writable(
        "What tells rows of one moment apart: types by name.", COLUMNS
    )
    measurements: Writable[dict[str, str]] = Writable("What rows hold: types by name.", COLUMNS)
    defaults: Writable[dict[str, Any] | None] = Writable(
        "Templates for Entries that bring none: `measurement`, `dimensions`, `timestamp`."
    )
    retention: Writable[str] = Writable(
        'How long rows are kept, such as ``"3M"`` or ``"INF"``.', PERIOD
    )
    chunk: Writable[str] = Writable("How much time a piece of its storage has.", PERIOD)

    def __init__(
        self,
        name: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        measurements: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        retention: str | None = None,
        chunk: str | None = None,
        database: str | None = None,
    ) -> None:
        """Make a table that is not saved yet.

        Args:
            name: Its name.
            dimensions: Columns that tell rows of one moment apart: types by name.
            measurements: Columns that rows hold: types by name.
            defaults: Templates for Entries that bring none.
            retention: How long rows are kept, such as ``"3M"``.
            chunk: How much time a piece of its storage has, such as ``"1W"``.
            database: UUID of the database it is to be in; the default one when left out.
        """
        values = given(
            dimensions=dict(dimensions or {}),
            measurements=dict(measurements or {}),
            defaults=None if defaults is None else dict(defaults),
            retention=retention,
            chunk=chunk,
            database_uuid=None if database is None else names.check_uuid(database),
        )
        super().__init__(values, names.check_table_name(name))

    @classmethod
    def create(
        cls,
        name: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        measurements: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        retention: str | None = None,
        chunk: str | None = None,
        database: str | None = None,
    ) -> StoredTimeseries:
        """Make a table and save it.

        Args:
            name: Its name.
            dimensions: Columns that tell rows of one moment apart: types by name.
            measurements: Columns that rows hold: types by name.
            defaults: Templates for Entries that bring none.
            retention: How long rows are kept, such as ``"3M"``.
            chunk: How much time a piece of its storage has, such as ``"1W"``.
            database: UUID of the database it is to be in; the default one when left out.

        Raises:
            SaveError: The service refused it, for example because there is one of that name.
            ValidationError: A name, type or period is none.
        """
        table = cls(
            name,
            dimensions=dimensions,
            measurements=measurements,
            defaults=defaults,
            retention=retention,
            chunk=chunk,
            database=database,
        )
        table.save()
        return table

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        name: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        measurements: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        retention: str | None = None,
        chunk: str | None = None,
        database: str | None = None,
    ) -> StoredTimeseries:
        table = cls(
            name,
            dimensions=dimensions,
            measurements=measurements,
            defaults=defaults,
            retention=retention,
            chunk=chunk,
            database=database,
        )
        await table.asave()
        return table

    def alter(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        dimensions: Mapping[str, str] | None = None,
        measurements: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        retention: str | None = None,
        chunk: str | None = None,
    ) -> SaveResult:
        """Rename columns, add new ones behind the others, and change what is given; one request.

        The table is read first. Unsaved changes stay unsaved.

        Args:
            rename: New names of columns by old ones.
            dimensions: New dimensions: types by name.
            measurements: New measurements: types by name.
            defaults: Templates for Entries that bring none, in place of all that there are.
            retention: How long rows are kept.
            chunk: How much time a piece of its storage has.

        Raises:
            StateError: A new column has the name of one that there is.
            ValidationError: There is no such column, type or period.

        Example:
            >>> table = StoredTimeseries.create("weather", measurements={"ozone": "real"})
            >>> table.alter(rename={"ozone": "ozone_ppb"}).updated
            ('measurements',)
            >>> table.measurements
            {'ozone_ppb': 'real'}
        """
        added = {"dimensions": dimensions, "measurements": measurements}
        members = _members(defaults, retention, chunk)
        return self._connection.run(self._altered(rename, added, members))

    @twin_of(alter)
    async def aalter(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        dimensions: Mapping[str, str] | None = None,
        measurements: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        retention: str | None = None,
        chunk: str | None = None,
    ) -> SaveResult:
        added = {"dimensions": dimensions, "measurements": measurements}
        members = _members(defaults, retention, chunk)
        return await self._connection.arun(self._altered(rename, added, members))

    def _check(self, wire: Mapping[str, Any]) -> None:
        known = named_in(member(wire, "dimensions"))
        for name in member(member(wire, "defaults"), "dimensions"):
            if known and name not in known:
                raise ValidationError(
                    f"the defaults of the table {self.name!r} have a template for {name!r}, which "
                    f"is no dimension{did_you_mean(name, known)}",
                    code="bad-argument",
                )

    def _renamed(self, rename: Mapping[str, str], templates: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG002 # defaults are given whole
        defaults: Mapping[str, Any] = member(self._item.known, "defaults")
        dimensions = member(defaults, "dimensions")
        if not rename.keys() & dimensions.keys():
            return {}
        renamed = {rename.get(name, name): template for name, template in dimensions.items()}
        return {"defaults": {**defaults, "dimensions": renamed}}


def _members(
    defaults: Mapping[str, Any] | None, retention: str | None, chunk: str | None
) -> dict[str, Any]:
    """Return the members that are given, checked."""
    for period in (retention, chunk):
        if period is not None:
            names.check_period(period)
    return given(
        defaults=None if defaults is None else dict(defaults), retention=retention, chunk=chunk
    )


def _is_period(value: Any) -> bool:
    return isinstance(value, str) and bool(names.HISTORY.fullmatch(value))


def _is_template(value: Any) -> bool:
    return isinstance(value, Attribute) or is_text(value)


class TimeseriesTable(DeclaredTable[StoredTimeseries]):
    """The base of classes that declare Timeseries tables; their objects are rows.

    A class has dimensions and measurements, and may have a ``class Meta`` with `name` (else it is
    made of the class's), `retention`, `chunk`, `database`, and the templates `measurement` and
    `timestamp` for Entries that bring none. Unless told otherwise, an Entry writes to the
    measurement of its name.

    Entries feed a table when their model names it in ``class Meta: timeseries = Weather``, or by
    a field's ``entry(timeseries=Weather.celsius)``.

    Attributes:
        at: The moment of a row.

    Example:
        >>> class Weather(TimeseriesTable):
        ...     city: Column[str] = dimension("{LEDGER.city}")
        ...     celsius: Column[float] = measurement()
        ...     class Meta:
        ...         retention = "1Y"
        >>> class Station(Twin):
        ...     city: Field[str] = entry()
        ...     celsius: Field[float] = entry()
        ...     class Meta:
        ...         timeseries = Weather
        >>> _ = Weather.create()
        >>> _ = Station.create(city="Oslo", celsius=21.5)
        >>> [(row.city, row.celsius) for row in Weather.rows(Weather.celsius > 20)]
        [('Oslo', 21.5)]
    """

    __kind__ = "timeseries"
    __roles__ = ("dimension", "measurement")
    __stored__ = StoredTimeseries
    __known_options__: ClassVar[Mapping[str, Expected]] = {
        **COMMON_OPTIONS,
        "retention": (_is_period, "how long rows are kept, such as '3M' or 'INF'"),
        "chunk": (_is_period, "how much time a piece of the storage has, such as '1W'"),
        "measurement": (_is_template, "a template that names a measurement, '{entry_name}'"),
        "timestamp": (_is_template, "a template that makes the moment, '{entry_value.at}'"),
    }

    at: Column[datetime] = key("timeseries", "timestamptz", datetime)

    @classmethod
    def _complete(cls) -> None:
        cls._wire()

    @classmethod
    def _templates(cls) -> dict[str, Any]:
        options = {name: cls.__options__.get(name) for name in ("measurement", "timestamp")}
        found = {name: template_of(one) for name, one in options.items() if one is not None}
        return {"measurement": _BY_NAME, **found}

    @classmethod
    def _wire(cls) -> dict[str, Any]:
        defaults = cls._templates()
        dimensions = {
            name: one.template
            for name, one in cls._columns_of("dimension").items()
            if one.template is not None
        }
        where = cls.__name__
        for name, template in {**defaults, **dimensions}.items():
            checked_template(f"{where}.{name}", template)
        if dimensions:
            defaults["dimensions"] = dimensions
        periods = {name: cls.__options__.get(name) for name in ("retention", "chunk")}
        return {**cls._lists(_GROUPS), "defaults": defaults, **given(**periods)}

    # How Entries feed it

    @classmethod
    def __feeds__(cls) -> dict[str, dict[str, str]]:
        """Give the property `timeseries` of an Entry that leaves all to the table's templates."""
        return {cls._own_place().table: {}}

    @classmethod
    def __feed__(cls, spec: FieldSpec) -> dict[str, dict[str, str]]:
        """Give the property `timeseries` of a field's Entry; empty when it has no measurement."""
        for name, one in cls._columns_of("measurement").items():
            if one.attribute == spec.attribute or name == spec.target:
                by_name = cls._templates()["measurement"] == _BY_NAME and name == spec.target
                return {cls._own_place().table: {} if by_name else {"measurement": name}}
        return {}
