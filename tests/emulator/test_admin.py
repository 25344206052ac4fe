"""The emulator's own operations over HTTP."""

from __future__ import annotations

import json
from io import BytesIO
from zipfile import ZipFile

import pytest

from ttorm.api.http import HttpRequest, Upload
from ttorm.emulator.admin import Admin

TOKEN = {"x-emulator-admin": "token"}


@pytest.fixture
def admin(emulator, user):
    return Admin(emulator, "token")


@pytest.fixture
def ask(admin):
    """Ask for something: ``ask("POST", "clock", {...}) -> (status, body)``."""

    def ask(method, path, body=None, headers=TOKEN, host="127.0.0.1:8787"):
        content = b"" if body is None else json.dumps(body).encode()
        url = f"http://{host}/_emulator/{path}"
        answer = admin.handle(HttpRequest(method, url, headers, content))
        return answer.status, json.loads(answer.body)

    return ask


class TestWhoMay:
    @pytest.mark.parametrize("headers", [{}, {"x-emulator-admin": "tokén"}, {"authorization": "t"}])
    def test_only_who_has_the_token(self, ask, headers):
        assert ask("GET", "clock", headers=headers)[0] == 401

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example",
                                      "10.0.0.1", "", "localhost.:1"])  # fmt: skip
    def test_only_at_names_of_this_machine(self, ask, host):
        assert ask("GET", "clock", host=host)[0] == 403

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]", "[::1]:80"])
    def test_all_names_of_this_machine(self, ask, host):
        assert ask("GET", "clock", host=host)[0] == 200

    def test_the_token_is_asked_for_before_anything_is_told(self, ask):
        assert ask("GET", "nothing", headers={})[0] == 401
        status, told = ask("GET", "nothing")
        assert status == 404
        assert "POST /_emulator/reset" in told["description"]


class TestState:
    def test_reset(self, ask, api, account, twin):
        assert ask("POST", "reset") == (200, {"accounts": [account]})
        assert api("get_twin", twin)[0] == 404

    def test_snapshot_and_restore(self, admin, ask, api, twin, new_doc):
        new_doc(twin, "a.txt", b"content")
        url = "http://localhost/_emulator/snapshot"
        answer = admin.handle(HttpRequest("GET", url, TOKEN))
        content = b"".join(answer.stream)
        assert answer.headers["content-length"] == str(len(content))
        ask("POST", "reset")
        for body in (content, Upload(lambda: BytesIO(content), len(content))):
            assert admin.handle(HttpRequest("PUT", url, TOKEN, body)).status == 200
            assert api("get_twin_doc", twin, "a.txt")[0] == 200

    def test_what_is_no_snapshot(self, ask):
        status, told = ask("PUT", "snapshot", {"a": 1})
        assert (status, told["subcode"]) == (400, 400589)
        assert "no snapshot" in told["description"]

    def test_data(self, ask, api):
        status, seed = ask("PUT", "data", {"accounts": {"mine": {"twins": {"north": {}}}}})
        assert status == 200
        assert api("get_twin", seed["twins"]["north"])[0] == 200
        status, told = ask("PUT", "data", {"accounts": 3})
        assert (status, told["description"][:11]) == (400, "$.accounts:")

    def test_accounts(self, ask, account, send):
        status, made = ask("POST", "accounts")
        assert status == 200
        assert ask("GET", "accounts")[1] == {"accounts": [account, made["account"]]}
        headers = {"authorization": made["secret"]}
        assert json.loads(send("GET", "/whoami", headers=headers).body)["user"] == made["user"]


class TestClock:
    def test_frozen_moved_and_released(self, ask, emulator):
        assert ask("POST", "clock", {"freeze": 100}) == (200, {"now": 100.0, "frozen": True})
        assert ask("POST", "clock", {"advance": 2.5})[1] == {"now": 102.5, "frozen": True}
        assert ask("GET", "clock")[1] == {"now": 102.5, "frozen": True}
        assert ask("POST", "clock", {"unfreeze": True})[1]["frozen"] is False
        assert emulator.clock.now() > 1_700_000_000

    def test_frozen_where_it_is(self, ask, clock):
        now = clock.now()
        assert ask("POST", "clock", {"freeze": None})[1] == {"now": now, "frozen": True}

    @pytest.mark.parametrize("body", [{"freeze": "now"}, {"advance": True}, {"stop": 1}, [1]])
    def test_mistakes(self, ask, body):
        assert ask("POST", "clock", body)[0] == 400


class TestFaults:
    def test_added_listed_and_removed(self, ask, emulator):
        status, fault = ask("POST", "faults", {"operation": "get_twin", "status": 503, "times": 2})
        assert (status, fault["subcode"], fault["times"], fault["hits"]) == (200, 503159, 2, 0)
        assert ask("GET", "faults")[1] == {"faults": [fault]}
        assert ask("DELETE", f"faults/{fault['number']}") == (200, fault)
        assert ask("DELETE", f"faults/{fault['number']}")[0] == 404
        ask("POST", "faults", {"drop": "after", "seed": None})
        assert len(ask("DELETE", "faults")[1]["faults"]) == 1
        assert len(emulator.faults) == 0

    @pytest.mark.parametrize(
        "body",
        [{}, {"status": "503"}, {"status": 200}, {"drop": 3}, {"operation": ["a"], "status": 503}],
    )
    def test_mistakes(self, ask, body):
        assert ask("POST", "faults", body)[0] == 400


class TestRequests:
    def test_listed_and_cleared(self, ask, api, twin):
        api("get_twin", twin)
        found = ask("GET", "requests?operation=get_twin")[1]["requests"]
        assert [request["path"] for request in found] == [f"/twins/{twin}"]
        assert len(ask("GET", "requests")[1]["requests"]) == 2
        assert ask("DELETE", "requests") == (200, {})
        assert ask("GET", "requests")[1]["requests"] == []


class TestWork:
    def test_batches(self, ask, emulator, new_batch, get_batch, twin):
        emulator.background.close()
        batch = new_batch("get_twin", {"twin": twin})
        assert ask("POST", "batches", {"steps": 1}) == (200, {"unfinished": 1})
        assert get_batch(batch)["status"] == "copying"
        assert ask("POST", "batches") == (200, {"unfinished": 0})

    def test_deliveries(self, ask):
        assert ask("POST", "deliveries") == (200, {"waiting": 0})

    def test_a_body_that_is_no_json(self, admin):
        url = "http://localhost/_emulator/batches"
        assert admin.handle(HttpRequest("POST", url, TOKEN, b"{")).status == 400


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("clock", '{"freeze": -1}', "years 1970 to 9999"),
        ("clock", '{"freeze": 1e300}', "years 1970 to 9999"),
        ("clock", '{"advance": 1e300}', "years 1970 to 9999"),
        ("clock", '{"advance": 1e999}', "The body is no JSON"),
        ("faults", '{"status": 503, "every": 1.5}', "every=1.5"),
        ("faults", '{"status": 503, "times": 2.5}', "times=2.5"),
    ],
)
def test_numbers_that_the_emulator_could_not_work_with_are_refused(admin, path, body, said):
    url = f"http://127.0.0.1/_emulator/{path}"
    answer = admin.handle(HttpRequest("POST", url, TOKEN, body.encode()))
    assert (answer.status, said in answer.body.decode()) == (400, True)
    assert json.loads(admin.handle(HttpRequest("GET", url, TOKEN)).body) != {}


def test_data_over_http_reads_no_files_of_the_server(ask, tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("secret")
    docs = {"docs": {"a.txt": {"file": str(file)}}}
    status, answer = ask("PUT", "data", {"accounts": {"works": {"twins": {"south": docs}}}})
    assert (status, "is not beside the data" in answer["description"]) == (400, True)


def test_a_snapshot_without_data_is_refused(admin):
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr("snapshot.json", '{"format": 1, "ids": null}')
        archive.writestr("data.sqlite", b"")
    url = "http://127.0.0.1/_emulator/snapshot"
    assert admin.handle(HttpRequest("PUT", url, TOKEN, file.getvalue())).status == 400


def test_a_failure_is_an_answer_too(admin, monkeypatch):
    monkeypatch.setattr(admin._world, "reset", lambda: 1 / 0)
    answer = admin.handle(HttpRequest("POST", "http://127.0.0.1/_emulator/reset", TOKEN))
    assert json.loads(answer.body)["subcode"] == 500_000
