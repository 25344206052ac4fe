"""What the random saves of `test_stateful` have found, each on its own."""

from __future__ import annotations

from decimal import Decimal

import pytest

import ttorm
from ttorm import Field, Twin, description, entry


class Crate(Twin):
    tags: Field[list[int]] = description(default_factory=list)
    parts: Field[list[int]] = entry(default_factory=list)
    price: Field[Decimal | None] = entry(default=None)


@pytest.fixture
def uuid(others):
    """A Twin that is known to nobody here: a description and one Entry."""
    twin = others.call("create_twin", body={"description": {"a": 1}})
    uuid = twin["creation_certificate"]["uuid"]
    others.call("add_twin_ledger_entry", uuid, body={"entries": {"x": {"value": 1}}})
    return uuid


async def test_properties_alone_make_no_entry(do, uuid, sent):
    twin = await do(Twin.at(uuid), "load", "ledger")
    sent.clear()
    twin.ledger["new"].visibility = "true"
    twin.ledger["x"] = 2
    with pytest.raises(ttorm.StateError, match="has no Entry 'new', and only its visibility"):
        twin.plan()
    with pytest.raises(ttorm.StateError, match="assign a value as well, or discard"):
        await do(twin, "save")
    assert sent == []
    twin.ledger["new"] = 5
    await do(twin, "save")
    assert [request.method for request in sent] == ["POST", "PATCH"]


async def test_properties_of_an_entry_that_is_not_there_hold_up_no_other(do, uuid, sent, others):
    twin = Twin.at(uuid)
    twin.ledger["gone"].visibility = "true"
    twin.ledger["new"] = 5
    with pytest.raises(ttorm.SaveError) as caught:
        await do(twin, "save")
    assert list(caught.value.errors) == ["ledger['gone']"]
    assert sent[-1].body == {"entries": {"new": {"value": 5}}}
    assert others.call("get_twin_ledger_entry", uuid)["entries"]["new"]["value"] == 5


async def test_a_description_replaced_by_an_equal_one_is_not_sent(do, uuid, sent):
    twin = Twin.at(uuid)
    twin.description = {"a": 1}
    await do(twin, "load", "description")
    assert not ttorm.inspect(twin).is_modified
    sent.clear()
    await do(twin, "save")
    twin.description = {"b": 1}
    twin.description = {"a": 1}
    await do(twin, "save")
    assert sent == []


@pytest.mark.parametrize(("check", "methods"), [(False, ["PATCH"]), (True, ["GET", "PATCH"])])
async def test_an_empty_description_put_in_place_of_one_not_seen(do, uuid, sent, check, methods):
    twin = Twin.at(uuid)
    twin.description = {}
    await do(twin, "save", check=check)
    assert [request.method for request in sent] == methods
    assert sent[-1].body == {"description": {}}


async def test_a_save_with_nothing_to_do_lets_flushes_have_the_record_again(do, uuid, wire, sent):
    def refuse(request):
        raise ttorm.TransportError("cut off", sent=False)

    async with do.block(ttorm.session()) as session:
        twin = await do(Twin.at(uuid), "load", "ledger")
        twin.ledger["x"] = 2
        wire.meddle = refuse
        with pytest.raises(ttorm.TransportError):
            await do(twin, "save")
        wire.meddle = lambda request: None
        twin.ledger["x"] = 1
        await do(twin, "save")
        twin.ledger["x"] = 3
        await do(session, "flush")
        assert session.dirty == []
    assert sent[-1].body == {"entries": {"x": {"value": 3}}}


async def test_a_view_that_was_not_changed_shows_what_another_one_was_changed_to(do, connection):
    crate = await do(Crate, "create", tags=[1], parts=[1])
    assert (crate.description["tags"], crate.ledger["parts"].value) == ([1], [1])
    crate.tags.append(2)
    crate.parts.append(2)
    assert (crate.description["tags"], crate.ledger["parts"].value) == ([1, 2], [1, 2])
    assert (crate.tags, crate.parts) == ([1, 2], [1, 2])


async def test_what_is_removed_is_told_as_its_field_reads_it(do, connection):
    crate = await do(Crate, "create", price=Decimal("1.50"))
    del crate.price
    assert ttorm.inspect(crate).changes == {"price": (Decimal("1.50"), None)}
