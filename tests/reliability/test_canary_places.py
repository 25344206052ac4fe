"""Places where secrets come from or lie: fresh answers, addresses, arguments, Redis, warnings.

What `test_canary.py` does for everything that ttorm holds, this does for what passes through it.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import traceback
import warnings
from time import time

import canaries
import pytest
from canaries import HOOK, Cage, strip, texts_of_error
from redis_servers import shared_server

import ttorm
from ttorm import RedisBackend, Role, Secret, Subscription, Token, TokenOptions, Twin, User
from ttorm.api.http import HttpResponse
from ttorm.emulator import Emulator
from ttorm.records.downloads import fetch
from ttorm.records.transfer import store

# Every frame of every error is looked at: measuring that takes long, and covers nothing of ttorm.
pytestmark = pytest.mark.no_cover

PASSWORD = "S3cr3t-Passw0rd-of-Ann"
NOBODY = "00000000-0000-4000-8000-000000000000"


# Fresh from an answer


class StopError(BaseException):
    """What may come at any moment, as Ctrl-C does."""


def _stop(*_, **__):
    raise StopError("stopped")


def _claim(world):
    ttorm.claim(world.used.account, world.invitation.pin, connection=world.connection)


def _invite(world):
    with ttorm.session(world.connection):
        world.bob.invite()


def _token(world):
    with ttorm.session(world.connection):
        Token.create()


def _refresh(world):
    with ttorm.session(world.connection):
        world.token.refresh()


def _renew(world):
    world.connection = world.connect(tokens=TokenOptions())
    world.connection.whoami()


def _subscribe(world):
    Subscription.create("cold", HOOK, connection=world.connection)


PLACES = {
    "ttorm.connection.calls.after_write": [_claim, _invite, _token, _subscribe],
    "ttorm.connection.rotation.needed": [_claim, _invite],
    "ttorm.records.token.needed": [_token, _refresh],
    "ttorm.connection.credentials.needed": [_renew],
    "ttorm.records.subscription.needed": [_subscribe],
}


@pytest.mark.parametrize(
    ("place", "work"), [(place, work) for place, works in PLACES.items() for work in works]
)
def test_what_stops_work_right_after_an_answer_shows_no_new_secret(world, monkeypatch, place, work):
    monkeypatch.setattr(place, _stop)
    with pytest.raises(StopError) as raised:
        work(world)
    sent = world.connection.transport.answered
    answer = json.loads(sent[-1])
    answer |= answer.get("subscription") or {}
    names = {"secret", "token", "pin", "server_secret", "refresh_url", "unsubscribe_url"}
    new = Cage(**{name: answer[name] for name in names & {*answer} if answer[name]})
    assert new.kinds
    strip(raised.value, __file__, canaries.__file__)
    for where, text in texts_of_error(raised.value):
        new.check(where, text)
        world.cage.check(where, text)


def test_credentials_in_answers_are_masked_and_work_as_text(world):
    answer = world.connection.call("create_user_token", body={})
    assert "***" in repr(answer)
    text = answer["token"]
    assert json.loads(json.dumps(answer))["token"] == text
    assert repr(Secret(text).reveal()) == repr(str.__str__(text)) != "'***'"
    with ttorm.connect(
        "https://api.example", token=text, transport=world.connection.transport, default=False
    ) as connection:
        assert connection.whoami() == world.connection.whoami()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(answer)


@pytest.mark.parametrize("end", [10**400, "soon", None, [1], 1e300])
def test_an_odd_end_of_a_token_is_none(world, end):
    """It used to be an `OverflowError` with the new token among its locals."""
    body = json.dumps({"token": "abc.def", "validity_ts": end}).encode()
    connection = world.answering(HttpResponse(201, {}, body))
    with ttorm.session(connection):
        assert 3_500 < Token.create().ends - time() < 3_700
    renewing = world.connect(tokens=TokenOptions(lifetime=900))
    renewing.transport.answers = [HttpResponse(201, {}, body)] * 2
    credential = renewing.run(renewing.credentials.ready(renewing))
    assert 800 < credential.ends - time() < 1_000


@pytest.mark.parametrize("body", ['"{}"', '["{}"]'])
def test_an_answer_of_another_form_is_not_shown(world, body):
    connection = world.answering(HttpResponse(201, {}, body.format(PASSWORD).encode()))
    with pytest.raises(ttorm.ResponseFormatError) as raised:
        connection.call("create_user_token", body={})
    for where, text in texts_of_error(strip(raised.value, __file__, canaries.__file__)):
        Cage(token=PASSWORD).check(where, text)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [("create_upload_url", []), ("get_twin_doc", [NOBODY, "a.txt"]), ("get_twin", [NOBODY])],
)
def test_an_answer_that_is_cut_off_is_not_shown(world, operation, arguments):
    """Addresses of files are credentials by themselves."""
    body = f'{{"url": "https://f.test/?{PASSWORD}'.encode()
    connection = world.answering(HttpResponse(200, {}, body))
    with pytest.raises(ttorm.ResponseFormatError) as raised:
        connection.call(operation, *arguments)
    for where, text in texts_of_error(strip(raised.value, __file__, canaries.__file__)):
        Cage(address=PASSWORD).check(where, text)


@pytest.mark.parametrize(
    "flow",
    [lambda one: fetch(one, NOBODY, "a.txt", None), lambda one: store(one, b"x")],
    ids=["download", "upload"],
)
def test_addresses_of_files_are_not_shown(world, flow):
    place = f"https://f.test/{PASSWORD}"
    found = {"download": {"url": place}, "url": place, "handler": "h", "status": "ok"}
    connection = world.answering(
        HttpResponse(200, {}, json.dumps(found).encode()), HttpResponse(403)
    )
    with pytest.raises(ttorm.ForbiddenError) as raised:
        connection.run(flow(connection))
    for where, text in texts_of_error(strip(raised.value, __file__, canaries.__file__)):
        Cage(address=PASSWORD).check(where, text)


# Passwords in addresses, and arguments that are wrong

REFUSED = {
    "a proxy beside a bad URL": lambda: ttorm.connect(
        "mysql://x", proxy=f"http://ann:{PASSWORD}@proxy", default=False
    ),
    "a proxy": lambda: ttorm.connect(
        "https://api.example", secret="x", proxy=f"ftp//ann:{PASSWORD}@proxy", default=False
    ),
    "an address": lambda: ttorm.connect(f"https://ann:{PASSWORD}@api.example", default=False),
    "an address with a query": lambda: ttorm.connect(
        f"https://api.example/?token={PASSWORD}", secret="x", default=False
    ),
    "a store": lambda: ttorm.connect(f"postgresql://ann:{PASSWORD}@127.0.0.1:1/x", default=False),
    "a store, misspelt": lambda: ttorm.connect(
        f"postgresql://ann:x:{PASSWORD}@127.0.0.1:y/x?password={PASSWORD}", default=False
    ),
    "a store of the emulator": lambda: Emulator(f"mysql://ann:{PASSWORD}@127.0.0.1/x"),
    "an address to claim at": lambda: ttorm.claim(NOBODY, "x", url=f"htp://ann:{PASSWORD}@h"),
    "a Redis server": lambda: RedisBackend(f"redis://:{PASSWORD}/x@h:6379"),
    "a Redis server, another scheme": lambda: RedisBackend(f"http://:{PASSWORD}@h"),
    "a Redis server with an option": lambda: RedisBackend(
        f"redis://:{PASSWORD}@h?socket_timeout={PASSWORD}"
    ),
    "a key beside a bad time-out": lambda: RedisBackend(
        f"redis://:{PASSWORD}@h", key=PASSWORD, timeout=-1
    ),
    "a secret beside a bad time-out": lambda: ttorm.connect(
        "https://api.example", secret=PASSWORD, timeout=-1, default=False
    ),
    "a secret beside a bad dictionary": lambda: ttorm.connect(
        "https://api.example", secret=PASSWORD, dictionary={"a b": 1}, default=False
    ),
    "a token of no moment": lambda: Token(PASSWORD, valid_until="tomorrow"),
    "a token of no option": lambda: Token(PASSWORD, options=["all"]),
    "a PIN of no account": lambda: ttorm.claim("ann", PASSWORD, url="memory:"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_shown(name):
    with pytest.raises(ttorm.TtormError) as raised:
        REFUSED[name]()
    for where, text in texts_of_error(strip(raised.value, __file__)):
        Cage(password=PASSWORD).check(f"{where} of {name}", text)


def test_warnings_show_no_credential():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ttorm.connect(
            "http://api.example",
            secret=PASSWORD,
            proxy=f"http://ann:{PASSWORD}@proxy",
            default=False,
        )
    assert "not encrypted" in str(told[0].message)
    for one in told:
        Cage(secret=PASSWORD).check(
            "a warning",
            warnings.formatwarning(one.message, one.category, one.filename, one.lineno, one.line),
        )


# Redis


@pytest.fixture
def server():
    yield from shared_server()


@pytest.mark.redis
@pytest.mark.parametrize("looping", [False, True], ids=["blocking", "looping"])
def test_what_lies_in_redis_shows_neither_credentials_nor_scopes(world, server, looping):
    url, prefix, client = server
    world.looping = looping
    backend = RedisBackend(url, key=PASSWORD, prefix=prefix)
    connection = world.connect(
        cache=ttorm.Cache(backend=backend), tokens=TokenOptions(secret_dict={"serial": "A1"})
    )
    with ttorm.session(connection):
        twin = Twin.create(description={"kind": "pump"})
        ann = User.create(name="Ann", role=Role.at(connection.whoami()["role"]))
        pin = ann.invite().pin
        token = Token.create()
    for operation, argument in (("get_twin", twin.uuid), ("get_user", ann.uuid)):
        world.call(connection, "call", operation, argument)
    with ttorm.session(connection):
        Twin.get(twin.uuid, fresh=True)
        User.get(ann.uuid)
    known = Cage(
        secret=world.secret.reveal(),
        key=PASSWORD,
        pin=pin.reveal(),
        token=token.value.reveal(),
        signer=connection.credentials.current.text.reveal(),
        scope=connection.scope(),
    )
    names = list(client.scan_iter(match=f"{prefix}*", count=1000))
    kept = [name + repr(client.hgetall(name)).encode() for name in names]
    assert twin.uuid.encode() in b"".join(kept)
    for text in kept:
        known.check("Redis", text)
    known.check("the backend", repr(backend) + repr(vars(backend)) + repr(vars(backend._door)))
    backend.close()


def test_what_is_said_of_a_redis_server_that_refuses_shows_no_password(world, caplog, server):
    url, prefix, _ = server
    host = url.partition("://")[2]
    backend = RedisBackend(f"redis://nobody:{PASSWORD}@{host}", key=PASSWORD, prefix=prefix)
    connection = world.connect(cache=ttorm.Cache(backend=backend))
    with ttorm.session(connection):
        twin = Twin.create()
        Twin.get(twin.uuid, fresh=True)
        asyncio.run(Twin.aget(twin.uuid, fresh=True))
    assert not backend.statistics.reachable
    assert "Redis does not answer" in caplog.text
    Cage(password=PASSWORD).check("the log", caplog.text)
    backend.close()


# Secrets themselves


def test_a_secret_is_text():
    for odd in (None, 5, b"bytes", ["x"]):
        with pytest.raises(TypeError, match="a secret is text, found"):
            Secret(odd)


def test_comparing_secrets_of_odd_text_shows_neither():
    half = Secret(f"{PASSWORD}\ud800")
    assert half == Secret(f"{PASSWORD}\ud800")
    assert half != Secret(PASSWORD)


def test_models_and_json_refuse_a_secret():
    from pydantic import BaseModel, ConfigDict

    class Settings(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        secret: Secret

    settings = Settings(secret=Secret(PASSWORD))
    Cage(secret=PASSWORD).check("a model", repr(settings))
    for dump in (settings.model_dump_json, lambda: json.dumps({"secret": settings.secret})):
        with pytest.raises((ValueError, TypeError)) as raised:
            dump()
        text = "".join(traceback.format_exception(raised.value))
        Cage(secret=PASSWORD).check("the refusal", text)
