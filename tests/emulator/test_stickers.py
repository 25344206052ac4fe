"""Stickers: who puts them, who sees and removes them, their end, and what they publish."""

from __future__ import annotations

import json
from threading import Barrier, Event, Thread
from uuid import uuid4

import pytest

from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy
from ttorm.emulator.subscriptions import SubscriptionRow

YEAR = 31_536_000


@pytest.fixture
def policy():
    return Policy(background=False)


@pytest.fixture
def put(api, account):
    """Put Stickers, for the own account unless said otherwise: ``put(twin, red={...})``."""

    def put(twin, user=None, **stickers):
        caller = {} if user is None else {"user": user}
        drafts = {
            color.replace("_", "-"): {"recipients": [account], **fields}
            for color, fields in stickers.items()
        }
        status, answer = api("put_sticker", twin, body={"stickers": drafts}, **caller)
        assert status == 201, answer
        return answer["stickers"]

    return put


@pytest.fixture
def received(api):
    """Stickers on a Twin that a user receives: ``received(twin) -> {account: {color: ...}}``."""

    def received(twin, **options):
        status, answer = api("get_stickers", twin, **options)
        assert status == 200, answer
        return answer["accounts"]

    return received


@pytest.fixture
def listed(api):
    """The Stickers that a user receives: ``listed() -> list``."""

    def listed(**options):
        status, answer = api("list_stickers", **options)
        assert status == 200, answer
        return answer["stickers"]

    return listed


DELIVERIES = (
    "SELECT * FROM deliveries JOIN subscriptions ON subscriptions.uuid = subscription "
    "ORDER BY raised_ts, topic"
)


def subscribe(emulator, account, *topics):
    """Let somebody have subscribed to topics, and confirmed it."""
    with emulator.store.transaction(write=True) as tx:
        for topic in topics:
            SubscriptionRow(
                uuid=str(uuid4()),
                account=account,
                topic=topic,
                callback_url="http://127.0.0.1:9/",
                target="127.0.0.1 9",
                origin="http://h",
                client_secret=None,
                server_secret=None,
                confirmed=True,
                number=0,
                validity_ts=1e10,
            ).insert(tx)


@pytest.fixture
def outbox(emulator, account):
    """What is to be delivered: ``outbox() -> [(kind, account, twin, topic, event, at), ...]``."""
    subscribe(emulator, account, "here", "new", "gone", "late", "later")

    def outbox():
        with emulator.store.transaction(write=False) as tx:
            rows = tx.rows(DELIVERIES)
        return [
            (row["kind"], row["account"], row["twin"], row["topic"], json.loads(row["event"]),
             row["raised_ts"])
            for row in rows
        ]  # fmt: skip

    return outbox


@pytest.fixture
def kinds(outbox):
    """The kinds and topics to be delivered, in order."""
    return lambda: [event[0:4:3] for event in outbox()]


def colors(stickers):
    return [sticker["color"] for sticker in stickers]


class TestPut:
    def test_all_that_can_be_said(self, api, put, twin, account, clock):
        recipients = [str(uuid4()), account]
        validity_ts = clock.now() + 60
        draft = {
            "note": "Check the seal",
            "recipients": recipients,
            "validity_ts": validity_ts,
            "publish": {"on_put": ["sticker-put"], "on_expire": ["late", "Very-Late"]},
        }
        expected = {**draft, "created_ts": clock.now()}
        assert put(twin, red_flag=draft) == {"red-flag": expected}
        assert api("get_sticker", twin, "red-flag") == (200, expected)

    def test_what_is_not_said(self, api, put, twin, account, clock):
        expected = {
            "recipients": [account],
            "validity_ts": clock.now() + YEAR,
            "created_ts": clock.now(),
        }
        assert put(twin, red={}) == {"red": expected}
        nothing = {"note": None, "publish": None, "validity_ts": None}
        assert put(twin, blue=nothing) == {"blue": expected}
        assert put(twin, green={"publish": {}}) == {"green": expected}
        assert api("get_sticker", twin, "green") == (200, expected)

    def test_a_single_topic_becomes_a_list(self, put, twin):
        made = put(twin, red={"publish": {"on_remove": "gone"}})
        assert made["red"]["publish"] == {"on_remove": ["gone"]}

    def test_a_color_that_is_there_is_left_as_it_is(self, api, put, twin):
        put(twin, red={"note": "first"})
        made = put(twin, red={"note": "second"}, blue={})
        assert made["red"] == {"error": "Sticker already exists."}
        assert "error" not in made["blue"]
        assert api("get_sticker", twin, "red")[1]["note"] == "first"

    def test_a_color_is_free_on_other_twins_for_other_accounts_and_when_it_expired(
        self, put, twin, new_twin, stranger, clock
    ):
        put(twin, red={"validity_ts": clock.now() + 10})
        assert "error" not in put(new_twin(), red={})["red"]
        assert "error" not in put(twin, red={}, user=stranger)["red"]
        clock.advance(9.999)
        assert "error" in put(twin, red={})["red"]
        clock.advance(0.001)
        assert "error" not in put(twin, red={})["red"]

    def test_recipients_are_kept_as_they_were_written(self, api, put, twin):
        one = str(uuid4())
        put(twin, red={"recipients": [one.upper(), one]})
        assert api("get_sticker", twin, "red")[1]["recipients"] == [one, one]

    @pytest.mark.parametrize(
        "fields",
        [
            {"recipients": None},
            {"recipients": []},
            {"recipients": "8d0a1b0e-0000-4000-8000-000000000000"},
            {"recipients": ["everybody"]},
            {"recipients": [None]},
            {"recipients": ["8d0a1b0e-0000-4000-8000-000000000000"] * 101},
            {"note": "x" * 513},
            {"note": 1},
            {"validity_ts": "tomorrow"},
            {"validity_ts": True},
            {"validity_ts": 1_718_000_000.5},
            {"validity_ts": 1_718_000_000.5 + YEAR + 0.001},
            {"publish": []},
            {"publish": {"on_fire": ["topic"]}},
            {"publish": {"on_put": "ab"}},
            {"publish": {"on_put": ["a_b_c"]}},
            {"publish": {"on_put": ["abc\n"]}},
            {"publish": {"on_put": [1]}},
            {"publish": {"on_put": None}},
            {"publish": {"on_put": ["x" * 49]}},
            {"created_ts": 1},
            {"message": "Check the seal"},
        ],
    )
    def test_a_wrong_field_puts_nothing(self, api, twin, account, received, fields):
        drafts = {"good": {"recipients": [account]}, "red": {"recipients": [account], **fields}}
        status, error = api("put_sticker", twin, body={"stickers": drafts})
        assert (status, error["subcode"]) == (400, 400589)
        assert received(twin) == {}

    @pytest.mark.parametrize("color", ["ab", "x" * 49, "dark_grey", "rouge é", "red\n", ""])
    def test_a_wrong_color_puts_nothing(self, api, twin, account, color):
        body = {"stickers": {color: {"recipients": [account]}}}
        assert api("put_sticker", twin, body=body)[1]["subcode"] == 400589

    @pytest.mark.parametrize(
        "body",
        [
            None,
            {},
            {"stickers": {}},
            {"stickers": []},
            {"stickers": {"red": None}},
            {"stickers": {"red": {}}},
            {"stickers": {"red": {"recipients": [str(uuid4())]}}, "more": 1},
        ],
    )
    def test_a_wrong_body(self, api, twin, body):
        assert api("put_sticker", twin, body=body)[1]["subcode"] == 400589

    def test_limits_are_allowed(self, put, twin, clock):
        made = put(
            twin,
            abc={
                "note": "é" * 512,
                "recipients": [str(uuid4()) for _ in range(100)],
                "validity_ts": clock.now() + YEAR,
                "publish": {"on_put": ["abc", "x" * 48]},
            },
            **{"A1_" + "x" * 45: {"validity_ts": clock.now() + 0.001}},
        )
        assert not [one for one in made.values() if "error" in one]

    def test_unknown_and_hidden_twins(self, api, twin, new_user, account):
        body = {"stickers": {"red": {"recipients": [account]}}}
        assert api("put_sticker", str(uuid4()), body=body)[1]["subcode"] == 404653
        assert api("put_sticker", "no-uuid", body=body)[1]["subcode"] == 400589
        hidden = new_user(rules={"twin_rule": "false"})
        assert api("put_sticker", twin, body=body, user=hidden)[1]["subcode"] == 403535

    def test_on_a_foreign_twin(self, put, received, twin, stranger, stranger_account, account):
        put(twin, red={"recipients": [account]}, user=stranger)
        assert set(received(twin)) == {stranger_account}


class TestGet:
    def test_only_the_account_that_put_it(self, api, put, twin, stranger, stranger_account):
        put(twin, red={"recipients": [stranger_account]})
        assert api("get_sticker", twin, "red")[0] == 200
        status, error = api("get_sticker", twin, "red", user=stranger)
        assert (status, error["subcode"], error["description"]) == (
            404, 404653, "Sticker not found.",
        )  # fmt: skip

    def test_not_there(self, api, twin, put, new_user):
        put(twin, red={})
        assert api("get_sticker", twin, "blue")[1]["subcode"] == 404653
        assert api("get_sticker", str(uuid4()), "red")[1]["subcode"] == 404653
        assert api("get_sticker", twin, "dark_grey")[1]["subcode"] == 400589
        hidden = new_user(rules={"twin_rule": "false"})
        assert api("get_sticker", twin, "red", user=hidden)[1]["subcode"] == 403535


class TestRecipients:
    @pytest.mark.parametrize("who", ["user", "role", "account"])
    def test_users_roles_and_accounts(self, api, put, received, listed, twin, new_user, who):
        user = new_user()
        me = api("who_am_i", user=user)[1]
        put(twin, red={"recipients": [me[who]]}, blue={"recipients": [str(uuid4())]})
        assert [list(found) for found in received(twin, user=user).values()] == [["red"]]
        assert colors(listed(user=user)) == ["red"]

    def test_each_sticker_once(self, api, put, listed, received, twin, user, account):
        role = api("who_am_i")[1]["role"]
        put(twin, red={"recipients": [user, role, account, user]})
        assert colors(listed()) == ["red"]
        assert list(received(twin)[account]) == ["red"]

    def test_who_put_it_is_none_by_that(self, api, put, received, listed, twin):
        put(twin, red={"recipients": [str(uuid4())]})
        assert received(twin) == {}
        assert listed() == []
        assert api("remove_sticker", twin, "red")[1]["subcode"] == 404653
        assert api("get_sticker", twin, "red")[0] == 200

    def test_of_other_accounts(
        self, put, received, listed, api, twin, stranger, stranger_account, account, clock
    ):
        put(twin, red={"recipients": [stranger_account], "note": "Yours"})
        shown = {
            "note": "Yours",
            "validity_ts": clock.now() + YEAR,
            "created_ts": clock.now(),
        }
        assert received(twin, user=stranger) == {account: {"red": shown}}
        place = {"account": account, "twin": twin, "color": "red"}
        assert listed(user=stranger, context="system") == [{**place, **shown}]
        answer = api("remove_sticker", twin, "red", user=stranger, context=account)
        assert answer == (200, {"account": account, **shown})


class TestContexts:
    @pytest.fixture(autouse=True)
    def stickers(self, put, twin, account, stranger, stranger_account, clock):
        both = {"recipients": [account, stranger_account]}
        put(twin, red={**both, "note": "mine"}, blue=both)
        clock.advance(1)
        put(twin, red={**both, "note": "theirs"}, green=both, user=stranger)

    @pytest.fixture
    def contexts(self, account, stranger_account):
        """For each context the accounts that it stands for."""
        return {
            "personal": [account],
            "system": [account, stranger_account],
            account: [account],
            stranger_account: [stranger_account],
            f"{account.upper()},{stranger_account}": [account, stranger_account],
            str(uuid4()): [],
        }

    def test_on_a_twin(self, received, twin, contexts, account, stranger_account):
        for context, accounts in contexts.items():
            assert set(received(twin, context=context)) == set(accounts), context
        assert {who: set(found) for who, found in received(twin).items()} == {
            account: {"red", "blue"},
            stranger_account: {"red", "green"},
        }
        assert set(received(twin, context=[account, stranger_account])) == {
            account, stranger_account,
        }  # fmt: skip

    def test_of_all_twins(self, listed, contexts, account):
        for context, accounts in contexts.items():
            found = {sticker["account"] for sticker in listed(context=context)}
            assert found == set(accounts), context
        assert {sticker["account"] for sticker in listed()} == {account}

    def test_removing(self, api, received, twin, account, stranger_account):
        assert api("remove_sticker", twin, "green")[1]["subcode"] == 404653
        assert api("remove_sticker", twin, "red")[1]["note"] == "mine"
        assert api("remove_sticker", twin, "red")[1]["subcode"] == 404653
        answer = api("remove_sticker", twin, "red", context=stranger_account)[1]
        assert (answer["note"], answer["account"]) == ("theirs", stranger_account)
        assert api("remove_sticker", twin, "green", context="system")[0] == 200
        assert received(twin) == {account: {"blue": received(twin)[account]["blue"]}}

    def test_of_several_the_newest_is_removed(self, api, twin):
        notes = [api("remove_sticker", twin, "red", context="system")[1]["note"] for _ in range(2)]
        assert notes == ["theirs", "mine"]

    @pytest.mark.parametrize("context", ["everyone", "personal,system"])
    def test_no_context(self, api, twin, context):
        for answer in (
            api("get_stickers", twin, context=context),
            api("list_stickers", context=context),
            api("remove_sticker", twin, "red", context=context),
        ):
            assert answer[1]["subcode"] == 400589


class TestList:
    @pytest.fixture
    def twins(self, put, new_twin, clock):
        """Three Twins with a red Sticker each, then a blue one on the first, a second apart."""
        twins = [new_twin() for _ in range(3)]
        for twin in twins:
            put(twin, red={})
            clock.advance(1)
        put(twins[0], blue={})
        return twins

    def test_newest_first(self, listed, twins):
        found = [(sticker["twin"], sticker["color"]) for sticker in listed()]
        assert found == [
            (twins[0], "blue"), (twins[2], "red"), (twins[1], "red"), (twins[0], "red"),
        ]  # fmt: skip

    def test_at_the_same_time_by_account_twin_and_color(
        self, put, listed, new_twin, stranger, account
    ):
        twins = [new_twin(), new_twin()]
        for user in (None, stranger):
            for twin in twins:
                put(twin, red={}, blue={}, user=user)
        found = [
            (sticker["account"], sticker["twin"], sticker["color"])
            for sticker in listed(context="system")
        ]
        assert len(found) == 8
        assert found == sorted(found, reverse=True)

    def test_filters(self, listed, twins, clock):
        assert colors(listed(color="red")) == ["red"] * 3
        assert listed(color="green") == []
        now = clock.now()
        assert [one["twin"] for one in listed(ge=now - 2, le=now - 1)] == [twins[2], twins[1]]
        assert len(listed(ge=now)) == 1
        assert len(listed(le=now - 3)) == 1

    def test_pages(self, listed, twins):
        everything = listed()
        assert [listed(limit=1, offset=number)[0] for number in range(4)] == everything
        assert listed(limit=2, offset=3) == everything[3:]
        assert listed(offset=4) == []

    def test_a_hundred_at_a_time(self, listed, put, new_twin):
        for start in range(0, 102, 34):
            put(new_twin(), **{f"color_{start + number}": {} for number in range(34)})
        assert len(listed()) == 100
        assert len(listed(offset=100)) == 2

    @pytest.mark.parametrize(
        "query",
        [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"ge": "x"}, {"color": "dark_grey"}],
    )
    def test_wrong_parameters(self, api, query):
        assert api("list_stickers", **query)[1]["subcode"] == 400589

    def test_hidden_twins_take_no_place(self, put, listed, new_twin, new_user, clock, account):
        user = new_user(rules={"twin_rule": "TWIN.kind == 'pump'"})
        pumps = []
        for _ in range(4):
            pumps += [new_twin({"kind": "pump"})]
            put(pumps[-1], red={})
            put(new_twin({"kind": "valve"}), red={})
            clock.advance(1)
        found = [listed(user=user, limit=2, offset=offset) for offset in (0, 2, 4)]
        twins = [sticker["twin"] for page in found for sticker in page]
        assert twins == pumps[::-1]


class TestRemove:
    def test_the_answer(self, api, put, received, twin, account, clock):
        put(twin, red={"note": "Check the seal"}, blue={})
        validity_ts, created_ts = clock.now() + YEAR, clock.now()
        clock.advance(5)
        assert api("remove_sticker", twin, "red") == (
            200,
            {
                "account": account,
                "note": "Check the seal",
                "validity_ts": validity_ts,
                "created_ts": created_ts,
            },
        )
        assert "note" not in api("remove_sticker", twin, "blue")[1]
        assert received(twin) == {}
        assert "error" not in put(twin, red={})["red"]

    def test_not_there(self, api, put, twin, new_user):
        put(twin, red={})
        status, error = api("remove_sticker", twin, "blue")
        assert (status, error["subcode"], error["description"]) == (
            404, 404653, "Sticker not found.",
        )  # fmt: skip
        assert api("remove_sticker", str(uuid4()), "red")[1]["subcode"] == 404653
        assert api("remove_sticker", twin, "dark_grey")[1]["subcode"] == 400589
        hidden = new_user(rules={"twin_rule": "false"})
        assert api("remove_sticker", twin, "red", user=hidden)[1]["subcode"] == 403535

    @pytest.mark.parametrize("url", ["memory:", "sqlite:///{path}"])
    def test_one_remover_wins(self, api, send, put, twin, url, tmp_path, clock):
        with Emulator(url.format(path=tmp_path / "x.db"), clock=clock) as emulator:
            user = emulator.first_user()
            request = _requests(emulator, user)
            account, twin = emulator.accounts()[0], request("POST", "/twins", {})[1]
            subscribe(emulator, account, "gone")
            path = f"/twins/{twin['creation_certificate']['uuid']}/stickers"
            stickers = {"red": {"recipients": [account], "publish": {"on_remove": "gone"}}}
            assert request("POST", path, {"stickers": stickers})[0] == 201
            barrier, statuses = Barrier(8), []

            def run():
                barrier.wait()
                statuses.append(request("DELETE", f"{path}/red")[0])

            threads = [Thread(target=run) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(statuses) == [200] + [404] * 7
            with emulator.store.transaction(write=False) as tx:
                assert len(tx.rows("SELECT * FROM deliveries")) == 1
                assert tx.rows("SELECT * FROM sticker_recipients") == []


def _requests(emulator, user):
    from ttorm.api import codec
    from ttorm.api.http import HttpRequest

    def request(method, path, body=None):
        data = b"" if body is None else codec.encode(body)
        answer = emulator.handle(HttpRequest(method, "http://h" + path, {}, data), user)
        return answer.status, json.loads(answer.body)

    return request


class TestExpiry:
    def test_expired_ones_are_nowhere(self, api, put, received, listed, twin, clock):
        put(twin, red={"validity_ts": clock.now() + 10})
        clock.advance(9.999)
        assert received(twin)
        assert listed()
        assert api("get_sticker", twin, "red")[0] == 200
        clock.advance(0.001)
        assert received(twin) == {}
        assert listed() == []
        assert api("get_sticker", twin, "red")[1]["subcode"] == 404653
        assert api("remove_sticker", twin, "red")[1]["subcode"] == 404653

    @pytest.mark.parametrize(
        "touch",
        ["put_sticker", "get_stickers", "get_sticker", "list_stickers", "remove_sticker"],
    )
    def test_the_end_is_published_once(
        self, api, put, kinds, twin, new_twin, account, clock, touch
    ):
        publish = {"on_expire": ["late", "later"], "on_remove": ["gone"]}
        put(twin, red={"validity_ts": clock.now() + 10, "publish": publish})
        other = new_twin()
        put(other, **{f"color{number}": {} for number in range(6)})
        body = {"stickers": {"blue": {"recipients": [account]}}}
        left = iter(range(6))
        arguments = {
            "put_sticker": lambda: [other],
            "get_stickers": lambda: [other],
            "get_sticker": lambda: [other, "color5"],
            "list_stickers": list,
            "remove_sticker": lambda: [other, f"color{next(left)}"],
        }[touch]
        for seconds, expected in ((5, []), (5, ["late", "later"]), (5, ["late", "later"])):
            clock.advance(seconds)
            for _ in range(2):
                # Whatever Sticker is asked for: all that are over end.
                options = {"body": body} if touch == "put_sticker" else {}
                assert api(touch, *arguments(), **options)[0] < 300
            assert kinds() == [("sticker.expired", topic) for topic in expected]

    def test_nothing_is_left_of_it(self, api, emulator, put, twin, clock):
        put(twin, red={"validity_ts": clock.now() + 10})
        clock.advance(10)
        api("list_stickers")
        with emulator.store.transaction(write=False) as tx:
            for table in ("stickers", "sticker_recipients"):
                assert tx.rows(f"SELECT * FROM {table}") == []


class TestPublish:
    def test_put_and_removed(self, api, put, outbox, twin, account, clock):
        publish = {"on_put": ["here", "new", "here"], "on_remove": "gone", "on_expire": ["late"]}
        put(twin, red={"note": "Check the seal", "publish": publish}, blue={})
        created = clock.now()
        clock.advance(60)
        api("remove_sticker", twin, "red")
        api("remove_sticker", twin, "blue")
        event = {
            "color": "red",
            "note": "Check the seal",
            "validity_ts": created + YEAR,
            "created_ts": created,
            "recipients": [account],
        }
        assert outbox() == [
            ("sticker.put", account, twin, "here", event, created),
            ("sticker.put", account, twin, "new", event, created),
            ("sticker.removed", account, twin, "gone", event, created + 60),
        ]

    def test_by_the_account_that_put_it(
        self, api, put, outbox, twin, account, stranger, stranger_account
    ):
        publish = {"on_remove": "gone"}
        put(twin, red={"recipients": [stranger_account], "publish": publish})
        api("remove_sticker", twin, "red", user=stranger, context="system")
        assert [event[:4] for event in outbox()] == [("sticker.removed", account, twin, "gone")]

    def test_what_was_not_put_publishes_nothing(self, api, put, kinds, twin):
        put(twin, red={})
        put(twin, red={"publish": {"on_put": "here"}})
        body = {"stickers": {"blue": {"recipients": [], "publish": {"on_put": "here"}}}}
        assert api("put_sticker", twin, body=body)[0] == 400
        assert kinds() == []

    def test_a_change_that_did_not_happen_publishes_nothing(
        self, api, put, kinds, twin, monkeypatch, caplog
    ):
        def fail(*_):
            raise RuntimeError("the disk is full")

        monkeypatch.setattr("ttorm.emulator.handlers.stickers._whole", fail)
        body = {"stickers": {"red": {"recipients": [str(uuid4())], "publish": {"on_put": "new"}}}}
        assert api("put_sticker", twin, body=body)[0] == 500
        monkeypatch.undo()
        assert kinds() == []
        assert api("get_sticker", twin, "red")[0] == 404


class TestInTheBackground:
    """Nobody asks for Stickers, yet their end is published."""

    @pytest.fixture
    def policy(self):
        return Policy(background=True)

    @staticmethod
    def until(condition):
        pause = Event()
        for _ in range(2_000):
            if condition():
                return
            pause.wait(0.005)
        pytest.fail("it did not happen")

    def test_the_end_is_published(self, emulator, put, kinds, twin, clock):
        put(twin, red={"validity_ts": clock.now() + 3_600, "publish": {"on_expire": "late"}})
        clock.advance(3_600)
        self.until(kinds)
        assert kinds() == [("sticker.expired", "late")]

    def test_after_a_restart(self, store_url, clock):
        url = store_url
        with Emulator(url, clock=clock, policy=Policy(background=False)) as emulator:
            request = _requests(emulator, emulator.first_user())
            twin = request("POST", "/twins", {})[1]["creation_certificate"]["uuid"]
            publish = {"on_expire": "late"}
            draft = {"recipients": [twin], "validity_ts": clock.now() + 60, "publish": publish}
            request("POST", f"/twins/{twin}/stickers", {"stickers": {"red": draft}})
            subscribe(emulator, emulator.accounts()[0], "late")
        clock.advance(60)
        with Emulator(url, clock=clock) as emulator:

            def kinds():
                with emulator.store.transaction(write=False) as tx:
                    return [row["kind"] for row in tx.rows("SELECT kind FROM deliveries")]

            self.until(kinds)
            assert kinds() == ["sticker.expired"]

    @pytest.mark.sqlite  # on a server the thread also looks for work that others have left
    def test_without_topics_there_is_no_thread(self, emulator, put, twin):
        put(twin, red={})
        assert emulator.background._thread is None
