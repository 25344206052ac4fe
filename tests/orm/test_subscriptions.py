"""Subscriptions and access to topics: their requests, and what they keep to themselves."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest

import ttorm
from ttorm import NotFoundError, Secret, StateError, Subscription, TopicAccess, ValidationError
from ttorm.emulator import Emulator, Policy
from ttorm.emulator.callbacks import Outcome

HOOK = "https://hooks.example.test/tt"
SECRET = "Q2xpZW50U2VjcmV0"
PARTNER = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
WEEK = 604_800


@pytest.fixture
def emulator():
    with Emulator("memory:", seed=1, policy=Policy(background=False)) as emulator:
        yield emulator


@pytest.fixture
def posted(emulator):
    """What the emulator has sent to callbacks, decoded."""
    messages = []

    def post(url, body):
        messages.append(json.loads(body))
        return Outcome("201", delivered=True)

    emulator.callbacks.post = post
    return messages


@pytest.fixture
def confirmed(do, emulator, posted):
    """Make subscriptions that are confirmed: ``await confirmed("hot")``."""

    async def confirmed(topic="hot", secret=None, **options):
        subscription = await do(Subscription, "create", topic, HOOK, secret, **options)
        emulator.deliver()
        return await do(subscription, "confirm", posted[-1]["confirmation_url"])

    return confirmed


@pytest.fixture(autouse=True)
def _connected(connection):
    """All of them talk through the default connection."""


def subscriptions(emulator):
    with emulator.store.transaction(write=False) as tx:
        return len(tx.rows("SELECT * FROM subscriptions"))


class TestVerbs:
    async def test_create(self, do, sent, connection):
        subscription = await do(Subscription, "create", "hot", HOOK, SECRET, expires=3_600)
        assert sent.take() == [
            (
                "POST",
                "/notifications/webhooks",
                (),
                {"callback_url": HOOK, "topic": "hot", "client_secret": SECRET, "expires": 3_600},
            )
        ]
        assert (subscription.topic, subscription.callback_url) == ("hot", HOOK)
        assert not subscription.confirmed
        # The answer has told it.
        assert connection.known_account == subscription.account == connection.whoami()["account"]

    async def test_a_secret_is_made(self, do, sent):
        for _ in "ab":
            await do(Subscription, "create", "hot", HOOK)
        secrets = {request.body["client_secret"] for request in sent}
        assert len(secrets) == 2
        assert {len(secret) for secret in secrets} == {16}

    @pytest.mark.parametrize(
        "arguments",
        [
            ("ho", HOOK),
            ("h t", HOOK),
            (None, HOOK),
            ("hot", "hooks.example.test"),
            ("hot", "ftp://hooks.example.test/"),
            ("hot", "https://"),
            ("hot", "https://[/"),
            ("hot", HOOK.ljust(513, "x")),
            ("hot", None),
            ("hot", HOOK, SECRET + "x"),
            ("hot", HOOK, "almost a secret!"),
            ("hot", HOOK, 5),
        ],
    )
    async def test_what_is_wrong_is_not_sent(self, do, sent, arguments):
        with pytest.raises(ValidationError) as error:
            await do(Subscription, "create", *arguments)
        assert sent == []
        assert "almost" not in str(error.value)

    @pytest.mark.parametrize("expires", [0, -1, WEEK + 1, True, "60", None, float("nan")])
    async def test_lives_that_there_are_not(self, do, sent, expires):
        with pytest.raises(ValidationError, match="a week"):
            await do(Subscription, "create", "hot", HOOK, expires=expires)
        assert sent == []

    async def test_confirm(self, do, sent, posted, confirmed, connection):
        subscription = await confirmed()
        assert subscription.confirmed
        [_, request] = sent.take()
        assert request[:2] == ("GET", f"/notifications/webhooks/{subscription.account}")
        token = dict(request.query)["token"]
        assert posted[0]["confirmation_url"].startswith("http://emulator.localhost/")
        assert token not in repr(subscription)

    async def test_refresh_sends_the_secret_again(self, do, sent, confirmed):
        """Without it, the platform would go on without signatures."""
        subscription = await confirmed("hot", SECRET, expires=60)
        before = subscription.expires_at
        keys = list(subscription._keys(0.0))
        sent.clear()
        await do(subscription, "refresh", 3_600)
        [request] = sent.take()
        assert request.method == "PATCH"
        assert request.body == {"client_secret": SECRET, "expires": 3_600}
        assert (subscription.expires_at - before).total_seconds() > 3_000
        # Messages that were sent before may come after.
        assert list(subscription._keys(0.0))[1:] == keys
        await do(subscription, "refresh")
        assert sent.take()[0].body["expires"] == 3_600

    async def test_cancel(self, do, emulator, sent, confirmed):
        subscription = await confirmed()
        sent.clear()
        await do(subscription, "cancel")
        assert [request.method for request in sent.take()] == ["DELETE"]
        assert subscriptions(emulator) == 0
        assert not subscription.confirmed
        assert list(subscription._keys(0.0)) == []

    async def test_one_that_has_ended_is_cancelled_as_well(self, do, emulator, confirmed):
        subscription = await confirmed()
        with emulator.store.transaction(write=True) as tx:
            tx.run("DELETE FROM subscriptions")
        with pytest.raises(NotFoundError):
            await do(subscription, "refresh")
        await do(subscription, "cancel")

    async def test_ending_twice_is_harmless(self, do, sent, confirmed):
        subscription = await confirmed()
        await do(subscription, "cancel")
        sent.clear()
        assert await do(subscription, "cancel") is subscription
        assert repr(subscription) == "<Subscription hot: ended>"
        with pytest.raises(StateError, match="was cancelled: make another one"):
            await do(subscription, "refresh")
        assert sent == []

    @pytest.mark.parametrize("verb", ["refresh", "cancel"])
    async def test_not_before_it_is_confirmed(self, do, sent, posted, verb):
        subscription = await do(Subscription, "create", "hot", HOOK)
        sent.clear()
        with pytest.raises(StateError, match="not confirmed"):
            await do(subscription, verb)
        assert sent == []

    @pytest.mark.parametrize("url", ["", "https://x.test/", None, 5, "https://[", "?token="])
    async def test_what_is_no_address_of_a_subscription(self, do, sent, url):
        subscription = await do(Subscription, "create", "hot", HOOK)
        sent.clear()
        with pytest.raises(ValidationError, match="no address of a subscription"):
            await do(subscription, "confirm", url)
        assert sent == []

    async def test_when_it_is_due(self, do):
        subscription = await do(Subscription, "create", "hot", HOOK, expires=100)
        now = subscription.expires_at.timestamp() - 100
        assert [subscription.is_due(now=now + at) for at in (0, 74, 76, 100)] == [
            *(False, False, True, True)
        ]
        assert subscription.is_due(ahead=101, now=now)


class TestSecrets:
    async def test_nothing_shows_them(self, do, caplog, confirmed):
        caplog.set_level(logging.DEBUG)
        subscription = await confirmed("hot", SECRET)
        await do(subscription, "refresh")
        exported = subscription.export()
        hidden = [exported[name] for name in exported if name.endswith(("_secret", "_token"))]
        assert len(hidden) == 5
        assert all(hidden)
        shown = [repr(subscription), str(subscription), subscription._repr_html_(), caplog.text]
        assert not [one for one in hidden if any(one in text for text in shown)]

    async def test_they_are_not_pickled(self, do):
        subscription = await do(Subscription, "create", "hot", HOOK)
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="export"):
                way(subscription)

    async def test_another_process_goes_on(self, do, emulator, confirmed):
        subscription = await confirmed("hot", Secret(SECRET))
        exported = json.loads(json.dumps(subscription.export()))
        again = Subscription.restore(exported)
        assert again.export() == exported
        await do(again, "refresh")
        await do(again, "cancel")
        assert subscriptions(emulator) == 0

    @pytest.mark.parametrize("exported", [{}, {"topic": "hot"}])
    def test_what_was_not_exported(self, connection, exported):
        with pytest.raises(ValidationError, match="export"):
            Subscription.restore(exported)


class TestTopicAccess:
    async def test_granted_and_taken_back(self, do, sent, connection):
        access = await do(TopicAccess, "current")
        assert dict(access) == {}
        assert await do(access, "grant", PARTNER.upper(), "hot", "cold", "hot") == ("hot", "cold")
        assert await do(access, "grant", PARTNER, "wet") == ("hot", "cold", "wet")
        assert await do(access, "revoke", PARTNER, "cold") == ("hot", "wet")
        assert dict(access) == {PARTNER: ("hot", "wet")} == dict(await do(TopicAccess, "current"))
        assert await do(access, "revoke", PARTNER) == ()
        assert dict(access) == {} == dict(await do(TopicAccess, "current"))
        bodies = [request.body for request in sent.take() if request.method == "PATCH"]
        assert bodies == [
            {"topics": ["hot", "cold"]},
            {"topics": ["hot", "cold", "wet"]},
            {"topics": ["hot", "wet"]},
            {"topics": []},
        ]

    async def test_assigned_in_one_request(self, do, sent, connection):
        access = await do(TopicAccess, "current", connection)
        sent.clear()
        assert await do(access, "assign", PARTNER, ["hot", "cold"]) == ("hot", "cold")
        assert [request.path for request in sent.take()] == [
            f"/notifications/webhooks/access/accounts/{PARTNER}"
        ]
        assert PARTNER in access
        assert len(access) == 1

    async def test_what_changes_nothing_is_not_written(self, do, sent, connection):
        access = await do(TopicAccess, "current")
        await do(access, "assign", PARTNER, ["hot"])
        sent.clear()
        assert await do(access, "grant", PARTNER, "hot") == ("hot",)
        assert await do(access, "revoke", PARTNER, "cold") == ("hot",)
        assert [request.method for request in sent.take()] == ["GET", "GET"]

    @pytest.mark.parametrize(
        ("verb", "arguments"),
        [
            ("grant", ("nobody", "hot")),
            ("grant", (PARTNER, "h t")),
            ("revoke", (PARTNER, "h t")),
            ("assign", (PARTNER, "hot")),
            ("assign", (PARTNER, [5])),
        ],
    )
    async def test_what_is_wrong_is_not_sent(self, do, sent, connection, verb, arguments):
        access = await do(TopicAccess, "current")
        sent.clear()
        with pytest.raises(ValidationError):
            await do(access, verb, *arguments)
        assert sent == []

    async def test_the_own_account(self, do, connection):
        access = await do(TopicAccess, "current")
        with pytest.raises(ttorm.OperationNotAllowedError):
            await do(access, "grant", connection.whoami()["account"], "hot")
