"""Batches: calls checked and uploaded, waited for, and what became of each of them."""

from __future__ import annotations

import copy
import hashlib
import pickle
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

import ttorm
from ttorm import (
    AlreadyDoneError,
    Batch,
    BatchCall,
    BatchError,
    BatchLine,
    ConfigurationError,
    EmulatorBatchCodec,
    ForbiddenError,
    NotFoundError,
    OperationOrderError,
    QuotaError,
    RequestTimeoutError,
    ResponseFormatError,
    StateError,
    Twin,
    ValidationError,
)
from ttorm.api import codec
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.emulator import Emulator, Policy

NOBODY = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


@pytest.fixture
def emulator():
    """Batches run when a test says so, or when somebody waits."""
    with Emulator("memory:", seed=1, policy=Policy(background=False)) as emulator:
        yield emulator


@pytest.fixture
def advance(emulator, monkeypatch):
    """Have batches take steps whenever somebody sleeps: ``advance(steps)``; lists the pauses."""

    def advance(steps=None):
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            emulator.run_batches(steps)

        async def apause(seconds):
            pause(seconds)

        monkeypatch.setattr("ttorm.connection.blocking.sleep", pause)
        monkeypatch.setattr("ttorm.connection.tasks.asyncio.sleep", apause)
        return pauses

    return advance


def values(twins, value):
    """Calls that set an Entry of Twins."""
    body = {"entries": {"pressure": {"value": value}}}
    return [BatchCall(twin, body=body) for twin in twins]


@pytest.fixture
def twins(connection, sent):
    twins = [Twin.create(entries={"pressure": n}) for n in range(3)]
    sent.clear()
    return twins


# Beginning


async def test_a_batch_is_uploaded_and_begun(do, twins, sent):
    batch = await do(Batch, "run", "update_twin_ledger_entry_value", values(twins, 9))
    file = b"".join(
        b'{"twin":"%s","ledger":"personal","body":{"entries":{"pressure":{"value":9}}}}\n'
        % twin.uuid.encode()
        for twin in twins
    )
    [place, put, create] = sent.take()
    assert str(place) == "POST /cache"
    assert (put.method, put.body) == ("PUT", file)
    assert str(create) == "POST /batches"
    assert create.body == {
        "operation": "update_twin_ledger_entry_value",
        "handler": create.body["handler"],
        "hash": hashlib.sha256(file).hexdigest(),
    }
    assert (batch.operation, batch.status, batch.is_finished) == (
        "update_twin_ledger_entry_value",
        "new",
        False,
    )
    assert batch.hash == create.body["hash"]
    assert abs(batch.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert not sent


async def test_calls_say_what_connection_call_takes(do, twins, sent):
    calls = [
        BatchCall(twins[0], entries=["a", "b"]),
        BatchCall(twin=twins[1], ledger="owner", dictionary={"team": "ops"}),
    ]
    await do(Batch, "run", "get_twin_ledger_entry", calls, dictionary={"team": "dev"})
    [_, put, create] = sent.take()
    assert put.body.decode().splitlines() == [
        f'{{"twin":"{twins[0].uuid}","ledger":"personal","params":{{"entries":["a","b"]}}}}',
        f'{{"twin":"{twins[1].uuid}","ledger":"owner","dictionary":{{"team":"ops"}}}}',
    ]
    assert create.body["batch_dict"] == {"team": "dev"}
    assert repr(calls[0]) == f"BatchCall('{twins[0].uuid}', entries=['a', 'b'])"


async def test_the_connections_dictionary_goes_along(do, connect, emulator):
    connection = connect(dictionary={"team": "ops"})
    with ttorm.session(connection):
        await do(Batch, "run", "create_twin", [BatchCall()])
    assert connection.transport.sent[-1].body["batch_dict"] == {"team": "ops"}


async def test_calls_are_taken_one_by_one(do, connection, sent):
    """A batch of more calls than anybody would keep: nothing is sent before the last one."""
    most = 0

    def calls():
        nonlocal most
        for number in range(2_500):
            most = number + 1
            assert not sent
            yield BatchCall(body={"description": {"n": number}})

    await do(Batch, "run", "create_twin", calls())
    assert most == 2_500
    assert sent[1].body.count(b"\n") == 2_500


WRONG = {
    "no such operation": ("fly", [BatchCall()], LookupError),
    "a batch of batches": ("create_batch", [BatchCall()], ValidationError),
    "no credential": ("webhook_unsubscribe", [BatchCall(NOBODY)], ValidationError),
    "no call": ("create_twin", [], ValidationError),
    "an argument too few": ("get_twin", [BatchCall(NOBODY), BatchCall()], ValidationError),
    "an unknown parameter": ("get_twin", [BatchCall(NOBODY, speed=5)], ValidationError),
    "a body where none is": ("get_twin", [BatchCall(NOBODY, body={})], ValidationError),
    "no JSON": ("create_twin", [BatchCall(body={"description": {"a": {1}}})], ValidationError),
    "a large body": ("create_twin", [BatchCall(body={"description": "x" * 66_000})], QuotaError),
    "no call object": ("create_twin", [{"description": {}}], ValidationError),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_refused_before_anything_is_sent(do, connection, sent, case):
    operation, calls, error = WRONG[case]
    with pytest.raises(error):
        await do(Batch, "run", operation, calls)
    assert not sent


async def test_the_wrong_call_is_named(do, connection):
    with pytest.raises(ValidationError) as caught:
        await do(Batch, "run", "get_twin", [BatchCall(NOBODY), BatchCall()])
    assert caught.value.__notes__ == ["this is call 2 of the batch; nothing was sent"]


async def test_a_dictionary_that_is_none(do, connection, sent):
    with pytest.raises(ValidationError):
        await do(Batch, "run", "create_twin", [BatchCall()], dictionary={"No": 1})
    assert not sent


async def test_unsaved_records_cannot_be_called_with(connection):
    with pytest.raises(StateError):
        BatchCall(Twin())


async def test_what_the_role_does_not_permit(do, connection, sent):
    role = ttorm.Role.get(connection.whoami()["role"])
    connection.call(
        "update_user_role",
        role.uuid,
        body={"statement": {"effect": "deny", "actions": ["scan_twins"]}},
    )
    with pytest.raises(ForbiddenError):
        await do(Batch, "run", "scan_twins", [BatchCall()])


def test_batches_are_not_made_by_hand(connection):
    with pytest.raises(TypeError, match=r"Batch\.run"):
        Batch()


# Formats


async def test_other_services_need_a_codec(do, emulator, connect, sent):
    served = connect()
    served.batch_codec = None
    with (
        ttorm.session(served),
        pytest.raises(ConfigurationError, match=r"batch_codec=.*\[batch-format\]"),
    ):
        await do(Batch, "run", "create_twin", [BatchCall()])
    assert not served.transport.sent


def test_only_the_embedded_emulator_has_one_by_itself(connection):
    assert isinstance(connection.batch_codec, EmulatorBatchCodec)
    with ttorm.connect("http://127.0.0.1:9", secret="s" * 64, default=False) as served:
        assert served.batch_codec is None


async def test_a_codec_of_ones_own(do, connect, advance):
    class Chatty(EmulatorBatchCodec):
        def write(self, calls):
            yield b"\n"
            yield from super().write(calls)

        def read(self, file):
            return (BatchLine(line - 1, *more) for line, *more in super().read(file))

    connection = connect(batch_codec=Chatty(), default=True)
    advance()
    batch = await do(Batch, "run", "create_twin", [BatchCall(), BatchCall()])
    await do(batch, "wait_done")
    assert connection.transport.sent[1].body.startswith(b"\n")
    assert [result.line for result in [*await do.list(batch.results())]] == [1, 2]


@pytest.mark.parametrize("line", [b"no JSON\n", b'{"line":1}\n', b"[]\n"])
def test_results_that_are_none(line, tmp_path):
    file = tmp_path / "results"
    file.write_bytes(line)
    with file.open("rb") as reader, pytest.raises((ResponseFormatError, ValueError)):
        list(EmulatorBatchCodec().read(reader))


async def test_results_that_the_codec_cannot_read(do, connection, twins, advance):
    advance()
    batch = await do(Batch, "run", "create_twin", [BatchCall()])
    await do(batch, "wait_done")

    class Wrong(EmulatorBatchCodec):
        def read(self, file):
            raise ValueError("no table")

    connection.batch_codec = Wrong()
    with pytest.raises(ResponseFormatError, match="no table"):
        await do.list(batch.results())


# Waiting


async def test_waiting_looks_less_and_less_often(do, twins, advance, sent):
    pauses = advance(1)
    batch = await do(Batch, "run", "get_twin", [BatchCall(twin) for twin in twins])
    sent.clear()
    seen = []
    assert await do(batch, "wait_done", progress=lambda one: seen.append(one.status)) is batch
    assert seen == [
        *("new", "copying", "copied", "validating"),
        *("processing", "processing", "processing", "processing"),
        *("processed", "writing_results", "completed"),
    ]
    assert pauses == [min(0.05 * 2**n, 15.0) for n in range(10)]
    assert sent.lines() == [f"GET /batches/{batch.uuid}"] * 11
    assert batch.is_finished


async def test_waiting_no_longer_than_asked(do, twins, advance):
    pauses = advance(0)
    batch = await do(Batch, "run", "get_twin", [BatchCall(NOBODY)])
    with pytest.raises(RequestTimeoutError, match="still 'new' after 1 seconds"):
        await do(batch, "wait_done", timeout=1)
    assert sum(pauses) == 1
    with pytest.raises(RequestTimeoutError):
        await do(batch, "wait_done", timeout=0)


async def test_a_file_that_arrives_damaged(do, wire, connection, advance):
    def damage(request):
        if request.method != "PUT":
            return None
        return wire.transport.send(HttpRequest("PUT", request.url, {}, b"{}\n{}\n"))

    wire.meddle = damage
    advance()
    batch = await do(Batch, "run", "create_twin", [BatchCall()])
    with pytest.raises(BatchError, match=r"another SHA-256.*\[batch\]") as caught:
        await do(batch, "wait_done")
    assert caught.value.status == "hash_mismatch"
    with pytest.raises(BatchError):
        await do.list(batch.results())


async def test_a_file_that_is_refused(do, connect, emulator, advance):
    class Csv(EmulatorBatchCodec):
        def write(self, calls):
            for call in calls:
                yield ",".join(call.arguments).encode() + b"\n"

    connect(batch_codec=Csv(), default=True)
    advance()
    batch = await do(Batch, "run", "get_twin", [BatchCall(NOBODY)])
    with pytest.raises(BatchError, match="know this service's format") as caught:
        await do(batch, "wait_done")
    assert caught.value.status == "validation_failed"


# Results


async def test_results_tell_of_each_call(do, twins, advance, sent):
    advance()
    calls = [*values(twins, 7), BatchCall(NOBODY, body={"entries": {"pressure": {"value": 7}}})]
    batch = await do(Batch, "run", "update_twin_ledger_entry_value", calls)
    await do(batch, "wait_done")
    sent.clear()
    results = await do.list(batch.results())
    assert [(one.line, one.status) for one in results] == [(1, 200), (2, 200), (3, 200), (4, 404)]
    assert results[0].response["entries"]["pressure"]["value"] == 7
    assert results[0].error is None
    error = results[3].error
    assert isinstance(error, NotFoundError)
    assert (error.status, error.operation) == (404, "update_twin_ledger_entry_value")
    assert error.subcode == 404653
    lines = sent.lines()
    assert lines[0] == f"GET /batches/{batch.uuid}"
    assert len(lines) == 2


async def test_results_can_be_gone_through_again_and_broken_off(do, twins, advance):
    advance()
    batch = await do(Batch, "run", "get_twin", [BatchCall(twin) for twin in twins])
    await do(batch, "wait_done")
    results = batch.results()
    assert (await do(results, "first")).line == 1
    assert len(await do(results, "all")) == 3
    assert len(await do(results, "all")) == 3
    # The address that they came from works on for an hour.
    assert b"/download/" not in pickle.dumps(batch)


async def test_results_of_a_batch_that_was_begun_elsewhere(do, twins, advance):
    advance()
    batch = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    same = Batch.at(batch.uuid)
    assert same.operation is None
    await do(same, "wait_done")
    assert [one.status for one in await do.list(same.results())] == [200]


async def test_there_are_no_results_before_the_end(do, twins, advance):
    batch = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    with pytest.raises(StateError, match="'new': wait_done"):
        await do.list(batch.results())


# Cancelling, deleting, listing


async def test_cancelling_keeps_what_was_done(do, emulator, twins, advance, sent):
    pauses = advance()
    batch = await do(Batch, "run", "get_twin", [BatchCall(twin) for twin in twins])
    emulator.run_batches(6)
    sent.clear()
    await do(batch, "cancel")
    assert sent.take()[0].body == {"status": "cancel"}
    assert batch.status == "cancel"
    with pytest.raises(AlreadyDoneError):
        await do(batch, "cancel")
    await do(batch, "wait_done")
    assert batch.status == "cancelled"
    assert pauses
    assert [one.line for one in await do.list(batch.results())] == [1, 2]
    done = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    await do(done, "wait_done")
    with pytest.raises(OperationOrderError):
        await do(done, "cancel")


async def test_a_batch_that_was_cancelled_before_it_called_has_no_results(do, twins, advance):
    advance()
    batch = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    await do(batch, "cancel")
    await do(batch, "wait_done")
    assert await do.list(batch.results()) == []


async def test_deleting(do, twins, sent):
    batch = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    sent.clear()
    assert await do(batch, "delete") is None
    assert sent.lines() == [f"DELETE /batches/{batch.uuid}"]
    assert batch.status == "deleting"
    for verb in ("refresh", "wait_done", "delete"):
        with pytest.raises(NotFoundError):
            await do(batch, verb)


async def test_listing(do, emulator, twins, sent, wire):
    batches = []
    for _ in range(3):
        batches.append(await do(Batch, "run", "get_twin", [BatchCall(twins[0])]))
        emulator.run_batches()
    last = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    sent.clear()
    found = await do.list(Batch.list())
    assert {one.uuid: one.status for one in found} == {
        **{one.uuid: "completed" for one in batches},
        last.uuid: "new",
    }
    assert sent.lines() == ["GET /batches"]
    assert await do.list(Batch.list(status="new")) == [last]
    moment = datetime.now(UTC) + timedelta(hours=1)
    assert await do.list(Batch.list(since=moment)) == []
    assert len(await do.list(Batch.list(until=moment))) == 4
    assert [request.query for request in sent.take()] == [
        (("status", "new"),),
        (("ge", repr(round(moment.timestamp(), 3))),),
        (("le", repr(round(moment.timestamp(), 3))),),
    ]
    with pytest.raises(ValidationError):
        Batch.list(since="yesterday")


async def test_listings_go_on_by_cursor(do, wire, connection, sent):
    pages = [
        b'{"batches": {"%s": "completed"}, "cursor": "next"}' % NOBODY.encode(),
        b'{"batches": {}, "cursor": null}',
    ]
    wire.meddle = lambda request: HttpResponse(200, {}, pages[len(sent) - 1])
    assert [one.uuid for one in await do.list(Batch.list())] == [NOBODY]
    assert [request.query for request in sent] == [(), (("cursor", "next"),)]


async def test_what_a_listing_leaves_out_is_read(do, emulator, twins, sent):
    batch = await do(Batch, "run", "get_twin", [BatchCall(twins[0])])
    [found] = await do.list(Batch.list())
    sent.clear()
    assert found.status == "new"
    assert not sent
    await do(found, "load")
    assert found.hash == batch.hash
    assert sent.lines() == [f"GET /batches/{batch.uuid}"]


def test_ordinary_objects(twins, sent):
    batch = Batch.run("get_twin", [BatchCall(twins[0])])
    sent.clear()
    assert repr(batch) == f"<Batch {batch.uuid}>"
    assert pickle.loads(pickle.dumps(batch)) == batch == copy.copy(batch)
    assert batch._repr_html_()
    assert repr(batch.results()) == f"<Collection of results of {batch!r}>"
    assert not ttorm.inspect(batch).is_modified
    assert not sent
    with pytest.raises(ValidationError, match="expected one of new, copying"):
        Batch.list(status="odd").all()


# Memory


@pytest.mark.slow
def test_a_long_batch_needs_no_more_memory_than_a_short_one(connection, wire):
    """Calls come from a generator, results go to nobody: neither file is ever held."""
    long = 30_000

    def calls():
        return (BatchCall(body={"description": {"text": "x" * 100}}) for _ in range(long))

    Batch.run("create_twin", [BatchCall()])
    connection.transport = wire.transport
    tracemalloc.start()
    try:
        batch = Batch.run("create_twin", calls())
        _, sending = tracemalloc.get_traced_memory()
        connection.transport = Answering(batch.uuid, long)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        assert sum(1 for _ in batch.results()) == long
        _, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        connection.transport = wire
    assert sending < 2_000_000
    assert reading - before < 1_000_000


class Answering:
    """A service that has the results of a batch: 240 bytes for each call."""

    def __init__(self, batch, lines):
        self.shown = {
            "batch": batch,
            "status": "completed",
            "download": {"url": "http://files.example.test/results"},
        }
        self.lines = lines

    def send(self, request):
        if request.sink is None:
            return HttpResponse(200, {}, codec.encode(self.shown))
        for line in range(1, self.lines + 1):
            request.sink.write(
                b'{"line":%d,"status":200,"response":{"a":"%s"}}\n' % (line, b"x" * 200)
            )
        return HttpResponse(200)


def test_batches_of_no_status(connection, sent):
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match=r"status='complted'.*did you mean 'completed'"):
        ttorm.Batch.list(status="complted")
    assert sent == []
