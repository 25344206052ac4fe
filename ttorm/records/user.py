"""Users: who calls the platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast, overload

from ttorm.api.answers import items
from ttorm.api.codec import JSONValue
from ttorm.api.errors import StateError, ValidationError
from ttorm.api.moments import coming, moment
from ttorm.api.names import check_description_key, check_uuid
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.connection.rotation import new_pin
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import UNKNOWN
from ttorm.records.collection import Collection
from ttorm.records.keyed import Deletable
from ttorm.records.members import MOMENT, CheckedCodec, Member, Writable
from ttorm.records.resource import Operations
from ttorm.records.role import NAME, Role
from ttorm.records.secret import Invitation, UserSecret

__all__ = ["DESCRIPTION", "User"]

_PIN_LIFE = timedelta(minutes=10)


def _role_uuid(value: object) -> str:
    if not isinstance(value, Role):
        return check_uuid(value, "Role or UUID of a role")
    if value._key is None:
        raise StateError("the role was not saved yet: save() it first, then give it to users")
    return value._key


def _mapping(value: object) -> dict[str, JSONValue]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, JSONValue]", value))
    raise ValidationError(f"expected a dictionary, found {value!r}", code="bad-argument")


def _description(value: object) -> dict[str, JSONValue]:
    found = _mapping(value)
    for key in found:
        check_description_key(key)
    return found


DESCRIPTION = CheckedCodec(_description)
"""Descriptions: dictionaries with keys that rules can name."""
_ACTIVITY = CheckedCodec(_mapping)


class _RoleOfUser(Member[Role]):
    """The role of a user, which loads when something of it is looked at."""

    writable = True

    @overload
    def __get__(self, record: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, record: Any, owner: Any) -> Role: ...
    def __get__(self, record: Any, owner: Any) -> Any:
        return self if record is None else record._role_at(record._read(self))

    def __set__(self, record: Any, value: Role | str) -> None:  # type: ignore[override]  # the other one refuses
        if cast(object, value) is None:
            raise ValidationError(
                "User.role: a user always has a role: expected a Role or its UUID",
                code="bad-argument",
            )
        record._assign(self, value)
        record._role = value if isinstance(value, Role) else None


class User(Deletable):
    """A user: who calls the platform, with the permissions of a role.

    Args:
        role: A saved `Role`, or its UUID.
        name: A name to show, 2 to 32 characters; not unique.
        description: What rules read as ``USER``; keys as in a Twin's description.
        activity: Timeseries tables that log what the user does, by name, each with its dimensions.

    Raises:
        StateError: The role was not saved yet.
        ValidationError: A value is none that the platform takes.

    Example:
        >>> readers = Role.create(name="Reader", statement=Statement.allow(Action.reading()))
        >>> ann = User.create(role=readers, name="Ann", description={"team": "ops"})
        >>> ann.role.name, ann.description["team"]
        ('Reader', 'ops')
    """

    __slots__ = ("_role", "_secret")
    _operations = Operations("get_user", "create_user", "update_user", "delete_user")

    uuid: Member[str] = Member("Its UUID; None before it is saved.")
    account: Member[str] = Member("UUID of the account.")
    role: _RoleOfUser = _RoleOfUser(
        "The `Role`; a role or its UUID may be assigned.", CheckedCodec(_role_uuid), name="role"
    )
    name: Writable[str | None] = Writable("A name to show.", NAME)
    description: Writable[dict[str, Any] | None] = Writable(
        "What rules read as ``USER``; None when there is none.", DESCRIPTION
    )
    activity: Writable[dict[str, Any] | None] = Writable(
        "Timeseries tables that log what the user does; None when nothing is logged.", _ACTIVITY
    )
    created_at: Member[datetime] = Member("When it was made, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member("When it was changed, in UTC.", MOMENT, name="updated_ts")

    def __init__(
        self,
        *,
        role: Role | str,
        name: str | None = None,
        description: Mapping[str, JSONValue] | None = None,
        activity: Mapping[str, JSONValue] | None = None,
    ) -> None:
        given = {"name": name, "description": description, "activity": activity}
        super().__init__({member: value for member, value in given.items() if value is not None})
        self.role = role

    def _begin(self, key: str | None, base: Any) -> None:
        super()._begin(key, base)
        self._role: Role | None = None
        self._secret: UserSecret | None = None

    @classmethod
    def create(
        cls,
        *,
        role: Role | str,
        name: str | None = None,
        description: Mapping[str, JSONValue] | None = None,
        activity: Mapping[str, JSONValue] | None = None,
    ) -> Self:
        """Make a user at once; the arguments are those of the class.

        Raises:
            NotFoundError: There is no such role.
            ValidationError: A value is none that the platform takes.
        """
        user = cls(role=role, name=name, description=description, activity=activity)
        user.save()
        return user

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        *,
        role: Role | str,
        name: str | None = None,
        description: Mapping[str, JSONValue] | None = None,
        activity: Mapping[str, JSONValue] | None = None,
    ) -> Self:
        user = cls(role=role, name=name, description=description, activity=activity)
        await user.asave()
        return user

    @classmethod
    def list(cls) -> Collection[Self]:
        """Give all users of the account; what a listing leaves out loads when it is looked at."""

        def page(connection: Connection, _: Any) -> Flow[tuple[list[Self], None]]:
            answer = yield from perform(connection, api_request("get_users"))
            found = items(answer, "users").items()
            return [cls._at(uuid, facts, connection) for uuid, facts in found], None

        return Collection("users", page)

    def _role_at(self, uuid: str) -> Role:
        if self._role is None or self._role._key != uuid:
            self._role = Role._at(uuid, connection=self._connection)
        return self._role

    # Its secret

    @property
    def secret(self) -> UserSecret:
        """What is known of its secret; nothing is asked before something of it is looked at."""
        key = self._saved_key()
        if self._secret is None or self._secret._key != key:
            self._secret = UserSecret._at(key, connection=self._connection)
        return self._secret

    def invite(self, valid_until: datetime | float | None = None) -> Invitation:
        """Make a PIN, which whoever gets it exchanges for the secret by `ttorm.claim`.

        The secret that the user has now works until then, and ends with the exchange. A PIN ends
        after 10 minutes, or with the next one for the same user.

        Args:
            valid_until: When the secret is to end, an aware `datetime` or Unix seconds; None for
                never.

        Raises:
            NotFoundError: There is no such user.
            ValidationError: That moment is over.

        Example:
            >>> ann = User.create(role=Role.create(name="Guest"))
            >>> invitation = ann.invite()
            >>> invitation.pin
            Secret('***')
        """
        return self._connection.run(self._invite(valid_until))

    @twin_of(invite)
    async def ainvite(self, valid_until: datetime | float | None = None) -> Invitation:
        return await self._connection.arun(self._invite(valid_until))

    def _invite(self, valid_until: datetime | float | None) -> Flow[Invitation]:
        user, end = self._saved_key(), coming(valid_until, "the secret")
        if self._item.current("account") is UNKNOWN:
            # Before the PIN is made, so that none is lost.
            yield from self._load()
        expires_at = datetime.now(UTC) + _PIN_LIFE
        pin = yield from new_pin(self._connection, user, end)
        until = None if end is None else moment(end)
        return Invitation(self.account, user, pin, expires_at, until)
