"""Subscriptions: topics whose messages go to an address, for up to a week at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from time import time
from typing import Any, NoReturn, Self

from ttorm.api.answers import member, needed
from ttorm.api.credentials import Secret
from ttorm.api.errors import NotFoundError, ResponseFormatError, StateError, ValidationError
from ttorm.api.moments import given_seconds, moment
from ttorm.api.names import check_topic, check_uuid
from ttorm.api.request import api_request
from ttorm.api.webhooks import (
    MAX_SECONDS,
    check_callback,
    check_client_secret,
    check_expires,
    new_client_secret,
    token_of,
)
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.sessions import block_connection, current_session

__all__ = ["Subscription"]

_IN_FLIGHT = 300.0
"""Seconds for which messages may come that were sent before a refresh."""
_ANSWERED_WITHIN = 60.0
"""Seconds after which no answer is expected any more: whoever has asked is gone."""
_EXPORTED = (
    *("id", "topic", "account", "callback_url", "client_secret", "server_secret"),
    *("former_secret", "former_until", "refresh_token", "unsubscribe_token"),
    *("validity_ts", "expires", "confirmed", "settling_until"),
)


class Subscription(Displayed):
    """A subscription: messages of a topic go to an address, signed with a secret of its own.

    `create` makes one: it asks for it, the platform sends a first message to the address, and
    whoever has that confirms. `ttorm.webhooks.Receiver` does both, and is what most programs want.

    The service does not list subscriptions: what is not kept is lost, and ends by itself. Secrets
    and tokens show in no text, log or pickle; `export` gives them, for a safe place.

    Attributes:
        id: Tells it apart from others; made here.
        topic: The topic.
        callback_url: Where messages go.
        account: UUID of the account that subscribed; empty before the service has answered.
        confirmed: Whether it was confirmed, as far as is known here; before, nothing is sent.

    Example:
        >>> subscription = Subscription.create("battery-low", "http://127.0.0.1:9/hook")
        >>> subscription
        <Subscription battery-low: not confirmed>
    """

    __slots__ = (
        "_client_secret",
        "_connection",
        "_ended",
        "_former_secret",
        "_former_until",
        "_refresh_token",
        "_server_secret",
        "_settling_until",
        "_unsubscribe_token",
        "_validity_ts",
        "account",
        "callback_url",
        "confirmed",
        "expires",
        "id",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        callback_url: str,
        secret: str | Secret | None = None,
        *,
        expires: float | timedelta = MAX_SECONDS,
        connection: Connection | None = None,
    ) -> None:
        self._connection = connection or block_connection()
        self.id = os.urandom(16).hex()
        self.topic = check_topic(topic)
        self.callback_url = check_callback(callback_url)
        self.account = ""
        self.confirmed = False
        self.expires = check_expires(expires)
        self._client_secret = new_client_secret() if secret is None else check_client_secret(secret)
        self._server_secret: Secret | None = None
        self._former_secret: Secret | None = None
        self._former_until = 0.0
        self._refresh_token: Secret | None = None
        self._unsubscribe_token: Secret | None = None
        self._validity_ts = 0.0
        self._settling_until = 0.0
        self._ended = False

    # Verbs

    @classmethod
    def create(
        cls,
        topic: str,
        callback_url: str,
        secret: str | Secret | None = None,
        *,
        expires: float | timedelta = MAX_SECONDS,
        connection: Connection | None = None,
    ) -> Self:
        """Subscribe to a topic.

        Args:
            topic: The topic.
            callback_url: Address that messages are sent to, ``https://...``.
            secret: 16 letters, digits, ``-`` and ``_`` by which messages are signed, together with
                a secret of the service's; one is made when it is left out.
            expires: Seconds until it ends unless it is refreshed, at most a week.
            connection: Whom to ask; that of the session when left out.

        Raises:
            ValidationError: Something has the wrong form; nothing was sent.
            QuotaError: The account has as many subscriptions as it may have.

        Example:
            >>> Subscription.create("battery-low", "http://127.0.0.1:9/hook", expires=60).topic
            'battery-low'
        """
        made = cls(topic, callback_url, secret, expires=expires, connection=connection)
        made.connection.run(made._begin())
        return made

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        topic: str,
        callback_url: str,
        secret: str | Secret | None = None,
        *,
        expires: float | timedelta = MAX_SECONDS,
        connection: Connection | None = None,
    ) -> Self:
        made = cls(topic, callback_url, secret, expires=expires, connection=connection)
        await made.connection.arun(made._begin())
        return made

    def _begin(self) -> Flow[None]:
        body = {
            "callback_url": self.callback_url,
            "topic": self.topic,
            "client_secret": self._client_secret.header(),
            "expires": self.expires,
        }
        try:
            answer = yield from perform(
                self.connection, api_request("webhook_subscribe", body=body)
            )
            self._absorb(answer)
            self._ended = False
        finally:
            self._settling_until = 0.0

    def confirm(self, confirmation_url: str) -> Self:
        """Confirm it by the address that the platform has sent to the callback.

        The address itself is not asked: only the token in it is used, with the connection.

        Args:
            confirmation_url: The address.

        Raises:
            ValidationError: That is no such address.
            NotFoundError: The subscription is over.
        """
        self.connection.run(self._confirm(confirmation_url))
        return self

    @twin_of(confirm)
    async def aconfirm(self, confirmation_url: str) -> Self:
        await self.connection.arun(self._confirm(confirmation_url))
        return self

    def _confirm(self, confirmation_url: str) -> Flow[None]:
        token = token_of(confirmation_url)
        yield from self._ask("webhook_confirm_subscription", token)
        self.confirmed = True

    def refresh(self, expires: float | timedelta | None = None) -> Self:
        """Let it live longer, counted from now.

        Args:
            expires: Seconds until it ends; as long as at first when left out.

        Raises:
            StateError: It was not confirmed yet, as far as is known here, or was cancelled.
            NotFoundError: It is over: make another one.
        """
        self.connection.run(self._refresh(expires))
        return self

    @twin_of(refresh)
    async def arefresh(self, expires: float | timedelta | None = None) -> Self:
        await self.connection.arun(self._refresh(expires))
        return self

    def _refresh(
        self, expires: float | timedelta | None = None, now: float | None = None
    ) -> Flow[None]:
        token = self._known(self._refresh_token, "refreshed")
        if expires is not None:
            self.expires = check_expires(expires)
        # Without its secret it would go on unsigned.
        body = {"client_secret": self._client_secret.header(), "expires": self.expires}
        self._former_secret = self._server_secret
        self._former_until = (time() if now is None else now) + _IN_FLIGHT
        self._settle(now)
        try:
            yield from self._ask("webhook_refresh_subscription", token, body)
        finally:
            self._settling_until = 0.0

    def cancel(self) -> Self:
        """End it; what was not sent yet is not sent any more. Ending twice is harmless.

        Raises:
            StateError: It was not confirmed yet, as far as is known here: it ends by itself.
        """
        self.connection.run(self._cancel())
        return self

    @twin_of(cancel)
    async def acancel(self) -> Self:
        await self.connection.arun(self._cancel())
        return self

    def _cancel(self) -> Flow[None]:
        if self._ended:
            return
        token = self._known(self._unsubscribe_token, "cancelled")
        try:
            yield from self._ask("webhook_unsubscribe", token)
        except NotFoundError:
            self._validity_ts = 0.0
        self._forget()
        self._ended = True

    def _forget(self) -> None:
        """Be as before it was made: what it was told belongs to one that has ended."""
        self.confirmed = False
        self._server_secret = self._former_secret = None
        self._refresh_token = self._unsubscribe_token = None

    def _settle(self, now: float | None = None) -> None:
        """Note that an answer is on its way whose key may sign messages that come before it."""
        self._settling_until = (time() if now is None else now) + _ANSWERED_WITHIN

    def _settles(self, now: float) -> bool:
        """Tell whether there may be another key in a moment."""
        return now < self._settling_until

    # What the service answers

    def _ask(self, operation: str, token: Secret, body: Any = None) -> Flow[None]:
        query = {"token": token.header()}
        request = api_request(operation, [self.account], query, body)
        self._absorb((yield from perform(self.connection, request)))

    def _absorb(self, answer: Mapping[str, Any]) -> None:
        """Take an answer, in either of its published forms."""
        shown = member(answer, "subscription") or answer
        self.account = check_uuid(needed(shown, "account"))
        if self.connection.known_account is None:
            self.connection._account = self.account
        if "server_secret" in answer:
            self._server_secret = Secret(needed(answer, "server_secret"))
        elif self._server_secret is None:
            raise ResponseFormatError(
                "the answer has no server_secret: without it messages cannot be verified"
            )
        self._learn(shown)

    def _learn(self, shown: Mapping[str, Any]) -> None:
        """Take what the platform tells of the subscription: here, or in a verified message."""
        with suppress(ResponseFormatError):
            self._validity_ts = given_seconds(shown.get("validity_ts"))
        with suppress(ValidationError):
            self._refresh_token = token_of(shown.get("refresh_url"))
        with suppress(ValidationError):
            self._unsubscribe_token = token_of(shown.get("unsubscribe_url"))

    def _known(self, token: Secret | None, done: str) -> Secret:
        if self._ended:
            raise StateError(
                f"the subscription to {self.topic!r} was cancelled: make another one by "
                "Subscription.create"
            )
        if token is None:
            raise StateError(
                f"the subscription to {self.topic!r} cannot be {done}: it was not confirmed yet as "
                "far as is known here; unconfirmed ones tell nothing and end by themselves"
            )
        return token

    # Facts

    @property
    def connection(self) -> Connection:
        """Whom it talks to."""
        if self._connection is None:
            self._connection = current_session().connection
        return self._connection

    @property
    def expires_at(self) -> datetime:
        """When it ends unless it is refreshed, in UTC."""
        return moment(self._validity_ts)

    def is_due(self, ahead: float | None = None, now: float | None = None) -> bool:
        """Tell whether it is time to refresh it.

        Args:
            ahead: Seconds before its end; a quarter of its life when left out.
            now: The time in Unix seconds; the computer's when left out.

        Example:
            >>> subscription = Subscription.create("hot", "http://127.0.0.1:9/", expires=60)
            >>> subscription.is_due(), subscription.is_due(ahead=60)
            (False, True)
        """
        ahead = self.expires / 4 if ahead is None else ahead
        return self._validity_ts - ahead <= (time() if now is None else now)

    def _keys(self, now: float) -> Iterable[str]:
        """Give the keys by which messages may be signed that come now."""
        if self._server_secret is not None:
            yield self._client_secret.reveal() + self._server_secret.reveal()
        if self._former_secret is not None and now < self._former_until:
            yield self._client_secret.reveal() + self._former_secret.reveal()

    # Keeping it

    def export(self) -> dict[str, Any]:
        """Give all there is to know of it as JSON, **its secrets and tokens in plain text**.

        For a safe place that other processes, or the next one, read: see `restore`.
        """
        public = set(self.__slots__)
        kept = {name: getattr(self, name if name in public else f"_{name}") for name in _EXPORTED}
        return {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in kept.items()
        }

    @classmethod
    def restore(cls, exported: Mapping[str, Any], connection: Connection | None = None) -> Self:
        """Make again what was exported.

        Args:
            exported: What `export` gave.
            connection: Whom it talks to; that of the session when left out.

        Raises:
            ValidationError: That was not exported by this version.

        Example:
            >>> subscription = Subscription.create("battery-low", "http://127.0.0.1:9/hook")
            >>> Subscription.restore(subscription.export()).expires_at == subscription.expires_at
            True
        """
        if set(exported) != set(_EXPORTED):
            raise ValidationError(
                "this is no exported subscription: expected what subscription.export() gives",
                code="bad-argument",
            )
        made = cls(
            exported["topic"],
            exported["callback_url"],
            exported["client_secret"],
            expires=exported["expires"],
            connection=connection,
        )
        for name in ("id", "account", "confirmed"):
            setattr(made, name, exported[name])
        for name in ("settling_until", "former_until", "validity_ts"):
            setattr(made, f"_{name}", exported[name])
        for name in ("server_secret", "former_secret", "refresh_token", "unsubscribe_token"):
            text = exported[name]
            setattr(made, f"_{name}", None if text is None else Secret(text))
        return made

    def __reduce__(self) -> NoReturn:
        raise TypeError("subscriptions are not pickled, they hold secrets: see export()")

    def __repr__(self) -> str:
        return f"<Subscription {self.topic}: {self._status()}>"

    def _status(self) -> str:
        if not self.confirmed:
            return "ended" if self._ended else "not confirmed"
        return f"until {self.expires_at:%Y-%m-%d %H:%M} UTC"

    def _sheet(self) -> Sheet:
        rows = [("topic", self.topic), ("to", self.callback_url), ("status", self._status())]
        return Sheet("Subscription", ("", ""), rows)
