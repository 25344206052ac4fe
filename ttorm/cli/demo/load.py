"""Loading the data, as often as one likes: what the store has already is not written again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from ttorm.cli.demo.data import Data, Row, Temperature
from ttorm.cli.demo.models import Aircraft, Airline, Airport, Model
from ttorm.emulator import Clock
from ttorm.rules import LEDGER

__all__ = ["Track", "load"]

M = TypeVar("M", Airline, Airport, Aircraft)
T = TypeVar("T")
Track = Callable[[str, Iterable[T], int], Iterator[T]]
"""Shows progress: takes a title, what to go through, and how much it is."""


def load(data: Data, track: Track[Any], clock: Clock | None) -> None:
    """Bring the store up to the data.

    Args:
        data: The data.
        track: Shows progress.
        clock: The embedded emulator's clock, to write each temperature at its own hour; None
            when there is none to set.
    """
    if clock is not None:
        clock.freeze(data.temperatures[0].hour - timedelta(days=1))
    try:
        _airlines(data.airlines, track)
        airports = _airports(data.airports, track)
        _aircraft(data.aircraft, track)
        _temperatures(data.temperatures, airports, track, clock)
        _references(airports, track)
    finally:
        if clock is not None:
            clock.unfreeze()


def _airlines(rows: list[Row], track: Track[Row]) -> None:
    values = [{**row, "code": row["carrier"]} for row in rows]
    _all_of(Airline, track("airlines", values, len(values)))


def _airports(rows: list[Row], track: Track[Row]) -> dict[str, Airport]:
    values = [{**row, "code": row["faa"]} for row in rows]
    return _all_of(Airport, track("airports", values, len(values)))


def _aircraft(rows: list[Row], track: Track[Row]) -> None:
    values = [
        {
            "code": row["tail_number"],
            "tail_number": row["tail_number"],
            "manufacturer": row["manufacturer"],
            "model": row["model"],
            "year": row.get("year"),
            "main_airport": row["main_airport"],
            "equipment": {
                "seats": row["seats"],
                "engines": {"count": row["engines"], "type": row["engine"]},
            },
        }
        for row in rows
    ]
    _all_of(Aircraft, track("aircraft", values, len(values)))


def _all_of(model: type[M], rows: Iterable[Mapping[str, Any]]) -> dict[str, M]:
    """Find or make the object of each row."""
    known = {record.code: record for record in model.scan()}
    newest = next(reversed(known), None)
    for values in rows:
        code = values["code"]
        if code not in known:
            known[code] = model.create(**values)
        elif code == newest:
            _complete(known[code], values)
    return known


def _complete(record: Model, values: Mapping[str, Any]) -> None:
    """Finish the object at which an earlier run may have been stopped, between two requests."""
    record.load("ledger", "identities")
    for name, value in values.items():
        setattr(record, name, value)
    record.save()


def _temperatures(
    measured: list[Temperature],
    airports: Mapping[str, Airport],
    track: Track[Temperature],
    clock: Clock | None,
) -> None:
    for faa, hour, celsius in track("temperatures", measured, len(measured)):
        airport = airports[faa]
        if airport.measured_at is not None and hour <= airport.measured_at:
            continue
        if clock is not None:
            clock.freeze(hour)
        airport.temperature = celsius
        # An hour as warm as the one before is a measurement as well.
        airport.touch("temperature")
        airport.measured_at = hour
        airport.save()


def _references(airports: Mapping[str, Airport], track: Track[Aircraft]) -> None:
    """Let each aircraft show the temperature at the airport it leaves most often.

    Last of all: the platform renews a reference whenever its source changes.
    """
    without = list(Aircraft.scan(LEDGER.outside.is_null()))
    for aircraft in track("references", without, len(without)):
        aircraft.ledger["outside"].ref = airports[aircraft.main_airport].ledger["temperature"]
        aircraft.save()
