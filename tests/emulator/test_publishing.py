"""What subscribers are told, and how it reaches them."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import blake2b

import pytest

from ttorm.emulator.messages import write_message
from ttorm.emulator.policy import Policy

SECRET = "Q2xpZW50U2VjcmV0"
ALWAYS = {"true": ["hot"]}


@pytest.fixture
def policy():
    return Policy(background=False)


@pytest.fixture
def told(emulator, receiver):
    """Deliver what is due: ``told() -> the messages``."""

    def told():
        emulator.deliver()
        return receiver.take()

    return told


@pytest.fixture
def log(api):
    """The account's unread log."""
    return lambda **options: api("get_log", **options)[1]["messages"]


def events(messages):
    return [(message["trigger"], message["event"]) for message in messages]


class TestEntries:
    def test_added_changed_and_deleted(
        self, api, told, subscribed, add, update_value, twin, account, clock
    ):
        subscription = subscribed("hot")
        added = add(twin, temp={"value": 12, "publish": ALWAYS})["temp"]
        clock.advance(60)
        changed = update_value(twin, temp=31)["temp"]
        clock.advance(60)
        deleted = clock.now()
        api("delete_twin_ledger_entry", twin, entries="temp")
        clock.advance(1)
        messages = told()
        assert [list(message) for message in messages] == 3 * [
            ["type", "trigger", "message", "twin", "event", "sent_ts", "subscription"]
        ]
        assert {message["type"] for message in messages} == {"Notification"}
        assert {message["twin"] for message in messages} == {twin}
        assert {message["sent_ts"] for message in messages} == {clock.now()}
        assert len({message["message"] for message in messages}) == 3
        assert [message["subscription"] for message in messages] == 3 * [subscription]
        expected = [
            ("ledger.entry.added", None, 12, added["value_changed_ts"]),
            ("ledger.entry.updated", 12, 31, changed["value_changed_ts"]),
            ("ledger.entry.deleted", 31, None, deleted),
        ]
        assert events(messages) == [
            (kind, {"temp": {"new_value": new, "old_value": old, "changed_ts": at}})
            for kind, old, new, at in expected
        ]

    def test_rules_and_templates(self, api, told, subscribed, add, update_value, new_user, twin):
        for topic in ("overheat", "overheat-Oslo", "lost", "temp-31", "from-web", "of-boss"):
            subscribed(topic)
        publish = {
            "LEDGER.temp > 30": ["overheat", "overheat-{LEDGER.city}"],
            "entry_value == null": ["lost"],
            "entry_value == 31": ["{entry_name}-{entry_value}"],
            "DICT.source == 'web'": ["from-web"],
            "USER.rank == 'boss'": ["of-boss"],
        }
        add(twin, temp={"value": 12, "publish": publish}, city={"value": "Oslo"})
        assert told() == []

        def change(value, **options):
            body = {"entries": {"temp": {"value": value}}}
            assert api("update_twin_ledger_entry_value", twin, body=body, **options)[0] == 200
            return [message["subscription"]["topic"] for message in told()]

        assert sorted(change(31)) == ["overheat", "overheat-Oslo", "temp-31"]
        assert change(None) == ["lost"]
        assert change(1, dictionary={"source": "web"}) == ["from-web"]
        boss = new_user(rules={"entry_rule": "true"}, description={"rank": "boss"})
        assert change(2, user=boss) == ["of-boss"]
        assert change(3) == []

    def test_of_a_deletion(self, api, told, subscribed, add, twin):
        subscribed("hot")
        add(twin, temp={"value": 31, "publish": {
            "entry_value == 31 and LEDGER.temp == null and LEDGER.other == 1": ["hot"]}},
            other={"value": 1})  # fmt: skip
        assert told() == []
        api("delete_twin_ledger_entry", twin, entries="temp")
        assert [kind for kind, _ in events(told())] == ["ledger.entry.deleted"]

    def test_an_equal_value_is_told_too(self, told, subscribed, add, update_value, twin):
        subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        update_value(twin, temp=1)
        assert [kind for kind, _ in events(told())] == [
            "ledger.entry.added",
            "ledger.entry.updated",
        ]

    @pytest.mark.parametrize(
        "change",
        [{"visibility": "true"}, {"history": "1D"}, {"publish": {"1 == 1": ["hot"]}},
         {"timeseries": {"t": {}}}],
    )  # fmt: skip
    def test_a_property_is_not(self, told, subscribed, add, update, twin, change):
        subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        told()
        update(twin, temp=change)
        assert told() == []

    def test_rules_that_come_or_go_with_a_value(self, told, subscribed, add, update, twin):
        subscribed("hot")
        add(twin, temp={"value": 1})
        update(twin, temp={"value": 2, "publish": ALWAYS})
        update(twin, temp={"value": 3, "publish": None})
        assert [event["temp"]["new_value"] for _, event in events(told())] == [2]

    def test_entries_of_one_request_are_told_together(self, told, subscribed, add, twin):
        subscribed("hot")
        subscribed("cold")
        add(
            twin,
            a={"value": 1, "publish": {"true": ["hot", "hot"], "1 == 1": ["hot"]}},
            b={"value": 2, "publish": {"true": ["hot", "cold"]}},
            c={"value": 3},
        )
        by_topic = {message["subscription"]["topic"]: message["event"] for message in told()}
        assert {topic: sorted(event) for topic, event in by_topic.items()} == {
            "hot": ["a", "b"],
            "cold": ["b"],
        }

    def test_what_was_not_done_is_not_told(self, api, told, subscribed, add, twin):
        subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS}, full={"value": "x" * 40_000})
        told()
        for entries, more, status in (
            ({"temp": {"value": 2}}, {"conditions": {"temp": "entry_value == 5"}}, 200),
            ({"temp": {"value": 2}, "ghost": {"value": 1}}, {"transaction": True}, 200),
            ({"temp": {"value": "x" * 40_000}}, {}, 400),
        ):
            answer = api("update_twin_ledger_entry_value", twin, body={"entries": entries, **more})
            assert answer[0] == status
            assert told() == []
        again = {"entries": {"temp": {"value": 5, "publish": ALWAYS}}}
        assert "error" in api("add_twin_ledger_entry", twin, body=again)[1]["entries"]["temp"]
        assert told() == []

    def test_a_topic_that_is_none(self, told, subscribed, add, twin, log):
        subscribed("hot")
        add(twin, temp={"value": "a b", "publish": {"true": ["{entry_value}", "x", "hot"]}})
        assert len(told()) == 1
        assert log() == [
            f"Invalid notification topic: topic=[a b], twin=[{twin}].",
            f"Invalid notification topic: topic=[x], twin=[{twin}].",
        ]

    def test_a_rule_that_fails_says_no(self, told, subscribed, add, twin, log):
        subscribed("hot")
        add(twin, temp={"value": "a", "publish": {"entry_value > 3": ["hot"]}})
        assert (told(), log()) == ([], [])

    @pytest.mark.parametrize("topic", ["{", "{}", "{0}", "{entry_name!r}", "{now:.2f}", "{a..b}"])
    def test_a_topic_that_is_no_template(self, api, twin, topic):
        body = {"entries": {"temp": {"value": 1, "publish": {"true": [topic]}}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589

    def test_so_many_topics_and_no_more(self, api, told, subscribed, twin, log):
        subscribed("t-0")
        entries = {f"e{number}": {"value": 1, "publish": {"true": [f"t-{number}-{topic}" for topic
                   in range(50)]}} for number in range(100)}  # fmt: skip
        assert api("add_twin_ledger_entry", twin, body={"entries": entries})[0] == 201
        assert log() == [f"Too much for one request. Not all was done: twin=[{twin}]."]

    def test_usage(self, api, user, add, twin, told):
        add(twin, temp={"value": 1, "publish": {"true": ["hot", "cold"]}})
        assert told() == []
        (items,) = api("get_user_usage", user)[1]["usage"].values()
        assert items["task_publish_topic_count"] == 2


class TestReferences:
    @pytest.fixture
    def referring(self, add, new_twin, account):
        """A value and a reference to it, on Twins of one account."""
        source, twin = new_twin(), new_twin()
        add(source, temp={"value": 1, "visibility": "true"})
        add(twin, copy={"ref": {"source": f"twin://{source}/{account}/temp"}, "publish": ALWAYS})
        return source, twin

    def test_values_that_come_along_are_told(self, told, subscribed, referring, update_value):
        source, _ = referring
        subscribed("hot")
        changed = update_value(source, temp=5)["temp"]
        ((kind, event),) = events(told())
        assert kind == "ledger.entry.updated"
        assert event["copy"]["old_value"] == 1
        assert event["copy"]["new_value"] == 5
        assert event["copy"]["changed_ts"] >= changed["value_changed_ts"]

    def test_an_equal_value_does_not_come_along(self, told, subscribed, referring, update_value):
        subscribed("hot")
        update_value(referring[0], temp=1)
        assert told() == []

    def test_the_end_of_the_source(self, api, told, subscribed, referring):
        subscribed("hot")
        api("delete_twin_ledger_entry", referring[0], entries="temp")
        ((kind, event),) = events(told())
        assert (kind, event["copy"]["new_value"]) == ("ledger.entry.updated", None)

    def test_a_new_one_is_added_and_then_gets_its_value(
        self, told, subscribed, add, new_twin, account
    ):
        source, twin = new_twin(), new_twin()
        subscribed("hot")
        add(source, temp={"value": 1})
        add(twin, copy={"ref": {"source": f"twin://{source}/{account}/temp"}, "publish": ALWAYS})
        assert [(kind, event["copy"]["old_value"], event["copy"]["new_value"])
                for kind, event in events(told())] == [
            ("ledger.entry.added", None, None), ("ledger.entry.updated", None, 1),
        ]  # fmt: skip

    def test_of_another_account(
        self, api, told, subscribed, add, update_value, twin, account, stranger, user
    ):
        subscribed("hot", user=stranger)
        add(twin, temp={"value": 1, "visibility": "true"})
        source = {"source": f"twin://{twin}/{account}/temp"}
        add(twin, user=stranger, copy={"ref": source, "publish": {"USER == null": ["hot"]}})
        told()
        update_value(twin, temp=2)
        ((_, event),) = events(told())
        assert event["copy"]["new_value"] == 2
        (items,) = api("get_account_usage", user=stranger)[1]["usage"].values()
        assert items["task_publish_topic_count"] >= 1


class TestStickers:
    def test_put_removed_and_expired(self, api, told, subscribed, twin, account, clock):
        subscribed("tag")
        topics = dict.fromkeys(("on_put", "on_remove", "on_expire"), "tag")

        def put(color):
            sticker = {"recipients": [account], "note": "Check", "publish": topics,
                       "validity_ts": clock.now() + 60}  # fmt: skip
            assert api("put_sticker", twin, body={"stickers": {color: sticker}})[0] == 201
            return {"color": color, "note": "Check", "validity_ts": clock.now() + 60,
                    "created_ts": clock.now(), "recipients": [account]}  # fmt: skip

        red, blue = put("red"), put("blue")
        api("remove_sticker", twin, "red")
        clock.advance(60)
        messages = told()
        assert events(messages) == [
            ("sticker.put", red),
            ("sticker.put", blue),
            ("sticker.removed", red),
            ("sticker.expired", blue),
        ]
        assert {message["twin"] for message in messages} == {twin}


class TestWho:
    def test_only_confirmed_ones_of_the_account_and_topic(
        self, api, told, subscribe, subscribed, add, twin, stranger, send, receiver, emulator
    ):
        subscribed("hot", user=stranger)
        subscribed("cold")
        subscribe("hot")
        told()
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert told() == []

    def test_each_subscription_gets_its_own_message(self, told, subscribed, add, twin):
        subscribed("hot")
        subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        first, second = told()
        assert first["message"] != second["message"]
        assert first["event"] == second["event"]
        assert first["subscription"]["refresh_url"] != second["subscription"]["refresh_url"]

    def test_not_after_the_end(self, told, subscribed, add, update_value, twin, clock, emulator):
        subscribed("hot", expires=60)
        clock.advance(59.9)
        add(twin, temp={"value": 1, "publish": ALWAYS})
        clock.advance(0.1)
        update_value(twin, temp=2)
        # What was on its way is over as well.
        assert told() == []
        with emulator.store.transaction(write=False) as tx:
            assert tx.rows("SELECT * FROM deliveries") == []

    def test_refreshed_in_time(self, told, subscribed, add, twin, clock, send):
        subscription = subscribed("hot", expires=60)
        clock.advance(59)
        assert send("PATCH", subscription["refresh_url"]).status == 200
        clock.advance(59)
        add(twin, temp={"value": 1, "publish": ALWAYS})
        (message,) = told()
        assert message["subscription"]["validity_ts"] == clock.now() - 59 + 604_800

    def test_not_after_unsubscribing(self, told, subscribed, add, update_value, twin, send):
        subscription = subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert send("DELETE", subscription["unsubscribe_url"]).status == 200
        update_value(twin, temp=2)
        assert told() == []

    def test_by_the_addresses_in_a_message(self, told, subscribed, add, update_value, twin, send):
        subscribed("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        (message,) = told()
        assert send("PATCH", message["subscription"]["refresh_url"]).status == 200
        assert send("DELETE", message["subscription"]["unsubscribe_url"]).status == 200
        update_value(twin, temp=2)
        assert told() == []

    def test_nothing_is_kept_when_nobody_subscribes(self, emulator, add, update_value, twin):
        add(twin, temp={"value": 1, "publish": ALWAYS})
        for value in range(20):
            update_value(twin, temp=value)
        with emulator.store.transaction(write=False) as tx:
            assert tx.rows("SELECT * FROM deliveries") == []
        assert emulator.deliver() == 0


class TestAccess:
    """What one account publishes, and the subscriptions of another that has given it access."""

    @pytest.fixture
    def grant(self, api, account, stranger):
        def grant(*topics):
            """Let the stranger's account give access to the first account."""
            body = {"topics": list(topics)}
            answer = api("update_notifications_account_access", account, body=body, user=stranger)
            assert answer[0] == 200

        return grant

    def test_is_listed_only(self, told, subscribed, add, twin, stranger, grant):
        subscribed("hot", user=stranger)
        grant("hot")
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert told() == []

    class TestDelivered:
        @pytest.fixture
        def policy(self):
            return Policy(background=False, topic_access="delivered")

        def test_given_refused_and_taken_back(
            self, told, subscribed, add, update_value, twin, stranger, stranger_account, grant
        ):
            subscribed("hot", user=stranger)
            add(twin, temp={"value": 1, "publish": {"true": ["hot", "cold"]}})
            assert told() == []
            grant("cold", "other")
            update_value(twin, temp=2)
            assert told() == []
            grant("hot", "cold")
            update_value(twin, temp=3)
            (message,) = told()
            assert message["twin"] == twin
            assert message["subscription"]["account"] == stranger_account
            grant()
            update_value(twin, temp=4)
            assert told() == []

        def test_the_other_way_round_is_not_given(
            self, told, subscribed, add, twin, stranger, grant
        ):
            subscribed("hot")
            grant("hot")
            add(twin, user=stranger, temp={"value": 1, "publish": ALWAYS})
            assert told() == []


def blake(client_secret, server_secret, *texts):
    key = (client_secret + server_secret).encode()
    digest = blake2b(digest_size=32, key=key)
    for text in texts:
        digest.update(text)
    return b64encode(digest.digest()).decode()


def raw_members(body):
    """The texts of the members of a message, cut out of it as they stand."""
    text, members = body.decode("ascii"), {}
    decoder = json.JSONDecoder()
    position = 1
    while text[position - 1] != "}":
        name, position = decoder.raw_decode(text, position)
        begin = position + len(": ")
        _, position = decoder.raw_decode(text, begin)
        members[name] = text[begin:position].encode()
        position += len(", ") if text[position] == "," else 1
    return members


class TestHash:
    CONFIRMATION = ("type", "message", "sent_ts", "confirmation_url", "subscription")
    NOTIFICATION = ("type", "trigger", "message", "twin", "event", "sent_ts", "subscription")

    def test_of_a_confirmation(self, emulator, subscribe, receiver):
        secret = subscribe("hot", client_secret=SECRET)["server_secret"]
        emulator.deliver()
        raw = raw_members(receiver.bodies[0])
        assert list(raw) == [*self.CONFIRMATION, "hash"]
        texts = [raw[name] for name in self.CONFIRMATION]
        assert receiver.messages[0]["hash"] == blake(SECRET, secret, *texts)

    @pytest.mark.parametrize(
        "value", [1.5, "Gdańsk \u2028 \U0001f6f4", {"a": [1, {"b": None}]}, 1e300, 10**17, ""]
    )
    def test_of_a_notification(self, emulator, subscribed, receiver, add, twin, value):
        secret = subscribed("hot", client_secret=SECRET)["server_secret"]
        add(twin, temp={"value": value, "publish": ALWAYS})
        emulator.deliver()
        (body,), (message,) = receiver.bodies, receiver.messages
        raw = raw_members(body)
        assert list(raw) == [*self.NOTIFICATION, "hash"]
        cut = blake(SECRET, secret, *(raw[name] for name in self.NOTIFICATION))
        # Whoever writes the values anew comes to the same hash.
        anew = blake(SECRET, secret, *(json.dumps(message[n]).encode() for n in self.NOTIFICATION))
        assert message["hash"] == cut == anew
        assert message["event"]["temp"]["new_value"] == value

    def test_a_refreshed_secret(self, told, subscribed, send, add, twin):
        subscription = subscribed("hot", client_secret=SECRET)
        body = json.dumps({"client_secret": "another-secret-1"}).encode()
        answer = json.loads(send("PATCH", subscription["refresh_url"], body).body)
        add(twin, temp={"value": 1, "publish": ALWAYS})
        (message,) = told()
        texts = [json.dumps(message[name]).encode() for name in self.NOTIFICATION]
        assert message["hash"] == blake("another-secret-1", answer["server_secret"], *texts)

    def test_none_without_a_secret(self, told, subscribed, send, add, update_value, twin):
        subscription = subscribed("hot", client_secret=SECRET)
        assert send("PATCH", subscription["refresh_url"]).status == 200
        add(twin, temp={"value": 1, "publish": ALWAYS})
        assert "hash" not in told()[0]

    class TestOtherMembers:
        @pytest.fixture
        def policy(self):
            return Policy(background=False, hash_members=("message", "type", "unknown"))

        def test_the_order_is_a_choice(self, told, subscribed, add, twin):
            secret = subscribed("hot", client_secret=SECRET)["server_secret"]
            add(twin, temp={"value": 1, "publish": ALWAYS})
            (message,) = told()
            texts = (json.dumps(message["message"]).encode(), b'"Notification"')
            assert message["hash"] == blake(SECRET, secret, *texts)

    def test_vectors(self):
        """Of the platform's official tools."""
        subscription = {
            "topic": "door-opened",
            "account": "02bb52f9-6959-46ec-a075-1a1326c8eae7",
            "validity_ts": 1718604800.125,
        }
        url = (
            "https://rest.trustedtwin.com/notifications/webhooks/"
            "02bb52f9-6959-46ec-a075-1a1326c8eae7?token=TOKEN"
        )
        key = SECRET + "U2VydmVyU2VjcmV0"
        confirmation = {
            "type": "Confirmation",
            "message": "6a1f1d0e-5f0b-4f0e-9a77-0c3f5b1f2a10",
            "sent_ts": 1718000000.125,
            "confirmation_url": url,
            "subscription": subscription,
        }
        notification = {
            "type": "Notification",
            "trigger": "ledger.entry.updated",
            "message": "0d0a6a0e-7d8e-4b57-8f4c-5f7a5c2f9d11",
            "twin": "085c0f9f-427e-4e23-9a60-bacf6585a862",
            "event": {
                "temperature": {"new_value": 31, "old_value": 12, "changed_ts": 1718000100.5}
            },
            "sent_ts": 1718000100.75,
            "subscription": {**subscription, "unsubscribe_url": url, "refresh_url": url},
        }
        hashes = (
            "XBOvnKoA0+vpqw5RdNg6sbPkQV3yy0HrP4ETGpKI7E4=",
            "IF1+pdTj/xzkWYJI9re+HXi0oXymWIMqPYN3JEq4moE=",
        )
        for message, expected in zip((confirmation, notification), hashes, strict=True):
            body = write_message(message, Policy().hash_members, key)
            assert body == json.dumps({**message, "hash": expected}).encode()
