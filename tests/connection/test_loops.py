"""One connection and many event loops: each has a client of its own, closed when it ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref

import pytest

import ttorm
from ttorm import NotLoadedError, RequestTimeoutError, StateError
from ttorm.api.http import Limits
from ttorm.api.retry import NO_RETRIES
from ttorm.connection.http import HttpTransport
from ttorm.connection.loops import search_once

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
PATIENCE = 20


def client_of(connection):
    """The running loop's client."""
    return connection.transport._loops[asyncio.get_running_loop()].client


def test_twenty_loops_one_after_another(echo_server, connect):
    connection = connect(echo_server.url)
    clients = []

    async def main(number):
        answers = await asyncio.gather(
            *(connection.acall("get_twin", f"{number}-{index}") for index in range(5))
        )
        clients.append(client_of(connection))
        return [answer["path"] for answer in answers]

    for number in range(20):
        assert asyncio.run(main(number)) == [f"/twins/{number}-{index}" for index in range(5)]
        assert clients[-1].is_closed
    assert len(set(map(id, clients))) == 20


def test_an_ended_loop_leaves_nothing_behind(echo_server, connect):
    connection = connect(echo_server.url)
    loops = []

    async def main():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await connection.acall("get_twin", TWIN)

    for _ in range(5):
        asyncio.run(main())
    gc.collect()
    assert not list(connection.transport._loops)
    assert [loop() for loop in loops] == [None] * 5


def test_loops_that_are_closed_and_not_ended_are_let_go(echo_server, connect):
    """By the next one at the latest: Python says that their sockets were left to it."""
    connection = connect(echo_server.url)
    loops = []

    def work():
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(connection.acall("get_twin", TWIN))
            loop.close()
            loops.append(weakref.ref(loop))
            del loop
        asyncio.run(connection.acall("get_twin", TWIN))
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed"):
        work()
    assert [loop() for loop in loops] == [None] * 5


def test_sync_calls_in_between(echo_server, connect):
    connection = connect(echo_server.url)
    for number in range(6):
        if number % 2:
            answer = connection.call("get_twin", str(number))
        else:
            answer = asyncio.run(connection.acall("get_twin", str(number)))
        assert answer == {"path": f"/twins/{number}"}


def test_loops_at_the_same_time(echo_server, connect):
    connection, results = connect(echo_server.url), {}
    barrier = threading.Barrier(4, timeout=PATIENCE)

    async def main(name):
        answers = []
        for number in range(10):
            answers.append(await connection.acall("get_twin", f"{name}-{number}"))
            barrier.wait()
        results[name] = [answer["path"] for answer in answers]

    threads = [threading.Thread(target=asyncio.run, args=(main(name),)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {
        name: [f"/twins/{name}-{number}" for number in range(10)] for name in range(4)
    }


def test_many_first_requests_of_a_loop_share_one_client(echo_server, connect):
    connection = connect(echo_server.url)

    async def main():
        await asyncio.gather(*(connection.acall("get_twin", str(n)) for n in range(30)))
        return len(connection.transport._loops)

    assert asyncio.run(main()) == 1


def test_closing_within_a_loop(echo_server, connect):
    connection = connect(echo_server.url)

    async def main():
        await connection.acall("get_twin", TWIN)
        client = client_of(connection)
        await connection.aclose()
        assert client.is_closed
        await connection.aclose()
        with pytest.raises(StateError):
            await connection.acall("get_twin", TWIN)

    asyncio.run(main())


def test_closing_from_outside_leaves_running_loops_to_themselves(echo_server, connect):
    connection = connect(echo_server.url)

    async def main():
        await connection.acall("get_twin", TWIN)
        connection.close()
        client = client_of(connection)
        assert not client.is_closed
        return client

    assert asyncio.run(main()).is_closed


def test_a_connection_that_is_just_dropped(echo_server):
    """No warning about open sockets: the test would fail on one."""

    async def main():
        connection = ttorm.connect(echo_server.url, secret="s", default=False)
        await connection.acall("get_twin", TWIN)
        return client_of(connection)

    assert asyncio.run(main()).is_closed
    gc.collect()


def test_a_connection_that_is_dropped_while_its_loop_goes_on(echo_server):
    async def main():
        connection = ttorm.connect(echo_server.url, secret="s", default=False)
        await connection.acall("get_twin", TWIN)
        client = client_of(connection)
        del connection
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        return client

    assert asyncio.run(main()).is_closed


def test_a_dropped_connection_closes_its_threads_client(echo_server):
    connection = ttorm.connect(echo_server.url, secret="s", default=False)
    connection.call("get_twin", TWIN)
    client = connection.transport._client
    del connection
    gc.collect()
    assert client.is_closed


def test_a_loop_of_a_library(echo_server, connect):
    """Run by hand, as web servers do, and ended properly."""
    connection = connect(echo_server.url)
    loop = asyncio.new_event_loop()
    try:
        for number in range(3):
            answer = loop.run_until_complete(connection.acall("get_twin", str(number)))
            assert answer == {"path": f"/twins/{number}"}
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


# Blocking reads under a running loop


@pytest.mark.parametrize(("blocking", "allowed"), [(None, False), (False, False), (True, True)])
def test_whether_attributes_may_wait_for_the_service(blocking, allowed):
    with ttorm.connect("memory:", blocking=blocking, default=False) as connection:
        assert connection.may_block()

        async def main():
            assert connection.may_block() is allowed
            if not allowed:
                with pytest.raises(NotLoadedError, match=r"await connection\.awhoami\(\) first"):
                    connection.account  # noqa: B018 # it raises
                await connection.awhoami()
            return connection.account

        account = asyncio.run(main())
        assert account == connection.whoami()["account"]


def test_notebooks_may_wait(monkeypatch):
    """Their cells run under a loop, and people write them without await."""
    monkeypatch.setitem(sys.modules, "ipykernel", object())

    async def main():
        return connection.may_block(), connection.account

    with ttorm.connect("memory:", default=False) as connection:
        assert asyncio.run(main()) == (True, connection.whoami()["account"])


# Cancellation


class Slow:
    """A server in a loop of its own that answers after a while, and counts what it was asked."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.asked = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),))
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    async def _main(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._writers = set()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()
        for writer in self._writers:
            writer.close()

    async def _answer(self, reader, writer):
        self._writers.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                await asyncio.sleep(self.seconds)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)


@pytest.fixture
def slow():
    server = Slow(0.05)
    yield server
    server.close()


def test_cancelled_requests_do_not_use_up_the_pool(slow, connect):
    """Old versions of the HTTP library lose the connections of cancelled requests for ever."""
    limits = Limits(connections=4, pool=2.0, read=2.0)
    connection = connect(slow.url, transport=HttpTransport(limits), cache=None, retry=NO_RETRIES)

    async def given_up(delay):
        task = asyncio.ensure_future(connection.acall("get_account"))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main():
        for _ in range(6):
            await asyncio.gather(*(given_up(0.002 * number) for number in range(20)))
            answers = await asyncio.gather(*(connection.acall("get_account") for _ in range(4)))
            assert answers == [{}] * 4

    asyncio.run(main())


def test_who_gives_up_before_there_is_room_never_asks(slow, connect):
    limits = Limits(connections=1)
    connection = connect(slow.url, transport=HttpTransport(limits), cache=None, retry=NO_RETRIES)

    async def main():
        tasks = [asyncio.ensure_future(connection.acall("get_account")) for _ in range(10)]
        await asyncio.sleep(0.01)
        for task in tasks[1:]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[0] == {}
        await connection.acall("get_account")

    asyncio.run(main())
    assert slow.asked == 2


def test_no_room_in_time(slow, connect):
    limits = Limits(connections=1, pool=0.01)
    connection = connect(slow.url, transport=HttpTransport(limits), cache=None, retry=NO_RETRIES)

    async def main():
        first = asyncio.ensure_future(connection.acall("get_account"))
        await asyncio.sleep(0.01)
        with pytest.raises(RequestTimeoutError, match="all connections are busy") as caught:
            await connection.acall("get_account")
        assert not caught.value.sent
        assert await first == {}

    asyncio.run(main())


def test_a_loop_that_ends_in_the_middle_of_requests(slow, connect):
    """`asyncio.run` cancels what is left; nobody complains about it."""
    connection = connect(slow.url, cache=None)

    async def main():
        tasks = [asyncio.ensure_future(connection.acall("get_account")) for _ in range(5)]
        await asyncio.sleep(0.01)
        return tasks

    tasks = asyncio.run(main())
    assert all(task.cancelled() for task in tasks)
    gc.collect()


def test_modules_that_are_not_there_are_searched_for_once(echo_server, connect, monkeypatch):
    searched = []

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            searched.append(name)

    async def main():
        connection = connect(echo_server.url)
        for _ in range(5):
            await connection.acall("get_twin", TWIN)

    asyncio.run(main())  # which imports what it needs
    search_once.cache_clear()
    monkeypatch.delitem(sys.modules, "sniffio", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    asyncio.run(main())
    # Once to see whether it is there and, if it is, once to import it.
    assert searched.count("sniffio") <= 2
    assert set(searched) <= {"sniffio"}
