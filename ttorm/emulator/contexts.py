"""Contexts: whose Identities or Stickers a request is about."""

from __future__ import annotations

from ttorm.emulator.body import check_uuid
from ttorm.emulator.call import Call

__all__ = ["read_contexts"]


def read_contexts(call: Call, default: str) -> set[str] | None:
    """Read the query parameter ``context``.

    Args:
        call: The request.
        default: What counts when it was not sent.

    Returns:
        Accounts: the caller's own for ``personal``, else those named; None for ``system``, which
        is all.

    Raises:
        Fault: It is none of these (400589).
    """
    contexts = call.names("context") or [default]
    if contexts == ["personal"]:
        return {call.account}
    if contexts == ["system"]:
        return None
    return {check_uuid(context, "'context'") for context in contexts}
