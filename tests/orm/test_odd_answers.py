"""Answers that are no Twins: they are refused, and never taken for empty ones."""

from __future__ import annotations

import json

import pytest

import ttorm
from ttorm import Field, Twin, identity
from ttorm.api.http import HttpResponse

UUID = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
TWIN = {
    "owner": UUID,
    "status": "alive",
    "creation_certificate": {"uuid": UUID, "creator": UUID, "created_ts": 1.0},
    "description": {"model": "X1", "colour": "red"},
}


class Pump(Twin):
    serial: Field[str] = identity("SN", key=True)


class Answers:
    """A transport that gives prepared answers."""

    status = 200

    def __init__(self, *answers):
        self.answers = list(answers)
        self.bodies = []

    def send(self, request):
        self.bodies.append(json.loads(request.body) if request.body else None)
        body = self.answers.pop(0)
        return HttpResponse(self.status, {}, b"" if body is None else json.dumps(body).encode())

    async def asend(self, request):
        return self.send(request)

    def close(self):
        pass

    async def aclose(self):
        pass


def connected(*answers):
    transport = Answers(*answers)
    return ttorm.connect(
        "https://service.test", secret="s", transport=transport, default=False, cache=None
    )


@pytest.mark.parametrize("odd", [None, {}, {"creation_certificate": []}])
@pytest.mark.parametrize(
    "ask",
    [
        lambda do: do(Twin, "get", UUID),
        lambda do: do(Twin.at(UUID), "load", "description"),
        lambda do: do(Twin.at(UUID).docs, "upload", "a.txt", b"1"),
    ],
)
async def test_what_is_no_answer_of_the_api_is_refused(do, world, ask, odd):
    async with world.block(ttorm.session(connected(odd))):
        with pytest.raises(ttorm.ResponseFormatError, match="is this address the Trusted Twin API"):
            await ask(do)


@pytest.mark.parametrize("odd", [None, {}, {"creation_certificate": []}, [], "<html>"])
async def test_a_creation_that_is_answered_by_nothing_known_may_have_happened(do, world, odd):
    async with world.block(ttorm.session(connected(odd))):
        with pytest.raises(ttorm.OutcomeUnknownError, match="is this address the Trusted Twin API"):
            await do(Twin, "create")


@pytest.mark.parametrize("odd", [1, None, "x", {}, {"creation_certificate": {"uuid": 1}}])
async def test_listings_of_what_is_no_twin_are_refused(do, world, odd):
    async with world.block(ttorm.session(connected({"twins": [odd]}, {"twins": [odd]}))):
        with pytest.raises(ttorm.ResponseFormatError, match="creation_certificate"):
            await do(Twin.scan(), "all")
        with pytest.raises(ttorm.ResponseFormatError, match="creation_certificate"):
            await do(Twin, "find", "SN#A17")


@pytest.mark.parametrize("odd", [None, {}, {"message": "Maintenance."}, {"twins": None}])
@pytest.mark.parametrize(
    "ask",
    [
        lambda do: do(Twin.scan(), "all"),
        lambda do: do(Twin, "find_all", "SN#A17"),
        lambda do: do(Pump, "find_or_create", serial="A17"),
        lambda do: do(Pump, "sweep"),
    ],
)
async def test_an_answer_without_a_list_is_no_empty_listing(do, world, ask, odd):
    connection = connected(odd)
    async with world.block(ttorm.session(connection)):
        with pytest.raises(ttorm.ResponseFormatError, match="the answer has no twins"):
            await ask(do)
    assert len(connection.transport.bodies) == 1


async def test_a_page_that_is_not_there_is_no_unknown_identity(do, world):
    connection = connected({})
    connection.transport.status = 404
    async with world.block(ttorm.session(connection)):
        with pytest.raises(ttorm.NotFoundError, match="GET /resolve/SN%23A17 got 404"):
            await do(Pump, "find_or_create", serial="A17")
    assert len(connection.transport.bodies) == 1


async def test_a_success_that_tells_nothing_does_not_empty_the_description(do, world):
    connection = connected(TWIN, None, None)
    async with world.block(ttorm.session(connection)):
        twin = await do(Twin, "get", UUID)
        twin.description["colour"] = "blue"
        await do(twin, "save")
        twin.description["year"] = 2024
        await do(twin, "save")
        assert twin.status == "alive"
    assert connection.transport.bodies == [
        None,
        {"description": {"model": "X1", "colour": "blue"}},
        {"description": {"model": "X1", "colour": "blue", "year": 2024}},
    ]


def test_moments_of_what_was_not_saved_ask_to_save_it():
    with ttorm.session(connected()) as session:
        twin = Twin(entries={"level": 1})
        with pytest.raises(ttorm.StateError, match=r"save\(\)"):
            _ = twin.ledger["level"].created_at
        session.release(twin._state)


async def test_names_with_braces_are_names(do, world):
    entries = {"entries": {"{odd}": {"value": 1}, "{": {"value": [2]}}}
    async with world.block(ttorm.session(connected(entries))):
        ledger = (await do(Twin.at(UUID), "load", "ledger")).ledger
        assert {name: one.value for name, one in ledger.items()} == {"{odd}": 1, "{": [2]}
