"""Who may look into a database from outside the API: users with permissions, and networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, cast

from ttorm.api.errors import ValidationError
from ttorm.api.names import check_uuid
from ttorm.display import Displayed, Sheet, limited, shortened
from ttorm.records.cells import ABSENT, UNKNOWN, Marker
from ttorm.records.changes import Change, shown
from ttorm.records.items import Item
from ttorm.records.members import CheckedCodec
from ttorm.records.values import PLAIN

if TYPE_CHECKING:
    from ttorm.records.database import Database

__all__ = [
    "DatabaseNetworks",
    "DatabasePermissions",
    "DatabaseUsers",
    "check_note",
    "settle",
]

T = TypeVar("T")
_LONGEST = 256
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "timeseries": ("read",),
    "indexes": ("read",),
    "customer_data": ("read", "write"),
}


class DatabasePermissions(TypedDict, total=False):
    """What a user may do in a database; what is left out is not allowed."""

    timeseries: list[Literal["read"]]
    indexes: list[Literal["read"]]
    customer_data: list[Literal["read", "write"]]


def check_note(value: Any) -> str:
    """Return a note of a database or the name of a network, or raise `ValidationError`."""
    if isinstance(value, str) and len(value) <= _LONGEST:
        return value
    raise ValidationError(
        f"{shortened(value)} is no note: expected text of at most {_LONGEST} characters",
        code="bad-argument",
    )


def _check_permissions(value: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _ALLOWED}
    for name, several in dict(value).items():
        allowed = _ALLOWED.get(name)
        if allowed is None or isinstance(several, str) or not {*several} <= {*allowed}:
            raise ValidationError(
                f"{name!r}: {several!r} are no permissions: expected lists, such as "
                '{"timeseries": ["read"], "indexes": ["read"], "customer_data": ["read", "write"]}',
                code="bad-argument",
            )
        found[name] = [one for one in allowed if one in several]
    return found


def _check_network(network: object) -> str:
    from ipaddress import ip_interface

    text = str(network)
    try:
        if "%" not in text:
            return ip_interface(text).compressed
    except ValueError:
        pass
    raise ValidationError(
        f"{shortened(network)} is no address or network: expected one such as '192.0.2.10' or "
        "'198.51.100.0/24'",
        code="bad-name",
    )


def _check_user(user: object) -> str:
    return check_uuid(getattr(user, "uuid", user), "UUID of a user")


class _AccessList(MutableMapping[str, T], Displayed, Generic[T]):
    """A part of who may look into a database: saved with it, only what changed."""

    __slots__ = ("_database", "_item")

    _part: str
    _codec: Any

    def __init__(self, database: Database, base: Any = UNKNOWN) -> None:
        self._database = database
        self._item = Item(base, f"{type(database).__name__}.{self._part}[{{!r}}]", ABSENT)

    @staticmethod
    def _key(key: Any) -> str:
        raise NotImplementedError

    def _require(self) -> None:
        if self._item.base is UNKNOWN:
            self._database._require_access(self._part)

    def _present(self) -> list[str]:
        names = dict.fromkeys([*self._item.known, *self._item.cells])
        return [name for name in names if self._item.cell(name).holds]

    def __getitem__(self, key: Any) -> T:
        name = self._key(key)
        cell = self._item.cell(name)
        if cell.current() is UNKNOWN:
            self._require()
        if not cell.holds:
            raise KeyError(f"{self!r} does not have {name}: assign what it is to be")
        return cast(T, cell.read(self._codec))

    def __setitem__(self, key: Any, value: T) -> None:
        self._item.cell(self._key(key)).assign(value, self._codec)

    def __delitem__(self, key: Any) -> None:
        name = self._key(key)
        self._require()
        if not self._item.cell(name).holds:
            raise KeyError(f"{self!r} does not have {name}")
        self._item.cell(name).remove()

    def __iter__(self) -> Iterator[str]:
        self._require()
        return iter(self._present())

    def __len__(self) -> int:
        self._require()
        return len(self._present())

    def __contains__(self, key: object) -> bool:
        self._require()
        return self._key(key) in self._present()

    def __repr__(self) -> str:
        return f"<{self._part} of {self._database!r}>"

    def _sheet(self) -> Sheet:
        rows = [(name, shortened(self._item.cell(name).current())) for name in self._present()]
        note = "not loaded" if self._item.base is UNKNOWN else ""
        return Sheet(repr(self)[1:-1], ("", ""), limited(rows), note)

    def _changes(self) -> dict[str, Change]:
        found: dict[str, Change] = {}
        for name in self._item.changes():
            cell = self._item.cell(name)
            old, new = (shown(raw, PLAIN, cell.where) for raw in (cell.base, cell.current()))
            found[f"{self._part}[{name!r}]"] = Change(old, new)
        return found


class DatabaseUsers(_AccessList[DatabasePermissions]):
    """Users that may look into a database, by UUID, with their permissions."""

    __slots__ = ()

    _part = "users"
    _codec = CheckedCodec(_check_permissions)

    @staticmethod
    def _key(key: Any) -> str:
        return _check_user(key)

    def _body(self, user: str, new: Any) -> dict[str, Any]:
        """Give the lists of a user that differ from those that it has."""
        base = self._item.cell(user).base
        old: Any = {} if isinstance(base, Marker) else base
        lists: dict[str, Any] = {name: [] for name in _ALLOWED} if new is ABSENT else new
        known = base is not UNKNOWN
        return {
            name: several
            for name, several in lists.items()
            if not known or several != old.get(name, [])
        }


class DatabaseNetworks(_AccessList[str]):
    """Addresses and networks that a database may be reached from, each with a name."""

    __slots__ = ()

    _part = "networks"
    _codec = CheckedCodec(check_note)

    @staticmethod
    def _key(key: Any) -> str:
        return _check_network(key)


def settle(item: Item, sent: Mapping[str, Any]) -> None:
    """Take the success of a change of an access list."""
    gone = {name for name, value in sent.items() if value is ABSENT or _is_nothing(value)}
    if item.base is UNKNOWN:
        # The rest of the list is still not known.
        for name, value in sent.items():
            item.cell(name).settle(value, ABSENT if name in gone else value)
        return
    known = {**item.known, **sent}
    item.settle(sent, {name: value for name, value in known.items() if name not in gone})


def _is_nothing(value: Any) -> bool:
    """Tell whether permissions allow nothing: such users are in no list."""
    return isinstance(value, dict) and not any(cast(dict[str, Any], value).values())
