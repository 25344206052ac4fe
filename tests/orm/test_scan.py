"""Going through the account's Twins."""

from __future__ import annotations

import json

import pytest

import ttorm
from ttorm import Field, Twin, description, entry
from ttorm.rules import LEDGER, TWIN


class Drone(Twin):
    class Meta:
        kind = "drone"

    label: Field[str] = description(default="")
    battery: Field[float] = entry(default=100.0)


class Glider(Drone):
    class Meta:
        kind = "glider"


class Balloon(Twin):
    pass


@pytest.fixture
def make(emulator, others):
    """Make Twins elsewhere: ``make(3, kind="drone") -> uuids``."""

    def make(number, **described):
        body = {"description": described}
        made = [others.call("create_twin", body=body) for _ in range(number)]
        return [twin["creation_certificate"]["uuid"] for twin in made]

    return make


async def test_a_thousand_twins_are_one_request(do, make, sent):
    uuids = make(1000, kind="drone", label="d")
    scanned = await do.list(Drone.scan())
    assert [drone.uuid for drone in scanned] == uuids
    assert {drone.label for drone in scanned} == {"d"}
    [request] = sent.take()
    assert request.path == "/twins"
    assert request.query == (
        ("count", "1000"),
        ("match", 'twin_status == "alive" and TWIN.kind in ["drone", "glider"]'),
        ("details", "true"),
    )


async def test_pages_until_the_cursor_is_null(do, make, sent):
    uuids = make(7)
    assert [twin.uuid for twin in await do.list(Twin.scan(page=3))] == uuids
    pages = [dict(request.query) for request in sent.take()]
    assert [page["count"] for page in pages] == ["3", "3", "3"]
    assert "cursor" not in pages[0]
    assert all("cursor" in page for page in pages[1:])


async def test_an_empty_page_is_not_the_end(do, make, sent):
    make(4, kind="stone")
    [last] = make(1, kind="gem")
    found = await do.list(Twin.scan('TWIN.kind == "gem"', page=2))
    assert [twin.uuid for twin in found] == [last]
    assert len(sent) == 3


async def test_pages_are_asked_for_as_they_are_needed(do, make, sent):
    make(4)
    scan = Twin.scan(page=2)
    assert sent == []
    if do.asynchronous:
        async for _ in scan:
            break
    else:
        for _ in scan:
            break
    assert len(sent) == 1


async def test_a_scan_can_be_repeated(do, make, sent):
    make(2)
    scan = Twin.scan()
    assert await do.list(scan) == await do.list(scan)
    assert len(sent) == 2


async def test_first_and_all(do, make, sent):
    uuids = make(3)
    assert (await do(Twin.scan(), "first")).uuid == uuids[0]
    assert [twin.uuid for twin in await do(Twin.scan(), "all")] == uuids
    assert await do(Twin.scan("TWIN.no == 1"), "first") is None
    assert len(sent) == 3


async def test_a_rule_of_fields(do, connection, sent):
    low = await do(Drone, "create", battery=12.5)
    await do(Drone, "create", battery=60)
    sent.clear()
    assert await do.list(Drone.scan(Drone.battery < 20)) == [low]
    assert dict(sent[0].query)["match"] == (
        'twin_status == "alive" and TWIN.kind in ["drone", "glider"] and LEDGER.battery < 20.0'
    )


@pytest.mark.parametrize(
    "rule",
    [
        (TWIN.label == "a") | (LEDGER.battery > 90),
        'TWIN.label == "a" or LEDGER.battery != null and LEDGER.battery > 90',
        (Drone.label == "a") | (Drone.battery > 90),
        (Drone.label == "a") | ~(Drone.battery <= 90),
    ],
)
async def test_rules_in_all_spellings(do, connection, others, rule):
    a = await do(Drone, "create", label="a", battery=1)
    b = await do(Drone, "create", label="b", battery=91)
    await do(Drone, "create", label="c", battery=2)
    assert await do.list(Drone.scan(rule)) == [a, b]


async def test_subclasses_come_as_themselves(do, connection):
    drone, glider = await do(Drone, "create"), await do(Glider, "create")
    await do(Balloon, "create")
    assert [type(found) for found in await do.list(Drone.scan())] == [Drone, Glider]
    assert await do.list(Glider.scan()) == [glider]
    assert len(await do.list(Balloon.scan())) == 3
    assert (await do.list(Twin.scan()))[:2] == [drone, glider]


async def test_terminated_twins_only_when_asked_for(do, make, others, sent):
    gone, alive = make(2, kind="drone")
    others.call("terminate_twin", gone)
    assert [drone.uuid for drone in await do.list(Drone.scan())] == [alive]
    every = await do.list(Drone.scan(terminated=True))
    assert [drone.uuid for drone in every] == [gone, alive]
    assert every[0].status == "terminated"
    assert dict(sent[-1].query)["match"] == 'TWIN.kind in ["drone", "glider"]'


async def test_a_scan_of_everything_has_no_rule(do, sent):
    assert await do.list(Twin.scan(terminated=True)) == []
    assert sent[0].query == (("count", "1000"), ("details", "true"))


async def test_scanned_records_know_their_description(do, make, sent):
    make(2, kind="drone", label="x")
    drones = await do.list(Drone.scan())
    sent.clear()
    assert [(drone.label, drone.status) for drone in drones] == [("x", "alive")] * 2
    assert ttorm.inspect(drones[0]).loaded == ("description",)
    assert sent == []


async def test_scanning_keeps_unsaved_changes(do, connection, others):
    drone = await do(Drone, "create", label="mine")
    drone.label = "changed"
    others.call("update_twin", drone.uuid, body={"description": {"kind": "drone", "label": "x"}})
    [found] = await do.list(Drone.scan())
    assert found is drone
    assert found.label == "changed"


async def test_a_malformed_page_stops_with_a_clear_error(do, wire):
    from ttorm.api.http import HttpResponse

    wire.meddle = lambda request: HttpResponse(200, {}, json.dumps([1]).encode())
    with pytest.raises(ttorm.ResponseFormatError, match="not a JSON object"):
        await do.list(Twin.scan())


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(("",), {}), ((), {"page": 0}), ((), {"page": 1001}), ((7,), {}), ((b"x == 1",), {})],
)
def test_what_cannot_be_scanned(connection, sent, arguments, options):
    with pytest.raises(ttorm.ValidationError):
        Twin.scan(*arguments, **options)
    assert sent == []


async def test_a_rule_the_service_refuses(do, connection):
    with pytest.raises(ttorm.BadRequestError, match="GET /twins got 400"):
        await do.list(Twin.scan("this is no rule"))


def test_a_scan_shows_its_rule(connection):
    assert repr(Drone.scan(Drone.label == "a")).startswith("<Scan of Drone: twin_status ==")
    assert repr(Twin.scan(terminated=True)) == "<Scan of Twin: all>"


async def test_what_a_scan_finds_belongs_to_where_it_began(do, world, connection, make):
    make(2)
    scan = Twin.scan(page=1)
    other = ttorm.connect("memory:", default=False)
    if world.asynchronous:
        found = aiter(scan)
        await anext(found)
        async with ttorm.session(other):
            second = await anext(found)
    else:
        found = iter(scan)
        next(found)
        with ttorm.session(other):
            second = next(found)
    second.ledger["seen"] = True
    await do(second, "save")
    assert connection.call("get_twin_ledger_entry", second.uuid)["entries"]["seen"]["value"] is True
    other.close()
