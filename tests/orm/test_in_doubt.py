"""Records in doubt: what the next save makes of them, and of requests that arrive late."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

import ttorm
from ttorm import Entry, Field, Twin, entry, identity
from ttorm.api.http import HttpResponse

EASY = ttorm.RetryPolicy(attempts=3, base=0.0)
LOOKS = {
    "ledger": "get_twin_ledger_entry",
    "new Entries": "get_twin_ledger_entry",
    "description": "get_twin",
}
WRITES = {
    "ledger": "update_twin_ledger_entry_value",
    "new Entries": "add_twin_ledger_entry",
    "description": "update_twin",
}


@pytest.fixture
def connection(connect):
    return connect(default=True, retry=EASY)


@pytest.fixture
def faults(connection):
    return connection.emulator.faults


@pytest.fixture
def doubt(faults, do):
    """Have a verb fail without anybody knowing what it did."""

    async def doubt(part, moment, owner, verb, *arguments):
        lost = faults.add(WRITES[part], drop=moment)
        blind = faults.add(LOOKS[part], drop="before")
        with pytest.raises(ttorm.OutcomeUnknownError):
            await do(owner, verb, *arguments)
        lost.remove()
        blind.remove()

    return doubt


@pytest.fixture
def late(wire):
    """Have the first request of a method arrive only when it is sent again."""

    def late(method, times=1):
        held = []

        def meddle(request):
            if request.method != method:
                return
            if len(held) < times:
                held.append(request)
                raise ttorm.TransportError("late", sent=True)
            wire.meddle = lambda request: None
            wire.transport.send(held[0])

        wire.meddle = meddle

    return late


def raised(value):
    return value + 1


@pytest.mark.parametrize(("moment", "result"), [("before", 6), ("after", 7)])
async def test_an_increment_begins_from_what_the_one_in_doubt_has_left(
    do, connection, doubt, others, moment, result
):
    twin = await do(Twin, "create", entries={"n": 5})
    await doubt("ledger", moment, twin.ledger["n"], "update", raised)
    assert await do(twin.ledger["n"], "update", raised) == result
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == result


async def test_an_increment_after_one_in_doubt_goes_on_from_somebody_elses(
    do, connection, doubt, others
):
    twin = await do(Twin, "create", entries={"n": 5})
    await doubt("ledger", "before", twin.ledger["n"], "update", raised)
    body = {"entries": {"n": {"value": 50}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    assert await do(twin.ledger["n"], "update", raised) == 51


async def test_a_checked_save_takes_nothing_for_seen_that_it_read_in_doubt(
    do, connection, doubt, others
):
    twin = await do(Twin, "create", entries={"n": 5, "m": 1})
    twin.ledger["n"] = 6
    await doubt("ledger", "before", twin, "save")
    body = {"entries": {"n": {"value": 50}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save", check=True)
    [lost] = caught.value.conflicts
    assert (lost.base, lost.mine, lost.theirs) == (5, 6, 50)
    caught.value.resolve("mine")
    await do(twin, "save", check=True)
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == 6


async def test_an_update_that_is_refused_takes_nothing_for_seen(do, connection, doubt, others):
    twin = await do(Twin, "create", entries={"n": 5})
    twin.ledger["n"] = 6
    await doubt("ledger", "before", twin, "save")
    body = {"entries": {"n": {"value": 50}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    with pytest.raises(ttorm.StateError, match="unsaved changes"):
        await do(twin.ledger["n"], "update", raised)
    with pytest.raises(ttorm.ConflictError):
        await do(twin, "save", check=True)


@pytest.mark.parametrize(
    ("value", "error"), [(50, ttorm.ConflictError), (6, ttorm.OutcomeUnknownError)]
)
async def test_a_checked_save_takes_no_entry_for_seen_that_was_not_there_before(
    do, connection, doubt, others, value, error
):
    twin = await do(Twin, "create")
    twin.ledger["n"] = 6
    await doubt("new Entries", "before", twin, "save")
    body = {"entries": {"n": {"value": value}}}
    others.call("add_twin_ledger_entry", twin.uuid, body=body)
    with pytest.raises(error):
        await do(twin, "save", check=True)
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == value


async def test_a_checked_save_of_a_description_in_doubt_takes_nothing_for_seen(
    do, connection, doubt, others, sent
):
    twin = await do(Twin, "create", description={"k": 1})
    twin.description["k"] = 2
    await doubt("description", "before", twin, "save")
    others.call("update_twin", twin.uuid, body={"description": {"k": 50}})
    sent.clear()
    with pytest.raises(ttorm.ConflictError):
        await do(twin, "save", check=True)
    assert [request.method for request in sent] == ["GET"]
    assert others.call("get_twin", twin.uuid)["description"] == {"k": 50}


@pytest.mark.parametrize(
    "taken", [copy.copy, copy.deepcopy, lambda twin: pickle.loads(pickle.dumps(twin))]
)
async def test_copies_are_in_doubt_as_well(do, connection, doubt, sent, taken):
    twin = await do(Twin, "create", entries={"n": 5})
    twin.ledger["n"] = 6
    await doubt("ledger", "after", twin, "save")
    other = taken(twin)
    assert [step.method for step in other.plan()][:1] == ["GET"]
    sent.clear()
    await do(other, "save")
    assert [request.method for request in sent] == ["GET"]


async def test_a_new_reference_that_arrives_late_is_there(do, connection, late, others):
    source = await do(Twin, "create", entries={"a": 1})
    twin = await do(Twin, "create")
    twin.ledger["link"] = Entry(ref=source.ledger["a"])
    late("POST")
    assert (await do(twin, "save")).created == ("ledger['link']",)
    assert ttorm.inspect(twin).state == "clean"


async def test_a_new_identity_that_arrives_late_is_there(do, connection, late):
    twin = await do(Twin, "create")
    twin.identities.add("SN#1")
    late("POST")
    assert (await do(twin, "save")).created == ("identities['SN#1']",)
    assert ttorm.inspect(twin).state == "clean"


async def test_a_removal_that_arrives_late_is_done(do, connection, late):
    twin = await do(Twin, "create", identities=["SN#1"])
    del twin.identities["SN#1"]
    late("DELETE", times=2)
    assert (await do(twin, "save")).deleted == ("identities['SN#1']",)
    assert ttorm.inspect(twin).state == "clean"


async def test_what_is_to_be_removed_at_once_takes_nothing_else_along(
    do, connection, faults, others
):
    twin = await do(Twin, "create", identities=["SN#1", "SN#2", "SN#3"])
    del twin.identities["SN#1"]
    identity = twin.identities["SN#2"]
    with (
        faults.add("delete_twin_identity", drop="before"),
        pytest.raises(ttorm.OutcomeUnknownError),
    ):
        await do(identity, "delete")
    result = await do(identity, "delete")
    assert result.deleted == ("identities['SN#2']",)
    assert list(others.call("get_twin_identities", twin.uuid)["identities"]) == ["SN#1", "SN#3"]


@pytest.mark.parametrize("failure", [{"drop": "before"}, {"drop": "after"}, {"status": 500}])
@pytest.mark.parametrize("verb", ["change", "removal"])
async def test_what_may_be_repeated_is_sent_no_more_often_than_the_policy_says(
    do, connection, faults, verb, failure
):
    twin = await do(Twin, "create", identities=["SN#1", "SN#2"])
    if verb == "change":
        twin.identities["SN#1"].visibility = "true"
    else:
        del twin.identities["SN#1"]
    operation = "update_twin_identity" if verb == "change" else "delete_twin_identity"
    with (
        faults.add(operation, **failure) as fault,
        pytest.raises((ttorm.OutcomeUnknownError, ttorm.ServerError)),
    ):
        await do(twin, "save")
    assert fault.hits == EASY.attempts
    assert twin.plan()[0].method == "GET"
    await do(twin, "save")
    assert ttorm.inspect(twin).state == "clean"
    wanted = ["SN#1", "SN#2"] if verb == "change" else ["SN#2"]
    assert list(connection.call("get_twin_identities", twin.uuid)["identities"]) == wanted


async def test_a_checked_save_does_not_take_what_it_finds_for_its_own(
    do, connection, doubt, others
):
    twin = await do(Twin, "create", entries={"n": 5})
    twin.ledger["n"] = 6
    await doubt("ledger", "after", twin, "save")
    with pytest.raises(ttorm.OutcomeUnknownError, match="does not tell whether"):
        await do(twin, "save", check=True)
    assert (await do(twin, "save", check=True)).requests == 0


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_creation_that_was_cut_off_is_told_before_another_twin_is_made(
    do, connection, wire, others, sent, arrives
):
    def cut(request):
        wire.meddle = lambda request: None
        if arrives:
            wire.transport.send(request)
        raise KeyboardInterrupt

    twin = Twin(description={"k": 1})
    wire.meddle = cut
    with pytest.raises(KeyboardInterrupt):
        await do(twin, "save")
    sent.clear()
    for one in (copy.copy(twin), twin):
        with pytest.raises(ttorm.OutcomeUnknownError, match="was cut off"):
            await do(one, "save")
    assert sent == []
    await do(twin, "save")
    assert len(others.call("scan_twins")["twins"]) == 1 + arrives


async def test_a_repeated_write_gives_back_what_it_has_cost(do, connection, faults):
    twin = await do(Twin, "create", entries={"n": 5})
    tokens = connection.strain.tokens
    for value in range(40):
        twin.ledger["n"] = value
        faults.add("update_twin_ledger_entry_value", drop="before", times=1)
        await do(twin, "save")
    assert tokens.left == tokens.quota.capacity


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_set_back_in_doubt_is_written_where_it_has_to_be(
    do, connection, doubt, others, moment
):
    twin = await do(Twin, "create", entries={"n": 5}, description={"k": 5})
    twin.ledger["n"] = 6
    await doubt("ledger", moment, twin, "save")
    twin.ledger["n"] = 5
    assert (await do(twin, "save")).requests == (1 if moment == "before" else 2)
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == 5
    twin.description["k"] = 6
    await doubt("description", moment, twin, "save")
    twin.description["k"] = 5
    await do(twin, "save")
    assert others.call("get_twin", twin.uuid)["description"] == {"k": 5}
    assert ttorm.inspect(twin).state == "clean"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("back", ["removed", "assigned"])
async def test_a_new_entry_in_doubt_that_is_taken_back_is_taken_away(
    do, connection, doubt, others, moment, back
):
    class Room(Twin):
        seats: Field[int] = entry(default=0)

    room = await do(Room, "get", (await do(Twin, "create")).uuid)
    await do(room, "load", "ledger")
    room.seats = room.ledger["untyped"] = 5
    await doubt("new Entries", moment, room, "save")
    if back == "removed":
        del room.seats, room.ledger["untyped"]
    else:
        room.seats, room.ledger["untyped"] = 0, None
    await do(room, "save")
    entries = others.call("get_twin_ledger_entry", room.uuid)["entries"]
    if back == "removed":
        assert entries == {}
    assert not any(told["value"] for told in entries.values())
    assert ttorm.inspect(room).state == "clean"


async def test_a_checked_save_removes_no_entry_that_may_be_anothers(do, connection, doubt, others):
    twin = await do(Twin, "create")
    twin.ledger["n"] = 5
    await doubt("new Entries", "before", twin, "save")
    del twin.ledger["n"]
    body = {"entries": {"n": {"value": 50}}}
    others.call("add_twin_ledger_entry", twin.uuid, body=body)
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save", check=True)
    caught.value.resolve("mine")
    await do(twin, "save", check=True)
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"] == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_removal_in_doubt_that_is_taken_back_is_made_up_for(
    do, connection, faults, world, others, moment
):
    uuid = (await do(Twin, "create", entries={"n": 5})).uuid
    async with world.block(ttorm.session()):
        twin = await do(Twin.at(uuid), "load", "ledger")
        del twin.ledger["n"]
        lost = faults.add("delete_twin_ledger_entry", drop=moment)
        blind = faults.add("get_twin_ledger_entry", drop="before")
        with pytest.raises(ttorm.OutcomeUnknownError):
            await do(twin, "save")
        lost.remove()
        blind.remove()
        twin.ledger["n"] = 5
        await do(twin, "save")
    assert others.call("get_twin_ledger_entry", uuid)["entries"]["n"]["value"] == 5


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("first", "lost", "then"),
    [(None, "1", None), (None, "1", "2"), ("1", None, "1"), ("1", "2", "1"), ("1", "2", None)],
)
async def test_an_identity_in_doubt_that_is_taken_back(
    do, connection, faults, others, moment, first, lost, then
):
    class Tool(Twin):
        serial: Field[str | None] = identity("SN", default=None)

    tool = await do(Tool, "create", serial=first)
    await do(tool, "load", "identities")
    tool.serial = lost
    broken = [
        faults.add(operation, drop=when)
        for operation, when in (
            ("create_twin_identity", moment),
            ("delete_twin_identity", moment),
            ("get_twin_identities", "before"),
        )
    ]
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(tool, "save")
    for fault in broken:
        fault.remove()
    tool.serial = then
    await do(tool, "save")
    told = others.call("get_twin_identities", tool.uuid)["identities"]
    assert list(told) == ([] if then is None else [f"SN#{then}"])
    assert ttorm.inspect(tool).state == "clean"


async def test_a_checked_save_of_what_is_set_back_in_doubt(do, connection, doubt, others):
    twin = await do(Twin, "create", entries={"n": 5})
    twin.ledger["n"] = 6
    await doubt("ledger", "after", twin, "save")
    twin.ledger["n"] = 5
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save", check=True)
    caught.value.resolve("mine")
    await do(twin, "save", check=True)
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == 5


async def test_a_checked_save_of_a_description_that_is_set_back_in_doubt(
    do, connection, doubt, others
):
    twin = await do(Twin, "create", description={"k": 5, "other": 1})
    twin.description["k"] = 6
    await doubt("description", "after", twin, "save")
    twin.description["k"] = 5
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save", check=True)
    [lost] = caught.value.conflicts
    assert (lost.base, lost.mine, lost.theirs) == (5, 5, 6)
    caught.value.resolve("mine")
    await do(twin, "save", check=True)
    assert others.call("get_twin", twin.uuid)["description"] == {"k": 5, "other": 1}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("part", ["ledger", "description"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_container_that_is_set_back_in_doubt_is_no_less_a_change(
    do, connection, doubt, others, part, moment, check
):
    twin = await do(Twin, "create", entries={"n": [1]}, description={"n": [1]})
    held = twin.ledger["n"].value if part == "ledger" else twin.description["n"]
    assert not ttorm.inspect(twin).is_modified
    held.append(2)
    await doubt(part, moment, twin, "save")
    held.pop()
    try:
        await do(twin, "save", check=check)
    except ttorm.ConflictError as error:
        assert (check, moment) == (True, "after")
        error.resolve("mine")
        await do(twin, "save", check=check)
    entries = others.call("get_twin_ledger_entry", twin.uuid)["entries"]
    assert entries["n"]["value"] == [1]
    assert others.call("get_twin", twin.uuid)["description"] == {"n": [1]}
    assert held == [1]
    assert ttorm.inspect(twin).state == "clean"


async def test_what_was_not_sent_is_no_change_in_doubt(do, connection, doubt, others):
    """Equal to what was seen when it was assigned, it follows what others write."""
    twin = await do(Twin, "create", entries={"n": 5, "m": 1})
    twin.ledger["n"] = 6
    twin.ledger["m"] = 1
    await doubt("ledger", "before", twin, "save")
    body = {"entries": {"m": {"value": 7}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    assert (await do(twin, "save")).updated == ("ledger['n']",)
    assert twin.ledger["m"].value == 7


async def test_what_was_refused_is_not_in_doubt_for_ever(do, connection, doubt, faults, others):
    twin = await do(Twin, "create", entries={"n": 5, "m": 1})
    twin.ledger["m"] = 2
    faults.add("update_twin_ledger_entry_value", status=403, times=1)
    with pytest.raises(ttorm.ForbiddenError):
        await do(twin, "save")
    twin.ledger["m"] = 1
    twin.ledger["n"] = 6
    await doubt("ledger", "before", twin, "save")
    body = {"entries": {"m": {"value": 7}}}
    others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
    await do(twin, "save")
    assert twin.ledger["m"].value == 7


@pytest.mark.parametrize("part", ["ledger", "description"])
@pytest.mark.parametrize(("moment", "result"), [("before", 5), ("after", 6)])
async def test_what_is_discarded_in_doubt_is_read_when_it_is_looked_at(
    do, connection, doubt, part, moment, result
):
    twin = await do(Twin, "create", entries={"n": 5}, description={"n": 5})
    await do(twin, "load", "description")
    shown = twin.ledger if part == "ledger" else twin.description
    shown["n"] = 6
    await doubt(part, moment, twin, "save")
    twin.discard()
    assert not ttorm.inspect(twin).is_modified
    if do.asynchronous:
        with pytest.raises(ttorm.NotLoadedError):
            shown["n"].value if part == "ledger" else shown["n"]
        await twin.aload(part)
    found = twin.ledger["n"].value if part == "ledger" else twin.description["n"]
    assert found == result
    assert (await do(twin, "save")).requests == 0


def test_a_save_that_is_cut_off_before_its_repeat_leaves_a_record_that_looks_first(
    connect, emulator, others
):
    """The first request may still be on its way when the second one is not sent any more."""

    class Patient(ttorm.RetryPolicy):
        def delay(self, attempt, floor, random):
            return 20.0

    connection = connect(default=True, retry=Patient())

    async def main():
        twin = await Twin.acreate(entries={"n": 5}, description={"k": 5}, identities=["SN#1"])
        twin.ledger["n"] = 6
        fault = connection.emulator.faults.add("update_twin_ledger_entry_value", drop="before")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(twin.asave(), 0.2)
        assert fault.hits == 1
        fault.remove()
        assert [step.method for step in twin.plan()] == ["GET", "PATCH"]
        await twin.asave()
        assert ttorm.inspect(twin).state == "clean"

    asyncio.run(main())


@pytest.mark.parametrize("part", ["ledger", "description", "identities"])
@pytest.mark.parametrize("last", ["busy", "not sent"])
async def test_a_repeat_in_vain_does_not_undo_the_sending_before(do, connection, wire, part, last):
    """The first one may be on its way yet."""
    twin = await do(Twin, "create", entries={"n": 5}, description={"k": 5})
    match part:
        case "ledger":
            twin.ledger["n"] = 6
        case "description":
            twin.description["k"] = 6
        case _:
            twin.identities.add("SN#1")
    lost = []

    def meddle(request):
        if request.method == "GET":
            return None
        if not lost:
            lost.append(request)
            raise ttorm.TransportError("lost", sent=True)
        if last == "busy":
            return HttpResponse(429, {}, b"{}")
        raise ttorm.TransportError("nobody there", sent=False)

    wire.meddle = meddle
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(twin, "save")
    wire.meddle = lambda request: None
    wire.transport.send(lost[0])
    assert twin.plan()[0].method == "GET"
    await do(twin, "save")
    assert ttorm.inspect(twin).state == "clean"


async def test_a_save_that_was_given_up_looks_first_the_next_time(do, connection, faults, sent):
    twin = await do(Twin, "create", entries={"n": 5})
    twin.ledger["n"] = 6
    fault = faults.add("update_twin_ledger_entry_value", drop="before")
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(twin, "save")
    fault.remove()
    sent.clear()
    assert (await do(twin, "save")).updated == ("ledger['n']",)
    assert [request.method for request in sent] == ["GET", "PATCH"]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_assigned_after_an_increment_in_doubt_is_what_is_there_then(
    do, connection, doubt, others, moment
):
    twin = await do(Twin, "create", entries={"n": 1})
    await doubt("ledger", moment, twin.ledger["n"], "update", raised)
    twin.ledger["n"] = 1
    await do(twin, "save")
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["n"]["value"] == 1


async def test_an_increment_in_doubt_is_read_when_it_is_looked_at(do, connection, doubt):
    twin = await do(Twin, "create", entries={"n": 1})
    await doubt("ledger", "after", twin.ledger["n"], "update", raised)
    await do(twin, "load", "ledger")
    assert twin.ledger["n"].value == 2
