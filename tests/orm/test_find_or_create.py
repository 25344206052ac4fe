"""Creating a Twin once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity
from ttorm.api.http import HttpResponse
from ttorm.records import creating

MARK = {"hex": "5eed" * 8}


class Meter(Twin):
    class Meta:
        kind = "meter"

    place: Field[str] = description(default="")
    watts: Field[float] = entry(default=0.0)
    serial: Field[str] = identity("METER", key=True)
    tag: Field[str | None] = identity("RFID", default=None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(creating, "_LOOKS", (0.0, 0.0))
    monkeypatch.setattr(creating, "_PAUSE", 0.0)


@pytest.fixture
def mark(monkeypatch):
    """The mark of the next Twin."""
    monkeypatch.setattr("uuid.uuid4", type("UUID", (), MARK))
    return f"METER#A17 {MARK['hex']}"


@pytest.fixture
def make(others):
    """Make a Meter elsewhere: ``make("A17") -> uuid``."""

    def make(serial, **described):
        twin = others.call("create_twin", body={"description": {"kind": "meter", **described}})
        uuid = twin["creation_certificate"]["uuid"]
        body = {"identities": {f"METER#{serial}": {}}}
        others.call("create_twin_identity", uuid, body=body)
        return uuid

    return make


@pytest.fixture
def meters(others):
    """All alive Meters: ``meters() -> {uuid: Identities}``."""

    def meters():
        found = others.call("scan_twins", match="twin_status == 'alive'", count=1000)["twins"]
        return {
            uuid: list(others.call("get_twin_identities", uuid)["identities"]) for uuid in found
        }

    return meters


def after(method, end, what):
    """Meddle with the first request of a kind, once it has taken effect."""
    done = []

    def meddle(wire):
        def hook(request):
            if done or request.method != method or not request.url.split("?")[0].endswith(end):
                return None
            done.append(request)
            return what(wire, request)

        wire.meddle = hook

    return meddle


def lose(wire, request):
    """Carry out a request and lose its answer."""
    wire.transport.send(request)
    raise ttorm.TransportError("gone")


def drop(wire, request):
    """Lose a request, which nobody can tell from losing its answer."""
    raise ttorm.TransportError("gone")


def fail(subcode):
    """Answer with an error of the service's."""
    body = f'{{"subcode": {subcode}, "trace": "t"}}'.encode()
    return lambda wire, request: HttpResponse(subcode // 1000, {}, body)


async def test_what_is_there_is_found(do, make, sent):
    uuid = make("A17", place="roof")
    meter, created = await do(Meter, "find_or_create", serial="A17", place="cellar", watts=9.0)
    assert sent.take() == [("GET", "/resolve/METER#A17", (("details", "true"),), None)]
    assert (created, type(meter), meter.uuid, meter.place) == (False, Meter, uuid, "roof")
    assert not ttorm.inspect(meter).is_modified


async def test_what_is_not_there_is_created(do, connection, sent, mark):
    meter, created = await do(Meter, "find_or_create", serial="A17", place="roof", watts=9.0)
    twin = f"/twins/{meter.uuid}"
    described = {"kind": "meter", "place": "roof", "_ttorm_key": mark}
    assert sent.take() == [
        ("GET", "/resolve/METER#A17", (("details", "true"),), None),
        ("POST", "/twins", (), {"description": described}),
        ("POST", f"{twin}/identities", (), {"identities": {"METER#A17": {}}}),
        ("POST", f"{twin}/ledgers/personal", (), {"entries": {"watts": {"value": 9.0}}}),
        ("GET", "/resolve/METER#A17", (("details", "true"),), None),
    ]
    assert (created, meter.serial, meter.watts) == (True, "A17", 9.0)
    again, created = await do(Meter, "find_or_create", serial="A17")
    assert (again, created) == (meter, False)


async def test_a_terminated_one_does_not_count(do, make, others):
    others.call("terminate_twin", make("A17"))
    _, created = await do(Meter, "find_or_create", serial="A17")
    assert created


@pytest.mark.parametrize("why", [lose, drop])
async def test_the_twin_is_looked_for_when_the_answer_is_lost(
    do, connection, wire, sent, mark, meters, why
):
    after("POST", "/twins", why)(wire)
    if why is drop:
        with pytest.raises(ttorm.OutcomeUnknownError):
            await do(Meter, "find_or_create", serial="A17")
        lines = [str(request) for request in sent]
        assert lines == ["GET /resolve/METER#A17", "POST /twins", "GET /twins", "GET /twins"]
        assert meters() == {}
        return
    meter, created = await do(Meter, "find_or_create", serial="A17")
    assert created
    assert sent[2].query == (
        ("count", "1000"),
        ("match", f'TWIN._ttorm_key == "{mark}"'),
        ("details", "true"),
    )
    assert [request.method for request in sent] == ["GET", "POST", "GET", "POST", "POST", "GET"]
    assert meters() == {meter.uuid: ["METER#A17"]}


async def test_a_creation_that_has_failed_for_certain_is_tried_again(do, connection, wire, meters):
    after("POST", "/twins", fail(500000))(wire)
    meter, created = await do(Meter, "find_or_create", serial="A17")
    assert created
    assert list(meters()) == [meter.uuid]


async def test_a_creation_that_always_fails_is_given_up(do, connection, wire, sent):
    fault = fail(500000)

    def always(request):
        return fault(wire, request) if request.method == "POST" else None

    wire.meddle = always
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(Meter, "find_or_create", serial="A17")
    assert sent.lines().count("POST /twins") == creating._ATTEMPTS


@pytest.mark.parametrize(
    "answer", [b'{"subcode": 403000}', b'{"twins": ["a text"], "cursor": null}', b"", None]
)
async def test_a_look_that_fails_leaves_the_outcome_unknown(do, connection, wire, answer):
    def meddle(request):
        if "/resolve/" in request.url:
            return None
        if request.method == "POST" or answer is None:
            raise ttorm.TransportError("gone")
        return HttpResponse(403 if b"403" in answer else 200, {}, answer)

    wire.meddle = meddle
    with pytest.raises(ttorm.OutcomeUnknownError, match="POST /twins") as caught:
        await do(Meter, "find_or_create", serial="A17")
    [note] = caught.value.__notes__
    assert note.startswith("looking for it failed: ")


async def test_who_wants_no_repeats_gets_none(do, connection, wire, sent):
    connection.retry = ttorm.RetryPolicy(attempts=1)
    fault = fail(500000)
    wire.meddle = lambda request: fault(wire, request) if request.method == "POST" else None
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(Meter, "find_or_create", serial="A17")
    assert sent.lines().count("POST /twins") == 1


async def test_insisting_ends_with_the_time_of_the_policy(do, connection, wire, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(creating, "monotonic", lambda: now[0])
    connection.retry = ttorm.RetryPolicy(base=0.0, deadline=100.0)
    made = []

    def meddle(request):
        if "/identities" in request.url and request.method == "GET":
            made.append(request)
            now[0] += 30.0
            raise ttorm.TransportError("gone", sent=False)
        if "/identities" in request.url:
            raise ttorm.TransportError("lost", sent=True)

    wire.meddle = meddle
    with pytest.raises((ttorm.TransportError, ttorm.OutcomeUnknownError)):
        await do(Meter, "find_or_create", serial="A17")
    # The looks of the save and of two attempts to finish it, three sendings each.
    assert len(made) == 9


async def test_a_creation_that_may_still_go_on_is_not(do, connection, wire, meters):
    after("POST", "/twins", fail(503159))(wire)
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(Meter, "find_or_create", serial="A17")
    assert meters() == {}


@pytest.mark.parametrize("why", [lose, drop, fail(500000)])
@pytest.mark.parametrize("end", ["/identities", "/ledgers/personal"])
async def test_what_follows_is_read_before_it_is_repeated(
    do, connection, wire, others, meters, end, why
):
    after("POST", end, why)(wire)
    meter, created = await do(Meter, "find_or_create", serial="A17", watts=7.0, tag="x")
    assert created
    assert {uuid: set(texts) for uuid, texts in meters().items()} == {
        meter.uuid: {"METER#A17", "RFID#x"}
    }
    entries = others.call("get_twin_ledger_entry", meter.uuid)["entries"]
    assert entries["watts"]["value"] == 7.0
    assert not ttorm.inspect(meter).is_modified


async def test_a_twin_that_got_no_identity_is_taken_back(do, connection, wire, meters):
    def never(request):
        if request.url.endswith("/identities"):
            raise ttorm.TransportError("gone")

    wire.meddle = never
    with pytest.raises((ttorm.TransportError, ttorm.OutcomeUnknownError)):
        await do(Meter, "find_or_create", serial="A17")
    assert meters() == {}


async def test_of_two_at_the_same_time_the_older_wins(do, connection, wire, make, meters, sent):
    theirs = []

    def race(request):
        # Somebody creates theirs right before ours.
        if not theirs and request.method == "POST" and request.url.endswith("/twins"):
            theirs.append(make("A17", place="theirs"))

    wire.meddle = race
    meter, created = await do(Meter, "find_or_create", serial="A17", place="mine")
    assert (meter.uuid, meter.place, created) == (theirs[0], "theirs", False)
    assert meters() == {theirs[0]: ["METER#A17"]}
    *_, removal, end = sent
    assert (removal.method, end.method) == ("DELETE", "DELETE")
    assert removal.path.endswith("/identities/METER#A17")


async def test_the_younger_one_of_others_loses(do, connection, wire, make, emulator):
    emulator.clock.freeze(1_718_000_000)
    theirs = []

    def race(request):
        if not theirs and request.url.endswith("/ledgers/personal"):
            emulator.clock.advance(1)
            theirs.append(make("A17"))

    wire.meddle = race
    meter, created = await do(Meter, "find_or_create", serial="A17")
    assert created
    assert meter.uuid != theirs[0]


async def test_taking_back_is_repeated_too(do, connection, wire, make, meters):
    theirs, lost = [], []

    def race(request):
        if not theirs and request.method == "POST" and request.url.endswith("/twins"):
            theirs.append(make("A17"))
        if request.method == "DELETE" and request.url not in lost:
            lost.append(request.url)
            wire.transport.send(request)
            raise ttorm.TransportError("gone")

    wire.meddle = race
    meter, created = await do(Meter, "find_or_create", serial="A17")
    assert (meter.uuid, created, len(lost)) == (theirs[0], False, 2)
    assert meters() == {theirs[0]: ["METER#A17"]}


async def test_a_block_creates_nothing_that_was_found(do, make, sent):
    uuid = make("A17")
    async with do.block(ttorm.session()) as session:
        meter, created = await do(Meter, "find_or_create", serial="A17")
        assert (meter.uuid, created, session.dirty) == (uuid, False, [])
    assert sent.lines() == ["GET /resolve/METER#A17"]


async def test_a_block_does_not_create_what_failed(do, connection, wire, sent):
    after("POST", "/twins", drop)(wire)
    async with do.block(ttorm.session()):
        with pytest.raises(ttorm.OutcomeUnknownError):
            await do(Meter, "find_or_create", serial="A17")
        sent.clear()
    assert sent == []


class Keyless(Twin):
    serial: Field[str] = identity("K1")


class TwoKeys(Twin):
    one: Field[str] = identity("K1", key=True)
    two: Field[str] = identity("K2", key=True)


class MaybeKey(Twin):
    serial: Field[str | None] = identity("K1", key=True, default=None)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (Keyless, {"serial": "1"}, r"exactly one key to find the Twin by, found 0: declare it"),
        (TwoKeys, {"one": "1", "two": "2"}, "found 2"),
        (MaybeKey, {}, r"MaybeKey.find_or_create\(\) needs a value for serial"),
        (Meter, {}, "needs a value for serial"),
        (Meter, {"serial": "1", "wats": 1.0}, "no field 'wats': did you mean 'watts'"),
    ],
)
async def test_what_cannot_be_found_is_not_created(do, connection, sent, model, values, message):
    with pytest.raises(TypeError, match=message):
        await do(model, "find_or_create", **values)
    assert sent == []


# Many


def create_all(connection, emulator, number):
    """Create Meters while a fifth of all requests goes wrong, until each of them is there."""
    retry = ttorm.RetryPolicy(attempts=3, base=0.0)
    connection.retry = retry
    for seed, fault in enumerate(
        ({"drop": "before"}, {"drop": "after"}, {"status": 500}, {"status": 503})
    ):
        emulator.faults.add(probability=0.055, seed=seed, **fault)
    wanted = [f"S{index % (number * 9 // 10)}" for index in range(number)]
    unknown = 0
    for serial in wanted:
        for attempt in count(1):
            assert attempt < 30
            try:
                meter, _ = Meter.find_or_create(serial=serial, watts=1.0)
            except (ttorm.OutcomeUnknownError, ttorm.TransportError, ttorm.ServerError):
                unknown += 1
            else:
                assert meter.serial == serial
                break
    emulator.faults.clear()
    return wanted, unknown


@pytest.mark.parametrize(
    "number", [150, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])]
)
def test_no_duplicates_whatever_goes_wrong(connection, emulator, number):
    wanted, unknown = create_all(connection, emulator, number)
    assert unknown > 0
    # Where even taking a Twin back was in vain, it is left without its key.
    swept = Meter.sweep(older_than=0)
    found = [meter.load("identities") for meter in Meter.scan()]
    print(f"\n{number} creations: {unknown} times in doubt, {len(swept.terminated)} Twins swept")
    assert not swept.adopted
    assert sorted(meter.serial for meter in found) == sorted(set(wanted))


def test_threads_that_create_the_same(connection, meters):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda index: Meter.find_or_create(serial=f"S{index % 5}"), range(40)))
    assert sum(created for _, created in made) >= 5
    # Whoever asks from now on finds one and the same.
    assert {Meter.find(serial=f"S{index}").uuid for index in range(5)} <= set(meters())


def test_tasks_that_create_the_same(connection):
    async def all_of_them():
        return await asyncio.gather(
            *(Meter.afind_or_create(serial=f"S{index % 5}") for index in range(40))
        )

    assert len({meter.uuid for meter, _ in asyncio.run(all_of_them())}) >= 5


# What killed programs leave


@pytest.fixture
def orphan(others):
    """Make a Meter as a program leaves it that was killed before it attached the key."""

    def orphan(serial, kind="meter"):
        described = {"kind": kind, "_ttorm_key": f"METER#{serial} {'0' * 32}"}
        twin = others.call("create_twin", body={"description": described})
        return twin["creation_certificate"]["uuid"]

    return orphan


async def test_a_sweep_gives_orphans_their_keys(do, connection, orphan, meters):
    uuid = orphan("A17")
    swept = await do(Meter, "sweep", older_than=0)
    [adopted] = swept.adopted
    assert (type(adopted), adopted.uuid, swept.terminated) == (Meter, uuid, ())
    assert (await do(Meter, "find", serial="A17")).uuid == uuid
    assert await do(Meter, "sweep", older_than=0) == ((), ())


async def test_a_sweep_ends_orphans_whose_key_another_one_has(do, connection, orphan, make, others):
    kept, lost = make("A17"), orphan("A17")
    assert await do(Meter, "sweep", older_than=0) == ((), (lost,))
    assert others.call("get_twin", lost, show_terminated=True)["status"] == "terminated"
    assert (await do(Meter, "find", serial="A17")).uuid == kept


async def test_of_orphans_of_one_key_one_gets_it(do, connection, orphan):
    orphans = {orphan("A17") for _ in range(3)}
    swept = await do(Meter, "sweep", older_than=0)
    [adopted] = swept.adopted
    assert {adopted.uuid, *swept.terminated} == orphans
    assert await do(Meter, "find_all", serial="A17") == [adopted]


async def test_a_sweep_leaves_the_others_alone(do, connection, orphan, make, sent):
    await do(Meter, "find_or_create", serial="B1")
    make("B2")
    orphan("B3", kind="another")
    orphan("B4")
    sent.clear()
    assert await do(Meter, "sweep") == ((), ())
    assert [request.path for request in sent] == ["/twins"]
    swept = await do(Meter, "sweep", older_than=0)
    assert [meter.serial for meter in swept.adopted] == ["B4"]
