"""What counts as a change: also deep inside, also in what a user still holds."""

from __future__ import annotations

import enum

import pydantic
import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry


class Stop(pydantic.BaseModel):
    name: str
    lines: list[int] = []


class Tram(Twin):
    label: Field[str] = description(default="")
    site: Field[dict[str, int]] = description(default_factory=dict)
    speed: Field[float] = entry(default=0.0)
    route: Field[list[Stop]] = entry(default_factory=list)
    settings: Field[dict[str, list[int]]] = entry(default_factory=dict)


def changes(record):
    return dict(ttorm.inspect(record).changes)


# Scalars


async def test_setting_back_is_clean(do, connection, sent):
    tram = await do(Tram, "create", speed=5, label="a")
    sent.clear()
    tram.speed, tram.label = 6, "b"
    assert changes(tram) == {"speed": (5.0, 6.0), "label": ("a", "b")}
    tram.speed, tram.label = 5, "a"
    assert changes(tram) == {}
    assert not ttorm.inspect(tram).is_modified
    await do(tram, "save")
    assert sent == []


@pytest.mark.parametrize(
    ("first", "second"), [(1, True), (0, False), (1, 1.0), (None, 0), ("", None)]
)
async def test_values_that_python_calls_equal_may_differ_in_json(do, connection, first, second):
    twin = await do(Twin, "create", entries={"x": first})
    twin.ledger["x"] = second
    if (first, second) == (None, 0) or type(first) is not type(second):
        assert ttorm.inspect(twin).is_modified
    twin.ledger["x"] = first
    assert not ttorm.inspect(twin).is_modified


async def test_scalars_of_fields_compare_as_validated(do, connection, others):
    tram = await do(Tram, "create")
    others.call(
        "update_twin_ledger_entry_value", tram.uuid, body={"entries": {"speed": {"value": 5}}}
    )
    await do(tram, "refresh")
    tram.speed = 5.0
    assert not ttorm.inspect(tram).is_modified
    tram.speed = "5"
    assert not ttorm.inspect(tram).is_modified
    assert tram.ledger["speed"].value == 5


async def test_key_order_is_no_change(do, connection):
    twin = await do(Twin, "create", entries={"x": {"a": 1, "b": {"c": 2, "d": 3}}})
    twin.ledger["x"] = {"b": {"d": 3, "c": 2}, "a": 1}
    assert not ttorm.inspect(twin).is_modified


# In place


MUTATIONS = {
    "append": lambda value: value["list"].append(9),
    "extend": lambda value: value["list"].extend([9]),
    "insert": lambda value: value["list"].insert(0, 9),
    "remove": lambda value: value["list"].remove(1),
    "pop": lambda value: value["list"].pop(),
    "clear": lambda value: value["list"].clear(),
    "sort": lambda value: value["list"].sort(),
    "reverse": lambda value: value["list"].reverse(),
    "item": lambda value: value["list"].__setitem__(0, 9),
    "slice": lambda value: value["list"].__setitem__(slice(0, 1), [8, 9]),
    "del item": lambda value: value["list"].__delitem__(0),
    "iadd": lambda value: value["list"].__iadd__([9]),
    "imul": lambda value: value["list"].__imul__(2),
    "deeper": lambda value: value["list"][2].append(5),
    "key": lambda value: value.__setitem__("new", 1),
    "del key": lambda value: value.__delitem__("list"),
    "update": lambda value: value.update(new=1),
    "setdefault": lambda value: value.setdefault("new", 1),
    "dict pop": lambda value: value.pop("list"),
    "popitem": lambda value: value.popitem(),
    "dict clear": lambda value: value.clear(),
    "ior": lambda value: value.__ior__({"new": 1}),
}


def nested():
    return {"deep": {"er": [1]}, "list": [3, 1, [4]]}


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_every_mutator_is_noticed(do, connection, sent, mutation):
    value = nested()
    value["list"] = [3, 1] if mutation == "sort" else value["list"]
    expected = {**nested(), "list": list(value["list"])}
    if mutation == "deeper":
        expected["list"][2] = [4]
    MUTATIONS[mutation](expected)
    twin = await do(Twin, "create", entries={"x": value}, description={"x": value})
    async with do.block(ttorm.session()):
        twin = await do(Twin.at(twin.uuid), "load")
        assert not ttorm.inspect(twin).is_modified
        MUTATIONS[mutation](twin.ledger["x"].value)
        MUTATIONS[mutation](twin.description["x"])
        assert set(changes(twin)) == {"ledger['x']", "description['x']"}
        sent.clear()
        await do(twin, "save")
        assert [request.body for request in sent.take() if request.method != "GET"] == [
            {"description": {"x": expected}},
            {"entries": {"x": {"value": expected}}},
        ]
        assert not ttorm.inspect(twin).is_modified


async def test_undoing_in_place_is_clean(do, connection):
    twin = await do(Twin, "create", entries={"x": {"a": [1]}})
    value = twin.ledger["x"].value
    value["a"].append(2)
    value["b"] = 3
    assert ttorm.inspect(twin).is_modified
    value["a"].pop()
    del value["b"]
    assert not ttorm.inspect(twin).is_modified


async def test_typed_containers_in_place(do, connection, sent):
    tram = await do(Tram, "create", route=[Stop(name="A")], settings={"x": [1]}, site={"hall": 1})
    tram.route[0].lines.append(7)
    tram.route.append(Stop(name="B"))
    tram.settings["x"][0] = 2
    tram.site["hall"] = 2
    assert changes(tram) == {
        "route": ([Stop(name="A")], [Stop(name="A", lines=[7]), Stop(name="B")]),
        "settings": ({"x": [1]}, {"x": [2]}),
        "site": ({"hall": 1}, {"hall": 2}),
    }
    sent.clear()
    await do(tram, "save")
    assert [request.method for request in sent] == ["PATCH", "PATCH"]
    assert changes(tram) == {}


async def test_reading_alone_changes_nothing(do, connection, sent):
    tram = await do(Tram, "create", route=[{"name": "A"}], settings={"x": [1]})
    async with do.block(ttorm.session()):
        tram = await do(Tram.at(tram.uuid), "load")
        _ = tram.route, tram.settings, tram.site, tram.ledger["route"].value, tram.label
        assert not ttorm.inspect(tram).is_modified
        sent.clear()
        assert (await do(tram, "save")).requests == 0
    assert sent == []


async def test_what_is_handed_out_is_nobody_elses(do, connection, connect):
    twin = await do(Twin, "create", entries={"x": {"a": [1]}})
    async with do.block(ttorm.session()):
        one = await do(Twin.at(twin.uuid), "load", "ledger")
        one.ledger["x"].value["a"].append(2)
        async with do.block(ttorm.session()):
            # The same kept answer.
            two = await do(Twin.at(twin.uuid), "load", "ledger")
            assert two.ledger["x"].value == {"a": [1]}
        one.discard()
    assert twin.ledger["x"].value == {"a": [1]}


# The same container, held on


async def test_save_then_change_the_held_container_again(do, connection, sent):
    twin = await do(Twin, "create", entries={"x": [1]})
    held = twin.ledger["x"].value
    for number in (2, 3, 4):
        held.append(number)
        sent.clear()
        assert (await do(twin, "save")).updated == ("ledger['x']",)
        assert sent[0].body == {"entries": {"x": {"value": list(range(1, number + 1))}}}
        assert twin.ledger["x"].value is held
        assert not ttorm.inspect(twin).is_modified


async def test_a_handed_in_container_is_watched(do, connection, sent):
    mine = {"a": [1]}
    twin = await do(Twin, "create")
    twin.ledger["x"] = mine
    mine["a"].append(2)
    assert twin.ledger["x"].value is mine
    sent.clear()
    await do(twin, "save")
    assert sent[0].body == {"entries": {"x": {"value": {"a": [1, 2]}}}}
    mine["a"].append(3)
    await do(twin, "save")
    assert sent[-1].body == {"entries": {"x": {"value": {"a": [1, 2, 3]}}}}


@pytest.mark.parametrize("field", ["route", "settings", "site"])
async def test_changing_a_container_that_a_newer_value_has_replaced_warns(
    do, connection, sent, field
):
    tram = await do(Tram, "create", route=[{"name": "A"}], settings={"x": [1]}, site={"x": 1})
    held = getattr(tram, field)
    async with do.block(ttorm.session()):
        other = await do(Tram.at(tram.uuid), "load")
        getattr(other, field).clear()
        await do(other, "save")
    await do(tram, "refresh")
    assert not getattr(tram, field)
    assert not ttorm.inspect(tram).is_modified
    held.clear()
    sent.clear()
    with pytest.warns(ttorm.UnsavedChangesWarning, match=rf"{field}.* read it again"):
        await do(tram, "save")
    assert sent == []
    # Told once.
    assert (await do(tram, "save")).requests == 0


async def test_changing_the_view_that_a_save_of_the_other_has_replaced_warns(do, connection, sent):
    tram = await do(Tram, "create", settings={"x": [1]})
    typed, plain = tram.settings, tram.ledger["settings"].value
    typed["y"] = [2]
    await do(tram, "save")
    plain["z"] = [3]
    sent.clear()
    with pytest.warns(ttorm.UnsavedChangesWarning, match="settings.* read it again"):
        await do(tram, "save")
    assert sent == []
    assert tram.settings == tram.ledger["settings"].value == {"x": [1], "y": [2]}


async def test_a_container_that_was_given_up_changes_without_a_warning(do, connection, sent):
    twin = await do(Twin, "create", entries={"x": [1]})
    held = twin.ledger["x"].value
    async with do.block(ttorm.session()):
        other = await do(Twin.at(twin.uuid), "load", "ledger")
        other.ledger["x"] = [2]
        await do(other, "save")
    await do(twin.ledger, "refresh")
    assert twin.ledger["x"].value == [2]
    twin.ledger["x"] = [3]
    held.append(4)
    sent.clear()
    await do(twin, "save")
    assert [request.body for request in sent] == [{"entries": {"x": {"value": [3]}}}]


@pytest.mark.parametrize("part", ["entries", "description"])
async def test_a_container_given_to_create_is_watched(do, connection, sent, part):
    mine = [1]
    twin = await do(Twin, "create", **{part: {"x": mine}})
    mine.append(2)
    sent.clear()
    await do(twin, "save")
    assert len(sent) == 1
    mine.append(3)
    assert ttorm.inspect(twin).is_modified


async def test_a_container_inside_an_entry_object_is_watched(do, connection, sent):
    mine = [1]
    twin = await do(Twin, "create")
    twin.ledger["x"] = Entry(mine, history="1D")
    mine.append(2)
    sent.clear()
    await do(twin, "save")
    assert sent[0].body == {"entries": {"x": {"value": [1, 2], "history": "1D"}}}


async def test_a_container_given_to_a_field(do, connection):
    tram = await do(Tram, "create")
    tram.settings = {"a": [1]}
    tram.settings["a"].append(2)
    assert tram.ledger["settings"].value == {"a": [1, 2]}
    await do(tram, "save")
    tram.settings["a"].append(3)
    assert changes(tram) == {"settings": ({"a": [1, 2]}, {"a": [1, 2, 3]})}


async def test_changing_while_the_save_is_under_way_is_not_lost(do, connection, wire, sent):
    twin = await do(Twin, "create", entries={"x": [1], "y": 1})
    held = twin.ledger["x"].value
    held.append(2)
    twin.ledger["y"] = 2

    def meddle(request):
        held.append(3)
        twin.ledger["y"] = 3
        wire.meddle = lambda request: None

    wire.meddle = meddle
    sent.clear()
    await do(twin, "save")
    assert sent.take()[0].body == {"entries": {"x": {"value": [1, 2]}, "y": {"value": 2}}}
    assert changes(twin) == {"ledger['x']": ([1, 2], [1, 2, 3]), "ledger['y']": (2, 3)}
    await do(twin, "save")
    assert sent.take()[0].body == {"entries": {"x": {"value": [1, 2, 3]}, "y": {"value": 3}}}


# Two views


async def test_a_change_in_one_view_shows_in_the_other(do, connection):
    tram = await do(Tram, "create", settings={"a": [1]})
    typed, untyped = tram.settings, tram.ledger["settings"].value
    assert typed == untyped
    untyped["a"].append(2)
    assert changes(tram) == {"settings": ({"a": [1]}, {"a": [1, 2]})}
    await do(tram, "save")
    assert (tram.settings, tram.ledger["settings"].value) == ({"a": [1, 2]}, {"a": [1, 2]})


async def test_two_views_changed_alike(do, connection):
    tram = await do(Tram, "create", settings={"a": [1]})
    typed, untyped = tram.settings, tram.ledger["settings"].value
    typed["a"].append(2)
    untyped["a"].append(2)
    assert (await do(tram, "save")).updated == ("settings",)
    assert not ttorm.inspect(tram).is_modified


async def test_one_view_after_the_other(do, connection, sent):
    tram = await do(Tram, "create", settings={"a": [1]})
    tram.settings["a"].append(2)
    tram.ledger["settings"].value["a"].append(3)
    sent.clear()
    await do(tram, "save")
    assert sent[0].body == {"entries": {"settings": {"value": {"a": [1, 2, 3]}}}}
    assert not ttorm.inspect(tram).is_modified
    assert tram.settings == tram.ledger["settings"].value == {"a": [1, 2, 3]}
    assert (await do(tram, "save")).requests == 0


async def test_two_views_changed_differently(do, connection, sent):
    tram = await do(Tram, "create", settings={"a": [1]})
    typed, untyped = tram.settings, tram.ledger["settings"].value
    typed["a"].append(2)
    untyped["a"].append(3)
    sent.clear()
    with pytest.raises(ttorm.ConflictError, match="changed in two places"):
        await do(tram, "save")
    assert sent == []
    untyped["a"].pop()
    await do(tram, "save")
    assert sent[0].body == {"entries": {"settings": {"value": {"a": [1, 2]}}}}


async def test_two_classes_see_one_change(do, connection):
    class Wagon(Twin):
        speed: Field[int] = entry(default=0)

    tram = await do(Tram, "create", speed=5)
    wagon = Wagon.at(tram.uuid)
    assert wagon.speed == 5
    tram.speed = 7
    assert wagon.speed == 7
    wagon.speed = 5
    assert tram.speed == 5.0
    assert not ttorm.inspect(tram).is_modified


# Loading newer answers


async def test_a_newer_answer_refreshes_what_was_not_changed(do, connection, others):
    tram = await do(Tram, "create", speed=1, settings={"a": [1]}, label="a")
    held, route = tram.settings, tram.route
    tram.speed = 2
    body = {"entries": {"speed": {"value": 9}, "settings": {"value": {"a": [9]}}}}
    others.call("update_twin_ledger_entry_value", tram.uuid, body=body)
    await do(tram, "refresh")
    assert changes(tram) == {"speed": (9.0, 2.0)}
    assert tram.settings == {"a": [9]}
    assert held == {"a": [1]}
    assert tram.route is route


async def test_a_changed_container_survives_a_newer_answer(do, connection, others):
    tram = await do(Tram, "create", settings={"a": [1]})
    tram.settings["a"].append(2)
    body = {"entries": {"settings": {"value": {"a": [9]}}}}
    others.call("update_twin_ledger_entry_value", tram.uuid, body=body)
    await do(tram, "refresh")
    assert changes(tram) == {"settings": ({"a": [9]}, {"a": [1, 2]})}
    assert tram.settings == {"a": [1, 2]}


async def test_a_newer_answer_that_says_the_same_makes_it_clean(do, connection, others):
    tram = await do(Tram, "create", settings={"a": [1]}, speed=1)
    tram.settings["a"].append(2)
    tram.speed = 2
    body = {"entries": {"settings": {"value": {"a": [1, 2]}}, "speed": {"value": 2}}}
    others.call("update_twin_ledger_entry_value", tram.uuid, body=body)
    await do(tram, "refresh")
    assert not ttorm.inspect(tram).is_modified


# Forgetting


async def test_discarding(do, connection, sent):
    tram = await do(Tram, "create", speed=1, settings={"a": [1]}, label="a")
    tram.speed, tram.label = 2, "b"
    held = tram.settings
    held["a"].append(2)
    tram.ledger["new"] = 1
    del tram.ledger["route"]
    tram.identities.add("SN#1")
    tram.discard()
    sent.clear()
    assert changes(tram) == {}
    assert (tram.speed, tram.label, tram.settings, tram.route) == (1.0, "a", {"a": [1]}, [])
    assert held == {"a": [1, 2]}
    assert "new" not in tram.ledger
    assert list(tram.identities) == []
    held["a"].append(3)
    assert (await do(tram, "save")).requests == 0
    assert sent == []


async def test_what_is_changed_shows_old_and_new(do, connection):
    tram = await do(Tram, "create", speed=1, label="a")
    tram.speed = 2
    tram.ledger["extra"] = {"x": 1}
    tram.ledger["speed"].visibility = "true"
    del tram.description["label"]
    tram.identities.add("SN#1")
    shown = ttorm.inspect(tram)
    assert str(shown.changes).splitlines() == [
        "label: 'a' -> None",
        "speed: 1.0 -> 2.0",
        "speed.visibility: None -> 'true'",
        "ledger['extra']: None -> {'x': 1}",
        "identities['SN#1']: None -> '1'",
    ]
    assert (shown.state, shown.is_modified) == ("modified", True)
    assert repr(shown).startswith(f"<<Tram {tram.uuid}>: modified, loaded description, ledger")
    with pytest.raises(TypeError, match="takes a record, found int"):
        ttorm.inspect(5)


class Level(enum.IntEnum):
    LOW = 1


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [Level.LOW, Colour.RED, [Colour.RED], {Colour.RED: Level.LOW}])
async def test_enumerations_of_texts_and_numbers_are_written_as_these(do, connection, value):
    twin = await do(Twin, "create", entries={"x": value}, description={"x": value})
    assert not ttorm.inspect(twin).is_modified
    twin.ledger["x"] = twin.description["x"] = value
    assert not ttorm.inspect(twin).is_modified


@pytest.mark.parametrize("part", ["ledger", "description"])
async def test_what_is_set_back_to_what_it_was_before_the_last_save_is_a_change(
    do, connection, others, part
):
    twin = await do(Twin, "create", entries={"n": [0]}, description={"n": [0]})
    held = twin.ledger["n"].value if part == "ledger" else twin.description["n"]
    assert (await do(twin, "save")).requests == 0
    held.append(1)
    assert (await do(twin, "save")).requests == 1
    held.pop()
    assert ttorm.inspect(twin).is_modified
    assert (await do(twin, "save")).requests == 1
    entries = others.call("get_twin_ledger_entry", twin.uuid)["entries"]
    assert entries["n"]["value"] == [0]
    assert others.call("get_twin", twin.uuid)["description"] == {"n": [0]}


async def test_what_is_set_back_after_somebody_else_wrote_the_same_is_a_change(
    do, connection, others
):
    twin = await do(Twin, "create", entries={"n": [0]})
    held = twin.ledger["n"].value
    assert not ttorm.inspect(twin).is_modified
    held.append(1)
    body = {"entries": {"n": {"value": [0, 1]}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    await do(twin, "refresh")
    held.pop()
    assert (await do(twin, "save")).updated == ("ledger['n']",)
