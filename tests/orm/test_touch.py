"""Values sent again although nothing changed."""

from __future__ import annotations

import pytest

from ttorm import Field, Twin, connect, entry, identity, inspect


class Pump(Twin):
    pressure: Field[float] = entry(history="INF")
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str | None] = identity("SN", default=None)


@pytest.fixture
def pump():
    with connect("memory:"):
        yield Pump.create(pressure=2.5)


def test_a_touched_field_is_sent_once_more(pump):
    pump.touch("pressure")
    assert [str(request.body) for request in pump.plan()] == [
        "{'entries': {'pressure': {'value': 2.5}}}"
    ]
    pump.save()
    assert len(list(pump.ledger["pressure"].history())) == 2
    assert not inspect(pump).is_modified


def test_a_touched_container_stays_the_same_object(pump):
    tags = pump.tags
    pump.touch("tags")
    pump.save()
    tags.append("new")
    assert pump.tags is tags
    assert inspect(pump).is_modified


def test_touching_the_twin_sends_its_description(pump):
    pump.description["model"] = "X1"
    pump.save()
    before = pump.updated_at
    pump.touch()
    assert pump.save().requests == 1
    assert pump.updated_at > before


def test_a_touched_entry_not_loaded_is_loaded(pump):
    other = Pump.at(pump.uuid)
    other.ledger["pressure"].touch()
    assert other.plan()[0].body == {"entries": {"pressure": {"value": 2.5}}}


def test_discard_forgets_the_touch(pump):
    pump.touch("pressure")
    pump.discard()
    assert not inspect(pump).is_modified


def test_what_cannot_be_touched_says_why(pump):
    with pytest.raises(TypeError, match="did you mean 'pressure'"):
        pump.touch("presure")
    with pytest.raises(TypeError, match="Identity"):
        pump.touch("serial")
