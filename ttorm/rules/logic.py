"""Rules made of rules: all, any, not, choices and comprehensions; and guards against null."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ttorm.rules import semantics
from ttorm.rules.nodes import Binding, Bound, Literal, Node, Scope, check, needed, unrepeated
from ttorm.rules.operators import Comparison

__all__ = ["AllOf", "AnyOf", "Choice", "Comprehension", "Not", "guarded"]


def guarded(node: Node) -> Node:
    """Return a rule that does not fail on missing values: it does not hold then.

    A failure would decide about whatever the rule is combined with.
    """
    if isinstance(node, AllOf):
        return AllOf(*(guarded(part) for part in node.parts))
    guards = [Comparison("!=", need, Literal(None)) for need in node.needs]
    return AllOf(*guards, node) if guards else node


def _flat(kind: type[Node], parts: Iterable[Node]) -> Iterator[Node]:
    """Give the nodes that need no parentheses within their own kind."""
    for part in parts:
        yield from part.parts if isinstance(part, kind) else (part,)


class AllOf(Node):
    """Rules that hold together."""

    binding = Binding.AND
    kind = "truth value"

    def __init__(self, *parts: Node) -> None:
        self.parts = unrepeated(_flat(AllOf, parts))

    def _write(self) -> str:
        return " and ".join(part.inside(Binding.NOT) for part in self.parts)

    def _compute(self, scope: Scope) -> bool:
        return all(part.value(scope) for part in self.parts)


class AnyOf(Node):
    """Rules of which one is enough."""

    binding = Binding.OR
    kind = "truth value"

    def __init__(self, *parts: Node) -> None:
        self.parts = unrepeated(guarded(part) for part in _flat(AnyOf, parts))

    def _write(self) -> str:
        return " or ".join(part.inside(Binding.OR) for part in self.parts)

    def _need(self) -> tuple[Node, ...]:
        return ()

    def _compute(self, scope: Scope) -> bool:
        return any(part.value(scope) for part in self.parts)


class Not(Node):
    """The contrary of a rule."""

    binding = Binding.NOT
    kind = "truth value"

    def __init__(self, of: Node) -> None:
        self.parts = (guarded(of),)

    def _write(self) -> str:
        return f"not {self.parts[0].inside(Binding.NOT)}"

    def _need(self) -> tuple[Node, ...]:
        return ()

    def _compute(self, scope: Scope) -> bool:
        return not self.parts[0].value(scope)


class Choice(Node):
    """One of two values, as a rule holds or does not."""

    binding = Binding.CHOICE

    def __init__(self, rule: Node, then: Node, otherwise: Node) -> None:
        self.parts = (guarded(rule), then, otherwise)
        self.nullable = then.nullable or otherwise.nullable
        self.kind = then.kind if then.kind == otherwise.kind else None

    def _write(self) -> str:
        rule, then, otherwise = (part.inside(Binding.COMPARISON) for part in self.parts)
        return f"{rule} ? {then} : {otherwise}"

    def _need(self) -> tuple[Node, ...]:
        # Only the chosen value is computed.
        return ()

    def _compute(self, scope: Scope) -> Any:
        rule, then, otherwise = self.parts
        return (then if rule.value(scope) else otherwise).value(scope)


class Comprehension(Node):
    """The elements of a list that fulfil a rule."""

    kind = "list"

    def __init__(self, variable: Bound, container: Node, rule: Node) -> None:
        self.parts = (check(container, "a list's rule", "list", "mapping"), guarded(rule))
        self._variable = variable
        inner = sum(isinstance(node, Comprehension) for node in self.walk())
        variable.name = "x" if inner == 1 else f"x{inner}"

    def _write(self) -> str:
        container, rule = self.parts
        name = self._variable.name
        return f"[{name} for {name} in {container.inside(Binding.SUM)} if {rule.text}]"

    def _need(self) -> tuple[Node, ...]:
        return needed(self.parts[0])

    def _compute(self, scope: Scope) -> tuple[Any, ...]:
        container, rule = self.parts
        inner = dict(scope)
        found: list[Any] = []
        for element in semantics.iterate(container.value(scope)):
            inner[self._variable.name] = element
            if rule.value(inner):
                found.append(element)
        return tuple(found)
