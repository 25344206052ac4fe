"""Regular expressions that come from strangers: how much work one can make, before it is run."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from typing import Any

__all__ = ["MAX_PATHS", "MAX_PATTERN", "PatternError", "check_pattern", "paths"]

MAX_PATTERN = 256
"""Longest pattern, in characters."""
MAX_PATHS = 1_000_000
"""How many ways through a pattern a subject may open: some ten milliseconds of matching."""
MAX_SUBJECT = 4_096
"""Longest text that is matched, in characters."""

# The tree that the standard library compiles patterns from; its module has no public name.
_PARSER = importlib.import_module("re._parser")
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_SIMPLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "RANGE", "CATEGORY"})


class PatternError(ValueError):
    """A pattern is none, or could take too long."""


def check_pattern(pattern: str, length: int, *, search: bool) -> int:
    """Refuse a pattern that could take too long on a text.

    Args:
        pattern: The regular expression.
        length: Length of the text in characters.
        search: Whether the match may begin anywhere in the text.

    Returns:
        How many ways it may go through the text, at most.

    Raises:
        PatternError: It could, or it is no pattern that is admitted at all.
    """
    starts = length + 1 if search else 1
    ways = starts * paths(pattern, length)
    if length > MAX_SUBJECT or ways > MAX_PATHS:
        raise PatternError(f"a text of {length} characters is too long for the pattern {pattern!r}")
    return ways


@lru_cache(maxsize=4_096)
def paths(pattern: str, length: int) -> int:
    """Count the ways in which a pattern can go through a text from one place, at most.

    Args:
        pattern: The regular expression.
        length: Length of the text in characters.

    Raises:
        PatternError: The pattern is none, is over 256 characters, or looks around or back.

    Example:
        >>> paths("SN-[0-9]+$", 10)
        10
        >>> paths("(a+)+$", 30) > MAX_PATHS
        True
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a pattern has at most {MAX_PATTERN} characters")
    try:
        tree = _PARSER.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"{pattern!r} is no regular expression: {error}") from None
    return _sequence(tree, length)


def _sequence(items: Any, length: int) -> int:
    product = 1
    for operator, argument in items:
        product = min(product * _item(str(operator), argument, length), MAX_PATHS + 1)
    return product


def _item(operator: str, argument: Any, length: int) -> int:
    if operator in _SIMPLE:
        return 1
    if operator == "SUBPATTERN":
        return _sequence(argument[-1], length)
    if operator == "ATOMIC_GROUP":
        return _sequence(argument, length)
    if operator == "BRANCH":
        return _branch(argument[1], length)
    if operator in _REPEATS:
        low, high, repeated = argument
        most = min(int(high), max(length, int(low)))
        return _repeat(int(low), most, _sequence(repeated, length))
    raise PatternError("a pattern neither looks around nor refers back")


def _branch(alternatives: Any, length: int) -> int:
    ways = [_sequence(alternative, length) for alternative in alternatives]
    first = {_first_letter(alternative) for alternative in alternatives}
    # Where each alternative begins with a letter of its own, the text leaves no choice.
    distinct = len(first) == len(ways) and None not in first
    return max(ways) if distinct else sum(ways)


def _first_letter(alternative: Any) -> str | None:
    for operator, argument in alternative[:1]:
        return chr(argument).casefold() if str(operator) == "LITERAL" else None
    return None


def _repeat(low: int, most: int, ways: int) -> int:
    choices = most - low + 1
    if ways == 1:
        return choices
    # Above this many rounds even two ways are more than the limit.
    return choices * int(ways ** min(most, 20))
