"""Choices that the platform's documentation leaves open, each with a documented default."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Policy", "Service"]

Service: TypeAlias = Literal["databases", "timeseries", "indexes"]
"""A part of the platform that is enabled for each account by its operator."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the emulator behaves where the sources are silent or disagree.

    Attributes:
        null_role_rule: What a role without a rule may see of other accounts: nothing (the
            default, stated by the normative page), or everything that is visible otherwise.
        services: The services that accounts have; operations of others are refused.
        series_of_entries: What becomes of an Entry that names Timeseries tables or dimensions
            that do not exist, or that the account may not use: it is written, and what was wrong
            goes to the account's log (the default, documented for disabled services), or it is
            refused.
        lenient_bodies: Ignore unknown fields of request bodies instead of refusing them.
        tokens_need_secret: Refuse a token once the secret it stems from is deleted, replaced
            or expired.
        background: Run batches, and let what expires publish that, on a thread of the emulator.
            Without it batches run when `Emulator.run_batches` is called, and the end of a Sticker
            is noticed when somebody asks for Stickers.
        zip_downloads: Send a Doc's contents as the only member of a zip archive.
    """

    null_role_rule: Literal["own_account_only", "unrestricted"] = "own_account_only"
    services: Collection[Service] = ("databases", "timeseries", "indexes")
    series_of_entries: Literal["logged", "refused"] = "logged"
    lenient_bodies: bool = False
    tokens_need_secret: bool = True
    background: bool = True
    zip_downloads: bool = False
