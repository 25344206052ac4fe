"""Moments, for records: see `ttorm.api.moments`."""

from __future__ import annotations

from ttorm.api.moments import moment, timestamp

__all__ = ["moment", "timestamp"]
