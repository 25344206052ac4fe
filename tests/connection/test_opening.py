"""From a URL, the environment and credentials to a connection."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import sys
import threading
from pathlib import Path

import pytest

import ttorm
from ttorm import Cache, ConfigurationError, RetryPolicy, Secret, UnauthorizedError
from ttorm.api.http import HttpResponse
from ttorm.connection import opening
from ttorm.connection.http import HttpTransport
from ttorm.connection.http import httpx as library

SECRET = "S3cret+of/the-test"


@pytest.fixture(autouse=True)
def no_default(monkeypatch):
    """No connection from elsewhere."""
    monkeypatch.setattr(opening, "_default", None)


@pytest.fixture
def connect():
    """`ttorm.connect`, with what it makes closed in the end."""
    made = []

    def connect(*arguments, **options):
        made.append(ttorm.connect(*arguments, **options))
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


class Recorder:
    """A transport of our own."""

    def __init__(self):
        self.requests = []
        self.closed = 0

    def send(self, request):
        self.requests.append(request)
        return HttpResponse(200, {}, b"{}")

    async def asend(self, request):
        return self.send(request)

    def close(self):
        self.closed += 1

    async def aclose(self):
        self.closed += 1


def sent_credential(connection, recorder):
    connection.call("get_account")
    return recorder.requests[-1].headers.get("authorization")


# URLs


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://rest.trustedtwin.com", "https://rest.trustedtwin.com"),
        ("https://rest.trustedtwin.com/", "https://rest.trustedtwin.com"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://[::1]:8787/", "http://[::1]:8787"),
        ("https://gateway.example.org/tt/", "https://gateway.example.org/tt"),
        ("HTTPS://Rest.TrustedTwin.com", "HTTPS://Rest.TrustedTwin.com"),
    ],
)
def test_addresses_of_services(connect, url, base):
    connection = connect(url, secret=SECRET)
    assert connection.base_url == base
    assert connection.address == base.lower()
    assert connection.emulator is None
    assert isinstance(connection.transport, HttpTransport)
    assert repr(connection) == f"<Connection {url}>"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://example.org", "is no URL that ttorm knows"),
        ("rest.trustedtwin.com", "is no URL that ttorm knows"),
        ("https://", "is no address of a service"),
        ("http:///path", "is no address of a service"),
        ("https://host:port", "is no address of a service"),
        ("https://host:99999", "is no address of a service"),
        ("https://[::1", "is no address of a service"),
        ("https://host?a=1", "is no address of a service"),
        ("https://host/#part", "is no address of a service"),
        ("memory:name", "names no store"),
        ("sqlite:file.db", "names no store"),
    ],
)
def test_what_is_no_url(url, text):
    with pytest.raises(ConfigurationError, match=text) as caught:
        ttorm.connect(url, secret=SECRET)
    # What stands behind a question mark may be a token.
    assert repr(url.partition("?")[0]) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_credentials_do_not_belong_into_urls():
    with pytest.raises(ConfigurationError, match=r"leave it out and write secret=") as caught:
        ttorm.connect("https://user:pa55word@example.org", secret=SECRET)
    assert "pa55word" not in str(caught.value)


def test_without_any_url():
    for attempt in (ttorm.connect, ttorm.default_connection, ttorm.session):
        with pytest.raises(ConfigurationError, match=r"TTORM_URL") as caught:
            attempt()
        assert "ttorm.connect(" in str(caught.value)


@pytest.mark.parametrize("url", ["memory:", "sqlite://", "memory://"])
def test_stores_in_memory_are_separate(connect, url):
    one, two = connect(url), connect(url)
    assert one.emulator is not two.emulator
    assert one.address != two.address
    uuid = one.call("create_twin")["creation_certificate"]["uuid"]
    assert one.call("get_twin", uuid)["status"] == "alive"
    with pytest.raises(ttorm.NotFoundError):
        two.call("get_twin", uuid)


def test_a_store_in_a_file_lasts(connect, tmp_path):
    url = f"sqlite:///{tmp_path}/fleet.db"
    one = connect(url)
    who, address = one.whoami(), one.address
    uuid = one.call("create_twin")["creation_certificate"]["uuid"]
    one.close()
    again = connect(url)
    assert again.whoami() == who
    assert again.address == address
    assert again.call("get_twin", uuid)["status"] == "alive"


def test_the_embedded_emulator_takes_secrets_as_well(connect, tmp_path):
    url = f"sqlite:///{tmp_path}/fleet.db"
    first = connect(url)
    user = first.call("create_user", body={"name": "second", "role": first.whoami()["role"]})
    pin = first.call("create_user_secret_pin", user["uuid"], body={})["pin"]
    made = first.call("create_user_secret", first.whoami()["account"], pin)
    second = connect(url, secret=made["secret"])
    assert second.whoami()["user"] == user["uuid"]
    with pytest.raises(UnauthorizedError):
        connect(url, secret="wrong").whoami()


def test_a_file_that_is_no_store(connect, tmp_path):
    (tmp_path / "text.db").write_text("not a database, just text" * 100)
    with pytest.raises(ConfigurationError, match=r"text\.db cannot be used as a store"):
        connect(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(ConfigurationError, match="in a folder that exists"):
        connect(f"sqlite:///{tmp_path}/no/such/folder/x.db")


# Credentials


def test_the_embedded_emulator_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rule_engine", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ttorm\[local\]'"):
        ttorm.connect("memory:")


def test_services_need_a_credential():
    with pytest.raises(ConfigurationError, match=r"needs a cred.*TTORM_SECRET or TTORM_TOKEN"):
        ttorm.connect("https://rest.example.org")
    with pytest.raises(ConfigurationError, match="is empty: leave it out"):
        ttorm.connect("https://rest.example.org", secret="")


def test_secret_or_token():
    with pytest.raises(ConfigurationError, match="secret= or token=, not both"):
        ttorm.connect("https://rest.example.org", secret="a", token="b")


@pytest.mark.parametrize("kind", ["secret", "token"])
@pytest.mark.parametrize("form", [str, Secret])
def test_both_go_bare_into_the_header(connect, kind, form):
    recorder = Recorder()
    connection = connect("http://x.test", transport=recorder, **{kind: form(SECRET)})
    assert sent_credential(connection, recorder) == SECRET


@pytest.mark.parametrize("secret", ["a\nX-Evil: 1", "a\r\n", "é", "a\0b", 5, b"bytes"])
def test_credentials_that_no_header_can_carry(secret):
    with pytest.raises(ConfigurationError, match="secret or token") as caught:
        ttorm.connect("https://rest.example.org", secret=secret)
    assert str(secret) not in str(caught.value)


def test_bad_options():
    with pytest.raises(ConfigurationError, match="concurrency=0: expected at least 1"):
        ttorm.connect("memory:", concurrency=0)
    with pytest.raises(ttorm.ValidationError, match="'Serial' is no description key"):
        ttorm.connect("memory:", dictionary={"Serial": 1})


class Deaf(ttorm.Hooks):
    pass


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("url", 5),
        ("url", Path("fleet.db")),
        ("tokens", 5),
        ("dictionary", 5),
        ("dictionary", [("region", "north")]),
        ("cache", 5),
        ("cache", "redis://:hidden@host"),
        ("cache", True),
        ("cache", ttorm.Cache),
        ("concurrency", "5"),
        ("concurrency", 1.5),
        ("concurrency", True),
        ("blocking", "no"),
        ("tls", False),
        ("tls", "ca.pem"),
        ("proxy", 5),
        ("transport", 5),
        ("transport", "http"),
        ("default", "no"),
        ("development", "yes"),
        ("batch_codec", 5),
        ("hooks", 5),
        ("hooks", Deaf()),
        ("hooks", [Deaf]),
        ("hooks", [5]),
        ("timeout", "5"),
        ("limits", 5),
        ("retry", 5),
    ],
)
@pytest.mark.parametrize("url", ["memory:", "https://rest.example.org"])
def test_options_of_the_wrong_kind(url, option, wrong):
    options = {"url": url, "secret": "s", "default": False, option: wrong}
    with pytest.raises(ConfigurationError, match=rf"^{option}= ?.*: expected \S+") as caught:
        ttorm.connect(**options)
    assert "hidden" not in str(caught.value)


def test_options_as_they_should_be(connect):
    hooks = (one for one in [Deaf(), Deaf()])
    context = ssl.create_default_context()
    connection = connect("memory:", hooks=hooks, tls=context, blocking=True, development=False)
    assert len(connection.hooks) == 2
    assert connect("memory:", cache=None).cache is None


async def _claimed(**options):
    await ttorm.aclaim("a" * 8, "ABC123", **options)


@pytest.mark.parametrize("option", ["url", "connection"])
def test_claims_check_whom_to_ask(option):
    with pytest.raises(ConfigurationError, match=f"^{option}=.*: expected"):
        ttorm.claim("a" * 8, "ABC123", **{option: 5})
    with pytest.raises(ConfigurationError, match=f"^{option}=.*: expected"):
        asyncio.run(_claimed(**{option: 5}))


# The environment


def test_the_environment_gives_what_is_left_out(connect, monkeypatch):
    monkeypatch.setenv("TTORM_URL", "https://from.environment")
    monkeypatch.setenv("TTORM_SECRET", "secret-of-environment")
    connection = connect()
    assert connection.base_url == "https://from.environment"
    recorder = Recorder()
    connection = connect(transport=recorder)
    assert sent_credential(connection, recorder) == "secret-of-environment"


def test_a_token_of_the_environment(connect, monkeypatch):
    monkeypatch.setenv("TTORM_TOKEN", "token-of-environment")
    recorder = Recorder()
    connection = connect("http://x.test", transport=recorder)
    assert sent_credential(connection, recorder) == "token-of-environment"


def test_what_is_given_counts_more_than_the_environment(connect, monkeypatch):
    for name in ("TTORM_URL", "TTORM_SECRET", "TTORM_TOKEN"):
        monkeypatch.setenv(name, "http://from.environment")
    recorder = Recorder()
    connection = connect("http://given", token=SECRET, transport=recorder)
    assert connection.base_url == "http://given"
    assert sent_credential(connection, recorder) == SECRET


def test_the_environment_alone_is_enough_for_scripts(monkeypatch):
    monkeypatch.setenv("TTORM_URL", "memory:")
    with ttorm.default_connection() as connection:
        assert ttorm.default_connection() is connection
        assert ttorm.Twin.create().status == "alive"


# The default connection


def test_the_last_connection_is_the_default(connect):
    one = connect("memory:")
    assert ttorm.default_connection() is one
    two = connect("memory:")
    assert ttorm.default_connection() is two
    connect("memory:", default=False)
    assert ttorm.default_connection() is two


def test_all_threads_see_one_default(connect):
    connection, seen = connect("memory:"), []
    thread = threading.Thread(target=lambda: seen.append(ttorm.default_connection()))
    thread.start()
    thread.join()
    assert seen == [connection]


# Options


def test_options(connect):
    cache, policy = Cache(ttl=5), RetryPolicy(attempts=1)
    connection = connect("memory:", cache=cache, retry=policy, concurrency=3, blocking=True)
    assert connection.cache is cache
    assert connection.retry is policy
    assert connection.concurrency == 3
    assert connect("memory:", cache=None).cache is None
    assert isinstance(connect("memory:").cache, Cache)


def test_time_outs(connect):
    limits = connect("https://x.test", secret="s", timeout=3).transport._limits
    assert (limits.read, limits.write, limits.connect, limits.pool) == (3, 3, 5, 5)
    assert connect("https://x.test", secret="s", timeout=None).transport._limits.read is None


def test_transports_of_our_own(connect):
    recorder = Recorder()
    connection = connect("http://x.test/", secret="s", transport=recorder)
    connection.call("get_account")
    assert recorder.requests[0].url == "http://x.test/account"
    connection.close()
    assert recorder.closed == 1


@pytest.mark.parametrize("compressed", [False, True])
def test_transports_of_the_http_library(connect, compressed):
    """For tests of one's own, and for proxies and certificates that need setting up."""
    seen = []

    def handle(request):
        seen.append(str(request.url))
        body = json.dumps({"account": "a", "user": "b", "role": "c"}).encode()
        if compressed:
            headers = {"content-encoding": "gzip"}
            return library.Response(200, content=gzip.compress(body), headers=headers)
        return library.Response(200, content=body)

    transport = library.MockTransport(handle)
    connection = connect("http://x.test", secret="s", transport=transport, cache=None)
    assert connection.whoami()["user"] == "b"
    assert asyncio.run(connection.awhoami())["user"] == "b"
    assert seen == ["http://x.test/whoami"] * 2


def test_a_credential_that_others_could_read_is_warned_of(connect):
    for place in ("http://x.test", "http://127.x.test"):
        with pytest.warns(UserWarning, match=f"http:// is not encrypted: .* {place} can read"):
            connect(place, secret=SECRET)
    for url in ("https://x.test", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        connect(url, secret=SECRET)  # warnings are errors here


def test_trust_that_checks_no_names_is_warned_of(connect):
    """Whoever has a certificate of a trusted authority could answer."""
    trust = ssl.create_default_context()
    connect("https://x.test", secret=SECRET, tls=trust)
    trust.check_hostname = False
    with pytest.warns(UserWarning, match="certificates or their names are not checked"):
        connect("https://x.test", secret=SECRET, tls=trust)


def test_nothing_shows_the_credential(connect):
    connection = connect("https://x.test", secret=SECRET, dictionary={"pin": "77"})
    assert SECRET not in f"{connection} {connection!r} {vars(connection)}"
    assert SECRET not in json.dumps(vars(connection), default=repr)
