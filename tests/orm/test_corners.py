"""What is easily lost: containers that equal defaults, and values that cannot be written."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Field, Twin, entry


class Crate(Twin):
    labels: Field[list[str]] = entry(default_factory=list)


async def test_a_container_assigned_as_the_default_may_be_changed_afterwards(do, connection):
    crate = Crate.at((await do(Twin, "create")).uuid)
    await do(crate, "load")
    crate.labels = []
    assert crate.plan()[:] == ()
    crate.labels.append("fragile")
    await do(crate, "save")
    assert connection.call("get_twin_ledger_entry", crate.uuid)["entries"]["labels"]["value"] == [
        "fragile"
    ]


async def test_a_default_that_is_held_is_handed_out_again(do, connection):
    crate = Crate.at((await do(Twin, "create")).uuid)
    await do(crate, "load")
    held = crate.labels
    await do(crate, "refresh")
    assert crate.labels is held
    crate.labels.append("fragile")
    crate.ledger["weight"] = 3
    assert crate.labels == ["fragile"]


async def test_what_cannot_be_written_keeps_nothing_else_from_being_written(do, world, connection):
    bad = await do(Twin, "create", entries={"labels": []})
    good = await do(Twin, "create", entries={"weight": 1})
    with pytest.raises(ttorm.ValidationError, match="is a set"):  # noqa: PT012 # at its end
        async with world.block(ttorm.session()) as session:
            one, other = Twin.at(bad.uuid), Twin.at(good.uuid)
            await do(one, "load", "ledger")
            one.ledger["labels"].value.append({1})
            other.ledger["weight"] = 2
            assert session.dirty == [one, other]
            assert ttorm.inspect(one).is_modified
    read = connection.call("get_twin_ledger_entry_value", good.uuid)
    assert read["entries"]["weight"]["value"] == 2
