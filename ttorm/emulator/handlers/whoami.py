"""Who one is."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles

__all__ = ["who_am_i"]


@handles("who_am_i")
def who_am_i(call: Call) -> dict[str, Any]:
    """Tell the caller's own UUIDs."""
    principal = call.principal
    return {"account": principal.account, "user": principal.user, "role": principal.role}
