"""How messages reach their receivers: tries, order, restarts, and who sends them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from itertools import pairwise
from threading import Event, Thread

import pytest

from ttorm.api import codec
from ttorm.api.http import HttpRequest
from ttorm.emulator import deliveries
from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy
from ttorm.emulator.subscriptions import SubscriptionRow

ALWAYS = {"true": ["hot"]}
WAITS_FOR = 30.0


@pytest.fixture
def policy():
    return Policy(background=False, delivery_tries=4)


@pytest.fixture
def values(receiver):
    """The new values that were told, in order, and forget them."""
    return lambda: [m["event"]["temp"]["new_value"] for m in receiver.take() if "event" in m]


@pytest.fixture
def hot(subscribed, add, twin, receiver, emulator):
    """An Entry whose changes are told to a receiver."""
    subscribed("hot")
    add(twin, temp={"value": 0, "publish": ALWAYS})
    emulator.deliver()
    receiver.take()
    return twin


@pytest.fixture
def log(api):
    return lambda: api("get_log")[1]["messages"]


def rows(emulator, table):
    with emulator.store.transaction(write=False) as tx:
        return tx.rows(f"SELECT * FROM {table}")


def until(condition):
    pause = Event()
    for _ in range(4_000):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it did not happen")


def subscribe(emulator, url, topic="hot", **fields):
    """Let somebody have subscribed, and confirmed it."""
    emulator.first_user()
    subscription = SubscriptionRow(
        uuid=emulator.ids.uuid(),
        account=emulator.accounts()[0],
        topic=topic,
        callback_url=url,
        target=url.split("/")[2],
        origin="http://emulator.localhost",
        client_secret=None,
        server_secret=None,
        confirmed=True,
        number=0,
        validity_ts=1e10,
    )._replace(**fields)
    with emulator.store.transaction(write=True) as tx:
        subscription.insert(tx)
    return subscription


def requests(emulator):
    """Make requests as the first user: ``request("POST", "/twins", {}) -> dict``."""
    user = emulator.first_user()

    def request(method, path, body):
        data = codec.encode(body)
        answer = emulator.handle(HttpRequest(method, f"http://h{path}", {}, data), user)
        assert answer.status < 300, answer
        return json.loads(answer.body)

    return request


def publish(emulator, *values, topic="hot"):
    """Make a Twin whose Entry takes one value after the other, and tells of it."""
    request = requests(emulator)
    twin = request("POST", "/twins", {})["creation_certificate"]["uuid"]
    first, *others = values
    entry = {"value": first, "publish": {"true": [topic]}}
    request("POST", f"/twins/{twin}/ledgers/personal", {"entries": {"temp": entry}})
    for value in others:
        body = {"entries": {"temp": {"value": value}}}
        request("PATCH", f"/twins/{twin}/ledgers/personal/value", body)


class TestTries:
    @pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
    def test_until_the_receiver_takes_it(
        self, emulator, hot, update_value, receiver, values, clock, log, status
    ):
        receiver.respond = lambda message: status
        update_value(hot, temp=1)
        assert emulator.deliver() == 1
        assert emulator.deliver() == 1
        first, *more = receiver.take()
        assert more == []
        clock.advance(2)
        receiver.respond = lambda message: 204
        assert emulator.deliver() == 0
        (second,) = receiver.take()
        assert second["message"] == first["message"]
        assert second["event"] == first["event"]
        assert second["sent_ts"] == first["sent_ts"] + 2
        assert (rows(emulator, "deliveries"), log()) == ([], [])

    def test_pauses_grow_and_differ(self, emulator, hot, update_value, receiver, clock):
        receiver.respond = lambda message: 500
        pauses = []
        for value in range(20):
            update_value(hot, temp=value)
            tried = []
            while emulator.deliver() or len(tried) < 4:
                tried += [clock.now()] * len(receiver.take())
                clock.advance(0.05)
            pauses.append([b - a for a, b in pairwise(tried)])
        for number, longest in enumerate((1, 2, 4)):
            taken = [pause[number] for pause in pauses]
            assert all(longest / 2 - 0.01 <= pause <= longest + 0.1 for pause in taken)
            assert len({*taken}) > 3

    def test_and_then_no_more(self, emulator, hot, update_value, receiver, values, clock, log):
        receiver.respond = lambda message: 500
        update_value(hot, temp=1)
        for _ in range(10):
            emulator.deliver()
            clock.advance(10)
        assert values() == [1, 1, 1, 1]
        assert rows(emulator, "deliveries") == []
        assert log() == [f"Notification delivery failed: topic=[hot], code=[500], twin=[{hot}]."]
        receiver.respond = lambda message: 200
        update_value(hot, temp=2)
        assert (emulator.deliver(), values()) == (0, [2])

    def test_a_confirmation_is_tried_as_often(self, emulator, subscribe, receiver, clock, log):
        receiver.respond = lambda message: 500
        subscribe("hot")
        for _ in range(10):
            emulator.deliver()
            clock.advance(10)
        assert len(receiver.take()) == 4
        assert log() == ["Confirmation of a subscription failed: topic=[hot], code=[500]."]

    def test_what_is_not_allowed_is_not_tried_again(self, api, emulator, log):
        body = {"callback_url": "http://169.254.169.254/latest/meta-data", "topic": "hot"}
        assert api("webhook_subscribe", body=body)[0] == 201
        assert emulator.deliver() == 0
        assert log() == ["Confirmation of a subscription failed: topic=[hot], code=[not_allowed]."]

    def test_nobody_listens(self, emulator, api, hot, account, update_value, log, clock):
        subscribe(emulator, "http://127.0.0.1:9/", account=account)
        update_value(hot, temp=1)
        for _ in range(10):
            emulator.deliver()
            clock.advance(10)
        (problem,) = log()
        assert "code=[no_connection]" in problem


class TestOrder:
    def test_that_in_which_things_happened(self, emulator, hot, update_value, values, receiver):
        for value in range(1, 60):
            update_value(hot, temp=value)
        assert emulator.deliver() == 0
        assert values() == [*range(1, 60)]

    def test_a_message_that_is_tried_again_holds_up_those_behind_it(
        self, emulator, hot, update_value, values, receiver, clock
    ):
        failing = iter([True, False, True, True, False])
        receiver.respond = lambda message: 500 if next(failing, False) else 200
        for value in (1, 2, 3):
            update_value(hot, temp=value)
        for left in (3, 2, 2, 0):
            assert emulator.deliver() == left
            clock.advance(4)
        assert values() == [1, 1, 2, 2, 2, 3]

    def test_but_not_those_of_others(self, emulator, hot, update_value, receiver):
        subscribe(emulator, "http://127.0.0.1:9/")
        update_value(hot, temp=1)
        assert emulator.deliver() == 1
        assert len(receiver.take()) == 1

    def test_what_happens_meanwhile_is_for_the_next_time(
        self, emulator, hot, update_value, receiver, values
    ):
        def echo(message):
            value = message["event"]["temp"]["new_value"]
            update_value(hot, temp=value + 1)
            return 200

        receiver.respond = echo
        update_value(hot, temp=1)
        assert [emulator.deliver() for _ in range(3)] == [1, 1, 1]
        assert values() == [1, 2, 3]

    def test_the_newest_are_kept(self, emulator, hot, update_value, values, log, monkeypatch):
        monkeypatch.setattr(deliveries, "MAX_WAITING", 3)
        for value in range(1, 6):
            update_value(hot, temp=value)
        assert len(rows(emulator, "deliveries")) == 3
        assert emulator.deliver() == 0
        assert values() == [3, 4, 5]
        assert log() == 2 * ["Too many notifications wait. The oldest are lost: topic=[hot]."]


class TestInTheBackground:
    """Nobody asks for deliveries, yet they are made; the clock of these emulators runs."""

    @pytest.fixture
    def emulator(self, clock):
        clock.unfreeze()
        policy = Policy(delivery_tries=4, delivery_seconds=WAITS_FOR)
        with Emulator("memory:", clock=clock, policy=policy) as emulator:
            yield emulator

    def test_from_the_subscription_on(self, api, receiver, send, twin, add):
        body = {"callback_url": receiver.url, "topic": "hot"}
        assert api("webhook_subscribe", body=body)[0] == 201
        (message,) = receiver.wait(1)
        assert send("GET", message["confirmation_url"]).status == 200
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert receiver.wait(2)[1]["event"]["temp"]["new_value"] == 1

    def test_confirming_while_the_message_is_being_received(self, api, receiver, send, twin, add):
        confirmed = Event()

        def confirm(message):
            if "confirmation_url" in message:
                assert send("GET", message["confirmation_url"]).status == 200
                confirmed.set()
            return 201

        receiver.respond = confirm
        api("webhook_subscribe", body={"callback_url": receiver.url, "topic": "hot"})
        assert confirmed.wait(WAITS_FOR)
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert len(receiver.wait(2)) == 2

    def test_tried_again_when_the_time_has_come(self, emulator, receiver):
        answers = iter([500, 500, 200])
        receiver.respond = lambda message: next(answers)
        subscribe(emulator, receiver.url)
        publish(emulator, 1)
        assert len({message["message"] for message in receiver.wait(3)}) == 1

    def test_a_clock_that_is_set(self, emulator, receiver, clock):
        clock.freeze()
        answers = iter([500, 200])
        receiver.respond = lambda message: next(answers)
        subscribe(emulator, receiver.url)
        publish(emulator, 1)
        until(lambda: rows(emulator, "deliveries")[0]["tries"] == 1)
        assert len(receiver.messages) == 1
        clock.advance(1)
        first, second = receiver.wait(2)
        assert first["message"] == second["message"]

    def test_one_that_hangs_holds_up_nobody_else(self, emulator, receiver):
        ended, hangs = Event(), Event()

        def respond(message):
            if message["subscription"]["topic"] == "slow":
                hangs.set()
                ended.wait(WAITS_FOR)
            return 200

        receiver.respond = respond
        try:
            # More slow ones than there are senders for one host.
            for _ in range(6):
                subscribe(emulator, receiver.url, "slow")
            subscribe(emulator, receiver.url, target="another host")
            publish(emulator, *range(5), topic="slow")
            assert hangs.wait(WAITS_FOR)
            publish(emulator, *range(30))
            receiver.wait(30 + 4)
            told = Counter(m["subscription"]["topic"] for m in receiver.messages)
            assert told == {"hot": 30, "slow": 4}
            assert len(emulator.background.tasks()) <= 8
        finally:
            ended.set()

    def test_closing_breaks_off_what_hangs(self, emulator, receiver):
        ended, hangs = Event(), Event()

        def respond(message):
            hangs.set()
            ended.wait(WAITS_FOR)
            return 200

        receiver.respond = respond
        try:
            subscribe(emulator, receiver.url)
            publish(emulator, 1)
            assert hangs.wait(WAITS_FOR)
            closing = Thread(target=emulator.close)
            closing.start()
            closing.join(WAITS_FOR / 2)
            assert not closing.is_alive()
        finally:
            ended.set()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_child_breaks_nothing_off(self, emulator, receiver):
        ended, hangs = Event(), Event()

        def respond(message):
            hangs.set()
            ended.wait(WAITS_FOR)
            return 200

        receiver.respond = respond
        try:
            subscribe(emulator, receiver.url)
            publish(emulator, 1)
            assert hangs.wait(WAITS_FOR)
            child = os.fork()
            if not child:
                try:
                    emulator.close()
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        finally:
            ended.set()
        until(lambda: not rows(emulator, "deliveries"))
        assert len(receiver.messages) == 1

    def test_without_messages_there_is_no_thread(self, emulator, receiver):
        publish(emulator, 1, 2)
        assert emulator.background._thread is None
        assert emulator.background.tasks() == []


class TestRestart:
    @pytest.fixture(
        params=["store_url", pytest.param("postgres_url", marks=pytest.mark.postgres)],
        ids=["file", "postgresql"],
    )
    def url(self, request):
        return request.getfixturevalue(request.param)

    def test_what_waits_is_sent_after_it(self, url, clock, receiver, values):
        with Emulator(url, clock=clock, policy=Policy(background=False)) as emulator:
            subscribe(emulator, receiver.url)
            publish(emulator, 1, 2, 3)
        assert receiver.take() == []
        with Emulator(url, clock=clock):
            receiver.wait(3)
        assert values() == [1, 2, 3]

    def test_what_was_broken_off_is_sent_again(self, url, receiver, values):
        hangs, ended = Event(), Event()

        def hang(message):
            hangs.set()
            ended.wait(WAITS_FOR)
            return 200

        receiver.respond = hang
        try:
            with Emulator(url, policy=Policy(delivery_seconds=WAITS_FOR)) as emulator:
                subscribe(emulator, receiver.url)
                publish(emulator, 1)
                assert hangs.wait(WAITS_FOR)
        finally:
            ended.set()
        receiver.respond = lambda message: 200
        with Emulator(url, policy=Policy(background=False)) as emulator:
            assert [row["tries"] for row in rows(emulator, "deliveries")] == [0]
            assert emulator.deliver() == 0
        assert values() == [1, 1]

    def test_after_a_kill_somebody_takes_over(self, url, receiver, values, monkeypatch):
        hangs, ended = Event(), Event()

        def hang(message):
            hangs.set()
            ended.wait(WAITS_FOR)
            return 200

        receiver.respond = hang
        policy = Policy(background=False)
        with Emulator(url, policy=policy) as emulator:
            subscribe(emulator, receiver.url)
            publish(emulator, 1)
        process = multiprocessing.get_context("spawn").Process(target=deliver, args=(url,))
        process.start()
        try:
            assert hangs.wait(WAITS_FOR)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        finally:
            ended.set()
        receiver.respond = lambda message: 200
        with Emulator(url, policy=policy) as emulator:
            # Whoever was killed has the subscription still on lease.
            assert emulator.deliver() == 1
            now = deliveries.time()
            monkeypatch.setattr(deliveries, "time", lambda: now + deliveries._LEASE)
            assert emulator.deliver() == 0
        assert values() == [1, 1]

    def test_several_processes_send_each_message_once(self, url, receiver):
        with Emulator(url, policy=Policy(background=False)) as emulator:
            for _ in range(5):
                subscribe(emulator, receiver.url)
            publish(emulator, *range(20))
        spawn = multiprocessing.get_context("spawn")
        processes = [spawn.Process(target=deliver, args=(url,)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        with Emulator(url, policy=Policy(background=False)) as emulator:
            assert rows(emulator, "deliveries") == []
        messages = receiver.take()
        assert len(messages) == len({message["message"] for message in messages}) == 100
        by_subscription = {}
        for message in messages:
            told = by_subscription.setdefault(message["subscription"]["refresh_url"], [])
            told.append(message["event"]["temp"]["new_value"])
        assert [*by_subscription.values()] == 5 * [[*range(20)]]


def deliver(url):
    with Emulator(url, policy=Policy(background=False, delivery_seconds=WAITS_FOR)) as emulator:
        emulator.deliver()


def test_a_lost_lease_is_noticed(emulator, hot, update_value, receiver):
    """Another process has taken over while this one was sending."""

    def take_over(message):
        with emulator.store.transaction(write=True) as tx:
            tx.run("UPDATE subscriptions SET lease = 'another'")
        return 200

    receiver.respond = take_over
    update_value(hot, temp=1)
    update_value(hot, temp=2)
    assert emulator.deliver() == 2
    assert len(receiver.take()) == 1
