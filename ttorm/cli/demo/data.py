"""The demonstration's data: flights from New York City in 2013."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Data", "Row", "Temperature", "read"]

_FILE = Path(__file__).parents[1] / "demo_data.json.gz"

Row = dict[str, Any]
"""The fields of one object by name; what the source does not know is left out."""


class Temperature(NamedTuple):
    """What an airport measured at an hour.

    Attributes:
        faa: The airport's code.
        hour: The hour, in UTC.
        celsius: Degrees, with one decimal.
    """

    faa: str
    hour: datetime
    celsius: float


class Data(NamedTuple):
    """All of it.

    Attributes:
        airlines: 16 airlines.
        airports: 1,458 airports.
        aircraft: 3,322 aircraft, each with the code of the airport it left most often.
        temperatures: The last 1,000 measured hours of each of the three airports, in order of time.
    """

    airlines: list[Row]
    airports: list[Row]
    aircraft: list[Row]
    temperatures: list[Temperature]


def read(*, quick: bool = False) -> Data:
    """Read the data.

    Args:
        quick: Take a tenth: every tenth aircraft and airport, the airports that the others refer
            to, and the first hundred hours. What it leaves out can be loaded on top later.
    """
    with gzip.open(_FILE) as file:
        tables = json.load(file)
    airlines, airports, aircraft, hours = (
        list(_rows(tables[name])) for name in ("airlines", "airports", "aircraft", "temperatures")
    )
    measured = {row["faa"] for row in hours}
    if quick:
        aircraft = aircraft[::10]
        airports = [r for i, r in enumerate(airports) if i % 10 == 0 or r["faa"] in measured]
        hours = hours[: len(hours) // 10]
    return Data(airlines, airports, aircraft, [_temperature(row) for row in hours])


def _rows(table: dict[str, Any]) -> Iterator[Row]:
    for row in table["rows"]:
        yield {
            name: value
            for name, value in zip(table["columns"], row, strict=True)
            if value is not None
        }


def _temperature(row: Row) -> Temperature:
    hour = datetime.fromisoformat(row["hour"])
    return Temperature(row["faa"], hour, round((row["fahrenheit"] - 32) / 1.8, 1))
