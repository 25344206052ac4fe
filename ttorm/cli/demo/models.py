"""The demonstration's classes: what the flights of 2013 are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from ttorm import Field, Twin, description, entry, identity

__all__ = ["Aircraft", "Airline", "Airport", "Model"]


class Airline(Twin):
    """An airline with its two-letter code."""

    class Meta:
        kind = "airline"

    code: Field[str] = description()
    name: Field[str] = description()
    carrier: Field[str] = identity("CARRIER", key=True)


class Airport(Twin):
    """An airport; three of them measure the temperature every hour."""

    class Meta:
        kind = "airport"

    code: Field[str] = description()
    name: Field[str] = description()
    latitude: Field[float] = description()
    longitude: Field[float] = description()
    altitude: Field[int] = description()
    time_zone: Field[str | None] = description(default=None)
    faa: Field[str] = identity("FAA", key=True)
    temperature: Field[float | None] = entry(history="INF", default=None)
    measured_at: Field[datetime | None] = entry(default=None)


class Aircraft(Twin):
    """An aircraft, known by its tail number."""

    class Meta:
        kind = "aircraft"

    code: Field[str] = description()
    manufacturer: Field[str] = description()
    model: Field[str] = description()
    year: Field[int | None] = description(default=None)
    main_airport: Field[str] = description()
    tail_number: Field[str] = identity("TAIL", key=True)
    equipment: Field[dict[str, Any]] = entry()


Model: TypeAlias = Airline | Airport | Aircraft
"""Any of them: each has a `code`."""
