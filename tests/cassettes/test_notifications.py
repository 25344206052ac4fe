"""The exact requests of subscriptions and of access to topics."""

from __future__ import annotations

import json
import queue
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

import ttorm
from ttorm import Subscription, TopicAccess

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

CLIENT_SECRET = "CLIENT_SECRET-01"
ADDRESS = "http://127.0.0.1:8787"
PARTNER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def callback(vcr):
    """Where messages are to go, and a function that gives the address in the first one.

    When a cassette is replayed nothing comes, and both are as the cassette has them.
    """
    if vcr.write_protected:
        yield f"{ADDRESS}/hook", lambda: f"{ADDRESS}/?token=TOKEN-0001"
        return
    messages = queue.Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            messages.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *message):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield (
            f"http://127.0.0.1:{server.server_port}/hook",
            lambda: messages.get(timeout=20)["confirmation_url"],
        )
        server.shutdown()


async def test_a_subscription(connection, callback, do, tape):
    url, confirmation = callback
    subscription = await do(Subscription.create, "hot", url, CLIENT_SECRET, expires=3_600)
    await do(subscription.confirm, confirmation())
    await do(subscription.refresh, 7_200)
    await do(subscription.cancel)
    hook = f"/notifications/webhooks/{subscription.account}?token="
    create = {
        "callback_url": url, "topic": "hot", "client_secret": CLIENT_SECRET, "expires": 3_600
    }  # fmt: skip
    tape.shows(
        ("POST", "/notifications/webhooks", create),
        ("GET", f"{hook}TOKEN-0001", None),
        ("PATCH", f"{hook}TOKEN-0003", {"client_secret": CLIENT_SECRET, "expires": 7_200}),
        ("DELETE", f"{hook}TOKEN-0002", None),
    )
    assert [line.split(" ")[0] for line in tape.unsigned] == ["GET", "PATCH", "DELETE"]


async def test_access_to_topics(connection, do, tape):
    access = await do(TopicAccess.current)
    await do(access.grant, PARTNER, "hot", "cold")
    await do(access.revoke, PARTNER, "cold")
    await do(access.assign, PARTNER, [])
    path = f"/notifications/webhooks/access/accounts/{PARTNER}"
    tape.shows(
        ("GET", "/notifications/webhooks/access", None),
        ("GET", "/notifications/webhooks/access", None),
        ("PATCH", path, {"topics": ["hot", "cold"]}),
        ("GET", "/notifications/webhooks/access", None),
        ("PATCH", path, {"topics": ["hot"]}),
        ("PATCH", path, {"topics": []}),
    )
    assert isinstance(access, ttorm.TopicAccess)
