"""What repeats cost a service that is in trouble: hardly more than it is asked without them."""

from __future__ import annotations

import asyncio

import pytest
from faulty import FaultyTransport

import ttorm
from ttorm import Twin
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CALLS = 5_000
# How much of the requests fails; how much more than one request a call may cost; least success.
OUTAGES = [(1.0, 1.05, 0.0), (0.5, 1.15, 0.0), (0.2, 1.30, 0.98), (0.05, 1.10, 0.98)]
POLICY = ttorm.RetryPolicy(base=0.0)


@pytest.fixture
def service():
    with Emulator("memory:") as emulator:
        yield EmulatorTransport(emulator, emulator.first_user())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("outage", "load", "success"), OUTAGES)
def test_an_outage_is_not_made_worse(service, outage, load, success, asynchronous):
    faulty = FaultyTransport(service, 0.0, seed=7, kinds=("error before", "drop before"))
    connection = ttorm.connect(transport=faulty, retry=POLICY, cache=None, default=False)
    with ttorm.session(connection):
        uuid = Twin.create().uuid
    faulty.rate, faulty.sent = outage, 0
    served = asyncio.run(_acalls(connection, uuid)) if asynchronous else _calls(connection, uuid)
    print(
        f"\n{outage:.0%} outage: {faulty.sent / CALLS:.3f} requests a call, "
        f"{served / CALLS:.1%} served"
    )
    assert faulty.sent <= load * CALLS
    assert served >= success * CALLS


def _calls(connection, uuid):
    served = 0
    for _ in range(CALLS):
        try:
            connection.call("get_twin", uuid)
        except (ttorm.TransportError, ttorm.ServerError):
            continue
        served += 1
    return served


async def _acalls(connection, uuid):
    served = 0

    async def some(number):
        nonlocal served
        for _ in range(number):
            try:
                await connection.acall("get_twin", uuid)
            except (ttorm.TransportError, ttorm.ServerError):
                continue
            served += 1

    await asyncio.gather(*(some(CALLS // 50) for _ in range(50)))
    return served


def test_without_a_quota_an_outage_is_asked_three_times(service):
    """What the quota is good for."""
    faulty = FaultyTransport(service, 1.0, kinds=("error before",))
    policy = POLICY._replace(quota=None)
    connection = ttorm.connect(transport=faulty, retry=policy, cache=None, default=False)
    for _ in range(100):
        with pytest.raises(ttorm.ServerError):
            connection.call("get_account")
    assert faulty.sent == 300


def test_after_an_outage_repeats_come_back(service):
    faulty = FaultyTransport(service, 1.0, kinds=("error before",))
    connection = ttorm.connect(transport=faulty, retry=POLICY, cache=None, default=False)
    for _ in range(200):
        with pytest.raises(ttorm.ServerError):
            connection.call("get_account")
    assert connection.strain.tokens.left < 14
    faulty.rate = 0.0
    for _ in range(600):
        connection.call("get_account")
    assert connection.strain.tokens.left == 500
