"""A service that has gone mad: nothing but errors of ttorm's reaches the user, and soon.

Programs of all kinds run against an emulator whose answers are bent on the way: odd members, other
types, cut bytes, other encodings, pages of proxies, bombs of compressed blanks.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from bent_answers import bend

import ttorm
from ttorm import Entry, Field, Link, Twin, description, entry, identity, include
from ttorm.api.http import HttpRequest, Limits
from ttorm.connection.http import HttpTransport, httpx
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport
from ttorm.sessions import current_session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3_600),
    pytest.mark.filterwarnings("ignore::ttorm.UnsavedChangesWarning"),
]
ROOM = 64 << 20
ANSWERS = 500
SECONDS = 5.0
POLICY = ttorm.RetryPolicy(attempts=2, base=0.0, longest_retry_after=0.0, quota=None)


class Place(Twin):
    """Where pumps are."""

    name: Field[str] = description()
    celsius: Field[float] = entry(default=20.0)

    class Meta:
        kind = "place"


class Pump(Twin):
    """A pump with something of everything."""

    model: Field[str] = description()
    flow: Field[float] = entry(default=1.0, history="1Y")
    tags: Field[list[str]] = entry(default_factory=list)
    at_place: Field[Link[Place] | None] = entry(default=None)
    outside: ttorm.Reference[float | None] = include(Place.celsius, default=None)
    serial: Field[str | None] = identity("SN", key=True, default=None)

    class Meta:
        kind = "pump"


class Mad:
    """Carries requests to an emulator; bends most answers."""

    def __init__(self, emulator, chance):
        self.service = EmulatorTransport(emulator, emulator.first_user())
        self.chance = chance
        self.answers = 0

    def _answer(self, request):
        if request.url.host != "service.test" or request.url.scheme != "http":
            raise httpx.ConnectError("a bent answer leads nowhere")
        headers = {name.decode().lower(): value.decode() for name, value in request.headers.raw}
        sent = HttpRequest(request.method, str(request.url), headers, request.content)
        answer = self.service.send(sent)
        body = b"".join(answer.stream) if answer.stream is not None else answer.body
        if self.chance.random() < 0.3:
            return httpx.Response(answer.status, headers=dict(answer.headers), content=body)
        self.answers += 1
        status, headers, body = bend(self.chance, answer.status, answer.headers, body)
        headers.pop("content-length", None)
        return httpx.Response(status, headers=headers, stream=Raw(body))

    def sync(self):
        return httpx.MockTransport(self._read)

    def _read(self, request):
        request.read()
        return self._answer(request)

    def loop(self):
        async def handle(request):
            await request.aread()
            return self._answer(request)

        return httpx.MockTransport(handle)


class Raw(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes as they come over the wire."""

    def __init__(self, body):
        self.body = body

    def __iter__(self):
        yield self.body

    async def __aiter__(self):
        yield self.body


PROGRAMS = {
    "get": lambda do, uuid: do(Pump, "get", uuid, fresh=True),
    "load": lambda do, uuid: do(Pump.at(uuid), "load"),
    "load others": lambda do, uuid: do(Pump.at(uuid), "load", "docs", "ledgers/owner"),
    "refresh": lambda do, uuid: do(Pump.at(uuid), "refresh"),
    "find": lambda do, uuid: do(Pump, "find", serial="A1"),
    "find all": lambda do, uuid: do(Twin, "find_all", "SN#A1"),
    "find or create": lambda do, uuid: do(Pump, "find_or_create", serial="A2", model="X"),
    "create": lambda do, uuid: do(Pump, "create", model="X", flow=2.0),
    "scan": lambda do, uuid: do(Pump.scan(Pump.flow > 0).prefetch("ledger", "identities"), "all"),
    "count": lambda do, uuid: do(Twin.scan(), "count"),
    "history": lambda do, uuid: do(Twin.at(uuid).ledger["flow"].history(), "all"),
    "at": lambda do, uuid: do(Twin.at(uuid).ledger["flow"], "at", time.time()),
    "as of": lambda do, uuid: do(Twin.at(uuid).ledger, "as_of", time.time()),
    "upload": lambda do, uuid: do(Twin.at(uuid).docs, "upload", "note.txt", b"x", wait=False),
    "delete doc": lambda do, uuid: do(Twin.at(uuid).docs["note.txt"], "delete"),
    "download": lambda do, uuid: do(Twin.at(uuid).docs["kept.txt"], "download"),
    "whoami": lambda do, uuid: do(current_session().connection, "whoami"),
    "reconcile": lambda do, uuid: do(Pump, "reconcile", dry_run=True),
    "sweep": lambda do, uuid: do(Pump, "sweep", older_than=0),
    "save all": lambda do, uuid: do(ttorm, "save_all", [Pump(model="Y"), Place(name="Z")]),
    "users": lambda do, uuid: do(ttorm.User.list(), "all"),
    "roles": lambda do, uuid: do(ttorm.Role.list(), "all"),
    "account": lambda do, uuid: do(ttorm.Account, "current"),
    "usage": lambda do, uuid: do(ttorm.Usage, "current"),
}


async def _edit(do, uuid, **options):
    pump = Pump.at(uuid)
    pump.model = f"X{time.monotonic_ns()}"
    pump.flow = time.monotonic()
    pump.ledger["extra"] = Entry({"n": [1, 2]}, visibility="true")
    pump.identities.add(f"NO#{time.monotonic_ns() % 1000}")
    return await do(pump, "save", **options)


async def _increment(do, uuid):
    return await do(Twin.at(uuid).ledger["flow"], "update", lambda flow: repr(flow)[:9])


PROGRAMS["save"] = _edit
PROGRAMS["checked save"] = lambda do, uuid: _edit(do, uuid, check=True)
PROGRAMS["increment"] = _increment


def look(thing):
    """Look at everything that a record shows of itself without asking."""
    if isinstance(thing, (list, tuple)):
        for one in thing[:3]:
            look(one)
        return
    repr(thing)
    if not isinstance(thing, Twin):
        return
    loaded = ttorm.inspect(thing).loaded
    tries = [
        lambda: (thing.owner, thing.status, thing.creator, thing.created_at, thing.updated_at),
        lambda: thing.terminated_at,
        lambda: dict(thing.description),
        thing.to_dict,
        lambda: ttorm.inspect(thing).changes,
        lambda: str(thing.plan()),
    ]
    if "ledger" in loaded:
        tries += [lambda: (thing.flow, thing.tags, thing.at_place, thing.outside)] * hasattr(
            type(thing), "flow"
        )
        tries += [lambda name=name: facts_of_entry(thing.ledger[name]) for name in thing.ledger]
    if "identities" in loaded:
        tries += [lambda name=name: facts_of_name(thing, name) for name in thing.identities]
    for attempt in tries:
        with suppress(ttorm.TtormError):
            attempt()


def facts_of_entry(one):
    for name in ("value", "visibility", "history_period", "timeseries", "publish", "ref"):
        getattr(one, name)
    return one.include, one.created_at, one.updated_at, one.value_changed_at


def facts_of_name(thing, name):
    one = thing.identities[name]
    return one.valid_until, one.visibility, one.is_expired, one.created_at


class Do:
    """Calls verbs, in one world."""

    def __init__(self, asynchronous):
        self.asynchronous = asynchronous

    async def __call__(self, owner, verb, *arguments, **options):
        if self.asynchronous:
            return await getattr(owner, f"a{verb}")(*arguments, **options)
        return getattr(owner, verb)(*arguments, **options)


async def run(mad, connection, uuid, answers, *, asynchronous):
    """Run programs until so many answers were bent."""
    chance, do, found, failures = mad.chance, Do(asynchronous), Counter(), Counter()
    slowest = 0.0
    while mad.answers < answers:
        name = chance.choice(list(PROGRAMS))
        began = time.monotonic()
        block = ttorm.session(connection)
        try:
            # Without a proper end: what a program left to be saved is no matter here.
            (await block.__aenter__()) if asynchronous else block.__enter__()
            try:
                result = PROGRAMS[name](do, uuid)
                result = await result
                look(result)
                look(Pump.at(uuid))
                found["done"] += 1
            finally:
                block.rollback()
                (
                    await block.__aexit__(None, None, None)
                    if asynchronous
                    else block.__exit__(None, None, None)
                )
        except ttorm.TtormError as error:
            failures["an error without a text"] += not str(error)
            found[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001 - all kinds are told at once
            if isinstance(error, KeyError) and name in ("delete doc", "download"):
                continue  # the mapping of Docs says that there is none
            place = traceback.extract_tb(error.__traceback__)[-1]
            failures[f"{name}: {type(error).__name__}: {str(error)[:80]} {place}"[:300]] += 1
        slowest = max(slowest, time.monotonic() - began)
    failures += Counter()  # without those that are zero
    assert not failures, "\n".join(
        f"{number} x {what}" for what, number in failures.most_common(12)
    )
    return found, slowest


def round_of(number, *, asynchronous):
    """Run programs against a new emulator, until `ANSWERS` answers were bent."""
    with Emulator("memory:") as emulator:
        user = EmulatorTransport(emulator, emulator.first_user())
        with ttorm.session(ttorm.connect(transport=user, default=False)):
            pump = Pump.create(model="X", serial="A1", at_place=Place.create(name="yard"))
            pump.docs.upload("kept.txt", b"kept")
        mad = Mad(emulator, Random(2 * number + asynchronous))
        carrier = HttpTransport(Limits(body=16 << 20), mad.loop() if asynchronous else mad.sync())
        connection = ttorm.connect(
            "http://service.test", secret="made-up", transport=carrier, retry=POLICY, default=False
        )
        programs = run(mad, connection, pump.uuid, ANSWERS, asynchronous=asynchronous)
        return asyncio.run(programs) if asynchronous else drive(programs)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.full)])
def test_only_errors_of_ttorm_reach_the_user(rounds, asynchronous):
    round_of(-1, asynchronous=asynchronous)  # what is made once does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, slowest = Counter(), 0.0
    for number in range(rounds):
        seen, longest = round_of(number, asynchronous=asynchronous)
        found += seen
        slowest = max(slowest, longest)
    unit = 1 if sys.platform == "darwin" else 1024
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    print(f"\n{rounds * ANSWERS} bent answers, slowest {slowest:.2f} s, {grown >> 20} MiB, {found}")
    assert slowest < SECONDS
    assert grown < ROOM
    assert len(found) > 5


def drive(coroutine):
    """Run a coroutine that never waits, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it has waited for something")
