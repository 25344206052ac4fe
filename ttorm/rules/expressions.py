"""Rule expressions: what they are, how they are combined, and how they are asked."""

from __future__ import annotations

from typing import Any, Never, NoReturn

from ttorm.api.errors import ValidationError
from ttorm.pairs import twin_of
from ttorm.rules import logic, nodes
from ttorm.rules.matching import Source, avariables, holds, variables

__all__ = ["Expression", "operand", "raw", "rule_of", "rule_text"]


class Expression:
    """A rule, or a part of one; immutable.

    Combine expressions by ``&``, ``|`` and ``~``; ``str`` gives the rule's text.
    """

    __slots__ = ("_node",)

    def __init__(self, node: nodes.Node) -> None:
        self._node = node

    def __str__(self) -> str:
        return self._node.text

    def __repr__(self) -> str:
        return f"<rule {self}>"

    def __and__(self, other: Expression) -> Expression:
        return Expression(logic.AllOf(self._node, rule_of(other)._node))

    def __or__(self, other: Expression) -> Expression:
        return Expression(logic.AnyOf(self._node, rule_of(other)._node))

    def __rand__(self, other: Never) -> NoReturn:
        raise TypeError(
            f"{other!r} is no rule: & and | bind closer than comparisons, so write each side of "
            "them in parentheses, and rule text as raw(...)"
        )

    __ror__ = __rand__

    def __invert__(self) -> Expression:
        return Expression(logic.Not(self._node))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the rule {str(self)!r} has no truth value in Python: combine rules with &, | and ~ "
            "in parentheses instead of 'and', 'or' and 'not', and a < x < b as x.between(a, b)"
        )

    __hash__ = object.__hash__

    def matches(self, source: Source | None = None, /, **given: Any) -> bool:
        """Tell whether the rule holds, without asking the service to evaluate it.

        The answer is the service's: what is missing is null, and a rule that fails on the values
        at hand does not hold.

        Args:
            source: A Twin, with its unsaved changes. Of what the rule mentions, what is not
                loaded yet is loaded.
            **given: Values of variables by name, in place of the Twin's: ``LEDGER={"battery": 5}``.

        Raises:
            TypeError: There is no such variable.
            ValidationError: A part of the rule is text, which only the service reads.
            NotLoadedError: Something has to be loaded, and waiting is not allowed here.

        Example:
            >>> from ttorm.rules import LEDGER
            >>> low = LEDGER.battery < 20
            >>> low.matches(LEDGER={"battery": 5}), low.matches(LEDGER={})
            (True, False)
            >>> low.matches(Twin.create(entries={"battery": 99}))
            False
        """
        return holds(self._node, variables(self._node, source, given))

    @twin_of(matches)
    async def amatches(self, source: Source | None = None, /, **given: Any) -> bool:
        return holds(self._node, await avariables(self._node, source, given))


def raw(text: str) -> Expression:
    """Take a rule's text as it is, to be combined with other expressions.

    Example:
        >>> from ttorm.rules import TWIN
        >>> raw("TWIN.year % 4 == 0") & (TWIN.kind == "calendar")
        <rule (TWIN.year % 4 == 0) and TWIN.kind == "calendar">
    """
    return Expression(nodes.Raw(text))


def rule_of(rule: str | Expression) -> Expression:
    """Return a rule that may be text as an expression.

    Raises:
        ValidationError: It is neither.
    """
    if isinstance(rule, Expression):
        return rule
    if isinstance(rule, str) and rule.strip():
        return raw(rule)
    raise ValidationError(
        f"{rule!r} is no rule: expected an expression such as Scooter.battery < 20, or text; write "
        "each side of & and | in parentheses",
        code="bad-rule",
    )


def rule_text(rule: str | Expression) -> str:
    """Give the text of a rule that may be text already."""
    return str(rule_of(rule))


def operand(value: object) -> nodes.Node:
    """Return what stands for a value or expression in a rule."""
    return value._node if isinstance(value, Expression) else nodes.Literal(value)
