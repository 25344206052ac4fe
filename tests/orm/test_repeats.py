"""What is sent again when an answer is lost, and what its second sending finds."""

from __future__ import annotations

from time import monotonic

import pytest

import ttorm
from ttorm import Twin
from ttorm.api.http import HttpResponse
from ttorm.api.operations import OPERATIONS, Repeat
from ttorm.connection import patience

EASY = ttorm.RetryPolicy(attempts=3, base=0.0)
UUID = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


@pytest.fixture
def patient(connect):
    """A connection that repeats without waiting, its emulator's faults at hand."""
    return connect(default=True, retry=EASY)


@pytest.fixture
def wire(patient):
    return patient.transport


def lose(connection, operation, *, moment="after", times=1):
    return connection.emulator.faults.add(operation, drop=moment, times=times)


async def test_a_read_is_repeated(do, patient):
    twin = await do(Twin, "create", entries={"a": 1})
    fault = lose(patient, "get_twin", times=2)
    assert (await do(Twin, "get", twin.uuid, fresh=True)).status == "alive"
    assert fault.hits == 2


async def test_a_deletion_that_was_done_is_done(do, patient):
    twin = await do(Twin, "create", identities=["SN#A1"])
    fault = lose(patient, "delete_twin_identity")
    await do(twin.identities["SN#A1"], "delete")
    assert fault.hits == 1
    await do(twin, "refresh")
    assert list(twin.identities) == []


async def test_a_deletion_of_what_is_not_there_fails(do, patient):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.NotFoundError):
        await do(patient, "call", "delete_twin_identity", twin.uuid, "SN#A1")


async def test_a_termination_that_was_done_is_done(do, patient):
    twin = await do(Twin, "create")
    lose(patient, "terminate_twin")
    await do(twin, "terminate")
    assert twin.status == "terminated"
    assert twin.terminated_at is not None


async def test_a_termination_by_somebody_else_is_told(do, patient, connect):
    twin = await do(Twin, "create")
    connect().call("terminate_twin", twin.uuid)
    with pytest.raises(ttorm.AlreadyDoneError):
        await do(twin, "terminate")


async def test_a_second_twin_is_never_made_blindly(do, patient):
    fault = lose(patient, "create_twin", times=None)
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(Twin, "create")
    assert fault.hits == 1


async def test_a_quota_bounds_the_repeats_of_all_calls(do, connect):
    quota = ttorm.RetryQuota(capacity=28)
    connection = connect(default=True, retry=EASY._replace(quota=quota), cache=None)
    twin = await do(Twin, "create")
    fault = lose(connection, "get_twin", times=None)
    for _ in range(5):
        with pytest.raises(ttorm.TransportError):
            await do(Twin, "get", twin.uuid)
    assert fault.hits == 5 + 2
    assert connection.strain.tokens.refused == 4  # the first call ended by its attempts
    fault.remove()
    await do(Twin, "get", twin.uuid)
    assert connection.strain.tokens.left > 0


async def test_an_open_circuit_sends_nothing(do, connect):
    breaker = ttorm.CircuitBreaker(failures=2, pause=60)
    connection = connect(default=True, retry=EASY._replace(breaker=breaker), cache=None)
    twin = await do(Twin, "create")
    fault = lose(connection, "get_twin", times=None)
    for _ in range(2):
        with pytest.raises(ttorm.TransportError, match="no answer"):
            await do(Twin, "get", twin.uuid)
    assert fault.hits == 6
    with pytest.raises(ttorm.CircuitOpenError, match="nothing is sent for another"):
        await do(Twin, "get", twin.uuid)
    assert fault.hits == 6


async def test_a_circuit_is_tried_by_one_sending(do, connect, monkeypatch):
    breaker = ttorm.CircuitBreaker(failures=1, pause=60)
    connection = connect(default=True, retry=EASY._replace(breaker=breaker), cache=None)
    twin = await do(Twin, "create")
    fault = lose(connection, "get_twin", times=None)
    with pytest.raises(ttorm.TransportError):
        await do(Twin, "get", twin.uuid)
    assert fault.hits == 3
    later = monotonic() + 61
    monkeypatch.setattr(patience, "monotonic", lambda: later)
    with pytest.raises(ttorm.TransportError, match="no answer"):
        await do(Twin, "get", twin.uuid)
    assert fault.hits == 4
    fault.remove()
    monkeypatch.setattr(patience, "monotonic", lambda: later + 61)
    assert await do(Twin, "get", twin.uuid) == twin


async def test_a_new_policy_begins_with_a_full_quota(do, patient):
    twin = await do(Twin, "create")
    before = patient.strain
    patient.retry = EASY._replace(attempts=1)
    assert patient.strain is not before
    fault = lose(patient, "get_twin")
    with pytest.raises(ttorm.TransportError):
        await do(Twin, "get", twin.uuid, fresh=True)
    assert fault.hits == 1


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_where_a_service_fails_at_what_cannot_be_repeated_the_outcome_is_unknown(
    patient, wire, sent, row
):
    wire.meddle = lambda request: HttpResponse(500, {}, b"{}")
    given = ["SN#1" if one.name == "identity" else UUID for one in row.path_params]
    repeated = row.repeat in (Repeat.SAFE, Repeat.IDEMPOTENT)
    with pytest.raises(ttorm.ServerError if repeated else ttorm.OutcomeUnknownError):
        patient.call(row.name, *given)
    assert len(sent) == (EASY.attempts if repeated else 1)


def busy(status, **headers):
    return lambda request: HttpResponse(status, headers, b"{}")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_that_is_too_long_is_told_at_once(do, patient, wire, status):
    asked = {"retry-after": "3600"}
    wire.meddle = busy(status, **asked)
    with pytest.raises(ttorm.BusyError, match="asks to wait 3,600 seconds") as caught:
        await do(patient, "call", "get_account")
    assert (caught.value.retry_after, caught.value.attempts) == (3_600.0, 1)


async def test_what_a_busy_service_refuses_was_not_done(do, patient, wire, sent):
    """It is in no doubt, whatever it is: nobody has to look."""
    wire.meddle = busy(503, **{"retry-after": "3600"})
    with pytest.raises(ttorm.BusyError):
        await do(Twin, "create")
    wire.meddle = lambda request: None
    twin = await do(Twin, "create", entries={"n": 1})
    twin.ledger["n"] = 2
    wire.meddle = busy(503, **{"retry-after": "3600"})
    sent.clear()
    with pytest.raises(ttorm.BusyError):
        await do(twin, "save")
    assert [step.method for step in twin.plan()] == ["PATCH"]
    assert len(sent) == 1


@pytest.mark.parametrize("last", ["not sent", "refused"])
async def test_a_sending_in_vain_does_not_undo_the_one_before(do, patient, wire, last):
    twin = await do(Twin, "create", identities=["SN#A1"])

    def meddle(request):
        if request.method != "DELETE":
            return None
        if not deleted:
            deleted.append(wire.transport.send(request))
            raise ttorm.TransportError("lost", sent=True)
        if last == "refused":
            return HttpResponse(429, {}, b"{}")
        raise ttorm.TransportError("nobody there", sent=False)

    deleted = []
    wire.meddle = meddle
    with pytest.raises(ttorm.OutcomeUnknownError) as caught:
        await do(patient, "call", "delete_twin_identity", twin.uuid, "SN#A1")
    assert caught.value.attempts == 3
    # A read may fail as it likes.
    wire.meddle = busy(429)
    with pytest.raises(ttorm.BusyError):
        await do(patient, "call", "get_account")
