"""What the rule language makes of values: its types, comparisons, arithmetic and built-ins.

Numbers are exact decimals, lists are tuples, and what does not fit together is a failure. The
functions here answer as the platform's engine does, odd answers included: the same rule has to
give the same verdict in both places.
"""

from __future__ import annotations

import decimal
import math
import operator
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, cast

__all__ = [
    "ARITHMETIC",
    "BUILT_INS",
    "RuleFailure",
    "add",
    "built_in",
    "calculate",
    "constant",
    "contains",
    "equal",
    "item",
    "iterate",
    "native",
    "negative",
    "order",
    "part",
]

Operator = Callable[[Any, Any], Any]
Reader = Callable[[Any], Any]
List = tuple[Any, ...]

ARITHMETIC = decimal.Context(prec=28, Emax=4_096, Emin=-4_096)
"""How numbers are computed."""


class RuleFailure(ValueError):  # noqa: N818 # it is no error: the rule does not hold:
    """A rule cannot be evaluated on the values at hand; it does not hold."""


def native(value: Any) -> Any:
    """Turn a JSON value into the language's own.

    Example:
        >>> native([1, 0.1, True])
        (Decimal('1'), Decimal('0.1'), True)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return decimal.Decimal(repr(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(native, cast("list[Any]", value)))
    if isinstance(value, Mapping):
        # Ordered, because the engine compares the order of keys as well.
        members = cast("Mapping[str, Any]", value)
        return OrderedDict((key, native(member)) for key, member in members.items())
    return value


def constant(json: Any) -> Any:
    """Give the value of a literal, which is written in digits, with the sign as an operator.

    Example:
        >>> constant([1e21, -0.5])
        (Decimal('1000000000000000000000'), Decimal('-0.5'))
    """
    if isinstance(json, (list, tuple)):
        return tuple(map(constant, cast("list[Any]", json)))
    if isinstance(json, bool) or not isinstance(json, (int, float)):
        return json
    number = decimal.Decimal(repr(json))
    digits = decimal.Decimal(format(number.copy_abs(), "f"))
    return -digits if number.is_signed() else digits


# Operators


def equal(one: Any, other: Any) -> bool:
    """Compare; values of different types are unequal."""
    return _same_type(one, other) and bool(one == other)


def _same_type(one: object, other: object) -> bool:
    return type(one) is type(other)


def order(compare: Operator, one: Any, other: Any) -> bool:
    """Compare by order.

    Args:
        compare: One of the six comparisons of the `operator` module.
        one: The left value.
        other: The right value.

    Raises:
        RuleFailure: Values of these types have no order.
    """
    if one is None and other is None:
        return compare in (operator.ge, operator.le)
    if _is_list(one) and _is_list(other):
        return _order_lists(compare, one, other)
    if not _same_type(one, other):
        raise RuleFailure("values of different types have no order")
    return bool(compare(one, other))


def _is_list(value: object) -> TypeGuard[List]:
    return isinstance(value, tuple)


def _order_lists(compare: Operator, one: List, other: List) -> bool:
    for left, right in zip(one, other, strict=False):
        if order(operator.ne, left, right):
            return order(compare, left, right)
    if len(one) != len(other):
        return bool(compare(len(one), len(other)))
    return compare in (operator.ge, operator.le)


def contains(container: Any, member: Any) -> bool:
    """Tell whether a text has a part, a list an element, or a mapping a key.

    Raises:
        RuleFailure: The container is none, or a text is asked for what is no text.
    """
    if isinstance(container, str) and not isinstance(member, str):
        raise RuleFailure("only texts are parts of a text")
    return member in container


def add(one: Any, other: Any) -> Any:
    """Add numbers, or join texts."""
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    return calculate(operator.add, one, other)


def calculate(compute: Operator, one: Any, other: Any) -> decimal.Decimal:
    """Compute with two numbers.

    Raises:
        RuleFailure: One of them is none.
    """
    return cast("decimal.Decimal", compute(_number(one), _number(other)))


def negative(value: Any) -> decimal.Decimal:
    """Change the sign of a number."""
    return -_number(value)


def _number(value: Any) -> decimal.Decimal:
    if isinstance(value, decimal.Decimal):
        return value
    raise RuleFailure("a number is needed here")


# Parts


def item(container: Any, key: Any) -> Any:
    """Give the element at an index or the member of a key; null when there is none."""
    if container is None:
        return None
    series = isinstance(container, (str, tuple))
    try:
        return container[_index(key) if series else key]
    except (IndexError, KeyError):
        return None


def part(container: Any, start: int | None, stop: int | None) -> Any:
    """Give a slice of a text or list; of null it is null."""
    if container is None:
        return None
    if not isinstance(container, (str, tuple)):
        raise RuleFailure("only texts and lists have slices")
    return cast("Any", container)[start:stop]


def iterate(container: Any) -> Any:
    """Give what a comprehension goes through: a list, or the keys of a mapping."""
    if isinstance(container, (tuple, set, Mapping)):
        return cast("Any", container)
    raise RuleFailure("only lists and mappings can be gone through")


def _index(key: Any) -> int:
    if isinstance(key, decimal.Decimal) and key.is_finite() and key == math.floor(key):
        return int(key)
    raise RuleFailure("an index is a whole number")


# Built-in attributes


def built_in(value: Any, name: str) -> Any:
    """Read an attribute as a dot does: a built-in of the value's type, else a member, else null."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return native(_OF_MAPPINGS[name](members)) if name in _OF_MAPPINGS else members.get(name)
    for kind, attributes in BUILT_INS.items():
        if isinstance(value, kind):
            read = attributes.get(name)
            return None if read is None else native(read(value))
    return None


def _to_flt(text: str) -> Any:
    text = text.strip()
    if re.match("-?inf", text):
        return decimal.Decimal(text)
    if not _NUMBER.fullmatch(text):
        return decimal.Decimal("nan")
    return int(text, 0) if text.isdigit() or text[1:2] in _RADIX else float(text)


def _to_int(value: Any) -> Any:
    if not math.isfinite(value) or value != math.floor(value):
        raise RuleFailure("a whole number is needed here")
    return value


def _to_str(value: decimal.Decimal) -> str:
    if value.is_nan():
        return "nan"
    return str(value) if value.is_finite() else ("-inf" if value.is_signed() else "inf")


def _rounded(rounding: Callable[[Any], int]) -> Callable[[decimal.Decimal], Any]:
    return lambda value: rounding(value) if value.is_finite() else value


_NUMBER = re.compile(
    r"0(?:b[01]+|o[0-7]+|x[0-9a-fA-F]+)"
    r"|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
)
_RADIX = frozenset("box")
_FUNCTION = object()
"""What a function is when nobody calls it: like nothing else."""
_OF_ALL: dict[str, Reader] = {
    "length": len,
    "is_empty": lambda value: not value,
}
_OF_MAPPINGS: dict[str, Reader] = {
    **_OF_ALL,
    "keys": tuple[Any],
    "values": lambda mapping: tuple(mapping.values()),
}
_OF_SERIES: dict[str, Reader] = {
    **_OF_ALL,
    "to_ary": tuple[Any],
    "to_set": set[Any],
    "starts_with": lambda _: _FUNCTION,
    "ends_with": lambda _: _FUNCTION,
}
BUILT_INS: dict[type, dict[str, Reader]] = {
    str: {
        **_OF_SERIES,
        "as_lower": str.lower,
        "as_upper": str.upper,
        "to_str": str,
        "to_flt": _to_flt,
        "to_int": lambda text: _to_int(_to_flt(text)),
    },
    tuple: _OF_SERIES,
    set: {name: _OF_SERIES[name] for name in ("length", "is_empty", "to_ary", "to_set")},
    decimal.Decimal: {
        "floor": _rounded(math.floor),
        "ceiling": _rounded(math.ceil),
        "is_nan": decimal.Decimal.is_nan,
        "to_str": _to_str,
        "to_flt": lambda value: value,
        "to_int": _to_int,
    },
}
"""Built-in attributes by the type of the value; those of mappings hide members."""
