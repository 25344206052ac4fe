"""Reading what came: nothing is believed here, only its form is checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from ttorm.api import names
from ttorm.api.answers import member
from ttorm.records.notification import Notification
from ttorm.webhooks.refusals import RefusedError

__all__ = ["Headers", "Received", "read_message"]

_BLANK = re.compile(r"[ \t\n\r]*")
_JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)


class Headers(Protocol):
    """Headers of a request, as whichever framework has them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names and values."""
        ...


class Received(NamedTuple):
    """A message of the right form, of whoever has sent it.

    Attributes:
        members: Its members.
        texts: The JSON text of each as it stands in the message: what the hash is made of.
    """

    members: Mapping[str, Any]
    texts: Mapping[str, str]

    @property
    def is_confirmation(self) -> bool:
        """Whether it asks for a confirmation; else it is a notification."""
        return "confirmation_url" in self.members

    @property
    def subscription(self) -> Mapping[str, Any]:
        """What it says of the subscription it was sent for."""
        return cast(Mapping[str, Any], self.members["subscription"])

    @property
    def topic(self) -> str:
        """The topic it says."""
        return cast(str, self.subscription["topic"])

    @property
    def account(self) -> str:
        """The account that it says has subscribed."""
        return cast(str, self.subscription["account"]).lower()

    @property
    def key(self) -> str:
        """What tells it apart from other messages."""
        return f"{self.account}/{self.topic}/{self.members['message'].lower()}"

    def notification(self) -> Notification:
        """Give what it tells; ask only when it was verified."""
        return Notification(
            message=self.members["message"].lower(),
            topic=self.topic,
            account=self.account,
            trigger=self.members["trigger"],
            twin=self.members["twin"].lower(),
            event=self.members["event"],
            sent_ts=float(self.members["sent_ts"]),
        )


def read_message(body: bytes, headers: Headers, most: int) -> Received:
    """Read a message.

    Args:
        body: What came.
        headers: The headers it came with.
        most: Most bytes that are taken.

    Raises:
        RefusedError: It has not the form of a message.
    """
    if len(body) > most:
        raise RefusedError(413, f"a message has at most {most} bytes")
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    if not _JSON_TYPE.fullmatch(given.get("content-type", "application/json").strip()):
        raise RefusedError(415, "expected a body of type application/json")
    if given.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise RefusedError(415, "expected a body that is not encoded")
    try:
        received = _members(body.decode())
    except (ValueError, RecursionError):
        raise RefusedError(400, "expected a JSON object, each name once") from None
    if not _has_form(received.members):
        raise RefusedError(400, "expected a message of the platform")
    return received


def _members(text: str) -> Received:
    """Take an object apart, with the text of each of its members.

    Raises:
        ValueError: It is no JSON object, or has a name twice, or what `json` alone takes.
        RecursionError: It is nested too deeply.
    """
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    at = _skip(text, 0, "{")
    if text[at : at + 1] != "}":
        at -= 1
        while True:
            name, at = _DECODER.raw_decode(text, _after(text, at + 1))
            if not isinstance(name, str) or name in values:
                raise ValueError(name)
            begin = _skip(text, at, ":")
            values[name], end = _DECODER.raw_decode(text, begin)
            texts[name] = text[begin:end]
            at = _after(text, end)
            if text[at : at + 1] != ",":
                break
    if text[at : at + 1] != "}" or _after(text, at + 1) != len(text):
        raise ValueError(at)
    return Received(values, texts)


def _after(text: str, at: int) -> int:
    """Pass over blanks."""
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _skip(text: str, at: int, sign: str) -> int:
    """Pass over blanks around a sign that has to be there."""
    at = _after(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(at)
    return _after(text, at + 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)


def _has_form(members: Mapping[str, Any]) -> bool:
    of_confirmation = _is_text(members.get("confirmation_url"))
    of_notification = (
        _is_text(members.get("trigger"))
        and _is(names.UUID, members.get("twin"))
        and isinstance(members.get("event"), dict)
    )
    subscription = member(members, "subscription")
    return (
        of_confirmation != of_notification
        and ("confirmation_url" in members) != ("trigger" in members)
        and _is_text(members.get("type"))
        and _is(names.UUID, members.get("message"))
        and _is_number(members.get("sent_ts"))
        and _is(names.TOPIC, subscription.get("topic"))
        and _is(names.UUID, subscription.get("account"))
        and _is_number(subscription.get("validity_ts"))
        and _is_text(members.get("hash"))
    )


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    # The year 33,658 is late enough, and not beyond what can be calculated with.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
