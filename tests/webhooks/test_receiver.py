"""What a receiver takes, and how it answers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time

import pytest
from platform_messages import ACCOUNT, CLIENT, JSON, SERVER, TWIN, URL

import ttorm
from ttorm.api.http import HttpResponse
from ttorm.api.signing import NOTIFICATION_MEMBERS
from ttorm.webhooks import Asgi, Receiver, Wsgi

# Made by the platform's own utilities, for the key Q2xpZW50U2VjcmV0 U2VydmVyU2VjcmV0.
CONFIRMATION = (
    b'{"type": "Confirmation", "message": "6a1f1d0e-5f0b-4f0e-9a77-0c3f5b1f2a10", '
    b'"sent_ts": 1718000000.125, "confirmation_url": "https://rest.trustedtwin.com/notifications/'
    b'webhooks/02bb52f9-6959-46ec-a075-1a1326c8eae7?token=TOKEN", "subscription": {"topic": '
    b'"door-opened", "account": "02bb52f9-6959-46ec-a075-1a1326c8eae7", "validity_ts": '
    b'1718604800.125}, "hash": "XBOvnKoA0+vpqw5RdNg6sbPkQV3yy0HrP4ETGpKI7E4="}'
)
NOTIFICATION = (
    b'{"type": "Notification", "trigger": "ledger.entry.updated", "message": '
    b'"0d0a6a0e-7d8e-4b57-8f4c-5f7a5c2f9d11", "twin": "085c0f9f-427e-4e23-9a60-bacf6585a862", '
    b'"event": {"temperature": {"new_value": 31, "old_value": 12, "changed_ts": 1718000100.5}}, '
    b'"sent_ts": 1718000100.75, "subscription": {"topic": "door-opened", "account": '
    b'"02bb52f9-6959-46ec-a075-1a1326c8eae7", "validity_ts": 1718604800.125, "unsubscribe_url": '
    b'"https://rest.trustedtwin.com/notifications/webhooks/02bb52f9-6959-46ec-a075-1a1326c8eae7'
    b'?token=TOKEN", "refresh_url": "https://rest.trustedtwin.com/notifications/webhooks/'
    b'02bb52f9-6959-46ec-a075-1a1326c8eae7?token=TOKEN"}, "hash": '
    b'"IF1+pdTj/xzkWYJI9re+HXi0oXymWIMqPYN3JEq4moE="}'
)


def test_a_cancellation_that_fails_can_be_tried_again(receiver, subscription, transport):
    with pytest.raises(AssertionError, match="was sent"):
        receiver.cancel()
    assert receiver.store.all() == [subscription]
    transport.send = lambda request: HttpResponse(404, JSON, b"{}")
    receiver.cancel()
    assert receiver.store.all() == []


class TestGenuine:
    @pytest.fixture
    def subscription(self, subscription):
        subscription.topic = "door-opened"
        return subscription

    def test_a_notification_of_the_platforms_own_tools(self, receiver, heard):
        assert receiver.handle(NOTIFICATION, JSON).status == 201
        [message] = heard
        assert message.entries == {"temperature": ttorm.Change(12, 31)}

    def test_a_confirmation_of_the_platforms_own_tools(self, receiver, subscription, transport):
        subscription.confirmed = False
        shown = json.loads(NOTIFICATION)["subscription"]
        answer = json.dumps({"subscription": shown}).encode()

        def send(request):
            transport.requests.append(request)
            return HttpResponse(200, JSON, answer)

        transport.send = send
        assert receiver.handle(CONFIRMATION, JSON).status == 201
        assert subscription.confirmed
        [request] = transport.requests
        assert request.method == "GET"
        assert request.url.endswith(f"/{ACCOUNT}?token=TOKEN")
        assert "authorization" not in request.headers

    def test_blanks_between_members_are_free(self, receiver, heard):
        body = b"\n" + NOTIFICATION.replace(b'", "trigger"', b'"\t,\r\n "trigger"') + b" "
        assert receiver.handle(body, JSON).status == 201

    def test_blanks_within_them_are_not(self, receiver, heard):
        body = NOTIFICATION.replace(b'"new_value": 31', b'"new_value":  31')
        assert receiver.handle(body, JSON).status == 401


def test_the_order_of_members_is_a_setting(new_receiver, sender, heard):
    members = tuple(reversed(NOTIFICATION_MEMBERS))
    body = sender.sign(sender.notification(), members=members)
    assert new_receiver().handle(body, JSON).status == 401
    assert new_receiver(hash_members=members).handle(body, JSON).status == 201
    assert len(heard) == 1


@pytest.mark.parametrize(
    "members", [(), NOTIFICATION_MEMBERS[:-1], (*NOTIFICATION_MEMBERS, "x"), ["type"] * 7]
)
def test_what_is_not_hashed_could_be_forged(members):
    with pytest.raises(ttorm.ConfigurationError, match="could be forged"):
        Receiver(hash_members=members)


def test_members_that_nobody_knows_are_passed_over(receiver, sender, heard):
    """The platform may add some; they are not signed, and not looked at."""
    body = sender.sign({**sender.notification(), "ledger": ACCOUNT})
    assert receiver.handle(body, JSON).status == 201
    assert "ledger" not in heard[0]._fields


def test_triggers_that_nobody_knows(receiver, sender, connection, heard):
    key = connection.cache.key(
        connection.scope(), ttorm.api.request.api_request("get_twin", [TWIN])
    )
    connection.cache.put(key, {"status": "alive"})
    body = sender.sign(sender.notification(trigger="twin.moved", event={"x": 5}))
    assert receiver.handle(body, JSON).status == 201
    assert heard[0].entries == {}
    assert connection.cache.peek(key) is None


def test_values_that_the_message_lacks(receiver, sender, heard):
    body = sender.sign(
        sender.notification(event={"celsius": {}, "odd": None, "é": {"new_value": 1}})
    )
    assert receiver.handle(body, JSON).status == 201
    nothing = ttorm.Change(None, None)
    assert heard[0].entries == {
        "celsius": nothing, "odd": nothing, "é": ttorm.Change(None, 1)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"a": 1,}', 400),
        (b'{"a": 1} x', 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1e999}', 400),
        (b'{"a": ' + b"[" * 100_000, 400),
        (b'{"a": ' + b"9" * 10_000 + b"}", 400),
        (b'\xef\xbb\xbf{"a": 1}', 400),
        (b'{"a": "\xff"}', 400),
        (b"{1: 2}", 400),
        (b"x" * ((1 << 20) + 1), 413),
    ],
)
def test_what_is_no_message(receiver, body, status, caplog):
    caplog.set_level(logging.INFO)
    reply = receiver.handle(body, JSON)
    assert reply.status == status
    assert list(json.loads(reply.body)) == ["error"]
    assert "refused with" in caplog.text
    assert caplog.text.count("\n") == 1


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        ("{}", JSON, "the body as it came, in bytes, found str"),
        (None, JSON, "the body as it came, in bytes, found NoneType"),
        (b"{}", [("content-type", "application/json")], "headers with items"),
    ],
)
def test_slips_of_whoever_calls_are_no_replies(receiver, body, headers, text):
    with pytest.raises(TypeError, match=text):
        receiver.handle(body, headers)
    with pytest.raises(TypeError, match=text):
        asyncio.run(receiver.ahandle(body, headers))


def test_a_small_limit(new_receiver, sender):
    body = sender.sign(sender.notification())
    assert new_receiver(max_body=len(body) - 1).handle(body, JSON).status == 413
    assert new_receiver(max_body=len(body)).handle(body, JSON).status == 201


def test_hashes_of_any_form(receiver, sender):
    body = json.loads(sender.sign(sender.notification()))
    good = body["hash"]
    for wrong in ("", "x" * 1_000, good[:-1], good[::-1], "\ud800", "é" * 44):
        forged = json.dumps({**body, "hash": wrong}).encode()
        assert receiver.handle(forged, JSON).status == 401


def test_several_subscriptions_to_one_topic(receiver, subscription, sender, heard):
    other = ttorm.Subscription.restore(
        {**subscription.export(), "id": "b", "server_secret": "y" * 16}
    )
    receiver.store.put(other)
    for key in (CLIENT + SERVER, CLIENT + "y" * 16):
        assert receiver.handle(sender.sign(sender.notification(), key=key), JSON).status == 201
    assert receiver.handle(sender.sign(sender.notification(), key=CLIENT), JSON).status == 401
    receiver.store.remove(other)
    assert receiver.handle(sender.sign(sender.notification(), key=key), JSON).status == 401
    assert len(heard) == 2


def test_it_is_quick(receiver, sender, heard):
    bodies = [sender.sign(sender.notification()) for _ in range(200)]
    begin = time.perf_counter()
    for body in bodies:
        assert receiver.handle(body, JSON).status == 201
    assert (time.perf_counter() - begin) / 200 < 0.02


class TestAsgi:
    @staticmethod
    def ask(
        receiver,
        *pieces,
        method="POST",
        kind="http",
        headers=((b"content-type", b"application/json"),),
    ):
        sent = []
        waiting = [
            {"type": "http.request", "body": piece, "more_body": number + 1 < len(pieces)}
            for number, piece in enumerate(pieces)
        ]

        async def receive():
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {"type": kind, "method": method, "headers": list(headers)}
        asyncio.run(Asgi(receiver)(scope, receive, send))
        return sent, waiting

    def test_in_pieces(self, receiver, sender, heard):
        body = sender.sign(sender.notification())
        [start, end], _ = self.ask(receiver, body[:100], b"", body[100:])
        assert start["status"] == 201
        assert (b"content-length", str(len(end["body"])).encode()) in start["headers"]
        assert len(heard) == 1

    def test_one_that_breaks_off(self, receiver, sender, heard):
        sent = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "headers": []}
        asyncio.run(Asgi(receiver)(scope, receive, send))
        assert sent[0]["status"] == 400

    def test_no_more_is_read_than_is_taken(self, new_receiver):
        receiver = new_receiver(max_body=1_000)
        [start, _], left = self.ask(receiver, *[b"x" * 400] * 10)
        assert start["status"] == 413
        assert len(left) == 7

    def test_other_methods(self, receiver):
        [start, _], _ = self.ask(receiver, method="GET")
        assert start["status"] == 405
        assert (b"allow", b"POST") in start["headers"]

    def test_other_protocols(self, receiver):
        assert self.ask(receiver, kind="lifespan")[0] == []


class TestWsgi:
    @staticmethod
    def ask(receiver, body=b"", method="POST", length=None, **environ):
        started = []
        environ = {
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)) if length is None else length,
            "wsgi.input": io.BytesIO(body),
            **environ,
        }
        content = Wsgi(receiver)(environ, lambda *arguments: started.append(arguments))
        assert all(isinstance(piece, bytes) for piece in content)
        return started[0]

    def test_a_message(self, receiver, sender, heard):
        status, headers = self.ask(receiver, sender.sign(sender.notification()))
        assert status == "201 Created"
        assert "content-length" in dict(headers)
        assert len(heard) == 1

    @pytest.mark.parametrize("broken", [TimeoutError, ConnectionResetError])
    def test_one_that_breaks_off(self, receiver, broken):
        class Silent:
            def read(self, length):
                raise broken

        asked = self.ask(receiver, length="5", **{"wsgi.input": Silent()})
        assert asked[0].startswith("400")

    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ({"method": "GET"}, "405"),
            ({"length": ""}, "411"),
            ({"length": "-1"}, "411"),
            ({"length": "٣"}, "411"),
            ({"length": "9" * 30}, "411"),
            ({"length": str(1 << 21)}, "413"),
            ({"length": "5"}, "400"),
            ({"body": b"{}", "CONTENT_TYPE": "text/plain"}, "415"),
            ({"body": b"{}", "HTTP_CONTENT_ENCODING": "gzip"}, "415"),
            ({"body": b"{}", "CONTENT_TYPE": ""}, "400"),
        ],
    )
    def test_refused(self, receiver, options, status):
        assert self.ask(receiver, **options)[0].startswith(status)


def test_an_address_that_is_not_the_services_is_not_asked(
    receiver, sender, subscription, transport
):
    """Not even when it is signed: the token goes to the connection's service."""
    subscription.confirmed = False

    def send(request):
        transport.requests.append(request)
        return HttpResponse(404, {}, b"{}")

    transport.send = send
    body = sender.sign(sender.confirmation(confirmation_url="http://169.254.169.254/x?token=eA"))
    assert receiver.handle(body, JSON).status == 500
    [request] = transport.requests
    assert request.url == f"{URL}eA"
