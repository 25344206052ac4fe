"""Entries: the named values of a Ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self

from ttorm.api.answers import member
from ttorm.api.codec import JSONValue
from ttorm.api.errors import MissingEntryError, StateError
from ttorm.api.names import check_history
from ttorm.api.request import api_request
from ttorm.connection.calls import read
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Item
from ttorm.records.history import History, Place, Span, values_at
from ttorm.records.loading import require
from ttorm.records.moments import moment, timestamp
from ttorm.records.saving import remove_now, save
from ttorm.records.sheets import item_sheet
from ttorm.records.sources import SOURCES, Source
from ttorm.records.state import PERSONAL, TwinState, check_own_ledger, writable_entry
from ttorm.records.updating import update
from ttorm.records.values import PLAIN, Codec, is_scalar
from ttorm.results import SaveResult
from ttorm.rules import Expression, rule_text

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


class Entry(Displayed):
    """An Entry: a JSON value with visibility, history and services; or a reference or include.

    Entries of a Twin come from its Ledger, ``twin.ledger["battery"]``. One made here is to be
    assigned to a Ledger: ``twin.ledger["battery"] = Entry(99, history="3M")``.

    Args:
        value: The value; for a reference or include leave it out.
        visibility: Rule that lets users of other accounts see it; None keeps it private.
        history: Period of its history, such as ``"3M"`` or ``"INF"``; None keeps none.
        timeseries: Timeseries tables it feeds.
        publish: Notification rules with their topics.
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

    __slots__ = ("__weakref__", "_alias", "_item", "_state", "name")

    name: str

    def __init__(
        self,
        value: JSONValue = ABSENT,
        *,
        visibility: str | Expression | None = None,
        history: str | None = None,
        timeseries: Mapping[str, JSONValue] | None = None,
        publish: Mapping[str, list[str]] | None = None,
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
            self.timeseries = dict(timeseries)
        if publish is not None:
            self.publish = dict(publish)

    @classmethod
    def _of(cls, state: TwinState, alias: str, name: str) -> Entry:
        """Return the Entry of a name, whether it is there or not."""
        entry = cls.__new__(cls)
        entry._state, entry._alias, entry._item, entry.name = state, alias, None, name
        return entry

    # Where its cells are

    def _own(self) -> Item:
        if self._item is not None:
            return self._item
        return self._attached().foreign_or_own(self._alias).item(self.name)

    def _attached(self) -> TwinState:
        if self._state is None:
            raise StateError(
                "this Entry belongs to no Ledger yet: assign it, as in twin.ledger['name'] = entry"
            )
        return self._state

    @property
    def _part(self) -> str:
        return "ledger" if self._alias == PERSONAL else f"ledgers/{self._alias}"

    def _get(self, attribute: str) -> Any:
        item = self._own()
        if (held := item.held(attribute)) is not NOTHING:
            return held
        if self._now(attribute) is None:
            return None
        value = item.cell(attribute).read(PLAIN)
        if not is_scalar(value) and self._state is not None:
            self._state.touch()
        return value

    def _now(self, attribute: str) -> Any:
        """Give an attribute as it is now, not to be changed."""
        item = self._own()
        if item.current(attribute) is UNKNOWN:
            require(self._attached(), self._part, f"ledger[{self.name!r}].{attribute}")
        if item.current(attribute) is ABSENT:
            if item.is_modified() and not item.removed:
                return None
            raise MissingEntryError(
                f"the Ledger {self._alias!r} has no Entry {self.name!r}: assign a value to make "
                "it, or ask `name in ledger` first"
            )
        return item.current(attribute)

    def _set(self, attribute: str, value: Any, codec: Codec = PLAIN) -> None:
        item = self._item or writable_entry(self._attached(), self._alias, self.name)
        item.removed = False
        item.cell(attribute).assign(value, codec)
        if self._state is not None:
            self._state.forget_values()
            self._state.touch()

    # Its attributes

    @property
    def value(self) -> JSONValue:
        """The value: any JSON; containers may be changed in place.

        Raises:
            MissingEntryError: The Ledger has no such Entry.
        """
        return self._get("value")

    @value.setter
    def value(self, value: JSONValue) -> None:
        self._set("value", value)

    @property
    def visibility(self) -> str | None:
        """Rule that lets users of other accounts see it; None keeps it private."""
        text: str | None = self._get("visibility")
        return text

    @visibility.setter
    def visibility(self, rule: str | Expression | None) -> None:
        self._set("visibility", None if rule is None else rule_text(rule))

    @property
    def history_period(self) -> str | None:
        """Period of its history, such as ``"3M"`` or ``"INF"``; None keeps none."""
        period: str | None = self._get("history")
        return period

    @history_period.setter
    def history_period(self, period: str | None) -> None:
        self._set("history", check_history(period))

    @property
    def timeseries(self) -> dict[str, JSONValue] | None:
        """Timeseries tables it feeds, or None."""
        tables: dict[str, JSONValue] | None = self._get("timeseries")
        return tables

    @timeseries.setter
    def timeseries(self, tables: dict[str, JSONValue] | None) -> None:
        self._set("timeseries", tables)

    @property
    def publish(self) -> dict[str, list[str]] | None:
        """Notification rules with their topics, or None."""
        rules: dict[str, list[str]] | None = self._get("publish")
        return rules

    @publish.setter
    def publish(self, rules: dict[str, list[str]] | None) -> None:
        self._set("publish", rules)

    @property
    def ref(self) -> str | None:
        """What a reference is a copy of, ``twin://twin/ledger/entry``; None for other Entries."""
        return self._link("ref")

    @ref.setter
    def ref(self, source: Entry | str) -> None:
        self._set("ref", _source(source), SOURCES["ref"])

    @property
    def ref_status(self) -> str | None:
        """``"ok"`` when a reference agrees with its source; None for other Entries."""
        status: str | None = member({"ref": self._now("ref")}, "ref").get("status")
        return status

    @property
    def include(self) -> str | None:
        """What an include shows, ``twin://twin/entry``; None for other Entries."""
        return self._link("include")

    @include.setter
    def include(self, source: Entry | str) -> None:
        self._set("include", _source(source), SOURCES["include"])

    def _link(self, kind: str) -> str | None:
        text: str | None = member({kind: self._now(kind)}, kind).get("source")
        return text

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

    def _as_source(self) -> Source:
        """Return it as what others may refer to."""
        return Source(self.name, account=self._account(), state=self._attached())

    def _account(self) -> str:
        """Return the account of its Ledger; empty for one's own."""
        if self._alias == PERSONAL:
            return ""
        facts: Mapping[str, Any] = self._attached().facts or {}
        aliases = {
            "owner": facts.get("owner"),
            "creator": member(facts, "creation_certificate").get("creator"),
        }
        account = aliases.get(self._alias, self._alias)
        if account is None:
            raise StateError(
                f"load the Twin first: the account of Ledger {self._alias!r} is not known"
            )
        return str(account)

    def _stamp(self, name: str) -> datetime:
        stamp = self._get(name)
        if stamp is None:
            raise StateError(
                f"the service has not told this of the Entry {self.name!r} yet: save() the Twin, "
                "or refresh() the Entry"
            )
        return moment(stamp)

    @property
    def created_at(self) -> datetime:
        """When it was created, in UTC."""
        return self._stamp("entry_created_ts")

    @property
    def updated_at(self) -> datetime:
        """When one of its properties last changed, in UTC."""
        return self._stamp("entry_updated_ts")

    @property
    def value_changed_at(self) -> datetime:
        """When its value was last written, in UTC."""
        return self._stamp("value_changed_ts")

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
        self._own().cell("value").force()
        self._attached().touch()

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
        self, change: Callable[[Any], JSONValue], *, default: JSONValue = ABSENT, attempts: int = 20
    ) -> JSONValue:
        """Write what a function makes of the value, however many do so at the same time.

        The value is written on the condition that nobody else has written since it was read. When
        somebody has, it is read again and the function called again, after a short wait.

        Args:
            change: Gets the value and returns the new one; it may be called several times.
            default: The value to begin with when the Ledger has no such Entry.
            attempts: Most attempts.

        Returns:
            The value written.

        Raises:
            ConflictError: Somebody else was faster in each attempt; nothing was written.
            MissingEntryError: The Ledger has no such Entry, and there is no default.
            StateError: The Entry has unsaved changes, or belongs to another account.

        Example:
            >>> pump = Twin.create(entries={"starts": 1})
            >>> pump.ledger["starts"].update(lambda starts: starts + 1)
            2
        """
        check_own_ledger(self._alias)
        return self._attached().connection.run(update(self, change, default, attempts))

    @twin_of(update)
    async def aupdate(
        self, change: Callable[[Any], JSONValue], *, default: JSONValue = ABSENT, attempts: int = 20
    ) -> JSONValue:
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
        answer = yield from read(state.connection, request, fresh=True)
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

    def _copy_to(self, item: Item) -> None:
        """Write what this Entry is into a Ledger's item."""
        source = self if self._state is None else self._detached()
        for attribute, cell in source._own().cells.items():
            if cell.holds:
                codec = SOURCES.get(attribute, PLAIN)
                item.cell(attribute).assign(cell.read(codec), codec)


def _source(entry: Entry | str) -> Source | str:
    return entry if isinstance(entry, str) else entry._as_source()


def _at(source: Source, near: TwinState) -> Entry:
    """Return the Entry of a source, of a Twin that may be new to the session."""
    from ttorm.records.lookup import state_at
    from ttorm.records.twin import Twin

    state = source.state or state_at(Twin, source.twin, near.session)
    own = source.account in ("", state.known_account)
    return Entry._of(state, PERSONAL if own else source.account, source.name)
