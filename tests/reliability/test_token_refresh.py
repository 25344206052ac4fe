"""Tokens at their end: of all who need another one, one gets it, whatever happens to it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest

import ttorm
from ttorm import Secret, ServerError, Token, TokenOptions
from ttorm.api.http import HttpResponse
from ttorm.api.retry import NO_RETRIES
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

MANY = 100
PATIENCE = 30.0
TOKENS = TokenOptions(lifetime=100.0, ahead=10.0)
FRESH, ANOTHER = "/token/refresh", "/token"


class Desk:
    """The service, whose requests for tokens can be held back and refused.

    Attributes:
        asked: How often each path was asked for.
        open: Set while requests for tokens are answered.
        refusals: How many of them are still to fail.
    """

    def __init__(self, emulator):
        self._door = EmulatorTransport(emulator)
        self._lock = threading.Lock()
        self.emulator = emulator
        self.asked = Counter()
        self.open = threading.Event()
        self.open.set()
        self.refusals = 0

    def send(self, request):
        if (refusal := self._ask(request)) is None:
            return self._door.send(request)
        assert self.open.wait(PATIENCE)
        return refusal(self._door.send)

    async def asend(self, request):
        if (refusal := self._ask(request)) is None:
            return await self._door.asend(request)
        assert await asyncio.to_thread(self.open.wait, PATIENCE)
        return refusal(self._door.send)

    def _ask(self, request):
        path = urlsplit(request.url).path
        with self._lock:
            self.asked[path] += 1
            if path not in (FRESH, ANOTHER):
                return None
            self.refusals -= 1
            refused = self.refusals >= 0
        return lambda send: HttpResponse(500, {}, b"") if refused else send(request)

    def close(self):
        self._door.close()

    async def aclose(self):
        await self._door.aclose()


@pytest.fixture
def desk():
    with Emulator("memory:", seed=1) as emulator:
        # Times between the clock and the deadlines do not matter, only their order.
        emulator.clock.freeze(time.time())
        yield Desk(emulator)


@pytest.fixture
def secret(desk):
    """The secret of a user."""
    with ttorm.connect(transport=EmulatorTransport(desk.emulator, desk.emulator.first_user())):
        user = ttorm.User.create(role=ttorm.Role.create(name="Guest"))
        invitation = user.invite()
        return ttorm.claim(invitation.account, invitation.pin)


@pytest.fixture
def connect(desk):
    """Connect with the emulator's clock."""

    def connect(**options):
        common = {"cache": None, "retry": NO_RETRIES, "default": False, "transport": desk}
        connection = ttorm.connect(**common, **options)
        connection.credentials._clock = desk.emulator.clock.now
        return connection

    return connect


@pytest.fixture
def connection(connect, secret):
    """A connection that signs with tokens, the first of which is there."""
    connection = connect(secret=secret, tokens=TOKENS)
    connection.call("who_am_i")
    return connection


class Crowd:
    """Threads and tasks that all call the service at the same time.

    Attributes:
        outcomes: What each of them got: an answer or an error.
    """

    def __init__(self, connections, threads=MANY, tasks=MANY):
        self.outcomes = []
        self.tasks = []
        self._connections = connections
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(threads)]
        self._looping = threading.Thread(target=lambda: asyncio.run(self._loop(tasks)))
        self._begun = threading.Event()
        self.loop = None

    def _pick(self, number):
        return self._connections[number % len(self._connections)]

    def _call(self, number):
        try:
            self.outcomes.append(self._pick(number).call("who_am_i"))
        except ttorm.TtormError as error:
            self.outcomes.append(error)

    async def _loop(self, count):
        self.loop = asyncio.get_running_loop()
        self.tasks = [
            asyncio.create_task(self._pick(number).acall("who_am_i")) for number in range(count)
        ]
        self._begun.set()
        self.outcomes.extend(await asyncio.gather(*self.tasks, return_exceptions=True))

    def __enter__(self):
        for thread in [*self._threads, self._looping]:
            thread.start()
        assert self._begun.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        for thread in [*self._threads, self._looping]:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def cancel(self, *numbers):
        done = threading.Event()

        def cancel():
            for number in numbers:
                self.tasks[number].cancel()
            done.set()

        self.loop.call_soon_threadsafe(cancel)
        assert done.wait(PATIENCE)

    @property
    def failed(self):
        return [outcome for outcome in self.outcomes if not isinstance(outcome, dict)]


def settle():
    """Have everybody arrive where they wait."""
    time.sleep(0.3)


def test_a_hundred_threads_and_a_hundred_tasks_refresh_once(desk, connection):
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    desk.open.clear()
    with Crowd([connection]) as crowd:
        settle()
        desk.open.set()
    assert crowd.failed == []
    assert desk.asked == {FRESH: 1, "/whoami": 2 * MANY}


def test_after_its_end_a_token_is_made_once(desk, connection):
    desk.emulator.clock.advance(1_000)
    desk.asked.clear()
    desk.open.clear()
    with Crowd([connection]) as crowd:
        settle()
        desk.open.set()
    assert crowd.failed == []
    assert desk.asked == {ANOTHER: 1, "/whoami": 2 * MANY}


def test_the_first_token_is_made_once(desk, connect, secret):
    connection = connect(secret=secret, tokens=TOKENS)
    desk.asked.clear()
    with Crowd([connection]) as crowd:
        pass
    assert crowd.failed == []
    assert desk.asked == {ANOTHER: 1, "/whoami": 2 * MANY}


def test_a_hundred_connections_refresh_once_each(desk, connect, secret):
    connections = [connect(secret=secret, tokens=TOKENS) for _ in range(MANY)]
    for connection in connections:
        connection.call("who_am_i")
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    with Crowd(connections) as crowd:
        pass
    assert crowd.failed == []
    assert desk.asked == {FRESH: MANY, "/whoami": 2 * MANY}


def test_when_the_refresh_fails_the_secret_makes_another_token(desk, connection):
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    desk.open.clear()
    desk.refusals = 1
    with Crowd([connection]) as crowd:
        settle()
        desk.open.set()
    assert crowd.failed == []
    assert desk.asked == {FRESH: 1, ANOTHER: 1, "/whoami": 2 * MANY}


def test_cancelled_waiters_and_a_failed_leader_leave_the_others_alone(desk, connection):
    """Every tenth task is cancelled, and who asks first fails: somebody else asks again, once."""
    desk.emulator.clock.advance(1_000)
    desk.asked.clear()
    desk.open.clear()
    desk.refusals = 1
    # The threads come first: one of them leads.
    with Crowd([connection]) as crowd:
        settle()
        crowd.cancel(*range(0, MANY, 10))
        desk.open.set()
    errors = Counter(type(outcome) for outcome in crowd.failed)
    assert errors == {asyncio.CancelledError: MANY // 10, ServerError: 1}
    assert desk.asked == {ANOTHER: 2, "/whoami": 2 * MANY - MANY // 10 - 1}


def test_a_hundred_connections_with_cancelled_waiters_and_a_failed_leader(desk, connect, secret):
    connections = [connect(secret=secret, tokens=TOKENS) for _ in range(MANY)]
    for connection in connections:
        connection.call("who_am_i")
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    desk.open.clear()
    desk.refusals = 1
    with Crowd(connections) as crowd:
        settle()
        crowd.cancel(*range(0, MANY, 10))
        desk.open.set()
    errors = Counter(type(outcome) for outcome in crowd.failed)
    assert errors == {asyncio.CancelledError: MANY // 10}
    # The secret of the one that failed made another token.
    assert desk.asked == {FRESH: MANY, ANOTHER: 1, "/whoami": 2 * MANY - MANY // 10}


def test_a_cancelled_leader_hands_over(desk, connection):
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    desk.open.clear()
    with Crowd([connection], threads=0) as crowd:
        settle()
        # Tasks run in the order of their making: the first one leads.
        crowd.cancel(0)
        settle()
        desk.open.set()
    assert [type(outcome) for outcome in crowd.failed] == [asyncio.CancelledError]
    assert desk.asked == {FRESH: 2, "/whoami": MANY - 1}


def test_an_outage_is_not_asked_about_by_everybody(desk, connection):
    desk.emulator.clock.advance(1_000)
    desk.asked.clear()
    desk.refusals = 1_000
    desk.open.clear()
    with Crowd([connection]) as crowd:
        settle()
        desk.open.set()
    assert len(crowd.failed) == 2 * MANY
    assert all(isinstance(outcome, ttorm.TtormError) for outcome in crowd.failed)
    assert desk.asked[ANOTHER] <= 5
    assert desk.asked["/whoami"] == 0


def test_a_token_that_is_still_good_outlives_an_outage(desk, connection):
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    desk.refusals = 1_000
    for _ in range(5):
        connection.call("who_am_i")
    assert desk.asked == {FRESH: 1, ANOTHER: 1, "/whoami": 5}
    desk.refusals = 0
    desk.emulator.clock.advance(4.9)
    connection.call("who_am_i")
    assert desk.asked == {FRESH: 1, ANOTHER: 1, "/whoami": 6}
    desk.emulator.clock.advance(0.2)
    connection.call("who_am_i")
    assert desk.asked == {FRESH: 1, ANOTHER: 2, "/whoami": 7}


def test_tokens_without_a_secret_refresh_once(desk, connect, secret):
    end = desk.emulator.clock.now() + 100
    with ttorm.session(connect(secret=secret)):
        token = Token.create(options=["refresh"], valid_until=end)
    connection = connect(token=token, tokens=TOKENS)
    desk.emulator.clock.advance(95)
    desk.asked.clear()
    with Crowd([connection]) as crowd:
        pass
    assert crowd.failed == []
    assert desk.asked == {FRESH: 1, "/whoami": 2 * MANY}


def test_tokens_that_died_are_replaced_once(desk, connection):
    """A 401 ahead of time, as after the service has changed its keys."""
    connection.credentials.current = connection.credentials.current._replace(
        text=Secret("a.dead.token")
    )
    desk.asked.clear()
    desk.open.clear()
    with Crowd([connection]) as crowd:
        settle()
        desk.open.set()
    assert crowd.failed == []
    assert desk.asked == {ANOTHER: 1, "/whoami": 4 * MANY}


class Dated(Desk):
    """The service, which tells the time in its answers."""

    def _ask(self, request):
        refusal = super()._ask(request) or (lambda send: send(request))
        return lambda send: self._dated(refusal(send))

    def _dated(self, response):
        date = format_datetime(datetime.fromtimestamp(self.emulator.clock.now(), UTC), usegmt=True)
        return response._replace(headers={**response.headers, "date": date})


@pytest.mark.parametrize("ahead", [600.0, -600.0])
@pytest.mark.parametrize("lifetime", [300.0, 3_600.0])
@pytest.mark.parametrize("kind", ["secret", "token"])
def test_clocks_that_differ(desk, secret, ahead, lifetime, kind):
    """Tokens end by the service's clock, ten minutes away: each is refreshed ahead of its end."""
    desk, clock = Dated(desk.emulator), desk.emulator.clock
    options = {"tokens": TokenOptions(lifetime=lifetime, ahead=60.0)}
    if kind == "secret":
        options["secret"] = secret
    else:
        with ttorm.session(ttorm.connect(transport=desk, secret=secret, default=False)):
            end = clock.now() + lifetime
            options["token"] = Token.create(options=["refresh"], valid_until=end)
    connection = ttorm.connect(
        transport=desk, cache=None, retry=NO_RETRIES, default=False, **options
    )
    connection.credentials._clock = lambda: clock.now() - ahead
    desk.asked.clear()
    for _ in range(240):
        connection.call("who_am_i")
        clock.advance(30)
    # Only who has never heard the service makes a token that is over at once.
    late = kind == "secret" and ahead > lifetime
    assert desk.asked["/whoami"] == 240 + late
    assert desk.asked[ANOTHER] == (0 if kind == "token" else 1 + late)
    refreshes = 7_200 / (lifetime - 60)
    assert refreshes / 2 < desk.asked[FRESH] <= refreshes


@pytest.mark.parametrize("date", ["", "soon", "Fri, 01 Jan 2100 00:00:00 GMT", "5"])
def test_dates_that_nobody_believes(connect, secret, date):
    connection = connect(secret=secret, tokens=TOKENS)
    connection.credentials.hear({"date": date})
    assert connection.credentials._shift == 0.0


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
@pytest.mark.parametrize("zone", ["-0000", ""])
def test_dates_that_name_no_zone_are_in_gmt(connect, secret, monkeypatch, zone):
    connection = connect(secret=secret, tokens=TOKENS)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        now = datetime.fromtimestamp(connection.credentials._clock(), UTC)
        connection.credentials.hear({"date": f"{now:%a, %d %b %Y %H:%M:%S} {zone}"})
        assert connection.credentials._shift == 0.0
    finally:
        monkeypatch.undo()
        time.tzset()
