"""Stickers: coloured notes on Twins, for those who are named on them."""

from __future__ import annotations

from functools import partial
from typing import Any

from ttorm.api import names
from ttorm.emulator.access import twin_allowed
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import (
    check_array,
    check_fields,
    check_mapping,
    check_text,
    check_timestamp,
    check_topic,
    check_uuid,
)
from ttorm.emulator.call import Call
from ttorm.emulator.contexts import read_contexts
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.twins import find_twin, twins_at
from ttorm.emulator.rows import TwinRow
from ttorm.emulator.stickers import StickerRow, any_expired, expire, put, remove, sweep

__all__ = ["LONGEST_NOTE", "MOST_RECIPIENTS", "MOST_STICKERS", "OCCASIONS"]

_FIELDS = ("note", "recipients", "validity_ts", "publish")
OCCASIONS = ("on_put", "on_remove", "on_expire")
"""When a Sticker can publish."""
LONGEST_NOTE = 512
"""Longest note, in characters."""
MOST_RECIPIENTS = 100
"""How many recipients a Sticker may have."""
MOST_STICKERS = 100
"""How many Stickers one listing shows."""
_YEAR = 31_536_000.0
"""Longest life of a Sticker in seconds, and the one it has when nothing else is said."""
_RECEIVED = (
    "SELECT * FROM stickers WHERE validity_ts > ? AND uuid IN "
    "(SELECT sticker FROM sticker_recipients WHERE recipient IN (?, ?, ?)) {more} "
    "ORDER BY created_ts DESC, account DESC, twin DESC, color DESC"
)


def _check_color(text: str) -> str:
    if names.COLOR.fullmatch(text):
        return text
    raise Fault(400589, f"{text[:80]!r} is no colour: write 3 to 48 letters, digits and '-'.")


def _read_draft(call: Call, color: str, fields: Any) -> dict[str, Any]:
    """Read what a request says about a new Sticker."""
    where = f"Sticker {color!r}"
    check_fields(check_mapping(fields, where), _FIELDS, required={"recipients"}, where=where)
    note, publish = fields.get("note"), fields.get("publish")
    if note is not None:
        check_text(note, f"the note of {where}", LONGEST_NOTE)
    return {
        "note": note,
        "recipients": _read_recipients(fields["recipients"], f"the recipients of {where}"),
        "publish": None if publish is None else _read_publish(publish, f"the publish of {where}"),
        "validity_ts": _read_validity(call, fields.get("validity_ts"), where),
    }


def _read_recipients(value: Any, where: str) -> list[str]:
    recipients = check_array(value, where)
    if not 1 <= len(recipients) <= MOST_RECIPIENTS:
        raise Fault(400589, f"{where} are {len(recipients)}: write 1 to {MOST_RECIPIENTS} UUIDs.")
    return [check_uuid(recipient, f"one of {where}") for recipient in recipients]


def _read_publish(value: Any, where: str) -> dict[str, list[str]] | None:
    publish = check_mapping(value, where)
    check_fields(publish, OCCASIONS, where=where)
    read: dict[str, list[str]] = {}
    for occasion in OCCASIONS:
        if occasion in publish:
            topics = publish[occasion]
            listed = [topics] if isinstance(topics, str) else check_array(topics, where)
            read[occasion] = [check_topic(topic, f"a topic in {where}") for topic in listed]
    return read or None


def _read_validity(call: Call, value: Any, where: str) -> float:
    latest = round(call.now + _YEAR, 3)
    validity_ts = check_timestamp(value, f"the validity_ts of {where}")
    if validity_ts is None:
        return latest
    if not call.now < validity_ts <= latest:
        raise Fault(
            400589,
            f"The validity_ts of {where} is {validity_ts!r}: write a time after now and up to "
            f"{latest!r}, which is a year from now.",
        )
    return validity_ts


def _whole(sticker: StickerRow) -> dict[str, Any]:
    """Show a Sticker to the account that put it."""
    shown: dict[str, Any] = {} if sticker.note is None else {"note": sticker.note}
    shown["recipients"] = sticker.recipients
    shown["validity_ts"] = sticker.validity_ts
    shown["created_ts"] = sticker.created_ts
    if sticker.publish is not None:
        shown["publish"] = sticker.publish
    return shown


def _received(sticker: StickerRow) -> dict[str, Any]:
    """Show a Sticker to a recipient."""
    shown: dict[str, Any] = {} if sticker.note is None else {"note": sticker.note}
    return {**shown, "validity_ts": sticker.validity_ts, "created_ts": sticker.created_ts}


def _not_found() -> Fault:
    return Fault(404653, "Sticker not found.")


@handles("put_sticker")
def put_sticker(call: Call) -> dict[str, Any]:
    """Put Stickers on a Twin; colours that the account uses there already are left as they are."""
    body = call.require_body()
    check_fields(body, {"stickers"}, required={"stickers"})
    drafts = {
        _check_color(color): _read_draft(call, color, fields)
        for color, fields in check_mapping(body["stickers"], "'stickers'").items()
    }
    if not drafts:
        raise Fault(400589, "'stickers' is empty: name at least one Sticker.")
    twin = find_twin(call)
    expire(call)
    if any(draft["publish"] for draft in drafts.values()):
        call.afterwards.append(call.world.background.wake)
    return {"stickers": {color: _put(call, twin, color, draft) for color, draft in drafts.items()}}


def _put(call: Call, twin: TwinRow, color: str, draft: dict[str, Any]) -> dict[str, Any]:
    sticker = StickerRow(
        uuid=call.world.ids.uuid(),
        twin=twin.uuid,
        account=call.account,
        color=color,
        created_ts=call.now,
        **draft,
    )
    return _whole(sticker) if put(call, sticker) else {"error": "Sticker already exists."}


@handles("get_sticker")
def get_sticker(call: Call) -> dict[str, Any]:
    """Show a Sticker that the caller's account has put on a Twin."""
    color = _check_color(call.args["color"])
    twin = find_twin(call)
    _expire_afterwards(call)
    row = call.tx.row(
        "SELECT * FROM stickers WHERE twin = ? AND account = ? AND color = ? AND validity_ts > ?",
        twin.uuid,
        call.account,
        color,
        call.now,
    )
    if row is None:
        raise _not_found()
    return _whole(StickerRow.from_row(row))


@handles("get_stickers")
def get_stickers(call: Call) -> dict[str, Any]:
    """Show the Stickers on a Twin that the caller is a recipient of, by who put them."""
    contexts = read_contexts(call, "system")
    twin = find_twin(call)
    accounts: dict[str, dict[str, Any]] = {}
    for sticker in _stickers_for(call, contexts, "AND twin = ?", twin.uuid):
        accounts.setdefault(sticker.account, {})[sticker.color] = _received(sticker)
    return {"accounts": accounts}


@handles("list_stickers")
def list_stickers(call: Call) -> dict[str, Any]:
    """Show the Stickers on all Twins that the caller is a recipient of, the newest first."""
    limit = call.integer("limit", default=MOST_STICKERS, low=1, high=MOST_STICKERS)
    offset = call.integer("offset", default=0, low=0, high=999_999_999)
    since, until, color = call.timestamp("ge"), call.timestamp("le"), call.text("color")
    if color is not None:
        _check_color(color)
    stickers = [
        sticker
        for sticker in _stickers_for(call, read_contexts(call, "personal"))
        if (color is None or sticker.color == color)
        and (since is None or sticker.created_ts >= since)
        and (until is None or sticker.created_ts <= until)
    ]
    twins = twins_at(call, {sticker.twin for sticker in stickers})
    allowed = {uuid for uuid, twin in twins.items() if twin_allowed(call, twin)}
    shown = [sticker for sticker in stickers if sticker.twin in allowed]
    return {"stickers": [_listed(sticker) for sticker in shown[offset : offset + limit]]}


def _listed(sticker: StickerRow) -> dict[str, Any]:
    place = {"account": sticker.account, "twin": sticker.twin, "color": sticker.color}
    return {**place, **_received(sticker)}


@handles("remove_sticker")
def remove_sticker(call: Call) -> dict[str, Any]:
    """Remove a Sticker that the caller is a recipient of: the newest, if several accounts put it.

    Of two who remove it at the same time one gets it, the other finds none.
    """
    color, contexts = _check_color(call.args["color"]), read_contexts(call, "personal")
    twin = find_twin(call)
    expire(call)
    stickers = _stickers_for(call, contexts, "AND twin = ? AND color = ?", twin.uuid, color)
    if not stickers or not remove(call, stickers[0], "on_remove"):
        raise _not_found()
    return {"account": stickers[0].account, **_received(stickers[0])}


def _stickers_for(
    call: Call, contexts: set[str] | None, more: str = "", *parameters: str
) -> list[StickerRow]:
    """Read the Stickers that the caller is a recipient of, the newest first.

    Args:
        call: The request.
        contexts: The accounts that have put them; None for all.
        more: Another condition, with its parameters.
        parameters: See there.
    """
    _expire_afterwards(call)
    rows = call.tx.rows(
        _RECEIVED.format(more=more),
        call.now,
        call.principal.user,
        call.principal.role,
        call.account,
        *parameters,
    )
    stickers = map(StickerRow.from_row, rows)
    return [one for one in stickers if contexts is None or one.account in contexts]


def _expire_afterwards(call: Call) -> None:
    # Reading changes nothing, so that what it finds expired is removed by another transaction.
    if any_expired(call.tx, call.now):
        call.afterwards.append(partial(sweep, call.world))
