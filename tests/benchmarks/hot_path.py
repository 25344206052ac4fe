"""What ttorm adds to plain Python where programs spend their time: as ratios, in one run.

Each pair is timed in turn, nine times, and the medians are compared; what counts is the time of
this process on the processor, so that others on the machine disturb little. The service is prepared
bytes behind the HTTP library's mock transport: nothing waits. Run it with
``python tests/benchmarks/hot_path.py [name ...]``; with ``--check`` it fails when a ratio is over
its target.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import tracemalloc
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import cachetools
import httpx
from pydantic import BaseModel, ConfigDict

import ttorm
from ttorm import Field, Twin, description, entry, signals
from ttorm.api import codec
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.request import api_request
from ttorm.connection import blocking, tasks
from ttorm.connection.reads import kept_answer

ROUNDS = 9
PAGE = 1_000
TWINS = 10_000
HOST = "http://service.test"


class Result(NamedTuple):
    """One measurement.

    Attributes:
        name: What was measured.
        figure: The ratio, or the time or size.
        target: What it should be at most; None when it is for comparison only.
        unit: ``x`` for ratios, else a unit.
    """

    name: str
    figure: float
    target: float | None
    unit: str = "x"

    @property
    def missed(self) -> bool:
        return self.target is not None and self.figure > self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"(at most {self.target:g})"
        missed = "   MISSED" if self.missed else ""
        return f"{self.name:<62} {self.figure:>9.3f} {self.unit:<3} {target}{missed}"


def times(*sides: Callable[[], object], number: int = 1, rounds: int = ROUNDS) -> list[float]:
    """Time several functions in turn; return the median seconds of one call of each."""
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, taken, strict=True):
            gc.collect()
            gc.disable()
            began = process_time()
            for _ in range(number):
                side()
            found.append((process_time() - began) / number)
            gc.enable()
    return [median(found) for found in taken]


def ratio(ours: Callable[[], object], plain: Callable[[], object], number: int) -> float:
    """Tell how many times as long as the plain function ours takes."""
    mine, theirs = times(ours, plain, number=number)
    return mine / theirs


# A service that costs nothing: bytes that are there already


class Service:
    """Answers scans and reads with prepared bytes."""

    def __init__(self, twins: int = TWINS) -> None:
        self.pages = [_page(start, twins) for start in range(0, twins, PAGE)]
        self.ledger = json.dumps({"entries": {f"e{n}": _entry(n) for n in range(8)}}).encode()
        self.twin = json.dumps(_twin(0)).encode()

    def answer(self, path: str) -> bytes:
        if path.startswith("/twins?"):
            number = 0
            if "cursor=" in path:
                number = int(path.partition("cursor=")[2].partition("&")[0])
            return self.pages[number]
        return self.ledger if "/ledgers/" in path else self.twin

    def handle(self, request: httpx.Request) -> httpx.Response:
        body = self.answer(request.url.raw_path.decode())
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})


def _twin(number: int) -> dict[str, object]:
    return {
        "creation_certificate": {
            "uuid": f"00000000-0000-4000-8000-{number:012d}",
            "creator": "085c0f9f-427e-4e23-9a60-bacf6585a862",
            "created_ts": 1.5,
        },
        "status": "alive",
        "owner": "085c0f9f-427e-4e23-9a60-bacf6585a862",
        "updated_ts": 2.5,
        "description": {
            "kind": "bus",
            **{f"f{field}": f"value {number} of {field}" for field in range(8)},
        },
    }


def _entry(number: int) -> dict[str, object]:
    stamps = {"entry_created_ts": 1.0, "entry_updated_ts": 1.0, "value_changed_ts": 1.0}
    return {"value": float(number), "visibility": None, "history": None, **stamps}


def _page(start: int, twins: int) -> bytes:
    end = min(start + PAGE, twins)
    cursor = None if end == twins else str(end // PAGE)
    return json.dumps(
        {"twins": [_twin(number) for number in range(start, end)], "cursor": cursor}
    ).encode()


class Bus(Twin):
    class Meta:
        kind = "bus"

    f0: Field[str] = description()
    f1: Field[str] = description()
    f2: Field[str] = description()
    f3: Field[str] = description()
    f4: Field[str] = description()
    f5: Field[str] = description()
    f6: Field[str] = description()
    f7: Field[str] = description()
    speed: Field[float] = entry(default=0.0)
    leaves: Field[dict[str, object]] = entry(default_factory=dict)


class Plain:
    def __init__(self) -> None:
        self.speed = 1.0


class Validated(BaseModel):
    model_config = ConfigDict(validate_assignment=True)
    speed: float = 0.0


def connect(service: Service, **options: object) -> ttorm.Connection:
    """Connect through the HTTP library to prepared bytes."""
    return ttorm.connect(HOST, secret="x", transport=httpx.MockTransport(service.handle), **options)


# Measurements


def attributes() -> list[Result]:
    """Reading a loaded field; a validated and recorded write."""
    ttorm.connect("memory:")
    bus, plain, validated = Bus(**_fields()), Plain(), Validated()
    _ = bus.speed

    def ours() -> None:
        for _ in range(1_000):
            bus.speed  # noqa: B018

    def theirs() -> None:
        for _ in range(1_000):
            plain.speed  # noqa: B018

    def write() -> None:
        for number in range(1_000):
            bus.speed = number

    def assign() -> None:
        for number in range(1_000):
            validated.speed = number

    most = 1.1 if sys.version_info >= (3, 12) else 4.0
    return [
        Result("read a loaded field / a plain attribute", ratio(ours, theirs, 20), most),
        Result("validated, recorded write / validate_assignment", ratio(write, assign, 20), 0.4),
    ]


def changes() -> list[Result]:
    """Asking whether anything changed."""
    service = Service(1)
    connect(service, cache=None)
    bus = Bus.get("00000000-0000-4000-8000-000000000000")
    bus.ledger.load()
    state = bus._state
    [idle] = times(state.is_modified, number=10_000)

    ttorm.connect("memory:")
    leaf = {f"leaf{n}": n for n in range(10)}
    many = Twin.create(entries={f"e{n}": dict(leaf) for n in range(100)})
    held = [many.ledger[f"e{n}"].value for n in range(100)]
    originals = [dict(value) for value in held]
    compare = ratio(
        many._state.is_modified,
        lambda: [a == b for a, b in zip(held, originals, strict=True)],
        200,
    )
    return [
        Result("is_modified, nothing handed out", idle * 1e6, 0.2, "µs"),
        Result("is_modified, 100 values handed out / comparing them", compare, 4.0),
        Result("session.dirty, 10,000 records / 3 records, 3 changed", _dirty(), 1.5),
    ]


def _dirty() -> float:
    service = Service()
    connection = connect(service, cache=None)

    def measured(number: int) -> float:
        with ttorm.session(connection) as session:
            buses = Bus.scan().limit(number).all()
            for bus in buses[:3]:
                bus.speed = 5.0
            [taken] = times(lambda: session.dirty, number=1_000)
            session.rollback()
        return taken

    return measured(TWINS) / measured(3)


def _scan(fields: int) -> Callable[[], int]:
    names = [f"f{number}" for number in range(fields)]

    def scan() -> int:
        seen = 0
        for bus in Bus.scan():
            for name in names:
                getattr(bus, name)
            seen += 1
        return seen

    return scan


def scanning() -> list[Result]:
    """Going through 10,000 Twins, beside the HTTP library and JSON decoding of the same pages.

    The raw side decodes by `json`, as ``response.json()`` of httpx does; for comparison also by the
    decoder that ttorm uses, pydantic's.
    """
    service = Service()
    connection = connect(service, cache=None)
    match = Bus.scan().match
    client = httpx.Client(transport=httpx.MockTransport(service.handle), base_url=HOST)
    headers = {"authorization": "x", "accept": "application/json"}

    def raw(decode: Callable[[bytes], Any] = json.loads) -> int:
        seen, cursor = 0, None
        while True:
            query = {"count": PAGE, "match": match, "details": "true"}
            if cursor is not None:
                query["cursor"] = cursor
            response = client.get("/twins", params=query, headers=headers)
            page = decode(response.content)
            for _ in page["twins"]:
                seen += 1
            cursor = page["cursor"]
            if cursor is None:
                return seen

    assert raw() == _scan(0)() == TWINS
    plain, same, *ours = times(raw, lambda: raw(codec.decode), _scan(0), _scan(1), _scan(8))
    connection.close()
    targets = {"untouched": 1.05, "one field touched": 1.15, "eight fields touched": 1.6}
    return [
        Result(f"scan 10,000 Twins, {how} / raw pages", mine / plain, most)
        for (how, most), mine in zip(targets.items(), ours, strict=True)
    ] + [
        Result(f"scan 10,000 Twins, {how} / raw pages, same decoder", mine / same, None)
        for how, mine in zip(targets, ours, strict=True)
    ]


def memory() -> list[Result]:
    """Bytes of an Entry beyond the decoded answer."""
    service = Service(1)
    number = 1_000
    service.ledger = json.dumps({"entries": {f"e{n}": _entry(n) for n in range(number)}}).encode()
    connect(service, cache=None)
    bus = Bus.get("00000000-0000-4000-8000-000000000000")
    names = [f"e{index}" for index in range(number)]
    gc.collect()
    tracemalloc.start()
    decoded = json.loads(service.ledger)
    raw = tracemalloc.get_traced_memory()[0]
    del decoded
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    bus.ledger.load()
    gc.collect()
    untouched = tracemalloc.get_traced_memory()[0] - before
    held = [bus.ledger[name] for name in names]
    for one in held:
        _ = one.value
    gc.collect()
    touched = tracemalloc.get_traced_memory()[0] - before - untouched
    for index, one in enumerate(held):
        one.value = float(index + 1_000)
    gc.collect()
    written = tracemalloc.get_traced_memory()[0] - before - untouched - touched
    tracemalloc.stop()
    return [
        Result("an untouched Entry beyond decoded JSON", (untouched - raw) / number, 16, "B"),
        Result("an Entry that was read and is held", touched / number, 100, "B"),
        Result("what a written Entry takes besides", written / number, None, "B"),
    ]


def requests() -> list[Result]:
    """One read, and what a flow costs."""
    service = Service(1)
    connection = connect(service, cache=None)
    client = httpx.Client(transport=httpx.MockTransport(service.handle), base_url=HOST)
    uuid = "00000000-0000-4000-8000-000000000000"
    headers = {"authorization": "x", "accept": "application/json"}
    bus = Bus.at(uuid)
    path = f"/twins/{uuid}/ledgers/personal"
    load = ratio(
        bus.ledger.refresh, lambda: json.loads(client.get(path, headers=headers).content), 200
    )

    async def many() -> float:
        aclient = httpx.AsyncClient(transport=httpx.MockTransport(service.handle), base_url=HOST)
        mine: list[float] = []
        theirs: list[float] = []
        for _ in range(ROUNDS):
            began = process_time()
            for _ in range(200):
                await bus.ledger.arefresh()
            mine.append(process_time() - began)
            began = process_time()
            for _ in range(200):
                json.loads((await aclient.get(path, headers=headers)).content)
            theirs.append(process_time() - began)
        return median(mine) / median(theirs)

    answer = HttpResponse(200, {}, service.ledger)

    class Instant:
        def send(self, request: HttpRequest) -> HttpResponse:
            return answer

        async def asend(self, request: HttpRequest) -> HttpResponse:
            return answer

    request = HttpRequest("GET", HOST)
    instant = Instant()
    from ttorm.flows import send

    def flow() -> object:
        return (yield from send(instant, request))  # type: ignore[arg-type]

    with_flow, without = times(
        lambda: blocking.run(flow()), lambda: instant.send(request), number=5_000
    )

    async def overhead() -> float:
        found: list[float] = []
        for _ in range(ROUNDS):
            began = process_time()
            for _ in range(5_000):
                await tasks.run(flow())
            mine = process_time() - began
            began = process_time()
            for _ in range(5_000):
                await instant.asend(request)
            found.append((mine - (process_time() - began)) / 5_000)
        return median(found)

    results = [
        Result("refresh a Ledger / the same request by the HTTP library", load, 1.10),
        Result("arefresh a Ledger / the same request", asyncio.run(many()), 1.10),
        Result("overhead of a flow", (with_flow - without) * 1e6, 6, "µs"),
        Result("overhead of a flow, async", asyncio.run(overhead()) * 1e6, 8, "µs"),
    ]
    connection.close()
    return results


def cache() -> list[Result]:
    """A hit of the cache; a signal that nobody hears."""
    service = Service(1)
    connection = connect(service)
    request = api_request("get_twin", ["00000000-0000-4000-8000-000000000000"])
    connection.call("get_twin", "00000000-0000-4000-8000-000000000000")
    Bus.get("00000000-0000-4000-8000-000000000000")
    assert kept_answer(connection, request) is not None
    known: cachetools.TTLCache[object, object] = cachetools.TTLCache(1_000, 60)
    lock = threading.Lock()
    key = ("scope", "get_twin", ("00000000-0000-4000-8000-000000000000",), ())
    known[key] = {}

    def bare() -> object:
        with lock:
            return known.get(key)

    hit = ratio(lambda: kept_answer(connection, request), bare, 5_000)

    def silent() -> None:
        for _ in range(1_000):
            if signals.changed.receivers:
                raise AssertionError

    def nothing() -> None:
        for _ in range(1_000):
            pass

    asked, empty = times(silent, nothing, number=20)
    connection.close()
    return [
        Result("a hit of the cache / a locked look-up in cachetools", hit, 1.5),
        Result("a signal without receivers", (asked - empty) * 1e6, 40, "ns"),
    ]


def _fields() -> dict[str, str]:
    return {f"f{number}": "x" for number in range(8)}


ALL = {
    "attributes": attributes,
    "changes": changes,
    "scanning": scanning,
    "memory": memory,
    "requests": requests,
    "cache": cache,
}


def main(arguments: list[str]) -> int:
    """Measure what is asked for, or everything."""
    check = "--check" in arguments
    wanted = [name for name in arguments if not name.startswith("-")] or list(ALL)
    missed = 0
    for name in wanted:
        for result in ALL[name]():
            sys.stdout.write(f"{result}\n")
            missed += result.missed
    return int(check and missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
