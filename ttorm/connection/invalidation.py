"""What a write of our own does to kept answers: refresh what its answer shows, drop the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttorm.api.answers import is_settled, items, member
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.absence import is_absence
from ttorm.connection.cache import Cache

__all__ = ["after_failure", "after_notification", "after_write"]

_Answer = Mapping[str, Any]
_LEDGER_READS = ("get_twin_ledger_entry", "get_twin_ledger_entry_value")
_TWIN_READS = ("get_twin",)
_READS_OF_CATEGORY = {
    category: tuple(
        row.name for row in OPERATIONS.values() if row.category == category and row.cacheable
    )
    for category in {row.category for row in OPERATIONS.values()}
}


def after_write(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    """Bring the cache up to date after a successful write."""
    if request.operation.method == "GET":
        return
    _EFFECTS.get(request.operation.name, _drop_category)(cache, scope, request, answer)


def after_failure(cache: Cache, scope: str, request: ApiRequest, status: int | None) -> None:
    """Drop what a failed request leaves in doubt.

    Args:
        cache: The cache.
        scope: The credential scope of the request.
        request: The request.
        status: Status of the answer; None when there was none.
    """
    if status == 401:
        cache.drop(scope=scope)
    elif request.arguments and (status == 403 or request.operation.method != "GET"):
        cache.drop(request.arguments[0])


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


def _drop_category(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    reads = _READS_OF_CATEGORY[request.operation.category]
    subject = request.arguments[0] if request.arguments else None
    cache.drop(subject, operations=reads)


def _twin_written(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    told = member(answer, "creation_certificate").get("uuid")
    uuid = request.arguments[0] if request.arguments else told
    if not isinstance(uuid, str):
        return
    cache.drop(uuid, operations=_TWIN_READS)
    if told == uuid:
        _keep(cache, scope, request, api_request("get_twin", [uuid]), answer)


def _entries_written(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    def merged(entries: dict[str, Any]) -> dict[str, Any]:
        return {**entries, **items(answer, "entries")}

    _refresh_ledger(cache, scope, request, answer, merged)


def _entries_deleted(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    def left(entries: dict[str, Any]) -> dict[str, Any]:
        gone = items(answer, "entries")
        return {name: entry for name, entry in entries.items() if name not in gone}

    _refresh_ledger(cache, scope, request, answer, left)


def _refresh_ledger(
    cache: Cache,
    scope: str,
    request: ApiRequest,
    answer: _Answer,
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    twin, ledger = request.arguments
    read = api_request("get_twin_ledger_entry", [twin, ledger], dictionary=request.dictionary)
    key = cache.key(scope, read)
    kept = cache.peek(key) if key is not None else None
    if kept is not None and is_absence(kept):
        kept = None
    # The same Ledger may be kept under another alias, in parts, and by other scopes.
    cache.drop(twin, operations=_LEDGER_READS)
    entries = items(answer, "entries")
    refused = len(entries) != len(member(answer, "entries"))
    if refused:
        # What is true now, the answer does not say.
        cache.drop(twin)
    elif key is not None and kept is not None and all(map(is_settled, entries.values())):
        cache.put(key, {**kept, **answer, "entries": change(member(kept, "entries"))})


def _identity_updated(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    _drop_category(cache, scope, request, answer)
    _keep(cache, scope, request, api_request("get_twin_identity", request.arguments), answer)


def _doc_updated(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    _drop_category(cache, scope, request, answer)
    _keep(cache, scope, request, api_request("get_twin_doc", request.arguments), answer)


def _database_written(cache: Cache, scope: str, request: ApiRequest, answer: _Answer) -> None:
    # The same database may be kept as "default" too, which may be another one now.
    cache.drop(operations=_READS_OF_CATEGORY[request.operation.category])


def _keep(cache: Cache, scope: str, request: ApiRequest, read: ApiRequest, answer: _Answer) -> None:
    key = cache.key(scope, read._replace(dictionary=request.dictionary))
    if key is not None:
        cache.put(key, answer)


_READS_OF_TRIGGER = {
    "ledger.entry": _LEDGER_READS,
    "sticker": _READS_OF_CATEGORY["stickers"],
}
_EFFECTS: dict[str, Callable[[Cache, str, ApiRequest, _Answer], None]] = {
    "create_twin": _twin_written,
    "update_twin": _twin_written,
    "terminate_twin": _twin_written,
    "add_twin_ledger_entry": _entries_written,
    "update_twin_ledger_entry": _entries_written,
    "update_twin_ledger_entry_value": _entries_written,
    "delete_twin_ledger_entry": _entries_deleted,
    "update_twin_identity": _identity_updated,
    "update_twin_doc": _doc_updated,
    "update_database": _database_written,
    "update_database_user_access": _database_written,
    "update_database_ip_access": _database_written,
}
