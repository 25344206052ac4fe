"""Reads through the cache: what is kept, or one request for all who ask at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ttorm.api.errors import NotFoundError
from ttorm.api.request import ApiRequest
from ttorm.connection.absence import absence, is_absence, told_absence
from ttorm.connection.calls import perform
from ttorm.connection.hooks import tell_of_hit
from ttorm.flows import Flow, join

if TYPE_CHECKING:
    from ttorm.connection.cache import Cache, CacheKey, Flight
    from ttorm.connection.core import Connection

__all__ = ["Answer", "kept_answer", "read"]

_JOINED = 2
"""How many reads of others, in vain, somebody waits for: else many would fail one after another."""


class Answer(NamedTuple):
    """A decoded answer.

    Attributes:
        body: The JSON object; shared with the cache, not to be changed.
        kept: Whether it was kept from an earlier read.
    """

    body: dict[str, Any]
    kept: bool


def kept_answer(connection: Connection, request: ApiRequest) -> Answer | None:
    """Look into the cache, without a flow: the way of every hit."""
    cache, key = connection.cache, _key(connection, request)
    kept = None if cache is None or key is None else cache.peek(key)
    if cache is None or kept is None or (cache.negative and is_absence(kept)):
        return None
    cache.count_hit()
    if connection.hooks or connection.log.is_verbose():
        tell_of_hit(connection, request)
    return Answer._make((dict(kept), True))


def _key(connection: Connection, request: ApiRequest) -> CacheKey | None:
    """Name what is kept; None when nothing is, or not for this connection."""
    cache, credentials = connection.cache, connection.credentials
    # Asked of what may end only: this is the way of every hit.
    if cache is None or (credentials.current.ends is not None and credentials.has_ended):
        return None
    return cache.key(connection.scope(request.dictionary), request)


def read(
    connection: Connection, request: ApiRequest, *, fresh: bool = False, ttl: float | None = None
) -> Flow[Answer]:
    """Read through the cache; who asks for the same at the same time shares one request.

    Args:
        connection: Whom to ask.
        request: A call of an operation that only reads.
        fresh: Ask the service whatever is kept.
        ttl: Seconds the answer is kept; None leaves it to the cache.
    """
    cache, key = connection.cache, _key(connection, request)
    if cache is None or key is None:
        return Answer((yield from perform(connection, request)), kept=False)
    waited = 0
    while True:
        if not fresh and (kept := cache.get(key)) is not None:
            return _kept(connection, kept, request)
        flight, leads = cache.board(key, fresh=fresh or waited >= _JOINED)
        if leads:
            break
        fresh = not (yield from join(flight.done))
        # What is shared may have been dropped elsewhere after a read began, and before it was
        # joined; the second one that is joined has begun later.
        late = cache.is_shared and not waited
        if not (late or fresh or flight.stale or flight.answer is None):
            cache.count_hit()
            return _kept(connection, flight.answer, request)
        waited += 1
    if not fresh and (kept := cache.peek(key)) is not None:
        # Landed between the look and the boarding.
        cache.land(flight, None)
        return _kept(connection, kept, request)
    try:
        return (yield from _lead(connection, request, flight, fresh=fresh, ttl=ttl))
    except BaseException:
        if not flight.done.done():
            cache.land(flight, None)
        raise


def _lead(
    connection: Connection, request: ApiRequest, flight: Flight, *, fresh: bool, ttl: float | None
) -> Flow[Answer]:
    """Read what others wait for; they are woken when it can be found where it is shared."""
    cache = cast("Cache", connection.cache)
    kept = yield from cache.look(flight, fresh=fresh, ttl=ttl)
    if kept is not None:
        cache.land(flight, kept)
        return _kept(connection, kept, request)
    try:
        body = yield from perform(connection, request, missed=not fresh)
    except NotFoundError as error:
        if cache.negative:
            missing = absence(error)
            yield from cache.share(flight, missing, cache.negative)
            cache.land(flight, missing, cache.negative)
        raise
    yield from cache.share(flight, body, ttl)
    cache.land(flight, body, ttl)
    return Answer(dict(body), kept=False)


def _kept(connection: Connection, kept: Mapping[str, Any], request: ApiRequest) -> Answer:
    """Give a kept answer.

    Raises:
        NotFoundError: What was kept is that there is none.
    """
    if connection.hooks or connection.log.is_verbose():
        tell_of_hit(connection, request)
    if is_absence(kept):
        raise told_absence(kept, request)
    return Answer(dict(kept), kept=True)
