"""Usage: what the platform counts, by hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self, cast

from ttorm.api.answers import member
from ttorm.api.errors import ResponseFormatError
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.display import Displayed, Sheet, limited
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.subjects import subject
from ttorm.records.user import User
from ttorm.sessions import current_session

__all__ = ["Usage"]


class Usage(Displayed, Mapping[datetime, Mapping[str, float]]):
    """What was used lately: amounts by item, for each hour.

    A mapping of hours (their beginnings, in UTC) to amounts. The platform shows the current hour
    and, for a short while, the one before; older ones are accounted elsewhere. Items it counts are
    requests (``rest_count``), operations (``task_get_twin_count``), objects (``twins_created``),
    bytes (``ledger_size_delta``, which may be negative) and more; new ones may come at any time.

    Attributes:
        user: UUID of the user it is about; None for what no user of the account did.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> me = connection.whoami()["user"]
        >>> _ = Twin.create(), Twin.create()
        >>> Usage.current(me).total()["twins_created"]
        2
    """

    __slots__ = ("_hours", "user")

    def __init__(self, hours: Mapping[datetime, Mapping[str, float]], user: str | None) -> None:
        self._hours = {hour: dict(hours[hour]) for hour in sorted(hours)}
        self.user = user

    @classmethod
    def current(cls, user: User | str | None = None) -> Self:
        """Read the usage of a user, or of the account itself.

        Args:
            user: The `User`, or its UUID; None for what cannot be put down to any user.

        Raises:
            NotFoundError: The account has no such user.
            ValidationError: That is no user; nothing was sent.

        Example:
            >>> Usage.current().total()
            {}
        """
        return current_session().connection.run(cls._current(user))

    @classmethod
    @twin_of(current)
    async def acurrent(cls, user: User | str | None = None) -> Self:
        return await current_session().connection.arun(cls._current(user))

    @classmethod
    def _current(cls, user: User | str | None) -> Flow[Self]:
        who = None if user is None else subject(user, "user", User)
        request = (
            api_request("get_account_usage")
            if who is None
            else api_request("get_user_usage", [who])
        )
        answer = yield from perform(current_session().connection, request)
        usage = member(answer, "usage")
        return cls({_hour(name): _amounts(usage, name) for name in usage}, who)

    def total(self) -> dict[str, float]:
        """Add up the hours, item by item.

        Example:
            >>> hours = [datetime(2024, 6, 10, hour, tzinfo=UTC) for hour in (6, 7)]
            >>> Usage({hour: {"rest_count": 2} for hour in hours}, None).total()
            {'rest_count': 4}
        """
        total: dict[str, float] = {}
        for amounts in self._hours.values():
            for item, amount in amounts.items():
                total[item] = total.get(item, 0) + amount
        return total

    def __getitem__(self, hour: datetime) -> Mapping[str, float]:
        return self._hours[hour]

    def __iter__(self) -> Iterator[datetime]:
        return iter(self._hours)

    def __len__(self) -> int:
        return len(self._hours)

    def __repr__(self) -> str:
        whose = "the account" if self.user is None else f"user {self.user}"
        return f"<Usage of {whose}: {len(self)} hours>"

    def _sheet(self) -> Sheet:
        rows = [
            (f"{hour:%Y-%m-%d %H:%M}", item, f"{amount:,}")
            for hour, amounts in self.items()
            for item, amount in amounts.items()
        ]
        return Sheet(repr(self)[1:-1], ("hour (UTC)", "item", "amount"), limited(rows))


def _hour(name: str) -> datetime:
    try:
        return datetime.strptime(name, "%Y-%m-%d-%H").replace(tzinfo=UTC)
    except ValueError:
        raise ResponseFormatError(
            f"the usage has an hour {name!r}: expected one such as '2024-06-10-06'"
        ) from None


def _amounts(usage: Mapping[str, Any], hour: str) -> dict[str, float]:
    amounts = member(usage, hour)
    return {
        item: cast(float, amount)
        for item, amount in amounts.items()
        if isinstance(amount, (int, float)) and not isinstance(amount, bool)
    }
