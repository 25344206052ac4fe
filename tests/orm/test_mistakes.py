"""Mistakes in declarations: each is told where it is made, with the way to mend it."""

from __future__ import annotations

import inspect
from datetime import datetime
from decimal import Decimal
from textwrap import dedent

import pytest

import ttorm
from ttorm import Doc, Field, Link, Twin, description, doc, entry, identity

MISTAKES = {
    "x: Field[int] = 5": r"not declared as one: write x: Field\[...\] = entry\(default=5\)",
    "x: Field[int] = entry": r"write x: Field\[...\] = entry\(\)",
    "x: Field[int] = Field()": r"write x: Field\[...\] = entry\(\)",
    "x: Field[int]": r"write x: Field\[...\] = entry\(\)",
    "x: int = entry()": r"annotated as int: .* as in x: Field\[int\] = entry",
    "x: list[int] = entry()": r"annotated as list\[int\]: .* as in x: Field\[list\[int\]\] = entry",
    "x: Field = entry()": r"without its type: .* as in x: Field\[float\] = entry",
    "x: datetime = description()": r"as in x: Field\[datetime\] = description",
    "x: Field[str] = doc('a.txt')": r"write x: Field\[Doc\] = doc",
    "x: Field[int] = entry(codec=int)": "ValueCodec",
    "x: Field[int] = entry(history='3X')": "no history period",
    "x: Field[str] = identity('SN', key='yes')": "expected True or False",
    "x: Field[int] = entry(default=1, default_factory=int)": "not both",
    "x: Field[int] = entry(name='Bad Name')": "no Entry name",
    "save: Field[int] = entry()": r'other = entry\(name="save"\)',
    "find: Field[int] = entry()": r'other = entry\(name="find"\)',
    "create: Field[int] = entry()": r'other = entry\(name="create"\)',
    "entries: Field[int] = entry()": r'argument of Wrong\(\).* other = entry\(name="entries"\)',
    "self: Field[int] = entry()": r'argument of Wrong\(\).* other = entry\(name="self"\)',
    "cls: Field[int] = entry()": r'argument of Wrong\(\).* other = entry\(name="cls"\)',
    "strict: Field[str] = identity('ST')": r'argument of Wrong.find\(\).* other = identity\("ST"\)',
    "_x: Field[int] = entry()": "starts with an underscore",
    "Meta = {'kind': 'x'}": "write class Meta: kind",
}


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("line", MISTAKES)
def test_a_wrong_declaration(line, future):
    body = f"{future}class Wrong(Twin):\n    {line}\n"
    with pytest.raises(TypeError, match=MISTAKES[line]):
        exec(compile(body, "body", "exec", dont_inherit=True), {**globals(), "__name__": __name__})


def test_other_names_for_types_of_fields():
    body = """
        Percent = Field[float]
        class Right(Twin):
            level: Percent = entry(default=0.0)
            other: "Percent" = entry(default=0.0)
            later: "Later" = entry(default=0)
        Later = Field[int]
    """
    found = {**globals(), "__name__": "made_here"}
    exec(compile(dedent(body), "body", "exec", dont_inherit=True), found)
    assert set(found["Right"].__fields__) == {"level", "other", "later"}


# Defaults


@pytest.mark.parametrize(
    ("declared", "default", "mend"),
    [
        (int, None, r"or declare it as Field\[... \| None\]"),
        (Decimal, None, r"\| None"),
        (Link[Twin], None, r"\| None"),
        (int, "a", r"entry\(default='a'\): .* give one that is$"),
        (list[int], ["a"], r"entry\(default=\['a'\]\)"),
    ],
)
def test_a_default_of_another_type(connection, sent, declared, default, mend):
    class Wrong(Twin):
        level: Field[declared] = entry(default=default)

    with pytest.raises(TypeError, match=mend):
        Wrong()
    assert sent == []


async def test_a_factory_of_another_type(do, connection):
    class Wrong(Twin):
        marks: Field[list[int]] = entry(default_factory=lambda: "abc")

    with pytest.raises(TypeError, match=r"Wrong.marks = entry\(default_factory\)"):
        Wrong()
    stored = await do(Twin, "create")
    await do(stored, "load")
    with pytest.raises(TypeError, match=r"Wrong.marks = entry\(default_factory\)"):
        _ = stored.as_(Wrong).marks


def test_a_link_to_no_class(connection):
    class Wrong(Twin):
        other: Field[Link] = entry()

    with pytest.raises(TypeError, match=r"write Link\[Customer\]"):
        Wrong(other=Twin())


# Constructors of one's own


async def test_a_constructor_of_ones_own(do, connection):
    class Tank(Twin):
        level: Field[int] = entry()

        def __init__(self, level):
            super().__init__(level=level)
            self._seen = 0

    tank = await do(Tank, "create", 3)
    assert (tank.level, tank._seen) == (3, 0)
    async with do.block(ttorm.session()):
        found = await do(Tank, "get", tank.uuid)
        await do(found, "load")
        assert found.level == 3
        assert not hasattr(found, "_seen")


def test_options_of_a_class_statement():
    class Vessel(Twin):
        def __init_subclass__(cls, liquid=None, **options):
            super().__init_subclass__(**options)
            cls.liquid = liquid

    class Keg(Vessel, liquid="beer"):
        level: Field[int] = entry(default=0)

    assert Keg.liquid == "beer"
    with pytest.raises(TypeError, match="keyword"):
        type("Jug", (Twin,), {}, kind="jug")


def test_a_constructor_that_forgets_the_record(connection):
    class Tank(Twin):
        level: Field[int] = entry()

        def __init__(self, level):
            self.level = level

    with pytest.raises(AttributeError, match=r"Tank is not made yet: call super\(\).__init__"):
        Tank(3)


# The mark of the kind


class Lamp(Twin):
    kind: Field[str] = description()
    watts: Field[int] = entry(default=5)

    class Meta:
        kind = "mistaken_lamp"


async def test_a_field_may_show_the_kind(do, connection, sent):
    lamp = await do(Lamp, "create")
    assert lamp.kind == "mistaken_lamp"
    assert sent[0].body == {"description": {"kind": "mistaken_lamp"}}
    assert (await do(Lamp, "create", kind="mistaken_lamp")).kind == "mistaken_lamp"


@pytest.mark.parametrize("values", [{"kind": "x"}, {"description": {"kind": "x"}}])
async def test_a_new_twin_cannot_be_of_another_kind(do, connection, sent, values):
    with pytest.raises(ttorm.ValidationError, match="kind='mistaken_lamp', not 'x'"):
        await do(Lamp, "create", **values)
    assert sent == []


def test_docs_and_identities_of_right_types():
    class Right(Twin):
        manual: Field[Doc] = doc("manual.txt")
        serial: Field[str] = identity("SN", key=True)
        made: Field[datetime | None] = entry(default=None)

    assert set(Right.__fields__) == {"manual", "serial", "made"}


# Classes after they were made


class Fan(Twin):
    name: Field[str] = description()
    speed: Field[float] = entry(default=0.5)
    marks: Field[list[str]] = entry(default_factory=list)
    manual: Field[Doc] = doc("manual.txt")

    class Meta:
        kind = "mistaken_fan"


class SlowFan(Fan):
    limit: Field[float] = entry(default=0.1)


def test_a_field_is_not_replaced_on_the_class():
    with pytest.raises(
        TypeError, match=r"Fan.speed is a field of the class: assign it on a record"
    ):
        Fan.speed = 5
    with pytest.raises(TypeError, match=r"SlowFan.speed is a field"):
        SlowFan.speed = 5
    with pytest.raises(TypeError, match="declare it in the class body"):
        Fan.noise = entry()
    Fan.LIMIT = 5
    assert (Fan.LIMIT, str(Fan.speed < 1)) == (5, "LEDGER.speed < 1.0")
    del Fan.LIMIT


def test_the_signature_of_a_class():
    own = "description=None, entries=None, identities=()"
    assert str(inspect.signature(Twin)) == f"(*, {own})"
    fields = "name: str, speed: float = 0.5, marks: list[str] = <made>"
    assert str(inspect.signature(Fan)) == f"(*, {fields}, {own})"
    assert str(inspect.signature(SlowFan)) == f"(*, {fields}, limit: float = 0.1, {own})"
    assert (
        str(inspect.signature(Lamp)) == f"(*, kind: str = 'mistaken_lamp', watts: int = 5, {own})"
    )


def test_the_signature_of_a_constructor_of_ones_own():
    class Quiet(Fan):
        def __init__(self, name):
            super().__init__(name=name)

    assert str(inspect.signature(Quiet)) == "(name)"


async def test_taking_away_what_is_not_there(do, connection):
    fan = await do(Fan, "create", name="a")
    del fan.speed
    del fan.name
    for name in ("speed", "name"):
        with pytest.raises(AttributeError, match=f"no .* '{name}' to take away"):
            delattr(fan, name)
    result = await do(fan, "save")
    assert (result.deleted, result.updated) == (("speed",), ("name",))
