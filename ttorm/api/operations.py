"""The table of the platform's operations: the single place where an endpoint is written down.

The client builds its requests from it, the emulator routes by it, the cache and the retry rules
read their columns from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["ACTIONS", "OPERATIONS", "Operation", "PathParameter", "Repeat", "operation"]


class Repeat(Enum):
    """What a second sending of the same request does."""

    SAFE = "safe"
    """Reads only."""
    IDEMPOTENT = "idempotent"
    """Ends in the same state."""
    GUARDED = "guarded"
    """Ends in the same state unless somebody else writes in between; read before it is repeated."""
    RECONCILABLE = "reconcilable"
    """Creates something named by the caller: reading it back tells whether it happened."""
    UNSAFE = "unsafe"
    """Each sending makes one more object or loses something."""

    @property
    def is_harmless(self) -> bool:
        """Whether it may be sent again whatever the first sending has done."""
        return self in (Repeat.SAFE, Repeat.IDEMPOTENT)


class PathParameter(NamedTuple):
    """A placeholder of a path template."""

    name: str
    default: str | None = None


class Operation(NamedTuple):
    """One row of the table.

    Attributes:
        name: The operation's name, which is also the permission's name in a role statement.
        method: HTTP method.
        path: Path template; each ``{placeholder}`` is one percent-encoded segment.
        path_params: The placeholders in order, with their defaults.
        query: Names of the query parameters.
        body: Whether a JSON body may be sent.
        success: HTTP status of success. Clients accept every 2xx.
        category: Area of the API.
        cacheable: Whether an answer may be kept for a while by its reader.
        repeat: What sending it twice does.
        credential: Whether an ``Authorization`` header is needed.
    """

    name: str
    method: str
    path: str
    path_params: tuple[PathParameter, ...]
    query: tuple[str, ...]
    body: bool
    success: int
    category: str
    cacheable: bool
    repeat: Repeat
    credential: bool


_PATH_DEFAULTS = {"ledger": "personal", "database": "default"}
_SAFE, _IDEMPOTENT, _GUARDED = Repeat.SAFE, Repeat.IDEMPOTENT, Repeat.GUARDED
_RECONCILABLE, _UNSAFE = Repeat.RECONCILABLE, Repeat.UNSAFE


def _row(
    name: str,
    endpoint: str,
    repeat: Repeat,
    *query: str,
    success: int = 200,
    body: bool = False,
    cacheable: bool = False,
    credential: bool = True,
) -> tuple[str, str, Repeat, tuple[str, ...], int, bool, bool, bool]:
    return name, endpoint, repeat, query, success, body, cacheable, credential


_TABLE = {
    "account": [
        _row("get_account", "GET /account", _SAFE, cacheable=True),
        _row("update_account", "PATCH /account", _IDEMPOTENT, body=True),
    ],
    "users": [
        _row("create_user", "POST /users", _UNSAFE, body=True, success=201),
        _row("get_users", "GET /users", _SAFE),
        _row("get_user", "GET /users/{user}", _SAFE, cacheable=True),
        _row("update_user", "PATCH /users/{user}", _IDEMPOTENT, body=True),
        _row("delete_user", "DELETE /users/{user}", _IDEMPOTENT),
    ],
    "user_secrets": [
        # A second PIN replaces the first, so repeating a lost answer costs nothing.
        _row(
            "create_user_secret_pin",
            "POST /users/{user}/secrets",
            _IDEMPOTENT,
            body=True,
            success=201,
        ),
        _row("get_user_secret", "GET /users/{user}/secrets", _SAFE),
        _row(
            "update_user_secret", "PATCH /users/{user}/secrets", _IDEMPOTENT, body=True, success=201
        ),
        _row("delete_user_secret", "DELETE /users/{user}/secrets", _IDEMPOTENT),
        _row(
            "create_user_secret",
            "POST /secrets/{account}/{pin}",
            _UNSAFE,
            success=201,
            credential=False,
        ),
    ],
    "user_token": [
        # A token whose answer was lost is unused and expires by itself.
        _row("create_user_token", "POST /token", _IDEMPOTENT, body=True, success=201),
        _row("refresh_user_token", "POST /token/refresh", _IDEMPOTENT, body=True, success=201),
    ],
    "roles": [
        _row("create_user_role", "POST /roles", _UNSAFE, body=True, success=201),
        _row("get_user_roles", "GET /roles", _SAFE),
        _row("get_user_role", "GET /roles/{role}", _SAFE, cacheable=True),
        _row("update_user_role", "PATCH /roles/{role}", _IDEMPOTENT, body=True, success=201),
        _row("delete_user_role", "DELETE /roles/{role}", _IDEMPOTENT),
    ],
    "whoami": [_row("who_am_i", "GET /whoami", _SAFE, cacheable=True)],
    "usage": [
        _row("get_account_usage", "GET /usage", _SAFE),
        _row("get_user_usage", "GET /usage/{user}", _SAFE),
    ],
    # Reading the log moves it on: what a lost answer held is not given again.
    "log": [_row("get_log", "GET /log", _UNSAFE, "fragment")],
    "trace": [_row("trace", "POST /trace", _IDEMPOTENT, success=201)],
    "twins": [
        _row("create_twin", "POST /twins", _UNSAFE, body=True, success=201),
        _row("scan_twins", "GET /twins", _SAFE, "cursor", "count", "match", "details"),
        _row("get_twin", "GET /twins/{twin}", _SAFE, "show_terminated", cacheable=True),
        _row("update_twin", "PATCH /twins/{twin}", _GUARDED, body=True),
        _row("terminate_twin", "DELETE /twins/{twin}", _IDEMPOTENT),
    ],
    "identities": [
        _row(
            "create_twin_identity",
            "POST /twins/{twin}/identities",
            _RECONCILABLE,
            body=True,
            success=201,
        ),
        _row(
            "get_twin_identities",
            "GET /twins/{twin}/identities",
            _SAFE,
            "show_personal",
            "show_foreign",
            "show_valid",
            "show_expired",
            "show_public",
            "show_private",
            cacheable=True,
        ),
        _row("get_twin_identity", "GET /twins/{twin}/identities/{identity}", _SAFE, cacheable=True),
        _row(
            "update_twin_identity",
            "PATCH /twins/{twin}/identities/{identity}",
            _IDEMPOTENT,
            body=True,
            success=201,
        ),
        _row("delete_twin_identity", "DELETE /twins/{twin}/identities/{identity}", _IDEMPOTENT),
        _row(
            "resolve_twin_identity",
            "GET /resolve/{identity}",
            _SAFE,
            "context",
            "details",
        ),
    ],
    "ledgers": [
        _row(
            "add_twin_ledger_entry",
            "POST /twins/{twin}/ledgers/{ledger}",
            _RECONCILABLE,
            body=True,
            success=201,
        ),
        _row(
            "get_twin_ledger_entry",
            "GET /twins/{twin}/ledgers/{ledger}",
            _SAFE,
            "entries",
            "show_references",
            "show_public",
            "show_private",
            cacheable=True,
        ),
        _row(
            "update_twin_ledger_entry",
            "PATCH /twins/{twin}/ledgers/{ledger}",
            _GUARDED,
            body=True,
        ),
        _row(
            "delete_twin_ledger_entry",
            "DELETE /twins/{twin}/ledgers/{ledger}",
            _GUARDED,
            "entries",
            body=True,
        ),
        _row(
            "get_twin_ledger_entry_value",
            "GET /twins/{twin}/ledgers/{ledger}/value",
            _SAFE,
            "entries",
            cacheable=True,
        ),
        _row(
            "update_twin_ledger_entry_value",
            "PATCH /twins/{twin}/ledgers/{ledger}/value",
            _GUARDED,
            body=True,
        ),
    ],
    "history": [
        _row(
            "get_twin_ledger_entry_history",
            "GET /twins/{twin}/ledgers/{ledger}/history",
            _SAFE,
            "ge",
            "le",
            "limit",
            "entries",
        ),
    ],
    "docs": [
        _row("attach_twin_doc", "POST /twins/{twin}/docs", _RECONCILABLE, body=True, success=201),
        _row("get_twin_docs", "GET /twins/{twin}/docs", _SAFE, "view", "mask", cacheable=True),
        _row("delete_twin_docs", "DELETE /twins/{twin}/docs", _IDEMPOTENT, "view"),
        _row(
            "get_twin_doc",
            "GET /twins/{twin}/docs/{doc_name}",
            _SAFE,
            "download",
            "validity_ts",
            cacheable=True,
        ),
        _row("update_twin_doc", "PATCH /twins/{twin}/docs/{doc_name}", _IDEMPOTENT, body=True),
        _row("delete_twin_doc", "DELETE /twins/{twin}/docs/{doc_name}", _IDEMPOTENT),
        _row("download_doc", "GET /download/{account}/{handler}", _SAFE, credential=False),
    ],
    "cache": [
        # An upload address whose answer was lost is unused and expires by itself.
        _row("create_upload_url", "POST /cache", _IDEMPOTENT, success=201),
        _row("invalidate_upload_url", "DELETE /cache/{handler}", _IDEMPOTENT),
    ],
    "stickers": [
        _row("put_sticker", "POST /twins/{twin}/stickers", _RECONCILABLE, body=True, success=201),
        _row("get_stickers", "GET /twins/{twin}/stickers", _SAFE, "context"),
        _row("get_sticker", "GET /twins/{twin}/stickers/{color}", _SAFE),
        # One remover wins: who finds it gone does not know whether that was its own doing.
        _row("remove_sticker", "DELETE /twins/{twin}/stickers/{color}", _GUARDED, "context"),
        _row(
            "list_stickers",
            "GET /stickers",
            _SAFE,
            "color",
            "context",
            "ge",
            "le",
            "limit",
            "offset",
        ),
    ],
    "batches": [
        _row("create_batch", "POST /batches", _UNSAFE, body=True, success=201),
        _row("get_batches", "GET /batches", _SAFE, "cursor", "limit", "ge", "le", "status"),
        _row("get_batch", "GET /batches/{batch}", _SAFE, "download"),
        _row("update_batch", "PATCH /batches/{batch}", _IDEMPOTENT, body=True),
        _row("delete_batch", "DELETE /batches/{batch}", _IDEMPOTENT),
    ],
    "databases": [
        _row("get_databases", "GET /account/services/databases", _SAFE),
        _row("get_database", "GET /account/services/databases/{database}", _SAFE, cacheable=True),
        _row(
            "update_database",
            "PATCH /account/services/databases/{database}",
            _IDEMPOTENT,
            body=True,
        ),
        _row(
            "get_database_access",
            "GET /account/services/databases/{database}/access",
            _SAFE,
            cacheable=True,
        ),
        _row(
            "update_database_user_access",
            "PATCH /account/services/databases/{database}/access/users/{user}",
            _IDEMPOTENT,
            body=True,
        ),
        _row(
            "update_database_ip_access",
            "PATCH /account/services/databases/{database}/access/ips",
            _IDEMPOTENT,
            body=True,
        ),
    ],
    "timeseries": [
        _row(
            "create_timeseries_table",
            "POST /account/services/timeseries",
            _RECONCILABLE,
            body=True,
        ),
        _row("get_timeseries_tables", "GET /account/services/timeseries", _SAFE),
        _row(
            "get_timeseries_table",
            "GET /account/services/timeseries/{timeseries}",
            _SAFE,
            cacheable=True,
        ),
        _row(
            "update_timeseries_table",
            "PATCH /account/services/timeseries/{timeseries}",
            _IDEMPOTENT,
            body=True,
        ),
        _row(
            "truncate_timeseries_table",
            "DELETE /account/services/timeseries/{timeseries}/data",
            _IDEMPOTENT,
        ),
        _row(
            "delete_timeseries_table",
            "DELETE /account/services/timeseries/{timeseries}",
            _IDEMPOTENT,
        ),
    ],
    "indexes": [
        _row(
            "create_indexes_table",
            "POST /account/services/indexes",
            _RECONCILABLE,
            body=True,
            success=201,
        ),
        _row("get_indexes_tables", "GET /account/services/indexes", _SAFE),
        _row("get_indexes_table", "GET /account/services/indexes/{index}", _SAFE, cacheable=True),
        _row(
            "update_indexes_table",
            "PATCH /account/services/indexes/{index}",
            _IDEMPOTENT,
            body=True,
        ),
        _row(
            "truncate_indexes_table", "DELETE /account/services/indexes/{index}/data", _IDEMPOTENT
        ),
        _row("delete_indexes_table", "DELETE /account/services/indexes/{index}", _IDEMPOTENT),
    ],
    "notifications": [
        _row("get_notifications_access", "GET /notifications/webhooks/access", _SAFE),
        _row(
            "update_notifications_account_access",
            "PATCH /notifications/webhooks/access/accounts/{account}",
            _IDEMPOTENT,
            body=True,
        ),
        _row("webhook_subscribe", "POST /notifications/webhooks", _UNSAFE, body=True, success=201),
        _row(
            "webhook_confirm_subscription",
            "GET /notifications/webhooks/{account}",
            _IDEMPOTENT,
            "token",
            credential=False,
        ),
        _row(
            "webhook_refresh_subscription",
            "PATCH /notifications/webhooks/{account}",
            _IDEMPOTENT,
            "token",
            body=True,
            credential=False,
        ),
        _row(
            "webhook_unsubscribe",
            "DELETE /notifications/webhooks/{account}",
            _IDEMPOTENT,
            "token",
            credential=False,
        ),
    ],
}


def _parameters(path: str) -> tuple[PathParameter, ...]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    # A PATCH of one user's database access names the user last: only its database has a default.
    return tuple(PathParameter(name, _PATH_DEFAULTS.get(name)) for name in names)


def _build() -> dict[str, Operation]:
    table: dict[str, Operation] = {}
    for category, rows in _TABLE.items():
        for name, endpoint, repeat, query, success, body, cacheable, credential in rows:
            method, path = endpoint.split(" ")
            table[name] = Operation(
                name,
                method,
                path,
                _parameters(path),
                query,
                body,
                success,
                category,
                cacheable,
                repeat,
                credential,
            )
    return table


OPERATIONS: Mapping[str, Operation] = MappingProxyType(_build())
"""All operations by name."""

ACTIONS: frozenset[str] = frozenset(OPERATIONS) - {"create_user_secret"}
"""Names that a role statement may list. Exchanging a PIN for a secret is open to everybody."""


def operation(name: str) -> Operation:
    """Return the row of one operation.

    Args:
        name: For example ``"get_twin"``.

    Raises:
        LookupError: No operation has that name; the message proposes the nearest ones.

    Example:
        >>> operation("get_twin").path
        '/twins/{twin}'
    """
    try:
        return OPERATIONS[name]
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, OPERATIONS, n=3)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else "see ttorm.api.operations"
        )
        raise LookupError(f"the API has no operation {name!r}: {hint}") from None
