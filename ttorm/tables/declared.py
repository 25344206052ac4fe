"""Tables declared as classes: how a class body becomes the definition of a table."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from ttorm.api import names
from ttorm.api.errors import ValidationError
from ttorm.connection.readers import Kind
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.annotations import annotations_of
from ttorm.records.collection import Collection
from ttorm.records.meta import Expected, options_of
from ttorm.results import Plan, SaveResult
from ttorm.sessions import current_session
from ttorm.tables.alterations import Definition, names_and_types
from ttorm.tables.columns import Column, ColumnRole
from ttorm.tables.conditions import Condition, Place
from ttorm.tables.migrations import migrate, plan_of
from ttorm.tables.rows import Asked, OrderBy, Prepared, Row, Rows, Source, asked_for
from ttorm.tables.stored import StoredTable

S = TypeVar("S", bound=StoredTable)

__all__ = ["COMMON_OPTIONS", "DeclaredTable", "is_text"]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def is_text(value: Any) -> bool:
    """Tell whether an option is text."""
    return isinstance(value, str) and value != ""


COMMON_OPTIONS: Mapping[str, Expected] = {
    "name": (
        lambda name: isinstance(name, str) and bool(names.TABLE_NAME.fullmatch(name)),
        "the table's name: lower-case letters, digits and '_', such as 'weather'",
    ),
    "database": (
        lambda uuid: isinstance(uuid, str) and bool(names.UUID.fullmatch(uuid)),
        "the UUID of a database",
    ),
    "abstract": (lambda flag: isinstance(flag, bool), "True or False"),
}
"""Options that every ``class Meta`` of a table may have."""


class DeclaredTable(Row, Generic[S]):
    """What classes of tables have in common: a class describes a table, its objects are rows.

    In brackets stands what the service's own view of such a table is.
    """

    __kind__: ClassVar[Kind]
    __roles__: ClassVar[tuple[ColumnRole, ...]]
    __stored__: ClassVar[type[StoredTable]]
    __known_options__: ClassVar[Mapping[str, Expected]]
    __options__: ClassVar[Mapping[str, Any]] = {}
    __place__: ClassVar[Place | None] = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Make the definition of a table of a class body.

        Raises:
            TypeError: A declaration is wrong; the message says how to mend it.
        """
        super().__init_subclass__(**arguments)
        if "__kind__" in vars(cls):
            return  # the base of a kind of tables
        own: dict[str, Column[Any]] = {
            name: one for name, one in vars(cls).items() if isinstance(one, Column)
        }
        _check_body(cls, own)
        inherited = {k: v for k, v in cls.__options__.items() if k not in ("abstract", "name")}
        given = options_of(cls.__name__, vars(cls).get("Meta"), cls.__known_options__)
        cls.__options__ = {**inherited, **given}
        scope = sys._getframe(1).f_locals
        for one in own.values():
            one.bind(cls, scope)
        if cls.__options__.get("abstract"):
            return
        cls.__place__ = place = Place(cls.__kind__, cls.__options__.get("name") or _named(cls))
        cls.__columns__ = {name: one.of(place) for name, one in _declared(cls).items()}
        _check_names(cls)
        cls._complete()

    @classmethod
    def _complete(cls) -> None:
        """Finish the definition, and refuse what is wrong with it."""

    @classmethod
    def _own_place(cls) -> Place:
        if cls.__place__ is None:
            raise TypeError(
                f"{cls.__name__} declares no table: give the name of one, as in "
                f'{cls.__name__}.get("weather"), or ask a class that declares columns'
            )
        return cls.__place__

    @classmethod
    def _columns_of(cls, role: ColumnRole) -> dict[str, Column[Any]]:
        """Return the declared columns of a role, by their names on the platform."""
        return {one.name: one for one in cls.__columns__.values() if one.role == role}

    @classmethod
    def _lists(cls, members: Mapping[str, ColumnRole]) -> dict[str, Any]:
        return {
            name: names_and_types({one.name: one.type for one in cls._columns_of(role).values()})
            for name, role in members.items()
        }

    @classmethod
    def _definition(cls) -> Definition:
        wire = cls._wire()
        if "database" in cls.__options__:
            wire["database"] = cls.__options__["database"].lower()
        columns = cls.__columns__.values()
        formerly = {one.name: one.formerly for one in columns if one.formerly is not None}
        return Definition(cls._own_place().table, wire, formerly)

    @classmethod
    def _wire(cls) -> dict[str, Any]:
        """Give what is declared as the API has it."""
        raise NotImplementedError

    @classmethod
    def _key(cls, name: str | None) -> str:
        """Return the name of the table that is meant: the given one, or the declared one."""
        return cls._own_place().table if name is None else names.check_table_name(name)

    # Rows

    @classmethod
    def rows(
        cls,
        where: Condition | None = None,
        *,
        order_by: OrderBy = (),
        limit: int | None = None,
    ) -> Rows[Self]:
        """Read rows of the table.

        Args:
            where: Only rows that fulfil it: a comparison of columns such as
                ``Weather.celsius > 30``, several joined by ``&``, ``|`` and ``~``.
            order_by: A column or several, each perhaps with ``.desc()``.
            limit: Most rows; None for all.

        Returns:
            What can be iterated by ``for`` and ``async for``, any number of times; each time asks
            the database anew.

        Raises:
            ConfigurationError: The connection has nothing to read rows with.
            ValidationError: The condition speaks of another table.

        Example:
            >>> class Weather(TimeseriesTable):
            ...     celsius: Column[float] = measurement()
            >>> _ = Weather.create()
            >>> Weather.rows(Weather.celsius > 30, order_by=Weather.at.desc(), limit=10).all()
            []
        """
        return cls._rows(asked_for(where, order_by, limit), cls.__columns__)

    @classmethod
    def _rows(cls, asked: Asked, names: Iterable[str]) -> Rows[Self]:
        """Read some columns of rows; what speaks of another table is refused at once."""
        place = cls._own_place()
        asked.query(place, ())
        columns = {name: cls.__columns__[name] for name in names}

        def prepare() -> Flow[Prepared[Self]]:
            yield from ()
            return columns, partial(cls._of, columns)

        return Rows(Source(place, lambda: current_session().connection, prepare), asked)

    # The table itself

    @classmethod
    def _view(cls) -> type[S]:
        return cast("type[S]", cls.__stored__)

    @classmethod
    def create(cls) -> S:
        """Make the table that the class declares. Rows come with the next changes of Entries.

        Raises:
            SaveError: The service refused it, for example because there is one: see `migrate`.

        Example:
            >>> class Weather(TimeseriesTable):
            ...     celsius: Column[float] = measurement()
            >>> Weather.create().measurements
            {'celsius': 'double precision'}
        """
        table = cls._view()._defined(cls._definition())
        table.save()
        return table

    @classmethod
    @twin_of(create)
    async def acreate(cls) -> S:
        table = cls._view()._defined(cls._definition())
        await table.asave()
        return table

    @classmethod
    def stored(cls, name: str | None = None) -> S:
        """Return the table as the service has it, without asking.

        Args:
            name: Its name; the one that the class declares when left out.
        """
        return cls._view()._at(cls._key(name))

    @classmethod
    def get(cls, name: str | None = None, *, fresh: bool = False) -> S:
        """Read the table as the service has it: its columns, templates and sizes.

        Args:
            name: Its name; the one that the class declares when left out.
            fresh: Ask the service whatever the cache holds.

        Raises:
            NotFoundError: There is none.

        Example:
            >>> _ = StoredTimeseries.create("weather", measurements={"celsius": "real"})
            >>> TimeseriesTable.get("weather").measurements
            {'celsius': 'real'}
        """
        return cls._view().get(cls._key(name), fresh=fresh)

    @classmethod
    @twin_of(get)
    async def aget(cls, name: str | None = None, *, fresh: bool = False) -> S:
        return await cls._view().aget(cls._key(name), fresh=fresh)

    @classmethod
    def list(cls) -> Collection[S]:
        """Go through the account's tables of this kind, whether classes declare them or not."""
        return cls._view().list()

    @classmethod
    def plan(cls) -> Plan:
        """Compare the declaration with the service's table, and give what `migrate` would send.

        Reads the table, which is one request, and writes nothing.

        Raises:
            StateError: Columns would have to be dropped, reordered or given other types.

        Example:
            >>> class Weather(TimeseriesTable):
            ...     celsius: Column[float] = measurement()
            >>> [request.method for request in Weather.plan()]
            ['POST']
        """
        return current_session().connection.run(plan_of([cls._definition_of()]))

    @classmethod
    @twin_of(plan)
    async def aplan(cls) -> Plan:
        return await current_session().connection.arun(plan_of([cls._definition_of()]))

    @classmethod
    def migrate(cls) -> SaveResult:
        """Make the table if there is none, or alter it to what the class declares.

        Columns that are new are added behind the others; a column is renamed when its declaration
        says ``formerly=``. Nothing is ever dropped.

        Raises:
            StateError: Columns would have to be dropped, reordered or given other types; nothing
                was sent.

        Example:
            >>> class Weather(TimeseriesTable):
            ...     celsius: Column[float] = measurement()
            >>> Weather.migrate().created
            ('weather',)
            >>> Weather.migrate().requests
            0
        """
        return current_session().connection.run(migrate([cls._definition_of()]))

    @classmethod
    @twin_of(migrate)
    async def amigrate(cls) -> SaveResult:
        return await current_session().connection.arun(migrate([cls._definition_of()]))

    @classmethod
    def _definition_of(cls) -> tuple[type[StoredTable], Definition]:
        return cls.__stored__, cls._definition()


def _named(cls: type) -> str:
    return _HUMP.sub("_", cls.__name__).lower()


def _declared(cls: type) -> dict[str, Column[Any]]:
    """Collect the columns of a class: the platform's first, then those of its bases."""
    found: dict[str, Column[Any]] = {}
    for kind in reversed(cls.__mro__):
        found |= {name: one for name, one in vars(kind).items() if isinstance(one, Column)}
    return found


def _check_body(cls: type[DeclaredTable[Any]], own: Mapping[str, Column[Any]]) -> None:
    for name, one in own.items():
        hidden = next((base for base in cls.__mro__[1:-1] if _hides(base, name)), None)
        if hidden is not None or name.startswith("_"):
            why = (
                "starts with an underscore" if hidden is None else f"hides {hidden.__name__}.{name}"
            )
            raise TypeError(
                f"the column {cls.__name__}.{name} {why}: give it another name in Python and keep "
                f'the platform\'s, as in other = {one.call}(name="{name.lstrip("_")}")'
            )
        if one.role not in cls.__roles__:
            calls = " or ".join(f"{Column(role).call}()" for role in cls.__roles__)
            raise TypeError(
                f"{cls.__name__}.{name} is declared by {one.call}(): columns of this kind of table "
                f"are declared by {calls}"
            )
    for name, annotation in annotations_of(cls).items():
        text = annotation if isinstance(annotation, str) else str(annotation)
        if name not in vars(cls) and text.removeprefix("ttorm.").startswith("Column["):
            calls = " or ".join(f"{Column(role).call}()" for role in cls.__roles__)
            raise TypeError(
                f"{cls.__name__}.{name} is annotated as a column but not declared as one: "
                f"write {name}: Column[...] = {calls}"
            )


def _hides(base: type, name: str) -> bool:
    member = vars(base).get(name)
    # A column may be declared anew, but not the platform's.
    return name in vars(base) and not (isinstance(member, Column) and member.role != "key")


def _check_names(cls: type[DeclaredTable[Any]]) -> None:
    try:
        names.check_table_name(cls._own_place().table)
    except ValidationError as error:  # of a class whose name is not plain letters
        raise TypeError(f'{cls.__name__}: {error}; write class Meta: name = "..."') from None
    seen: dict[str, str] = {}
    for attribute, one in cls.__columns__.items():
        other = seen.setdefault(one.name, attribute)
        if other != attribute:
            raise TypeError(
                f"{cls.__name__}.{attribute} and {cls.__name__}.{other} are the same column "
                f"{one.name!r}: leave one out, or give it another name="
            )
