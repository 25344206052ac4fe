"""What signs a connection's requests: a secret, a token, or tokens that renew themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from math import isfinite
from os import getpid
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ttorm.api.answers import needed
from ttorm.api.codec import JSONValue, check_json, encode
from ttorm.api.credentials import HeldToken, Secret, credential_scope, derived_key
from ttorm.api.errors import ConfigurationError, TtormError, UnauthorizedError, ValidationError
from ttorm.api.moments import told_end
from ttorm.api.names import check_description_key
from ttorm.api.request import ApiRequest, api_request
from ttorm.api.retry import http_date
from ttorm.connection.calls import ask
from ttorm.connection.flights import SingleFlight
from ttorm.flows import Flow, join

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ttorm.connection.core import Connection

__all__ = ["Credential", "Credentials", "TokenOptions"]

_PAUSE = 5.0
"""Seconds without another try when a token that is still good could not be renewed."""
_APART, _TOO_FAR = 5.0, 86_400.0
"""Seconds that the service's clock has to be ahead to matter, and from which it is not believed."""


@dataclass(frozen=True)
class TokenOptions:
    """How a connection makes and renews its own tokens, for ``connect(tokens=...)``.

    Attributes:
        lifetime: Seconds that a token is valid.
        ahead: How many seconds before its end it is renewed.
        secret_dict: What the tokens carry for access rules, which read it as ``DICT``.

    Raises:
        ConfigurationError: The times do not fit each other.
        ValidationError: ``secret_dict`` is none that the platform takes.

    Example:
        >>> ttorm.TokenOptions(lifetime=900)
        TokenOptions(lifetime=900, ahead=60.0)
    """

    lifetime: float = 3_600.0
    ahead: float = 60.0
    secret_dict: Mapping[str, JSONValue] | None = None

    def __post_init__(self) -> None:
        numbers = all(
            isinstance(one, (int, float)) and isfinite(one)
            for one in (cast(object, self.lifetime), cast(object, self.ahead))
        )
        if not (numbers and 0 <= self.ahead < self.lifetime):
            raise ConfigurationError(
                f"tokens of {self.lifetime!r} seconds that are renewed {self.ahead!r} seconds "
                "ahead: expected two numbers, ahead shorter than lifetime and not negative"
            )
        object.__setattr__(self, "secret_dict", check_secret_dict(self.secret_dict))

    def __repr__(self) -> str:
        return f"TokenOptions(lifetime={self.lifetime!r}, ahead={self.ahead!r})"


def check_secret_dict(secret_dict: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a token is to carry, whatever becomes of what was given.

    Raises:
        ValidationError: It is nothing that the platform takes.
    """
    if secret_dict is None:
        return None
    if not isinstance(cast(object, secret_dict), Mapping):
        raise ValidationError(
            f"secret_dict={secret_dict!r}: expected a dictionary, such as {{'serial': 'SN-1'}}",
            code="bad-argument",
        )
    for key in secret_dict:
        check_description_key(key)
    check_json(dict(secret_dict), "secret_dict")
    return deepcopy(dict(secret_dict))


class Credential(NamedTuple):
    """What signs requests for a while.

    Attributes:
        text: The secret or token; None at the emulator's own door, which needs none.
        ends: When it ends, in Unix seconds; None when that is not known or never.
        refreshes: Whether it may make a longer copy of itself.
    """

    text: Secret | None
    ends: float | None = None
    refreshes: bool = False

    @classmethod
    def of(cls, token: HeldToken) -> Credential:
        """Take a token."""
        return cls(token.value, token.ends, "refresh" in token.options)


class _Root:
    """What the answers' scopes are made from: another one after each rotation.

    Attributes:
        key: The secret or token, or what stands for it.
        scopes: The scopes known so far, by request dictionary.
    """

    __slots__ = ("key", "scopes")

    def __init__(self, key: Secret) -> None:
        self.key = key
        self.scopes: dict[bytes, str] = {}


class Credentials:
    """How a connection signs its requests. Safe to use from many threads and event loops.

    Args:
        secret: A user's secret.
        token: A token in place of it.
        principal: Whoever the emulator's own door knows without either.
        tokens: How tokens are made of the secret, or the token is renewed.

    Attributes:
        current: What signs the next request.
        secret: The secret, if there is one.
        makes_tokens: Whether the secret signs nothing but the making of tokens.
    """

    def __init__(
        self,
        secret: Secret | None = None,
        token: HeldToken | None = None,
        principal: str = "",
        tokens: TokenOptions | None = None,
    ) -> None:
        self.secret = secret
        self._tokens = tokens or TokenOptions()
        self.makes_tokens = secret is not None and tokens is not None
        self._clock = time
        self._shift = 0.0
        self._heard = ""
        self._pause_until = 0.0
        self._renewal = SingleFlight()
        self.rotation = SingleFlight()
        self._swapping: tuple[Future[None], int] | None = None
        if token is None:
            self._take(secret, Secret(principal))
        else:
            self.current, self._root = Credential.of(token), _Root(token.key)

    def _take(self, secret: Secret | None, key: Secret) -> None:
        if secret is None or not self.makes_tokens:
            self._root = _Root(secret or key)
            self.current = Credential(secret)
        else:
            self._root = _Root(derived_key(secret, self._tokens.secret_dict))
            # Stands for the token that is yet to be made.
            self.current = Credential(None, ends=0.0)

    def __repr__(self) -> str:
        return f"<Credentials: {'secret' if self.secret else 'token'}>"

    @property
    def key(self) -> Secret:
        """What the scopes of answers are made from."""
        return self._root.key

    def carried(self, secret_dict: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Give what a token carries that is made here: at least what those of its own do."""
        own = self._tokens.secret_dict
        return {**(secret_dict or {}), **own} if own else secret_dict

    def token_key(self, secret_dict: Mapping[str, Any] | None) -> Secret:
        """Return the key of a token that is made here."""
        maker = self.secret if self.makes_tokens and self.secret else self.key
        return derived_key(maker, secret_dict)

    def scope(self, address: str, dictionary: Mapping[str, Any] | None) -> str:
        """Name what may be read with a request dictionary."""
        root = self._root
        # As it is sent: texts may show themselves masked.
        seen = b"" if dictionary is None else encode(dict(dictionary))
        try:
            return root.scopes[seen]
        except KeyError:
            scope = credential_scope(root.key.reveal(), address, dictionary)
            if len(root.scopes) < 1_000:
                root.scopes[seen] = scope
            return scope

    # Tokens that renew themselves

    @property
    def is_due(self) -> bool:
        """Whether what signs requests is to be renewed before the next one."""
        current = self.current
        if current.ends is None or not (current.refreshes or self.makes_tokens):
            return False
        soon = self._now() >= max(current.ends - self._tokens.ahead, self._pause_until)
        return soon or self._is_over(current)

    @property
    def has_ended(self) -> bool:
        """Whether it is a token that has ended, which may know what others go on reading."""
        return self.secret is None and self._is_over(self.current)

    def _is_over(self, credential: Credential) -> bool:
        return credential.ends is not None and self._now() >= credential.ends

    def _now(self) -> float:
        """Tell the time by the service's clock, by which tokens end."""
        return self._clock() + self._shift

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take from an answer how far the service's clock is ahead.

        One that is behind does no harm: by it tokens end later.
        """
        date = headers.get("date", self._heard)
        if date == self._heard or (self.current.ends is None and not self.makes_tokens):
            return
        self._heard = date
        there = http_date(date)
        if there is not None:
            shift = there - self._clock()
            self._shift = shift if _APART < shift < _TOO_FAR else 0.0

    def ready(self, connection: Connection) -> Flow[Credential]:
        """Give what signs the next request, renewed if it is about to end.

        Raises:
            ApiError: It has ended and the service refuses another one.
            TransportError: It has ended and the service was not reached.
        """
        yield from self._renewed(connection, self.current)
        while self._lacks_token:
            # Rotated meanwhile.
            yield from self._renewed(connection, self.current)
        return self.current

    def _renewed(self, connection: Connection, stale: Credential) -> Flow[None]:
        try:
            yield from self._renewal.do(
                lambda: self._renew(connection, stale),
                lambda: self.current is stale and self.is_due,
            )
        except TtormError:
            # What is still good is used to its end.
            if self._is_over(stale):
                raise
            self._pause_until = self._now() + _PAUSE

    @property
    def _lacks_token(self) -> bool:
        return self.makes_tokens and self.current.text is None

    def after_refusal(self, connection: Connection, refused: Credential) -> Flow[Credential | None]:
        """Give what may sign a request that was refused with 401; None when there is nothing.

        Raises:
            ApiError: There should be another token, but the service refuses it.
            TransportError: The service was not reached.
        """
        yield from self._swapped()
        if self.current is refused and self.makes_tokens:
            yield from self._renewal.do(
                lambda: self._renew(connection, refused, refresh=False),
                lambda: self.current is refused,
            )
        if self.current is refused:
            return None
        return (yield from self.ready(connection))

    def _renew(
        self, connection: Connection, old: Credential, *, refresh: bool = True
    ) -> Flow[None]:
        new: Credential | None = None
        if self.secret is None or (refresh and old.refreshes and not self._is_over(old)):
            try:
                refreshed = partial(ask, connection, credential=old)
                new = yield from self._new_token("refresh_user_token", refreshed)
            except TtormError:
                if self.secret is None:
                    raise
        if new is None:
            new = yield from self._new_token(
                "create_user_token", partial(self.by_secret, connection)
            )
        if self.current is old:
            self.current = new

    def by_secret(self, connection: Connection, request: ApiRequest) -> Flow[dict[str, Any]]:
        """Send what the secret signs even where tokens made of it sign all else.

        Raises:
            ApiError: The service refused.
            TransportError: It was not reached.
        """
        secret = self.secret
        try:
            return (yield from ask(connection, request, Credential(secret)))
        except UnauthorizedError:
            yield from self._swapped()
            if self.secret is secret:
                raise
        return (yield from ask(connection, request, Credential(self.secret)))

    def _new_token(
        self, operation: str, send: Callable[[ApiRequest], Flow[dict[str, Any]]]
    ) -> Flow[Credential]:
        end = round(self._now() + self._tokens.lifetime, 3)
        body: dict[str, Any] = {"validity_ts": end}
        if operation == "create_user_token":
            body["options"] = ["refresh"]
            if self._tokens.secret_dict is not None:
                body["secret_dict"] = dict(self._tokens.secret_dict)
        answer = yield from send(api_request(operation, body=body))
        return Credential(Secret(needed(answer, "token")), told_end(answer, end), refreshes=True)

    # Rotation

    @contextmanager
    def swapping(self) -> Generator[None]:
        """Have requests that are refused meanwhile wait for the new secret."""
        from concurrent.futures import Future

        done: Future[None] = Future()
        self._swapping = done, getpid()
        try:
            yield
        finally:
            self._swapping = None
            done.set_result(None)

    def _swapped(self) -> Flow[None]:
        swapping = self._swapping
        # Of what the parent's threads were doing, a forked child sees no end.
        if swapping is not None and swapping[1] == getpid():
            yield from join(swapping[0])

    def swap(self, secret: Secret) -> list[str]:
        """Sign with a new secret from now on.

        Returns:
            The scopes of the old one.
        """
        old = self._root
        self.secret = secret
        self._take(secret, secret)
        return list(old.scopes.values())
