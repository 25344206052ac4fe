"""Writes of Entries whose answers were lost: what is there now tells what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from ttorm.api.codec import JSONValue
from ttorm.records.cells import ABSENT, UNKNOWN, Marker, alike
from ttorm.records.plan import Does

__all__ = ["Verdict", "verdict"]

_LINKS = ("ref", "include")


class Verdict(Enum):
    """What a look at an Entry says about a write of it."""

    DONE = "it shows what was written"
    AGAIN = "it is as it was before: to be written again"
    LOST = "somebody else has written something else since"
    UNKNOWN = "nobody can tell"


def verdict(
    does: Does, sent: Mapping[str, JSONValue], before: Any, after: Any, *, check: bool
) -> Verdict:
    """Decide what became of a write.

    Args:
        does: What it was to do.
        sent: The attributes that were sent.
        before: The Entry as it was known, ABSENT, or UNKNOWN.
        after: The Entry as it is now, or ABSENT.
        check: Whether what others write may be made of this: a count that each adds one to.
    """
    if does == "delete":
        if after is ABSENT:
            return Verdict.DONE
        return _of_moments(_stamps(sent), before, after)
    if after is ABSENT:
        return Verdict.AGAIN
    moved = Verdict.LOST if does == "create" else _of_moments(_stamps(sent), before, after)
    if moved is Verdict.AGAIN:
        return moved
    if check and "value" in sent:
        # It may have been done, and somebody else may have gone on from there.
        return Verdict.UNKNOWN
    return Verdict.DONE if _shows(after, sent) else moved


def _stamps(sent: Mapping[str, JSONValue]) -> set[str]:
    """Give the moments that a write of some attributes moves; of none it ends the value."""
    values = {"value_changed_ts"} if "value" in sent or not sent else set[str]()
    return values | ({"entry_updated_ts"} if set(sent) - {"value"} else set())


def _of_moments(stamps: set[str], before: Any, after: Any) -> Verdict:
    if before is UNKNOWN or isinstance(before, Marker):
        return Verdict.UNKNOWN if before is UNKNOWN else Verdict.LOST
    if any(before.get(stamp) is None for stamp in stamps):
        return Verdict.UNKNOWN
    same = all(before.get(stamp) == after.get(stamp) for stamp in stamps)
    return Verdict.AGAIN if same else Verdict.LOST


def _shows(entry: Mapping[str, Any], sent: Mapping[str, JSONValue]) -> bool:
    return all(
        alike(_plain(name, entry.get(name)), _plain(name, value)) for name, value in sent.items()
    )


def _plain(name: str, value: Any) -> JSONValue:
    """Give what a link leads to: the service adds how it fares."""
    if name in _LINKS and isinstance(value, dict):
        return cast("dict[str, JSONValue]", value).get("source")
    return value
