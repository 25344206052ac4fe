# ruff: noqa: B015, B018 # expressions without use are what is tried here
# pyright: strict, reportUnusedExpression=false, reportUnusedCoroutine=false
"""Mistakes that type checkers are to find: in the lines that end in "# error", and only there."""

from __future__ import annotations

import ttorm
from ttorm import (
    Doc,
    Field,
    Link,
    Reference,
    Twin,
    ValueCodec,
    description,
    doc,
    entry,
    identity,
    include,
    reference,
)


class Scooter(Twin):
    model: Field[str] = description()
    battery: Field[float] = entry(history="3M")
    zone: Field[str | None] = entry(default=None)
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str] = identity("SN", key=True)


scooter = Scooter(model="X1", battery=99.0, serial="A17")


class Customer(Twin):
    name: Field[str] = description()


class Station(Twin):
    celsius: Field[float] = entry()


class Car(Twin):
    customer: Field[Link[Customer]] = entry()
    drivers: Field[list[Link[Customer]]] = entry(default_factory=list)
    outside: Reference[float] = reference(Station.celsius)
    manual: Field[Doc] = doc("manuals/service.pdf")


ada = Customer(name="Ada")
station = Station(celsius=21.5)
car = Car(customer=ada, outside=station)

# Names that are none

Scooter(model="X1", battery=99.0, serial="A17", sped=1)  # error
Scooter.create(model="X1", battery=99.0, serial="A17", sped=1)  # error
Scooter.find_or_create(model="X1", battery=99.0, serial="A17", sped=1)  # error
scooter.spede  # error
scooter.spede = 5  # error
Scooter.spede  # error
scooter.sav()  # error
ttorm.Scooter  # error
ttorm.connect("memory:", secrt="x")  # error
Twin.create(descripton={"a": 1})  # error
scooter.save(chek=True)  # error
scooter.to_dict(mode="xml")  # error
scooter.to_dict(exclud={"model"})  # error
Scooter.json_schema("json")  # error
ttorm.load_all([scooter], progres=print)  # error
Scooter.scan(fetch="all")  # error
ttorm.session(fetch="all")  # error

car.spede  # error
Car(customer=ada, outside=station, sped=1)  # error
Car(customer=ada, outside=station, manual=b"x")  # error
car.customer.nam  # error

# Values of wrong types

car.customer = station  # error
car.customer = "Ada"  # error
car.outside = 5.0  # error
car.drivers.append(station)  # error
Car(customer=station, outside=station)  # error
Car(customer=ada, outside=5)  # error
Car(customer=ada)  # error
Car.outside < "low"  # error
car.outside + "x"  # error
ada.referrers("customer")  # error
car.as_(int)  # error
Car.reconcile(dry_rn=True)  # error

Scooter(model=5, battery=99.0, serial="A17")  # error
Scooter.create(model="X1", battery="full", serial="A17")  # error
scooter.tags.append(5)  # error
scooter.battery + "x"  # error
text: str = scooter.zone  # error
number: int = scooter.model  # error
scooter.battery = "full"  # error
scooter.model = None  # error
scooter.tags = ["a", 5]  # error
Scooter.get(5)  # error
Scooter.scan(5)  # error
Scooter.scan(page="all")  # error
ttorm.connect(5)  # error
ttorm.connect("memory:", hooks=[print])  # error
scooter.ledger["a"].history_period = 3  # error
scooter.docs.upload("a.txt", 5)  # error
scooter.docs.upload("a.txt", b"", progress=lambda done: None)  # error
scooter.identities.add(5)  # error
ttorm.signals.changed.connect(5)  # error

ttorm.ConflictError().resolve("ours")  # error
ttorm.ConflictError().resolve(lambda: 5)  # error
ttorm.merge({}, {}, {}, prefer="base")  # error

# Values that are missing

Scooter(model="X1", battery=99.0)  # error
Scooter.create(model="X1")  # error
Scooter.find_or_create(serial="A17")  # error
scooter.docs.upload("a.txt")  # error

# Rules

Scooter.battery < "low"  # error
Scooter.battery.between("a", "b")  # error
Scooter.model.in_([1, 2])  # error
(Scooter.battery < 5).matches({"battery": 5})  # error
scooter.ledger["a"].history(order="up")  # error
scooter.history("battery").to_frame("excel")  # error
scooter.ledger.as_of("yesterday")  # error
Scooter.battery.betwen  # members of values are named freely

ttorm.Batch.run("get_twin", [{"twin": "uuid"}])  # error
ttorm.Batch.list(status="odd")  # error
ttorm.save_all([scooter], via="pigeon")  # error
ttorm.connect("memory:", batch_codec=5)  # error
scooter.stickers.put("red")  # error
scooter.stickers.put("red", "uuid", publish={"on_look": "work"})  # error
scooter.stickers.put("red", 5)  # error
ttorm.Usage.current(5)  # error
ttorm.Log().follow(interval="soon")  # error

# Declarations of wrong types


class Pump(Twin):
    pressure: Field[float] = entry(default="high")  # error
    name: Field[str] = description(default=5)  # error
    marks: Field[list[int]] = entry(default_factory=dict)  # error
    period: Field[int] = entry(history=5)  # error
    copied: Reference[str] = reference(Station.celsius)  # error
    shown: Reference[float] = include(5)  # error
    stored: Field[str] = entry(codec=ValueCodec(to_json=int, from_json=float))  # error


# What is given back


def download(doc: Doc) -> str:
    """Return the content."""
    return doc.download()  # error


def path_of(doc: Doc) -> bytes:
    """Return the content, wrongly."""
    return doc.download("to.txt")  # error


async def waited() -> float:
    """Return a battery."""
    other = Scooter.aget("uuid")
    return other.battery  # error


async def unwaited() -> int:
    """Return a count."""
    return scooter.asave().requests  # error


ttorm.Subscription.create("topic")  # error
ttorm.Subscription.create("topic", "https://x.test/hook", expire=5)  # error
ttorm.TopicAccess.current().assign("uuid", "topic", "other")  # error
ttorm.webhooks.Receiver(windw=5)  # error
ttorm.webhooks.Receiver().handle("text", {})  # error
entry(publish={"true": "topic"})  # error
scooter.ledger["battery"].publish = {"true": "topic"}  # error

ttorm.User.create(name="Ann")  # error
ttorm.User(role=5)  # error
ttorm.User.at("uuid").created_at = 5  # error
ttorm.User.at("uuid").name = 5  # error
ttorm.Role(statement="allow")  # error
ttorm.Role.at("uuid").rules = "true"  # error
ttorm.Statement.allow(5)  # error
ttorm.Action.get_twins  # error
ttorm.Action.on("twin")  # error
ttorm.Token.create(options=["fly"])  # error
ttorm.claim("uuid")  # error
ttorm.connect("memory:", tokens=True)  # error


class Weather(ttorm.TimeseriesTable):
    city: ttorm.Column[str] = ttorm.dimension("{LEDGER.city}")
    battery: ttorm.Column[str] = ttorm.dimension(Scooter.battery)  # error
    celsius: ttorm.Column[float] = ttorm.measurement()


class LowBattery(ttorm.IndexTable[Scooter]):
    battery: ttorm.Column[float] = ttorm.column(Scooter.battery)


class Counted(ttorm.IndexTable[int]):  # error
    pass


Weather.celsius > "hot"  # error
Weather.city.in_([5])  # error
Weather.rows("city = 1")  # error
Weather.rows(Scooter.battery < 20)  # error
Weather.rows(order_by="city")  # error
Weather.rows(limit="5")  # error
Weather.rows().first().city  # error
Weather.stored().retention = 5  # error
Weather.stored().stats = 5  # error
Weather.stored().alter(drop=["city"])  # error
Weather.stored().alter(types={"city": "text"})  # error
ttorm.StoredTimeseries.create(dimensions={})  # error
ttorm.StoredIndex.create("t", properties={}, templates={})  # error
LowBattery.twins(limit="5")  # error
entry(timeseries=5)  # error
ttorm.migrate_all("weather")  # error
ttorm.Database.at("uuid").status = "running"  # error
ttorm.Database.at("uuid").users["uuid"] = {"timeseries": ["write"]}  # error
ttorm.Database.at("uuid").networks["192.0.2.10"] = 5  # error
ttorm.SQLReader()  # error
for weather in Weather.rows():
    weather.city = "Rome"  # error
for low in LowBattery.twins():
    low.batery  # error
ttorm.RedisBackend(5)  # error
ttorm.RedisBackend("redis://localhost", key=5)  # error
ttorm.Cache(negative="5")  # error
ttorm.Cache(backend={})  # error
