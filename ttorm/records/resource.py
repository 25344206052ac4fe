"""What the platform's objects beside Twins have in common: users, roles, tables and their kin.

A resource is a view of one JSON object of the service. It reads the object when a member is looked
at, remembers what was assigned, and sends only that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from weakref import ref

from blinker import NamedSignal

from ttorm import signals
from ttorm.api.answers import needed
from ttorm.api.errors import NotLoadedError, StateError
from ttorm.api.operations import OPERATIONS, Repeat
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import may_have_happened, perform
from ttorm.connection.core import Connection
from ttorm.connection.reads import read
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.changes import Change, shown
from ttorm.records.cutoffs import made_once
from ttorm.records.items import Item
from ttorm.records.members import Member
from ttorm.records.sheets import item_sheet
from ttorm.records.turns import Saver, alone, asked, turn
from ttorm.results import Plan, PlannedRequest, SaveResult
from ttorm.sessions import block_connection, current_session

__all__ = ["Operations", "Resource"]

R = TypeVar("R", bound="Resource")


class Operations(NamedTuple):
    """Names of the operations of one kind of object; None where there is none."""

    read: str
    create: str | None = None
    update: str | None = None
    delete: str | None = None


class Resource(Displayed):
    """An object of the platform that is no Twin.

    It belongs to the connection of the block it was made in (outside of blocks: that of the session
    it is first saved in), and is no part of the session's unit of work: what administers an account
    is saved by its own `save`.
    """

    __slots__ = ("__weakref__", "_bound", "_item", "_key", "_place")

    _operations: ClassVar[Operations]
    _key_member: ClassVar[str] = "uuid"
    """The member of answers that tells its UUID or name."""
    _bound: Connection | None

    def __init__(self, values: Mapping[str, Any], key: str | None = None) -> None:
        self._begin(key, ABSENT)
        self._bound = block_connection()
        members = self._members()
        for attribute, value in values.items():
            self._assign(members[attribute], value)

    def _begin(self, key: str | None, base: Any) -> None:
        self._bound = None
        self._place = _Place(self)
        self._key = key
        self._item = Item(base, f"{type(self).__name__}.{{}}", UNKNOWN)

    @classmethod
    def _at(
        cls,
        key: str,
        known: Mapping[str, Any] | None = None,
        connection: Connection | None = None,
    ) -> Self:
        """Return the object of a key, with what a listing tells of it; nothing is asked."""
        record = cls.__new__(cls)
        record._begin(key, {cls._key_member: key, **(known or {})})
        record._bound = connection or current_session().connection
        return record

    @classmethod
    def _members(cls) -> dict[str, Member[Any]]:
        """Give the declared members by attribute, those of base classes first."""
        found: dict[str, Member[Any]] = {}
        for kind in reversed(cls.__mro__):
            for name, member in vars(kind).items():
                if isinstance(member, Member):
                    found[name] = member  # noqa: PERF403 # so both type checkers follow
        return found

    @property
    def _connection(self) -> Connection:
        if self._bound is None:
            self._bound = current_session().connection
        return self._bound

    @property
    def is_saved(self) -> bool:
        """Whether the service has it, as far as is known here."""
        return self._item.base is not ABSENT

    def _saved_key(self) -> str:
        if self._key is None or not self.is_saved:
            raise StateError(f"this {type(self).__name__} was not saved yet: save() it first")
        return self._key

    # Members

    def _read(self, member: Member[Any]) -> Any:
        cell = self._item.cell(member.wire)
        if cell.current() is UNKNOWN:
            self._require(member.attribute)
        if cell.current() in (ABSENT, UNKNOWN):
            # Nothing was given yet, or the service says nothing of it.
            return None
        return cell.read(member.codec)

    def _assign(self, member: Member[Any], value: Any) -> None:
        self._item.cell(member.wire).assign(value, member.codec)

    def _require(self, attribute: str) -> None:
        session = current_session(self._connection)
        if session.asynchronous or not self._connection.may_block():
            raise NotLoadedError(
                f"{attribute} of {self!r} is not loaded, and reading it here would block the event "
                "loop: write await record.aload() first, or connect(blocking=True)"
            )
        self._connection.run(self._load())

    # Reading

    def load(self) -> Self:
        """Read it, unless it was read before.

        Raises:
            NotFoundError: There is no such object.
        """
        self._connection.run(self._load())
        return self

    @twin_of(load)
    async def aload(self) -> Self:
        await self._connection.arun(self._load())
        return self

    def refresh(self) -> Self:
        """Read it again, from the service; unsaved changes stay.

        Raises:
            NotFoundError: There is no such object.
        """
        self._connection.run(self._load(fresh=True))
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._connection.arun(self._load(fresh=True))
        return self

    def _load(self, *, fresh: bool = False) -> Flow[None]:
        if not fresh and self._is_loaded():
            return
        self._saved_key()
        answer = yield from read(
            self._connection, self._request(self._operations.read), fresh=fresh
        )
        self._item.rebase(self._whole(self._object_of(answer.body)))

    def _is_loaded(self) -> bool:
        known = self._item.base
        return known is ABSENT or all(m.wire in self._item.known for m in self._members().values())

    def _whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Give an answer that tells everything: what it leaves out is not set."""
        return {**dict.fromkeys(m.wire for m in self._members().values()), **answer}

    # Changes

    def _changes(self) -> dict[str, Change]:
        members = {member.wire: member for member in self._members().values()}
        found: dict[str, Change] = {}
        for wire in self._item.changes():
            member, cell = members[wire], self._item.cell(wire)
            old, new = (shown(raw, member.codec, cell.where) for raw in (cell.base, cell.current()))
            found[member.attribute] = Change(old, new)
        return found

    def _is_modified(self) -> bool:
        return not self.is_saved or self._item.is_modified()

    def discard(self) -> None:
        """Forget the unsaved changes."""
        self._item.discard()

    # Writing

    def _wire(self) -> dict[str, Any]:
        """Give the members to write."""
        return {name: v for name, v in self._item.changes().items() if v is not ABSENT}

    def _request(self, operation: str | None, body: Any = None) -> ApiRequest:
        """Make the request of an operation; classes without such a path change this."""
        if operation is None:
            raise StateError(f"the platform has no operation for this: {self!r}")
        arguments = [self._key] if OPERATIONS[operation].path_params else []
        return api_request(operation, arguments, body=body)

    def _creation(self) -> ApiRequest:
        return self._request(self._operations.create, self._wire())

    def _update(self) -> ApiRequest:
        return self._request(self._operations.update, self._wire())

    def _object_of(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Find the object in an answer; classes whose answers wrap it change this."""
        return answer

    def plan(self) -> Plan:
        """Tell what `save` would send, without sending anything."""
        if not self._is_modified():
            return Plan(())
        request = self._update() if self.is_saved else self._creation()
        return Plan([PlannedRequest.of(request)])

    def save(self) -> SaveResult:
        """Create it, or send what changed; nothing when nothing did.

        Raises:
            ApiError: The service refused it; what was assigned stays.
        """
        return self._connection.run(self._save())

    @twin_of(save)
    async def asave(self) -> SaveResult:
        return await self._connection.arun(self._save())

    def _save(self) -> Flow[SaveResult]:
        yield from turn(self._place)
        if not self._is_modified():
            return SaveResult()
        question = self._tell((signals.pre_save,), changes=self._changes())
        yield from asked(self._place, question)
        new = not self.is_saved
        changes, result = yield from alone(self._place, self._write())
        if not result.requests:
            return result
        told = (signals.created,) if new else ()
        yield from self._tell(
            (*told, signals.changed, signals.post_save), changes=changes, result=result
        )
        return result

    def _write(self) -> Flow[tuple[dict[str, Change], SaveResult]]:
        if not self._is_modified():
            # Somebody else has saved it while a receiver was told.
            return {}, SaveResult()
        new, changes, sent = not self.is_saved, self._changes(), self._wire()
        if new:
            request = self._creation()
            answer = yield from self._made(request, perform(self._connection, request))
        else:
            answer = yield from self._updated(self._update(), self._item, sent)
        self._settle(sent, self._object_of(answer), new=new)
        names = tuple(changes)
        return changes, SaveResult(names if new else (), () if new else names, (), 1)

    def _made(self, request: ApiRequest, making: Flow[dict[str, Any]]) -> Flow[dict[str, Any]]:
        # What has a name of its own is refused when it is there already.
        named = request.operation.repeat is not Repeat.UNSAFE
        return making if named else made_once(self._place, request, making)

    def _updated(
        self, request: ApiRequest, item: Item, sent: Collection[str]
    ) -> Flow[dict[str, Any]]:
        """Send a change; when nobody knows whether it was made, what there is now is to be read."""
        try:
            return (yield from perform(self._connection, request))
        except BaseException as error:
            if may_have_happened(error):
                item.doubt(sent)
            raise

    def _settle(self, sent: Mapping[str, Any], answer: Mapping[str, Any], *, new: bool) -> None:
        if new and self._key is None:
            self._key = needed(answer, self._key_member)
        # Answers to updates may show less than there is.
        known = self._whole(answer) if new else {**self._item.known, **sent, **answer}
        self._item.settle(sent, known)

    def _tell(self, several: Iterable[NamedSignal], **arguments: Any) -> Flow[None]:
        for signal in several:
            if signal.receivers:
                yield from signals.emit(signal, type(self), record=self, **arguments)

    # An ordinary object: nothing below asks the service

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key or '(not saved)'}>"

    def _sheet(self) -> Sheet:
        shown_by = {m.wire: m.attribute for m in self._members().values()}
        return item_sheet(repr(self)[1:-1], self._item, shown_by)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resource) or type(self) is not type(other):
            return NotImplemented
        if self._key is None or other._key is None:
            return self is other
        return (self._key, self._connection.address) == (other._key, other._connection.address)

    def __hash__(self) -> int:
        if self._key is None:
            raise TypeError(f"this {type(self).__name__} has no hash before it is saved")
        return hash((type(self), self._key))

    def __copy__(self) -> Self:
        make, arguments, *_ = self.__reduce__()
        copied: Self = make(*arguments)
        copied._bound = self._bound
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # What the service has said is shared, and never changed.
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self._key, self._item.base, self._item.changes())


class _Place:
    """Where it is noted who saves a record."""

    saving: Saver | None = None

    def __init__(self, record: Resource) -> None:
        self.perhaps_created = False
        self.asking: frozenset[object] = frozenset()
        self._record = ref(record)

    def record(self) -> Resource | None:
        return self._record()


def _revive(kind: type[R], key: str | None, base: Any, changes: Mapping[str, Any]) -> R:
    """Make an object of a pickle; it binds to the default connection when first needed."""
    record = kind.__new__(kind)
    record._begin(key, base)
    for wire, value in changes.items():
        record._item.cell(wire).assign(value)
    return record
