"""Stickers: put, found, listed and removed by one of many."""

from __future__ import annotations

import copy
import pickle
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

import ttorm
from ttorm import (
    NotFoundError,
    NotLoadedError,
    OutcomeUnknownError,
    SaveError,
    StateError,
    Sticker,
    Twin,
    User,
    ValidationError,
)
from ttorm.api.errors import TransportError
from ttorm.api.http import HttpResponse
from ttorm.emulator import Emulator, Policy
from ttorm.emulator.callbacks import Outcome
from ttorm.emulator.clock import Clock

SOMEBODY = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


@pytest.fixture
def twin(connection, sent):
    twin = Twin.create()
    connection.whoami()
    sent.clear()
    return twin


@pytest.fixture
def me(emulator):
    return emulator.first_user()


def at(twin, connection):
    """The same Twin, for another account."""
    with ttorm.session(connection):
        return Twin.at(twin.uuid)


# Putting


async def test_putting_sends_what_was_given(do, twin, me, sent):
    until = datetime.now(UTC) + timedelta(days=2)
    sticker = await do(
        twin.stickers,
        "put",
        "red-flag",
        [me, SOMEBODY.upper(), me],
        note="Check",
        valid_until=until,
        publish={"on_put": "work", "on_expire": ["late", "late", "lost"]},
    )
    [request] = sent.take()
    assert str(request) == f"POST /twins/{twin.uuid}/stickers"
    assert request.body == {
        "stickers": {
            "red-flag": {
                "note": "Check",
                "recipients": [me, SOMEBODY],
                "validity_ts": round(until.timestamp(), 3),
                "publish": {"on_put": ["work"], "on_expire": ["late", "lost"]},
            }
        }
    }
    assert (sticker.color, sticker.note, sticker.recipients) == (
        "red-flag",
        "Check",
        (me, SOMEBODY),
    )
    assert sticker.publish == {"on_put": ("work",), "on_expire": ("late", "lost")}
    assert abs(sticker.valid_until - until) < timedelta(milliseconds=1)
    assert not sticker.is_expired
    assert sticker.twin == twin
    assert sticker.account == twin.owner
    assert not sent


async def test_an_occasion_without_topics_has_none(do, twin, me):
    sticker = await do(twin.stickers, "put", "red", me, publish={"on_put": []})
    assert sticker.publish == {"on_put": ()}


async def test_what_is_left_out_is_not_sent(do, twin, me, sent):
    sticker = await do(twin.stickers, "put", "red", me)
    assert sent.take()[0].body == {"stickers": {"red": {"recipients": [me]}}}
    assert (sticker.note, sticker.publish) == (None, {})
    life = sticker.valid_until - sticker.created_at
    assert life == timedelta(days=365)


async def test_recipients_are_records_too(do, twin, connection, sent):
    user = await do(User, "get", connection.call("who_am_i")["user"])
    sent.clear()
    sticker = await do(twin.stickers, "put", "red", [user, UUID(SOMEBODY)])
    assert sticker.recipients == (user.uuid, SOMEBODY)
    await do(twin.stickers, "put", "blue", user)
    assert [request.body["stickers"] for request in sent.take()] == [
        {"red": {"recipients": [user.uuid, SOMEBODY]}},
        {"blue": {"recipients": [user.uuid]}},
    ]


async def test_a_colour_that_is_taken_is_refused(do, twin, me, sent):
    await do(twin.stickers, "put", "red", me, note="first")
    with pytest.raises(SaveError, match=r"'red' was not put.*\[save\]") as caught:
        await do(twin.stickers, "put", "red", me, note="second")
    [(name, error)] = caught.value.errors.items()
    assert (name, error.operation) == ("stickers['red']", "put_sticker")
    assert (await do(twin.stickers, "get", "red")).note == "first"


WRONG = {
    "colour": ("no good", SOMEBODY, {}),
    "short colour": ("ab", SOMEBODY, {}),
    "no recipients": ("red", [], {}),
    "101 recipients": ("red", [str(UUID(int=n)) for n in range(101)], {}),
    "a name": ("red", "ann", {}),
    "a number": ("red", 5, {}),
    "note": ("red", SOMEBODY, {"note": "x" * 513}),
    "note that is none": ("red", SOMEBODY, {"note": 5}),
    "naive moment": ("red", SOMEBODY, {"valid_until": datetime(2999, 1, 1)}),  # noqa: DTZ001 # that is what is wrong
    "past": ("red", SOMEBODY, {"valid_until": 5}),
    "occasion": ("red", SOMEBODY, {"publish": {"on_look": "work"}}),
    "no topics": ("red", SOMEBODY, {"publish": {"on_put": None}}),
    "topic": ("red", SOMEBODY, {"publish": {"on_put": "a b"}}),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_put_is_refused_before_it_is_sent(do, twin, sent, case):
    color, recipients, options = WRONG[case]
    with pytest.raises(ValidationError):
        await do(twin.stickers, "put", color, recipients, **options)
    assert not sent


async def test_records_that_were_not_saved(do, twin, sent):
    with pytest.raises(StateError, match="save"):
        await do(twin.stickers, "put", "red", User(role=SOMEBODY))
    for verb, arguments in {"put": ["red", SOMEBODY], "remove": ["red"], "of": []}.items():
        with pytest.raises(StateError, match="not saved yet"):
            await do(Twin().stickers, verb, *arguments)
    assert not sent


# Reading


async def test_a_colour_leads_to_its_sticker_whoever_it_is_for(do, twin, sent):
    await do(twin.stickers, "put", "red", SOMEBODY, note="for you")
    found = await do(twin.stickers, "get", "red")
    assert (found.note, found.recipients) == ("for you", (SOMEBODY,))
    assert await do(twin.stickers, "get", "blue") is None
    assert await do(twin.stickers, "get", "blue", 5) == 5
    assert sent.lines()[1:] == [
        f"GET /twins/{twin.uuid}/stickers/{c}" for c in ("red", "blue", "blue")
    ]


def test_a_mapping_of_ones_own(twin, me, sent):
    twin.stickers.put("red", me)
    twin.stickers.put("blue", SOMEBODY)
    assert twin.stickers["red"] == twin.stickers.get("red")
    assert "blue" in twin.stickers
    assert "green" not in twin.stickers
    with pytest.raises(KeyError, match="green"):
        twin.stickers["green"]
    sent.clear()
    assert [*iter(twin.stickers)] == ["red"]
    [request] = sent.take()
    assert (str(request), request.query) == (
        f"GET /twins/{twin.uuid}/stickers",
        (("context", "personal"),),
    )
    assert len(twin.stickers) == 1
    sent.clear()
    with pytest.raises(ValidationError, match="no colour"):
        twin.stickers.get("a b")
    assert not sent


async def test_others_stickers_by_who_put_them(do, world, twin, me, stranger, sent):
    theirs = at(twin, stranger)
    await do(theirs.stickers, "put", "red", me, note="theirs")
    await do(theirs.stickers, "put", "grey", SOMEBODY)
    await do(twin.stickers, "put", "red", me, note="mine")
    foreign = stranger.known_account or stranger.call("who_am_i")["account"]
    sent.clear()
    found = await do(twin.stickers, "of")
    assert {account: list(several) for account, several in found.items()} == {
        foreign: ["red"],
        twin.owner: ["red"],
    }
    assert found[foreign]["red"].note == "theirs"
    assert found[foreign]["red"].recipients is None
    assert found[foreign]["red"].account == foreign
    assert list(await do(twin.stickers, "of", "personal")) == [twin.owner]
    assert list(await do(twin.stickers, "of", foreign)) == [foreign]
    assert len(await do(twin.stickers, "of", [foreign, twin.owner])) == 2
    assert [request.query for request in sent.take()] == [
        (("context", "system"),),
        (("context", "personal"),),
        (("context", foreign),),
        (("context", foreign), ("context", twin.owner)),
    ]
    with pytest.raises(ValidationError, match="'system'"):
        await do(twin.stickers, "of", "everybody")
    assert not sent


async def test_an_answer_that_says_accounts_twice(do, twin, wire):
    wire.meddle = lambda request: HttpResponse(
        200,
        {},
        b'{"accounts": {"accounts": {"a": {"red": {"created_ts": 1.5, "validity_ts": 2.5}}}}}',
    )
    found = await do(twin.stickers, "of")
    assert found["a"]["red"].created_at == datetime.fromtimestamp(1.5, UTC)


async def test_a_loop_is_not_blocked(world, twin, me):
    if not world.asynchronous:
        return
    for look in (lambda: twin.stickers["red"], lambda: list(twin.stickers)):
        with pytest.raises(NotLoadedError, match=r"await twin\.stickers\.a"):
            look()


# Removing


async def test_removing_gives_the_sticker(do, twin, me, sent):
    await do(twin.stickers, "put", "red", me, note="Check")
    sent.clear()
    removed = await do(twin.stickers, "remove", "red")
    assert (removed.note, removed.account) == ("Check", twin.owner)
    [request] = sent.take()
    assert str(request) == f"DELETE /twins/{twin.uuid}/stickers/red"
    assert request.query == (("context", "personal"),)
    with pytest.raises(NotFoundError):
        await do(twin.stickers, "remove", "red")


async def test_who_is_no_recipient_cannot_remove(do, twin):
    sticker = await do(twin.stickers, "put", "red", SOMEBODY)
    with pytest.raises(NotFoundError):
        await do(sticker, "remove")
    assert await do(twin.stickers, "get", "red") == sticker


async def test_a_sticker_of_somebody_else_is_removed_in_its_context(do, twin, me, stranger, sent):
    await do(at(twin, stranger).stickers, "put", "red", me)
    await do(twin.stickers, "put", "red", me)
    foreign = stranger.call("who_am_i")["account"]
    found = (await do(twin.stickers, "of"))[foreign]["red"]
    sent.clear()
    assert (await do(found, "remove")).account == foreign
    assert sent.take()[0].query == (("context", foreign),)
    assert (await do(twin.stickers, "remove", "red", "system")).account == twin.owner


def test_of_many_who_remove_at_once_one_wins(twin, me, connection):
    twin.stickers.put("red", me)
    ready = threading.Barrier(8)
    won, lost = [], []

    def take():
        ready.wait()
        try:
            won.append(twin.stickers.remove("red"))
        except NotFoundError as error:
            lost.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


async def test_a_lost_answer_to_a_removal_does_not_say_who_has_won(do, twin, me, wire, sent):
    await do(twin.stickers, "put", "red", me)
    sent.clear()

    def lose(request):
        wire.transport.send(request)
        raise TransportError("cut off", sent=True)

    wire.meddle = lose
    with pytest.raises(OutcomeUnknownError):
        await do(twin.stickers, "remove", "red")
    assert len(sent) == 1


# Listing


async def test_listing_over_all_twins(do, twin, me, stranger, sent):
    other = await do(Twin, "create")
    await do(twin.stickers, "put", "red", me)
    await do(other.stickers, "put", "red", me)
    await do(other.stickers, "put", "blue", me)
    await do(other.stickers, "put", "grey", SOMEBODY)
    await do(at(twin, stranger).stickers, "put", "red", me)
    sent.clear()
    found = await do.list(Sticker.list())
    assert {(one.twin.uuid, one.color) for one in found} == {
        (twin.uuid, "red"),
        (other.uuid, "red"),
        (other.uuid, "blue"),
    }
    assert [one.created_at for one in found] == sorted((o.created_at for o in found), reverse=True)
    assert len(await do.list(Sticker.list(color="red", context="system"))) == 3
    [first, second] = sent.take()
    assert first.query == (("context", "personal"),)
    assert second.query == (("color", "red"), ("context", "system"))


async def test_listing_by_moments(do, connection, me, sent):
    twin = await do(Twin, "create")
    middle = await do(twin.stickers, "put", "red", me)
    moment = middle.created_at
    assert await do.list(Sticker.list(since=moment, until=moment)) == [middle]
    assert await do.list(Sticker.list(since=moment + timedelta(seconds=9))) == []
    assert await do(Sticker.list(until=moment - timedelta(seconds=9)), "first") is None


@pytest.mark.parametrize(
    "options", [{"color": "a b"}, {"context": "all"}, {"since": "yesterday"}], ids=str
)
def test_listings_that_are_none(options, twin, sent):
    with pytest.raises(ValidationError):
        Sticker.list(**options)
    assert not sent


@pytest.fixture
def many(emulator, twin, me):
    """Stickers of three moments: 130, 130 and one."""

    def put(moment, count):
        for number in range(count):
            twin.stickers.put(f"c-{moment}-{number:03}", me)

    now = datetime.now(UTC).timestamp()
    for moment, count in enumerate((130, 130, 1)):
        put(moment, count)
    with emulator.store.transaction(write=True) as tx:
        for moment in range(3):
            tx.run(
                "UPDATE stickers SET created_ts = ? WHERE color LIKE ?",
                round(now + moment, 3),
                f"c-{moment}-%",
            )
    return 261


async def test_pages_are_read_as_one_goes_on(do, many, sent):
    sent.clear()
    listing = Sticker.list()
    assert (await do(listing, "first")).color.startswith("c-2-")
    assert len(sent) == 1
    sent.clear()
    found = await do.list(listing)
    assert len({one.color for one in found}) == len(found) == many


async def test_removing_while_one_goes_through_hides_nothing(world, many, sent):
    listing = Sticker.list()
    if world.asynchronous:
        gone = [(await one.aremove()).color async for one in listing]
    else:
        gone = [one.remove().color for one in listing]
    assert len(set(gone)) == many
    assert await world.list(Sticker.list()) == []


# Expiry and publishing


async def test_expiry_and_topics(do, connect, monkeypatch):
    told = []
    clock = Clock()
    with Emulator("memory:", seed=1, clock=clock, policy=Policy(background=False)) as emulator:
        emulator.callbacks.post = lambda url, body: (
            told.append(ttorm.api.codec.decode(body)) or Outcome("201", delivered=True)
        )
        connection = ttorm.connect(transport=emulator_transport(emulator))
        subscription = await do(
            ttorm.Subscription,
            "create",
            "work",
            "https://hooks.example.test/",
            connection=connection,
        )
        emulator.deliver()
        await do(subscription, "confirm", told.pop()["confirmation_url"])
        twin = await do(Twin, "create")
        topics = {"on_put": "work", "on_remove": "work", "on_expire": "work"}
        me = emulator.first_user()
        soon = datetime.now(UTC) + timedelta(hours=1)
        await do(twin.stickers, "put", "red", me, publish=topics, valid_until=soon)
        await do(twin.stickers, "put", "blue", me, publish=topics)
        await do(twin.stickers, "remove", "blue")
        clock.advance(3_601)
        assert await do(twin.stickers, "get", "red") is None
        emulator.deliver()
        assert [message["trigger"] for message in told] == [
            "sticker.put",
            "sticker.put",
            "sticker.removed",
            "sticker.expired",
        ]


def emulator_transport(emulator):
    from ttorm.emulator.transport import EmulatorTransport

    return EmulatorTransport(emulator, emulator.first_user())


# Ordinary objects


def test_nothing_asks_the_service(twin, me, sent):
    sticker = twin.stickers.put("red", me, note="Check")
    sent.clear()
    again = pickle.loads(pickle.dumps(sticker))
    assert again == sticker == copy.copy(sticker)
    assert hash(again) == hash(sticker)
    assert again.note == "Check"
    assert repr(sticker) == f"<Sticker red on {twin.uuid}>"
    assert "Check" in str(sticker._sheet())
    assert sticker != twin
    assert twin.stickers == twin.stickers
    assert twin.stickers != {}
    assert repr(twin.stickers) == f"<Stickers of {twin.uuid}>"
    assert twin.stickers._repr_html_()
    assert not sent
