"""Forked processes: parent and children go on with one connection, over sockets of their own.

Each test forks in a process without other threads, as servers do that load an application first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")

PRELUDE = '''
import asyncio, os, sys, threading, time
import ttorm
from ttorm.api.request import api_request
from ttorm.connection.reads import read

def in_children(count, work):
    """Run work(number) in children and work(-1) here; fail when one of them fails."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            try:
                work(number)
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    work(-1)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0, "a child failed"

def ask(connection, number, times=40):
    for index in range(times):
        path = f"{os.getpid()}-{number}-{index}"
        assert connection.call("get_twin", path) == {"path": f"/twins/{path}"}
'''


def run(code, *arguments):
    """Run code in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-"],
        input=PRELUDE + dedent(code).format(*arguments),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_a_warm_connection(echo_server):
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)
        ask(connection, "warm")
        in_children(3, lambda number: ask(connection, number))
        connection.close()
        """,
        echo_server.url,
    )
    assert len(set(echo_server.sources)) == 4  # no socket is shared


def test_a_child_that_closes_does_not_close_its_parents_sockets(echo_server):
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)
        ask(connection, "warm")
        def work(number):
            if number >= 0:
                connection.close()
            else:
                time.sleep(0.2)
                ask(connection, number)
        in_children(2, work)
        connection.close()
        """,
        echo_server.url,
    )
    assert len(set(echo_server.sources)) == 1


def test_children_that_end_as_programs_do(echo_server):
    """Finalizers run in a child as well: they must not say good-bye on the parent's sockets."""
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)
        ask(connection, "warm")
        if not os.fork():
            sys.exit(0)
        os.wait()
        ask(connection, "after")
        connection.close()
        """,
        echo_server.url,
    )
    assert len(set(echo_server.sources)) == 1


def test_loops_of_parent_and_children(echo_server):
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)

        async def main(number):
            for index in range(20):
                path = f"{{os.getpid()}}-{{number}}-{{index}}"
                answer = await connection.acall("get_twin", path)
                assert answer == dict(path=f"/twins/{{path}}")

        asyncio.run(main("warm"))
        in_children(2, lambda number: asyncio.run(main(number)))
        connection.close()
        """,
        echo_server.url,
    )


def test_a_fork_inside_of_a_loop(echo_server):
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)

        async def main():
            assert await connection.acall("get_twin", "1") == dict(path="/twins/1")
            child = os.fork()
            if not child:
                try:
                    ask(connection, "child")
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
            assert await connection.acall("get_twin", "2") == dict(path="/twins/2")

        asyncio.run(main())
        connection.close()
        """,
        echo_server.url,
    )
    assert len(set(echo_server.sources)) == 2


def test_a_read_under_way_in_another_thread_does_not_hold_up_the_child(echo_server):
    """Its leader lives in the parent only: nobody would ever wake the child."""
    run(
        """
        connection = ttorm.connect("{}", secret="s")
        request = api_request("get_twin", ["x"])
        key = connection.cache.key(connection.scope(), request)
        flight, leads = connection.cache.board(key)
        assert leads
        connection.cache._lock.acquire()  # as a thread may have done at that moment

        child = os.fork()
        if not child:
            answer = connection.run(read(connection, request))
            os._exit(0 if answer.body == dict(path="/twins/x") else 1)
        end = time.monotonic() + 20
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.kill(child, 9)
                os.waitpid(child, 0)
                sys.exit("the child hangs")
            time.sleep(0.01)
        assert done[1] == 0
        connection.cache._lock.release()
        connection.cache.land(flight, None)
        connection.close()
        """,
        echo_server.url,
    )


def test_a_store_in_a_file(tmp_path):
    run(
        """
        connection = ttorm.connect("sqlite:///{}/fleet.db")
        connection.call("create_twin")

        def work(number):
            for _ in range(20):
                uuid = connection.call("create_twin")["creation_certificate"]["uuid"]
                assert connection.call("get_twin", uuid)["status"] == "alive"

        in_children(2, work)
        twins = connection.call("scan_twins", count=1000)["twins"]
        assert len(twins) == 61, len(twins)
        connection.close()
        """,
        tmp_path,
    )


def test_a_record_that_a_thread_of_the_parent_saves():
    run(
        """
        from ttorm.records.turns import alone
        with ttorm.connect("memory:"):
            twin = ttorm.Twin.create(entries={{"a": 1}})
        state = twin._state
        def saving():
            yield from ()
            in_children(1, lambda number: None if number < 0 else check())
        def check():
            from ttorm.records.turns import turn
            for _ in turn(state):
                raise AssertionError("it waits for what the parent does")
        for _ in alone(state, saving()):
            pass
        """
    )


def test_a_lock_that_a_thread_of_the_parent_holds(echo_server):
    """As while the first client is made: the child may ask, and close."""
    run(
        """
        connection = ttorm.connect("{}", secret="s", cache=None)
        connection.transport._lock.acquire()
        for work in (connection.close, lambda: ask(connection, "child", 1)):
            child = os.fork()
            if not child:
                work()
                os._exit(0)
            end = time.monotonic() + 20
            while not (done := os.waitpid(child, os.WNOHANG))[0]:
                if time.monotonic() > end:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    sys.exit("the child hangs")
                time.sleep(0.01)
            assert done[1] == 0
        connection.transport._lock.release()
        connection.close()
        """,
        echo_server.url,
    )
