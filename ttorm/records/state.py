"""The state of one Twin: what the service was seen to hold, and what was changed here.

All views of a Twin in a session (``Twin.at(u)``, ``Scooter.at(u)``, ``twin.ledger["x"]``) share it.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ttorm.api.answers import items, listed, member
from ttorm.api.errors import StateError
from ttorm.api.moments import given_seconds
from ttorm.api.names import check_entry_name
from ttorm.connection.blocking import runner
from ttorm.connection.core import Connection
from ttorm.flows import Flow
from ttorm.records.again import NEVER, Again
from ttorm.records.cells import Cell
from ttorm.records.items import Item
from ttorm.records.lent import Lent
from ttorm.records.models import check_shows
from ttorm.records.parts import PERSONAL, Parts
from ttorm.results import Plan, SaveResult, Stage
from ttorm.sessions import Session, UnsavedChangesWarning, current_session, open_block

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ttorm.records.fields import FieldSpec
    from ttorm.records.listing import Listing
    from ttorm.records.record import Record

__all__ = ["PERSONAL", "TwinState", "check_own_ledger", "known_state", "writable_entry"]


class TwinState(Parts):
    """The state of one Twin: its parts, who shows them, and where it belongs.

    Attributes:
        uuid: UUID; None before it was created.
        saving: Who saves it right now, and what to wait for until that is done.
        asking: Who asks the receivers of `pre_save` about it right now.
        stuck: Whether its last save failed, and nobody decided since what to do about it.
        listing: The listing that gave it last, or None.
        model: The class it is shown as where no other is named.
        again: How fields that were assigned are assigned again, by attribute.
    """

    # Class attributes, and not made for each: listings give thousands of Twins that change nothing.
    saving: tuple[object, Future[None], int] | None = None
    asking: frozenset[object] = frozenset()
    stuck = False
    # Whether its creation was cut off, and nobody was told of that yet.
    perhaps_created = False
    listing: Listing | None = None
    _session: Session | None = None
    _connection: Connection | None = None
    _address = ""
    _lent: Lent | None = None
    _views: tuple[weakref.ref[Record], ...] = ()
    again: Mapping[str, Again] = NEVER

    uuid: str | None
    model: type[Record]

    def __init__(self, uuid: str | None, session: Session | None, model: type[Record]) -> None:
        self.uuid = uuid
        self.model = model
        if session is not None:
            self._session, self._connection = session, session.connection
        if uuid is None:
            self.fresh = True
            self._begin()

    @property
    def session(self) -> Session:
        """The session it belongs to; the current one when it came from a pickle."""
        if self._session is None:
            self._session = current_session()
        return self._session

    @property
    def joined(self) -> Session | None:
        """The session it belongs to; None when it came from a pickle and needed none yet."""
        return self._session

    def check_home(self) -> None:
        """Refuse to read or save a record of another thread's or event loop's block.

        Raises:
            StateError: It belongs to one.
        """
        if self._session is not None:
            self._session.check_home()

    @property
    def connection(self) -> Connection:
        """The connection it talks through; the default one when it came from a pickle."""
        if self._connection is None:
            self._connection = self.session.connection
        return self._connection

    @property
    def address(self) -> str:
        """What tells its service apart from others."""
        return self._address if self._connection is None else self._connection.address

    @address.setter
    def address(self, address: str) -> None:
        self._address = address

    @property
    def known_account(self) -> str | None:
        """The account of its connection, when it was asked for before."""
        return None if self._connection is None else self._connection.known_account

    # Views

    def __reduce__(self) -> tuple[Any, ...]:
        # What belongs to a Twin, such as an Entry, is copied and pickled with its record.
        return getattr, (self.record(), "_state")

    @property
    def _state(self) -> TwinState:
        # A session knows states, and records that have not made theirs yet: both are asked alike.
        return self

    def shown_as(self, model: type[Record]) -> None:
        """Note that it was asked for as a class; the most special one knows its fields best."""
        # One with abstract methods is no class of a record: it stands for those below it.
        general = self.model.__abstractmethods__ or issubclass(model, self.model)
        if general and not model.__abstractmethods__:
            self.model = model

    def view(self, model: type[Record]) -> Any:
        """Return the record of a class that shows this state."""
        for known in self.views():
            if type(known) is model:
                return known
        check_shows(model)
        record: Record = object.__new__(model)
        self.adopt(record)
        return record

    def views(self) -> list[Record]:
        """Return the records that show this state."""
        found = [known() for known in self._views]
        return [record for record in found if record is not None]

    def adopt(self, record: Record) -> None:
        """Make a record a view of this state."""
        vars(record)["_state"] = self
        vars(record).pop("_row", None)
        self.again = NEVER
        self._views = (*map(weakref.ref, self.views()), weakref.ref(record))

    def record(self) -> Any:
        """Return the record the user knows it by."""
        return self.view(self.model)

    @property
    def has_several_views(self) -> bool:
        """Whether records of more than one class show it."""
        return len(self._views) > 1

    def forget_value(self, spec: FieldSpec) -> None:
        """Have all views read the value of one field again."""
        self.again = NEVER
        for record in self.views():
            same = type(record).__targets__.get(spec.place)
            if same is not None:
                vars(record).pop(same.attribute, None)

    def forget_values(self) -> None:
        """Have all views read their values again; nothing changed is lost."""
        self.again = NEVER
        for record in self.views():
            record._forget_values()

    # Changes

    def is_modified(self) -> bool:
        """Tell whether a save would send anything."""
        if self.uuid is None:
            return True
        if not self._touched and (self._lent is None or self._lent.is_unchanged()):
            return False
        # What was set back to how it was is no change, unless that is in doubt.
        modified = self._has_changes() or bool(self.in_doubt)
        self._warn_of_lost_changes()
        if not modified:
            self._rest()
        return modified

    def _warn_of_lost_changes(self) -> None:
        for cell in self._cells():
            if cell.lost_a_change():
                warnings.warn(
                    f"{cell.where} has a newer value than the container that was changed: read it "
                    "again and change that; what was changed before is not saved",
                    UnsavedChangesWarning,
                    stacklevel=2,
                )

    def _rest(self) -> None:
        """Note that nothing is changed: from here on only what was handed out need be compared."""
        lent = Lent()
        for cell in self._cells():
            for value in cell.handed_out():
                if not lent.add(value, cell):
                    return
        self._touched, self._lent, self.again = False, lent, NEVER

    def touch(self) -> None:
        """Note that something is about to be changed, or may be from now on.

        Raises:
            StateError: It belongs to a block of another thread or event loop.
        """
        self._touched = True
        self._hold()

    def lend(self, value: Any, cell: Cell) -> None:
        """Note that a container was handed out, which may be changed from now on."""
        if self._lent is None:
            self._lent = Lent()
        # What cannot be compared quickly is asked for its changes each time.
        quick = not cell.is_assigned and self._lent.add(value, cell)
        self._touched = self._touched or not quick
        self._hold()

    def _hold(self) -> None:
        # One that came from a pickle belongs to no session before it needs a connection.
        session = self._session or open_block()
        if session is not None:
            session.hold(self)

    def discard(self) -> None:
        """Forget all unsaved changes; a Twin that is not saved yet is nothing but what it is."""
        if self.uuid is not None:
            self._forget_changes()
        self.stuck = False
        # A new record that was discarded is not made at the end of its block.
        if (session := self._session or open_block()) is not None:
            session.release(self)

    def _forget_changes(self) -> None:
        self.replaced = False
        self.identity_fields.clear()
        self.description.discard()
        for ledger in self.ledgers.values():
            ledger.discard()
        self.identities.discard()
        self.docs.discard()
        for part in self.in_doubt:
            # What it was before is not what it is now, perhaps.
            self.expire(part)
        self._touched = False
        self._lent = None
        self.forget_values()

    def waits_for(self) -> list[TwinState]:
        """Return the Twins that changes speak of and that have to be saved first."""
        from ttorm.records.needs import needs

        return [one.state for one in needs(self)]

    def save_flow(self, *, early: bool = False) -> Flow[SaveResult]:
        """Send the changes.

        Args:
            early: Leave out what speaks of Twins that are not saved yet.
        """
        from ttorm.records.needs import spots_that_wait
        from ttorm.records.saving import after_another, save
        from ttorm.records.turns import check_unasked

        # Here, since several flows go on in tasks of their own.
        check_unasked(self)
        # Others of the same round may be there before this one begins.
        saving = save(self.record(), without=spots_that_wait(self, None) if early else None)
        return saving if self.saving is None else after_another(self, saving, runner())

    def plan(self, stage: Stage = "whole", circle: Collection[object] = ()) -> Plan:
        """Give the requests that a save would send."""
        from ttorm.records.plan import plan

        return plan(self, stage, circle)

    def description_cell(self, key: str) -> Cell:
        """Return a description key's cell for writing.

        Raises:
            StateError: The Twin is terminated, which freezes its description.
        """
        self.check_alive()
        return self.description.cell(key)

    def check_saved(self) -> None:
        """Refuse to speak of a Twin that the service does not know.

        Raises:
            StateError: It was not saved yet.
        """
        if self.uuid is None:
            raise StateError(f"{self.record()!r} was not saved yet: save() it first")

    def check_alive(self) -> None:
        """Refuse to change the description of a terminated Twin."""
        if self.facts is not None and self.facts.get("status") == "terminated":
            raise StateError(
                f"Twin {self.uuid} is terminated: its description is frozen; Entries, Identities "
                "and Docs can still be written",
                code="terminated",
            )

    # Answers

    def absorb_twin(self, wire: Mapping[str, Any], *, fresh: bool) -> None:
        """Take a Twin object of the service.

        Args:
            wire: The object.
            fresh: Whether it came straight from the service about this very Twin.
        """
        known = self.facts
        if known is not None and not fresh and self.fresh and _older(wire, known):
            return
        self.facts = wire
        self.fresh = fresh
        description = member(wire, "description")
        if self.replaced:
            self.description.rebase_whole(description)
            self.replaced = self.description.is_modified()
        elif "description" in vars(self):
            self.description.rebase(description)
        self.forget_values()

    def absorb_ledger(self, alias: str, wire: Mapping[str, Any], *, complete: bool = True) -> None:
        """Take a Ledger object of the service."""
        self.foreign_or_own(alias).absorb(items(wire, "entries"), complete=complete)
        self.forget_values()

    def absorb_identities(self, wire: Mapping[str, Any], *, complete: bool = True) -> None:
        """Take a listing of Identities, in any of its published forms."""
        named: dict[str, Any] = {
            text: {} for text in listed(wire, "identities") if isinstance(text, str)
        }
        self.identities.absorb({**named, **items(wire, "identities")}, complete=complete)
        if complete:
            self._replace_found()
        self.forget_values()

    def absorb_docs(self, wire: Mapping[str, Any]) -> None:
        """Take a listing of Docs, flat or as a tree."""
        self.docs.absorb(dict(_flat(member(wire, "docs"))), complete=True)


def known_state(session: Session, uuid: str) -> TwinState | None:
    """Return the state of a Twin that a session knows, be it by a record that sleeps."""
    known = session.known.get(uuid)
    return None if known is None else known._state


def check_own_ledger(alias: str) -> None:
    """Refuse to write another account's Ledger.

    Raises:
        StateError: It is not the account's own.
    """
    if alias != PERSONAL:
        raise StateError(
            f"the Ledger {alias!r} is read-only here: an account writes its own Ledger only, "
            "twin.ledger",
            code="read-only",
        )


def writable_entry(state: TwinState, alias: str, name: str) -> Item:
    """Return the item of an Entry that is about to be written.

    Raises:
        StateError: The Ledger is not the account's own.
        ValidationError: That is no name for a new Entry; one that is there may have any.
    """
    check_own_ledger(alias)
    if name not in state.ledger.base:
        check_entry_name(name)
    return state.ledger.item(name)


def _older(wire: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    seen, had = wire.get("updated_ts") or 0, known.get("updated_ts") or 0
    return given_seconds(seen) <= given_seconds(had)


def _flat(docs: Mapping[str, Any], folder: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name in docs:
        if below := member(docs, name):
            yield from _flat(below, f"{folder}{name}/")
        elif len(stamps := listed(docs, name)) == 3:
            certificate = {"created_ts": stamps[0], "size": stamps[2]}
            yield folder + name, {"updated_ts": stamps[1], "creation_certificate": certificate}
