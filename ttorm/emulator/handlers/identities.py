"""Identities: names that accounts give to Twins, and finding Twins by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ttorm.api import names
from ttorm.emulator.access import identity_allowed, twin_allowed
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import (
    check_fields,
    check_mapping,
    check_rule,
    check_timestamp,
)
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.contexts import read_contexts
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.twins import find_twin, twin_object, twins_at
from ttorm.emulator.rows import IdentityRow, TwinRow

__all__: list[str] = []

_FIELDS = ("validity_ts", "visibility")


def _check_identity(text: str) -> str:
    if names.IDENTITY.fullmatch(text):
        return text
    raise Fault(
        400589,
        f"{text!r} is no Identity: write a type of 1 to 8 letters, digits or '_', a '#', and 1 to "
        "128 characters out of A-Z a-z 0-9 _ = + -.",
    )


def _read_fields(fields: Any, where: str) -> dict[str, Any]:
    """Read what may be written of an Identity; what is not said is left out."""
    check_fields(check_mapping(fields, where), _FIELDS, where=where)
    read = {name: fields[name] for name in _FIELDS if name in fields}
    if "validity_ts" in read:
        read["validity_ts"] = check_timestamp(read["validity_ts"])
    if read.get("visibility") is not None:
        check_rule(read["visibility"], f"the visibility of {where}")
    return read


def _identity_object(identity: IdentityRow) -> dict[str, Any]:
    return {
        "validity_ts": identity.validity_ts,
        "visibility": identity.visibility,
        "updated_ts": identity.updated_ts,
        "creation_certificate": {
            "identity": identity.identity,
            "creator": identity.account,
            "created_ts": identity.created_ts,
        },
    }


def _find_identity(call: Call) -> IdentityRow:
    """Read the caller's Identity that the path names (404653 if there is none)."""
    text = _check_identity(call.args["identity"])
    twin = find_twin(call)
    row = call.tx.row(
        "SELECT * FROM identities WHERE twin = ? AND account = ? AND identity = ?",
        twin.uuid,
        call.account,
        text,
    )
    identity = None if row is None else IdentityRow.from_row(row)
    if identity is None or not identity_allowed(call, twin, identity):
        raise Fault(404653, f"The account has no Identity {text} on this Twin.")
    return identity


@handles("create_twin_identity")
def create_twin_identity(call: Call) -> dict[str, Any]:
    """Give a Twin Identities; those that exist are left as they are."""
    body = call.require_body()
    check_fields(body, {"identities"}, required={"identities"})
    wanted = {
        _check_identity(text): _read_fields(fields, f"Identity {text!r}")
        for text, fields in check_mapping(body["identities"], "'identities'").items()
    }
    if not wanted:
        raise Fault(400589, "'identities' is empty: name at least one Identity.")
    twin = find_twin(call)
    return {
        "identities": {text: _create(call, twin, text, fields) for text, fields in wanted.items()}
    }


def _create(call: Call, twin: TwinRow, text: str, fields: dict[str, Any]) -> dict[str, Any]:
    identity = IdentityRow(
        twin=twin.uuid,
        account=call.account,
        identity=text,
        validity_ts=fields.get("validity_ts"),
        visibility=fields.get("visibility"),
        created_ts=call.now,
        updated_ts=call.now,
    )
    made = call.tx.run(
        "INSERT INTO identities "
        "(twin, account, identity, validity_ts, visibility, created_ts, updated_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *identity,
    )
    if not made:
        return {"error": "Identity already exists."}
    call.count("identities_added")
    return _identity_object(identity)


@handles("get_twin_identity")
def get_twin_identity(call: Call) -> dict[str, Any]:
    """Show an Identity of the caller's account."""
    return _identity_object(_find_identity(call))


@handles("update_twin_identity")
def update_twin_identity(call: Call) -> dict[str, Any]:
    """Change the validity or visibility of an Identity."""
    fields = _read_fields(call.require_body(), "The body")
    identity = _find_identity(call)
    identity = identity._replace(**fields, updated_ts=later(call.now, identity.updated_ts))
    call.tx.run(
        "UPDATE identities SET validity_ts = ?, visibility = ?, updated_ts = ? "
        "WHERE twin = ? AND account = ? AND identity = ?",
        identity.validity_ts,
        identity.visibility,
        identity.updated_ts,
        identity.twin,
        identity.account,
        identity.identity,
    )
    return _identity_object(identity)


@handles("delete_twin_identity")
def delete_twin_identity(call: Call) -> dict[str, Any]:
    """Remove an Identity and show it as it was."""
    identity = _find_identity(call)
    call.tx.run(
        "DELETE FROM identities WHERE twin = ? AND account = ? AND identity = ?",
        identity.twin,
        identity.account,
        identity.identity,
    )
    return _identity_object(identity)


@handles("get_twin_identities")
def get_twin_identities(call: Call) -> dict[str, Any]:
    """List the Identities of a Twin: the caller's own, and visible ones of other accounts."""
    wanted = _filter(call)
    twin = find_twin(call)
    rows = call.tx.rows("SELECT * FROM identities WHERE twin = ? ORDER BY created_ts", twin.uuid)
    identities = map(IdentityRow.from_row, rows)
    # Where several accounts use one text, the last one shows it: the caller's own.
    return {
        "identities": {
            identity.identity: {
                "validity_ts": identity.validity_ts,
                "created_ts": identity.created_ts,
                "updated_ts": identity.updated_ts,
            }
            for identity in sorted(identities, key=lambda one: one.account == call.account)
            if wanted(identity) and identity_allowed(call, twin, identity)
        }
    }


def _filter(call: Call) -> Callable[[IdentityRow], bool]:
    personal = call.flag("show_personal", default=True)
    by_expiry = {
        False: call.flag("show_valid", default=True),
        True: call.flag("show_expired", default=False),
    }
    by_publicity = {
        True: call.flag("show_public", default=True),
        False: call.flag("show_private", default=True),
    }
    account = call.text("show_foreign") or ""
    foreign = (
        account.lower()
        if names.UUID.fullmatch(account)
        else call.flag("show_foreign", default=False)
    )

    def wanted(identity: IdentityRow) -> bool:
        expired = identity.expired(call.now)
        if identity.account != call.account:
            return foreign in (True, identity.account) and not expired
        return personal and by_expiry[expired] and by_publicity[identity.visibility is not None]

    return wanted


@handles("resolve_twin_identity")
def resolve_twin_identity(call: Call) -> dict[str, Any]:
    """Find the Twins that carry an Identity, the oldest first."""
    text = _check_identity(call.args["identity"])
    accounts = read_contexts(call, "personal")
    details = call.flag("details", default=False)
    rows = call.tx.rows("SELECT * FROM identities WHERE identity = ?", text)
    identities = [
        identity
        for identity in map(IdentityRow.from_row, rows)
        if (accounts is None or identity.account in accounts) and _resolves(call, identity)
    ]
    twins = twins_at(call, {identity.twin for identity in identities})
    found = {
        twin.seq: twin
        for identity in identities
        if (twin := twins.get(identity.twin)) and identity_allowed(call, twin, identity)
    }
    resolved = [twin for _, twin in sorted(found.items())]
    if not resolved and call.policy.unresolved == "not_found":
        raise Fault(404653, f"No Twin has the Identity {text}.")
    if details:
        return {"twins": [twin_object(twin) for twin in resolved if twin_allowed(call, twin)]}
    return {"twins": [twin.uuid for twin in resolved]}


def _resolves(call: Call, identity: IdentityRow) -> bool:
    return call.policy.expired_identities == "resolved" or not identity.expired(call.now)
