"""Budgets of requests, and loops that send one request after the other."""

from __future__ import annotations

import asyncio
import warnings

import pytest

import ttorm
from ttorm import BudgetExceededError, NPlusOneWarning, StateError, Twin, ValidationError


@pytest.fixture
def uuids(others):
    """Twelve Twins, made elsewhere."""
    made = [others.call("create_twin") for _ in range(12)]
    return [twin["creation_certificate"]["uuid"] for twin in made]


# Budgets


async def test_one_request_more_than_allowed_is_not_sent(do, uuids, sent):
    async with do.block(ttorm.session(budget=2)):
        await do(Twin, "get", uuids[0])
        await do(Twin, "get", uuids[1])
        with pytest.raises(BudgetExceededError, match=r"request 3 of a budget of 2") as caught:
            await do(Twin, "get", uuids[2])
    assert len(sent.take()) == 2
    assert f"GET /twins/{uuids[2]}" in str(caught.value)


def test_the_line_that_asked_is_named(uuids, connection):
    with ttorm.session(budget=0), pytest.raises(BudgetExceededError) as caught:
        Twin.get(uuids[0])  # this very line
    assert "Twin.get(uuids[0])  # this very line" in str(caught.value)


def test_the_line_that_awaits_is_named(uuids, connection):
    async def ask():
        async with ttorm.session(budget=0):
            await Twin.aget(uuids[0])  # this awaiting line

    with pytest.raises(BudgetExceededError, match="this awaiting line"):
        asyncio.run(ask())


async def test_answers_of_the_cache_cost_nothing(do, uuids, sent):
    await do(Twin, "get", uuids[0])
    sent.take()
    async with do.block(ttorm.session(budget=0)):
        assert (await do(Twin, "get", uuids[0])).status == "alive"
    assert sent.lines() == []


async def test_what_a_budget_refuses_is_not_in_doubt(do, uuids, connection, sent):
    twin = await do(Twin, "get", uuids[0])
    await do(twin, "load", "ledger")
    twin.ledger["x"] = 1
    async with do.block(ttorm.session()) as s, do.block(s.budget(0)):
        with pytest.raises(BudgetExceededError):
            await do(twin, "save")
    assert [request.method for request in twin.plan()] == ["POST"]
    twin.discard()
    assert "x" not in twin.ledger


async def test_a_budget_inside_a_block_ends_with_its_own_block(do, uuids, connection):
    async with do.block(ttorm.session()) as s:
        async with do.block(s.budget(1)) as budget:
            await do(Twin, "get", uuids[0])
            with pytest.raises(BudgetExceededError):
                await do(Twin, "get", uuids[1])
        await do(Twin, "get", uuids[1])
    assert (budget.spent, budget.limit) == (1, 1)
    assert repr(budget) == "<Budget: 1 of 1 requests>"


async def test_a_budget_ends_with_its_session(do, uuids, connection, sent):
    async with do.block(ttorm.session()) as s:
        budget = s.budget(0)
        with pytest.raises(BudgetExceededError):
            await do(Twin, "get", uuids[0])
    await do(Twin, "get", uuids[0])
    assert sent.lines() == [f"GET /twins/{uuids[0]}"]
    assert budget.spent == 0


async def test_requests_side_by_side_count_as_well(do, uuids, connection, sent):
    twins = [Twin.at(uuid) for uuid in uuids]
    async with do.block(ttorm.session(budget=5)):
        with pytest.raises(BudgetExceededError):
            await do(ttorm, "load_all", twins, "ledger")
    assert len(sent.take()) == 5


async def test_other_connections_have_budgets_of_their_own(do, uuids, connection, others):
    async with do.block(ttorm.session(budget=0)):
        assert (await do(others, "call", "get_twin", uuids[0]))["status"] == "alive"


async def test_a_repeated_request_counts_once(do, uuids, connection, wire):
    failures = iter([ttorm.TransportError("cut off", sent=False)])

    def meddle(request):
        for failure in failures:
            raise failure

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=2, base=0.0)
    async with do.block(ttorm.session(budget=1)):
        assert (await do(Twin, "get", uuids[0])).status == "alive"


def test_wrong_budgets(connection):
    with ttorm.session() as s:
        for wrong in (-1, 1.5, "3", True):
            with pytest.raises(ValidationError, match="expected 0 or more"):
                s.budget(wrong)
    with pytest.raises(StateError, match="no open block"):
        s.budget(3)


# Loops


@pytest.fixture
def developing(connect):
    return connect(default=True, development=True, cache=None)


async def test_a_loop_that_reads_one_by_one(do, uuids, developing):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for uuid in uuids:
            await do(Twin, "get", uuid)
    [warning] = told
    assert warning.category is NPlusOneWarning
    assert "10 requests get_twin, one after the other" in str(warning.message)


def test_the_line_of_an_awaiting_loop_is_named(uuids, developing):
    async def loop():
        for uuid in uuids:
            await Twin.aget(uuid)

    with pytest.warns(NPlusOneWarning, match=r"await Twin\.aget\(uuid\)"):
        asyncio.run(loop())


def test_the_line_of_a_loop_is_named_with_its_cure(uuids, developing):
    def loop():
        for uuid in uuids:
            Twin.at(uuid).ledger.get("x")

    with pytest.warns(NPlusOneWarning) as told:
        loop()
    message = str(told[0].message)
    assert message.startswith(__file__)
    assert 'Twin.at(uuid).ledger.get("x")' in message
    assert "ttorm.load_all(records, ...)" in message
    assert told[0].filename == __file__


def test_a_loop_that_saves_one_by_one(uuids, developing):
    def loop():
        for uuid in uuids:
            twin = Twin.at(uuid)
            twin.ledger["x"] = 1
            twin.save()

    with pytest.warns(NPlusOneWarning, match=r"ttorm\.save_all\(records\)"):
        loop()


async def test_no_loop(do, uuids, developing):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        twins = [Twin.at(uuid) for uuid in uuids]
        await do(ttorm, "load_all", twins, "ledger")
        for _ in await do.list(Twin.scan(page=1)):
            pass
        for uuid in uuids[:9]:
            await do(Twin, "get", uuid)
    assert [warning for warning in told if warning.category is NPlusOneWarning] == []


def test_pauses_are_no_loop(uuids, developing, monkeypatch):
    from ttorm.connection import watch

    now = 0.0

    def later():
        nonlocal now
        now += 5.0
        return now

    monkeypatch.setattr(watch, "monotonic", later)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for uuid in uuids:
            Twin.get(uuid)
    assert [warning for warning in told if warning.category is NPlusOneWarning] == []
    assert now == 5.0 * len(uuids)


def test_nobody_watches_unless_asked(uuids, connect, monkeypatch):
    assert connect().watch is None
    monkeypatch.setenv("TTORM_DEVELOPMENT", "1")
    assert connect().watch is not None
    assert connect(development=False).watch is None
    monkeypatch.setenv("TTORM_DEVELOPMENT", "0")
    assert connect().watch is None
