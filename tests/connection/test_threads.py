"""One connection, used from many threads at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import ttorm
from ttorm import StateError, Twin
from ttorm.api.http import Limits
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.http import HttpTransport
from ttorm.flows import gather

PATIENCE = 20


def together(count, work):
    """Run work(number) in threads that begin at the same moment; return the results."""
    barrier = threading.Barrier(count, timeout=PATIENCE)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_each_thread_gets_its_own_answers(echo_server, connect):
    connection = connect(echo_server.url, cache=None)

    def work(number):
        paths = [f"/twins/{number}-{index}" for index in range(20)]
        return [
            connection.call("get_twin", path.removeprefix("/twins/"))["path"] == path
            for path in paths
        ]

    assert together(16, work) == [[True] * 20] * 16
    assert len(set(echo_server.sources)) <= 16
    assert connection.requests == 16 * 20


def test_connections_stay_within_their_limit(echo_server, connect):
    connection = connect(
        echo_server.url, transport=HttpTransport(Limits(connections=3)), cache=None
    )
    together(12, lambda number: [connection.call("get_twin", str(number)) for _ in range(10)])
    assert len(set(echo_server.sources)) <= 3


def test_one_gather_keeps_to_the_connections_concurrency(echo_server, connect):
    connection = connect(echo_server.url, concurrency=4, cache=None)
    flows = (perform(connection, api_request("get_twin", [str(n)])) for n in range(40))
    answers = connection.run(gather(flows))
    assert [answer["path"] for answer in answers] == [f"/twins/{n}" for n in range(40)]
    assert len(set(echo_server.sources)) <= 4


def test_the_first_requests_of_many_threads_share_one_client(echo_server, connect):
    connection = connect(echo_server.url)

    def first(_):
        client = connection.transport._enter()
        connection.transport._leave()
        return client

    assert len(set(map(id, together(16, first)))) == 1


def test_closing_while_others_ask(echo_server, connect):
    """They are answered or told that it is closed; nothing else happens."""
    connection = connect(echo_server.url, cache=None)
    begun = threading.Semaphore(0)

    def work(number):
        if number == 0:
            for _ in range(20):
                begun.acquire(timeout=PATIENCE)
            connection.close()
            return "closed"
        answered = 0
        while True:
            try:
                connection.call("get_twin", str(number))
            except (StateError, ttorm.TransportError):
                return answered > 0
            answered += 1
            begun.release()

    outcomes = together(5, work)
    assert outcomes[0] == "closed"
    assert set(outcomes[1:]) <= {True, False}


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/fleet.db"])
def test_threads_on_one_embedded_store(url, tmp_path):
    with ttorm.connect(url.format(tmp_path), default=False) as connection:

        def work(number):
            described = [{"thread": number, "index": index} for index in range(10)]
            made = [connection.call("create_twin", body={"description": d}) for d in described]
            uuids = [twin["creation_certificate"]["uuid"] for twin in made]
            found = [connection.call("get_twin", uuid)["description"] for uuid in uuids]
            return found == described

        assert together(8, work) == [True] * 8
        assert len(connection.call("scan_twins", count=1000)["twins"]) == 80


def test_threads_have_sessions_of_their_own():
    """The same Twin read in two threads is two records of equal identity."""
    with ttorm.connect("memory:", default=False) as connection:
        uuid = connection.call("create_twin")["creation_certificate"]["uuid"]

        def work(_):
            with ttorm.session(connection):
                return Twin.get(uuid)

        one, two = together(2, work)
    assert one == two
    assert one is not two
