"""Creating a Twin once: by its key Identity, and by a mark when an answer is lost.

The API cannot create a Twin under a name. So a Twin is created with a random mark in its
description and gets its Identity in a second request. What is in doubt is read before it is
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import Any, TypeVar, cast

from ttorm.api.answers import member, needed, needed_list
from ttorm.api.errors import (
    AlreadyDoneError,
    BusyError,
    NotFoundError,
    OutcomeUnknownError,
    ServerError,
    ServerTimeoutError,
    TransportError,
    TtormError,
)
from ttorm.api.request import api_request
from ttorm.api.retry import RetryPolicy
from ttorm.connection.calls import perform
from ttorm.flows import Flow, sleep
from ttorm.records.loading import load
from ttorm.records.lookup import age, resolve, shown_found
from ttorm.records.retrying import backoff
from ttorm.records.saving import remove_now, save, terminate
from ttorm.records.state import TwinState
from ttorm.records.twinwriting import Recovery
from ttorm.rules import TWIN

__all__ = ["MARK", "find_or_create"]

R = TypeVar("R")

MARK = "_ttorm_key"
"""The description key of the mark."""
_LOOKS = (0.0, 0.5, 2.0)
"""Seconds before each look for a Twin whose creation was not answered."""
_ATTEMPTS = 8
_PAUSE = 0.1
"""Seconds of the longest wait before a second attempt; doubles with each."""
_DOUBTFUL = (BusyError, OutcomeUnknownError, ServerError, TransportError)


def find_or_create(record: Any) -> Flow[tuple[Any, bool]]:
    """Find the Twin that has the key of an unsaved record, or create it.

    Returns:
        The record that is found, or the given one; and whether it was created.

    Raises:
        TypeError: The class declares no key Identity, or not exactly one.
        OutcomeUnknownError: The Twin may still come to exist.
        SaveError: The service refused some of the items.
    """
    state: TwinState = record._state
    model = cast(Any, type(record))
    text = _key(record)
    # Who flushes its block meanwhile is not to create it.
    state.session.release(state)
    found = yield from resolve(model, text)
    if found:
        return shown_found(model, found[0], text), False
    yield from _create(record, text)
    # Somebody else may have done the same at the same time.
    found = yield from _insist(state.connection.retry, lambda: resolve(model, text))
    oldest = min([*found, state.facts or {}], key=age)
    if needed(oldest, "creation_certificate", "uuid") == state.uuid:
        return record, True
    yield from _withdraw(record, text)
    return shown_found(model, oldest, text), False


def _key(record: Any) -> str:
    model = cast(Any, type(record))
    keys = [spec for spec in model.__fields__.values() if spec.key]
    if len(keys) != 1:
        raise TypeError(
            f"{model.__name__}.find_or_create() needs exactly one key to find the Twin by, found "
            f"{len(keys)}: declare it, as in serial: Field[str] = identity('SN', key=True)"
        )
    [key] = keys
    text: str | None = record._state.shown_identity(key.target)
    if text is None:
        raise TypeError(f"{model.__name__}.find_or_create() needs a value for {key.attribute}")
    return text


def _insist(policy: RetryPolicy, make: Callable[[], Flow[R]]) -> Flow[R]:
    """Do something that can be done again until it is answered, or the policy's time is over."""
    end = monotonic() + policy.deadline
    for attempt in count(1):
        try:
            return (yield from make())
        except _DOUBTFUL:
            if attempt == _ATTEMPTS or policy.attempts == 1 or monotonic() > end:
                raise
        yield from backoff(attempt, _PAUSE)
    raise AssertionError  # pragma: no cover - count() does not end


def _create(record: Any, text: str) -> Flow[None]:
    from uuid import uuid4

    state: TwinState = record._state
    # Whoever finds the Twin without its key can tell by the mark what is to be done about it.
    mark = f"{text} {uuid4().hex}"
    state.description.cell(MARK).assign(mark)
    try:
        attempts = iter(range(1, _ATTEMPTS))
        yield from _save(record, lambda error: _recover(state, mark, error, attempts))
    except TtormError:
        if state.uuid is not None and not state.identities.item(text).present:
            # Nobody would ever find it.
            with suppress(TtormError):
                yield from terminate(record)
        raise


def _save(record: Any, recover: Recovery) -> Flow[None]:
    try:
        yield from save(record, recover=recover)
    except _DOUBTFUL:
        if record._state.uuid is None:
            raise
        yield from _insist(record._state.connection.retry, lambda: _finish(record))


def _finish(record: Any) -> Flow[None]:
    """Save what is not saved yet, after reading what is in doubt."""
    state: TwinState = record._state
    doubtful = {"identities": state.identities, "ledger": state.ledger}
    parts = [part for part, items in doubtful.items() if items.is_modified()]
    yield from load(state, parts, fresh=True)
    yield from save(record)


def _recover(
    state: TwinState, mark: str, error: OutcomeUnknownError, attempts: Iterator[int]
) -> Flow[dict[str, Any] | None]:
    """Look for the Twin of a creation whose outcome is not known.

    Args:
        state: The Twin that was to be created.
        mark: The mark in its description.
        error: What became of the request.
        attempts: The numbers of the attempts that may be followed by another one.

    Returns:
        The Twin; None when it certainly was not created, so that it may be created again.

    Raises:
        OutcomeUnknownError: It is not there, but may come yet, or nobody could look.
    """
    for pause in _LOOKS:
        yield from sleep(pause)
        try:
            found = yield from _insist(state.connection.retry, lambda: _marked(state, mark))
        except TtormError as why:
            error.add_note(f"looking for it failed: {why}")
            # What is not known is the creation's outcome, whatever became of the look.
            raise error from error.__cause__
        if found is not None:
            return found
    attempt = None if state.connection.retry.attempts == 1 else next(attempts, None)
    if attempt is None or not _is_over(error):
        raise error
    yield from backoff(attempt, _PAUSE)
    return None


def _is_over(error: OutcomeUnknownError) -> bool:
    """Tell whether the service is done with a request, so that it cannot take effect any more."""
    cause = error.__cause__
    answered = isinstance(cause, ServerError) and cause.subcode is not None
    return answered and not isinstance(cause, ServerTimeoutError)


def _marked(state: TwinState, mark: str) -> Flow[dict[str, Any] | None]:
    rule = str(TWIN[MARK] == mark)
    cursor: str | None = None
    while True:
        query = {"cursor": cursor, "count": 1000, "match": rule, "details": True}
        answer = yield from perform(state.connection, api_request("scan_twins", query=query))
        for wire in needed_list(answer, "twins"):
            needed(wire, "creation_certificate", "uuid")
            if member(wire, "description").get(MARK) == mark:
                return dict(wire)
        cursor = answer.get("cursor")
        if cursor is None:
            return None


def _withdraw(record: Any, text: str) -> Flow[None]:
    """Take a Twin back that somebody else has created earlier."""
    state: TwinState = record._state
    policy = state.connection.retry
    with suppress(NotFoundError):
        yield from _insist(policy, lambda: remove_now(state, "identities", text))
    with suppress(AlreadyDoneError):
        yield from _insist(policy, lambda: terminate(record))
