"""The receiver: what becomes of messages, whichever way they came."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from math import inf
from time import time
from typing import cast

from ttorm.api.credentials import Secret
from ttorm.api.errors import ConfigurationError, NotFoundError
from ttorm.api.signing import CONFIRMATION_MEMBERS, NOTIFICATION_MEMBERS, message_hash
from ttorm.api.webhooks import MAX_SECONDS
from ttorm.connection import blocking
from ttorm.connection.core import Connection
from ttorm.flows import Flow, sleep
from ttorm.pairs import twin_of
from ttorm.records.notification import take_over
from ttorm.records.subscription import Subscription
from ttorm.telling import tell
from ttorm.webhooks.keeping import MemoryStore, Store
from ttorm.webhooks.messages import Headers, Received, read_message
from ttorm.webhooks.refusals import RefusedError, Reply
from ttorm.webhooks.seen import MemorySeen, Seen

__all__ = ["MAX_BODY", "Receiver"]

MAX_BODY = 1 << 20
"""Largest message that is taken, in bytes: a Ledger has 64 kB, written twice and escaped."""
_PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between looks for the key of a subscription that is being made."""
_LONGEST_REST = 60.0
_log = logging.getLogger("ttorm.webhooks")


class Receiver:
    """Takes messages of the platform, and refuses all others.

    A message counts when it is signed for a subscription that the receiver knows, was sent a short
    while ago, and did not come before. Then it drops the cached answers that it makes stale, has
    loaded records follow and emits the signals `notification` and `entry_changed`; or it confirms
    the subscription. One receiver serves any number of subscriptions, threads and event loops.

    Args:
        *connections: Further connections whose caches and records follow, beside the one that has
            subscribed; those to other services are left alone.
        store: Where subscriptions are kept; in memory when left out.
        seen: Where messages are noted, so that none counts twice; in memory when left out.
        window: Seconds by which a message may be older, or a clock be wrong.
        max_body: Largest message, in bytes.
        hash_members: The members of a notification that its hash is made of, in their order.
            Provisional: the platform's documentation does not show the order.
        clock: The time in Unix seconds.

    Raises:
        ConfigurationError: `hash_members` leaves a member out, which could then be forged.

    Example:
        >>> receiver = ttorm.webhooks.Receiver()
        >>> receiver.handle(b'{"type": "Notification"}', {"content-type": "application/json"})
        Reply(body=b'{"error": "expected a message of the platform"}', status=400, headers={...})
    """

    def __init__(
        self,
        *connections: Connection,
        store: Store | None = None,
        seen: Seen | None = None,
        window: float = 300.0,
        max_body: int = MAX_BODY,
        hash_members: Iterable[str] = NOTIFICATION_MEMBERS,
        clock: Callable[[], float] = time,
    ) -> None:
        self.store = MemoryStore() if store is None else store
        self.max_body = max_body
        self._connections = connections
        self._seen = MemorySeen() if seen is None else seen
        self._window = window
        self._members = tuple(hash_members)
        self._clock = clock
        self._decoy = secrets.token_urlsafe(24)
        if sorted(self._members) != sorted(NOTIFICATION_MEMBERS):
            raise ConfigurationError(
                f"hash_members={self._members}: expected {', '.join(NOTIFICATION_MEMBERS)} in some "
                "order: what is not hashed could be forged"
            )

    # Messages

    def handle(self, body: bytes, headers: Headers) -> Reply:
        """Take a message, and say what to answer.

        It never raises for what somebody sends. Receivers of signals run before it returns; those
        that take long belong into a queue, since the platform waits for the answer.

        Args:
            body: The body of the request, undecoded.
            headers: Its headers.

        Returns:
            Body, status and headers: what Flask takes as it is.

        Raises:
            TypeError: The body is no bytes, or the headers are no mapping.
        """
        return blocking.run(self._handle(*_given(body, headers)), 1)

    @twin_of(handle)
    async def ahandle(self, body: bytes, headers: Headers) -> Reply:
        from ttorm.connection import tasks

        return await tasks.run(self._handle(*_given(body, headers)), 1)

    def _handle(self, body: bytes, headers: Headers) -> Flow[Reply]:
        try:
            received = read_message(body, headers, self.max_body)
            subscription = yield from self._verify(received)
            self._check_time(received)
            return (yield from self._act(received, subscription))
        except RefusedError as refused:
            told = "a message was refused with %d: %s"
            tell(_log, logging.INFO, told, refused.reply.status, refused)
            return refused.reply
        except Exception:  # noqa: BLE001 # whatever it is, the server goes on
            tell(_log, logging.ERROR, "a message could not be worked on", exc_info=True)
            return Reply.of(500, "try again", retry_after="10")

    def _verify(self, received: Received) -> Flow[Subscription]:
        """Find the subscription whose key has signed a message.

        Raises:
            RefusedError: There is none.
        """
        members = CONFIRMATION_MEMBERS if received.is_confirmation else self._members
        texts = [received.texts[name] for name in members]
        for pause in (*_PATIENCE, None):
            found, waits = self._signer(received, texts)
            if found is not None:
                return found
            if not waits:
                break
            if pause is None:
                raise RefusedError(503, "try again", retry_after="1")
            # It is being subscribed to, or refreshed: the answer with the key is on its way.
            yield from sleep(pause)
        raise RefusedError(401, "not signed by a subscription that is known here")

    def _signer(self, received: Received, texts: list[str]) -> tuple[Subscription | None, bool]:
        """Try all keys; tell as well whether there may be another in a moment."""
        now, given = self._clock(), received.members["hash"].encode(errors="replace")
        several = [
            one for one in self.store.find(received.topic) if one.account in ("", received.account)
        ]
        keys = [(key, one) for one in several for key in one._keys(now)]
        found: Subscription | None = None
        # What is for nobody takes as long as what is forged, and all keys are tried.
        for key, one in keys:
            if hmac.compare_digest(message_hash(texts, key).encode(), given):
                found = one
        if not keys:
            hmac.compare_digest(message_hash(texts, self._decoy).encode(), given)
        return found, any(one._settles(now) for one in several)

    def _check_time(self, received: Received) -> None:
        now = self._clock()
        if abs(now - received.members["sent_ts"]) > self._window:
            raise RefusedError(400, "sent too long ago, or a clock is wrong")
        if received.subscription["validity_ts"] <= now - self._window:
            raise RefusedError(400, "the subscription is over")

    def _act(self, received: Received, subscription: Subscription) -> Flow[Reply]:
        if received.is_confirmation:
            if not subscription.confirmed:
                yield from subscription._confirm(received.members["confirmation_url"])
                self.store.put(subscription)
            return Reply.of(201, "confirmed")
        if not self._seen.add(received.key, 2 * self._window):
            return Reply.of(200, "known")
        try:
            if not subscription.confirmed or subscription._refresh_token is None:
                self._learn(received, subscription)
            yield from take_over(
                subscription.connection, self._others(subscription), received.notification()
            )
        except BaseException:
            self._seen.forget(received.key)
            raise
        return Reply.of(201, "received")

    def _learn(self, received: Received, subscription: Subscription) -> None:
        """Take from a message what an answer would have told: somebody else has confirmed."""
        subscription._learn(received.subscription)
        subscription.confirmed = True
        self.store.put(subscription)

    def _others(self, subscription: Subscription) -> list[Connection]:
        address = subscription.connection.address
        return [one for one in self._connections if one.address == address]

    # Subscriptions

    def subscribe(
        self,
        topic: str,
        callback_url: str,
        secret: str | Secret | None = None,
        *,
        expires: float | timedelta = MAX_SECONDS,
        connection: Connection | None = None,
    ) -> Subscription:
        """Subscribe to a topic, and expect its messages.

        The receiver confirms when the platform asks, so its server has to run by then.

        Args:
            topic: The topic.
            callback_url: Address under which this receiver is reached.
            secret: See `Subscription.create`.
            expires: Seconds until it ends unless it is refreshed, at most a week.
            connection: Whom to ask; that of the session when left out.

        Raises:
            ValidationError: Something has the wrong form; nothing was sent.
        """
        made = Subscription(topic, callback_url, secret, expires=expires, connection=connection)
        made.connection.run(self._subscribe(made))
        return made

    @twin_of(subscribe)
    async def asubscribe(
        self,
        topic: str,
        callback_url: str,
        secret: str | Secret | None = None,
        *,
        expires: float | timedelta = MAX_SECONDS,
        connection: Connection | None = None,
    ) -> Subscription:
        made = Subscription(topic, callback_url, secret, expires=expires, connection=connection)
        await made.connection.arun(self._subscribe(made))
        return made

    def _subscribe(self, subscription: Subscription) -> Flow[None]:
        try:
            yield from self._begin(subscription)
        except BaseException:
            self.store.remove(subscription)
            raise

    def _begin(self, subscription: Subscription) -> Flow[None]:
        # The platform may ask for the confirmation before it has answered.
        subscription._settle(self._clock())
        self.store.put(subscription)
        yield from subscription._begin()
        self.store.put(subscription)

    def cancel(self) -> None:
        """End all subscriptions; those that were not confirmed are forgotten, and end later.

        Raises:
            TtormError: One could not be ended, and stays; the others were.
        """
        blocking.run(self._cancel(), 1)

    @twin_of(cancel)
    async def acancel(self) -> None:
        from ttorm.connection import tasks

        await tasks.run(self._cancel(), 1)

    def _cancel(self) -> Flow[None]:
        failed: Exception | None = None
        for one in list(self.store.all()):
            try:
                if one._unsubscribe_token is not None:
                    yield from one._cancel()
                self.store.remove(one)
            except Exception as error:  # noqa: BLE001 # raised when the others are done
                failed = failed or error
        if failed is not None:
            raise failed

    def refresh(self, ahead: float | None = None) -> list[Subscription]:
        """Refresh the subscriptions that end soon; those that have ended are made anew.

        Call it from time to time, say every hour; or let `keep` do so.

        Args:
            ahead: How many seconds before its end one is refreshed; a quarter of its life when left
                out.

        Returns:
            Those that were refreshed or made anew. What could not be is logged, and tried again by
            the next call.
        """
        return blocking.run(self._refresh(ahead), 1)

    @twin_of(refresh)
    async def arefresh(self, ahead: float | None = None) -> list[Subscription]:
        from ttorm.connection import tasks

        return await tasks.run(self._refresh(ahead), 1)

    def _refresh(self, ahead: float | None = None) -> Flow[list[Subscription]]:
        done: list[Subscription] = []
        for one in list(self.store.all()):
            if one.is_due(ahead, self._clock()) and not one._settles(self._clock()):
                try:
                    yield from self._renew(one)
                except Exception:  # noqa: BLE001 # the others are refreshed all the same
                    tell(_log, logging.ERROR, "%r could not be refreshed", one, exc_info=True)
                else:
                    done.append(one)
        return done

    def _renew(self, subscription: Subscription) -> Flow[None]:
        try:
            if subscription._refresh_token is not None:
                yield from subscription._refresh(now=self._clock())
                self.store.put(subscription)
                return
        except NotFoundError:
            tell(_log, logging.WARNING, "%r has ended and is made anew", subscription)
        subscription._forget()
        yield from self._begin(subscription)

    def keep(self, seconds: float | None = None) -> None:
        """Wait, and refresh what ends soon meanwhile: in a thread or task of one's own.

        Args:
            seconds: How long; without end when left out.
        """
        blocking.run(self._keep(seconds), 1)

    @twin_of(keep)
    async def akeep(self, seconds: float | None = None) -> None:
        from ttorm.connection import tasks

        await tasks.run(self._keep(seconds), 1)

    def _keep(self, seconds: float | None) -> Flow[None]:
        left = seconds
        while left is None or left > 0:
            rest = min(self._rest(), _LONGEST_REST if left is None else left)
            yield from sleep(rest)
            left = None if left is None else left - rest
            yield from self._refresh()

    def _rest(self) -> float:
        """Give the seconds until the next subscription is due: not too few, and not too many."""
        ends = [one._validity_ts - one.expires / 4 for one in self.store.all()]
        return min(max(1.0, min(ends, default=inf) - self._clock()), _LONGEST_REST)


def _given(body: object, headers: object) -> tuple[bytes, Headers]:
    """Refuse what no stranger sends: a slip of whoever calls, which no reply should hide.

    Raises:
        TypeError: The body is no bytes, or the headers are no mapping.
    """
    if not isinstance(body, (bytes, bytearray)):
        raise TypeError(
            f"expected the body as it came, in bytes, found {type(body).__name__}: signatures are "
            "made of it undecoded"
        )
    if not hasattr(headers, "items"):
        raise TypeError(
            f"expected headers with items(), found {type(headers).__name__}: write dict(headers)"
        )
    return bytes(body), cast(Headers, headers)
