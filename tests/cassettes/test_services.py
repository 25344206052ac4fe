"""The exact requests of Stickers, batches, the log and usage."""

from __future__ import annotations

from hashlib import sha256

import pytest

import ttorm
from ttorm import (
    Batch,
    BatchCall,
    EmulatorBatchCodec,
    Log,
    LogGapError,
    NotFoundError,
    SaveError,
    Sticker,
    Twin,
    Usage,
)

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


class Bulk:
    """The functions as verbs of an object."""

    def save_all(self, *arguments, **options):
        return ttorm.save_all(*arguments, **options)

    async def asave_all(self, *arguments, **options):
        return await ttorm.asave_all(*arguments, **options)


async def test_stickers(connection, do, tape):
    twin = await do(Twin.create)
    me = (await do(connection.whoami))["user"]
    put = twin.stickers.put
    await do(put, "red", [me, twin.owner], note="Look", publish={"on_remove": "work"})
    with pytest.raises(SaveError):
        await do(put, "red", me)
    assert (await do(twin.stickers.get, "red")).note == "Look"
    assert await do(twin.stickers.get, "blue") is None
    assert list((await do(twin.stickers.of))[twin.owner]) == ["red"]
    [found] = await do.each(Sticker.list(color="red", context="system"))
    assert (await do(found.remove)).note == "Look"
    with pytest.raises(NotFoundError):
        await do(twin.stickers.remove, "red")
    place = f"/twins/{twin.uuid}/stickers"
    wire = {"note": "Look", "recipients": [me, twin.owner], "publish": {"on_remove": ["work"]}}
    tape.shows(
        ("POST", "/twins", None),
        ("GET", "/whoami", None),
        ("POST", place, {"stickers": {"red": wire}}),
        ("POST", place, {"stickers": {"red": {"recipients": [me]}}}),
        ("GET", f"{place}/red", None),
        ("GET", f"{place}/blue", None),
        ("GET", f"{place}?context=system", None),
        ("GET", "/stickers?color=red&context=system", None),
        ("DELETE", f"{place}/red?context={twin.owner}", None),
        ("DELETE", f"{place}/red?context=personal", None),
    )


async def test_log_usage_and_trace(connection, do, tape):
    await do(connection.trace)
    log = Log()
    assert await do(log.read) == []
    first = log.fragment
    assert await do.each(log) == []
    second = log.fragment
    await do(Log().read)
    with pytest.raises(LogGapError):
        await do(log.read)
    me = (await do(connection.whoami))["user"]
    assert (await do(Usage.current, me)).total()["task_trace_count"] == 1
    assert (await do(Usage.current)).total() == {}
    tape.shows(
        ("POST", "/trace", None),
        ("GET", "/log", None),
        ("GET", f"/log?fragment={first}", None),
        ("GET", "/log", None),
        ("GET", f"/log?fragment={second}", None),
        ("GET", "/whoami", None),
        ("GET", f"/usage/{me}", None),
        ("GET", "/usage", None),
    )


async def test_batch(connect, do, tape):
    connect(batch_codec=EmulatorBatchCodec())
    calls = [BatchCall(body={"description": {"hall": n}}) for n in range(2)]
    batch = await do(Batch.run, "create_twin", calls)
    looks = []
    await do(batch.wait_done, progress=looks.append)
    results = await do.each(batch.results())
    assert [result.response["description"] for result in results] == [{"hall": 0}, {"hall": 1}]
    [listed] = await do.each(Batch.list(status="completed"))
    assert listed == batch
    await do(batch.delete)
    file = b'{"body":{"description":{"hall":0}}}\n{"body":{"description":{"hall":1}}}\n'
    wish = {
        "operation": "create_twin",
        "handler": "HANDLER-0001",
        "hash": sha256(file).hexdigest(),
    }
    place = f"/batches/{batch.uuid}"
    tape.shows(
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0001", file),
        ("POST", "/batches", wish),
        *[("GET", place, None) for _ in looks],
        ("GET", f"{place}?download=true", None),
        ("GET", tape_download(tape), None),
        ("GET", "/batches?status=completed", None),
        ("DELETE", place, None),
    )


async def test_save_in_batches(connect, do, tape):
    connect(batch_codec=EmulatorBatchCodec())
    twins = [Twin(description={"hall": n}) for n in range(2)]
    result = await do(Bulk().save_all, twins, via="batch")
    assert all(twin.uuid for twin in twins)
    assert len(result.created) == 2
    file = b'{"body":{"description":{"hall":0}}}\n{"body":{"description":{"hall":1}}}\n'
    wish = {
        "operation": "create_twin",
        "handler": "HANDLER-0001",
        "hash": sha256(file).hexdigest(),
    }
    sent = [request.url for request in tape.sent]
    place = "/batches/" + sent[-1].rpartition("/")[2]
    looks = sum(url.endswith(place) for url in sent) - 1
    assert result.requests == len(tape) - 2
    tape.shows(
        ("POST", "/cache", None),
        ("PUT", "/_upload/HANDLER-0001", file),
        ("POST", "/batches", wish),
        *[("GET", place, None)] * looks,
        ("GET", f"{place}?download=true", None),
        ("GET", tape_download(tape), None),
        ("DELETE", place, None),
    )


def tape_download(tape):
    """The temporary address from which results came."""
    [url] = [request.url for request in tape.sent if "/download/" in request.url]
    return f"/download/{url.split('/')[-2]}/HANDLER-0002"
