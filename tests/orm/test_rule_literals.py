"""Values in rules go through the codec of their field, also where they are parts of its values."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pydantic
import pytest

import ttorm
from ttorm import Field, Link, Twin, description, entry

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
MARK = UUID(int=7)


class Crop(enum.Enum):
    BASIL = "basil"
    MINT = "mint"


class Bed(Twin):
    name: Field[str] = description(default="")
    crops: Field[list[Crop]] = entry(default_factory=list)
    marks: Field[set[UUID]] = entry(default_factory=set)
    times: Field[list[datetime]] = entry(default_factory=list)
    seasons: Field[dict[str, Crop]] = entry(default_factory=dict)
    levels: Field[list[float]] = entry(default_factory=list)
    price: Field[Decimal] = entry(default=Decimal("1.5"))
    size: Field[float] = entry(default=1.0)
    beside: Field[list[Link[Twin]]] = entry(default_factory=list)


RULES = {
    "an element of a list": lambda bed: Bed.crops.contains(Crop.MINT),
    "an element of a set": lambda bed: Bed.marks.contains(MARK),
    "a moment in a list": lambda bed: Bed.times.contains(NOON),
    "a value of a mapping": lambda bed: Bed.seasons["spring"] == Crop.MINT,
    "the same as an attribute": lambda bed: Bed.seasons.spring == Crop.MINT,
    "one of several": lambda bed: Bed.seasons["spring"].in_([Crop.BASIL, Crop.MINT]),
    "an element at a place": lambda bed: Bed.crops[0] == Crop.MINT,
    "some element": lambda bed: Bed.crops.any(lambda crop: crop == Crop.MINT),
    "all elements": lambda bed: ~Bed.crops.all(lambda crop: crop == Crop.BASIL),
    "a linked record": Bed.beside.contains,
    "plain elements": lambda bed: Bed.levels.any(lambda level: level > 2),
    "a plain element": lambda bed: Bed.levels.contains(2.5),
    "what is stored": lambda bed: Bed.crops.contains("mint"),
    "a key": lambda bed: Bed.seasons.contains("spring"),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
async def test_parts_of_values(do, connection, rule):
    await do(Bed, "create", crops=[Crop.BASIL])
    bed = await do(
        Bed,
        "create",
        crops=[Crop.MINT],
        marks={MARK},
        times=[NOON],
        seasons={"spring": Crop.MINT},
        levels=[2.5],
    )
    bed.beside = [bed]
    await do(bed, "save")
    found = rule(bed)
    assert await do.list(Bed.scan(found)) == [bed]
    assert await do(found, "matches", bed)


def test_texts_of_rules():
    assert str(Bed.crops.contains(Crop.MINT)) == '"mint" in LEDGER.crops'
    assert str(Bed.seasons["spring"] != Crop.MINT) == 'LEDGER.seasons.spring != "mint"'
    assert str(Bed.marks.contains(MARK)) == f'"{MARK}" in LEDGER.marks'


async def test_none_asks_for_what_is_missing_whatever_the_type(do, connection):
    await do(Bed, "create")
    bare = await do(Twin, "create")
    assert str(Bed.size == None) == str(Bed.size.is_null())  # noqa: E711 # a rule
    assert await do.list(Bed.scan(Bed.size == None)) == [bare]  # noqa: E711 # a rule


def test_what_is_no_value_of_a_part_is_refused():
    with pytest.raises(ttorm.ValidationError, match="which JSON cannot hold"):
        Bed.crops.contains(object())
    with pytest.raises(ttorm.ValidationError, match="which JSON cannot hold"):
        _ = Bed.seasons["spring"] == object()


def test_parts_that_are_no_json_have_no_order():
    with pytest.raises(TypeError, match="only == and !="):
        Bed.times.any(lambda time: time < NOON)
    with pytest.raises(TypeError, match="only == and !="):
        _ = Bed.price + 1
    with pytest.raises(TypeError, match="only == and !="):
        _ = 1 - Bed.price


def test_members_of_models_need_plain_values():
    class Site(pydantic.BaseModel):
        hall: str
        crop: Crop

    class Shed(Twin):
        site: Field[Site] = entry()

    assert str(Shed.site.hall == "A") == 'LEDGER.site.hall == "A"'
    with pytest.raises(ttorm.ValidationError, match="which JSON cannot hold"):
        _ = Shed.site.crop == Crop.MINT
