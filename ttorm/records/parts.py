"""The parts of one Twin: what the service was seen to hold, and what was changed here."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from ttorm.api.answers import member
from ttorm.api.moments import given_seconds
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Cell
from ttorm.records.items import Item, Items

if TYPE_CHECKING:
    from ttorm.records.fields import FieldSpec

__all__ = ["PERSONAL", "Parts"]

PERSONAL = "personal"
"""The alias of the account's own Ledger."""
_MADE_LATER = ("description", "ledgers", "identities", "identity_fields", "docs")
"""Parts that are made when somebody asks for them."""
_MAKING = threading.Lock()


class Parts:
    """Description, Ledgers, Identities and Docs of a Twin.

    Attributes:
        facts: The Twin object as the service last showed it, or None.
        fresh: Whether the description came straight from the service, not from the cache or a
            listing.
        description: The description, key by key.
        replaced: Whether the whole description was assigned, whatever the service holds.
        ledgers: Ledgers by alias or account.
        identities: The account's own Identities.
        identity_fields: Identities assigned through fields while not all of their type were
            known, by type; None takes them away.
        docs: The account's own Docs.
    """

    facts: Mapping[str, Any] | None = None
    fresh = False
    replaced = False
    # Parts of which a write was sent that nobody knows the outcome of.
    in_doubt: frozenset[str] = frozenset()
    # How many writes were answered: a read that was under way may be older.
    written = 0
    # Whether something was assigned or removed, or may have been; if not, only what was handed out
    # can have changed.
    _touched = False
    description: Item
    ledgers: dict[str, Items]
    identities: Items
    identity_fields: dict[str, str | None]
    docs: Items

    def _begin(self) -> None:
        """Make all parts: of a new Twin they are known to be empty."""
        for part in _MADE_LATER:
            self._make(part, new=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Listings give thousands of Twins of which nobody looks at more than the description.
            if name not in _MADE_LATER:
                raise AttributeError(name)
            with _MAKING:
                # Another thread may have been faster.
                try:
                    return object.__getattribute__(self, name)
                except AttributeError:
                    return self._make(name, new=False)

    def _make(self, part: str, *, new: bool) -> Any:
        made: Any
        match part:
            case "description":
                base = UNKNOWN if self.facts is None else member(self.facts, "description")
                made = Item({} if new else base, "description[{!r}]", ABSENT)
            case "ledgers":
                made = {PERSONAL: Items("ledger['{}'].{}", None, complete=new)}
            case "identity_fields":
                made = {}
            case _:
                made = Items(f"{part}['{{}}'].{{}}", complete=new)
        setattr(self, part, made)
        return made

    @property
    def ledger(self) -> Items:
        """The account's own Ledger."""
        return self.ledgers[PERSONAL]

    def foreign_or_own(self, alias: str) -> Items:
        """Return a Ledger by alias or account."""
        try:
            return self.ledgers[alias]
        except KeyError:
            items = self.ledgers[alias] = Items(f"ledgers[{alias!r}]['{{}}'].{{}}", None)
            return items

    def expire(self, part: str) -> None:
        """Forget what the service was seen to hold of a part, to read it when it is looked at."""
        match part:
            case "description":
                self.description.rebase(UNKNOWN)
                # An answer that says the same as what was known before is news again.
                self.fresh = False
            case "ledger":
                for ledger in self.ledgers.values():
                    ledger.expire()
            case "identities":
                self.identities.expire()
            case _:
                self.docs.expire()

    def expire_aliases(self) -> None:
        """Forget the Ledgers read under other names than `personal`: one may be the same."""
        for alias, ledger in self.ledgers.items():
            if alias != PERSONAL:
                ledger.expire()

    def place(self, spec: FieldSpec) -> tuple[Item, str]:
        """Return where the value of a description key or Entry is kept."""
        if spec.in_ledger:
            return self.foreign_or_own(spec.alias).item(spec.target), "value"
        return self.description, spec.target

    def peek(self, spec: FieldSpec) -> Any:
        """Give the scalar that a field shows when nobody has touched it; NOTHING otherwise.

        The way of nearly all reads: it makes no cell, so that what is only read takes no memory.
        """
        if spec.in_ledger:
            ledger = self.ledgers.get(spec.alias)
            return NOTHING if ledger is None else ledger.peek(spec.target, "value")
        described = self.described()
        if described is None:
            return self.description.peek(spec.target)
        return described.get(spec.target, NOTHING)

    def described(self) -> dict[str, Any] | None:
        """Give the service's description while nobody has looked closer; else None."""
        if self.facts is None or "description" in vars(self):
            return None
        return member(self.facts, "description")

    def holds(self, spec: FieldSpec) -> bool:
        """Tell whether a value can be read without asking the service."""
        item, attribute = self.place(spec)
        return item.current(spec.linked or attribute) not in (UNKNOWN, ABSENT)

    def redescribed(self) -> bool:
        """Tell whether a save would write the description."""
        unseen = self.replaced and self.description.base is UNKNOWN
        return unseen or self.description.is_modified()

    def _has_changes(self) -> bool:
        return (
            self.redescribed()
            or bool(self.identity_fields)
            or self.ledger.is_modified()
            or self.identities.is_modified()
            or self.docs.is_modified()
        )

    def _items(self, part: str) -> Iterator[tuple[str, Item]]:
        """Give the items of a part that somebody looked at or changed."""
        match part:
            case "description":
                return iter([(part, self.description)])
            case "ledger":
                return iter(self.ledger)
            case "identities":
                return iter(self.identities)
            case _:
                return iter(self.docs)

    def begin_doubt(self, part: str, sent: Mapping[str, Collection[str]]) -> None:
        """Note that attributes of items are sent, or items removed, with an outcome yet unknown."""
        self.in_doubt |= {part}
        # What was handed out is a change even if it is set back.
        self._touched = True
        self._mark(part, sent, doubtful=True)

    def end_doubt(self, part: str, sent: Mapping[str, Collection[str]]) -> None:
        """Note that the outcome is known."""
        self.in_doubt -= {part}
        self.written += 1
        self._mark(part, sent, doubtful=False)

    def _mark(self, part: str, sent: Mapping[str, Collection[str]], *, doubtful: bool) -> None:
        for name, item in self._items(part):
            if name in sent:
                item.mark(sent[name], doubtful=doubtful)

    def doubt(self, part: str) -> None:
        """Have what was set back since it was sent count as a change, before it is read again."""
        for _, item in self._items(part):
            for cell in item.cells.values():
                cell.doubt()

    def _cells(self) -> Iterator[Cell]:
        yield from self.description.cells.values()
        for several in (*self.ledgers.values(), self.identities, self.docs):
            for _, item in several:
                yield from item.cells.values()

    def assign_identity(self, prefix: str, wanted: str | None) -> None:
        """Have one Identity in the place of all of its type; None takes them away."""
        for text in self.identities.names():
            if text.startswith(f"{prefix}#") and text != wanted:
                self.identities.item(text).remove()
        if wanted is not None:
            item = self.identities.item(wanted)
            item.removed, item.adding = False, not item.present or item.sent
        if not self.identities.complete:
            self.identity_fields[prefix] = wanted

    def shown_identity(self, prefix: str) -> str | None:
        """Return the Identity that a field of a type shows: the oldest one."""
        found = [text for text in self.identities.names() if text.startswith(f"{prefix}#")]

        def age(text: str) -> tuple[float, str]:
            if text not in self.identities.base:
                return inf, text
            # Listings tell it, and so does the certificate of one that was just attached.
            item = self.identities.base[text]
            certificate = member(item, "creation_certificate")
            stamp = item.get("created_ts") or certificate.get("created_ts") or 0
            return given_seconds(stamp), text

        return min(found, key=age) if found else None

    def _replace_found(self) -> None:
        """Have those removed in whose place a field was assigned before they were known."""
        for text in self.identities.base:
            prefix, item = text.partition("#")[0], self.identities.item(text)
            if not item.adding and self.identity_fields.get(prefix, text) != text:
                item.remove()
        self.identity_fields.clear()
