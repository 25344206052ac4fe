"""Class verbs: how a class of Twins finds records of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

from ttorm.api import names
from ttorm.pairs import twin_of
from ttorm.records import lookup
from ttorm.records.links import referring
from ttorm.records.models import kind_rule
from ttorm.records.reconciling import Reconciliation
from ttorm.records.reconciling import reconcile as _reconcile
from ttorm.records.record import Record
from ttorm.records.scanning import Scan, scan_of
from ttorm.records.sweeping import Swept, sweep
from ttorm.rules import Attribute, Expression
from ttorm.sessions import Fetch, Session, current_session

__all__ = ["Finders"]


class Finders(Record):
    """How records are come by without making Twins: by UUID, by Identity, in listings."""

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
            >>> set(Twin.find_all("GROUP#7")) == set(pumps)
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
        model: type[Finders] = cast(Any, attribute)._model
        return model.scan(rule)

    @classmethod
    def sweep(cls, *, older_than: float = 60.0) -> Swept:
        """Finish what killed programs have left of `find_or_create`.

        A program that ends between creating a Twin and attaching its key leaves a Twin that nobody
        finds. A sweep goes through the Twins that `find_or_create` has made: those without their
        key get it, or are terminated when another Twin has it by now.

        Args:
            older_than: Leaves Twins younger than so many seconds alone: their makers may still be
                at work. 0 leaves none.

        Example:
            >>> Twin.sweep()
            Swept(adopted=(), terminated=())
        """
        return current_session().connection.run(sweep(cls, older_than))

    @classmethod
    @twin_of(sweep)
    async def asweep(cls, *, older_than: float = 60.0) -> Swept:
        return await current_session().connection.arun(sweep(cls, older_than))
