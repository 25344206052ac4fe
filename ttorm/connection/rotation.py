"""PINs and what they are exchanged for: new secrets, and secrets replaced in use."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ttorm.api.answers import needed
from ttorm.api.credentials import Secret
from ttorm.api.errors import (
    NotFoundError,
    OutcomeUnknownError,
    SecretNotStoredError,
    StateError,
    ValidationError,
)
from ttorm.api.moments import coming
from ttorm.api.names import check_uuid
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow, finish

if TYPE_CHECKING:
    from ttorm.connection.core import Connection

__all__ = ["Store", "check_blocking", "exchange", "new_pin", "rotated"]

Store: TypeAlias = Callable[[Secret], Awaitable[None] | None]
"""What keeps a new secret."""

# The platform's have 6 letters and digits; nothing says that they always will.
_PIN = re.compile(r"[0-9A-Za-z_-]{4,32}")


def new_pin(connection: Connection, user: str, end: float | None) -> Flow[Secret]:
    """Make a PIN for a user; the last one ends with it.

    Args:
        connection: Whom to ask.
        user: UUID of the user.
        end: When the secret is to end, in Unix seconds.
    """
    request = api_request("create_user_secret_pin", [user], body={"validity_ts": end})
    return Secret(needed((yield from perform(connection, request)), "pin"))


def exchange(connection: Connection, account: str, pin: str | Secret) -> Flow[Secret]:
    """Exchange a PIN for a secret, which exists nowhere else then.

    Raises:
        NotFoundError: There is no such PIN, or it was used or is over.
        OutcomeUnknownError: The answer was lost.
        ValidationError: That is no account or PIN.
    """
    pin = Secret(pin if isinstance(pin, (str, Secret)) else "")
    if not _PIN.fullmatch(pin.reveal()):
        raise ValidationError(
            "a PIN is a short word of letters and digits: that is none", code="bad-argument"
        )
    request = api_request("create_user_secret", [check_uuid(account, "account"), pin.header()])
    try:
        answer = yield from perform(connection, request)
    except OutcomeUnknownError as lost:
        # A PIN works once: if the first request was answered, the second does no harm.
        try:
            answer = yield from perform(connection, request)
        except NotFoundError:
            raise OutcomeUnknownError(
                "the PIN was used, and the answer with the secret was lost: nobody can read it "
                "again, and the user's old secret has ended. Somebody who may has to make a new "
                "PIN by user.invite()",
                operation=request.operation.name,
                request=request.label,
            ) from lost
    return Secret(needed(answer, "secret"))


def rotated(
    connection: Connection, valid_until: datetime | float | None, store: Store | None
) -> Flow[Secret]:
    """Replace a connection's secret, or wait for who does, and have the new one stored."""
    end = coming(valid_until, "the new secret")
    if store is not None and not callable(store):
        # Once the old secret has ended it is too late to find out.
        raise ValidationError(
            f"store={store!r}: expected a function that is given the new secret",
            code="bad-argument",
        )
    credentials = connection.credentials
    old = credentials.secret
    if old is None:
        raise StateError(
            "this connection has no secret that could be rotated: connect with secret=. Tokens "
            "and the emulator's own door have none"
        )
    yield from credentials.rotation.do(
        lambda: _rotate(connection, end), lambda: credentials.secret == old
    )
    new = cast(Secret, credentials.secret)
    if store is not None:
        yield from _stored(store, new)
    return new


def check_blocking(store: Store | None) -> None:
    """Refuse a store that only an event loop can run, before there is a secret to be stored.

    Raises:
        StateError: It is a coroutine function; what only returns a coroutine is told from none.
    """
    from functools import partial
    from inspect import iscoroutinefunction

    function: Any = store.func if isinstance(store, partial) else store
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        raise StateError(
            f"store={store!r} is a coroutine function, which rotate() cannot run: write await "
            "connection.arotate(store=...), or give a plain function"
        )


def _rotate(connection: Connection, end: float | None) -> Flow[None]:
    who = yield from perform(connection, api_request("who_am_i"))
    pin = yield from new_pin(connection, needed(who, "user"), end)
    # The old secret ends with the exchange, and nothing may come between it and the swap.
    with connection.credentials.swapping():
        connection.swap((yield from exchange(connection, needed(who, "account"), pin)))


def _stored(store: Store, secret: Secret) -> Flow[None]:
    try:
        waiting = store(secret)
        if waiting is not None:
            yield from finish(cast("Coroutine[Any, Any, Any]", waiting))
    except Exception as error:
        raise SecretNotStoredError(
            f"the secret was rotated, and storing the new one failed ({type(error).__name__}): "
            "the old one has ended. Store error.secret before the process ends",
            secret=secret,
        ) from error
