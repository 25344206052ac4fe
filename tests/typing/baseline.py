"""What type checkers make of ttorm's public calls; checked by test_typing.py, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import ttorm
from ttorm import (
    Change,
    Connection,
    Doc,
    Entry,
    Field,
    HistoryRecord,
    Identity,
    Inspection,
    Ledger,
    Plan,
    PlannedRequest,
    SaveResult,
    Scan,
    Session,
    Twin,
    description,
    entry,
    identity,
)
from ttorm.rules import LEDGER, TWIN, USER, Attribute, Expression


class Scooter(Twin):
    class Meta:
        kind = "scooter"

    model: Field[str] = description()
    year: Field[int | None] = description(default=None)
    battery: Field[float] = entry(history="3M")
    zone: Field[str | None] = entry(visibility=USER.team == "ops", default=None)
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str] = identity("SN", key=True)


class Cargo(Scooter):
    weight: Field[float] = entry(name="cargo", default=0.0)


def connections() -> None:
    connection = ttorm.connect("memory:", dictionary={"a": 1}, timeout=None, cache=None)
    assert_type(connection, Connection)
    assert_type(connection.whoami()["account"], str)
    assert_type(connection.requests, int)
    with ttorm.connect("memory:", default=False) as other:
        assert_type(other, Connection)
    assert_type(ttorm.default_connection(), Connection)


def fields(scooter: Scooter) -> None:
    assert_type(scooter.model, str)
    assert_type(scooter.year, int | None)
    assert_type(scooter.battery, float)
    assert_type(scooter.zone, str | None)
    assert_type(scooter.tags, list[str])
    assert_type(scooter.serial, str)
    scooter.battery -= 3
    scooter.zone = None
    scooter.tags.append("new")


def expressions() -> None:
    assert_type(Scooter.battery, Attribute[float])
    assert_type(Scooter.battery < 20, Expression)
    assert_type((Scooter.battery < 20) & ~(TWIN.kind == "cargo"), Expression)
    assert_type(Scooter.battery.between(1.0, 2.0), Expression)
    assert_type(LEDGER.public.is_null(), Expression)


def made() -> None:
    assert_type(Scooter(model="X1", battery=99.0, serial="A17"), Scooter)
    assert_type(Scooter.create(model="X1", battery=99.0, serial="A17", zone="n"), Scooter)
    assert_type(Cargo.create(model="X1", battery=99.0, serial="A17", weight=3.0), Cargo)
    assert_type(Twin.create(description={"kind": "pump"}, identities=["SN#1"]), Twin)


def found(uuid: str) -> None:
    assert_type(Scooter.at(uuid), Scooter)
    assert_type(Scooter.get(uuid, fresh=True), Scooter)
    assert_type(Scooter.find(serial="A17"), Scooter)
    assert_type(Twin.find("SN#A17", context="system"), Twin)
    assert_type(Scooter.scan(Scooter.battery < 20, terminated=True, page=10), Scan[Scooter])
    for scooter in Scooter.scan("LEDGER.battery < 20"):
        assert_type(scooter, Scooter)
    assert_type(Scooter.scan().first(), Scooter | None)
    assert_type(Scooter.scan().all(), list[Scooter])


def verbs(scooter: Scooter) -> None:
    assert_type(scooter.save(check=True), SaveResult)
    assert_type(scooter.save().requests, int)
    assert_type(scooter.load("ledger"), Scooter)
    assert_type(scooter.refresh(), Scooter)
    assert_type(scooter.terminate(), Scooter)
    assert_type(scooter.plan(), Plan)
    assert_type(scooter.plan()[0], PlannedRequest)
    assert_type(scooter.plan()[0:1], Sequence[PlannedRequest])
    scooter.discard()
    scooter.touch("battery")
    assert_type(ttorm.inspect(scooter), Inspection)
    assert_type(ttorm.inspect(scooter).is_modified, bool)
    assert_type(ttorm.inspect(scooter).changes["battery"], Change)


def facts(scooter: Scooter) -> None:
    assert_type(scooter.uuid, str)
    assert_type(scooter.owner, str)
    assert_type(scooter.status, str)
    assert_type(scooter.created_at, datetime)
    assert_type(scooter.updated_at, datetime | None)


def parts(twin: Twin, account: str) -> None:
    twin.description["model"] = "X1"
    twin.description = {"model": "X2"}
    twin.ledger["battery"] = 5
    twin.ledger["battery"] = Entry(5, history="3M")
    assert_type(twin.ledger, Ledger)
    assert_type(twin.ledger["battery"], Entry)
    assert_type(twin.ledgers.owner, Ledger)
    assert_type(twin.ledgers[account]["battery"].value_changed_at, datetime)
    assert_type(twin.ledger["battery"].visibility, str | None)
    assert_type(twin.ledger["battery"].delete(), SaveResult)
    assert_type(twin.identities["SN#1"], Identity)
    assert_type(twin.identities.add("SN#2", visibility="true"), Identity)
    for change in twin.ledger["battery"].history(since=0.0):
        assert_type(change, HistoryRecord)
        assert_type(change.at, datetime)


def docs(twin: Twin, doc: Doc) -> None:
    assert_type(twin.docs.upload("note.txt", b"hello", description={"lang": "en"}), Doc)
    assert_type(twin.docs.upload("note.txt", Path("note.txt")), Doc)
    assert_type(doc.download(), bytes)
    doc.download("note.txt")
    assert_type(doc.description, dict[str, Any] | None)


def blocks(connection: Connection) -> None:
    with ttorm.session(connection) as session:
        assert_type(session, Session)
        assert_type(session.flush(), SaveResult)
        session.rollback()


def signalled() -> None:
    def receiver(sender: type[Twin], *, changes: Mapping[str, Change], **extra: Any) -> None:
        del sender, changes, extra

    ttorm.signals.changed.connect(receiver)


async def in_a_loop(uuid: str) -> None:
    scooter = await Scooter.acreate(model="X1", battery=99.0, serial="A17")
    assert_type(scooter, Scooter)
    assert_type(await Scooter.aget(uuid), Scooter)
    assert_type(await Scooter.afind(serial="A17"), Scooter)
    assert_type(await scooter.asave(), SaveResult)
    assert_type(await scooter.aload("ledger"), Scooter)
    assert_type(await scooter.arefresh(), Scooter)
    assert_type(await scooter.aterminate(), Scooter)
    assert_type(await scooter.docs["note.txt"].adownload(), bytes)
    assert_type(await Scooter.scan().aall(), list[Scooter])
    async for one in Scooter.scan():
        assert_type(one, Scooter)
    async with ttorm.session() as session:
        assert_type(await session.aflush(), SaveResult)
