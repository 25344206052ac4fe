"""Saves that meet: of one record by several tasks, from receivers, after a failure."""

from __future__ import annotations

import asyncio
import logging
import threading
from time import sleep

import pytest

import ttorm
from ttorm import Twin, UnsavedChangesWarning, connect, signals
from ttorm.api.http import HttpResponse
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport


class Slow(EmulatorTransport):
    """Answers after a while; loses the next answers of some methods."""

    lost: list[str]

    def send(self, request):
        sleep(0.01)
        return self._maybe(request.method, super().send(request))

    async def asend(self, request):
        await asyncio.sleep(0.01)
        return self._maybe(request.method, await super().asend(request))

    def _maybe(self, method, answer):
        if method in self.lost:
            self.lost.remove(method)
            return HttpResponse(502, {}, b"<html>gone</html>")
        return answer


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
