"""The way to a service: its address, and the limits, trust and proxy that go with it."""

from __future__ import annotations

from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ttorm.api.errors import ConfigurationError
from ttorm.api.http import Limits, Transport

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Network", "check_address", "injected", "served"]


class Network(NamedTuple):
    """How services are reached.

    Attributes:
        limits: Time-outs and bounds.
        tls: Whom to trust; None trusts the machine's authorities.
        proxy: Address of a proxy; None asks the environment.
    """

    limits: Limits = Limits()
    tls: SSLContext | None = None
    proxy: str | None = None


def served(url: str, network: Network) -> dict[str, Any]:
    """Give the parts of a connection to a service.

    Raises:
        ConfigurationError: The network's settings cannot be used.
    """
    # The HTTP library is imported when a connection first needs it.
    from ttorm.connection.http import HttpTransport

    base = url.rstrip("/")
    # Who checks certificates and no names believes whoever has one of a trusted authority.
    unchecked = network.tls is not None and not network.tls.check_hostname
    if unchecked or not _is_private(base):
        import warnings

        reason = (
            "certificates or their names are not checked"
            if unchecked
            else "http:// is not encrypted"
        )
        warnings.warn(
            f"{reason}: whoever is between here and {base} can read the credential and answer in "
            "its place",
            stacklevel=4,
        )
    transport = HttpTransport(network.limits, tls=network.tls, proxy=network.proxy)
    return {"url": url, "address": base.lower(), "base_url": base, "transport": transport}


def _is_private(url: str) -> bool:
    """Tell whether nobody can listen: it is encrypted, or does not leave this machine."""
    from ipaddress import ip_address

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme.lower() == "https":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_address(url: str) -> None:
    """Refuse what is no address of a service.

    Raises:
        ConfigurationError: That.
    """
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise ConfigurationError(
            "the URL holds a user name or password, which the API does not take: leave it out and "
            "write secret=... or token=..."
        )
    try:
        # Without a query, which may be a credential: tracebacks show locals.
        parts = urlsplit(url.partition("?")[0])
        host = parts.hostname or ""
        host.encode("idna")  # which refuses empty and long parts
        fine = bool(host) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        fine = False
    if not fine or "?" in url or "#" in url:
        raise ConfigurationError(
            f"{url.partition('?')[0]!r} is no address of a service: expected https://host, with a "
            "port or a path where needed, and nothing after it"
        )


def injected(url: str, transport: Any, network: Network) -> dict[str, Any]:
    """Give the parts of a connection over a transport in place of the network.

    Raises:
        ConfigurationError: There are settings that only the network heeds.
    """
    if network.tls is not None or network.proxy is not None:
        raise ConfigurationError(
            "tls= and proxy= say how the network is reached, and transport= takes its place: give "
            "them to the transport"
        )
    base = url.rstrip("/")
    if not (hasattr(transport, "send") and hasattr(transport, "asend")):
        from ttorm.connection.http import HttpTransport

        carrier: Transport = HttpTransport(network.limits, transport)
    else:
        carrier = transport
    emulator = getattr(transport, "emulator", None)
    return {
        "url": url,
        "address": base.lower() if emulator is None else emulator.address,
        "base_url": base,
        "transport": carrier,
        # A transport may sign by itself, and nobody here knows as whom.
        "principal": getattr(transport, "user", None) or urandom(16).hex(),
        "emulator": emulator,
    }
