"""What goes wrong: told clearly, before anything is sent where that is possible, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry, identity
from ttorm.api.http import HttpResponse


class Crane(Twin):
    label: Field[str] = description(default="")
    height: Field[float] = entry(default=1.0)
    stops: Field[list[int]] = entry(default_factory=list)
    serial: Field[str | None] = identity("SN", default=None)


def assign(attribute, value):
    return lambda crane: setattr(crane, attribute, value)


WRONG = {
    "a value of another type": assign("height", "tall"),
    "a value JSON has not": assign("height", float("nan")),
    "a container of another type": assign("stops", {"a": 1}),
    "an Identity with a space": assign("serial", "a b"),
    "an Identity too long": assign("serial", "x" * 129),
    "a key with capitals": lambda crane: crane.description.__setitem__("Label", 1),
    "a set in the description": lambda crane: crane.description.__setitem__("a", {1}),
    "an Entry name with capitals": lambda crane: crane.ledger.__setitem__("Height", 1),
    "an Entry name with a dash": lambda crane: crane.ledger.__setitem__("a-b", 1),
    "bytes in an Entry": lambda crane: crane.ledger.__setitem__("a", b"x"),
    "a key that is no text": lambda crane: crane.ledger.__setitem__("a", {1: 2}),
    "a history of no kind": lambda crane: crane.ledger.__setitem__("a", Entry(1, history="x")),
    "a rule of no kind": lambda crane: setattr(crane.ledger["height"], "visibility", 5),
    "an empty rule": lambda crane: setattr(crane.ledger["height"], "visibility", " "),
    "timeseries that JSON has not": lambda crane: setattr(
        crane.ledger["height"], "timeseries", {"a": {1}}
    ),
    "no Identity": lambda crane: crane.identities.add("A17"),
    "an account of no kind": lambda crane: crane.ledgers["nobody"],
    "a moment of no kind": lambda crane: crane.ledger["height"].history(since="yesterday"),
    "a description that is none": assign("description", [1]),
}


@pytest.mark.parametrize("what", WRONG)
async def test_bad_input_is_refused_where_it_is_given(do, connection, sent, what):
    crane = await do(Crane, "create", label="a", height=5, stops=[1], serial="7")
    crane.label, crane.height = "b", 6
    before = dict(ttorm.inspect(crane).changes)
    sent.clear()
    with pytest.raises(ttorm.ValidationError) as caught:
        WRONG[what](crane)
    assert sent == []
    assert isinstance(caught.value, ValueError)
    # What was expected and found, and where this is explained.
    assert len(str(caught.value)) > 40
    assert dict(ttorm.inspect(crane).changes) == before
    assert (crane.label, crane.height, crane.stops, crane.serial) == ("b", 6.0, [1], "7")
    assert set((await do(crane, "save")).updated) == {"label", "height"}


SPOILT = {
    "a set": lambda crane: crane.ledger["free"].value.append({1}),
    "itself": lambda crane: crane.ledger["free"].value.append(crane.ledger["free"].value),
    "not a number": lambda crane: crane.ledger["free"].value.append(float("nan")),
    "a number as a key": lambda crane: crane.ledger["free"].value.append({1: 2}),
    "half a character": lambda crane: crane.ledger["free"].value.append("\ud800"),
    "another type": lambda crane: crane.stops.append("x"),
    "an object": lambda crane: crane.description["free"].append(object()),
}


@pytest.mark.parametrize("what", SPOILT)
async def test_what_was_spoilt_in_place_is_refused_at_save(do, connection, sent, what):
    crane = await do(Crane, "create", stops=[1], entries={"free": [1]}, description={"free": [1]})
    crane.height = 6
    SPOILT[what](crane)
    sent.clear()
    for _ in range(2):
        with pytest.raises(ttorm.ValidationError):
            await do(crane, "save")
    assert sent == []
    for container in (crane.ledger["free"].value, crane.stops, crane.description["free"]):
        del container[1:]
    assert (await do(crane, "save")).updated == ("height",)


async def test_a_spoilt_container_can_be_replaced(do, connection):
    crane = await do(Crane, "create", entries={"free": [1]})
    crane.ledger["free"].value.append({1})
    crane.ledger["free"] = [2]
    assert (await do(crane, "save")).updated == ("ledger['free']",)


async def test_a_spoilt_container_can_be_forgotten(do, connection):
    crane = await do(Crane, "create", entries={"free": [1]})
    crane.ledger["free"].value.append({1})
    crane.discard()
    assert crane.ledger["free"].value == [1]
    assert not ttorm.inspect(crane).is_modified


async def test_a_spoilt_container_can_be_removed(do, connection):
    crane = await do(Crane, "create", entries={"free": [1]})
    crane.ledger["free"].value.append({1})
    del crane.ledger["free"]
    assert (await do(crane, "save")).deleted == ("ledger['free']",)


async def test_a_spoilt_container_survives_a_refresh(do, connection):
    crane = await do(Crane, "create", entries={"free": [1], "x": 1})
    held = crane.ledger["free"].value
    held.append({1})
    await do(crane, "refresh")
    assert crane.ledger["free"].value is held
    held.pop()
    assert not ttorm.inspect(crane).is_modified


# The service's errors


@pytest.mark.parametrize(
    ("status", "subcode", "error"),
    [
        (400, 400141, ttorm.QuotaError),
        (400, 400314, ttorm.InvalidRequestError),
        (400, 400358, ttorm.AlreadyDoneError),
        (400, 400592, ttorm.OperationOrderError),
        (400, 400897, ttorm.OperationNotAllowedError),
        (400, 400979, ttorm.ServiceDisabledError),
        (400, 400999, ttorm.BadRequestError),
        (401, 401000, ttorm.UnauthorizedError),
        (403, 403535, ttorm.ForbiddenError),
        (404, 404653, ttorm.NotFoundError),
        (418, None, ttorm.BadRequestError),
    ],
)
async def test_errors_of_a_save_lose_nothing(do, connection, wire, status, subcode, error):
    crane = await do(Crane, "create")
    crane.height = 6
    body = {"subcode": subcode, "description": "Because.", "trace": "t-1"}
    wire.meddle = lambda request: HttpResponse(status, {}, json.dumps(body).encode())
    with pytest.raises(error) as caught:
        await do(crane, "save")
    found = caught.value
    assert type(found) is error
    assert (found.status, found.subcode, found.trace) == (status, subcode, "t-1")
    assert (found.operation, found.attempts) == ("update_twin_ledger_entry_value", 1)
    assert found.request == f"PATCH /twins/{crane.uuid}/ledgers/personal/value"
    assert "Because." in str(found)
    assert "t-1" in str(found)
    assert ttorm.inspect(crane).changes == {"height": (1.0, 6.0)}
    wire.meddle = lambda request: None
    assert (await do(crane, "save")).updated == ("height",)


async def test_a_proxys_page(do, connection, wire):
    page = HttpResponse(502, {"content-type": "text/html"}, b"<html>Bad gateway</html>")
    wire.meddle = lambda request: page
    connection.retry = ttorm.RetryPolicy(attempts=1)
    with pytest.raises(ttorm.ServerError, match="a proxy may have answered"):
        await do(Twin, "get", "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    wire.meddle = lambda request: page._replace(status=200)
    with pytest.raises(ttorm.ResponseFormatError, match="does a proxy answer in its place"):
        await do(Twin, "get", "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")


async def test_a_read_is_tried_again_and_says_how_often(do, connection, wire, sent):
    connection.retry = ttorm.RetryPolicy(attempts=3, base=0.0)
    wire.meddle = lambda request: HttpResponse(500, {}, b'{"subcode": 500001}')
    with pytest.raises(ttorm.ServerError) as caught:
        await do(Twin, "get", "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    assert (len(sent), caught.value.attempts) == (3, 3)


async def test_a_write_is_not_tried_blindly_again(do, connection, wire, sent):
    crane = await do(Crane, "create")
    connection.retry = ttorm.RetryPolicy(attempts=3, base=0.0)
    crane.height = 6
    sent.clear()
    wire.meddle = lambda request: HttpResponse(500, {}, b'{"subcode": 500001}')
    with pytest.raises(ttorm.TtormError):
        await do(crane, "save")
    assert [request.method for request in sent] == ["PATCH", "GET", "GET", "GET"]
    assert set(ttorm.inspect(crane).changes) == {"height"}


async def test_a_load_that_fails_can_be_repeated(do, connection, wire, others):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    crane = Crane.at(uuid)
    wire.meddle = lambda request: HttpResponse(403) if "ledgers" in request.url else None
    with pytest.raises(ttorm.ForbiddenError):
        await do(crane, "load")
    # The other parts came through.
    assert set(ttorm.inspect(crane).loaded) == {"description", "identities"}
    wire.meddle = lambda request: None
    await do(crane, "load")
    assert crane.height == 1.0


async def test_an_error_while_loading_keeps_unsaved_changes(do, connection, wire):
    crane = await do(Crane, "create")
    crane.height = 6
    wire.meddle = lambda request: HttpResponse(404)
    with pytest.raises(ttorm.NotFoundError):
        await do(crane, "refresh")
    assert ttorm.inspect(crane).changes == {"height": (1.0, 6.0)}


# Texts


def errors():
    """All errors of ttorm; warnings are none."""
    found = [getattr(ttorm, name) for name in ttorm.__all__]
    raised = [item for item in found if isinstance(item, type) and issubclass(item, Exception)]
    return [item for item in raised if not issubclass(item, Warning)]


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_every_error_is_explained(error):
    page = Path(__file__).parents[2] / "docs" / "errors.md"
    raised = error("What happened.")
    assert isinstance(raised, ttorm.TtormError)
    assert str(raised) == f"What happened. [{raised.code}]"
    assert raised.help == f"docs/errors.md#{raised.code}"
    assert f"## {raised.code}\n" in page.read_text()
    assert error.__module__ == "ttorm"
