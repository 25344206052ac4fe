"""Options of models: what a ``class Meta`` inside a class says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, cast

from ttorm.api import names

__all__ = ["Meta", "did_you_mean", "merged", "options_of"]


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
    """

    kind: str | None = None
    kind_key: str = "kind"
    optimistic: bool = False
    abstract: bool = False
    ttl: float | None = None
    ledger: str = "personal"


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


_EXPECTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "kind": (lambda kind: kind is None or (isinstance(kind, str) and kind != ""), "text, or None"),
    "kind_key": (
        lambda key: isinstance(key, str) and bool(names.DESCRIPTION_KEY.fullmatch(key)),
        "a description key, such as 'kind'",
    ),
    "optimistic": (_is_flag, "True or False"),
    "abstract": (_is_flag, "True or False"),
    "ttl": (_is_ttl, "seconds from 0 on, or None"),
    "ledger": (_is_ledger, "'personal', 'owner', 'creator' or the UUID of an account"),
}


def options_of(name: str, given: type | None) -> dict[str, Any]:
    """Return the options that a class itself gives.

    Args:
        name: The class's name.
        given: Its ``class Meta``, if it has one.

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
        if option not in _EXPECTED:
            raise TypeError(
                f"{name}.Meta has no option {option!r}"
                f"{did_you_mean(option, _EXPECTED) or ': expected ' + ', '.join(_EXPECTED)}"
            )
        fits, expected = _EXPECTED[option]
        if not fits(value):
            raise TypeError(f"{name}.Meta.{option} = {value!r}: expected {expected}")
    return options


def merged(model: type) -> Meta:
    """Return the options of a class with those it inherits, the nearest first."""
    found: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        found.pop("abstract", None)
        found.update(vars(base).get("__options__", {}))
    return Meta(**found)
