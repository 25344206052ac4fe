"""Tokens: signed copies of what a user may do, which end by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from time import time
from typing import Any, Self

from ttorm.api.answers import needed
from ttorm.api.codec import JSONValue
from ttorm.api.credentials import HeldToken, Secret, TokenOption
from ttorm.api.errors import StateError, ValidationError
from ttorm.api.moments import coming, moment, timestamp, told_end
from ttorm.api.request import api_request
from ttorm.connection.budgets import spend
from ttorm.connection.calls import ask, perform
from ttorm.connection.core import Connection
from ttorm.connection.credentials import Credential, check_secret_dict
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.sessions import current_session

__all__ = ["Token"]

_LIFETIME = 3_600.0
"""Seconds that a token is valid unless told otherwise."""
_OPTIONS = ("create", "refresh")


class Token(HeldToken):
    """A token: it acts as its user, until it ends. Nobody can list tokens, or end one early.

    It never shows its text: ``token.value.reveal()`` gives it. Give it to ``connect(token=...)``.

    Args:
        value: The text of a token that somebody else has made.
        valid_until: When it ends, an aware `datetime` or Unix seconds, if that is known.
        options: ``"refresh"`` and ``"create"``, if it has them.

    Raises:
        ValidationError: That is no moment, or no option.

    Example:
        >>> token = Token.create(options=["refresh"], secret_dict={"serial": "SN-1"})
        >>> token
        <Token until ... (refresh)>
        >>> longer = token.refresh()
    """

    __slots__ = ("_connection",)

    def __init__(
        self,
        value: str | Secret,
        *,
        valid_until: datetime | float | None = None,
        options: Iterable[TokenOption] = (),
    ) -> None:
        # Before anything is raised: tracebacks show locals, and the token among them.
        value = Secret(value)
        super().__init__(value)
        self._connection: Connection | None = None
        self.ends = None if valid_until is None else timestamp(valid_until)
        self.options = tuple(_checked(options))

    @property
    def valid_until(self) -> datetime | None:
        """When it ends, in UTC; None when that is not known."""
        return None if self.ends is None else moment(self.ends)

    @classmethod
    def _of(
        cls,
        connection: Connection,
        answer: Mapping[str, Any],
        asked: Mapping[str, Any],
        key: Secret,
    ) -> Self:
        token = cls(
            needed(answer, "token"),
            valid_until=told_end(answer, asked["validity_ts"]),
            options=asked["options"],
        )
        token.key, token._connection = key, connection
        return token

    @classmethod
    def create(
        cls,
        *,
        options: Iterable[TokenOption] = (),
        secret_dict: Mapping[str, JSONValue] | None = None,
        valid_until: datetime | float | None = None,
    ) -> Self:
        """Make a token of the connection's secret, or of a token with the option ``"create"``.

        Where the connection's own tokens carry something (see `TokenOptions`), this one does, too.

        Args:
            options: ``"refresh"`` lets its holder make longer copies of it, ``"create"`` make
                tokens.
            secret_dict: What it carries for access rules, which read it as ``DICT``; its holder
                cannot change it.
            valid_until: When it ends, an aware `datetime` or Unix seconds; an hour from now if
                left out.

        Raises:
            ForbiddenError: The role does not permit it, or the token lacks the option.
            ValidationError: The moment is over, or something is none that the platform takes.

        Example:
            >>> from datetime import UTC, datetime
            >>> token = Token.create()
            >>> round((token.valid_until - datetime.now(UTC)).total_seconds())
            3600
        """
        body = _body(options, secret_dict, valid_until)
        return current_session().connection.run(cls._create(body))

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        *,
        options: Iterable[TokenOption] = (),
        secret_dict: Mapping[str, JSONValue] | None = None,
        valid_until: datetime | float | None = None,
    ) -> Self:
        body = _body(options, secret_dict, valid_until)
        return await current_session().connection.arun(cls._create(body))

    @classmethod
    def _create(cls, body: dict[str, Any]) -> Flow[Self]:
        connection = current_session().connection
        credentials = connection.credentials
        carried = credentials.carried(body.get("secret_dict"))
        if carried is not None:
            body = {**body, "secret_dict": carried}
        key = credentials.token_key(carried)
        request = api_request("create_user_token", body=body)
        if credentials.makes_tokens:
            # Its tokens make no others.
            spend(connection, request)
            answer = yield from credentials.by_secret(connection, request)
        else:
            answer = yield from perform(connection, request)
        return cls._of(connection, answer, body, key)

    def refresh(self, valid_until: datetime | float | None = None) -> Self:
        """Make a copy that ends later; this one stays valid until its own end.

        Args:
            valid_until: When the copy ends, an aware `datetime` or Unix seconds; an hour from now
                if left out.

        Returns:
            The copy, with the same options and the same ``secret_dict``.

        Raises:
            StateError: The token was made without the option ``"refresh"``.
            UnauthorizedError: The token has ended.
            ValidationError: The moment is over.
        """
        return self._asked().run(self._refresh(valid_until))

    @twin_of(refresh)
    async def arefresh(self, valid_until: datetime | float | None = None) -> Self:
        return await self._asked().arun(self._refresh(valid_until))

    def _refresh(self, valid_until: datetime | float | None) -> Flow[Self]:
        if "refresh" not in self.options:
            raise StateError(
                "this token has no option 'refresh': write Token.create(options=['refresh'])"
            )
        connection, body = self._asked(), {"validity_ts": _end(valid_until)}
        request = api_request("refresh_user_token", body=body)
        spend(connection, request)
        answer = yield from ask(connection, request, Credential.of(self))
        return self._of(connection, answer, {**body, "options": self.options}, self.key)

    def _asked(self) -> Connection:
        return self._connection or current_session().connection

    def __repr__(self) -> str:
        until = "of unknown end" if self.valid_until is None else f"until {self.valid_until}"
        options = f" ({', '.join(self.options)})" if self.options else ""
        return f"<Token {until}{options}>"


def _body(
    options: Iterable[TokenOption],
    secret_dict: Mapping[str, JSONValue] | None,
    valid_until: datetime | float | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"options": _checked(options), "validity_ts": _end(valid_until)}
    carried = check_secret_dict(secret_dict)
    return body if carried is None else {**body, "secret_dict": carried}


def _checked(options: Iterable[TokenOption]) -> list[TokenOption]:
    found = list(options)
    if isinstance(options, str) or any(option not in _OPTIONS for option in found):
        raise ValidationError(
            f"options={options!r}: expected a list of 'refresh' and 'create'", code="bad-argument"
        )
    return found


def _end(valid_until: datetime | float | None) -> float:
    end = coming(valid_until, "the token")
    return round(time() + _LIFETIME, 3) if end is None else end
