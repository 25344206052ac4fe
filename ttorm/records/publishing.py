"""Which changes of an Entry are told, and to which topics: its property `publish`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from ttorm.api.errors import ValidationError
from ttorm.api.names import check_topic
from ttorm.rules import Expression, rule_text

__all__ = ["Publish", "publish_rules"]

Publish: TypeAlias = (
    Mapping[str, list[str]]
    | Mapping[Expression, list[str]]
    | Mapping[str | Expression, list[str]]
    | Iterable[tuple[str | Expression, list[str]]]
)
"""Topics for each rule: a dictionary, or pairs of a rule and its topics."""


def publish_rules(publish: Publish, where: str = "publish") -> dict[str, list[str]]:
    """Give notification rules as the API takes them.

    Args:
        publish: Topics, or templates of topics, for each rule; rules are text or expressions.
        where: How messages name it.

    Raises:
        TypeError: That is no dictionary and no list of pairs.
        ValidationError: A topic is none.

    Example:
        >>> from ttorm.rules import entry_value
        >>> publish_rules({entry_value < 20: ["battery-low", "battery-low-{LEDGER.city}"]})
        {'entry_value < 20': ['battery-low', 'battery-low-{LEDGER.city}']}
    """
    found: dict[str, list[str]] = {}
    for rule, topics in _pairs(publish, where):
        if not isinstance(rule, (str, Expression)):
            raise TypeError(
                f"{where}: {rule!r} is no rule, expected an expression such as entry_value < 20, "
                'or rule text; write "true" to tell every change'
            )
        if not isinstance(topics, (list, tuple)):
            raise TypeError(f"{where}: {topics!r}: expected a list of topics for each rule")
        texts = found.setdefault(rule_text(rule), [])
        texts += [_topic(topic, where) for topic in cast(Iterable[Any], topics)]
    return found


def _pairs(publish: object, where: str) -> Iterable[tuple[Any, Any]]:
    if isinstance(publish, Mapping):
        found: Iterable[tuple[Any, Any]] = cast(Any, publish).items()
        return found
    try:
        return [(rule, topics) for rule, topics in cast(Iterable[Any], publish)]
    except (TypeError, ValueError):
        raise TypeError(
            f"{where}={publish!r}: expected a dictionary of topics for each rule, as in "
            '{"entry_value < 20": ["battery-low"]}'
        ) from None


def _topic(topic: Any, where: str) -> str:
    # What the braces of a template become is known to the service only.
    if isinstance(topic, str) and "{" in topic:
        return topic
    try:
        return check_topic(topic)
    except ValidationError as error:
        error.args = (f"{where}: {error.args[0]}, or a template such as 'low-{{LEDGER.city}}'",)
        raise
