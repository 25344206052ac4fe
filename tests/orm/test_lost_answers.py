"""Writes whose answers are lost: what was done is found by reading, the rest is written again.

Each write is tried with a connection that breaks before the request takes effect and after it, and
with somebody else who writes before anybody can look.
"""

from __future__ import annotations

import asyncio

import pytest

import ttorm
from ttorm import Twin
from ttorm.emulator.transport import EmulatorTransport

EASY = ttorm.RetryPolicy(attempts=3, base=0.0)


@pytest.fixture
def connection(connect):
    return connect(default=True, retry=EASY)


@pytest.fixture
def lose(connection):
    """Break the connection of the next request of an operation."""

    def lose(operation, moment="after", **options):
        options = {"times": 1, **options}
        return connection.emulator.faults.add(operation, drop=moment, **options)

    return lose


@pytest.fixture
def interfere(wire):
    """Have somebody else act as soon as a request of a method was lost."""

    def interfere(method, act, *, arrives):
        def meddle(request):
            if request.method != method:
                return
            wire.meddle = lambda request: None
            if arrives:
                wire.transport.send(request)
            act()
            raise ttorm.TransportError("lost", sent=True)

        wire.meddle = meddle

    return interfere


def value_of(others, twin, name="a"):
    answer = others.call("get_twin_ledger_entry", twin.uuid)
    return answer["entries"].get(name, {}).get("value")


EDITS = {
    "update_twin_ledger_entry_value": lambda twin: setattr(twin.ledger["a"], "value", 2),
    "update_twin_ledger_entry": lambda twin: setattr(twin.ledger["a"], "visibility", "true"),
    "add_twin_ledger_entry": lambda twin: twin.ledger.update({"n": 1}),
    "delete_twin_ledger_entry": lambda twin: twin.ledger.__delitem__("a"),
    "update_twin": lambda twin: twin.description.update({"k": 2}),
    "create_twin_identity": lambda twin: twin.identities.add("SN#1"),
    "delete_twin_identity": lambda twin: twin.identities.__delitem__("SN#0"),
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("operation", EDITS)
async def test_a_lost_answer_costs_no_more_than_a_look(
    do, connection, lose, others, sent, operation, moment
):
    twin = await do(Twin, "create", description={"k": 1}, entries={"a": 1}, identities=["SN#0"])
    EDITS[operation](twin)
    wanted = [str(name) for name in ttorm.inspect(twin).changes]
    fault = lose(operation, moment)
    sent.clear()
    result = await do(twin, "save")
    assert fault.hits == 1
    assert ttorm.inspect(twin).state == "clean"
    done = [*result.created, *result.updated, *result.deleted]
    assert done == [name.partition(".")[0] for name in wanted]
    written = [request for request in sent if request.method != "GET"]
    repeated_by_itself = operation == "delete_twin_identity"
    assert len(written) == (2 if moment == "before" or repeated_by_itself else 1)
    state = others.call("get_twin_ledger_entry", twin.uuid)["entries"]
    seen = {name: entry["value"] for name, entry in state.items()}
    assert seen == {name: entry.value for name, entry in twin.ledger.items()}
    await do(twin, "refresh")
    assert ttorm.inspect(twin).state == "clean"


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_newer_value_of_somebody_else_is_not_written_over(
    do, connection, others, interfere, arrives
):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["a"] = 2
    body = {"entries": {"a": {"value": 3}}}
    interfere(
        "PATCH",
        lambda: others.call("update_twin_ledger_entry_value", twin.uuid, body=body),
        arrives=arrives,
    )
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save")
    [conflict] = caught.value.conflicts
    assert (conflict.base, conflict.mine, conflict.theirs) == (1, 2, 3)
    assert value_of(others, twin) == 3
    caught.value.resolve("mine")
    await do(twin, "save")
    assert value_of(others, twin) == 2


async def test_a_repeat_is_guarded(do, connection, lose, sent):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["a"] = 2
    lose("update_twin_ledger_entry_value", "before")
    sent.clear()
    await do(twin, "save")
    first, _, again = sent
    assert "conditions" not in first.body
    assert list(again.body["conditions"]) == ["a"]
    assert again.body["conditions"]["a"].startswith("value_changed_ts == ")


async def test_a_request_that_arrives_late_counts_once(do, connection, wire, others):
    """It is not there at the first look, and there when it is sent again."""
    twin = await do(Twin, "create", entries={"n": 5})
    held = []

    def meddle(request):
        if request.method == "PATCH" and not held:
            held.append(request)
            raise ttorm.TransportError("late", sent=True)
        if request.method == "PATCH":
            wire.meddle = lambda request: None
            wire.transport.send(held[0])

    wire.meddle = meddle
    twin.ledger["n"] = 6
    result = await do(twin, "save")
    assert result.updated == ("ledger['n']",)
    assert value_of(others, twin, "n") == 6
    assert ttorm.inspect(twin).state == "clean"


async def test_an_increment_in_doubt_is_told_and_not_repeated(do, connection, interfere, others):
    twin = await do(Twin, "create", entries={"n": 5})
    interfere("PATCH", lambda: None, arrives=True)
    with pytest.raises(ttorm.OutcomeUnknownError, match="does not tell whether"):
        await do(twin.ledger["n"], "update", lambda n: n + 1)
    assert value_of(others, twin, "n") == 6
    assert ttorm.inspect(twin).state == "clean"
    assert await do(twin.ledger["n"], "update", lambda n: n + 1) == 7


async def test_an_increment_that_was_not_done_is_done_again(do, connection, lose, others):
    twin = await do(Twin, "create", entries={"n": 5})
    lose("update_twin_ledger_entry_value", "before")
    assert await do(twin.ledger["n"], "update", lambda n: n + 1) == 6
    assert value_of(others, twin, "n") == 6


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_count_that_two_begin_at_once_is_nobodys_for_sure(
    do, connection, interfere, others, arrives
):
    twin = await do(Twin, "create")
    body = {"entries": {"n": {"value": 1}}}
    interfere(
        "POST",
        lambda: arrives or others.call("add_twin_ledger_entry", twin.uuid, body=body),
        arrives=arrives,
    )
    with pytest.raises(ttorm.OutcomeUnknownError, match="does not tell whether"):
        await do(twin.ledger["n"], "update", lambda n: n + 1, default=0)
    assert value_of(others, twin, "n") == 1
    assert await do(twin.ledger["n"], "update", lambda n: n + 1, default=0) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_a_new_twin_has_is_its_own_also_where_saves_check(
    do, connection, lose, others, moment
):
    class Careful(Twin):
        class Meta:
            optimistic = True

    lose("add_twin_ledger_entry", moment)
    twin = await do(Careful, "create", entries={"n": 1})
    assert ttorm.inspect(twin).state == "clean"
    assert value_of(others, twin, "n") == 1


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_ledger_that_may_have_been_cleared_is_read_again(
    do, connection, lose, others, moment
):
    twin = await do(Twin, "create", entries={"a": 1, "b": 1})
    lose("delete_twin_ledger_entry", moment)
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(twin.ledger, "clear")
    twin.ledger["a"] = 1
    await do(twin, "save")
    assert value_of(others, twin) == 1
    await do(twin, "load", "ledger")
    assert list(twin.ledger) == (["a", "b"] if moment == "before" else ["a"])


async def test_what_nobody_has_seen_before_is_not_guessed(do, connection, lose, others):
    made = await do(Twin, "create", entries={"a": 1})
    with ttorm.session(connection) as s:
        twin = Twin.at(made.uuid)
        twin.ledger["a"] = 2
        lose("update_twin_ledger_entry_value", "before")
        with pytest.raises(ttorm.OutcomeUnknownError):
            await do(twin, "save")
        await do(twin, "save")
        assert not s.dirty
    assert value_of(others, made) == 2


async def test_somebody_elses_entry_of_the_same_name_stays(do, connection, interfere, others):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["n"] = 1
    body = {"entries": {"n": {"value": "theirs"}}}
    interfere(
        "POST", lambda: others.call("add_twin_ledger_entry", twin.uuid, body=body), arrives=False
    )
    with pytest.raises(ttorm.SaveError, match="somebody else has written since"):
        await do(twin, "save")
    assert value_of(others, twin, "n") == "theirs"


async def test_descriptions_of_two_are_merged_when_an_answer_is_lost(
    do, connection, interfere, others
):
    twin = await do(Twin, "create", description={"k": 1})
    twin.description["k"] = 2
    body = {"description": {"k": 1, "other": True}}
    interfere("PATCH", lambda: others.call("update_twin", twin.uuid, body=body), arrives=False)
    await do(twin, "save")
    assert others.call("get_twin", twin.uuid)["description"] == {"k": 2, "other": True}


async def test_a_description_that_somebody_else_changed_the_same_way_is_a_conflict(
    do, connection, interfere, others
):
    twin = await do(Twin, "create", description={"k": 1})
    twin.description["k"] = 2
    body = {"description": {"k": 3}}
    interfere("PATCH", lambda: others.call("update_twin", twin.uuid, body=body), arrives=True)
    with pytest.raises(ttorm.ConflictError):
        await do(twin, "save")
    assert others.call("get_twin", twin.uuid)["description"] == {"k": 3}


async def test_a_whole_description_whose_answer_is_lost_is_written_once(
    do, connection, lose, others, sent
):
    twin = await do(Twin, "create", description={"k": 1})
    twin.description = {"whole": True}
    lose("update_twin")
    sent.clear()
    await do(twin, "save")
    assert [request.method for request in sent] == ["PATCH", "GET"]
    assert ttorm.inspect(twin).state == "clean"


async def test_when_even_looking_fails_the_next_save_looks_first(
    do, connection, lose, others, sent
):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["a"] = 2
    lose("update_twin_ledger_entry_value")
    blind = lose("get_twin_ledger_entry", times=None)
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(twin, "save")
    assert ttorm.inspect(twin).state == "modified"
    blind.remove()
    assert [step.method for step in twin.plan()][:1] == ["GET"]
    sent.clear()
    assert (await do(twin, "save")).requests == 1
    assert [request.method for request in sent] == ["GET"]
    assert ttorm.inspect(twin).state == "clean"


async def test_a_service_that_stays_away_is_told(do, connection, lose):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["a"] = 2
    fault = lose("update_twin_ledger_entry_value", "before", times=None)
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(twin, "save")
    assert fault.hits == 3
    assert twin.ledger["a"].value == 2


async def test_atomic_writes_stay_atomic(do, connection, lose, sent, others):
    twin = await do(Twin, "create", entries={"a": 1, "b": 1})
    twin.ledger.update({"a": 2, "b": 2})
    lose("update_twin_ledger_entry_value", "before")
    sent.clear()
    await do(twin, "save", atomic=True)
    again = sent[-1].body
    assert again["transaction"] is True
    assert sorted(again["conditions"]) == ["a", "b"]


def test_a_cancelled_save_leaves_a_record_that_looks_first(connect, emulator, others):
    class Stuck(EmulatorTransport):
        async def asend(self, request):
            answer = await super().asend(request)
            if request.method == "PATCH":
                await asyncio.sleep(60)
            return answer

    async def main():
        stuck = ttorm.connect(transport=Stuck(emulator, emulator.first_user()))
        twin = await Twin.acreate(entries={"a": 1})
        twin.ledger["a"] = 2
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(twin.asave(), 0.05)
        assert ttorm.inspect(twin).state == "modified"
        assert value_of(others, twin) == 2
        result = await twin.asave()
        assert (result.updated, ttorm.inspect(twin).state) == ((), "clean")
        await stuck.aclose()

    asyncio.run(main())
