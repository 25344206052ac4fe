"""Model classes: how a class body becomes a model, and which class shows a Twin of which kind."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import (
    TYPE_CHECKING,
    Any,
    ForwardRef,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

from ttorm.api.errors import ValidationError, WrongKindError
from ttorm.pairs import twin_of
from ttorm.records.annotations import annotations_in
from ttorm.records.declarations import description, doc, entry, identity, include, reference
from ttorm.records.feeding import fed_fields
from ttorm.records.fields import FieldSpec
from ttorm.records.meta import Meta, did_you_mean, merged, options_of
from ttorm.records.mistakes import check_body, check_targets
from ttorm.rules import TWIN, Expression, twin_status

__all__ = [
    "ModelMeta",
    "check_kind",
    "check_makes",
    "check_mark",
    "check_shows",
    "is_mark",
    "kind_rule",
    "model_of",
]

P = ParamSpec("P")
R = TypeVar("R")


# What `abc.ABC` and `Protocol` are made by, so that models may inherit from such classes as well.
if TYPE_CHECKING:
    from abc import ABCMeta as _Abstract
else:
    _Abstract = type(Protocol)


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(description, entry, reference, include, identity, doc),
)
class ModelMeta(_Abstract):
    """Takes the declared fields off the class body, so that nothing shadows loaded values."""

    if not TYPE_CHECKING:
        # Records are asked for their class all the time: models have no virtual subclasses.
        __instancecheck__ = type.__instancecheck__
        __subclasscheck__ = type.__subclasscheck__

        def __register(cls) -> Any:
            raise AttributeError("register")

        # Not `ABCMeta.register`: the name is free for a field.
        register = property(__register)

    __fields__: Mapping[str, FieldSpec]
    __targets__: Mapping[tuple[str, str], FieldSpec]
    __meta__: Meta
    __options__: Mapping[str, Any]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> ModelMeta:
        """Make a model class of a class body.

        Args:
            name: Its name.
            bases: Its bases.
            namespace: Its body.
            **options: What an `__init_subclass__` of a base takes.

        Raises:
            TypeError: A declaration is wrong; the message says how to mend it.
        """
        own = {key: value for key, value in namespace.items() if isinstance(value, FieldSpec)}
        check_body(name, bases, namespace, own)
        body = {key: value for key, value in namespace.items() if key not in own}
        cls = super().__new__(mcs, name, bases, body, **options)
        scope = _enclosing_names(namespace, own)
        for attribute, spec in own.items():
            spec.bind(cls, attribute, scope)
        cls.__options__ = options_of(name, body.get("Meta"))
        cls.__meta__ = merged(cls)
        if cls.__abstractmethods__:
            cls.__meta__ = cls.__meta__._replace(abstract=True)
        inherited = [vars(base).get("__fields__", {}) for base in reversed(cls.__mro__[1:])]
        fields = {key: spec for fields in (*inherited, own) for key, spec in fields.items()}
        variables = _type_arguments(namespace.get("__orig_bases__", ()))
        alias = cls.__meta__.ledger
        own_fields = {k: spec.of_class(cls, variables, alias) for k, spec in fields.items()}
        cls.__fields__ = fed_fields(cls, own_fields, cls.__meta__)
        cls.__targets__ = {spec.place: spec for spec in cls.__fields__.values()}
        check_targets(cls)
        _register(cls)
        for table in cls.__meta__.indexes if "indexes" in cls.__options__ else ():
            table.__bind__(cls)
        return cls

    def create(cls: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a Twin of this class and save it.

        Takes what the constructor takes. A Twin with fields needs one request for itself, one for
        all its Identities and one for all its Entries.

        Raises:
            TypeError: A required field is missing, or there is no such field.
            ValidationError: A value does not fit its field.
            SaveError: The service refused some of the items.

        Example:
            >>> pump = Twin.create(description={"kind": "pump"})
            >>> pump.status
            'alive'
        """
        record = cls(*args, **kwargs)
        with _nobody_has(record):
            cast(Any, record).save()
        return record

    @twin_of(create)
    async def acreate(cls: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        record = cls(*args, **kwargs)
        with _nobody_has(record):
            await cast(Any, record).asave()
        return record

    def find_or_create(cls: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[R, bool]:
        """Find the Twin with the key of some values, or create it with them.

        The key is the class's one field that is declared as ``identity(..., key=True)``. A Twin
        that is found is returned as it is. One that is created gets a random mark in its
        description, by which it is found again when the answer of its creation is lost.

        Takes what the constructor takes.

        Returns:
            The record, and whether it was created.

        Raises:
            TypeError: The class has no such field, or not exactly one; or a value is missing.
            OutcomeUnknownError: No answer came, and the Twin may still come to exist: call again
                after a while.
            ValidationError: A value does not fit its field.
            SaveError: The service refused some of the items.

        Example:
            >>> class Pump(Twin):
            ...     serial: Field[str] = identity("SN", key=True)
            >>> pump, created = Pump.find_or_create(serial="A17")
            >>> Pump.find_or_create(serial="A17") == (pump, False)
            True
        """
        from ttorm.records.creating import find_or_create

        record = cls(*args, **kwargs)
        with _nobody_has(record):
            found: tuple[R, bool] = cast(Any, record)._connection.run(find_or_create(record))
        return found

    @twin_of(find_or_create)
    async def afind_or_create(
        cls: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, bool]:
        from ttorm.records.creating import find_or_create

        record = cls(*args, **kwargs)
        with _nobody_has(record):
            found: tuple[R, bool] = await cast(Any, record)._connection.arun(find_or_create(record))
        return found

    def __setattr__(cls, name: str, value: Any) -> None:
        if name in vars(cls).get("__fields__", ()):
            raise TypeError(
                f"{cls.__name__}.{name} is a field of the class: assign it on a record, or declare "
                "a class with other fields"
            )
        if isinstance(value, FieldSpec):
            raise TypeError(
                f"{cls.__name__}.{name} cannot become a field now: declare it in the class body"
            )
        super().__setattr__(name, value)

    def __dir__(cls) -> list[str]:
        # Python leaves out what only the class has; who types a class's name looks for it.
        verbs = [name for name in vars(ModelMeta) if not name.startswith("_")]
        return [*super().__dir__(), *cls.__fields__, *verbs]

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:
            # Only misses come here: a field, asked for on the class, is a rule expression.
            if name.startswith("__"):
                raise AttributeError(f"{cls.__name__} has no attribute {name!r}")
            if name in cls.__fields__:
                return cls.__fields__[name].expression(cls)
            raise AttributeError(
                f"{cls.__name__} has no attribute {name!r}{did_you_mean(name, cls.__fields__)}"
            )


@contextmanager
def _nobody_has(record: Any) -> Generator[None]:
    """Have its session forget a record that could not be created: it must not create it later."""
    try:
        yield
    except BaseException:
        record._state.session.release(record._state)
        raise


def check_makes(model: Any) -> None:
    """Refuse to make Twins of a class that stands for none of its own.

    Raises:
        TypeError: The class is abstract, or shows other accounts' Ledgers.
    """
    meta: Meta = model.__meta__
    if meta.abstract:
        raise TypeError(
            f"{model.__name__} is abstract and makes no Twins: make one of a class below it"
        )
    if meta.ledger != "personal":
        raise TypeError(
            f"{model.__name__} shows the Ledger {meta.ledger!r} and makes no Twins: make them of a "
            "class without Meta.ledger"
        )


def check_shows(model: Any) -> None:
    """Refuse to show a Twin as a class that can have no records.

    Raises:
        TypeError: The class has abstract methods.
    """
    if missing := ", ".join(sorted(model.__abstractmethods__)):
        raise TypeError(
            f"{model.__name__} has abstract methods ({missing}) and shows no Twins itself: read "
            "them through a class below it, or give those classes a Meta.kind that get() and "
            "scan() tell them by"
        )


def is_mark(model: Any, spec: FieldSpec) -> bool:
    """Tell whether a field maps what says of which kind a Twin of the class is."""
    meta: Meta = model.__meta__
    return meta.kind is not None and spec.place == ("description", meta.kind_key)


def check_mark(model: Any, kind: Any) -> None:
    """Refuse to mark a new Twin as one of another class.

    Raises:
        ValidationError: The kind is not that of the class.
    """
    meta: Meta = model.__meta__
    if meta.kind is not None and kind != meta.kind:
        raise ValidationError(
            f"{model.__name__} makes Twins with {meta.kind_key}={meta.kind!r}, not {kind!r}: leave "
            f"it out, or make one of the class for {kind!r}",
            code="invalid-value",
        )


def _type_arguments(bases: Iterable[Any]) -> dict[Any, Any]:
    """Return what a class puts in the places of the type variables of its generic bases."""
    found: dict[Any, Any] = {}
    for base in bases:
        origin = get_origin(base)
        if isinstance(origin, ModelMeta):
            parameters: tuple[Any, ...] = vars(origin).get("__parameters__", ())
            found.update(zip(parameters, get_args(base), strict=False))
    return found


def _enclosing_names(namespace: Mapping[str, Any], own: Mapping[str, FieldSpec]) -> dict[str, Any]:
    """Keep the local names that the annotations of a class inside a function speak of."""
    annotations = annotations_in(namespace)
    wanted: set[str] = set()
    for attribute in own:
        wanted |= _names_in(annotations.get(attribute))
    # Two frames up: past __new__ to the code that holds the class statement.
    found = sys._getframe(2).f_locals
    return {name: found[name] for name in wanted & set(found)}


def _names_in(annotation: Any) -> set[str]:
    """Return the names that the quoted parts of an annotation speak of."""
    text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
    if not isinstance(text, str):
        return {name for part in get_args(text) for name in _names_in(part)}
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except SyntaxError:
        return set()  # a text of a Literal
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    quoted = (node.value for node in nodes if isinstance(node, ast.Constant))
    return names.union(*(_names_in(part) for part in quoted if isinstance(part, str)))


_kinds: dict[str, ModelMeta] = {}


def _register(cls: ModelMeta) -> None:
    """Have a class show the Twins of its kind."""
    kind = cls.__meta__.kind
    # A class with abstract methods has no records: the first one below it that may have shows them.
    if kind is None or cls.__abstractmethods__:
        return
    if "kind" in cls.__options__ or kind not in _kinds:
        _kinds[kind] = cls


def model_of(described: Mapping[str, Any], asked: Any) -> Any:
    """Return the class that shows a Twin: the registered one of its kind, if it fits.

    Args:
        described: The Twin's description.
        asked: The class it was asked through.

    Returns:
        `asked` or a subclass of it; None when the Twin is of another kind.
    """
    meta: Meta = asked.__meta__
    kind = described.get(meta.kind_key)
    registered = _kinds.get(kind) if isinstance(kind, str) else None
    if registered is not None and issubclass(registered, asked):
        return registered
    if meta.abstract and _kinds_below(asked):
        return None
    if meta.kind is not None and kind != meta.kind:
        return None
    check_shows(asked)
    return asked


def check_kind(described: Mapping[str, Any], asked: Any, uuid: str | None) -> Any:
    """Return the class that shows a Twin, as `model_of` does.

    Raises:
        WrongKindError: The Twin is of another kind.
    """
    fitting = model_of(described, asked)
    if fitting is None:
        meta: Meta = asked.__meta__
        kinds = [*([] if meta.kind is None else [meta.kind]), *_kinds_below(asked)]
        raise WrongKindError(
            f"Twin {uuid} has {meta.kind_key}={described.get(meta.kind_key)!r}, {asked.__name__} "
            f"is for {' '.join(map(repr, dict.fromkeys(kinds)))}: read it through Twin, or through "
            "the class of its kind"
        )
    return fitting


def kind_rule(model: Any) -> Expression | None:
    """Return the rule that only Twins of a class and its subclasses fulfil; None for all."""
    meta: Meta = model.__meta__
    if meta.kind is None and not meta.abstract:
        return None
    own = [] if meta.kind is None else [meta.kind]
    below = _kinds_below(model)
    if not below:
        check_shows(model)
    kinds = list(dict.fromkeys([*own, *below]))
    attribute = TWIN[meta.kind_key]
    if len(kinds) > 1:
        return attribute.in_(kinds)
    return attribute == kinds[0] if kinds else None


def _kinds_below(model: type) -> list[str]:
    found: list[str] = []
    subclasses: list[type] = type.__subclasses__(model)
    for subclass in subclasses:
        meta: Meta | None = vars(subclass).get("__meta__")
        if meta is None:
            continue  # its body was refused, and somebody holds the error
        found += [] if meta.kind is None else [meta.kind]
        found += _kinds_below(subclass)
    return found


ALIVE = twin_status == "alive"
"""The rule that leaves terminated Twins out."""
