"""The account's log, and a request that only leaves a trace."""

from __future__ import annotations

import logging
from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles
from ttorm.emulator.logs import take

__all__ = ["get_log", "trace"]

_log = logging.getLogger("ttorm.emulator")


@handles("get_log", writes=True)
def get_log(call: Call) -> dict[str, Any]:
    """Give the messages since the last reading, and the name of the fragment that follows."""
    fragment = call.text("fragment")
    following = call.world.ids.uuid()
    messages = take(call.tx, call.account, fragment, following)
    if messages is None:
        raise Fault(404653, f"The log has no fragment {(fragment or '')[:80]!r} any more.")
    return {"fragment": following, "messages": messages}


@handles("trace", writes=False)
def trace(call: Call) -> dict[str, Any]:
    """Leave a line in the emulator's own log."""
    _log.info("trace by user %s of account %s", call.principal.user, call.account)
    return {}
