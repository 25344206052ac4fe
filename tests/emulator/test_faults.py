"""Faults on purpose: what they befall, how often, and what the caller sees."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

import ttorm
from ttorm import Twin
from ttorm.api.errors import ConfigurationError, OutcomeUnknownError, ServerError, TransportError
from ttorm.api.retry import NO_RETRIES
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport


@pytest.fixture(autouse=True)
def described():
    """What faults answer need not be the API's."""


@pytest.fixture
def twins(emulator):
    """Count the Twins there are, past all faults."""
    return lambda: emulator.sql("SELECT COUNT(*) AS count FROM twins")[0]["count"]


@pytest.fixture
def connection(emulator, user):
    return ttorm.connect(
        "http://emulator.localhost",
        transport=EmulatorTransport(emulator, user),
        retry=NO_RETRIES,
        cache=None,
        default=False,
    )


class TestAnswers:
    @pytest.mark.parametrize(
        ("fault", "status", "subcode"),
        [
            ({"status": 500}, 500, 500000),
            ({"status": 503}, 503, 503159),
            ({"status": 429}, 429, 429000),
            ({"subcode": 500314}, 500, 500314),
            ({"status": 404, "subcode": 404653}, 404, 404653),
        ],
    )
    def test_an_error_is_answered_and_nothing_is_done(
        self, emulator, api, twins, fault, status, subcode
    ):
        emulator.faults.add("create_twin", **fault)
        answered, body = api("create_twin", body={})
        assert (answered, body["subcode"]) == (status, subcode)
        assert twins() == 0

    def test_other_operations_go_on(self, emulator, api):
        emulator.faults.add("create_twin", status=503)
        assert api("who_am_i")[0] == 200

    def test_all_operations(self, emulator, api, send):
        emulator.faults.add(status=503)
        assert api("who_am_i")[0] == 503
        assert send("GET", "/nowhere").status == 503

    def test_files_that_are_put(self, emulator, api, send):
        _, place = api("create_upload_url")
        with emulator.faults.add("upload", status=500) as fault:
            assert send("PUT", place["url"], b"content").status == 500
        assert fault.hits == 1
        assert send("PUT", place["url"], b"content").status == 200

    def test_a_time_to_wait(self, emulator, send):
        emulator.faults.add(status=429, retry_after=2.5)
        assert send("GET", "/whoami").headers["retry-after"] == "2.5"

    def test_the_error_reaches_the_program(self, emulator, connection):
        emulator.faults.add("who_am_i", status=503)
        with pytest.raises(ServerError) as raised:
            connection.call("who_am_i")
        assert (raised.value.status, raised.value.subcode) == (503, 503159)


class TestBrokenConnections:
    @pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
    def test_the_effect(self, emulator, connection, twins, drop, made):
        emulator.faults.add("create_twin", drop=drop)
        with pytest.raises(OutcomeUnknownError):
            connection.call("create_twin")
        assert twins() == made

    @pytest.mark.parametrize("drop", ["before", "after"])
    def test_a_read_that_may_be_repeated(self, emulator, connection, drop):
        emulator.faults.add("who_am_i", drop=drop)
        with pytest.raises(TransportError) as raised:
            connection.call("who_am_i")
        assert raised.value.sent

    def test_repeats_get_through(self, emulator, user):
        fault = emulator.faults.add("who_am_i", drop="before", times=1)
        connection = ttorm.connect(
            "http://emulator.localhost",
            transport=EmulatorTransport(emulator, user),
            cache=None,
            default=False,
        )
        assert connection.call("who_am_i")["user"] == user
        assert fault.hits == 1

    def test_async(self, emulator, connection, twins):
        emulator.faults.add("create_twin", drop="after")

        async def create():
            await connection.acall("create_twin")

        with pytest.raises(OutcomeUnknownError):
            asyncio.run(create())
        assert twins() == 1

    def test_a_record_that_was_saved_all_the_same(self, emulator, connection, twins):
        emulator.faults.add("create_twin", drop="after")
        with ttorm.session(connection), pytest.raises(OutcomeUnknownError):
            Twin.create(description={"name": "lost"})
        assert twins() == 1


class TestHowOften:
    def struck(self, emulator, send, count):
        return [send("GET", "/whoami", user=None).status == 503 for _ in range(count)]

    def test_every_third(self, emulator, send):
        emulator.faults.add(status=503, every=3)
        assert self.struck(emulator, send, 7) == [False, False, True, False, False, True, False]

    def test_at_most_twice(self, emulator, send):
        fault = emulator.faults.add(status=503, times=2)
        assert self.struck(emulator, send, 4) == [True, True, False, False]
        assert fault.hits == 2

    def test_a_probability_is_kept_to_and_repeats_itself(self, emulator, send):
        with emulator.faults.add(status=503, probability=0.25, seed=7):
            first = self.struck(emulator, send, 400)
        with emulator.faults.add(status=503, probability=0.25, seed=7):
            assert self.struck(emulator, send, 400) == first
        with emulator.faults.add(status=503, probability=0.25, seed=8):
            assert self.struck(emulator, send, 400) != first
        assert 60 < sum(first) < 140

    def test_removed(self, emulator, send):
        fault = emulator.faults.add(status=503)
        fault.remove()
        fault.remove()
        assert self.struck(emulator, send, 1) == [False]
        assert len(emulator.faults) == 0

    def test_cleared(self, emulator, send):
        emulator.faults.add(status=503)
        emulator.faults.add("get_twin", status=500)
        assert [fault.operation for fault in emulator.faults] == ["*", "get_twin"]
        emulator.faults.clear()
        assert self.struck(emulator, send, 1) == [False]

    def test_the_first_of_several_counts(self, emulator, send):
        emulator.faults.add(status=502)
        emulator.faults.add(status=503)
        assert send("GET", "/whoami").status == 502


class TestDelays:
    def test_a_frozen_clock_is_moved(self, emulator, clock, api):
        emulator.faults.add("who_am_i", delay=5)
        emulator.faults.add("*", delay=2.5)
        before = clock.now()
        assert api("who_am_i")[0] == 200
        assert clock.now() == before + 7.5

    def test_a_running_clock_is_waited_for(self, user, emulator, monkeypatch, send):
        waited = []
        emulator.clock.unfreeze()
        monkeypatch.setattr(time, "sleep", waited.append)
        emulator.faults.add("who_am_i", delay=5)
        assert send("GET", "/whoami", user=user).status == 200
        assert waited == [5]

    def test_an_event_loop_goes_on(self, emulator, user, connection):
        emulator.clock.unfreeze()
        emulator.faults.add("who_am_i", delay=0.05)
        order = []

        async def slow():
            await connection.acall("who_am_i")
            order.append("slow")

        async def quick():
            await connection.acall("get_account")
            order.append("quick")

        async def both():
            await asyncio.gather(slow(), quick())

        asyncio.run(both())
        assert order == ["quick", "slow"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("fault", "told"),
        [
            ({}, "would do nothing"),
            ({"operation": "get_twins", "status": 500}, "'get_twins' is no operation"),
            ({"status": 200}, "expected an error"),
            ({"status": 503, "subcode": 500000}, "expected an error"),
            ({"subcode": 17}, "expected an error"),
            ({"subcode": 503159.0}, "expected an error"),
            ({"drop": "during"}, "expected 'before' or 'after'"),
            ({"delay": -1}, "expected seconds from 0"),
            ({"delay": 1, "retry_after": 1}, "expected seconds from 0, and an error"),
            ({"status": 500, "every": 0}, "every from 1"),
            ({"status": 500, "probability": 1.5}, "probability from 0 to 1"),
            ({"status": 500, "times": -1}, "times from 0"),
        ],
    )
    def test_they_are_told(self, emulator, fault, told):
        with pytest.raises(ConfigurationError, match=told):
            emulator.faults.add(**fault)
        assert len(emulator.faults) == 0


def test_calls_of_batches_are_no_requests(emulator, new_batch, results, twin):
    emulator.faults.add("get_twin", status=503)
    batch = new_batch("get_twin", {"twin": twin})
    emulator.run_batches()
    assert results(batch)[0]["status"] == 200


def test_a_fault_tells_what_it_is(emulator):
    fault = emulator.faults.add("get_twin", status=503, times=3)
    assert json.loads(json.dumps(fault.describe()))["subcode"] == 503159
    assert repr(fault).startswith("<FaultRule number=1 operation='get_twin' subcode=503159")


def test_emulators_have_faults_of_their_own(emulator):
    emulator.faults.add(status=503)
    with Emulator("memory:") as other:
        assert len(other.faults) == 0
