"""Access rules: texts of the platform's rule language, compiled once and evaluated safely."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["Rule", "RuleError", "compile_rule"]


class RuleError(Exception):
    """A text is no rule, or a rule cannot be evaluated on what it was given."""


class Rule:
    """A compiled rule.

    Attributes:
        text: The rule as it was written.
        names: Names of the variables that it reads.
    """

    __slots__ = ("_engine", "names", "text")

    def __init__(self, text: str, names: frozenset[str], engine: Any) -> None:
        self.text = text
        self.names = names
        self._engine = engine

    def value(self, variables: Mapping[str, Any]) -> Any:
        """Evaluate the rule.

        Args:
            variables: JSON values by name; names that are missing are null.

        Raises:
            RuleError: Operands do not fit, or a limit is exceeded.
        """
        try:
            return self._engine.evaluate(variables)
        except Exception as error:
            raise RuleError(str(error)) from None

    def verdict(self, variables: Mapping[str, Any]) -> bool:
        """Tell whether the rule holds; one that cannot be evaluated does not."""
        try:
            return bool(self.value(variables))
        except RuleError:
            return False


@lru_cache(maxsize=4_096)
def compile_rule(text: str) -> Rule:
    """Compile the text of a rule.

    Raises:
        RuleError: It is not one.
    """
    # The engine takes a tenth of a second to import, and most stores have no rule.
    import rule_engine

    context = rule_engine.Context(default_value=None, default_timezone="utc")
    try:
        engine = rule_engine.Rule(text, context)
    except Exception as error:
        raise RuleError(str(error)) from None
    return Rule(text, frozenset(context.symbols), engine)
