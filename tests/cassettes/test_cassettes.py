"""The cassettes themselves: without secrets, complete, and in the plain format of vcrpy."""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from pathlib import Path

import pytest
import vcr
import yaml
from vcr.errors import CannotOverwriteExistingCassetteException

from ttorm.api.http import HttpRequest
from ttorm.connection.http import HttpTransport

HERE = Path(__file__).parent
FILES = sorted((HERE.parents[1] / "cassettes").glob("*.yaml"))
SECRET = "qL7wZr0Yt3uVx+9KsPdJ2mNb5cRfGh8/aEoTiUyWvXz1QkSjDpLnMb4CgFhAeB6I"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c3IiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWl0"
ESCAPED = r"\u002B"
BINARY = b64encode(b'\xff{"pin":"A1B2C3"}').decode()
UPLOAD = "6f2a1c58-1f5e-4f0b-9d53-1b6f6f0e9a77"


@pytest.fixture(autouse=True)
def _recorded_before(record_mode):
    if record_mode != "none":
        pytest.skip("cassettes are looked at when they are complete")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_cassette_holds_a_secret(file, secrets_in):
    assert secrets_in(file.read_text()) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("authorization:\n- anything", "an Authorization header"),
        (f"string: {SECRET}", "a long random text"),
        (f'string: "{SECRET.replace("+", ESCAPED)}"', "a long random text"),
        (f"string: {SECRET.replace('+', '-').replace('/', '_')}", "a long random text"),
        (f"string: {TOKEN}", "a signed token"),
        ('string: \'{"pin":"A1B2C3"}\'', "a secret value"),
        ('string: |-\n  {\n    "secret": "short"\n  }', "a secret value"),
        (f'string: \'{{"handler":"{UPLOAD}"}}\'', "a secret value"),
        ('string: \'{"server_secret":"aB3_"}\'', "a secret value"),
        ('string: \'{"fingerprint":"aB3/"}\'', "a secret value"),
        (f"uri: http://127.0.0.1:8787/secrets/{UPLOAD}/A1B2C3", "a PIN in a path"),
        (f"uri: http://127.0.0.1:8787/_upload/{UPLOAD}", "a handler in a path"),
        (f"uri: http://127.0.0.1:8787/download/{UPLOAD}/{UPLOAD}", "a handler in a path"),
        ("uri: http://127.0.0.1:8787/notifications?token=abc", "a token in a query"),
        (f"string: !!binary {BINARY}", "a secret value"),
    ],
)
def test_a_planted_secret_is_found(planted, found, secrets_in):
    """Without the plant the same cassette is clean, so it is the plant that is found."""
    clean = FILES[0].read_text()
    assert secrets_in(clean) == []
    indented = "\n".join(f"  {line}" for line in planted.splitlines())
    assert secrets_in(f"{clean}planted:\n{indented}\n") == [found]


def _recorded(*exchanges):
    """A cassette as vcrpy hands it over, of (uri, request body, answer)."""
    return {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": uri,
                    "body": body,
                    "headers": {"Authorization": [SECRET], "X-TrustedTwin": ["e30="]},
                },
                "response": {
                    "status": {"code": 201, "message": "Created"},
                    "headers": {"content-type": ["application/json"], "date": ["today"]},
                    "body": {"string": answer},
                },
            }
            for uri, body, answer in exchanges
        ],
    }


def test_what_is_written_has_neither_secrets_nor_what_differs_between_recordings(clean):
    text = clean.serialize(
        _recorded(
            (
                f"http://127.0.0.1:45678/users/{UPLOAD}/secrets",
                "",
                '{"pin": "A1B2C3", "fingerprint": "B6I="}',
            ),
            (
                f"http://127.0.0.1:45678/secrets/{UPLOAD}/A1B2C3",
                "",
                json.dumps({"secret": SECRET, "user": UPLOAD}),
            ),
            ("http://127.0.0.1:45678/token", f'{{"of":"{SECRET}"}}', f'{{"token": "{TOKEN}"}}'),
        )
    )
    for hidden in (SECRET, TOKEN, UPLOAD, "A1B2C3", "B6I=", "45678", "today", "uthorization"):
        assert hidden not in text
    user = "00000000-0000-4000-8000-000000000001"
    first, second, third = yaml.safe_load(text)["interactions"]
    assert first["request"]["uri"] == f"http://127.0.0.1:8787/users/{user}/secrets"
    assert first["request"]["headers"] == {"x-trustedtwin": ["e30="]}
    assert second["request"]["uri"] == f"http://127.0.0.1:8787/secrets/{user}/PIN-0001"
    assert json.loads(second["response"]["body"]["string"]) == {
        "secret": "SECRET-0001",
        "user": user,
    }
    assert third["request"]["body"] == '{"of":"SECRET-0001"}'


def test_times_keep_their_order_and_others_are_left_alone(clean, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    answer = (
        '{"a_ts": 1800000000.25, "b_ts": 1800000000.1, "c_ts": 4000000000.0, "n": 1800000000.25}'
    )
    text = clean.serialize(_recorded(("http://127.0.0.1:1/twins", "", answer)))
    kept = yaml.safe_load(text)["interactions"][0]["response"]["body"]["string"]
    assert json.loads(kept) == {
        "a_ts": 1_700_000_001.0,
        "b_ts": 1_700_000_000.0,
        "c_ts": 4_000_000_000.0,
        "n": 1_700_000_001.0,
    }


def test_a_cassette_with_a_secret_that_nothing_renames_is_not_written(clean):
    answer = json.dumps({"unheard_of": SECRET})
    with pytest.raises(ValueError, match="a long random text"):
        clean.serialize(_recorded(("http://127.0.0.1:1/twins", "", answer)))


def test_every_cassette_has_its_scenario_and_every_scenario_its_cassette():
    modules = "\n".join(file.read_text() for file in HERE.glob("test_*.py"))
    scenarios = re.findall(r"^async def test_(\w+)\(", modules, re.MULTILINE)
    assert sorted(scenarios) == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_cassettes_are_plain_ones_with_sorted_keys(file):
    """Anybody's vcrpy reads them, without our settings."""
    with vcr.use_cassette(str(file), record_mode="none") as cassette:
        assert len(cassette) > 0
    read = yaml.safe_load(file.read_text())
    assert list(read) == sorted(read)
    assert all(list(one["request"]) == sorted(one["request"]) for one in read["interactions"])


TWIN = "/twins/00000000-0000-4000-8000-000000000002"
ENTRIES = b'{"entries":{"a":{"value":1},"b":{"value":2},"c":{"value":3}}}'


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PATCH", f"{TWIN}/ledgers/personal", ENTRIES),
        ("POST", f"{TWIN}/ledgers/owner", ENTRIES),
        ("POST", f"{TWIN}/ledgers/personal", ENTRIES.replace(b"3", b"4")),
        ("POST", f"{TWIN}/ledgers/personal", b""),
        ("DELETE", f"{TWIN}/ledgers/personal", b""),
        ("DELETE", f"{TWIN}/ledgers/personal?entries=a", b""),
    ],
)
def test_only_equal_requests_are_replayed(method, target, body, vcr_config, cassettes):
    file = cassettes / "removed_entries.yaml"
    headers = {"content-type": "application/json"} if body else {}
    with vcr.use_cassette(str(file), record_mode="none", **vcr_config) as cassette:
        transport = HttpTransport()
        with pytest.raises(CannotOverwriteExistingCassetteException):
            transport.send(HttpRequest(method, f"http://127.0.0.1:1{target}", headers, body))
        equal = f"http://127.0.0.1:1{TWIN}/ledgers/personal"
        headers = {"content-type": "application/json"}
        assert transport.send(HttpRequest("POST", equal, headers, ENTRIES)).status == 201
        assert cassette.play_count == 1
        transport.close()


@pytest.mark.block_network
def test_the_network_is_blocked_while_replaying():
    with socket.socket() as client, pytest.raises(RuntimeError, match="Network is disabled"):
        client.connect(("127.0.0.1", 9))
