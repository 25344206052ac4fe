"""Saves that meet: of one record by several tasks, from receivers, after a failure."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from time import sleep

import pytest

import ttorm
from ttorm import Field, Twin, UnsavedChangesWarning, connect, flows, identity, signals
from ttorm.api.http import HttpResponse
from ttorm.connection import blocking
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport
from ttorm.records import turns


class Slow(EmulatorTransport):
    """Answers after a while, reads even later; loses the next answers of some methods."""

    lost: list[str]
    late = late_writes = 0.0

    def send(self, request):
        sleep(0.01)
        return self._maybe(request.method, super().send(request))

    async def asend(self, request):
        if request.method == "GET" and self.late_writes:
            return await super().asend(request)
        await asyncio.sleep(0.01)
        answer = await super().asend(request)
        await asyncio.sleep(self.late if request.method == "GET" else self.late_writes)
        return self._maybe(request.method, answer)

    def _maybe(self, method, answer):
        if method in self.lost:
            self.lost.remove(method)
            return HttpResponse(502, {}, b"<html>gone</html>")
        return answer


class Place:
    """Where nobody saves."""

    saving = None
    asking = frozenset()


@pytest.fixture
def transport():
    emulator = Emulator("memory:")
    made = Slow(emulator, emulator.first_user(), owner=True)
    made.lost = []
    with connect(transport=made):
        yield made


def test_tasks_that_save_one_new_record_create_one_twin(transport):
    async def main():
        twin = Twin(description={"a": 1}, entries={"x": 1})
        results = await asyncio.gather(twin.asave(), twin.asave(), twin.asave())
        return sorted(result.requests for result in results), len(await Twin.scan().aall())

    assert asyncio.run(main()) == ([0, 0, 2], 1)


def test_threads_that_save_one_new_record_create_one_twin(transport):
    twin = Twin(entries={"x": 1})
    threads = [threading.Thread(target=twin.save) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Twin.scan().all()) == 1
    assert twin.refresh().ledger.refresh()["x"].value == 1


def test_a_receiver_cannot_save_the_record_in_the_middle_of_its_save(transport, caplog):
    twin = Twin.create(entries={"x": 1})
    twin.ledger["x"] = 2

    def save_again(sender, **about):
        twin.save()

    with signals.request_sent.connected_to(save_again), caplog.at_level(logging.ERROR):
        assert twin.save().requests == 1
    assert "is being saved right here" in caplog.text


def test_a_receiver_told_of_a_save_may_save_again(transport):
    twin = Twin.create(entries={"x": 1})
    seen = []

    def count(sender, *, record, **about):
        seen.append(record)
        if len(seen) == 1:
            record.ledger["saves"] = 1
            record.save()

    with signals.post_save.connected_to(count):
        twin.ledger["x"] = 2
        twin.save()
    assert len(seen) == 2
    assert Twin.get(twin.uuid).ledger.refresh().to_dict() == {"x": 2, "saves": 1}


def test_a_block_does_not_repeat_a_creation_whose_outcome_is_unknown(transport):
    with pytest.warns(UnsavedChangesWarning, match="not saved"), ttorm.session():  # noqa: PT031
        twin = Twin(description={"a": 1})
        transport.lost.append("POST")
        with pytest.raises(ttorm.OutcomeUnknownError):
            twin.save()
        twin.description["b"] = 2
    assert len(Twin.scan().all()) == 1


def test_a_flush_waits_for_a_save_under_way_and_saves_the_rest(transport):
    async def main(uuid):
        async with ttorm.session() as session:
            twin = Twin.at(uuid)
            twin.ledger["x"] = 2
            saving = asyncio.ensure_future(twin.asave())
            await asyncio.sleep(0.005)
            twin.ledger["y"] = 3
            await session.aflush()
            assert saving.done()
            assert not ttorm.inspect(twin).is_modified

    twin = Twin.create(entries={"x": 1})
    asyncio.run(main(twin.uuid))
    assert twin.ledger.refresh().to_dict() == {"x": 2, "y": 3}


def test_a_receiver_told_in_the_middle_of_a_save_may_flush_the_others(transport):
    async def main(first, second):
        async with ttorm.session() as session:
            one, other, told = Twin.at(first), Twin.at(second), []

            async def flush(sender, **about):
                if not told:
                    told.append(sender)
                    await session.aflush()

            one.ledger["x"] = other.ledger["x"] = 2
            with signals.request_sent.connected_to(flush):
                await asyncio.wait_for(one.asave(), 10)
            assert not ttorm.inspect(other).is_modified

    twins = [Twin.create(entries={"x": 1}) for _ in range(2)]
    asyncio.run(main(*(twin.uuid for twin in twins)))
    assert [twin.ledger.refresh()["x"].value for twin in twins] == [2, 2]


def test_a_flush_does_not_repeat_a_creation_under_way_that_fails(transport):
    async def main():
        with pytest.warns(UnsavedChangesWarning, match="not saved"):  # noqa: PT031
            async with ttorm.session():
                saving = asyncio.ensure_future(Twin(description={"a": 1}).asave())
                await asyncio.sleep(0.005)
        with pytest.raises(ttorm.OutcomeUnknownError):
            await saving

    transport.lost.append("POST")
    asyncio.run(main())
    assert len(Twin.scan().all()) == 1


def test_a_flush_does_not_create_what_is_just_looked_for(transport):
    class Meter(Twin):
        serial: Field[str] = identity("SN", key=True)

    async def main():
        async with ttorm.session() as session:
            finding = asyncio.ensure_future(Meter.afind_or_create(serial="A17"))
            await asyncio.sleep(0.005)
            await session.aflush()
            return await finding

    known = Meter.create(serial="A17")
    assert asyncio.run(main()) == (known, False)
    assert Meter.find_all(serial="A17") == [known]


def test_of_saves_that_meet_one_has_created_the_twin(transport):
    told = []

    async def wait(sender, **about):
        await asyncio.sleep(0.005)

    def note(sender, *, result, **about):
        told.append(result.requests)

    async def main():
        twin = Twin(description={"a": 1})
        await asyncio.gather(twin.asave(), twin.asave())

    with signals.pre_save.connected_to(wait), signals.created.connected_to(note):
        asyncio.run(main())
    assert told == [1]


def test_a_read_that_a_save_overtakes_does_not_bring_back_what_was(transport):
    async def main(twin):
        reading = asyncio.ensure_future(twin.arefresh())
        await asyncio.sleep(0.05)
        twin.ledger["x"] = twin.description["x"] = 2
        await twin.asave()
        assert not reading.done()
        await reading
        return twin.ledger["x"].value, twin.description["x"]

    twin = Twin.create(description={"x": 1}, entries={"x": 1}).load("description", "ledger")
    transport.late = 0.3
    assert asyncio.run(main(twin)) == (2, 2)


def test_of_threads_that_save_at_one_moment_one_has_its_turn():
    place, inside, most = Place(), 0, 0

    def saving():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        yield from flows.sleep(0)
        inside -= 1

    def work():
        for _ in range(300):
            blocking.run(turns.alone(place, saving()))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert most == 1


def test_tasks_that_update_one_record_take_turns(transport):
    async def main(counter):
        entry = counter.ledger["x"]
        return await asyncio.gather(*(entry.aupdate(lambda x: x + 1) for _ in range(5)))

    counter = Twin.create(entries={"x": 0})
    assert sorted(asyncio.run(main(counter))) == [1, 2, 3, 4, 5]


def test_a_read_does_not_end_the_doubt_of_a_save_that_is_cancelled_later(transport):
    async def main(twin):
        twin.ledger["x"] = 2
        transport.late_writes = 5.0
        saving = asyncio.ensure_future(twin.asave())
        await asyncio.sleep(0.001)
        await twin.ledger.arefresh()
        await asyncio.sleep(0.05)
        saving.cancel()
        await asyncio.wait([saving])
        transport.late_writes = 0.0
        twin.ledger["x"] = 1
        await twin.asave()

    twin = Twin.create(entries={"x": 1})
    asyncio.run(main(twin))
    assert twin.ledger.refresh()["x"].value == 1


@pytest.mark.parametrize("decide", ["save", "discard"])
def test_after_a_failure_somebody_decides(transport, decide):
    twin = Twin.create(entries={"x": 1})
    with ttorm.session():
        known = Twin.at(twin.uuid)
        known.ledger["x"] = 2
        transport.lost += ["PATCH", "GET", "GET", "GET"]
        with pytest.raises(ttorm.OutcomeUnknownError):
            known.save()
        getattr(known, decide)()
        known.ledger["y"] = 3
    stored = twin.ledger.refresh().to_dict()
    assert stored["y"] == 3


def test_an_own_write_shows_under_the_other_names_of_the_ledger(transport):
    twin = Twin.create(entries={"x": 1})
    account = transport.emulator and ttorm.default_connection().whoami()["account"]
    held = twin.ledgers.owner["x"]
    assert (held.value, twin.ledgers[account]["x"].value) == (1, 1)
    twin.ledger["x"] = 2
    twin.save()
    assert (held.value, twin.ledgers[account]["x"].value) == (2, 2)


def test_a_uuid_in_capitals_names_the_same_twin(transport):
    twin = Twin.create(entries={"x": 1})
    assert twin.ledger.refresh()["x"].value == 1
    connection = ttorm.default_connection()
    body = {"entries": {"x": {"value": 2}}}
    connection.call("update_twin_ledger_entry_value", twin.uuid.upper(), body=body)
    with ttorm.session():
        assert Twin.at(twin.uuid).ledger["x"].value == 2


@pytest.mark.parametrize("name", ["save", "get", "Meta"])
def test_verbs_cannot_be_assigned(transport, name):
    class Pump(Twin):
        class Meta:
            kind = "pump"

        unit = "bar"

    pump = Pump()
    with pytest.raises(
        AttributeError, match=rf"Pump.{name} is no field .* entry\(name=\"{name}\"\)"
    ):
        setattr(pump, name, 5)
    pump.unit = "Pa"
    assert (pump.unit, Pump.unit) == ("Pa", "bar")
