"""Reading answers tolerantly: a member that is missing or of another shape reads as empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from ttorm.api.errors import ResponseFormatError

__all__ = ["is_settled", "items", "listed", "member", "needed", "needed_list", "refusal"]


def member(answer: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Return an object inside an object; empty when there is none.

    Example:
        >>> member({"description": None}, "description")
        {}
    """
    found = None if answer is None else answer.get(name)
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def items(answer: Mapping[str, Any] | None, name: str) -> dict[str, dict[str, Any]]:
    """Return the objects inside an object that were not refused, by name.

    Example:
        >>> items({"entries": {"a": {"value": 1}, "b": {"error": "No."}}}, "entries")
        {'a': {'value': 1}}
    """
    return {
        key: cast(dict[str, Any], item)
        for key, item in member(answer, name).items()
        if isinstance(item, dict) and "error" not in item
    }


def listed(answer: Mapping[str, Any] | None, name: str) -> list[Any]:
    """Return a list inside an object; empty when there is none.

    Example:
        >>> listed({"twins": ["u"]}, "twins"), listed({}, "twins")
        (['u'], [])
    """
    found: Any = None if answer is None else answer.get(name)
    return [*cast(Iterable[Any], found)] if isinstance(found, list) else []


def needed(answer: Any, *path: str) -> str:
    """Return a text that an answer cannot do without.

    Raises:
        ResponseFormatError: It is not there.

    Example:
        >>> needed({"creation_certificate": {"uuid": "u"}}, "creation_certificate", "uuid")
        'u'
    """
    found = answer
    try:
        for name in path:
            found = found[name]
    except (KeyError, TypeError, IndexError):
        found = None
    if isinstance(found, str) and found:
        return found
    raise _lacking(".".join(path))


def needed_list(answer: Mapping[str, Any] | None, name: str) -> list[Any]:
    """Return a list that an answer cannot do without: nothing found is a list, too.

    Raises:
        ResponseFormatError: It is not there.

    Example:
        >>> needed_list({"twins": []}, "twins")
        []
    """
    if answer is None or not isinstance(answer.get(name), list):
        raise _lacking(name)
    return listed(answer, name)


def _lacking(what: str) -> ResponseFormatError:
    return ResponseFormatError(
        f"the answer has no {what}: is this address the Trusted Twin API, or does a proxy answer "
        "in its place?"
    )


def is_settled(entry: Mapping[str, Any]) -> bool:
    """Tell whether an Entry shows its value; a new reference gets its value after the answer.

    Example:
        >>> is_settled({"value": None, "ref": {"status": "created"}}), is_settled({"value": None})
        (False, True)
    """
    return member(entry, "ref").get("status") != "created"


def refusal(answer: Mapping[str, Any], name: str, item: str) -> str | None:
    """Return why one item of an answer was refused; None when it was not.

    The presence of the key ``error`` tells, never its text. An Entry's own value of that name is
    no confusion, since values sit under ``value``.
    """
    found = member(member(answer, name), item)
    return str(found["error"]) if "error" in found else None
