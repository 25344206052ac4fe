"""Tokens: signed copies of what a user may do, for front ends."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_array, check_description, check_fields, check_timestamp
from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles

__all__ = ["OPTIONS", "create_user_token", "refresh_user_token"]

OPTIONS = ("create", "refresh")
"""What the holder of a token may do with it."""


@handles("create_user_token", writes=False)
def create_user_token(call: Call) -> dict[str, Any]:
    """Make a token; one made by a token carries no more than that one does."""
    body = call.body or {}
    check_fields(body, {"secret_dict", "options", "validity_ts"})
    dictionary = check_description(body.get("secret_dict"), "'secret_dict'")
    options = _read_options(body.get("options"))
    validity_ts = check_timestamp(body.get("validity_ts"))
    parent = call.principal
    if parent.credential == "token":
        _check_reach(call, options or [], validity_ts)
        if parent.dictionary is not None:
            dictionary = {**(dictionary or {}), **parent.dictionary}
    token = _sign(call, dictionary, options, validity_ts)
    return {"token": token, "options": options, "validity_ts": validity_ts}


@handles("refresh_user_token", writes=False)
def refresh_user_token(call: Call) -> dict[str, Any]:
    """Make a copy of the caller's token with another end; the old one stays valid."""
    body = call.body or {}
    check_fields(body, {"validity_ts"})
    validity_ts = check_timestamp(body.get("validity_ts"))
    parent = call.principal
    if parent.credential != "token":
        raise Fault(400897, "Only a token can be refreshed: sign in with it.")
    token = _sign(call, parent.dictionary, sorted(parent.options), validity_ts)
    return {"token": token, "validity_ts": validity_ts}


def _read_options(value: Any) -> list[str] | None:
    if value is None:
        return None
    options = check_array(value, "'options'")
    if all(option in OPTIONS for option in options):
        return options
    raise Fault(400589, "'options' is a list of 'create' and 'refresh', or null.")


def _check_reach(call: Call, options: list[str], validity_ts: float | None) -> None:
    """Refuse what would let the holder of a token shed its limits (403535)."""
    parent = call.principal
    if not parent.options.issuperset(options):
        raise Fault(403535, "A token cannot give options that it lacks itself.")
    end = parent.validity_ts
    if end is not None and (validity_ts is None or validity_ts > end):
        raise Fault(403535, "A token cannot make one that lives longer than itself.")


def _sign(
    call: Call,
    dictionary: dict[str, Any] | None,
    options: list[str] | None,
    validity_ts: float | None,
) -> str:
    principal = call.principal
    claims = {
        "jti": call.world.ids.uuid(),
        "acc": principal.account,
        "usr": principal.user,
        "sec": principal.secret,
        "opt": options,
        "dct": dictionary,
        "iat": call.now,
    }
    if validity_ts is not None:
        claims["exp"] = validity_ts
    return call.world.vault.sign(claims)
