"""Saving with ``check=True``: nobody's work is overwritten unseen."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Twin, description, entry
from ttorm.api.http import HttpResponse


class Dam(Twin):
    label: Field[str] = description(default="")
    level: Field[float] = entry(default=0.0)
    flow: Field[float] = entry(default=0.0)


class Careful(Twin):
    class Meta:
        optimistic = True

    level: Field[float] = entry(default=0.0)


@pytest.fixture
def write(others):
    """Write values elsewhere: ``write(record, level=9)``."""

    def write(record, **values):
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        others.call("update_twin_ledger_entry_value", record.uuid, body=body)

    return write


@pytest.fixture
def describe(others):
    """Write a description elsewhere: ``describe(record, label="x")``."""

    def describe(record, **described):
        others.call("update_twin", record.uuid, body={"description": described})

    return describe


async def test_conditions_go_with_the_values(do, connection, emulator, sent):
    emulator.clock.freeze(1_718_000_000.5)
    dam = await do(Dam, "create")
    dam.level = 5
    sent.clear()
    await do(dam, "save", check=True)
    assert sent.take() == [
        (
            "PATCH",
            f"/twins/{dam.uuid}/ledgers/personal/value",
            (),
            {
                "entries": {"level": {"value": 5.0}},
                "conditions": {"level": "value_changed_ts == 1718000000.5"},
            },
        )
    ]
    assert not ttorm.inspect(dam).is_modified


async def test_a_lost_race(do, connection, write, sent):
    dam = await do(Dam, "create")
    write(dam, level=9)
    dam.level = 5
    sent.clear()
    with pytest.raises(
        ttorm.ConflictError, match=f"level of Twin {dam.uuid} was changed"
    ) as caught:
        await do(dam, "save", check=True)
    error = caught.value
    assert (error.base, error.mine, error.theirs) == ({"level": 0.0}, {"level": 5.0}, {"level": 9})
    assert [request.method for request in sent] == ["PATCH", "GET"]
    # Nothing is lost on either side.
    assert ttorm.inspect(dam).changes == {"level": (9.0, 5.0)}
    assert (await do(dam, "save", check=True)).updated == ("level",)


async def test_theirs_can_be_taken(do, connection, write):
    dam = await do(Dam, "create")
    write(dam, level=9)
    dam.level = 5
    with pytest.raises(ttorm.ConflictError):
        await do(dam, "save", check=True)
    dam.discard()
    assert dam.level == 9.0
    assert not ttorm.inspect(dam).is_modified


async def test_without_check_the_last_writer_wins(do, connection, write, sent):
    dam = await do(Dam, "create")
    write(dam, level=9)
    dam.level = 5
    sent.clear()
    await do(dam, "save")
    assert "conditions" not in sent[0].body
    await do(dam, "refresh")
    assert dam.level == 5.0


async def test_changes_of_different_entries_merge(do, connection, write):
    dam = await do(Dam, "create")
    write(dam, flow=9)
    dam.level = 5
    await do(dam, "save", check=True)
    await do(dam, "refresh")
    assert (dam.level, dam.flow) == (5.0, 9.0)


async def test_what_is_not_in_conflict_is_saved(do, connection, write):
    dam = await do(Dam, "create")
    write(dam, level=9)
    dam.level, dam.flow = 5, 6
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(dam, "save", check=True)
    assert list(caught.value.mine) == ["level"]
    assert set(ttorm.inspect(dam).changes) == {"level"}
    await do(dam, "refresh")
    assert dam.flow == 6.0


async def test_what_was_not_read_is_read_first(do, connection, others, sent):
    made = await do(Dam, "create")
    async with do.block(ttorm.session()):
        dam = Dam.at(made.uuid)
        dam.level = 5
        sent.clear()
        await do(dam, "save", check=True)
        assert [request.method for request in sent] == ["GET", "PATCH"]
        assert "conditions" in sent[1].body


async def test_deleting_is_checked(do, connection, write):
    dam = await do(Dam, "create")
    write(dam, level=9)
    del dam.level
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(dam, "save", check=True)
    assert (caught.value.mine, caught.value.theirs) == ({"level": None}, {"level": 9})
    assert ttorm.inspect(dam).changes == {"level": (9, None)}


async def test_an_entry_that_somebody_deleted_is_a_conflict(do, connection, others):
    dam = await do(Dam, "create")
    others.call("delete_twin_ledger_entry", dam.uuid, entries=["level"])
    dam.level = 5
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(dam, "save", check=True)
    assert caught.value.theirs == {"level": None}
    assert ttorm.inspect(dam).changes == {"level": (None, 5.0)}
    assert (await do(dam, "save", check=True)).created == ("level",)


async def test_the_description_is_always_read(do, connection, describe, sent):
    dam = await do(Dam, "create", label="a")
    describe(dam, label="a", other=1)
    dam.label = "b"
    sent.clear()
    await do(dam, "save", check=True)
    assert [(request.method, request.body) for request in sent] == [
        ("GET", None),
        ("PATCH", {"description": {"label": "b", "other": 1}}),
    ]


async def test_the_same_key_of_the_description(do, connection, describe, sent):
    dam = await do(Dam, "create", label="a")
    describe(dam, label="theirs")
    dam.label = "mine"
    sent.clear()
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(dam, "save", check=True)
    error = caught.value
    assert (error.base, error.mine, error.theirs) == (
        {"label": "a"},
        {"label": "mine"},
        {"label": "theirs"},
    )
    assert [request.method for request in sent] == ["GET"]
    assert ttorm.inspect(dam).changes == {"label": ("theirs", "mine")}
    await do(dam, "save", check=True)
    await do(dam, "refresh")
    assert dam.label == "mine"


async def test_the_same_change_is_no_conflict(do, connection, describe, write):
    dam = await do(Dam, "create", label="a")
    describe(dam, label="b")
    dam.label = "b"
    assert (await do(dam, "save", check=True)).updated == ()
    assert not ttorm.inspect(dam).is_modified


async def test_a_whole_description_is_checked_too(do, connection, describe):
    dam = await do(Dam, "create", label="a")
    describe(dam, label="theirs")
    dam.description = {"label": "mine"}
    with pytest.raises(ttorm.ConflictError):
        await do(dam, "save", check=True)


async def test_a_class_may_always_check(do, connection, write, sent):
    dam = await do(Careful, "create")
    write(dam, level=9)
    dam.level = 5
    with pytest.raises(ttorm.ConflictError):
        await do(dam, "save")
    dam.discard()
    sent.clear()
    dam.level = 6
    await do(dam, "save")
    assert "conditions" in sent[0].body


async def test_a_class_that_always_checks_is_checked_by_flushes_too(do, connection, write):
    dam = await do(Careful, "create")
    async with do.block(ttorm.session()) as session:
        again = await do(Careful.at(dam.uuid), "load", "ledger")
        write(dam, level=9)
        again.level = 5
        with pytest.raises(ttorm.ConflictError):
            await do(session, "flush")
        again.discard()


async def test_an_entry_alone_of_a_class_that_always_checks(do, connection, write):
    dam = await do(Careful, "create")
    write(dam, level=9)
    dam.level = 5
    with pytest.raises(ttorm.ConflictError):
        await do(dam.ledger["level"], "save")


async def test_another_refusal_is_no_conflict(do, connection, wire):
    dam = await do(Dam, "create")
    dam.level = 5
    refusal = b'{"entries": {"level": {"error": "Not today."}}}'

    def meddle(request):
        if request.method == "PATCH":
            return HttpResponse(200, {}, refusal)
        return None

    wire.meddle = meddle
    with pytest.raises(ttorm.SaveError, match="Not today"):
        await do(dam, "save", check=True)
    assert set(ttorm.inspect(dam).changes) == {"level"}


async def test_the_same_key_removed_by_both_is_no_conflict(do, connection, describe):
    dam = await do(Dam, "create", description={"a": 1, "b": 1})
    describe(dam, b=1, label="")
    del dam.description["a"]
    assert (await do(dam, "save", check=True)).updated == ()
    assert dict(dam.description) == {"b": 1, "label": ""}


async def test_the_same_key_added_by_both_is_no_conflict(do, connection, describe):
    dam = await do(Dam, "create")
    describe(dam, label="", new={"a": [1]})
    dam.description["new"] = {"a": [1]}
    assert (await do(dam, "save", check=True)).updated == ()
    assert not ttorm.inspect(dam).is_modified


async def test_a_value_that_leaves_no_room_for_its_condition(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": ""})
    twin.ledger["a"], twin.ledger["b"] = "x" * 65_490, 1
    sent.clear()
    with pytest.raises(ttorm.QuotaError):
        await do(twin, "save", check=True)
    # Nothing was sent, not even what would have fitted.
    assert sent == []
