"""The rule engine, kept from doing what a stranger's rule could make it do.

Rules come from users of other accounts. Everything here is a limit: on the text before the engine
sees it (it computes constant parts while parsing), on the tree it makes, and on the work of each
evaluation, which is counted in steps. This module is imported at the first rule, because the
engine takes long to import.
"""

from __future__ import annotations

import decimal
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, ValuesView
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, TypeVar, cast

from ttorm.emulator.patterns import check_pattern
from ttorm.emulator.rules import MAX_STEPS, Effort, RuleError

# The engine has no type annotations: imported like this, it is Any.
rule_engine = import_module("rule_engine")
ast = import_module("rule_engine.ast")

__all__ = ["MAX_DEPTH", "MAX_TEXT", "GuardedRule", "compile_guarded"]

_T = TypeVar("_T")

MAX_TEXT = 4_096
"""Longest rule, in characters."""
MAX_DEPTH = 100
"""How deep the parts of a rule may lie in each other."""
MAX_WORDS = 512
"""Most names, numbers, texts and signs in a rule."""

_ROUND = 4
"""Steps that a round of a comprehension takes by itself."""
_WAYS = 7
"""A step pays for 2 to the power of this many ways through a pattern."""
_ARITHMETIC = decimal.Context(prec=28, Emax=4_096, Emin=-4_096)
_BUILT_INS = frozenset({"now", "today", "pi", "e", "abs", "any", "all", "sum", "min", "max"})
_OF_ARRAYS = frozenset({"length", "is_empty", "to_ary", "to_set", "starts_with", "ends_with"})
_ATTRIBUTES: dict[type, frozenset[str]] = {
    str: _OF_ARRAYS | {"as_lower", "as_upper", "to_str", "to_int", "to_flt"},
    tuple: _OF_ARRAYS,
    set: _OF_ARRAYS - {"starts_with", "ends_with"},
    decimal.Decimal: frozenset({"floor", "ceiling", "is_nan", "to_str", "to_flt", "to_int"}),
    datetime: frozenset(
        "year month day hour minute second millisecond microsecond "  # noqa: SIM905 - readable
        "weekday date zone_name to_epoch".split()
    ),
    timedelta: frozenset({"days", "seconds", "microseconds", "total_seconds"}),
}
"""The attributes that rules may read, by the type of the value."""

_TOKEN = re.compile(
    r"""
      (?P<string>[bdts]?(?P<quote>["'])(?:[^\\\n]|\\.)*?(?P=quote))
    | (?P<comment>\#.*)
    | (?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>\.?[0-9][0-9A-Za-z_.]*(?:(?<=[eE])[+-][0-9]+)?)
    | (?P<match>=~~?|!~~?)
    | (?P<shift><<|>>)
    | (?P<suffix>&?[.\[]|\()
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(
    r"0[box][0-9A-Fa-f]{1,40}"
    r"|(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?"
)
# Octal escapes above 377 are no valid ones, as little as a backslash before most letters.
_ESCAPE = re.compile(r"\\([4-7][0-7][0-7]|.)")
_ESCAPES = frozenset("\\'\"abfnrtvxuUN01234567")
_PARTS = (
    "expression", "left", "right", "object", "container", "member", "item", "start", "stop",
    "condition", "case_true", "case_false", "function", "result", "iterable",
)  # fmt: skip


class GuardedRule:
    """A rule that was let in, and what it reads.

    Attributes:
        names: Names that it mentions as variables.
    """

    def __init__(self, rule: Any) -> None:
        self.names: frozenset[str] = frozenset(rule.context.symbols)
        self._rule = rule

    def evaluate(self, variables: Mapping[str, Any], effort: Effort) -> Any:
        """Return the value of the rule; variables are JSON values by name, missing ones null.

        Raises:
            RuleError: Operands do not fit, or a limit is exceeded.
        """
        given = _steps.left = min(MAX_STEPS, effort.left)
        try:
            return _attempt(lambda: self._rule.evaluate(variables))
        finally:
            effort.left -= given - max(0, _steps.left)


def compile_guarded(text: str) -> GuardedRule:
    """Let the engine compile a rule.

    Raises:
        RuleError: The text is no rule, or is one that is not let in.
    """
    return _attempt(lambda: _compile(text))


def _compile(text: str) -> GuardedRule:
    text = _admitted(text)
    context = _Context(
        resolver=_variable,
        default_value=None,
        default_timezone="utc",
        decimal_context=_ARITHMETIC,
    )
    # Parsing computes constant parts: within the same limits as evaluation.
    _steps.left = MAX_STEPS
    with decimal.localcontext(_ARITHMETIC):
        rule = rule_engine.Rule(text, context)
    context.weight = _limit_tree(rule.statement.expression)
    return GuardedRule(rule)


def _attempt(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except RuleError:
        raise
    except RecursionError:
        raise RuleError("the parts of the rule lie too deep in each other") from None
    except Exception as error:  # noqa: BLE001 - the engine lets Python's own errors through
        raise RuleError(_told(error)) from None


def _told(error: Exception) -> str:
    """Say what is wrong; the engine says more, and counts lines through all rules it has read."""
    token = getattr(error, "token", None)
    if token is not None:
        return f"syntax error at {str(token.value)[:50]!r}"
    return str(getattr(error, "message", error)).rstrip(".") or type(error).__name__


def _admitted(text: str) -> str:
    """Look at the words of a rule before the engine does, and return what it may read."""
    if len(text) > MAX_TEXT:
        raise RuleError(f"a rule has at most {MAX_TEXT} characters")
    tokens = [_mended(token) for token in _TOKEN.finditer(text)]
    words = [(kind, word) for kind, word in tokens if kind not in ("space", "comment")]
    if len(words) > MAX_WORDS:
        raise RuleError(f"a rule has at most {MAX_WORDS} words and signs")
    constant = sum(len(word) for kind, word in words if kind == "string")
    for position, (kind, word) in enumerate(words):
        if kind == "shift":
            raise RuleError(f"{word!r} is not supported in rules")
        if kind == "name" and word[0] == "$" and word[1:] not in _BUILT_INS:
            raise RuleError(f"{word!r} is not supported in rules")
        if kind == "number" and not _NUMBER.fullmatch(word):
            raise RuleError(f"{word[:50]!r} is no number that rules can hold")
        if kind == "match":
            _check_match(words[position + 1 : position + 3], constant, search=word.endswith("~~"))
    return "".join(word for _, word in tokens)


def _mended(token: re.Match[str]) -> tuple[str, str]:
    kind, word = str(token.lastgroup), token[0]
    if kind != "string":
        return kind, word
    if word[0] == "b":
        raise RuleError("bytes are not supported in rules")
    # What Python calls an invalid escape stands for itself, which it warns about: say so plainly.
    return kind, _ESCAPE.sub(
        lambda escape: escape[0] if escape[1] in _ESCAPES else "\\" + escape[0], word
    )


def _check_match(operand: list[tuple[str, str]], constant: int, *, search: bool) -> None:
    """Refuse a pattern that would be slow on a constant text, which is matched while parsing."""
    kind, word = operand[0] if operand else ("", "")
    if kind == "name":
        return
    if kind != "string" or any(kind == "suffix" for kind, _ in operand[1:]):
        raise RuleError("write the pattern after a match operator as one text")
    pattern = rule_engine.Rule(word, rule_engine.Context()).evaluate({})
    check_pattern(str(pattern), constant, search=search)


def _limit_tree(root: Any) -> int:
    """Bound matches and the depth of a tree, and return how many parts it has."""
    count, level = 0, [root]
    for _ in range(MAX_DEPTH):
        for node in level:
            if isinstance(node, ast.FuzzyComparisonExpression):
                node.evaluate = _BoundedMatch(node)
        count += len(level)
        level = [part for node in level for part in _parts(node)]
        if not level:
            return count
    raise RuleError("the parts of the rule lie too deep in each other")


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        yield from node
        return
    for name in _PARTS:
        part = getattr(node, name, None)
        if isinstance(part, ast.ExpressionBase):
            yield part
    for several in (getattr(node, "arguments", ()), getattr(node, "value", ())):
        if isinstance(several, (tuple, list, set)):
            yield from several


class _BoundedMatch:
    """Evaluates a match only if the pattern cannot be slow on the text at hand."""

    def __init__(self, node: Any) -> None:
        self._evaluate = node.evaluate
        self._text, self._pattern = node.left, node.right
        self._search = node.type.endswith("fzs")

    def __call__(self, thing: Any) -> Any:
        text, pattern = self._text.evaluate(thing), self._pattern.evaluate(thing)
        if isinstance(pattern, str):
            # The engine compiles a pattern even when there is no text to match.
            length = len(text) if isinstance(text, str) else 0
            _take(check_pattern(pattern, length, search=self._search) >> _WAYS)
        return self._evaluate(thing)


class _Steps(threading.local):
    """The work that the evaluation on this thread may still do."""

    left = 0


_steps = _Steps()


def _take(steps: int) -> None:
    _steps.left -= steps
    if _steps.left < 0:
        raise RuleError(f"the rule takes more than {MAX_STEPS} steps")


def _weighed(value: Any) -> Any:
    """Take the steps that a value costs.

    The engine copies a value whenever a part of it is read, and what is nested deeply it looks
    through again at each level.
    """
    weight, depth = 0, 0
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                weight += len(item) >> 8
            elif isinstance(item, dict):
                members = cast("dict[str, Any]", item).values()
                weight += 2 * len(members)
                below += members
            elif isinstance(item, (list, tuple, set)):
                below += item
        weight += len(level) * (1 + depth * (depth + 1) // 2)
        if weight > MAX_STEPS:
            break
        level, depth = below, depth + 1
    _take(weight)
    return value


class _Members(Mapping[str, Any]):
    """A description, dictionary or Ledger, of which the engine takes only what a rule names."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __getitem__(self, name: Any) -> Any:
        return _weighed(self.data[name])

    def __iter__(self) -> Iterator[str]:
        _take(len(self.data))
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def values(self) -> ValuesView[Any]:
        """Nothing: the engine asks for all values only to find out whether they have one type."""
        return dict[str, Any]().values()


def _variable(variables: Mapping[str, Any], name: str) -> Any:
    value: Any = variables.get(name)
    return _Members(value) if name in _MAPPINGS and value is not None else value


_SPLITTING = frozenset({"to_ary", "to_set"})
_MAPPINGS = frozenset({"USER", "TWIN", "LEDGER", "DICT"})


class _Context(rule_engine.Context):  # type: ignore[misc, name-defined]
    """Finds variables and attributes, missing ones being null, and takes the steps.

    Attributes:
        weight: Number of parts of the rule: what one round of a comprehension costs at most.
    """

    weight = 1

    def resolve(self, thing: Any, name: str, scope: str | None = None) -> Any:
        """Find a variable, a comprehension's variable or a built-in."""
        if scope is not None and name in ("now", "today"):
            now = datetime.fromtimestamp(thing["now"], UTC)
            return now if name == "now" else now.replace(hour=0, minute=0, second=0, microsecond=0)
        engine: Any = super()
        return _weighed(engine.resolve(thing, name, scope))

    def resolve_attribute(self, thing: Any, object_: object, name: str) -> Any:
        """Find an attribute of a value, or a member of a mapping."""
        if isinstance(object_, (_Members, dict)):
            return _weighed(_member(cast("dict[str, Any]", object_), name))
        if name not in _ATTRIBUTES.get(type(object_), ()):
            return None
        # The engine looks at each member of an array to tell what it is an array of.
        _weighed(list(object_) if name in _SPLITTING and isinstance(object_, str) else object_)
        engine: Any = super()
        return _weighed(engine.resolve_attribute(thing, object_, name))

    @contextmanager
    def assignments(self, *assignments: Any) -> Generator[None]:
        """Give a comprehension's variable its next value."""
        _take(self.weight + _ROUND)
        engine: Any = super()
        with engine.assignments(*assignments):
            yield


def _member(mapping: _Members | dict[str, Any], name: str) -> Any:
    data = mapping.data if isinstance(mapping, _Members) else mapping
    match name:
        case "keys":
            return tuple(data)
        case "values":
            return tuple(data.values())
        case "length":
            return len(data)
        case "is_empty":
            return not data
        case _:
            return data.get(name)
