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
        background: Run batches, deliver notifications, and let what expires publish that, on
            threads of the emulator. Without it batches run when `Emulator.run_batches` is called,
            notifications go when `Emulator.deliver` is called, and the end of a Sticker is
            noticed then, or when somebody asks for Stickers.
        zip_downloads: Send a Doc's contents as the only member of a zip archive.
        topic_access: What it means that an account is given access to topics: it is listed and
            nothing else, or what that account publishes to these topics is also delivered to
            the subscriptions of the account that has given it.
        hash_members: The members of a notification that its hash is made of, in this order,
            which is documented for confirmations only.
        delivery_tries: How often a notification is sent until a receiver takes it; between
            tries pass 1, 2, 4 ... seconds, up to a minute, less a random part of at most half.
        delivery_seconds: How long one try may take.
    """

    null_role_rule: Literal["own_account_only", "unrestricted"] = "own_account_only"
    services: Collection[Service] = ("databases", "timeseries", "indexes")
    series_of_entries: Literal["logged", "refused"] = "logged"
    lenient_bodies: bool = False
    tokens_need_secret: bool = True
    background: bool = True
    zip_downloads: bool = False
    topic_access: Literal["listed", "delivered"] = "listed"
    hash_members: tuple[str, ...] = (
        *("type", "trigger", "message", "twin", "event", "sent_ts", "subscription"),
    )
    delivery_tries: int = 5
    delivery_seconds: float = 10.0
