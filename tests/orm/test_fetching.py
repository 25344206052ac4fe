"""What looking at a missing part of a listed record reads; and reading ahead on purpose."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, NotLoadedError, Twin, ValidationError, description, entry, identity


class Drone(Twin):
    class Meta:
        kind = "drone"

    label: Field[str] = description(default="")
    battery: Field[float] = entry(default=100.0)
    serial: Field[str | None] = identity("SN", default=None)


@pytest.fixture
def make(others):
    """Make drones elsewhere: ``make(3) -> uuids``, with batteries 0, 1, 2."""

    def make(number):
        uuids = []
        for battery in range(number):
            twin = others.call("create_twin", body={"description": {"kind": "drone"}})
            uuids.append(twin["creation_certificate"]["uuid"])
            entries = {"entries": {"battery": {"value": float(battery)}}}
            others.call("add_twin_ledger_entry", uuids[-1], "personal", body=entries)
        return uuids

    return make


def ledgers(uuids):
    return sorted(f"GET /twins/{uuid}/ledgers/personal" for uuid in uuids)


# Peers


def test_a_missing_part_is_read_for_the_next_ones_as_well(connect, make):
    uuids = make(5)
    sent = connect(default=True, concurrency=3).transport.sent
    drones = iter(Drone.scan())
    first = next(drones)
    sent.take()
    assert first.battery == 0.0
    assert sorted(sent.lines()) == ledgers(uuids[:3])
    second = next(drones)
    third = next(drones)
    assert (second.battery, third.battery) == (1.0, 2.0)
    assert sent.lines() == []
    assert next(drones).battery == 3.0
    assert sorted(sent.lines()) == ledgers(uuids[3:])


def test_peers_before_the_reader_are_left_alone(connect, make):
    uuids = make(4)
    sent = connect(default=True, concurrency=16).transport.sent
    drones = Drone.scan().all()
    sent.take()
    assert drones[2].battery == 2.0
    assert sorted(sent.lines()) == ledgers(uuids[2:])


def test_peers_that_nobody_holds_are_not_read(connect, make):
    uuids = make(4)
    sent = connect(default=True).transport.sent
    first, *others = Drone.scan().all()
    held = others.pop()
    del others
    sent.take()
    assert first.battery == 0.0
    assert sorted(sent.lines()) == ledgers([uuids[0], uuids[3]])
    assert held.battery == 3.0
    assert sent.lines() == []


def test_loaded_peers_are_not_read_again(connect, make):
    uuids = make(3)
    sent = connect(default=True, cache=None).transport.sent
    drones = Drone.scan().all()
    drones[1].load("ledger")
    sent.take()
    assert drones[0].battery == 0.0
    assert sorted(sent.lines()) == ledgers([uuids[0], uuids[2]])


def test_a_peer_that_cannot_be_read_fails_when_it_is_looked_at(connect, make, others):
    make(2)
    connect(default=True, cache=None)
    first, second = Drone.scan().all()
    role = others.call("who_am_i")["role"]
    first.uuid  # noqa: B018 # known already
    others.call(
        "update_user_role",
        role,
        body={"rules": {"twin_rule": f'twin != "{second.uuid}"'}},
    )
    assert first.battery == 0.0
    with pytest.raises(ttorm.ApiError):
        second.battery  # noqa: B018 # reading is the test


def test_the_first_failure_is_the_readers_own(connect, make, wire, sent):
    make(3)
    drones = Drone.scan().all()
    broken = drones[0].uuid

    def meddle(request):
        if broken in request.url:
            raise ttorm.TransportError("cut off")

    wire.meddle = meddle
    connection = drones[0]._state.connection
    connection.retry = ttorm.RetryPolicy(attempts=1)
    with pytest.raises(ttorm.TransportError, match="cut off"):
        drones[0].battery  # noqa: B018 # reading is the test
    assert drones[1].battery == 1.0


def test_one_by_one(connection, make, sent):
    uuids = make(3)
    drones = Drone.scan(fetch="one").all()
    sent.take()
    assert drones[0].battery == 0.0
    assert sent.lines() == ledgers(uuids[:1])


def test_the_session_says_how_to_fetch(connection, make, sent):
    uuids = make(3)
    with ttorm.session(fetch="one"):
        drones = Drone.scan().all()
        sent.take()
        assert drones[0].battery == 0.0
        assert sent.lines() == ledgers(uuids[:1])


def test_a_scan_says_it_better(connection, make, sent):
    uuids = make(3)
    with ttorm.session(fetch="raise"):
        drones = Drone.scan(fetch="peers").all()
        sent.take()
        assert drones[0].battery == 0.0
        assert sorted(sent.lines()) == ledgers(uuids)


def test_nothing_is_read_by_itself(connection, make, sent):
    [uuid] = make(1)
    with ttorm.session(fetch="raise"):
        [drone] = Drone.scan()
        sent.take()
        with pytest.raises(NotLoadedError, match=r"record\.load\('ledger'\)") as caught:
            drone.battery  # noqa: B018 # reading is the test
        assert "prefetch('ledger')" in str(caught.value)
        assert drone.label == ""
        assert sent.lines() == []
        with pytest.raises(NotLoadedError, match="identities"):
            drone.serial  # noqa: B018 # reading is the test
        assert drone.load("ledger").battery == 0.0
        assert Drone.at(uuid) is drone


def test_records_by_uuid_are_nobodys_peers(connection, make, sent):
    uuids = make(3)
    drones = [Drone.at(uuid) for uuid in uuids]
    assert drones[0].battery == 0.0
    assert sent.lines() == ledgers(uuids[:1])


def test_a_wrong_way_to_fetch():
    with pytest.raises(ValidationError, match="'peers', 'one', 'raise'"):
        Drone.scan(fetch="all")
    with pytest.raises(ValidationError, match="'peers', 'one', 'raise'"):
        ttorm.session(fetch="lazy")


# Ahead, on purpose


async def test_prefetching_reads_before_it_hands_out(do, connection, make, sent):
    uuids = make(3)
    drones = await do.list(Drone.scan().prefetch("ledger"))
    assert sent.take()[0].path == "/twins"
    assert [drone.battery for drone in drones] == [0.0, 1.0, 2.0]
    assert sent.lines() == []
    assert [drone.uuid for drone in drones] == uuids


async def test_prefetching_several_parts_by_fields(do, connection, make, sent):
    [uuid] = make(1)
    [drone] = await do.list(Drone.scan().prefetch("battery").prefetch("serial", "label"))
    assert sorted(sent.lines()) == [
        "GET /twins",
        f"GET /twins/{uuid}/identities",
        f"GET /twins/{uuid}/ledgers/personal",
    ]
    assert (drone.battery, drone.serial, drone.label) == (0.0, None, "")


async def test_no_more_is_prefetched_than_the_limit(do, connection, make, sent):
    uuids = make(4)
    drones = await do.list(Drone.scan().prefetch("ledger").limit(2))
    assert [drone.battery for drone in drones] == [0.0, 1.0]
    assert sorted(sent.lines()[1:]) == ledgers(uuids[:2])


async def test_who_stops_early_has_read_a_few_rounds_only(do, connect, make):
    make(10)
    sent = connect(default=True, concurrency=1).transport.sent
    scan = Drone.scan().prefetch("ledger")
    if do.asynchronous:
        async for _ in scan:
            break
    else:
        for _ in scan:
            break
    assert len(sent.take()) == 1 + 4


def test_a_thousand_ledgers_are_a_thousand_requests(connection, make, sent):
    make(100)
    total = sum(drone.battery for drone in Drone.scan())
    assert total == sum(range(100))
    assert len(sent.take()) == 1 + 100


def test_a_wrong_part():
    with pytest.raises(ValidationError, match="did you mean 'battery'"):
        Drone.scan().prefetch("batery")
    with pytest.raises(ValidationError, match="expected one of description, ledger"):
        Drone.scan().prefetch("everything")
