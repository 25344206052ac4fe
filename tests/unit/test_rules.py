"""Rule expressions: what is rendered, and that the platform's language reads it as it was meant."""

from __future__ import annotations

import operator
from decimal import Decimal

import pytest
import rule_engine
from hypothesis import given
from hypothesis import strategies as st

import ttorm
from ttorm import Field, Twin, ValidationError, description, entry, identity, rules
from ttorm.emulator.rules import compile_rule
from ttorm.rules import DICT, LEDGER, TWIN, USER, Attribute, literal, raw, rule_text

NAMES = {"TWIN": {}, "USER": {}, "LEDGER": {}, "DICT": {}}


def evaluate(rule, **variables):
    """Evaluate a rule as the platform does: what is missing is null."""
    context = rule_engine.Context(default_value=None)
    return rule_engine.Rule(str(rule), context=context).evaluate({**NAMES, **variables})


def holds(rule, **variables):
    """Whether a rule holds; a failing one does not."""
    try:
        return bool(evaluate(rule, **variables))
    except rule_engine.EngineError:
        return False


# Literals


def native(value):
    """What the engine makes of a JSON value: all numbers are decimal, lists are tuples."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return Decimal(repr(value))
    return tuple(native(item) for item in value)


TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["", "it's", '"', "\\", '\\"', "\\u0041", "\n\r\t\0", "a and b", "é", "\u2028", "🦜", "\x7f"]
)
# Beyond 28 digits the engine itself rounds.
NUMBERS = st.integers(-(10**27), 10**27) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT


@given(SCALARS)
def test_a_rendered_scalar_is_read_as_the_value(value):
    found = evaluate(literal(value))
    assert type(found) is type(native(value))
    assert found == native(value)


@given(st.lists(TEXT, max_size=4) | st.lists(NUMBERS, max_size=4) | st.lists(st.booleans()))
def test_a_rendered_list_is_read_as_the_value(value):
    assert evaluate(literal(value)) == native(value)


@given(TEXT)
def test_no_text_breaks_out_of_its_quotes(text):
    rule = TWIN.name == text
    assert evaluate(rule, TWIN={"name": text}) is True
    assert evaluate(rule, TWIN={"name": text + "x"}) is False
    assert literal(text).count("\n") == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (-2.5, "-2.5"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        ("it's", '"it\'s"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb", '"a\\u000ab"'),
        ([1, "a"], '[1, "a"]'),
        ((), "[]"),
    ],
)
def test_literals(value, text):
    assert literal(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"x", object(), "\ud800"])
def test_what_is_not_json_is_no_literal(value):
    with pytest.raises(ValidationError, match="the value compared with"):
        literal(value)


def test_mappings_are_no_literals():
    with pytest.raises(ValidationError, match="compare its members one by one"):
        TWIN.site == {"hall": 4}  # noqa: B015 # it raises


# Names


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        (TWIN.kind, "TWIN.kind"),
        (TWIN["kind"], "TWIN.kind"),
        (TWIN.site.hall, "TWIN.site.hall"),
        (TWIN.site["hall 4"], 'TWIN.site&["hall 4"]'),
        (TWIN["it's"], 'TWIN&["it\'s"]'),
        (LEDGER.tags[0], "LEDGER.tags&[0]"),
        (USER["Ünit"], 'USER&["Ünit"]'),
        (DICT._x, "DICT._x"),
    ],
)
def test_names(attribute, text):
    assert str(attribute) == text


SHADOWED = ["keys", "values", "length", "is_empty", "in", "and", "not", "true", "null", "for", "if"]


@pytest.mark.parametrize("name", SHADOWED)
def test_names_that_the_language_has_for_itself(name):
    """Read with a dot, ``length`` would be the number of members, and ``in`` a syntax error."""
    for attribute in (LEDGER[name], LEDGER.inner[name]):
        assert evaluate(attribute == "mine", LEDGER={name: "mine", "inner": {name: "mine"}})
        assert not evaluate(attribute == "mine", LEDGER={name: "x", "inner": {name: "x"}})


@given(st.text("abz_019", min_size=1, max_size=6))
def test_any_key_finds_its_value(key):
    assert evaluate(TWIN[key] == 1, TWIN={key: 1, "other": 2})


def test_missing_members_are_null():
    assert evaluate(TWIN.site.hall.row.is_null())
    assert evaluate(TWIN.tags[3].is_null(), TWIN={"tags": [1]})
    assert not evaluate(TWIN.site.is_null(), TWIN={"site": 0})


# Comparisons and their guards


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (LEDGER.battery < 20, "LEDGER.battery < 20"),
        (LEDGER.battery <= 20, "LEDGER.battery <= 20"),
        (LEDGER.battery > 20, "LEDGER.battery > 20"),
        (LEDGER.battery >= 20, "LEDGER.battery >= 20"),
        (TWIN.kind == "cat", 'TWIN.kind == "cat"'),
        (TWIN.kind != None, "TWIN.kind != null"),  # noqa: E711 # a rule
        (TWIN.company == USER.company, "TWIN.company == USER.company"),
        (TWIN.kind.in_(["a", "b"]), 'TWIN.kind in ["a", "b"]'),
        (TWIN.kind.in_(LEDGER.public), "TWIN.kind in LEDGER.public"),
        (LEDGER.x.between(1, 5), "LEDGER.x >= 1 and LEDGER.x <= 5"),
        (LEDGER.x.is_null(), "LEDGER.x == null"),
        ((TWIN.a == 1) & (TWIN.b == 2), "TWIN.a == 1 and TWIN.b == 2"),
        ((TWIN.a == 1) | (TWIN.b == 2), "TWIN.a == 1 or TWIN.b == 2"),
        (
            ((TWIN.a == 1) | (TWIN.b == 2)) & (TWIN.c == 3),
            "(TWIN.a == 1 or TWIN.b == 2) and TWIN.c == 3",
        ),
        (~(TWIN.a == 1), "not TWIN.a == 1"),
        (~((TWIN.a == 1) & (TWIN.b == 2)), "not (TWIN.a == 1 and TWIN.b == 2)"),
    ],
)
def test_rendering(rule, text):
    assert str(rule) == text
    assert repr(rule) == f"<rule {text}>"


COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


class Wanted:
    """A rule and, beside it, what it is to give for some values: missing ones make it false."""

    def __init__(self, rule, holds):
        self.rule = rule
        self.holds = holds


def leaf(name, compare, value):
    def expected(ledger):
        if compare in {operator.eq, operator.ne}:
            return compare(ledger.get(name), value)
        return ledger.get(name) is not None and compare(ledger[name], value)

    return Wanted(compare(LEDGER[name], value), expected)


LEAVES = st.builds(
    leaf, st.sampled_from(["a", "b", "c"]), st.sampled_from(COMPARISONS), st.integers(0, 2)
) | st.builds(
    lambda name, low: Wanted(
        LEDGER[name].between(low, low + 1),
        lambda ledger: ledger.get(name) is not None and low <= ledger[name] <= low + 1,
    ),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 2),
)
RULES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            lambda x, y: Wanted(x.rule & y.rule, lambda v: x.holds(v) and y.holds(v)), inner, inner
        )
        | st.builds(
            lambda x, y: Wanted(x.rule | y.rule, lambda v: x.holds(v) or y.holds(v)), inner, inner
        )
        | st.builds(lambda x: Wanted(~x.rule, lambda v: not x.holds(v)), inner)
    ),
    max_leaves=6,
)


@given(RULES, st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 3)))
def test_combinations_hold_as_their_parts_say(wanted, ledger):
    """Also where a value is missing: a comparison fails then, its neighbours must not."""
    assert holds(wanted.rule, LEDGER=ledger) is wanted.holds(ledger)


@given(RULES, RULES, st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 3)))
def test_raw_text_keeps_its_parentheses(one, other, ledger):
    rule = raw(str(one.rule)) & other.rule
    if all(name in ledger for name in "abc"):
        assert holds(rule, LEDGER=ledger) is (one.holds(ledger) and other.holds(ledger))


def test_lists_with_missing_operands():
    rule = TWIN.kind.in_(LEDGER.public) | (TWIN.open == True)  # noqa: E712 # a rule
    assert holds(rule, TWIN={"kind": "a", "open": True})
    assert holds(rule, TWIN={"kind": "a"}, LEDGER={"public": ["a"]})
    assert not holds(rule, TWIN={"kind": "b"}, LEDGER={"public": ["a"]})


# Misuse


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: bool(TWIN.a == 1),
        lambda: (TWIN.a == 1) and (TWIN.b == 2),
        lambda: (TWIN.a == 1) or (TWIN.b == 2),
        lambda: not (TWIN.a == 1),  # noqa: SIM201 # as somebody writes it
        lambda: 1 < TWIN.a < 5,
        lambda: 5 if TWIN.a else 6,
        lambda: bool(TWIN.a),
        lambda: 3 in [TWIN.a, TWIN.b],
    ],
)
def test_rules_have_no_truth_value(misuse):
    with pytest.raises(TypeError, match=r"&, \| and ~.*between") as caught:
        misuse()
    assert "TWIN.a" in str(caught.value)


@pytest.mark.parametrize("rule", ["", "  ", None, 5, True, ["TWIN.a"]])
def test_what_is_no_rule(rule):
    with pytest.raises(ValidationError, match="is no rule"):
        rule_text(rule)
    if rule is not None:
        with pytest.raises(ValidationError, match="is no rule"):
            (TWIN.a == 1) & rule


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: TWIN.a < 20 & (TWIN.b == 2),
        lambda: TWIN.a == "x" | (TWIN.b == 2),
        lambda: Pump.pressure < 20 & Pump.model == "X1",
        lambda: rule_text((TWIN.a == 1) & TWIN.b == 2),
    ],
)
def test_forgotten_parentheses_are_told_of(misuse):
    with pytest.raises((TypeError, ValidationError), match=r"is no rule: .* in parentheses"):
        misuse()


def test_rules_may_be_text():
    assert rule_text("TWIN.a == 1") == "TWIN.a == 1"
    assert str((TWIN.a == 1) & "TWIN.b == 1 or TWIN.c == 1") == (
        "TWIN.a == 1 and (TWIN.b == 1 or TWIN.c == 1)"
    )


def test_a_text_is_no_list_of_values():
    with pytest.raises(TypeError, match=r"in_\('ab'\): expected a list of values"):
        TWIN.kind.in_("ab")


def test_expressions_hash_by_identity():
    rule = TWIN.a == 1
    assert {rule: "x"}[rule] == "x"
    assert {TWIN.a: "x"} != {}


def test_private_names_are_no_members():
    with pytest.raises(AttributeError):
        TWIN.__deepcopy__  # noqa: B018 # it raises
    with pytest.raises(AttributeError):
        TWIN.a._b  # noqa: B018 # it raises


# Fields of models


class Pump(Twin):
    model: Field[str] = description()
    pressure: Field[float] = entry()
    limit: Field[float | None] = entry(name="upper_limit", default=None)
    price: Field[Decimal] = entry()
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str] = identity("SN", key=True)


def test_fields_are_rule_expressions():
    assert isinstance(Pump.pressure, Attribute)
    assert str(Pump.pressure < 2) == "LEDGER.pressure < 2.0"
    assert str(Pump.limit == None) == "LEDGER.upper_limit == null"  # noqa: E711 # a rule
    assert str(Pump.model == "X1") == 'TWIN.model == "X1"'
    assert str(Pump.pressure < Pump.limit) == "LEDGER.pressure < LEDGER.upper_limit"
    assert str(Pump.model.in_(["a", "b"])) == 'TWIN.model in ["a", "b"]'


def test_literals_pass_through_the_fields_type():
    refused = r"Pump\.pressure expects float, .* \(the rule on 'pressure'\)"
    with pytest.raises(ValidationError, match=refused):
        Pump.pressure < "high"  # noqa: B015 # it raises
    assert str(Pump.price == Decimal("1.50")) == 'LEDGER.price == "1.50"'


def test_values_that_do_not_order_in_json_are_only_compared_for_equality():
    with pytest.raises(TypeError, match="only == and !="):
        Pump.price < Decimal(10)  # noqa: B015 # it raises


def test_rules_do_not_see_identities():
    with pytest.raises(AttributeError, match=r"find\(serial=\.\.\.\)"):
        Pump.serial  # noqa: B018 # it raises


def test_unknown_fields_of_the_class():
    with pytest.raises(AttributeError, match="did you mean 'pressure'"):
        Pump.presure  # noqa: B018 # it raises


def test_the_module_is_public():
    assert ttorm.rules.TWIN is TWIN


# Values that are computed


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (LEDGER.a + 1 > LEDGER.b, "LEDGER.a + 1 > LEDGER.b"),
        (1 - LEDGER.a == 0, "1 - LEDGER.a == 0"),
        (LEDGER.a - (LEDGER.b - 1) == 0, "LEDGER.a - (LEDGER.b - 1) == 0"),
        ((LEDGER.a + 1) * 2 == 4, "(LEDGER.a + 1) * 2 == 4"),
        (LEDGER.a % 2 // 3 / 4 == 1, "LEDGER.a % 2 // 3 / 4 == 1"),
        (LEDGER.a ** (LEDGER.b**2) == 1, "LEDGER.a ** (LEDGER.b ** 2) == 1"),
        (-LEDGER.a < -1, "-LEDGER.a < -1"),
        (LEDGER.a - -1 == 0, "LEDGER.a - -1 == 0"),
        (2**LEDGER.a == 8, "2 ** LEDGER.a == 8"),
        ("SN-" + TWIN.serial == DICT.name, '"SN-" + TWIN.serial == DICT.name'),
        (TWIN.a == (TWIN.b == 1), "TWIN.a == (TWIN.b == 1)"),
        (TWIN.tags.contains("a"), '"a" in TWIN.tags'),
        (TWIN.a.in_([TWIN.b, 1]), "TWIN.a in [TWIN.b, 1]"),
        (TWIN.tags[1:3] == ["a"], 'TWIN.tags&[1:3] == ["a"]'),
        (LEDGER[DICT.name] == 1, "LEDGER&[DICT.name] == 1"),
        (rules.length(TWIN) > 3, "TWIN.length > 3"),
        (rules.length(TWIN["length"]) > 3, 'TWIN&["length"].length > 3'),
        (rules.entry_name.in_(LEDGER.public), "entry_name in LEDGER.public"),
        (rules.account == rules.ledger, "account == ledger"),
        (
            ~(LEDGER.a + LEDGER.b > LEDGER.a),
            "not (LEDGER.a != null and LEDGER.b != null and LEDGER.a + LEDGER.b > LEDGER.a)",
        ),
        (
            ~LEDGER.a.between(1, 2),
            "not (LEDGER.a != null and LEDGER.a >= 1 and LEDGER.a <= 2)",
        ),
        (
            LEDGER.a.any(lambda x: x.any(lambda y: y == x)),
            "[x2 for x2 in LEDGER.a if x2 != null and [x for x in x2 if x == x2] != []] != []",
        ),
    ],
)
def test_rendering_of_computed_values(rule, text):
    assert str(rule) == text
    compile_rule(text)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: LEDGER.a * "x",
        lambda: LEDGER.a + True,
        lambda: LEDGER.a - None,
        lambda: LEDGER.a * 2 > "x",
        lambda: (LEDGER.a * 2).contains(1),
        lambda: (LEDGER.a * 2).re_match("x"),
        lambda: (LEDGER.a * 2).name,
        lambda: (LEDGER.a * 2)[0],
        lambda: rules.lower(LEDGER.a * 2),
        lambda: (LEDGER.a * 2).any(lambda x: x > 1),
    ],
)
def test_what_never_fits_is_refused_at_once_as_the_service_would(misuse):
    with pytest.raises(TypeError, match=r"expected a|cannot compare"):
        misuse()


def test_patterns_are_checked_at_once():
    with pytest.raises(ValidationError, match="'\\(' is no regular expression"):
        TWIN.serial.re_match("(")


@given(TEXT, TEXT)
def test_any_text_is_found_at_both_ends(text, more):
    assert evaluate(TWIN.name.startswith(text), TWIN={"name": text + more}) is True
    assert evaluate(TWIN.name.endswith(text), TWIN={"name": more + text}) is True
    found = evaluate(TWIN.name.startswith(text), TWIN={"name": more})
    assert found is more.startswith(text)


@pytest.mark.parametrize(
    ("misuse", "mend"),
    [
        (lambda: "a" in TWIN.tags, r"TWIN.tags.contains\('a'\)"),
        (lambda: list(TWIN.tags), r"TWIN.tags.any\(...\)"),
        (lambda: "a" in LEDGER, r"keys\(LEDGER\).contains\('a'\)"),
        (lambda: list(LEDGER), r"keys\(...\)"),
        (lambda: TWIN.tags[::2], "without step"),
    ],
)
def test_what_python_alone_would_answer_is_refused(misuse, mend):
    with pytest.raises(TypeError, match=mend):
        misuse()
