"""Types whose JSON is ordered as their values are, and those of which rules know == and != only."""

from __future__ import annotations

import enum
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar
from uuid import UUID

import pydantic
import pytest

from ttorm.api.codec import decode, encode
from ttorm.records.ordering import orders_in_json


class Word(enum.StrEnum):
    HIGH = "b"
    LOW = "a"


class Plain(enum.Enum):
    FIRST = "b"
    SECOND = "a"


ORDERED = [
    (int, [-1, 0, 10, 9]),
    (float, [0.5, 1e300, -2.5]),
    (str, ["", "Z", "a", "ä"]),
    (bool, [False, True]),
    (datetime, [datetime(2024, 1, 1, 9), datetime(2024, 1, 1, 10)]),  # noqa: DTZ001 # order only
    (date, [date(2024, 10, 1), date(2024, 9, 1)]),
    (time, [time(9), time(10), time(9, 0, 0, 500)]),
    (UUID, [UUID(int=9), UUID(int=10), UUID(int=16)]),
    (Word, list(Word)),
    (Literal["x", "y"], ["x", "y"]),
    (NewType("Meters", float), [9.0, 10.0]),
    (float | None, [9.0, 10.0]),
    (Annotated[int, pydantic.Field(gt=0)] | None, [9, 10]),
]


@pytest.mark.parametrize(("declared", "values"), ORDERED, ids=lambda item: str(item)[:30])
def test_json_orders_as_the_values_do(declared, values):
    assert orders_in_json(declared)
    adapter = pydantic.TypeAdapter(declared)

    def stored(value):
        return decode(encode(adapter.dump_python(value, mode="json")))

    assert sorted(values, key=stored) == sorted(values)


@pytest.mark.parametrize(
    "declared",
    [
        Decimal,
        Annotated[Decimal, pydantic.Field(gt=0)],
        Annotated[Decimal, pydantic.Field(gt=0)] | None,
        timedelta,
        IPv4Address,
        Path,
        Plain,
        bytes,
        list[int],
        dict[str, int],
        tuple[int, int],
        pydantic.BaseModel,
        float | Decimal,
        NewType("Euros", Decimal),
    ],
    ids=str,
)
def test_of_others_nothing_is_known(declared):
    assert not orders_in_json(declared)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements came with 3.12")
def test_types_with_names():
    named: dict[str, Any] = {"Decimal": Decimal}
    exec("type Percent = float\ntype Maybe[T] = T | None\ntype Price = Decimal", named)
    assert orders_in_json(named["Percent"])
    assert orders_in_json(named["Maybe"][str])
    assert not orders_in_json(named["Price"])
    assert not orders_in_json(named["Maybe"][Decimal])


def test_whose_type_is_open_is_the_users_affair():
    assert orders_in_json(Any)
    assert orders_in_json(TypeVar("T"))
