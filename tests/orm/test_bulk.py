"""Many records at once."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Link, Twin, description, entry


class Drone(Twin):
    label: Field[str] = description(default="")
    battery: Field[float] = entry(default=100.0)


class Base(Twin):
    place: Field[str] = description()


class Scout(Twin):
    base: Field[Link[Base]] = entry()


class Leader(Twin):
    scouts: Field[list[Link[Scout]]] = entry()


class Node(Twin):
    label: Field[str] = description(default="")
    next: Field[Link[Node] | None] = entry(default=None)


PARTS = ("", "/ledgers/personal")


def make(number):
    return [Drone(label=str(index), battery=float(index)) for index in range(number)]


async def test_saving_many(do, connection, sent):
    drones = make(3)
    result = await do(ttorm, "save_all", drones)
    assert result.requests == 6
    assert result.created.count("battery") == 3
    lines = sent.lines()
    assert lines.count("POST /twins") == 3
    assert len(lines) == 6


async def test_the_clean_send_nothing(do, connection, sent):
    drones = make(3)
    await do(ttorm, "save_all", drones)
    sent.take()
    drones[1].battery = 7.0
    result = await do(ttorm, "save_all", drones)
    assert (result.updated, result.requests) == (("battery",), 1)
    assert len(sent.take()) == 1


async def test_the_same_record_twice_is_saved_once(do, connection, sent):
    [drone] = make(1)
    assert (await do(ttorm, "save_all", [drone, drone])).requests == 2


async def test_checked(do, connection, others, sent):
    [drone] = make(1)
    await do(drone, "save")
    body = {"entries": {"battery": {"value": 1.5}}}
    others.call("update_twin_ledger_entry_value", drone.uuid, "personal", body=body)
    drone.battery = 9.0
    with pytest.raises(ttorm.ConflictError):
        await do(ttorm, "save_all", [drone], check=True)


async def test_every_record_is_tried_and_every_failure_told(do, connection, wire):
    drones = make(4)
    await do(ttorm, "save_all", drones)
    bad = {drones[0].uuid, drones[2].uuid}

    def meddle(request):
        if any(uuid in request.url for uuid in bad):
            raise ttorm.TransportError("cut off", sent=False)

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=1)
    for drone in drones:
        drone.battery += 50.0
    with pytest.raises(ttorm.TransportError) as caught:
        await do(ttorm, "save_all", drones)
    first, second = (f"in the save of {drones[index]!r}" for index in (0, 2))
    lost = f"PATCH /twins/{drones[2].uuid}/ledgers/personal/value: cut off [transport]"
    assert caught.value.__notes__ == [first, f"also, at the same time: {lost}; {second}"]
    modified = [ttorm.inspect(drone).is_modified for drone in drones]
    assert modified == [True, False, True, False]


async def test_what_fails_alike_is_told_once(do, connection):
    with pytest.raises(ttorm.StateError, match="not saved yet") as caught:
        await do(Twin(), "refresh")
    assert not hasattr(caught.value, "__notes__")


async def test_loading_many(do, connection, others, sent):
    drones = []
    for battery in range(3):
        twin = others.call("create_twin")["creation_certificate"]["uuid"]
        body = {"entries": {"battery": {"value": float(battery)}}}
        others.call("add_twin_ledger_entry", twin, "personal", body=body)
        drones.append(Drone.at(twin))
    loaded = await do(ttorm, "load_all", iter(drones), "ledger")
    assert loaded == drones
    assert len(sent.take()) == 3
    assert [drone.battery for drone in loaded] == [0.0, 1.0, 2.0]
    assert sent.lines() == []


async def test_what_is_loaded_is_not_read_again(do, connection, sent):
    drones = make(2)
    await do(ttorm, "save_all", drones)
    sent.take()
    await do(ttorm, "load_all", drones)
    assert sent.lines() == []


async def test_refreshing_many(do, connection, others, sent):
    drones = make(2)
    await do(ttorm, "save_all", drones)
    body = {"entries": {"battery": {"value": 55.5}}}
    others.call("update_twin_ledger_entry_value", drones[1].uuid, "personal", body=body)
    assert await do(ttorm, "refresh_all", drones) == drones
    assert [drone.battery for drone in drones] == [0.0, 55.5]


async def test_progress_is_told(do, connection):
    told = []
    drones = make(3)
    await do(ttorm, "save_all", drones, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    await do(ttorm, "load_all", drones, progress=lambda done, of: told.append((done, of)))
    await do(ttorm, "refresh_all", drones, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)] * 3


async def test_progress_counts_failures_too(do, connection, wire):
    drones = make(2)
    told = []

    def meddle(request):
        raise ttorm.TransportError("cut off", sent=False)

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=1)
    with pytest.raises(ttorm.TransportError):
        await do(ttorm, "save_all", drones, progress=lambda done, of: told.append(done))
    assert told == [1, 2]


async def test_none_at_all(do, connection, sent):
    assert await do(ttorm, "load_all", []) == []
    assert await do(ttorm, "refresh_all", []) == []
    assert await do(ttorm, "save_all", []) == ttorm.SaveResult()
    assert sent.lines() == []


async def test_no_more_at_once_than_the_connection_allows(do, connect):
    connection = connect(default=True, concurrency=2)
    drones = make(6)
    await do(ttorm, "save_all", drones)
    under_way, most = 0, 0
    transport = connection.transport
    send, asend = transport.send, transport.asend

    def counted(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return send(request)
        finally:
            under_way -= 1

    async def acounted(request):
        import asyncio

        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await asyncio.sleep(0)
            return await asend(request)
        finally:
            under_way -= 1

    transport.send, transport.asend = counted, acounted
    await do(ttorm, "refresh_all", drones)
    assert 1 <= most <= 2


async def test_progress_counts_the_same_record_once(do, connection):
    told = []
    [drone] = make(1)
    await do(ttorm, "save_all", [drone, drone], progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 1)]


async def test_what_is_no_record_is_refused_before_anything_is_sent(do, connection, sent):
    [drone] = make(1)
    for verb in ("save_all", "load_all", "refresh_all"):
        with pytest.raises(TypeError, match=r"expected Twins, found str.*Twin\.at\(uuid\)"):
            await do(ttorm, verb, [drone, "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"])
    assert sent.lines() == []


async def test_a_part_that_is_none_is_refused_before_anything_is_sent(do, connection, sent):
    drones = [Drone.at(f"0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a1{index}") for index in range(3)]
    with pytest.raises(ttorm.ValidationError, match="no part 'batery'") as caught:
        await do(ttorm, "load_all", drones, "ledger", "batery")
    assert not hasattr(caught.value, "__notes__")
    assert sent.lines() == []


async def test_names_of_fields_stand_for_their_parts(do, connect):
    sent = connect(default=True, cache=None).transport.sent
    made = [await do(Drone, "create", label=str(number)) for number in range(2)]
    async with do.block(ttorm.session()):
        drones = [Drone.at(one.uuid) for one in made]
        sent.take()
        await do(ttorm, "load_all", drones, "battery", "label")
        paths = [f"GET /twins/{one.uuid}{part}" for one in made for part in PARTS]
        assert sorted(sent.lines()) == sorted(paths)
        assert [(one.label, one.battery) for one in drones] == [("0", 100.0), ("1", 100.0)]
    with pytest.raises(ttorm.ValidationError, match="no part 'battry': did you mean 'battery'"):
        await do(ttorm, "load_all", drones, "battry")
    with pytest.raises(ttorm.ValidationError, match="no part 'battery'"):
        await do(ttorm, "load_all", [*drones, Twin.at(made[0].uuid)], "battery")


async def test_with_links_come_the_twins_they_lead_to(do, connect):
    sent = connect(default=True, cache=None).transport.sent
    base = await do(Base, "create", place="roof")
    scouts = [await do(Scout, "create", base=base) for _ in range(3)]
    async with do.block(ttorm.session()):
        found = [Scout.at(one.uuid) for one in scouts]
        sent.take()
        await do(ttorm, "load_all", found, "base")
        assert len(sent.take()) == 4
        assert [one.base.place for one in found] == ["roof"] * 3
        assert sent.lines() == []


async def test_a_chain_is_saved_in_its_order(do, connection, sent):
    """Links to new records, references to new Entries, over many Twins and in any order."""
    await do(connection, "whoami")
    sent.clear()
    base = Base(place="roof")
    base.ledger["wind"] = 3
    scouts = [Scout(base=base) for _ in range(3)]
    for scout in scouts:
        scout.ledger["wind"] = ttorm.Entry(ref=base.ledger["wind"])
    leader = Leader(scouts=scouts)
    told = []
    result = await do(
        ttorm,
        "save_all",
        [leader, *scouts, base],
        progress=lambda done, of: told.append((done, of)),
    )
    assert told == [(number, 5) for number in range(1, 6)]
    assert result.requests == len(sent) == 10
    assert sent[0].body == {"description": {"place": "roof"}}
    assert sent[1].path == f"/twins/{base.uuid}/ledgers/personal"
    assert [request.body for request in sent[-2:]] == [
        None,
        {"entries": {"scouts": {"value": [one.uuid for one in scouts]}}},
    ]
    others_wind = (await do(scouts[0], "load", "ledger")).ledger["wind"]
    assert (others_wind.ref.rpartition("/")[2], others_wind.value) == ("wind", 3)


async def test_who_waits_in_a_circle_is_told_of_once(do, connection, sent):
    one, two = Node(), Node()
    one.next, two.next = two, one
    told = []
    result = await do(
        ttorm, "save_all", [one, two], progress=lambda done, of: told.append((done, of))
    )
    assert told == [(1, 2), (2, 2)]
    assert result.requests == len(sent) == 4
    assert (one.ledger["next"].value, two.ledger["next"].value) == (two.uuid, one.uuid)


async def test_what_is_not_among_them_is_not_saved(do, connection, sent):
    scout, drone = Scout(base=Base(place="roof")), Drone()
    with pytest.raises(ttorm.StateError, match=r"speaks of \(new Base\)"):
        await do(ttorm, "save_all", [scout, drone])
    assert [ttorm.inspect(one).is_modified for one in (scout, drone)] == [True, False]


async def test_who_waits_for_what_failed_says_so(do, connection, wire):
    def meddle(request):
        if request.body and b"roof" in request.body:
            raise ttorm.TransportError("cut off", sent=False)

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=1)
    scout = Scout(base=Base(place="roof"))
    with pytest.raises(ttorm.TransportError) as caught:
        await do(ttorm, "save_all", [scout, scout.base])
    assert "speaks of (new Base)" in "".join(caught.value.__notes__)
    wire.meddle = lambda request: None
    await do(ttorm, "save_all", [scout, scout.base])
    assert scout.ledger["base"].value == scout.base.uuid


async def test_a_twin_in_doubt_is_not_created_again_for_its_circle(do, connection, wire, sent):
    one, two = Node(label="one"), Node(label="two")
    one.next, two.next = two, one

    def meddle(request):
        if request.method == "POST" and b"one" in (request.body or b""):
            raise ttorm.TransportError("answer lost", sent=True)

    wire.meddle = meddle
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(ttorm, "save_all", [one, two])
    assert [request.body for request in sent].count({"description": {"label": "one"}}) == 1


async def test_what_is_refused_in_a_circle_holds_up_nothing_else(do, connection, emulator, others):
    one, two = await do(Node, "create", label="one"), Node()
    others.call("add_twin_ledger_entry", one.uuid, body={"entries": {"taken": {"value": 1}}})
    one.ledger["taken"] = 2
    one.next, two.next = two, one
    with pytest.raises(ttorm.SaveError) as caught:
        await do(ttorm, "save_all", [one, two])
    assert list(caught.value.errors) == ["ledger['taken']"]
    assert caught.value.__notes__ == [f"in the save of {one!r}"]
    assert ttorm.inspect(one).changes == {"ledger['taken']": (None, 2)}
    read = others.call("get_twin_ledger_entry", one.uuid)["entries"]
    assert (read["taken"]["value"], read["next"]["value"]) == (1, two.uuid)


@pytest.mark.parametrize("verb", ["save_all", "load_all", "refresh_all"])
async def test_a_callback_that_raises_loses_nothing(do, connection, sent, verb):
    drones = make(4)
    if verb != "save_all":
        await do(ttorm, "save_all", drones)
        for drone in drones:
            drone.ledger._state.ledger.expire()
        sent.clear()
    told = []

    def progress(done, of):
        told.append(done)
        if done == 2:
            raise ZeroDivisionError("the bar is full")

    with pytest.raises(ZeroDivisionError, match="the bar is full") as caught:
        await do(ttorm, verb, drones, progress=progress)
    assert told == [1, 2]
    assert not hasattr(caught.value, "__notes__")
    assert len(sent) == {"save_all": 8, "load_all": 4, "refresh_all": 12}[verb]
    assert [ttorm.inspect(drone).is_modified for drone in drones] == [False] * 4


async def test_a_failure_counts_more_than_the_callbacks(do, connection, wire):
    drones = make(2)

    def meddle(request):
        if b"1.0" in (request.body or b""):
            raise ttorm.TransportError("cut off", sent=False)

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=1)

    def progress(done, of):
        raise ZeroDivisionError

    with pytest.raises(ttorm.TransportError) as caught:
        await do(ttorm, "save_all", drones, progress=progress)
    assert caught.value.__notes__ == [
        f"in the save of {drones[1]!r}",
        "also, the progress callback failed: ZeroDivisionError()",
    ]
    assert [ttorm.inspect(drone).is_modified for drone in drones] == [False, True]


async def test_a_thousand_twins_with_their_ledgers_take_a_request_each(do, world, connect, others):
    connection = connect(default=True)
    for number in range(1_000):
        body = {"description": {"label": str(number)}}
        uuid = others.call("create_twin", body=body)["creation_certificate"]["uuid"]
        body = {"entries": {"battery": {"value": float(number)}}}
        others.call("add_twin_ledger_entry", uuid, "personal", body=body)
    sent = connection.transport.sent
    drones = await world.list(Drone.scan().prefetch("ledger"))
    assert sum(drone.battery for drone in drones) == sum(range(1_000))
    assert [drone.label for drone in drones] == [str(number) for number in range(1_000)]
    assert len(sent) == 1 + 1_000
    assert {request.method for request in sent} == {"GET"}
    # What was read is not read again, whoever asks.
    await do(ttorm, "load_all", drones, "battery", "label")
    assert len(sent) == 1 + 1_000
