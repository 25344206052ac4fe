"""What is sent again when an answer is lost, and what its second sending finds."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Twin

EASY = ttorm.RetryPolicy(attempts=3, base=0.0)


@pytest.fixture
def patient(connect):
    """A connection that repeats without waiting, its emulator's faults at hand."""
    return connect(default=True, retry=EASY)


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


async def test_a_new_policy_begins_with_a_full_quota(do, patient):
    twin = await do(Twin, "create")
    before = patient.strain
    patient.retry = EASY._replace(attempts=1)
    assert patient.strain is not before
    fault = lose(patient, "get_twin")
    with pytest.raises(ttorm.TransportError):
        await do(Twin, "get", twin.uuid, fresh=True)
    assert fault.hits == 1
