"""Operators of the rule language: arithmetic, comparisons and the like."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from ttorm.api.errors import ValidationError
from ttorm.rules import semantics
from ttorm.rules.nodes import Binding, Node, Scope, check, needed, unrepeated
from ttorm.rules.text import literal

__all__ = ["Arithmetic", "Comparison", "Contains", "Negative", "Pattern"]


class _Operator(Node):
    """Two nodes with an operator between them."""

    def __init__(self, sign: str, left: Node, right: Node) -> None:
        self.sign = sign
        self.parts = (left, right)

    def _written(self, left: int, right: int) -> str:
        one, other = self.parts
        return f"{one.inside(left)} {self.sign} {other.inside(right)}"


def _mismatch(what: str, left: Node, right: Node) -> TypeError:
    return TypeError(f"{what} the {left.kind} {left.text} and the {right.kind} {right.text}")


class Arithmetic(_Operator):
    """A sum, a product and the like; ``+`` joins texts as well."""

    def __init__(self, sign: str, left: Node, right: Node) -> None:
        kinds = ("number", "text") if sign == "+" else ("number",)
        super().__init__(sign, *(check(part, f"{sign!r}", *kinds) for part in (left, right)))
        self.binding, self._operation = _ARITHMETIC[sign]
        if left.kind is not None and right.kind is not None and left.kind != right.kind:
            raise TypeError(
                f"'+' cannot join the {left.kind} {left.text} and the {right.kind} {right.text}"
            )
        # As the language has it, which knows of products only that they are numbers.
        known = sign not in ("+", "-") or (left.kind is not None and right.kind is not None)
        self.kind = "number" if known and sign != "+" else left.kind if known else None

    def _write(self) -> str:
        # All of them are taken from left to right, powers too.
        return self._written(self.binding, self.binding + 1)

    def _need(self) -> tuple[Node, ...]:
        return needed(*self.parts)

    def _compute(self, scope: Scope) -> Any:
        one, other = (part.value(scope) for part in self.parts)
        return self._operation(one, other)


def _calculation(compute: semantics.Operator) -> semantics.Operator:
    return lambda one, other: semantics.calculate(compute, one, other)


_ARITHMETIC: dict[str, tuple[int, semantics.Operator]] = {
    "+": (Binding.SUM, semantics.add),
    "-": (Binding.SUM, _calculation(lambda one, other: one - other)),
    "*": (Binding.PRODUCT, _calculation(lambda one, other: one * other)),
    "/": (Binding.PRODUCT, _calculation(lambda one, other: one / other)),
    "//": (Binding.PRODUCT, _calculation(lambda one, other: one // other)),
    "%": (Binding.PRODUCT, _calculation(lambda one, other: one % other)),
    "**": (Binding.POWER, _calculation(lambda one, other: one**other)),
}


class Negative(Node):
    """A number with the other sign."""

    binding = Binding.SIGN

    def __init__(self, of: Node) -> None:
        self.parts = (check(of, "'-'", "number"),)
        self.kind = of.kind

    def _write(self) -> str:
        return f"-{self.parts[0].inside(Binding.SIGN)}"

    def _need(self) -> tuple[Node, ...]:
        return needed(*self.parts)

    def _compute(self, scope: Scope) -> Any:
        return semantics.negative(self.parts[0].value(scope))


class Comparison(_Operator):
    """Two values compared, for equality or by order."""

    binding = Binding.COMPARISON
    kind = "truth value"

    def __init__(self, sign: str, left: Node, right: Node) -> None:
        super().__init__(sign, left, right)
        known = left.kind is not None and right.kind is not None
        if known and left.kind != right.kind and sign not in ("==", "!="):
            raise _mismatch(f"{sign!r} cannot compare", left, right)

    def _write(self) -> str:
        return self._written(Binding.SUM, Binding.SUM)

    def _need(self) -> tuple[Node, ...]:
        return super()._need() if self.sign in ("==", "!=") else needed(*self.parts)

    def _compute(self, scope: Scope) -> bool:
        one, other = (part.value(scope) for part in self.parts)
        if self.sign in ("==", "!="):
            return semantics.equal(one, other) is (self.sign == "==")
        return semantics.order(_ORDERS[self.sign], one, other)


_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Contains(Node):
    """Whether a list, text or mapping has something in it."""

    binding = Binding.COMPARISON

    kind = "truth value"

    def __init__(self, container: Node, member: Node) -> None:
        self.parts = (check(container, "'in'", "list", "text", "mapping"), member)
        if container.kind == "text":
            check(member, "'in'", "text")

    def _write(self) -> str:
        container, member = self.parts
        return f"{member.inside(Binding.SUM)} in {container.inside(Binding.SUM)}"

    def _need(self) -> tuple[Node, ...]:
        return unrepeated((*needed(self.parts[0]), *self.parts[1].needs))

    def _compute(self, scope: Scope) -> bool:
        container, member = (part.value(scope) for part in self.parts)
        return semantics.contains(container, member)


class Pattern(Node):
    """Whether a regular expression fits a text, at its beginning or anywhere in it."""

    binding = Binding.COMPARISON
    kind = "truth value"

    def __init__(self, of: Node, pattern: str, *, anywhere: bool) -> None:
        self.parts = (check(of, "a pattern", "text"),)
        self._text = literal(pattern)
        self._sign = "=~~" if anywhere else "=~"
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValidationError(
                f"{pattern!r} is no regular expression: {error}", code="bad-rule"
            ) from None
        self._find = compiled.search if anywhere else compiled.match

    def _write(self) -> str:
        return f"{self.parts[0].inside(Binding.SUM)} {self._sign} {self._text}"

    def _compute(self, scope: Scope) -> bool:
        subject = self.parts[0].value(scope)
        # Nothing fits null; what is neither that nor a text fails.
        return subject is not None and self._find(subject) is not None
