# ruff: noqa: B015, B018 - mistakes need not be useful
"""Mistakes that type checkers must find: each marked line, and no other; never run."""

from __future__ import annotations

import ttorm
from ttorm import Field, Twin, description, entry, identity


class Scooter(Twin):
    model: Field[str] = description()
    battery: Field[float] = entry(history="3M")
    serial: Field[str] = identity("SN", key=True)


def mistakes(scooter: Scooter) -> None:
    Scooter(modle="X1", battery=1.0, serial="A")  # error: no such field, and one is missing
    Scooter(model="X1", battery="full", serial="A")  # error: not a number
    Scooter.create(model="X1", batery=1.0, serial="A")  # error: no such field
    Scooter.create(model="X1")  # error: fields are missing
    scooter.batery  # error: no such field
    scooter.batery = 3.0  # error: no such field
    scooter.battery = "full"  # error: not a number
    scooter.model.append("x")  # error: text has no append
    Scooter.battery < "x"  # error: a number is not compared with text
    Scooter.batery < 3  # error: no such field
    scooter.save(chek=True)  # error: no such option
    Scooter.get(17)  # error: a UUID is text
    ttorm.connect("memory:", secrte="x")  # error: no such option
    description(nane="x")  # error: no such option


async def mistakes_in_a_loop(scooter: Scooter) -> None:
    await Scooter.acreate(model="X1", batery=1.0, serial="A")  # error: no such field
    await scooter.asave(chek=True)  # error: no such option
