"""`ttorm serve`, started as a user starts it."""

from __future__ import annotations

import http.client
import json
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

SERVE = [sys.executable, "-m", "ttorm.cli", "serve", "--port", "0"]


class Served:
    """A running server and what it printed until it was ready."""

    def __init__(self, process: subprocess.Popen, printed: list[str]) -> None:
        self.process = process
        self.printed = printed
        self.url = printed[-1].split()[-1]

    @property
    def made(self):
        return json.loads(self.printed[0])

    def ask(self, method, path, secret=None, body=None):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        headers = {} if secret is None else {"Authorization": secret}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def served(*options):
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            printed = []
            for line in process.stdout:
                printed.append(line.strip())
                if " on http://" in line:
                    break
            yield Served(process, printed)
        finally:
            process.terminate()


def refused(*options):
    done = subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path / 'x.db'}"


def test_a_new_store_gets_its_accounts_and_tells_their_secrets_on_standard_output():
    with served("--accounts", "2") as server:
        first, second = server.made["accounts"]
        assert server.made["url"] == server.url
        assert first.keys() == {"account", "user", "secret"}
        status, answer = server.ask("GET", "/whoami", second["secret"])
        assert (status, answer["account"]) == (200, second["account"])
        assert server.ask("GET", "/whoami", "no secret")[0] == 401


def test_a_file_for_the_secrets_is_for_its_owner_only(tmp_path, store):
    file = tmp_path / "creds.json"
    with served("--store", store, "--credentials", str(file)) as server:
        assert len(server.printed) == 1
        made = json.loads(file.read_text())
        assert made["url"] == server.url
        assert server.ask("GET", "/whoami", made["accounts"][0]["secret"])[0] == 200
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_exists_is_not_written_over_and_no_account_is_made(tmp_path, store):
    file = tmp_path / "creds.json"
    file.write_text("mine")
    assert "exists" in refused("--store", store, "--credentials", str(file))
    assert file.read_text() == "mine"
    with served("--store", store) as server:
        assert len(server.made["accounts"]) == 1


def test_a_store_that_has_accounts_keeps_them_and_its_data(store):
    with served("--store", store) as server:
        secret = server.made["accounts"][0]["secret"]
        status, twin = server.ask("POST", "/twins", secret, {"description": {"a": 1}})
        assert status == 201
        uuid = twin["creation_certificate"]["uuid"]
    with served("--store", store, "--accounts", "3") as server:
        assert len(server.printed) == 1
        assert server.ask("GET", f"/twins/{uuid}", secret)[1]["description"] == {"a": 1}


def test_a_new_secret_takes_the_place_of_the_old_one(store):
    with served("--store", store) as server:
        (old,) = server.made["accounts"]
    with served("--store", store, "--new-secret", old["account"]) as server:
        (new,) = server.made["accounts"]
        assert (new["account"], new["user"]) == (old["account"], old["user"])
        assert server.ask("GET", "/whoami", new["secret"])[0] == 200
        assert server.ask("GET", "/whoami", old["secret"])[0] == 401


def test_a_new_secret_for_an_unknown_account_is_refused(store, tmp_path):
    file = tmp_path / "creds.json"
    with served("--store", store):
        pass
    message = refused("--store", store, "--new-secret", "nobody", "--credentials", str(file))
    assert "no account nobody" in message
    assert not file.exists()


def test_encoded_characters_of_a_path_reach_the_emulator():
    with served() as server:
        secret = server.made["accounts"][0]["secret"]
        _, twin = server.ask("POST", "/twins", secret, {})
        path = f"/twins/{twin['creation_certificate']['uuid']}/identities"
        server.ask("POST", path, secret, {"identities": {"RFID#a+b=": {}}})
        status, answer = server.ask("GET", "/resolve/RFID%23a%2Bb%3D", secret)
        assert status == 200
        assert twin["creation_certificate"]["uuid"] in json.dumps(answer)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(store, end, tmp_path):
    with served("--store", store) as server:
        server.process.send_signal(end)
        code = server.process.wait(timeout=20)
    assert code == (0 if end == signal.SIGINT else -end)
    assert [file.name for file in tmp_path.glob("x.db*")] == ["x.db"]


def test_a_port_that_is_taken_is_told_in_one_line():
    with served() as server:
        port = urlsplit(server.url).port
        message = refused("--port", str(port))
    assert "cannot listen on 127.0.0.1" in message
    assert "--port 0" in message


def test_an_unknown_store_is_told_in_one_line():
    assert "nonsense" in refused("--store", "nonsense:///x")
