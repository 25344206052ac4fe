"""Known objects, weakly held."""

from __future__ import annotations

import pytest

from ttorm.identitymap import IdentityMap


class Thing:
    pass


def test_it_holds_nothing_alive():
    known, thing = IdentityMap(), Thing()
    known["a"] = thing
    assert (known.get("a"), known["a"], dict(known)) == (thing, thing, {"a": thing})
    del thing
    assert (known.get("a"), known.find(["a"]), len(known), list(known)) == (None, [None], 0, [])
    with pytest.raises(KeyError):
        known["a"]


def test_many_at_once():
    known, things = IdentityMap(), [Thing(), Thing()]
    known.add(["a", "b"], things)
    assert known.find(["b", "x", "a"]) == [things[1], None, things[0]]
    del known["a"]
    assert known.find(["a", "b"]) == [None, things[1]]


def test_the_places_of_the_ended_are_given_up():
    known, kept, sizes = IdentityMap(), Thing(), set()
    known["kept"] = kept
    for page in range(100):
        things = [Thing() for _ in range(1_000)]
        known.add([f"{page}-{number}" for number in range(1_000)], things)
        sizes.add(len(known._places))
    assert max(sizes) <= 5_000
    assert known["kept"] is kept


def test_the_living_keep_their_places():
    known, things = IdentityMap(), [Thing() for _ in range(20_000)]
    for number, thing in enumerate(things):
        known[str(number)] = thing
    assert len(known) == 20_000
    assert known["0"] is things[0]
