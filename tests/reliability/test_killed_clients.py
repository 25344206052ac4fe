"""`kill -9` of a client in the middle of its work: each request is done or not, none by half.

A client works through a plan again and again, over HTTP, and is killed at a random moment each
time. Afterwards it runs once without being disturbed, and ends with the Twins of a program that
never was.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
]

SENSORS = 8
SERVER = """
import sys
from ttorm.cli.serve import run

run(host="127.0.0.1", port=0, store="memory:", accounts=1, credentials=None, secret_for=None)
"""


class Sensor(Twin):
    """A sensor whose two readings are written in one request."""

    place: Field[str] = description()
    low: Field[int] = entry(default=0)
    high: Field[int] = entry(default=0)
    serial: Field[str] = identity("SN", key=True)

    class Meta:
        kind = "sensor"


def work(connection, run):
    """One unit of work: make the sensors that are not there yet, and give all a reading."""
    with ttorm.session(connection):
        Sensor.sweep(older_than=0)
        for number in range(SENSORS):
            sensor, _ = Sensor.find_or_create(serial=f"S{number}", place="yard")
            sensor.low = sensor.high = run


@pytest.fixture
def server():
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def start(process):
    """Wait for the server, and return its address and secret."""
    import json

    accounts = json.loads(process.stdout.readline())
    return process.stdout.readline().split()[-1], accounts["accounts"][0]["secret"]


def killed(address, secret, run, seconds):
    """Let a child work, and kill it after some seconds unless it is done."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(ttorm.connect(address, secret=secret, default=False), run)
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (ended := os.waitpid(child, os.WNOHANG)) != (0, 0):
            assert ended[1] == 0, "the client failed by itself"
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def alive(connection):
    """The descriptions of the alive Twins, by UUID."""
    with ttorm.session(connection):
        return {twin.uuid: dict(twin.description) for twin in Twin.scan()}


def terminate_all(connection):
    for uuid in alive(connection):
        connection.call("terminate_twin", uuid)


def stored(connection):
    """What the service holds: ``{serial: (place, low, high)}`` of the Twins with a key."""
    found = {}
    for uuid, described in alive(connection).items():
        names = list(connection.call("get_twin_identities", uuid)["identities"])
        entries = connection.call("get_twin_ledger_entry", uuid)["entries"]
        values = {name: entry["value"] for name, entry in entries.items()}
        for name in names or [f"(none of {uuid})"]:
            assert name not in found, "two Twins have one key"
            found[name] = (described["place"], values.get("low"), values.get("high"))
    return found


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.full)])
def test_what_a_killed_client_leaves_is_finished_by_the_next(server, kills):
    chance = random.Random(kills)
    address, secret = start(server)
    connection = ttorm.connect(address, secret=secret, default=False, cache=None)
    work(connection, 0)  # the server's first rule takes long
    terminate_all(connection)
    began = time.monotonic()
    assert not killed(address, secret, 0, 60)
    whole = time.monotonic() - began
    terminate_all(connection)
    hits = orphans = run = 0
    while hits < kills:
        run += 1
        hits += killed(address, secret, run, chance.uniform(0, whole))
        for name, (place, low, high) in stored(connection).items():
            assert place == "yard"
            # Written by one request, so both or neither.
            assert low == high
            orphans += name.startswith("(")
        if run % 3 == 0:
            # Begin anew, or all would be there before long.
            terminate_all(connection)
    work(connection, -1)
    print(f"\n{hits} kills in {run} runs, {orphans} times a Twin was seen without its key")
    assert stored(connection) == {f"SN#S{n}": ("yard", -1, -1) for n in range(SENSORS)}
    connection.close()
