"""Merging what two sides made of one JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

from ttorm.api.codec import JSONValue
from ttorm.api.errors import ConflictError
from ttorm.records.cells import ABSENT, Marker, alike
from ttorm.records.values import PLAIN

__all__ = ["Side", "merge"]

Side: TypeAlias = Literal["mine", "theirs"]
_Clashes: TypeAlias = dict[str, tuple[JSONValue, JSONValue, JSONValue]]


def merge(
    base: JSONValue, mine: JSONValue, theirs: JSONValue, *, prefer: Side | None = None
) -> JSONValue:
    """Put together what two sides made of one JSON value.

    Dictionaries are merged key by key, at every depth: a key that one side alone has changed,
    added or removed is as that side has it. Lists and everything else are single values.

    Args:
        base: What both sides started from.
        mine: What one side made of it.
        theirs: What the other side made of it.
        prefer: Whose value counts where both sides changed the same; None raises.

    Returns:
        A value of its own, which shares nothing with the arguments.

    Raises:
        ConflictError: Both sides changed the same key to different values; `base`, `mine` and
            `theirs` hold them by their paths, such as ``address.city``.
        ValidationError: A value is no JSON.

    Example:
        >>> ttorm.merge({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 1, "c": 3})
        {'a': 2, 'b': 1, 'c': 3}
    """
    clashes: _Clashes = {}
    merged = _merged(base, mine, theirs, prefer, "", clashes)
    if clashes and prefer is None:
        sides = [
            {path: _shown(values[side]) for path, values in clashes.items()} for side in range(3)
        ]
        places = ", ".join(path or "the value" for path in clashes)
        raise ConflictError(
            f"both sides changed {places}: resolve it by a function, or say prefer='mine' or "
            "'theirs'",
            base=sides[0],
            mine=sides[1],
            theirs=sides[2],
        )
    return merged if isinstance(merged, Marker) else PLAIN.dump(merged, "the merged value")


def _merged(
    base: JSONValue,
    mine: JSONValue,
    theirs: JSONValue,
    prefer: Side | None,
    path: str,
    clashes: _Clashes,
) -> Any:
    if alike(mine, theirs) or alike(base, theirs):
        return mine
    if alike(base, mine):
        return theirs
    if all(isinstance(side, Mapping) for side in (mine, theirs)):
        start, ours, others = _keys(base), _keys(mine), _keys(theirs)
        found = {
            key: _merged(
                start.get(key, ABSENT),
                ours.get(key, ABSENT),
                others.get(key, ABSENT),
                prefer,
                f"{path}.{key}" if path else key,
                clashes,
            )
            for key in dict.fromkeys([*others, *ours])
        }
        return {key: value for key, value in found.items() if value is not ABSENT}
    clashes[path] = (base, mine, theirs)
    return theirs if prefer == "theirs" else mine


def _keys(side: JSONValue) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], side) if isinstance(side, Mapping) else {}


def _shown(value: JSONValue) -> JSONValue:
    return None if isinstance(value, Marker) else value
