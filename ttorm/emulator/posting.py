"""Sending messages to callbacks: HTTP on a connection to a checked address, within a time."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cache
from http.client import HTTPConnection, HTTPException
from io import BufferedReader, RawIOBase
from time import monotonic
from typing import TypeAlias

from ttorm._version import __version__
from ttorm.emulator.callbacks import Callback, Outcome

__all__ = ["Line", "post"]

_MAX_ANSWER = 65_536
"""How many bytes of an answer are read; nothing is done with them."""

Watch: TypeAlias = "Callable[[Line], AbstractContextManager[None]]"
"""Looks after a connection within a block, and ends it."""


def post(
    callback: Callback, addresses: list[str], deadline: float, body: bytes, watch: Watch
) -> Outcome:
    """Send a JSON message, and tell what came of it.

    Args:
        callback: Where to.
        addresses: Its addresses, which were checked.
        deadline: When all has to be done, on the monotonic clock.
        body: The message.
        watch: Looks after the connection.
    """
    try:
        line = Line(_connect(callback, addresses, deadline), deadline)
        with watch(line):
            if callback.secure:
                line.encrypt(callback.host)
            status = _ask(callback, line, body)
    except TimeoutError:
        return Outcome("timeout")
    except ssl.SSLError:
        return Outcome("tls")
    except HTTPException:
        return Outcome("no_http")
    except OSError:
        return Outcome("no_connection")
    return Outcome(str(status), delivered=200 <= status < 300)


def _connect(callback: Callback, addresses: list[str], deadline: float) -> socket.socket:
    """Connect to the first address that answers; half of the time is left for the message."""
    latest = monotonic() + (deadline - monotonic()) / 2
    error: OSError = TimeoutError()
    for address in addresses:
        left = latest - monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, callback.port), left)
        except OSError as failed:
            error = failed
    raise error


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class Line:
    """A connection on which everything has to be done by a time.

    Args:
        connected: The connection.
        deadline: That time, on the monotonic clock.
    """

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self._process = os.getpid()

    def encrypt(self, host: str) -> None:
        """Speak TLS from now on, with whoever can prove to have a name."""
        self._socket = _tls().wrap_socket(self._timed(), server_hostname=host)

    def _left(self) -> float:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _timed(self) -> socket.socket:
        self._socket.settimeout(self._left())
        return self._socket

    # What http.client asks of a socket:

    def sendall(self, data: bytes) -> None:
        """Send all of something."""
        self._timed().sendall(data)

    def makefile(self, _mode: str) -> BufferedReader:
        """Return what arrives, as a file."""
        return BufferedReader(_Reader(self))

    def receive(self, buffer: memoryview) -> int:
        """Wait until something arrives, and return how many bytes."""
        return self._timed().recv_into(buffer)

    def interrupt(self) -> None:
        """Break off what another thread waits for."""
        # A forked child has inherited lines on which its parent is still talking.
        if self._process == os.getpid():
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Do nothing: http.client closes before it reads what is left of the answer."""

    def hang_up(self) -> None:
        """End the connection."""
        self._socket.close()


class _Reader(RawIOBase):
    """What arrives on a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader passes this
        return self._line.receive(buffer)


def _ask(callback: Callback, line: Line, body: bytes) -> int:
    """Send a request and return the status of the answer."""
    connection = HTTPConnection(callback.host, callback.port)
    connection.default_port = 443 if callback.secure else 80
    connection.sock = line
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"ttorm-emulator/{__version__}",
        "Connection": "close",
    }
    connection.request("POST", callback.target, body, headers)
    with connection.getresponse() as answer:
        # The status has been sent: what comes behind it cannot make a success a failure.
        with suppress(OSError, HTTPException):
            answer.read(_MAX_ANSWER)
        return answer.status
