"""What references and includes are declared to copy: the field of another class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from ttorm.rules import Attribute

if TYPE_CHECKING:
    from ttorm.api.codec import JSONValue
    from ttorm.records.fields import FieldSpec
    from ttorm.records.state import TwinState
    from ttorm.records.values import Codec, Need

__all__ = ["Target", "behind"]


class Target:
    """A field of a class, given or named, and the codec of its values.

    Args:
        given: The field asked for on its class, or ``"Class.field"``.
    """

    def __init__(self, given: Attribute[Any] | str) -> None:
        self._given = given
        self._owner: Any = None
        self._declared = ""

    def bind(self, owner: type, declared: str) -> None:
        """Learn what was declared to copy it.

        Raises:
            TypeError: That is no field of a class.
        """
        self._owner, self._declared = owner, declared
        if isinstance(self._given, str):
            if self._given.count(".") < 1:
                raise self._wrong("a text names a class and a field of it")
            return
        if not hasattr(self._given, "_spec"):
            raise self._wrong("that is no field of a class")
        self._checked(cast(Any, self._given)._spec)

    def _wrong(self, why: str) -> TypeError:
        return TypeError(
            f"{self._declared} cannot refer to {str(self._given)!r}: {why}; write the Entry field "
            'of a class, as in reference(Station.celsius) or reference("Station.celsius")'
        )

    def _checked(self, spec: FieldSpec) -> FieldSpec:
        if not spec.in_ledger:
            raise self._wrong(f"{spec.attribute} is no Entry but a field of kind {spec.kind}")
        return spec

    @cached_property
    def _found(self) -> tuple[Any, FieldSpec]:
        given: Any = self._given
        if not isinstance(given, str):
            return given._model, given._spec
        path, _, name = given.rpartition(".")
        model = self._named(path)
        if name not in model.__fields__:
            raise self._wrong(f"{model.__name__} has no field {name!r}")
        return model, self._checked(model.__fields__[name])

    def _named(self, path: str) -> Any:
        """Return the class of a name: the newest one, of the same module if there is one."""
        root = [model for model in self._owner.__mro__ if hasattr(model, "__fields__")][-1]
        found = [model for model in _below(root) if _is_called(model, path)]
        near = [model for model in found if model.__module__ == self._owner.__module__]
        if not found:
            raise self._wrong(f"no class is called {path}")
        if not near and len({model.__module__ for model in found}) > 1:
            raise self._wrong(f"several modules have a class {path}: name the module as well")
        return (near or found)[-1]

    @property
    def model(self) -> Any:
        """The class whose Twins are copied from."""
        return self._found[0]

    @property
    def spec(self) -> FieldSpec:
        """The field that is copied."""
        return self._found[1]

    # The codec of its values

    @property
    def _codec(self) -> Codec:
        return self.spec.codec

    @property
    def ordered(self) -> bool:
        """Whether JSON orders as the values do."""
        return self._codec.ordered

    @property
    def exact(self) -> Collection[type]:
        """The types of JSON scalars that are values as they are."""
        return self._codec.exact

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:
        """Validate a value to compare with."""
        return self._codec.check(value, where, near)

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:
        """Validate what the service stores."""
        return self._codec.load(raw, where, near)

    def dump(self, value: Any, where: str) -> JSONValue:
        """Encode a value."""
        return self._codec.dump(value, where)

    def needs(self, value: Any) -> Iterable[Need]:
        """Return the Twins and Entries that a value speaks of."""
        return self._codec.needs(value)


def behind(codec: Codec) -> Codec:
    """Return the codec itself, where a field takes that of another one."""
    while isinstance(codec, Target):
        codec = codec.spec.codec
    return codec


def _below(model: type) -> Iterator[type]:
    subclasses: list[type] = type.__subclasses__(model)
    for subclass in subclasses:
        yield subclass
        yield from _below(subclass)


def _is_called(model: type, path: str) -> bool:
    return f".{model.__module__}.{model.__qualname__}".endswith(f".{path}")
