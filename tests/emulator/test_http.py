"""The HTTP door of the emulator: what goes through it arrives as it was sent."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import select
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

import ttorm
from ttorm._version import __version__
from ttorm.api.errors import OutcomeUnknownError, TransportError
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.api.request import MAX_BODY
from ttorm.api.retry import NO_RETRIES
from ttorm.cli.impatient import impatient
from ttorm.emulator import Emulator
from ttorm.emulator.admin import Admin
from ttorm.emulator.answers import Fault
from ttorm.emulator.asgi import LOOPBACK, application
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.clock import Clock
from ttorm.emulator.faults import Faults, Strike
from ttorm.emulator.hangups import HangUp
from ttorm.emulator.openapi import description
from ttorm.emulator.pages import HEALTH, OPENAPI
from ttorm.emulator.routing import find_route


class Echo:
    """A core that keeps what it was asked."""

    def __init__(self, answer: HttpResponse | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self.files: list[bytes] = []
        self.threads: set[str] = set()
        self.answer = answer or HttpResponse(200, {"content-type": "application/json"}, b"{}")
        self.clock = Clock()
        self.faults = Faults()
        self.expects = True

    def expects_file(self, request: HttpRequest) -> bool:
        return self.expects

    def handle(self, request: HttpRequest, *, strike: Strike) -> HttpResponse:
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        if isinstance(request.body, Upload):
            for _ in range(2):
                with request.body.open() as file:
                    self.files.append(file.read())
        return self.answer


@contextmanager
def served(core, hosts=LOOPBACK, head_seconds=None, **options):
    app = application(core, hosts, **options)
    config = uvicorn.Config(app, port=0, log_level="critical")
    if head_seconds is not None:
        config.http_protocol_class = impatient(config, head_seconds)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def ask(port, method, path, body=None, headers=None, chunks=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(
            method, path, chunks or body, headers or {}, encode_chunked=chunks is not None
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_path_arrives_as_it_was_encoded():
    core = Echo()
    with served(core) as port:
        ask(port, "GET", "/resolve/RFID%23a%2Bb%3D?match=a%20%3D%3D%201&x=1+2")
    (request,) = core.requests
    assert request.method == "GET"
    assert request.url == (
        f"http://127.0.0.1:{port}/resolve/RFID%23a%2Bb%3D?match=a%20%3D%3D%201&x=1+2"
    )


def test_bytes_that_no_address_has():
    """Servers refuse them, but not all do."""
    core, sent = Echo(), []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/twins",
        "raw_path": b"/twins\xff",
        "query_string": b"match=\xff",
        "client": None,
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(application(core)(scope, receive, send))
    assert sent[0]["status"] == 200
    assert core.requests[0].url == "http://localhost/twins\xff?match=\xff"


def test_an_encoded_slash_stays_inside_its_segment():
    core = Echo()
    with served(core) as port:
        ask(port, "GET", "/twins/u/docs/Certs%2Fa_1.txt")
    assert core.requests[0].url.endswith("/twins/u/docs/Certs%2Fa_1.txt")


def test_headers_arrive_in_lower_case_and_bodies_whole():
    core = Echo()
    with served(core) as port:
        ask(
            port,
            "POST",
            "/twins",
            b'{"a": 1}',
            {"Authorization": "s3cret", "X-TrustedTwin": "e30="},
        )
    (request,) = core.requests
    assert request.headers["authorization"] == "s3cret"
    assert request.headers["x-trustedtwin"] == "e30="
    assert request.body == b'{"a": 1}'


@pytest.mark.parametrize("size", [MAX_BODY, MAX_BODY + 1, 5 * MAX_BODY])
def test_a_body_over_the_limit_is_cut_one_byte_over_it(size):
    core = Echo()
    with served(core) as port:
        status, _, _ = ask(port, "POST", "/twins", b"x" * size)
    assert status == 200
    assert len(core.requests[0].body) == min(size, MAX_BODY + 1)


def test_a_file_is_streamed_and_can_be_read_again():
    core = Echo()
    content = os.urandom(3 * 1024 * 1024)
    pieces = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
    with served(core) as port:
        ask(port, "PUT", "/_upload/h", chunks=iter(pieces))
    assert core.files == [content, content]
    assert core.requests[0].body.size == len(content)


def test_an_answer_is_streamed_chunk_by_chunk():
    chunks = [b"a" * 70_000, b"b" * 70_000]
    core = Echo(
        HttpResponse(200, {"content-type": "application/octet-stream"}, stream=iter(chunks))
    )
    with served(core) as port:
        status, headers, body = ask(port, "GET", "/download/a/h")
    assert (status, body) == (200, b"".join(chunks))
    assert headers["content-type"] == "application/octet-stream"


def test_status_headers_and_body_of_an_answer_go_out_unchanged():
    core = Echo(HttpResponse(404, {"content-type": "application/json", "x-mark": "1"}, b'{"a":1}'))
    with served(core) as port:
        status, headers, body = ask(port, "GET", "/nothing")
    assert (status, headers["x-mark"], body) == (404, "1", b'{"a":1}')


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8787"])
def test_a_foreign_host_name_is_refused(host):
    core = Echo()
    with served(core) as port:
        status, headers, _ = ask(port, "GET", "/whoami", headers={"Host": host})
    assert status == 400
    assert not core.requests
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:8787", "twins.test"])
def test_loopback_names_and_the_own_name_are_accepted(host):
    core = Echo()
    with served(core, (*LOOPBACK, "twins.test")) as port:
        status, _, _ = ask(port, "GET", "/whoami", headers={"Host": host})
    assert status == 200


def test_there_is_no_cors():
    core = Echo()
    with served(core) as port:
        _, headers, _ = ask(port, "GET", "/whoami", headers={"Origin": "http://evil.example"})
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_the_core_runs_on_threads_of_the_door():
    core = Echo()
    with served(core) as port:
        ask(port, "GET", "/whoami")
    assert all(name.startswith("ttorm-emulator") for name in core.threads)
    assert not [t for t in threading.enumerate() if t.name.startswith("ttorm-emulator")]


def test_a_client_that_hangs_up_while_sending_changes_nothing():
    core = Echo()
    with served(core) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest("POST", "/twins")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"half")
        connection.close()
        ask(port, "GET", "/whoami")
    assert [request.method for request in core.requests] == ["GET"]


def test_a_file_goes_up_and_comes_down_again_whole():
    content = os.urandom(2 * 1024 * 1024 + 17)
    with Emulator("memory:") as emulator, served(emulator) as port:
        secret = {"Authorization": make_account(emulator).secret}

        def call(method, path, body=None):
            text = None if body is None else json.dumps(body)
            status, _, answer = ask(port, method, path, text, secret)
            assert status < 300, answer
            return json.loads(answer)

        twin = call("POST", "/twins", {"description": {}})["creation_certificate"]["uuid"]
        place = call("POST", "/cache")
        path = place["url"].removeprefix(f"http://127.0.0.1:{port}")
        assert ask(port, "PUT", path, content)[0] == 200
        doc = {"handler": place["handler"]}
        call("POST", f"/twins/{twin}/docs", {"docs": {"Certs/a_1.bin": doc}})
        shown = call("GET", f"/twins/{twin}/docs/Certs%2Fa_1.bin?download=true")
        path = shown["download"]["url"].removeprefix(f"http://127.0.0.1:{port}")
        status, headers, body = ask(port, "GET", path)
    assert (status, body) == (200, content)
    assert headers["content-length"] == str(len(content))


def test_a_batch_runs_while_others_are_served():
    with Emulator("memory:") as emulator, served(emulator) as port:
        base, secret = f"http://127.0.0.1:{port}", {"Authorization": make_account(emulator).secret}

        def call(method, path, body=None):
            text = None if body is None else json.dumps(body)
            status, _, answer = ask(port, method, path, text, secret)
            assert status < 300, answer
            return json.loads(answer)

        place = call("POST", "/cache")
        lines = b'{"body": {"description": {"kind": "pump"}}}\n' * 20
        assert ask(port, "PUT", place["url"].removeprefix(base), lines)[0] == 200
        batch = {"operation": "create_twin", "handler": place["handler"]}
        path = f"/batches/{call('POST', '/batches', batch)['batch']}?download=true"
        pause = threading.Event()
        while (shown := call("GET", path))["status"] != "completed":
            pause.wait(0.01)
        status, headers, body = ask(port, "GET", shown["download"]["url"].removeprefix(base))
    assert (status, headers["content-type"]) == (200, "application/jsonl")
    assert [json.loads(line)["status"] for line in body.splitlines()] == [201] * 20


def test_a_body_over_the_limit_is_refused_by_the_core():
    with Emulator("memory:") as emulator, served(emulator) as port:
        secret = {"Authorization": make_account(emulator).secret}
        big = json.dumps({"description": {"a": "x" * MAX_BODY}})
        status, _, answer = ask(port, "POST", "/twins", big, secret)
    assert (status, json.loads(answer)["subcode"]) == (400, 400141)


def sent(port, data):
    """Send raw bytes, and return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            return file.read()


HALF = b"POST /twins HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"


class TestPages:
    def test_the_description_is_served_to_everybody(self):
        with served(Echo()) as port:
            status, headers, body = ask(port, "GET", OPENAPI)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == json.loads(json.dumps(description()))

    def test_health_tells_the_version_and_that_the_store_answers(self):
        with Emulator("memory:") as emulator, served(emulator) as port:
            status, _, body = ask(port, "GET", HEALTH)
        assert status == 200
        assert json.loads(body) == {"status": "ok", "store": "ok", "version": __version__}

    def test_health_tells_when_the_store_does_not_answer(self):
        emulator = Emulator("memory:")
        emulator.close()
        with served(emulator) as port:
            status, _, body = ask(port, "GET", HEALTH)
        assert (status, json.loads(body)["store"]) == (503, "unavailable")

    @pytest.mark.parametrize("path", [HEALTH, OPENAPI])
    def test_pages_take_no_place_of_an_operation(self, path):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            with pytest.raises(Fault):
                find_route(method, path)

    @pytest.mark.parametrize("path", [HEALTH, OPENAPI])
    def test_other_methods_are_the_cores_to_refuse(self, path):
        core = Echo(HttpResponse(404, {}, b"{}"))
        with served(core) as port:
            assert ask(port, "POST", path)[0] == 404
        assert len(core.requests) == 1


class TestLimits:
    @pytest.mark.parametrize("size", [1_001, 10_000_000])
    def test_a_file_that_says_it_is_too_large_is_not_read(self, size):
        core = Echo()
        head = f"PUT /_upload/h HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        with served(core, max_upload=1_000) as port:
            answer = sent(port, head.encode())
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"400141" in answer
        assert not core.requests

    def test_a_file_that_becomes_too_large_is_not_taken(self):
        core = Echo()
        with served(core, max_upload=1_000) as port:
            chunks = iter([b"x" * 600, b"x" * 600])
            status, _, body = ask(port, "PUT", "/_upload/h", chunks=chunks)
        assert (status, json.loads(body)["subcode"]) == (400, 400141)
        assert not core.requests

    def test_a_file_of_just_the_size_is_taken(self):
        core = Echo()
        with served(core, max_upload=1_000) as port:
            assert ask(port, "PUT", "/_upload/h", b"x" * 1_000)[0] == 200

    def test_a_file_that_nobody_expects_is_not_read(self):
        core = Echo(HttpResponse(403, {"content-type": "application/json"}, b"{}"))
        core.expects = False
        head = b"PUT /_upload/h HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        with served(core) as port:
            answer = sent(port, head)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"connection: close" in answer.lower()
        assert [request.body for request in core.requests] == [b""]

    def test_only_open_uploads_expect_files(self):
        with Emulator("memory:") as emulator:
            user = emulator.first_user()
            place = json.loads(
                emulator.handle(HttpRequest("POST", "http://e.test/cache"), user).body
            )
            url = place["url"]
            assert emulator.expects_file(HttpRequest("PUT", url))
            assert not emulator.expects_file(HttpRequest("PUT", f"{url}x"))
            assert not emulator.expects_file(HttpRequest("PUT", "http://e.test/twins"))
            assert not emulator.expects_file(HttpRequest("PUT", "http://e.test/_upload/%ff"))
            admin = Admin(emulator, "sesame")
            admins = "http://localhost/_emulator/snapshot"
            for token, may in (("sesame", True), ("wrong", False), ("", False)):
                asked = HttpRequest("PUT", admins, {"x-emulator-admin": token})
                assert admin.expects_file(asked) is may

    @pytest.mark.parametrize("method", [b"POST", b"PUT"])
    def test_a_body_that_stops_coming_is_given_up(self, method):
        core = Echo()
        with served(core, patience=0.05) as port:
            answer = sent(port, HALF.replace(b"POST", method))
        assert b"400793" in answer
        assert not core.requests

    @pytest.mark.parametrize("head", [b"", b"GET /whoami HTTP/1.1\r\nHost: local"])
    def test_a_head_that_does_not_come_is_given_up(self, head):
        with served(Echo(), head_seconds=0.05) as port:
            assert sent(port, head) == b""

    def test_the_second_request_of_a_connection_is_not_waited_for_either(self):
        core = Echo()
        with served(core, head_seconds=0.05) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/whoami")
            connection.getresponse().read()
            connection.sock.sendall(b"GET /whoami HT")
            assert connection.sock.recv(1) == b""
            connection.close()
        assert len(core.requests) == 1

    def test_a_request_may_take_longer_than_its_head(self):
        core, done = Echo(), threading.Event()
        handle = core.handle
        core.handle = lambda request, **options: (done.wait(0.2), handle(request, **options))[1]
        with served(core, head_seconds=0.05) as port:
            assert ask(port, "GET", "/whoami")[0] == 200

    def test_a_client_that_takes_nothing_is_given_up(self, accesses):
        chunks = (b"x" * 1_000_000 for _ in range(200))
        core = Echo(HttpResponse(200, {"content-type": "a/b"}, stream=chunks))
        with served(core, patience=0.1) as port, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.settimeout(20)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /download/a/h HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert accesses.came.wait(20)
        assert next(chunks, None) is not None


class TestFaults:
    def test_a_fault_of_the_emulator_shows_no_trace_of_its_code(self, monkeypatch):
        with Emulator("memory:") as emulator, served(emulator) as port:
            monkeypatch.setattr("ttorm.emulator.core.dispatch", lambda *_: 1 / 0)
            status, headers, body = ask(port, "GET", "/whoami")
        answer = json.loads(body)
        assert (status, answer["subcode"]) == (500, 500000)
        assert headers["content-type"] == "application/json"
        assert "ZeroDivision" not in str(answer)
        assert "Traceback" not in str(answer)

    def test_a_closed_emulator_says_so(self):
        emulator = Emulator("memory:")
        emulator.close()
        with served(emulator) as port:
            status, _, body = ask(port, "GET", "/whoami")
        assert (status, json.loads(body)["description"]) == (500, "The emulator is closed.")

    def test_a_closed_emulator_says_so_also_to_whoever_runs_it(self):
        emulator = Emulator("memory:")
        emulator.close()
        with served(emulator, admin=Admin(emulator, "token")) as port:
            headers = {"x-emulator-admin": "token"}
            status, _, body = ask(port, "GET", "/_emulator/accounts", headers=headers)
        assert (status, json.loads(body)["description"]) == (500, "The emulator is closed.")


class Lines(logging.Handler):
    """The lines of the access log."""

    def __init__(self):
        super().__init__()
        self.came = threading.Event()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())
        self.came.set()


@pytest.fixture
def accesses():
    log, lines = logging.getLogger("ttorm.emulator.access"), Lines()
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    yield lines
    log.setLevel(logging.NOTSET)
    log.removeHandler(lines)


class TestAccessLog:
    def line(self, accesses, method, target, **options):
        with served(Echo()) as port:
            ask(port, method, target, **options)
        (line,) = accesses.lines
        return line

    def test_a_line_has_what_was_asked_and_what_came_of_it(self, accesses):
        line = self.line(accesses, "GET", "/twins?count=5&match=TWIN.a%20%3D%3D%201")
        client, method, target, status, size, *_, unit = line.split()
        assert (client, method, status, size, unit) == ("127.0.0.1", "GET", "200", "2", "ms")
        assert target == "/twins?count=5&match=TWIN.a%20%3D%3D%201"

    @pytest.mark.parametrize(
        ("method", "target", "shown"),
        [
            ("POST", "/secrets/acc/HIDDEN", "/secrets/acc/***"),
            ("POST", "/secrets/acc/HIDDEN/", "/secrets/acc/***/"),
            ("GET", "/secrets/acc/HIDDEN", "/secrets/***"),
            ("POST", "//secrets/acc/HIDDEN", "/secrets/acc/***"),
            ("GET", "/download/acc/HIDDEN", "/download/acc/***"),
            ("DELETE", "/cache/HIDDEN", "/cache/***"),
            ("PUT", "/_upload/HIDDEN", "/_upload/***"),
            (
                "GET",
                "/notifications/webhooks/acc?token=HIDDEN",
                "/notifications/webhooks/acc?token=***",
            ),
            ("GET", "/whoami?secret=HIDDEN", "/whoami?secret=***"),
            ("GET", "/whoami?HIDDEN", "/whoami?=***"),
            ("GET", "/nothing?count=HIDDEN", "/nothing?count=***"),
        ],
    )
    def test_what_lets_its_reader_do_something_is_masked(self, accesses, method, target, shown):
        line = self.line(accesses, method, target)
        assert f" {method} {shown} " in line
        assert "HIDDEN" not in line

    def test_headers_and_bodies_are_not_logged(self, accesses):
        headers = {"Authorization": "HIDDEN", "X-TrustedTwin": "HIDDEN"}
        line = self.line(accesses, "POST", "/token", body=b'{"a": "HIDDEN"}', headers=headers)
        assert "HIDDEN" not in line

    def test_refused_hosts_are_logged(self, accesses):
        line = self.line(accesses, "GET", "/whoami", headers={"Host": "evil.example"})
        assert " GET /whoami 400 " in line

    def test_nothing_is_logged_unless_it_is_asked_for(self, accesses):
        logging.getLogger("ttorm.emulator.access").setLevel(logging.WARNING)
        with served(Echo()) as port:
            ask(port, "GET", "/whoami")
        assert not accesses.lines


class TestFaultsOnPurpose:
    @pytest.fixture
    def emulator(self):
        with Emulator("memory:") as emulator:
            yield emulator

    @pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
    def test_the_connection_is_closed_without_an_answer(self, emulator, drop, made, caplog):
        secret = make_account(emulator).secret
        emulator.faults.add("create_twin", drop=drop)
        with served(emulator) as port:
            with pytest.raises(http.client.RemoteDisconnected):
                ask(port, "POST", "/twins", headers={"authorization": secret})
            status, _, body = ask(port, "GET", "/twins", headers={"authorization": secret})
        assert (status, len(json.loads(body)["twins"])) == (200, made)
        assert caplog.records == []

    def test_the_mapper_sees_what_it_sees_of_a_real_network(self, emulator):
        secret = make_account(emulator).secret
        emulator.faults.add("create_twin", drop="after")
        with served(emulator) as port:
            connection = ttorm.connect(
                f"http://127.0.0.1:{port}", secret=secret, retry=NO_RETRIES, default=False
            )
            with pytest.raises(OutcomeUnknownError):
                connection.call("create_twin")
            connection.close()

    def test_slow_requests_do_not_hold_up_others(self, emulator):
        """There are more of them than threads that answer."""
        fault = emulator.faults.add("who_am_i", delay=1)
        with served(emulator) as port:
            waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
            for connection in waiting:
                connection.sendall(b"GET /whoami HTTP/1.1\r\nhost: localhost\r\n\r\n")
            while fault.hits < len(waiting):
                time.sleep(0.005)
            assert ask(port, "GET", "/twins")[0] == 401
            assert select.select(waiting, [], [], 0)[0] == []
            for connection in waiting:
                connection.close()

    def test_other_servers_get_the_error(self):
        async def send(message):
            raise AssertionError(message)

        async def app(*_):
            raise TransportError("broken")

        with pytest.raises(TransportError, match="broken"):
            asyncio.run(HangUp(app)({"type": "http"}, None, send))
