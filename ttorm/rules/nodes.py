"""The tree of a rule: each node writes its text and knows its value.

What operators and built-ins make of values, `ttorm.rules.semantics` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum, auto
from typing import Any

from ttorm.api.errors import ValidationError
from ttorm.rules import semantics
from ttorm.rules.text import is_plain_name, literal

__all__ = [
    "Binding",
    "Bound",
    "BuiltIn",
    "Element",
    "List",
    "Literal",
    "Member",
    "Name",
    "Node",
    "Raw",
    "Scope",
    "Slice",
    "check",
    "needed",
    "unrepeated",
]


class Binding(IntEnum):
    """How strongly a text holds together, the loosest first."""

    OR = auto()
    AND = auto()
    NOT = auto()
    CHOICE = auto()
    COMPARISON = auto()
    SUM = auto()
    PRODUCT = auto()
    POWER = auto()
    SIGN = auto()
    VALUE = auto()


Scope = dict[str, Any]
"""What names stand for, as the language's own values."""


class Node:
    """A rule, or a part of one; immutable.

    Attributes:
        binding: How strongly its text holds together.
        kind: What its value is, or null: a number, text, list or truth value; None when that is
            known to the service only.
        nullable: Whether its value may be null.
        parts: The nodes below it.
    """

    binding: int = Binding.VALUE
    kind: str | None = None
    nullable = False
    parts: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """The node in the rule language."""
        return self._write()

    def value(self, scope: Scope) -> Any:
        """Compute the node; values that do not fit raise what `matching.holds` takes for no."""
        return self._compute(scope)

    @property
    def needs(self) -> tuple[Node, ...]:
        """The nodes below it that must not be null, or it fails."""
        return self._need()

    def _write(self) -> str:
        raise NotImplementedError

    def _compute(self, scope: Scope) -> Any:
        raise NotImplementedError

    def _need(self) -> tuple[Node, ...]:
        return unrepeated(need for part in self.parts for need in part.needs)

    def inside(self, binding: int) -> str:
        """Write the node as a part of what holds together as strongly as `binding`."""
        return self.text if self.binding >= binding else f"({self.text})"

    def walk(self) -> Iterator[Node]:
        """Go through the node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


def unrepeated(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Leave out nodes that say the same as one before."""
    return tuple({node.text: node for node in nodes}.values())


def needed(*nodes: Node) -> tuple[Node, ...]:
    """Return the needs of a node that fails when one of the given ones is null."""
    needs = (need for node in nodes for need in (*node.needs, *([node] if node.nullable else [])))
    return unrepeated(needs)


def check(node: Node, doing: str, *kinds: str) -> Node:
    """Refuse a value that never fits, as the service would refuse the whole rule.

    Raises:
        TypeError: The node is of none of the kinds.
    """
    if node.kind is not None and node.kind not in kinds:
        raise TypeError(
            f"{doing} expected a {' or '.join(kinds)}, found the {node.kind} {node.text}"
        )
    return node


# Values


class Literal(Node):
    """A JSON value that is no mapping."""

    binding = Binding.SIGN

    def __init__(self, json: Any) -> None:
        self._text = literal(json)
        self._json = json
        self.nullable = json is None
        self.kind = _kind_of(json)

    def _write(self) -> str:
        return self._text

    def _compute(self, scope: Scope) -> Any:  # noqa: ARG002 # one shape for nodes
        return semantics.constant(self._json)


def _kind_of(json: Any) -> str:
    if json is None:
        return "null"
    if isinstance(json, bool):
        return "truth value"
    return (
        "text" if isinstance(json, str) else "number" if isinstance(json, (int, float)) else "list"
    )


class List(Node):
    """Several values."""

    kind = "list"

    def __init__(self, *parts: Node) -> None:
        self.parts = parts

    def _write(self) -> str:
        return f"[{', '.join(part.text for part in self.parts)}]"

    def _compute(self, scope: Scope) -> Any:
        return tuple(part.value(scope) for part in self.parts)


class Name(Node):
    """A variable."""

    nullable = True

    def __init__(self, name: str) -> None:
        self.name = name

    def _write(self) -> str:
        return self.name

    def _compute(self, scope: Scope) -> Any:
        return scope.get(self.name)


class Bound(Node):
    """What a comprehension goes through its list with; named by the comprehension.

    Inside of one it is never taken for another's, for the language would take the outer one.
    """

    nullable = True

    def __init__(self) -> None:
        # Until the comprehension is complete; unlike the name of any other.
        self.name = f"?{id(self)}"

    def _write(self) -> str:
        return self.name

    def _compute(self, scope: Scope) -> Any:
        return scope[self.name]


class Member(Node):
    """A member of a mapping, null when there is none."""

    nullable = True

    def __init__(self, of: Node, name: str) -> None:
        self.parts = (check(of, f"{of.text}.{name}", "mapping"),)
        self._name = name
        self._dotted = is_plain_name(name)

    def _write(self) -> str:
        of = self.parts[0].inside(Binding.VALUE)
        return f"{of}.{self._name}" if self._dotted else f"{of}&[{literal(self._name)}]"

    def _compute(self, scope: Scope) -> Any:
        of = self.parts[0].value(scope)
        return (
            semantics.built_in(of, self._name) if self._dotted else semantics.item(of, self._name)
        )


class BuiltIn(Node):
    """A built-in attribute of a value, null when values of its type have none of that name."""

    nullable = True

    def __init__(self, of: Node, name: str) -> None:
        self.parts = (check(of, f"{name} of", *_KINDS_WITH[name]),)
        self._name = name
        self.kind = None if of.kind is None else _KINDS_OF[name]

    def _write(self) -> str:
        return f"{self.parts[0].inside(Binding.VALUE)}.{self._name}"

    def _compute(self, scope: Scope) -> Any:
        return semantics.built_in(self.parts[0].value(scope), self._name)


_SERIES = ("text", "list", "mapping")
_KINDS_WITH: dict[str, tuple[str, ...]] = {
    "length": _SERIES,
    "is_empty": _SERIES,
    "keys": ("mapping",),
    "values": ("mapping",),
    "as_lower": ("text",),
    "as_upper": ("text",),
    "floor": ("number",),
    "ceiling": ("number",),
    "to_str": ("number", "text"),
    "to_flt": ("number", "text"),
}
"""Built-in attributes, and what has them."""
_KINDS_OF = {
    **dict.fromkeys(("length", "floor", "ceiling", "to_flt"), "number"),
    **dict.fromkeys(("as_lower", "as_upper", "to_str"), "text"),
    **dict.fromkeys(("keys", "values"), "list"),
    "is_empty": "truth value",
}


class Element(Node):
    """An element at an index, or a member whose name is computed; null when there is none."""

    nullable = True

    def __init__(self, of: Node, key: Node) -> None:
        self.parts = (check(of, f"{of.text}[...]", "list", "text"), key)

    def _write(self) -> str:
        of, key = self.parts
        return f"{of.inside(Binding.VALUE)}&[{key.text}]"

    def _need(self) -> tuple[Node, ...]:
        return unrepeated((*self.parts[0].needs, *needed(self.parts[1])))

    def _compute(self, scope: Scope) -> Any:
        of = self.parts[0].value(scope)
        return None if of is None else semantics.item(of, self.parts[1].value(scope))


class Slice(Node):
    """A part of a text or list."""

    nullable = True

    def __init__(self, of: Node, start: int | None, stop: int | None) -> None:
        self.parts = (check(of, f"{of.text}[...]", "list", "text"),)
        self._start, self._stop = start, stop

    def _write(self) -> str:
        start, stop = ("" if end is None else str(end) for end in (self._start, self._stop))
        return f"{self.parts[0].inside(Binding.VALUE)}&[{start}:{stop}]"

    def _compute(self, scope: Scope) -> Any:
        return semantics.part(self.parts[0].value(scope), self._start, self._stop)


class Raw(Node):
    """Rule text that somebody wrote."""

    binding = Binding.OR

    def __init__(self, text: str) -> None:
        self._text = text

    def _write(self) -> str:
        return self._text

    @property
    def refusal(self) -> ValidationError:
        """The error of evaluating it."""
        return ValidationError(
            f"the rule text {self._text!r} cannot be evaluated here, only by the service: write it "
            "as an expression, such as TWIN.kind == 'pump'",
            code="bad-rule",
        )

    def _compute(self, scope: Scope) -> Any:  # noqa: ARG002 # one shape for nodes
        raise self.refusal
