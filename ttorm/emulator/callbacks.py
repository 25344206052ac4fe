"""Callbacks: to which addresses messages may be sent, and sending them.

Subscribers name the address, so it may be meant for a machine that only this one can reach
(server-side request forgery). Messages go to this machine and to what the operator allows; names
are resolved once, and the connection is made to the very address that was checked.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException
from io import BufferedReader, RawIOBase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic
from typing import NamedTuple, TypeAlias

from ttorm._version import __version__
from ttorm.api.errors import ConfigurationError

__all__ = ["MAX_URL", "Callback", "CallbackError", "Callbacks", "Outcome", "read_url"]

MAX_URL = 512
"""Longest address of a callback, in characters."""

_MAX_ANSWER = 65_536
"""How many bytes of an answer are read; nothing is done with them."""
_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[0-9a-z_.-]+)(?::([0-9]{1,5}))?"
    r"((?:[/?](?:[!$&'()*+,./:;=?@_~0-9a-z-]|%[0-9a-f]{2})*)?)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ALLOWED = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_NEVER = tuple(
    map(
        ip_network,
        (
            # This network, link-local (clouds tell credentials there), multicast, reserved.
            *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
            *("fe80::/10", "fec0::/10", "ff00::/8"),
            # Where else clouds tell about their machines.
            *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
            *("fd00:ec2::/32", "fd20:ce::/32"),
            # IPv4 addresses in the dress of IPv6: compatible, mapped, translated, tunnelled.
            *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"),
            *("2001::/32", "2002::/16"),
        ),
    )
)

_Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Iterable[str]]
"""Finds the IP addresses of a host and port; raises `OSError` if there are none."""


class CallbackError(ValueError):
    """A text is no address that messages could be sent to."""


class Callback(NamedTuple):
    """Where a message is sent.

    Attributes:
        secure: Whether TLS is spoken.
        host: A name or an IP address, in lower case.
        port: The port.
        target: Path and query.
    """

    secure: bool
    host: str
    port: int
    target: str


class Outcome(NamedTuple):
    """What came of sending a message.

    Attributes:
        code: The status of the answer, or a word when there was none.
        delivered: Whether the receiver has taken it.
        hopeless: Whether trying again would change nothing.
    """

    code: str
    delivered: bool = False
    hopeless: bool = False


def read_url(url: str) -> Callback:
    """Take the address of a callback apart.

    Raises:
        CallbackError: It is none.

    Example:
        >>> read_url("https://Hooks.example/in?x=1")
        Callback(secure=True, host='hooks.example', port=443, target='/in?x=1')
        >>> read_url("http://0177.1/")
        Traceback (most recent call last):
        ...
        ttorm.emulator.callbacks.CallbackError: the host '0177.1' is neither a name nor an address
    """
    if len(url) > MAX_URL:
        raise CallbackError(f"it has {len(url)} characters, at most {MAX_URL} are taken")
    found = _URL.fullmatch(url)
    if found is None:
        raise CallbackError("expected http or https, a host without user or password, and a path")
    scheme, host, port, target = found.groups()
    secure = scheme.lower() == "https"
    return Callback(
        secure,
        _read_host(host),
        _read_port(port) or (443 if secure else 80),
        target if target.startswith("/") else f"/{target}",
    )


def _read_host(text: str) -> str:
    host = text.lower()
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        labels = host.split(".")
        # Libraries read "2130706433", "0x7f.1" and "0177.0.0.1" as addresses of their own making.
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
        if len(host) <= 253 and all(map(_LABEL.fullmatch, labels)):
            return host
    except ValueError:
        pass
    raise CallbackError(f"the host {text!r} is neither a name nor an address")


def _read_port(text: str | None) -> int | None:
    port = None if text is None else int(text)
    if port is None or 1 <= port <= 65_535:
        return port
    raise CallbackError(f"the port {text} is not from 1 to 65535")


class _Permit(NamedTuple):
    """A name or a network that messages may be sent to, at one port or at all."""

    host: str | None
    network: tuple[int, int, int] | None
    port: int | None

    def covers(self, callback: Callback, address: _Address) -> bool:
        if self.port not in (None, callback.port):
            return False
        if self.network is None:
            return self.host == callback.host
        version, first, last = self.network
        return version == address.version and first <= int(address) <= last


def _read_permit(text: str) -> _Permit:
    try:
        if "/" in text or (text.count(":") > 1 and not text.startswith("[")):
            return _Permit(None, _span(text), None)
        found = _ALLOWED.fullmatch(text)
        if found is None:
            raise CallbackError(text)
        host, port = _read_host(found[1]), _read_port(found[2])
        if _is_address(host):
            return _Permit(None, _span(host), port)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} names no target of callbacks: expected HOST, HOST:PORT, an address such as "
            "'10.1.2.3:8080' or '[fd12::1]:8080', or a network such as '10.1.0.0/16'"
        ) from None
    return _Permit(host, None, port)


def _span(text: str) -> tuple[int, int, int]:
    network = ip_network(text)
    return network.version, int(network.network_address), int(network.broadcast_address)


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return False


def resolve(host: str, port: int) -> list[str]:
    """Ask the computer for the addresses of a host, in the order in which to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Callbacks:
    """Sends messages to addresses that are allowed.

    Args:
        allowed: Targets beside this machine: ``HOST``, ``HOST:PORT``, addresses, networks.
            Link-local and multicast addresses and the like cannot be allowed.
        seconds: How long sending one message may take.
        resolver: Finds addresses of hosts.

    Raises:
        ConfigurationError: What is to be allowed is no target.

    Example:
        >>> callbacks = Callbacks(["10.1.0.0/16", "hooks.example:8443"])
        >>> callbacks.addresses(read_url("http://10.1.2.3/in"))
        ['10.1.2.3']
        >>> callbacks.addresses(read_url("http://169.254.169.254/latest"))
        Traceback (most recent call last):
        ...
        ttorm.emulator.callbacks.CallbackError: callbacks to 169.254.169.254 are not allowed
    """

    def __init__(
        self, allowed: Iterable[str] = (), *, seconds: float = 10.0, resolver: Resolver = resolve
    ) -> None:
        self._permits = tuple(map(_read_permit, allowed))
        self._seconds = seconds
        self._resolver = resolver
        self._open: set[_Line] = set()
        self._ended = False

    def addresses(self, callback: Callback) -> list[str]:
        """Return the addresses that a message may be sent to.

        Raises:
            CallbackError: One of them is not allowed.
            OSError: There are none.
        """
        found = list(self._resolver(callback.host, callback.port))
        for text in found:
            if not self._allows(callback, ip_address(text)):
                about = "" if text == callback.host else f" ({callback.host})"
                raise CallbackError(f"callbacks to {text}{about} are not allowed")
        return found

    def _allows(self, callback: Callback, address: _Address) -> bool:
        if any(address in network for network in _LOOPBACK):
            return True
        if any(address in network for network in _NEVER):
            return False
        return any(permit.covers(callback, address) for permit in self._permits)

    def post(self, url: str, body: bytes) -> Outcome:
        """Send a JSON message, and tell what came of it. No redirect is followed."""
        try:
            callback = read_url(url)
            deadline = monotonic() + self._seconds
            addresses = self.addresses(callback)
            status = self._exchange(callback, addresses, deadline, body)
        except CallbackError:
            return Outcome("not_allowed", hopeless=True)
        except TimeoutError:
            return Outcome("timeout")
        except socket.gaierror:
            return Outcome("unknown_host")
        except ssl.SSLError:
            return Outcome("tls")
        except HTTPException:
            return Outcome("no_http")
        except OSError:
            return Outcome("no_connection")
        return Outcome(str(status), delivered=200 <= status < 300)

    def _exchange(
        self, callback: Callback, addresses: list[str], deadline: float, body: bytes
    ) -> int:
        line = _Line(_connect(callback, addresses, deadline), deadline)
        self._open.add(line)
        try:
            if self._ended:
                raise ConnectionAbortedError
            if callback.secure:
                line.encrypt(callback.host)
            return _ask(callback, line, body)
        finally:
            self._open.discard(line)
            line.hang_up()

    def end(self) -> None:
        """Break off what is being sent, and send nothing any more."""
        self._ended = True
        for line in tuple(self._open):
            line.interrupt()


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


class _Line:
    """A connection on which everything has to be done by a time."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self._process = os.getpid()

    def encrypt(self, host: str) -> None:
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
        self._timed().sendall(data)

    def makefile(self, _mode: str) -> BufferedReader:
        return BufferedReader(_Reader(self))

    def receive(self, buffer: memoryview) -> int:
        return self._timed().recv_into(buffer)

    def interrupt(self) -> None:
        # A forked child has inherited lines on which its parent is still talking.
        if self._process == os.getpid():
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Do nothing: http.client closes before it reads what is left of the answer."""

    def hang_up(self) -> None:
        self._socket.close()


class _Reader(RawIOBase):
    """What arrives on a line."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader passes this
        return self._line.receive(buffer)


def _ask(callback: Callback, line: _Line, body: bytes) -> int:
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
