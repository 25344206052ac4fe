"""`ttorm serve`, started as a user starts it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from ttorm.api.errors import ConfigurationError
from ttorm.cli.sockets import listen
from ttorm.cli.switches import read_policy
from ttorm.emulator import Policy

SERVE = [sys.executable, "-m", "ttorm", "serve", "--port", "0"]


class Served:
    """A running server and what it printed until it was ready."""

    def __init__(self, process: subprocess.Popen, printed: list[str]) -> None:
        self.process = process
        self.printed = printed
        self.url = printed[-1].split()[-1]

    @property
    def made(self):
        return json.loads(self.printed[0])

    def ask(self, method, path, secret=None, body=None, **headers):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        if secret is not None:
            headers["Authorization"] = secret
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def served(*options, stderr=None):
    with subprocess.Popen(
        [*SERVE, *options], stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
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


def test_a_file_that_cannot_be_made(tmp_path, store):
    file = tmp_path / "nowhere" / "creds.json"
    assert "cannot be made" in refused("--store", store, "--credentials", str(file))


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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not inherit the option")
def test_answers_do_not_wait_until_the_client_confirms_their_heads():
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_an_unknown_store_is_told_in_one_line():
    assert "nonsense" in refused("--store", "nonsense:///x")


def test_it_answers_to_its_own_names_and_those_it_is_told():
    with served("--allow-host", "twins", "--allow-host", "*.test") as server:
        for host in ("localhost:1", "twins:8787", "a.test"):
            assert server.ask("GET", "/_health", Host=host)[0] == 200
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        connection.request("GET", "/_health", headers={"Host": "evil.example"})
        with connection.getresponse() as answer:
            assert answer.status == 400
        connection.close()


@pytest.mark.parametrize("name", ["twins:8787", "http://twins", "tw*ns", "", "a b"])
def test_what_is_no_name_is_told_in_one_line(name):
    assert "expected a name" in refused("--allow-host", name)


def test_monitors_and_makers_of_clients_need_no_credential():
    with served() as server:
        status, health = server.ask("GET", "/_health")
        assert (status, health["status"]) == (200, "ok")
        status, description = server.ask("GET", "/openapi.json")
    assert (status, description["openapi"]) == (200, "3.1.0")


def test_requests_are_logged_on_standard_error_if_that_is_asked_for():
    with served("--access-log", stderr=subprocess.PIPE) as server:
        account, secret = (server.made["accounts"][0][name] for name in ("account", "secret"))
        server.ask("GET", "/whoami", secret)
        server.ask("POST", f"/secrets/{account}/HIDDEN")
        server.process.terminate()
        lines = server.process.stderr.read().splitlines()
    assert " GET /whoami 200 " in lines[0]
    assert f" POST /secrets/{account}/*** 404 " in lines[1]
    assert not [line for line in lines if "HIDDEN" in line or secret in line]


def test_nothing_is_logged_otherwise():
    with served(stderr=subprocess.PIPE) as server:
        server.ask("GET", "/whoami")
        server.process.terminate()
        assert server.process.stderr.read() == ""


def test_listening_to_other_machines_is_warned_of():
    with served("--host", "0.0.0.0", stderr=subprocess.PIPE) as server:
        server.process.terminate()
        warning = server.process.stderr.read()
    assert "can be reached from other machines" in warning


def test_a_file_over_the_limit_is_refused():
    with served("--max-upload", "1") as server:
        secret = server.made["accounts"][0]["secret"]
        _, place = server.ask("POST", "/cache", secret)
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        connection.putrequest("PUT", urlsplit(place["url"]).path)
        connection.putheader("Content-Length", str((1 << 20) + 1))
        connection.endheaders()
        with connection.getresponse() as answer:
            assert (answer.status, json.loads(answer.read())["subcode"]) == (400, 400141)
        connection.close()


def test_a_head_without_end_is_refused_and_told_nothing():
    with served(stderr=subprocess.PIPE) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as client:
            client.sendall(b"GET /" + b"x" * 100_000)
            with client.makefile("rb") as file:
                answer = file.read()
        server.process.terminate()
        assert "Traceback" not in server.process.stderr.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_is_under_way_comes_to_its_end(store, end):
    with served("--store", store) as server:
        secret = server.made["accounts"][0]["secret"]
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        body = json.dumps({"description": {"a": 1}}).encode()
        connection.putrequest("POST", "/twins")
        connection.putheader("Authorization", secret)
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        # The server asks for the body: from here on the request is under way.
        assert connection.sock.recv(4_096).startswith(b"HTTP/1.1 100 ")
        connection.sock.sendall(body[:5])
        server.process.send_signal(end)
        refuses_others(server)
        connection.sock.sendall(body[5:])
        answer = connection.getresponse()
        assert answer.status == 201
        uuid = json.loads(answer.read())["creation_certificate"]["uuid"]
        connection.close()
        server.process.wait(timeout=20)
    with served("--store", store) as server:
        assert server.ask("GET", f"/twins/{uuid}", secret)[0] == 200


def refuses_others(server):
    """Wait until the server takes no more connections: it has seen the signal."""
    address = urlsplit(server.url)
    while True:
        try:
            socket.create_connection((address.hostname, address.port), timeout=20).close()
        except ConnectionResetError:
            continue  # it was waiting in line when the server closed the door
        except ConnectionRefusedError:
            return


def test_data_goes_into_a_new_store_only(store, tmp_path):
    data = tmp_path / "world.json"
    user = {"alice": {"role": "operator", "secret": True}}
    works = {"roles": {"operator": {}}, "users": user, "twins": {"north": {}}}
    data.write_text(json.dumps({"accounts": {"works": works}}))
    with served("--store", store, "--data", data, "--accounts", "2") as server:
        first, alice, other = server.made["accounts"]
        assert (first["name"], alice["name"]) == ("works", "works/alice")
        assert "name" not in other
        assert len(server.ask("GET", "/twins", first["secret"])[1]["twins"]) == 1
        assert server.ask("GET", "/whoami", alice["secret"])[1]["user"] == alice["user"]
    with served("--store", store, "--data", data, stderr=subprocess.PIPE) as server:
        assert len(server.ask("GET", "/twins", first["secret"])[1]["twins"]) == 1
        assert "was not loaded" in server.process.stderr.readline()


def test_data_that_cannot_be_loaded_is_told_in_one_line(store, tmp_path):
    data, credentials = tmp_path / "world.json", tmp_path / "team.json"
    data.write_text('{"accounts": {"works": {"twins": 3}}}')
    told = refused("--store", store, "--data", data, "--credentials", credentials)
    assert "$.accounts.works.twins: expected a JSON object, found int" in told
    assert not credentials.exists()


class TestAdmin:
    def test_its_token_is_printed(self):
        with served("--admin") as server:
            token = server.printed[1].removeprefix("ttorm: admin token ")
            headers = {"X-Emulator-Admin": token}
            assert server.ask("GET", "/_emulator/clock", **headers)[1]["frozen"] is False
            assert server.ask("GET", "/_emulator/clock")[0] == 401

    def test_its_token_may_be_given(self, monkeypatch):
        monkeypatch.setenv("TTORM_ADMIN_TOKEN", "known")
        with served("--admin") as server:
            assert len(server.printed) == 2
            assert server.ask("POST", "/_emulator/reset", **{"X-Emulator-Admin": "known"})[0] == 200

    def test_nothing_is_there_unless_it_is_asked_for(self, monkeypatch):
        monkeypatch.setenv("TTORM_ADMIN_TOKEN", "known")
        with served() as server:
            assert server.ask("POST", "/_emulator/reset", **{"X-Emulator-Admin": "known"})[0] == 404

    def test_several_processes_have_none(self, store):
        told = refused("--store", store, "--admin", "--workers", "2")
        assert "--admin is for one process" in told


class TestPolicy:
    def test_a_mode_and_switches(self):
        with served("--policy", "lenient", "--policy", "unresolved=not_found") as server:
            secret = server.made["accounts"][0]["secret"]
            assert server.ask("POST", "/twins", secret, {"colour": "red"})[0] == 201
            assert server.ask("GET", "/resolve/SN%231", secret)[0] == 404

    @pytest.mark.parametrize(
        ("switch", "value"),
        [
            ("cursor_fault=400793", 400793),
            ("lenient_bodies=true", True),
            ("reference_delay=2", 2.0),
            ("delivery_tries=3", 3),
            ("services=timeseries,indexes", ("timeseries", "indexes")),
            ("services=", ()),
            ("hash_members=type,twin", ("type", "twin")),
        ],
    )
    def test_values(self, switch, value):
        found = getattr(read_policy([switch]), switch.partition("=")[0])
        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        ("switch", "told"),
        [
            ("relaxed", "expected strict, lenient or a switch"),
            ("colour=red", "expected one of the switches null_role_rule, "),
            ("cursor_fault=400", "expected 400589 or 400793"),
            ("lenient_bodies=yes", "expected true or false"),
            ("reference_delay=soon", "expected a number from 0"),
            ("reference_delay=-1", "expected a number from 0"),
            ("delivery_tries=1.5", "expected a number from 0"),
            ("services=twins", "expected databases or timeseries or indexes"),
        ],
    )
    def test_mistakes(self, switch, told):
        with pytest.raises(ConfigurationError, match=told):
            read_policy([switch])
        assert read_policy([]) == Policy()
