"""Templates: what their tokens reach, how names and values are made, and what they cannot do."""

from __future__ import annotations

import gc
import json
import random
import time

import pytest
from hostile import LEAKS, WORDS, template_soup
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import most_kept

from ttorm.emulator.templates import (
    MAX_OUTPUT,
    MAX_PARTS,
    MAX_TEXT,
    Room,
    TemplateError,
    compile_template,
)

LEDGER = {
    "city": "Oslo",
    "tags": ["a", "b"],
    "str_entry": "Gdansk",
    "num_entry": 123,
    "nested": {"list": [{"x": 1.5}], "0": "zero"},
}
VARIABLES = {
    "entry_name": "temp",
    "entry_value": 21.5,
    "LEDGER": LEDGER,
    "TWIN": None,
    "DICT": {"src": "gw-7"},
    "now": 1_718_000_000.125,
}


def name(text, **more):
    return compile_template(text).name({**VARIABLES, **more})


def value(text, **more):
    return compile_template(text).value({**VARIABLES, **more})


@pytest.mark.parametrize(
    ("found", "in_value", "in_name"),
    [
        ('example "x"', '"example \\"x\\""', 'example "x"'),
        (123.45, "123.45", "123.45"),
        ({"a": 1}, '{"a": 1}', '{"a": 1}'),
        ([1, 2, 3], "[1, 2, 3]", "[1, 2, 3]"),
        (True, "true", "true"),
        (None, "null", "null"),
        ("Gdańsk", '"Gdańsk"', "Gdańsk"),
    ],
)
def test_values_are_json_and_names_plain(found, in_value, in_name):
    assert name("<{entry_value}>", entry_value=found) == f"<{in_name}>"
    assert value("<{entry_value}>", entry_value=found) == f"<{in_value}>"
    assert value("{entry_value}", entry_value=found) == found


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{entry_name}", "temp"),
        ("{LEDGER.city}", "Oslo"),
        ("{LEDGER[city]}", "Oslo"),
        ("{LEDGER[tags][1]}", "b"),
        ("{LEDGER.tags.1}", "b"),
        ("{LEDGER.nested.list[0].x}", 1.5),
        ("{LEDGER[nested][0]}", "zero"),
        ("{DICT.src}", "gw-7"),
        ("{now}", 1_718_000_000.125),
        ("[{entry_value}, {entry_name}]", [21.5, "temp"]),
        ("{{{entry_name}: 1}}", {"temp": 1}),
        ("{num_entry}", 123),
        ("warehouse 4", "warehouse 4"),
        ("Gdansk", "Gdansk"),
        ("17", 17),
        ("", ""),
        ("{LEDGER.city}/{LEDGER.tags[0]}", '"Oslo"/"a"'),
        ("1e999", "1e999"),
        ("NaN", "NaN"),
        ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300),
    ],
)
def test_values(text, made):
    assert value(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{entry_name}", "temp"),
        ("{LEDGER[tags][1]}", "b"),
        ("alarm-{LEDGER.city}-{entry_name}", "alarm-Oslo-temp"),
        ("{LEDGER.str_entry}_{num_entry}", "Gdansk_123"),
        ("{{}} {{{{", "{} {{"),
        ("17", "17"),
    ],
)
def test_names(text, made):
    assert name(text) == made


@pytest.mark.parametrize(
    "text",
    [
        "{unknown}",
        "{LEDGER.unknown}",
        "{LEDGER.unknown.deeper[3]}",
        "{LEDGER.tags[2]}",
        "{LEDGER.tags[-1]}",
        "{LEDGER.tags[x]}",
        "{LEDGER.tags[99999999999999999999]}",
        "{LEDGER.tags[²]}",
        "{LEDGER.city[0]}",
        "{entry_value.real}",
        "{TWIN.kind}",
        "{entry_name.__class__}",
        "{LEDGER.__class__.__mro__[1].__subclasses__}",
        "{LEDGER.items}",
        "{LEDGER.keys}",
        "{LEDGER.tags.append}",
        "{__builtins__}",
        "{self}",
    ],
)
def test_what_is_missing_is_null(text):
    assert value(text) is None
    assert name(text) == "null"


def test_a_variable_comes_before_an_entry_of_its_name():
    assert value("{now}", LEDGER={"now": "an Entry"}) == VARIABLES["now"]
    assert value("{TWIN}", LEDGER={"TWIN": "an Entry"}) is None
    assert compile_template("{LEDGER.a}{now}{{x}}").names == {"LEDGER", "now"}
    assert compile_template("{num}").value({}) is None


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{0}",
        "{12.x}",
        "{entry_name",
        "entry_name}",
        "{entry_name!r}",
        "{entry_name!s}",
        "{entry_name:>10}",
        "{entry_name:{now}}",
        "{.a}",
        "{[a]}",
        "{LEDGER.}",
        "{LEDGER..a}",
        "{LEDGER[]}",
        "{LEDGER[a}",
        "{LEDGER[a]b}",
        "{LEDGER[a]]}",
        "{a" + ".b" * MAX_PARTS + "}",
        "x" * (MAX_TEXT + 1),
    ],
)
def test_refused_when_written(text):
    with pytest.raises(TemplateError):
        compile_template(text)


def test_limits():
    assert name("{a" + ".b" * (MAX_PARTS - 1) + "}") == "null"
    assert name("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert name("{entry_value}", entry_value="x" * MAX_OUTPUT) == "x" * MAX_OUTPUT


@pytest.mark.parametrize(
    "huge",
    [
        "x" * (MAX_OUTPUT + 1),
        [0] * (MAX_OUTPUT + 1),
        ["x" * 1_000] * 1_000,
        {"k" * 40_000: "v" * 40_000},
        {str(number): number for number in range(20_000)},
        "\n" * (MAX_OUTPUT - 1),
    ],
)
def test_too_much_text(huge):
    with pytest.raises(TemplateError, match="too long"):
        value("{entry_value}", entry_value=huge)


def test_many_tokens_make_too_much_text():
    with pytest.raises(TemplateError, match="too long"):
        name("{entry_value}" * 300, entry_value="x" * 1_000)


def test_a_room_for_several():
    room = Room(100)
    template = compile_template("{entry_name}")
    assert template.name({"entry_name": "x" * 40}, room) == "x" * 40
    assert room.left == 60
    assert template.value({"entry_name": None}, room) is None
    assert room.left == 44  # a short text counts as one of sixteen characters
    with pytest.raises(TemplateError):
        template.name({"entry_name": "x" * 45}, room)
    assert room.left == 0  # what failed has cost what it could have
    with pytest.raises(TemplateError):
        template.name({"entry_name": "x"}, room)


def test_too_much_text_is_found_out_early():
    """A Ledger that includes others may hold far more than its own size."""
    huge = {f"e{number}": [text] * 1_000 for number in range(1_000) for text in ["x" * 60_000]}
    start = time.thread_time()
    with pytest.raises(TemplateError):
        name("{LEDGER}" * 500, LEDGER=huge)
    assert time.thread_time() - start < 0.05


KEYS = st.sampled_from(["a", "b_1", "__class__", "0", "7", "x-y", "é"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(
    st.dictionaries(KEYS.filter(lambda key: not key.isdigit()), JSON, min_size=1),
    st.lists(st.tuples(st.text(max_size=4), st.lists(KEYS, max_size=3)), max_size=4),
    st.data(),
)
def test_agrees_with_a_plain_reading_of_its_parts(variables, parts, data):
    """Tokens put together from known parts give what walking those parts gives."""
    text, plain, dumped = "", "", ""
    for literal, path in parts:
        first = data.draw(st.sampled_from(sorted(variables)))
        found = variables[first]
        token = first
        for key in path:
            token += data.draw(st.sampled_from([f".{key}", f"[{key}]"]))
            if isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                found = found.get(key) if isinstance(found, dict) else None
        text += literal.replace("{", "{{").replace("}", "}}") + "{" + token + "}"
        dumped += literal + json.dumps(found, ensure_ascii=False)
        plain += literal + (
            found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        )
    template = compile_template(text)
    assert template.name(variables) == plain
    made = template.value(variables)
    try:
        assert made == json.loads(dumped)
    except ValueError:
        assert made == dumped


SLOWEST = 0.050


def hostile(text):
    """Make a name and a value of a text, and return the seconds it took and what was made."""
    compile_template.cache_clear()
    start, made = time.thread_time(), None
    try:
        template = compile_template(text)
        made = template.name(VARIABLES), template.value(VARIABLES)
    except TemplateError:
        pass
    seconds = time.thread_time() - start
    if made is not None:
        json.dumps(made, allow_nan=False)
        assert not any(leak in str(made) for leak in LEAKS), text
    return seconds, made


@settings(max_examples=500)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=30).map("".join))
def test_no_text_escapes(text):
    hostile(text)


def fuzz(count, seed):
    random_ = random.Random(seed)
    gc.collect()
    gc.disable()  # a collection of everything else that pytest holds is no template's fault
    try:
        slowest, rendered = (0.0, ""), 0
        for _ in range(count):
            text = template_soup(random_)
            seconds, made = hostile(text)
            if seconds > SLOWEST:  # if it was the machine that paused, it does not do so each time
                seconds = min(hostile(text)[0] for _ in range(3))
            slowest = max(slowest, (seconds, text))
            rendered += made is not None
    finally:
        gc.enable()
    assert slowest[0] < SLOWEST, f"{slowest[0] * 1000:.1f} ms: {slowest[1]!r}"
    assert count / 20 < rendered < count
    return slowest[0], rendered


def test_no_text_takes_long():
    seconds, rendered = fuzz(3_000, 1)
    assert seconds < SLOWEST
    assert rendered > 150


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_hundred_thousand_texts():
    seconds, rendered = fuzz(100_000, 2024)
    assert seconds < SLOWEST
    assert rendered > 5_000


def test_what_is_kept_of_templates_is_bounded():
    """Whoever writes ever new ones does not fill the memory."""
    texts = ["".join(f"{{a{number}.b{name}}}" for name in range(400)) for number in range(20)]
    assert most_kept(compile_template, texts) < 128 << 20
