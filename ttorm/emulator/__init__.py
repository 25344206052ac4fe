"""Trusted Twin in Python: the platform's API on a store of your own, embedded or served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm.emulator.clock import Clock
from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy

if TYPE_CHECKING:
    from ttorm.emulator.snapshots import Snapshot

__all__ = ["Clock", "Emulator", "Policy", "Snapshot"]


def __getattr__(name: str) -> Any:
    # A server that nobody takes a snapshot of starts sooner.
    if name == "Snapshot":
        from ttorm.emulator.snapshots import Snapshot

        return Snapshot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
