"""The account, to which everything belongs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self, cast

from ttorm.api.answers import needed
from ttorm.api.codec import JSONValue
from ttorm.api.errors import ValidationError
from ttorm.api.request import api_request
from ttorm.connection.reads import read
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.members import MOMENT, CheckedCodec, Member, Writable
from ttorm.records.resource import Operations, Resource
from ttorm.rules import Expression, rule_text
from ttorm.sessions import current_session

__all__ = ["Account"]


def _log(value: object) -> dict[str, JSONValue]:
    found: Mapping[Any, Any] = cast(Any, value) if isinstance(value, Mapping) else {None: None}
    if not all(
        isinstance(rule, (str, Expression)) and isinstance(tables, Mapping)
        for rule, tables in found.items()
    ):
        raise ValidationError(
            f"expected {{rule: {{table: {{'dimensions': {{name: template}}}}}}}}, found {value!r}",
            code="bad-argument",
        )
    return {rule_text(rule): dict(tables) for rule, tables in found.items()}


class Account(Resource):
    """The account of the connection's user. Accounts are made outside the API.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> Account.current().uuid == connection.whoami()["account"]
        True
    """

    __slots__ = ()
    _operations = Operations("get_account", update="update_account")

    uuid: Member[str] = Member("Its UUID.")
    resource_access_log: Writable[dict[str, Any] | None] = Writable(
        "Timeseries tables that log who works with what belongs to the account: by rule (an "
        "expression may be assigned), then by table; None when nothing is logged.",
        CheckedCodec(_log),
    )
    created_at: Member[datetime] = Member("When it was made, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member("When it was changed, in UTC.", MOMENT, name="updated_ts")

    def __init__(self) -> None:
        raise TypeError("accounts are made outside the API: write Account.current()")

    @classmethod
    def current(cls) -> Self:
        """Read the account of the connection's user."""
        return current_session().connection.run(cls._current())

    @classmethod
    @twin_of(current)
    async def acurrent(cls) -> Self:
        return await current_session().connection.arun(cls._current())

    @classmethod
    def _current(cls) -> Flow[Self]:
        connection = current_session().connection
        answer = (yield from read(connection, api_request("get_account"))).body
        account = cls._at(needed(answer, "uuid"), connection=connection)
        account._item.rebase(account._whole(answer))
        return account
