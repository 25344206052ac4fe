"""Bringing existing Twins up to what their class declares."""

from __future__ import annotations

import ttorm
from ttorm import Entry, Field, Twin, entry


class Pump(Twin):
    pressure: Field[float] = entry(history="3M", visibility="true")
    flow: Field[int | None] = entry(name="litres", publish={"true": ["flows"]}, default=None)
    note: Field[str | None] = entry(default=None)

    class Meta:
        kind = "reconciled-pump"


async def old_pump(do, **entries):
    return await do(Twin, "create", description={"kind": "reconciled-pump"}, entries=entries)


async def test_a_dry_run_writes_nothing(do, connection, sent):
    pump = await old_pump(do, pressure=2.5)
    await do(Pump, "create", pressure=1.0)
    sent.clear()
    report = await do(Pump, "reconcile")
    assert {request.method for request in sent} == {"GET"}
    assert len(sent) == 3
    assert report.looked_at == 2
    [one] = report
    assert (one.uuid, one.done, one.error) == (pump.uuid, False, None)
    assert one.changes == {
        "pressure.history": (None, "3M"),
        "pressure.visibility": (None, "true"),
    }
    assert f"{pump.uuid} (planned)" in str(report)
    assert "pressure.history: None -> '3M'" in str(report)


async def test_only_what_differs_is_written(do, connection, sent, others):
    pump = await old_pump(do, pressure=Entry(2.5, visibility="true"), litres=3, note="n")
    sent.clear()
    report = await do(Pump, "reconcile", dry_run=False)
    assert [twin.done for twin in report] == [True]
    [written] = [request for request in sent if request.method != "GET"]
    assert str(written) == f"PATCH /twins/{pump.uuid}/ledgers/personal"
    assert written.body == {
        "entries": {"pressure": {"history": "3M"}, "litres": {"publish": {"true": ["flows"]}}}
    }
    await do(pump, "refresh")
    await do(pump, "load", "ledger")
    assert pump.ledger["pressure"].history_period == "3M"
    assert len(await do(Pump, "reconcile")) == 0


async def test_what_is_not_declared_stays(do, connection):
    pump = await old_pump(do, note=Entry("n", history="1Y"), pressure=Entry(1.0, history="1D"))
    await do(Pump, "reconcile", dry_run=False)
    again = await do(Twin.at(pump.uuid), "refresh")
    await do(again, "load", "ledger")
    assert again.ledger["note"].history_period == "1Y"
    assert again.ledger["pressure"].history_period == "3M"
    assert "litres" not in again.ledger


async def test_unsaved_changes_of_others_stay_unsaved(do, connection):
    made = await old_pump(do, pressure=2.5)
    pump = await do(Pump.at(made.uuid), "load")
    pump.pressure = 9.0
    await do(Pump, "reconcile", dry_run=False)
    assert ttorm.inspect(pump).changes == {"pressure": (2.5, 9.0)}
    await do(pump, "refresh")
    assert pump.ledger["pressure"].history_period == "3M"


async def test_a_refused_twin_holds_up_no_other(do, connection, wire):
    first, second = [await old_pump(do, pressure=value) for value in (1.0, 2.0)]

    def refuse(request):
        if request.method == "PATCH" and first.uuid in request.url:
            raise ttorm.TransportError("lost", sent=True)

    wire.meddle = refuse
    report = await do(Pump, "reconcile", dry_run=False)
    assert {twin.uuid: twin.done for twin in report} == {first.uuid: False, second.uuid: True}
    [failed] = report.failed
    assert isinstance(failed.error, ttorm.OutcomeUnknownError)
    assert "(failed: " in str(report)


async def test_progress_is_told(do, connection):
    for value in range(3):
        await old_pump(do, pressure=value)
    seen = []
    report = await do(Pump, "reconcile", progress=seen.append)
    assert seen == [3]
    assert report.looked_at == len(report) == 3
    assert str(await do(Pump, "reconcile"))[:14] == "3 Twins looked"


async def test_nothing_to_look_at(do, connection):
    report = await do(Pump, "reconcile")
    assert (report.looked_at, len(report)) == (0, 0)
    assert "(all as declared)" in str(report)
