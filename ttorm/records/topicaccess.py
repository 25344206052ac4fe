"""Access to topics: which other accounts may use topics of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, cast

from ttorm.api.answers import listed, member
from ttorm.api.errors import ValidationError
from ttorm.api.names import check_topic, check_uuid
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.display import Displayed, Sheet, limited
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.sessions import current_session

__all__ = ["TopicAccess"]


class TopicAccess(Displayed, Mapping[str, tuple[str, ...]]):
    """Which other accounts have access to topics of the connection's account.

    A mapping of accounts to topics, as it was when it was read or last written. Other accounts are
    named by UUID.

    Example:
        >>> partner = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
        >>> access = TopicAccess.current()
        >>> access.grant(partner, "battery-low", "door-open")
        ('battery-low', 'door-open')
        >>> access.revoke(partner, "door-open")
        ('battery-low',)
        >>> dict(TopicAccess.current())
        {'0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11': ('battery-low',)}
    """

    __slots__ = ("_connection", "_topics")

    def __init__(self, topics: Mapping[str, Iterable[str]], connection: Connection) -> None:
        self._topics = {account: tuple(several) for account, several in topics.items()}
        self._connection = connection

    @classmethod
    def current(cls, connection: Connection | None = None) -> Self:
        """Read who has access to what.

        Args:
            connection: Whom to ask; that of the session when left out.
        """
        connection = connection or current_session().connection
        return connection.run(cls._current(connection))

    @classmethod
    @twin_of(current)
    async def acurrent(cls, connection: Connection | None = None) -> Self:
        connection = connection or current_session().connection
        return await connection.arun(cls._current(connection))

    @classmethod
    def _current(cls, connection: Connection) -> Flow[Self]:
        return cls((yield from _granted(connection)), connection)

    def assign(self, account: str, topics: Iterable[str]) -> tuple[str, ...]:
        """Say which topics an account has access to, whatever it had before.

        Args:
            account: UUID of the other account.
            topics: The topics; none takes all access away.

        Returns:
            The topics.

        Raises:
            ValidationError: That is no account, or no topic; nothing was sent.
            OperationNotAllowedError: It is the own account.
        """
        return self._connection.run(self._assign(account, topics))

    @twin_of(assign)
    async def aassign(self, account: str, topics: Iterable[str]) -> tuple[str, ...]:
        return await self._connection.arun(self._assign(account, topics))

    def grant(self, account: str, *topics: str) -> tuple[str, ...]:
        """Give an account access to further topics; what it has is read first.

        Args:
            account: UUID of the other account.
            *topics: The topics.

        Returns:
            All topics that it has access to now.
        """
        return self._connection.run(self._change(account, added=topics))

    @twin_of(grant)
    async def agrant(self, account: str, *topics: str) -> tuple[str, ...]:
        return await self._connection.arun(self._change(account, added=topics))

    def revoke(self, account: str, *topics: str) -> tuple[str, ...]:
        """Take access to topics away; what the account has is read first.

        Args:
            account: UUID of the other account.
            *topics: The topics; without any, all of them.

        Returns:
            The topics that it still has access to.
        """
        return self._connection.run(self._change(account, removed=topics))

    @twin_of(revoke)
    async def arevoke(self, account: str, *topics: str) -> tuple[str, ...]:
        return await self._connection.arun(self._change(account, removed=topics))

    def _change(
        self,
        account: str,
        added: tuple[str, ...] = (),
        removed: tuple[str, ...] | None = None,
    ) -> Flow[tuple[str, ...]]:
        account = check_uuid(account, "account")
        for topic in (*added, *(removed or ())):
            check_topic(topic)
        if removed == ():
            return (yield from self._assign(account, ()))
        self._topics = yield from _granted(self._connection)
        before = self._topics.get(account, ())
        after = [topic for topic in (*before, *added) if topic not in (removed or ())]
        if tuple(dict.fromkeys(after)) == before:
            return before
        return (yield from self._assign(account, after))

    def _assign(self, account: str, topics: Iterable[str]) -> Flow[tuple[str, ...]]:
        account = check_uuid(account, "account")
        if isinstance(cast(object, topics), str):
            raise ValidationError(
                f"topics={topics!r}: expected a list of topics", code="bad-argument"
            )
        body: Any = {"topics": list(dict.fromkeys(map(check_topic, topics)))}
        request = api_request("update_notifications_account_access", [account], body=body)
        answer = yield from perform(self._connection, request)
        self._topics.pop(account, None)
        if now := tuple(map(str, listed(answer, "topics"))):
            self._topics[account] = now
        return now

    # A mapping

    def __getitem__(self, account: str) -> tuple[str, ...]:
        return self._topics[account]

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __len__(self) -> int:
        return len(self._topics)

    def __repr__(self) -> str:
        return f"<TopicAccess of {len(self)} accounts>"

    def _sheet(self) -> Sheet:
        rows = [(account, ", ".join(topics)) for account, topics in self.items()]
        return Sheet("Access to topics", ("account", "topics"), limited(rows))


def _granted(connection: Connection) -> Flow[dict[str, tuple[str, ...]]]:
    answer = yield from perform(connection, api_request("get_notifications_access"))
    accounts = member(answer, "accounts")
    return {
        account: tuple(map(str, listed(member(accounts, account), "topics")))
        for account in accounts
    }
