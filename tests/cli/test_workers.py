"""`ttorm serve --workers`: several processes behind one address."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")

SERVE = [sys.executable, "-m", "ttorm", "serve", "--port", "0", "--workers", "3"]


@contextmanager
def served(store):
    command = [*SERVE, "--store", store]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            made = json.loads(process.stdout.readline())
            line = process.stdout.readline()
            assert line.startswith("ttorm: serving ")
            yield process, line.split()[-1], made["accounts"][0]["secret"]
        finally:
            process.kill()


def whoami(url, secret):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request("GET", "/whoami", headers={"Authorization": secret})
        return connection.getresponse().status
    finally:
        connection.close()


def workers(parent):
    """The processes that a server has started and that are alive."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
            line = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        state, ppid = rest.split()[:2]
        # Beside the workers there is the resource tracker of multiprocessing.
        if int(ppid) == parent and state != "Z" and b"spawn_main" in line:
            found.add(int(name.split()[0]))
    return found


def wait_for(condition):
    pause = threading.Event()
    for _ in range(1_500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come to that")


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/x.db"


def test_a_worker_that_died_is_replaced(store):
    with served(store) as (process, url, secret):
        wait_for(lambda: len(workers(process.pid)) == 3)
        victim = min(workers(process.pid))
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len({*workers(process.pid)} - {victim}) == 3)
        assert whoami(url, secret) == 200
        process.terminate()
        _, complaints = process.communicate(timeout=30)
        assert complaints.splitlines() == [
            f"ttorm: worker {victim} ended with -9; another one takes its place"
        ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_when_they_are_asked_to(store, number):
    with served(store) as (process, url, secret):
        wait_for(lambda: len(workers(process.pid)) == 3)
        mine = workers(process.pid)
        assert whoami(url, secret) == 200
        process.send_signal(number)
        _, complaints = process.communicate(timeout=30)
        assert (process.returncode, complaints) == (0, "")
        assert not [pid for pid in mine if Path(f"/proc/{pid}").exists()]


def test_they_end_with_the_process_that_started_them(store):
    with served(store) as (process, _url, _secret):
        wait_for(lambda: len(workers(process.pid)) == 3)
        mine = workers(process.pid)
        assert len(mine) == 3
        process.kill()
        wait_for(lambda: not [pid for pid in mine if Path(f"/proc/{pid}").exists()])
        assert workers(process.pid) == set()


def test_a_request_under_way_is_answered(store):
    with served(store) as (process, url, secret):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.putrequest("POST", "/twins")
        connection.putheader("Authorization", secret)
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
        process.terminate()
        threading.Event().wait(0.5)
        connection.send(b"}")
        assert connection.getresponse().status == 201
        connection.close()
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_memory_is_in_one_process():
    done = subprocess.run(
        [*SERVE, "--store", "memory:"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "name a store such as --store sqlite:///file.db" in done.stderr
    assert done.stdout == ""
