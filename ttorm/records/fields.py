"""Declared fields: what is known about one, and what type checkers see of it.

A field is a `Field[T]` for type checkers, a descriptor of `T`. At run time the metaclass takes the
fields off the class body, so that a loaded value is an ordinary instance attribute.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ttorm.api import names
from ttorm.api.errors import ValidationError
from ttorm.records.annotations import annotations_of
from ttorm.records.codecs import CustomCodec, ValueCodec
from ttorm.records.targets import Target
from ttorm.records.typed import TypedCodec
from ttorm.records.values import PLAIN, Codec
from ttorm.rules import LEDGER, TWIN, Attribute

if TYPE_CHECKING:
    from ttorm.records.entry import Entry
    from ttorm.records.record import Record

__all__ = [
    "REQUIRED",
    "Field",
    "FieldAttribute",
    "FieldKind",
    "FieldSpec",
    "Reference",
    "resolved",
]

T = TypeVar("T")
FieldKind = Literal["description", "entry", "reference", "include", "identity", "doc"]
REQUIRED: Final = object()
"""The default of a field that has none."""
PERSONAL: Final = "personal"

_PARTS: Mapping[FieldKind, str] = {
    "description": "description",
    "entry": "ledger",
    "reference": "ledger",
    "include": "ledger",
    "identity": "identities",
    "doc": "docs",
}
_CHECKS: Mapping[str, Callable[[object], str]] = {
    "description": names.check_description_key,
    "ledger": names.check_entry_name,
    "identities": names.check_identity_type,
    "docs": names.check_doc_name,
}


_LINKED: Mapping[str, Literal["ref", "include"]] = {"reference": "ref", "include": "include"}


class _Declared(Generic[T]):
    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Attribute[T]: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...


class Field(_Declared[T]):
    """The type of a declared field: reading gives a `T`, on the class a typed rule expression."""

    if TYPE_CHECKING:

        def __set__(self, instance: object, value: T) -> None: ...


class Reference(_Declared[T]):
    """The type of a `reference` or `include`: reading gives a `T`, assigning takes its source."""

    if TYPE_CHECKING:

        def __set__(self, instance: object, value: Record | Entry | str | None) -> None: ...


class FieldAttribute(Attribute[T]):
    """A field asked for on its class: a rule expression that knows where it comes from."""

    __slots__ = ("_model", "_spec")

    def __init__(self, model: Any, spec: FieldSpec, dump: Callable[[Any], Any]) -> None:
        variables = LEDGER if spec.part == "ledger" else TWIN
        super().__init__(variables[spec.target]._node, dump, ordered=spec.codec.ordered)
        self._model = model
        self._spec = spec

    @property
    def _template(self) -> str:
        """The template that gives its value."""
        return f"{{{'LEDGER' if self._spec.in_ledger else 'TWIN'}.{self._spec.target}}}"


class FieldSpec:
    """What was declared about a field.

    Attributes:
        kind: How it was declared.
        attribute: Its name in Python.
        target: The description key, Entry, Identity type or Doc it maps.
        key: Whether it is the Identity that tells Twins of the class apart.
        options: Properties an Entry is created with.
        source: What a reference or include is declared to copy.
        codec: Between values and JSON.
        alias: Whose Ledger an Entry is read from.
        in_ledger: Whether it maps an Entry.
        linked: The attribute of an Entry that holds its source; None for ordinary values.
        plain: Whether it maps a value of its own: of an Entry, or of the description.
    """

    def __init__(
        self,
        kind: FieldKind,
        *,
        name: str | None,
        default: Any = REQUIRED,
        default_factory: Callable[[], Any] | None = None,
        key: bool = False,
        options: Mapping[str, Any] | None = None,
        source: Target | None = None,
        codec: ValueCodec[Any] | None = None,
    ) -> None:
        if default is not REQUIRED and default_factory is not None:
            raise TypeError(f"{kind}() takes default= or default_factory=, not both")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{kind}(name={name!r}): expected text, the platform's name of it")
        if codec is not None and not isinstance(codec, ValueCodec):
            raise TypeError(
                f"{kind}(codec={codec!r}): expected how values are stored, as in "
                "codec=ttorm.ValueCodec(to_json=str, from_json=Path)"
            )
        if not isinstance(key, bool):
            raise TypeError(f"{kind}(key={key!r}): expected True or False")
        if default_factory is not None and not callable(default_factory):
            raise TypeError(
                f"{kind}(default_factory={default_factory!r}): expected what can be called, such "
                "as list; give a value as default="
            )
        self.kind: FieldKind = kind
        self.in_ledger = _PARTS[kind] == "ledger"
        self.linked: Literal["ref", "include"] | None = _LINKED.get(kind)
        self.plain = kind in ("entry", "description")
        self.attribute = self._declared = ""
        self.target = name or ""
        self.key = key
        self.options = {name: value for name, value in (options or {}).items() if value is not None}
        self.source = source
        self.codec: Codec = PLAIN
        self.alias = PERSONAL
        self._custom = codec
        self._type: Callable[[], Any] | None = None
        self._default = default
        self._factory = default_factory

    def __repr__(self) -> str:
        return f"<{self.kind} field {self.attribute}>"

    @property
    def part(self) -> str:
        """The part of a Twin it maps, as `Twin.load` takes it."""
        part = _PARTS[self.kind]
        return part if part != "ledger" or self.alias == PERSONAL else f"ledgers/{self.alias}"

    @property
    def place(self) -> tuple[str, str]:
        """What no other field of a class may map as well."""
        return self.part, self.target

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self._default is REQUIRED and self._factory is None

    def default(self) -> Any:
        """Return a fresh default."""
        if self.linked or self.kind == "doc":
            return self._default if self._factory is None else self._factory()
        try:
            if self._factory is not None:
                return self.codec.check(self._factory(), "default_factory")
            # A container given as default= is shared by nobody: it goes through the codec.
            return self.codec.load(self.codec.dump(self._default, "default"), "default")
        except ValidationError as error:
            given = "default_factory"
            if self._factory is None:
                given = f"default={self._default!r}"
            mend = ", or declare it as Field[... | None]" if self._default is None else ""
            raise TypeError(
                f"{self._declared} = {self.kind}({given}): that is no value of its type; give one "
                f"that is{mend}"
            ) from error

    def bind(self, owner: type, attribute: str, namespace: Mapping[str, Any]) -> None:
        """Learn the class and name of the field.

        Raises:
            TypeError: The mapped name is not one the platform allows.
        """
        self.attribute = attribute
        self.target = self.target or attribute
        try:
            _CHECKS[_PARTS[self.kind]](self.target)
        except ValidationError as error:
            raise TypeError(
                f"{owner.__name__}.{attribute} = {self.kind}(...): {error}; "
                f'give the platform\'s name as {self.kind}(name="...")'
            ) from None
        declared = self._declared = f"{owner.__name__}.{attribute}"
        if attribute in annotations_of(owner):
            self._type = lambda: resolved(owner, attribute, namespace, (Field, Reference))
            self.codec = TypedCodec(self._type, declared)
        if self._custom is not None:
            self.codec = CustomCodec(self._custom, self._type, declared)
        elif self.source is not None:
            self.source.bind(owner, declared)
            self.codec = self.source

    def of_class(self, owner: type, variables: Mapping[Any, Any], alias: str) -> Self:
        """Return the field as a subclass has it: its type variables filled, its Ledger chosen."""
        alias = alias if self.in_ledger else PERSONAL
        if alias == self.alias and not variables:
            return self
        found = copy.copy(self)
        found.alias = alias
        known = self._type
        if variables and known is not None and isinstance(self.codec, TypedCodec):
            found._type = lambda: _filled(known(), variables)
            found.codec = TypedCodec(found._type, f"{owner.__name__}.{self.attribute}")
        return found

    def expression(self, model: Any) -> FieldAttribute[Any]:
        """Return the field as a rule expression.

        Raises:
            AttributeError: Rules do not see what it maps.
        """
        if self.part not in ("ledger", "description"):
            mend = (
                f"look the Twin up by find({self.attribute}=...)"
                if self.kind == "identity"
                else "they see the description and one's own Ledger only"
            )
            what = {"identity": "Identities", "doc": "Docs"}.get(self.kind, "Ledgers of others")
            raise AttributeError(f"rules do not see {what}: {mend}")
        where = f"the rule on {self.attribute!r}"

        def dump(value: Any) -> Any:
            checked = self.codec.check(value, where)
            for state, _ in self.codec.needs(checked):
                state.check_saved()
            return self.codec.dump(checked, where)

        return FieldAttribute(model, self, dump)


def _filled(annotation: Any, variables: Mapping[Any, Any]) -> Any:
    """Put types in the places of type variables."""
    if annotation in variables:
        return variables[annotation]
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters:
        return annotation
    return annotation[tuple(variables.get(one, one) for one in parameters)]


def resolved(
    owner: type, attribute: str, namespace: Mapping[str, Any], wrappers: tuple[Any, ...]
) -> Any:
    """Evaluate the annotation of what a class declares, and return the T of its Field[T].

    Raises:
        TypeError: It has none of the wrappers around it, or cannot be evaluated.
    """
    annotation = annotations_of(owner)[attribute]
    module = vars(sys.modules.get(owner.__module__, object))
    alone = SimpleNamespace(__annotations__={attribute: annotation})
    try:
        hints = get_type_hints(
            alone,
            dict(module),
            {**vars(owner), owner.__name__: owner, **namespace},
            include_extras=True,
        )
    except NameError as error:
        raise TypeError(
            f"the annotation {annotation!r} of {owner.__qualname__}.{attribute} cannot be "
            f"resolved ({error}): define the name before the class, or at module level"
        ) from None
    annotation = hints[attribute]
    origin: Any = get_origin(annotation)
    if origin in wrappers:
        return get_args(annotation)[0]
    raise TypeError(
        f"{owner.__qualname__}.{attribute} is annotated as {annotation!r}: "
        f"write {wrappers[0].__name__}[...] around it"
    )
