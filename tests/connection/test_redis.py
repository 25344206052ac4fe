"""Answers on a Redis server: shared by processes, dropped exactly, believed only when signed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from uuid import uuid4

import pytest
from redis_servers import SERVER, OwnRedis, shared_server

import ttorm
from ttorm import Cache, NotFoundError, RedisBackend
from ttorm.api.http import HttpResponse
from ttorm.api.request import api_request
from ttorm.api.retry import NO_RETRIES
from ttorm.connection.reads import kept_answer, read
from ttorm.connection.redisdoor import UnreachableError

pytestmark = pytest.mark.redis

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
OTHER = "1f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
LEVELS = pytest.mark.parametrize("local", [0, 30], ids=["shared", "local"])


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class Service:
    """A transport: every answer is new, unless one was prepared."""

    def __init__(self):
        self.count = 0
        self.sent = Counter()
        self.prepared = []
        self.before = lambda: None

    def send(self, request):
        self.count += 1
        self.sent[request.method] += 1
        given = self.prepared.pop(0) if self.prepared else {"number": self.count}
        if request.method == "GET":
            self.before()
        status, body = given if isinstance(given, tuple) else (200, given)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return HttpResponse(status, {}, content)

    async def asend(self, request):
        return self.send(request)

    def close(self):
        pass

    async def aclose(self):
        pass


@pytest.fixture(scope="module")
def server():
    yield from shared_server()


@pytest.fixture
def prefix(server):
    return f"{server[1]}{uuid4().hex}:"


@pytest.fixture
def peek(server):
    return server[2]


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def program(service, prefix, clock):
    """A connection as another process would have it: ``program(secret="one", **options)``."""
    made = []

    def program(secret="one", url=SERVER, cache=None, **options):
        # Patient: a busy machine is no server that hangs.
        patient = {"prefix": prefix, "clock": clock, "timeout": 20.0}
        backend = RedisBackend(url, **{**patient, **options})
        made.append(backend)
        return ttorm.connect(
            "http://service.test",
            secret=secret,
            default=False,
            retry=NO_RETRIES,
            transport=service,
            cache=Cache(backend=backend, **(cache or {})),
        )

    program.made = made
    yield program
    for backend in made:
        backend.close()


def ask(connection, asynchronous=False, name="get_twin", arguments=(TWIN,), **options):
    flow = read(connection, api_request(name, arguments), **options)
    answer = asyncio.run(connection.arun(flow)) if asynchronous else connection.run(flow)
    return answer.body


def write(connection, asynchronous=False, name="update_twin", arguments=(TWIN,), body=None):
    body = {"description": {}} if body is None else body
    if asynchronous:
        asyncio.run(connection.acall(name, *arguments, body=body))
    else:
        connection.call(name, *arguments, body=body)


# Sharing


@LEVELS
@BOTH
def test_what_one_has_read_the_other_need_not(program, service, asynchronous, local):
    one, two = program(local=local), program(local=local)
    assert ask(one, asynchronous) == ask(two, asynchronous) == ask(one) == {"number": 1}
    assert service.count == 1
    assert two.cache.statistics == (1, 0, 0, 0)


@LEVELS
@BOTH
def test_a_write_of_one_is_seen_by_the_other_at_once(program, service, asynchronous, local):
    one, two = program(local=local), program(local=local)
    ask(one, asynchronous), ask(two, asynchronous)
    write(one, asynchronous)
    assert ask(two, asynchronous) == ask(one, asynchronous) == {"number": 3}


def test_a_process_of_its_own_shares_too(program, service, prefix):
    ask(program())
    script = f"""
import ttorm
from ttorm.api.request import api_request
from ttorm.connection.reads import read
backend = ttorm.RedisBackend({SERVER!r}, prefix={prefix!r}, clock=lambda: 1_000_000.0)
connection = ttorm.connect("http://service.test", secret="one", cache=ttorm.Cache(backend=backend))
print(connection.run(read(connection, api_request("get_twin", [{TWIN!r}]))).body)
connection.cache.drop({TWIN!r})
connection.run(connection.cache.deliver())
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout == "{'number': 1}\n", told.stderr
    assert ask(program()) == {"number": 2}


@LEVELS
def test_an_answer_from_before_a_write_is_not_kept_after_it(program, service, local):
    """It was on its way while another process wrote and dropped."""
    one, two = program(local=local), program(local=local)

    def meanwhile():
        service.before = lambda: None
        write(two)

    service.before = meanwhile
    assert ask(one) == {"number": 1}
    assert ask(one) == ask(two) == {"number": 3}


def test_a_fresh_read_asks_and_keeps_for_all(program, service):
    one, two = program(), program()
    ask(one)
    assert ask(two, fresh=True) == {"number": 2}
    assert ask(one) == {"number": 2}


@LEVELS
def test_answers_end_with_their_time(program, service, clock, local):
    one, two = program(), program(local=local)
    ask(one)
    clock.now += 29.9
    assert ask(program()) == {"number": 1}
    clock.now += 0.1
    assert ask(two) == {"number": 2}


def test_who_has_less_patience_does_not_get_what_others_keep_for_longer(program, service, clock):
    patient, hasty = program(cache={"ttl": 600}), program(cache={"ttl": 5})
    near = program(cache={"ttl": 5}, local=60)
    ask(patient)
    clock.now += 4.9
    assert ask(hasty) == ask(near) == {"number": 1}
    clock.now += 0.1
    assert ask(patient) == {"number": 1}
    assert ask(hasty) == {"number": 2}
    assert ask(patient) == {"number": 2}


def test_a_model_may_have_more_patience_than_the_cache(program, service, clock):
    one, two = program(cache={"ttl": 5}), program(cache={"ttl": 5})
    ask(one, ttl=60)
    clock.now += 50
    assert ask(two, ttl=60) == {"number": 1}
    assert ask(two) == {"number": 2}


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_makes_no_answer_live_longer(program, service, clock, hours):
    one = program()
    ask(one)
    clock.now += hours * 3600
    assert ask(one) == {"number": 2}
    assert ask(one) == {"number": 2}
    clock.now += 30
    assert ask(one) == {"number": 3}


def test_a_first_level_lasts_no_longer_than_told(program, service, clock):
    one = program(local=30)
    ask(one)
    two = program(local=0.001)
    ask(two)
    time.sleep(0.01)
    clock.now += 30
    assert ask(two) == {"number": 2}


def test_threads_share_one_request_and_its_answer(program, service):
    one = program()
    gate = threading.Barrier(20)
    results = []

    def work():
        gate.wait()
        results.append(ask(one)["number"])

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 20
    assert service.count == 1


def test_the_way_of_attributes_asks_no_server(program):
    one, near = program(), program(local=30)
    ask(one), ask(near)
    assert kept_answer(one, api_request("get_twin", [TWIN])) is None
    assert kept_answer(near, api_request("get_twin", [TWIN])).body == {"number": 1}


@pytest.fixture
def named(peek):
    """A URL whose connections have a name, and what counts them."""
    name = f"t{uuid4().hex}"

    def connections():
        return [client for client in peek.client_list() if client["name"] == name]

    return f"{SERVER}?client_name={name}", connections


def wait_for_none(connections):
    end = time.monotonic() + 20
    while connections():  # the server takes note of it a little later
        assert time.monotonic() < end


def test_what_is_closed_and_used_again_closes_with_its_loop(program, named):
    url, connections = named
    one = program(url=url)

    async def main():
        request = api_request("get_twin", [TWIN])
        for _ in range(2):
            await one.arun(read(one, request, fresh=True))
            assert len(connections()) == 1
            await one.cache._shared.backend.aclose()
            wait_for_none(connections)
        await one.arun(read(one, request, fresh=True))

    asyncio.run(main())
    wait_for_none(connections)


@BOTH
def test_what_is_closed_leaves_no_connection(program, service, named, asynchronous):
    url, connections = named
    one, two = program(url=url, local=30), program()
    backend = one.cache._shared.backend
    assert ask(one) == ask(one) == {"number": 1}
    assert len(connections()) == 2  # one of commands, one that listens
    asyncio.run(backend.aclose()) if asynchronous else backend.close()
    wait_for_none(connections)
    # Nothing is heard meanwhile, and what was heard before is not believed.
    write(two)
    assert ask(one) == {"number": 3}


# Clients of one's own


CLIENTS = {
    "plain": lambda redis: redis.Redis.from_url(SERVER),
    "text": lambda redis: redis.Redis.from_url(SERVER, decode_responses=True),
    "blocking": lambda redis: redis.Redis(
        connection_pool=redis.BlockingConnectionPool.from_url(SERVER, max_connections=2)
    ),
    "RESP2": lambda redis: redis.Redis.from_url(SERVER, protocol=2),
    "RESP3": lambda redis: redis.Redis.from_url(SERVER, protocol=3),
}


@LEVELS
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_client_of_ones_own(program, service, client, local):
    import redis

    with client(redis) as own:
        settings = dict(own.connection_pool.connection_kwargs)
        one, two = program(url=own, local=local), program(local=local)
        assert ask(one) == ask(one, asynchronous=True) == ask(two) == {"number": 1}
        write(two)
        assert ask(one) == {"number": 3}
        one.cache._shared.backend.close()
        # It is left as it was.
        assert own.connection_pool.connection_kwargs == settings
        assert own.ping()
    statistics = one.cache._shared.backend.statistics
    assert (statistics.failures, statistics.tampered) == (0, 0)


@pytest.mark.parametrize("options", ["?protocol=2", "?protocol=3", "?decode_responses=true"])
@BOTH
@LEVELS
def test_protocols_of_redis(program, service, options, asynchronous, local):
    if "?" in SERVER:
        pytest.skip("the server's URL has options already")
    one, two = (program(url=SERVER + options, local=local) for _ in range(2))
    assert ask(one, asynchronous) == ask(two, asynchronous) == {"number": 1}
    write(one, asynchronous)
    assert ask(two, asynchronous) == {"number": 3}
    assert two.cache._shared.backend.statistics.failures == 0


# Drops


READS = {
    "twin": ("get_twin", (TWIN,)),
    "ledger": ("get_twin_ledger_entry", (TWIN, "personal")),
    "entries": ("get_twin_ledger_entry_value", (TWIN, "personal")),
    "identities": ("get_twin_identities", (TWIN,)),
    "other": ("get_twin", (OTHER,)),
    "whoami": ("who_am_i", ()),
}


@pytest.mark.parametrize(
    ("drop", "gone"),
    [
        ({"subject": TWIN}, {"twin", "ledger", "entries", "identities"}),
        ({"subject": TWIN, "operations": ["get_twin"]}, {"twin"}),
        (
            {"subject": TWIN, "operations": ["get_twin", "get_twin_ledger_entry"]},
            {"twin", "ledger"},
        ),
        ({"operations": ["get_twin"]}, {"twin", "other"}),
        ({}, set(READS)),
        ({"subject": OTHER, "scope": "ONE"}, {"other"}),
        ({"subject": OTHER, "scope": "ONE", "operations": ["get_twin"]}, {"other"}),
        ({"scope": "ONE", "operations": ["who_am_i"]}, {"whoami"}),
        ({"scope": "ONE"}, set(READS)),
        ({"subject": TWIN, "scope": "none"}, set()),
        ({"subject": OTHER, "operations": ["get_user"]}, set()),
    ],
)
@LEVELS
def test_a_drop_takes_exactly_what_it_says(program, service, peek, drop, gone, local):
    one, two, stranger = program(), program(local=local), program("two")
    for connection in (one, stranger, two):
        for name, arguments in READS.values():
            ask(connection, name=name, arguments=arguments)
    drop = {**drop, "scope": one.scope() if drop.get("scope") == "ONE" else drop.get("scope")}
    one.cache.drop(**drop)
    one.run(one.cache.deliver())

    def asked(connection):
        found = set()
        for label, (name, arguments) in READS.items():
            before = service.count
            ask(connection, name=name, arguments=arguments)
            found |= {label} if service.count > before else set()
        return found

    assert asked(two) == gone
    assert asked(stranger) == (set() if drop["scope"] else gone)


def test_a_drop_is_one_round_trip(program, monkeypatch):
    one = program()
    door, sent = one.cache._shared.backend._door, []
    send = door.send
    monkeypatch.setattr(door, "send", lambda commands: sent.append(commands) or send(commands))
    write(one)
    (commands,) = sent
    assert [command[0] for command in commands] == ["HSET", "EXPIRE", "PUBLISH"]
    ask(one)
    assert len(sent) == 3  # a look, and what was read


@pytest.mark.parametrize(
    ("name", "arguments", "body"),
    [
        ("trace", [], None),
        ("put_sticker", [TWIN], {"stickers": {}}),
        ("create_user_secret_pin", [TWIN], {}),
        ("create_user_token", [], {}),
        ("create_upload_url", [], None),
    ],
)
def test_a_write_of_what_is_never_kept_asks_no_server(program, monkeypatch, name, arguments, body):
    one = program()
    door = one.cache._shared.backend._door
    monkeypatch.setattr(door, "send", lambda commands: pytest.fail(f"{commands} were sent"))
    one.call(name, *arguments, body=body)
    assert one.cache._shared.backend.statistics.failures == 0


def test_what_could_not_be_delivered_goes_before_the_next_look(program, service):
    """As after a cancelled task."""
    one, two = program(), program()
    ask(one)
    one.cache.drop(TWIN)
    assert ask(two) == {"number": 1}
    assert ask(one) == {"number": 2}


def test_a_drop_is_not_taken_for_delivered_by_one_that_was_on_its_way(
    program, service, monkeypatch
):
    one, two = program(), program()
    door = one.cache._shared.backend._door
    send = door.send

    def slowly(commands):
        replies = send(commands)
        monkeypatch.undo()
        ask(two)  # what was there before the write
        one.cache.drop(TWIN)  # by a thread that has written meanwhile
        return replies

    monkeypatch.setattr(door, "send", slowly)
    one.cache.drop()
    one.run(one.cache.deliver())
    one.run(one.cache.deliver())
    assert ask(two) == ask(one) == {"number": 2}


# Credentials and forgery


@LEVELS
def test_one_credential_never_gets_the_others_answer(program, service, local):
    assert ask(program("one", local=local)) == {"number": 1}
    assert ask(program("two", local=local)) == {"number": 2}
    assert ask(program("one", local=local)) == {"number": 1}


def entries(peek, prefix):
    for name in peek.scan_iter(match=f"{prefix}*"):
        for field, value in peek.hgetall(name).items():
            if field.startswith(b"a:"):
                yield name, field, value


def test_neither_credentials_nor_scopes_are_shown(program, peek, prefix):
    one = program("very-secret-text", key="the key of keys")
    heard = peek.pubsub()
    heard.subscribe(f"{prefix}drops")
    ask(one)
    write(one)
    one.cache.drop(scope=one.scope())
    one.run(one.cache.deliver())
    shown = str([(name, peek.hgetall(name)) for name in peek.scan_iter(match=f"{prefix}*")])
    while message := heard.get_message(timeout=0.1):
        shown += str(message)
    heard.close()
    assert "number" in shown
    assert "get_twin" in shown
    for hidden in ("very-secret-text", "the key of keys", one.scope()):
        assert hidden not in shown
        assert hidden not in repr(vars(one.cache._shared.backend))


def swapped(value):
    return value.replace(b'"number":1', b'"number":9')


def pickled(value):
    return b"cos\nsystem\n(S'touch forged'\ntR."


@pytest.mark.parametrize("key", [None, "shared key"])
@pytest.mark.parametrize(
    "forge",
    [
        swapped,
        pickled,
        lambda value: b"",
        lambda value: value[:-1],
        lambda value: value + b" ",
        lambda value: b"0" * 64 + value[64:],
        lambda value: b'[9e99,"",{"number":9}]',
        lambda value: b"\xff" * 100,
    ],
)
def test_a_forged_entry_is_no_answer(program, service, peek, prefix, forge, key):
    one = program(key=key)
    ask(one)
    for name, field, value in entries(peek, prefix):
        peek.hset(name, field, forge(value))
    assert ask(one) == {"number": 2}
    assert one.cache._shared.backend.statistics.tampered == 1
    assert one.cache._shared.backend.statistics.reachable
    assert ask(one) == {"number": 2}


def test_an_entry_moved_elsewhere_is_no_answer(program, service, peek, prefix):
    """Signed for one place, it says nothing about another: object, operation or credential."""
    one, two = program("one"), program("two")
    ask(one), ask(two), ask(one, arguments=(OTHER,)), ask(one, name="get_twin_identities")
    found = list(entries(peek, prefix))
    assert len(found) == 4
    for name, field, _ in found:
        for _, _, value in found:
            if value != peek.hget(name, field):
                peek.hset(name, field, value)
    before = service.count
    asked = [ask(one), ask(two), ask(one, arguments=(OTHER,)), ask(one, name="get_twin_identities")]
    assert len({answer["number"] for answer in asked}) == 4
    tampered = sum(backend.statistics.tampered for backend in program.made)
    assert tampered == service.count - before >= 3


def test_an_old_entry_put_back_ends_with_its_time(program, service, clock, peek, prefix):
    one = program()
    ask(one)
    ((name, field, value),) = entries(peek, prefix)
    marks = peek.hgetall(name)
    write(one)
    assert ask(one) == {"number": 3}
    peek.hset(name, mapping=marks)  # marks and all
    peek.hdel(name, "o:get_twin")
    peek.hset(name, field, value)
    assert ask(one) == {"number": 1}
    clock.now += 30
    assert ask(one) == {"number": 4}


@LEVELS
@pytest.mark.parametrize(
    "message",
    [
        b'[["x"], null]',
        b'[{"x": 1}, ["get_twin"]]',
        b'["x", 5]',
        b'["x", [["y"]]]',
        b'["x", "get_twin"]',
        b'{"x": 1, "y": 2}',
        b"[1]",
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b"x" * 1_000_000,
    ],
)
def test_a_message_that_is_none_does_no_harm(program, service, peek, prefix, message, local):
    """Anybody who may write there may say anything: at most answers are read afresh."""
    one = program(local=local)
    ask(one)
    assert peek.publish(f"{prefix}drops", message) == (1 if local else 0)
    for _ in range(3):
        assert ask(one)["number"] <= 2
    write(program())
    assert ask(one)["number"] >= 2
    statistics = one.cache._shared.backend.statistics
    assert (statistics.failures, statistics.reachable) == (0, True)


@pytest.mark.parametrize("name", ["marks", f"of:{TWIN}"])
@BOTH
def test_a_place_of_another_type_is_read_around(program, service, peek, prefix, name, asynchronous):
    one = program(pause=0)
    ask(one, asynchronous)
    peek.delete(prefix + name)
    peek.rpush(prefix + name, "x")
    assert [ask(one, asynchronous)["number"] for _ in range(2)] == [2, 3]
    peek.delete(prefix + name)
    ask(one, asynchronous)
    assert ask(one, asynchronous) == ask(one, asynchronous)
    assert one.cache._shared.backend.statistics.reachable


def test_processes_with_other_keys_do_not_believe_each_other(program, service):
    ask(program(key="one key"))
    two = program(key="another")
    assert ask(two) == {"number": 2}
    assert two.cache._shared.backend.statistics.tampered == 1


def test_lost_marks_take_their_answers_along(program, service, peek, prefix):
    """Servers that are full throw away what they like."""
    one = program()
    ask(one)
    peek.delete(f"{prefix}marks")
    assert ask(one) == {"number": 2}
    peek.hdel(f"{prefix}of:{TWIN}", "*")
    assert ask(one) == {"number": 3}
    peek.delete(f"{prefix}of:{TWIN}")
    assert ask(one) == {"number": 4}
    assert ask(one) == {"number": 4}


def test_answers_that_nobody_asks_for_again_go(program, service, peek, prefix, monkeypatch):
    """As those for request dictionaries that come once: each new one prolongs the life of all."""
    monkeypatch.setattr("ttorm.connection.redis._MOST", 20)
    one = program()
    for number in range(50):
        request = api_request("get_twin", [TWIN], dictionary={"number": number})
        one.run(read(one, request))
        assert peek.hlen(f"{prefix}of:{TWIN}") <= 20
    one.run(read(one, request))
    assert service.count == 50


def test_nothing_stays_on_the_server_for_ever(program, peek, prefix):
    one = program()
    ask(one)
    write(one, arguments=(OTHER,))
    one.cache.drop(operations=["get_user"])
    one.run(one.cache.deliver())
    left = {name: peek.ttl(name) for name in peek.scan_iter(match=f"{prefix}*")}
    assert len(left) == 3
    assert all(0 < seconds <= 86_400 for seconds in left.values())
    assert 0 < left[f"{prefix}of:{TWIN}".encode()] <= 60


def test_long_lived_answers_outlive_short_lived_ones(program, service, peek, prefix, clock):
    one = program(cache={"ttl": 3600})
    ask(one)
    ask(program(cache={"ttl": 5}), name="get_twin_identities")
    assert 3500 < peek.ttl(f"{prefix}of:{TWIN}") <= 3601


@pytest.mark.parametrize(
    "answer",
    [
        {"number": 2**80, "text": "\u00e4\U0001f600\0", "deep": [[[1.0, -0.0, 1e300, None, True]]]},
        {"number": 1, "": {"": []}},
    ],
)
def test_answers_come_back_as_they_were(program, service, answer):
    service.prepared = [answer]
    one, two = program(), program()
    assert repr(ask(one)) == repr(ask(two)) == repr(answer)
    assert service.count == 1


@pytest.mark.parametrize("answer", [b'{"number": 1e999}', b'{"number": "\\ud800"}'])
def test_what_cannot_be_kept_is_read_again(program, service, answer):
    service.prepared = [answer, answer]
    one = program()
    for _ in range(2):
        try:
            ask(one)
        except ttorm.ResponseFormatError:
            continue
    assert service.count == 2
    assert one.cache._shared.backend.statistics.tampered == 0
    assert one.cache._shared.backend.statistics.reachable


# Nothing found


ABSENT = (404, {"subcode": 404_501, "description": "None.", "trace": "t-1"})


@pytest.mark.parametrize("shared", [False, True])
@BOTH
def test_that_something_does_not_exist_is_kept_if_asked(program, service, asynchronous, shared):
    service.prepared = [ABSENT, ABSENT]
    one = program(cache={"negative": 5})
    if not shared:
        one.cache = Cache(negative=5)
    told = []
    for _ in range(3):
        with pytest.raises(NotFoundError) as caught:
            ask(one, asynchronous)
        error = caught.value
        told.append((str(error), error.status, error.subcode, error.trace, error.operation))
    assert service.count == 1
    assert told == [told[0]] * 3
    with pytest.raises(NotFoundError):
        ask(one, asynchronous, fresh=True)
    assert ask(one, asynchronous, arguments=(OTHER,)) == {"number": 3}
    write(one, asynchronous)
    assert ask(one, asynchronous) == {"number": 5}


def test_that_something_does_not_exist_is_asked_each_time_by_default(program, service):
    service.prepared = [ABSENT, ABSENT]
    one = program()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            ask(one)
    assert service.count == 2


def test_who_did_not_ask_for_it_does_not_get_it_from_others(program, service, clock):
    service.prepared = [ABSENT]
    with pytest.raises(NotFoundError):
        ask(program(cache={"negative": 5}))
    assert ask(program()) == {"number": 2}


def test_it_is_kept_for_its_own_time(program, service, clock):
    service.prepared = [ABSENT, ABSENT]
    one = program(cache={"negative": 5})
    for seconds, asked in ((0, 1), (4.9, 1), (0.1, 2)):
        clock.now += seconds
        with pytest.raises(NotFoundError):
            ask(one)
        assert service.count == asked


# Out of reach


@pytest.fixture
def own(tmp_path_factory):
    server = OwnRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@LEVELS
@BOTH
def test_without_a_server_the_service_is_asked(own, program, service, caplog, asynchronous, local):
    caplog.set_level(logging.INFO, "ttorm.cache")
    one = program(url=own.url, pause=0, local=local)
    ask(one, asynchronous)
    own.stop()
    for number in (2, 3, 4):
        assert ask(one, asynchronous) == {"number": number}
    statistics = one.cache._shared.backend.statistics
    assert not statistics.reachable
    assert statistics.failures >= 3
    own.start()
    # The first finds out, the second has everything forgotten, of which a first level is told, too.
    for _ in range(3):
        ask(one, asynchronous)
    assert ask(one, asynchronous) == ask(one, asynchronous)
    assert one.cache._shared.backend.statistics.reachable
    warning, back = caplog.records
    assert warning.levelname == "WARNING"
    assert "reads go to the service" in warning.message
    assert back.levelname == "INFO"


def test_a_server_that_failed_is_left_alone_for_a_while(own, program):
    one = program(url=own.url, pause=60)
    ask(one)
    own.stop()
    for _ in range(10):
        ask(one)
    assert one.cache._shared.backend.statistics.failures == 1


@LEVELS
@BOTH
@pytest.mark.parametrize("first", [0, 1])
def test_a_drop_that_was_missed_leaves_nothing_stale(
    own, program, service, asynchronous, local, first
):
    """The server comes back with all it had, from its disk."""
    both = [program(url=own.url, pause=0, local=local) for _ in range(2)]

    async def story(ask, write):
        assert await ask(both[0]) == await ask(both[1]) == {"number": 1}
        own.stop()
        await write(both[0])
        own.start()
        # Who has missed nothing of its own makes sure all the same: others may have.
        assert await ask(both[first]) == {"number": 3}
        assert (await ask(both[1 - first]))["number"] >= 3
        assert (await ask(both[first]))["number"] >= 3

    request, body = api_request("get_twin", [TWIN]), {"description": {}}

    async def aask(connection):
        return (await connection.arun(read(connection, request))).body

    async def awrite(connection):
        await connection.acall("update_twin", TWIN, body=body)

    async def ask_here(connection):
        return ask(connection)

    async def write_here(connection):
        write(connection)

    if asynchronous:
        asyncio.run(story(aask, awrite))
    else:
        with contextlib.suppress(StopIteration):
            story(ask_here, write_here).send(None)


def test_a_server_that_takes_no_writes_is_not_believed(own, program, service):
    """What one has written there is read, but drops would not arrive."""
    one, two = program(url=own.url, pause=0), program(url=own.url, pause=0)
    ask(one)
    with own.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        write(two)
        assert ask(one) == {"number": 3}
        assert not one.cache._shared.backend.statistics.reachable
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert ask(one)["number"] >= 3
    assert ask(two) == ask(one)


def test_a_server_that_hangs_costs_the_time_out_once(own, program, service):
    one = program(url=own.url, timeout=0.2, pause=60)
    ask(one)
    with own.client() as client:
        client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        start = time.monotonic()
        for _ in range(5):
            ask(one)
        assert 0.15 < time.monotonic() - start < 1.5


@pytest.mark.parametrize("own_client", [False, True])
@pytest.mark.parametrize("local", [0, 30])
def test_a_server_that_hangs_costs_many_tasks_the_time_out_once(own, program, own_client, local):
    """They do not wait for it one after the other."""
    import redis

    url = redis.Redis.from_url(own.url) if own_client else own.url
    one = program(url=url, timeout=1, pause=60, local=local)
    seen = []

    async def main():
        await one.arun(read(one, api_request("get_twin", [TWIN])))
        with own.client() as client:
            client.execute_command("CLIENT", "PAUSE", "60000", "ALL")
        start = time.monotonic()
        flows = [read(one, api_request("get_twin", [f"{TWIN[:-3]}{n:03}"])) for n in range(400)]
        await asyncio.gather(*map(one.arun, flows))
        seen.append(time.monotonic() - start)

    asyncio.run(main())
    # Turn by turn it would be 25 s, and on six threads more.
    assert seen[0] < 6
    assert not one.cache._shared.backend.statistics.reachable


def test_many_threads_take_turns(program):
    """More of them than a client of redis-py has connections are no failure."""
    one = program()
    gate = threading.Barrier(150)

    def work(number):
        gate.wait()
        ask(one, arguments=(f"{TWIN[:-3]}{number:03}",))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statistics = one.cache._shared.backend.statistics
    assert (statistics.failures, statistics.missed) == (0, 150)


@pytest.mark.parametrize("own_client", [False, True])
@LEVELS
def test_a_connection_that_was_cut_is_noticed(own, program, service, own_client, local):
    """Also where the client of one's own would connect again without a word."""
    import redis

    url = redis.Redis.from_url(own.url) if own_client else own.url
    one, two = program(url=url, local=local), program(url=own.url, pause=60)
    ask(one)
    two.cache._shared.backend._door.close()
    # The other one cannot tell what it has dropped: as if it was cut off, and died.
    two.cache._shared.backend._door.send = lambda commands: (_ for _ in ()).throw(
        UnreachableError("cut off")
    )
    write(two)
    with own.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert ask(one) == {"number": 3}


def test_a_listener_that_hears_nothing_any_more_is_noticed(own, program, service, monkeypatch):
    """A router that forgets a connection tells neither end of it."""
    from ttorm.connection import redislistener

    monkeypatch.setattr(redislistener, "_CHECK", 0.0)
    one, two = program(url=own.url, local=60), program(url=own.url)
    for _ in range(10):
        assert ask(one) == {"number": 1}
        time.sleep(0.01)
    listener = one.cache._following._listener
    monkeypatch.setattr(listener._connection, "can_read", lambda timeout: False)
    write(two)
    assert [ask(one)["number"] for _ in range(3)][-1] >= 3


def test_a_node_of_a_cluster_is_told_as_such(tmp_path, program, service, caplog):
    node = OwnRedis(tmp_path, "--cluster-enabled", "yes")
    node.start()
    one = program(url=node.url, pause=60)
    assert ask(one) != ask(one)
    assert "it is a node of a cluster" in caplog.text
    node.stop()


def test_a_server_that_is_full_is_read_around(own, program, service):
    one, two = program(url=own.url, pause=0), program(url=own.url, pause=0)
    assert ask(one) == ask(two) == {"number": 1}
    with own.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")
        write(two)
        assert ask(one) == {"number": 3}
        client.config_set("maxmemory", "0")
    ask(one), ask(two)
    assert ask(one) == ask(two)
    assert one.cache._shared.backend.statistics.reachable


@pytest.mark.parametrize("noise", [b":abc\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-9\r\n"])
@BOTH
def test_what_is_no_redis_is_read_around(program, service, noise, asynchronous):
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    other, _ = door.accept()
                    with other:
                        other.recv(65_536)
                        other.sendall(noise * 20)

        threading.Thread(target=answer, daemon=True).start()
        one = program(url=f"redis://127.0.0.1:{door.getsockname()[1]}", pause=0, timeout=2)
        for number in (1, 2):
            assert ask(one, asynchronous) == {"number": number}
        door.shutdown(socket.SHUT_RDWR)
    assert not one.cache._shared.backend.statistics.reachable


@pytest.mark.parametrize("interrupt", [asyncio.CancelledError, KeyboardInterrupt])
def test_what_a_cancelled_write_drops_others_hear(program, service, interrupt):
    one, two = program(), program()
    ask(one)

    def stop(request):
        service.count += 1
        raise interrupt

    service.send, send = stop, service.send

    async def main():
        with pytest.raises(interrupt):
            await one.acall("update_twin", TWIN, body={"description": {}})
        await asyncio.gather(*one._beside)

    if interrupt is asyncio.CancelledError:
        asyncio.run(main())
    else:
        with pytest.raises(interrupt):
            one.call("update_twin", TWIN, body={"description": {}})
    service.send = send
    # The one that wrote does nothing more.
    assert ask(two) == {"number": 3}


def test_a_cancelled_task_leaves_connections_in_order(program, service):
    one = program(timeout=20)

    async def main():
        for number in range(200):
            task = asyncio.ensure_future(
                one.arun(read(one, api_request("get_twin", [f"{TWIN[:-3]}{number:03}"])))
            )
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        flows = [read(one, api_request("get_twin", [f"{TWIN[:-3]}{n:03}"])) for n in range(200)]
        first = await asyncio.gather(*map(one.arun, flows))
        flows = [read(one, api_request("get_twin", [f"{TWIN[:-3]}{n:03}"])) for n in range(200)]
        return first, await asyncio.gather(*map(one.arun, flows))

    first, second = asyncio.run(main())
    assert [answer.body for answer in first] == [answer.body for answer in second]
    statistics = one.cache._shared.backend.statistics
    assert (statistics.tampered, statistics.failures) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@LEVELS
def test_a_forked_child_shares_as_well(program, service, local):
    one = program(local=local)
    ask(one)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if ask(one) == {"number": 1} else 2
            write(one)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask(one) == {"number": 2}


# Mistakes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"where": "http://localhost"}, "no URL of a Redis server"),
        ({"where": None}, "a URL or a redis.Redis, found NoneType"),
        ({"where": SERVER, "key": ""}, "signs nothing"),
        ({"where": SERVER, "timeout": 0}, "timeout"),
        ({"where": SERVER, "pause": -1}, "pause"),
        ({"where": SERVER, "local": -1}, "local"),
        ({"where": SERVER, "timeout": None}, "timeout=None"),
        ({"where": SERVER, "pause": "1"}, "pause='1'"),
        ({"where": SERVER, "local": float("inf")}, "local=inf"),
    ],
)
def test_what_cannot_work_is_said(options, told):
    with pytest.raises(ttorm.ConfigurationError, match=told):
        RedisBackend(**options)


def test_without_the_extra_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ttorm.ConfigurationError, match=r"ttorm\[redis\]"):
        RedisBackend(SERVER)


@pytest.mark.parametrize("options", [{"ttl": -1}, {"negative": -1}, {"ttls": {"get_twin": -1}}])
def test_times_are_not_negative(options):
    with pytest.raises(ttorm.ConfigurationError, match="expected seconds"):
        Cache(**options)


def test_settings_of_a_client_show_no_password(monkeypatch):
    """Tracebacks show locals."""
    import redis

    client = redis.Redis(password="sesame-0pen")
    monkeypatch.setattr(redis, "ConnectionPool", lambda **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        RedisBackend(client)
    settings = [entry.frame.f_locals.get("settings") for entry in caught.traceback]
    assert any(one and one["password"] == "sesame-0pen" for one in settings)
    ours = [entry.frame.f_locals for entry in caught.traceback if "redisdoor" in str(entry.path)]
    assert "sesame" not in repr(ours)
