"""Copies and pickles: of records with attributes of their own, and of what belongs to a record."""

from __future__ import annotations

import copy
import pickle

import pytest

from ttorm import Doc, Entry, Field, Twin, doc, entry

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
}


class Mill(Twin):
    class Meta:
        kind = "mill"

    speed: Field[float] = entry(default=0.0)
    blades: Field[list[str]] = entry(default_factory=list)
    manual: Field[Doc] = doc("manual.txt")
    note = None


PARTS = {
    "description": lambda mill: mill.description,
    "ledger": lambda mill: mill.ledger,
    "ledgers": lambda mill: mill.ledgers,
    "foreign ledger": lambda mill: mill.ledgers.owner,
    "entry": lambda mill: mill.ledger["speed"],
    "identities": lambda mill: mill.identities,
    "identity": lambda mill: mill.identities["SN#1"],
    "docs": lambda mill: mill.docs,
    "doc": lambda mill: mill.manual,
    "stickers": lambda mill: mill.stickers,
}


@pytest.fixture
def mill(connection):
    return Mill.create(speed=2.0, blades=["a"], identities=["SN#1"])


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_stays_in_its_process(connection, way):
    with pytest.raises(TypeError, match=r"neither pickled nor copied: connect\(\) in each process"):
        WAYS[way](connection)


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_comes_with_its_record(mill, sent, part, way):
    mill.speed = 3.0
    sent.clear()
    found = WAYS[way](PARTS[part](mill))
    assert type(found) is type(PARTS[part](mill))
    assert repr(found) == repr(PARTS[part](mill))
    other = found._state.record()
    assert (other, other.speed) == (mill, 3.0)
    other.speed = 4.0
    assert mill.speed == 3.0
    assert sent == []


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_parts_stay_with_a_record_that_comes_along(mill, way):
    found = WAYS[way]({"blades": mill.ledger["blades"], "mill": mill})
    found["blades"].value.append("b")
    assert found["mill"].blades == ["a", "b"]
    assert mill.blades == ["a"]


@pytest.mark.parametrize("way", WAYS)
def test_an_entry_that_is_not_in_a_ledger(mill, way):
    mill.ledger["x"] = WAYS[way](Entry([5], visibility="true"))
    (request,) = mill.plan()
    assert request.body == {"entries": {"x": {"value": [5], "visibility": "true"}}}


@pytest.mark.parametrize("way", WAYS)
def test_attributes_that_are_no_fields(mill, way):
    mill.note = ["mind the belt"]
    found = WAYS[way](mill)
    assert found.note == ["mind the belt"]
    assert (found.note is mill.note) == (way == "copy")
    assert Mill.note is None


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_an_attribute_that_leads_back(mill, way):
    mill.note = {"again": mill}
    found = WAYS[way](mill)
    assert found.note["again"] is found


def test_records_of_a_listing(mill):
    (listed,) = Mill.scan()
    listed.note = 1
    for way in WAYS.values():
        assert (way(listed), way(listed).note) == (mill, 1)
