"""HTTP: what is sent, what is accepted, what is tried again, and what errors say."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import socket
import ssl
import time
import traceback
import tracemalloc
import zlib
from base64 import b64decode
from io import BytesIO

import pytest
from werkzeug import Response

import ttorm
from ttorm import (
    ApiError,
    ForbiddenError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    RetryPolicy,
    ServerError,
    StateError,
    TransportError,
)
from ttorm.api.http import HttpRequest, Limits, Upload
from ttorm.connection import blocking, bodies, http, loops
from ttorm.connection.bodies import Intake
from ttorm.connection.http import LIBRARY, HttpTransport

SECRET = "S3cret+of/the-test"
TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
ENTRIES = {"entries": {"x": {"value": 1}}}


class Asked:
    """Answers requests in turn, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Response) else Response(json.dumps(answer))

    def __len__(self):
        return len(self.requests)

    @property
    def last(self):
        return self.requests[-1]


@pytest.fixture
def serve(httpserver):
    """Serve answers in turn: ``asked = serve({...}, Response(...))``."""

    def serve(*answers):
        asked = Asked(*(answers or [{}]))
        httpserver.expect_request(re.compile(".*")).respond_with_handler(asked)
        return asked

    return serve


def failing(status, body=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status=status, headers=headers)


# What is sent


def test_headers_of_a_read(serve, connect, do):
    asked = serve()
    do(connect(), "call", "get_twin", TWIN)
    headers = asked.last.headers
    assert headers["Authorization"] == SECRET  # bare, without a scheme
    assert headers["Accept"] == "application/json"
    assert headers["Accept-Encoding"] == "gzip"
    assert headers["User-Agent"] == f"ttorm/{ttorm.__version__}"
    assert "X-TrustedTwin" not in headers
    assert "Content-Type" not in headers
    assert "Cookie" not in headers


def test_headers_of_a_write(serve, connect, do):
    asked = serve()
    do(connect(), "call", "update_twin", TWIN, body={"description": {"name": "é"}})
    assert asked.last.headers["Content-Type"] == "application/json"
    assert asked.last.headers["Content-Length"] == str(len(asked.last.data))
    assert asked.last.data == '{"description":{"name":"é"}}'.encode()
    assert asked.last.method == "PATCH"


def test_the_dictionary_of_a_call_replaces_the_connections(serve, connect, do):
    asked = serve()
    connection = connect(dictionary={"serial": "SN-1"})

    def dictionary():
        return json.loads(b64decode(asked.last.headers["X-TrustedTwin"]))

    do(connection, "call", "get_twin", TWIN)
    assert dictionary() == {"serial": "SN-1"}
    do(connection, "call", "get_twin", TWIN, dictionary={"pin": "7"})
    assert dictionary() == {"pin": "7"}
    do(connection, "call", "get_twin", TWIN, dictionary={})
    assert dictionary() == {}


def test_operations_that_need_no_credential_do_not_get_it(serve, connect, do):
    asked = serve()
    do(connect(), "call", "create_user_secret", TWIN, "A1B2C3")
    assert "Authorization" not in asked.last.headers


@pytest.mark.parametrize(
    ("name", "arguments", "query", "raw"),
    [
        ("get_twin_identity", [TWIN, "RFID#a+b="], {}, f"/twins/{TWIN}/identities/RFID%23a%2Bb%3D"),
        ("get_twin_doc", [TWIN, "Certs/a_1.txt"], {}, f"/twins/{TWIN}/docs/Certs%2Fa_1.txt"),
        ("scan_twins", [], {"match": "a == 'x+y'"}, "/twins?match=a%20%3D%3D%20%27x%2By%27"),
        ("get_user", ["é%20"], {}, "/users/%C3%A9%2520"),
    ],
)
def test_addresses_go_over_the_wire_as_they_were_encoded(
    raw_server, connect, do, answer, name, arguments, query, raw
):
    """No library decodes, normalises or encodes them once more."""
    server = raw_server(answer())
    do(connect(server.url), "call", name, *arguments, **query)
    assert server.requests[0].startswith(f"GET {raw} HTTP/1.1\r\n".encode())


def test_a_path_before_the_apis(serve, connect, base_url, do):
    asked = serve()
    do(connect(f"{base_url}/gateway/tt/"), "call", "who_am_i")
    assert asked.last.path == "/gateway/tt/whoami"


def test_connections_are_used_again(echo_server, connect):
    connection = connect(echo_server.url)
    for _ in range(5):
        connection.call("get_twin", TWIN)
    assert len(set(echo_server.sources)) == 1

    async def main():
        for _ in range(5):
            await connection.acall("get_twin", TWIN)

    asyncio.run(main())
    assert len(set(echo_server.sources)) == 2


# What is accepted


@pytest.mark.parametrize("status", [200, 201, 203])
def test_any_2xx_is_success(serve, connect, do, status):
    serve(Response('{"a": 1}', status=status))
    assert do(connect(), "call", "create_twin") == {"a": 1}


def test_an_empty_answer(serve, connect, do):
    serve(Response(b"", status=204))
    assert do(connect(), "call", "trace") == {}


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_compressed_answers(serve, connect, do, encoding, compress):
    twins = {"twins": [TWIN] * 5_000}
    body = compress(json.dumps(twins).encode())
    serve(Response(body, headers={"content-encoding": encoding}))
    assert do(connect(), "call", "scan_twins") == twins


def test_a_body_in_tiny_chunks_takes_no_more_memory_than_its_bytes():
    intake = Intake(HttpRequest("GET", "http://x.test"), 200, {}, Limits())
    tracemalloc.start()
    try:
        for number in range(100_000):
            intake.feed(b"%d" % (10 + number % 90))
        traces = tracemalloc.take_snapshot().traces
    finally:
        tracemalloc.stop()
    # Of what is done here only: threads of other tests may be at work as well.
    places = (__file__, bodies.__file__)
    assert sum(one.size for one in traces if one.traceback[0].filename in places) < 1_000_000
    assert len(intake.finish().body) == 200_000


def test_a_gzip_bomb_costs_no_memory(serve, connect, do):
    """200 MB out of 200 kB: read up to the limit and not further."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(b"x" * (1 << 20)) for _ in range(200)) + packer.flush()
    serve(Response(bomb, headers={"content-encoding": "gzip"}))
    connection = connect(limits=Limits(body=1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ResponseTooLargeError, match="more than 1,048,576 bytes decompressed"):
            do(connection, "call", "scan_twins")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_the_limit_of_an_answer_is_exact(serve, connect, do, size):
    body = json.dumps({"a": "x" * 1000}).encode()
    serve(Response(body))
    connection = connect(limits=Limits(body=len(body) + size))
    if size < 0:
        with pytest.raises(ResponseTooLargeError):
            do(connection, "call", "get_account")
    else:
        assert do(connection, "call", "get_account") == {"a": "x" * 1000}


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (b"\x1f\x8bbroken", "gzip", "compression is broken"),
        (b"not compressed", "gzip", "compression is broken"),
        (gzip.compress(b'{"a": 1}' * 1000)[:-12], "gzip", "cut short"),
        (gzip.compress(b"{}") + b"more", "gzip", "goes on after the end"),
        (gzip.compress(b"{}") + bytes(8 << 20), "gzip", "goes on after the end"),
        (b"x", "br", "compressed as 'br'"),
    ],
    ids=["broken", "none", "cut", "more", "much more", "other"],
)
def test_broken_compression(serve, connect, do, body, encoding, text):
    serve(Response(body, headers={"content-encoding": encoding}))
    with pytest.raises(ResponseFormatError, match=text):
        do(connect(), "call", "get_account")


PAGE = "<!DOCTYPE html><html><title>Sign in to the hotel's network</title></html>"


def test_a_proxys_page_with_success(serve, connect, do):
    serve(Response(PAGE, content_type="text/html"))
    with pytest.raises(
        ResponseFormatError, match=r"text/html.*proxy answer in its place"
    ) as caught:
        do(connect(), "call", "get_twin", TWIN)
    assert caught.value.operation == "get_twin"
    assert f"GET /twins/{TWIN}" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(403, ForbiddenError), (502, ServerError), (404, ttorm.NotFoundError)]
)
def test_a_proxys_page_with_an_error(serve, connect, do, status, error):
    serve(Response(PAGE, status=status, content_type="text/html"))
    with pytest.raises(error, match=f"{status}.*a proxy may have answered") as caught:
        do(connect(), "call", "get_twin", TWIN)
    assert caught.value.subcode is None


def test_redirects_are_not_followed(serve, connect, do, base_url):
    """The credential would go along."""
    asked = serve(Response(status=302, headers={"location": f"{base_url}/elsewhere"}))
    with pytest.raises(ApiError, match="302"):
        do(connect(), "call", "get_account")
    assert [request.path for request in asked.requests] == ["/account"]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\r\n",
    ],
)
def test_connections_that_break(raw_server, connect, do, sent):
    server = raw_server(sent)
    with pytest.raises(TransportError, match="no answer") as caught:
        do(connect(server.url), "call", "get_twin", TWIN)
    assert caught.value.sent
    assert (caught.value.operation, caught.value.attempts) == ("get_twin", 1)
    assert isinstance(caught.value, ConnectionError)


# Time


def test_a_server_that_does_not_answer(raw_server, connect, short, do):
    server = raw_server(None)
    start = time.monotonic()
    with pytest.raises(
        RequestTimeoutError, match=f"GET /twins/{TWIN}: no answer in time"
    ) as caught:
        do(connect(server.url, limits=short), "call", "get_twin", TWIN)
    assert 0.15 < time.monotonic() - start < 10
    assert caught.value.sent
    assert isinstance(caught.value, TimeoutError)


def test_time_out_of_the_connection(raw_server, connect, do):
    server = raw_server(None)
    with pytest.raises(RequestTimeoutError):
        do(connect(server.url, timeout=0.1), "call", "get_twin", TWIN)


def test_an_address_that_swallows_everything(connect, do):
    """A full backlog: the connection is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            waiting.append(filler)
        try:
            connection = connect(
                f"http://127.0.0.1:{address[1]}", limits=Limits(connect=0.2, read=0.3)
            )
            with pytest.raises(RequestTimeoutError) as caught:
                do(connection, "call", "get_account")
            assert not caught.value.sent
        finally:
            for filler in waiting:
                filler.close()


def test_nobody_listens(closed_port, connect, do):
    with pytest.raises(TransportError, match="POST /twins: no answer") as caught:
        do(connect(closed_port), "call", "create_twin")
    assert not caught.value.sent
    assert caught.value.request == "POST /twins"


def test_no_such_host(connect, do):
    with pytest.raises(TransportError) as caught:
        do(connect("https://no-such-host.invalid"), "call", "create_twin")
    assert not caught.value.sent


# Again


def test_a_read_is_tried_again(serve, connect, quick, do):
    asked = serve(failing(500), failing(502), {"status": "alive"})
    connection = connect(retry=quick)
    assert do(connection, "call", "get_twin", TWIN) == {"status": "alive"}
    assert len(asked) == connection.requests == 3


def test_a_read_over_broken_connections_is_tried_again(raw_server, connect, quick, do, answer):
    server = raw_server(b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", answer(b'{"a": 1}'))
    assert do(connect(server.url, retry=quick), "call", "get_twin", TWIN) == {"a": 1}
    assert len(server.requests) == 3


def test_a_read_gives_up_after_its_attempts(serve, connect, do):
    asked = serve(failing(500))
    with pytest.raises(ServerError) as caught:
        do(connect(retry=RetryPolicy(attempts=4, base=0)), "call", "get_twin", TWIN)
    assert len(asked) == caught.value.attempts == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_what_would_fail_again_is_not_tried_again(serve, connect, quick, do, status):
    asked = serve(failing(status))
    with pytest.raises(ApiError) as caught:
        do(connect(retry=quick), "call", "get_twin", TWIN)
    assert len(asked) == caught.value.attempts == 1


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_rejected_is_tried_again_whatever_it_is(serve, connect, quick, do, status):
    """The service has done nothing yet."""
    asked = serve(failing(status, retry_after="0"), {"status": "alive"})
    assert do(connect(retry=quick), "call", "create_twin") == {"status": "alive"}
    assert len(asked) == 2


def test_what_was_never_sent_is_tried_again_whatever_it_is(closed_port, connect, quick, do):
    with pytest.raises(TransportError) as caught:
        do(connect(closed_port, retry=quick), "call", "create_twin")
    assert caught.value.attempts == 3
    assert not caught.value.sent


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{"])
def test_creating_is_not_repeated_when_the_outcome_is_unknown(raw_server, connect, quick, do, sent):
    server = raw_server(sent)
    with pytest.raises(OutcomeUnknownError, match="may or may not have happened") as caught:
        do(connect(server.url, retry=quick), "call", "create_twin")
    assert len(server.requests) == caught.value.attempts == 1
    assert caught.value.operation == "create_twin"
    assert isinstance(caught.value.__cause__, TransportError)
    # There is no UUID yet of what could be read afresh.
    assert "look for what it was to make before" in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_creating_with_an_error_of_the_server(serve, connect, quick, do, status):
    asked = serve(failing(status))
    with pytest.raises(OutcomeUnknownError) as caught:
        do(connect(retry=quick), "call", "create_twin")
    assert len(asked) == 1
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.status == status


def test_a_write_is_not_repeated_blindly(raw_server, connect, quick, do):
    """It could overwrite what somebody else wrote in between."""
    server = raw_server(b"")
    connection = connect(server.url, retry=quick)
    with pytest.raises(OutcomeUnknownError):
        do(connection, "call", "update_twin_ledger_entry_value", TWIN, body=ENTRIES)
    assert len(server.requests) == 1


def test_a_write_that_times_out(raw_server, connect, short, quick, do):
    server = raw_server(None)
    with pytest.raises(OutcomeUnknownError) as caught:
        do(connect(server.url, limits=short, retry=quick), "call", "create_twin")
    assert isinstance(caught.value.__cause__, RequestTimeoutError)
    assert len(server.requests) == 1


def test_retry_after_is_a_floor(serve, connect, monkeypatch):
    serve(failing(503, retry_after="7"), failing(429, retry_after="2"), {})
    pauses = []
    monkeypatch.setattr(blocking, "sleep", pauses.append)
    connect(retry=RetryPolicy(base=0)).call("get_twin", TWIN)
    assert pauses == [7, 2]


def test_back_off_without_retry_after(serve, connect, monkeypatch):
    serve(failing(500))
    pauses = []
    monkeypatch.setattr(blocking, "sleep", pauses.append)
    with pytest.raises(ServerError):
        connect(retry=RetryPolicy(attempts=4, base=1, cap=2.5)).call("get_twin", TWIN)
    assert len(pauses) == 3
    assert all(0 <= pause <= top for pause, top in zip(pauses, [1, 2, 2.5], strict=True))


def test_pauses_in_a_loop_let_others_go_on(serve, connect):
    serve(failing(503, retry_after="0.05"), {})
    connection, ticks = connect(retry=RetryPolicy(base=0)), []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    async def main():
        ticking = asyncio.ensure_future(tick())
        await connection.acall("get_twin", TWIN)
        ticking.cancel()

    asyncio.run(main())
    assert len(ticks) > 3


@pytest.mark.parametrize("policy", [RetryPolicy(longest_retry_after=60), RetryPolicy(deadline=10)])
def test_a_long_retry_after_ends_the_attempts_at_once(serve, connect, do, policy):
    asked = serve(failing(503, retry_after="61"))
    with pytest.raises(ttorm.BusyError) as caught:
        do(connect(retry=policy), "call", "get_twin", TWIN)
    assert len(asked) == caught.value.attempts == 1
    assert caught.value.retry_after == 61


# Signals, limits, end


def test_each_answer_is_told_with_its_status(serve, connect, quick, do):
    serve(failing(500), {"status": "alive"})
    connection, told = connect(retry=quick), []

    def receiver(sender, **about):
        told.append((sender, about))

    with ttorm.signals.request_sent.connected_to(receiver):
        do(connection, "call", "get_twin", TWIN)
    assert [about["status"] for _, about in told] == [500, 200]
    sender, about = told[0]
    assert sender is about["connection"] is connection
    assert (about["operation"], about["path"]) == ("get_twin", f"/twins/{TWIN}")


def test_all_connections_busy(raw_server, connect, do):
    server = raw_server(None)
    limits = Limits(pool=0.05, read=0.5, connections=1)
    connection = connect(server.url, limits=limits)

    async def main():
        first = asyncio.ensure_future(connection.acall("get_account"))
        await asyncio.sleep(0.1)
        with pytest.raises(RequestTimeoutError, match="all connections are busy") as caught:
            await connection.acall("get_account")
        assert not caught.value.sent
        with pytest.raises(RequestTimeoutError):
            await first

    asyncio.run(main())


def test_a_closed_connection_says_so(serve, connect, do):
    serve()
    connection = connect()
    connection.call("get_account")
    connection.close()
    connection.close()
    with pytest.raises(StateError, match=r"closed: make a new one with ttorm\.connect"):
        do(connection, "call", "get_account")


def test_leaving_a_block_closes(serve, connect):
    serve()
    with connect() as connection:
        connection.call("get_account")
    with pytest.raises(StateError):
        connection.call("get_account")

    async def main():
        async with connect() as connection:
            await connection.acall("get_account")
        with pytest.raises(StateError):
            await connection.acall("get_account")

    asyncio.run(main())


# Files


def test_a_download_is_not_held_to_the_limit_and_not_decoded(serve, connect, do):
    content = bytes(range(256)) * 4_000
    asked = serve(Response(content, content_type="application/octet-stream"))
    connection = connect(limits=Limits(body=1_000))
    assert do(connection, "call", "download_doc", TWIN, "handler-1") == content
    assert "Authorization" not in asked.last.headers


def test_an_error_of_a_download_is_decoded(serve, connect, do):
    serve(Response(b'{"subcode": 404653}', status=404))
    with pytest.raises(ttorm.NotFoundError, match="404653"):
        do(connect(), "call", "download_doc", TWIN, "handler-1")


class Source:
    """A file to upload, and how often it was opened and closed."""

    def __init__(self, content):
        self.content = content
        self.readers = []

    def open(self):
        self.readers.append(BytesIO(self.content))
        return self.readers[-1]


def test_an_upload_is_streamed_with_its_length_and_can_be_sent_again(serve, connect, base_url):
    asked = serve(Response(status=200))
    source = Source(bytes(range(256)) * 2_000)
    upload = Upload(source.open, len(source.content))
    transport = connect(cache=None).transport
    request = HttpRequest("PUT", f"{base_url}/uploads/1", {}, upload)

    def send_twice(send):
        return [send(request).status, send(request).status]

    async def main():
        return [(await transport.asend(request)).status for _ in range(2)]

    assert send_twice(transport.send) + asyncio.run(main()) == [200] * 4
    for got in asked.requests:
        assert got.data == source.content
        assert got.headers["Content-Length"] == "512000"
        assert "Transfer-Encoding" not in got.headers
    assert len(source.readers) == 4
    assert all(reader.closed for reader in source.readers)


def test_an_upload_that_breaks_closes_its_file(raw_server, connect, closed_port):
    source = Source(b"x" * 100)
    upload = Upload(source.open, 100)
    for url in (raw_server(b"").url, closed_port):
        transport = connect(url).transport
        request = HttpRequest("PUT", f"{url}/uploads/1", {}, upload)
        with pytest.raises(TransportError):
            transport.send(request)
        with pytest.raises(TransportError):
            asyncio.run(transport.asend(request))
    assert all(reader.closed for reader in source.readers)


@pytest.mark.parametrize("told", [99_000, 101_000])
def test_an_upload_of_another_length_than_was_told(serve, connect, base_url, told):
    serve(Response(status=200))
    source = Source(b"x" * 100_000)
    transport = connect().transport
    request = HttpRequest("PUT", f"{base_url}/uploads/1", {}, Upload(source.open, told))
    with pytest.raises(ttorm.ValidationError, match="has changed its length while it was sent"):
        transport.send(request)
    with pytest.raises(ttorm.ValidationError, match="has changed its length while it was sent"):
        asyncio.run(transport.asend(request))
    assert all(reader.closed for reader in source.readers)


def test_addresses_that_no_library_can_use(connect):
    transport = connect().transport
    for url in ("http://host:port/?token=t0ken", "no-scheme?token=t0ken", "http://\0/?token=t0ken"):
        with pytest.raises(TransportError) as caught:
            transport.send(HttpRequest("GET", url))
        assert not caught.value.sent
        assert "t0ken" not in str(caught.value)


# Nothing secret

CANARIES = [SECRET, "P1NPIN", "t0ken-of-a-hook", "dictionary-canary", "handler-canary"]


def test_no_error_and_no_log_shows_anything_secret(
    serve, connect, raw_server, closed_port, short, do, caplog
):
    caplog.set_level(logging.DEBUG)
    serve(failing(401, b'{"subcode": 401000}'), failing(500), failing(502, PAGE))
    hang, gone = raw_server(None), raw_server(b"")
    options = {"dictionary": {"pin": "dictionary-canary"}}
    connections = [
        *(connect(**options) for _ in range(3)),
        connect(hang.url, limits=short, **options),
        connect(gone.url, **options),
        connect(closed_port, **options),
    ]
    calls = [
        ("create_user_secret", [TWIN, "P1NPIN"], {}),
        ("webhook_confirm_subscription", [TWIN], {"token": "t0ken-of-a-hook"}),
        ("download_doc", [TWIN, "handler-canary"], {}),
        ("create_twin", [], {}),
        ("get_twin", [TWIN], {}),
    ]
    shown = [repr(connections)]
    for connection in connections:
        for name, arguments, query in calls:
            with pytest.raises(ttorm.TtormError) as caught:
                do(connection, "call", name, *arguments, **query)
            error = caught.value
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
            assert SECRET not in "".join(frames.format())
            while error is not None:
                shown += [str(error), repr(error), repr(vars(error)), repr(error.args)]
                error = error.__cause__ or error.__context__
    # The server runs in this process as well, and logs what it is asked for.
    logged = [record for record in caplog.records if not record.name.startswith("werkzeug")]
    assert any(record.name == LIBRARY for record in logged)
    seen = "\n".join([*shown, *(record.getMessage() for record in logged)])
    assert not [canary for canary in CANARIES if canary in seen]


def test_the_library_in_use_is_named():
    assert LIBRARY in {"httpx", "httpx2"}


def test_nobody_there_is_told_with_the_address(do, connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ttorm.TransportError, match=f"is a service running at {address}") as told:
        do(connect(address), "call", "get_account")
    assert not told.value.sent


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_tls_that_is_refused_after_the_handshake(asynchronous):
    """As servers do that ask for a certificate: the library lets it through as it is."""

    def refuse(request):
        raise ssl.SSLError(1, "[SSL] certificate required")

    transport = HttpTransport(transport=http.httpx.MockTransport(refuse))
    request = HttpRequest("GET", "http://service.test/", {}, b"")

    def send():
        return asyncio.run(transport.asend(request)) if asynchronous else transport.send(request)

    with pytest.raises(TransportError, match="certificate required") as caught:
        send()
    assert caught.value.sent


def test_a_connection_that_fails_to_close_holds_up_no_end(monkeypatch):
    answers = http.httpx.MockTransport(lambda request: http.httpx.Response(200, content=b"{}"))
    transport = HttpTransport(transport=answers)

    async def fail(opening):
        raise OSError("reset")

    async def main():
        monkeypatch.setattr(loops.Opening, "close", fail)
        with pytest.raises(OSError, match="reset"):
            await transport.asend(HttpRequest("GET", "http://service.test/", {}, b""))
        client = transport._loops[asyncio.get_running_loop()].client
        await transport.aclose()
        return client.is_closed

    assert asyncio.run(main())
