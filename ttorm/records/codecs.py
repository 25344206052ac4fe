"""Codecs of one's own: values that pydantic knows no JSON for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from ttorm.api.codec import JSONValue, check_json, decode, encode
from ttorm.api.errors import ValidationError
from ttorm.records.values import loses, short

if TYPE_CHECKING:
    from ttorm.records.state import TwinState
    from ttorm.records.values import Need

__all__ = ["CustomCodec", "ValueCodec"]

T = TypeVar("T")


@dataclass(frozen=True)
class ValueCodec(Generic[T]):
    """How values of a class are stored, for ``description(codec=...)`` and ``entry(codec=...)``.

    Args:
        to_json: Makes JSON of a value.
        from_json: Makes the value of JSON again, or raises `ValueError`.
        ordered: Whether the JSON orders as the values do, so that rules may use ``<``.

    Example:
        >>> from ipaddress import IPv4Network
        >>> network = ttorm.ValueCodec(to_json=str, from_json=IPv4Network)
        >>> class Router(Twin):
        ...     serves: Field[IPv4Network] = entry(codec=network)
        >>> Router(serves=IPv4Network("10.0.0.0/8")).ledger.to_dict()
        {'serves': '10.0.0.0/8'}
    """

    to_json: Callable[[T], Any]
    from_json: Callable[[Any], T]
    ordered: bool = False

    def __post_init__(self) -> None:
        for name in ("to_json", "from_json"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"ValueCodec({name}={getattr(self, name)!r}): expected a function of one value"
                )


class CustomCodec:
    """Values through a `ValueCodec`; None is null where the declared type allows it.

    Args:
        functions: What the user gave.
        annotation: Returns the declared type, if there is one.
        name: What declares it, for messages.
    """

    def __init__(
        self, functions: ValueCodec[Any], annotation: Callable[[], Any] | None, name: str
    ) -> None:
        self._functions = functions
        self._annotation = annotation
        self._declared = name

    exact: Collection[type] = ()

    @property
    def ordered(self) -> bool:
        """Whether JSON orders as the values do."""
        return self._functions.ordered

    def _is_null(self, value: Any) -> bool:
        return (
            value is None
            and self._annotation is not None
            and type(None) in get_args(self._annotation())
        )

    def _convert(self, function: Callable[[Any], Any], value: Any, where: str, found: str) -> Any:
        try:
            return None if self._is_null(value) else function(value)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValidationError(
                f"{where}: the codec of {self._declared} refuses what {found}, {short(value)}: "
                f"{error}",
                code="invalid-value",
            ) from error

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:
        """Make sure that the value can be stored and comes back."""
        back = self.load(self.dump(value, where), where, near)
        if loses(value, back):
            raise ValidationError(
                f"{where}: {short(value)} would come back as {short(back)}: have to_json and "
                f"from_json of {self._declared} undo each other",
                code="invalid-value",
            )
        return value

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Make the value; the function gets containers of its own."""
        own = decode(encode(raw))
        return self._convert(self._functions.from_json, own, where, "the service has")

    def dump(self, value: Any, where: str) -> JSONValue:
        """Make the JSON."""
        raw = self._convert(self._functions.to_json, value, where, "was assigned")
        check_json(raw, where)
        return decode(encode(raw))

    def needs(self, value: Any) -> Iterable[Need]:  # noqa: ARG002 # one shape for codecs
        """Return nothing: values of one's own speak of nobody."""
        return ()
