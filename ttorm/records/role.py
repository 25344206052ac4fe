"""Roles: what their users may do, and what they see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ttorm.api.answers import items
from ttorm.api.errors import ValidationError
from ttorm.api.names import check_display_name
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.action import Action
from ttorm.records.collection import Collection
from ttorm.records.keyed import Deletable
from ttorm.records.members import MOMENT, CheckedCodec, Member, Writable
from ttorm.records.permitting import Question, permission
from ttorm.records.resource import Operations
from ttorm.records.statement import Permission, Rules, Statement, read_rules, read_statement

if TYPE_CHECKING:
    from ttorm.records.entry import Entry
    from ttorm.records.identity import Identity
    from ttorm.records.twin import Twin
    from ttorm.records.user import User

__all__ = ["NAME", "Role"]


def _statement(value: object) -> dict[str, Any]:
    if isinstance(value, Statement):
        return value.to_json()
    raise ValidationError(
        f"expected Statement.allow(...) or Statement.deny(...), found {value!r}",
        code="bad-argument",
    )


def _rules(value: object) -> dict[str, Any]:
    if isinstance(value, Rules):
        return value.to_json()
    raise ValidationError(f"expected Rules(twin=..., ...), found {value!r}", code="bad-argument")


NAME = CheckedCodec(check_display_name)
"""Names of users and roles."""
_STATEMENT = CheckedCodec(_statement, read_statement)
_RULES = CheckedCodec(_rules, read_rules)


class Role(Deletable):
    """A role: which operations its users may do, and which Twins, Entries and Identities they see.

    Changes act from the next request of its users on. Nobody can make a role that permits more
    than the own one.

    Args:
        name: Its name, 2 to 32 characters; not unique.
        statement: The operations; without one all are permitted.
        rules: What is visible; without them all that belongs to the account.

    Raises:
        ValidationError: A value is none that the platform takes.

    Example:
        >>> from ttorm.rules import TWIN, USER
        >>> reader = Role.create(
        ...     name="Reader",
        ...     statement=Statement.allow(Action.reading()),
        ...     rules=Rules(twin=TWIN.company == USER.company),
        ... )
        >>> bool(reader.allows(Action.create_twin))
        False
    """

    __slots__ = ()
    _operations = Operations(
        "get_user_role", "create_user_role", "update_user_role", "delete_user_role"
    )

    uuid: Member[str] = Member("Its UUID; None before it is saved.")
    account: Member[str] = Member("UUID of the account.")
    name: Writable[str] = Writable("Its name.", NAME)
    statement: Writable[Statement] = Writable("The operations it permits.", _STATEMENT)
    rules: Writable[Rules] = Writable("The rules of what is visible.", _RULES)
    created_at: Member[datetime] = Member("When it was made, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member("When it was changed, in UTC.", MOMENT, name="updated_ts")

    def __init__(
        self,
        *,
        name: str | None = None,
        statement: Statement | None = None,
        rules: Rules | None = None,
    ) -> None:
        given = {"name": name, "statement": statement, "rules": rules}
        super().__init__({member: value for member, value in given.items() if value is not None})

    @classmethod
    def create(
        cls,
        *,
        name: str | None = None,
        statement: Statement | None = None,
        rules: Rules | None = None,
    ) -> Self:
        """Make a role at once; the arguments are those of the class.

        Raises:
            ForbiddenError: It would permit more than the caller's own role.
            ValidationError: A value is none that the platform takes.
        """
        role = cls(name=name, statement=statement, rules=rules)
        role.save()
        return role

    @classmethod
    @twin_of(create)
    async def acreate(
        cls,
        *,
        name: str | None = None,
        statement: Statement | None = None,
        rules: Rules | None = None,
    ) -> Self:
        role = cls(name=name, statement=statement, rules=rules)
        await role.asave()
        return role

    @classmethod
    def list(cls) -> Collection[Self]:
        """Give all roles of the account; what a listing leaves out loads when it is looked at."""

        def page(connection: Connection, _: Any) -> Flow[tuple[list[Self], None]]:
            answer = yield from perform(connection, api_request("get_user_roles"))
            found = items(answer, "roles").items()
            return [cls._at(uuid, facts, connection) for uuid, facts in found], None

        return Collection("roles", page)

    # What it permits

    def allows(
        self,
        action: Action | str,
        *,
        twin: Twin | None = None,
        entry: Entry | None = None,
        identity: Identity | None = None,
        user: User | None = None,
        dictionary: Mapping[str, Any] | None = None,
    ) -> Permission:
        """Tell whether it would permit a call, without making it.

        The statement decides first. Of the rules, those are evaluated here for which an object is
        given; what they need of it, and of the role itself, is loaded. The answer says what it
        does not know: what was not given, and what other accounts show to whom.

        Args:
            action: The operation.
            twin: The Twin it is about.
            entry: The Entry it is about, of the own Ledger.
            identity: The Identity it is about.
            user: Who is to call; rules speak of it as ``USER`` and ``user``.
            dictionary: The request dictionary, which rules read as ``DICT``.

        Raises:
            NotFoundError: The role or one of the objects does not exist.
            ValidationError: There is no such operation.

        Example:
            >>> role = Role(statement=Statement.deny(Action.writing("users", "roles")))
            >>> role.allows(Action.create_user).reason
            'the statement does not permit create_user'
        """
        question = Question(twin, entry, identity, user, dictionary)
        return self._connection.run(self._allows(action, question))

    @twin_of(allows)
    async def aallows(
        self,
        action: Action | str,
        *,
        twin: Twin | None = None,
        entry: Entry | None = None,
        identity: Identity | None = None,
        user: User | None = None,
        dictionary: Mapping[str, Any] | None = None,
    ) -> Permission:
        question = Question(twin, entry, identity, user, dictionary)
        return await self._connection.arun(self._allows(action, question))

    def _allows(self, action: Action | str, question: Question) -> Flow[Permission]:
        yield from self._load()
        return (yield from permission(self, str(action), question))
