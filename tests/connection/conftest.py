"""Servers on the loopback interface, good and bad, and connections to them in both worlds."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import ttorm
from ttorm import RetryPolicy
from ttorm.api.http import Limits
from ttorm.api.retry import NO_RETRIES
from ttorm.connection.http import HttpTransport

PATIENCE = 20
SECRET = "S3cret+of/the-test"  # made up
TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What the machine is set to does not matter here."""
    for name in ("TTORM_URL", "TTORM_SECRET", "TTORM_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def base_url(httpserver):
    return httpserver.url_for("").rstrip("/")


@pytest.fixture
def connect(base_url):
    """Connect to a server: ``connect(url=..., limits=..., **options) -> Connection``."""
    made = []

    def connect(url=base_url, *, limits=None, **options):
        options = {"secret": SECRET, "retry": NO_RETRIES, "default": False, **options}
        if limits is not None:
            options["transport"] = HttpTransport(limits)
        connection = ttorm.connect(url, **options)
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def quick():
    """Three attempts without a pause."""
    return RetryPolicy(base=0.0)


@pytest.fixture
def short():
    """Limits that end a test soon."""
    return Limits(connect=0.5, read=0.2, write=0.5, pool=0.2)


@pytest.fixture(params=["sync", "async"])
def do(request):
    """Call a verb of a connection: ``do(connection, "call", "get_twin", uuid)``."""

    def do(connection, verb, *arguments, **options):
        if request.param == "sync":
            return getattr(connection, verb)(*arguments, **options)

        async def main():
            return await getattr(connection, f"a{verb}")(*arguments, **options)

        return asyncio.run(main())

    return do


class RawServer:
    """Accepts connections and sends bytes of its own, whatever was asked.

    Attributes:
        answers: What each connection in turn is sent before it is closed; None sends nothing and
            leaves it open. The last one is for all that follow.
        requests: What was received, up to the end of the head.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            received = b""
            while b"\r\n\r\n" not in received and (part := connection.recv(65_536)):
                received += part
            if not received:
                connection.close()
                return
            self.requests.append(received)
            if answer is None:
                self._open.append(connection)
                continue
            with closing(connection):
                connection.sendall(answer)

    def close(self):
        with socket.create_connection(self._socket.getsockname()):
            pass  # ends the wait for the next one
        self._thread.join(PATIENCE)
        self._socket.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def raw_server():
    """Start servers: ``raw_server(b"HTTP/1.1 ...", ...) -> RawServer``."""
    started = []

    def start(*answers):
        started.append(RawServer(*answers))
        return started[-1]

    yield start
    for server in started:
        server.close()


class Handler(BaseHTTPRequestHandler):
    """Answers with the path that was asked for, and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # the library's name
        body = json.dumps({"path": self.path}).encode()
        self.server.sources.append(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def echo_server():
    """A server that answers each request with its path; `sources` tells who asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.sources = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE)
    server.server_close()


@pytest.fixture
def closed_port():
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def http(body=b"{}", status="200 OK", **headers):
    """Bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def answer():
    """Make the bytes of an answer: ``answer(b"{}", "200 OK", retry_after=1) -> bytes``."""
    return http
