"""Secrets that are known to the tests go everywhere ttorm goes, and are seen nowhere.

The canaries are a user's secret, a token, a PIN, and the secrets and tokens of a subscription. An
emulator makes them, requests are signed with them; then everything that people or programs look
at is searched for them, as they are and in the usual codings.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import canaries
import pytest
import rich.console
import rich.pretty
from canaries import HOOK, Cage, shown, strip, texts_of_error, walk

import ttorm
from ttorm import (
    Batch,
    BatchCall,
    CircuitBreaker,
    Field,
    Limits,
    Link,
    Log,
    RetryPolicy,
    Role,
    Subscription,
    Token,
    TokenOptions,
    TtormError,
    Twin,
    User,
    description,
    entry,
    identity,
    reference,
    signals,
)
from ttorm.api.errors.subcodes import SUBCODES
from ttorm.api.errors.transport import RequestError
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.cli.commands import ttorm as command_line
from ttorm.connection.http import HttpTransport
from ttorm.webhooks import Receiver

# Every frame of every error is looked at: measuring that takes long, and covers nothing of ttorm.
pytestmark = pytest.mark.no_cover

PYTHON = [sys.executable, "-m", "ttorm"]
NOBODY = "00000000-0000-4000-8000-000000000000"


class Station(Twin):
    celsius: Field[float] = entry(default=1.0)


class Pump(Twin):
    class Meta:
        kind = "pump"

    serial: Field[str | None] = identity("SN", default=None)
    pressure: Field[float] = entry()
    station: Field[Link[Station] | None] = description(default=None)
    outside: Field[float | None] = reference(Station.celsius, default=None)


class Tank(Twin):
    class Meta:
        kind = "tank"


# The canaries


@pytest.fixture
def cage(world):
    return world.cage


def test_a_canary_that_is_seen_is_noticed(cage, world):
    assert {"secret", "token", "pin", "client_secret", "server_secret"} <= cage.kinds
    for text in (
        world.secret.reveal(),
        f"?token={quote(world.token.value.reveal())}",
        repr(world.secret.reveal().encode()),
        base64.b64encode(world.secret.reveal().encode()).decode(),
        world.secret.reveal()[::-1],
        world.token.value.reveal()[:40],
    ):
        with pytest.raises(AssertionError, match=r"it shows \w+"):
            cage.check("it", text)
    cage.check("it", repr(world.secret))


# Errors


def status(code, subcode=None):
    """A situation: the service answers so."""
    body = b"{}" if subcode is None else json.dumps({"subcode": subcode}).encode()

    def situation(world):
        world.call(world.answering(*[HttpResponse(code, {}, body)] * 3), "call", "who_am_i")

    return situation


def lost(name, **options):
    """A situation: the transport fails so."""

    def situation(world):
        connection = world.answering(getattr(ttorm, name)("it broke", **options))
        world.call(connection, "call", "who_am_i")

    return situation


def _configuration(world):
    # A slip of the fingers, with the password in the address.
    ttorm.connect(f"mysql://ann:{world.secret.reveal()}@db.example/x", default=False)


def _validation(world):
    pin = world.used.pin.reveal() + " "
    world.call(ttorm, "claim", world.used.account, pin, connection=world.connection)


def _not_loaded(world):
    async def main():
        return Pump.at(NOBODY).pressure

    asyncio.run(main())


def _missing_entry(world):
    twin = Twin.create(description={"kind": "pump"})
    _ = Pump.get(twin.uuid).pressure


def _wrong_kind(world):
    Pump.get(Tank.create().uuid)


def _broken_reference(world):
    station = Station.create()
    pump = Pump.create(pressure=1.0, outside=station)
    station.ledger["celsius"].delete()
    pump.refresh()
    pump.load("ledger")
    _ = pump.outside


def _ambiguous(world):
    for _ in range(2):
        Pump.create(pressure=1.0, serial="A1")
    Pump.find(serial="A1", strict=True)


def _state(world):
    with world.connect(transport=HttpTransport()) as connection:
        pass
    connection.call("who_am_i")


def _budget(world):
    with ttorm.session(budget=0):
        Twin.get(NOBODY)


def _not_stored(world):
    def store(secret):
        raise OSError("the disk is full")

    world.call(world.connection, "rotate", store=store)


def _batch(world):
    batch = Batch.run("create_twin", [BatchCall()])
    answer = {**world.connection.call("get_batch", batch.uuid), "status": "hash_mismatch"}
    world.connection.transport.answers = [HttpResponse(200, {}, json.dumps(answer).encode())]
    batch.wait_done()


def _log_gap(world):
    log = Log()
    log.read()
    for _ in range(2):
        world.connection.trace()
        log.read()
        world.connection.call("get_log")
    known = world.connection.call("get_log")
    known |= {name: value + 100 for name, value in known.items() if type(value) is int}
    world.connection.transport.answers = [HttpResponse(200, {}, json.dumps(known).encode())]
    log.read()


def _conflict(world):
    pump = Pump.create(pressure=1.0)
    pump.load("ledger")
    body = {"entries": {"pressure": {"value": 9.0}}}
    world.connection.call("update_twin_ledger_entry_value", pump.uuid, body=body)
    pump.pressure = 2.0
    pump.save(check=True)


def _save(world):
    pump = Pump.create(pressure=1.0)
    pump.ledger["other"] = 1
    Twin.at(pump.uuid)
    world.connection.call(
        "add_twin_ledger_entry", pump.uuid, body={"entries": {"other": {"value": 2}}}
    )
    pump.save()


def _circuit(world):
    connection = world.answering(
        HttpResponse(500), retry=RetryPolicy(attempts=1, breaker=CircuitBreaker(1, 60.0))
    )
    with pytest.raises(ttorm.ServerError):
        connection.call("who_am_i")
    world.call(connection, "call", "who_am_i")


def _unknown(world):
    connection = world.answering(*[ttorm.TransportError("cut off", sent=True)] * 2)
    account, pin = world.used.account, world.invitation.pin
    world.call(ttorm, "claim", account, pin, connection=connection)


def _format(world):
    page = f"<html>{world.secret.reveal()}</html>".encode()
    world.call(world.answering(HttpResponse(200, {}, page)), "call", "create_user_token", body={})


def _too_large(world):
    def big(request):
        httpx = sys.modules[type(request).__module__.partition(".")[0]]
        return httpx.Response(200, content=b"x" * 2_000)

    module = __import__(ttorm.connection.http.LIBRARY)
    transport = HttpTransport(Limits(body=1_000), module.MockTransport(big))
    world.call(world.connect(transport=transport), "call", "who_am_i")


SITUATIONS = {
    "ConfigurationError": _configuration,
    "ValidationError": _validation,
    "NotLoadedError": _not_loaded,
    "MissingEntryError": _missing_entry,
    "WrongKindError": _wrong_kind,
    "BrokenReferenceError": _broken_reference,
    "AmbiguousIdentityError": _ambiguous,
    "StateError": _state,
    "BudgetExceededError": _budget,
    "SecretNotStoredError": _not_stored,
    "BatchError": _batch,
    "LogGapError": _log_gap,
    "ConflictError": _conflict,
    "SaveError": _save,
    "TransportError": lost("TransportError", sent=False),
    "RequestTimeoutError": lost("RequestTimeoutError", sent=False),
    "CircuitOpenError": _circuit,
    "OutcomeUnknownError": _unknown,
    "ResponseFormatError": _format,
    "ResponseTooLargeError": _too_large,
    "ApiError": status(302),
    "BadRequestError": status(400),
    "UnauthorizedError": status(401),
    "ForbiddenError": status(403),
    "NotFoundError": status(404),
    "ServerError": status(500),
    "BusyError": status(429),
    **{
        row.error.__name__: status(number // 1000, number)
        for number, row in SUBCODES.items()
        if row.error.__name__ not in {"UnauthorizedError", "ForbiddenError", "NotFoundError"}
        and row.error.__name__ != "ServerError"
    },
}


def below(cls):
    for child in cls.__subclasses__():
        if child.__module__.partition(".")[0] == "ttorm":
            yield child
            yield from below(child)


def test_every_error_class_has_a_situation():
    # RequestError is what the errors of requests have in common, and is never raised itself.
    assert {cls.__name__ for cls in below(TtormError)} - {RequestError.__name__} == set(SITUATIONS)


@pytest.fixture
def plain_source(monkeypatch):
    """Tracebacks of rich without colours in their source text, which take most of their time."""
    monkeypatch.setitem(rich.traceback.Traceback.LEXERS, ".py", "text")


@pytest.mark.parametrize("credential", ["secret", "token", "tokens", "tokens in a loop"])
@pytest.mark.parametrize("name", SITUATIONS)
def test_errors_show_no_canary(world, cage, name, credential, plain_source):
    make = world.connect
    if credential == "token":
        world.connect = lambda **options: make(**{"token": world.token, **options})
    elif credential.startswith("tokens"):
        world.looping = credential.endswith("loop")
        world.connect = lambda **options: make(**{"tokens": TokenOptions(), **options})
    with pytest.raises(getattr(ttorm, name)) as raised:
        SITUATIONS[name](world)
    assert type(raised.value) is getattr(ttorm, name)
    for where, text in texts_of_error(strip(raised.value, __file__, canaries.__file__)):
        if name == "SecretNotStoredError":
            Cage(new=raised.value.secret.reveal()).check(where, text)
        cage.check(f"{where} of {name}", text)


# Objects


def objects(world):
    """Make one of everything that holds a secret."""
    connection = world.connection
    tokened = world.connect(tokens=TokenOptions(secret_dict={"serial": "A1"}))
    tokened.whoami()
    served = ttorm.connect(
        "https://api.example",
        token=world.token,
        default=False,
        proxy=f"http://ann:{quote(world.secret.reveal(), safe='')}@proxy.example:8080",
    )
    request = ttorm.api.request.api_request("who_am_i")
    receiver = Receiver(connection)
    session = ttorm.session(connection)
    return {
        "a secret": world.secret,
        "a token": world.token,
        "an invitation": world.invitation,
        "what is known of a secret": world.ann.secret,
        "a user": world.ann,
        "a subscription": world.subscription,
        "a receiver": receiver,
        "a connection": connection,
        "a connection with tokens": tokened,
        "a connection to a service": served,
        "its transport": served.transport,
        "credentials": tokened.credentials,
        "a credential": tokened.credentials.current,
        "options of tokens": TokenOptions(secret_dict={"serial": "A1"}),
        "an HTTP request": connection.bind(request, connection.credentials.current),
        "a request": ttorm.api.request.api_request(
            "create_user_secret", [world.used.account, world.used.pin.header()]
        ),
        "a call": ttorm.Call(
            connection,
            ttorm.api.request.api_request(
                "create_user_secret", [world.used.account, world.used.pin.header()]
            ),
        ),
        "a session": session,
        "a record": Pump.create(pressure=1.0),
        "a cache": connection.cache,
    }


def test_what_holds_a_secret_does_not_show_it(world, cage):
    for name, thing in objects(world).items():
        for where, text in shown(thing):
            cage.check(f"{where} of {name}", text)


ON_THE_WAY = {"a request", "a call"}
"""Plain data, made when it is sent and kept nowhere: the path of this one has the PIN."""


def test_nothing_that_is_kept_has_a_secret_as_plain_text(world, cage):
    for name, thing in objects(world).items():
        if name not in ON_THE_WAY:
            for text in walk(thing, {}):
                plain = repr(text) if type(text) not in {str, bytes} else text
                cage.check(f"something in {name}", plain)


def test_a_header_stays_masked_when_it_is_cut(world, cage):
    """Debuggers show the beginning of long texts."""
    header = world.token.value.header()
    request = HttpRequest("GET", "https://api.example", {"authorization": header})
    assert str.__str__(header) == world.token.value.reveal()
    for text in (repr(header[:40]), repr(request), rich.pretty.pretty_repr(request, max_string=9)):
        cage.check("a header", text)


# The log


@pytest.fixture
def lines():
    """All that anybody logs, at every level, with what hangs on the records."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)

    def everything(record):
        extra = {name: value for name, value in vars(record).items() if name != "args"}
        return f"{record.getMessage()} {record.args!r} {extra!r}"

    handler.format = everything
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield shown
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def served():
    """A served emulator with its access log: the URL, a secret, and what it prints."""
    command = [*PYTHON, "serve", "--port", "0", "--access-log"]
    environment = {name: text for name, text in os.environ.items() if "TTORM" not in name}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        made = json.loads(process.stdout.readline())
        printed = []

        def end():
            if not printed:
                process.terminate()
                printed.append("".join(process.communicate(timeout=30)))
            return printed[0]

        yield made["url"], made["accounts"][0]["secret"], end
        end()


def test_the_log_of_everything_at_debug_shows_no_canary(served, lines, tmp_path):
    url, secret, end = served
    sent = []
    cages = [Cage(secret=secret)]

    def note(sender, **told):
        sent.append(repr(told))

    with (
        ttorm.connect(url, secret=secret, default=False) as connection,
        signals.request_sent.connected_to(note),
        ttorm.session(connection),
    ):
        cages.append(tour(connection, url, tmp_path))
        cages.append(asyncio.run(atour(url, secret)))
    printed, logged = end(), lines.getvalue()
    for known in cages:
        known.check("the log", logged)
        known.check("the access log", printed)
        known.check("the signals", "".join(sent))
    for logger in ("GET /whoami", "httpcore", "HTTP Request: POST", "send_request_headers"):
        assert logger in logged
    assert "/secrets/" in printed


def tour(connection, url, folder):
    """Use what has to do with credentials; returns those that were made."""
    role = Role.at(connection.whoami()["role"])
    ann = User.create(name="Ann", role=role)
    invitation = ann.invite()
    claimed = ttorm.claim(invitation.account, invitation.pin, url=url)
    with pytest.raises(ttorm.NotFoundError):
        ttorm.claim(invitation.account, invitation.pin, url=url)
    token = Token.create(options=["create", "refresh"], secret_dict={"serial": "A1"})
    with ttorm.connect(url, token=token, default=False) as short:
        short.whoami()
        with pytest.raises(ttorm.NotFoundError):
            short.call("get_twin", NOBODY)
    with ttorm.connect(url, secret=claimed, default=False) as own:
        new = own.rotate()
    with (
        pytest.raises(ttorm.UnauthorizedError),
        ttorm.connect(url, secret=claimed, default=False) as old,
    ):
        old.whoami()
    with ttorm.connect(url, secret=new, tokens=TokenOptions(), default=False) as renewing:
        renewing.whoami()
        renewed = renewing.credentials.current.text
    subscription = Subscription.create("hot", HOOK, connection=connection)
    with pytest.raises(TtormError):
        subscription.confirm(f"{url}/notifications/webhooks/confirm?token=wrong-token-text")
    twin = Twin.create()
    twin.docs.upload("a.txt", b"a" * 2_000)
    assert twin.docs["a.txt"].download() == b"a" * 2_000
    exported = subscription.export()
    return Cage(
        claimed=claimed.reveal(),
        new=new.reveal(),
        pin=invitation.pin.reveal(),
        token=token.value.reveal(),
        renewed=renewed.reveal(),
        client_secret=exported["client_secret"],
        server_secret=exported["server_secret"],
    )


async def atour(url, secret):
    async with (
        ttorm.connect(url, secret=secret, default=False) as connection,
        ttorm.session(connection),
    ):
        token = await Token.acreate(options=["refresh"])
        longer = await token.arefresh()
    async with ttorm.connect(url, token=longer, default=False) as short:
        await short.awhoami()
    return Cage(token=token.value.reveal(), longer=longer.value.reveal())


def work(world):
    """Use credentials once more, by a connection of their own; returns those that were made."""
    connection = world.connect()
    with ttorm.session(connection):
        ann = User.create(name="Ann", role=Role.at(connection.whoami()["role"]))
        invitation = ann.invite()
        claimed = ttorm.claim(invitation.account, invitation.pin, connection=connection)
        token = Token.create(secret_dict={"serial": "A1"})
        subscription = Subscription.create("hot", HOOK, connection=connection)
        with pytest.raises(TtormError):
            subscription.confirm(f"{HOOK}?token={token.value.reveal()}")
    return Cage(
        secret=world.secret.reveal(),
        claimed=claimed.reveal(),
        pin=invitation.pin.reveal(),
        token=token.value.reveal(),
        client_secret=subscription.export()["client_secret"],
        server_secret=subscription.export()["server_secret"],
    )


def test_the_request_log_of_the_emulator_shows_no_canary(world):
    with world.emulator.recording() as made:
        known = work(world)
    assert "create_user_secret" in [request.operation for request in made]
    for request in made:
        known.check("the request log", f"{request!r} {request} {request.path} {request.query}")
        known.check("a body in the request log", repr(request.body))


def test_hooks_and_spans_show_no_canary(world):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from ttorm.contrib import otel

    told, exporter, provider = [], InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hooks = otel.Telemetry(tracer_provider=provider)

    class Notes(ttorm.Hooks):
        def after(self, call):
            told.append(f"{call!r} {call.path} {call.template} {call.request!r} {call.headers}")

    make = world.connect
    world.connect = lambda **options: make(hooks=[Notes(), hooks], **options)
    known = work(world)
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert len(spans) >= len(told) >= 6
    for text in (*told, *spans):
        known.check("a hook or span", text)
    provider.shutdown()


# Cassettes


def test_a_cassette_has_no_canary(served, tmp_path):
    """Recorded with the settings of the tests of cassettes."""
    import vcr

    source = Path(__file__).parents[1] / "cassettes" / "conftest.py"
    settings = {"__name__": "settings", "__file__": str(source)}
    exec(compile(source.read_text(encoding="utf-8"), source, "exec"), settings)
    url, secret, _ = served
    recorder = vcr.VCR(record_mode="all")
    recorder.register_serializer("yaml", settings["Clean"])
    cassette = tmp_path / "recorded.yaml"
    with (
        recorder.use_cassette(str(cassette)),
        ttorm.connect(url, secret=secret, default=False) as connection,
        ttorm.session(connection),
    ):
        ann = User.create(name="Ann", role=Role.at(connection.whoami()["role"]))
        invitation = ann.invite()
        claimed = ttorm.claim(invitation.account, invitation.pin, url=url)
        token = Token.create()
        subscription = Subscription.create("hot", HOOK, connection=connection)
    exported = subscription.export()
    recorded = cassette.read_text(encoding="utf-8")
    assert recorded.count("request:") >= 6
    Cage(
        secret=secret,
        pin=invitation.pin.reveal(),
        claimed=claimed.reveal(),
        token=token.value.reveal(),
        client_secret=exported["client_secret"],
        server_secret=exported["server_secret"],
    ).check("the cassette", recorded)


# The command line


def options(command, path="ttorm"):
    for parameter in command.params:
        yield path, parameter
    for name, child in getattr(command, "commands", {}).items():
        yield from options(child, f"{path} {name}")


def test_no_option_takes_a_secret_or_token():
    """What is given as an argument, everybody on the machine can read in the list of processes."""
    for path, parameter in options(command_line):
        for name in (parameter.name, *parameter.opts):
            spoken = name.strip("-").replace("_", "-")
            value = not getattr(parameter, "is_flag", False)
            assert not (value and spoken in {"secret", "token", "password", "key"}), (path, name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["serve", "--help"],
        ["listen", "--help"],
        ["secret", "rotate", "--help"],
        ["secret", "rotate"],
        ["listen", "--topic", "hot"],
    ],
    ids=" ".join,
)
def test_the_command_line_shows_no_canary(world, cage, arguments):
    environment = {
        **os.environ,
        "TTORM_URL": "http://127.0.0.1:9",
        "TTORM_SECRET": world.secret.reveal(),
    }
    done = subprocess.run(
        [*PYTHON, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stdout + done.stderr
    cage.check("the command line", done.stdout + done.stderr)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
def test_a_listener_has_no_canary_among_its_arguments_or_lines(served):
    url, secret, _ = served
    environment = {**os.environ, "TTORM_URL": url, "TTORM_SECRET": secret}
    command = [*PYTHON, "listen", "--topic", "hot"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        first = process.stderr.readline()
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.terminate()
        rest = "".join(process.communicate(timeout=30))
    assert "hot" in first
    known = Cage(secret=secret)
    known.check("the arguments", arguments)
    known.check("what it prints", first + rest)
    assert "token=" not in first + rest
