"""Sockets that commands listen on."""

from __future__ import annotations

import socket

from ttorm.api.errors import ConfigurationError

__all__ = ["in_url", "listen"]


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that takes connections.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.

    Raises:
        ConfigurationError: The address is taken, or not one of this machine.
    """
    try:
        listener = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            "choose another with --host and --port (--port 0 takes a free one)"
        ) from None
    # Connections inherit it. Without it the body of an answer waits for the receipt of its head,
    # which clients hold back for 40 ms; asyncio sees to it only on sockets that it makes.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def in_url(host: str) -> str:
    """Write an address as URLs have it."""
    return f"[{host}]" if ":" in host else host
