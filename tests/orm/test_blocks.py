"""Blocks that end elsewhere than they began, and records without any session."""

from __future__ import annotations

import asyncio
import pickle
from contextvars import copy_context

import pytest

import ttorm
from ttorm import Twin
from ttorm.connection import opening


def value_of(connection, uuid, name):
    return connection.call("get_twin_ledger_entry", uuid)["entries"][name]["value"]


def test_a_block_inside_a_generator_may_end_in_another_context(connection):
    twin = Twin.create(entries={"level": 1})

    def generator():
        with ttorm.session():
            Twin.at(twin.uuid).ledger["level"] = 2
            yield

    block = generator()
    copy_context().run(next, block)
    assert copy_context().run(next, block, "ended") == "ended"
    assert value_of(connection, twin.uuid, "level") == 2


def test_a_task_started_in_a_block_outlives_it(connection):
    async def main():
        go_on = asyncio.Event()

        async def later():
            await go_on.wait()
            twin = await Twin.acreate(entries={"level": 1})
            return ttorm.inspect(twin).state

        async with ttorm.session(connection):
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        other = ttorm.connect("memory:")
        try:
            go_on.set()
            assert await task == "clean"
            return len(other.call("scan_twins")["twins"])
        finally:
            other.close()

    assert asyncio.run(main()) == 1


def test_records_come_out_of_pickles_before_there_is_a_connection(connection, monkeypatch):
    twin = Twin.create(entries={"level": 1})
    twin.ledger["level"] = 2
    pickled = pickle.dumps(twin)
    monkeypatch.setattr(opening, "_default", None)
    monkeypatch.delenv("TTORM_URL", raising=False)
    again = pickle.loads(pickled)
    assert (again.uuid, again.ledger["level"].value) == (twin.uuid, 2)
    assert ttorm.inspect(again).state == "modified"
    with pytest.raises(ttorm.ConfigurationError, match="no connection yet"):
        again.save()
    monkeypatch.setattr(opening, "_default", connection)
    again.save()
    assert value_of(connection, twin.uuid, "level") == 2


def test_records_out_of_pickles_belong_to_the_block(connection):
    twin = Twin.create(entries={"level": 1})
    pickled = pickle.dumps(twin)
    with ttorm.session() as session:
        again = pickle.loads(pickled)
        again.ledger["level"] = 3
        assert session.dirty == [again]
    assert value_of(connection, twin.uuid, "level") == 3


async def test_a_block_keeps_a_connection_that_nobody_else_does(do, world, connection):
    url = connection.emulator.address
    async with world.block(ttorm.session(ttorm.connect("memory:", default=False))):
        twin = await do(Twin, "create", entries={"level": 1})
    twin.ledger["level"] = 2
    assert (await do(twin, "save")).requests == 1
    assert twin._state.address != url


@pytest.mark.parametrize("error", [ttorm.TransportError("no answer"), KeyboardInterrupt()])
async def test_a_block_does_not_create_again_what_create_could_not(
    do, world, connection, monkeypatch, error
):
    def lost(*_request):
        raise error

    async with world.block(ttorm.session()) as session:
        with monkeypatch.context() as patched:
            patched.setattr(type(connection.transport), "send", lost)
            patched.setattr(type(connection.transport), "asend", lost)
            with pytest.raises(type(error) if error.args == () else ttorm.OutcomeUnknownError):
                await do(Twin, "create")
        assert session.dirty == []
    assert connection.call("scan_twins")["twins"] == []
