"""What an Entry is: its value and properties, read from and written to its Ledger's cells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ttorm.api.answers import member
from ttorm.api.codec import JSONValue
from ttorm.api.errors import MissingEntryError, StateError
from ttorm.api.moments import moment
from ttorm.api.names import check_history
from ttorm.display import Displayed
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN
from ttorm.records.feeds import Feeds, feeds_of
from ttorm.records.items import Item
from ttorm.records.loading import require
from ttorm.records.publishing import Publish, publish_rules
from ttorm.records.sources import SOURCES, Source, take_form
from ttorm.records.state import PERSONAL, TwinState, writable_entry
from ttorm.records.values import PLAIN, Codec, is_scalar
from ttorm.rules import Expression, rule_text

if TYPE_CHECKING:
    from ttorm.records.entry import Entry

__all__ = ["Properties"]


class Properties(Displayed):
    """The attributes of an Entry: what it holds, who sees it, what it feeds, when it changed."""

    __slots__ = ("_alias", "_item", "_state", "name")

    name: str
    _state: TwinState | None
    _alias: str
    _item: Item | None

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

    def _get(self, attribute: str) -> Any:
        # What is only looked at takes no memory: no item and no cell is made for it.
        if (raw := self._peek(attribute)) is not NOTHING:
            return raw
        item = self._own()
        if (held := item.held(attribute)) is not NOTHING:
            return held
        if self._now(attribute) is None:
            return None
        cell = item.cell(attribute)
        value = cell.read(PLAIN)
        if not is_scalar(value) and self._state is not None:
            self._state.lend(value, cell)
        return value

    def _peek(self, attribute: str) -> Any:
        """Give a scalar that nobody has touched; NOTHING when somebody has, or it is none."""
        if self._state is None:
            return NOTHING
        ledger = self._state.ledgers.get(self._alias)
        return NOTHING if ledger is None else ledger.peek(self.name, attribute)

    def _now(self, attribute: str) -> Any:
        """Give an attribute as it is now, not to be changed."""
        item = self._own()
        if item.current(attribute) is UNKNOWN:
            require(self._attached(), self._part, f"ledger[{self.name!r}].{attribute}")
        if item.current(attribute) is ABSENT:
            if item.is_modified() and not item.removed:
                return None
            cure = "assign a value to make it" if self._alias == PERSONAL else "it may be hidden"
            raise MissingEntryError(
                f"the Ledger {self._alias!r} has no Entry {self.name!r}: {cure}, or ask "
                "`name in ledger` first"
            )
        return item.current(attribute)

    def _set(self, attribute: str, value: Any, codec: Codec = PLAIN) -> None:
        item = self._item or writable_entry(self._attached(), self._alias, self.name)
        if self._state is not None:
            self._state.touch()
        take_form(item, attribute, self.name)
        item.removed = False
        item.cell(attribute).assign(value, codec)
        if self._state is not None:
            self._state.forget_values()

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
        """Timeseries tables it feeds, with their settings, or None.

        A column such as ``Weather.celsius`` can be assigned, a class of a table, or a list of such.
        """
        tables: dict[str, JSONValue] | None = self._get("timeseries")
        return tables

    @timeseries.setter
    def timeseries(self, tables: Feeds | None) -> None:
        self._set("timeseries", None if tables is None else feeds_of(tables))

    @property
    def publish(self) -> dict[str, list[str]] | None:
        """Topics to tell changes to, by rule, or None.

        Rules that are assigned may be expressions, and topics templates.

        Example:
            >>> from ttorm.rules import entry_value
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"].publish = {entry_value > 3: ["pressure-high"]}
            >>> pump.save().updated
            ("ledger['pressure']",)
        """
        rules: dict[str, list[str]] | None = self._get("publish")
        return rules

    @publish.setter
    def publish(self, rules: Publish | None) -> None:
        self._set("publish", None if rules is None else publish_rules(rules))

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


def _source(entry: Entry | str) -> Source | str:
    return entry if isinstance(entry, str) else entry._as_source()
