"""After a lost race: deciding what is written, and trying again."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from datetime import date

import pytest

import ttorm
from ttorm import Conflict, Field, Twin, description, entry


@dataclass
class Place:
    hall: int
    since: date


class Silo(Twin):
    label: Field[str] = description(default="")
    level: Field[float] = entry(default=0.0)
    flow: Field[float] = entry(default=0.0)
    site: Field[dict[str, int]] = entry(default_factory=dict)
    place: Field[Place | None] = entry(default=None)


@pytest.fixture
def write(others):
    """Write values elsewhere: ``write(record, level=9)``."""

    def write(record, **values):
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        others.call("update_twin_ledger_entry_value", record.uuid, body=body)

    return write


@pytest.fixture
def lost(do, write):
    """Lose a race: ``await lost(record, mine={...}, theirs={...})`` gives the error."""

    async def lost(record, mine, theirs):
        write(record, **theirs)
        for name, value in mine.items():
            setattr(record, name, value)
        with pytest.raises(ttorm.ConflictError) as caught:
            await do(record, "save", check=True)
        return caught.value

    return lost


# Deciding


async def test_mine(do, connection, lost, sent):
    silo = await do(Silo, "create")
    error = await lost(silo, {"level": 5}, {"level": 9})
    assert error.record is silo
    assert error.conflicts == (Conflict("level", 0.0, 5.0, 9.0),)
    error.resolve("mine")
    sent.clear()
    assert (await do(silo, "save", check=True)).updated == ("level",)
    assert [request.method for request in sent] == ["PATCH"]
    assert (await do(silo, "refresh")).level == 5.0


async def test_theirs(do, connection, lost, sent):
    silo = await do(Silo, "create")
    error = await lost(silo, {"level": 5, "flow": 6}, {"level": 9})
    error.resolve("theirs")
    sent.clear()
    assert (silo.level, silo.flow) == (9.0, 6.0)
    assert (await do(silo, "save", check=True)).requests == 0
    assert sent == []


async def test_a_function(do, connection, lost, sent):
    silo = await do(Silo, "create", level=1.0, flow=2.0)
    error = await lost(silo, {"level": 5, "flow": 1}, {"level": 9, "flow": 0})
    asked = []

    def largest(conflict):
        asked.append(conflict)
        return max(conflict.mine, conflict.theirs)

    error.resolve(largest)
    assert asked == [Conflict("level", 1.0, 5.0, 9.0), Conflict("flow", 2.0, 1.0, 0.0)]
    sent.clear()
    await do(silo, "save", check=True)
    # The larger level is the service's already.
    assert sent[0].body["entries"] == {"flow": {"value": 1.0}}
    assert (silo.level, silo.flow) == (9.0, 1.0)


async def test_a_function_that_fails_decides_nothing(do, connection, lost):
    silo = await do(Silo, "create", level=1.0, flow=2.0)
    error = await lost(silo, {"level": 5, "flow": 1}, {"level": 9, "flow": 0})
    with pytest.raises(ttorm.ValidationError, match="flow expects float"):
        error.resolve(lambda conflict: 7.0 if conflict.name == "level" else "much")
    assert (silo.level, silo.flow) == (5.0, 1.0)


async def test_values_are_as_the_field_says(do, connection, lost):
    silo = await do(Silo, "create", place=Place(1, date(2024, 1, 1)))
    theirs = {"hall": 1, "since": "2025-01-01"}
    error = await lost(silo, {"place": Place(2, date(2024, 1, 1))}, {"place": theirs})
    assert error.theirs == {"place": Place(1, date(2025, 1, 1))}
    error.resolve("merge")
    assert silo.place == Place(2, date(2025, 1, 1))


async def test_merging_keys(do, connection, lost, others):
    silo = await do(Silo, "create", site={"hall": 1, "row": 1})
    error = await lost(silo, {"site": {"hall": 2, "row": 1}}, {"site": {"hall": 1, "row": 7}})
    error.resolve("merge")
    assert silo.site == {"hall": 2, "row": 7}
    silo.site["shelf"] = 3
    await do(silo, "save", check=True)
    entries = others.call("get_twin_ledger_entry", silo.uuid)["entries"]
    assert entries["site"]["value"] == {"hall": 2, "row": 7, "shelf": 3}


async def test_keys_that_both_changed_do_not_merge(do, connection, lost):
    silo = await do(Silo, "create", site={"hall": 1, "row": 1})
    error = await lost(silo, {"site": {"hall": 2, "row": 1}}, {"site": {"hall": 3, "row": 1}})
    with pytest.raises(ttorm.ConflictError, match="both sides changed hall") as clash:
        error.resolve("merge")
    assert (clash.value.base, clash.value.theirs) == ({"hall": 1}, {"hall": 3})
    assert silo.site == {"hall": 2, "row": 1}
    error.resolve(lambda c: ttorm.merge(c.base, c.mine, c.theirs, prefer="theirs"))
    assert silo.site == {"hall": 3, "row": 1}


async def test_an_entry_that_they_removed(do, connection, others):
    silo = await do(Silo, "create", level=1.0)

    async def lose():
        others.call("delete_twin_ledger_entry", silo.uuid, entries=["level"])
        silo.level = 5
        with pytest.raises(ttorm.ConflictError) as caught:
            await do(silo, "save", check=True)
        return caught.value

    (await lose()).resolve(lambda conflict: conflict.theirs)
    assert silo.level == 0.0
    assert (await do(silo, "save", check=True)).requests == 0
    silo.level = 3
    await do(silo, "save")
    (await lose()).resolve("theirs")
    assert not ttorm.inspect(silo).is_modified
    silo.level = 3
    await do(silo, "save")
    (await lose()).resolve("mine")
    assert (await do(silo, "save", check=True)).created == ("level",)


async def test_an_entry_that_i_remove(do, connection, write):
    silo = await do(Silo, "create", level=1.0)

    async def lose(value):
        write(silo, level=value)
        del silo.level
        with pytest.raises(ttorm.ConflictError) as caught:
            await do(silo, "save", check=True)
        return caught.value

    (await lose(8)).resolve("theirs")
    assert silo.level == 8.0
    (await lose(9)).resolve(lambda conflict: conflict.theirs + 1)
    assert silo.level == 10.0
    await do(silo, "save", check=True)
    (await lose(11)).resolve(lambda conflict: conflict.mine)
    assert (await do(silo, "save", check=True)).deleted == ("level",)


async def test_keys_of_the_description(do, connection, others):
    silo = await do(Silo, "create", label="a", description={"old": 1})
    body = {"description": {"label": "theirs", "old": 2, "new": 3}}
    others.call("update_twin", silo.uuid, body=body)
    silo.label = "mine"
    del silo.description["old"]
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(silo, "save", check=True)
    error = caught.value
    assert error.conflicts == (
        Conflict("description['old']", 1, None, 2),
        Conflict("label", "a", "mine", "theirs"),
    )
    error.resolve(lambda conflict: conflict.mine)
    await do(silo, "save", check=True)
    assert others.call("get_twin", silo.uuid)["description"] == {"label": "mine", "new": 3}


async def test_a_block_saves_what_was_resolved(do, connection, write):
    silo = await do(Silo, "create")
    async with do.block(ttorm.session()):
        again = await do(Silo.at(silo.uuid), "load", "ledger")
        write(silo, level=9)
        again.level = 5
        with pytest.raises(ttorm.ConflictError) as caught:
            await do(again, "save", check=True)
        caught.value.resolve("mine")
    assert (await do(silo, "refresh")).level == 5.0


async def test_a_conflict_survives_pickling(do, connection, lost):
    silo = await do(Silo, "create")
    error = await lost(silo, {"level": 5}, {"level": 9})
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        other.resolve("theirs")
        assert other.record.level == 9.0
        assert other.record == silo


async def test_what_decides_nothing_is_refused(do, connection, lost):
    silo = await do(Silo, "create")
    error = await lost(silo, {"level": 5}, {"level": 9})
    with pytest.raises(ttorm.ValidationError, match="expected 'mine', 'theirs', 'merge'"):
        error.resolve("ours")
    with pytest.raises(ttorm.StateError, match="no other side"):
        ttorm.ConflictError("made by hand").resolve("mine")


# What is no conflict


async def test_removed_by_both(do, connection, others):
    silo = await do(Silo, "create", level=1.0)
    others.call("delete_twin_ledger_entry", silo.uuid, entries=["level"])
    del silo.level
    assert (await do(silo, "save", check=True)).deleted == ()
    assert not ttorm.inspect(silo).is_modified


async def test_the_same_value_from_both_is_no_agreement(do, connection, write):
    silo = await do(Silo, "create", level=1.0)
    write(silo, level=2.0)
    silo.level += 1
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(silo, "save", check=True)
    assert caught.value.conflicts == (Conflict("level", 1.0, 2.0, 2.0),)
    assert not ttorm.inspect(silo).is_modified


async def test_an_equal_value_written_anew_gets_in_nobodys_way(do, connection, write, sent):
    silo = await do(Silo, "create", level=1.0)
    write(silo, level=1.0)
    silo.level = 5
    sent.clear()
    assert (await do(silo, "save", check=True)).updated == ("level",)
    assert [request.method for request in sent] == ["PATCH", "GET", "PATCH"]
    first, _, second = sent.take()
    assert first.body["conditions"] != second.body["conditions"]


async def test_a_value_that_never_rests_is_a_conflict_at_last(do, connection, wire, write):
    silo = await do(Silo, "create", level=1.0)
    silo.level = 5

    def meddle(request):
        if request.method == "PATCH":
            write(silo, level=1.0)

    wire.meddle = meddle
    with pytest.raises(ttorm.ConflictError):
        await do(silo, "save", check=True)
    assert ttorm.inspect(silo).changes == {"level": (1.0, 5.0)}


async def test_properties_overwrite_no_value(do, connection, write, sent):
    silo = await do(Silo, "create")
    write(silo, level=9)
    silo.ledger["level"].visibility = "true"
    sent.clear()
    await do(silo, "save", check=True)
    assert [request.body for request in sent] == [{"entries": {"level": {"visibility": "true"}}}]


async def test_a_new_entry_that_somebody_else_made(do, connection, others):
    twin = await do(Twin, "create")
    body = {"entries": {"x": {"value": "theirs"}, "y": {"value": 1}}}
    others.call("add_twin_ledger_entry", twin.uuid, body=body)
    twin.ledger["x"], twin.ledger["y"] = "mine", 1
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(twin, "save", check=True)
    assert caught.value.conflicts == (
        Conflict("ledger['x']", None, "mine", "theirs"),
        Conflict("ledger['y']", None, 1, 1),
    )
    caught.value.resolve("mine")
    assert (await do(twin, "save", check=True)).updated == ("ledger['x']",)


# Trying again


async def attempts(do, body, **options):
    """Go through attempts in the world of the test."""
    tries = ttorm.retry_conflicts(pause=0, **options)
    numbers = []
    if do.asynchronous:
        async for attempt in tries:
            numbers.append(attempt.number)
            async with attempt:
                await body()
    else:
        for attempt in tries:
            numbers.append(attempt.number)
            with attempt:
                await body()
    return numbers


async def test_attempts_end_when_nobody_was_faster(do, connection, write):
    silo = await do(Silo, "create")
    theirs = [10, 20]

    async def add():
        silo.level += 1
        if theirs:
            write(silo, level=theirs.pop())
        await do(silo, "save", check=True)

    assert await attempts(do, add) == [1, 2, 3]
    assert silo.level == 11.0
    assert await attempts(do, add) == [1]


async def test_the_conflict_of_the_last_attempt_is_raised(do, connection, write):
    silo = await do(Silo, "create")

    async def add():
        silo.level += 1
        write(silo, level=silo.level + 10)
        await do(silo, "save", check=True)

    with pytest.raises(ttorm.ConflictError):
        await attempts(do, add, times=3)
    assert ttorm.inspect(silo).changes == {"level": (33.0, 23.0)}


async def test_other_errors_end_the_attempts(do, connection):
    async def fail():
        raise LookupError

    with pytest.raises(LookupError):
        await attempts(do, fail)


@pytest.mark.parametrize("options", [{"times": 0}, {"pause": -1}])
def test_senseless_attempts(options):
    with pytest.raises(ttorm.ValidationError, match="expected times from 1"):
        ttorm.retry_conflicts(**options)
