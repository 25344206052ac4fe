"""The request log: what was asked, without anything that nobody else may know."""

from __future__ import annotations

import json

import pytest

from ttorm.api.errors import TransportError
from ttorm.api.http import Upload
from ttorm.emulator.bootstrap import new_secret
from ttorm.emulator.requestlog import Recorded, RequestLog


def recorded(operation="get_twin", body=b""):
    return Recorded(
        operation=operation,
        method="GET",
        path="",
        status=200,
        subcode=None,
        drop=None,
        account=None,
        user=None,
        at=0.0,
        duration=0.0,
        size=len(body),
        _body=body,
    )


class TestWhatIsKept:
    def test_a_request(self, emulator, api, twin, account, user, clock):
        body = {"entries": {"battery": {"value": 99}}}
        with emulator.recording() as made:
            api("add_twin_ledger_entry", twin, body=body, dictionary={"a": 1})
        (request,) = made
        assert request.operation == "add_twin_ledger_entry"
        assert (request.method, request.path) == ("POST", f"/twins/{twin}/ledgers/personal")
        assert (request.status, request.subcode, request.drop) == (201, None, None)
        assert (request.account, request.user) == (account, user)
        assert request.body == body
        assert request.size == len(json.dumps(body, separators=(",", ":")))
        assert request.at == clock.now()
        assert 0 <= request.duration < 60

    def test_a_query(self, emulator, api):
        api("scan_twins", count=5, match="TWIN.a == 'é&'")
        assert emulator.requests[-1].query == {"count": ["5"], "match": ["TWIN.a == 'é&'"]}

    def test_an_error(self, emulator, send):
        send("GET", "/whoami")
        request = emulator.requests[-1]
        assert (request.status, request.subcode, request.user) == (401, 401000, None)

    def test_an_unknown_path(self, emulator, send):
        send("GET", "/nowhere?a=%ff")
        request = emulator.requests[-1]
        assert (request.operation, request.status) == ("", 404)
        assert (request.path, request.query) == ("/nowhere", {})

    def test_bodies_that_are_no_json(self, emulator, send, user):
        send("POST", "/twins", b"{", user=user)
        send("POST", "/twins", b"\xff", user=user)
        assert [(request.body, request.size) for request in emulator.requests] == [
            (None, 1),
            (None, 1),
        ]

    def test_files(self, emulator, api, send, tmp_path):
        _, place = api("create_upload_url")
        path = tmp_path / "file"
        path.write_bytes(b"content")
        send("PUT", place["url"], Upload(lambda: path.open("rb"), 7))
        request = emulator.requests[-1]
        assert (request.operation, request.status) == ("upload", 200)
        assert (request.body, request.size) == (None, 7)

    def test_what_faults_did(self, emulator, api, send, user):
        emulator.faults.add("create_twin", drop="before", times=1)
        emulator.faults.add("create_twin", drop="after", times=1)
        emulator.faults.add("create_twin", status=503, times=1)
        for _ in range(2):
            with pytest.raises(TransportError):
                send("POST", "/twins", b'{"description": null}', user=user)
        api("create_twin", body={"description": None})
        assert [(request.status, request.drop) for request in emulator.requests] == [
            (None, "before"),
            (201, "after"),
            (503, None),
        ]
        assert {request.operation for request in emulator.requests} == {"create_twin"}
        assert {request.path for request in emulator.requests} == {"/twins"}
        assert all(request.body == {"description": None} for request in emulator.requests)

    def test_as_json(self, emulator, api):
        api("create_twin", body={"description": {"a": 1}})
        told = json.loads(json.dumps(emulator.requests[-1].describe()))
        assert (told["operation"], told["body"]) == ("create_twin", {"description": {"a": 1}})


class TestSecrets:
    def seen(self, emulator):
        return repr([request.describe() for request in emulator.requests])

    def test_credentials(self, emulator, account, send):
        secret = new_secret(emulator, account).secret
        assert send("GET", "/whoami", headers={"authorization": secret}).status == 200
        assert secret not in self.seen(emulator)

    def test_pins(self, emulator, api, send, new_user, account):
        user = new_user()
        pin = api("create_user_secret_pin", user, body={})[1]["pin"]
        send("GET", f"/secrets/{account}/{pin}")
        assert api("create_user_secret", account, pin, user=None)[0] == 201
        assert pin not in self.seen(emulator)
        assert emulator.requests.of("create_user_secret")[0].path == f"/secrets/{account}/***"

    def test_handlers_of_files(self, emulator, api, upload, twin, send):
        handler = upload(b"content")
        api("attach_twin_doc", twin, body={"docs": {"a.txt": {"handler": handler}}})
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        url = doc["download"]["url"]
        assert send("GET", url).status == 200
        api("invalidate_upload_url", handler)
        seen = self.seen(emulator)
        assert handler not in seen
        assert url.rpartition("/")[2] not in seen
        (attached,) = emulator.requests.of("attach_twin_doc")
        assert attached.body == {"docs": {"a.txt": {"handler": "***"}}}

    def test_tokens_and_keys_of_subscriptions(self, emulator, send, user):
        body = {"topic": "alarms", "callback_url": "http://127.0.0.1/", "client_secret": "k3y"}
        send("POST", "/notifications/webhooks", json.dumps(body).encode(), user=user)
        send("GET", "/notifications/webhooks/1?token=t0ken&x=1")
        send("GET", "/notifications/webhooks/1?tok%65n=t0ken&token")
        assert "k3y" not in self.seen(emulator)
        assert "t0ken" not in self.seen(emulator)

    def test_entries_may_have_any_name(self, emulator, add, twin):
        add(twin, token={"value": "mine"})
        (request,) = emulator.requests.of("add_twin_ledger_entry")
        assert request.body == {"entries": {"token": {"value": "mine"}}}


class TestBounds:
    def test_a_number(self):
        log = RequestLog(limit=3)
        for number in range(5):
            log.add(recorded(str(number)))
        assert [request.operation for request in log] == ["2", "3", "4"]
        assert (log[0].operation, len(log[1:])) == ("2", 2)

    def test_a_size(self):
        log = RequestLog(size=10)
        for number in range(3):
            log.add(recorded(str(number), b"12345"))
        assert [request.operation for request in log] == ["1", "2"]

    def test_long_addresses(self, emulator, send):
        query = "&".join(f"a{number}" for number in range(10_000))
        for _ in range(200):
            send("GET", f"/nowhere?{query}")
        assert sum(request.kept for request in emulator.requests) < 8 << 20
        assert len(emulator.requests) < 150
        assert len(emulator.requests[-1].query) == 10_000

    def test_clearing(self):
        log = RequestLog(size=10)
        log.add(recorded(body=b"1234567890"))
        log.clear()
        assert len(log) == 0
        log.add(recorded(body=b"1234567890"))
        assert len(log) == 1

    def test_a_recording_has_none(self):
        log = RequestLog(limit=1)
        with log.recording() as made:
            for _ in range(3):
                log.add(recorded())
            log.clear()
        log.add(recorded())
        assert len(made) == 3

    def test_the_emulator_keeps_a_thousand(self, emulator, send):
        for _ in range(1_001):
            send("GET", "/nowhere")
        assert len(emulator.requests) == 1_000
        assert repr(emulator.requests) == "<RequestLog of 1000 requests>"


def test_calls_of_batches_are_no_requests(emulator, new_batch, twin):
    new_batch("get_twin", {"twin": twin})
    with emulator.recording() as made:
        emulator.run_batches()
    assert len(made) == 0
