"""Trusted Twin in Python: the platform's API on a store of your own, embedded or served."""

from __future__ import annotations

from ttorm.emulator.clock import Clock
from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy

__all__ = ["Clock", "Emulator", "Policy"]
