"""The cache of reads: one request for many askers, never one user's answer for another."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter

import pytest

import ttorm
from ttorm import (
    Cache,
    CacheStatistics,
    ForbiddenError,
    OutcomeUnknownError,
    TransportError,
    UnauthorizedError,
)
from ttorm.api.credentials import masked
from ttorm.api.http import HttpResponse
from ttorm.api.request import api_request
from ttorm.api.retry import NO_RETRIES
from ttorm.connection.cache import MemoryBackend
from ttorm.connection.reads import kept_answer, read

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
OTHER = "1f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
PATIENCE = 20
GONE = f"GET /twins/{TWIN}: gone [transport]"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Service:
    """A transport: every answer is new, unless one was prepared; requests are counted."""

    def __init__(self):
        self.count = 0
        self.sent = Counter()
        self.prepared = []
        self.hold = None
        self.begun = threading.Semaphore(0)

    def answer(self, request):
        self.count += 1
        path = request.url.removeprefix("http://service.test")
        self.sent[request.method, path] += 1
        given = self.prepared.pop(0) if self.prepared else {"number": self.count}
        if isinstance(given, Exception):
            raise given
        status, body = given if isinstance(given, tuple) else (200, given)
        return HttpResponse(status, {}, json.dumps(body).encode())

    def send(self, request):
        self.begun.release()
        if self.hold is not None:
            assert self.hold.wait(PATIENCE)
        return self.answer(request)

    async def asend(self, request):
        self.begun.release()
        if self.hold is not None:
            assert await asyncio.to_thread(self.hold.wait, PATIENCE)
        return self.answer(request)

    def close(self):
        pass

    async def aclose(self):
        pass


class Boarding(Cache):
    """A cache that counts who joined or led a read."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.boarded = threading.Semaphore(0)

    def board(self, key, *, fresh=False):
        found = super().board(key, fresh=fresh)
        self.boarded.release()
        return found

    async def until_boarded(self, count):
        for _ in range(count):
            assert await asyncio.to_thread(self.boarded.acquire, timeout=PATIENCE)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return Boarding(ttl=30, backend=MemoryBackend(clock=clock))


@pytest.fixture
def connect(service, cache):
    """Connect to the service: ``connect(secret="one", **options)``."""

    def connect(secret="one", **options):
        options = {"cache": cache, "retry": NO_RETRIES, "transport": service, **options}
        return ttorm.connect("http://service.test", secret=secret, default=False, **options)

    return connect


@pytest.fixture
def connection(connect):
    return connect()


def get(connection, name="get_twin", *arguments, fresh=False, dictionary=None, **query):
    """Read through the cache, of one Twin unless told otherwise, and return the answer's body."""
    if name != "who_am_i":
        arguments = arguments or [TWIN]
    request = api_request(name, arguments, query, dictionary=dictionary)
    return connection.run(read(connection, request, fresh=fresh)).body


def test_a_second_read_costs_nothing(connection, service):
    assert get(connection) == get(connection) == {"number": 1}
    assert service.count == 1
    assert connection.cache.statistics == CacheStatistics(hits=1, misses=1, stored=1, dropped=0)


def test_fresh_asks_again_and_keeps_the_newer_answer(connection, service):
    get(connection)
    assert get(connection, fresh=True) == {"number": 2}
    assert get(connection) == {"number": 2}


def test_what_is_handed_out_does_not_change_what_is_kept(connection):
    get(connection)["number"] = 99
    get(connection)["more"] = 1
    assert get(connection) == {"number": 1}


def test_the_way_of_a_hit_is_no_flow(connection):
    request = api_request("get_twin", [TWIN])
    assert kept_answer(connection, request) is None
    get(connection)
    answer = kept_answer(connection, request)
    assert (answer.body, answer.kept) == ({"number": 1}, True)


def test_without_cache_each_read_is_a_request(connect, service):
    connection = connect(cache=None)
    assert get(connection) != get(connection)
    assert service.count == 2


# Time and room


def test_answers_live_for_their_time(connection, clock):
    get(connection)
    clock.now += 29.9
    assert get(connection) == {"number": 1}
    clock.now += 0.1
    assert get(connection) == {"number": 2}


def test_each_kind_of_answer_may_have_its_own_time(service, clock, connect):
    times = {"who_am_i": 3600, "get_twin": 0}
    connection = connect(cache=Cache(ttl=30, ttls=times, backend=MemoryBackend(clock=clock)))
    for _ in range(2):
        get(connection, "who_am_i")
        get(connection, "get_twin")
        get(connection, "get_twin_ledger_entry")
        clock.now += 100
    asked = {path.rpartition("/")[2]: count for (_, path), count in service.sent.items()}
    assert asked == {"whoami": 1, TWIN: 2, "personal": 2}


def test_the_least_recently_used_object_goes_first(service, connect):
    connection = connect(cache=Cache(size=2))
    get(connection, "get_twin", TWIN)
    get(connection, "get_twin", OTHER)
    get(connection, "get_twin", TWIN)
    get(connection, "get_user", OTHER[:-1] + "0")
    assert get(connection, "get_twin", TWIN) == {"number": 1}
    assert get(connection, "get_twin", OTHER) == {"number": 4}


def test_answers_that_nobody_asks_for_again_go(connection, service, clock, cache):
    """As those for request dictionaries that come once."""
    for number in range(1_000):
        clock.now += 1
        get(connection, dictionary={"number": number})
    cache.drop()
    # All that are still good, and not many more.
    assert 30 <= cache.statistics.dropped <= 64


@pytest.mark.parametrize(
    ("name", "arguments", "query"),
    [
        ("scan_twins", [], {}),
        ("get_twin_ledger_entry_history", [TWIN], {}),
        ("get_user_secret", [TWIN], {}),
        ("get_twin_doc", [TWIN, "a.txt"], {"download": True}),
        ("get_stickers", [TWIN], {}),
        ("get_account_usage", [], {}),
    ],
)
def test_what_is_never_kept(connection, service, name, arguments, query):
    for _ in range(2):
        connection.run(read(connection, api_request(name, arguments, query)))
    assert service.count == 2


def test_queries_tell_answers_apart_whatever_their_order(connection, service):
    one = get(connection, "get_twin_ledger_entry", TWIN, entries=["a"])
    assert get(connection, "get_twin_ledger_entry", TWIN, entries=["b"]) != one
    two = get(connection, "get_twin_ledger_entry", TWIN, show_public=True, show_private=True)
    swapped = get(connection, "get_twin_ledger_entry", TWIN, show_private=True, show_public=True)
    assert two == swapped
    assert service.count == 3


# Scopes


def test_another_credential_never_sees_the_answer(connect, service):
    one, two = connect("one"), connect("two")
    assert get(one) == {"number": 1}
    assert get(two) == {"number": 2}
    assert get(one) == {"number": 1}
    assert get(connect("one")) == {"number": 1}
    assert service.count == 2


def test_transports_that_sign_by_themselves_share_nothing(connect):
    one, two = (connect(None, transport=Service()) for _ in range(2))
    two.transport.count = 100
    assert (get(one), get(two)) == ({"number": 1}, {"number": 101})


def test_another_service_or_dictionary_is_another_scope(connect, service, cache):
    plain = connect()
    pinned = connect(dictionary={"pin": "7"})
    assert get(plain) == {"number": 1}
    assert get(pinned) == {"number": 2}
    assert get(plain, dictionary={"pin": "7"}) == {"number": 2}
    assert get(plain, dictionary={}) == {"number": 3}
    elsewhere = ttorm.connect(
        "http://other.test", secret="one", cache=cache, transport=service, default=False
    )
    assert get(elsewhere) == {"number": 4}


def test_what_shows_itself_masked_makes_scopes_like_any_text(connect):
    """As the PINs and tokens in answers do."""
    one = connect(dictionary={"pin": masked("7788")})
    assert one.scope() == one.scope({"pin": "7788"})
    assert one.scope() != one.scope({"pin": masked("8877")})


def test_a_dictionary_that_is_changed_later_changes_no_scope(connect, service):
    given = {"team": "ops", "zones": ["north"]}
    one, two = connect(dictionary=given), connect(dictionary={"team": "ops", "zones": ["south"]})
    given["zones"][0] = "south"
    assert get(one) == {"number": 1}
    assert get(two) == {"number": 2}


def test_a_token_and_a_secret_of_equal_text_are_equal(connect):
    """Both go the same way in the same header: the service cannot tell them apart either."""
    assert connect(secret=None, token="one").scope() == connect("one").scope()


# One request for many


def test_a_hundred_threads_are_one_request(connection, service, cache):
    service.hold = threading.Event()
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(get(connection)["number"]))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert cache.boarded.acquire(timeout=PATIENCE)
    service.hold.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [1] * 100
    assert service.count == 1


def test_a_hundred_threads_without_any_hold_are_one_request_too(connection, service):
    """Also for those who look before the answer is there, and ask after it is."""
    barrier, results = threading.Barrier(100, timeout=PATIENCE), []

    def work():
        barrier.wait()
        results.append(get(connection)["number"])

    threads = [threading.Thread(target=work) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [1] * 100
    assert service.count == 1


def test_who_looked_before_the_answer_and_boards_after_it_takes_it(connection, service, cache):
    looked = cache.get

    def late(key):
        found = looked(key)
        if service.count == 0:
            cache.get = looked
            get(connection)  # somebody else's read begins and ends in between
        return found

    cache.get = late
    assert get(connection) == {"number": 1}
    assert service.count == 1


def test_a_hundred_tasks_are_one_request(connection, service, cache):
    service.hold = threading.Event()

    async def main():
        request = api_request("get_twin", [TWIN])
        reads = [
            asyncio.ensure_future(connection.arun(read(connection, request))) for _ in range(100)
        ]
        await cache.until_boarded(100)
        service.hold.set()
        return [answer.body["number"] for answer in await asyncio.gather(*reads)]

    assert asyncio.run(main()) == [1] * 100
    assert service.count == 1


def test_threads_and_loops_share_one_request(connection, service, cache):
    service.hold, results = threading.Event(), []

    async def on_a_loop():
        request = api_request("get_twin", [TWIN])
        results.append((await connection.arun(read(connection, request))).body["number"])

    kinds = [lambda: results.append(get(connection)["number"]), lambda: asyncio.run(on_a_loop())]
    threads = [threading.Thread(target=kinds[number % 2]) for number in range(10)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert cache.boarded.acquire(timeout=PATIENCE)
    service.hold.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [1] * 10
    assert service.count == 1


def test_one_gather_shares_one_request(connection, service):
    from ttorm.flows import gather

    request = api_request("get_twin", [TWIN])
    answers = connection.run(gather(read(connection, request) for _ in range(20)))
    assert [answer.body["number"] for answer in answers] == [1] * 20
    assert service.count == 1


def test_a_failed_leader_hands_over(connection, service, cache):
    """Its error is its own; of those who waited, one asks again for all."""
    service.hold = threading.Event()
    service.prepared = [TransportError("gone")]
    outcomes = []

    def work():
        try:
            outcomes.append(get(connection)["number"])
        except TransportError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert cache.boarded.acquire(timeout=PATIENCE)
    service.hold.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(outcomes, key=str) == [2] * 9 + [GONE]
    assert service.count == 2


@pytest.mark.parametrize("asynchronous", [False, True], ids=["threads", "tasks"])
def test_many_that_fail_do_not_fail_one_after_another(connection, service, cache, asynchronous):
    """Who has waited twice asks by itself, together with all others."""
    together, asked = threading.Barrier(4), []

    def fail(request):
        asked.append(request)
        waiting = {1: 6, 2: 5}.get(len(asked), 0)
        if not all(cache.boarded.acquire(timeout=PATIENCE) for _ in range(waiting)):
            raise AssertionError("some did not wait")
        if not waiting:
            together.wait(PATIENCE)
        raise TransportError("gone")

    async def afail(request):
        return await asyncio.to_thread(fail, request)

    service.send, service.asend = fail, afail
    request = api_request("get_twin", [TWIN])

    async def main():
        flows = (connection.arun(read(connection, request)) for _ in range(6))
        return await asyncio.gather(*flows, return_exceptions=True)

    outcomes = []

    def work():
        with pytest.raises(TransportError) as caught:
            connection.run(read(connection, request))
        outcomes.append(caught.value)

    if asynchronous:
        outcomes = asyncio.run(main())
    else:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert [str(error) for error in outcomes] == [GONE] * 6
    assert len(asked) == 6


def test_a_cancelled_leader_hands_over(connection, service, cache):
    service.hold = threading.Event()

    async def main():
        request = api_request("get_twin", [TWIN])
        leader, *followers = [
            asyncio.ensure_future(connection.arun(read(connection, request))) for _ in range(5)
        ]
        await cache.until_boarded(5)
        leader.cancel()
        service.hold.set()
        answers = await asyncio.gather(*followers)
        return leader.cancelled(), [answer.body["number"] for answer in answers]

    assert asyncio.run(main()) == (True, [1] * 4)
    assert service.count == 1


def test_a_cancelled_follower_leaves_the_leader_alone(connection, service, cache):
    service.hold = threading.Event()

    async def main():
        request = api_request("get_twin", [TWIN])
        reads = [
            asyncio.ensure_future(connection.arun(read(connection, request))) for _ in range(3)
        ]
        await cache.until_boarded(3)
        reads[1].cancel()
        service.hold.set()
        return await asyncio.gather(*reads, return_exceptions=True)

    one, cancelled, two = asyncio.run(main())
    assert one.body == two.body == {"number": 1}
    assert isinstance(cancelled, asyncio.CancelledError)
    assert service.count == 1


def test_a_blocking_read_under_the_loop_that_leads_asks_itself(connect, service, cache):
    """Waiting for the loop's own task would never end."""
    connection = connect(blocking=True)
    service.hold = threading.Event()

    async def main():
        request = api_request("get_twin", [TWIN])
        leader = asyncio.ensure_future(connection.arun(read(connection, request)))
        await cache.until_boarded(1)
        service.hold.set()
        here = get(connection)
        return here, (await leader).body

    here, there = asyncio.run(main())
    assert {here["number"], there["number"]} == {1, 2}


# Stale flights


def while_reading(connection, service, act, **options):
    """Do something while a thread reads; return what the thread got."""
    service.hold, results = threading.Event(), []
    reader = threading.Thread(target=lambda: results.append(get(connection, **options)))
    reader.start()
    assert service.begun.acquire(timeout=PATIENCE)
    held, service.hold = service.hold, None
    act()
    held.set()
    reader.join(PATIENCE)
    return results[0]


def test_a_read_that_began_before_a_write_is_not_kept(connection, service):
    """It may have been answered before the write; its reader gets it, nobody else."""
    written = {"creation_certificate": {"uuid": TWIN}, "description": {"a": 1}}

    def write():
        service.prepared = [written]
        connection.call("update_twin", TWIN, body={"description": {"a": 1}})

    assert while_reading(connection, service, write) == {"number": 2}
    assert get(connection) == written
    assert service.count == 2


def test_a_read_of_a_ledger_that_began_before_its_write_is_not_kept(connection, service):
    def write():
        service.prepared = [{"entries": {"x": {"value": 1}}}]
        body = {"entries": {"x": {"value": 1}}}
        connection.call("update_twin_ledger_entry", TWIN, "personal", body=body)

    options = {"name": "get_twin_ledger_entry"}
    assert while_reading(connection, service, write, **options) == {"number": 2}
    assert get(connection, "get_twin_ledger_entry") == {"number": 3}


def test_a_fresh_read_does_not_board_an_older_one(connection, service):
    fresh = []
    old = while_reading(connection, service, lambda: fresh.append(get(connection, fresh=True)))
    assert fresh == [{"number": 1}]
    assert old == {"number": 2}
    assert get(connection) == {"number": 1}


def test_a_write_of_another_twin_does_not_matter(connection, service):
    def write():
        service.prepared = [{"creation_certificate": {"uuid": OTHER}}]
        connection.call("update_twin", OTHER, body={"description": {}})

    assert while_reading(connection, service, write) == {"number": 2}
    assert get(connection) == {"number": 2}
    assert service.count == 2


# Own writes


READS = {
    "twin": ("get_twin", [TWIN]),
    "ledger": ("get_twin_ledger_entry", [TWIN]),
    "owner's ledger": ("get_twin_ledger_entry", [TWIN, "owner"]),
    "values": ("get_twin_ledger_entry_value", [TWIN]),
    "identities": ("get_twin_identities", [TWIN]),
    "identity": ("get_twin_identity", [TWIN, "SN#1"]),
    "docs": ("get_twin_docs", [TWIN]),
    "doc": ("get_twin_doc", [TWIN, "a.txt"]),
    "other twin": ("get_twin", [OTHER]),
    "other ledger": ("get_twin_ledger_entry", [OTHER]),
    "user": ("get_user", [OTHER]),
    "account": ("get_account", []),
    "whoami": ("who_am_i", []),
    "database": ("get_database", ["default"]),
}
LEDGER = {"ledger", "owner's ledger", "values"}
ALL = {name for name in READS if READS[name][1][:1] == [TWIN]}


def filled(connection, service):
    """Read everything once."""
    for operation, arguments in READS.values():
        connection.run(read(connection, api_request(operation, arguments)))


def asked_again(connection):
    """Which of the reads are not kept any more."""
    return {
        name
        for name, (operation, arguments) in READS.items()
        if kept_answer(connection, api_request(operation, arguments)) is None
    }


ENTRIES = {"entries": {"x": {"value": 1}}}
FRESH_TWIN = {"creation_certificate": {"uuid": TWIN}, "status": "alive"}


@pytest.mark.parametrize(
    ("operation", "arguments", "body", "answer", "dropped"),
    [
        ("update_twin", [TWIN], {"description": {}}, FRESH_TWIN, set()),
        ("terminate_twin", [TWIN], None, FRESH_TWIN, set()),
        ("create_twin", [], None, {"creation_certificate": {"uuid": TWIN[:-1] + "9"}}, set()),
        ("add_twin_ledger_entry", [TWIN], ENTRIES, ENTRIES, LEDGER - {"ledger"}),
        ("update_twin_ledger_entry", [TWIN], ENTRIES, ENTRIES, LEDGER - {"ledger"}),
        ("update_twin_ledger_entry_value", [TWIN], ENTRIES, ENTRIES, LEDGER - {"ledger"}),
        ("delete_twin_ledger_entry", [TWIN], None, ENTRIES, LEDGER - {"ledger"}),
        (
            "create_twin_identity",
            [TWIN],
            {"identities": {"SN#1": {}}},
            {"identities": {"SN#1": {}}},
            {"identities", "identity"},
        ),
        (
            "update_twin_identity",
            [TWIN, "SN#1"],
            {"visibility": "true"},
            {"visibility": "true"},
            {"identities"},
        ),
        (
            "delete_twin_identity",
            [TWIN, "SN#1"],
            None,
            {},
            {"identities", "identity"},
        ),
        ("attach_twin_doc", [TWIN], {"docs": {}}, {"docs": {}}, {"docs", "doc"}),
        ("update_twin_doc", [TWIN, "a.txt"], {"description": {}}, {"status": "ok"}, {"docs"}),
        ("delete_twin_doc", [TWIN, "a.txt"], None, {}, {"docs", "doc"}),
        ("delete_twin_docs", [TWIN], None, {}, {"docs", "doc"}),
        # What these change for whom, only the service knows.
        ("update_user", [OTHER], {"description": {"team": "ops"}}, {}, set(READS)),
        ("delete_user", [OTHER], None, {}, set(READS)),
        ("update_user_role", [OTHER], {"rules": {}}, (201, {}), set(READS)),
        ("delete_user_role", [OTHER], None, {}, set(READS)),
        ("delete_user_secret", [OTHER], None, {}, set(READS)),
        ("create_user_secret", [OTHER, "a1b2c3"], None, (201, {"secret": "x"}), set(READS)),
        ("update_database_ip_access", [OTHER], {"ips": {}}, {}, {"database"}),
        ("create_user", [], {"name": "ab", "role": OTHER}, (201, {}), {"user"}),
        ("update_account", [], {}, {}, {"account"}),
        ("put_sticker", [TWIN], {"stickers": {}}, {}, set()),
    ],
)
def test_a_write_drops_or_refreshes_exactly_what_it_touches(
    connection, service, operation, arguments, body, answer, dropped
):
    filled(connection, service)
    assert asked_again(connection) == set()
    service.prepared = [answer]
    connection.call(operation, *arguments, body=body)
    assert asked_again(connection) == dropped


def test_what_a_write_answers_is_kept(connection, service):
    filled(connection, service)
    service.prepared = [FRESH_TWIN]
    connection.call("update_twin", TWIN, body={"description": {}})
    assert get(connection) == FRESH_TWIN


def test_entries_that_a_write_answers_are_put_into_the_kept_ledger(connection, service):
    service.prepared = [{"entries": {"a": {"value": 1}, "b": {"value": 2}}, "entry_updated_ts": 1}]
    get(connection, "get_twin_ledger_entry")
    service.prepared = [{"entries": {"b": {"value": 3}, "c": {"value": 4}}, "entry_updated_ts": 2}]
    connection.call("update_twin_ledger_entry", TWIN, body=ENTRIES)
    kept = get(connection, "get_twin_ledger_entry")
    assert {name: entry["value"] for name, entry in kept["entries"].items()} == {
        "a": 1,
        "b": 3,
        "c": 4,
    }
    assert kept["entry_updated_ts"] == 2
    service.prepared = [{"entries": {"a": {"value": 1}}}]
    connection.call("delete_twin_ledger_entry", TWIN, entries=["a"])
    assert set(get(connection, "get_twin_ledger_entry")["entries"]) == {"b", "c"}
    assert service.count == 3


def test_a_write_makes_nothing_younger_that_it_did_not_write(connection, service, clock):
    """Each save of one Entry would else keep the others for ever."""
    service.prepared = [{"entries": {"a": {"value": 1}, "b": {"value": 2}}}]
    get(connection, "get_twin_ledger_entry")
    for number in range(2):
        clock.now += 14
        service.prepared = [{"entries": {"b": {"value": number}}}]
        connection.call("update_twin_ledger_entry_value", TWIN, body=ENTRIES)
        entries = get(connection, "get_twin_ledger_entry")["entries"]
        assert entries == {"a": {"value": 1}, "b": {"value": number}}
    clock.now += 2
    assert get(connection, "get_twin_ledger_entry") == {"number": 4}


def overtake(connection, service, slow, quick):
    """Have a write be answered, and take in its answer only after another one has ended."""
    answered, go = threading.Event(), threading.Event()
    answer = service.answer

    def late(request):
        service.answer = answer
        given = answer(request)
        answered.set()
        assert go.wait(PATIENCE)
        return given

    service.answer = late
    thread = threading.Thread(target=slow)
    thread.start()
    assert answered.wait(PATIENCE)
    quick()
    go.set()
    thread.join()


@pytest.mark.parametrize("failing", [False, True])
def test_of_two_writes_at_a_time_the_older_answer_is_not_kept(connection, service, failing):
    def write(number, *outcome):
        body = {**FRESH_TWIN, "description": {"n": number}}
        service.prepared = list(outcome) or [body]
        connection.call("update_twin", TWIN, body={"description": {"n": number}})

    def second():
        if failing:
            with pytest.raises(OutcomeUnknownError):
                write(2, TransportError("broken", sent=True))
        else:
            write(2)

    get(connection)
    overtake(connection, service, lambda: write(1), second)
    service.prepared = [{"number": "asked again"}]
    assert get(connection) == {"number": "asked again"}
    # One after the other is as ever.
    write(3)
    assert get(connection)["description"] == {"n": 3}
    assert not connection.cache._writings


def test_two_writes_at_a_time_lose_no_entry_of_each_other(connection, service):
    def write(name):
        service.prepared = [{"entries": {name: {"value": 1}}}]
        connection.call("update_twin_ledger_entry", TWIN, body=ENTRIES)

    service.prepared = [{"entries": {"a": {"value": 0}, "b": {"value": 0}}}]
    get(connection, "get_twin_ledger_entry")
    overtake(connection, service, lambda: write("a"), lambda: write("b"))
    service.prepared = [{"number": "asked again"}]
    assert get(connection, "get_twin_ledger_entry") == {"number": "asked again"}


def test_no_write_builds_on_what_another_one_is_dropping(connection, service, monkeypatch):
    def write(name):
        service.prepared = [{"entries": {name: {"value": 1}}}]
        connection.call("update_twin_ledger_entry", TWIN, body=ENTRIES)

    service.prepared = [{"entries": {"a": {"value": 0}, "b": {"value": 0}}}]
    get(connection, "get_twin_ledger_entry")
    backend, second = connection.cache._backend, threading.Thread(target=write, args="b")
    drop, builds, dropped = backend.drop, threading.Event(), threading.Event()

    def slowly(*what):
        if threading.current_thread() is second:
            builds.set()
            assert dropped.wait(PATIENCE)
            return drop(*what)
        second.start()
        builds.wait(0.2)
        number = drop(*what)
        dropped.set()
        return number

    monkeypatch.setattr(backend, "drop", slowly)
    write("a")
    second.join(PATIENCE)
    kept = kept_answer(connection, api_request("get_twin_ledger_entry", [TWIN]))
    assert kept is None or kept.body["entries"]["a"] == {"value": 1}


def test_writes_of_different_twins_do_not_mind_each_other(connection, service):
    def write(twin):
        service.prepared = [{**FRESH_TWIN, "creation_certificate": {"uuid": twin}}]
        connection.call("update_twin", twin, body={"description": {}})

    overtake(connection, service, lambda: write(TWIN), lambda: write(OTHER))
    for twin in (TWIN, OTHER):
        assert get(connection, "get_twin", twin)["creation_certificate"] == {"uuid": twin}


def test_a_write_is_seen_by_all_scopes(connect, service):
    one, two = connect("one"), connect("two")
    get(two, "get_twin_ledger_entry")
    service.prepared = [ENTRIES]
    one.call("update_twin_ledger_entry", TWIN, body=ENTRIES)
    assert get(two, "get_twin_ledger_entry") == {"number": 3}


@pytest.mark.parametrize(
    ("answer", "error", "dropped"),
    [
        ((401, {"subcode": 401000}), UnauthorizedError, set(READS)),
        ((403, {"subcode": 403535}), ForbiddenError, ALL),
        ((500, {}), OutcomeUnknownError, ALL),
        (TransportError("broken", sent=True), OutcomeUnknownError, ALL),
    ],
)
def test_a_failed_write_drops_what_is_in_doubt(connection, service, answer, error, dropped):
    filled(connection, service)
    service.prepared = [answer]
    with pytest.raises(error):
        connection.call("update_twin_ledger_entry", TWIN, body=ENTRIES)
    assert asked_again(connection) == dropped


@pytest.mark.parametrize(
    ("operation", "arguments", "dropped"),
    [
        ("update_user", [TWIN], set(READS)),
        ("update_user_role", [TWIN], set(READS)),
        ("delete_user_secret", [TWIN], set(READS)),
        ("update_database", [OTHER], {"database", "other twin", "other ledger", "user"}),
        ("update_account", [], {"account"}),
        ("create_user", [], {"user"}),
    ],
)
def test_what_is_in_doubt_may_show_elsewhere(connection, service, operation, arguments, dropped):
    filled(connection, service)
    body = None if operation.startswith("delete") else {"name": "ab"}
    service.prepared = [(500, {})]
    with pytest.raises((ttorm.ServerError, OutcomeUnknownError)):
        connection.call(operation, *arguments, body=body)
    assert asked_again(connection) == dropped


def test_a_refused_write_has_shown_nowhere_else(connection, service):
    filled(connection, service)
    service.prepared = [(403, {"subcode": 403535})]
    with pytest.raises(ForbiddenError):
        connection.call("update_user_role", TWIN, body={"name": "ab"})
    assert asked_again(connection) == ALL


def test_a_refused_read_drops_what_was_readable_before(connection, service):
    filled(connection, service)
    service.prepared = [(403, {"subcode": 403535})]
    with pytest.raises(ForbiddenError):
        get(connection, fresh=True)
    assert asked_again(connection) == ALL


def test_a_refused_credential_drops_its_own_scope_only(connect, service):
    one, two = connect("one"), connect("two")
    filled(one, service)
    filled(two, service)
    service.prepared = [(401, {"subcode": 401000})]
    with pytest.raises(UnauthorizedError):
        one.call("who_am_i")
    assert asked_again(one) == set(READS)
    assert asked_again(two) == set()


def test_a_refused_item_drops_everything_of_the_twin(connection, service):
    filled(connection, service)
    service.prepared = [{"entries": {"x": {"error": "Entry already exists."}}}]
    connection.call("add_twin_ledger_entry", TWIN, body=ENTRIES)
    assert asked_again(connection) == ALL


def test_a_cancelled_write_drops_what_is_in_doubt(connection, service):
    filled(connection, service)
    service.hold, service.begun = threading.Event(), threading.Semaphore(0)

    async def main():
        writing = asyncio.ensure_future(
            connection.acall("update_twin_ledger_entry", TWIN, body=ENTRIES)
        )
        assert await asyncio.to_thread(service.begun.acquire, timeout=PATIENCE)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        service.hold.set()

    asyncio.run(main())
    assert asked_again(connection) == ALL


@pytest.mark.parametrize("what", [{"subject": object()}, {"operations": "get_twin"}])
def test_a_drop_of_what_can_be_none_is_refused(cache, what):
    """It would drop nothing, unnoticed."""
    with pytest.raises(ttorm.ValidationError, match="expected a UUID and a list"):
        cache.drop(**what)


def test_dropping_by_hand(connection, service, cache):
    filled(connection, service)
    cache.drop(TWIN)
    assert asked_again(connection) == ALL
    cache.drop(operations=["who_am_i"])
    assert asked_again(connection) == {*ALL, "whoami"}
    cache.drop()
    assert asked_again(connection) == set(READS)
    assert cache.statistics.dropped == len(READS)
