"""Stickers as they are kept, what they publish, and their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ttorm.emulator.events import Moment, raise_event
from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.store import Row, Transaction
from ttorm.emulator.usage import hour_of

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = [
    "Occasion",
    "StickerRow",
    "any_expired",
    "any_publishing",
    "expire",
    "put",
    "remove",
    "sweep",
    "work",
]

Occasion: TypeAlias = Literal["on_put", "on_remove", "on_expire"]
"""When a Sticker publishes to topics."""

_KINDS = {"on_put": "sticker.put", "on_remove": "sticker.removed", "on_expire": "sticker.expired"}
_LONGEST_WAIT = 1.0
"""Seconds after which the end of Stickers is looked for again: a clock may have been set."""


class StickerRow(NamedTuple):
    """A Sticker.

    Attributes:
        uuid: Identifies it among all Stickers that ever were.
        twin: The Twin it is on.
        account: The account that put it there.
        color: Its colour, unique among that account's Stickers on the Twin.
        note: Its text; None when it has none.
        recipients: UUIDs of the users, roles and accounts that see it and may remove it.
        publish: Topics by occasion; None when it publishes nothing.
        validity_ts: When it expires.
        created_ts: When it was put.
    """

    uuid: str
    twin: str
    account: str
    color: str
    note: str | None
    recipients: list[str]
    publish: dict[str, list[str]] | None
    validity_ts: float
    created_ts: float

    @classmethod
    def from_row(cls, row: Row) -> StickerRow:
        """Read a row of the table ``stickers``."""
        fields = {name: row[name] for name in cls._fields}
        fields["recipients"] = from_json(row["recipients"])
        fields["publish"] = None if row["publish"] is None else from_json(row["publish"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """The moment in which Stickers expire while nobody calls."""

    world: Emulator
    tx: Transaction
    now: float
    afterwards: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def count(self, item: str, amount: int = 1, account: str | None = None) -> None:
        """Add to the usage of an account, where it is nobody's."""
        self.world.usage.note({(account or "", "", hour_of(self.now), item): amount})


def put(moment: Moment, sticker: StickerRow) -> bool:
    """Keep a new Sticker and publish it, unless its colour is taken."""
    made = moment.tx.run(
        "INSERT INTO stickers (uuid, twin, account, color, note, recipients, publish, "
        "validity_ts, created_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *sticker[:5],
        to_json(sticker.recipients),
        None if sticker.publish is None else to_json(sticker.publish),
        *sticker[7:],
    )
    if not made:
        return False
    for recipient in set(sticker.recipients):
        moment.tx.run(
            "INSERT INTO sticker_recipients (recipient, sticker) VALUES (?, ?)",
            recipient,
            sticker.uuid,
        )
    _publish(moment, sticker, "on_put")
    return True


def remove(moment: Moment, sticker: StickerRow, occasion: Occasion) -> bool:
    """Remove a Sticker and publish that; False when somebody else was faster."""
    if not moment.tx.run("DELETE FROM stickers WHERE uuid = ?", sticker.uuid):
        return False
    moment.tx.run("DELETE FROM sticker_recipients WHERE sticker = ?", sticker.uuid)
    _publish(moment, sticker, occasion)
    return True


def _publish(moment: Moment, sticker: StickerRow, occasion: Occasion) -> None:
    """Raise the event of a Sticker, if it publishes on this occasion."""
    topics = (sticker.publish or {}).get(occasion, [])
    event: dict[str, Any] = {"color": sticker.color}
    if sticker.note is not None:
        event["note"] = sticker.note
    event["validity_ts"] = sticker.validity_ts
    event["created_ts"] = sticker.created_ts
    event["recipients"] = sticker.recipients
    raise_event(
        moment,
        _KINDS[occasion],
        account=sticker.account,
        twin=sticker.twin,
        topics=topics,
        event=event,
    )


def any_expired(tx: Transaction, now: float) -> bool:
    """Tell whether there are Stickers to be removed because their time is over."""
    return tx.row("SELECT 1 FROM stickers WHERE validity_ts <= ? LIMIT 1", now) is not None


def any_publishing(tx: Transaction) -> bool:
    """Tell whether there are Stickers whose end may have to be published."""
    return _next_end(tx) is not None


def _next_end(tx: Transaction) -> float | None:
    (row,) = tx.rows("SELECT MIN(validity_ts) AS next FROM stickers WHERE publish IS NOT NULL")
    return None if row["next"] is None else float(row["next"])


def expire(moment: Moment) -> None:
    """Remove the Stickers whose time is over; each publishes that once."""
    rows = moment.tx.rows(
        "SELECT * FROM stickers WHERE validity_ts <= ? ORDER BY validity_ts, uuid", moment.now
    )
    for sticker in map(StickerRow.from_row, rows):
        remove(moment, sticker, "on_expire")


def sweep(world: Emulator) -> None:
    """Remove the Stickers whose time is over, in a transaction of its own."""
    with world.store.transaction(write=True) as tx:
        sweeping = _Sweep(world, tx, world.clock.now())
        expire(sweeping)
    for action in sweeping.afterwards:
        action()


def work(world: Emulator) -> float | None:
    """Remove Stickers whose time is over while nobody asks for any.

    Returns:
        Seconds after which to look again; None when there is no Sticker that publishes its end.
    """
    now = world.clock.now()
    with world.store.transaction(write=False) as tx:
        end = _next_end(tx)
    if end is None:
        return None
    if end <= now:
        sweep(world)
        return 0.0
    return min(end - now, _LONGEST_WAIT)
