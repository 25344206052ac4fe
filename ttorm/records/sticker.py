"""A Sticker: a coloured note on a Twin, for those who are named on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

from ttorm.api.answers import listed, member, needed
from ttorm.api.errors import ValidationError
from ttorm.api.moments import coming, moment, timestamp
from ttorm.api.names import check_color, check_topic
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.account import Account
from ttorm.records.collection import Collection
from ttorm.records.role import Role
from ttorm.records.subjects import Subject, subject
from ttorm.records.user import User
from ttorm.sessions import current_session

if TYPE_CHECKING:
    from ttorm.records.twin import Twin

__all__ = ["Context", "Publish", "Sticker", "draft", "named_context", "remove"]

Context: TypeAlias = Account | str
"""Who has put Stickers: ``"personal"`` for the own account, ``"system"`` for all, or an account."""
Occasion: TypeAlias = Literal["on_put", "on_remove", "on_expire"]

_OCCASIONS = ("on_put", "on_remove", "on_expire")
_MAX_NOTE = 512
_MAX_RECIPIENTS = 100
_PAGE = 100


class Publish(TypedDict, total=False):
    """Topics to publish to when a Sticker is put, removed, or expires."""

    on_put: str | Iterable[str]
    on_remove: str | Iterable[str]
    on_expire: str | Iterable[str]


class Sticker(Displayed):
    """A Sticker on a Twin, as it was when it was put or read; it never changes, it is removed.

    Stickers come from `Stickers.put`, from ``twin.stickers`` and from `Sticker.list`.

    Attributes:
        color: Its colour: a word.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> sticker = Twin.create().stickers.put("red-flag", [connection.whoami()["user"]])
        >>> [one.color for one in Sticker.list(color="red-flag")]
        ['red-flag']
        >>> sticker.remove()
        <Sticker red-flag on ...>
    """

    __slots__ = ("__weakref__", "_account", "_bound", "_twin", "_wire", "color")

    def __init__(
        self,
        twin: str,
        color: str,
        account: str | None,
        wire: Mapping[str, Any],
        connection: Connection | None = None,
    ) -> None:
        self.color = color
        self._twin = twin
        # None is the own account, whichever that is.
        self._account = account
        self._wire = dict(wire)
        self._bound = connection

    @property
    def _connection(self) -> Connection:
        if self._bound is None:
            self._bound = current_session().connection
        return self._bound

    @property
    def twin(self) -> Twin:
        """The Twin it is on."""
        from ttorm.records.lookup import state_at
        from ttorm.records.twin import Twin

        found: Twin = state_at(Twin, self._twin, current_session(self._connection)).view(Twin)
        return found

    @property
    def account(self) -> str:
        """UUID of the account that has put it."""
        return self._account or self._connection.account

    @property
    def note(self) -> str | None:
        """What it says."""
        note = self._wire.get("note")
        return None if note is None else str(note)

    @property
    def recipients(self) -> tuple[str, ...] | None:
        """UUIDs of the users, roles and accounts it is for.

        The service tells them to the account that has put it only; None when it did not.
        """
        return tuple(listed(self._wire, "recipients")) if "recipients" in self._wire else None

    @property
    def publish(self) -> dict[Occasion, tuple[str, ...]]:
        """Topics it publishes to, by occasion; told like `recipients`."""
        found = member(self._wire, "publish")
        return {cast(Occasion, occasion): _topics(found[occasion]) for occasion in found}

    @property
    def valid_until(self) -> datetime:
        """When it expires, in UTC."""
        return moment(self._wire.get("validity_ts"))

    @property
    def created_at(self) -> datetime:
        """When it was put, in UTC."""
        return moment(self._wire.get("created_ts"))

    @property
    def is_expired(self) -> bool:
        """Whether it is over, by the clock of this machine."""
        return self.valid_until <= datetime.now(UTC)

    def remove(self) -> Sticker:
        """Remove it. Of all who try at the same time one succeeds: who removed it has the task.

        Returns:
            The Sticker that was removed.

        Raises:
            NotFoundError: Somebody else was faster, it has expired, or you are no recipient of
                it, which also who has put it need not be.
            OutcomeUnknownError: The answer was lost: whether you have won is not known.
        """
        return self._connection.run(self._remove())

    @twin_of(remove)
    async def aremove(self) -> Sticker:
        return await self._connection.arun(self._remove())

    def _remove(self) -> Flow[Sticker]:
        context = self._account or "personal"
        return remove(self._connection, self._twin, self.color, context)

    @classmethod
    def list(
        cls,
        *,
        color: str | None = None,
        context: Context = "personal",
        since: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> Collection[Sticker]:
        """Go through the Stickers on all Twins that you are a recipient of, newest first.

        Pages of 100 are read as you go on. Removing Stickers meanwhile hides none of the others.

        Args:
            color: Only this colour.
            context: Who has put them: ``"personal"`` the own account, ``"system"`` anybody, or an
                account.
            since: Only those put then or later: an aware datetime or Unix seconds.
            until: Only those put then or earlier.

        Raises:
            ValidationError: That is no colour, context or moment; nothing was sent.

        Example:
            >>> Sticker.list(color="red-flag", context="system").first() is None
            True
        """
        query = {
            "color": None if color is None else check_color(color),
            "context": named_context(context),
            "ge": None if since is None else timestamp(since),
        }
        last = None if until is None else timestamp(until)

        def page(connection: Connection, place: Any) -> Flow[tuple[list[Sticker], Any]]:
            return _page(connection, query, place or _Place(last))

        return Collection("Stickers", page)

    def __repr__(self) -> str:
        return f"<Sticker {self.color} on {self._twin}>"

    def _sheet(self) -> Sheet:
        rows = [("note", self.note or ""), ("valid until", f"{self.valid_until:%Y-%m-%d %H:%M}")]
        if self.recipients is not None:
            rows.append(("recipients", ", ".join(self.recipients)))
        return Sheet(repr(self)[1:-1], ("", ""), rows)

    def _identity(self) -> tuple[Any, ...]:
        return (self._twin, self.color, self._wire.get("created_ts"), self._connection.address)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sticker):
            return NotImplemented
        accounts = {one._account or one._connection.known_account for one in (self, other)}
        return self._identity() == other._identity() and len(accounts - {None}) < 2

    def __hash__(self) -> int:
        return hash((self._twin, self.color))

    def __reduce__(self) -> tuple[Any, ...]:
        return Sticker, (self._twin, self.color, self._account, self._wire)


# What is sent


def draft(
    recipients: object,
    note: str | None,
    valid_until: datetime | float | None,
    publish: Mapping[Any, Any] | None,
) -> dict[str, Any]:
    """Write what a new Sticker is to be, checked.

    Raises:
        ValidationError: The service would not take it.
        StateError: A recipient was not saved yet.
    """
    wire = {
        "note": _check_note(note),
        "recipients": _check_recipients(recipients),
        "validity_ts": coming(valid_until, "the Sticker"),
        "publish": _check_publish(publish),
    }
    return {name: value for name, value in wire.items() if value is not None}


def _check_note(note: object) -> str | None:
    if note is None or (isinstance(note, str) and len(note) <= _MAX_NOTE):
        return note
    raise ValidationError(
        f"the note of a Sticker is text of at most {_MAX_NOTE} characters, found "
        f"{len(note) if isinstance(note, str) else type(note).__name__}",
        code="bad-argument",
    )


def _check_recipients(recipients: object) -> list[str]:
    several = [recipients] if isinstance(recipients, (str, Account, Role, User)) else recipients
    if not isinstance(several, Iterable):
        several = [several]
    found = [
        subject(who, "recipient", Account, Role, User) for who in cast("Iterable[Subject]", several)
    ]
    unique = list(dict.fromkeys(found))
    if not 1 <= len(unique) <= _MAX_RECIPIENTS:
        raise ValidationError(
            f"a Sticker has 1 to {_MAX_RECIPIENTS} recipients, found {len(unique)}: name users, "
            "roles or accounts; a role stands for all its users",
            code="bad-argument",
        )
    return unique


def _check_publish(publish: Mapping[Any, Any] | None) -> dict[str, list[str]] | None:
    if publish is None:
        return None
    wrong = [key for key in publish if key not in _OCCASIONS]
    if wrong:
        raise ValidationError(
            f"a Sticker publishes {', '.join(_OCCASIONS)}, found {wrong[0]!r}", code="bad-argument"
        )
    found: dict[str, list[str]] = {}
    for occasion, topics in publish.items():
        several: object = [topics] if isinstance(topics, str) else topics
        if not isinstance(several, Iterable):
            raise ValidationError(
                f"{occasion}={topics!r}: expected a topic or a list of topics", code="bad-argument"
            )
        found[occasion] = list(dict.fromkeys(map(check_topic, cast("Iterable[object]", several))))
    return found


def _topics(told: Any) -> tuple[str, ...]:
    return tuple(map(str, cast("list[object]", told))) if isinstance(told, list) else (str(told),)


def named_context(context: object) -> str:
    """Write who has put Stickers.

    Raises:
        ValidationError: That is nobody.
    """
    if context in ("personal", "system"):
        return str(context)
    return subject(context, "context ('personal', 'system', an account)", Account)


def remove(connection: Connection, twin: str, color: str, context: Context) -> Flow[Sticker]:
    """Remove a Sticker that one is a recipient of."""
    query = {"context": named_context(context)}
    request = api_request("remove_sticker", [twin, check_color(color)], query)
    answer = yield from perform(connection, request)
    return Sticker(twin, color, needed(answer, "account"), answer, connection)


class _Place(NamedTuple):
    """Where a listing goes on: counted in time, so that what is removed shifts nothing.

    Attributes:
        until: When the last one was put.
        seen: Those of that moment that were given out.
        offset: How many of that moment to leave out, where they fill pages.
    """

    until: float | None
    seen: frozenset[tuple[str, str, str]] = frozenset()
    offset: int = 0


def _page(
    connection: Connection, query: Mapping[str, Any], place: _Place
) -> Flow[tuple[list[Sticker], _Place | None]]:
    while True:
        asked = {**query, "le": place.until, "offset": place.offset or None}
        answer = yield from perform(connection, api_request("list_stickers", query=asked))
        wires = {_name(wire): wire for wire in listed(answer, "stickers")}
        new = [
            Sticker(twin, color, account, wires[account, twin, color], connection)
            for account, twin, color in wires
            if (account, twin, color) not in place.seen
        ]
        if len(wires) < _PAGE:
            return new, None
        place = _after(wires, place, fruitless=not new)
        if new:
            return new, place


def _after(
    wires: Mapping[tuple[str, str, str], Mapping[str, Any]], place: _Place, *, fruitless: bool
) -> _Place:
    last = [*wires.values()][-1].get("created_ts")
    here = frozenset(name for name, wire in wires.items() if wire.get("created_ts") == last)
    if last != place.until:
        return _Place(last, here)
    return _Place(last, place.seen | here, place.offset + (len(wires) if fruitless else 0))


def _name(wire: Any) -> tuple[str, str, str]:
    return needed(wire, "account"), needed(wire, "twin"), needed(wire, "color")
