"""Rules evaluated here: the values their variables have, and the verdict."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ttorm.rules import nodes, semantics

__all__ = ["VARIABLES", "Source", "avariables", "holds", "variables"]

_MAPPINGS = frozenset({"DICT", "LEDGER", "TWIN", "USER"})
VARIABLES = _MAPPINGS | {
    *("account", "user", "role", "twin", "twin_status", "identity", "ledger", "now"),
    *("entry_name", "entry_value", "entry_created_ts", "entry_updated_ts", "value_changed_ts"),
}
"""All names that rules may mention."""


class Source(Protocol):
    """What knows the values of variables: a Twin."""

    def _rule_variables(self, names: frozenset[str]) -> Mapping[str, Any]:
        """Return JSON values by name, those that are null left out; loads them when it has to."""
        ...

    async def _arule_variables(self, names: frozenset[str]) -> Mapping[str, Any]:
        """Do the same in an event loop."""
        ...


class _Members(Mapping[str, Any]):
    """A mapping of JSON values, of which only what a rule looks at is converted."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def __getitem__(self, name: str) -> Any:
        return semantics.native(self._data[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


def holds(node: nodes.Node, scope: nodes.Scope) -> bool:
    """Tell whether a rule holds on values; one that cannot be evaluated does not."""
    with decimal.localcontext(semantics.ARITHMETIC):
        try:
            return bool(node.value(scope))
        except (semantics.RuleFailure, ArithmeticError, TypeError, ValueError):
            # The last three are Python's own, of values that do not fit together.
            return False


def variables(node: nodes.Node, source: Source | None, given: Mapping[str, Any]) -> nodes.Scope:
    """Collect the values of what a rule mentions."""
    names = _asked(node, source, given)
    found = given if source is None or not names else source._rule_variables(names)
    return _scope({**found, **given})


async def avariables(
    node: nodes.Node, source: Source | None, given: Mapping[str, Any]
) -> nodes.Scope:
    """Do the same in an event loop."""
    names = _asked(node, source, given)
    found = given if source is None or not names else await source._arule_variables(names)
    return _scope({**found, **given})


def _asked(node: nodes.Node, source: object, given: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that a rule mentions and nobody gave.

    Raises:
        TypeError: A given name is none of a rule, or the source is none.
        ValidationError: A part of the rule is text.
    """
    unknown = sorted(set(given) - VARIABLES)
    if unknown:
        raise TypeError(
            f"rules have no variable {unknown[0]!r}: expected one of {', '.join(sorted(VARIABLES))}"
        )
    if source is not None and not hasattr(source, "_rule_variables"):
        raise TypeError(
            f"matches() takes a Twin, found {type(source).__name__}: write values by name, as in "
            "matches(LEDGER={'battery': 5})"
        )
    parts = list(node.walk())
    for part in parts:
        if isinstance(part, nodes.Raw):
            raise part.refusal
    return frozenset(part.name for part in parts if isinstance(part, nodes.Name)) - set(given)


def _scope(found: Mapping[str, Any]) -> nodes.Scope:
    return {
        name: _Members(value)
        if name in _MAPPINGS and value is not None
        else semantics.native(value)
        for name, value in found.items()
    }
