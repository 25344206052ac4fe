"""Databases: where an account's tables are, and who may look into them from outside the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypedDict, TypeVar, cast

from ttorm.api.answers import member
from ttorm.api.errors import NotLoadedError, ValidationError
from ttorm.api.names import check_uuid
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform, read
from ttorm.connection.core import Connection
from ttorm.display import Displayed, Sheet, limited, shortened
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN, Marker
from ttorm.records.changes import Change, shown
from ttorm.records.collection import Collection
from ttorm.records.items import Item
from ttorm.records.members import MOMENT, CheckedCodec, Member, Writable
from ttorm.records.resource import KeyedResource, Operations
from ttorm.records.values import PLAIN
from ttorm.results import Plan, PlannedRequest, SaveResult
from ttorm.sessions import current_session

__all__ = ["Database", "DatabaseNetworks", "DatabasePermissions", "DatabaseUsers"]

T = TypeVar("T")
DEFAULT = "default"
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


def _check_text(value: Any) -> str:
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
    _codec = CheckedCodec(_check_text)

    @staticmethod
    def _key(key: Any) -> str:
        return _check_network(key)


class Database(KeyedResource):
    """A database that holds an account's tables; `save` also saves its access lists.

    Example:
        >>> database = Database.default()
        >>> database.note = "Tables of the fleet"
        >>> database.networks["192.0.2.10"] = "office"
        >>> database.save().updated
        ("networks['192.0.2.10/32']", 'note')
    """

    __slots__ = ("_networks", "_users")

    _operations = Operations("get_database", update="update_database")

    uuid: Member[str] = Member("Its UUID.")
    is_default: Writable[bool] = Writable(
        "Whether new tables are made in it; True takes that from the one that was it.",
        name="default",
    )
    status: Member[str] = Member('``"running"``, ``"pending"`` or ``"service"``.')
    size: Member[int | None] = Member("How large it is, in bytes.", name="database_size")
    instance_type: Member[str | None] = Member('How strong it is, such as ``"micro"``.')
    note: Writable[str | None] = Writable(
        "A note of at most 256 characters.", CheckedCodec(_check_text)
    )
    created_at: Member[datetime] = Member("When it was made, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member(
        "When it last changed, in UTC.", MOMENT, name="updated_ts"
    )

    def _begin(self, key: str | None, base: Any) -> None:
        if isinstance(base, dict) and cast(dict[str, Any], base).get("uuid") == DEFAULT:
            base = UNKNOWN  # which one that is, the service tells
        super()._begin(key, base)
        self._users = DatabaseUsers(self)
        self._networks = DatabaseNetworks(self)

    @classmethod
    def _checked_key(cls, key: str) -> str:
        return key if key == DEFAULT else check_uuid(key, "UUID of a database")

    @classmethod
    def default(cls) -> Database:
        """Return the account's default database, whichever that is, without asking."""
        return cls._at(DEFAULT)

    @classmethod
    def list(cls) -> Collection[Database]:
        """Go through the account's databases."""
        return Collection("databases", cls._listed)

    @classmethod
    def _listed(cls, connection: Connection, place: Any) -> Flow[tuple[Any, Any]]:  # noqa: ARG003 # one page
        answer = yield from perform(connection, api_request("get_databases"))
        found = member(answer, "databases")
        return [
            cls._at(uuid, {"uuid": uuid, "default": uuid == answer.get("default"), **facts})
            for uuid, facts in found.items()
        ], None

    @property
    def users(self) -> DatabaseUsers:
        """Users that may look into it from outside the API: permissions by user or its UUID."""
        return self._users

    @property
    def networks(self) -> DatabaseNetworks:
        """Where it may be reached from: names by address or network."""
        return self._networks

    # Who may look into it

    def load_access(self) -> Database:
        """Read who may look into it, unless that was read before.

        Example:
            >>> dict(Database.default().load_access().users)
            {}
        """
        self._connection.run(self._load_access())
        return self

    @twin_of(load_access)
    async def aload_access(self) -> Database:
        await self._connection.arun(self._load_access())
        return self

    def _load_access(self, *, fresh: bool = False) -> Flow[None]:
        if not fresh and self._users._item.base is not UNKNOWN:
            return
        request = api_request("get_database_access", [self._saved_key()])
        answer = (yield from read(self._connection, request, fresh=fresh)).body
        self._users._item.rebase(member(answer, "users"))
        self._networks._item.rebase(member(answer, "ips"))

    def _require_access(self, part: str) -> None:
        if current_session(self._connection).asynchronous or not self._connection.may_block():
            raise NotLoadedError(
                f"{part} of {self!r} are not loaded, and reading them here would block the event "
                "loop: write await database.aload_access() first, or connect(blocking=True)"
            )
        self._connection.run(self._load_access())

    def _load(self, *, fresh: bool = False) -> Flow[None]:
        yield from super()._load(fresh=fresh)
        if fresh and self._users._item.base is not UNKNOWN:
            yield from self._load_access(fresh=True)

    # How it is saved

    def _is_modified(self) -> bool:
        lists = (self._users._item, self._networks._item)
        return super()._is_modified() or any(item.is_modified() for item in lists)

    def _changes(self) -> dict[str, Change]:
        return {**super()._changes(), **self._users._changes(), **self._networks._changes()}

    def discard(self) -> None:
        """Forget the unsaved changes, also those of its access lists."""
        super().discard()
        self._users._item.discard()
        self._networks._item.discard()

    def plan(self) -> Plan:
        """Tell what `save` would send, without sending anything."""
        lists = [PlannedRequest.of(request) for request, *_ in self._accesses()]
        return Plan([*lists, *(super().plan() if super()._is_modified() else ())])

    def _accesses(self) -> Iterator[tuple[ApiRequest, Item, dict[str, Any]]]:
        """Give the requests that save the access lists; each with what it settles."""
        key = self._saved_key()
        for user, new in self._users._item.changes().items():
            body = self._users._body(user, new)
            request = api_request("update_database_user_access", [key, user], body=body)
            yield request, self._users._item, {user: new}
        networks = self._networks._item.changes()
        if networks:
            names = {name: None if new is ABSENT else new for name, new in networks.items()}
            request = api_request("update_database_ip_access", [key], body=names)
            yield request, self._networks._item, networks

    def _write(self) -> Flow[tuple[dict[str, Change], SaveResult]]:
        changes = {**self._users._changes(), **self._networks._changes()}
        requests = 0
        for request, item, sent in [*self._accesses()]:
            yield from perform(self._connection, request)
            _settle(item, sent)
            requests += 1
        lists = SaveResult(updated=tuple(changes), requests=requests)
        own, result = yield from super()._write()
        return {**changes, **own}, SaveResult.sum([lists, result])

    def _whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._whole(answer)
        if found["uuid"] is None and self._key != DEFAULT:
            found["uuid"] = self._key
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        lists = [(item.base, item.changes()) for item in (self._users._item, self._networks._item)]
        return _revived, (*super().__reduce__(), lists)


def _settle(item: Item, sent: Mapping[str, Any]) -> None:
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


def _revived(make: Any, arguments: Any, lists: Sequence[tuple[Any, Mapping[str, Any]]]) -> Database:
    database: Database = make(*arguments)
    for item, (base, changes) in zip(
        (database._users._item, database._networks._item), lists, strict=True
    ):
        item.base = base
        for name, value in changes.items():
            if value is ABSENT:
                item.cell(name).remove()
            else:
                item.cell(name).assign(value)
    return database
