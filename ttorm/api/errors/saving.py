"""Why a save did not write everything: conflicts and refused items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from ttorm.api.errors.base import TtormError
from ttorm.api.errors.refusals import StateError

__all__ = ["Conflict", "ConflictError", "ItemError", "Resolution", "Resolver", "SaveError"]


class Conflict(NamedTuple):
    """One value that was changed on both sides; None stands for one that is not there.

    Attributes:
        name: The attribute.
        base: The value that this record started from.
        mine: The value that it wants to write.
        theirs: The value that the service holds now.
    """

    name: str
    base: Any
    mine: Any
    theirs: Any


Resolution: TypeAlias = Literal["mine", "theirs", "merge"] | Callable[[Conflict], Any]
"""How a conflict ends."""


class Resolver(Protocol):
    """Knows the record of a conflict, and what is to be done to it."""

    @property
    def record(self) -> Any:
        """The record."""

    def resolve(self, how: Resolution) -> None:
        """Have the next save of the record write what was decided."""


class ConflictError(TtormError):
    """Somebody else changed what this record also changed.

    Nothing is lost: the record keeps its own values as unsaved changes of those that the service
    holds now.

    Attributes:
        base: Values when this record read them, by attribute.
        mine: Values this record wants to write.
        theirs: Values the service holds now.
    """

    code = "conflict"
    _resolver: Resolver | None = None

    def __init__(
        self,
        message: str = "",
        *,
        base: Mapping[str, Any] | None = None,
        mine: Mapping[str, Any] | None = None,
        theirs: Mapping[str, Any] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.base = dict(base or {})
        self.mine = dict(mine or {})
        self.theirs = dict(theirs or {})

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The values in conflict, one by one."""
        return tuple(
            Conflict(name, self.base.get(name), mine, self.theirs.get(name))
            for name, mine in self.mine.items()
        )

    @property
    def record(self) -> Any:
        """The record that was to be saved; None when the conflict is about no record."""
        return None if self._resolver is None else self._resolver.record

    def resolve(self, how: Resolution) -> None:
        """Decide what the next save of the record writes; nothing is sent yet.

        Args:
            how: ``"mine"`` keeps the record's values, ``"theirs"`` takes the service's,
                ``"merge"`` puts dictionaries together key by key (see `ttorm.merge`). A function
                gets each `Conflict` and returns the value; None, where one side has removed the
                value, removes it.

        Raises:
            ConflictError: Merging met a key that both sides changed; nothing is decided then.
            StateError: This conflict is about two containers of one value, not about a save.
            ValidationError: The field's type refuses what the function returned.

        Example:
            >>> pump = Twin.create(entries={"liters": 5})
            >>> with ttorm.session():
            ...     Twin.at(pump.uuid).ledger["liters"] = 9
            >>> pump.ledger["liters"] = 7
            >>> try:
            ...     _ = pump.save(check=True)
            ... except ttorm.ConflictError as error:
            ...     error.resolve(lambda conflict: max(conflict.mine, conflict.theirs))
            >>> pump.ledger["liters"].value
            9
        """
        if self._resolver is None:
            raise StateError(
                "this conflict has no other side: assign the value once, or discard() the changes"
            )
        self._resolver.resolve(how)


class ItemError(NamedTuple):
    """Why one item of a save was refused.

    Attributes:
        message: The service's text for the item, or ttorm's.
        operation: The operation whose answer refused it.
    """

    message: str
    operation: str


class SaveError(TtormError):
    """Some items of a save were refused; those that succeeded are clean, these are still changed.

    Attributes:
        errors: The refused items by attribute name.
        result: What the save did before and beside the refusals (a `SaveResult`).
    """

    code = "save"

    def __init__(
        self,
        message: str = "",
        *,
        errors: Mapping[str, ItemError] | None = None,
        result: Any = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.errors = dict(errors or {})
        self.result = result
