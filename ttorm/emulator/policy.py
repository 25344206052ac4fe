"""Choices that the platform's documentation leaves open, each with a documented default."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, TypeVar

from ttorm.api.signing import NOTIFICATION_MEMBERS

__all__ = ["Policy", "Service"]

Service: TypeAlias = Literal["databases", "timeseries", "indexes"]
"""A part of the platform that is enabled for each account by its operator."""

_T = TypeVar("_T")


def _switch(default: _T, reason: str) -> _T:
    """Declare a switch with the reason for its default."""
    declared: Any = field(default=default, metadata={"reason": reason})
    return declared  # type: ignore[no-any-return] # dataclass() takes the default out of it


@dataclass(frozen=True, slots=True)
class Policy:
    """How the emulator behaves where the sources are silent or disagree.

    Attributes:
        null_role_rule: What a role without a rule may see of other accounts: nothing, or
            everything that is visible otherwise.
        services: The services that accounts have; operations of others are refused.
        series_of_entries: What becomes of an Entry that names Timeseries tables or dimensions
            that do not exist, or that the account may not use: it is written, and what was wrong
            goes to the account's log, or it is refused.
        lenient_bodies: Ignore unknown fields of request bodies instead of refusing them.
        tokens_need_secret: Refuse a token once the secret it stems from is deleted, replaced
            or expired.
        expired_identities: Whether an Identity whose time is over still leads to its Twin.
        unresolved: What is answered when no Twin has an Identity: an empty list, or 404.
        cursor_fault: The error for a cursor that no scan has given.
        history_quota: Whether 512 bytes for a value with a history are advice, or a limit
            beyond which a write is refused with 400141.
        entry_updated_ts: What moves the time of an Entry's update: its properties only, or
            values as well.
        reference_delay: Seconds after which references follow their sources.
        doc_delay: Seconds for which an attached Doc is said to be copied.
        zip_downloads: Send a Doc's contents as the only member of a zip archive.
        background: Run batches, deliver notifications, let references follow late and what
            expires publish that, on threads of the emulator. Without it that is done by
            `Emulator.run_batches`, `Emulator.deliver` and `Emulator.propagate`, and the end of a
            Sticker is noticed then, or when somebody asks for Stickers.
        topic_access: What it means that an account is given access to topics: it is listed and
            nothing else, or what that account publishes to these topics is also delivered to
            the subscriptions of the account that has given it.
        hash_members: The members of a notification that its hash is made of, in this order.
        delivery_tries: How often a notification is sent until a receiver takes it; between
            tries pass 1, 2, 4 ... seconds, up to a minute, less a random part of at most half.
        delivery_seconds: How long one try may take.

    Example:
        >>> Policy(reference_delay=2.0).null_role_rule
        'own_account_only'
        >>> Policy.lenient().lenient_bodies
        True
    """

    null_role_rule: Literal["own_account_only", "unrestricted"] = _switch(
        "own_account_only", "The page about rules says so; guides read as if it were the other way."
    )
    services: Collection[Service] = _switch(
        ("databases", "timeseries", "indexes"), "Whoever tries the platform wants to see them."
    )
    series_of_entries: Literal["logged", "refused"] = _switch(
        "logged", "Documented for services that are not enabled."
    )
    lenient_bodies: bool = _switch(
        default=False,
        reason="A misspelt field is found at once; the platform's error body is as strict.",
    )
    tokens_need_secret: bool = _switch(
        default=True, reason="Who takes a secret away wants the access to end."
    )
    expired_identities: Literal["hidden", "resolved"] = _switch(
        "hidden", "That is what an end of validity is for."
    )
    unresolved: Literal["empty", "not_found"] = _switch(
        "empty", "The answer is a list, and an unknown Identity no mistake."
    )
    cursor_fault: Literal[400589, 400793] = _switch(
        400589, "A query parameter of a wrong form; the other one is for what cannot be decoded."
    )
    history_quota: Literal["soft", "hard"] = _switch("soft", "The documentation calls it soft.")
    entry_updated_ts: Literal["properties", "every_write"] = _switch(
        "properties", "The newer pages say so; an older example shows the other."
    )
    reference_delay: float = _switch(
        0.0, "Programs are easier to try; the platform takes a moment, about two seconds."
    )
    doc_delay: float = _switch(0.0, "As for references: the platform takes a moment.")
    zip_downloads: bool = _switch(
        default=False,
        reason="Sizes and hashes are those of the file, yet a page speaks of zip.",
    )
    background: bool = _switch(default=True, reason="The platform needs nobody who pushes it.")
    topic_access: Literal["listed", "delivered"] = _switch(
        "listed", "What the access allows is not documented."
    )
    hash_members: tuple[str, ...] = _switch(
        NOTIFICATION_MEMBERS,
        "The order is documented for confirmations only; this is that of the table of fields.",
    )
    delivery_tries: int = _switch(5, "Not documented: enough for a receiver that starts anew.")
    delivery_seconds: float = _switch(10.0, "Not documented: a receiver should only take note.")

    @classmethod
    def strict(cls, **switches: Any) -> Self:
        """Refuse all that any reading of the documentation refuses.

        What passes here should pass the platform, whichever way it decides.

        Args:
            switches: Other switches, and exceptions.
        """
        chosen: dict[str, Any] = {
            "null_role_rule": "own_account_only",
            "series_of_entries": "refused",
            "lenient_bodies": False,
            "tokens_need_secret": True,
            "expired_identities": "hidden",
            "unresolved": "not_found",
            "history_quota": "hard",
            "topic_access": "listed",
        }
        return cls(**{**chosen, **switches})

    @classmethod
    def lenient(cls, **switches: Any) -> Self:
        """Let pass all that any reading of the documentation lets pass.

        Args:
            switches: Other switches, and exceptions.
        """
        chosen: dict[str, Any] = {
            "null_role_rule": "unrestricted",
            "series_of_entries": "logged",
            "lenient_bodies": True,
            "tokens_need_secret": False,
            "expired_identities": "resolved",
            "unresolved": "empty",
            "history_quota": "soft",
            "topic_access": "delivered",
        }
        return cls(**{**chosen, **switches})
