"""One emulator in memory, connections whose requests are recorded, and both worlds.

A test that is a coroutine function runs twice: "sync" drives it by hand, without any event loop,
and "async" runs it by `asyncio.run`. It calls verbs by `do`, which picks the form of its world::

    async def test_saving(do, sent):
        twin = await do(Twin, "create")          # create(), or await acreate()
        assert sent.lines() == ["POST /twins"]
"""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

import ttorm
from ttorm.api.http import Upload
from ttorm.connection import opening
from ttorm.emulator import Emulator
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.transport import EmulatorTransport

OPEN_RULES = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}


# Both worlds


class World:
    """Runs verbs, blocks and iterations as a sync or an async program would."""

    def __init__(self, asynchronous):
        self.asynchronous = asynchronous

    def run(self, coroutine):
        """Run a whole test, or a fixture's end."""
        if self.asynchronous:
            return asyncio.run(coroutine)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        finally:
            coroutine.close()
        raise AssertionError("a sync test has waited for something")

    async def __call__(self, owner, verb, *arguments, **options):
        """Call ``owner.verb(...)``, or ``await owner.averb(...)``."""
        if self.asynchronous:
            return await getattr(owner, f"a{verb}")(*arguments, **options)
        return getattr(owner, verb)(*arguments, **options)

    async def list(self, iterable):
        """Go through a scan or history to its end."""
        if self.asynchronous:
            return [item async for item in iterable]
        return list(iterable)

    @asynccontextmanager
    async def block(self, manager):
        """Enter ``with manager`` or ``async with manager``."""
        if self.asynchronous:
            async with manager as entered:
                yield entered
        else:
            with manager as entered:
                yield entered


def pytest_generate_tests(metafunc):
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("world")
        metafunc.parametrize("world", ["sync", "async"], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    pyfuncitem.funcargs["world"].run(test)
    return True


@pytest.fixture
def world(request):
    """The world that the test runs in; plain functions are sync."""
    return World(getattr(request, "param", "sync") == "async")


@pytest.fixture
def do(world):
    """Call verbs: ``await do(record, "save", check=True)``."""
    return world


# What goes over the wire


class Request(NamedTuple):
    """A request as it was sent; the body is decoded JSON, or the bytes of a file."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: object = None

    def __str__(self):
        return f"{self.method} {self.path}"


class Sent(list):
    """The requests of a connection, in order."""

    def take(self):
        """Return what was sent since the last time, as tuples."""
        taken = list(self)
        self.clear()
        return taken

    def lines(self):
        """Return what was sent since the last time, as ``"METHOD /path"``."""
        return [str(request) for request in self.take()]


class RecordingTransport:
    """A transport that notes what is sent before another one carries it.

    Attributes:
        sent: The requests.
        meddle: Called with each `HttpRequest`: what it returns is the answer (None: the other
            transport's), what it raises is the failure.
    """

    def __init__(self, transport):
        self.transport = transport
        self.emulator, self.user = transport.emulator, transport.user
        self.sent = Sent()
        self.meddle = lambda request: None

    def send(self, request):
        self._note(request)
        answer = self.meddle(request)
        return self.transport.send(request) if answer is None else answer

    async def asend(self, request):
        self._note(request)
        answer = self.meddle(request)
        return await self.transport.asend(request) if answer is None else answer

    def _note(self, request):
        url = urlsplit(request.url)
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        self.sent.append(Request(request.method, unquote(url.path), query, _content(request)))

    def close(self):
        self.transport.close()

    async def aclose(self):
        await self.transport.aclose()


def _content(request):
    if isinstance(request.body, Upload):
        with request.body.open() as reader:
            return reader.read()
    if request.headers.get("content-type") == "application/json":
        return json.loads(request.body)
    return request.body or None


# The service and connections to it


@pytest.fixture
def emulator():
    with Emulator("memory:", seed=1) as emulator:
        yield emulator


@pytest.fixture
def connect(emulator, monkeypatch, world):
    """Make connections to the emulator: ``connect(user=..., **options of ttorm.connect)``.

    Their transports record; none is the default connection unless it is asked for.
    """
    made = []

    def connect(user=None, **options):
        transport = RecordingTransport(EmulatorTransport(emulator, user or emulator.first_user()))
        made.append(ttorm.connect(transport=transport, **{"default": False, **options}))
        return made[-1]

    monkeypatch.setattr(opening, "_default", None)
    yield connect
    for connection in made:
        world.run(world(connection, "close"))


@pytest.fixture
def connection(connect):
    """The default connection."""
    return connect(default=True)


@pytest.fixture
def wire(connection):
    """The default connection's transport."""
    return connection.transport


@pytest.fixture
def sent(wire):
    """The requests of the default connection."""
    return wire.sent


@pytest.fixture
def others(connect, connection):
    """Another program of the same account: ``others.call("update_twin", ...)``."""
    return connect(cache=None)


@pytest.fixture
def stranger(emulator, connect, connection):
    """A connection of a second account, whose role lets see whatever others show."""
    stranger = connect(make_account(emulator).user)
    role = stranger.whoami()["role"]
    stranger.call("update_user_role", role, body={"rules": OPEN_RULES})
    stranger.transport.sent.clear()
    return stranger
