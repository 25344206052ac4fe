"""Access rules: texts of the platform's rule language, compiled once and evaluated safely."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttorm.emulator.guard import GuardedRule

__all__ = ["MAX_STEPS", "Effort", "Rule", "RuleError", "compile_rule", "holds"]

MAX_STEPS = 10_000
"""Work of one evaluation: one step for each value that is looked at, two microseconds or so."""
_MAX_EFFORT = 1_000_000


class RuleError(ValueError):
    """A text is no rule, or a rule cannot be evaluated on what it was given."""


class Effort:
    """How much work the rules of one request may do together.

    Attributes:
        left: Steps; a rule that needs more cannot be evaluated.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = _MAX_EFFORT) -> None:
        self.left = left


class Rule:
    """A compiled rule.

    Attributes:
        text: The rule as it was written.
        names: Names that it mentions as variables.
    """

    __slots__ = ("_guarded", "names", "text")

    def __init__(self, text: str, guarded: GuardedRule) -> None:
        self.text = text
        self.names = guarded.names
        self._guarded = guarded

    def value(self, variables: Mapping[str, Any], effort: Effort | None = None) -> Any:
        """Evaluate the rule.

        Args:
            variables: JSON values by name; names that are missing are null.
            effort: What the steps are taken from; None if they only count for this evaluation.

        Raises:
            RuleError: Operands do not fit, or a limit is exceeded.
        """
        return self._guarded.evaluate(variables, effort or Effort())

    def verdict(self, variables: Mapping[str, Any], effort: Effort | None = None) -> bool:
        """Tell whether the rule holds; one that cannot be evaluated does not.

        Example:
            >>> compile_rule("TWIN.kind == 'pump'").verdict({"TWIN": {"kind": "pump"}})
            True
        """
        try:
            return bool(self.value(variables, effort))
        except RuleError:
            return False


@lru_cache(maxsize=1_024)
def compile_rule(text: str) -> Rule:
    """Compile the text of a rule.

    Raises:
        RuleError: It is none, or asks for more than rules may do.
    """
    # The engine takes a tenth of a second to import, and most stores have no rule.
    from ttorm.emulator.guard import compile_guarded

    return Rule(text, compile_guarded(text))


def holds(text: str, variables: Mapping[str, Any], effort: Effort) -> bool:
    """Tell whether a rule holds; a text that is none does not."""
    try:
        return compile_rule(text).verdict(variables, effort)
    except RuleError:
        return False
