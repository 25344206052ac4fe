"""The HTTP door of the emulator: what goes through it arrives as it was sent."""

from __future__ import annotations

import http.client
import json
import os
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.api.request import MAX_BODY
from ttorm.emulator import Emulator
from ttorm.emulator.asgi import LOOPBACK, application
from ttorm.emulator.bootstrap import make_account


class Echo:
    """A core that keeps what it was asked."""

    def __init__(self, answer: HttpResponse | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self.files: list[bytes] = []
        self.threads: set[str] = set()
        self.answer = answer or HttpResponse(200, {"content-type": "application/json"}, b"{}")

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        if isinstance(request.body, Upload):
            for _ in range(2):
                with request.body.open() as file:
                    self.files.append(file.read())
        return self.answer


@contextmanager
def served(core, hosts=LOOPBACK):
    app = application(core, hosts)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
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
