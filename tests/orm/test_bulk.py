"""Many records at once."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Twin, description, entry


class Drone(Twin):
    label: Field[str] = description(default="")
    battery: Field[float] = entry(default=100.0)


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
    assert caught.value.__notes__ == ["also, at the same time: cut off [transport]"]
    modified = [ttorm.inspect(drone).is_modified for drone in drones]
    assert modified == [True, False, True, False]


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
