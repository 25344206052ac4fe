"""The exact requests of uploading, describing, downloading and deleting files."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ttorm import NotFoundError, SaveError, Twin

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

TEXT = b"Oil it twice a year.\n"
NAME = "Certs/a_1.txt"
PLACE = "Certs%2Fa_1.txt"


async def test_docs(connection, do, tape, tmp_path):
    twin = await do(Twin.create)
    doc = await do(twin.docs.upload, NAME, TEXT, description={"lang": "en"})
    doc.description = {"lang": "de"}
    assert (await do(doc.save)).requests == 1
    assert await do(doc.download) == TEXT
    await do(doc.download, tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_bytes() == TEXT
    await do(doc.delete)
    with pytest.raises(NotFoundError):
        await do(doc.refresh)
    docs = f"/twins/{twin.uuid}/docs"
    wish = {
        "handler": "HANDLER-0001",
        "hash": sha256(TEXT).hexdigest(),
        "description": {"lang": "en"},
    }
    account = twin.owner
    downloads = [f"/download/{account}/HANDLER-{number:04}" for number in (2, 3)]
    tape.shows(
        ("POST", "/twins", None),
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0001", TEXT),
        ("POST", docs, {"docs": {NAME: wish}}),
        ("GET", f"{docs}/{PLACE}", None),
        ("PATCH", f"{docs}/{PLACE}", {"description": {"lang": "de"}}),
        ("GET", f"{docs}/{PLACE}?download=true", None),
        ("GET", downloads[0], None),
        ("GET", f"{docs}/{PLACE}?download=true", None),
        ("GET", downloads[1], None),
        ("DELETE", f"{docs}/{PLACE}", None),
        ("GET", f"{docs}/{PLACE}", None),
    )
    assert [line.split("/")[1] for line in tape.unsigned] == ["_upload", "download", "download"]


async def test_doc_from_a_file(connection, do, tape, tmp_path):
    """A file is streamed; what arrives is the same."""
    source = tmp_path / "source.txt"
    source.write_bytes(TEXT * 100)
    twin = await do(Twin.create)
    doc = await do(twin.docs.upload, "manual.txt", source, storage_class="cost_optimized")
    assert doc.size == len(TEXT) * 100
    docs = f"/twins/{twin.uuid}/docs"
    wish = {
        "handler": "HANDLER-0001",
        "hash": sha256(TEXT * 100).hexdigest(),
        "storage_class": "cost_optimized",
    }
    tape.shows(
        ("POST", "/twins", None),
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0001", TEXT * 100),
        ("POST", docs, {"docs": {"manual.txt": wish}}),
        ("GET", f"{docs}/manual.txt", None),
    )


async def test_doc_whose_name_is_taken(connection, do, tape):
    twin = await do(Twin.create)
    await do(twin.docs.upload, NAME, TEXT)
    with pytest.raises(SaveError) as refusal:
        await do(twin.docs.upload, NAME, b"Other text")
    assert list(refusal.value.errors) == [f"docs[{NAME!r}]"]
    docs = f"/twins/{twin.uuid}/docs"

    def wish(handler, content):
        return {"docs": {NAME: {"handler": handler, "hash": sha256(content).hexdigest()}}}

    tape.shows(
        ("POST", "/twins", None),
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0001", TEXT),
        ("POST", docs, wish("HANDLER-0001", TEXT)),
        ("GET", f"{docs}/{PLACE}", None),
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0002", b"Other text"),
        ("POST", docs, wish("HANDLER-0002", b"Other text")),
    )
