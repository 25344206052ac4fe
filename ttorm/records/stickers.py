"""The Stickers of a Twin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from ttorm.api.answers import items, member, refusal
from ttorm.api.errors import ItemError, NotFoundError, SaveError, StateError
from ttorm.api.names import check_color
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.account import Account
from ttorm.records.loading import check_blocking
from ttorm.records.sticker import Context, Publish, Sticker, draft, named_context, remove
from ttorm.records.subjects import Subject

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Stickers"]

D = TypeVar("D")


class Stickers(Displayed, Mapping[str, Sticker]):
    """The Stickers that the own account has put on a Twin, by colour; `of` gives those of others.

    Stickers are tasks for others and no part of the record: `put` and `remove` act at once, and
    every look asks the service. A colour leads to its Sticker whoever it is for. Iterating gives
    the colours that the service lists: those whose Stickers one is a recipient of.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> pump = Twin.create()
        >>> me = connection.whoami()["user"]
        >>> pump.stickers.put("red-flag", [me], note="Check the seal").note
        'Check the seal'
        >>> list(pump.stickers), "blue" in pump.stickers
        (['red-flag'], False)
        >>> pump.stickers.remove("red-flag").note
        'Check the seal'
    """

    __slots__ = ("_state",)

    def __init__(self, state: TwinState) -> None:
        self._state = state

    # Reading

    def __getitem__(self, color: str) -> Sticker:
        check_blocking(self._state, f"stickers[{color!r}]", f"twin.stickers.aget({color!r})")
        found = self._state.connection.run(self._get(color, None))
        if found is None:
            raise KeyError(color)
        return found

    def get(self, color: str, default: D | None = None) -> Sticker | D | None:  # type: ignore[override]  # the mapping's has overloads
        """Read the Sticker of a colour that the own account has put.

        Args:
            color: The colour.
            default: What to return when there is none.

        Raises:
            ValidationError: That is no colour; nothing was sent.

        Example:
            >>> Twin.create().stickers.get("red-flag") is None
            True
        """
        return self._state.connection.run(self._get(color, default))

    @twin_of(get)
    async def aget(self, color: str, default: D | None = None) -> Sticker | D | None:
        return await self._state.connection.arun(self._get(color, default))

    def _get(self, color: str, default: D | None) -> Flow[Sticker | D | None]:
        uuid, connection = self._saved(), self._state.connection
        request = api_request("get_sticker", [uuid, check_color(color)])
        try:
            answer = yield from perform(connection, request)
        except NotFoundError:
            return default
        return Sticker(uuid, color, None, answer, connection)

    def _listed(self) -> list[str]:
        check_blocking(self._state, "stickers", "twin.stickers.aof('personal')")
        found = self._state.connection.run(self._of("personal"))
        return [color for several in found.values() for color in several]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def __len__(self) -> int:
        return len(self._listed())

    def of(self, context: Context | Iterable[Context] = "system") -> dict[str, dict[str, Sticker]]:
        """Read the Stickers that one is a recipient of, by account and colour.

        Args:
            context: Who has put them: ``"system"`` anybody, ``"personal"`` the own account, or an
                account or several, as UUIDs or records.

        Returns:
            Stickers by colour, by UUID of the account that has put them.

        Raises:
            ValidationError: That is no context; nothing was sent.

        Example:
            >>> Twin.create().stickers.of("system")
            {}
        """
        return self._state.connection.run(self._of(context))

    @twin_of(of)
    async def aof(
        self, context: Context | Iterable[Context] = "system"
    ) -> dict[str, dict[str, Sticker]]:
        return await self._state.connection.arun(self._of(context))

    def _of(self, context: Context | Iterable[Context]) -> Flow[dict[str, dict[str, Sticker]]]:
        uuid, connection = self._saved(), self._state.connection
        if isinstance(context, (str, Account)):
            named: str | list[str] = named_context(context)
        else:
            named = [*map(named_context, context)]
        answer = yield from perform(
            connection, api_request("get_stickers", [uuid], {"context": named})
        )
        accounts = member(answer, "accounts")
        # Some answers say so twice.
        accounts = member(accounts, "accounts") or accounts
        return {
            account: {
                color: Sticker(uuid, color, account, wire, connection)
                for color, wire in items(accounts, account).items()
            }
            for account in accounts
        }

    # Verbs

    def put(
        self,
        color: str,
        recipients: Subject | Iterable[Subject],
        *,
        note: str | None = None,
        valid_until: datetime | float | None = None,
        publish: Publish | None = None,
    ) -> Sticker:
        """Put a Sticker on the Twin, at once.

        Args:
            color: Its colour, a word such as ``"red-flag"``; each account has each colour once on
                a Twin.
            recipients: Who sees it and may remove it: 1 to 100 users, roles or accounts, also
                those of others, as UUIDs or records.
            note: What it says, at most 512 characters.
            valid_until: When it expires: an aware datetime or Unix seconds, at most a year ahead,
                which is also the default.
            publish: Topics to publish to, such as ``{"on_put": "work", "on_expire": ["late"]}``.

        Raises:
            ValidationError: Something has the wrong form; nothing was sent.
            SaveError: The account has a Sticker of this colour on the Twin already.
            StateError: The Twin or a recipient was not saved yet.

        Example:
            >>> connection = ttorm.connect("memory:")
            >>> role = connection.whoami()["role"]
            >>> sticker = Twin.create().stickers.put("red-flag", role, note="Check the seal")
            >>> sticker.recipients == (role,)
            True
        """
        wire = draft(recipients, note, valid_until, publish)
        return self._state.connection.run(self._put(color, wire))

    @twin_of(put)
    async def aput(
        self,
        color: str,
        recipients: Subject | Iterable[Subject],
        *,
        note: str | None = None,
        valid_until: datetime | float | None = None,
        publish: Publish | None = None,
    ) -> Sticker:
        wire = draft(recipients, note, valid_until, publish)
        return await self._state.connection.arun(self._put(color, wire))

    def _put(self, color: str, wire: dict[str, object]) -> Flow[Sticker]:
        uuid, connection = self._saved(), self._state.connection
        body = {"stickers": {check_color(color): wire}}
        request = api_request("put_sticker", [uuid], body=body)
        answer = yield from perform(connection, request)
        if (text := refusal(answer, "stickers", color)) is not None:
            raise SaveError(
                f"the Sticker {color!r} was not put on Twin {uuid}: {text} Remove the one that "
                "is there, or take another colour",
                errors={f"stickers[{color!r}]": ItemError(text, "put_sticker")},
            )
        put = member(member(answer, "stickers"), color)
        return Sticker(uuid, color, None, {**wire, **put}, connection)

    def remove(self, color: str, context: Context = "personal") -> Sticker:
        """Remove a Sticker that one is a recipient of, at once.

        Of all who try at the same time one succeeds: who gets the Sticker has the task.

        Args:
            color: Its colour.
            context: Who has put it: ``"personal"`` the own account, an account, or ``"system"``
                for the newest of whoever has put one.

        Returns:
            The Sticker that was removed.

        Raises:
            NotFoundError: There is none any more, or one is no recipient of it.
            OutcomeUnknownError: The answer was lost: whether one has won is not known.
            ValidationError: That is no colour or context; nothing was sent.

        Example:
            >>> Twin.create().stickers.remove("red-flag")
            Traceback (most recent call last):
              ...
            ttorm.NotFoundError: ...
        """
        return self._state.connection.run(self._remove(color, context))

    @twin_of(remove)
    async def aremove(self, color: str, context: Context = "personal") -> Sticker:
        return await self._state.connection.arun(self._remove(color, context))

    def _remove(self, color: str, context: Context) -> Flow[Sticker]:
        return remove(self._state.connection, self._saved(), color, context)

    def _saved(self) -> str:
        if self._state.uuid is None:
            raise StateError("the Twin was not saved yet: save() it before its Stickers")
        return self._state.uuid

    def __repr__(self) -> str:
        return f"<Stickers of {self._state.uuid or '(not saved)'}>"

    def __eq__(self, other: object) -> bool:
        # Comparing as mappings do would ask the service.
        if not isinstance(other, Stickers):
            return NotImplemented
        return bool(self._state.record() == other._state.record())

    def __hash__(self) -> int:
        return hash((Stickers, self._state.record()))

    def _sheet(self) -> Sheet:
        return Sheet(repr(self)[1:-1], ("", ""), [], "every look asks the service")
