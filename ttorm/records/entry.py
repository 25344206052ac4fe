"""Entries: the named values of a Ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from ttorm.api.answers import member
from ttorm.api.codec import JSONValue
from ttorm.api.errors import MissingEntryError, StateError
from ttorm.api.moments import moment, timestamp
from ttorm.api.request import api_request
from ttorm.display import Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, NOTHING
from ttorm.records.feeds import Feeds
from ttorm.records.history import History, Place, Span, values_at
from ttorm.records.items import Item
from ttorm.records.loading import read_of
from ttorm.records.properties import Properties
from ttorm.records.publishing import Publish
from ttorm.records.saving import remove_now, save
from ttorm.records.sheets import item_sheet
from ttorm.records.sources import SOURCES, Source, take_form
from ttorm.records.state import PERSONAL, TwinState, check_own_ledger
from ttorm.records.updating import update
from ttorm.records.values import PLAIN
from ttorm.results import SaveResult
from ttorm.rules import Expression

__all__ = ["Entry"]

_SHOWN = {
    "value": "value",
    "visibility": "visibility",
    "history": "history_period",
    "timeseries": "timeseries",
    "publish": "publish",
    "ref": "ref",
    "include": "include",
}
"""Names of the attributes in the API, and here."""


class Entry(Properties):
    """An Entry: a JSON value with visibility, history and services; or a reference or include.

    Entries of a Twin come from its Ledger, ``twin.ledger["battery"]``. One made here is to be
    assigned to a Ledger: ``twin.ledger["battery"] = Entry(99, history="3M")``.

    Args:
        value: The value; for a reference or include leave it out.
        visibility: Rule that lets users of other accounts see it; None keeps it private.
        history: Period of its history, such as ``"3M"`` or ``"INF"``; None keeps none.
        timeseries: Timeseries tables it feeds: ``Weather.celsius``, or as the platform has it.
        publish: Topics to tell changes to, by rule: ``{entry_value < 20: ["battery-low"]}``.
        ref: What it is a copy of: an `Entry` of another Ledger, or ``twin://twin/ledger/entry``.
        include: What it shows: an `Entry` of one's own Ledger of another Twin, or
            ``twin://twin/entry``.

    Raises:
        TypeError: Not exactly one of value, ref and include is given.
        ValidationError: A value or property is not allowed.

    Example:
        >>> pump = Twin.create()
        >>> pump.ledger["pressure"] = Entry(2.5, visibility="true", history="1Y")
        >>> pump.save().created
        ("ledger['pressure']",)
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        value: JSONValue = ABSENT,
        *,
        visibility: str | Expression | None = None,
        history: str | None = None,
        timeseries: Feeds | None = None,
        publish: Publish | None = None,
        ref: Entry | str | None = None,
        include: Entry | str | None = None,
    ) -> None:
        if (value is not ABSENT) + (ref is not None) + (include is not None) != 1:
            raise TypeError(
                "an Entry is made of exactly one of a value, ref= and include=, as in Entry(5), "
                "Entry(ref=other.ledger['x']) or Entry(include=other.ledger['x'])"
            )
        self._state: TwinState | None = None
        self._alias = PERSONAL
        self._item: Item | None = Item(ABSENT, "Entry().{}", None)
        self.name = ""
        if value is not ABSENT:
            self.value = value
        if ref is not None:
            self.ref = ref
        if include is not None:
            self.include = include
        if visibility is not None:
            self.visibility = visibility
        if history is not None:
            self.history_period = history
        if timeseries is not None:
            self.timeseries = timeseries
        if publish is not None:
            self.publish = publish

    @classmethod
    def _of(cls, state: TwinState, alias: str, name: str) -> Entry:
        """Return the Entry of a name, whether it is there or not."""
        entry = cls.__new__(cls)
        entry._state, entry._alias, entry._item, entry.name = state, alias, None, name
        return entry

    # Relations

    @property
    def source(self) -> Entry | None:
        """The Entry that a reference copies or an include shows; None for other Entries.

        Nothing is asked of the service for it; it loads when it is looked at.

        Example:
            >>> station = Twin.create(entries={"celsius": 21.5})
            >>> pump = Twin()
            >>> pump.ledger["outside"] = Entry(include=station.ledger["celsius"])
            >>> pump.ledger["outside"].source.value
            21.5
        """
        for kind, codec in SOURCES.items():
            if (raw := self._now(kind)) is not None:
                held = self._own().held(kind, codec)
                source = codec.load(raw, self.name) if held is NOTHING else held
                return None if source is None else _at(source, self._attached())
        return None

    @property
    def twin(self) -> Any:
        """The record of the Twin it belongs to.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"].twin == pump
            True
        """
        return self._attached().record()

    # Verbs

    def touch(self) -> None:
        """Have the value sent by the next save although it is equal: a new moment, a new record.

        Raises:
            MissingEntryError: The Ledger has no such Entry.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"].touch()
            >>> pump.save().updated
            ("ledger['pressure']",)
        """
        check_own_ledger(self._alias)
        self._get("value")
        self._attached().touch()
        self._own().cell("value").force()

    def save(self) -> SaveResult:
        """Send what changed of this Entry alone.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5, "flow": 1})
            >>> pump.ledger["pressure"].value = 3
            >>> pump.ledger["pressure"].save().requests
            1
        """
        state = self._attached()
        return state.connection.run(save(state.record(), only=("ledger", self.name)))

    @twin_of(save)
    async def asave(self) -> SaveResult:
        state = self._attached()
        return await state.connection.arun(save(state.record(), only=("ledger", self.name)))

    def update(
        self, change: Callable[[Any], Any], *, default: Any = ABSENT, attempts: int = 20
    ) -> Any:
        """Write what a function makes of the value, however many do so at the same time.

        The value is written on the condition that nobody else has written since it was read. When
        somebody has, it is read again and the function called again, after a short wait.

        Of an Entry that the record's class declares as a field, the function gets the field's
        value, a `datetime` say, and what it returns has to be one; of others, JSON.

        Args:
            change: Gets the value and returns the new one; it may be called several times.
            default: The value to begin with when the Ledger has no such Entry; without it, the
                field's.
            attempts: Most attempts.

        Returns:
            The value written.

        Raises:
            ConflictError: Somebody else was faster in each attempt; nothing was written.
            MissingEntryError: The Ledger has no such Entry, and there is no default.
            StateError: The Entry has unsaved changes, or belongs to another account.
            TypeError: The function is none, is asynchronous, or changes the value in place and
                returns None.
            ValidationError: The function has made what the field's type, or JSON, refuses.

        Example:
            >>> pump = Twin.create(entries={"starts": 1})
            >>> pump.ledger["starts"].update(lambda starts: starts + 1)
            2
        """
        check_own_ledger(self._alias)
        return self._attached().connection.run(update(self, change, default, attempts))

    @twin_of(update)
    async def aupdate(
        self, change: Callable[[Any], Any], *, default: Any = ABSENT, attempts: int = 20
    ) -> Any:
        check_own_ledger(self._alias)
        return await self._attached().connection.arun(update(self, change, default, attempts))

    def refresh(self) -> Self:
        """Read this Entry alone, from the service.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"].refresh().value
            2.5
        """
        self._attached().connection.run(self._refresh())
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._attached().connection.arun(self._refresh())
        return self

    def _refresh(self) -> Flow[None]:
        state = self._attached()
        if state.uuid is None:
            raise StateError("the Twin was not saved yet: there is nothing to read")
        request = api_request(
            "get_twin_ledger_entry", [state.uuid, self._alias], {"entries": [self.name]}
        )
        answer = yield from read_of(state, request, fresh=True)
        state.absorb_ledger(self._alias, answer.body, complete=False)
        ledger = state.foreign_or_own(self._alias)
        if self.name not in member(answer.body, "entries"):
            ledger.settle(self.name, {}, ABSENT)

    def delete(self) -> SaveResult:
        """Delete this Entry at once; ``del ledger[name]`` leaves it to the next save.

        Raises:
            SaveError: The service refused.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"].delete().deleted
            ("ledger['pressure']",)
        """
        check_own_ledger(self._alias)
        return self._attached().connection.run(remove_now(self._attached(), "ledger", self.name))

    @twin_of(delete)
    async def adelete(self) -> SaveResult:
        check_own_ledger(self._alias)
        state = self._attached()
        return await state.connection.arun(remove_now(state, "ledger", self.name))

    def history(
        self,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        *,
        reverse: bool = False,
    ) -> History:
        """Go through the values it had, newest first, the present one included.

        Args:
            since: Only values written then or later: an aware datetime or Unix seconds.
            until: Only values written then or earlier.
            reverse: In the order of time, which reads them all before the first is shown.

        Returns:
            What can be iterated by ``for`` and ``async for``; each item has `at` and `value`.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> [change.value for change in pump.ledger["pressure"].history()]
            [2.5]
        """
        return History(self._place(), self.name, Span.of(since, until), reverse=reverse)

    def at(self, when: datetime | float) -> JSONValue:
        """Return the value it had at a moment.

        Args:
            when: An aware datetime or Unix seconds.

        Raises:
            MissingEntryError: The history has no record of that time: it began later, or older
                records were dropped.
            ForbiddenError: There is no such Entry, or it is not visible.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> pump.ledger["pressure"].at(pump.ledger["pressure"].value_changed_at)
            2.5
        """
        return self._attached().connection.run(self._at(timestamp(when)))

    @twin_of(at)
    async def aat(self, when: datetime | float) -> JSONValue:
        return await self._attached().connection.arun(self._at(timestamp(when)))

    def _at(self, when: float) -> Flow[JSONValue]:
        held = yield from values_at(self._place(), [self.name], when, strict=True)
        if self.name not in held:
            raise MissingEntryError(
                f"the history of {self.name!r} has no record of {moment(when)} or before: it began "
                "later, older records were dropped, or history is off"
            )
        return held[self.name]

    def _place(self) -> Place:
        state = self._attached()
        return Place.of(state.connection, state.uuid, self._alias)

    # An ordinary object

    def __repr__(self) -> str:
        if self._state is None:
            return "<Entry, not in a Ledger>"
        return f"<Entry {self.name!r} of {self._state.uuid or '(not saved)'}/{self._alias}>"

    def _sheet(self) -> Sheet:
        return item_sheet(repr(self)[1:-1], self._own(), _SHOWN)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entry):
            return NotImplemented
        if self._state is None or other._state is None:
            return self is other
        mine, theirs = (
            (self._state, self._alias, self.name),
            (other._state, other._alias, other.name),
        )
        return mine[1:] == theirs[1:] and self._state.record() == other._state.record()

    def __hash__(self) -> int:
        if self._state is None:
            return object.__hash__(self)
        return hash((Entry, self._state.record(), self._alias, self.name))

    def _detached(self) -> Entry:
        """Return a copy that belongs to no Ledger."""

        def copied(attribute: str) -> Any:
            return PLAIN.load(self._get(attribute), attribute)

        source = self.source
        return Entry(
            copied("value") if source is None else ABSENT,
            ref=None if self.ref is None else source,
            include=None if self.include is None else source,
            visibility=self.visibility,
            history=self.history_period,
            timeseries=copied("timeseries"),
            publish=copied("publish"),
        )

    def _copy_to(self, item: Item, name: str) -> None:
        """Write what this Entry is into a Ledger's item."""
        source = self if self._state is None else self._detached()
        for attribute, cell in source._own().cells.items():
            if cell.holds:
                take_form(item, attribute, name)
                codec = SOURCES.get(attribute, PLAIN)
                item.cell(attribute).assign(cell.read(codec), codec)


def _at(source: Source, near: TwinState) -> Entry:
    """Return the Entry of a source, of a Twin that may be new to the session."""
    from ttorm.records.lookup import state_at
    from ttorm.records.twin import Twin

    state = source.state or state_at(Twin, source.twin, near.session)
    own = source.account in ("", state.known_account)
    return Entry._of(state, PERSONAL if own else source.account, source.name)
