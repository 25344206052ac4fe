"""Why a request got no answer, in words, and what may be done about it."""

from __future__ import annotations

import os
from ssl import SSLCertVerificationError

from ttorm.api.http import Limits, origin

__all__ = ["advice", "slowness"]

_SLOW = {
    "connect": "no connection to {place}",
    "write": "nothing of the request was taken",
    "read": "nothing came",
    "pool": "all connections are busy",
}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


def slowness(phase: str, limits: Limits, url: str) -> str:
    """Say what took too long.

    Args:
        phase: Name of the limit that was reached.
        limits: The connection's limits.
        url: Where the request was to go.
    """
    what, seconds = _SLOW[phase].format(place=origin(url)), getattr(limits, phase)
    if seconds is not None:
        what += f" for {seconds:g} seconds, Limits({phase}=...)"
    if phase == "pool":
        what += ": raise Limits(connections=...), or lower the concurrency"
    return what


def advice(error: BaseException, url: str, proxy: str | None, *, by_environment: bool) -> str:
    """Say what to look after when nothing could be sent.

    Args:
        error: Why.
        url: Where the request was to go.
        proxy: Address of the proxy that was asked to carry it.
        by_environment: Whether the environment may name one.
    """
    place = origin(url)
    if _is_distrust(error):
        return (
            f"who answers at {place} is not trusted: if that is right, trust its authority by "
            "connect(tls=ssl.create_default_context(cafile=...))"
        )
    if proxy is not None:
        return f"does the proxy {origin(proxy)} run and let you through, and does {place} run?"
    said = f"is a service running at {place}, as the URL says?"
    if by_environment and any(os.environ.get(name) for name in _PROXIES):
        said += " The environment names a proxy (HTTPS_PROXY and its kin): does that run?"
    return said


def _is_distrust(error: BaseException | None) -> bool:
    """Tell whether a certificate was refused, whatever libraries have made of that."""
    while error is not None and not isinstance(error, SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
