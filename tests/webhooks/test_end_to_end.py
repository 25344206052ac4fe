"""Two accounts, two programs and a server between them, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import ttorm
from ttorm import Entry

OPEN_RULES = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}
PROGRAM = Path(__file__).parents[1] / "support" / "other_account.py"
TOPIC = "celsius"


@pytest.fixture(scope="module")
def service():
    """A server with two accounts: its URL, and their UUIDs and secrets."""
    command = [sys.executable, "-m", "ttorm", "serve", "--port", "0", "--accounts", "2"]
    # What access to topics allows is not documented; in this reading it lets others publish.
    command += ["--policy", "topic_access=delivered"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = json.loads(process.stdout.readline())
            process.stdout.readline()
            yield made["url"], made["accounts"]
        finally:
            process.terminate()


@pytest.fixture
def ann(service):
    """The account whose Entry changes."""
    url, [ann, _] = service
    with ttorm.connect(url, secret=ann["secret"], default=False) as connection:
        yield connection


@pytest.fixture
def ben(service):
    """The account that is told: it may see what others show."""
    url, [_, ben] = service
    with ttorm.connect(url, secret=ben["secret"], default=False) as connection:
        role = connection.whoami()["role"]
        connection.call("update_user_role", role, body={"rules": OPEN_RULES})
        yield ben["secret"]


@contextmanager
def listening(world, *arguments):
    command = [sys.executable, str(PROGRAM), world, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
            process.stdin.close()
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def heard(process):
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("world", ["sync", "async"])
def test_a_change_of_another_account_arrives(service, ann, ben, world):
    with ttorm.session(ann):
        boiler = ttorm.Twin.create(description={"kind": "boiler"})
        boiler.ledger["celsius"] = Entry(20.5, visibility="true", publish={"true": [TOPIC]})
        boiler.save()
        account = ann.whoami()["account"]
        with listening(world, service[0], ben, account, boiler.uuid) as process:
            assert heard(process) == {"ready": True, "value": 20.5}
            # What it has read is kept, and shown again without a request.
            process.stdin.write("\n")
            process.stdin.flush()
            assert heard(process) == {"value": 20.5}
            for old, new, dropped in ((20.5, 50.0, 1), (50.0, 51.5, 2)):
                boiler.ledger["celsius"] = new
                boiler.save()
                assert heard(process) == {
                    "sender": "Boiler",
                    "old": old,
                    "new": new,
                    "dropped": dropped,
                    "entry": "celsius",
                    "topic": TOPIC,
                }
                process.stdin.write("\n")
                process.stdin.flush()
                assert heard(process) == {"value": new}
