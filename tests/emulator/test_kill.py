"""`kill -9` of the server while clients write: what was acknowledged stays, nothing is half."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from ttorm.emulator import Emulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
]

CLIENTS = 3
NAMES = [f"e{number}" for number in range(20)]
NURSERY = """
import os, sys
import uvicorn
from ttorm.cli.serve import run

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        run(host="127.0.0.1", port=0, store=sys.argv[1], accounts=1, credentials=None,
            secret_for=None)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Forks servers, one after the other: the long part of their start is over by then."""

    def __init__(self, process):
        self.process = process
        self.secret = None

    def start(self):
        """Start ``ttorm serve`` and return its process id and address."""
        self.process.stdin.write("start\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        line = self.process.stdout.readline()
        if line.startswith("{"):
            self.secret = json.loads(line)["accounts"][0]["secret"]
            line = self.process.stdout.readline()
        return pid, urlsplit(line.split()[-1]).netloc

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        assert int(self.process.stdout.readline()) == -signal.SIGKILL


@contextmanager
def nursery(url):
    command = [sys.executable, "-c", NURSERY, url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Nursery(process)


class Client:
    """Writes all Entries of a Ledger together, counting up, until the server is gone."""

    def __init__(self):
        self.ledger = None
        self.sent = self.acknowledged = 0
        self.twins = []

    def run(self, netloc, secret, busy):
        connection = http.client.HTTPConnection(netloc, timeout=30)
        headers = {"Authorization": secret}

        def call(method, path, body):
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            assert answer.status in (200, 201), content
            return content

        try:
            if self.ledger is None:
                twin = call("POST", "/twins", {})["creation_certificate"]["uuid"]
                ledger = f"/twins/{twin}/ledgers/personal"
                entries = {name: {"value": 0} for name in NAMES}
                call("POST", ledger, {"entries": entries})
                self.ledger = ledger
            self.check(call("GET", self.ledger, {})["entries"])
            while True:
                self.sent += 1
                entries = {name: {"value": self.sent} for name in NAMES}
                call("PATCH", f"{self.ledger}/value", {"entries": entries})
                self.acknowledged = self.sent
                self.twins.append(call("POST", "/twins", {})["creation_certificate"]["uuid"])
                busy.set()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def check(self, entries):
        """What is there is the last acknowledged request, or the one that got no answer."""
        (value,) = {entry["value"] for entry in entries.values()}
        assert self.acknowledged <= value <= self.sent
        assert len(entries) == len(NAMES)
        self.sent = self.acknowledged = value


def kills(url, count):
    clients = [Client() for _ in range(CLIENTS)]
    chance, wrong = random.Random(7), []
    with nursery(url) as server:
        for _ in range(count):
            pid, netloc = server.start()
            busy = threading.Event()

            def run(client, netloc=netloc, busy=busy):
                try:
                    client.run(netloc, server.secret, busy)
                except Exception as error:  # noqa: BLE001 - the test's thread tells of it
                    wrong.append(error)
                    busy.set()

            threads = [threading.Thread(target=run, args=(client,)) for client in clients]
            for thread in threads:
                thread.start()
            busy.wait(60)
            threading.Event().wait(chance.uniform(0.0, 0.05))
            server.kill(pid)
            for thread in threads:
                thread.join()
            assert not wrong, wrong
        server.process.stdin.close()
    acknowledged = [twin for client in clients for twin in client.twins]
    with Emulator(url) as emulator, emulator.store.transaction(write=False) as tx:
        kept = {row["uuid"] for row in tx.rows("SELECT uuid FROM twins")}
        for client in clients:
            rows = tx.rows("SELECT value FROM entries WHERE twin = ?", client.ledger.split("/")[2])
            client.check({number: {"value": int(row["value"])} for number, row in enumerate(rows)})
    assert set(acknowledged) <= kept
    # Beside those: the Twins of the Ledgers, and one that was made but not answered at each kill.
    assert len(kept) <= len(acknowledged) + CLIENTS * (count + 1)
    writes = sum(client.sent for client in clients)
    print(
        f"{count} kills, {writes} writes of {len(NAMES)} Entries and {len(acknowledged)} Twins "
        "acknowledged, none lost"
    )
    assert len(acknowledged) >= count


@pytest.mark.parametrize("count", [25, pytest.param(200, marks=pytest.mark.full)])
def test_acknowledged_writes_are_kept_in_a_file(tmp_path, count):
    kills(f"sqlite:///{tmp_path}/store.db", count)


@pytest.mark.postgres
@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.full)])
def test_acknowledged_writes_are_kept_by_postgresql(schemas, count):
    kills(schemas.url(schemas.new()), count)
