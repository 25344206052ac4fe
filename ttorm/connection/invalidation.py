"""What a write of our own does to kept answers: refresh what its answer shows, drop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ttorm.api.answers import is_settled, items, member
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.absence import is_absence
from ttorm.connection.cache import Cache, CacheKey, Writing

__all__ = ["after_failure", "after_notification", "after_write", "before_write"]

_Answer = Mapping[str, Any]
_LEDGER_READS = ("get_twin_ledger_entry", "get_twin_ledger_entry_value")
_TWIN_READS = ("get_twin",)
_READS_OF_CATEGORY = {
    category: tuple(
        row.name for row in OPERATIONS.values() if row.category == category and row.cacheable
    )
    for category in {row.category for row in OPERATIONS.values()}
}


def before_write(cache: Cache, request: ApiRequest) -> Writing | None:
    """Note that a write is about to be sent; `after_write` or `after_failure` end it."""
    if request.operation.method == "GET":
        return None
    subject = request.arguments[0] if request.arguments else None
    return cache.begin(subject, _READS_OF_CATEGORY[request.operation.category])


def after_write(
    cache: Cache, scope: str, request: ApiRequest, answer: _Answer, writing: Writing | None
) -> None:
    """Bring the cache up to date after a successful write."""
    if writing is None:
        return
    effect = _EFFECTS.get(request.operation.name, _drop_touched)
    effect(_Write(cache, scope, request, answer, writing))
    cache.end(writing)


def after_failure(
    cache: Cache, scope: str, request: ApiRequest, status: int | None, writing: Writing | None
) -> None:
    """Drop what a failed request leaves in doubt.

    Args:
        cache: The cache.
        scope: The credential scope of the request.
        request: The request.
        status: Status of the answer; None when there was none.
        writing: What `before_write` has noted.
    """
    if writing is not None:
        cache.end(writing)
    subject = request.arguments[0] if request.arguments else None
    if status == 401:
        cache.drop(scope=scope)
    elif subject is not None and (status == 403 or writing is not None):
        cache.drop(subject)
    if writing is not None and (status is None or status >= 500):
        # It may have happened, and be seen beyond its subject.
        touched, operations = _touched(request)
        if touched is None:
            cache.drop(operations=operations)


def after_notification(cache: Cache, twin: str, trigger: str) -> None:
    """Drop what a change made elsewhere has made stale.

    Args:
        cache: The cache.
        twin: UUID of the Twin that it happened to.
        trigger: What happened, such as ``ledger.entry.updated``; all that is kept of the Twin goes
            when that is unknown.
    """
    # Whose Ledger it was, a message does not say.
    cache.drop(twin, operations=_READS_OF_TRIGGER.get(trigger.rpartition(".")[0]))


class _Write(NamedTuple):
    """A write that has succeeded, and what it does to the cache."""

    cache: Cache
    scope: str
    request: ApiRequest
    answer: _Answer
    writing: Writing

    def key(self, operation: str, arguments: Sequence[str]) -> CacheKey | None:
        read = api_request(operation, arguments, dictionary=self.request.dictionary)
        return self.cache.key(self.scope, read)

    def drop(self, subject: str | None = None, operations: Iterable[str] | None = None) -> None:
        self.cache.drop(subject, operations=operations, by=self.writing)

    def keep(self, operation: str, arguments: Sequence[str]) -> None:
        """Keep its answer as that of a read."""
        key = self.key(operation, arguments)
        if key is not None:
            self.cache.put(key, self.answer, by=self.writing)


def _touched(request: ApiRequest) -> tuple[str | None, Iterable[str] | None]:
    """Name the subject of a write and the reads that show it; None means all of them."""
    operation, arguments = request.operation, request.arguments
    if operation.name in _ACCESS_WRITES:
        # Who may see what now, of anything, only the service knows.
        return None, None
    # A database may be kept as "default" too, which may be another one after a write.
    alone = arguments and operation.category != "databases"
    return arguments[0] if alone else None, _READS_OF_CATEGORY[operation.category]


def _drop_touched(write: _Write) -> None:
    write.drop(*_touched(write.request))


def _twin_written(write: _Write) -> None:
    told = member(write.answer, "creation_certificate").get("uuid")
    arguments = write.request.arguments
    uuid = arguments[0] if arguments else told
    if not isinstance(uuid, str):
        return
    write.drop(uuid, _TWIN_READS)
    if told == uuid:
        write.keep("get_twin", [uuid])


def _entries_written(write: _Write) -> None:
    def merged(entries: dict[str, Any]) -> dict[str, Any]:
        return {**entries, **items(write.answer, "entries")}

    _refresh_ledger(write, merged)


def _entries_deleted(write: _Write) -> None:
    def left(entries: dict[str, Any]) -> dict[str, Any]:
        gone = items(write.answer, "entries")
        return {name: entry for name, entry in entries.items() if name not in gone}

    _refresh_ledger(write, left)


def _refresh_ledger(write: _Write, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    cache, answer = write.cache, write.answer
    twin, ledger = write.request.arguments
    key = write.key("get_twin_ledger_entry", [twin, ledger])
    kept = cache.peek(key) if key is not None else None
    if kept is not None and is_absence(kept):
        kept = None
    # What was not written gets no younger by what was.
    left = cache.left(key) if key is not None and kept is not None else 0.0
    # The same Ledger may be kept under another alias, in parts, and by other scopes.
    write.drop(twin, _LEDGER_READS)
    entries = items(answer, "entries")
    refused = len(entries) != len(member(answer, "entries"))
    if refused:
        # What is true now, the answer does not say.
        write.drop(twin)
    elif key is not None and kept is not None and all(map(is_settled, entries.values())):
        now = {**kept, **answer, "entries": change(member(kept, "entries"))}
        cache.put(key, now, left, by=write.writing)


def _identity_updated(write: _Write) -> None:
    _drop_touched(write)
    write.keep("get_twin_identity", write.request.arguments)


def _doc_updated(write: _Write) -> None:
    _drop_touched(write)
    write.keep("get_twin_doc", write.request.arguments)


_ACCESS_WRITES = frozenset(
    {
        "update_user",
        "delete_user",
        "create_user_secret",
        "update_user_secret",
        "delete_user_secret",
        "update_user_role",
        "delete_user_role",
    }
)
_READS_OF_TRIGGER = {
    "ledger.entry": _LEDGER_READS,
    "sticker": _READS_OF_CATEGORY["stickers"],
}
_EFFECTS: dict[str, Callable[[_Write], None]] = {
    "create_twin": _twin_written,
    "update_twin": _twin_written,
    "terminate_twin": _twin_written,
    "add_twin_ledger_entry": _entries_written,
    "update_twin_ledger_entry": _entries_written,
    "update_twin_ledger_entry_value": _entries_written,
    "delete_twin_ledger_entry": _entries_deleted,
    "update_twin_identity": _identity_updated,
    "update_twin_doc": _doc_updated,
}
