"""Attributes: values that rules name or compute, and what Python's operators make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NoReturn, TypeVar

from ttorm.api.errors import ValidationError
from ttorm.rules import logic, nodes, operators
from ttorm.rules.expressions import Expression, operand, rule_of

__all__ = ["Attribute", "Variables"]

T = TypeVar("T")
_PLAIN = (str, int, float, type(None), Expression)
"""What is in rules as it is, whatever the attribute's type."""


class Attribute(Expression, Generic[T]):
    """A value that a rule can name or compute: a variable, a member of one, a field of a model.

    Comparisons with Python values give rules; arithmetic gives attributes again. Any other name,
    and any key in brackets, is a member: ``TWIN.site.hall``, ``TWIN["site"]["hall 4"]``.
    """

    __slots__ = ("_dump", "_ordered", "_whole")

    def __init__(
        self,
        node: nodes.Node,
        dump: Callable[[Any], Any] | None = None,
        *,
        ordered: bool = True,
        whole: bool = True,
    ) -> None:
        super().__init__(node)
        self._dump = dump
        self._ordered = ordered
        self._whole = whole

    def _part(
        self, node: nodes.Node, around: Callable[[Any], Any], at: str | int = 0
    ) -> Attribute[Any]:
        """Return a part, whose values are stored as they are inside a value of this attribute."""
        whole = self._dump
        if whole is None:
            return Attribute(node)

        def dump(value: Any) -> Any:
            try:
                return whole(around(value))[at]
            except ValidationError:
                return value  # the type says nothing of a part alone

        return Attribute(node, dump, ordered=False, whole=False)

    # Members

    def __getattr__(self, name: str) -> Attribute[Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int | slice[Any, Any, Any] | Attribute[Any]) -> Attribute[Any]:
        if isinstance(key, str):
            return self._part(nodes.Member(self._node, key), lambda value: {key: value}, key)
        if isinstance(key, slice):
            if key.step is not None:
                raise TypeError(f"{self} has slices without step only, as in {self}[:3]")
            return Attribute(nodes.Slice(self._node, key.start, key.stop))
        return self._part(nodes.Element(self._node, operand(key)), _listed)

    def __contains__(self, member: object) -> NoReturn:
        raise TypeError(f"write {self}.contains({member!r}) instead of 'in'")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self} is known to the service only: write {self}.any(...) or .all(...)")

    # Comparisons

    def _literal(self, value: object) -> nodes.Node:
        is_plain = value is None or isinstance(value, Expression if self._whole else _PLAIN)
        if is_plain or self._dump is None:
            return operand(value)
        return nodes.Literal(self._dump(value))

    def _check_ordered(self, *values: object) -> None:
        if self._ordered or not (self._whole or any(not isinstance(v, _PLAIN) for v in values)):
            return
        raise TypeError(
            f"{self} is not ordered in JSON as its Python values are: only == and != can be asked "
            "of the service. Declare a type that is (float, int, str, datetime, ...), or a "
            "codec=ValueCodec(..., ordered=True) that keeps the order"
        )

    def _compare(self, sign: str, value: object) -> Expression:
        if sign not in ("==", "!="):
            self._check_ordered(value)
        return Expression(operators.Comparison(sign, self._node, self._literal(value)))

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
            return Expression(operators.Contains(values._node, self._node))
        if isinstance(values, str):
            raise TypeError(f"{self}.in_({values!r}): expected a list of values")
        members = nodes.List(*(self._literal(value) for value in values))
        return Expression(operators.Contains(members, self._node))

    def contains(self, member: object) -> Expression:
        """Hold for lists with an element, texts with a part, and mappings with a key.

        Example:
            >>> from ttorm.rules import LEDGER
            >>> LEDGER.tags.contains("fast")
            <rule "fast" in LEDGER.tags>
        """
        element = self._part(self._node, _listed)
        return Expression(operators.Contains(self._node, element._literal(member)))

    def is_null(self) -> Expression:
        """Hold for values that are null or missing."""
        return Expression(operators.Comparison("==", self._node, nodes.Literal(None)))

    # Texts

    def startswith(self, prefix: str) -> Expression:
        """Hold for texts that begin with another one.

        Example:
            >>> from ttorm.rules import TWIN
            >>> TWIN.model.startswith("X-")
            <rule TWIN.model&[:2] == "X-">
        """
        start = nodes.Slice(self._node, None, len(prefix))
        return Expression(operators.Comparison("==", start, nodes.Literal(prefix)))

    def endswith(self, suffix: str) -> Expression:
        """Hold for texts that end with another one.

        Example:
            >>> from ttorm.rules import TWIN
            >>> TWIN.model.endswith("-S")
            <rule TWIN.model&[-2:] == "-S">
        """
        if not suffix:
            return self.startswith(suffix)
        end = nodes.Slice(self._node, -len(suffix), None)
        return Expression(operators.Comparison("==", end, nodes.Literal(suffix)))

    def re_match(self, pattern: str) -> Expression:
        """Hold for texts whose beginning fits a regular expression, in Python's syntax.

        Raises:
            ValidationError: That is none.

        Example:
            >>> from ttorm.rules import TWIN
            >>> TWIN.serial.re_match("SN-[0-9]+$")
            <rule TWIN.serial =~ "SN-[0-9]+$">
        """
        return Expression(operators.Pattern(self._node, pattern, anywhere=False))

    def re_search(self, pattern: str) -> Expression:
        """Hold for texts of which some part fits a regular expression, in Python's syntax.

        Raises:
            ValidationError: That is none.

        Example:
            >>> from ttorm.rules import TWIN
            >>> TWIN.serial.re_search("[0-9]{3}")
            <rule TWIN.serial =~~ "[0-9]{3}">
        """
        return Expression(operators.Pattern(self._node, pattern, anywhere=True))

    # Lists

    def any(self, rule: Callable[[Attribute[Any]], Expression]) -> Expression:
        """Hold for lists, and keys of mappings, of which some element fulfils a rule.

        Args:
            rule: Makes the rule about an element.

        Example:
            >>> from ttorm.rules import LEDGER
            >>> LEDGER.readings.any(lambda reading: reading > 30)
            <rule [x for x in LEDGER.readings if x != null and x > 30] != []>
        """
        return self._some(rule, "!=")

    def all(self, rule: Callable[[Attribute[Any]], Expression]) -> Expression:
        """Hold for lists, and keys of mappings, of which all elements fulfil a rule.

        Args:
            rule: Makes the rule about an element.

        Example:
            >>> from ttorm.rules import LEDGER
            >>> LEDGER.readings.all(lambda reading: reading > 30)
            <rule [x for x in LEDGER.readings if not (x != null and x > 30)] == []>
        """
        return self._some(lambda element: ~rule_of(rule(element)), "==")

    def _some(self, rule: Callable[[Attribute[Any]], Expression], sign: str) -> Expression:
        variable = nodes.Bound()
        found = rule_of(rule(self._part(variable, _listed)))
        fitting = logic.Comprehension(variable, self._node, found._node)
        return Expression(operators.Comparison(sign, fitting, nodes.Literal([])))

    # Arithmetic

    def _computed(self, node: nodes.Node) -> Attribute[Any]:
        return Attribute(node)

    def _with(self, sign: str, other: object) -> Attribute[Any]:
        self._check_ordered(other)
        return self._computed(operators.Arithmetic(sign, self._node, self._term(other)))

    def _after(self, sign: str, other: object) -> Attribute[Any]:
        self._check_ordered(other)
        return self._computed(operators.Arithmetic(sign, self._term(other), self._node))

    def _term(self, other: object) -> nodes.Node:
        return operand(other)

    def __add__(self, other: object) -> Attribute[Any]:
        return self._with("+", other)

    def __radd__(self, other: object) -> Attribute[Any]:
        return self._after("+", other)

    def __sub__(self, other: object) -> Attribute[Any]:
        return self._with("-", other)

    def __rsub__(self, other: object) -> Attribute[Any]:
        return self._after("-", other)

    def __mul__(self, other: object) -> Attribute[Any]:
        return self._with("*", other)

    def __rmul__(self, other: object) -> Attribute[Any]:
        return self._after("*", other)

    def __truediv__(self, other: object) -> Attribute[Any]:
        return self._with("/", other)

    def __rtruediv__(self, other: object) -> Attribute[Any]:
        return self._after("/", other)

    def __floordiv__(self, other: object) -> Attribute[Any]:
        return self._with("//", other)

    def __rfloordiv__(self, other: object) -> Attribute[Any]:
        return self._after("//", other)

    def __mod__(self, other: object) -> Attribute[Any]:
        return self._with("%", other)

    def __rmod__(self, other: object) -> Attribute[Any]:
        return self._after("%", other)

    def __pow__(self, other: object) -> Attribute[Any]:
        return self._with("**", other)

    def __rpow__(self, other: object) -> Attribute[Any]:
        return self._after("**", other)

    def __neg__(self) -> Attribute[Any]:
        return self._computed(operators.Negative(self._node))


class Variables:
    """One of the mappings that rules read: its members are attributes.

    Example:
        >>> from ttorm.rules import LEDGER, TWIN
        >>> str((LEDGER.serial > 3) | (TWIN["kind"] == "cat"))
        'LEDGER.serial != null and LEDGER.serial > 3 or TWIN.kind == "cat"'
    """

    __slots__ = ("_node",)

    def __init__(self, name: str) -> None:
        self._node = nodes.Name(name)

    def __getattr__(self, name: str) -> Attribute[Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | Attribute[Any]) -> Attribute[Any]:
        if isinstance(key, str):
            return Attribute(nodes.Member(self._node, key))
        return Attribute(nodes.Element(self._node, operand(key)))

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be gone through in Python: write keys(...)")

    def __contains__(self, key: object) -> NoReturn:
        raise TypeError(f"write keys({self._node.text}).contains({key!r}) instead of 'in'")

    def __repr__(self) -> str:
        return f"<rule variables {self._node.text}>"


def _listed(value: Any) -> list[Any]:
    return [value]
