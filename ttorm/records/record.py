"""What every view of a Twin is: an ordinary object with facts, whose fields are attributes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from ttorm.api.answers import member, needed
from ttorm.api.errors import MissingEntryError, StateError
from ttorm.api.moments import moment
from ttorm.connection.core import Connection
from ttorm.display import Displayed, Sheet
from ttorm.records.attributes import delete_field, write_field
from ttorm.records.cells import NOTHING, UNKNOWN
from ttorm.records.copying import duplicate, ordinary, revive, snapshot
from ttorm.records.display import line, record_sheet
from ttorm.records.dumping import Dumps
from ttorm.records.listing import Row, first_look, wake
from ttorm.records.loading import require
from ttorm.records.matching import load_variables, variables
from ttorm.records.meta import did_you_mean
from ttorm.records.models import ModelMeta, check_kind
from ttorm.records.schemas import Schemas
from ttorm.records.state import TwinState

__all__ = ["Record"]

R = TypeVar("R", bound="Record")


_MISSING = object()


def _assignable(model: type, name: str) -> bool:
    """Tell whether a name of the class is meant to be assigned on its records."""
    known = getattr_static(model, name, _MISSING)
    return known is not _MISSING and (hasattr(known, "__set__") or not _is_verb(known))


def _is_verb(known: object) -> bool:
    return callable(known) or isinstance(known, (classmethod, staticmethod, property))


_UNDECLARED = (
    ": declare it as a field, use ledger[...] or description[...], or give the class an ordinary "
    "attribute of that name"
)


class _Stateful:
    """Keeps the annotations away from the class body of models, where they would be fields."""

    _state: TwinState
    # What a record that sleeps has in the place of a state: its row of a listing.
    _row: Row | None = None


class Record(_Stateful, Dumps, Schemas, Displayed, metaclass=ModelMeta):
    """A view of a Twin: what it is called, who owns it, and how its fields are read and written.

    `Twin` adds the verbs. Nothing here asks the service but the facts and fields themselves.
    """

    # Facts

    @property
    def _is_scalar(self) -> bool:
        # Of a saved record others store the UUID, which never changes.
        return self._state.uuid is not None

    @property
    def _connection(self) -> Connection:
        return self._state.connection

    @property
    def uuid(self) -> str:
        """The Twin's UUID.

        Raises:
            StateError: The record was not saved yet.
        """
        if self._state.uuid is None:
            raise StateError("this record has no UUID yet: save() it first")
        return self._state.uuid

    def _fact(self, name: str, attribute: str = "") -> Any:
        if self._state.facts is None:
            if self._state.uuid is None:
                raise StateError(f"this record has no {attribute or name} yet: save() it first")
            require(self._state, "description", attribute or name)
        return (self._state.facts or {}).get(name)

    @property
    def owner(self) -> str:
        """UUID of the account that owns the Twin."""
        return str(self._fact("owner"))

    @property
    def status(self) -> str:
        """``"alive"`` or ``"terminated"``."""
        return str(self._fact("status"))

    @property
    def creator(self) -> str:
        """UUID of the account that created the Twin."""
        return needed(self._fact("creation_certificate", "creator"), "creator")

    @property
    def created_at(self) -> datetime:
        """When it was created, in UTC."""
        self._fact("creation_certificate", "created_at")
        return moment(member(self._state.facts, "creation_certificate").get("created_ts"))

    @property
    def updated_at(self) -> datetime | None:
        """When its description last changed, in UTC; None when the service does not tell."""
        stamp = self._fact("updated_ts", "updated_at")
        return None if stamp is None else moment(stamp)

    @property
    def terminated_at(self) -> datetime | None:
        """When it was terminated, in UTC; None while it is alive."""
        certificate = self._fact("termination_certificate", "terminated_at")
        if certificate is None:
            return None
        return moment(member(self._state.facts, "termination_certificate").get("terminated_ts"))

    # Rules

    def _rule_variables(self, names: frozenset[str]) -> Mapping[str, Any]:
        return variables(self._state, names)

    async def _arule_variables(self, names: frozenset[str]) -> Mapping[str, Any]:
        return await self._connection.arun(load_variables(self._state, names))

    def as_(self, model: type[R], *, check: bool = False) -> R:
        """Return the same Twin seen as another class: values and changes are shared.

        Args:
            model: The class.
            check: Refuse a Twin whose description says that it is of another kind.

        Raises:
            WrongKindError: It is of another kind (only with `check`).
            NotLoadedError: The description is not loaded, and waiting for it is not allowed here
                (only with `check`).

        Example:
            >>> class Pump(Twin):
            ...     pressure: Field[float] = entry()
            >>> Twin.create(entries={"pressure": 2.5}).as_(Pump).pressure
            2.5
        """
        if not (isinstance(model, type) and issubclass(model, Record)):
            raise TypeError(f"as_() takes a class of Twins, found {model!r}")
        state = self._state
        if check:
            key = model.__meta__.kind_key
            if state.description.current(key) is UNKNOWN:
                require(state, "description", "the kind")
            check_kind({key: state.description.current(key)}, model, state.uuid)
        if not issubclass(state.model, model):
            state.model = model
        found: R = state.view(model)
        return found

    # Fields

    def _forget_values(self) -> None:
        values = vars(self)
        for name in type(self).__fields__:
            values.pop(name, None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only misses come here: nothing on the class or in the record has that name.
            if name == "_state":
                return wake(self)
            if name.startswith("_"):
                raise AttributeError(name)
            spec = type(self).__fields__.get(name)
            if spec is None:
                if getattr_static(type(self), name, _MISSING) is not _MISSING:
                    # A property that failed with an AttributeError: have it say so itself.
                    return object.__getattribute__(self, name)
                raise AttributeError(
                    f"{type(self).__name__} has no attribute {name!r}"
                    f"{did_you_mean(name, [*type(self).__fields__, *dir(type(self))])}"
                )
            value = self.__dict__[name] = first_look(self, spec)
            return value

        def __setattr__(self, name: str, value: Any) -> None:
            # A field that was assigned before, mostly. Calls would take longer than all of this.
            try:
                state = self._state
                again = state.again.get(name)
                if again is not None:
                    kind, sound = again.kind, again.sound
                    kept = value if type(value) is kind else again.convert(value)
                    if type(kept) is kind and (sound is None or sound(kept)):
                        if again.session.is_open:
                            again.session.hold(state)
                        again.cell._assigned = self.__dict__[name] = kept
                        return
            except (AttributeError, ValueError):  # not made yet, or refused, which is told below
                again = None
            spec = type(self).__fields__.get(name)
            if spec is not None:
                kept = write_field(self._state, spec, value)
                if kept is not NOTHING:
                    self.__dict__[name] = kept
            elif name.startswith("_") or _assignable(type(self), name):
                object.__setattr__(self, name, value)
            elif hasattr(type(self), name):
                raise AttributeError(
                    f"{type(self).__name__}.{name} is no field but part of the class: give the "
                    f'field another name in Python, as in other = entry(name="{name}")'
                )
            else:
                raise AttributeError(
                    f"{type(self).__name__} has no field {name!r}"
                    f"{did_you_mean(name, type(self).__fields__) or _UNDECLARED}"
                )

    def __delattr__(self, name: str) -> None:
        spec = type(self).__fields__.get(name)
        if spec is None:
            object.__delattr__(self, name)
            return
        try:
            delete_field(self, spec)
        except KeyError:
            raise MissingEntryError(
                f"there is no {spec.kind} {spec.target!r} to take away: {name} has no value"
            ) from None

    # An ordinary object: nothing below asks the service

    def __repr__(self) -> str:
        return line(self)

    def _sheet(self) -> Sheet:
        return record_sheet(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        if self._state.uuid is None or other._state.uuid is None:
            return self is other
        mine, theirs = self._state, other._state
        return (mine.address, mine.uuid) == (theirs.address, theirs.uuid)

    def __hash__(self) -> int:
        if self._state.uuid is None:
            raise TypeError(f"this {type(self).__name__} has no hash before it is saved")
        return hash((Record, self._state.address, self._state.uuid))

    def __copy__(self) -> Self:
        copied = cast(Self, duplicate(self))
        vars(copied).update(ordinary(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Attributes may lead back here.
        memo[id(self)] = copied = cast(Self, duplicate(self))
        vars(copied).update(deepcopy(ordinary(self), memo))
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return revive, (type(self), snapshot(self._state)), ordinary(self) or None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *type(self).__fields__]
