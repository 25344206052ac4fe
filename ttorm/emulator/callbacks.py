"""Callbacks: to which addresses messages may be sent, and sending them.

Subscribers name the address, so it may be meant for a machine that only this one can reach
(server-side request forgery). Messages go to this machine and to what the operator allows; names
are resolved once, and the connection is made to the very address that was checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ttorm.api.errors import ConfigurationError

if TYPE_CHECKING:
    from ttorm.emulator.posting import Line

__all__ = ["MAX_URL", "Callback", "CallbackError", "Callbacks", "Outcome", "read_url"]

MAX_URL = 512
"""Longest address of a callback, in characters."""

_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[0-9a-z_.-]+)(?::([0-9]{1,5}))?"
    r"((?:[/?](?:[!$&'()*+,./:;=?@_~0-9a-z-]|%[0-9a-f]{2})*)?)",
    re.ASCII | re.IGNORECASE,
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
    import socket

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
        self._open: set[Line] = set()
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
        # What speaks HTTP and TLS takes long to import, and most emulators send nothing.
        from ttorm.emulator.posting import post

        deadline = monotonic() + self._seconds
        try:
            callback = read_url(url)
            addresses = self.addresses(callback)
        except CallbackError:
            return Outcome("not_allowed", hopeless=True)
        except OSError:
            return Outcome("unknown_host")
        return post(callback, addresses, deadline, body, self._watched)

    @contextmanager
    def _watched(self, line: Line) -> Generator[None]:
        """Let a connection be broken off within a block, at whose end it ends."""
        self._open.add(line)
        try:
            if self._ended:
                raise ConnectionAbortedError
            yield
        finally:
            self._open.discard(line)
            line.hang_up()

    def end(self) -> None:
        """Break off what is being sent, and send nothing any more."""
        self._ended = True
        for line in tuple(self._open):
            line.interrupt()
