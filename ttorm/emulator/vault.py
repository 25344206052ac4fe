"""Secrets, stored only as keyed hashes, and tokens, which are signed JSON (JWT)."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ttorm.api import codec
from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Vault", "issue_secret"]

_HEADER = urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class Vault:
    """Hashes secrets and signs tokens with the key of one store.

    Args:
        key: The key; whoever has it and the store can make tokens, but not read secrets.
    """

    def __init__(self, key: bytes) -> None:
        self._hashing = hmac.new(key, b"secrets", sha256).digest()
        self._signing = hmac.new(key, b"tokens", sha256).digest()
        self._sealing = hmac.new(key, b"seals", sha256).digest()

    @classmethod
    def of(cls, tx: Transaction, new_key: bytes) -> Vault:
        """Return the vault of a store, giving it a key when it has none."""
        tx.run(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
            "key",
            new_key.hex(),
        )
        row = tx.row("SELECT value FROM meta WHERE name = ?", "key")
        return cls(bytes.fromhex(row["value"]) if row else new_key)

    def hash(self, secret: str) -> str:
        """Return the hash under which a secret or PIN is stored."""
        return hmac.new(self._hashing, _bytes(secret), sha256).hexdigest()

    def holds(self, secret: str, stored: str) -> bool:
        """Tell, in constant time, whether a secret is the one that was stored."""
        return hmac.compare_digest(self.hash(secret), stored)

    def seal(self, text: str) -> str:
        """Return what nobody else can put beside a text: 32 hexadecimal digits."""
        return hmac.new(self._sealing, _bytes(text), sha256).hexdigest()[:32]

    def sealed(self, text: str, seal: str) -> bool:
        """Tell, in constant time, whether a text came with the seal that was made for it."""
        return hmac.compare_digest(_bytes(self.seal(text)), _bytes(seal))

    def sign(self, claims: dict[str, Any]) -> str:
        """Make a token that carries claims."""
        signed = _HEADER + b"." + _pack(codec.encode(claims))
        return (signed + b"." + _pack(self._signature(signed))).decode()

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token, or None when it was not signed here."""
        signed, _, signature = _bytes(token).rpartition(b".")
        if not hmac.compare_digest(_pack(self._signature(signed)), signature):
            return None
        claims: dict[str, Any] = codec.decode(_unpack(signed.partition(b".")[2]))
        return claims

    def _signature(self, signed: bytes) -> bytes:
        return hmac.new(self._signing, signed, sha256).digest()


def issue_secret(
    world: Emulator,
    tx: Transaction,
    account: str,
    user: str,
    validity_ts: float | None,
    now: float,
) -> str:
    """Make a secret for a user, replacing the old one, and return it: only its hash is kept."""
    secret = world.ids.secret()
    tx.run("DELETE FROM secrets WHERE owner = ?", user)
    tx.run(
        "INSERT INTO secrets (owner, account, uuid, hash, fingerprint, validity_ts, created_ts, "
        "updated_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        user,
        account,
        world.ids.uuid(),
        world.vault.hash(secret),
        secret[-4:],
        validity_ts,
        now,
        now,
    )
    return secret


def _bytes(text: str) -> bytes:
    # Headers may hold anything; what is no UTF-8 must be unknown, not an error.
    return text.encode("utf-8", "surrogatepass")


def _pack(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _unpack(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
