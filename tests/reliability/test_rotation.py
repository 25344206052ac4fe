"""Secrets that are rotated while many work with them: nobody notices."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import ttorm
from ttorm import Role, TokenOptions, User
from ttorm.api.retry import NO_RETRIES
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

ROUNDS = 5
PATIENCE = 30.0


class Slow:
    """A transport whose requests take a moment to arrive, and their answers to come back."""

    def __init__(self, emulator):
        self._door = EmulatorTransport(emulator)
        self.emulator = emulator
        self.refused = 0

    def send(self, request):
        time.sleep(0.002)
        answer = self._door.send(request)
        self.refused += answer.status == 401
        time.sleep(0.002)
        return answer

    async def asend(self, request):
        await asyncio.sleep(0.002)
        answer = self._door.send(request)
        self.refused += answer.status == 401
        await asyncio.sleep(0.002)
        return answer

    def close(self):
        """Nothing is to be closed."""

    async def aclose(self):
        """Nothing is to be closed."""


@pytest.fixture
def transport():
    with Emulator("memory:", seed=1) as emulator:
        yield Slow(emulator)


@pytest.fixture(params=[None, TokenOptions()], ids=["secret", "tokens"])
def connection(request, transport):
    admin = EmulatorTransport(transport.emulator, transport.emulator.first_user())
    with ttorm.connect(transport=admin):
        invitation = User.create(role=Role.create(name="Guest")).invite()
        secret = ttorm.claim(invitation.account, invitation.pin)
    return ttorm.connect(
        transport=transport,
        secret=secret,
        tokens=request.param,
        cache=None,
        retry=NO_RETRIES,
        default=False,
    )


def test_threads_do_not_notice(connection, transport):
    done, errors, calls = threading.Event(), [], []

    def work():
        while not done.is_set():
            try:
                calls.append(connection.call("trace"))
            except ttorm.TtormError as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    secrets = []
    for _ in range(ROUNDS):
        time.sleep(0.1)
        secrets.append(connection.rotate())
    time.sleep(0.1)
    done.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert errors == []
    assert len(set(secrets)) == ROUNDS
    assert connection.secret == secrets[-1]
    # Some were under way each time, so that this test sees what it is about.
    assert transport.refused > 0
    assert len(calls) > 20 * ROUNDS


def test_tasks_do_not_notice(connection, transport):
    async def main():
        done, calls = asyncio.Event(), []

        async def work():
            while not done.is_set():
                calls.append(await connection.acall("trace"))

        tasks = [asyncio.create_task(work()) for _ in range(20)]
        for _ in range(ROUNDS):
            await asyncio.sleep(0.1)
            await connection.arotate()
        await asyncio.sleep(0.1)
        done.set()
        await asyncio.gather(*tasks)
        return calls

    assert len(asyncio.run(main())) > 20 * ROUNDS
    assert transport.refused > 0
