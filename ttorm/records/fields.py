"""Declared fields: `description`, `entry` and `identity`, and what type checkers see of them.

A field is a `Field[T]` for type checkers, a descriptor of `T`. At run time the metaclass takes the
fields off the class body, so that a loaded value is an ordinary instance attribute.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ttorm.api import names
from ttorm.api.errors import ValidationError
from ttorm.records.values import PLAIN, Codec, TypedCodec
from ttorm.rules import LEDGER, TWIN, Attribute, Expression

__all__ = ["Field", "FieldKind", "FieldSpec", "description", "entry", "identity"]

T = TypeVar("T")
FieldKind = Literal["description", "entry", "identity"]
_REQUIRED: Final = object()


class Field(Generic[T]):
    """The type of a declared field: reading gives a `T`, on the class a typed rule expression."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Attribute[T]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: T) -> None: ...


class FieldSpec:
    """What was declared about a field.

    Attributes:
        kind: Which part of a Twin it maps.
        attribute: Its name in Python.
        target: The description key, Entry name or Identity type it maps.
        key: Whether it is the Identity that tells Twins of the class apart.
        options: Properties an Entry is created with.
    """

    def __init__(
        self,
        kind: FieldKind,
        *,
        name: str | None,
        default: Any = _REQUIRED,
        default_factory: Callable[[], Any] | None = None,
        key: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if default is not _REQUIRED and default_factory is not None:
            raise TypeError(f"{kind}() takes default= or default_factory=, not both")
        self.kind: FieldKind = kind
        self.attribute = ""
        self.target = name or ""
        self.key = key
        self.options = {name: value for name, value in (options or {}).items() if value is not None}
        self.codec: Codec = PLAIN
        self._default = default
        self._factory = default_factory

    def __repr__(self) -> str:
        return f"<{self.kind} field {self.attribute}>"

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self._default is _REQUIRED and self._factory is None

    def default(self) -> Any:
        """Return a fresh default."""
        if self._factory is not None:
            return self._factory()
        # A container given as default= is shared by nobody: it goes through the codec.
        return self.codec.load(self.codec.dump(self._default, self.attribute), self.attribute)

    def bind(self, owner: type, attribute: str, namespace: Mapping[str, Any]) -> None:
        """Learn the class and name of the field.

        Raises:
            TypeError: The mapped name is not one the platform allows.
        """
        self.attribute = attribute
        self.target = self.target or attribute
        check = {
            "description": names.check_description_key,
            "entry": names.check_entry_name,
            "identity": names.check_identity_type,
        }[self.kind]
        try:
            check(self.target)
        except ValidationError as error:
            raise TypeError(
                f"{owner.__name__}.{attribute} = {self.kind}(...): {error}; "
                f'give the platform\'s name as {self.kind}(name="...")'
            ) from None
        if attribute in inspect.get_annotations(owner):
            self.codec = TypedCodec(lambda: _resolve(owner, attribute, namespace))

    def expression(self) -> Attribute[Any]:
        """Return the field as a rule expression.

        Raises:
            AttributeError: Identities cannot be asked for in rules.
        """
        if self.kind == "identity":
            raise AttributeError(
                f"rules do not see Identities: look the Twin up by find({self.attribute}=...)"
            )
        variables = LEDGER if self.kind == "entry" else TWIN
        where = f"the rule on {self.attribute!r}"

        def dump(value: Any) -> Any:
            return self.codec.dump(self.codec.check(value, where), where)

        return Attribute(variables[self.target]._node, dump, ordered=self._orders())

    def _orders(self) -> bool:
        from datetime import timedelta
        from decimal import Decimal

        declared = self.codec.type if isinstance(self.codec, TypedCodec) else object
        # These travel as text, which orders "10" before "9" and "PT10M" before "PT9M".
        return {Decimal, timedelta}.isdisjoint((declared, *get_args(declared)))


def _resolve(owner: type, attribute: str, namespace: Mapping[str, Any]) -> Any:
    """Evaluate the annotation of a field and return the T of its Field[T]."""
    annotation = inspect.get_annotations(owner)[attribute]
    module = vars(sys.modules.get(owner.__module__, object))
    alone = SimpleNamespace(__annotations__={attribute: annotation})
    try:
        hints = get_type_hints(
            alone, dict(module), {**vars(owner), **namespace}, include_extras=True
        )
    except NameError as error:
        raise TypeError(
            f"the annotation {annotation!r} of {owner.__qualname__}.{attribute} cannot be "
            f"resolved ({error}): define the name before the class, or at module level"
        ) from None
    annotation = hints[attribute]
    origin: Any = get_origin(annotation)
    if origin is Field:
        return get_args(annotation)[0]
    raise TypeError(
        f"{owner.__qualname__}.{attribute} is annotated as {annotation!r}: "
        "write Field[...] around it"
    )


@overload
def description(*, name: str | None = None, default: T) -> Field[T]: ...
@overload
def description(*, name: str | None = None, default_factory: Callable[[], T]) -> Field[T]: ...
@overload
def description(*, name: str | None = None) -> Any: ...
def description(
    *, name: str | None = None, default: Any = _REQUIRED, default_factory: Any = None
) -> Any:
    """Declare a field kept in the Twin's description.

    Args:
        name: The key in the description, when it differs from the field's name.
        default: Value when the key is missing.
        default_factory: Makes that value afresh each time.

    Example:
        >>> class Pump(Twin):
        ...     model: Field[str] = description()
        >>> Pump.create(model="X1").description["model"]
        'X1'
    """
    return FieldSpec("description", name=name, default=default, default_factory=default_factory)


@overload
def entry(
    *,
    name: str | None = None,
    default: T,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Mapping[str, Any] | None = None,
    publish: Mapping[str, list[str]] | None = None,
) -> Field[T]: ...
@overload
def entry(
    *,
    name: str | None = None,
    default_factory: Callable[[], T],
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Mapping[str, Any] | None = None,
    publish: Mapping[str, list[str]] | None = None,
) -> Field[T]: ...
@overload
def entry(
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Mapping[str, Any] | None = None,
    publish: Mapping[str, list[str]] | None = None,
) -> Any: ...
def entry(
    *,
    name: str | None = None,
    default: Any = _REQUIRED,
    default_factory: Any = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Mapping[str, Any] | None = None,
    publish: Mapping[str, list[str]] | None = None,
) -> Any:
    """Declare a field kept as an Entry of the account's own Ledger.

    Args:
        name: The Entry's name, when it differs from the field's name.
        default: Value when the Ledger lacks the Entry.
        default_factory: Makes that value afresh each time.
        visibility: Rule that lets users of other accounts see the Entry it is created with.
        history: Period it is created with, such as ``"3M"`` or ``"INF"``.
        timeseries: Timeseries tables it is created with.
        publish: Notification rules and topics it is created with.

    Example:
        >>> class Pump(Twin):
        ...     pressure: Field[float] = entry(history="3M")
        >>> Pump.create(pressure=2.5).ledger["pressure"].history_period
        '3M'
    """
    names.check_history(history)
    options = {
        "visibility": None if visibility is None else str(visibility),
        "history": history,
        "timeseries": timeseries,
        "publish": publish,
    }
    return FieldSpec(
        "entry", name=name, default=default, default_factory=default_factory, options=options
    )


@overload
def identity(type: str | None = None, *, key: bool = False, default: T) -> Field[T]: ...
@overload
def identity(type: str | None = None, *, key: bool = False) -> Any: ...
def identity(  # the platform calls the part before "#" the type
    type: str | None = None,  # noqa: A002
    *,
    key: bool = False,
    default: Any = _REQUIRED,
) -> Any:
    """Declare a field kept as an Identity of the Twin.

    Args:
        type: The Identity's type, the part before ``#``; the field's name when left out.
        key: Whether the Identity tells Twins of the class apart.
        default: Value when the Twin has no Identity of that type; None is the usual one.

    Example:
        >>> class Pump(Twin):
        ...     serial: Field[str] = identity("SN", key=True)
        >>> list(Pump.create(serial="A17").identities)
        ['SN#A17']
    """
    return FieldSpec("identity", name=type, default=default, key=key)
