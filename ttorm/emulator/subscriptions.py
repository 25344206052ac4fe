"""Subscriptions as they are kept, and the addresses by which subscribers settle them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.store import Row, Transaction

if TYPE_CHECKING:
    from ttorm.emulator.vault import Vault

__all__ = [
    "MAX_SUBSCRIPTIONS",
    "Purpose",
    "SubscriptionRow",
    "TokenError",
    "audience",
    "grant",
    "granted",
    "purge",
    "read_token",
    "token_url",
]

MAX_SUBSCRIPTIONS = 100
"""How many subscriptions an account may have at the same time."""

Purpose: TypeAlias = Literal["confirm", "refresh", "unsubscribe"]
"""What a subscription token is good for."""

_PATH = "/notifications/webhooks/"
_SEPARATOR = "___"


class TokenError(ValueError):
    """A text does not have the form of a subscription token."""


class SubscriptionRow(NamedTuple):
    """A subscription.

    Attributes:
        uuid: Identifies it among all subscriptions that ever were.
        account: Whose it is.
        topic: What its receiver is told of.
        callback_url: Where its receiver is.
        target: Host and port of that address.
        origin: The address under which the subscriber reaches this emulator.
        client_secret: The subscriber's part of the key of message hashes; None when there are none.
        server_secret: The emulator's part.
        confirmed: Whether it was confirmed; else only the confirmation message is sent.
        number: How many messages there were for it.
        validity_ts: When it expires.
    """

    uuid: str
    account: str
    topic: str
    callback_url: str
    target: str
    origin: str
    client_secret: str | None
    server_secret: str | None
    confirmed: bool
    number: int
    validity_ts: float

    @property
    def key(self) -> str | None:
        """The key of message hashes; None when there are none."""
        if self.client_secret is None or self.server_secret is None:
            return None
        return self.client_secret + self.server_secret

    def shown(self, vault: Vault | None = None) -> dict[str, Any]:
        """Show it to its subscriber.

        Args:
            vault: Makes the addresses for refreshing and unsubscribing; without it there are none.
        """
        shown = {"topic": self.topic, "account": self.account, "validity_ts": self.validity_ts}
        if vault is None:
            return shown
        return {
            **shown,
            "unsubscribe_url": token_url(vault, self, "unsubscribe"),
            "refresh_url": token_url(vault, self, "refresh"),
        }

    def insert(self, tx: Transaction) -> None:
        """Keep a new one."""
        tx.run(
            "INSERT INTO subscriptions (uuid, account, topic, callback_url, target, origin, "
            "client_secret, server_secret, confirmed, number, validity_ts, leased_ts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            *self[:8],
            int(self.confirmed),
            *self[9:],
        )

    def update(self, tx: Transaction) -> None:
        """Keep what can change of one: its secrets, whether it is confirmed, when it expires."""
        tx.run(
            "UPDATE subscriptions SET client_secret = ?, server_secret = ?, confirmed = ?, "
            "validity_ts = ? WHERE uuid = ?",
            self.client_secret,
            self.server_secret,
            int(self.confirmed),
            self.validity_ts,
            self.uuid,
        )

    def delete(self, tx: Transaction) -> None:
        """Forget it, and what was still to be sent."""
        tx.run("DELETE FROM deliveries WHERE subscription = ?", self.uuid)
        tx.run("DELETE FROM subscriptions WHERE uuid = ?", self.uuid)

    @classmethod
    def from_row(cls, row: Row) -> SubscriptionRow:
        """Read a row of the table ``subscriptions``."""
        fields: dict[str, Any] = {name: row[name] for name in cls._fields}
        fields["confirmed"] = bool(row["confirmed"])
        return cls(**fields)


def token_url(vault: Vault, subscription: SubscriptionRow, purpose: Purpose) -> str:
    """Return the address by which a subscriber does something with a subscription.

    The token in it is not kept: it names the subscription and is sealed with the store's key.
    """
    named = _SEPARATOR.join((purpose, subscription.account, subscription.uuid))
    token = b64encode(f"{named}{_SEPARATOR}{vault.seal(named)}".encode()).decode()
    return f"{subscription.origin}{_PATH}{subscription.account}?token={quote(token, safe='')}"


def read_token(vault: Vault, token: str, account: str, purpose: Purpose) -> str | None:
    """Return the subscription that a token names.

    Args:
        vault: What sealed it.
        token: The token.
        account: The account that the request's path names.
        purpose: What the token is to be good for.

    Returns:
        The subscription's UUID; None when the token is for something else, or made up.

    Raises:
        TokenError: It does not even look like a token.
    """
    try:
        text = b64decode(token, validate=True).decode("ascii")
    except ValueError:
        raise TokenError(token) from None
    named, _, seal = text.rpartition(_SEPARATOR)
    parts = named.split(_SEPARATOR)
    if len(parts) != 3:
        raise TokenError(token)
    if parts[:2] != [purpose, account] or not vault.sealed(named, seal):
        return None
    return parts[2]


def purge(tx: Transaction, now: float) -> None:
    """Forget the subscriptions that have expired, and what was still to be sent to them."""
    over = "SELECT uuid FROM subscriptions WHERE validity_ts <= ?"
    tx.run(f"DELETE FROM deliveries WHERE subscription IN ({over})", now)  # noqa: S608 - a constant
    tx.run("DELETE FROM subscriptions WHERE validity_ts <= ?", now)


def grant(tx: Transaction, account: str, grantee: str, topics: list[str]) -> None:
    """Give another account access to topics of an account; no topics take it back."""
    tx.run("DELETE FROM topic_access WHERE account = ? AND grantee = ?", account, grantee)
    if topics:
        tx.run(
            "INSERT INTO topic_access (account, grantee, topics) VALUES (?, ?, ?)",
            account,
            grantee,
            to_json(topics),
        )


def granted(tx: Transaction, account: str) -> dict[str, list[str]]:
    """Return the accounts that have access to topics of an account, and the topics."""
    rows = tx.rows("SELECT * FROM topic_access WHERE account = ? ORDER BY grantee", account)
    return {row["grantee"]: from_json(row["topics"]) for row in rows}


def audience(tx: Transaction, publisher: str) -> Iterable[tuple[str, list[str]]]:
    """Return the accounts that let another one publish to topics of theirs, and the topics."""
    rows = tx.rows("SELECT * FROM topic_access WHERE grantee = ? ORDER BY account", publisher)
    return [(row["account"], from_json(row["topics"])) for row in rows]
