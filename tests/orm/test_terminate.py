"""The end of a Twin."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Twin, description, entry


class Wagon(Twin):
    label: Field[str] = description(default="")
    weight: Field[float] = entry(default=0.0)


async def test_terminating_is_one_request(do, connection, emulator, sent):
    wagon = await do(Wagon, "create")
    emulator.clock.freeze(1_800_000_000)
    sent.clear()
    assert await do(wagon, "terminate") is wagon
    assert sent.take() == [("DELETE", f"/twins/{wagon.uuid}", (), None)]
    assert (wagon.status, wagon.terminated_at.timestamp()) == ("terminated", 1_800_000_000)
    assert ttorm.inspect(wagon).state == "terminated"
    assert sent == []


async def test_terminating_twice(do, connection):
    wagon = await do(Wagon, "create")
    await do(wagon, "terminate")
    with pytest.raises(ttorm.AlreadyDoneError) as caught:
        await do(wagon, "terminate")
    assert (caught.value.status, caught.value.subcode) == (400, 400358)


async def test_the_description_is_frozen(do, connection, sent):
    wagon = await do(Wagon, "create", label="a")
    await do(wagon, "terminate")
    sent.clear()

    def replace():
        wagon.description = {}

    for change in (
        lambda: setattr(wagon, "label", "b"),
        lambda: wagon.description.__setitem__("label", "b"),
        lambda: wagon.description.__delitem__("label"),
        lambda: delattr(wagon, "label"),
        replace,
    ):
        with pytest.raises(ttorm.StateError, match="is terminated: its description is frozen"):
            change()
    assert wagon.label == "a"
    assert not ttorm.inspect(wagon).is_modified
    assert sent == []


async def test_entries_can_still_be_written(do, connection):
    wagon = await do(Wagon, "create")
    await do(wagon, "terminate")
    wagon.weight = 5
    assert (await do(wagon, "save")).updated == ("weight",)
    wagon.identities.add("SN#1")
    assert (await do(wagon, "save")).requests == 1


async def test_a_twin_that_somebody_else_terminated(do, connection, others):
    wagon = await do(Wagon, "create", label="a")
    others.call("terminate_twin", wagon.uuid)
    wagon.label = "b"
    with pytest.raises(ttorm.OperationNotAllowedError):
        await do(wagon, "save")
    assert ttorm.inspect(wagon).changes == {"label": ("a", "b")}
    await do(wagon, "refresh")
    assert wagon.status == "terminated"
    wagon.discard()
    assert wagon.label == "a"


async def test_only_the_owner_terminates(do, connection, stranger):
    wagon = await do(Wagon, "create")
    async with do.block(ttorm.session(stranger)):
        theirs = Twin.at(wagon.uuid)
        with pytest.raises(ttorm.ForbiddenError):
            await do(theirs, "terminate")


async def test_terminating_keeps_unsaved_entries(do, connection):
    wagon = await do(Wagon, "create")
    wagon.weight = 5
    await do(wagon, "terminate")
    assert ttorm.inspect(wagon).changes == {"weight": (0.0, 5.0)}
    assert (await do(wagon, "save")).updated == ("weight",)


async def test_getting_a_terminated_twin(do, connection, others):
    wagon = await do(Wagon, "create", label="a")
    others.call("terminate_twin", wagon.uuid)
    async with do.block(ttorm.session()):
        again = await do(Wagon, "get", wagon.uuid, fresh=True)
        assert (again.status, again.label) == ("terminated", "a")


async def test_a_description_changed_before_is_not_sent(do, connection, sent):
    wagon = await do(Wagon, "create", label="a")
    wagon.label = "b"
    await do(wagon, "terminate")
    assert ttorm.inspect(wagon).changes == {"label": ("a", "b")}
    sent.clear()
    with pytest.raises(ttorm.StateError, match="its description is frozen"):
        await do(wagon, "save")
    assert sent == []
    wagon.discard()
    assert wagon.label == "a"
