"""Going through the account's Twins."""

from __future__ import annotations

import json
import tracemalloc

import pytest

import ttorm
import ttorm.sessions
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


# What else a scan answers


async def test_counting_reads_all_pages(do, make, sent):
    make(7, kind="drone")
    make(2)
    assert await do(Drone.scan(page=4), "count") == 7
    assert len(sent.take()) == 3
    assert await do(Drone.scan().limit(5), "count") == 5


async def test_existence_ends_with_the_first_page_that_has_one(do, make, sent):
    make(3)
    make(3, kind="drone")
    make(3)
    assert await do(Drone.scan(page=2), "exists")
    assert len(sent.take()) == 2
    assert not await do(Drone.scan(TWIN.label == "none", page=4), "exists")
    assert len(sent.take()) == 3


async def test_a_limit_ends_the_asking(do, make, sent):
    uuids = make(9)
    assert [twin.uuid for twin in await do(Twin.scan(page=2).limit(3), "all")] == uuids[:3]
    assert len(sent.take()) == 2
    assert await do(Twin.scan().limit(0), "all") == []
    assert sent.lines() == []


async def test_pages_carry_the_cursor_at_which_another_scan_goes_on(do, make, connect):
    uuids = make(5)
    scan = Twin.scan(page=2)
    pages = await do.list(scan.pages())
    assert [[twin.uuid for twin in page.records] for page in pages] == [
        uuids[:2],
        uuids[2:4],
        uuids[4:],
    ]
    assert [page.cursor is None for page in pages] == [False, False, True]
    again = await do(Twin.scan(page=2).after(pages[0].cursor), "all")
    assert [twin.uuid for twin in again] == uuids[2:]


@pytest.mark.parametrize("cursor", [None, "", 7])
def test_the_end_is_no_place_to_go_on(cursor):
    with pytest.raises(ttorm.ValidationError, match="expected the cursor of a page"):
        Twin.scan().after(cursor)


async def test_narrowing_leaves_the_scan_as_it_was(do, make):
    make(3)
    scan = Twin.scan()
    scan.limit(1)
    scan.prefetch("ledger")
    assert len(await do(scan, "all")) == 3
    assert (await do(scan, "first")).uuid == (await do(scan, "all"))[0].uuid


@pytest.mark.parametrize("number", [-1, 1.5, "3", True])
def test_wrong_numbers(number):
    with pytest.raises(ttorm.ValidationError, match="expected 0 or more"):
        Twin.scan().limit(number)
    with pytest.raises(ttorm.ValidationError, match="expected 1 or more"):
        Twin.scan().chunks(number)


async def test_chunks(do, make, sent):
    uuids = make(7)
    chunks = await do.list(Twin.scan(page=3).chunks(2))
    assert [[twin.uuid for twin in chunk] for chunk in chunks] == [
        uuids[0:2],
        uuids[2:4],
        uuids[4:6],
        uuids[6:],
    ]
    assert len(sent.take()) == 3


async def test_a_block_saves_chunk_by_chunk_and_lets_go(do, make, sent):
    make(4, kind="drone")
    async with do.block(ttorm.session()) as s:
        held = []
        chunks = Drone.scan().chunks(2)
        sent.take()
        if do.asynchronous:
            async for chunk in chunks:
                held.append((len(s._held), len(sent.lines())))
                for drone in chunk:
                    drone.battery = 1.0
        else:
            for chunk in chunks:
                held.append((len(s._held), len(sent.lines())))
                for drone in chunk:
                    drone.battery = 1.0
        # The first chunk's two drones were saved, a PATCH and a POST each, and let go.
        assert held == [(0, 1), (0, 4)]
        assert len(sent.take()) == 4
        assert s.dirty == []
    assert sent.lines() == []


@pytest.mark.parametrize("number", [10, pytest.param(100, marks=pytest.mark.full)])
def test_a_hundred_thousand_records_need_no_more_memory_than_a_page(connection, number):
    # The service is the test's own: this is about what ttorm keeps.
    from itertools import count

    from ttorm.api.http import HttpResponse

    pages = count(1)

    def answer(request):
        page = next(pages)
        twins = [
            {
                "creation_certificate": {
                    "uuid": f"00000000-0000-4000-8000-{page:06d}{index:06d}",
                    "creator": "c",
                    "created_ts": 1.0,
                },
                "status": "alive",
                "owner": "o",
                "updated_ts": 1.0,
                "description": {"kind": "drone", "label": str(index)},
            }
            for index in range(1000)
        ]
        body = {"twins": twins, "cursor": None if page == number else "more"}
        return HttpResponse(200, {}, json.dumps(body).encode())

    connection.transport.meddle = answer
    seen, known = 0, ttorm.sessions.current_session().known
    alive, memory = [], []
    tracemalloc.start()
    try:
        for drone in Drone.scan():
            seen += bool(drone.label)
            if seen % 1000 == 0:
                alive.append(len(known))
                memory.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert seen == 1000 * number
    assert max(alive) <= 2_000
    # After the second page nothing is added but what the identity map gives up now and then.
    assert max(memory[2:]) <= 1.1 * memory[1] + 1_000_000


async def test_nothing_is_the_first_of_none(do, connection, sent):
    await do(Twin, "create")
    sent.clear()
    none = Twin.scan().limit(0)
    assert await do(none, "first") is None
    assert not await do(none, "exists")
    assert sent == []
