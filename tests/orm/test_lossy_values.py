"""Values that JSON, or the declared type, would silently take something of."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from ttorm import Field, Twin, ValidationError, connect, default_connection, entry


class Place(BaseModel):
    hall: int


class Shelf(Place):
    row: int


class Box(Twin):
    place: Field[Place | None] = entry(default=None)
    code: Field[SecretStr | None] = entry(default=None)
    anything: Field[Any] = entry(default=None)


@pytest.fixture
def box():
    with connect("memory:"):
        yield Box.create()


@pytest.mark.parametrize(
    ("field", "value"),
    [("place", Shelf(hall=1, row=2)), ("code", SecretStr("1234")), ("anything", {1, 2})],
)
def test_what_would_lose_something_is_refused(box, field, value):
    with pytest.raises(ValidationError, match="would come back as"):
        setattr(box, field, value)
    assert getattr(box, field) is None


def test_what_comes_back_is_taken(box):
    box.place, box.anything = Place(hall=1), {"a": [1, 2.5, None]}
    box.save()
    again = Box.get(box.uuid, fresh=True).refresh()
    assert (again.place, again.anything) == (Place(hall=1), {"a": [1, 2.5, None]})


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"raw", {5: "five"}, date(2024, 5, 1)])
def test_what_would_lose_something_deep_inside_is_refused_by_the_save(box, value):
    box.anything = {"deep": []}
    box.save()
    requests = default_connection().requests
    box.anything["deep"].append(value)
    with pytest.raises(ValidationError, match="would come back as"):
        box.save()
    assert default_connection().requests == requests
    box.anything["deep"].pop()
    assert box.save().requests == 0
