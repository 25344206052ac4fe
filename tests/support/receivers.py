"""A subscriber's server."""

from __future__ import annotations

import json
import threading
from typing import Self

from pytest_httpserver import HTTPServer
from werkzeug import Response


class Receiver:
    """Keeps the messages that it gets.

    Attributes:
        bodies: The messages as they came.
        respond: Says with which status a message is answered; it may take its time.
    """

    def __init__(self) -> None:
        self.reset()
        self._changed = threading.Condition()
        self._server = HTTPServer(threaded=True)
        self._server.expect_request("/in").respond_with_handler(self._receive)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.clear()
        self._server.stop()

    def reset(self) -> None:
        """Forget everything, and answer as at the beginning."""
        self.bodies: list[bytes] = []
        self.respond = lambda message: 201

    @property
    def url(self) -> str:
        return self._server.url_for("/in")

    @property
    def messages(self):
        """The messages."""
        return [json.loads(body) for body in self.bodies]

    def _receive(self, request) -> Response:
        body = request.get_data()
        with self._changed:
            self.bodies.append(body)
            self._changed.notify_all()
        return Response(status=self.respond(json.loads(body)))

    def wait(self, number: int, seconds: float = 30.0):
        """Return the messages as soon as there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.bodies) >= number, seconds), self.bodies
        return self.messages

    def take(self):
        """Return the messages, and forget them."""
        messages = self.messages
        self.bodies.clear()
        return messages
