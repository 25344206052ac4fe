"""Notifications of `ttorm serve`, received by a server of one's own."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

SERVE = [sys.executable, "-m", "ttorm", "serve", "--port", "0"]


def ask(method, url, secret=None, body=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    headers = {} if secret is None else {"Authorization": secret}
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Client:
    """The first user of a server."""

    def __init__(self, url, secret):
        self.url = url
        self.secret = secret

    def call(self, method, path, body=None):
        status, answer = ask(method, self.url + path, self.secret, body)
        assert status < 300, answer
        return answer

    def subscribe(self, url):
        return self.call("POST", "/notifications/webhooks", {"callback_url": url, "topic": "hot"})

    def publish(self, value):
        twin = self.call("POST", "/twins", {})["creation_certificate"]["uuid"]
        entries = {"temp": {"value": value, "publish": {"true": ["hot"]}}}
        self.call("POST", f"/twins/{twin}/ledgers/personal", {"entries": entries})


@contextmanager
def served(*options, secret=None):
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if line.startswith("{"):
                    secret = json.loads(line)["accounts"][0]["secret"]
                if " on http://" in line:
                    break
            yield Client(line.split()[-1], secret)
        finally:
            process.terminate()


@contextmanager
def receiving(host="127.0.0.1", port=0):
    """A server for callbacks: its port, and the messages as they come."""
    messages = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.put(json.loads(body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *message):
            pass

    server = ThreadingHTTPServer((host, port), Receiver)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_from_the_subscription_to_its_end():
    with served() as client, receiving() as (port, messages):
        client.subscribe(f"http://127.0.0.1:{port}/in")
        confirmation = messages.get(timeout=30)
        assert confirmation["confirmation_url"].startswith(client.url)
        assert ask("GET", confirmation["confirmation_url"])[0] == 200
        client.publish(5)
        message = messages.get(timeout=30)
        assert message["event"]["temp"]["new_value"] == 5
        assert ask("PATCH", message["subscription"]["refresh_url"], body={"expires": 60})[0] == 200
        assert ask("DELETE", message["subscription"]["unsubscribe_url"])[0] == 200
        client.publish(6)
        assert ask("DELETE", message["subscription"]["unsubscribe_url"])[0] == 404
    assert messages.empty()


def test_what_could_not_be_sent_goes_after_a_restart(tmp_path):
    store = f"sqlite:///{tmp_path / 'x.db'}"
    with receiving() as (port, messages), served("--store", store) as client:
        client.subscribe(f"http://127.0.0.1:{port}/in")
        assert ask("GET", messages.get(timeout=30)["confirmation_url"])[0] == 200
    with served("--store", store, secret=client.secret) as again:
        again.publish(5)
    with receiving(port=port) as (_, messages), served("--store", store):
        assert messages.get(timeout=30)["event"]["temp"]["new_value"] == 5


@pytest.fixture
def own_address():
    """An address of this computer that is not its loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this computer has no network")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this computer has no network")
    return address


def test_other_machines_have_to_be_allowed(own_address):
    with receiving("0.0.0.0") as (port, messages):
        url = f"http://{own_address}:{port}/in"
        with served() as client:
            client.subscribe(url)
            log = []
            while not log:
                log = client.call("GET", "/log")["messages"]
            assert "code=[not_allowed]" in log[0]
            assert messages.empty()
        with served("--allow-callback", "hooks.test", "--allow-callback", own_address) as client:
            client.subscribe(url)
            assert messages.get(timeout=30)["type"] == "Confirmation"


def test_what_is_no_target_is_told_in_one_line():
    done = subprocess.run(
        [*SERVE, "--allow-callback", "http://hooks.test/"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "names no target of callbacks" in done.stderr
    assert "Traceback" not in done.stderr
