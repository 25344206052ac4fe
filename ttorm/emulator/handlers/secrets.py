"""Secrets of users: made in two steps, by a PIN that one person makes and another exchanges."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_timestamp
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.users import find_user
from ttorm.emulator.rows import SecretRow
from ttorm.emulator.vault import issue_secret

__all__ = [
    "PIN_SECONDS",
    "create_user_secret",
    "create_user_secret_pin",
    "delete_user_secret",
    "get_user_secret",
    "update_user_secret",
]

PIN_SECONDS = 600.0
"""How long a PIN can be exchanged."""


def _find_secret(call: Call) -> SecretRow:
    user = find_user(call)
    row = call.tx.row("SELECT * FROM secrets WHERE owner = ?", user.uuid)
    if row is None:
        raise Fault(404653, f"The user {user.uuid} has no secret.")
    return SecretRow.from_row(row)


def _read_validity(call: Call) -> float | None:
    body = call.body or {}
    check_fields(body, {"validity_ts"})
    return check_timestamp(body.get("validity_ts"))


@handles("create_user_secret_pin")
def create_user_secret_pin(call: Call) -> dict[str, Any]:
    """Make a PIN for a user, replacing the last one; the old secret holds until it is used."""
    validity_ts = _read_validity(call)
    user = find_user(call)
    call.tx.run("DELETE FROM pins WHERE owner = ? OR expires_ts <= ?", user.uuid, call.now)
    while True:
        pin = call.world.ids.pin()
        added = call.tx.run(
            "INSERT INTO pins (owner, account, hash, validity_ts, expires_ts) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, hash) DO NOTHING",
            user.uuid,
            user.account,
            call.world.vault.hash(pin),
            validity_ts,
            call.now + PIN_SECONDS,
        )
        if added:
            return {"pin": pin}


@handles("create_user_secret")
def create_user_secret(call: Call) -> dict[str, Any]:
    """Exchange a PIN for a secret, which nobody can read again."""
    account = call.args["account"].lower()
    row = call.tx.row(
        "SELECT * FROM pins WHERE account = ? AND hash = ?",
        account,
        call.world.vault.hash(call.args["pin"]),
    )
    if row is None or row["expires_ts"] <= call.now:
        # The same text whatever is wrong, so that guessing tells nothing.
        raise Fault(404653, "There is no such PIN, or it was used or is over.")
    call.tx.run("DELETE FROM pins WHERE owner = ?", row["owner"])
    secret = issue_secret(call.world, call.tx, account, row["owner"], row["validity_ts"], call.now)
    return {
        "account": account,
        "user": row["owner"],
        "secret": secret,
        "validity_ts": row["validity_ts"],
        "created_ts": call.now,
        "updated_ts": call.now,
    }


@handles("get_user_secret")
def get_user_secret(call: Call) -> dict[str, Any]:
    """Show all of a secret but the secret."""
    return _secret_object(_find_secret(call))


@handles("update_user_secret")
def update_user_secret(call: Call) -> dict[str, Any]:
    """Set when a secret expires; a body that does not say it lets it never expire."""
    validity_ts = _read_validity(call)
    secret = _find_secret(call)
    secret = secret._replace(validity_ts=validity_ts, updated_ts=later(call.now, secret.updated_ts))
    call.tx.run(
        "UPDATE secrets SET validity_ts = ?, updated_ts = ? WHERE owner = ?",
        secret.validity_ts,
        secret.updated_ts,
        secret.owner,
    )
    return _secret_object(secret)


@handles("delete_user_secret")
def delete_user_secret(call: Call) -> dict[str, Any]:
    """Delete a secret, which is refused from then on, and a pending PIN."""
    secret = _find_secret(call)
    for table in ("pins", "secrets"):
        call.tx.run(f"DELETE FROM {table} WHERE owner = ?", secret.owner)  # noqa: S608 - as above
    return _secret_object(secret)


def _secret_object(secret: SecretRow) -> dict[str, Any]:
    return {
        "account": secret.account,
        "user": secret.owner,
        "fingerprint": secret.fingerprint,
        "validity_ts": secret.validity_ts,
        "created_ts": secret.created_ts,
        "updated_ts": secret.updated_ts,
    }
