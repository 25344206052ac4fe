"""Which connection the platform's objects belong to: that of the block, also of their copies."""

from __future__ import annotations

import copy

import pytest

import ttorm
from ttorm import (
    Column,
    Database,
    Field,
    IndexTable,
    Role,
    StoredIndex,
    Subscription,
    TopicAccess,
    Twin,
    User,
    column,
    entry,
)

PARTNER = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


async def test_a_new_object_belongs_to_the_block_it_was_made_in(do, sent, stranger):
    async with do.block(ttorm.session(stranger)):
        role = Role(name="Reader")
    await do(role, "save")
    assert sent == []
    assert stranger.transport.sent.lines() == ["POST /roles"]


async def test_made_outside_of_blocks_it_belongs_to_whoever_saves_it_first(do, sent, stranger):
    role = Role(name="Reader")
    async with do.block(ttorm.session(stranger)):
        await do(role, "save")
    await do(role, "refresh")
    assert sent == []
    assert [line[:4] for line in stranger.transport.sent.lines()] == ["POST", "GET "]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
async def test_a_copy_writes_where_the_original_does(do, sent, stranger, way):
    async with do.block(ttorm.session(stranger)):
        role = await do(Role, "create", name="Reader")
    copied = way(role)
    copied.name = "Writer"
    await do(copied, "save")
    assert sent == []
    assert stranger.transport.sent.lines()[1:] == [f"PATCH /roles/{role.uuid}"]
    assert (role.name, copied.name) == ("Reader", "Writer")


async def test_a_copy_of_a_database_has_its_access_lists(do, sent, stranger):
    async with do.block(ttorm.session(stranger)):
        database = Database.default()
    database.networks["192.0.2.10"] = "office"
    copied = copy.copy(database)
    database.discard()
    await do(copied, "save")
    assert sent == []
    (request,) = stranger.transport.sent
    assert request.body == {"192.0.2.10/32": "office"}


async def test_what_a_listing_gives_belongs_to_its_connection(do, sent, stranger):
    for kind in (User, Role):
        async with do.block(ttorm.session(stranger)):
            (found,) = await do.list(kind.list())
        await do(found, "load")
    assert sent == []


async def test_the_database_of_a_table_is_that_of_its_service(do, sent, stranger):
    async with do.block(ttorm.session(stranger)):
        table = await do(
            StoredIndex,
            "create",
            "hot",
            rule="LEDGER.heat > 9",
            properties={"heat": "real"},
            templates={"heat": "{LEDGER.heat}"},
        )
    await do(table.database, "load")
    assert sent == []


async def test_a_table_whose_answer_is_lost_is_looked_for_where_it_was_made(do, sent, stranger):
    async with do.block(ttorm.session(stranger)):
        table = StoredIndex("hot", rule="true", properties={}, templates={})

    def meddle(request):
        if request.method == "POST":
            stranger.transport.transport.send(request)
            raise ttorm.TransportError("cut off", sent=True)

    stranger.transport.meddle = meddle
    assert (await do(table, "save")).created
    assert sent == []


async def test_the_twin_of_a_row_is_read_where_the_row_was(do, sent, stranger):
    class Pump(Twin):
        heat: Field[float] = entry()

    class Hot(IndexTable[Pump]):
        heat: Column[float] = column()

        class Meta:
            rule = Pump.heat > 9

    async with do.block(ttorm.session(stranger)):
        await do(Hot, "create")
        await do(Pump, "create", heat=10.0)
        row = await do(Hot.rows(), "first")
    twin = row.twin
    await do(twin, "load")
    assert (twin.heat, sent) == (10.0, [])


async def test_topics_and_their_access_are_those_of_the_block(do, connection, sent, stranger):
    async with do.block(ttorm.session(stranger)):
        subscription = await do(Subscription, "create", "hot", "https://example.com/hook")
        access = await do(TopicAccess, "current")
    await do(access, "grant", PARTNER, "hot")
    assert sent == []
    assert subscription.connection is stranger
    assert (await do(TopicAccess, "current", connection)) == {}
