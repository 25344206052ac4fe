"""`save_all(records, via="batch")`: the same writes, carried in batches, in dependent rounds."""

from __future__ import annotations

import asyncio
import json
from random import Random

import pytest

import ttorm
from ttorm import (
    Batch,
    BatchError,
    ConfigurationError,
    Field,
    ForbiddenError,
    Link,
    NotFoundError,
    OutcomeUnknownError,
    QuotaError,
    SaveError,
    Twin,
    ValidationError,
    description,
    entry,
    identity,
    signals,
)
from ttorm.api.errors import TransportError
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport


class Pump(Twin):
    hall: Field[int | None] = description(default=None)
    pressure: Field[float | None] = entry(default=None, history="3M")
    serial: Field[str | None] = identity("SN", default=None)
    feeds: Field[Link[Pump] | None] = entry(default=None)


@pytest.fixture
def uploaded(sent):
    """Take what was sent: the calls of each batch, by operation, and the other requests."""

    def uploaded():
        files, batches, others = {}, [], []
        requests = sent.take()
        for request in requests:
            if request.method == "PUT":
                files[request.path.rpartition("/")[2]] = request.body
            elif str(request) == "POST /batches":
                lines = files[request.body["handler"]].splitlines()
                batches.append((request.body["operation"], [json.loads(line) for line in lines]))
            elif "batches" not in request.path and request.path.split("/")[1] not in _PLUMBING:
                others.append(str(request))
        return batches, others

    return uploaded


_PLUMBING = ("cache", "download", "_upload")


def names(batches):
    return [(operation, len(lines)) for operation, lines in batches]


async def test_new_records_go_in_dependent_rounds(do, connection, uploaded):
    pumps = [Pump(hall=n, pressure=n, serial=f"S{n}") for n in range(3)]
    result = await do(ttorm, "save_all", pumps, via="batch")
    batches, others = uploaded()
    assert names(batches) == [
        ("create_twin", 3),
        ("create_twin_identity", 3),
        ("add_twin_ledger_entry", 3),
    ]
    assert not others
    assert batches[0][1] == [{"body": {"description": {"hall": n}}} for n in range(3)]
    assert batches[2][1] == [
        {
            "twin": pump.uuid,
            "ledger": "personal",
            "body": {"entries": {"pressure": {"value": float(n), "history": "3M"}}},
        }
        for n, pump in enumerate(pumps)
    ]
    assert set(result.created) == {"hall", "pressure", "serial"}
    assert not any(ttorm.inspect(pump).is_modified for pump in pumps)
    for n, pump in enumerate(pumps):
        assert connection.call("get_twin_ledger_entry", pump.uuid)["entries"]["pressure"][
            "value"
        ] == float(n)
    assert (await do(Pump, "find", serial="S2")) == pumps[2]
    assert await do.list(Batch.list()) == []


async def test_the_calls_are_those_of_the_plans(do, connection, uploaded):
    pumps = [Pump(hall=n, pressure=n, serial=f"S{n}") for n in range(2)]
    await do(ttorm, "save_all", pumps)
    for pump in pumps:
        pump.pressure = 9.5
        pump.hall = 7
        pump.identities[f"SN#{pump.serial}"].visibility = "true"
    plans = [pump.plan() for pump in pumps]
    uploaded()
    result = await do(ttorm, "save_all", pumps, via="batch")
    batches, others = uploaded()
    sent = {
        (
            operation,
            tuple(line.get(name) for name in ("twin", "identity")),
            json.dumps(line["body"]),
        )
        for operation, lines in batches
        for line in lines
    }
    planned = {
        (one.operation, one.path.split("/")[2], json.dumps(one.body))
        for plan in plans
        for one in plan
    }
    assert {(operation, ids[0], body) for operation, ids, body in sent} == planned
    assert len(sent) == 6
    assert not others
    assert len(result.updated) == 6


async def test_requests_are_counted_as_they_were_sent(do, connection, uploaded, sent):
    pumps = [Pump(hall=n, pressure=n) for n in range(20)]
    before = connection.requests
    result = await do(ttorm, "save_all", pumps, via="batch")
    assert result.requests == connection.requests - before
    assert result.requests < 40


async def test_what_is_alone_is_sent_as_ever(do, connection, uploaded):
    result = await do(ttorm, "save_all", [Pump(hall=1, pressure=2)], via="batch")
    batches, others = uploaded()
    assert not batches
    assert [line.split("/")[1] for line in others] == ["twins", "twins"]
    assert result.requests == 2


async def test_records_without_changes_send_nothing(do, connection, sent):
    pumps = [Pump.create(hall=1) for _ in range(2)]
    sent.clear()
    assert (await do(ttorm, "save_all", pumps, via="batch")).requests == 0
    assert await do(ttorm, "save_all", [], via="batch") == ttorm.SaveResult()
    assert not sent


async def test_what_is_spoken_of_comes_first(do, connection, uploaded):
    targets = [Pump(hall=n) for n in range(2)]
    sources = [Pump(hall=9, feeds=target) for target in targets]
    await do(ttorm, "save_all", [*sources, *targets], via="batch")
    batches, _ = uploaded()
    assert names(batches) == [("create_twin", 2), ("create_twin", 2), ("add_twin_ledger_entry", 2)]
    assert [line["body"]["description"] for line in batches[0][1]] == [{"hall": 0}, {"hall": 1}]
    assert [line["body"]["entries"]["feeds"]["value"] for line in batches[2][1]] == [
        target.uuid for target in targets
    ]


async def test_an_entry_that_an_update_does_not_find_is_new(do, connection, uploaded):
    twins = [Pump.create() for _ in range(2)]
    uploaded()
    with ttorm.session():
        again = [Pump.at(twin.uuid) for twin in twins]
        for twin in again:
            twin.pressure = 5
        result = await do(ttorm, "save_all", again, via="batch")
    batches, others = uploaded()
    assert names(batches) == [("update_twin_ledger_entry_value", 2), ("add_twin_ledger_entry", 2)]
    assert not others
    assert result.created == ("pressure", "pressure")


async def test_reads_are_no_calls_of_a_batch(do, connection, uploaded):
    """A description that comes from a listing is read before it is replaced."""
    for n in range(2):
        await do(Pump, "create", hall=n)
    uploaded()
    with ttorm.session():
        pumps = await do.list(Pump.scan())
        for pump in pumps:
            pump.hall = 8
        await do(ttorm, "save_all", pumps, via="batch")
    batches, others = uploaded()
    assert names(batches) == [("update_twin", 2)]
    assert others[0] == "GET /twins"
    assert sorted(others[1:]) == sorted(f"GET /twins/{pump.uuid}" for pump in pumps)


# What is refused


async def test_items_that_are_refused(do, connection, others):
    pumps = [await do(Pump, "create", pressure=n) for n in range(3)]
    others.call("delete_twin_ledger_entry", pumps[1].uuid, entries=["pressure"])
    for pump in pumps:
        pump.pressure = 9
    with pytest.raises(SaveError, match="pressure") as caught:
        await do(ttorm, "save_all", pumps, via="batch")
    assert list(caught.value.errors) == ["pressure"]
    assert [ttorm.inspect(pump).is_modified for pump in pumps] == [False, True, False]


async def test_a_call_that_fails_is_the_failure_of_its_record(do, connection, others):
    pumps = [await do(Pump, "create", pressure=n) for n in range(3)]
    for pump in pumps:
        pump.description["hall"] = 9
    others.call("terminate_twin", pumps[0].uuid)
    with pytest.raises(ttorm.ApiError) as caught:
        await do(ttorm, "save_all", pumps, via="batch")
    assert caught.value.operation == "update_twin"
    assert [ttorm.inspect(pump).is_modified for pump in pumps] == [True, False, False]
    assert caught.value.__notes__ == [f"in the save of {pumps[0]!r}"]


async def test_a_check_holds_in_batches(do, connection, others):
    pumps = [await do(Pump, "create", pressure=n) for n in range(2)]
    body = {"entries": {"pressure": {"value": 77}}}
    others.call("update_twin_ledger_entry_value", pumps[0].uuid, body=body)
    for pump in pumps:
        pump.pressure = 9
    with pytest.raises(ttorm.ConflictError):
        await do(ttorm, "save_all", pumps, check=True, via="batch")
    assert [ttorm.inspect(pump).is_modified for pump in pumps] == [True, False]


async def test_what_is_too_large_is_refused_before_anything_is_sent(do, connection, sent):
    pumps = [Pump(hall=1), Pump()]
    pumps[1].ledger["text"] = "x" * 70_000
    with pytest.raises(QuotaError):
        await do(ttorm, "save_all", pumps[1:] * 2, via="batch")
    assert not sent


async def test_no_codec_no_batch(do, connection, sent):
    connection.batch_codec = None
    with pytest.raises(ConfigurationError, match=r"\[batch-format\]"):
        await do(ttorm, "save_all", [Pump(), Pump()], via="batch")
    with pytest.raises(ValidationError, match="'requests' or 'batch'"):
        await do(ttorm, "save_all", [Pump()], via="pigeon")
    assert not sent


async def test_a_role_without_batches(do, connection):
    role = connection.whoami()["role"]
    pumps = [await do(Pump, "create", hall=n) for n in range(2)]
    connection.call(
        "update_user_role",
        role,
        body={"statement": {"effect": "deny", "actions": ["create_batch"]}},
    )
    for pump in pumps:
        pump.hall = 9
    with pytest.raises(ForbiddenError) as caught:
        await do(ttorm, "save_all", pumps, via="batch")
    assert caught.value.operation == "create_batch"
    assert len(caught.value.__notes__) == 2
    assert [ttorm.inspect(pump).is_modified for pump in pumps] == [True, True]


# When something breaks


async def test_a_batch_whose_file_arrives_damaged_has_done_nothing(do, connection, wire):
    def damage(request):
        if request.method == "PUT" and isinstance(request.body, Upload):
            return wire.transport.send(HttpRequest("PUT", request.url, {}, b"damaged"))
        return None

    wire.meddle = damage
    pumps = [Pump(hall=n) for n in range(2)]
    with pytest.raises(BatchError):
        await do(ttorm, "save_all", pumps, via="batch")
    wire.meddle = lambda request: None
    assert (await do(ttorm, "save_all", pumps, via="batch")).requests


@pytest.mark.parametrize("operation", ["create_upload_url", "upload"])
@pytest.mark.parametrize("failure", [{"status": 500}, {"drop": "after"}])
async def test_a_batch_whose_file_does_not_arrive_has_done_nothing(
    do, connection, others, operation, failure
):
    connection.retry = ttorm.RetryPolicy(base=0.0)
    pumps = [Pump(hall=n) for n in range(2)]
    with (
        connection.emulator.faults.add(operation, **failure),
        pytest.raises(ttorm.TransportError),
    ):
        await do(ttorm, "save_all", pumps, via="batch")
    assert others.call("scan_twins")["twins"] == []
    await do(ttorm, "save_all", pumps, via="batch")
    assert len(others.call("scan_twins")["twins"]) == 2


async def test_a_begun_batch_that_nobody_can_look_at_leaves_it_open(do, connection, wire):
    def cut(request):
        if request.method == "GET" and "/batches/" in request.url:
            raise TransportError("cut off", sent=True)

    wire.meddle = cut
    connection.retry = ttorm.RetryPolicy(attempts=1)
    pumps = [Pump(hall=n) for n in range(2)]
    with pytest.raises(OutcomeUnknownError, match=r"Batch\.get") as caught:
        await do(ttorm, "save_all", pumps, via="batch")
    assert len(caught.value.__notes__) == 2
    wire.meddle = lambda request: None
    [batch] = await do.list(Batch.list())
    assert batch.uuid in str(caught.value)


async def test_results_that_leave_a_call_out(do, connection, wire):
    def shorten(request):
        if "/download/" not in request.url or request.sink is None:
            return None
        first = b'{"line":1,"status":500,"response":{"subcode":500000,"trace":"t"}}\n'
        request.sink.write(first)
        return HttpResponse(200)

    wire.meddle = shorten
    pumps = [Pump(hall=n) for n in range(2)]
    with pytest.raises(OutcomeUnknownError):
        await do(ttorm, "save_all", pumps, via="batch")
    assert all(ttorm.inspect(pump).is_modified for pump in pumps)


# Everything else is as ever


async def test_signals_progress_and_cache(do, connection, sent):
    pumps = [Pump(hall=n, pressure=n) for n in range(3)]
    told, done = [], []

    def receiver(sender, *, record, changes, result):
        told.append((record.hall, result.requests))

    with signals.post_save.connected_to(receiver):
        await do(ttorm, "save_all", pumps, via="batch", progress=lambda *place: done.append(place))
    assert sorted(told) == [(0, 2), (1, 2), (2, 2)]
    assert done == [(1, 3), (2, 3), (3, 3)]
    sent.clear()
    assert (await do(Pump, "get", pumps[0].uuid)).hall == 0
    assert not sent


async def test_receivers_may_save_others(do, world, connection, uploaded):
    extra = [Pump(hall=100 + n) for n in range(2)]
    pumps = [Pump(hall=n) for n in range(2)]

    def plain(sender, *, record, changes):
        if record in pumps:
            extra[record.hall].save()

    async def awaited(sender, *, record, changes):
        if record in pumps:
            await extra[record.hall].asave()

    with signals.pre_save.connected_to(awaited if world.asynchronous else plain):
        await world(ttorm, "save_all", pumps, via="batch")
    batches, others = uploaded()
    assert names(batches) == [("create_twin", 2)]
    assert others == ["POST /twins"] * 2


async def test_budgets_count_what_is_sent(do, world, connection):
    pumps = [Pump(hall=n) for n in range(30)]
    async with world.block(ttorm.session()) as session:
        with session.budget(29) as budget:
            await do(ttorm, "save_all", pumps, via="batch")
    assert 0 < budget.spent < 29


async def test_each_connection_has_its_batches(do, connection, stranger, uploaded):
    mine = [Pump(hall=n) for n in range(2)]
    with ttorm.session(stranger):
        theirs = [Pump(hall=n) for n in range(3)]
    await do(ttorm, "save_all", [*mine, *theirs], via="batch")
    assert names(uploaded()[0]) == [("create_twin", 2)]
    assert {await owner(do, pump) for pump in mine} == {(await do(connection, "whoami"))["account"]}
    assert {await owner(do, pump) for pump in theirs} == {(await do(stranger, "whoami"))["account"]}


async def owner(do, pump):
    """The account that a record belongs to."""
    return (await do(pump, "load", "description")).owner


async def test_a_call_twice_in_the_list_is_one(do, connection, uploaded):
    pump, other = Pump(hall=1), Pump(hall=2)
    await do(ttorm, "save_all", [pump, other, pump], via="batch")
    assert names(uploaded()[0]) == [("create_twin", 2)]


async def test_removing_what_is_gone_already_holds_up_nothing(do, connection, uploaded):
    pumps = [await do(Pump, "create", serial=f"S{n}") for n in range(2)]
    for pump in pumps:
        connection.call("delete_twin_identity", pump.uuid, f"SN#{pump.serial}")
        del pump.identities[f"SN#{pump.serial}"]
    before = connection.requests
    result = await do(ttorm, "save_all", pumps, via="batch")
    assert names(uploaded()[0][-1:]) == [("delete_twin_identity", 2)]
    assert result.requests == connection.requests - before
    with pytest.raises(NotFoundError):
        await do(Pump, "find", serial="S0")


async def cancelled_save(connection, records):
    """Cancel a save while it waits for its batch."""
    looking = asyncio.Event()

    async def look(request):
        if request.method == "GET" and "/batches/" in request.url:
            looking.set()
            await asyncio.sleep(3_600)
        return await send(request)

    send = connection.transport.transport.asend
    connection.transport.transport.asend = look
    task = asyncio.ensure_future(ttorm.asave_all(records, via="batch"))
    await looking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    connection.transport.transport.asend = send


def test_a_cancelled_save_leaves_everything_to_be_saved(connection, emulator, caplog):
    """The wait for a batch is where a cancellation comes; the next save says what is what."""
    pumps = [Pump.create(hall=n) for n in range(2)]
    for pump in pumps:
        pump.hall = 9

    async def main():
        await cancelled_save(connection, pumps)
        assert all(ttorm.inspect(pump).is_modified for pump in pumps)
        assert pumps[0].plan()[0].method == "GET"
        [batch] = [one async for one in Batch.list()]
        assert f"batch {batch.uuid} was under way" in caplog.text
        await ttorm.asave_all(pumps)

    asyncio.run(main())
    assert not any(ttorm.inspect(pump).is_modified for pump in pumps)


def test_a_cancelled_save_of_new_records_makes_none_of_them_twice(connection, caplog):
    pumps = [Pump(hall=n) for n in range(2)]

    async def main():
        await cancelled_save(connection, pumps)
        assert all(ttorm.inspect(pump).is_modified for pump in pumps)
        with pytest.raises(ttorm.OutcomeUnknownError, match="was cut off"):
            await ttorm.asave_all(pumps)
        [batch] = [one async for one in Batch.list()]
        await batch.await_done()
        return [pump async for pump in Pump.scan()]

    assert len(asyncio.run(main())) == 2


@pytest.mark.parametrize("seed", range(12))
def test_batches_write_what_requests_write(seed, connect):
    """Random changes of many records, saved both ways, end in the same."""

    def changed(records, random):
        for record in records:
            for change in random.sample(range(5), random.randint(0, 4)):
                match change:
                    case 0:
                        record.hall = random.randint(0, 99)
                    case 1:
                        record.pressure = random.random()
                    case 2:
                        record.ledger[f"extra_{random.randint(0, 2)}"] = [random.randint(0, 9)]
                    case 3:
                        record.serial = f"S{random.getrandbits(60)}"
                    case 4 if record.ledger.get("pressure"):
                        del record.ledger["pressure"]

    ended = []
    for via in ("requests", "batch"):
        random = Random(seed)
        with Emulator("memory:", seed=1) as emulator:
            transport = EmulatorTransport(emulator, emulator.first_user())
            with ttorm.connect(transport=transport) as connection, ttorm.session(connection):
                pumps = [Pump() for _ in range(8)]
                for _ in range(3):
                    changed(pumps, random)
                    ttorm.save_all(pumps, via=via)
                    assert not any(ttorm.inspect(pump).is_modified for pump in pumps)
                ended.append([told(connection, pump) for pump in pumps])
    assert ended[0] == ended[1]


def told(connection, pump):
    """What the service knows of a Twin, but for moments and UUIDs."""
    entries = connection.call("get_twin_ledger_entry", pump.uuid)["entries"]
    return (
        connection.call("get_twin", pump.uuid).get("description"),
        {name: (entry["value"], entry.get("history")) for name, entry in entries.items()},
        sorted(connection.call("get_twin_identities", pump.uuid)["identities"]),
    )
