"""Notifications: subscribing, confirming, refreshing, unsubscribing, and access to topics."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import pytest

from ttorm.emulator.policy import Policy
from ttorm.emulator.subscriptions import MAX_SUBSCRIPTIONS, SubscriptionRow, token_url

WEEK = 604_800
CALLBACK = "https://hooks.example.test/tt"
SECRET = "Q2xpZW50U2VjcmV0"


@pytest.fixture
def policy():
    return Policy(background=False)


@pytest.fixture
def pending(emulator, subscribe, receiver):
    """Subscribe: ``pending("topic") -> the address that confirms it``."""

    def pending(topic="hot", **fields):
        subscribe(topic, **fields)
        emulator.deliver()
        return receiver.take()[-1]["confirmation_url"]

    return pending


@pytest.fixture
def ask(send):
    """Ask without a credential: ``ask("GET", url) -> (status, dict)``."""

    def ask(method, url, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        answer = send(method, url, data)
        return answer.status, json.loads(answer.body)

    return ask


@pytest.fixture
def asked(ask):
    """Ask for what must succeed: ``asked("GET", url) -> dict``."""

    def asked(*request):
        status, answer = ask(*request)
        assert status == 200, answer
        return answer

    return asked


def token_of(url):
    return parse_qs(urlsplit(url).query)["token"][0]


class TestSubscribe:
    def test_the_answer(self, api, account, clock):
        body = {"callback_url": CALLBACK, "topic": "door-opened", "expires": 3_600}
        assert api("webhook_subscribe", body=body) == (
            201,
            {
                "callback_url": CALLBACK,
                "subscription": {
                    "topic": "door-opened",
                    "account": account,
                    "validity_ts": clock.now() + 3_600,
                },
            },
        )

    @pytest.mark.parametrize("nothing", [{}, {"expires": None, "client_secret": None}])
    def test_it_lasts_a_week_when_nothing_is_said(self, subscribe, clock, nothing):
        answer = subscribe("hot", **nothing)
        assert answer["subscription"]["validity_ts"] == clock.now() + WEEK
        assert "server_secret" not in answer

    def test_a_secret_gets_another(self, subscribe):
        first, second = (subscribe("hot", client_secret=SECRET)["server_secret"] for _ in "ab")
        assert first != second
        assert len(first) == 16

    @pytest.mark.parametrize("expires", [1, WEEK])
    def test_shortest_and_longest(self, subscribe, clock, expires):
        made = subscribe("hot", expires=expires)
        assert made["subscription"]["validity_ts"] == clock.now() + expires

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"topic": "hot"},
            {"callback_url": CALLBACK},
            {"callback_url": CALLBACK, "topic": "hot", "account": str(uuid4())},
            *(
                {"callback_url": url, "topic": "hot"}
                for url in ("", "hooks.example.test", "ftp://hooks.example.test/", None, 5, [],
                            "http://user:password@hooks.example.test/", "http://0x7f.1/",
                            "http://hooks.example.test:99999/", "http://hooks.example.test/ x",
                            CALLBACK.ljust(513, "x"))
            ),
            *(
                {"callback_url": CALLBACK, "topic": topic}
                for topic in ("", "ab", "a" * 49, "my_topic", "a.b.c", "hot ", "höt", None, 5, [])
            ),
            *(
                {"callback_url": CALLBACK, "topic": "hot", "expires": expires}
                for expires in (0, -1, WEEK + 1, 1.5, "60", True, [])
            ),
            *(
                {"callback_url": CALLBACK, "topic": "hot", "client_secret": secret}
                for secret in ("", "a" * 15, "a" * 17, "a" * 15 + "+", "a" * 15 + "/", 100, [])
            ),
        ],
    )  # fmt: skip
    def test_refused(self, api, emulator, body):
        status, answer = api("webhook_subscribe", body=body)
        assert (status, answer["subcode"]) == (400, 400589)
        assert emulator.deliver() == 0

    def test_a_secret_with_a_slip_is_not_told(self, api):
        body = {"callback_url": CALLBACK, "topic": "hot", "client_secret": "almost-a-secret"}
        assert "almost" not in api("webhook_subscribe", body=body)[1]["description"]

    @pytest.mark.parametrize("length", [512])
    def test_the_longest_address(self, api, length):
        body = {"callback_url": CALLBACK.ljust(length, "x"), "topic": "hot"}
        assert api("webhook_subscribe", body=body)[0] == 201

    def test_without_a_body(self, api):
        assert api("webhook_subscribe")[1]["subcode"] == 400589

    def test_nobody_cannot(self, api):
        body = {"callback_url": CALLBACK, "topic": "hot"}
        assert api("webhook_subscribe", body=body, user=None)[1]["subcode"] == 401000

    @pytest.mark.parametrize(
        ("name", "args", "body"),
        [
            ("webhook_subscribe", (), {"callback_url": CALLBACK, "topic": "hot"}),
            ("get_notifications_access", (), None),
            ("update_notifications_account_access", (str(uuid4()),), {"topics": []}),
        ],
    )
    def test_the_role_has_to_permit_it(self, api, new_user, name, args, body):
        user = new_user(statement={"effect": "deny", "actions": [name]})
        assert api(name, *args, body=body, user=user)[1]["subcode"] == 403535
        user = new_user(statement={"effect": "allow", "actions": [name]})
        assert api(name, *args, body=body, user=user)[0] < 300

    def test_so_many_and_no_more(self, api, subscribe, stranger, clock):
        for _ in range(MAX_SUBSCRIPTIONS):
            subscribe("hot", expires=60)
        body = {"callback_url": CALLBACK, "topic": "hot"}
        assert api("webhook_subscribe", body=body)[1]["subcode"] == 400141
        assert api("webhook_subscribe", body=body, user=stranger)[0] == 201
        clock.advance(60)
        assert api("webhook_subscribe", body=body)[0] == 201


class TestConfirm:
    def test_the_message(self, emulator, subscribe, receiver, account, clock):
        made = subscribe("hot", expires=60)
        clock.advance(5)
        assert emulator.deliver() == 0
        (message,) = receiver.messages
        assert list(message) == ["type", "message", "sent_ts", "confirmation_url", "subscription"]
        assert message["type"] == "Confirmation"
        assert message["sent_ts"] == clock.now()
        assert message["subscription"] == made["subscription"]
        url = urlsplit(message["confirmation_url"])
        assert f"{url.scheme}://{url.netloc}" == "http://emulator.localhost"
        assert url.path == f"/notifications/webhooks/{account}"

    def test_the_early_client_finds_the_account_in_the_token(self, pending, account):
        assert b64decode(token_of(pending())).decode().split("___")[1] == account

    def test_the_answer(self, asked, pending, account, clock):
        url = pending()
        subscription = asked("GET", url)["subscription"]
        assert list(subscription) == [
            *("topic", "account", "validity_ts", "unsubscribe_url", "refresh_url")
        ]
        assert subscription["topic"] == "hot"
        assert subscription["account"] == account
        assert subscription["validity_ts"] == clock.now() + WEEK
        assert len({url, subscription["unsubscribe_url"], subscription["refresh_url"]}) == 3

    def test_again(self, asked, pending):
        url = pending()
        assert asked("GET", url) == asked("GET", url)

    def test_until_the_end(self, ask, pending, clock):
        url = pending(expires=60)
        clock.advance(59.999)
        assert ask("GET", url)[0] == 200
        clock.advance(0.001)
        assert ask("GET", url)[1]["subcode"] == 404653

    def test_an_unconfirmed_one_ends_too(self, emulator, ask, pending, clock):
        url = pending(expires=60)
        clock.advance(60)
        assert ask("GET", url)[1]["subcode"] == 404653
        emulator.deliver()
        pending()
        with emulator.store.transaction(write=False) as tx:
            assert len(tx.rows("SELECT * FROM subscriptions")) == 1

    def test_the_account_in_capitals(self, ask, pending, account):
        assert ask("GET", pending().replace(account, account.upper()))[0] == 200


@pytest.fixture
def confirmed(asked, pending):
    """Subscribe and confirm: ``confirmed("topic") -> the subscription``."""
    return lambda *topic, **fields: asked("GET", pending(*topic, **fields))["subscription"]


class TestTokens:
    """None of the three operations needs a credential: the token is one."""

    REQUESTS = (("GET", "confirm"), ("PATCH", "refresh"), ("DELETE", "unsubscribe"))

    @pytest.fixture
    def urls(self, asked, pending):
        confirm = pending()
        subscription = asked("GET", confirm)["subscription"]
        return {
            "confirm": confirm,
            "refresh": subscription["refresh_url"],
            "unsubscribe": subscription["unsubscribe_url"],
        }

    @pytest.mark.parametrize(("method", "purpose"), REQUESTS)
    def test_each_is_good_for_one_thing(self, ask, urls, method, purpose):
        for name, url in urls.items():
            if name != purpose:
                assert ask(method, url)[1]["subcode"] == 404653
        assert ask(method, urls[purpose])[0] == 200

    @pytest.mark.parametrize(("method", "purpose"), REQUESTS)
    def test_of_another_account(self, ask, urls, account, stranger_account, method, purpose):
        url = urls[purpose].replace(account, stranger_account)
        assert ask(method, url)[1]["subcode"] == 404653
        assert ask(method, urls[purpose].replace(account, "nonsense"))[1]["subcode"] == 404653

    @pytest.mark.parametrize(("method", "purpose"), REQUESTS)
    def test_missing(self, ask, urls, method, purpose):
        path = urls[purpose].partition("?")[0]
        for url in (path, f"{path}?token=", f"{path}?other=1"):
            assert ask(method, url)[1]["subcode"] == 400589

    @pytest.mark.parametrize(("method", "purpose"), REQUESTS)
    @pytest.mark.parametrize(
        "token", ["x", "%", "====", "bm9uc2Vuc2U=", "\u00e9", "_-_-", b64encode(b"a___b").decode()]
    )
    def test_what_does_not_look_like_one(self, ask, urls, method, purpose, token):
        url = f"{urls[purpose].partition('=')[0]}={quote(token, safe='')}"
        assert ask(method, url)[1]["subcode"] == 400793

    @pytest.mark.parametrize(("method", "purpose"), REQUESTS)
    def test_made_up(self, ask, urls, account, method, purpose):
        path, _, token = urls[purpose].partition("=")
        name, owner, uuid, seal = b64decode(token_of(urls[purpose])).decode().split("___")
        for parts in (
            (name, owner, uuid, "0" * 32),
            (name, owner, uuid, ""),
            (name, owner, str(uuid4()), seal),
            (name, owner, "' OR 1=1 --", seal),
            ("", owner, uuid, seal),
        ):
            token = quote(b64encode("___".join(parts).encode()).decode(), safe="")
            assert ask(method, f"{path}={token}")[1]["subcode"] == 404653

    def test_they_are_not_kept(self, emulator, urls):
        seals = [b64decode(token_of(url)).decode().split("___")[3] for url in urls.values()]
        with emulator.store.transaction(write=False) as tx:
            kept = [
                str(tuple(row))
                for table in ("subscriptions", "deliveries", "meta")
                for row in tx.rows(f"SELECT * FROM {table}")
            ]
        assert kept
        for seal in (*seals, *(token_of(url) for url in urls.values())):
            assert not any(seal in row for row in kept)

    def test_the_order_of_checks(self, ask, urls):
        """Body, then token, then whether there is such a subscription, then its state."""
        path = urls["refresh"].partition("?")[0]
        assert ask("PATCH", f"{path}?token=x", {"expires": 0})[1]["subcode"] == 400589
        assert ask("PATCH", f"{path}?token=x")[1]["subcode"] == 400793


class TestRefresh:
    def test_the_answer(self, asked, confirmed, receiver, clock):
        subscription = confirmed(expires=60)
        clock.advance(50)
        assert asked("PATCH", subscription["refresh_url"]) == {
            "callback_url": receiver.url,
            "subscription": {**subscription, "validity_ts": clock.now() + WEEK},
        }

    def test_counted_from_now(self, ask, asked, confirmed, clock):
        subscription = confirmed(expires=60)
        for _ in range(3):
            clock.advance(50)
            answer = asked("PATCH", subscription["refresh_url"], {"expires": 60})
            assert answer["subscription"]["validity_ts"] == clock.now() + 60
        clock.advance(60)
        assert ask("PATCH", subscription["refresh_url"])[1]["subcode"] == 404653

    def test_secrets_begin_and_end(self, asked, confirmed):
        url = confirmed(client_secret=SECRET)["refresh_url"]
        assert "server_secret" not in asked("PATCH", url)
        first = asked("PATCH", url, {"client_secret": SECRET})["server_secret"]
        assert asked("PATCH", url, {"client_secret": SECRET})["server_secret"] != first

    def test_not_before_it_is_confirmed(self, emulator, ask, asked, pending):
        confirm = pending()
        with emulator.store.transaction(write=False) as tx:
            subscription = SubscriptionRow.from_row(tx.row("SELECT * FROM subscriptions"))
        # Which nobody is told of before the subscription is confirmed.
        url = token_url(emulator.vault, subscription, "refresh")
        assert ask("PATCH", url)[1]["subcode"] == 400592
        asked("GET", confirm)
        asked("PATCH", url)

    @pytest.mark.parametrize(
        "body",
        [{"expires": 0}, {"expires": WEEK + 1}, {"client_secret": "short"}, {"topic": "other"}, []],
    )
    def test_refused(self, ask, confirmed, body):
        assert ask("PATCH", confirmed()["refresh_url"], body)[1]["subcode"] == 400589


class TestUnsubscribe:
    def test_the_answer(self, ask, asked, confirmed):
        subscription = confirmed()
        shown = {name: subscription[name] for name in ("topic", "account", "validity_ts")}
        assert asked("DELETE", subscription["unsubscribe_url"]) == {"subscription": shown}
        assert ask("DELETE", subscription["unsubscribe_url"])[1]["subcode"] == 404653
        assert ask("PATCH", subscription["refresh_url"])[1]["subcode"] == 404653

    def test_others_stay(self, asked, confirmed):
        first, second = confirmed(), confirmed()
        asked("DELETE", first["unsubscribe_url"])
        assert asked("PATCH", second["refresh_url"])["subscription"]["topic"] == second["topic"]

    def test_it_takes_no_body(self, ask, confirmed):
        url = confirmed()["unsubscribe_url"]
        assert ask("DELETE", url, {"expires": 1})[1]["subcode"] == 400589


class TestAccess:
    def test_none(self, api):
        assert api("get_notifications_access") == (200, {"accounts": {}})

    def test_given_replaced_and_taken_back(self, api, stranger_account):
        def give(topics, field="topics"):
            body = {field: topics}
            return api("update_notifications_account_access", stranger_account, body=body)

        assert give(["overheat", "door-opened"]) == (200, {"topics": ["overheat", "door-opened"]})
        assert api("get_notifications_access")[1] == {
            "accounts": {stranger_account: {"topics": ["overheat", "door-opened"]}}
        }
        assert give(["hot", "cold", "hot"], "publish") == (200, {"topics": ["hot", "cold"]})
        assert api("get_notifications_access")[1] == {
            "accounts": {stranger_account: {"topics": ["hot", "cold"]}}
        }
        assert give([]) == (200, {"topics": []})
        assert api("get_notifications_access")[1] == {"accounts": {}}

    def test_each_account_has_its_own(self, api, stranger, account, stranger_account):
        api("update_notifications_account_access", stranger_account, body={"topics": ["mine"]})
        assert api("get_notifications_access", user=stranger)[1] == {"accounts": {}}
        body = {"topics": ["theirs"]}
        api("update_notifications_account_access", account, body=body, user=stranger)
        assert list(api("get_notifications_access")[1]["accounts"]) == [stranger_account]
        assert list(api("get_notifications_access", user=stranger)[1]["accounts"]) == [account]

    @pytest.mark.parametrize(
        "body",
        [None, {}, {"topics": "hot"}, {"topics": None}, {"topics": ["a b"]}, {"topics": [1]},
         {"topics": ["hot", "x"]}, {"topics": ["hot"], "publish": ["hot"]}, {"other": []}],
    )  # fmt: skip
    def test_refused(self, api, stranger_account, body):
        status, answer = api("update_notifications_account_access", stranger_account, body=body)
        assert (status, answer["subcode"]) == (400, 400589)
        assert api("get_notifications_access")[1] == {"accounts": {}}

    def test_what_is_no_account(self, api):
        status, answer = api("update_notifications_account_access", "nonsense", body={"topics": []})
        assert (status, answer["subcode"]) == (400, 400589)

    def test_the_own_account(self, api, account):
        for own in (account, account.upper()):
            answer = api("update_notifications_account_access", own, body={"topics": ["hot"]})[1]
            assert answer["subcode"] == 400897
