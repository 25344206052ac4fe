"""Columns of tables: how they are declared, and what they are in conditions and rows."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Never,
    NoReturn,
    Self,
    TypeVar,
    cast,
    overload,
)

from ttorm.api import names
from ttorm.api.errors import ValidationError
from ttorm.connection.readers import KEYS, Bound, Kind, Part, Ref
from ttorm.display import shortened
from ttorm.records.annotations import annotations_of
from ttorm.records.fields import resolved
from ttorm.records.meta import did_you_mean
from ttorm.records.typed import TypedCodec
from ttorm.records.values import PLAIN, Codec
from ttorm.rules import Attribute
from ttorm.tables.conditions import Condition, Ordering, Place
from ttorm.tables.plain import plain
from ttorm.tables.sqltypes import (
    DIMENSION_TYPES,
    SPATIAL,
    STRUCTURED,
    TEXTS,
    TYPES,
    sql_type,
    value_type,
)
from ttorm.tables.templates import template_of

if TYPE_CHECKING:
    from ttorm.tables.rows import Row

__all__ = ["Column", "ColumnRole", "key"]

T = TypeVar("T")
ColumnRole = Literal["dimension", "measurement", "property", "key"]


class Column(Generic[T]):
    """A column of a table: on its class what conditions are made of, in a row a value.

    Compare it with values (``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``), or use `between`,
    `in_`, `startswith` and `is_null`; sort by it, or by `desc`.

    Attributes:
        name: Its name on the platform.
        type: The platform's name of its type, such as ``"varchar"``.
        role: ``"dimension"``, ``"measurement"``, ``"property"`` or ``"key"``.
        template: What its values are made of; None when nothing is declared.
    """

    def __init__(
        self,
        role: ColumnRole,
        *,
        template: str | Attribute[Any] | None = None,
        type: str | None = None,  # noqa: A002 # the platform's word
        name: str | None = None,
        formerly: str | None = None,
    ) -> None:
        known = DIMENSION_TYPES if role == "dimension" else TYPES
        if type is not None and type not in known:
            raise TypeError(
                f"{role}(type={type!r}): there is no such type{did_you_mean(type, known)}; "
                f"expected one of {', '.join(sorted(known))}"
            )
        self.role: ColumnRole = role
        self.name = name or ""
        self.type = type or ""
        self.template = None if template is None else template_of(template)
        self.formerly = formerly
        self.attribute = ""
        self.place: Place | None = None
        self._codec: Codec = PLAIN

    # How it becomes part of a class

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute

    def bind(self, owner: type, scope: Mapping[str, Any]) -> None:
        """Learn the declared type.

        Raises:
            TypeError: Name or type are none that the platform takes.
        """
        where = f"{owner.__name__}.{self.attribute}"
        if self.role != "key":
            try:
                names.check_table_name(self.name, "column name")
            except ValidationError as error:
                raise TypeError(
                    f'{where}: {error}; give the platform\'s name as {self.call}(name="...")'
                ) from None
            if self.name in KEYS.values():
                raise TypeError(
                    f"{where}: the platform adds the column {self.name!r} itself: leave it out, or "
                    "choose another name"
                )
        if self.attribute in annotations_of(owner):
            declared = resolved(owner, self.attribute, scope, (Column,))
            self.type = self.type or self._type_of(declared, where)
            self._codec = TypedCodec(lambda: declared, where)
        elif self.type:
            self._codec = _codec_of(self.type, where)
        else:
            raise TypeError(
                f"{where} has no type: annotate it, as in {self.attribute}: Column[float] = "
                f'{self.call}(), or write {self.call}(type="real")'
            )

    @property
    def call(self) -> str:
        """The function that declares such columns."""
        return "column" if self.role == "property" else self.role

    def _type_of(self, declared: Any, where: str) -> str:
        found = sql_type(declared)
        if self.role == "dimension" and found in STRUCTURED:
            found = None
        if found is None:
            raise TypeError(
                f"{where} is annotated as Column[{_shown(declared)}], for which {self.call}s have "
                f'no type: say how it is stored, as in {self.call}(type="text")'
            )
        return found

    def of(self, place: Place) -> Self:
        """Return the column as a table has it."""
        if self.place == place:
            return self
        found = copy.copy(self)
        found.place = place
        return found

    def learn(self, template: str) -> str:
        """Keep the template that a model gives, and return it."""
        self.template = template
        return template

    @classmethod
    def untyped(cls, role: ColumnRole, name: str, type: str, place: Place) -> Column[Any]:  # noqa: A002
        """Return the column of a table that nobody declared."""
        found: Column[Any] = cls(role, type=type if type in TYPES else "text", name=name)
        found.attribute = name
        found.place = place
        found._codec = _codec_of(found.type, f"{name} of {place.table}")
        return found

    # What it is on its class, and in a row

    @overload
    def __get__(self, row: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, row: Row, owner: Any) -> T: ...
    def __get__(self, row: Row | None, owner: Any) -> Any:
        if row is not None:
            return row[self.attribute]
        known: Mapping[str, Any] = getattr(owner, "__columns__", {})
        return known.get(self.attribute, self)

    def __set__(self, row: Row, value: Never) -> NoReturn:
        raise AttributeError(
            f"{type(row).__name__}.{self.attribute} cannot be assigned: rows are made by the "
            "platform, from Entries as they change"
        )

    def read(self, raw: Any) -> Any:
        """Make the value of a cell.

        Raises:
            ValidationError: The declared type does not take it.
        """
        try:
            return self._codec.load(plain(raw), str(self))
        except ValidationError:
            if raw is not None:
                raise
            raise ValidationError(
                f"{self} is missing in this row: a column whose values may be missing is declared "
                f"as {self.attribute}: Column[... | None]",
                code="invalid-value",
            ) from None

    def __str__(self) -> str:
        return self.attribute if self.place is None else f"{self.place.table}.{self.attribute}"

    def __repr__(self) -> str:
        return f"<column {self}: {self.type}>"

    __hash__ = object.__hash__

    # Conditions

    def _condition(self, *parts: Part) -> Condition:
        return Condition(parts, [self._placed()])

    def _placed(self) -> Place:
        if self.place is None:
            raise TypeError(
                f"the column {self.attribute!r} belongs to no table: ask for it on the class of one"
            )
        return self.place

    def _bound(self, value: Any) -> Bound:
        where = f"the condition on {self}"
        if self.type in STRUCTURED | SPATIAL:
            raise TypeError(
                f"{self} has the type {self.type}, whose values are not compared: select by "
                "another column, or by is_null()"
            )
        if value is None:
            raise TypeError(f"{self} cannot be compared so with None: write is_null()")
        checked = self._codec.check(value, where)
        if self.type == "timestamptz" and getattr(checked, "tzinfo", value) is None:
            raise ValidationError(
                f"{where} is given {checked!r}, which has no time zone: write it with one, as in "
                "datetime(2026, 1, 31, tzinfo=UTC)",
                code="invalid-value",
            )
        return Bound(checked, self._codec.dump(checked, where), self.type)

    def _compared(self, sign: str, value: Any) -> Condition:
        if isinstance(value, Column):
            # The value of another column of the same table.
            other = cast("Column[Any]", value)  # type: ignore[redundant-cast] # not so for pyright
            return Condition(
                (Ref(self.name), f" {sign} ", Ref(other.name)), [self._placed(), other._placed()]
            )
        return self._condition(Ref(self.name), f" {sign} ", self._bound(value))

    def __eq__(self, value: T | Column[T] | None) -> Condition:  # type: ignore[override] # as in SQLAlchemy
        return self.is_null() if value is None else self._compared("=", value)

    def __ne__(self, value: T | Column[T] | None) -> Condition:  # type: ignore[override] # as above
        if value is None:
            return ~self.is_null()
        return self._compared("<>", value) | self.is_null()

    def __lt__(self, value: T | Column[T]) -> Condition:
        return self._compared("<", value)

    def __le__(self, value: T | Column[T]) -> Condition:
        return self._compared("<=", value)

    def __gt__(self, value: T | Column[T]) -> Condition:
        return self._compared(">", value)

    def __ge__(self, value: T | Column[T]) -> Condition:
        return self._compared(">=", value)

    def between(self, low: T, high: T) -> Condition:
        """Hold for values from low to high, both included."""
        return (self >= low) & (self <= high)

    def in_(self, values: Iterable[T]) -> Condition:
        """Hold for values that are among the given ones; among none there is none."""
        if isinstance(values, str):
            raise TypeError(f"{self}.in_({shortened(values)}): expected a list of values")
        bound = [self._bound(value) for value in values]
        if not bound:
            return self._condition("1 = 0")
        parts: list[Part] = [part for one in bound for part in (", ", one)]
        return self._condition(Ref(self.name), " IN (", *parts[1:], ")")

    def startswith(self, prefix: str) -> Condition:
        """Hold for texts that begin with another one; letter case counts."""
        if not isinstance(prefix, str):
            raise TypeError(f"{self}.startswith({shortened(prefix)}): expected text")
        if self.type not in TEXTS:
            raise TypeError(f"{self} has the type {self.type}: only texts begin with a text")
        # LIKE would take '%' and '_' for more than they are, and some databases A for a.
        start: tuple[Part, ...] = ("SUBSTR(", Ref(self.name), f", 1, {len(prefix)}) = ")
        return self._condition(*start, Bound(prefix, prefix, "text"))

    def is_null(self) -> Condition:
        """Hold for values that are missing."""
        return self._condition(Ref(self.name), " IS NULL")

    # Orderings

    def asc(self) -> Ordering:
        """Sort by it from the least value on; missing ones come last."""
        return Ordering(self.name, self._placed(), descending=False)

    def desc(self) -> Ordering:
        """Sort by it from the greatest value on; missing ones come last."""
        return Ordering(self.name, self._placed(), descending=True)

    # Feeding

    def __feeds__(self) -> dict[str, dict[str, str]]:
        """Give the property `timeseries` of an Entry that fills it.

        Raises:
            TypeError: Entries do not fill it.
        """
        if self.role != "measurement" or self.place is None:
            raise TypeError(f"{self!r} is no measurement: Entries feed measurements only")
        return {self.place.table: {"measurement": self.name}}


def _codec_of(type_: str, where: str) -> Codec:
    kind = value_type(type_)
    return PLAIN if kind is Any else TypedCodec(lambda: kind, where)


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def key(kind: Kind, type_: str, values: type[Any]) -> Any:
    """Declare the column that the platform adds to the tables of a kind."""
    found = Column[Any]("key", name=KEYS[kind], type=type_)
    found._codec = TypedCodec(lambda: values, KEYS[kind])
    return found
