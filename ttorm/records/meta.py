"""Options of models: what a ``class Meta`` inside a class says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

from ttorm.api import names

__all__ = ["Expected", "Meta", "did_you_mean", "merged", "options_of"]


class FedTable(Protocol):
    """A class that declares a Timeseries table."""

    def __feed__(self, spec: Any) -> dict[str, dict[str, str]]:
        """Give the property `timeseries` of a field's Entry; empty when it does not feed it."""
        ...


class BoundTable(Protocol):
    """A class that declares an index table."""

    def __bind__(self, model: Any) -> None:
        """Learn the class of the Twins that it has rows for."""
        ...


class Meta(NamedTuple):
    """Options of a model; a subclass inherits all of them but `abstract`.

    Attributes:
        kind: What Twins of the class are marked with in their description; None marks nothing.
        kind_key: The description key of the mark.
        optimistic: Whether every save checks what others wrote.
        abstract: Whether it only gives its fields to subclasses and stands for no Twins itself.
        ttl: Seconds that answers read through the class are kept; None leaves it to the cache.
        ledger: Whose Ledger its Entries are read from: ``"personal"`` (one's own), ``"owner"``,
            ``"creator"`` or an account; all but one's own are read-only.
        timeseries: Timeseries tables that its Entries feed.
        indexes: Index tables whose rows stand for its Twins.
    """

    kind: str | None = None
    kind_key: str = "kind"
    optimistic: bool = False
    abstract: bool = False
    ttl: float | None = None
    ledger: str = "personal"
    timeseries: tuple[FedTable, ...] = ()
    indexes: tuple[BoundTable, ...] = ()


def did_you_mean(name: str, known: Any) -> str:
    """Return the end of a message that proposes near names, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_ledger(value: Any) -> bool:
    known = ("personal", "owner", "creator")
    return isinstance(value, str) and (value in known or bool(names.UUID.fullmatch(value)))


def _is_ttl(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (number and value >= 0)


def _several(value: Any) -> tuple[Any, ...]:
    """Return one class, or a list of classes, as a tuple."""
    return tuple(cast(list[Any], value)) if isinstance(value, (list, tuple)) else (value,)


def _are_fed(value: Any) -> bool:
    return all(hasattr(one, "__feed__") for one in _several(value))


def _are_bound(value: Any) -> bool:
    return all(hasattr(one, "__bind__") for one in _several(value))


Expected: TypeAlias = tuple[Callable[[Any], bool], str]
"""What tells whether an option can be that, and what messages say it can be."""
_TABLES = ("timeseries", "indexes")
_EXPECTED: Mapping[str, Expected] = {
    "kind": (lambda kind: kind is None or (isinstance(kind, str) and kind != ""), "text, or None"),
    "kind_key": (
        lambda key: isinstance(key, str) and bool(names.DESCRIPTION_KEY.fullmatch(key)),
        "a description key, such as 'kind'",
    ),
    "optimistic": (_is_flag, "True or False"),
    "abstract": (_is_flag, "True or False"),
    "ttl": (_is_ttl, "seconds from 0 on, or None"),
    "timeseries": (_are_fed, "a class below TimeseriesTable, or a list of such"),
    "indexes": (_are_bound, "a class below IndexTable, or a list of such"),
    "ledger": (_is_ledger, "'personal', 'owner', 'creator' or the UUID of an account"),
}


def options_of(
    name: str, given: type | None, expected: Mapping[str, Expected] = _EXPECTED
) -> dict[str, Any]:
    """Return the options that a class itself gives.

    Args:
        name: The class's name.
        given: Its ``class Meta``, if it has one.
        expected: The options that there are.

    Raises:
        TypeError: There is no such option, or it cannot be that.
    """
    if given is None:
        return {}
    if not isinstance(cast(object, given), type):
        raise TypeError(
            f'{name}.Meta = {given!r}: write class Meta: kind = "..." in the class body'
        )
    options = {key: value for key, value in vars(given).items() if not key.startswith("_")}
    for option, value in options.items():
        if option not in expected:
            raise TypeError(
                f"{name}.Meta has no option {option!r}"
                f"{did_you_mean(option, expected) or ': expected ' + ', '.join(expected)}"
            )
        fits, form = expected[option]
        if not fits(value):
            raise TypeError(f"{name}.Meta.{option} = {value!r}: expected {form}")
    return options


def merged(model: type) -> Meta:
    """Return the options of a class with those it inherits, the nearest first."""
    found: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        found.pop("abstract", None)
        found.update(vars(base).get("__options__", {}))
    found.update({name: _several(found[name]) for name in _TABLES if name in found})
    return Meta(**found)
