"""Servers that go away under load and come back: reads go on, nothing wrong is ever read."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from random import Random
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis_servers import OwnRedis, shared_server
from tcp_proxy import Proxy

import ttorm
from ttorm import Cache, RedisBackend
from ttorm.api.request import api_request
from ttorm.connection.reads import read
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TWINS = 8
PROGRAMS = 3
PHASES = ["before", "cut", "after"]
POSTGRES = os.environ.get("TTORM_TEST_POSTGRES", "postgresql://127.0.0.1/test")


class Load:
    """Programs of two threads and two tasks each that count up and read, and check what they read.

    A counter belongs to one writer; whoever reads it has to find at least what was acknowledged
    before, and at most what was sent.

    Attributes:
        done: Calls by phase and outcome.
        wrong: What was read that could not be.
    """

    def __init__(self, connections):
        self.connections = connections
        self.twins = [
            connections[0].call("create_twin")["creation_certificate"]["uuid"] for _ in range(TWINS)
        ]
        for twin in self.twins:
            self.connections[0].call(
                "add_twin_ledger_entry", twin, body={"entries": {"count": {"value": 0}}}
            )
        self.acknowledged, self.sent = Counter(), Counter()
        self.locks = {twin: threading.Lock() for twin in self.twins}
        self.phase = "before"
        self.done, self.wrong = Counter(), []
        self._end = threading.Event()
        self._threads = []

    def _turns(self, number):
        random = Random(number)
        while not self._end.is_set():
            yield random.choice(self.twins), random.random() < 0.2

    def _reading(self, twin):
        return api_request("get_twin_ledger_entry", [twin, "personal"]), self.acknowledged[twin]

    def _check(self, twin, floor, body):
        value = body["entries"]["count"]["value"]
        if not floor <= value <= self.sent[twin]:
            self.wrong.append((self.phase, twin, floor, value, self.sent[twin]))

    def _writing(self, twin):
        self.sent[twin] += 1
        return {"entries": {"count": {"value": self.sent[twin]}}}

    def _note(self, kind, error=None):
        told = "done" if error is None else type(error).__name__
        self.done[self.phase, kind, told] += 1

    def thread(self, number):
        connection = self.connections[number % len(self.connections)]
        for twin, writes in self._turns(number):
            kind = "write" if writes else "read"
            try:
                if writes:
                    with self.locks[twin]:
                        body = self._writing(twin)
                        connection.call("update_twin_ledger_entry_value", twin, body=body)
                        self.acknowledged[twin] = body["entries"]["count"]["value"]
                else:
                    request, floor = self._reading(twin)
                    self._check(twin, floor, connection.run(read(connection, request)).body)
            except ttorm.TtormError as error:
                self._note(kind, error)
            except Exception as error:  # noqa: BLE001 # none other may come
                self.wrong.append(repr(error))
            else:
                self._note(kind)

    async def task(self, number):
        connection = self.connections[number % len(self.connections)]
        for twin, _ in self._turns(number):
            request, floor = self._reading(twin)
            try:
                self._check(twin, floor, (await connection.arun(read(connection, request))).body)
            except ttorm.TtormError as error:
                self._note("read", error)
            except Exception as error:  # noqa: BLE001 # none other may come
                self.wrong.append(repr(error))
            else:
                self._note("read")
            await asyncio.sleep(0.001)

    async def _tasks(self, numbers):
        await asyncio.gather(*map(self.task, numbers))

    def __enter__(self):
        numbers = range(2 * len(self.connections))
        self._threads = [threading.Thread(target=self.thread, args=(number,)) for number in numbers]
        loop = threading.Thread(target=lambda: asyncio.run(self._tasks(numbers)))
        for thread in (*self._threads, loop):
            thread.start()
        self._threads.append(loop)
        return self

    def __exit__(self, *error):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def count(self, phase, kind, told=None):
        return sum(
            number
            for (at, what, outcome), number in self.done.items()
            if (at, what) == (phase, kind) and told in (None, outcome)
        )


def outage(load, cut, mend, rounds=3, seconds=0.6):
    with load:
        time.sleep(seconds)
        for _ in range(rounds):
            load.phase = "cut"
            cut()
            time.sleep(seconds)
            mend()
            load.phase = "back"
            time.sleep(seconds)
        load.phase = "after"
        time.sleep(2 * seconds)
    for line in sorted(load.done.items()):
        print(*line)


# Redis


class Stopped:
    """A server of the test's own, killed and started again with all it had."""

    def __init__(self, folder):
        self._server = OwnRedis(folder)
        self._server.start()
        self.url, self.prefix = self._server.url, "ttorm:"
        self.cut, self.mend, self.close = self._server.stop, self._server.start, self._server.stop


class Unreachable:
    """The way to the machine's server is cut; the server itself runs on."""

    def __init__(self, folder):
        self._shared = shared_server()
        url, self.prefix, _ = next(self._shared)
        parts = urlsplit(url)
        self._proxy = Proxy(parts.hostname, parts.port or 6379)
        self.url = f"redis://127.0.0.1:{self._proxy.port}{parts.path}"
        self.cut, self.mend = self._proxy.cut, self._proxy.mend

    def close(self):
        self._proxy.close()
        next(self._shared, None)


@pytest.mark.redis
@pytest.mark.parametrize("server", [Stopped, Unreachable], ids=["stopped", "unreachable"])
def test_redis_goes_away_and_comes_back(server, tmp_path):
    server = server(tmp_path)
    # Answers live longer than the test: what is stale, stays so.
    backends = [RedisBackend(server.url, prefix=server.prefix, pause=0.1) for _ in range(PROGRAMS)]
    with Emulator("memory:") as emulator:
        connections = [
            ttorm.connect(
                transport=EmulatorTransport(emulator, emulator.first_user()),
                cache=Cache(ttl=600, backend=backend),
                default=False,
            )
            for backend in backends
        ]
        load = Load(connections)
        outage(load, server.cut, server.mend)
        statistics = [backend.statistics for backend in backends]
        print(*statistics, sep="\n")
        assert not load.wrong, load.wrong[:5]
        # Nobody has noticed anything.
        assert {outcome for _, _, outcome in load.done} == {"done"}
        for phase in ("before", "cut", "back", "after"):
            assert load.count(phase, "read") > 20
            assert load.count(phase, "write") > 5
        assert all(one.failures and one.found and one.reachable for one in statistics)
        assert not any(one.tampered for one in statistics)
        # It is of use again.
        before = [one.found for one in statistics]
        for _ in range(2):
            for connection in connections:
                connection.run(read(connection, api_request("get_twin", [load.twins[0]])))
        after = [backend.statistics.found for backend in backends]
        assert sum(after) - sum(before) >= 5
    for backend in backends:
        backend.close()
    server.close()


# PostgreSQL


@pytest.fixture
def postgres_proxy():
    """A proxy to the server, and the URL of a new store behind it."""
    try:
        import psycopg

        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=5)
    except (ImportError, psycopg.OperationalError) as error:
        if os.environ.get("TTORM_REQUIRE_SERVICES"):
            pytest.fail(f"a PostgreSQL server is required: {error}")
        pytest.skip(f"there is no PostgreSQL server: {error}")
    parts = urlsplit(POSTGRES)
    schema = f"ttorm_test_{uuid4().hex}"
    proxy = Proxy(parts.hostname, parts.port or 5432)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    with connection:
        yield proxy, f"postgresql://{user}127.0.0.1:{proxy.port}{parts.path}?schema={schema}"
        proxy.close()
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.mark.postgres
@pytest.mark.parametrize("cached", [False, True], ids=["uncached", "cached"])
def test_postgresql_goes_away_and_comes_back(postgres_proxy, cached):
    proxy, url = postgres_proxy
    cache = Cache(ttl=600) if cached else None
    with Emulator(url) as emulator:
        connections = [
            ttorm.connect(
                transport=EmulatorTransport(emulator, emulator.first_user()),
                cache=cache,
                default=False,
            )
            for _ in range(PROGRAMS)
        ]
        load = Load(connections)
        outage(load, proxy.cut, proxy.mend)
        assert not load.wrong, load.wrong[:5]
        told = {outcome for _, _, outcome in load.done} - {"done"}
        assert told
        assert told <= {"ServerError", "OutcomeUnknownError"}
        for kind in ("read", "write"):
            assert load.count("before", kind, "done") > 5
            assert load.count("after", kind, "done") > 5
        assert load.count("after", "write") == load.count("after", "write", "done")
        for twin in load.twins:
            answer = connections[0].call("get_twin_ledger_entry", twin, "personal")
            value = answer["entries"]["count"]["value"]
            assert load.acknowledged[twin] <= value <= load.sent[twin]
