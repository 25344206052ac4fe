"""Going through the account's Twins, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Self, TypeVar

from ttorm.api.errors import ValidationError
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.bulk import load_each, part_named
from ttorm.records.links import holds_links, load_linked
from ttorm.records.listing import Attention, Listing
from ttorm.records.models import ALIVE
from ttorm.records.pages import Iteration, Page, page_of
from ttorm.records.unread import Unread
from ttorm.rules import Expression, raw, rule_text
from ttorm.sessions import Fetch, Session, check_fetch, current_session

__all__ = ["Scan", "scan_of"]

T = TypeVar("T")
_ROUNDS = 4
"""Records are made ready for so many rounds of the connection's concurrency at once."""


class _Options(NamedTuple):
    """What a scan was asked for; see the methods of `Scan`."""

    match: str | None
    page: int
    fetch: Fetch | None
    parts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    limit: int | None = None
    cursor: str | None = None


class Scan(Displayed, Unread, Generic[T]):
    """The account's Twins of a class that fulfil a rule; made by `Twin.scan`.

    Iterate by ``for`` or ``async for``, any number of times; each time asks the service anew. A
    page of up to 1,000 Twins is one request, sent when the one before is used up. `prefetch`,
    `limit` and `after` give other scans and ask nothing.

    Example:
        >>> for kind in ("pump", "valve"):
        ...     _ = Twin.create(description={"kind": kind}, entries={"pressure": 2.5})
        >>> scan = Twin.scan('TWIN.kind == "pump"').prefetch("ledger").limit(10)
        >>> [pump.ledger["pressure"].value for pump in scan]
        [2.5]
    """

    _ANY = ".exists(), or .first() is not None"
    _FEW = ".first() for the first, .limit(10).all() for the first ones"

    def __init__(
        self,
        model: type[T],
        options: _Options,
    ) -> None:
        self._model = model
        self._options = options

    @property
    def match(self) -> str | None:
        """The rule the service evaluates, or None."""
        return self._options.match

    def __repr__(self) -> str:
        return f"<Scan of {self._model.__name__}: {self.match or 'all'}>"

    def _sheet(self) -> Sheet:
        asked = self._options._asdict().items()
        rows = [(name, str(value)) for name, value in asked if value not in (None, ())]
        return Sheet(f"Scan of {self._model.__name__}", ("", ""), rows, "nothing is asked yet")

    def _with(self, **options: Any) -> Self:
        return type(self)(self._model, self._options._replace(**options))

    # Narrowing

    def prefetch(self, *parts: str) -> Self:
        """Read parts of the records before they are handed out, many at a time.

        The way to go through listings under an event loop, where looking at an attribute cannot
        wait; elsewhere it saves the pauses.

        Args:
            *parts: ``"ledger"``, ``"identities"``, ``"docs"``, ``"ledgers/<alias>"``, or names of
                fields; the description comes with the listing. With a field of links come the
                Twins it links to, each one once.

        Raises:
            ValidationError: There is no such part or field.

        Example:
            >>> scan = Twin.scan().prefetch("ledger", "identities")
        """
        named = [part_named(self._model, part) for part in parts]
        fields: Mapping[str, Any] = getattr(self._model, "__fields__", {})
        links = [part for part in parts if part in fields and holds_links(fields[part])]
        return self._with(
            parts=tuple(dict.fromkeys([*self._options.parts, *named])),
            links=tuple(dict.fromkeys([*self._options.links, *links])),
        )

    def limit(self, number: int) -> Self:
        """Stop after so many records.

        Example:
            >>> len(Twin.scan().limit(0).all())
            0
        """
        _check_number("limit", number, 0)
        return self._with(limit=number)

    def after(self, cursor: str) -> Self:
        """Begin where an earlier page ended.

        Args:
            cursor: `Page.cursor` of a scan with the same rule.

        Raises:
            ValidationError: That is no cursor: the last page has none, and nothing follows it.

        Example:
            >>> for page in Twin.scan(page=100).pages():
            ...     if page.cursor is not None:
            ...         more = Twin.scan(page=100).after(page.cursor)
        """
        if not isinstance(cursor, str) or not cursor:
            raise ValidationError(
                f"after({cursor!r}): expected the cursor of a page; the last page has None, and "
                "nothing follows it",
                code="bad-argument",
            )
        return self._with(cursor=cursor)

    # Going through

    def __iter__(self) -> Iterator[T]:
        session, attention = current_session(), Attention()
        for page in self._pages(session, attention):
            for some in self._rounds(page.records, session):
                if self._options.parts:
                    session.connection.run(self._fetched(some))
                attention.fill(some)
                yield from some

    async def __aiter__(self) -> AsyncIterator[T]:
        session, attention = current_session(), Attention()
        async for page in self._apages(session, attention):
            for some in self._rounds(page.records, session):
                if self._options.parts:
                    await session.connection.arun(self._fetched(some))
                attention.fill(some)
                for record in some:
                    yield record

    def _fetched(self, records: Sequence[T]) -> Flow[None]:
        yield from load_each(records, self._options.parts)
        if self._options.links:
            yield from load_linked(records, self._options.links)

    def _pages(self, session: Session, attention: Attention) -> Iterator[Page[T]]:
        options = self._options
        while options.limit != 0:
            page = session.connection.run(self._read(session, options, attention))
            yield page
            if page.cursor is None:
                return
            options = _onward(options, page)

    async def _apages(self, session: Session, attention: Attention) -> AsyncIterator[Page[T]]:
        options = self._options
        while options.limit != 0:
            page = await session.connection.arun(self._read(session, options, attention))
            yield page
            if page.cursor is None:
                return
            options = _onward(options, page)

    def _read_page(self, session: Session, cursor: str | None) -> Flow[Page[T]]:
        """Read one page into a session; its records load nothing but what they are told to."""
        return self._read(session, self._options._replace(cursor=cursor), Attention())

    def _read(self, session: Session, options: _Options, attention: Attention) -> Flow[Page[T]]:
        # An empty page is no end: the service filters after it has looked at `count` Twins.
        query = {
            "cursor": options.cursor,
            "count": options.page,
            "match": options.match,
            "details": True,
        }
        answer = yield from perform(session.connection, api_request("scan_twins", query=query))
        listing = Listing(session, options.fetch or session.fetch, attention)
        return page_of(answer, self._model, listing, options.limit)

    def _rounds(self, records: list[T], session: Session) -> Iterator[list[T]]:
        size = session.connection.concurrency * _ROUNDS
        for start in range(0, len(records), size):
            yield records[start : start + size]

    def pages(self) -> Iteration[Page[T]]:
        """Go through it page by page: each has the cursor at which a later scan can go on.

        Nothing is prefetched here. A page holds at most as many records as Twins were looked
        through, and may hold none.

        Example:
            >>> sum(len(page.records) for page in Twin.scan('TWIN.kind == "unicorn"').pages())
            0
        """
        return Iteration(
            lambda: self._pages(current_session(), Attention()),
            lambda: self._apages(current_session(), Attention()),
        )

    def chunks(self, size: int) -> Iteration[list[T]]:
        """Go through it in lists of so many records, in constant memory.

        Inside a session block, what was changed in a chunk is saved, and its records are let go,
        before the next one is read.

        Args:
            size: How many records a list has, but for the last.

        Example:
            >>> for pumps in Twin.scan('TWIN.kind == "pump"').chunks(100):
            ...     for pump in pumps:
            ...         pump.ledger["checked"] = True
        """
        _check_number("chunks", size, 1)
        return Iteration(lambda: self._chunks(size), lambda: self._achunks(size))

    def _chunks(self, size: int) -> Iterator[list[T]]:
        session = current_session()
        chunk: list[T] = []
        for record in self:
            chunk.append(record)
            if len(chunk) == size:
                yield chunk
                chunk = []
                if session.is_open:
                    session.flush()
                    session.let_go()
        if chunk:
            yield chunk

    async def _achunks(self, size: int) -> AsyncIterator[list[T]]:
        session = current_session()
        chunk: list[T] = []
        async for record in self:
            chunk.append(record)
            if len(chunk) == size:
                yield chunk
                chunk = []
                if session.is_open:
                    await session.aflush()
                    session.let_go()
        if chunk:
            yield chunk

    # Answers

    def _one(self) -> Self:
        return self if self._options.limit == 0 else self.limit(1)

    def first(self) -> T | None:
        """Return the first one, or None.

        Example:
            >>> Twin.scan("TWIN.kind == 'unicorn'").first() is None
            True
        """
        return next(iter(self._one()), None)

    @twin_of(first)
    async def afirst(self) -> T | None:
        async for record in self._one():
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

    def count(self) -> int:
        """Count them; the API has no shorter way than reading all pages.

        Example:
            >>> Twin.scan("TWIN.kind == 'unicorn'").count()
            0
        """
        return sum(len(page.records) for page in self.pages())

    @twin_of(count)
    async def acount(self) -> int:
        return sum([len(page.records) async for page in self.pages()])

    def exists(self) -> bool:
        """Tell whether there is any.

        Example:
            >>> Twin.scan("TWIN.kind == 'unicorn'").exists()
            False
        """
        return any(page.records for page in self._one().pages())

    @twin_of(exists)
    async def aexists(self) -> bool:
        async for page in self._one().pages():
            if page.records:
                return True
        return False


def scan_of(
    model: type[T],
    kind: Expression | None,
    rule: str | Expression | None,
    *,
    terminated: bool,
    page: int,
    fetch: Fetch | None,
) -> Scan[T]:
    """Make the scan of a class.

    Args:
        model: The class.
        kind: The rule that Twins of the class fulfil.
        rule: What else is asked for.
        terminated: Whether terminated Twins are listed as well.
        page: How many Twins the service looks through for one answer.
        fetch: What a missing part of a listed record loads; None leaves it to the session.
    """
    _check_number("page", page, 1, 1000)
    check_fetch(fetch)
    asked = raw(rule_text(rule)) if isinstance(rule, str) else rule
    wanted = [None if terminated else ALIVE, kind, asked]
    rules = [part for part in wanted if part is not None]
    match = str(_all_of(rules)) if rules else None
    return Scan(model, _Options(match, page, fetch))


def _onward(options: _Options, page: Page[Any]) -> _Options:
    left = None if options.limit is None else options.limit - len(page.records)
    return options._replace(cursor=page.cursor, limit=left)


def _check_number(name: str, number: object, least: int, most: int | None = None) -> None:
    fine = isinstance(number, int) and not isinstance(number, bool) and number >= least
    if not fine or (most is not None and isinstance(number, int) and number > most):
        wanted = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValidationError(f"{name}={number!r}: expected {wanted}", code="bad-argument")


def _all_of(rules: list[Expression]) -> Expression:
    whole, *others = rules
    for rule in others:
        whole &= rule
    return whole
