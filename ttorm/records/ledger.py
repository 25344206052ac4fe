"""Ledgers: dictionaries of Entries."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import datetime
from typing import Any, Self

from ttorm.api.answers import items
from ttorm.api.codec import JSONValue
from ttorm.api.moments import timestamp
from ttorm.api.names import check_entry_name, check_uuid
from ttorm.api.request import api_request
from ttorm.connection.calls import may_have_happened, perform
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT
from ttorm.records.changes import Change
from ttorm.records.dumping import entry_values
from ttorm.records.entry import Entry
from ttorm.records.history import Place, differences, values_at
from ttorm.records.loading import load_part, require
from ttorm.records.sheets import ledger_sheet
from ttorm.records.sources import take_form
from ttorm.records.state import PERSONAL, TwinState, check_own_ledger, writable_entry
from ttorm.records.telling import tell_of_clearing

__all__ = ["Ledger", "Ledgers"]


class Ledger(Displayed, MutableMapping[str, Entry]):
    """One account's Ledger of a Twin: Entries by name.

    ``ledger[name]`` gives an `Entry` without asking the service, whether it is there or not;
    assigning never asks either. Looking at values, names or the length loads the whole Ledger in
    one request. Ledgers of other accounts are read-only.

    Example:
        >>> pump = Twin.create()
        >>> pump.ledger["pressure"] = 2.5
        >>> pump.ledger["pressure"].visibility = "true"
        >>> pump.save().requests
        1
        >>> pump.ledger.to_dict()
        {'pressure': 2.5}
    """

    __slots__ = ("_alias", "_state")

    def __init__(self, state: TwinState, alias: str = PERSONAL) -> None:
        self._state = state
        self._alias = alias

    @property
    def _part(self) -> str:
        return "ledger" if self._alias == PERSONAL else f"ledgers/{self._alias}"

    def __getitem__(self, name: str) -> Entry:
        if not isinstance(name, str) or not name:
            check_entry_name(name)
        return Entry._of(self._state, self._alias, name)

    def __setitem__(self, name: str, value: Entry | JSONValue) -> None:
        item = writable_entry(self._state, self._alias, name)
        self._state.touch()
        if isinstance(value, Entry):
            value._copy_to(item, name)
        else:
            take_form(item, "value", name)
            item.cell("value").assign(value)
        item.removed = False
        self._state.forget_values()

    def __delitem__(self, name: str) -> None:
        item = writable_entry(self._state, self._alias, name)
        if item.removed or (item.present is False and not item.is_modified()):
            raise KeyError(name)
        self._state.touch()
        item.remove()
        self._state.forget_values()

    def _names(self) -> list[str]:
        require(self._state, self._part, self._part)
        return self._state.foreign_or_own(self._alias).names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        require(self._state, self._part, self._part)
        return name in self._state.foreign_or_own(self._alias)

    def to_dict(self) -> dict[str, JSONValue]:
        """Give the values of all Entries as a dictionary of its own, which nothing depends on."""
        require(self._state, self._part, self._part)
        return entry_values(self._state.foreign_or_own(self._alias))

    def get(self, name: str, default: Any = None) -> Any:
        """Return an Entry that is there, or the default."""
        return self[name] if name in self else default  # noqa: SIM401 # this is get()

    def setdefault(self, name: str, default: Any = None) -> Entry:
        """Return an Entry, made of a value when it is not there."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, default: Any = ABSENT) -> Any:
        """Take an Entry away with the next save; returns a copy that belongs to no Ledger."""
        if name in self:
            copy = self[name]._detached()
            del self[name]
            return copy
        if default is ABSENT:
            raise KeyError(name)
        return default

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ledger):
            return NotImplemented
        return self._alias == other._alias and self._state.record() == other._state.record()

    def __hash__(self) -> int:
        return hash((Ledger, self._state.record(), self._alias))

    def __repr__(self) -> str:
        return f"<Ledger {self._alias!r} of {self._state.uuid or '(not saved)'}>"

    def _sheet(self) -> Sheet:
        return ledger_sheet(repr(self)[1:-1], self._state.foreign_or_own(self._alias))

    def load(self) -> Self:
        """Read the Ledger unless it was read.

        Example:
            >>> len(Twin.at(Twin.create().uuid).ledger.load())
            0
        """
        if not self._state.foreign_or_own(self._alias).complete:
            self._state.connection.run(load_part(self._state, self._part))
        return self

    @twin_of(load)
    async def aload(self) -> Self:
        if not self._state.foreign_or_own(self._alias).complete:
            await self._state.connection.arun(load_part(self._state, self._part))
        return self

    def refresh(self) -> Self:
        """Read the Ledger again, from the service; unsaved changes stay.

        Example:
            >>> len(Twin.create().ledger.refresh())
            0
        """
        self._state.connection.run(load_part(self._state, self._part, fresh=True))
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._state.connection.arun(load_part(self._state, self._part, fresh=True))
        return self

    def as_of(self, when: datetime | float, *names: str) -> dict[str, JSONValue]:
        """Return the values that Entries had at a moment, in one request.

        Args:
            when: An aware datetime or Unix seconds.
            *names: Names of Entries; without any, all that have a history.

        Returns:
            Values by name, of the Entries whose history has a record of that time.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> pump.ledger.as_of(pump.ledger["pressure"].value_changed_at)
            {'pressure': 2.5}
        """
        return self._state.connection.run(values_at(self._place(), names, timestamp(when)))

    @twin_of(as_of)
    async def aas_of(self, when: datetime | float, *names: str) -> dict[str, JSONValue]:
        return await self._state.connection.arun(values_at(self._place(), names, timestamp(when)))

    def diff(
        self, before: datetime | float, after: datetime | float, *names: str
    ) -> dict[str, Change]:
        """Compare the values that Entries had at two moments, in two requests.

        Args:
            before: An aware datetime or Unix seconds.
            after: The moment compared with it.
            *names: Names of Entries; without any, all that have a history.

        Returns:
            Changes by name; `old` or `new` is None where the history has no record of the time.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> pump.ledger.diff(0, pump.ledger["pressure"].value_changed_at)
            {'pressure': Change(old=None, new=2.5)}
        """
        flow = differences(self._place(), names, timestamp(before), timestamp(after))
        return self._state.connection.run(flow)

    @twin_of(diff)
    async def adiff(
        self, before: datetime | float, after: datetime | float, *names: str
    ) -> dict[str, Change]:
        flow = differences(self._place(), names, timestamp(before), timestamp(after))
        return await self._state.connection.arun(flow)

    def _place(self) -> Place:
        return Place.of(self._state.connection, self._state.uuid, self._alias)

    def clear(self) -> None:
        """Delete all Entries of the account's own Ledger at once: the only way to do so.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger.clear()
            >>> len(pump.ledger)
            0
        """
        check_own_ledger(self._alias)
        self._state.connection.run(self._clear())

    @twin_of(clear)
    async def aclear(self) -> None:
        check_own_ledger(self._alias)
        await self._state.connection.arun(self._clear())

    def _clear(self) -> Flow[None]:
        state = self._state
        ledger = state.ledger
        if state.uuid is None:
            ledger.discard()
            state.forget_values()
            return
        request = api_request("delete_twin_ledger_entry", [state.uuid, PERSONAL])
        try:
            answer = yield from perform(state.connection, request)
        except BaseException as error:
            if may_have_happened(error):
                # What is there now is read when it is looked at.
                state.expire("ledger")
                state.forget_values()
            raise
        ledger.discard()
        deleted = items(answer, "entries")
        for name in {*deleted, *ledger.base}:
            ledger.settle(name, {}, ABSENT)
        ledger.absorb({}, complete=True)
        state.forget_values()
        yield from tell_of_clearing(state, deleted)


class Ledgers:
    """All Ledgers of a Twin: ``ledgers.owner``, ``ledgers.creator``, ``ledgers[account]``.

    Example:
        >>> pump = Twin.create(entries={"pressure": 2.5})
        >>> pump.ledgers.owner["pressure"].value
        2.5
    """

    __slots__ = ("_state",)

    def __init__(self, state: TwinState) -> None:
        self._state = state

    @property
    def personal(self) -> Ledger:
        """The account's own Ledger; the same as `Twin.ledger`."""
        return Ledger(self._state)

    @property
    def owner(self) -> Ledger:
        """The Ledger of the account that owns the Twin, read-only."""
        return Ledger(self._state, "owner")

    @property
    def creator(self) -> Ledger:
        """The Ledger of the account that created the Twin, read-only."""
        return Ledger(self._state, "creator")

    def __getitem__(self, account: str) -> Ledger:
        return Ledger(self._state, check_uuid(account, "account UUID"))

    def __repr__(self) -> str:
        return f"<Ledgers of {self._state.uuid or '(not saved)'}>"
