"""The description of a Twin as a dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

from ttorm.api.codec import JSONValue
from ttorm.api.names import check_description_key
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN
from ttorm.records.loading import require
from ttorm.records.named import Named
from ttorm.records.values import PLAIN, check_dictionary, is_scalar

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Description"]


class Description(Named[JSONValue], MutableMapping[str, JSONValue]):
    """What a Twin says about itself: keys and any JSON values, public to who knows the Twin.

    Assigning never asks the service; reading loads the Twin when it has to. Containers inside are
    ordinary dictionaries and lists, and changes inside them are noticed.

    Example:
        >>> pump = Twin.create(description={"model": "X1", "site": {"hall": 4}})
        >>> pump.description["site"]["hall"] = 5
        >>> print(pump.plan())  # doctest: +ELLIPSIS
        PATCH /twins/...
        {"description": {"model": "X1", "site": {"hall": 5}}}
    """

    __slots__ = ("_state",)

    def __init__(self, state: TwinState) -> None:
        self._state = state

    def _load(self) -> None:
        if not self._state.replaced:
            require(self._state, "description", "description")

    def __getitem__(self, key: str) -> JSONValue:
        cell = self._state.description.cell(self._known(key))
        if (held := cell.held()) is not NOTHING:
            return held
        if cell.current() is UNKNOWN:
            self._load()
        if cell.current() in (ABSENT, UNKNOWN):
            raise KeyError(key)
        value = cell.read(PLAIN)
        if not is_scalar(value):
            self._state.lend(value, cell)
        return value

    def _known(self, key: str) -> str:
        # The service may have keys that it would not take any more.
        return key if key in self._state.description.known else check_description_key(key)

    def __contains__(self, key: object) -> bool:
        item = self._state.description
        if not isinstance(key, str):
            return False
        if item.current(key) is UNKNOWN:
            self._load()
        return not any(item.current(key) is missing for missing in (ABSENT, UNKNOWN))

    def __setitem__(self, key: str, value: JSONValue) -> None:
        cell = self._state.description_cell(check_description_key(key))
        self._state.touch()
        cell.assign(value)
        self._state.forget_values()

    def __delitem__(self, key: str) -> None:
        cell = self._state.description_cell(check_description_key(key))
        if cell.current() is ABSENT:
            raise KeyError(key)
        self._state.touch()
        cell.remove()
        self._state.forget_values()

    def _keys(self) -> list[str]:
        self._load()
        item = self._state.description
        return [
            key
            for key in dict.fromkeys([*item.known, *item.cells])
            if item.cell(key).current() not in (ABSENT, UNKNOWN)
        ]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def touch(self) -> None:
        """Have the description sent by the next save although it is equal."""
        self._state.check_alive()
        self._state.touch()
        for key in self._keys():
            self._state.description.cell(key).force()

    def __repr__(self) -> str:
        """Show what is known; nothing is loaded for it."""
        item = self._state.description
        if item.base is UNKNOWN and not self._state.replaced:
            return f"<description of {self._state.uuid}, not loaded>"
        return f"<description { ({key: item.cell(key).current() for key in self._keys()})!r}>"

    def replace(self, value: Mapping[str, JSONValue]) -> None:
        """Put another description in the place of the whole one, whatever the service holds.

        Raises:
            ValidationError: A key or a value is not allowed; nothing is changed then.
        """
        check_dictionary(value, "a description")
        self._state.check_alive()
        for key, item in value.items():
            PLAIN.check(item, f"description[{check_description_key(key)!r}]")
        self._state.touch()
        known = self._state.description
        for key in [*known.known, *known.cells]:
            if key not in value:
                known.cell(key).remove()
        for key, item in value.items():
            known.cell(key).assign(item)
        self._state.replaced = known.base is UNKNOWN or bool(known.changes())
        self._state.forget_values()
