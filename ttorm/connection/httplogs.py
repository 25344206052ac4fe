"""What the HTTP library logs by itself, without what nobody else should read."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["keep_quiet"]


def keep_quiet(library: str) -> None:
    """Have a library's logs tell neither addresses that are credentials nor where files are.

    Args:
        library: Its name, ``httpx`` or ``httpx2``. Its addresses that are not to be told have the
            attribute ``hidden``.
    """
    logging.getLogger(library).addFilter(_hide)
    wire = library.replace("httpx", "httpcore")
    logging.getLogger(f"{wire}.http11").addFilter(_hide_headers)


def _hide(record: logging.LogRecord) -> bool:
    """Show of such addresses where they lead only."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_shown, record.args))
    return True


def _shown(value: Any) -> object:
    if getattr(value, "hidden", False):
        return f"{value.scheme}://{value.netloc.decode()}/..."
    return value


def _hide_headers(record: logging.LogRecord) -> bool:
    """Show no headers of answers, which tell where files are."""
    if isinstance(record.msg, str) and record.msg.startswith("receive_response_headers.complete"):
        record.msg = record.msg.partition(", [")[0] + ", ...)"
    return True
