"""Rules and templates of somebody who wants to break things, or read what belongs to others."""

from __future__ import annotations

import json
import string

__all__ = ["HUGE", "LEAKS", "WORDS", "bent", "composed", "repeated", "soup", "template_soup"]

HUGE = {
    "deep": json.loads("[" * 60 + "1" + "]" * 60),
    "flat": list(range(9_000)),
    "wide": {f"k{index}": index * 1.5 for index in range(3_000)},
    "long": "a" * 60_000,
    "evil": "(a+)+$",
    "big": 10**300,
    "tiny": 1e-300,
}
ATOMS = [
    "TWIN.kind", "USER.level", "LEDGER.flat", "LEDGER.deep", "LEDGER.wide", "LEDGER.long",
    "LEDGER", "LEDGER.evil", "LEDGER.big", "LEDGER.tiny", "USER", "entry_value", "now", "$now",
    "$pi", "$range", "true", "null", "nan", "inf", "1", "0", "2.5", "1e308", "1e-5", "99999999999",
    "0xff", "'a'", '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"', '"(a+)+$"', '".*.*.*x"', r'"\d+\."',
    "[]", "[1, 2]", "{}", "{1, 2}", '{"a": 1}', 'd"2024-02-15T10:00:00Z"', 't"P1D"', 'b"00"',
    "x", "$any", "$sum",
]  # fmt: skip
BINARY = [
    "and", "or", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "=~", "=~~", "!~", "!~~",
    "+", "-", "*", "/", "//", "%", "**", "&", "|", "^", "<<", ">>",
]  # fmt: skip
SUFFIXES = [
    ".length", ".keys", ".values", ".to_set", ".to_str", ".floor", ".as_upper", ".kind",
    ".__class__", ".encode", "[0]", "&[9]", "[1:]", "['a']", "&.x", ".to_ary", ".to_flt",
]  # fmt: skip


def composed(random, depth):
    """Make a rule that may parse, of parts that may be expensive."""
    if depth <= 0 or random.random() < 0.15:
        return random.choice(ATOMS) + "".join(
            random.choice(SUFFIXES) for _ in range(random.randrange(3))
        )
    shape = random.randrange(9)
    one, other = (composed(random, depth - random.randint(1, 2)) for _ in range(2))
    if shape < 4:
        return f"({one}) {random.choice(BINARY)} ({other})"
    if shape == 4:
        return f"[{one} for x in {other}]"
    if shape == 5:
        return f"$any([{one} for x in {other} if x {random.choice(BINARY)} {one}])"
    if shape == 6:
        return f"({one} ? {other} : {one})"
    if shape == 7:
        return f"not {one} {random.choice(BINARY)} {random.choice(ATOMS)}"
    return f"-({one}){random.choice(SUFFIXES)}"


def soup(random):
    """Make a text of tokens and rubbish that hardly ever parses."""
    parts = [*ATOMS, *BINARY, *SUFFIXES, *"()[]{}?:,.#$&\\'\" \n\t\0é", *string.ascii_letters]
    return "".join(
        random.choice(parts) + random.choice(["", " "]) for _ in range(random.randrange(1, 60))
    )


def bent(random, texts):
    """Change one of some rules in a few places."""
    text = list(random.choice(texts))
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(len(text))
        text[place : place + random.randrange(2)] = random.choice(string.printable)
    return "".join(text)


def repeated(random):
    """Make a text that is long or deep."""
    part = random.choice(["(", "[", "not ", "-", "1+", "a.", "x in ", "{"])
    atom = random.choice(ATOMS)
    return part * random.randrange(1, 3_000) + atom + random.choice(["", "]", ")"]) * 9


WORDS = [
    *"{}[].!:_ \\\"'%$(",
    *("entry_name", "entry_value", "LEDGER", "DICT", "now", "city", "tags", "nested", "list"),
    *("__class__", "__mro__", "__globals__", "__init__", "__subclasses__", "__builtins__"),
    *("{entry_name", "{LEDGER", "{LEDGER.tags[0", "{0", "{entry_value!r", "{now:{", "}}", "{{"),
    *("0", "1", "-1", "99999999999999999999", "²", "\0", "é", "\U0001f600", "x" * 500),
    *("{entry_name.__class__.__mro__[1].__subclasses__}", "{LEDGER.nested.list[0].x}"),
]
LEAKS = ("<class", "<function", "<built-in", "<module", "<method", " at 0x", "mappingproxy")
"""Parts of templates."""


def template_soup(random):
    """Make a template that may parse, of parts that may lead out of it."""
    return "".join(random.choices(WORDS, k=random.randint(1, 14)))
