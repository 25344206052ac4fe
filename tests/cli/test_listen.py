"""`ttorm listen`: what it prints, and that it leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

import ttorm
from ttorm import Twin
from ttorm.cli.listen import lines, objects
from ttorm.webhooks import Notification

# Where tests run in the background, programs would inherit that they ignore SIGINT.
START = """
import signal
from ttorm.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
PYTHON = [sys.executable, "-c", START]


@pytest.fixture(scope="module")
def service():
    """A served emulator: its URL and a secret."""
    command = [*PYTHON, "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = json.loads(process.stdout.readline())
            process.stdout.readline()
            yield made["url"], made["accounts"][0]["secret"]
        finally:
            process.terminate()


@pytest.fixture
def connection(service):
    url, secret = service
    with ttorm.connect(url, secret=secret, default=False) as connection:
        yield connection


@contextmanager
def listening(service, *options):
    """Listen, and give the process once it is there."""
    url, secret = service
    environment = {**os.environ, "TTORM_URL": url, "TTORM_SECRET": secret}
    command = [*PYTHON, "listen", "--topic", "hot", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            process.told = process.stderr.readline()
            yield process
        finally:
            process.terminate()


@pytest.fixture
def publish(connection):
    """Make a Twin, and write until the process has heard of it: the line that it prints."""
    uuid = connection.call("create_twin")["creation_certificate"]["uuid"]
    entry = {"value": 0, "publish": {"true": ["hot"]}}
    path = (uuid, "personal")
    connection.call("add_twin_ledger_entry", *path, body={"entries": {"celsius": entry}})

    def publish(process):
        heard = threading.Event()
        lines = []

        def read():
            lines.append(process.stdout.readline())
            heard.set()

        threading.Thread(target=read, daemon=True).start()
        for value in range(1, 200):
            body = {"entries": {"celsius": {"value": value}}}
            connection.call("update_twin_ledger_entry_value", *path, body=body)
            if heard.wait(0.1):
                return uuid, lines[0]
        raise AssertionError("nothing was heard")

    return publish


def test_a_line_for_each_change(service, publish):
    with listening(service) as process:
        assert re.fullmatch(r"ttorm: listening to hot at http://127\.0\.0\.1:\d+/\n", process.told)
        uuid, line = publish(process)
    found = re.fullmatch(rf"\d\d:\d\d:\d\d hot Twin {uuid} celsius: (\d+) -> (\d+)\n", line)
    assert int(found[1]) + 1 == int(found[2])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_json_and_a_good_end(service, publish, connection, how):
    with listening(service, "--json", "--expires", "60") as process:
        uuid, line = publish(process)
        found = json.loads(line)
        assert found["twin"] == uuid
        assert (found["topic"], found["entry"], found["kind"]) == ("hot", "celsius", "Twin")
        assert found["trigger"] == "ledger.entry.updated"
        assert found["old"] + 1 == found["new"]
        process.send_signal(how)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read()


def test_subscriptions_are_cancelled_at_the_end(service, publish):
    """There may be 100 of an account: more come and go."""
    for _ in range(3):
        with listening(service) as process:
            publish(process)
            port = int(process.told.rpartition(":")[2].rstrip("/\n"))
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        with pytest.raises(OSError):
            http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/")


def test_strangers_are_refused(service):
    with listening(service) as process:
        port = int(process.told.rpartition(":")[2].rstrip("/\n"))
        for method, body, status in (
            ("GET", None, 405),
            ("POST", b"{}", 400),
            ("POST", b"x" * 2_000_000, 413),
        ):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                client.request(method, "/", body)
                assert client.getresponse().status == status
            except (BrokenPipeError, ConnectionResetError):
                assert status == 413
            finally:
                client.close()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--topic", "h t"], "is no topic"),
        (["--callback-url", "nowhere"], "no address"),
        (["--host", "192.0.2.1"], "cannot listen"),
        (["--url", "ftp://x"], "is no URL"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(service, options, says):
    url, secret = service
    environment = {**os.environ, "TTORM_URL": url, "TTORM_SECRET": secret}
    done = subprocess.run(
        [*PYTHON, "listen", "--topic", "hot", *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


MESSAGE = Notification(
    "0d0a6a0e-7d8e-4b57-8f4c-5f7a5c2f9d11",
    "hot",
    "02bb52f9-6959-46ec-a075-1a1326c8eae7",
    "ledger.entry.updated",
    "085c0f9f-427e-4e23-9a60-bacf6585a862",
    {"celsius": {"old_value": 1, "new_value": "\x1b[2J\ud800é", "changed_ts": 5.0}},
    1_718_000_000.0,
)


class TestText:
    def test_nothing_reaches_the_terminal_that_would_do_something(self):
        [(about, what)] = lines("Boiler", MESSAGE)
        assert about == "06:13:20 hot Boiler 085c0f9f-427e-4e23-9a60-bacf6585a862"
        assert what == r'celsius: 1 -> "\u001b[2J\ud800é"'

    @pytest.mark.parametrize(
        ("trigger", "says"),
        [("ledger.entry.added", "celsius: 2"), ("ledger.entry.deleted", "celsius: 1 (deleted)")],
    )
    def test_what_is_new_or_gone(self, trigger, says):
        event = {"celsius": {"old_value": 1, "new_value": 2}}
        [(_, what)] = lines("Twin", MESSAGE._replace(trigger=trigger, event=event))
        assert what == says

    def test_stickers(self):
        message = MESSAGE._replace(trigger="sticker.put", event={"color": "red"})
        assert [what for _, what in lines("Twin", message)] == ['sticker.put: {"color": "red"}']
        [found] = objects("Twin", message)
        assert found["event"] == {"color": "red"}
        assert found["sent_at"] == "2024-06-10T06:13:20+00:00"


def test_on_a_terminal(monkeypatch, capsys):
    from ttorm.cli.listen import _Printer

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _Printer(as_json=False).on_notification(
        Twin,
        record=None,
        message=MESSAGE._replace(event={"celsius": {"old_value": 1, "new_value": "[bold]x"}}),
    )
    assert '"[bold]x"' in capsys.readouterr().out
