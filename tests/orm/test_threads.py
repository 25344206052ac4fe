"""One connection, many threads and loops; and what a fork leaves of it."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import ttorm
from ttorm import Field, Twin, entry

THREADS = 8


class Counter(Twin):
    count: Field[int] = entry(default=0)
    log: Field[list[int]] = entry(default_factory=list)


def together(work):
    """Run ``work(number)`` in several threads that start at once; give their results."""
    gate = threading.Barrier(THREADS)

    def run(number):
        gate.wait(10)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_threads_create_and_change_their_own(connection, sent):
    def work(number):
        counter = Counter.create(count=number)
        for _ in range(10):
            counter.count += 1
            counter.log.append(number)
            counter.save()
        return counter.uuid

    uuids = together(work)
    assert len(set(uuids)) == THREADS
    for number, uuid in enumerate(uuids):
        counter = Counter.get(uuid, fresh=True).refresh()
        assert (counter.count, counter.log) == (number + 10, [number] * 10)
    writes = [request for request in sent if request.method != "GET"]
    assert len(writes) == THREADS * 12
    assert connection.requests == len(sent)


def test_threads_change_different_entries_of_one_twin(connection):
    twin = Twin.create(entries={f"e{number}": 0 for number in range(THREADS)})

    def work(number):
        with ttorm.session():
            mine = Twin.at(twin.uuid)
            for value in range(1, 11):
                mine.ledger[f"e{number}"] = value
                mine.save()

    together(work)
    assert twin.refresh().ledger.to_dict() == {f"e{number}": 10 for number in range(THREADS)}


def test_threads_count_by_checked_saves(connection):
    uuid = Counter.create().uuid

    def work(number):
        with ttorm.session():
            counter = Counter.at(uuid)
            for _ in range(3):
                while True:
                    counter.ledger.refresh()
                    counter.count += 1
                    try:
                        counter.save(check=True)
                    except ttorm.ConflictError:
                        counter.discard()
                    else:
                        break

    together(work)
    counter = Counter.at(uuid)
    counter.ledger.refresh()
    # None of the additions was lost, however many races were.
    assert counter.count == THREADS * 3


def test_threads_scan_side_by_side(connection):
    uuids = {Counter.create().uuid for _ in range(20)}
    for found in together(lambda number: {counter.uuid for counter in Counter.scan(page=3)}):
        assert found == uuids


def test_one_record_in_many_threads(connection, others):
    counter = Counter.create(count=1)

    def work(number):
        counter.ledger[f"t{number}"] = number
        return counter.count

    assert set(together(work)) == {1}
    counter.save()
    entries = others.call("get_twin_ledger_entry", counter.uuid)["entries"]
    assert {f"t{number}" for number in range(THREADS)} <= set(entries)


def test_loops_of_many_threads(connection):
    async def count(number):
        counter = await Counter.acreate(count=number)
        counter.count += 1
        await counter.asave()
        await counter.arefresh()
        return counter.count

    assert together(lambda number: asyncio.run(count(number))) == [
        number + 1 for number in range(THREADS)
    ]


def test_many_tasks_in_one_loop(connection, sent):
    async def count(number):
        counter = await Counter.acreate(count=number)
        counter.count += 1
        await counter.asave()
        return counter.count

    async def all_of_them():
        return await asyncio.gather(*(count(number) for number in range(50)))

    assert asyncio.run(all_of_them()) == [number + 1 for number in range(50)]
    assert len(sent) == 150


def test_a_flush_sends_side_by_side_within_the_bound(connect):
    connection = connect(default=True, concurrency=3)
    with ttorm.session():
        counters = [Counter.create() for _ in range(12)]
        lock, under_way, most = threading.Lock(), 0, 0
        forward = connection.transport.transport.send

        def count(request):
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            threading.Event().wait(0.005)
            with lock:
                under_way -= 1
            return forward(request)

        connection.transport.meddle = count
        for counter in counters:
            counter.count = 5
    assert most == 3


# Forks


@pytest.fixture
def fork():
    """Run a function in a forked child; give whether it ended well."""

    def fork(function):
        with warnings.catch_warnings():
            # Later Pythons warn of forks beside threads, which is what is tried here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                function()
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    return fork


@pytest.fixture
def file(tmp_path, connect):
    """The default connection, to a store in a file."""
    with ttorm.connect(f"sqlite:///{tmp_path / 'store.db'}") as connection:
        yield connection


def test_a_child_uses_the_connection_of_its_parent(file, fork):
    counter = Counter.create(count=1)

    def work():
        counter.count += 1
        counter.save()
        assert Counter.get(counter.uuid, fresh=True).refresh().count == 2
        Counter.create(count=7)

    assert fork(work)
    assert counter.refresh().count == 2
    assert sorted(found.count for found in Counter.scan()) == [2, 7]


def test_a_child_of_a_busy_parent(file, fork):
    counter = Counter.create()
    stop = threading.Event()

    def write(name):
        mine = Counter.get(counter.uuid)
        mine.ledger[name] = 0
        while not stop.is_set():
            mine.save()
            mine.ledger[name].value += 1

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:

        def work():
            Counter.create(count=7).refresh()

        results = [fork(work) for _ in range(5)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert results == [True] * 5
    assert len(list(Counter.scan(Counter.count == 7))) == 5


def test_a_child_runs_a_loop(file, fork):
    async def count():
        counter = await Counter.acreate(count=3)
        assert (await counter.arefresh()).count == 3

    asyncio.run(count())
    assert fork(lambda: asyncio.run(count()))
    assert len(list(Counter.scan())) == 2


def test_a_store_in_memory_is_copied_by_a_fork(connection, fork):
    counter = Counter.create(count=1)

    def work():
        counter.count = 2
        counter.save()
        assert Counter.get(counter.uuid, fresh=True).refresh().count == 2

    assert fork(work)
    # The child wrote into its own memory.
    assert counter.refresh().count == 1
