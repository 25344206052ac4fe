"""Descriptions, Ledgers and Entries without any declaration: ordinary mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

import ttorm
from ttorm import Entry, Twin
from ttorm.api.http import HttpResponse
from ttorm.rules import USER

# Description


async def test_the_description_is_a_dictionary(do, connection):
    twin = await do(Twin, "create", description={"model": "X1", "site": {"hall": 4}})
    description = twin.description
    assert isinstance(description, MutableMapping)
    assert (len(description), list(description)) == (2, ["model", "site"])
    assert ("model" in description, "colour" in description) == (True, False)
    assert (description.get("model"), description.get("colour", "grey")) == ("X1", "grey")
    assert description == {"model": "X1", "site": {"hall": 4}}
    assert repr(description) == "<description {'model': 'X1', 'site': {'hall': 4}}>"
    description.update(colour="red", site=None)
    assert description.pop("model") == "X1"
    assert description.setdefault("wheels", 2) == 2
    assert dict(description) == {"site": None, "colour": "red", "wheels": 2}
    await do(twin, "save")
    async with do.block(ttorm.session()):
        again = await do(Twin, "get", twin.uuid, fresh=True)
        assert dict(again.description) == {"site": None, "colour": "red", "wheels": 2}


async def test_assigning_a_whole_description(do, connection, sent):
    twin = await do(Twin, "create", description={"a": 1, "b": [1]})
    sent.clear()
    twin.description = {"b": [1], "c": 3}
    assert dict(twin.description) == {"b": [1], "c": 3}
    await do(twin, "save")
    assert sent.take() == [
        ("PATCH", f"/twins/{twin.uuid}", (), {"description": {"b": [1], "c": 3}})
    ]
    twin.description = {"c": 3, "b": [1]}
    assert not ttorm.inspect(twin).is_modified
    twin.description = {}
    assert (await do(twin, "save")).requests == 1
    assert sent[-1].body == {"description": {}}


async def test_assigning_a_whole_description_reads_nothing(do, connection, sent):
    made = await do(Twin, "create", description={"a": 1})
    sent.clear()
    async with do.block(ttorm.session()):
        twin = Twin.at(made.uuid)
        twin.description = {"b": 2}
        assert dict(twin.description) == {"b": 2}
        await do(twin, "save")
    assert sent.take() == [("PATCH", f"/twins/{twin.uuid}", (), {"description": {"b": 2}})]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("Model", 1, "'Model' is no description key"),
        ("9lives", 1, "is no description key"),
        ("x" * 65, 1, "is no description key"),
        (5, 1, "5 is no description key"),
        ("a", {1, 2}, r"description\['a'\] is a set, which JSON cannot hold: write a list"),
        ("a", {"b": [b"x"]}, r"description\['a'\]\['b'\]\[0\] is a bytes"),
        ("a", {1: 2}, "has the key 1"),
        ("a", float("nan"), "is nan"),
        ("a", "\ud800", "lone surrogate"),
        ("a", object(), "is an object"),
    ],
)
async def test_bad_descriptions_are_refused_at_once(do, connection, sent, key, value, message):
    twin = await do(Twin, "create", description={"a": 0})
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match=message):
        twin.description[key] = value
    with pytest.raises(ttorm.ValidationError):
        twin.description = {"b": 1, key: value}
    assert dict(twin.description) == {"a": 0}
    assert not ttorm.inspect(twin).is_modified
    assert sent == []


async def test_deleting_keys(do, connection, sent):
    twin = await do(Twin, "create", description={"a": 1, "b": 2})
    del twin.description["a"]
    with pytest.raises(KeyError):
        del twin.description["a"]
    with pytest.raises(KeyError):
        _ = twin.description["a"]
    sent.clear()
    await do(twin, "save")
    assert sent[0].body == {"description": {"b": 2}}


# Ledger


async def test_the_ledger_is_a_dictionary_of_entries(do, connection):
    twin = await do(Twin, "create", entries={"a": 1, "b": [1]})
    ledger = twin.ledger
    assert isinstance(ledger, MutableMapping)
    assert (len(ledger), list(ledger), "a" in ledger, "c" in ledger) == (2, ["a", "b"], True, False)
    assert {name: entry.value for name, entry in ledger.items()} == {"a": 1, "b": [1]}
    assert [entry.name for entry in ledger.values()] == ["a", "b"]
    assert (ledger.get("a").value, ledger.get("c"), ledger.get("c", 7)) == (1, None, 7)
    assert ledger.to_dict() == {"a": 1, "b": [1]}
    assert repr(ledger) == f"<Ledger 'personal' of {twin.uuid}>"
    ledger["c"] = 3
    ledger.update({"d": 4})
    del ledger["a"]
    assert ledger.to_dict() == {"b": [1], "c": 3, "d": 4}
    result = await do(twin, "save")
    assert result.created == ("ledger['c']", "ledger['d']")
    assert result.deleted == ("ledger['a']",)
    async with do.block(ttorm.session()):
        again = await do(Twin.at(twin.uuid), "load", "ledger")
        assert again.ledger.to_dict() == {"b": [1], "c": 3, "d": 4}


async def test_setdefault_and_pop(do, connection):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    ledger = twin.ledger
    assert ledger.setdefault("a", 9).value == 1
    assert ledger.setdefault("c", 9).value == 9
    assert ledger.pop("missing", None) is None
    with pytest.raises(KeyError):
        ledger.pop("missing")
    assert ledger.pop("b").value == 2
    assert ledger.to_dict() == {"a": 1, "c": 9}
    await do(twin, "save")
    async with do.block(ttorm.session()):
        again = await do(Twin.at(twin.uuid), "load", "ledger")
        assert again.ledger.to_dict() == {"a": 1, "c": 9}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upper", 1),
        ("1st", 1),
        ("a-b", 1),
        ("a b", 1),
        ("", 1),
        ("x" * 129, 1),
        (5, 1),
        ("a", float("inf")),
        ("a", {"b": {1}}),
        ("a", b"x"),
    ],
)
async def test_bad_entries_are_refused_at_once(do, connection, sent, name, value):
    twin = await do(Twin, "create", entries={"a": 0})
    sent.clear()
    with pytest.raises(ttorm.ValidationError):
        twin.ledger[name] = value
    with pytest.raises(ttorm.ValidationError):
        twin.ledger[name].value = value
    assert twin.ledger.to_dict() == {"a": 0}
    assert not ttorm.inspect(twin).is_modified
    assert sent == []


async def test_deleting_what_is_not_there(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": 1})
    with pytest.raises(KeyError):
        del twin.ledger["missing"]
    del twin.ledger["a"]
    with pytest.raises(KeyError):
        del twin.ledger["a"]


async def test_an_entry_that_was_new_and_is_deleted_again_sends_nothing(do, connection, sent):
    twin = await do(Twin, "create")
    sent.clear()
    twin.ledger["a"] = 1
    del twin.ledger["a"]
    assert not ttorm.inspect(twin).is_modified
    await do(twin, "save")
    assert sent == []


async def test_deleting_and_assigning_is_a_change(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": 1})
    sent.clear()
    del twin.ledger["a"]
    twin.ledger["a"] = 2
    await do(twin, "save")
    assert sent.lines() == [f"PATCH /twins/{twin.uuid}/ledgers/personal/value"]


async def test_properties_of_an_entry(do, connection, emulator, sent):
    emulator.clock.freeze(1_718_000_000)
    twin = await do(Twin, "create", entries={"a": Entry(1, visibility="true", history="3M")})
    emulator.clock.advance(10)
    entry = twin.ledger["a"]
    assert (entry.name, entry.value, entry.visibility, entry.history_period) == (
        "a",
        1,
        "true",
        "3M",
    )
    assert (entry.timeseries, entry.publish, entry.ref, entry.include, entry.ref_status) == (
        None,
    ) * 5
    entry.visibility = USER.team == "ops"
    entry.history_period = None
    sent.clear()
    await do(twin, "save")
    assert sent.take()[0].body == {
        "entries": {"a": {"visibility": 'USER.team == "ops"', "history": None}}
    }
    assert (entry.created_at.timestamp(), entry.updated_at.timestamp()) == (
        1_718_000_000,
        1_718_000_010,
    )
    assert entry.value_changed_at.timestamp() == 1_718_000_000


async def test_a_property_can_be_assigned_before_the_value(do, connection, sent):
    twin = await do(Twin, "create")
    twin.ledger["a"].history_period = "1Y"
    twin.ledger["a"].value = 5
    assert twin.ledger["a"].visibility is None
    sent.clear()
    await do(twin, "save")
    assert sent[0].body == {"entries": {"a": {"history": "1Y", "value": 5}}}


@pytest.mark.parametrize("period", ["3 months", "0D", "1000D", "", 3, "inf"])
async def test_bad_histories_are_refused_at_once(do, connection, period):
    twin = await do(Twin, "create", entries={"a": 1})
    with pytest.raises(ttorm.ValidationError, match="no history period: expected 1 to 999"):
        twin.ledger["a"].history_period = period
    with pytest.raises(ttorm.ValidationError, match="no history period"):
        Entry(1, history=period)
    assert not ttorm.inspect(twin).is_modified


def test_an_entry_alone_is_one_of_three(connection):
    for options in (
        {},
        {"value": 1, "ref": "twin://x"},
        {"ref": "twin://x", "include": "twin://y"},
    ):
        with pytest.raises(TypeError, match="exactly one of a value, ref= and include="):
            Entry(**options)
    entry = Entry([1])
    assert entry.value == [1]
    assert repr(entry) == "<Entry, not in a Ledger>"
    assert entry == entry  # noqa: PLR0124 # its own equal, and nobody else's
    assert entry != Entry([1])
    assert hash(entry) != hash(Entry([1]))
    for use in (entry.save, entry.refresh, entry.history):
        with pytest.raises(ttorm.StateError, match="belongs to no Ledger yet: assign it"):
            use()


async def test_one_entry_can_be_assigned_to_many(do, connection):
    template = Entry({"on": False}, history="1D")
    one, two = await do(Twin, "create"), await do(Twin, "create")
    one.ledger["lamp"], two.ledger["lamp"] = template, template
    for twin in (one, two):
        await do(twin, "save")
        assert twin.ledger["lamp"].value == {"on": False}
        assert twin.ledger["lamp"].history_period == "1D"


async def test_assigning_an_entry_of_another_ledger_copies_it(do, connection, sent):
    made = await do(Twin, "create", entries={"a": Entry({"x": 1}, visibility="true", history="1D")})
    two = await do(Twin, "create", entries={"b": 1})
    async with do.block(ttorm.session()):
        one = await do(Twin.at(made.uuid), "load", "ledger")
        two.ledger["a"] = one.ledger["a"]
    sent.clear()
    await do(two, "save")
    assert sent[0].body == {
        "entries": {"a": {"value": {"x": 1}, "visibility": "true", "history": "1D"}}
    }
    two.ledger["a"].value["x"] = 2
    assert one.ledger["a"].value == {"x": 1}


async def test_assigning_an_entry_to_itself_is_no_change(do, connection):
    twin = await do(Twin, "create", entries={"a": Entry({"x": 1}, visibility="true")})
    twin.ledger["a"] = twin.ledger["a"]
    twin.ledger.update(twin.ledger)
    assert not ttorm.inspect(twin).is_modified


async def test_references_and_includes(do, connection, sent, emulator):
    source = await do(Twin, "create", entries={"t": 20.5})
    twin = await do(Twin, "create")
    await do(connection, "whoami")
    account = emulator.accounts()[0]
    sent.clear()
    twin.ledger["outside"] = Entry(ref=source.ledger["t"])
    twin.ledger["inside"] = Entry(include=source.ledger["t"])
    await do(twin, "save")
    assert sent.take()[0].body == {
        "entries": {
            "outside": {"ref": {"source": f"twin://{source.uuid}/{account}/t"}},
            "inside": {"include": {"source": f"twin://{source.uuid}/t"}},
        }
    }
    outside, inside = twin.ledger["outside"], twin.ledger["inside"]
    # The value of a new reference comes after the answer; nothing else has to be read again.
    assert inside.value == 20.5
    assert sent == []
    await do(twin, "load", "ledger")
    assert outside.ref == f"twin://{source.uuid}/{account}/t"
    assert inside.include == f"twin://{source.uuid}/t"
    assert (outside.value, outside.ref_status) == (20.5, "ok")
    outside.ref = source.ledger["t"]
    assert not ttorm.inspect(twin).is_modified


async def test_a_reference_needs_a_saved_source(do, connection, sent):
    source = Twin(entries={"a": 1})
    twin = Twin(entries={"b": Entry(ref=source.ledger["a"])})
    with pytest.raises(ttorm.StateError, match=r"of \(new Twin\).*save\(\) that first"):
        await do(twin, "save")
    assert sent == []


async def test_saving_one_entry_alone(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    twin.ledger["a"].value, twin.ledger["b"].value = 10, 20
    sent.clear()
    result = await do(twin.ledger["a"], "save")
    assert result.updated == ("ledger['a']",)
    assert sent.take()[0].body == {"entries": {"a": {"value": 10}}}
    assert ttorm.inspect(twin).changes == {"ledger['b']": (2, 20)}
    assert (await do(twin.ledger["a"], "save")).requests == 0
    assert sent == []


async def test_refreshing_one_entry_alone(do, connection, others, sent):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    for name in ("a", "b"):
        body = {"entries": {name: {"value": 9}}}
        others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    sent.clear()
    assert (await do(twin.ledger["a"], "refresh")).value == 9
    assert sent.take() == [
        ("GET", f"/twins/{twin.uuid}/ledgers/personal", (("entries", "a"),), None)
    ]
    assert twin.ledger["b"].value == 2
    others.call("delete_twin_ledger_entry", twin.uuid, entries=["a"])
    await do(twin.ledger["a"], "refresh")
    assert "a" not in twin.ledger


async def test_deleting_one_entry_at_once(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    twin.ledger["b"].value = 3
    sent.clear()
    result = await do(twin.ledger["a"], "delete")
    assert result.deleted == ("ledger['a']",)
    assert sent.take() == [
        ("DELETE", f"/twins/{twin.uuid}/ledgers/personal", (("entries", "a"),), None)
    ]
    assert ttorm.inspect(twin).changes == {"ledger['b']": (2, 3)}
    assert "a" not in twin.ledger


async def test_clearing_a_ledger(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    twin.ledger["c"] = 3
    sent.clear()
    await do(twin.ledger, "clear")
    assert sent.take() == [("DELETE", f"/twins/{twin.uuid}/ledgers/personal", (), None)]
    assert (len(twin.ledger), ttorm.inspect(twin).is_modified) == (0, False)
    unsaved = Twin(entries={"a": 1})
    await do(unsaved.ledger, "clear")
    assert len(unsaved.ledger) == 0
    assert sent == []


async def test_equal_parts(do, connection):
    twin, other = await do(Twin, "create"), await do(Twin, "create")
    assert twin.ledger == twin.ledger != other.ledger
    assert twin.ledger["a"] == twin.ledger["a"] != twin.ledger["b"]
    assert twin.ledger["a"] != other.ledger["a"]
    assert twin.ledger != {}
    assert twin.ledger["a"] != 1
    assert {twin.ledger["a"], twin.ledger["a"]} == {twin.ledger["a"]}
    assert twin.identities.add("SN#1") == twin.identities["SN#1"] != other.identities.add("SN#1")
    async with do.block(ttorm.session()):
        assert Twin.at(twin.uuid).ledger == twin.ledger
        assert Twin.at(twin.uuid).ledger["a"] == twin.ledger["a"]
        assert hash(Twin.at(twin.uuid).ledger["a"]) == hash(twin.ledger["a"])


def test_parts_of_unsaved_records_have_no_hash(connection):
    twin = Twin(entries={"a": 1}, identities=["SN#1"])
    for part in (twin.ledger, twin.ledger["a"], twin.identities["SN#1"]):
        with pytest.raises(TypeError, match="no hash before it is saved"):
            hash(part)


async def test_texts_of_parts(do, connection):
    twin = await do(Twin, "create")
    assert repr(twin) == f"<Twin {twin.uuid}>"
    assert repr(twin.ledger["a"]) == f"<Entry 'a' of {twin.uuid}/personal>"
    assert repr(twin.ledgers) == f"<Ledgers of {twin.uuid}>"
    assert repr(twin.ledgers.owner) == f"<Ledger 'owner' of {twin.uuid}>"
    assert repr(twin.identities) == f"<Identities of {twin.uuid}>"
    assert repr(twin.docs) == f"<Docs of {twin.uuid}>"
    assert repr(Twin()) == "<Twin (not saved)>"
    assert repr(Twin.at(str(uuid4())).description).endswith("not loaded>")
    assert isinstance(twin.docs, Mapping)


async def test_timeseries_and_publish_are_written_as_they_are(do, connection):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["a"].timeseries = {"table": {"column": "a"}}
    twin.ledger["a"].publish = {"VALUE > 5": ["topic"]}
    twin.ledger["b"] = Entry(1, timeseries={"t": {}}, publish={"true": ["topic"]})
    assert [request.body["entries"] for request in twin.plan()] == [
        {"b": {"value": 1, "timeseries": {"t": {}}, "publish": {"true": ["topic"]}}},
        {
            "a": {
                "timeseries": {"table": {"column": "a"}},
                "publish": {"VALUE > 5": ["topic"]},
            }
        },
    ]
    twin.ledger["a"].publish["VALUE > 5"].append("other")
    assert twin.plan()[1].body["entries"]["a"]["publish"] == {"VALUE > 5": ["topic", "other"]}
    twin.discard()


# Names that cannot be


@pytest.mark.parametrize("part", ["description", "ledger", "identities", "docs"])
@pytest.mark.parametrize("name", [5, None, "a b!", "//", ("x",)])
async def test_what_cannot_be_is_not_there(do, connection, sent, part, name):
    twin = await do(Twin, "create", description={"a": 1}, identities=["A#1"])
    sent.clear()
    names = getattr(twin, part)
    assert name not in names
    assert names.get(name, "default") == "default"
    assert sent == []


async def test_asking_for_a_key_hands_nothing_out(do, connection):
    twin = await do(Twin, "create", description={"site": {"hall": 4}})
    assert "site" in twin.description
    assert "hall" not in twin.description
    assert not ttorm.inspect(twin).is_modified
    twin.description["note"] = "x"
    del twin.description["site"]
    assert [key in twin.description for key in ("site", "note")] == [False, True]


async def test_odd_names_of_the_service_can_be_read(do, connect):
    connection = connect(default=True, cache=None)
    twin = await do(Twin, "create")
    facts = connection.call("get_twin", twin.uuid)
    answers = {
        f"/twins/{twin.uuid}": facts | {"description": {"Odd Key": [1]}},
        f"/twins/{twin.uuid}/identities": {"identities": {"odd": {}}},
        f"/twins/{twin.uuid}/docs": {"docs": {"odd name": [1.5, 1.5, 1]}},
    }

    def meddle(request):
        path = urlsplit(request.url).path
        return HttpResponse(200, {}, json.dumps(answers[path]).encode())

    connection.transport.meddle = meddle
    async with do.block(ttorm.session()):
        found = Twin.at(twin.uuid)
        await do(found, "load", "description", "identities", "docs")
        assert dict(found.description) == {"Odd Key": [1]}
        assert [str(identity) for identity in found.identities.values()] == ["odd"]
        assert [doc.name for doc in found.docs.values()] == ["odd name"]


@pytest.mark.parametrize("part", ["description", "ledger", "identities", "docs"])
async def test_one_name_is_looked_up_without_going_through_all(do, connection, monkeypatch, part):
    from ttorm.records.items import Items

    listed, names = [], Items.names
    twin = await do(
        Twin, "create", description={"a": 1, "b": 2}, entries={"a": 1, "b": 2}, identities=["A#1"]
    )
    await do(twin.docs, "upload", "a.txt", b"x")
    await do(twin, "load", "docs", "identities")
    monkeypatch.setattr(Items, "names", lambda items: listed.append(1) or names(items))
    for name, held in getattr(twin, part).items():
        assert name in getattr(twin, part)
        assert getattr(twin, part).get(name) == held
    assert len(listed) <= 1


async def test_asking_for_a_name_tells_of_changes(do, connection):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2}, identities=["A#1", "B#1"])
    await do(twin, "load", "identities")
    twin.ledger["c"] = 3
    del twin.ledger["a"]
    assert [name in twin.ledger for name in "abcd"] == [False, True, True, False]
    assert [name for name in "abcd" if name in twin.ledger] == sorted(twin.ledger)
    twin.identities.add("C#1")
    del twin.identities["A#1"]
    texts = ["A#1", "B#1", "C#1", "D#1"]
    assert [text in twin.identities for text in texts] == [False, True, True, False]
    assert [text for text in texts if text in twin.identities] == sorted(twin.identities)
