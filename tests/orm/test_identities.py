"""Identities of a Twin: the names by which others know it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

import ttorm
from ttorm import Field, Twin, identity
from ttorm.rules import USER

T0 = 1_718_000_000


@pytest.fixture(autouse=True)
def _stopped_clock(emulator):
    emulator.clock.freeze(T0)


async def test_identities_are_a_mapping(do, connection, sent):
    twin = await do(Twin, "create", identities=["SN#1", "RFID#a+b="])
    sent.clear()
    assert isinstance(twin.identities, Mapping)
    assert (list(twin.identities), len(twin.identities)) == (["SN#1", "RFID#a+b="], 2)
    assert ("SN#1" in twin.identities, "SN#2" in twin.identities) == (True, False)
    assert twin.identities.get("SN#2") is None
    one = twin.identities["RFID#a+b="]
    assert (one.text, one.type, str(one)) == ("RFID#a+b=", "RFID", "RFID#a+b=")
    assert repr(one) == f"<Identity RFID#a+b= of {twin.uuid}>"
    assert (one.visibility, one.valid_until, one.created_at.timestamp()) == (None, None, T0)
    with pytest.raises(KeyError):
        _ = twin.identities["SN#2"]
    assert sent == []


async def test_all_new_ones_are_one_post(do, connection, sent):
    twin = await do(Twin, "create")
    sent.clear()
    added = twin.identities.add("SN#1")
    twin.identities.add("SN#2", visibility="true", valid_until=T0 + 60)
    twin.identities.add("SN#3", visibility=USER.team == "ops")
    assert added == twin.identities["SN#1"]
    assert list(twin.identities) == ["SN#1", "SN#2", "SN#3"]
    result = await do(twin, "save")
    assert sent.take() == [
        (
            "POST",
            f"/twins/{twin.uuid}/identities",
            (),
            {
                "identities": {
                    "SN#1": {},
                    "SN#2": {"visibility": "true", "validity_ts": T0 + 60},
                    "SN#3": {"visibility": 'USER.team == "ops"'},
                }
            },
        )
    ]
    assert result.created == ("identities['SN#1']", "identities['SN#2']", "identities['SN#3']")
    assert not ttorm.inspect(twin).is_modified


async def test_each_changed_one_is_a_patch(do, connection, sent):
    twin = await do(Twin, "create", identities=["SN#1", "SN#2", "SN#3"])
    sent.clear()
    twin.identities["SN#1"].visibility = "true"
    twin.identities["SN#2"].valid_until = datetime.fromtimestamp(
        T0 + 9, timezone(timedelta(hours=5))
    )
    result = await do(twin, "save")
    at = f"/twins/{twin.uuid}/identities"
    assert sent.take() == [
        ("PATCH", f"{at}/SN#1", (), {"visibility": "true"}),
        ("PATCH", f"{at}/SN#2", (), {"validity_ts": T0 + 9.0}),
    ]
    assert result.updated == ("identities['SN#1']", "identities['SN#2']")
    assert twin.identities["SN#2"].valid_until == datetime.fromtimestamp(T0 + 9, UTC)
    twin.identities["SN#2"].valid_until = None
    await do(twin, "save")
    assert sent[-1].body == {"validity_ts": None}


async def test_each_removed_one_is_a_delete(do, connection, sent):
    twin = await do(Twin, "create", identities=["SN#a=", "SN#2"])
    sent.clear()
    del twin.identities["SN#a="]
    assert list(twin.identities) == ["SN#2"]
    for _ in range(2):
        with pytest.raises(KeyError):
            del twin.identities["SN#a="]
    result = await do(twin, "save")
    assert sent.take() == [("DELETE", f"/twins/{twin.uuid}/identities/SN#a=", (), None)]
    assert result.deleted == ("identities['SN#a=']",)
    assert list(twin.identities) == ["SN#2"]


async def test_equal_changes_send_nothing(do, connection, sent):
    twin = await do(Twin, "create")
    twin.identities.add("SN#1", visibility="true", valid_until=T0 + 60)
    await do(twin, "save")
    sent.clear()
    one = twin.identities["SN#1"]
    one.visibility, one.valid_until = "true", T0 + 60
    assert not ttorm.inspect(twin).is_modified
    assert (await do(twin, "save")).requests == 0
    assert sent == []


async def test_an_added_one_taken_away_again(do, connection, sent):
    twin = await do(Twin, "create")
    sent.clear()
    twin.identities.add("SN#1")
    del twin.identities["SN#1"]
    assert not ttorm.inspect(twin).is_modified
    assert (await do(twin, "save")).requests == 0
    assert sent == []


async def test_one_removed_and_added_again(do, connection, sent):
    twin = await do(Twin, "create", identities=["SN#1"])
    sent.clear()
    del twin.identities["SN#1"]
    twin.identities.add("SN#1")
    assert not ttorm.inspect(twin).is_modified
    assert list(twin.identities) == ["SN#1"]


async def test_verbs_of_one(do, connection, others, sent):
    twin = await do(Twin, "create", identities=["SN#1", "SN#2"])
    one = twin.identities["SN#1"]
    one.visibility = twin.identities["SN#2"].visibility = "true"
    sent.clear()
    assert (await do(one, "save")).requests == 1
    assert sent.lines() == [f"PATCH /twins/{twin.uuid}/identities/SN#1"]
    assert ttorm.inspect(twin).changes == {"identities['SN#2'].visibility": (None, "true")}
    others.call("update_twin_identity", twin.uuid, "SN#1", body={"visibility": "false"})
    assert (await do(one, "refresh")) is one
    assert one.visibility == "false"
    assert (await do(one, "delete")).deleted == ("identities['SN#1']",)
    assert list(twin.identities) == ["SN#2"]
    with pytest.raises(ttorm.NotFoundError, match=r"SN#1 .* is not there"):
        _ = one.visibility
    with pytest.raises(ttorm.NotFoundError):
        await do(one, "refresh")


async def test_details_are_read_when_they_are_looked_at(do, connection, others, sent):
    twin = await do(Twin, "create", identities=["SN#1"])
    others.call("update_twin_identity", twin.uuid, "SN#1", body={"visibility": "true"})
    async with do.block(ttorm.session()):
        again = Twin.at(twin.uuid)
        await do(again, "load", "identities")
        one = again.identities["SN#1"]
        sent.clear()
        assert (one.valid_until, one.created_at.timestamp()) == (None, T0)
        assert sent == []
        await do(one, "refresh")
        assert one.visibility == "true"
        assert sent.lines() == [f"GET /twins/{twin.uuid}/identities/SN#1"]


def test_the_blocking_look_reads_the_identity_itself(connection, others, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    others.call("create_twin_identity", uuid, body={"identities": {"SN#1": {"visibility": "true"}}})
    assert Twin.at(uuid).identities["SN#1"].visibility == "true"
    assert sent.lines() == [
        f"GET /twins/{uuid}/identities",
        f"GET /twins/{uuid}/identities/SN#1",
    ]


async def test_expired_ones_are_listed(do, connection, emulator):
    twin = await do(Twin, "create")
    twin.identities.add("SN#1", valid_until=T0 + 60)
    await do(twin, "save")
    emulator.clock.advance(120)
    await do(twin, "refresh")
    assert list(twin.identities) == ["SN#1"]
    with pytest.raises(ttorm.NotFoundError):
        await do(Twin, "find", "SN#1")


@pytest.mark.parametrize(
    "wrong", ["A17", "#1", "SN#", "SN#a b", "toolongtype#1", "SN#" + "x" * 129, "1N#1", 5]
)
async def test_what_is_no_identity_is_refused_at_once(do, connection, sent, wrong):
    twin = await do(Twin, "create")
    sent.clear()
    for use in (twin.identities.add, twin.identities.__getitem__, twin.identities.__delitem__):
        with pytest.raises(
            ttorm.ValidationError, match="is no Identity: expected a type of 1 to 8"
        ):
            use(wrong)
    assert not ttorm.inspect(twin).is_modified
    assert sent == []


@pytest.mark.parametrize("when", [datetime(2030, 1, 1), "2030-01-01", True])  # noqa: DTZ001 # naive
async def test_what_is_no_moment_is_refused_at_once(do, connection, when):
    twin = await do(Twin, "create", identities=["SN#1"])
    with pytest.raises(ttorm.ValidationError, match=r"no timezone|is no moment"):
        twin.identities["SN#1"].valid_until = when
    with pytest.raises(ttorm.ValidationError):
        twin.identities.add("SN#2", valid_until=when)
    assert not ttorm.inspect(twin).is_modified


async def test_whether_one_has_expired(do, connection):
    now = datetime.now(UTC)
    twin = await do(Twin, "create")
    twin.identities.add("SN#1", valid_until=now - timedelta(days=1))
    twin.identities.add("SN#2", valid_until=now + timedelta(days=1))
    twin.identities.add("SN#3")
    await do(twin, "save")
    expired = [text for text, one in twin.identities.items() if one.is_expired]
    assert expired == ["SN#1"]
    twin.identities["SN#1"].valid_until = None
    assert not twin.identities["SN#1"].is_expired
    await do(twin, "save")
    assert await do(Twin, "find", "SN#1") == twin


async def test_hashed_ones_are_found_by_who_knows_the_name(do, connection, sent):
    hashed = ttorm.hashed_identity("email", "ann@example.com")
    twin = await do(Twin, "create", identities=[hashed])
    assert await do(Twin, "find", hashed) == twin
    assert not any("ann" in f"{request.path} {request.body}" for request in sent)


async def test_the_field_and_the_mapping_agree(do, connection):
    class Badge(Twin):
        number: Field[str | None] = identity("NO", default=None)

    badge = await do(Badge, "create")
    assert badge.number is None
    badge.identities.add("NO#5")
    assert badge.number == "5"
    badge.number = "6"
    assert list(badge.identities) == ["NO#6"]
    assert badge.identities["NO#6"].visibility is None
    await do(badge, "save")
    assert list(badge.identities) == ["NO#6"]
    del badge.identities["NO#6"]
    assert badge.number is None
    await do(badge, "save")
    async with do.block(ttorm.session()):
        again = await do(Badge.at(badge.uuid), "load")
        assert (again.number, list(again.identities)) == (None, [])


async def test_a_field_replaces_what_was_only_added(do, connection, sent):
    class Badge(Twin):
        number: Field[str | None] = identity("NO", default=None)

    badge = await do(Badge, "create")
    sent.clear()
    badge.identities.add("NO#5")
    badge.number = "6"
    await do(badge, "save")
    assert sent.take() == [
        ("POST", f"/twins/{badge.uuid}/identities", (), {"identities": {"NO#6": {}}})
    ]


class Badge(Twin):
    number: Field[str | None] = identity("NO", default=None)


@pytest.fixture
def badge(connection, others):
    """A Badge that another program made, not read yet: ``badge("NO#1", ...)``."""

    def badge(*identities):
        uuid = others.call("create_twin")["creation_certificate"]["uuid"]
        for text in identities:
            others.call("create_twin_identity", uuid, body={"identities": {text: {}}})
        return Badge.at(uuid)

    return badge


async def test_assigning_what_is_there_already(do, badge, sent):
    one = badge("NO#7")
    one.number = "7"
    assert (await do(one, "save")).updated == ()
    assert [request.method for request in sent] == ["GET"]
    assert not ttorm.inspect(one).is_modified
    assert one.number == "7"


async def test_taking_away_what_is_not_there(do, badge, sent):
    one = badge()
    del one.number
    assert ttorm.inspect(one).changes == {"number": (None, None)}
    await do(one, "save")
    assert [request.method for request in sent] == ["GET"]
    assert not ttorm.inspect(one).is_modified


@pytest.mark.parametrize("loaded", [True, False])
async def test_assigning_takes_the_place_of_all_of_the_type(do, badge, sent, loaded):
    one = badge("NO#1", "NO#2", "SN#3")
    if loaded:
        await do(one, "load")
        assert one.number == "1"
    one.number = "9"
    result = await do(one, "save")
    assert (result.created, result.deleted) == (("number",), ("number", "number"))
    assert sorted(one.identities) == ["NO#9", "SN#3"]
    assert (one.number, ttorm.inspect(one).is_modified) == ("9", False)
    await do(one, "refresh")
    assert one.number == "9"


async def test_what_is_added_after_an_assignment_stays(do, badge):
    one = badge("NO#1")
    one.number = "2"
    one.identities.add("NO#3")
    await do(one, "save")
    assert list(one.identities) == ["NO#2", "NO#3"]
    assert one.number == "2"


async def test_an_assigned_identity_can_be_taken_away_by_its_text(do, badge, sent):
    one = badge("NO#1")
    one.number = "2"
    del one.identities["NO#2"]
    assert one.number is None
    await do(one, "load", "identities")
    assert (one.number, list(one.identities)) == (None, [])


async def test_saving_an_entry_alone_asks_for_no_identities(do, badge, sent):
    one = badge("NO#1")
    one.number = "2"
    one.ledger["x"] = 1
    await do(one.ledger["x"], "save")
    assert {request.path.rpartition("/")[2] for request in sent} == {"personal", "value"}
    assert ttorm.inspect(one).changes == {"number": (None, "2")}


async def test_what_changed_shows_both_identities(do, badge):
    one = await do(badge("NO#1"), "load")
    one.number = "2"
    assert ttorm.inspect(one).changes == {"number": ("1", "2")}
    one.number = "1"
    assert ttorm.inspect(one).changes == {}
