"""The way to a service: addresses, time-outs, trust, proxies and redirects; what errors say."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import logging
import socket
import ssl
import threading
import time
import traceback
from contextlib import suppress
from math import inf, nan

import pytest
import trustme

import ttorm
from ttorm import (
    ApiError,
    ConfigurationError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    TransportError,
)
from ttorm.api.http import HttpRequest, Limits, origin
from ttorm.connection import http
from ttorm.connection.http import LIBRARY

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PASSWORD = "canary-of-a-proxy"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Dripping:
    """Answers with a head, and then for a second with a blank again and again."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                with caller, suppress(OSError):
                    caller.recv(65_536)
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                    for _ in range(50):
                        caller.sendall(b" ")
                        time.sleep(0.02)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(20)


@pytest.fixture
def dripping():
    server = Dripping()
    yield server
    server.close()


# Time


def test_an_answer_that_drips_is_waited_for_so_long(dripping, connect, do):
    """Each piece comes in time, and the whole never does."""
    begun = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"still coming after 0\.3 seconds") as caught:
        do(connect(dripping.url, limits=Limits(read=2, answer=0.3)), "call", "get_twin", TWIN)
    assert 0.25 < time.monotonic() - begun < 5
    assert caught.value.sent
    assert caught.value.request == f"GET /twins/{TWIN}"


def test_a_write_whose_answer_drips_is_in_doubt(dripping, connect, do):
    with pytest.raises(ttorm.OutcomeUnknownError, match="still coming") as caught:
        do(connect(dripping.url, limits=Limits(read=2, answer=0.2)), "call", "create_twin")
    assert isinstance(caught.value.__cause__, RequestTimeoutError)


def test_a_download_may_take_its_time(dripping, connect, do):
    with pytest.raises(TransportError, match="no answer") as caught:
        do(connect(dripping.url, limits=Limits(answer=0.1)), "call", "download_doc", TWIN, "h-1")
    assert not isinstance(caught.value, RequestTimeoutError)  # it ended after a second


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        ("ConnectTimeout", r"no connection to http://x\.test for 0\.5 seconds, Limits\(connect="),
        ("WriteTimeout", r"nothing of the request was taken for 0\.6 seconds, Limits\(write="),
        ("ReadTimeout", r"nothing came for 0\.7 seconds, Limits\(read="),
        ("PoolTimeout", r"are busy for 0\.8 seconds, Limits\(pool=.*Limits\(connections="),
    ],
)
def test_each_time_out_says_which_it_was(connect, do, phase, text):
    library = importlib.import_module(LIBRARY)

    def fail(request):
        raise getattr(library, phase)("")

    limits = Limits(connect=0.5, write=0.6, read=0.7, pool=0.8)
    connection = ttorm.connect(
        "http://x.test",
        secret="s",
        limits=limits,
        transport=library.MockTransport(fail),
        default=False,
        retry=ttorm.RetryPolicy(attempts=1),
    )
    with pytest.raises(RequestTimeoutError, match=text) as caught:
        do(connection, "call", "get_account")
    assert caught.value.sent == (phase in ("WriteTimeout", "ReadTimeout"))
    connection.close()


@pytest.mark.parametrize("value", [0, -1, nan, inf, "5"])
def test_no_time_for_an_answer(value):
    with pytest.raises(ConfigurationError, match=r"limits\.answer="):
        ttorm.connect("memory:", default=False, limits=Limits(answer=value))


# Transports in place of the network


def test_a_transport_of_the_library_keeps_to_the_limits(do):
    library = importlib.import_module(LIBRARY)
    answering = library.MockTransport(lambda _: library.Response(200, content=b'{"a": "bbbbbb"}'))
    with (
        ttorm.connect(
            "http://x.test",
            secret="s",
            transport=answering,
            limits=Limits(body=10),
            default=False,
        ) as connection,
        pytest.raises(ResponseTooLargeError, match="more than 10 bytes") as caught,
    ):
        do(connection, "call", "get_account")
    assert (caught.value.operation, caught.value.request) == ("get_account", "GET /account")


@pytest.mark.parametrize("option", [{"tls": ssl.create_default_context()}, {"proxy": "http://p:1"}])
def test_a_transport_has_settings_of_its_own(option):
    library = importlib.import_module(LIBRARY)
    with pytest.raises(ConfigurationError, match="give them to the transport"):
        ttorm.connect(
            "http://x.test",
            secret="s",
            transport=library.MockTransport(None),
            default=False,
            **option,
        )


# Compression


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "gzip, br"])
def test_stacked_and_other_compression(raw_server, connect, do, answer, encoding):
    packed = gzip.compress(gzip.compress(b"{}"))
    server = raw_server(answer(packed, content_encoding=encoding))
    with pytest.raises(ResponseFormatError, match=f"compressed as '{encoding}'"):
        do(connect(server.url), "call", "get_account")


def test_a_header_that_names_no_compression(raw_server, connect, do, answer):
    server = raw_server(answer(b'{"a": 1}', content_encoding=""))
    assert do(connect(server.url), "call", "get_account") == {"a": 1}


def test_an_error_that_is_a_bomb(raw_server, connect, do, answer):
    server = raw_server(answer(gzip.compress(b" " * 9_000_000), "404 no", content_encoding="gzip"))
    with pytest.raises(ResponseTooLargeError):
        do(connect(server.url, limits=Limits(body=1 << 20)), "call", "get_account")


# Trust


class Locked:
    """Answers over TLS, to those who show a certificate where that is asked for."""

    def __init__(self, authority, *, ask=False):
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
        if ask:
            tls.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(tls)
        self._tls = tls
        self._socket = socket.create_server(("localhost", 0))
        self.url = f"https://localhost:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with suppress(OSError):
            while True:
                raw, _ = self._socket.accept()
                with suppress(OSError), self._tls.wrap_socket(raw, server_side=True) as caller:
                    caller.recv(65_536)
                    caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(20)


@pytest.fixture
def locked():
    made = []

    def make(authority, **options):
        made.append(Locked(authority, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_certificates_of_clients(locked, do):
    authority = trustme.CA()
    server = locked(authority, ask=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with (
        ttorm.connect(
            server.url, secret="s", tls=trust, retry=ttorm.RetryPolicy(attempts=1), default=False
        ) as connection,
        pytest.raises(TransportError),
    ):
        do(connection, "call", "get_account")
    authority.issue_cert("client.test").configure_cert(trust)
    with ttorm.connect(server.url, secret="s", tls=trust, default=False) as connection:
        assert do(connection, "call", "get_account") == {}


def test_a_server_that_is_not_trusted(locked, do):
    server = locked(trustme.CA())
    once = ttorm.RetryPolicy(attempts=1)
    with (
        ttorm.connect(server.url, secret="s", retry=once, default=False) as connection,
        pytest.raises(TransportError, match=rf"{server.url} is not trusted.*cafile=") as caught,
    ):
        do(connection, "call", "create_twin")
    assert not caught.value.sent


def test_authorities_that_the_environment_names(locked, do, monkeypatch, tmp_path):
    authority = trustme.CA()
    server = locked(authority)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    http._tls.cache_clear()
    try:
        with ttorm.connect(server.url, secret="s", default=False) as connection:
            assert do(connection, "call", "get_account") == {}
    finally:
        http._tls.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("SSL_CERT_FILE", "/there/is/none.pem", "SSL_CERT_FILE or SSL_CERT_DIR names no"),
        ("HTTPS_PROXY", f"foo://ann:{PASSWORD}@p:1", "HTTPS_PROXY, HTTP_PROXY.* has no address"),
        ("HTTPS_PROXY", f"http://ann:{PASSWORD}@p:port", "HTTPS_PROXY, HTTP_PROXY.* has no addr"),
        ("ALL_PROXY", f"socks5://ann:{PASSWORD}@p:1", "pip install socksio"),
    ],
)
def test_an_environment_that_cannot_be_used(monkeypatch, do, name, value, text):
    monkeypatch.setenv(name, value)
    http._tls.cache_clear()
    try:
        with (
            ttorm.connect("https://x.test", secret="s", default=False) as connection,
            pytest.raises(ConfigurationError, match=text) as caught,
        ):
            do(connection, "call", "get_account")
    finally:
        http._tls.cache_clear()
    assert caught.value.__context__ is None
    assert PASSWORD not in str(caught.value)


# Proxies


@pytest.mark.parametrize("proxy", ["", "foo", "http://", "ftp://p:1", "p:3128"])
def test_what_is_no_proxy(proxy):
    with pytest.raises(ConfigurationError, match="proxy= is no address of a proxy"):
        ttorm.connect("https://x.test", secret="s", proxy=proxy, default=False)


@pytest.mark.parametrize("port", ["1", "port"])
def test_a_proxys_password_is_not_shown(port):
    with pytest.raises(ConfigurationError) as caught:
        ttorm.connect(
            "https://x.test",
            secret="s",
            proxy=f"http://ann:{PASSWORD}@p:{port}",
            retry=5,
            default=False,
        )
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame.locals for frame in frames if "/ttorm/" in frame.filename]
    assert len(ours) > 1
    assert PASSWORD not in str(ours)


def test_a_proxy_that_does_not_run(closed_port, do):
    proxy = closed_port.replace("//", f"//ann:{PASSWORD}@")
    with (
        ttorm.connect(
            "https://x.test",
            secret="s",
            proxy=proxy,
            retry=ttorm.RetryPolicy(attempts=1),
            default=False,
        ) as connection,
        pytest.raises(TransportError, match=f"does the proxy {closed_port} run") as caught,
    ):
        do(connection, "call", "get_account")
    assert not caught.value.sent
    assert PASSWORD not in str(caught.value)


def test_the_environments_proxy_that_does_not_run(closed_port, connect, do, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", closed_port)
    with (
        ttorm.connect(
            "https://x.test", secret="s", retry=ttorm.RetryPolicy(attempts=1), default=False
        ) as connection,
        pytest.raises(TransportError, match="The environment names a proxy") as caught,
    ):
        do(connection, "call", "get_account")
    assert not caught.value.sent


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost"])
def test_the_environments_proxy_is_not_told_what_stays_here(
    raw_server, closed_port, do, answer, monkeypatch, place
):
    """It would read the credential, and has a machine of its own by these names."""
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, closed_port)
    server = raw_server(answer(b"{}"))
    url = server.url.replace("127.0.0.1", place)
    with ttorm.connect(url, secret="s", default=False) as connection:
        assert do(connection, "call", "get_account") == {}


def test_a_proxy_that_refuses_has_sent_nothing(raw_server, do, answer):
    """So a write is repeated, and at the end it is known not to have happened."""
    server = raw_server(answer(b"", "407 Who are you"))
    with (
        ttorm.connect(
            "https://x.test",
            secret="s",
            proxy=server.url,
            retry=ttorm.RetryPolicy(attempts=2, base=0.0),
            default=False,
        ) as connection,
        pytest.raises(TransportError, match="407 Who are you: does the proxy") as caught,
    ):
        do(connection, "call", "create_twin")
    assert not caught.value.sent
    assert [request.split()[0] for request in server.requests] == [b"CONNECT"] * 2


# Addresses and redirects


@pytest.mark.parametrize(
    "url", ["https://a..b", f"https://{'a' * 64}.test", "https://a b.test", "https://a.test/\n"]
)
def test_addresses_that_nobody_has(url):
    with pytest.raises(ConfigurationError, match="no address of a service"):
        ttorm.connect(url, secret="s", default=False)


@pytest.mark.parametrize("place", [f"{'a' * 64}.test", "127.0.0.1:99999"])
def test_an_address_of_a_file_that_nobody_has(connect, do, place):
    transport = connect().transport
    for send in (transport.send, lambda request: asyncio.run(transport.asend(request))):
        with pytest.raises(TransportError, match="cannot be used") as caught:
            send(HttpRequest("GET", f"https://{place}/?token=t0ken"))
        assert not caught.value.sent
        assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("https://ann:t0ken@else.test:8443/x?t0ken", "leads to https://else.test:8443, and calls"),
        ("//else.test/t0ken", "leads to //else.test, and"),
        ("/v2/t0ken", "leads elsewhere on its server, and"),
        ("/v2//t0ken", "leads elsewhere on its server, and"),
        ("/v2?next=https://t0ken", "leads elsewhere on its server, and"),
        ("javascript:t0ken", "leads to javascript:, and"),
        ("http://xn--a.b/t0ken", "leads to http://xn--a.b, and"),
        ("http://[::1/t0ken", "leads to an address that cannot be read, and"),
    ],
)
def test_redirects_say_where_they_lead(raw_server, connect, do, answer, location, text):
    server = raw_server(answer(b"", "302 Found", location=location))
    with pytest.raises(ApiError) as caught:
        do(connect(server.url), "call", "get_account")
    assert text in str(caught.value)
    assert "t0ken" not in str(caught.value)
    assert caught.value.status == 302


def test_a_redirect_to_nowhere(raw_server, connect, do, answer):
    server = raw_server(answer(b"", "304 Not Modified"))
    with pytest.raises(ApiError, match="got 304"):
        do(connect(server.url), "call", "get_account")


def test_headers_of_answers_are_not_logged(raw_server, connect, do, answer, caplog):
    """They tell where files are, and set cookies."""
    caplog.set_level(logging.DEBUG)
    headers = {"location": "https://files.test/?signature=t0ken", "set_cookie": "sid=t0ken"}
    server = raw_server(answer(b"", "302 Found", **headers))
    with pytest.raises(ApiError):
        do(connect(server.url), "call", "get_account")
    assert "receive_response_headers.complete" in caplog.text
    assert "t0ken" not in caplog.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:secret@files.test:8443/a?b", "https://files.test:8443"),
        ("http://[::1", "an address that cannot be read"),
    ],
)
def test_where_addresses_lead(url, shown):
    assert origin(url) == shown
