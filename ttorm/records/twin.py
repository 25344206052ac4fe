"""The Twin: the record everything else hangs on, and the base class of models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, cast

from ttorm.api import names
from ttorm.api.codec import JSONValue
from ttorm.pairs import twin_of
from ttorm.records import lookup
from ttorm.records.attributes import touch_field, write_field
from ttorm.records.description import Description
from ttorm.records.docs import Docs
from ttorm.records.history import Place, Span
from ttorm.records.identity import Identities
from ttorm.records.ledger import Ledger, Ledgers
from ttorm.records.links import referring
from ttorm.records.loading import load, loaded_parts
from ttorm.records.meta import did_you_mean
from ttorm.records.models import check_makes, kind_rule
from ttorm.records.reconciling import Reconciliation
from ttorm.records.reconciling import reconcile as _reconcile
from ttorm.records.record import Record
from ttorm.records.saving import save, terminate
from ttorm.records.scanning import Scan, scan_of
from ttorm.records.state import PERSONAL, TwinState
from ttorm.records.timeline import Timeline
from ttorm.results import Plan, SaveResult
from ttorm.rules import Attribute, Expression
from ttorm.sessions import Fetch, Session, current_session

__all__ = ["Twin"]


class Twin(Record):
    """A Twin of the platform, and the base class of models.

    A record knows its connection, loads what is looked at, remembers what was changed and sends
    only that. `Twin(...)` makes an unsaved one; `create`, `get`, `at`, `find` and `scan` are the
    other ways to come by one.

    Args:
        description: The description of a new Twin.
        entries: Values of Entries of the account's own Ledger, by name.
        identities: Identities, such as ``["SN#A17"]``.

    Example:
        >>> class Scooter(Twin):
        ...     model: Field[str] = description()
        ...     battery: Field[float] = entry(history="3M")
        ...     serial: Field[str] = identity("SN", key=True)
        >>> s = Scooter.create(model="X1", battery=99.0, serial="A17")
        >>> s.battery -= 3
        >>> s.save().updated
        ('battery',)
    """

    def __init__(
        self,
        *,
        description: Mapping[str, JSONValue] | None = None,
        entries: Mapping[str, JSONValue] | None = None,
        identities: Iterable[str] = (),
    ) -> None:
        self._begin(description, entries, identities, {})

    if not TYPE_CHECKING:
        # Type checkers make the constructor of models from their fields.
        def __init__(self, *, description=None, entries=None, identities=(), **values) -> None:  # noqa: ANN001, ANN003
            self._begin(description, entries, identities, values)

    def _begin(
        self,
        description: Mapping[str, JSONValue] | None,
        entries: Mapping[str, JSONValue] | None,
        identities: Iterable[str],
        values: Mapping[str, Any],
    ) -> None:
        model = type(self)
        check_makes(model)
        fields = model.__fields__
        for name in values:
            if name not in fields:
                raise TypeError(
                    f"{model.__name__}() has no field {name!r}{did_you_mean(name, fields)}"
                )
        missing = [name for name, spec in fields.items() if spec.required and name not in values]
        if missing:
            raise TypeError(f"{model.__name__}() needs a value for {', '.join(missing)}")
        state = TwinState(None, current_session(), model)
        state.adopt(self)
        try:
            self._fill(description, entries, identities, values)
        except BaseException:
            # Nobody has this record: its session must not create it.
            state.session.release(state)
            raise

    def _fill(
        self,
        description: Mapping[str, JSONValue] | None,
        entries: Mapping[str, JSONValue] | None,
        identities: Iterable[str],
        values: Mapping[str, Any],
    ) -> None:
        meta = type(self).__meta__
        if meta.kind is not None:
            self._state.description.cell(meta.kind_key).assign(meta.kind)
        for key, value in (description or {}).items():
            self.description[key] = value
        if description is not None and not description:
            self._state.replaced = True
        for name, spec in type(self).__fields__.items():
            value = values[name] if name in values else spec.default()
            if value is not None or (name in values and spec.required):
                write_field(self._state, spec, value)
        for name, value in (entries or {}).items():
            self.ledger[name] = value
        for text in identities:
            self.identities.add(text)
        self._state.touch()

    # Class verbs

    @classmethod
    def at(cls, uuid: str) -> Self:
        """Return the record of a UUID without asking the service.

        Args:
            uuid: The Twin's UUID.

        Raises:
            ValidationError: That is no UUID.

        Example:
            >>> Twin.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
            <Twin 0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11>
        """
        record: Self = lookup.state_at(cls, names.check_uuid(uuid)).view(cls)
        return record

    @classmethod
    def get(cls, uuid: str, fresh: bool = False) -> Self:
        """Fetch a Twin.

        Args:
            uuid: The Twin's UUID.
            fresh: Ask the service even when an answer is kept.

        Returns:
            A record of this class, or of the registered subclass for the Twin's kind.

        Raises:
            NotFoundError: There is no such Twin.
            WrongKindError: It is of another kind than this class.
            ForbiddenError: The role's Twin rule says no.

        Example:
            >>> pump = Twin.create(description={"model": "X1"})
            >>> Twin.get(pump.uuid).description["model"]
            'X1'
        """
        return current_session().connection.run(lookup.get(cls, uuid, fresh=fresh))

    @classmethod
    @twin_of(get)
    async def aget(cls, uuid: str, fresh: bool = False) -> Self:
        return await current_session().connection.arun(lookup.get(cls, uuid, fresh=fresh))

    @classmethod
    def find(
        cls,
        identity: str | None = None,
        /,
        *,
        context: str | list[str] | None = None,
        strict: bool = False,
        **field: Any,
    ) -> Self:
        """Find a Twin by one of its Identities.

        Args:
            identity: The Identity, such as ``"SN#A17"``; or one identity field by name, such as
                ``serial="A17"``.
            context: Whose Identities count: ``"personal"`` (the default), ``"system"``, or
                account UUIDs.
            strict: Whether several are an error.
            **field: One identity field with its value.

        Returns:
            The record. Of several alive Twins of the class with the Identity, the oldest.

        Raises:
            NotFoundError: No alive Twin of this class has the Identity.
            AmbiguousIdentityError: Several have it (only with `strict`).
            ValidationError: That is no Identity.

        Example:
            >>> pump = Twin.create(identities=["SN#A17"])
            >>> Twin.find("SN#A17", strict=True) == pump
            True
        """
        return current_session().connection.run(lookup.find(cls, identity, context, strict, field))

    @classmethod
    @twin_of(find)
    async def afind(
        cls,
        identity: str | None = None,
        /,
        *,
        context: str | list[str] | None = None,
        strict: bool = False,
        **field: Any,
    ) -> Self:
        flow = lookup.find(cls, identity, context, strict, field)
        return await current_session().connection.arun(flow)

    @classmethod
    def find_all(
        cls, identity: str | None = None, /, *, context: str | list[str] | None = None, **field: Any
    ) -> list[Self]:
        """Find all alive Twins of this class that have an Identity.

        Args:
            identity: The Identity, such as ``"SN#A17"``; or one identity field by name.
            context: Whose Identities count, as for `find`.
            **field: One identity field with its value.

        Returns:
            The records, the oldest Twin first; none is no error.

        Raises:
            ValidationError: That is no Identity.

        Example:
            >>> pumps = [Twin.create(identities=["GROUP#7"]) for _ in range(2)]
            >>> Twin.find_all("GROUP#7") == pumps
            True
        """
        return current_session().connection.run(lookup.find_all(cls, identity, context, field))

    @classmethod
    @twin_of(find_all)
    async def afind_all(
        cls, identity: str | None = None, /, *, context: str | list[str] | None = None, **field: Any
    ) -> list[Self]:
        flow = lookup.find_all(cls, identity, context, field)
        return await current_session().connection.arun(flow)

    @classmethod
    def scan(
        cls,
        rule: str | Expression | None = None,
        *,
        terminated: bool = False,
        page: int = 1000,
        fetch: Fetch | None = None,
    ) -> Scan[Self]:
        """Go through the account's Twins of this class, page by page.

        Args:
            rule: Only Twins that fulfil it: an expression such as ``Scooter.battery < 20``, or
                rule text. It is evaluated by the service.
            terminated: Whether terminated Twins are listed as well.
            page: How many Twins the service looks through for one answer, 1 to 1,000.
            fetch: What looking at a part that a listed record lacks loads: ``"peers"`` for the
                next records of the listing as well, ``"one"`` for this one alone, ``"raise"``
                nothing. By default the session says.

        Returns:
            What can be iterated by ``for`` and ``async for``, any number of times.

        Raises:
            ValidationError: `page` is out of range, or the rule is empty.

        Example:
            >>> pump = Twin.create(description={"kind": "pump"})
            >>> [twin.uuid for twin in Twin.scan('TWIN.kind == "pump"')] == [pump.uuid]
            True
        """
        return scan_of(
            cls,
            lookup.show_listed,
            kind_rule(cls),
            rule,
            terminated=terminated,
            page=page,
            fetch=fetch,
        )

    @classmethod
    def reconcile(
        cls, *, dry_run: bool = True, progress: Callable[[int], object] | None = None
    ) -> Reconciliation:
        """Bring the properties of existing Entries up to what the class declares.

        Looks at all alive Twins of the class, one request each, and compares visibility, history,
        timeseries and publish of the Entries that fields declare with an option. What a field does
        not declare stays as it is; values, and Entries that are missing, are never written.

        Args:
            dry_run: Only tell what would be written; False writes it, one request for each Twin
                that differs.
            progress: Called with the number of Twins looked at so far.

        Returns:
            The Twins that differ, with each property's old and new value.

        Example:
            >>> class Pump(Twin):
            ...     pressure: Field[float] = entry(history="3M")
            >>> old = Twin.create(entries={"pressure": 2.5})
            >>> print(Pump.reconcile()[0].changes["pressure.history"])
            None -> '3M'
            >>> Pump.reconcile(dry_run=False)[0].done
            True
        """
        session = Session(current_session().connection)
        flow = _reconcile(cls.scan(), session, dry_run=dry_run, progress=progress)
        return session.connection.run(flow)

    @classmethod
    @twin_of(reconcile)
    async def areconcile(
        cls, *, dry_run: bool = True, progress: Callable[[int], object] | None = None
    ) -> Reconciliation:
        session = Session(current_session().connection)
        flow = _reconcile(cls.scan(), session, dry_run=dry_run, progress=progress)
        return await session.connection.arun(flow)

    def referrers(self, attribute: Attribute[Any]) -> Scan[Any]:
        """Go through the Twins that link to this one.

        Args:
            attribute: A field of links, asked for on its class: ``Car.customer``.

        Returns:
            What `scan` returns, of the class that has the field.

        Raises:
            TypeError: That is no field of links.
            StateError: The record was not saved yet.

        Example:
            >>> class Customer(Twin):
            ...     name: Field[str] = description()
            >>> class Car(Twin):
            ...     customer: Field[Link[Customer]] = entry()
            >>> ada = Customer.create(name="Ada")
            >>> car = Car.create(customer=ada)
            >>> ada.referrers(Car.customer).all() == [car]
            True
        """
        rule = referring(self, attribute)
        model: type[Twin] = cast(Any, attribute)._model
        return model.scan(rule)

    # Record verbs

    def save(self, check: bool = False, atomic: bool = False) -> SaveResult:
        """Send what changed, in as few requests as the API allows; none when nothing changed.

        Args:
            check: Write only over values this record has seen; else the last writer wins.
            atomic: Write all changes of Entries or none of them, in one request: for new Entries,
                for changed or for removed ones, and for nothing else of the Twin.

        Returns:
            What was created, updated and deleted, and how many requests it took.

        Raises:
            SaveError: The service refused some items; they stay changed, the others are saved.
            ConflictError: Somebody else changed the same (only with `check`).
            QuotaError: A value is too large; nothing was sent.
            StateError: The changes need more than one request (only with `atomic`); nothing was
                sent.
            ValidationError: A container was changed to what JSON cannot hold; nothing was sent.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"] = 2.6
            >>> pump.save()
            SaveResult(created=(), updated=("ledger['pressure']",), deleted=(), requests=1)
        """
        return self._connection.run(save(self, check=check, atomic=atomic))

    @twin_of(save)
    async def asave(self, check: bool = False, atomic: bool = False) -> SaveResult:
        return await self._connection.arun(save(self, check=check, atomic=atomic))

    def load(self, *parts: str) -> Self:
        """Read parts that were not read yet, side by side.

        Args:
            *parts: ``"description"``, ``"ledger"``, ``"identities"``, ``"docs"`` or
                ``"ledgers/<alias>"``; without any, the parts the class has fields in.

        Example:
            >>> Twin.at(Twin.create().uuid).load("description", "ledger").status
            'alive'
        """
        self._connection.run(load(self._state, parts or self._own_parts()))
        return self

    @twin_of(load)
    async def aload(self, *parts: str) -> Self:
        await self._connection.arun(load(self._state, parts or self._own_parts()))
        return self

    def refresh(self) -> Self:
        """Read again, from the service, what was read; unsaved changes stay.

        Example:
            >>> Twin.create().refresh().status
            'alive'
        """
        self._connection.run(load(self._state, self._loaded(), fresh=True))
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._connection.arun(load(self._state, self._loaded(), fresh=True))
        return self

    def terminate(self) -> Self:
        """Terminate the Twin: final; its description is frozen from then on.

        Raises:
            AlreadyDoneError: It was terminated before.
            ForbiddenError: Another account owns it.

        Example:
            >>> Twin.create().terminate().status
            'terminated'
        """
        self._connection.run(terminate(self))
        return self

    @twin_of(terminate)
    async def aterminate(self) -> Self:
        await self._connection.arun(terminate(self))
        return self

    def discard(self) -> None:
        """Forget all unsaved changes.

        Example:
            >>> pump = Twin.create(entries={"pressure": 2.5})
            >>> pump.ledger["pressure"] = 99
            >>> pump.discard()
            >>> pump.ledger["pressure"].value
            2.5
        """
        self._state.discard()

    def touch(self, *fields: str) -> None:
        """Have values sent by the next save although they are equal, which renews their moments.

        What is not loaded yet is loaded. `Entry.touch` does the same for one Entry.

        Args:
            *fields: Names of fields; without any, the description.

        Example:
            >>> pump = Twin.create(description={"model": "X1"})
            >>> pump.touch()
            >>> pump.save().requests
            1
        """
        for name in fields:
            if name not in type(self).__fields__:
                raise TypeError(
                    f"{type(self).__name__} has no field {name!r}"
                    f"{did_you_mean(name, type(self).__fields__)}"
                )
            touch_field(self._state, type(self).__fields__[name])
        if not fields:
            self.description.touch()

    def history(
        self,
        *fields: str,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        reverse: bool = False,
        fill: bool = False,
    ) -> Timeline:
        """Go through the values of several Entries together, in rows of one moment each.

        Args:
            *fields: Names of fields, or of Entries without field; without any, all fields of
                Entries, or all Entries with a history when the class has none.
            since: Only values written then or later: an aware datetime or Unix seconds.
            until: Only values written then or earlier.
            reverse: In the order of time instead of newest first.
            fill: Whether a row tells all values that held, not only those written at its moment.

        Returns:
            What can be iterated by ``for`` and ``async for``; each row has `at` and `values`.

        Example:
            >>> class Pump(Twin):
            ...     pressure: Field[float] = entry(history="INF")
            >>> [row.values for row in Pump.create(pressure=2.5).history("pressure")]
            [{'pressure': 2.5}]
        """
        place = Place.of(self._connection, self._state.uuid, PERSONAL)
        span = Span.of(since, until)
        return Timeline._of(place, type(self), fields, span, reverse=reverse, fill=fill)

    def plan(self) -> Plan:
        """Give the requests that `save` would send, without sending anything.

        Example:
            >>> print(Twin(description={"kind": "pump"}).plan())
            POST /twins
            {"description": {"kind": "pump"}}
        """
        return self._state.plan()

    def _own_parts(self) -> tuple[str, ...]:
        parts = dict.fromkeys(spec.part for spec in type(self).__fields__.values())
        parts.pop("docs", None)
        return tuple(dict.fromkeys(("description", "ledger", *parts)))

    def _loaded(self) -> tuple[str, ...]:
        return loaded_parts(self._state) or ("description",)

    # Parts and facts

    @property
    def description(self) -> Description:
        """The description: a dictionary, loaded when it is looked at."""
        return Description(self._state)

    @description.setter
    def description(self, value: Mapping[str, JSONValue]) -> None:
        Description(self._state).replace(value)

    @property
    def ledger(self) -> Ledger:
        """The account's own Ledger of the Twin: Entries by name."""
        return Ledger(self._state)

    @property
    def ledgers(self) -> Ledgers:
        """All Ledgers of the Twin: by account UUID, and as `owner` and `creator`."""
        return Ledgers(self._state)

    @property
    def identities(self) -> Identities:
        """The account's own Identities of the Twin."""
        return Identities(self._state)

    @property
    def docs(self) -> Docs:
        """The account's own Docs of the Twin."""
        return Docs(self._state)
