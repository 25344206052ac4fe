"""JSON: what passes, what is refused, and when two values are the same."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm import ValidationError
from ttorm.api.codec import canonical, check_json, decode, encode, fingerprint, same

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
INTEGERS = st.integers(-(2**63), 2**64)
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
BAD = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        {1, 2},
        frozenset(),
        b"bytes",
        bytearray(b"x"),
        "\ud800",
        "a\udfffb",
        {1: "int key"},
        {None: 0},
        {("a", "b"): 0},
        {"\ud83d": "surrogate key"},
        object(),
        1j,
        Decimal(1),
        datetime(2024, 1, 1, tzinfo=UTC),
        range(3),
    ]
)


def shuffled(value):
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def model_same(one, other):
    """What `same` is to say, written the slow way."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(model_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(model_same, one, other))
    return type(one) is type(other) and one == other


# Encoding and decoding


@given(JSON)
def test_encoded_values_come_back(value):
    check_json(value)
    back = decode(encode(value))
    assert same(back, value)
    assert model_same(back, value)


@given(JSON)
def test_encoding_is_json_for_everybody(value):
    assert model_same(json.loads(encode(value)), value)


def test_encoding_is_compact_utf_8():
    assert encode({"a": [1, True, None], "b": "é"}) == '{"a":[1,true,null],"b":"é"}'.encode()


def test_whole_floats_stay_floats():
    assert encode([1, 1.0]) == b"[1,1.0]"
    assert [type(number) for number in decode(b"[1,1.0]")] == [int, float]


def test_large_integers_are_exact():
    number = 2**200 + 1
    assert decode(encode([number])) == [number]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b"{'a': 1}", b"nul", b"\xff", b"NaN", b"[Infinity]", b"1 2"]
)
def test_broken_json_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"\w"):
        decode(body)


def test_nesting_without_end_does_not_crash_the_decoder():
    with pytest.raises(ValueError, match=r"\w"):
        decode(b"[" * 100_000 + b"]" * 100_000)


def test_lone_surrogates_in_answers_are_refused():
    with pytest.raises(ValueError, match=r"\w"):
        decode(b'["\\ud800"]')


@pytest.mark.parametrize("value", [object(), "\ud800", ["\udc00"], {"a": object()}])
def test_values_that_cannot_be_encoded(value):
    with pytest.raises(ValidationError, match="cannot be sent as JSON"):
        encode(value)


# Checking


@given(JSON, BAD, st.lists(st.sampled_from(["key", 0]), max_size=4))
def test_bad_values_are_found_at_any_depth(other, bad, path):
    value = bad
    for step in path:
        value = {"other": other, "key": value} if step == "key" else [value, other]
    with pytest.raises(ValidationError) as caught:
        check_json(value, "the value")
    where = "".join("['key']" if step == "key" else "[0]" for step in reversed(path))
    assert str(caught.value).startswith(f"the value{where}")
    assert caught.value.code == "not-json"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "value is nan, which JSON cannot hold: write None, or leave it out"),
        ([math.inf], "value[0] is inf, which"),
        ({"a": {1}}, "value['a'] is a set, which JSON cannot hold: write a list"),
        ({"a": b"x"}, "value['a'] is a bytes, which JSON cannot hold: decode it to text"),
        ({1: 2}, "value has the key 1, which JSON cannot hold: write text keys"),
        ("\ud800", "value holds a lone surrogate, which"),
        (object(), "value is an object, which"),
    ],
)
def test_messages_say_where_what_and_what_instead(value, text):
    with pytest.raises(ValidationError) as caught:
        check_json(value)
    assert str(caught.value).startswith(text)


def test_tuples_pass_as_lists():
    check_json({"a": (1, (2,))})
    assert encode({"a": (1, (2,))}) == b'{"a":[1,[2]]}'
    assert same((1, 2), [1, 2])


def test_values_that_contain_themselves():
    loop = []
    loop.append(loop)
    with pytest.raises(ValidationError, match="deeper than 190 levels, or contains itself"):
        check_json(loop)


def test_deep_nesting_is_refused_not_crashed_on():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValidationError, match="deeper than 190 levels"):
        check_json(value)


@pytest.mark.parametrize("depth", [1, 10, 95])
def test_ordinary_depth_passes_everywhere(depth):
    value = "x"
    for _ in range(depth):
        value = {"k": [value]}
    check_json(value)
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize("depth", [189, 190, 191, 240, 260, 900])
def test_what_passes_the_check_can_be_encoded_and_read_back(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    try:
        check_json(value)
    except ValidationError:
        assert depth > 190
        return
    # An answer wraps a value once more: {"entries": {name: {"value": value}}}.
    body = encode({"entries": {"name": {"value": value}}})
    assert same(decode(body)["entries"]["name"]["value"], value)


# Same


@given(JSON, JSON)
def test_same_is_what_the_model_says(one, other):
    assert same(one, other) is model_same(one, other)


@given(JSON)
def test_key_order_does_not_matter(value):
    other = shuffled(value)
    assert same(value, other)
    assert canonical(value) == canonical(other)


@given(JSON, JSON, JSON)
def test_same_is_an_equivalence(one, two, three):
    assert same(one, one)
    assert same(one, two) is same(two, one)
    if same(one, two) and same(two, three):
        assert same(one, three)


@given(JSON, JSON)
def test_canonical_bytes_and_sameness_agree(one, other):
    assert (canonical(one) == canonical(other)) is same([one], [other])


@given(JSON, JSON)
def test_equal_fingerprints_are_the_same_value(one, other):
    if fingerprint(one) == fingerprint(other):
        assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (1.0, True), (0, None), ("", None), ([], {}), ("1", 1)],
)
def test_different_values_that_python_confuses(one, other):
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"k": [x]}):
        assert not same(wrap(one), wrap(other))
        assert same(wrap(one), wrap(one))


def test_canonical_refuses_what_is_not_json():
    for value in (math.nan, {1}, {1: 2, "a": 3}, object()):
        with pytest.raises(ValidationError):
            canonical(value)
