"""Deliveries: messages on their way to subscribers, and sending them.

A message is a row until its receiver has taken it, so that it survives the end of the process.
Messages of one subscription go one after the other, in the order in which things happened; who
sends them has leased the subscription, so that several processes do not send the same.
"""

from __future__ import annotations

import logging
import secrets
from functools import partial
from random import Random
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ttorm.api.errors import StateError
from ttorm.emulator.callbacks import Outcome
from ttorm.emulator.cells import message
from ttorm.emulator.logs import report
from ttorm.emulator.messages import write_message
from ttorm.emulator.rows import from_json
from ttorm.emulator.store import Row, Transaction
from ttorm.emulator.subscriptions import SubscriptionRow, purge, token_url

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator
    from ttorm.emulator.events import Moment

__all__ = ["MAX_WAITING", "add_confirmation", "add_messages", "any_waiting", "run", "work"]

MAX_WAITING = 1_000
"""How many messages may wait for one receiver: the newest."""

_SENDERS = 8
"""How many messages are sent at the same time."""
_SENDERS_OF_ONE = 4
"""How many of them to the same host and port: a slow one leaves the others theirs."""
_LEASE = 30.0
"""Seconds after which a subscription whose sender has died is taken over."""
_LONGEST_PAUSE = 60.0
_LONGEST_WAIT = 1.0
"""Seconds after which messages are looked for again: a clock may have been set."""
_DUE = (
    "SELECT uuid, target FROM subscriptions WHERE next_ts <= ? AND leased_ts <= ? "
    "AND target NOT IN (?, ?) ORDER BY next_ts, uuid LIMIT ?"
)

_log = logging.getLogger("ttorm.emulator")


class _Letter(NamedTuple):
    """A message that is to be sent."""

    number: int
    uuid: str
    kind: str | None
    twin: str | None
    event: str | None
    tries: int

    @classmethod
    def from_row(cls, row: Row) -> _Letter:
        return cls(*(row[name] for name in cls._fields))

    def content(self, world: Emulator, subscription: SubscriptionRow) -> bytes:
        """Write it as it is sent now."""
        content: dict[str, Any] = {"type": "Notification" if self.kind else "Confirmation"}
        if self.kind:
            content["trigger"] = self.kind
        content["message"] = self.uuid
        if self.kind:
            content["twin"] = self.twin
            content["event"] = from_json(self.event or "null")
        content["sent_ts"] = world.clock.now()
        if not self.kind:
            content["confirmation_url"] = token_url(world.vault, subscription, "confirm")
        content["subscription"] = subscription.shown(world.vault if self.kind else None)
        return write_message(content, world.policy.hash_members, subscription.key)

    def pause(self) -> float:
        """Seconds after which it is tried again: more each time, and not all at one moment."""
        longest = min(2.0**self.tries, _LONGEST_PAUSE)
        return round(longest * Random(f"{self.uuid} {self.tries}").uniform(0.5, 1.0), 3)  # noqa: S311 - spreads tries


class _Round(NamedTuple):
    """A subscription whose messages somebody sends, up to the newest at the beginning."""

    lease: str
    subscription: SubscriptionRow


def add_confirmation(moment: Moment, subscription: SubscriptionRow) -> None:
    """Let the receiver of a new subscription be asked whether it wants it."""
    moment.tx.run(
        "UPDATE subscriptions SET number = 1, next_ts = ? WHERE uuid = ?",
        moment.now,
        subscription.uuid,
    )
    _add(moment, subscription.uuid, 1)


def add_messages(
    moment: Moment, kind: str, *, account: str, topic: str, twin: str, event: str
) -> int:
    """Let the subscribers of a topic be told of an event.

    Returns:
        How many there are.
    """
    rows = moment.tx.rows(
        "UPDATE subscriptions SET number = number + 1, next_ts = COALESCE(next_ts, ?) "
        "WHERE account = ? AND topic = ? AND confirmed = 1 AND validity_ts > ? "
        "RETURNING uuid, number",
        moment.now,
        account,
        topic,
        moment.now,
    )
    for row in rows:
        _add(moment, row["uuid"], row["number"], kind, twin, event)
        dropped = moment.tx.run(
            "DELETE FROM deliveries WHERE subscription = ? AND number <= ?",
            row["uuid"],
            row["number"] - MAX_WAITING,
        )
        if dropped:
            problem = message("Too many notifications wait. The oldest are lost", topic=topic)
            report(moment.tx, account, [problem])
    return len(rows)


def _add(
    moment: Moment,
    subscription: str,
    number: int,
    kind: str | None = None,
    twin: str | None = None,
    event: str | None = None,
) -> None:
    moment.tx.run(
        "INSERT INTO deliveries (subscription, number, uuid, kind, twin, event, tries, raised_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
        *(subscription, number, moment.world.ids.uuid(), kind, twin, event, moment.now),
    )


def any_waiting(tx: Transaction) -> bool:
    """Tell whether there are messages to be sent."""
    return tx.row("SELECT 1 FROM subscriptions WHERE next_ts IS NOT NULL LIMIT 1") is not None


def run(world: Emulator) -> int:
    """Send the messages that are due, on the calling thread.

    Returns:
        How many wait: for another try, for another process, or because they were raised meanwhile.
    """
    for row in _due(world, limit=1_000_000):
        leased = _lease(world, row["uuid"])
        if leased is not None:
            _deliver(world, leased)
    with world.store.transaction(write=False) as tx:
        (found,) = tx.rows("SELECT COUNT(*) AS waiting FROM deliveries")
        return int(found["waiting"])


def work(world: Emulator) -> float | None:
    """Let threads send the messages that are due.

    Returns:
        Seconds after which to look again; None when there is nothing to send.
    """
    while True:
        sending = world.background.tasks()
        busy = [target for target in {*sending} if sending.count(target) >= _SENDERS_OF_ONE]
        row = next(iter(_due(world, busy)), None) if len(sending) < _SENDERS else None
        if row is None:
            return _next_look(world)
        leased = _lease(world, row["uuid"])
        if leased and not world.background.spawn(row["target"], partial(_deliver, world, leased)):
            _advance(world, leased, 0)
            return None


def _due(world: Emulator, busy: list[str] | None = None, limit: int = 1) -> list[Row]:
    """Find subscriptions that nobody has leased and that have a message to be sent now."""
    targets = [*(busy or ()), "", ""][:2]
    with world.store.transaction(write=False) as tx:
        return tx.rows(_DUE, world.clock.now(), time(), *targets, limit)


def _next_look(world: Emulator) -> float | None:
    now = world.clock.now()
    with world.store.transaction(write=False) as tx:
        (row,) = tx.rows(
            "SELECT COUNT(*) AS waiting, MIN(CASE WHEN next_ts > ? THEN next_ts END) AS next "
            "FROM subscriptions WHERE next_ts IS NOT NULL",
            now,
        )
    if not row["waiting"]:
        return None
    return _LONGEST_WAIT if row["next"] is None else min(row["next"] - now, _LONGEST_WAIT)


def _lease(world: Emulator, uuid: str) -> _Round | None:
    """Take a subscription over; None when somebody else was faster, or it has expired."""
    lease, now = secrets.token_hex(8), time()
    with world.store.transaction(write=True) as tx:
        purge(tx, world.clock.now())
        row = tx.row(
            "UPDATE subscriptions SET lease = ?, leased_ts = ? "
            "WHERE uuid = ? AND leased_ts <= ? AND next_ts IS NOT NULL RETURNING *",
            *(lease, now + _LEASE, uuid, now),
        )
    return None if row is None else _Round(lease, SubscriptionRow.from_row(row))


def _deliver(world: Emulator, leased: _Round) -> None:
    """Send the messages of a subscription one after the other, until one is not taken."""
    try:
        while _send_next(world, leased):
            pass
    except StateError:
        # The emulator was closed: whoever opens it next sends them.
        pass


def _send_next(world: Emulator, leased: _Round) -> bool:
    """Send a message, and tell whether there may be more to be sent now."""
    with world.store.transaction(write=False) as tx:
        row = tx.row(
            "SELECT * FROM deliveries WHERE subscription = ? ORDER BY number LIMIT 1",
            leased.subscription.uuid,
        )
    if row is None:
        _advance(world, leased, leased.subscription.number)
        return False
    letter, subscription = _Letter.from_row(row), leased.subscription
    outcome = world.callbacks.post(subscription.callback_url, letter.content(world, subscription))
    if world.background.stopping and not outcome.delivered:
        # Broken off by ourselves: it counts as not sent.
        _advance(world, leased, letter.number - 1)
        return False
    if outcome.delivered or outcome.hopeless or letter.tries + 1 >= world.policy.delivery_tries:
        return _advance(world, leased, letter.number, letter, outcome)
    _log.info("A callback of %s failed (%s)", subscription.target, outcome.code)
    with world.store.transaction(write=True) as tx:
        if _release(tx, leased, world.clock.now() + letter.pause()):
            tx.run(
                "UPDATE deliveries SET tries = tries + 1 WHERE subscription = ? AND number = ?",
                *(subscription.uuid, letter.number),
            )
    return False


def _release(tx: Transaction, leased: _Round, next_ts: float) -> int:
    return tx.run(
        "UPDATE subscriptions SET next_ts = ?, leased_ts = 0 WHERE uuid = ? AND lease = ?",
        *(next_ts, leased.subscription.uuid, leased.lease),
    )


def _advance(
    world: Emulator,
    leased: _Round,
    number: int,
    letter: _Letter | None = None,
    outcome: Outcome | None = None,
) -> bool:
    """Be done with the messages up to one, and go on or give the subscription back.

    Returns:
        Whether to go on: not with messages that came after the beginning, lest a busy topic
        keeps the others waiting.
    """
    subscription = leased.subscription
    more = letter is not None and number < subscription.number and not world.background.stopping
    with world.store.transaction(write=True) as tx:
        # The row of the subscription first: who adds a message does the same.
        kept = tx.run(
            "UPDATE subscriptions SET next_ts = CASE WHEN number > ? THEN CAST(? AS "
            "DOUBLE PRECISION) END, leased_ts = ? WHERE uuid = ? AND lease = ?",
            *(number, world.clock.now(), time() + _LEASE if more else 0.0),
            *(subscription.uuid, leased.lease),
        )
        if not kept:
            return False
        if letter is not None:
            tx.run(
                "DELETE FROM deliveries WHERE subscription = ? AND number = ?",
                *(subscription.uuid, letter.number),
            )
            if outcome is not None and not outcome.delivered:
                report(tx, subscription.account, [_problem(subscription, letter, outcome)])
    return more


def _problem(subscription: SubscriptionRow, letter: _Letter, outcome: Outcome) -> str:
    about = {"topic": subscription.topic, "code": outcome.code}
    if letter.twin is None:
        return message("Confirmation of a subscription failed", **about)
    return message("Notification delivery failed", **about, twin=letter.twin)
