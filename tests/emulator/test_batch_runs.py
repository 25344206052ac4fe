"""Running batches: in the background, after a restart, by several at once, each call once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from ttorm.api.http import HttpRequest
from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy


def jsonl(*lines):
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def creations(count):
    return [{"body": {"description": {"number": number}}} for number in range(count)]


def requests(emulator):
    """Call an emulator: ``request("POST", "/twins", {}) -> (status, dict)``."""
    user = emulator.first_user()

    def request(method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        answer = emulator.handle(HttpRequest(method, "http://h" + path, {}, data), user)
        return answer.status, json.loads(answer.body)

    return request


def begin(emulator, request, operation, content):
    place = request("POST", "/cache")[1]
    assert emulator.handle(HttpRequest("PUT", place["url"], {}, content)).status == 200
    body = {"operation": operation, "handler": place["handler"]}
    status, batch = request("POST", "/batches", body)
    assert status == 201, batch
    return batch["batch"]


def wait_for(condition):
    pause = threading.Event()
    for _ in range(4_000):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it did not happen")


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{path}"])
class TestInTheBackground:
    @pytest.fixture
    def world(self, url, tmp_path):
        with Emulator(url.format(path=tmp_path / "x.db")) as emulator:
            yield emulator

    def test_nobody_has_to_do_anything(self, world):
        request = requests(world)
        batches = [begin(world, request, "create_twin", jsonl(*creations(20))) for _ in range(3)]
        wait_for(lambda: set(request("GET", "/batches")[1]["batches"].values()) == {"completed"})
        assert set(request("GET", "/batches")[1]["batches"]) == set(batches)
        assert len(request("GET", "/twins")[1]["twins"]) == 60
        # The thread is there while there is something to do.
        wait_for(lambda: world.background._thread is None)

    def test_cancelling_and_deleting_meanwhile(self, world):
        request = requests(world)
        one, two = (
            begin(world, request, "create_twin", jsonl(*creations(5_000))) for _ in range(2)
        )
        wait_for(lambda: request("GET", "/twins")[1]["twins"])
        assert request("PATCH", f"/batches/{one}", {"status": "cancel"})[0] == 200
        assert request("DELETE", f"/batches/{two}")[0] == 200
        wait_for(lambda: request("GET", "/batches")[1]["batches"] == {one: "cancelled"})
        answer = request("GET", f"/batches/{one}?download=true")[1]
        sent = world.handle(HttpRequest("GET", answer["download"]["url"]))
        lines = [json.loads(line)["line"] for line in b"".join(sent.stream).splitlines()]
        assert lines == list(range(1, len(lines) + 1))
        assert 1 <= len(lines) < 5_000

    def test_here_and_there_at_once(self, world):
        request = requests(world)
        begin(world, request, "create_twin", jsonl(*creations(100)))
        assert world.run_batches() == 0
        assert set(request("GET", "/batches")[1]["batches"].values()) == {"completed"}
        assert len(request("GET", "/twins?count=1000")[1]["twins"]) == 100

    def test_closing_stops_it(self, world):
        request = requests(world)
        begin(world, request, "create_twin", jsonl(*creations(5_000)))
        wait_for(lambda: request("GET", "/twins")[1]["twins"])
        thread = world.background._thread
        world.close()
        assert not thread.is_alive()

    def test_a_batch_that_cannot_go_on_waits_and_holds_up_nobody(self, world, monkeypatch, caplog):
        request = requests(world)
        write = world.blobs.write
        full = threading.Event()
        full.set()

        def no_space(pieces):
            if full.is_set() and threading.current_thread() is not threading.main_thread():
                raise OSError("no space left")
            return write(pieces)

        monkeypatch.setattr(world.blobs, "write", no_space)
        batch = begin(world, request, "create_twin", jsonl({}))
        wait_for(lambda: world.background._thread is None)
        assert request("GET", f"/batches/{batch}")[1]["status"] == "writing_results"
        assert "no space left" in caplog.text
        full.clear()
        other = begin(world, request, "create_twin", jsonl({}))
        finished = {batch: "completed", other: "completed"}
        wait_for(lambda: request("GET", "/batches")[1]["batches"] == finished)


class TestRestart:
    @pytest.fixture
    def url(self, store_url):
        return store_url

    @pytest.mark.parametrize("steps", range(10))
    def test_it_goes_on_where_it_was(self, url, steps):
        with Emulator(url, policy=Policy(background=False)) as emulator:
            request = requests(emulator)
            batch = begin(emulator, request, "create_twin", jsonl(*creations(3)))
            emulator.run_batches(steps=steps)
        with Emulator(url) as emulator:
            request = requests(emulator)
            path = f"/batches/{batch}?download=true"
            wait_for(lambda: request("GET", path)[1]["status"] == "completed")
            assert len(request("GET", "/twins")[1]["twins"]) == 3
            download = request("GET", path)[1]["download"]
            sent = b"".join(emulator.handle(HttpRequest("GET", download["url"])).stream)
            assert [json.loads(line)["line"] for line in sent.splitlines()] == [1, 2, 3]

    def test_several_emulators_share_the_work(self, url):
        emulators = [Emulator(url, policy=Policy(background=False)) for _ in range(4)]
        request = requests(emulators[0])
        batch = begin(emulators[0], request, "create_twin", jsonl(*creations(200)))
        threads = [threading.Thread(target=emulator.run_batches) for emulator in emulators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert request("GET", f"/batches/{batch}")[1]["status"] == "completed"
        assert len(request("GET", "/twins?count=1000")[1]["twins"]) == 200
        for emulator in emulators:
            emulator.close()

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
    def test_each_call_happens_once_whatever_is_killed(self, url):
        count = 3_000
        with Emulator(url, policy=Policy(background=False)) as emulator:
            request = requests(emulator)
            batch = begin(emulator, request, "create_twin", jsonl(*creations(count)))
        kills = 0
        for life in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35):
            process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, url], stdout=subprocess.PIPE, text=True
            )
            with process:
                assert process.stdout.readline() == "running\n"
                killer = threading.Timer(life, process.send_signal, [signal.SIGKILL])
                killer.start()
                process.wait()
                killer.cancel()
                killer.join()
            kills += process.returncode == -signal.SIGKILL
        assert kills >= 5
        with Emulator(url, policy=Policy(background=False)) as emulator:
            request = requests(emulator)
            assert emulator.run_batches() == 0
            assert request("GET", f"/batches/{batch}")[1]["status"] == "completed"
            with emulator.store.transaction(write=False) as tx:
                rows = tx.rows("SELECT description FROM twins")
                numbers = sorted(json.loads(row["description"])["number"] for row in rows)
            assert numbers == list(range(count))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_has_a_thread_of_its_own(self, url):
        with Emulator(url) as emulator:
            request = requests(emulator)
            begin(emulator, request, "create_twin", jsonl(*creations(2_000)))
            child = os.fork()
            if child == 0:
                try:
                    batch = begin(emulator, request, "create_twin", jsonl({}))
                    wait_for(
                        lambda: request("GET", f"/batches/{batch}")[1]["status"] == "completed"
                    )
                    emulator.close()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            wait_for(
                lambda: set(request("GET", "/batches")[1]["batches"].values()) == {"completed"}
            )
            with emulator.store.transaction(write=False) as tx:
                assert tx.row("SELECT COUNT(*) AS count FROM twins")["count"] == 2_001


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{path}"])
def test_a_process_that_closes_nothing_ends_in_peace(url, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(LEAVER)
    command = [sys.executable, str(script), url.format(path=tmp_path / "x.db")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stdout, process.stderr) == (0, "processing\n", "")


LEAVER = """
import json, sys
from threading import Event
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator

emulator = Emulator(sys.argv[1])
user = emulator.first_user()


def request(method, path, body=b""):
    return json.loads(emulator.handle(HttpRequest(method, "http://h" + path, {}, body), user).body)


place = request("POST", "/cache")
emulator.handle(HttpRequest("PUT", place["url"], {}, b"{}\\n" * 50_000))
batch = {"operation": "create_twin", "handler": place["handler"]}
path = "/batches/" + request("POST", "/batches", json.dumps(batch).encode())["batch"]
while (status := request("GET", path)["status"]) in ("new", "copying", "copied", "validating"):
    Event().wait(0.01)
print(status)
"""


RUNNER = """
import sys
from ttorm.emulator import Emulator, Policy

emulator = Emulator(sys.argv[1], policy=Policy(background=False))
print("running", flush=True)
emulator.run_batches()
"""
