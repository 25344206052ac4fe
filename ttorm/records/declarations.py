"""How fields are declared: `description`, `entry`, `reference`, `include`, `identity` and `doc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast, overload

from ttorm.api import names
from ttorm.api.errors import ValidationError
from ttorm.records.codecs import ValueCodec
from ttorm.records.feeds import Feeds, feeds_of
from ttorm.records.fields import REQUIRED, Field, FieldSpec, Reference
from ttorm.records.publishing import Publish, publish_rules
from ttorm.records.targets import Target
from ttorm.rules import Attribute, Expression, rule_text

__all__ = ["description", "doc", "entry", "identity", "include", "reference"]

T = TypeVar("T")


def _options(
    kind: str,
    visibility: str | Expression | None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> dict[str, Any]:
    """Check what an Entry is declared to be created with.

    Raises:
        TypeError: An option is of another type than the platform takes.
    """
    if visibility is not None and not isinstance(visibility, (str, Expression)):
        raise TypeError(
            f"{kind}(visibility={visibility!r}): expected a rule, such as \"USER.team == 'ops'\" "
            'or USER.team == "ops"; write "true" to show the Entry to everybody'
        )
    try:
        names.check_history(history)
    except ValidationError as error:
        raise TypeError(f"{kind}(history={history!r}): {error}") from None
    return {
        "visibility": None if visibility is None else rule_text(visibility),
        "history": history,
        "timeseries": None if timeseries is None else feeds_of(timeseries, f"{kind}(timeseries)"),
        "publish": None if publish is None else publish_rules(publish, f"{kind}(publish)"),
    }


@overload
def description(
    *, name: str | None = None, codec: ValueCodec[Any] | None = None, default: T
) -> Field[T]: ...
@overload
def description(
    *,
    name: str | None = None,
    codec: ValueCodec[Any] | None = None,
    default_factory: Callable[[], T],
) -> Field[T]: ...
@overload
def description(*, name: str | None = None, codec: ValueCodec[T]) -> Field[T]: ...
@overload
def description(*, name: str | None = None) -> Any: ...
def description(
    *,
    name: str | None = None,
    codec: ValueCodec[Any] | None = None,
    default: Any = REQUIRED,
    default_factory: Any = None,
) -> Any:
    """Declare a field kept in the Twin's description.

    Args:
        name: The key in the description, when it differs from the field's name.
        codec: How values are stored, when pydantic does not know or another way is wanted.
        default: Value when the key is missing.
        default_factory: Makes that value afresh each time.

    Example:
        >>> class Pump(Twin):
        ...     model: Field[str] = description()
        >>> Pump.create(model="X1").description["model"]
        'X1'
    """
    return FieldSpec(
        "description", name=name, codec=codec, default=default, default_factory=default_factory
    )


@overload
def entry(
    *,
    name: str | None = None,
    codec: ValueCodec[Any] | None = None,
    default: T,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Field[T]: ...
@overload
def entry(
    *,
    name: str | None = None,
    codec: ValueCodec[Any] | None = None,
    default_factory: Callable[[], T],
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Field[T]: ...
@overload
def entry(
    *,
    name: str | None = None,
    codec: ValueCodec[T],
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Field[T]: ...
@overload
def entry(
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Any: ...
def entry(
    *,
    name: str | None = None,
    codec: ValueCodec[Any] | None = None,
    default: Any = REQUIRED,
    default_factory: Any = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Any:
    """Declare a field kept as an Entry of the account's own Ledger.

    Args:
        name: The Entry's name, when it differs from the field's name.
        codec: How values are stored, when pydantic does not know or another way is wanted.
        default: Value when the Ledger lacks the Entry.
        default_factory: Makes that value afresh each time.
        visibility: Rule that lets users of other accounts see the Entry it is created with.
        history: Period it is created with, such as ``"3M"`` or ``"INF"``.
        timeseries: Timeseries tables that it feeds from its creation on: ``Weather.celsius``.
        publish: Topics to tell changes to, by rule, it is created with:
            ``{entry_value < 20: ["battery-low"]}``.

    Example:
        >>> class Pump(Twin):
        ...     pressure: Field[float] = entry(history="3M")
        >>> Pump.create(pressure=2.5).ledger["pressure"].history_period
        '3M'
    """
    return FieldSpec(
        "entry",
        name=name,
        codec=codec,
        default=default,
        default_factory=default_factory,
        options=_options("entry", visibility, history, timeseries, publish),
    )


@overload
def reference(
    source: Attribute[T],
    *,
    name: str | None = None,
    default: None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Reference[T | None]: ...
@overload
def reference(
    source: Attribute[T],
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Reference[T]: ...
@overload
def reference(
    source: str | None = None,
    *,
    name: str | None = None,
    default: None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Any: ...
@overload
def reference(
    source: str | None = None,
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Any: ...
def reference(
    source: Attribute[Any] | str | None = None,
    *,
    name: str | None = None,
    default: Any = REQUIRED,
    visibility: str | Expression | None = None,
    history: str | None = None,
    timeseries: Feeds | None = None,
    publish: Publish | None = None,
) -> Any:
    """Declare a field whose value the platform copies from another Entry, also of others.

    Reading gives the copied value. Assign a record of the source's class, an `Entry`, or
    ``twin://twin/ledger/entry``.

    Args:
        source: The field that is copied, as ``Station.celsius`` or ``"Station.celsius"`` for a
            class that comes later; without it any Entry may be assigned.
        name: The Entry's name, when it differs from the field's name.
        default: None, for records that may be without the reference.
        visibility: Rule that lets users of other accounts see the Entry it is created with.
        history: Period it is created with, such as ``"3M"`` or ``"INF"``.
        timeseries: Timeseries tables that it feeds from its creation on: ``Weather.celsius``.
        publish: Topics to tell changes to, by rule, it is created with:
            ``{entry_value < 20: ["battery-low"]}``.

    Example:
        >>> class Station(Twin):
        ...     celsius: Field[float] = entry()
        >>> class Pump(Twin):
        ...     outside: Reference[float] = reference(Station.celsius)
        >>> Pump.create(outside=Station.create(celsius=21.5)).outside
        21.5
    """
    return FieldSpec(
        "reference",
        name=name,
        default=_no_default("reference", default),
        options=_options("reference", visibility, history, timeseries, publish),
        source=_target("reference", source),
    )


@overload
def include(
    source: Attribute[T],
    *,
    name: str | None = None,
    default: None,
    visibility: str | Expression | None = None,
) -> Reference[T | None]: ...
@overload
def include(
    source: Attribute[T],
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
) -> Reference[T]: ...
@overload
def include(
    source: str | None = None,
    *,
    name: str | None = None,
    default: None,
    visibility: str | Expression | None = None,
) -> Any: ...
@overload
def include(
    source: str | None = None,
    *,
    name: str | None = None,
    visibility: str | Expression | None = None,
) -> Any: ...
def include(
    source: Attribute[Any] | str | None = None,
    *,
    name: str | None = None,
    default: Any = REQUIRED,
    visibility: str | Expression | None = None,
) -> Any:
    """Declare a field that shows an Entry of another Twin of one's own whenever it is read.

    Args:
        source: The field that is shown, as ``Station.celsius`` or ``"Station.celsius"``; without
            it any Entry of one's own may be assigned.
        name: The Entry's name, when it differs from the field's name.
        default: None, for records that may be without it.
        visibility: Rule that lets users of other accounts see the Entry it is created with.

    Example:
        >>> class Station(Twin):
        ...     celsius: Field[float] = entry()
        >>> class Pump(Twin):
        ...     outside: Reference[float] = include(Station.celsius)
        >>> Pump.create(outside=Station.create(celsius=21.5)).outside
        21.5
    """
    return FieldSpec(
        "include",
        name=name,
        default=_no_default("include", default),
        options=_options("include", visibility),
        source=_target("include", source),
    )


def _no_default(kind: str, default: Any) -> Any:
    if default is not None and default is not REQUIRED:
        raise TypeError(
            f"{kind}(default={default!r}): its value comes from its source; write default=None for "
            "records that may be without one"
        )
    return default


def _target(kind: str, source: Attribute[Any] | str | None) -> Target | None:
    if source is not None and not isinstance(cast(object, source), (str, Attribute)):
        raise TypeError(
            f"{kind}({source!r}): expected the Entry field of a class, as in "
            f'{kind}(Station.celsius) or {kind}("Station.celsius")'
        )
    return None if source is None else Target(source)


@overload
def identity(type: str | None = None, *, key: bool = False, default: T) -> Field[T]: ...
@overload
def identity(type: str | None = None, *, key: bool = False) -> Any: ...
def identity(  # the platform calls the part before "#" the type
    type: str | None = None,  # noqa: A002
    *,
    key: bool = False,
    default: Any = REQUIRED,
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


def doc(name: str, *, init: Literal[False] = False) -> Any:  # for type checkers
    """Declare a field for a Doc of a fixed name.

    Reading gives the `Doc` without asking the service, whether it is there or not. It cannot be
    assigned: ``pump.manual.upload(b"...")`` uploads it.

    Args:
        name: The Doc's name, folders included.
        init: Tells type checkers that constructors do not take it.

    Example:
        >>> class Pump(Twin):
        ...     manual: Field[Doc] = doc("manuals/service.txt")
        >>> pump = Pump.create()
        >>> pump.manual.upload(b"Oil it.").download()
        b'Oil it.'
    """
    return FieldSpec("doc", name=name, default=None)
