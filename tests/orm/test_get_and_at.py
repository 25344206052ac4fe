"""Coming by a Twin by its UUID: with a request, and without."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

import ttorm
from ttorm import Field, Twin, description, entry


class Boat(Twin):
    class Meta:
        kind = "boat"

    title: Field[str] = description(name="name", default="nameless")
    fuel: Field[float] = entry(default=0.0)


class Sloop(Boat):
    class Meta:
        kind = "sloop"

    sails: Field[int] = description(default=2)


class Barge(Twin):
    class Meta:
        kind = "barge"


async def test_at_asks_for_nothing(connection, sent):
    twin = Twin.at(str(uuid4()).upper())
    assert twin.uuid == twin.uuid.lower()
    assert ttorm.inspect(twin).loaded == ()
    assert sent == []


def test_at_takes_uuid_objects(connection):
    uuid = uuid4()
    assert isinstance(uuid, UUID)
    assert Twin.at(uuid).uuid == str(uuid)


@pytest.mark.parametrize("wrong", ["", "A17", None, "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a1"])
async def test_what_is_no_uuid_is_refused(do, sent, wrong):
    with pytest.raises(ttorm.ValidationError, match="is no UUID: expected a UUID such as"):
        Twin.at(wrong)
    with pytest.raises(ttorm.ValidationError, match="is no UUID"):
        await do(Twin, "get", wrong)
    assert sent == []


async def test_get_is_one_request_and_loads_the_description(do, others, sent):
    uuid = others.call("create_twin", body={"description": {"kind": "boat", "name": "Ida"}})
    uuid = uuid["creation_certificate"]["uuid"]
    boat = await do(Boat, "get", uuid)
    assert sent.take() == [("GET", f"/twins/{uuid}", (), None)]
    assert (boat.title, boat.status) == ("Ida", "alive")
    assert ttorm.inspect(boat).loaded == ("description",)
    assert sent == []


async def test_a_twin_that_does_not_exist(do, connection):
    with pytest.raises(ttorm.NotFoundError) as caught:
        await do(Twin, "get", str(uuid4()))
    assert isinstance(caught.value, LookupError)
    assert (caught.value.status, caught.value.subcode) == (404, 404653)
    assert caught.value.operation == "get_twin"


async def test_get_gives_the_class_of_the_kind(do, connection):
    sloop = await do(Sloop, "create")
    assert type(await do(Boat, "get", sloop.uuid)) is Sloop
    assert type(await do(Twin, "get", sloop.uuid)) is Sloop


async def test_get_through_another_class_is_an_error(do, connection):
    barge = await do(Barge, "create")
    with pytest.raises(ttorm.WrongKindError, match="'barge', Boat is for 'boat'") as caught:
        await do(Boat, "get", barge.uuid)
    assert isinstance(caught.value, LookupError)


async def test_a_class_without_a_kind_shows_every_twin(do, connection, others):
    class Plain(Twin):
        title: Field[str] = description(name="name")

    uuid = others.call("create_twin", body={"description": {"kind": "unheard", "name": "n"}})
    uuid = uuid["creation_certificate"]["uuid"]
    assert (await do(Plain, "get", uuid)).title == "n"


async def test_views_of_one_twin_share_their_state(do, connection):
    sloop = await do(Sloop, "create", fuel=1)
    boat, twin = Boat.at(sloop.uuid), Twin.at(sloop.uuid)
    assert (type(boat), type(twin)) == (Boat, Twin)
    assert Sloop.at(sloop.uuid) is sloop
    boat.fuel = 7
    assert (sloop.fuel, twin.ledger["fuel"].value) == (7.0, 7.0)
    twin.ledger["fuel"] = 8.5
    assert (sloop.fuel, boat.fuel) == (8.5, 8.5)
    assert sloop == boat == twin
    assert len({sloop, boat, twin}) == 1
    assert (await do(twin, "save")).updated == ("fuel",)
    assert not ttorm.inspect(boat).is_modified


async def test_getting_again_keeps_unsaved_changes(do, others, connection):
    boat = await do(Boat, "create", title="Ida")
    boat.title = "Eve"
    others.call("update_twin", boat.uuid, body={"description": {"kind": "boat", "name": "Ann"}})
    again = await do(Boat, "get", boat.uuid, fresh=True)
    assert again is boat
    assert again.title == "Eve"
    assert ttorm.inspect(boat).changes == {"title": ("Ann", "Eve")}


async def test_fresh_asks_again(do, others, sent):
    boat = await do(Boat, "create", title="Ida")
    others.call("update_twin", boat.uuid, body={"description": {"kind": "boat", "name": "Ann"}})
    sent.clear()
    assert (await do(Boat, "get", boat.uuid)).title == "Ida"
    assert sent == []
    assert (await do(Boat, "get", boat.uuid, fresh=True)).title == "Ann"
    assert sent.lines() == [f"GET /twins/{boat.uuid}"]


async def test_load_reads_only_what_is_missing(do, others, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    twin = Twin.at(uuid)
    assert await do(twin, "load", "description", "identities", "docs", "ledgers/owner") is twin
    assert sorted(sent.lines()) == [
        f"GET /twins/{uuid}",
        f"GET /twins/{uuid}/docs",
        f"GET /twins/{uuid}/identities",
        f"GET /twins/{uuid}/ledgers/owner",
    ]
    await do(twin, "load", "docs", "ledger", "ledger")
    assert sent.lines() == [f"GET /twins/{uuid}/ledgers/personal"]
    assert ttorm.inspect(twin).loaded == (
        "description",
        "ledger",
        "identities",
        "docs",
        "ledgers/owner",
    )


async def test_load_takes_names_of_fields(do, others, sent):
    class Van(Twin):
        plate: Field[str] = description(default="")
        liters: Field[float] = entry(default=0.0)

    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    van = await do(Van.at(uuid), "load", "liters")
    assert sent.lines() == [f"GET /twins/{uuid}/ledgers/personal"]
    assert van.liters == 0.0
    with pytest.raises(ttorm.ValidationError, match="no part 'litres': did you mean 'liters'"):
        await do(van, "load", "litres")
    assert sent == []


async def test_load_without_parts_takes_those_the_class_has_fields_in(do, others, sent):
    class Tagged(Twin):
        tag: Field[str | None] = ttorm.identity("TAG", default=None)

    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    await do(Boat.at(uuid), "load")
    assert sorted(sent.lines()) == [f"GET /twins/{uuid}", f"GET /twins/{uuid}/ledgers/personal"]
    await do(Tagged.at(uuid), "load")
    assert sent.lines() == [f"GET /twins/{uuid}/identities"]


async def test_a_part_that_does_not_exist(do, connection, sent):
    with pytest.raises(ttorm.ValidationError, match="has no part 'entries': expected one of"):
        await do(Twin.at(str(uuid4())), "load", "entries")
    assert sent == []


async def test_refresh_reads_again_what_was_read(do, others, sent):
    boat = await do(Boat, "create", title="Ida", fuel=1)
    boat.fuel = 5
    others.call("update_twin", boat.uuid, body={"description": {"kind": "boat", "name": "Ann"}})
    others.call(
        "update_twin_ledger_entry_value", boat.uuid, body={"entries": {"fuel": {"value": 2}}}
    )
    sent.clear()
    assert await do(boat, "refresh") is boat
    assert {request.method for request in sent.take()} == {"GET"}
    assert (boat.title, boat.fuel) == ("Ann", 5.0)
    assert ttorm.inspect(boat).changes == {"fuel": (2.0, 5.0)}


async def test_equality_and_hash(do, connection, connect):
    one, other = await do(Twin, "create"), await do(Twin, "create")
    assert one != other
    assert one != one.uuid
    # Another connection to the same service knows the same Twin.
    elsewhere = connect(cache=None)
    async with do.block(ttorm.session(elsewhere)):
        same = Twin.at(one.uuid)
    assert same is not one
    assert same == one
    assert hash(same) == hash(one)
    unsaved = Twin()
    assert unsaved == unsaved  # noqa: PLR0124 # its own equal, and nobody else's
    assert unsaved != Twin()
    with pytest.raises(TypeError, match="no hash before it is saved"):
        hash(unsaved)


async def test_facts(do, connection, emulator):
    emulator.clock.freeze(1_718_000_000)
    twin = await do(Twin, "create", description={"a": 1})
    emulator.clock.advance(60)
    twin.description["a"] = 2
    await do(twin, "save")
    account = (await do(connection, "whoami"))["account"]
    assert (twin.owner, twin.creator, twin.status) == (account, account, "alive")
    assert twin.created_at.timestamp() == 1_718_000_000
    assert twin.updated_at.timestamp() == 1_718_000_060
    assert twin.terminated_at is None


async def test_asking_for_the_base_class_keeps_what_the_model_declares(do, sent):
    class Declared(Twin):
        pressure: Field[float] = entry(history="1M")

    bare = await do(Twin, "create")
    pump = Declared.at(bare.uuid)
    await do(Twin, "get", bare.uuid)
    pump.pressure = 7.0
    assert (await do(pump, "save")).created == ("pressure",)
    assert pump.ledger["pressure"].history_period == "1M"


async def test_a_new_reference_shows_its_value_when_it_is_looked_at(do, sent):
    await do(ttorm.default_connection(), "whoami")
    source = await do(Twin, "create", entries={"x": 5})
    twin = await do(Twin, "create")
    await do(twin, "load", "ledger")
    twin.ledger["copy"].ref = source.ledger["x"]
    await do(twin, "save")
    await do(twin, "load", "ledger")
    assert (twin.ledger["copy"].value, twin.ledger["copy"].ref_status) == (5, "ok")
