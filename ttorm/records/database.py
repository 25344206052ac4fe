"""Databases: where an account's tables are, and who may look into them from outside the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from ttorm.api.answers import items, member
from ttorm.api.errors import NotLoadedError
from ttorm.api.names import check_uuid
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.reads import read
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.changes import Change
from ttorm.records.collection import Collection
from ttorm.records.databaseaccess import DatabaseNetworks, DatabaseUsers, check_note, settle
from ttorm.records.items import Item
from ttorm.records.keyed import KeyedResource
from ttorm.records.members import MOMENT, CheckedCodec, Member, Writable
from ttorm.records.resource import Operations
from ttorm.results import Plan, PlannedRequest, SaveResult
from ttorm.sessions import current_session

__all__ = ["Database"]

DEFAULT = "default"


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
        "A note of at most 256 characters.", CheckedCodec(check_note)
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
        default = answer.get("default")
        return [
            cls._at(uuid, {"uuid": uuid, "default": uuid == default, **facts}, connection)
            for uuid, facts in items(answer, "databases").items()
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
        known = (self._users._item.base, self._networks._item.base)
        if not fresh and UNKNOWN not in known:
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
            yield from self._updated(request, item, sent)
            settle(item, sent)
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
