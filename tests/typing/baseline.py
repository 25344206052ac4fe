# pyright: strict
"""What type checkers are to make of every public call; checked, never run."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, assert_type

from pydantic import BaseModel

import ttorm
from ttorm import (
    ApiError,
    Batch,
    BatchCall,
    BatchResult,
    BatchResults,
    Budget,
    Cache,
    CacheStatistics,
    Change,
    Conflict,
    ConflictError,
    Connection,
    Doc,
    Entry,
    Field,
    History,
    HistoryRecord,
    HistoryRow,
    Identity,
    Inspection,
    ItemError,
    Ledger,
    Link,
    Log,
    Page,
    Plan,
    PlannedRequest,
    Reconciled,
    Reconciliation,
    Reference,
    RetryPolicy,
    SaveError,
    SaveResult,
    Scan,
    Secret,
    Session,
    Sticker,
    Subscription,
    Swept,
    Timeline,
    TopicAccess,
    TtormError,
    Twin,
    Usage,
    ValueCodec,
    description,
    entry,
    identity,
    include,
    reference,
    webhooks,
)
from ttorm.connection.cache import CacheKey
from ttorm.contrib import otel
from ttorm.rules import (
    DICT,
    LEDGER,
    TWIN,
    USER,
    Attribute,
    Expression,
    entry_name,
    length,
    lower,
    now,
    raw,
    value_changed_ts,
    when,
)


class Color(enum.Enum):
    RED = "red"


class Place(BaseModel):
    hall: int


@dataclasses.dataclass
class Limits:
    low: float
    high: float


class Scooter(Twin):
    model: Field[str] = description()
    color: Field[Color | None] = description(default=None)
    battery: Field[float] = entry(history="3M")
    zone: Field[str | None] = entry(visibility="USER.team == 'ops'", default=None)
    tags: Field[list[str]] = entry(default_factory=list)
    place: Field[Place] = entry(name="current_place")
    limits: Field[Limits | None] = entry(default=None)
    serial: Field[str] = identity("SN", key=True)
    plate: Field[str | None] = identity("PLATE", default=None)

    class Meta:
        kind = "scooter"


class Racer(Scooter):
    speed: Field[int] = entry(default=0)


class Customer(Twin):
    name: Field[str] = description()


class Station(Twin):
    celsius: Field[float] = entry(visibility="true")


HEX = ValueCodec(to_json=bytes.hex, from_json=bytes.fromhex)


class Car(Twin):
    customer: Field[Link[Customer]] = entry()
    drivers: Field[list[Link[Customer]]] = entry(default_factory=list)
    garage: Field[Link[Customer] | None] = description(default=None)
    outside: Reference[float] = reference(Station.celsius, history="3M")
    inside: Reference[float | None] = include(Station.celsius, default=None)
    later: Reference[float | None] = reference("Station.celsius", default=None)
    manual: Field[Doc] = ttorm.doc("manuals/service.pdf")
    chip: Field[bytes] = entry(codec=HEX, default=b"")
    mark: Field[bytes | None] = description(codec=HEX, default=None)

    class Meta:
        abstract = False
        ttl = 60
        ledger = "personal"


# Connecting

connection = ttorm.connect("memory:")
assert_type(connection, Connection)
assert_type(
    ttorm.connect(
        "https://rest.trustedtwin.com",
        secret=Secret("x"),
        dictionary={"pin": 7},
        timeout=None,
        cache=Cache(ttl=60, ttls={"who_am_i": 3600}),
        retry=RetryPolicy(attempts=5),
        concurrency=8,
        blocking=True,
        default=False,
    ),
    Connection,
)
assert_type(ttorm.connect(token="x", cache=None), Connection)
shared = ttorm.RedisBackend("redis://localhost", key="text", local=5, pause=0.5)
ttorm.RedisBackend("redis://localhost", key=Secret("text"), prefix="app:", timeout=0.1)
ttorm.connect(cache=Cache(ttl=60, negative=2.5, backend=shared))
assert_type(shared.statistics, ttorm.RedisStatistics)


class OwnBackend:
    def get(self, key: CacheKey) -> Mapping[str, Any] | None:
        return {"scope": key.scope, "subject": key.subject}

    def put(self, key: CacheKey, answer: Mapping[str, Any], ttl: float) -> None: ...

    def drop(
        self, subject: str | None, scope: str | None, operations: frozenset[str] | None
    ) -> int:
        return 0


Cache(backend=OwnBackend())
assert_type(shared.statistics.tampered, int)
assert_type(shared.statistics.reachable, bool)
assert_type(shared.close(), None)
assert_type(ttorm.connect(cache="memory"), Connection)


class Loud(ttorm.Hooks):
    def before(self, call: ttorm.Call) -> None:
        call.headers["x-request-id"] = "7"

    def repeated(self, call: ttorm.Call, pause: float) -> None:
        assert_type(
            (call.operation, call.method, call.template, call.path), tuple[str, str, str, str]
        )

    def after(self, call: ttorm.Call) -> None:
        assert_type((call.attempts, call.status, call.cached), tuple[int, int | None, bool])
        assert_type(call.missed, bool)
        assert_type((call.seconds, call.error), tuple[float, BaseException | None])

    def begin(self, work: ttorm.Work) -> None:
        assert_type((work.name, work.connection), tuple[str, Connection])


assert_type(ttorm.connect("memory:", hooks=[Loud()]).hooks, tuple[ttorm.Hooks, ...])
assert_type(ttorm.default_connection(), Connection)
assert_type(connection.whoami()["account"], str)
assert_type(connection.account, str)
assert_type(connection.requests, int)
assert_type(connection.close(), None)
with connection as entered:
    assert_type(entered, Connection)
if connection.cache is not None:
    assert_type(connection.cache.statistics, CacheStatistics)
    assert_type(connection.cache.statistics.hits, int)
    connection.cache.drop("uuid", operations=["get_twin"])
connection.call("get_twin", "uuid", show_terminated=True, dictionary={"a": [1]})
connection.call("create_twin", body={"description": {"a": 1}})

# Models

scooter = Scooter(
    model="X1", color=Color.RED, battery=99, place=Place(hall=4), serial="A17", tags=["new"]
)
assert_type(scooter, Scooter)
assert_type(Scooter.create(model="X1", battery=99.0, place=Place(hall=4), serial="A17"), Scooter)
racer = Racer.create(
    model="X1", battery=99.0, place=Place(hall=4), serial="A17", speed=3, limits=Limits(1, 2)
)
assert_type(racer, Racer)
assert_type(racer.speed, int)
assert_type(racer.battery, float)

assert_type(scooter.model, str)
assert_type(scooter.color, Color | None)
assert_type(scooter.battery, float)
assert_type(scooter.zone, str | None)
assert_type(scooter.tags, list[str])
assert_type(scooter.place, Place)
assert_type(scooter.place.hall, int)
assert_type(scooter.limits, Limits | None)
assert_type(scooter.serial, str)
assert_type(scooter.plate, str | None)

scooter.battery = 5.5
scooter.battery -= 3
scooter.zone = None
scooter.tags.append("fast")
scooter.place.hall = 5
scooter.place = Place(hall=6)
del scooter.zone

assert_type(Scooter.model, Attribute[str])
assert_type(Scooter.battery, Attribute[float])
assert_type(Scooter.zone, Attribute[str | None])
assert_type(Racer.speed, Attribute[int])
assert_type(Scooter.battery < 20, Expression)
assert_type((Scooter.battery < 20) & (Scooter.model == "X1") | ~(Scooter.battery > 3), Expression)
assert_type(Scooter.battery.between(1, 5), Expression)
assert_type(Scooter.model.in_(["X1", "X2"]), Expression)
assert_type(Scooter.battery < Racer.speed, Expression)
assert_type(Scooter.zone.is_null(), Expression)
assert_type(TWIN.kind == "cat", Expression)
assert_type(LEDGER["serial"] > 3, Expression)
assert_type(TWIN.company == USER.company, Expression)
assert_type(DICT.tags[0], Attribute[Any])
assert_type(raw("true") & (TWIN.a == 1), Expression)
assert_type(str(TWIN.a == 1), str)
assert_type(Scooter.battery + 1 > Racer.speed * 2, Expression)
assert_type(-Scooter.battery, Attribute[Any])
assert_type("SN-" + TWIN.serial == DICT.name, Expression)
assert_type(Scooter.tags.contains("fast"), Expression)
assert_type(Scooter.tags.any(lambda tag: tag.startswith("f") | tag.endswith("t")), Expression)
assert_type(Scooter.tags.all(lambda tag: tag.re_match("[a-z]+$")), Expression)
assert_type(Scooter.model.re_search("X[0-9]"), Expression)
assert_type(Scooter.tags[0], Attribute[Any])
assert_type(Scooter.tags[1:], Attribute[Any])
assert_type(length(Scooter.tags) > 3, Expression)
assert_type(lower(Scooter.model) == "x1", Expression)
assert_type(entry_name.in_(LEDGER.public), Expression)
assert_type(now - value_changed_ts < timedelta(hours=1), Expression)
assert_type(when(Scooter.zone.is_null(), 0, Scooter.battery) > 5, Expression)
assert_type((Scooter.battery < 20).matches(scooter), bool)
assert_type((Scooter.battery < 20).matches(scooter, USER={"team": "ops"}), bool)
assert_type((LEDGER.battery < 20).matches(LEDGER={"battery": 5}), bool)

# Links, references, Docs of fixed names

ada = Customer(name="Ada")
station = Station(celsius=21.5)
car = Car(customer=ada, drivers=[ada], outside=station, inside=station.ledger["celsius"])
assert_type(car, Car)
assert_type(car.customer, Customer)
assert_type(car.customer.name, str)
assert_type(car.drivers, list[Customer])
assert_type(car.garage, Customer | None)
assert_type(car.outside, float)
assert_type(car.inside, float | None)
assert_type(car.later, float | None)
assert_type(car.manual, Doc)
assert_type(car.chip, bytes)
assert_type(car.mark, bytes | None)
car.customer = ada
car.outside = station
car.outside = "twin://uuid/account/celsius"
car.inside = station.ledger["celsius"]
car.inside = None
assert_type(Car.customer == ada, Expression)
assert_type(Car.outside, Attribute[float])
assert_type(Car.outside > 10, Expression)
assert_type(ada.referrers(Car.customer), Scan[Any])
assert_type(ttorm.source(car, "outside"), Entry | None)
assert_type(station.ledger["celsius"].source, Entry | None)
assert_type(station.ledger["celsius"].twin, Any)
assert_type(car.manual.upload(b"bytes", description={"lang": "en"}), Doc)
assert_type(car.as_(Station), Station)
assert_type(car.as_(Station, check=True).celsius, float)
assert_type(Car.reconcile(), Reconciliation)
for told in Car.reconcile(dry_run=False, progress=print):
    assert_type(told, Reconciled)
    assert_type(told.changes, dict[str, Change])
assert_type(Car.reconcile().failed, list[Reconciled])

# Verbs of classes

assert_type(Twin.create(), Twin)
assert_type(
    Twin.create(description={"kind": "pump"}, entries={"pressure": 2.5}, identities=["SN#A17"]),
    Twin,
)
assert_type(Scooter.get("uuid"), Scooter)
assert_type(Scooter.get("uuid", fresh=True), Scooter)
assert_type(Scooter.at("uuid"), Scooter)
assert_type(Scooter.find(serial="A17"), Scooter)
assert_type(Scooter.find("SN#A17", context="system"), Scooter)
assert_type(Twin.find("SN#A17", context=["uuid"]), Twin)
assert_type(Scooter.find(serial="A17", strict=True), Scooter)
assert_type(Scooter.find_all(serial="A17"), list[Scooter])
assert_type(Twin.find_all("SN#A17", context="system"), list[Twin])
assert_type(
    Scooter.find_or_create(model="X1", battery=99.0, place=Place(hall=4), serial="A17"),
    tuple[Scooter, bool],
)
assert_type(Scooter.sweep(older_than=60), Swept)
assert_type(Scooter.scan(), Scan[Scooter])
assert_type(Scooter.scan(Scooter.battery < 20, terminated=True, page=10), Scan[Scooter])
assert_type(Twin.scan("TWIN.kind == 'pump'"), Scan[Twin])
assert_type(Scooter.scan().first(), Scooter | None)
assert_type(Scooter.scan().all(), list[Scooter])
assert_type(Scooter.scan(fetch="one").prefetch("ledger").limit(3).after("c"), Scan[Scooter])
assert_type(Scooter.scan().match, str | None)
assert_type(Scooter.scan().count(), int)
assert_type(Scooter.scan().exists(), bool)
for page in Scooter.scan().pages():
    assert_type(page, Page[Scooter])
    assert_type(page.records, list[Scooter])
    assert_type(page.cursor, str | None)
for chunk in Scooter.scan().chunks(10):
    assert_type(chunk, list[Scooter])
assert_type(ttorm.load_all([scooter], "ledger", progress=print), list[Scooter])
assert_type(ttorm.refresh_all([scooter]), list[Scooter])
assert_type(ttorm.save_all([scooter, racer], check=True), SaveResult)
for found in Racer.scan():
    assert_type(found, Racer)


class Ride(BaseModel):
    scooter: Scooter


assert_type(Ride(scooter=scooter).scooter, Scooter)

# Verbs of records

assert_type(scooter.save(), SaveResult)
assert_type(scooter.save(check=True).created, tuple[str, ...])
assert_type(scooter.save(check=True, atomic=True).requests, int)
assert_type(scooter.load("description", "ledger"), Scooter)
assert_type(scooter.refresh(), Scooter)
assert_type(racer.terminate(), Racer)
assert_type(scooter.discard(), None)
assert_type(scooter.touch("battery"), None)
assert_type(scooter.to_dict(), dict[str, Any])
assert_type(
    scooter.to_dict(
        mode="json",
        include={"model"},
        exclude=["uuid"],
        exclude_defaults=True,
        loaded_only=True,
    ),
    dict[str, Any],
)
assert_type(Scooter.json_schema(), dict[str, Any])
assert_type(Scooter.json_schema("serialization"), dict[str, Any])
assert_type(scooter.plan(), Plan)
assert_type(scooter.plan()[0], PlannedRequest)
assert_type(scooter.plan()[0].method, str)
for request in scooter.plan():
    assert_type(request.path, str)
assert_type(scooter.uuid, str)
assert_type(scooter.owner, str)
assert_type(scooter.creator, str)
assert_type(scooter.status, str)
assert_type(scooter.created_at, datetime)
assert_type(scooter.updated_at, datetime | None)
assert_type(scooter.terminated_at, datetime | None)

# Conflicts

for attempt in ttorm.retry_conflicts(times=3, pause=0.1):
    assert_type(attempt.number, int)
    with attempt:
        scooter.save(check=True)
try:
    scooter.save(check=True)
except ConflictError as error:
    assert_type(error.conflicts, tuple[Conflict, ...])
    assert_type(error.conflicts[0].name, str)
    error.resolve("mine")
    error.resolve("merge")
    error.resolve(lambda conflict: max(conflict.mine, conflict.theirs))
ttorm.merge({"a": 1}, {"a": 2}, {"b": 1}, prefer="mine")

# Descriptions and Ledgers

twin = Twin.at("uuid")
twin.description["site"] = {"hall": 4}
twin.description = {"kind": "pump"}
twin.description.replace({"kind": "pump"})
del twin.description["site"]
for key in twin.description:
    assert_type(key, str)
assert_type(len(twin.description), int)
assert_type("site" in twin.description, bool)

assert_type(twin.ledger, Ledger)
assert_type(twin.ledger["battery"], Entry)
twin.ledger["battery"] = 5
twin.ledger["battery"] = Entry(5, visibility=USER.team == "ops", history="1Y")
twin.ledger["copy"] = Entry(ref=twin.ledger["battery"])
twin.ledger["view"] = Entry(include="twin://uuid/battery")
twin.ledger["battery"].value = [1, {"a": None}]
twin.ledger["battery"].visibility = TWIN.kind == "pump"
twin.ledger["battery"].visibility = None
twin.ledger["battery"].history_period = "3M"
twin.ledger["battery"].publish = {"true": ["topic"]}
twin.ledger["battery"].publish = {Scooter.battery < 20: ["topic"]}
twin.ledger["battery"].publish = [(Scooter.battery < 20, ["topic"]), ("true", ["other"])]
twin.ledger["battery"].publish = None
del twin.ledger["battery"]
one = twin.ledger["battery"]
assert_type(one.visibility, str | None)
assert_type(one.history_period, str | None)
assert_type(one.publish, dict[str, list[str]] | None)
assert_type(one.timeseries, dict[str, Any] | None)
assert_type(one.ref_status, str | None)
assert_type(twin.ledger["battery"].ref, str | None)
assert_type(twin.ledger["battery"].include, str | None)
assert_type(twin.ledger["battery"].created_at, datetime)
assert_type(twin.ledger["battery"].updated_at, datetime)
assert_type(twin.ledger["battery"].value_changed_at, datetime)
assert_type(twin.ledger["battery"].name, str)
assert_type(twin.ledger["battery"].save(), SaveResult)
assert_type(twin.ledger["battery"].refresh(), Entry)
assert_type(twin.ledger["battery"].update(lambda value: value + 1, default=0, attempts=3), Any)
assert_type(twin.ledger["battery"].delete(), SaveResult)
assert_type(twin.ledger["battery"].touch(), None)
for name, each in twin.ledger.items():
    assert_type(name, str)
    assert_type(each, Entry)
assert_type(twin.ledger.setdefault("battery", 5), Entry)
twin.ledger.get("battery")
twin.ledger.pop("battery", None)
assert_type(twin.ledger.load(), Ledger)
assert_type(twin.ledger.refresh(), Ledger)
assert_type(twin.ledger.clear(), None)
assert_type(twin.ledger.to_dict(), dict[str, Any])
assert_type(twin.ledgers.owner, Ledger)
assert_type(twin.ledgers.creator, Ledger)
assert_type(twin.ledgers.personal, Ledger)
assert_type(twin.ledgers["uuid"]["battery"], Entry)
for record in twin.ledger["battery"].history(since=datetime.now().astimezone(), until=5.0):
    assert_type(record, HistoryRecord)
    assert_type(record.at, datetime)
moment = datetime.now().astimezone()
history = twin.ledger["battery"].history(reverse=True)
assert_type(history, History)
assert_type(history.first(), HistoryRecord | None)
assert_type(history.last(), HistoryRecord | None)
assert_type(history.all(), list[HistoryRecord])
assert_type(history.count(), int)
history.to_frame("polars")
twin.ledger["battery"].at(moment)
assert_type(twin.ledger.as_of(moment, "battery"), dict[str, Any])
assert_type(twin.ledger.diff(5.0, moment), dict[str, Change])
timeline = scooter.history("battery", since=5.0, until=moment, reverse=True, fill=True)
assert_type(timeline, Timeline)
assert_type(timeline.all(), list[HistoryRow])
timeline.to_frame()
for row in timeline:
    assert_type(row.at, datetime)
    assert_type(row.values, dict[str, Any])

# Identities and Docs

assert_type(twin.identities.add("SN#A17", visibility="true", valid_until=5.0), Identity)
assert_type(twin.identities["SN#A17"], Identity)
assert_type(twin.identities["SN#A17"].text, str)
assert_type(twin.identities["SN#A17"].type, str)
assert_type(twin.identities["SN#A17"].visibility, str | None)
assert_type(twin.identities["SN#A17"].valid_until, datetime | None)
assert_type(twin.identities["SN#A17"].created_at, datetime)
assert_type(twin.identities["SN#A17"].is_expired, bool)
assert_type(ttorm.hashed_identity("email", "ann@example.com"), str)
assert_type(twin.identities["SN#A17"].save(), SaveResult)
assert_type(twin.identities["SN#A17"].refresh(), Identity)
assert_type(twin.identities["SN#A17"].delete(), SaveResult)
twin.identities["SN#A17"].valid_until = datetime.now().astimezone()
twin.identities["SN#A17"].visibility = TWIN.kind == "pump"
del twin.identities["SN#A17"]
assert_type(list(twin.identities), list[str])

doc = twin.docs.upload("Manuals/service.pdf", b"bytes", description={"lang": "en"})
assert_type(doc, Doc)
assert_type(twin.docs.upload("a.txt", Path("a.txt"), storage_class="cost_optimized"), Doc)
assert_type(twin.docs.upload("a.txt", "a.txt"), Doc)
assert_type(twin.docs.upload("a.txt", BytesIO(b"x")), Doc)
assert_type(twin.docs["a.txt"], Doc)
assert_type(doc.download(), bytes)
assert_type(doc.download(None), bytes)
assert_type(doc.download(Path("a.txt")), None)
assert_type(doc.download(to="a.txt"), None)
assert_type(doc.download(BytesIO()), None)
assert_type(doc.download(progress=lambda done, whole: None), bytes)
assert_type(doc.wait_ready(timeout=5), Doc)
assert_type(doc.copy_to(Twin.at("uuid").docs, "copy.pdf"), Doc)
assert_type(
    twin.docs.upload("a.txt", b"x", sha256="00", progress=lambda done, whole: None, wait=False), Doc
)
assert_type(twin.docs.folders, list[str])
assert_type(twin.docs.folder("Manuals")["a.txt"], Doc)
assert_type(doc.name, str)
assert_type(doc.size, int | None)
assert_type(doc.sha256, str | None)
assert_type(doc.status, str)
assert_type(doc.storage_class, str)
assert_type(doc.description, dict[str, Any] | None)
assert_type(doc.created_at, datetime)
assert_type(doc.updated_at, datetime)
assert_type(doc.save(), SaveResult)
assert_type(doc.refresh(), Doc)
assert_type(doc.delete(), SaveResult)
del twin.docs["a.txt"]
assert_type(list(twin.docs), list[str])

# Sessions and inspection

assert_type(ttorm.session(), Session)
block = ttorm.session()
assert_type(block.begin(), None)
assert_type(block.end(), None)
with ttorm.session(connection, fetch="raise", budget=10) as session:
    assert_type(session, Session)
    assert_type(session.flush(), SaveResult)
    assert_type(session.plan(), Plan)
    with session.budget(3) as budget:
        assert_type(budget, Budget)
        assert_type(budget.spent, int)
        assert_type(budget.limit, int)
        assert_type(budget.end(), None)
    assert_type(session.let_go(), None)
    assert_type(session.anchored, bool)
    assert_type(session.fetch, Literal["peers", "one", "raise"])
    assert_type(session.rollback(), None)
    assert_type(session.dirty, list[Any])
    assert_type(session.connection, Connection)
assert_type(ttorm.inspect(scooter), Inspection)
assert_type(ttorm.inspect(scooter).is_modified, bool)
assert_type(ttorm.inspect(scooter).loaded, tuple[str, ...])
assert_type(ttorm.inspect(scooter).state, Literal["new", "modified", "clean", "terminated"])
assert_type(ttorm.inspect(scooter).changes["battery"], Change)
assert_type(str(ttorm.inspect(scooter).changes), str)


def batches(scooter: Scooter) -> None:
    """Have the service make many calls."""
    calls = (BatchCall(scooter, body={"entries": {"a": {"value": n}}}) for n in range(3))
    batch = Batch.run("add_twin_ledger_entry", calls, dictionary={"team": "ops"})
    assert_type(batch, Batch)
    assert_type(batch.wait_done(5, progress=lambda one: one.status), Batch)
    assert_type(batch.is_finished, bool)
    assert_type(batch.is_saved, bool)
    assert_type(batch.uuid, str)
    assert_type(batch.operation, str | None)
    assert_type(batch.hash, str | None)
    assert_type(batch.created_at, datetime)
    assert_type(batch.updated_at, datetime)
    assert_type(batch.results(), BatchResults)
    for result in batch.results():
        assert_type(result, BatchResult)
        assert_type(result.line, int)
        assert_type(result.error, ApiError | None)
    assert_type(batch.cancel(), Batch)
    for one in Batch.list(status="completed", since=5.0):
        assert_type(one, Batch)
    assert_type(Batch.get(batch.uuid), Batch)
    assert_type(ttorm.save_all([scooter], via="batch"), SaveResult)
    assert_type(
        ttorm.connect("memory:", batch_codec=ttorm.EmulatorBatchCodec()).dictionary,
        Mapping[str, Any] | None,
    )
    batch.delete()


async def abatches(scooter: Scooter) -> None:
    """The same in async code."""
    batch = await Batch.arun("get_twin", [BatchCall(scooter)])
    assert_type(await batch.await_done(timeout=5), Batch)
    async for result in batch.results():
        assert_type(result, BatchResult)
    assert_type(await batch.results().aall(), list[BatchResult])
    assert_type(await (await batch.acancel()).adelete(), None)
    assert_type(await ttorm.asave_all([scooter], via="batch"), SaveResult)


def stickers(twin: Twin, role: ttorm.Role) -> None:
    """Hand work over."""
    sticker = twin.stickers.put(
        "red", [role, "uuid"], note="Look", valid_until=5.0, publish={"on_put": ["work"]}
    )
    assert_type(sticker, Sticker)
    assert_type(sticker.twin, Twin)
    assert_type(sticker.account, str)
    assert_type(sticker.color, str)
    assert_type(sticker.note, str | None)
    assert_type(sticker.recipients, tuple[str, ...] | None)
    assert_type(sticker.valid_until, datetime)
    assert_type(sticker.created_at, datetime)
    assert_type(sticker.is_expired, bool)
    assert_type(sticker.publish["on_put"], tuple[str, ...])
    assert_type(sticker.remove(), Sticker)
    assert_type(twin.stickers["red"], Sticker)
    assert_type(twin.stickers.get("red"), Sticker | None)
    assert_type(twin.stickers.of(ttorm.Account.current()), dict[str, dict[str, Sticker]])
    assert_type(twin.stickers.remove("red", "system"), Sticker)
    for one in Sticker.list(color="red", context="system", since=5, until=6.5):
        assert_type(one, Sticker)


async def astickers(twin: Twin) -> None:
    """The same in async code."""
    assert_type(await twin.stickers.aput("red", "uuid"), Sticker)
    assert_type(await twin.stickers.aget("red"), Sticker | None)
    assert_type(await twin.stickers.aof(["uuid"]), dict[str, dict[str, Sticker]])
    assert_type(await (await twin.stickers.aremove("red")).aremove(), Sticker)
    async for one in Sticker.list():
        assert_type(one, Sticker)
    assert_type(await Sticker.list().aall(), list[Sticker])


def log_and_usage() -> None:
    """Read what the platform tells of the account."""
    log = Log("fragment")
    for message in log:
        assert_type(message, str)
    for message in log.follow(interval=2):
        assert_type(message, str)
    assert_type(log.read(), list[str])
    assert_type(log.fragment, str | None)
    usage = Usage.current("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    assert_type(usage.total(), dict[str, float])
    assert_type(usage.user, str | None)
    for hour, amounts in usage.items():
        assert_type(hour, datetime)
        assert_type(amounts["rest_count"], float)


async def alog_and_usage(connection: Connection) -> None:
    """The same in async code."""
    async for message in Log().follow():
        assert_type(message, str)
    assert_type(await Log().aread(), list[str])
    assert_type(await Usage.acurrent(), Usage)
    await connection.atrace()


def receiver(sender: type[Twin], *, record: Twin, changes: dict[str, Change], **extra: Any) -> None:
    """Receive a signal."""


ttorm.signals.changed.connect(receiver, sender=Scooter)

# Users, roles and secrets

readers = ttorm.Role.create(
    name="Reader",
    statement=ttorm.Statement.allow(ttorm.Action.reading("twins"), "who_am_i"),
    rules=ttorm.Rules(twin=TWIN.company == USER.company, entry="true"),
)
assert_type(readers, ttorm.Role)
assert_type(readers.uuid, str)
assert_type(readers.name, str)
assert_type(readers.statement, ttorm.Statement)
assert_type(readers.rules.twin, str | Expression | None)
readers.statement = ttorm.Statement.deny([ttorm.Action.delete_user])
assert_type(readers.statement.allows("get_twin"), bool)
permission = readers.allows("get_twin", twin=twin, dictionary={"pin": "77"})
assert_type(permission, ttorm.Permission)
assert_type(permission.unknown, tuple[str, ...])
ann = ttorm.User(role=readers, name="Ann", description={"team": "ops"})
assert_type(ann.save(), SaveResult)
assert_type(ann.role, ttorm.Role)
ann.role = "uuid"
ann.role = readers
assert_type(ann.description, dict[str, Any] | None)
ann.description = None
assert_type(ann.created_at, datetime)
assert_type(ttorm.User.create(role="uuid"), ttorm.User)
assert_type(ttorm.User.get("uuid", fresh=True), ttorm.User)
assert_type(ttorm.User.at("uuid").load(), ttorm.User)
assert_type(ttorm.User.list().all(), list[ttorm.User])
assert_type(ttorm.Role.list().first(), ttorm.Role | None)
for listed_user in ttorm.User.list():
    assert_type(listed_user, ttorm.User)
assert_type(ann.delete(), SaveResult)
assert_type(ann.secret.fingerprint, str)
assert_type(ann.secret.valid_until, datetime | None)
ann.secret.valid_until = None
invitation = ann.invite(1893456000.0)
assert_type(invitation, ttorm.Invitation)
assert_type(ttorm.claim(invitation.account, invitation.pin, url="https://x.test"), Secret)
assert_type(connection.secret, Secret | None)
kept: list[Secret] = []
assert_type(connection.rotate(store=kept.append), Secret)
token = ttorm.Token.create(options=["refresh"], secret_dict={"serial": "SN-1"})
assert_type(token.refresh(), ttorm.Token)
assert_type(token.valid_until, datetime | None)
assert_type(token.value, Secret)
ttorm.connect("https://x.test", token=ttorm.Token("x", options=["refresh"]))
ttorm.connect("https://x.test", secret="x", tokens=ttorm.TokenOptions(lifetime=900))
assert_type(ttorm.Account.current().resource_access_log, dict[str, Any] | None)


async def astore(secret: Secret) -> None:
    """Keep a secret."""


async def users_and_roles() -> None:
    """The same in async code."""
    assert_type(await ttorm.Role.acreate(name="Reader"), ttorm.Role)
    assert_type(await readers.aallows("get_twin", user=ann), ttorm.Permission)
    assert_type(await ttorm.User.acreate(role=readers), ttorm.User)
    assert_type(await ttorm.User.aget("uuid"), ttorm.User)
    assert_type(await ann.asave(), SaveResult)
    assert_type(await ann.arefresh(), ttorm.User)
    assert_type(await ann.adelete(), SaveResult)
    assert_type(await ttorm.User.list().aall(), list[ttorm.User])
    async for listed in ttorm.Role.list():
        assert_type(listed, ttorm.Role)
    assert_type(await ann.ainvite(), ttorm.Invitation)
    assert_type(await ttorm.aclaim("uuid", "ABC123"), Secret)
    assert_type(await connection.arotate(store=astore), Secret)
    assert_type(await ttorm.Token.acreate(), ttorm.Token)
    assert_type(await token.arefresh(), ttorm.Token)
    assert_type(await ttorm.Account.acurrent(), ttorm.Account)


# Errors

try:
    scooter.save()
except ApiError as error:
    assert_type(error.status, int | None)
    assert_type(error.subcode, int | None)
    assert_type(error.trace, str | None)
    assert_type(error.operation, str | None)
    assert_type(error.attempts, int)
except SaveError as error:
    assert_type(error.errors, dict[str, ItemError])
    assert_type(error.errors["battery"].message, str)
except ConflictError as error:
    assert_type(error.mine, dict[str, Any])
except TtormError as error:
    assert_type(error.code, str)
    assert_type(error.help, str)


# Notifications

Entry(5, publish={Scooter.battery < 20: ["topic"]})
subscription = Subscription.create(
    "topic", "https://x.test/hook", Secret("x"), expires=timedelta(hours=1), connection=connection
)
assert_type(subscription, Subscription)
assert_type(subscription.confirm("https://x.test/?token=x"), Subscription)
assert_type(subscription.refresh(expires=3600), Subscription)
assert_type(subscription.cancel(), Subscription)
assert_type(subscription.is_due(ahead=60), bool)
assert_type(subscription.expires_at, datetime)
assert_type(subscription.confirmed, bool)
assert_type(subscription.export(), dict[str, Any])
assert_type(Subscription.restore(subscription.export(), connection), Subscription)
access = TopicAccess.current(connection)
assert_type(access, TopicAccess)
assert_type(access["uuid"], tuple[str, ...])
assert_type(access.grant("uuid", "topic", "other"), tuple[str, ...])
assert_type(access.revoke("uuid"), tuple[str, ...])
assert_type(access.assign("uuid", ["topic"]), tuple[str, ...])
hooks = webhooks.Receiver(
    connection,
    store=webhooks.MemoryStore(),
    seen=webhooks.MemorySeen(size=10),
    window=60,
    max_body=1000,
    hash_members=["type"],
)
reply = hooks.handle(b"{}", {"content-type": "application/json"})
assert_type(reply, webhooks.Reply)
assert_type(reply.status, int)
assert_type(reply.body, bytes)
assert_type(hooks.subscribe("topic", "https://x.test/hook", expires=60), Subscription)
assert_type(hooks.refresh(ahead=60), list[Subscription])
assert_type(hooks.keep(5.0), None)
assert_type(hooks.cancel(), None)
webhooks.Asgi(hooks)
webhooks.Wsgi(hooks)


def on_message(sender: type[Twin], *, record: Twin, message: webhooks.Notification) -> None:
    """Check what a message tells."""
    assert_type(message.topic, str)
    assert_type(message.entries["battery"], Change)
    assert_type(message.sent_at, datetime)


ttorm.signals.notification.connect(on_message)

# The async forms


async def asynchronous() -> None:
    """Check what each async verb gives."""
    async with connection as opened:
        assert_type(opened, Connection)
    await connection.acall("get_twin", "uuid", show_terminated=True)
    assert_type((await connection.awhoami())["user"], str)
    assert_type(await connection.aclose(), None)
    made = await Scooter.acreate(model="X1", battery=99.0, place=Place(hall=4), serial="A17")
    assert_type(made, Scooter)
    assert_type(await Twin.acreate(entries={"a": 1}), Twin)
    assert_type(await Scooter.aget("uuid", fresh=True), Scooter)
    assert_type(await Scooter.afind(serial="A17"), Scooter)
    assert_type(await Scooter.afind("SN#A17", context="system"), Scooter)
    assert_type(await Scooter.afind_all(serial="A17"), list[Scooter])
    assert_type(
        await Scooter.afind_or_create(model="X1", battery=99.0, place=Place(hall=4), serial="A17"),
        tuple[Scooter, bool],
    )
    async for fast in Racer.scan(Racer.speed > 3):
        assert_type(fast, Racer)
    assert_type(await Scooter.scan().afirst(), Scooter | None)
    assert_type(await Scooter.scan().aall(), list[Scooter])
    assert_type(await Scooter.scan().acount(), int)
    assert_type(await Scooter.scan().aexists(), bool)
    async for page in Scooter.scan().pages():
        assert_type(page, Page[Scooter])
    async for chunk in Scooter.scan().chunks(10):
        assert_type(chunk, list[Scooter])
    assert_type(await ttorm.aload_all([scooter], "ledger"), list[Scooter])
    assert_type(await ttorm.arefresh_all([scooter]), list[Scooter])
    assert_type(await ttorm.asave_all([scooter]), SaveResult)
    assert_type(await made.asave(check=True), SaveResult)
    assert_type(await made.aload("ledger"), Scooter)
    assert_type(await made.arefresh(), Scooter)
    assert_type(await made.aterminate(), Scooter)
    assert_type(await made.ato_dict(mode="json", include={"model"}), dict[str, Any])
    assert_type(await twin.ledger.aload(), Ledger)
    assert_type(await twin.ledger.arefresh(), Ledger)
    assert_type(await twin.ledger.aclear(), None)
    assert_type(await twin.ledger["a"].asave(), SaveResult)
    assert_type(await twin.ledger["a"].arefresh(), Entry)
    assert_type(await twin.ledger["a"].aupdate(lambda value: value), Any)
    assert_type(await twin.ledger["a"].adelete(), SaveResult)
    async for old in twin.ledger["a"].history():
        assert_type(old, HistoryRecord)
    assert_type(await history.afirst(), HistoryRecord | None)
    assert_type(await history.alast(), HistoryRecord | None)
    assert_type(await history.aall(), list[HistoryRecord])
    assert_type(await history.acount(), int)
    await history.ato_frame()
    await twin.ledger["a"].aat(5.0)
    assert_type(await twin.ledger.aas_of(5.0), dict[str, Any])
    assert_type(await twin.ledger.adiff(5.0, 6.0, "a"), dict[str, Change])
    assert_type(await timeline.aall(), list[HistoryRow])
    await timeline.ato_frame("polars")
    async for filled in timeline:
        assert_type(filled, HistoryRow)
    assert_type(await (Scooter.battery < 20).amatches(made), bool)
    assert_type(await twin.identities["SN#A17"].asave(), SaveResult)
    assert_type(await twin.identities["SN#A17"].arefresh(), Identity)
    assert_type(await twin.identities["SN#A17"].adelete(), SaveResult)
    assert_type(await twin.docs.aupload("a.txt", b"bytes"), Doc)
    assert_type(await doc.adownload(), bytes)
    assert_type(await doc.adownload(Path("a.txt")), None)
    assert_type(await doc.asave(), SaveResult)
    assert_type(await doc.await_ready(), Doc)
    assert_type(await doc.acopy_to(twin.docs), Doc)
    assert_type(await doc.arefresh(), Doc)
    assert_type(await doc.adelete(), SaveResult)
    assert_type(await car.manual.aupload(b"bytes"), Doc)
    assert_type(await Car.areconcile(dry_run=False), Reconciliation)
    assert_type(await Car.asweep(older_than=60), Swept)
    assert_type(await Subscription.acreate("topic", "https://x.test/hook"), Subscription)
    assert_type(await subscription.aconfirm("https://x.test/?token=x"), Subscription)
    assert_type(await subscription.arefresh(), Subscription)
    assert_type(await subscription.acancel(), Subscription)
    assert_type(await TopicAccess.acurrent(), TopicAccess)
    assert_type(await access.agrant("uuid", "topic"), tuple[str, ...])
    assert_type(await access.arevoke("uuid", "topic"), tuple[str, ...])
    assert_type(await access.aassign("uuid", ["topic"]), tuple[str, ...])
    assert_type(await hooks.ahandle(b"{}", {}), webhooks.Reply)
    assert_type(await hooks.asubscribe("topic", "https://x.test/hook"), Subscription)
    assert_type(await hooks.arefresh(), list[Subscription])
    assert_type(await hooks.akeep(5.0), None)
    assert_type(await hooks.acancel(), None)
    async with ttorm.session() as block:
        assert_type(block, Session)
        assert_type(await block.aflush(), SaveResult)


# Tables and databases


class Weather(ttorm.TimeseriesTable):
    city: ttorm.Column[str] = ttorm.dimension("{LEDGER.city}", name="town", formerly="place")
    hall: ttorm.Column[int] = ttorm.dimension(LEDGER.hall)
    celsius: ttorm.Column[float | None] = ttorm.measurement(type="real")

    class Meta:
        retention = "1Y"


class LowBattery(ttorm.IndexTable[Scooter]):
    battery: ttorm.Column[float] = ttorm.column(Scooter.battery)
    model: ttorm.Column[str] = ttorm.column()

    class Meta:
        rule = Scooter.battery < 20


class Plain(ttorm.IndexTable):
    battery: ttorm.Column[float] = ttorm.column("{LEDGER.battery}", type="real")


class Thermometer(Twin):
    celsius: Field[float] = entry(timeseries=Weather.celsius)
    raw: Field[float] = entry(timeseries={"weather": {"measurement": "celsius"}}, default=0.0)
    both: Field[float] = entry(timeseries=[Weather.celsius, Weather], default=0.0)

    class Meta:
        timeseries = Weather
        indexes = (Plain,)


assert_type(Weather.celsius, ttorm.Column[float | None])
twin.ledger["t"].timeseries = Weather.celsius
assert_type(twin.ledger["t"].timeseries, dict[str, Any] | None)
Entry(5, timeseries=[Weather])
assert_type(Weather.at > datetime(2026, 1, 1, tzinfo=UTC), ttorm.Condition)
assert_type((Weather.city == "Oslo") & ~Weather.celsius.is_null(), ttorm.Condition)
assert_type(Weather.city.startswith("O") | Weather.city.in_(["Oslo"]), ttorm.Condition)
assert_type(Weather.celsius.between(1.0, 2.0), ttorm.Condition)
assert_type(Weather.celsius.desc(), ttorm.Ordering)
rows = Weather.rows(Weather.city != "Rome", order_by=(Weather.at.desc(), Weather.city), limit=10)
assert_type(rows, ttorm.Rows[Weather])
for reading in rows:
    assert_type(reading.at, datetime)
    assert_type(reading.city, str)
    assert_type(reading.celsius, float | None)
    assert_type(reading.to_dict(), dict[str, Any])
assert_type(rows.all(), list[Weather])
assert_type(rows.first(), Weather | None)
assert_type(rows.count(), int)
rows.to_frame("polars")
assert_type(Weather.plan(), Plan)
assert_type(Weather.migrate(), SaveResult)
assert_type(ttorm.migrate_all(Weather, LowBattery, Thermometer), SaveResult)
assert_type(Weather.create(), ttorm.StoredTimeseries)
assert_type(Weather.get(fresh=True), ttorm.StoredTimeseries)
assert_type(ttorm.TimeseriesTable.get("weather"), ttorm.StoredTimeseries)
series = Weather.stored()
for stored in ttorm.TimeseriesTable.list():
    assert_type(stored, ttorm.StoredTimeseries)
assert_type(series.measurements, dict[str, str])
series.measurements["ozone"] = "real"
series.retention = "INF"
assert_type(series.stats, ttorm.TableStats)
assert_type(series.database, ttorm.Database)
assert_type(series.alter(rename={"ozone": "ppb"}, dimensions={"x": "text"}), SaveResult)
assert_type(series.save(), SaveResult)
assert_type(series.truncate(), SaveResult)
assert_type(series.delete(), SaveResult)
for raw_row in series.rows(series.columns["city"] == "Oslo"):
    assert_type(raw_row, ttorm.Row)
ttorm.StoredTimeseries.create("weather", dimensions={"city": "varchar"}, measurements={})

assert_type(LowBattery.twins(LowBattery.battery < 5), ttorm.Twins[Scooter])
for low in LowBattery.twins():
    assert_type(low, Scooter)
assert_type(LowBattery.twins().first(), Scooter | None)
assert_type(LowBattery.twins().count(), int)
for low_row in LowBattery.rows(LowBattery.uuid == "uuid"):
    assert_type(low_row.twin, Scooter)
    assert_type(low_row.battery, float)
    assert_type(low_row.uuid, str)
assert_type(Plain.twins(), ttorm.Twins[Twin])
assert_type(LowBattery.create(), ttorm.StoredIndex)
index = LowBattery.get()
assert_type(index.rule, str)
assert_type(index.templates, dict[str, str])
assert_type(index.alter(properties={"x": "int"}, templates={"x": "{LEDGER.x}"}), SaveResult)
assert_type(index.alter(rule=Scooter.battery < 5), SaveResult)
ttorm.StoredIndex.create(
    "t", rule=Scooter.battery < 5, properties={"x": "int"}, templates={"x": "{LEDGER.x}"}
)

database = ttorm.Database.default()
assert_type(database.note, str | None)
database.note = "Tables of the fleet"
database.is_default = True
database.users["uuid"] = {"timeseries": ["read"], "customer_data": ["read", "write"]}
assert_type(database.users["uuid"], ttorm.DatabasePermissions)
database.networks["192.0.2.10"] = "office"
assert_type(database.load_access(), ttorm.Database)
assert_type(database.save(), SaveResult)
for known in ttorm.Database.list():
    assert_type(known, ttorm.Database)


def execute(query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """Run a query."""
    return []


async def aexecute(query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """Run a query."""
    return []


ttorm.default_connection().reader = ttorm.SQLReader(execute, aexecute, index_key="twin")


async def tables() -> None:
    """All of it that waits."""
    async for row in Weather.rows():
        assert_type(row, Weather)
    assert_type(await rows.aall(), list[Weather])
    assert_type(await rows.afirst(), Weather | None)
    assert_type(await rows.acount(), int)
    await rows.ato_frame()
    assert_type(await Weather.aplan(), Plan)
    assert_type(await Weather.amigrate(), SaveResult)
    assert_type(await ttorm.amigrate_all(Weather), SaveResult)
    assert_type(await Weather.acreate(), ttorm.StoredTimeseries)
    assert_type(await Weather.aget(), ttorm.StoredTimeseries)
    assert_type(await series.aalter(retention="1Y"), SaveResult)
    assert_type(await series.atruncate(), SaveResult)
    assert_type(await series.adelete(), SaveResult)
    assert_type(await index.aalter(rename={"a": "b"}), SaveResult)
    assert_type(await LowBattery.acreate(), ttorm.StoredIndex)
    assert_type(await LowBattery.aget(), ttorm.StoredIndex)
    async for twin in LowBattery.twins():
        assert_type(twin, Scooter)
    assert_type(await database.aload_access(), ttorm.Database)
    assert_type(await database.asave(), SaveResult)


# Telemetry
telemetry = otel.instrument(connection, propagate=True)
assert_type(telemetry, otel.Telemetry)
telemetry.watch(connection)
telemetry.leave(connection)
otel.uninstrument(connection)
