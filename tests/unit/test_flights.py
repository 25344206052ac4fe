"""Single flight: work that many want done, and one of them does."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from ttorm import StateError
from ttorm.connection import blocking, tasks
from ttorm.connection.cache import Cache
from ttorm.connection.flights import SingleFlight
from ttorm.connection.memory import MemoryBackend
from ttorm.connection.redis import RedisBackend
from ttorm.flows import sleep

PATIENCE = 20


class Work:
    """Something to be done once.

    Attributes:
        begun: How often somebody began it.
        done: Whether it is done.
        failures: How many of the next attempts fail.
        gate: Set when threads may go on with it.
    """

    def __init__(self, failures=0):
        self.begun = 0
        self.done = False
        self.failures = failures
        self.flight = SingleFlight()
        self.gate = threading.Event()
        self.gate.set()

    def flow(self):
        return self.flight.do(self._work, lambda: not self.done)

    def _work(self):
        self.begun += 1
        yield from sleep(0.01)
        assert self.gate.wait(PATIENCE)
        self.failures -= 1
        if self.failures >= 0:
            raise StateError("not today")
        self.done = True


def test_who_comes_alone_does_it():
    work = Work()
    blocking.run(work.flow())
    blocking.run(work.flow())
    assert (work.begun, work.done) == (1, True)


def test_tasks_share_it():
    work = Work()

    async def main():
        await asyncio.gather(*(tasks.run(work.flow()) for _ in range(50)))

    asyncio.run(main())
    assert work.begun == 1


def test_threads_share_it():
    work = Work()
    threads = [threading.Thread(target=blocking.run, args=(work.flow(),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert work.begun == 1


def test_a_failure_is_tried_once_more_by_somebody_else():
    work = Work(failures=1)

    async def main():
        flows = (tasks.run(work.flow()) for _ in range(50))
        return await asyncio.gather(*flows, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert work.begun == 2
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [StateError]


def test_of_two_failures_all_who_waited_hear():
    work = Work(failures=1_000)

    async def main():
        flows = (tasks.run(work.flow()) for _ in range(50))
        return await asyncio.gather(*flows, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert work.begun == 2
    assert {str(outcome) for outcome in outcomes} == {"not today [state]"}
    # Each has an error of its own: traces of threads do not mix.
    assert len({id(outcome) for outcome in outcomes}) == 50


def test_an_error_of_somebody_elses_comes_as_it_is():
    class OddError(Exception):
        def __init__(self, one, other):
            super().__init__(f"{one} {other}")

    def work():
        yield from sleep(0)
        raise OddError("a proxy", "of one's own")

    with pytest.raises(OddError, match="a proxy of one's own"):
        blocking.run(SingleFlight().do(work, lambda: True))


def test_who_comes_later_tries_for_itself():
    work = Work(failures=2)
    for _ in range(2):
        with pytest.raises(StateError):
            blocking.run(work.flow())
    blocking.run(work.flow())
    assert (work.begun, work.done) == (3, True)


def test_a_cancelled_leader_hands_over():
    work = Work()

    async def main():
        first, *others = [asyncio.create_task(tasks.run(work.flow())) for _ in range(10)]
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(first, *others, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [None] * 9
    assert work.begun == 2


def test_a_cancelled_waiter_leaves_the_others_alone():
    work = Work()

    async def main():
        waiting = [asyncio.create_task(tasks.run(work.flow())) for _ in range(10)]
        await asyncio.sleep(0)
        for task in waiting[1::2]:
            task.cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(main())
    assert outcomes[0::2] == [None] * 5
    assert work.begun == 1


def test_waiting_never_blocks_the_loop_that_works():
    """A blocking verb under the very loop that does the work: it does the work itself."""
    work = Work()

    async def main():
        first = asyncio.create_task(tasks.run(work.flow()))
        await asyncio.sleep(0)
        blocking.run(work.flow())
        assert work.done
        await first

    asyncio.run(main())
    assert work.begun == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_waits_for_nobody():
    work = Work()
    work.gate.clear()
    leading = threading.Thread(target=blocking.run, args=(work.flow(),))
    leading.start()
    while not work.begun:
        pass
    child = os.fork()
    if child == 0:
        work.gate = threading.Event()
        work.gate.set()
        blocking.run(work.flow())
        os._exit(0 if work.done else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not work.done
    work.gate.set()
    leading.join(PATIENCE)
    assert work.done


@pytest.mark.parametrize(
    ("kind", "renew", "made"),
    [
        (SingleFlight, "_begin", ()),
        (Cache, "_renew", ()),
        (MemoryBackend, "_renew", ()),
        (RedisBackend, "_renew", ("redis://localhost",)),
    ],
)
def test_in_a_forked_child_nobody_takes_the_lock_of_a_thread_that_is_not_there(kind, renew, made):
    """Two threads of a child may find at once that it is one: what tells them comes last."""

    class Watched(kind):
        def __setattr__(self, name, value):
            order.append(name)
            super().__setattr__(name, value)

    order = []
    watched = Watched(*made)
    order.clear()
    getattr(watched, renew)()
    assert order[-1] == "_process"
    assert "_lock" in order
