"""Files whose answers are lost on the way: sent again, attached once, downloaded whole."""

from __future__ import annotations

import io

import pytest

import ttorm
from ttorm import Twin
from ttorm.api.http import HttpResponse

EASY = ttorm.RetryPolicy(attempts=3, base=0.0)
CONTENT = b"manual " * 20_000


@pytest.fixture
def connection(connect):
    return connect(default=True, retry=EASY)


@pytest.fixture
def lose(wire):
    """Lose the next requests of a method, before or after they take effect."""

    def lose(method, *, arrives, times=1):
        left = [times]

        def meddle(request):
            if request.method != method or not left[0]:
                return
            left[0] -= 1
            if arrives:
                wire.transport.send(request)
            raise ttorm.TransportError("lost", sent=True)

        wire.meddle = meddle

    return lose


@pytest.mark.parametrize("source", [lambda: CONTENT, lambda: io.BytesIO(CONTENT)])
@pytest.mark.parametrize("arrives", [False, True])
async def test_content_is_sent_again(do, connection, lose, source, arrives):
    twin = await do(Twin, "create")
    lose("PUT", arrives=arrives)
    doc = await do(twin.docs, "upload", "a.txt", source())
    assert await do(doc, "download") == CONTENT


async def test_content_that_nobody_takes(do, connection, lose, sent):
    twin = await do(Twin, "create")
    lose("PUT", arrives=False, times=9)
    with pytest.raises(ttorm.TransportError) as caught:
        await do(twin.docs, "upload", "a.txt", CONTENT)
    assert (caught.value.request, caught.value.attempts) == ("PUT (upload)", 3)
    assert [request.method for request in sent].count("PUT") == 3


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_doc_is_attached_once(do, connection, others, sent, drop):
    twin = await do(Twin, "create")
    connection.emulator.faults.add("attach_twin_doc", drop=drop, times=1)
    sent.clear()
    doc = await do(twin.docs, "upload", "a.txt", CONTENT, wait=False)
    attached = sum(request.path.endswith("/docs") for request in sent)
    assert attached == (2 if drop == "before" else 1)
    assert doc.name == "a.txt"
    assert list(others.call("get_twin_docs", twin.uuid)["docs"]) == ["a.txt"]


async def test_a_doc_whose_attachment_arrives_late_is_there(do, connection, wire):
    twin = await do(Twin, "create")
    held = []

    def meddle(request):
        if request.method == "POST" and request.url.endswith("/docs"):
            if not held:
                held.append(request)
                raise ttorm.TransportError("late", sent=True)
            wire.transport.send(held[0])

    wire.meddle = meddle
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    assert await do(doc, "download") == CONTENT


async def test_a_download_that_breaks_begins_anew(do, connection, wire, tmp_path):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    broken = []

    def meddle(request):
        if request.sink is not None and len(broken) < 2:
            broken.append(request)
            request.sink.write(CONTENT[:100_000])
            raise ttorm.TransportError("broken", sent=True)

    wire.meddle = meddle
    assert await do(doc, "download") == CONTENT
    broken.clear()
    await do(doc, "download", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == CONTENT


async def test_a_store_that_asks_for_patience_gets_it(do, connection, wire, sent):
    twin = await do(Twin, "create")
    answers = [HttpResponse(503, {"retry-after": "0"})]
    wire.meddle = lambda request: answers.pop() if request.method == "PUT" and answers else None
    assert (await do(twin.docs, "upload", "a.txt", CONTENT)).status == "ok"
    assert [request.method for request in sent].count("PUT") == 2


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_where_nobody_says_where_to_upload_to_nothing_is_in_doubt(do, connection, drop):
    twin = await do(Twin, "create")
    connection.emulator.faults.add("create_upload_url", drop=drop)
    with pytest.raises(ttorm.TransportError) as caught:
        await do(twin.docs, "upload", "a.txt", CONTENT)
    assert (caught.value.request, caught.value.attempts) == ("POST /cache", 3)
