"""Data frames of records."""

from __future__ import annotations

import asyncio

import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity
from ttorm.contrib.frames import ato_frame, to_frame


class Pump(Twin):
    model: Field[str] = description()
    pressure: Field[float | None] = entry(default=None)
    flow: Field[int] = entry()
    serial: Field[str | None] = identity("SN", default=None)

    class Meta:
        kind = "pump of frames"


@pytest.fixture(autouse=True)
def connection():
    with ttorm.connect("memory:") as connection:
        Pump.create(model="X1", pressure=2.5, flow=1, serial="A1")
        second = Pump.create(model="X2", flow=3)
        del second.flow
        second.save()
        yield connection


FRAMES = [
    to_frame,
    lambda *arguments, **options: asyncio.run(ato_frame(*arguments, **options)),
]
both_worlds = pytest.mark.parametrize("make", FRAMES, ids=["sync", "async"])


@both_worlds
@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_a_scan_as_a_frame(make, backend):
    frame = make(Pump.scan(), "model", "flow", backend=backend)
    assert type(frame).__module__.startswith(backend)
    assert list(frame.columns) == ["uuid", "model", "flow"]
    assert frame["model"].to_list() == ["X1", "X2"]
    assert frame["flow"].to_list()[0] == 1
    assert frame["uuid"].to_list() == [pump.uuid for pump in Pump.scan()]


@both_worlds
def test_without_fields_all_of_them(make, connection):
    pumps = Pump.scan().all()
    frame = make(pumps, backend="polars")
    assert frame.columns == ["uuid", "model", "pressure", "flow", "serial"]
    assert frame["flow"].to_list() == [1, None]
    assert frame["serial"].to_list() == ["A1", None]


@both_worlds
def test_only_the_parts_of_the_fields_are_loaded(make, connection):
    before = connection.requests
    make(Pump.scan(), "model", backend="polars")
    assert connection.requests == before + 1
    make(Pump.scan(), "pressure", backend="polars")
    # The listing, and at most one Ledger for each: some are known.
    assert connection.requests <= before + 2 + 2


@both_worlds
def test_no_records_and_no_field(make):
    assert make(Pump.scan(Pump.flow > 9), "flow", backend="polars").shape == (0, 2)
    with pytest.raises(TypeError, match="Pump has no field 'flwo'"):
        make(Pump.scan(), "flwo")
