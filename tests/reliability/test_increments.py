"""Counters that many workers increment at once, through faults: none is lost, none counted twice.

The value of a counter tells who wrote it last, so that its history tells each increment that was
applied. Sixteen workers, half of them threads and half tasks, each with a connection of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from random import Random

import pytest
from faulty import KINDS, FaultyTransport

import ttorm
from ttorm import Entry, Twin
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

POLICY = ttorm.RetryPolicy(attempts=5, base=0.001, cap=0.01, quota=None)
COUNTERS = 50
WORKERS = 16


class Workers:
    """Who increments, and what they saw of it."""

    def __init__(self, emulator, twin, each):
        self.emulator, self.twin, self.each = emulator, twin, each
        self.acknowledged, self.unknown, self.refused = [], [], []
        self.transports = []

    def connect(self, number):
        transport = EmulatorTransport(self.emulator, self.emulator.first_user())
        faulty = FaultyTransport(transport, 0.2, seed=number)
        self.transports.append(faulty)
        return ttorm.connect(transport=faulty, retry=POLICY, default=False)

    def jobs(self, number):
        random = Random(number)
        for job in range(self.each):
            yield f"c{random.randrange(COUNTERS)}", f"{number}-{job}"

    def done(self, mark, error):
        if error is None:
            self.acknowledged.append(mark)
        elif isinstance(error, (ttorm.OutcomeUnknownError, ttorm.ServerError)):
            self.unknown.append(mark)
        else:
            # It says that nothing was done: reads that failed, races that were lost.
            self.refused.append(mark)

    def thread(self, number):
        with ttorm.session(self.connect(number)):
            ledger = Twin.at(self.twin).ledger
            for name, mark in self.jobs(number):
                error = None
                try:
                    ledger[name].update(lambda value, mark=mark: more(value, mark), attempts=500)
                except ttorm.TtormError as failure:
                    error = failure
                self.done(mark, error)

    async def task(self, number):
        async with ttorm.session(self.connect(number)):
            ledger = Twin.at(self.twin).ledger
            await ledger.arefresh()
            for name, mark in self.jobs(number):
                error = None
                try:
                    await ledger[name].aupdate(
                        lambda value, mark=mark: more(value, mark), attempts=500
                    )
                except ttorm.TtormError as failure:
                    error = failure
                self.done(mark, error)

    def run(self):
        async def tasks():
            await asyncio.gather(*(self.task(number) for number in range(WORKERS // 2)))

        threads = [threading.Thread(target=lambda: asyncio.run(tasks()))]
        threads += [
            threading.Thread(target=self.thread, args=(number,))
            for number in range(WORKERS // 2, WORKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for transport in self.transports:
            transport.settle()


def more(value, mark):
    return {"count": value["count"] + 1, "by": mark}


@pytest.mark.parametrize("increments", [800, pytest.param(10_000, marks=pytest.mark.full)])
def test_no_increment_is_lost_or_counted_twice(increments):
    with Emulator("memory:") as emulator:
        transport = EmulatorTransport(emulator, emulator.first_user())
        with ttorm.session(ttorm.connect(transport=transport, default=False)):
            zero = {f"c{n}": Entry({"count": 0, "by": ""}, history="INF") for n in range(COUNTERS)}
            twin = Twin.create(entries=zero)
            workers = Workers(emulator, twin.uuid, increments // WORKERS)
            workers.run()
            applied, total = Counter(), 0
            for name in zero:
                values = [record.value for record in twin.ledger[name].history()]
                counts = sorted(value["count"] for value in values)
                assert counts == list(range(len(values))), "a count was written twice, or skipped"
                applied.update(value["by"] for value in values if value["by"])
                total += max(counts)
                assert twin.ledger[name].refresh().value["count"] == max(counts)
    struck = sum((transport.struck for transport in workers.transports), Counter())
    print(
        f"\n{increments} increments: {len(workers.acknowledged)} acknowledged, "
        f"{len(workers.unknown)} unknown of which {len(applied.keys() & workers.unknown)} applied, "
        f"{len(workers.refused)} refused; {sum(t.sent for t in workers.transports)} requests, "
        f"{dict(struck)}"
    )
    assert set(struck) == set(KINDS)
    assert max(applied.values()) == 1
    assert set(workers.acknowledged) <= applied.keys()
    assert not applied.keys() & set(workers.refused)
    assert total == len(workers.acknowledged) + len(applied.keys() & set(workers.unknown))
    # It works, too, and does not only say that it does not know.
    assert len(workers.acknowledged) >= 0.8 * increments
