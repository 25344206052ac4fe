"""Docs: files to and from a Twin."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping

import pytest

import ttorm
from ttorm import Twin
from ttorm.api.http import HttpResponse

CONTENT = b"Oil it once a year.\n" * 10_000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Pipe(io.RawIOBase):
    """A file that can be read once only."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size=-1):
        return self._content.read(min(size, 7_000))


class Reader:
    """What can be read, and nothing else."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


@pytest.fixture
def sources(tmp_path):
    """Everything a Doc can be made of, by name; files are closed at the end."""
    path = tmp_path / "manual.txt"
    path.write_bytes(CONTENT)
    started = io.BytesIO(b"skipped" + CONTENT)
    started.seek(7)
    with path.open("rb") as file:
        yield {
            "bytes": CONTENT,
            "bytearray": bytearray(CONTENT),
            "memoryview": memoryview(CONTENT),
            "path": path,
            "text path": str(path),
            "file": file,
            "bytes file": io.BytesIO(CONTENT),
            "file not at its start": started,
            "pipe": Pipe(CONTENT),
            "reader": Reader(CONTENT),
        }


KINDS = [
    "bytes",
    "bytearray",
    "memoryview",
    "path",
    "text path",
    "file",
    "bytes file",
    "file not at its start",
    "pipe",
    "reader",
]


@pytest.mark.parametrize("kind", KINDS)
async def test_uploading_and_downloading(do, connection, sources, sent, kind):
    twin = await do(Twin, "create")
    sent.clear()
    doc = await do(
        twin.docs,
        "upload",
        "Manuals/service_v2.txt",
        sources[kind],
        description={"lang": "en"},
        storage_class="cost_optimized",
    )
    create, put, attach, look = sent.take()
    assert str(create) == "POST /cache"
    assert (put.method, put.body) == ("PUT", CONTENT)
    assert (attach.method, attach.path) == ("POST", f"/twins/{twin.uuid}/docs")
    wish = attach.body["docs"]["Manuals/service_v2.txt"]
    assert wish.pop("handler")
    assert wish == {
        "hash": SHA,
        "storage_class": "cost_optimized",
        "description": {"lang": "en"},
    }
    assert str(look) == f"GET /twins/{twin.uuid}/docs/Manuals/service_v2.txt"
    assert (doc.name, doc.status, doc.storage_class) == (
        "Manuals/service_v2.txt",
        "ok",
        "cost_optimized",
    )
    assert (doc.size, doc.sha256, doc.description) == (len(CONTENT), SHA, {"lang": "en"})
    assert sent == []
    assert await do(doc, "download") == CONTENT
    assert [request.method for request in sent] == ["GET", "GET"]


async def test_the_callers_file_stays_open(do, connection, sources):
    twin = await do(Twin, "create")
    await do(twin.docs, "upload", "a.txt", sources["file"])
    assert not sources["file"].closed


async def test_to_a_path(do, connection, tmp_path):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    for target in (tmp_path / "a.txt", str(tmp_path / "b.txt")):
        assert await do(doc, "download", to=target) is None
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    await do(doc, "download", tmp_path / "a.txt")


async def test_to_a_file(do, connection):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    file = io.BytesIO()
    file.write(b"head")
    assert await do(doc, "download", to=file) is None
    assert file.getvalue() == b"head" + CONTENT
    assert not file.closed


async def test_an_empty_file(do, connection):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"")
    assert (doc.size, await do(doc, "download")) == (0, b"")


# Hashes


async def test_a_download_that_was_spoiled(do, connection, wire, tmp_path):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    target = tmp_path / "a.txt"
    target.write_bytes(b"as before")

    def spoil(request):
        if request.sink is None:
            return None
        request.sink.write(CONTENT[:-1])
        return HttpResponse(200, {"content-type": "application/octet-stream"})

    wire.meddle = spoil
    with pytest.raises(ttorm.ResponseFormatError, match="199,999 bytes that do not match"):
        await do(doc, "download", to=target)
    file = io.BytesIO()
    with pytest.raises(ttorm.ResponseFormatError):
        await do(doc, "download", to=file)
    assert target.read_bytes() == b"as before"
    assert list(tmp_path.iterdir()) == [target]
    assert file.getvalue() == b""


async def test_an_upload_that_was_spoiled(do, connection, wire, emulator):
    twin = await do(Twin, "create")

    def spoil(request):
        if request.method != "PUT":
            return None
        return emulator.handle(request._replace(body=b"spoiled"))

    wire.meddle = spoil
    with pytest.raises(ttorm.SaveError, match="the copy ended as hash_mismatch") as caught:
        await do(twin.docs, "upload", "a.txt", CONTENT)
    assert list(caught.value.errors) == ["docs['a.txt']"]
    # Nothing of it is left that would keep the name.
    wire.meddle = lambda request: None
    assert (await do(twin.docs, "upload", "a.txt", CONTENT)).status == "ok"


async def test_a_spoilt_upload_that_cannot_be_taken_away(do, connection, wire, emulator):
    twin = await do(Twin, "create")

    def spoil(request):
        if request.method == "DELETE":
            raise ttorm.TransportError("gone")
        if request.method == "PUT":
            return emulator.handle(request._replace(body=b"spoiled"))
        return None

    wire.meddle = spoil
    with pytest.raises(ttorm.SaveError, match="hash_mismatch"):
        await do(twin.docs, "upload", "a.txt", CONTENT)


@pytest.mark.parametrize("kind", ["bytes", "path", "pipe"])
async def test_the_hash_that_is_known(do, connection, sources, sent, kind):
    twin = await do(Twin, "create")
    sent.clear()
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ttorm.ValidationError, match=rf"SHA-256 {SHA}, not {other}.*hash-mismatch"):
        await do(twin.docs, "upload", "a.txt", sources[kind], sha256=other)
    assert sent == []
    if kind != "pipe":
        doc = await do(twin.docs, "upload", "a.txt", sources[kind], sha256=SHA.upper())
        assert doc.sha256 == SHA


# Progress


@pytest.mark.parametrize("kind", KINDS)
async def test_progress(do, connection, sources, kind):
    twin = await do(Twin, "create")
    up, down = [], []
    doc = await do(
        twin.docs, "upload", "a.txt", sources[kind], progress=lambda *seen: up.append(seen)
    )
    assert await do(doc, "download", progress=lambda *seen: down.append(seen)) == CONTENT
    for seen in (up, down):
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert all(0 < done <= whole == len(CONTENT) for done, whole in seen)


async def test_progress_to_a_path(do, connection, tmp_path):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    seen = []
    await do(doc, "download", tmp_path / "a.txt", progress=lambda *told: seen.append(told))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert (tmp_path / "a.txt").read_bytes() == CONTENT


async def test_who_is_told_may_stop_it(do, connection, tmp_path):
    twin = await do(Twin, "create")

    def stop(done, whole):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        await do(twin.docs, "upload", "a.txt", CONTENT, progress=stop)
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)
    with pytest.raises(KeyError, match="enough"):
        await do(doc, "download", tmp_path / "a.txt", progress=stop)
    assert list(tmp_path.iterdir()) == []


# Zips and redirects


async def test_a_download_that_comes_as_a_zip(do, connection, wire):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)

    def zipped(request):
        if request.sink is None:
            return None
        with zipfile.ZipFile(archive := io.BytesIO(), "w") as made:
            made.writestr("a.txt", CONTENT)
        request.sink.write(archive.getvalue())
        return HttpResponse(200, {"content-type": "application/zip"})

    wire.meddle = zipped
    assert await do(doc, "download") == CONTENT


def bent_zip(local, central, value):
    """Make a zip file with another value at a place of its two heads."""
    with zipfile.ZipFile(archive := io.BytesIO(), "w") as made:
        made.writestr("a.txt", CONTENT)
    bent = bytearray(archive.getvalue())
    bent[local] = bent[bent.index(b"PK\x01\x02") + central] = value
    return bytes(bent)


@pytest.mark.parametrize(
    "spoilt",
    [
        b"no zip at all",
        b"PK\x05\x06" + b"\0" * 18,
        *(pytest.param(bent_zip(6, 8, flag), id=f"flag {flag}") for flag in (1, 32, 64)),
        *(pytest.param(bent_zip(8, 10, way), id=f"method {way}") for way in (8, 12, 14, 99)),
    ],
)
async def test_what_is_no_zip_of_it(do, connection, wire, spoilt):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)

    def answer(request):
        if request.sink is None:
            return None
        request.sink.write(spoilt)
        return HttpResponse(200, {"content-type": "application/zip"})

    wire.meddle = answer
    with pytest.raises(ttorm.ResponseFormatError, match="do not match the SHA-256"):
        await do(doc, "download")


async def test_redirects_are_followed_without_the_credential(do, connection, wire, emulator):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    seen = []

    def redirect(request):
        if request.sink is None:
            return None
        seen.append((request.url, dict(request.headers)))
        if len(seen) < 3:
            return HttpResponse(302, {"location": f"/moved/{len(seen)}"})
        request.sink.write(b"hello")
        return HttpResponse(200)

    wire.meddle = redirect
    assert await do(doc, "download") == b"hello"
    assert [url.rpartition("/")[2] for url, _ in seen[1:]] == ["1", "2"]
    assert all("authorization" not in headers for _, headers in seen)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/again", "more than 5 redirects"),
        ("http://ann:pw@elsewhere/x", "from https to http://elsew"),
        ("https://[::1", "leads to none that can be read"),
    ],
)
async def test_redirects_that_are_not_followed(do, connection, wire, location, message):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    connection.base_url = "https://emulator.localhost"

    def redirect(request):
        if request.sink is None:
            place = b'{"download": {"url": "https://files.localhost/x"}, "status": "ok"}'
            return HttpResponse(200, {}, place)
        return HttpResponse(307, {"location": location})

    wire.meddle = redirect
    with pytest.raises(ttorm.ResponseFormatError, match=message):
        await do(doc, "download")


@pytest.mark.parametrize("verb", ["upload", "download"])
async def test_files_never_leave_https(do, connection, wire, verb):
    """An address without encryption is refused from the first on, before anything is sent there."""
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    connection.base_url = "https://emulator.localhost"
    asked = []

    def answer(request):
        asked.append(request.url)
        place = {"url": "http://files.test/x?signature=t0ken", "handler": "h"}
        return HttpResponse(
            200, {}, json.dumps({**place, "download": place, "status": "ok"}).encode()
        )

    wire.meddle = answer
    arguments = [twin.docs, "upload", "b.txt", b"hello"] if verb == "upload" else [doc, "download"]
    with pytest.raises(ttorm.ResponseFormatError, match=r"https to http://files\.test,") as caught:
        await do(*arguments)
    assert "t0ken" not in str(caught.value)
    assert [url for url in asked if url.startswith("http:")] == []


async def test_a_zip_that_grows_is_not_unpacked(do, connection, wire, monkeypatch):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", CONTENT)

    with zipfile.ZipFile(archive := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.txt", bytes(1 << 20))

    def bomb(request):
        if request.sink is None:
            return None
        request.sink.write(archive.getvalue())
        return HttpResponse(200, {"content-type": "application/zip"})

    wire.meddle = bomb
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # so that unpacking it would fail
    with pytest.raises(ttorm.ResponseFormatError, match="do not match the SHA-256"):
        await do(doc, "download")


async def test_a_download_that_fails(do, connection, wire):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    wire.meddle = lambda request: None if request.sink is None else HttpResponse(404)
    with pytest.raises(ttorm.NotFoundError, match=r"GET \(download\) got 404"):
        await do(doc, "download")


async def test_an_upload_that_fails(do, connection, wire):
    twin = await do(Twin, "create")
    wire.meddle = lambda request: HttpResponse(403) if request.method == "PUT" else None
    with pytest.raises(ttorm.ForbiddenError, match=r"PUT \(upload\) got 403"):
        await do(twin.docs, "upload", "a.txt", b"hello")


async def test_a_store_that_is_busy(do, connection, wire):
    twin = await do(Twin, "create")
    headers = {"retry-after": "3600"}
    wire.meddle = lambda request: HttpResponse(503, headers) if request.method == "PUT" else None
    with pytest.raises(ttorm.BusyError, match=r"PUT \(upload\) got 503.* wait 3,600 seconds"):
        await do(twin.docs, "upload", "a.txt", b"hello")


async def test_a_copy_that_takes_its_time(do, connection, wire, monkeypatch):
    monkeypatch.setattr("ttorm.records.transfer._SHORTEST", 0.001)
    twin = await do(Twin, "create")
    looks = []

    def slow(request):
        if request.method == "GET" and request.url.endswith("/docs/a.txt"):
            looks.append(request)
            if len(looks) < 3:
                return HttpResponse(200, {}, b'{"status": "copying"}')
        return None

    wire.meddle = slow
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    assert (len(looks), doc.status) == (3, "ok")


async def test_waiting_apart(do, connection, wire, sent, monkeypatch):
    monkeypatch.setattr("ttorm.records.transfer._SHORTEST", 0.001)
    twin = await do(Twin, "create")
    looks = []

    def slow(request):
        if request.method == "GET" and request.url.endswith("/docs/a.txt"):
            looks.append(request)
            if len(looks) < 4:
                return HttpResponse(200, {}, b'{"status": "copying"}')
        return None

    wire.meddle = slow
    doc = await do(twin.docs, "upload", "a.txt", b"hello", wait=False)
    assert (len(looks), doc.status) == (1, "copying")
    with pytest.raises(ttorm.RequestTimeoutError, match="still being copied after 0 seconds"):
        await do(doc, "wait_ready", timeout=0)
    assert len(looks) == 2
    assert await do(doc, "wait_ready") is doc
    assert (len(looks), doc.status, doc.size) == (4, "ok", 5)


async def test_waiting_for_what_came_to_nothing(do, connection, wire):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    wire.meddle = lambda request: HttpResponse(200, {}, b'{"status": "error"}')
    with pytest.raises(ttorm.SaveError, match="the copy ended as error"):
        await do(doc, "wait_ready")
    assert doc.status == "error"


async def test_a_doc_that_is_still_copied_cannot_be_fetched(do, connection, wire):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    wire.meddle = lambda request: HttpResponse(200, {}, b'{"status": "copying"}')
    with pytest.raises(ttorm.NotFoundError, match="its status is 'copying'"):
        await do(doc, "download")


# The mapping


async def test_docs_are_a_mapping(do, connection, sent):
    twin = await do(Twin, "create")
    await do(twin.docs, "upload", "b.txt", b"b")
    await do(twin.docs, "upload", "A/a.txt", b"a")
    sent.clear()
    assert isinstance(twin.docs, Mapping)
    assert (sorted(twin.docs), len(twin.docs)) == (["A/a.txt", "b.txt"], 2)
    assert ("b.txt" in twin.docs, "c.txt" in twin.docs) == (True, False)
    assert twin.docs["b.txt"] == twin.docs["b.txt"] != twin.docs["A/a.txt"]
    assert {twin.docs["b.txt"]: 1}[twin.docs["b.txt"]] == 1
    assert repr(twin.docs["b.txt"]) == f"<Doc 'b.txt' of {twin.uuid}>"
    with pytest.raises(KeyError):
        _ = twin.docs["c.txt"]
    assert sent == []
    async with do.block(ttorm.session()):
        again = await do(Twin.at(twin.uuid), "load", "docs")
        assert {name: doc.size for name, doc in again.docs.items()} == {"A/a.txt": 1, "b.txt": 1}
        assert again.docs["b.txt"].created_at == twin.docs["b.txt"].created_at
        assert again.docs["b.txt"].updated_at == twin.docs["b.txt"].updated_at
        await do(again.docs["b.txt"], "refresh")
        assert again.docs["b.txt"].sha256 == hashlib.sha256(b"b").hexdigest()


def test_the_blocking_look_reads_the_doc_itself(connection, others, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    with ttorm.session(others):
        Twin.at(uuid).docs.upload("a.txt", b"a", description={"x": 1})
    doc = Twin.at(uuid).docs["a.txt"]
    assert doc.size == 1
    assert sent.lines() == [f"GET /twins/{uuid}/docs"]
    assert (doc.description, doc.status) == ({"x": 1}, "ok")
    assert len(doc.sha256) == 64
    assert sent.lines() == [f"GET /twins/{uuid}/docs/a.txt"]


async def test_folders(do, connection, sent):
    twin = await do(Twin, "create")
    for name in ("b.txt", "Manuals/en/a.txt", "Manuals/b.txt", "Photos/c.jpg"):
        await do(twin.docs, "upload", name, b"x")
    manuals = twin.docs.folder("Manuals")
    sent.clear()
    assert twin.docs.folders == ["Manuals", "Photos"]
    assert (sorted(manuals), len(manuals)) == (["b.txt", "en/a.txt"], 2)
    assert (manuals.folders, list(manuals.folder("en"))) == (["en"], ["a.txt"])
    assert list(twin.docs.folder("Manuals/en/")) == ["a.txt"]
    assert manuals["b.txt"] == twin.docs["Manuals/b.txt"]
    assert ("b.txt" in manuals, "c.jpg" in manuals) == (True, False)
    assert (list(twin.docs.folder("Empty")), twin.docs.folder("Empty").folders) == ([], [])
    assert repr(manuals) == f"<Docs in 'Manuals/' of {twin.uuid}>"
    assert sent == []
    assert (await do(manuals, "upload", "new.txt", b"y")).name == "Manuals/new.txt"
    del manuals["b.txt"]
    assert (await do(twin, "save")).deleted == ("docs['Manuals/b.txt']",)
    assert sorted(manuals) == ["en/a.txt", "new.txt"]


@pytest.mark.parametrize("name", ["a b", "", "/", "a/b/c/d/e/f", "x" * 33])
async def test_what_is_no_folder(do, connection, name):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.ValidationError, match="is no Doc name"):
        twin.docs.folder(name)


async def test_copying(do, connection, sent):
    one, other = await do(Twin, "create"), await do(Twin, "create")
    described = {"description": {"lang": "en"}, "storage_class": "cost_optimized"}
    doc = await do(one.docs, "upload", "Manuals/a.txt", CONTENT, **described)
    sent.clear()
    copied = await do(doc, "copy_to", other.docs)
    assert [request.method for request in sent] == [
        "GET",
        "GET",
        "GET",
        "POST",
        "PUT",
        "POST",
        "GET",
    ]
    attach = sent[5]
    wish = attach.body["docs"]["Manuals/a.txt"]
    assert wish.pop("handler")
    assert wish == {"hash": SHA, **described}
    assert await do(copied, "download") == CONTENT
    again = await do(doc, "copy_to", one.docs.folder("Old"), "b.txt")
    assert again.name == "Old/b.txt"
    with pytest.raises(ttorm.SaveError, match="already exists"):
        await do(doc, "copy_to", other.docs)


async def test_changing_a_description(do, connection, sent):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"a", description={"x": [1]})
    sent.clear()
    doc.description["x"].append(2)
    assert ttorm.inspect(twin).is_modified
    result = await do(twin, "save")
    assert sent.take() == [
        ("PATCH", f"/twins/{twin.uuid}/docs/a.txt", (), {"description": {"x": [1, 2]}})
    ]
    assert result.updated == ("docs['a.txt']",)
    doc.description = None
    assert (await do(doc, "save")).requests == 1
    assert (sent.take()[0].body, doc.description) == ({"description": None}, None)
    doc.description = {"a": 1}
    assert (await do(twin, "save")).updated == ("docs['a.txt']",)
    sent.clear()
    doc.description = {"a": 1}
    assert (await do(twin, "save")).requests == 0
    assert sent == []


async def test_deleting(do, connection, sent):
    twin = await do(Twin, "create")
    for name in ("a.txt", "b.txt", "c.txt"):
        await do(twin.docs, "upload", name, b"x")
    sent.clear()
    assert (await do(twin.docs["a.txt"], "delete")).deleted == ("docs['a.txt']",)
    assert sent.take() == [("DELETE", f"/twins/{twin.uuid}/docs/a.txt", (), None)]
    del twin.docs["b.txt"]
    assert list(twin.docs) == ["c.txt"]
    for _ in range(2):
        with pytest.raises(KeyError):
            del twin.docs["b.txt"]
    assert sent == []
    assert (await do(twin, "save")).deleted == ("docs['b.txt']",)
    assert sent.lines() == [f"DELETE /twins/{twin.uuid}/docs/b.txt"]
    await do(twin, "refresh")
    assert list(twin.docs) == ["c.txt"]


async def test_what_is_uploaded_is_not_removed_by_an_earlier_removal(do, connection):
    uuid = (await do(Twin, "create")).uuid
    async with do.block(ttorm.session()):
        twin = Twin.at(uuid)
        del twin.docs["a.txt"]
        await do(twin.docs, "upload", "a.txt", b"1")
    assert await do(twin.docs["a.txt"], "download") == b"1"
    await do(twin, "load", "docs")
    assert list(twin.docs) == ["a.txt"]


async def test_a_name_that_is_taken(do, connection):
    twin = await do(Twin, "create")
    await do(twin.docs, "upload", "a.txt", b"1")
    with pytest.raises(ttorm.SaveError, match=r"'a\.txt' was not attached: Doc already exists"):
        await do(twin.docs, "upload", "a.txt", b"2")
    assert await do(twin.docs["a.txt"], "download") == b"1"


@pytest.mark.parametrize(
    ("name", "source", "options", "message"),
    [
        ("a b.txt", b"", {}, "is no Doc name: expected up to 5 folders"),
        ("a/b/c/d/e/f/g.txt", b"", {}, "is no Doc name"),
        ("/a.txt", b"", {}, "is no Doc name"),
        ("a.toolongext", b"", {}, "is no Doc name"),
        ("a.txt", 5, {}, "bytes, a path or a file opened for reading bytes, found int"),
        ("a.txt", None, {}, "found NoneType"),
        ("a.txt", io.StringIO("text"), {}, "opened for text: open it with mode 'rb'"),
        ("a.txt", b"", {"description": {"Upper": 1}}, "is no description key"),
        ("a.txt", b"", {"description": {"a": {1}}}, "is a set, which JSON cannot hold"),
        ("a.txt", b"", {"storage_class": "cheap"}, "no storage class: expected 'access_optimized'"),
    ],
)
async def test_wrong_arguments_are_refused_at_once(
    do, connection, sent, name, source, options, message
):
    twin = await do(Twin, "create")
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match=message):
        await do(twin.docs, "upload", name, source, **options)
    assert sent == []


async def test_a_pipe_of_text_is_refused_at_once(do, connection, sent):
    class TextPipe(io.StringIO):
        def seekable(self):
            return False

    twin = await do(Twin, "create")
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match="opened for text"):
        await do(twin.docs, "upload", "a.txt", TextPipe("text"))
    assert sent == []


async def test_a_file_that_is_not_there(do, connection, sent, tmp_path):
    twin = await do(Twin, "create")
    sent.clear()
    with pytest.raises(FileNotFoundError):
        await do(twin.docs, "upload", "a.txt", tmp_path / "missing.txt")
    assert sent == []


async def test_a_folder_that_is_not_there(do, connection, sent, tmp_path):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"a")
    with pytest.raises(FileNotFoundError):
        await do(doc, "download", to=tmp_path / "missing" / "a.txt")


async def test_a_wrong_description_of_a_doc(do, connection, sent):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"a", description={"x": 1})
    sent.clear()
    for wrong in ({"Upper": 1}, {"x": {1}}):
        with pytest.raises(ttorm.ValidationError):
            doc.description = wrong
    assert doc.description == {"x": 1}
    assert not ttorm.inspect(twin).is_modified
    assert sent == []


async def test_a_download_the_service_has_no_hash_of(do, connection, wire):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"hello")
    answers = []

    def without_hash(request):
        if request.sink is not None or answers:
            return None
        answers.append(wire.transport.send(request))
        return answers[0]._replace(body=answers[0].body.replace(b'"hash"', b'"other"'))

    wire.meddle = without_hash
    assert await do(doc, "download") == b"hello"


def test_the_hash_may_be_looked_at_first(connection, others, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    with ttorm.session(others):
        Twin.at(uuid).docs.upload("a.txt", CONTENT)
    assert Twin.at(uuid).docs["a.txt"].sha256 == SHA
    assert sent.lines() == [f"GET /twins/{uuid}/docs", f"GET /twins/{uuid}/docs/a.txt"]


async def test_a_doc_that_was_deleted_tells_nothing_more(do, connection):
    twin = await do(Twin, "create")
    doc = await do(twin.docs, "upload", "a.txt", b"a")
    assert doc != twin
    await do(doc, "delete")
    with pytest.raises(ttorm.NotFoundError, match=r"'a.txt' .* is not there: upload it first"):
        _ = doc.status
