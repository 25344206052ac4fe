"""Backends of the user's own: what is asked of them, and what their failures may not do."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from functools import partial

import pytest

import ttorm
from ttorm import Cache
from ttorm.api.http import HttpResponse
from ttorm.api.request import api_request
from ttorm.api.retry import NO_RETRIES
from ttorm.connection.keys import EVERYTHING, Drop
from ttorm.connection.reads import kept_answer, read
from ttorm.connection.shared import Found
from ttorm.flows import sleep

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


class Service:
    """A transport: every answer is new."""

    def __init__(self):
        self.count = 0

    def send(self, request):
        self.count += 1
        return HttpResponse(200, {}, json.dumps({"number": self.count}).encode())

    async def asend(self, request):
        return self.send(request)

    def close(self):
        pass

    async def aclose(self):
        pass


class Plain:
    """The backend of the documentation, which fails where a test says so."""

    def __init__(self):
        self.answers = {}
        self.fails = set()

    def _turn(self, name):
        if name in self.fails:
            raise OSError("no space left on device")

    def get(self, key):
        self._turn("get")
        return self.answers.get(key)

    def put(self, key, answer, ttl):
        self._turn("put")
        self.answers[key] = answer

    def drop(self, subject, scope, operations):
        self._turn("drop")
        drop = Drop(subject, scope, operations)
        gone = [key for key in self.answers if drop.concerns(key)]
        for key in gone:
            del self.answers[key]
        return len(gone)


class Shared:
    """A shared backend that fails where a test says so."""

    local = 0.0

    def __init__(self):
        self.plain = Plain()
        self.noted = []
        self.fails = set()

    def _turn(self, name):
        if name in self.fails:
            raise OSError("no route to host")

    def look(self, key):
        yield from self.deliver()
        self._turn("look")
        answer = self.plain.get(key)
        return Found(answer, 30.0, 0.0, "lease")

    def keep(self, key, lease, answer, ttl):
        self._turn("keep")
        self.plain.put(key, answer, ttl)
        yield from ()

    def note(self, drop):
        self._turn("note")
        self.noted.append(drop)

    def deliver(self):
        self._turn("deliver")
        while self.noted:
            self.plain.drop(*self.noted.pop())
        yield from ()

    def listen(self):
        self._turn("listen")
        yield from ()


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def connect(service):
    def connect(backend, **options):
        return ttorm.connect(
            "http://service.test",
            secret="one",
            default=False,
            retry=NO_RETRIES,
            transport=service,
            cache=Cache(backend=backend, **options),
        )

    return connect


def ask(connection, asynchronous=False, twin=TWIN):
    flow = read(connection, api_request("get_twin", [twin]))
    answer = asyncio.run(connection.arun(flow)) if asynchronous else connection.run(flow)
    return answer.body["number"]


def write(connection, asynchronous=False):
    if asynchronous:
        asyncio.run(connection.acall("update_twin", TWIN, body={"description": {}}))
    else:
        connection.call("update_twin", TWIN, body={"description": {}})


BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
KINDS = pytest.mark.parametrize("kind", [Plain, Shared])


@KINDS
@BOTH
def test_three_methods_are_enough(connect, service, kind, asynchronous):
    connection = connect(kind())
    assert ask(connection, asynchronous) == ask(connection, asynchronous) == 1
    write(connection, asynchronous)
    assert ask(connection, asynchronous) == 3
    assert connection.cache.statistics.hits == 1


@pytest.mark.parametrize(
    ("kind", "fails"),
    [
        (Plain, {"get"}),
        (Plain, {"put"}),
        (Plain, {"drop"}),
        (Plain, {"get", "put", "drop"}),
        (Shared, {"look"}),
        (Shared, {"keep"}),
        (Shared, {"note"}),
        (Shared, {"deliver"}),
        (Shared, {"look", "keep", "note", "deliver", "listen"}),
    ],
)
@BOTH
def test_what_it_raises_breaks_nothing_and_leaves_nothing_old(
    connect, service, caplog, kind, fails, asynchronous
):
    caplog.set_level(logging.INFO, "ttorm.cache")
    backend = kind()
    connection = connect(backend)
    ask(connection, asynchronous)
    backend.fails |= fails
    for _ in range(3):
        write(connection, asynchronous)
        written = service.count
        assert ask(connection, asynchronous) > written
    write(connection, asynchronous)
    written = service.count
    backend.fails.clear()
    # It works again: the drop that it has missed comes first.
    assert ask(connection, asynchronous) > written
    ask(connection, asynchronous)
    assert ask(connection, asynchronous) == ask(connection, asynchronous)
    said = [record.levelname for record in caplog.records]
    assert said[:2] == ["WARNING", "INFO"]
    assert "reads go to the service" in caplog.text
    assert "no space left" in caplog.text or "no route to host" in caplog.text


def test_the_way_of_attributes_breaks_neither(connect):
    backend = Plain()
    connection = connect(backend)
    request = api_request("get_twin", [TWIN])
    ask(connection)
    assert kept_answer(connection, request).body == {"number": 1}
    backend.fails.add("get")
    assert kept_answer(connection, request) is None


def test_while_one_thread_forgets_what_was_told_no_other_reads_it(connect, monkeypatch):
    class Told(Shared):
        local = 30.0
        told = ()

        def listen(self):
            yield from ()
            return self

        def news(self):
            told, self.told = self.told, ()
            return told

    backend = Told()
    connection = connect(backend)
    assert ask(connection) == 1
    backend.told = [Drop(TWIN)]
    following, forgets, go = connection.cache._following, threading.Event(), threading.Event()
    forget = following._forget

    def slowly(drop):
        forgets.set()
        assert go.wait(20)
        forget(drop)

    monkeypatch.setattr(following, "_forget", slowly)
    found = []
    request = api_request("get_twin", [TWIN])
    threads = [
        threading.Thread(target=lambda: found.append(kept_answer(connection, request)))
        for _ in range(2)
    ]
    threads[0].start()
    assert forgets.wait(20)
    threads[1].start()
    threads[1].join(0.1)
    go.set()
    for thread in threads:
        thread.join(20)
    assert found == [None, None]


@pytest.mark.parametrize("answer", ["text", b"pickle", 5, [1], ("a", "b")])
def test_what_is_no_answer_is_not_used(connect, caplog, answer):
    backend = Plain()
    connection = connect(backend)
    assert ask(connection) == 1
    (key,) = backend.answers
    backend.answers[key] = answer
    assert ask(connection) == 2
    assert "expected a dict or None" in caplog.text


def test_a_drop_that_counts_nothing_is_fine(connect, monkeypatch):
    backend = Plain()
    monkeypatch.setattr(backend, "drop", lambda *drop: None)
    connection = connect(backend)
    write(connection)
    assert connection.cache.statistics.dropped == 0


def test_drops_that_fail_for_long_take_no_memory(connect):
    backend = Plain()
    backend.fails.add("drop")
    connection = connect(backend)
    for number in range(3_000):
        connection.cache.drop(f"twin {number}")
    assert len(connection.cache._backend._missed) <= 1_001
    assert EVERYTHING in connection.cache._backend._missed.values()
    backend.fails.clear()
    ask(connection)
    assert ask(connection) == 1


def test_nothing_is_lost_when_drops_are_summed_up_under_threads_that_drop(connect):
    """One thread makes up for all, one is about to fail, and one fails and sums up."""
    backend = Plain()
    cache = connect(backend).cache
    guarded, dropped, go_on = cache._backend, [], threading.Event()
    key = cache.key("scope", api_request("get_twin", [TWIN]))
    backend.fails.add("drop")
    for number in range(1_000):
        cache.drop(f"twin {number}")

    inside = {"makes up": threading.Event(), "third": threading.Event()}
    ways = partial(guarded.get, key), partial(guarded.drop, "third", None, None)
    threads = [
        threading.Thread(target=way, name=name) for way, name in zip(ways, inside, strict=True)
    ]

    def drop(*drop):
        name = threading.current_thread().name
        if name in inside:
            inside[name].set()
            go_on.wait(10)
        elif threads[0].ident is None:
            for thread in threads:
                thread.start()
                inside[thread.name].wait(10)
            raise OSError("no space left on device")
        if name == "third":
            raise OSError("no space left on device")
        dropped.append(Drop(*drop))

    backend.drop = drop
    guarded.drop("second", None, None)
    go_on.set()
    for thread in threads:
        thread.join(10)
    guarded.get(key)
    assert EVERYTHING in dropped or Drop("third", None, None) in dropped


def test_who_looks_while_failures_are_made_up_for_believes_nothing(connect, service):
    backend = Shared()
    connection = connect(backend)
    assert ask(connection) == 1
    backend.fails.add("note")
    connection.cache.drop(TWIN)
    backend.fails.clear()
    meanwhile = []
    note = backend.note

    def look_first(drop):
        backend.note = note
        looking = connection.cache._shared.look(connection.cache.key(*scoped(connection)))
        meanwhile.append(connection.run(looking).answer)
        note(drop)

    backend.note = look_first
    assert ask(connection) == 2
    assert meanwhile == [None]


def scoped(connection):
    return connection.scope(), api_request("get_twin", [TWIN])


class Sluggish(Shared):
    """A shared backend that is told of drops, and takes its time."""

    def deliver(self):
        yield from sleep(0.02)
        yield from super().deliver()


def test_what_a_write_drops_that_ends_with_its_loop_is_delivered(connect, service, caplog):
    backend = Sluggish()
    connection = connect(backend)

    async def hang(request):
        await asyncio.sleep(60)

    service.asend = hang

    async def main():
        write = connection.acall("update_twin", TWIN, body={"description": {}})
        task = asyncio.ensure_future(write)
        await asyncio.sleep(0.05)
        return task

    assert asyncio.run(main(), debug=True).cancelled()
    gc.collect()
    assert not backend.noted
    assert not connection._beside
    # A task that was left behind, or whose end has failed, would be told of.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_what_is_kept_of_a_ledger_is_read_again(connect, service):
    """How old it is, only the memory of the process tells."""
    connection = connect(Plain())
    request = api_request("get_twin_ledger_entry", [TWIN, "personal"])
    assert connection.run(read(connection, request)).body == {"number": 1}
    body = {"entries": {"a": {"value": 1}}}
    connection.call("update_twin_ledger_entry", TWIN, body=body)
    assert connection.run(read(connection, request)).body == {"number": 3}


# Mistakes


class NoDrop:
    def get(self, key):
        return None

    def put(self, key, answer, ttl):
        pass


@pytest.mark.parametrize("backend", [object(), Plain, {}, "redis://localhost", NoDrop(), 5])
def test_what_is_no_backend_is_refused(backend):
    with pytest.raises(ttorm.ConfigurationError, match="get, put and drop"):
        Cache(backend=backend)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ttl": float("nan")}, "ttl=nan"),
        ({"ttl": float("inf")}, "ttl=inf"),
        ({"ttl": "30"}, "ttl='30'"),
        ({"ttl": None}, "ttl=None"),
        ({"negative": "5"}, "negative='5'"),
        ({"ttls": {"get_twn": 5}}, "get_twn"),
        ({"ttls": {"scan_twins": 5}}, "scan_twins"),
        ({"ttls": {"get_twin": -1}}, "get_twin=-1"),
        ({"size": 0}, "size=0"),
        ({"size": "many"}, "size='many'"),
    ],
)
def test_times_and_sizes_are_checked(options, told):
    with pytest.raises(ttorm.ConfigurationError, match=told):
        Cache(**options)
