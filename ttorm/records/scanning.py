"""Going through the account's Twins, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from ttorm.api.answers import listed
from ttorm.api.errors import ValidationError
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.models import ALIVE
from ttorm.rules import Expression, raw, rule_text
from ttorm.sessions import Session, current_session

__all__ = ["Scan"]

T = TypeVar("T")
_Page = tuple[list[Any], str | None]


class Scan(Generic[T]):
    """The account's Twins of a class that fulfil a rule.

    Iterate by ``for`` or ``async for``, any number of times; each time asks the service anew. A
    page of up to 1,000 Twins is one request, sent when the one before is used up.

    Attributes:
        match: The rule the service evaluates, or None.
    """

    def __init__(
        self,
        model: type[T],
        show: Callable[[Any, Mapping[str, Any], Session], T | None],
        kind: Expression | None,
        rule: str | Expression | None,
        terminated: bool,
        page: int,
    ) -> None:
        if not 1 <= page <= 1000:
            raise ValidationError(f"page={page}: expected 1 to 1000", code="bad-argument")
        asked = raw(rule_text(rule)) if isinstance(rule, str) else rule
        wanted = [None if terminated else ALIVE, kind, asked]
        rules = [part for part in wanted if part is not None]
        self.match = str(_all_of(rules)) if rules else None
        self._model = model
        self._show = show
        self._page = page

    def __repr__(self) -> str:
        return f"<Scan of {self._model.__name__}: {self.match or 'all'}>"

    def __iter__(self) -> Iterator[T]:
        session, cursor = current_session(), None
        while True:
            records, cursor = session.connection.run(self._read(session, cursor))
            yield from records
            if cursor is None:
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        session, cursor = current_session(), None
        while True:
            records, cursor = await session.connection.arun(self._read(session, cursor))
            for record in records:
                yield record
            if cursor is None:
                return

    def _read(self, session: Session, cursor: str | None) -> Flow[_Page]:
        # An empty page is no end: the service filters after it has looked at `count` Twins.
        query = {"cursor": cursor, "count": self._page, "match": self.match, "details": True}
        answer = yield from perform(session.connection, api_request("scan_twins", query=query))
        shown = [self._show(self._model, wire, session) for wire in listed(answer, "twins")]
        return [record for record in shown if record is not None], answer.get("cursor")

    def first(self) -> T | None:
        """Return the first one, or None.

        Example:
            >>> Twin.scan("TWIN.kind == 'unicorn'").first() is None
            True
        """
        return next(iter(self), None)

    @twin_of(first)
    async def afirst(self) -> T | None:
        async for record in self:
            return record
        return None

    def all(self) -> list[T]:
        """Return all of them.

        Example:
            >>> len(Twin.scan("TWIN.kind == 'unicorn'").all())
            0
        """
        return list(self)

    @twin_of(all)  # noqa: A003 # the method above, not the built-in
    async def aall(self) -> list[T]:
        return [record async for record in self]


def _all_of(rules: list[Expression]) -> Expression:
    whole, *others = rules
    for rule in others:
        whole &= rule
    return whole
