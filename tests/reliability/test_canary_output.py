"""What people are shown while work goes on, and what is made of objects: no canary in any of it.

Progress that is told, the output of commands, cassettes, copies and dictionaries of objects.
"""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from canaries import Cage, shown, walk
from click.testing import CliRunner

import ttorm
from ttorm import Batch, BatchCall, Field, Role, Secret, Token, TokenOptions, Twin, entry
from ttorm.cli.commands import ttorm as command
from ttorm.cli.demo.data import read
from ttorm.emulator import Emulator

# Every frame of every error is looked at: measuring that takes long, and covers nothing of ttorm.
pytestmark = pytest.mark.no_cover

PASSWORD = "S3cr3t-Passw0rd-of-Ann"
ACCOUNT = "00000000-0000-4000-8000-000000000000"


class Pump(Twin):
    pressure: Field[float] = entry(default=1.0, history="1M")


# Progress


def _sent(told, looping):
    docs = Pump.create().docs
    if looping:
        asyncio.run(docs.aupload("a.txt", b"a" * 300_000, progress=told))
        asyncio.run(docs["a.txt"].adownload(progress=told))
    else:
        docs.upload("a.txt", b"a" * 300_000, progress=told)
        docs["a.txt"].download(progress=told)


def _reconciled(told, looping):
    Pump.create()
    if looping:
        asyncio.run(Pump.areconcile(progress=told))
    else:
        Pump.reconcile(progress=told)


def _waited(told, looping):
    batch = Batch.run("create_twin", [BatchCall(body={})])
    if looping:
        asyncio.run(batch.await_done(progress=told))
    else:
        batch.wait_done(progress=told)


@pytest.mark.parametrize("tokens", [None, TokenOptions()], ids=["secret", "tokens"])
@pytest.mark.parametrize("looping", [False, True], ids=["blocking", "looping"])
@pytest.mark.parametrize("work", [_sent, _reconciled, _waited])
def test_what_progress_is_told_shows_no_canary(world, monkeypatch, work, looping, tokens):
    connection = world.connect(tokens=tokens)
    monkeypatch.setattr("ttorm.connection.opening._default", connection)
    told = []

    def tell(*values):
        # The frames that tell it are what a debugger or a failing bar of progress would show.
        frame = sys._getframe(1)
        while frame is not None and "/ttorm/" in frame.f_code.co_filename:
            told.append((f"a local of {frame.f_code.co_name}", repr(frame.f_locals)))
            frame = frame.f_back
        for value in values:
            told.extend(shown(value))
            told.extend(("a part", repr(text)) for text in walk(value, {}))

    work(tell, looping)
    assert len(told) > 10
    renewed = connection.credentials.current.text
    known = Cage(renewed=renewed.reveal())
    for where, text in told:
        world.cage.check(where, text)
        known.check(where, text)


# Commands


def run(*arguments, **environment):
    """Run a command; returns all that it prints, and what it ended with."""
    result = CliRunner().invoke(command, arguments, env=environment)
    assert result.output
    if result.exception is not None:
        assert isinstance(result.exception, SystemExit), result.exception
    return result.output, result.exit_code


AWAY = f"postgresql://ann:{PASSWORD}@127.0.0.1:1/x"
REFUSED = {
    "serve, a store that is away": ("serve", "--port", "0", "--store", AWAY),
    "serve, a store that is none": ("serve", "--port", "0", "--store", f"mysql://a:{PASSWORD}@h/x"),
    "serve, a bad policy": ("serve", "--port", "0", "--store", AWAY, "--policy", "odd"),
    "serve, workers": ("serve", "--port", "0", "--store", AWAY, "--workers", "2"),
    "demo, a store that is away": ("demo", "--quick", "--store", AWAY),
    "demo, an address": ("demo", "--quick", "--store", f"https://ann:{PASSWORD}@127.0.0.1:1"),
    "demo, a query": (
        "demo",
        "--quick",
        "--store",
        f"postgresql://127.0.0.1:1/x?password={PASSWORD}",
    ),
    "demo, an address that is none": ("demo", "--quick", "--store", f"htp://ann:{PASSWORD}@h"),
    "listen": ("listen", "--topic", "hot", "--url", f"https://ann:{PASSWORD}@127.0.0.1:1"),
    "rotate": ("secret", "rotate", "--url", f"https://ann:{PASSWORD}@127.0.0.1:1"),
    "rotate, nobody there": ("secret", "rotate", "--url", "http://127.0.0.1:1"),
    "claim, nobody there": ("secret", "claim", ACCOUNT, "--url", "http://127.0.0.1:1"),
    "claim, an address": (
        "secret",
        "claim",
        ACCOUNT,
        "--url",
        f"https://ann:{PASSWORD}@127.0.0.1:1",
    ),
    "claim, an address that is none": (
        "secret",
        "claim",
        ACCOUNT,
        "--url",
        f"htp://a:{PASSWORD}@h",
    ),
    "claim, a store": ("secret", "claim", ACCOUNT, "--url", AWAY),
    "claim, no account": ("secret", "claim", "ann", "--url", "http://127.0.0.1:1"),
    "claim, a PIN among the arguments": (
        *("secret", "claim", ACCOUNT, "--pin", PASSWORD, "--url", "http://127.0.0.1:1"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_commands_that_fail_show_no_canary(world, name):
    secret = world.secret.reveal()
    output, code = run(*REFUSED[name], TTORM_SECRET=secret, TTORM_PIN=PASSWORD)
    assert code in {1, 2}
    Cage(password=PASSWORD, secret=secret).check(name, output)


@pytest.fixture
def served(tmp_path):
    """Address of a served emulator, and the secret of its first user."""
    arguments = ["serve", "--port", "0", "--credentials", str(tmp_path / "made.json")]
    with subprocess.Popen(
        [sys.executable, "-m", "ttorm", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().split()[-1]
        text = (tmp_path / "made.json").read_text("utf-8")
        yield url, Secret(text.partition('"secret": "')[2].partition('"')[0])
        process.terminate()


@pytest.mark.parametrize("kind", ["secret", "token"])
def test_the_demo_shows_no_canary(served, monkeypatch, kind):
    url, secret = served
    monkeypatch.setenv("COLUMNS", "400")
    with ttorm.connect(url, secret=secret, default=False) as own, ttorm.session(own):
        token = Token.create()
    credential = (secret if kind == "secret" else token.value).reveal()
    data = read(quick=True)
    few = data._replace(aircraft=data.aircraft[:5], temperatures=data.temperatures[:20])
    monkeypatch.setattr("ttorm.cli.demo.read", lambda **_: few)
    output, code = run("demo", "--quick", "--store", url, **{f"TTORM_{kind.upper()}": credential})
    assert code == 0
    assert url in output
    Cage(credential=credential).check("the demo", output)


def test_the_demo_of_who_may_not_shows_no_canary(served):
    output, code = run("demo", "--quick", "--store", served[0], TTORM_SECRET=PASSWORD)
    assert code == 1
    assert "unauthorized" in output
    Cage(password=PASSWORD).check("the demo", output)


@pytest.fixture
def store():
    """URL, with a password, of a store of its own on the PostgreSQL server."""
    psycopg = pytest.importorskip("psycopg")
    server = os.environ.get("TTORM_TEST_POSTGRES", "postgresql://127.0.0.1/test")
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if os.environ.get("TTORM_REQUIRE_SERVICES"):
            pytest.fail(f"a PostgreSQL server is required: {error}")
        pytest.skip(f"there is no PostgreSQL server: {error}")
    schema = f"ttorm_canary_{os.getpid()}"
    with connection:
        told = connection.info
        # Where the server asks for the password of the tests, theirs is the canary.
        password = told.password or PASSWORD
        who = f"{quote(told.user)}:{quote(password, safe='')}"
        yield f"postgresql://{who}@{told.host}:{told.port}/{told.dbname}?schema={schema}", password
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.mark.postgres
def test_commands_do_not_show_the_password_of_a_store(store, monkeypatch, tmp_path):
    url, password = store
    known = Cage(password=password)
    Emulator(url).close()
    monkeypatch.setattr("ttorm.cli.demo.load", lambda *_: None)
    monkeypatch.setattr("ttorm.cli.demo.show", lambda *_: None)
    output, code = run("demo", "--quick", "--store", url)
    assert code == 0
    assert "postgresql://" in output
    known.check("the demo", output)
    nothing = tmp_path / "data.json"
    nothing.write_text("{}")
    monkeypatch.setattr("ttorm.cli.serve._Service.serve", lambda *told: told[3]())
    monkeypatch.setattr("ttorm.cli.workers.supervise", lambda *told: told[3]())
    # A second time, when the store has data already.
    for more in ([], ["--data", str(nothing)], ["--workers", "2"]):
        output, code = run("serve", "--port", "0", "--store", url, *more)
        assert code == 0
        assert "serving postgresql://" in output
        assert ("was not loaded" in output) == ("--data" in more)
        known.check("serve", output)


# Cassettes


def test_a_cassette_of_a_refused_claim_has_no_pin(served, tmp_path):
    """No answer has told this PIN: it is in the path of a request and nowhere else."""
    import vcr

    source = Path(__file__).parents[1] / "cassettes" / "conftest.py"
    settings = {"__name__": "settings", "__file__": str(source)}
    exec(compile(source.read_text(encoding="utf-8"), source, "exec"), settings)
    url, secret = served
    recorder = vcr.VCR(record_mode="all")
    recorder.register_serializer("yaml", settings["Clean"])
    cassette = tmp_path / "recorded.yaml"
    with recorder.use_cassette(str(cassette)):
        for pin in (PASSWORD, f"{PASSWORD} /+"):
            with pytest.raises(ttorm.TtormError):
                ttorm.claim(ACCOUNT, pin, url=url)
            with (
                pytest.raises(ttorm.NotFoundError),
                ttorm.connect(url, secret=secret.reveal()[::-1], default=False) as connection,
            ):
                connection.call("create_user_secret", ACCOUNT, pin)
    recorded = cassette.read_text(encoding="utf-8")
    assert f"/secrets/{ACCOUNT}/PIN-0001" in recorded.replace("000000000001", "000000000000")
    Cage(pin=PASSWORD, secret=secret.reveal()).check("the cassette", recorded)


# What is made of objects


def things(world):
    """Make one of everything that knows its connection, or holds what came by it."""
    pump = Pump.create()
    pump.docs.upload("a.txt", b"a" * 2_000)
    batch = Batch.run("create_user_token", [BatchCall(body={})])
    batch.wait_done()
    log = ttorm.Log()
    log.read()
    with world.emulator.recording() as requests:
        world.connection.call("create_user_token", body={})
    return {
        "an invitation": world.invitation,
        "options of tokens": TokenOptions(secret_dict={"serial": "A1"}),
        "a recorded request": next(iter(requests)),
        "a scan": Pump.scan(Pump.pressure > 0),
        "a page of a scan": next(iter(Pump.scan().pages())),
        "a Twin": pump,
        "its state": pump._state,
        "a Ledger": pump.ledger,
        "Ledgers": pump.ledgers,
        "an Entry": pump.ledger["pressure"],
        "its history": pump.ledger["pressure"].history(),
        "Identities": pump.identities,
        "Docs": pump.docs,
        "a Doc": pump.docs["a.txt"],
        "Stickers": pump.stickers,
        "changes": ttorm.inspect(pump),
        "a plan": pump.plan(),
        "a role": Role.at(world.connection.whoami()["role"]),
        "a batch": batch,
        "a log": log,
        "a session": ttorm.session(world.connection),
        "the credential": world.connection.credentials.current,
        "limits": ttorm.Limits(),
        "a policy": ttorm.RetryPolicy(),
    }


def copies(thing):
    for make in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        try:
            yield make(thing)
        except (TypeError, AttributeError, RecursionError, pickle.PicklingError, ttorm.StateError):
            continue  # what a refusal says, `shown` looks at


def test_copies_and_dictionaries_of_objects_have_no_canary(world):
    made, copied = things(world), set()
    for name, thing in made.items():
        for where, text in shown(thing):
            world.cage.check(f"{where} of {name}", text)
        for one in [thing, *copies(thing)]:
            if one is not thing:
                copied.add(name)
                for where, text in shown(one):
                    world.cage.check(f"{where} of a copy of {name}", text)
            for text in walk(one, {}):
                world.cage.check(f"something in a copy of {name}", repr(text))
    assert {"a scan", "a Ledger", "a Twin", "a batch", "a plan"} <= copied
