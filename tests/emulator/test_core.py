"""The core: order of checks, limits and encodings, faults; and the in-process transport."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import ClassVar

import pytest

from ttorm.api.errors import ConfigurationError, StateError, ValidationError
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.api.request import MAX_BODY
from ttorm.emulator import Clock, Emulator
from ttorm.emulator.bootstrap import make_account, new_secret
from ttorm.emulator.clock import later
from ttorm.emulator.faults import Faults
from ttorm.emulator.ids import Ids
from ttorm.emulator.policy import Policy
from ttorm.emulator.transport import EmulatorTransport

BASE = "http://emulator.localhost"
ABSENT = "3e17ed55-1274-4229-92c1-8b7048fc23e7"


@pytest.fixture
def fault(send):
    """Send a request that fails: ``fault("GET", "/x", ...) -> (subcode, description)``."""

    def fault(*args, **options):
        answer = send(*args, **options)
        body = json.loads(answer.body)
        assert body.keys() == {"subcode", "trace", "description"}
        assert answer.status == body["subcode"] // 1000
        assert answer.headers["content-type"] == "application/json"
        return body["subcode"], body["description"]

    return fault


def header(value):
    return {"x-trustedtwin": value}


def packed(value):
    return b64encode(json.dumps(value).encode()).decode()


class TestOrderOfChecks:
    """Each request is wrong in everything from one place of the order on."""

    WRONG: ClassVar = {"body": b"\xff" * (MAX_BODY + 1), "headers": {"x-trustedtwin": "!"}}

    def test_route_first(self, fault):
        assert fault("GET", "/nothing", **self.WRONG)[0] == 404653

    def test_then_the_credential(self, fault):
        assert fault("PATCH", "/twins/bad", **self.WRONG)[0] == 401000

    def test_then_the_statement(self, fault, new_user):
        nobody = new_user(statement={"effect": "allow", "actions": []})
        assert fault("PATCH", "/twins/bad", user=nobody, **self.WRONG)[0] == 403535

    def test_then_the_size(self, fault, user):
        assert fault("PATCH", "/twins/bad", user=user, **self.WRONG)[0] == 400141

    def test_then_utf8(self, fault, user):
        wrong = {"body": b"\xff", "headers": header("!")}
        code, text = fault("PATCH", "/twins/bad", user=user, **wrong)
        assert (code, text) == (400314, "Request body contains invalid characters.")

    def test_then_json(self, fault, user):
        assert fault("PATCH", "/twins/bad", b"{", user, header("!"))[0] == 400415

    def test_then_the_dictionary(self, fault, user):
        assert fault("PATCH", "/twins/bad", b"{}", user, header("!"))[0] == 400793

    def test_then_the_schema(self, fault, user):
        assert fault("PATCH", f"/twins/{ABSENT}", b'{"x": 1}', user)[0] == 400589
        assert fault("PATCH", "/twins/bad", b"{}", user)[0] == 400589

    def test_then_existence(self, fault, user):
        assert fault("PATCH", f"/twins/{ABSENT}", b"{}", user)[0] == 404653

    def test_then_the_twin_rule(self, api, fault, new_user, twin):
        assert api("terminate_twin", twin)[0] == 200
        blind = new_user({"twin_rule": "false"})
        assert fault("PATCH", f"/twins/{twin}", b"{}", blind)[0] == 403535

    def test_then_the_state(self, api, fault, user, twin):
        assert api("terminate_twin", twin)[0] == 200
        assert fault("PATCH", f"/twins/{twin}", b"{}", user)[0] == 400897
        assert fault("DELETE", f"/twins/{twin}", user=user)[0] == 400358


class TestBodies:
    @pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"])
    def test_not_an_object(self, fault, user, body):
        assert fault("POST", "/twins", body, user)[0] == 400589

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"nonsense",
            b"{'a': 1}",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": 01}',
            b'{"description": {"a": 1e999}}',
            b'{"description": {"a": [%s.5]}}' % (b"1" * 400),
            b"\xef\xbb\xbf{}",
            b'{"a": "\\ud800"}',
            b'{"description": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        ],
    )
    def test_not_json(self, fault, user, body):
        assert fault("POST", "/twins", body, user)[0] == 400415

    @pytest.mark.parametrize("body", [b"\xff\xfe", b'{"a": "\xc3"}', "{}".encode("utf-16")])
    def test_not_utf8(self, fault, user, body):
        assert fault("POST", "/twins", body, user)[0] == 400314

    def test_largest(self, send, fault, user):
        def body(size):
            text = b'{"description": {"a": "%s"}}'
            return text % (b"x" * (size - len(text) + 2))

        assert len(body(MAX_BODY)) == MAX_BODY
        assert send("POST", "/twins", body(MAX_BODY), user).status == 201
        assert fault("POST", "/twins", body(MAX_BODY + 1), user)[0] == 400141

    @pytest.mark.parametrize("body", [b"", b"{}"])
    def test_optional(self, send, user, body):
        assert send("POST", "/twins", body, user).status == 201

    def test_content_type_without_a_body(self, send, user):
        answer = send("GET", "/whoami", b"", user, {"content-type": "application/json"})
        assert answer.status == 200

    def test_a_body_that_is_read_while_it_is_sent(self, emulator, user):
        content = b'{"description": {"a": 1}}'
        request = HttpRequest(
            "POST", f"{BASE}/twins", {}, Upload(lambda: io.BytesIO(content), len(content))
        )
        answer = json.loads(emulator.handle(request, user).body)
        assert answer["description"] == {"a": 1}

    def test_any_json_comes_back_as_it_was(self, api, new_twin):
        value = {"a": [None, True, 0, -1, 1.5, 1e-7, 2**60, "é\0\U0001f6f4", {"": {}}], "b": {}}
        assert api("get_twin", new_twin(value))[1]["description"] == value

    def test_unknown_fields_are_named(self, fault, user):
        code, text = fault("POST", "/twins", b'{"descripton": {}}', user)
        assert code == 400589
        assert "descripton" in text
        assert "description" in text

    def test_operations_without_a_body(self, send, fault, user):
        for body in (b"", b"{}"):
            assert send("GET", "/whoami", body, user).status == 200
        assert fault("POST", "/cache", b'{"x": 1}', user)[0] == 400589

    class TestLenient:
        @pytest.fixture
        def policy(self):
            return Policy(lenient_bodies=True)

        def test_unknown_fields_are_ignored(self, api, emulator):
            assert api("create_twin", body={"descripton": {}})[0] == 201
            with Emulator(policy=Policy()) as strict:
                request = HttpRequest("POST", f"{BASE}/twins", {}, b'{"descripton": {}}')
                assert strict.handle(request, strict.first_user()).status == 400
            assert api("create_twin", body={"description": 1})[0] == 400

        def test_bodies_that_are_not_asked_for_are_ignored(self, send, user):
            assert send("POST", "/cache", b'{"x": 1}', user).status == 201


class TestDictionary:
    @pytest.mark.parametrize(
        "value",
        ["", "!", "e30", "e30=\n", packed([]), packed("x"), packed(None), "bm9wZQ==", "/w==",
         "é", packed({"a": "x" * 8_192})],
    )  # fmt: skip
    def test_corrupted(self, fault, user, value):
        assert fault("GET", "/whoami", b"", user, header(value))[0] == 400793

    @pytest.mark.parametrize("key", ["Capital", "1st", "a-b", "", "a" * 65])
    def test_bad_keys(self, fault, user, key):
        assert fault("GET", "/whoami", b"", user, header(packed({key: 1})))[0] == 400589

    @pytest.mark.parametrize("value", ["e30=", packed({"a": 1}), packed({"a": {"B": [1]}})])
    def test_good(self, send, user, value):
        assert send("GET", "/whoami", b"", user, header(value)).status == 200


class TestQueries:
    @pytest.mark.parametrize(
        "text", ["true", "True", "TRUE", "1", "false", "False", "0"], ids=lambda text: text
    )
    def test_booleans(self, send, user, twin, text):
        assert send("GET", f"/twins/{twin}?show_terminated={text}", user=user).status == 200

    @pytest.mark.parametrize("text", ["yes", "", "2", "on", "null"])
    def test_not_booleans(self, fault, user, twin, text):
        assert fault("GET", f"/twins/{twin}?show_terminated={text}", user=user)[0] == 400589

    @pytest.mark.parametrize(
        "text", ["0", "1001", "-1", "1.0", "1_0", "", "x", "9" * 5_000, "%C2%B2"]
    )
    def test_not_counts(self, fault, user, text):
        assert fault("GET", f"/twins?count={text}", user=user)[0] == 400589

    def test_unknown_parameters_are_ignored(self, send, user):
        assert send("GET", "/twins?colour=red", user=user).status == 200

    def test_lists_are_repeated_or_joined(self, send, user, twin, add):
        add(twin, a={"value": 1}, b={"value": 2}, c={"value": 3}, d={"value": 4})
        answer = send("GET", f"/twins/{twin}/ledgers/personal?entries=a,b&entries=c", user=user)
        assert json.loads(answer.body)["entries"].keys() == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("operation", "path", "hidden"),
    [
        ("create_twin", "/twins?secret=s", "secret=s"),
        ("create_user_secret", "/secrets/0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11/A1B2C3", "A1B2C3"),
    ],
)
def test_a_failure_of_the_emulator_is_an_answer_and_leaves_nothing(
    emulator, fault, send, user, monkeypatch, caplog, operation, path, hidden
):
    def broken(call):
        call.tx.run("DELETE FROM users")
        raise ZeroDivisionError

    handlers = dict(emulator._handlers)
    handlers[operation] = handlers[operation]._replace(function=broken)
    monkeypatch.setattr(emulator, "_handlers", handlers)
    with caplog.at_level(logging.ERROR, "ttorm.emulator"):
        assert fault("POST", path, user=user)[0] == 500000
    assert "ZeroDivisionError" in caplog.text
    assert hidden not in caplog.text
    assert send("GET", "/whoami", user=user).status == 200


def test_each_error_has_its_own_trace(send):
    traces = {json.loads(send("GET", "/nothing").body)["trace"] for _ in range(3)}
    assert len(traces) == 3


def test_times_of_one_request_agree(api, clock):
    clock.unfreeze()
    twin = api("create_twin")[1]
    assert twin["updated_ts"] == twin["creation_certificate"]["created_ts"]


class TestClock:
    def test_runs_with_the_computer(self):
        clock = Clock()
        first = clock.now()
        assert first == round(first, 3)
        clock.advance(100)
        assert 99 < clock.now() - first < 101
        clock.unfreeze()
        assert -1 < clock.now() - first < 1

    def test_frozen(self):
        clock = Clock()
        clock.freeze()
        first = clock.now()
        assert clock.now() == first
        clock.advance(0.0005)
        clock.freeze(10)
        clock.advance(0.25)
        assert clock.now() == 10.25

    def test_set_by_a_datetime_and_moved_by_a_timedelta(self):
        clock = Clock()
        clock.freeze(datetime(2024, 5, 1, 8, tzinfo=UTC))
        clock.advance(timedelta(minutes=30))
        assert clock.now() == datetime(2024, 5, 1, 8, 30, tzinfo=UTC).timestamp()
        with pytest.raises(ValidationError, match="has no timezone"):
            clock.freeze(datetime(2024, 5, 1, 8))  # noqa: DTZ001 # as somebody writes it
        clock.unfreeze()
        clock.advance(timedelta(days=1))
        assert clock.now() > time.time() + 86_000

    def test_two_changes_never_share_a_time(self):
        assert later(5.0, 4.999) == 5.0
        assert later(5.0, 5.0) == 5.001
        assert later(5.0, 7.1) == 7.101


class TestIds:
    def test_repeatable(self):
        one, same, other = Ids(1), Ids(1), Ids(2)
        for make in ("uuid", "secret", "pin", "key"):
            assert getattr(one, make)() == getattr(same, make)() != getattr(other, make)()

    def test_the_same_seed_makes_the_same_answers(self):
        answers = []
        for _ in range(2):
            clock = Clock()
            clock.freeze(1)
            with Emulator(seed=7, clock=clock) as emulator:
                made = make_account(emulator)
                request = HttpRequest("POST", f"{BASE}/twins")
                answers.append((made, emulator.handle(request, made.user)))
        assert answers[0] == answers[1]


class TestAccounts:
    def test_in_the_order_they_were_made(self, emulator):
        assert emulator.accounts() == []
        made = [make_account(emulator, f"User {number}") for number in range(3)]
        assert emulator.accounts() == [account.account for account in made]
        assert emulator.first_user() == made[0].user

    def test_no_secret_for_an_unknown_account(self, emulator):
        with pytest.raises(ConfigurationError, match="there are: none"):
            new_secret(emulator, ABSENT)
        account = make_account(emulator).account
        with pytest.raises(ConfigurationError, match=account):
            new_secret(emulator, ABSENT)

    def test_the_first_user_is_made_once(self, emulator):
        assert emulator.first_user() == emulator.first_user()
        assert len(emulator.accounts()) == 1


class TestTransport:
    @pytest.fixture
    def transport(self, emulator, user):
        return EmulatorTransport(emulator, user)

    def test_both_worlds(self, transport):
        request = HttpRequest("GET", f"{BASE}/whoami")
        assert transport.send(request).status == 200
        assert asyncio.run(transport.asend(request)) == transport.send(request)

    def test_the_header_counts_without_a_user(self, emulator):
        secret = make_account(emulator).secret
        transport = EmulatorTransport(emulator)
        request = HttpRequest("GET", f"{BASE}/whoami")
        assert transport.send(request).status == 401
        signed = request._replace(headers={"authorization": secret})
        assert transport.send(signed).status == 200

    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_files_both_ways(self, api, transport, twin, size):
        content = bytes(range(256)) * (size // 256 + 1)
        place = api("create_upload_url")[1]
        upload = Upload(lambda: io.BytesIO(content), len(content))
        request = HttpRequest("PUT", place["url"], {}, upload)
        assert asyncio.run(transport.asend(request)).status == 200
        assert transport.send(request).status == 200
        docs = {"a.bin": {"handler": place["handler"]}}
        assert api("attach_twin_doc", twin, body={"docs": docs})[0] == 201
        url = api("get_twin_doc", twin, "a.bin", download=True)[1]["download"]["url"]
        for send in (transport.send, lambda request: asyncio.run(transport.asend(request))):
            whole = send(HttpRequest("GET", url))
            assert (whole.status, whole.body, whole.stream) == (200, content, None)
            sink = io.BytesIO()
            drained = send(HttpRequest("GET", url, sink=sink))
            assert (drained.status, drained.body, drained.stream) == (200, b"", None)
            assert sink.getvalue() == content

    def test_errors_do_not_go_into_the_sink(self, transport):
        sink = io.BytesIO()
        answer = transport.send(HttpRequest("GET", f"{BASE}/nothing", sink=sink))
        assert (answer.status, sink.getvalue()) == (404, b"")
        assert b"404653" in answer.body

    def test_large_bodies_leave_the_loop_alone(self, emulator, user):
        threads = {}

        class Watched:
            store = SimpleNamespace(near=True)
            faults = Faults()

            def handle(self, request, principal, *, strike):
                threads[len(request.body)] = threading.current_thread()
                return HttpResponse(200, {}, b"")

        transport = EmulatorTransport(Watched(), user)

        async def both():
            for size in (10, 2_000_000):
                await transport.asend(HttpRequest("POST", f"{BASE}/twins", {}, b"x" * size))

        asyncio.run(both())
        assert threads[10] is threading.main_thread()
        assert threads[2_000_000] is not threading.main_thread()

    def test_closing(self, clock):
        emulator = Emulator(clock=clock)
        EmulatorTransport(emulator).close()
        assert emulator.first_user()
        asyncio.run(EmulatorTransport(emulator, owner=True).aclose())
        request = HttpRequest("GET", f"{BASE}/whoami")
        with pytest.raises(StateError, match="closed"):
            emulator.handle(request, "x")
        emulator.close()
