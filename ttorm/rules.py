"""Rule expressions: the platform's rule language, written in Python and rendered with care.

```python
from ttorm.rules import TWIN, USER, LEDGER

(TWIN.company == USER.company) & (LEDGER.serial > 3)
```

Class attributes of models are such expressions as well: ``Scooter.battery < 20``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NoReturn, TypeVar, cast

from ttorm.api.codec import check_json
from ttorm.api.errors import ValidationError

__all__ = [
    "DICT",
    "LEDGER",
    "TWIN",
    "USER",
    "Attribute",
    "Expression",
    "Variables",
    "literal",
    "raw",
    "rule_text",
]

T = TypeVar("T")

_RESERVED = frozenset(
    [
        "true",
        "false",
        "inf",
        "nan",
        "null",
        "and",
        "in",
        "or",
        "not",
        "for",
        "if",
        "elif",
        "else",
        "while",
    ]
)
# Read with a dot, these are the language's built-in attributes of every mapping.
_SHADOWED = frozenset(("keys", "values", "length", "is_empty"))
_OR, _AND, _NOT, _COMPARISON = 1, 2, 3, 4


class Expression:
    """A rule, or a part of one; immutable.

    Combine expressions by ``&``, ``|`` and ``~``; ``str`` gives the rule's text.
    """

    __slots__ = ("_binding", "_guarded", "_text")

    def __init__(self, text: str, binding: int = _OR, guarded: str | None = None) -> None:
        self._text = text
        self._binding = binding
        # The same rule, never failing on a missing value: needed where a failure of one half
        # would decide for the other half as well.
        self._guarded = guarded

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<rule {self._text}>"

    def __and__(self, other: Expression) -> Expression:
        return Expression(
            f"{self._inside(_AND)} and {_rule(other)._inside(_AND)}",
            _AND,
            f"{self._safe(_AND)} and {_rule(other)._safe(_AND)}",
        )

    def __or__(self, other: Expression) -> Expression:
        text = f"{self._safe(_OR)} or {_rule(other)._safe(_OR)}"
        return Expression(text, _OR, text)

    def __invert__(self) -> Expression:
        text = f"not {self._safe(_NOT)}"
        return Expression(text, _NOT, text)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the rule {self._text!r} has no truth value in Python: combine rules with &, | and ~ "
            "in parentheses instead of 'and', 'or' and 'not', and a < x < b as x.between(a, b)"
        )

    __hash__ = object.__hash__

    def _inside(self, binding: int) -> str:
        return self._text if self._binding >= binding else f"({self._text})"

    def _safe(self, binding: int) -> str:
        if self._guarded is None:
            return self._inside(binding)
        # A guard is an "and", whatever the bare text is.
        return self._guarded if binding <= _AND <= self._binding else f"({self._guarded})"


class Attribute(Expression, Generic[T]):
    """A value that a rule can name: a variable, a member of one, or a field of a model.

    Comparisons with Python values give expressions.
    """

    __slots__ = ("_dump", "_ordered", "_path")

    def __init__(
        self, path: str, dump: Callable[[Any], Any] | None = None, *, ordered: bool = True
    ) -> None:
        super().__init__(path, _COMPARISON)
        self._path = path
        self._dump = dump
        self._ordered = ordered

    def __getattr__(self, name: str) -> Attribute[Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return Attribute(_member(self._path, name))

    def __getitem__(self, key: str | int) -> Attribute[Any]:
        if isinstance(key, int):
            return Attribute(f"{self._path}&[{key}]")
        return Attribute(_member(self._path, key))

    def _operand(self, value: object) -> str:
        if isinstance(value, Expression):
            return value._inside(_COMPARISON)
        return literal(value if self._dump is None else self._dump(value))

    def _compare(self, operator: str, value: object) -> Expression:
        if not self._ordered and operator not in ("==", "!="):
            raise TypeError(
                f"{self._path} does not order in JSON as its Python values do: "
                "only == and != can be asked of the service"
            )
        text = f"{self._path} {operator} {self._operand(value)}"
        if operator in ("==", "!="):
            return Expression(text, _COMPARISON)
        guards = [f"{self._path} != null"]
        if isinstance(value, Attribute):
            guards.append(f"{value._path} != null")
        return Expression(text, _COMPARISON, " and ".join([*guards, text]))

    def __eq__(self, value: object) -> Expression:  # type: ignore[override] # an expression
        return self._compare("==", value)

    def __ne__(self, value: object) -> Expression:  # type: ignore[override] # an expression
        return self._compare("!=", value)

    def __lt__(self, value: T | Attribute[Any]) -> Expression:
        return self._compare("<", value)

    def __le__(self, value: T | Attribute[Any]) -> Expression:
        return self._compare("<=", value)

    def __gt__(self, value: T | Attribute[Any]) -> Expression:
        return self._compare(">", value)

    def __ge__(self, value: T | Attribute[Any]) -> Expression:
        return self._compare(">=", value)

    __hash__ = object.__hash__

    def between(self, low: T, high: T) -> Expression:
        """Hold for values from low to high, both included."""
        return (self >= low) & (self <= high)

    def in_(self, values: Iterable[T] | Attribute[Any]) -> Expression:
        """Hold for values that a list, or an Entry holding a list, contains."""
        if isinstance(values, Attribute):
            text = f"{self._path} in {values._path}"
            return Expression(text, _COMPARISON, f"{values._path} != null and {text}")
        items = ", ".join(self._operand(value) for value in values)
        return Expression(f"{self._path} in [{items}]", _COMPARISON)

    def is_null(self) -> Expression:
        """Hold for values that are null or missing."""
        return Expression(f"{self._path} == null", _COMPARISON)


class Variables:
    """One of the mappings that rules read: its members are attributes.

    Example:
        >>> str((LEDGER.serial > 3) | (TWIN["kind"] == "cat"))
        'LEDGER.serial != null and LEDGER.serial > 3 or TWIN.kind == "cat"'
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Attribute[Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str) -> Attribute[Any]:
        return Attribute(_member(self._name, key))

    def __repr__(self) -> str:
        return f"<rule variables {self._name}>"


TWIN = Variables("TWIN")
"""The Twin's description."""
USER = Variables("USER")
"""The calling user's description."""
LEDGER = Variables("LEDGER")
"""The values of a Ledger's Entries."""
DICT = Variables("DICT")
"""The request dictionary."""


def raw(text: str) -> Expression:
    """Take a rule's text as it is, to be combined with other expressions.

    Example:
        >>> raw("TWIN.year % 4 == 0") & (TWIN.kind == "calendar")
        <rule (TWIN.year % 4 == 0) and TWIN.kind == "calendar">
    """
    return Expression(text)


def rule_text(rule: str | Expression) -> str:
    """Give the text of a rule that may be text already."""
    return str(_rule(rule))


def _rule(rule: str | Expression) -> Expression:
    if isinstance(rule, Expression):
        return rule
    if isinstance(rule, str) and rule.strip():
        return Expression(rule)
    raise ValidationError(
        f"{rule!r} is no rule: expected an expression such as Scooter.battery < 20, or text",
        code="bad-rule",
    )


def _member(path: str, name: str) -> str:
    if name.isidentifier() and name.isascii() and name not in _RESERVED | _SHADOWED:
        return f"{path}.{name}"
    return f"{path}&[{literal(name)}]"


def literal(value: Any) -> str:
    """Write a JSON value in the rule language.

    Raises:
        ValidationError: The value is not JSON, or is a mapping.

    Example:
        >>> print(literal(["it's", 2.5, True, None]))
        ["it's", 2.5, true, null]
    """
    check_json(value, "the value compared with")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        from decimal import Decimal

        return format(Decimal(repr(value)), "f")
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, cast(list[Any], value)))}]"
    raise ValidationError(
        "a mapping cannot be compared in a rule: compare its members one by one", code="bad-rule"
    )


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"
