"""Messages of the platform: what they do to the cache, to loaded records, and who is told."""

from __future__ import annotations

import gc
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from platform_messages import Sender

import ttorm
from ttorm import Change, Entry, Field, SaveResult, Twin, entry, signals
from ttorm.emulator import Clock, Emulator, Policy
from ttorm.emulator.callbacks import Outcome
from ttorm.rules import entry_value
from ttorm.webhooks import MemorySeen, MemoryStore, Receiver

HOOK = "https://hooks.example.test/tt"
JSON = {"Content-Type": "application/json"}


class Boiler(Twin):
    celsius: Field[float] = entry(publish={"true": ["hot"]})
    tags: Field[list[str]] = entry(default_factory=list, publish=[(entry_value != "x", ["hot"])])
    note: Field[str | None] = entry(default=None)

    class Meta:
        kind = "small boiler"


@pytest.fixture
def policy():
    return Policy(background=False)


@pytest.fixture
def clock():
    clock = Clock()
    clock.freeze(1_718_000_000)
    return clock


@pytest.fixture
def emulator(policy, clock):
    with Emulator("memory:", seed=1, policy=policy, clock=clock) as emulator:
        yield emulator


@pytest.fixture
def post(emulator):
    """What the emulator has posted and nobody has taken yet."""
    bodies = []

    def keep(url, body):
        bodies.append(body)
        return Outcome("201", delivered=True)

    emulator.callbacks.post = keep
    return bodies


@pytest.fixture
def receiver(connection, clock):
    return Receiver(clock=clock.now)


@pytest.fixture
def arrive(do, emulator, post, receiver):
    """Deliver everything: ``await arrive() -> statuses of the replies``."""

    async def arrive(to=receiver):
        emulator.deliver()
        taken = list(post)
        post.clear()
        return [(await do(to, "handle", body, JSON)).status for body in taken]

    return arrive


@pytest.fixture
def subscribed(do, receiver, arrive, sent):
    """Subscribe, and have that confirmed: ``await subscribed("hot")``."""

    async def subscribed(topic="hot", to=receiver, **options):
        subscription = await do(to, "subscribe", topic, HOOK, **options)
        assert await arrive(to) == [201]
        assert subscription.confirmed
        sent.clear()
        return subscription

    return subscribed


@pytest.fixture
def told():
    """What receivers of the two signals were told, in order."""
    heard = []

    def on_notification(sender, *, record, message):
        heard.append(("notification", sender, record, message))

    def on_change(sender, *, record, changes, result, message=None):
        heard.append(("entry_changed", sender, record, changes, result, message))

    signals.notification.connect(on_notification)
    signals.entry_changed.connect(on_change)
    yield heard
    signals.notification.disconnect(on_notification)
    signals.entry_changed.disconnect(on_change)


@pytest.fixture
def write(others, clock):
    """Write as another program does, a second later: ``write(twin, celsius=50)``."""

    def write(twin, **values):
        clock.advance(1)
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        others.call("update_twin_ledger_entry_value", twin.uuid, "personal", body=body)

    return write


class TestHandshake:
    async def test_from_the_beginning_to_the_end(self, do, sent, receiver, arrive, write, emulator):
        boiler = await do(Boiler, "create", celsius=20.0)
        sent.clear()
        subscription = await do(receiver, "subscribe", "hot", HOOK, expires=3_600)
        assert sent.lines() == ["POST /notifications/webhooks"]
        assert await arrive() == [201]
        assert sent.lines() == [f"GET /notifications/webhooks/{subscription.account}"]
        write(boiler, celsius=50.0)
        assert await arrive() == [201]
        assert sent.lines() == []
        await do(receiver, "cancel")
        assert sent.lines() == [f"DELETE /notifications/webhooks/{subscription.account}"]
        write(boiler, celsius=51.0)
        assert await arrive() == []

    async def test_only_for_subscriptions_that_are_expected(
        self, do, sent, receiver, arrive, caplog
    ):
        caplog.set_level(logging.INFO)
        await do(ttorm.Subscription, "create", "hot", HOOK)
        await do(receiver, "subscribe", "cold", HOOK)
        sent.clear()
        assert sorted(await arrive()) == [201, 401]
        assert len(sent) == 1
        assert "not signed by a subscription" in caplog.text
        assert "token" not in caplog.text

    async def test_again(self, do, sent, receiver, emulator, post):
        await do(receiver, "subscribe", "hot", HOOK)
        emulator.deliver()
        sent.clear()
        replies = [await do(receiver, "handle", post[0], JSON) for _ in range(3)]
        assert [reply.status for reply in replies] == [201, 201, 201]
        assert len(sent) == 1

    async def test_the_address_in_it_is_not_asked(self, do, wire, sent, receiver, emulator, post):
        """Whatever host a signed message names: it is the connection that is asked."""
        await do(receiver, "subscribe", "hot", HOOK)
        emulator.deliver()
        [body] = post
        urls = []
        wire.meddle = lambda request: urls.append(request.url)
        await do(receiver, "handle", body, JSON)
        assert len(urls) == 1
        assert urls[0].startswith(receiver.store.all()[0].connection.base_url)

    async def test_one_that_comes_before_the_answer(self, do, wire, emulator, receiver, post):
        """The key is in the answer: until then the reply waits, and asks to come again."""
        early = []

        def confirmed_at_once(request):
            if request.method == "POST" and not early:
                early.append(None)
                answer = wire.transport.send(request)
                emulator.deliver()
                early.append(receiver.handle(post[0], JSON))
                return answer
            return None

        wire.meddle = confirmed_at_once
        await do(receiver, "subscribe", "hot", HOOK)
        assert early[1].status == 503
        assert early[1].headers["retry-after"] == "1"
        assert (await do(receiver, "handle", post[0], JSON)).status == 201

    async def test_one_that_could_not_be_made_is_not_expected(self, do, wire, receiver):
        wire.meddle = lambda request: ttorm.api.http.HttpResponse(403, {}, b'{"subcode": 403535}')
        with pytest.raises(ttorm.ForbiddenError):
            await do(receiver, "subscribe", "hot", HOOK)
        assert receiver.store.all() == []

    async def test_a_confirmation_that_fails_comes_again(self, do, wire, receiver, emulator, post):
        await do(receiver, "subscribe", "hot", HOOK)
        emulator.deliver()
        wire.meddle = lambda request: ttorm.api.http.HttpResponse(400, {}, b"{}")
        reply = await do(receiver, "handle", post[0], JSON)
        assert (reply.status, reply.headers["retry-after"]) == (500, "10")
        wire.meddle = lambda request: None
        assert (await do(receiver, "handle", post[0], JSON)).status == 201


class TestKeepingFresh:
    async def test_what_ends_soon(self, do, sent, clock, receiver, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0)
        subscription = await subscribed(expires=400)
        assert await do(receiver, "refresh") == []
        clock.advance(301)
        assert await do(receiver, "refresh") == [subscription]
        assert [request.body["expires"] for request in sent.take()] == [400]
        assert subscription.expires_at.timestamp() == clock.now() + 400
        write(boiler, celsius=50.0)
        assert await arrive() == [201]

    async def test_ahead(self, do, receiver, subscribed):
        subscription = await subscribed(expires=400)
        assert await do(receiver, "refresh", 399) == []
        assert await do(receiver, "refresh", 400) == [subscription]

    async def test_a_message_signed_before(
        self, do, clock, receiver, subscribed, emulator, post, write
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        subscription = await subscribed(expires=400)
        write(boiler, celsius=50.0)
        emulator.deliver()
        await do(receiver, "refresh", 400)
        assert (await do(receiver, "handle", post[0], JSON)).status == 201
        await do(receiver, "refresh", 400)
        key = next(iter(subscription._keys(clock.now())))
        clock.advance(301)
        assert list(subscription._keys(clock.now())) == [key]

    async def test_one_that_has_ended_is_made_anew(
        self, do, sent, clock, receiver, subscribed, arrive, write, caplog
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        subscription = await subscribed(expires=400)
        clock.advance(401)
        assert await do(receiver, "refresh") == [subscription]
        assert [request.method for request in sent.take()] == ["PATCH", "POST"]
        assert not subscription.confirmed
        assert await arrive() == [201]
        write(boiler, celsius=50.0)
        assert await arrive() == [201]
        assert "has ended" in caplog.text

    async def test_one_that_cannot_be_made_anew_is_tried_again(
        self, do, wire, clock, receiver, subscribed
    ):
        subscription = await subscribed(expires=400)
        clock.advance(401)
        answers = [ttorm.api.http.HttpResponse(status, {}, b"{}") for status in (400, 404)]
        wire.meddle = lambda request: answers.pop() if answers else None
        assert await do(receiver, "refresh") == []
        assert answers == []
        assert await do(receiver, "refresh") == [subscription]

    async def test_one_that_fails_leaves_the_others(self, do, wire, receiver, subscribed, caplog):
        first, second = await subscribed("hot", expires=400), await subscribed("cold", expires=400)
        answers = [ttorm.api.http.HttpResponse(400, {}, b"{}")]
        wire.meddle = lambda request: answers.pop() if answers else None
        assert await do(receiver, "refresh", 400) == [second]
        assert "could not be refreshed" in caplog.text
        assert await do(receiver, "refresh", 400) == [first, second]

    async def test_keep(self, do, sent, receiver, subscribed, clock):
        await subscribed(expires=400)
        clock.advance(301)
        await do(receiver, "keep", 0.01)
        assert [request.method for request in sent.take()] == ["PATCH"]


class TestCache:
    async def test_exactly_what_is_stale(self, do, connection, sent, subscribed, arrive, write):
        boiler, other = [await do(Boiler, "create", celsius=20.0) for _ in "ab"]
        await subscribed()

        async def read():
            for twin in (boiler, other):
                for name, rest in (
                    ("get_twin_ledger_entry", ["personal"]),
                    ("get_twin_ledger_entry", ["owner"]),
                    ("get_twin_ledger_entry_value", ["personal"]),
                    ("get_twin", []),
                    ("get_twin_identities", []),
                ):
                    request = ttorm.api.request.api_request(name, [twin.uuid, *rest])
                    flow = ttorm.connection.reads.read(connection, request)
                    connection.run(flow)
            return sent.lines()

        await read()
        assert await read() == []
        write(boiler, celsius=50.0)
        assert await arrive() == [201]
        assert await read() == [
            f"GET /twins/{boiler.uuid}/ledgers/personal",
            f"GET /twins/{boiler.uuid}/ledgers/owner",
            f"GET /twins/{boiler.uuid}/ledgers/personal/value",
        ]

    async def test_caches_of_further_connections(
        self, do, connect, subscribed, arrive, write, clock
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        near, far = connect(), connect()
        far.address = "elsewhere"
        receiver = Receiver(near, far, clock=clock.now)
        await subscribed(to=receiver)
        for one in (near, far):
            for _ in "ab":
                one.run(
                    ttorm.connection.reads.read(
                        one,
                        ttorm.api.request.api_request(
                            "get_twin_ledger_entry", [boiler.uuid, "personal"]
                        ),
                    )
                )
            assert one.cache.statistics.dropped == 0
        write(boiler, celsius=50.0)
        assert await arrive(receiver) == [201]
        assert near.cache.statistics.dropped == 1
        assert far.cache.statistics.dropped == 0

    async def test_whoever_asked_to_be_told(self, do, connection, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        heard = []

        def on_stale(sender, **about):
            heard.append((sender, about))

        with signals.cache_invalidated.connected_to(on_stale, connection):
            write(boiler, celsius=50.0)
            assert await arrive() == [201]
        path = f"/twins/{boiler.uuid}"
        about = {"operation": "notification", "path": path, "connection": connection}
        assert heard == [(connection, about)]

    async def test_a_sticker_makes_no_entry_stale(self, do, others, sent, subscribed, arrive, told):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        await do(Twin.at(boiler.uuid), "refresh")
        sent.clear()
        account = others.whoami()["account"]
        told.clear()
        sticker = {"note": "look", "recipients": [account], "publish": {"on_put": ["hot"]}}
        others.call("put_sticker", boiler.uuid, body={"stickers": {"red": sticker}})
        assert await arrive() == [201]
        assert [line[0] for line in told] == ["notification"]
        message = told[0][3]
        assert (message.trigger, message.event["color"]) == ("sticker.put", "red")
        assert message.entries == {}
        assert boiler.celsius == 20.0
        assert sent == []


class TestRecords:
    async def test_a_loaded_value_follows(self, do, sent, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0, tags=["a"])
        await subscribed()
        assert (boiler.celsius, boiler.tags) == (20.0, ["a"])
        write(boiler, celsius=50.0, tags=["b"])
        assert await arrive() == [201]
        assert (boiler.celsius, boiler.tags) == (50.0, ["b"])
        assert sent == []
        assert not ttorm.inspect(boiler).is_modified

    async def test_in_all_sessions(self, do, connection, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        sessions = [ttorm.Session(connection) for _ in "ab"]
        states = [ttorm.records.lookup.state_at(Boiler, boiler.uuid, one) for one in sessions]
        for state in states:
            connection.run(ttorm.records.loading.load_part(state, "ledger"))
        requests = connection.requests
        write(boiler, celsius=50.0)
        assert await arrive() == [201]
        assert [state.view(Boiler).celsius for state in states] == [50.0, 50.0]
        assert connection.requests == requests

    async def test_a_value_is_for_who_has_subscribed(
        self, do, connect, connection, others, subscribed, arrive, write, clock
    ):
        """Others, of the same account even, see what the service shows them, not the message."""
        boiler = await do(Boiler, "create", celsius=20.0)
        body = {"entries": {"celsius": {"visibility": "LEDGER.celsius < 30 or DICT.pin == 7"}}}
        others.call("update_twin_ledger_entry", boiler.uuid, body=body)
        rules = {"twin_rule": "true", "entry_rule": "LEDGER.celsius < 30 or DICT.pin == 7"}
        statement = {"effect": "deny", "actions": ["create_user"]}
        role = {"name": "some", "statement": statement, "rules": rules}
        role = others.call("create_user_role", body=role)["uuid"]
        user = others.call("create_user", body={"name": "ann", "role": role})["uuid"]
        ann, pin = (connect(user, dictionary=d, blocking=True) for d in (None, {"pin": 7}))
        receiver = Receiver(ann, pin, clock=clock.now)
        await subscribed(to=receiver)
        states = {}
        for one in (connection, ann, pin):
            one.run(one.learn_account())
            state = states[one] = ttorm.records.lookup.state_at(
                Boiler, boiler.uuid, ttorm.Session(one)
            )
            one.run(ttorm.records.loading.load_part(state, "ledger"))
            assert state.view(Boiler).celsius == 20.0
        write(boiler, celsius=50.0)
        before = ann.requests
        assert await arrive(receiver) == [201]
        assert states[connection].view(Boiler).celsius == 50.0
        assert states[pin].view(Boiler).celsius == 50.0
        assert "celsius" not in states[ann].view(Boiler).ledger
        assert (pin.requests, ann.requests) == (before + 1, before + 1)

    async def test_what_was_changed_here_stays(self, do, sent, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0, tags=["a"])
        await subscribed()
        boiler.celsius = 30.0
        boiler.tags.append("mine")
        write(boiler, celsius=50.0, tags=["b"])
        assert await arrive() == [201]
        assert (boiler.celsius, boiler.tags) == (30.0, ["a", "mine"])
        # What it was changed from is still known: a checked save notices the other one.
        with pytest.raises(ttorm.ConflictError):
            await do(boiler, "save", check=True)

    async def test_one_that_missed_a_message_is_read_again(
        self, do, sent, subscribed, arrive, write, post, emulator
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        write(boiler, celsius=40.0)
        emulator.deliver()
        post.clear()
        write(boiler, celsius=50.0)
        assert await arrive() == [201]
        await do(boiler, "load", "ledger")
        assert boiler.celsius == 50.0
        assert sent.lines() == [f"GET /twins/{boiler.uuid}/ledgers/personal"]

    async def test_an_older_message_changes_nothing(self, do, sent, subscribed, arrive, write):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        write(boiler, celsius=50.0)
        write(boiler, celsius=51.0)
        await do(boiler, "refresh")
        sent.clear()
        assert await arrive() == [201, 201]
        assert boiler.celsius == 51.0
        assert sent == []

    async def test_a_new_entry_and_one_that_is_gone(
        self, do, others, sent, subscribed, arrive, clock
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        assert boiler.note is None
        clock.advance(1)
        body = {"entries": {"note": {"value": "hi", "publish": {"true": ["hot"]}}}}
        others.call("add_twin_ledger_entry", boiler.uuid, "personal", body=body)
        others.call("delete_twin_ledger_entry", boiler.uuid, "personal", entries=["celsius"])
        assert await arrive() == [201, 201]
        await do(boiler, "load", "ledger")
        assert boiler.note == "hi"
        with pytest.raises(ttorm.MissingEntryError):
            _ = boiler.celsius
        assert sent.lines() == [f"GET /twins/{boiler.uuid}/ledgers/personal"]

    async def test_one_that_is_gone_alone(self, do, others, sent, subscribed, arrive, clock):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        clock.advance(1)
        others.call("delete_twin_ledger_entry", boiler.uuid, "personal", entries=["celsius"])
        assert await arrive() == [201]
        with pytest.raises(ttorm.MissingEntryError):
            _ = boiler.celsius
        assert sent == []

    async def test_the_record_of_a_collected_session(self, do, subscribed, arrive, write, told):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        uuid = boiler.uuid
        write(boiler, celsius=50.0)
        del boiler
        gc.collect()
        assert await arrive() == [201]
        assert told[0][2] == Twin.at(uuid)


class TestSignals:
    async def test_what_they_tell(self, do, sent, clock, subscribed, arrive, write, told):
        boiler = await do(Boiler, "create", celsius=20.0, tags=["a"])
        subscription = await subscribed()
        told.clear()
        write(boiler, celsius=50.0, tags=["b", "c"])
        assert await arrive() == [201]
        (_, sender, record, message), changed = told
        assert (sender, record) == (Boiler, boiler)
        assert isinstance(record, Boiler)
        assert message.topic == "hot"
        assert message.account == subscription.account
        assert message.trigger == "ledger.entry.updated"
        assert message.twin == boiler.uuid
        assert message.sent_at.timestamp() == clock.now()
        assert message.entries["celsius"] == Change(20.0, 50.0)
        changes = {"celsius": Change(20.0, 50.0), "tags": Change(["a"], ["b", "c"])}
        result = SaveResult(updated=("celsius", "tags"))
        assert changed == ("entry_changed", Boiler, boiler, changes, result, message)
        assert sent == []

    async def test_of_a_twin_that_nobody_knows(self, do, others, subscribed, arrive, told, sent):
        await subscribed()
        made = others.call("create_twin", body={"description": {"kind": "small boiler"}})
        uuid = made["creation_certificate"]["uuid"]
        body = {"entries": {"celsius": {"value": 5, "publish": {"true": ["hot"]}}}}
        others.call("add_twin_ledger_entry", uuid, "personal", body=body)
        assert await arrive() == [201]
        _, (_, sender, record, changes, result, _) = told
        assert (sender, record.uuid) == (Twin, uuid)
        assert changes == {"ledger['celsius']": Change(None, 5)}
        assert result == SaveResult(created=("ledger['celsius']",))
        assert sent == []

    async def test_of_a_twin_that_is_kept(
        self, do, others, connection, subscribed, arrive, told, sent
    ):
        """Its kind is known by the cache, if by nobody else."""
        await subscribed()
        made = others.call("create_twin", body={"description": {"kind": "small boiler"}})
        uuid = made["creation_certificate"]["uuid"]
        request = ttorm.api.request.api_request("get_twin", [uuid])
        connection.run(ttorm.connection.reads.read(connection, request))
        body = {"entries": {"celsius": {"value": 5, "publish": {"true": ["hot"]}}}}
        others.call("add_twin_ledger_entry", uuid, "personal", body=body)
        sent.clear()
        assert await arrive() == [201]
        assert told[1][1] is Boiler
        assert told[1][3] == {"celsius": Change(None, 5.0)}
        assert sent == []

    async def test_a_receiver_that_fails_is_alone(
        self, do, subscribed, arrive, write, told, caplog
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()

        def broken(sender, **arguments):
            raise RuntimeError("on purpose")

        with signals.notification.connected_to(broken):
            told.clear()
            write(boiler, celsius=50.0)
            assert await arrive() == [201]
        assert [line[0] for line in told] == ["notification", "entry_changed"]
        assert "on purpose" in caplog.text

    async def test_a_change_made_here_is_told_twice(self, do, subscribed, arrive, told, clock):
        """By the save, and by the message, which says so."""
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        told.clear()
        clock.advance(1)
        boiler.celsius = 50.0
        await do(boiler, "save")
        assert await arrive() == [201]
        messages = [line[5] for line in told if line[0] == "entry_changed"]
        assert messages[0] is None
        assert messages[1].entries == {"celsius": Change(20.0, 50.0)}


class TestAnotherAccount:
    """What another account publishes to topics that it was given access to."""

    @pytest.fixture
    def policy(self):
        return Policy(background=False, topic_access="delivered")

    async def test_its_change_arrives(
        self, do, emulator, connection, connect, stranger, subscribed, arrive, told, sent, clock
    ):
        theirs = stranger.whoami()["account"]
        await do(await do(ttorm.TopicAccess, "current"), "grant", theirs, "hot")
        await subscribed()
        uuid = stranger.call("create_twin")["creation_certificate"]["uuid"]
        new = {"value": 5, "visibility": "true", "publish": {"true": ["hot"]}}
        path = (uuid, "personal")
        role = connection.whoami()["role"]
        connection.call(
            "update_user_role",
            role,
            body={"rules": {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}},
        )
        stranger.call("add_twin_ledger_entry", *path, body={"entries": {"celsius": new}})
        assert await arrive() == [201]
        twin = await do(Twin, "get", uuid)
        await do(twin, "load", f"ledgers/{theirs}")
        assert twin.ledgers[theirs]["celsius"].value == 5
        told.clear()
        clock.advance(1)
        body = {"entries": {"celsius": {"value": 6}}}
        stranger.call("update_twin_ledger_entry_value", *path, body=body)
        sent.clear()
        assert await arrive() == [201]
        assert told[1][3] == {"ledger['celsius']": Change(5, 6)}
        await do(twin, "load", f"ledgers/{theirs}")
        assert twin.ledgers[theirs]["celsius"].value == 6
        assert sent.lines() == [f"GET /twins/{uuid}/ledgers/{theirs}"]


class TestOnce:
    async def test_a_message_that_comes_again(
        self, do, subscribed, emulator, post, write, receiver, told
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        told.clear()
        write(boiler, celsius=50.0)
        emulator.deliver()
        replies = [await do(receiver, "handle", post[0], JSON) for _ in range(3)]
        assert [reply.status for reply in replies] == [201, 200, 200]
        assert len(told) == 2

    async def test_one_that_could_not_be_worked_on(
        self, do, connection, subscribed, emulator, post, write, receiver, told, monkeypatch, caplog
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        await subscribed()
        told.clear()
        write(boiler, celsius=50.0)
        emulator.deliver()

        def broken(*arguments, **options):
            raise OSError("the cache's server is gone")

        with monkeypatch.context() as patch:
            patch.setattr(connection.cache, "drop", broken)
            assert (await do(receiver, "handle", post[0], JSON)).status == 500
        assert told == []
        assert (await do(receiver, "handle", post[0], JSON)).status == 201
        assert len(told) == 2
        assert "is gone" in caplog.text

    async def test_so_many_that_none_may_be_forgotten(
        self, do, connection, clock, subscribed, arrive, write
    ):
        boiler = await do(Boiler, "create", celsius=20.0)
        receiver = Receiver(clock=clock.now, seen=MemorySeen(2, clock.now))
        await subscribed(to=receiver)
        for celsius in (50.0, 51.0, 52.0):
            write(boiler, celsius=celsius)
        assert await arrive(receiver) == [201, 201, 503]
        clock.advance(600)
        write(boiler, celsius=53.0)
        assert await arrive(receiver) == [201]

    async def test_processes_that_share_what_they_know(
        self, do, connection, clock, subscribed, arrive, write, emulator, post, told
    ):
        class Shared(MemoryStore):
            """As in a database: nothing but text survives."""

            def __init__(self):
                self.rows = {}

            def put(self, subscription):
                self.rows[subscription.id] = json.dumps(subscription.export())

            def remove(self, subscription):
                self.rows.pop(subscription.id, None)

            def all(self):
                return [ttorm.Subscription.restore(json.loads(row)) for row in self.rows.values()]

        store, seen = Shared(), MemorySeen()
        first, second = (Receiver(clock=clock.now, store=store, seen=seen) for _ in "ab")
        boiler = await do(Boiler, "create", celsius=20.0)
        await do(first, "subscribe", "hot", HOOK)
        assert await arrive(second) == [201]
        told.clear()
        write(boiler, celsius=50.0)
        emulator.deliver()
        statuses = [
            (await do(one, "handle", post[0], JSON)).status for one in (second, first, second)
        ]
        assert statuses == [201, 200, 200]
        assert len(told) == 2
        await do(second, "refresh", 604_800)
        await do(first, "cancel")
        assert store.all() == []


class TestPublish:
    @pytest.mark.parametrize(
        "publish",
        [
            {"entry_value < 20": ["low"]},
            {entry_value < 20: ["low"]},
            [(entry_value < 20, ["low"])],
            [("entry_value < 20", ("low",))],
        ],
    )
    def test_rules_in_every_form(self, connection, publish):
        class Pump(Twin):
            pressure: Field[float] = entry(publish=publish)

        wanted = {"entry_value < 20": ["low"]}
        pump = Pump.create(pressure=5.0)
        assert pump.ledger["pressure"].publish == wanted
        pump.ledger["other"] = Entry(5, publish=publish)
        pump.ledger["other"].publish = publish
        pump.save()
        assert pump.refresh().ledger["other"].publish == wanted

    @pytest.mark.parametrize(
        ("publish", "error", "says"),
        [
            ({"true": "low"}, TypeError, "a list of topics"),
            ("true", TypeError, "a dictionary"),
            (5, TypeError, "a dictionary"),
            ({5: ["low"]}, TypeError, "no rule"),
            ({"true": ["l w"]}, ttorm.ValidationError, "template"),
            ({"true": [5]}, ttorm.ValidationError, "topic"),
        ],
    )
    def test_what_is_wrong(self, connection, sent, publish, error, says):
        for declare in (lambda: entry(publish=publish), lambda: Entry(5, publish=publish)):
            with pytest.raises(error, match=says):
                declare()
        assert sent == []

    def test_templates_are_the_services(self):
        made = Entry(5, publish={"true": ["low-{LEDGER.city}"]})
        assert made.publish == {"true": ["low-{LEDGER.city}"]}


def test_messages_while_others_work(connection, emulator, post, receiver, clock):
    """A thread changes and saves what messages of another program speak of: no change is lost."""
    boiler = Boiler.create(celsius=0.0, tags=["a"])
    subscription = receiver.subscribe("hot", HOOK)
    emulator.deliver()
    assert receiver.handle(post.pop(), JSON).status == 201
    about = {"topic": "hot", "account": subscription.account, "validity_ts": clock.now() + 60}
    key = next(iter(subscription._keys(clock.now())))
    stop = threading.Event()
    heard = [["a"]]

    def hear(sender):
        while not stop.is_set():
            old, new = heard[-1], [str(len(heard))]
            change = {"old_value": old, "new_value": new, "changed_ts": clock.now() + len(heard)}
            message = sender.notification(
                twin=boiler.uuid, sent_ts=clock.now(), event={"tags": change}, subscription=about
            )
            assert receiver.handle(sender.sign(message, key), JSON).status == 201
            heard.append(new)

    with ThreadPoolExecutor() as pool:
        hearing = pool.submit(hear, Sender())
        try:
            for number in range(1, 300):
                boiler.celsius = float(number)
                assert boiler.celsius == float(number)
                assert boiler.save().updated == ("celsius",)
                assert boiler.celsius == float(number)
        finally:
            stop.set()
        hearing.result()
    assert len(heard) > 50
    assert boiler.tags == heard[-1]
