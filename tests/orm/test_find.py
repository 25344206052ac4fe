"""Finding Twins by their Identities."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Twin, description, identity


class Crate(Twin):
    class Meta:
        kind = "crate"

    colour: Field[str] = description(default="plain")
    serial: Field[str] = identity("CRATE", key=True)
    tag: Field[str | None] = identity("RFID", default=None)


class Pallet(Twin):
    class Meta:
        kind = "pallet"


@pytest.fixture
def make(others):
    """Make a Twin elsewhere: ``make("SN#1", kind=..., ...) -> uuid``."""

    def make(*identities, **described):
        twin = others.call("create_twin", body={"description": described})
        uuid = twin["creation_certificate"]["uuid"]
        body = {"identities": {text: {} for text in identities}}
        others.call("create_twin_identity", uuid, body=body)
        return uuid

    return make


async def test_by_a_field(do, make, sent):
    uuid = make("CRATE#A17", kind="crate", colour="red")
    crate = await do(Crate, "find", serial="A17")
    assert sent.take() == [("GET", "/resolve/CRATE#A17", (("details", "true"),), None)]
    assert (crate.uuid, crate.colour, crate.serial) == (uuid, "red", "A17")
    assert sent == []


async def test_by_its_text(do, make, sent):
    uuid = make("RFID#a+b=")
    assert (await do(Twin, "find", "RFID#a+b=")).uuid == uuid
    assert sent.lines() == ["GET /resolve/RFID#a+b="]


async def test_nobody_has_it(do, make, connection):
    make("CRATE#A17", kind="crate")
    with pytest.raises(ttorm.NotFoundError, match="no alive Crate has the Identity 'CRATE#A18'"):
        await do(Crate, "find", serial="A18")


async def test_terminated_ones_and_other_kinds_do_not_count(do, make, others):
    make("CRATE#A17", kind="pallet")
    others.call("terminate_twin", make("CRATE#A17", kind="crate"))
    with pytest.raises(ttorm.NotFoundError):
        await do(Crate, "find", serial="A17")
    uuid = make("CRATE#A17", kind="crate")
    assert (await do(Crate, "find", serial="A17")).uuid == uuid


async def test_the_oldest_of_several(do, make, emulator, connection):
    emulator.clock.freeze(1_718_000_000)
    first = make("CRATE#A17", kind="crate")
    emulator.clock.advance(1)
    make("CRATE#A17", kind="crate")
    assert (await do(Crate, "find", serial="A17")).uuid == first


async def test_several_are_an_error_where_one_is_expected(do, make, emulator, connection):
    emulator.clock.freeze(1_718_000_000)
    first = make("CRATE#A17", kind="crate")
    make("CRATE#A17", kind="pallet")
    assert (await do(Crate, "find", serial="A17", strict=True)).uuid == first
    emulator.clock.advance(1)
    second = make("CRATE#A17", kind="crate")
    with pytest.raises(ttorm.AmbiguousIdentityError, match="2 alive Twins have") as caught:
        await do(Crate, "find", serial="A17", strict=True)
    assert caught.value.candidates == (first, second)


async def test_all_of_several(do, make, others, emulator, sent):
    emulator.clock.freeze(1_718_000_000)
    uuids = [make("CRATE#A17", kind="crate") for _ in range(3)]
    make("CRATE#A17", kind="pallet")
    others.call("terminate_twin", uuids.pop(1))
    found = await do(Crate, "find_all", serial="A17")
    assert {crate.uuid for crate in found} == set(uuids)
    assert sent.take() == [("GET", "/resolve/CRATE#A17", (("details", "true"),), None)]
    assert await do(Crate, "find_all", "CRATE#B18") == []


async def test_the_class_of_the_kind(do, make):
    make("SN#P", kind="pallet")
    assert type(await do(Twin, "find", "SN#P")) is Pallet


async def test_identities_of_other_accounts(do, connection, sent, stranger, emulator):
    twin = await do(Crate, "create", serial="A17")
    stranger.call(
        "create_twin_identity", twin.uuid, body={"identities": {"SN#9": {"visibility": "true"}}}
    )
    role = connection.whoami()["role"]
    rules = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}
    connection.call("update_user_role", role, body={"rules": rules})
    with pytest.raises(ttorm.NotFoundError, match="context="):
        await do(Twin, "find", "SN#9")
    sent.clear()
    assert await do(Twin, "find", "SN#9", context="system") == twin
    assert sent.take()[0].query == (("context", "system"), ("details", "true"))
    assert await do(Twin, "find", "SN#9", context=[emulator.accounts()[1]]) == twin


@pytest.mark.parametrize(
    ("arguments", "field", "error", "message"),
    [
        ((), {}, TypeError, "takes one Identity"),
        (("SN#1",), {"serial": "1"}, TypeError, "takes one Identity"),
        ((), {"serial": "1", "tag": "2"}, TypeError, "takes one Identity"),
        ((), {"colour": "red"}, TypeError, r"has: serial, tag; write Crate\.scan\(Crate\.colour"),
        ((), {"weight": 5}, TypeError, "it has: serial, tag$"),
        ((), {"serial": "no spaces"}, ttorm.ValidationError, "'CRATE#no spaces' is no Identity"),
        ((), {"serial": None}, ttorm.ValidationError, "expects str"),
        (("A17",), {}, ttorm.ValidationError, "'A17' is no Identity"),
        ((), {"tag": None}, ttorm.ValidationError, "tag=None leads to no Crate"),
    ],
)
async def test_wrong_questions_are_not_asked(do, sent, arguments, field, error, message):
    with pytest.raises(error, match=message):
        await do(Crate, "find", *arguments, **field)
    assert sent == []


async def test_numbers_are_written_as_the_identity_says(do, make):
    class Berth(Twin):
        number: Field[int] = identity("BERTH")

    uuid = make("BERTH#7")
    berth = await do(Berth, "find", number=7)
    assert (berth.uuid, berth.number) == (uuid, 7)


async def test_what_is_found_shares_the_identity_map(do, connection, sent):
    crate = await do(Crate, "create", serial="A17")
    crate.colour = "blue"
    found = await do(Crate, "find", serial="A17")
    assert found is crate
    assert found.colour == "blue"
