"""The Twin: the record everything else hangs on, and the base class of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ttorm.api.codec import JSONValue
from ttorm.api.errors import ValidationError
from ttorm.pairs import twin_of
from ttorm.records.attributes import touch_field, write_field
from ttorm.records.bulk import part_named
from ttorm.records.description import Description
from ttorm.records.docs import Docs
from ttorm.records.finders import Finders
from ttorm.records.history import Place, Span
from ttorm.records.identity import Identities
from ttorm.records.ledger import Ledger, Ledgers
from ttorm.records.loading import load, loaded_parts
from ttorm.records.meta import did_you_mean
from ttorm.records.models import check_makes, check_mark, is_mark
from ttorm.records.saving import save, terminate
from ttorm.records.signatures import ConstructorSignature
from ttorm.records.state import PERSONAL, TwinState
from ttorm.records.stickers import Stickers
from ttorm.records.timeline import Timeline
from ttorm.records.values import check_dictionary
from ttorm.results import Plan, SaveResult
from ttorm.sessions import current_session

__all__ = ["Twin"]


class Twin(Finders):
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

    __signature__ = ConstructorSignature()

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
        missing = [
            name
            for name, spec in fields.items()
            if spec.required and name not in values and not is_mark(model, spec)
        ]
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
        for what, given in (("description=", description), ("entries=", entries)):
            if given is not None:
                check_dictionary(given, what)
        if isinstance(identities, str):
            raise ValidationError(
                f"identities={identities!r}: expected a list, such as [{identities!r}]",
                code="bad-argument",
            )
        meta = type(self).__meta__
        if meta.kind is not None:
            self._state.description.cell(meta.kind_key).assign(meta.kind)
        for key, value in (description or {}).items():
            self.description[key] = value
        if description is not None and not description:
            self._state.replaced = True
        for name, spec in type(self).__fields__.items():
            if name not in values and is_mark(type(self), spec):
                continue
            value = values[name] if name in values else spec.default()
            if value is not None or (name in values and spec.required):
                write_field(self._state, spec, value)
        check_mark(type(self), self._state.description.current(meta.kind_key))
        for name, value in (entries or {}).items():
            self.ledger[name] = value
        for text in identities:
            self.identities.add(text)
        self._state.touch()

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
                ``"ledgers/<alias>"``, or names of fields, which stand for the parts they are in;
                without any, the parts the class has fields in.

        Raises:
            ValidationError: There is no such part or field.

        Example:
            >>> Twin.at(Twin.create().uuid).load("description", "ledger").status
            'alive'
        """
        self._connection.run(load(self._state, self._parts_named(parts)))
        return self

    @twin_of(load)
    async def aload(self, *parts: str) -> Self:
        await self._connection.arun(load(self._state, self._parts_named(parts)))
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

        A record that was never saved keeps its values; its session block does not create it.

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

    def _parts_named(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part_named(type(self), name) for name in names) or self._own_parts()

    def _own_parts(self) -> tuple[str, ...]:
        parts = dict.fromkeys(spec.part for spec in type(self).__fields__.values())
        parts.pop("docs", None)
        return tuple(dict.fromkeys(("description", "ledger", *parts)))

    def _loaded(self) -> tuple[str, ...]:
        return loaded_parts(self._state) or ("description",)

    # Parts and facts

    @property
    def description(self) -> Description:
        """The description: a dictionary, loaded when it is looked at.

        Assigning a dictionary replaces the whole, but for the mark of the kind.
        """
        return Description(self._state)

    @description.setter
    def description(self, value: Mapping[str, JSONValue]) -> None:
        check_dictionary(value, "a description")
        meta = type(self).__meta__
        if meta.kind is not None and meta.kind_key not in value:
            known = self._state.description.current(meta.kind_key)
            kind = known if isinstance(known, str) else meta.kind
            value = {meta.kind_key: kind, **value}
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

    @property
    def stickers(self) -> Stickers:
        """Stickers on the Twin: tasks for others, and for oneself."""
        return Stickers(self._state)
