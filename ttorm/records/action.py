"""Actions: what the statement of a role allows or denies, one for each operation of the API."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Literal, TypeAlias

from ttorm.api.operations import OPERATIONS, Operation, Repeat

__all__ = ["Action", "Area"]

Area: TypeAlias = Literal[
    "account",
    "users",
    "user_secrets",
    "user_token",
    "roles",
    "whoami",
    "usage",
    "log",
    "trace",
    "twins",
    "identities",
    "ledgers",
    "history",
    "docs",
    "cache",
    "stickers",
    "batches",
    "databases",
    "timeseries",
    "indexes",
    "notifications",
]
"""Parts of the platform."""


class Action(StrEnum):
    """An operation that a role may allow or deny; as text its name.

    Example:
        >>> Action.get_twin
        <Action.get_twin: 'get_twin'>
        >>> Action.get_twin in Action.reading("twins")
        True
    """

    get_account = "get_account"
    update_account = "update_account"

    create_user = "create_user"
    get_users = "get_users"
    get_user = "get_user"
    update_user = "update_user"
    delete_user = "delete_user"

    create_user_secret_pin = "create_user_secret_pin"
    get_user_secret = "get_user_secret"
    update_user_secret = "update_user_secret"
    delete_user_secret = "delete_user_secret"

    create_user_token = "create_user_token"
    refresh_user_token = "refresh_user_token"

    create_user_role = "create_user_role"
    get_user_roles = "get_user_roles"
    get_user_role = "get_user_role"
    update_user_role = "update_user_role"
    delete_user_role = "delete_user_role"

    who_am_i = "who_am_i"

    get_account_usage = "get_account_usage"
    get_user_usage = "get_user_usage"

    get_log = "get_log"

    trace = "trace"

    create_twin = "create_twin"
    scan_twins = "scan_twins"
    get_twin = "get_twin"
    update_twin = "update_twin"
    terminate_twin = "terminate_twin"

    create_twin_identity = "create_twin_identity"
    get_twin_identities = "get_twin_identities"
    get_twin_identity = "get_twin_identity"
    update_twin_identity = "update_twin_identity"
    delete_twin_identity = "delete_twin_identity"
    resolve_twin_identity = "resolve_twin_identity"

    add_twin_ledger_entry = "add_twin_ledger_entry"
    get_twin_ledger_entry = "get_twin_ledger_entry"
    update_twin_ledger_entry = "update_twin_ledger_entry"
    delete_twin_ledger_entry = "delete_twin_ledger_entry"
    get_twin_ledger_entry_value = "get_twin_ledger_entry_value"
    update_twin_ledger_entry_value = "update_twin_ledger_entry_value"

    get_twin_ledger_entry_history = "get_twin_ledger_entry_history"

    attach_twin_doc = "attach_twin_doc"
    get_twin_docs = "get_twin_docs"
    delete_twin_docs = "delete_twin_docs"
    get_twin_doc = "get_twin_doc"
    update_twin_doc = "update_twin_doc"
    delete_twin_doc = "delete_twin_doc"
    download_doc = "download_doc"

    create_upload_url = "create_upload_url"
    invalidate_upload_url = "invalidate_upload_url"

    put_sticker = "put_sticker"
    get_stickers = "get_stickers"
    get_sticker = "get_sticker"
    remove_sticker = "remove_sticker"
    list_stickers = "list_stickers"

    create_batch = "create_batch"
    get_batches = "get_batches"
    get_batch = "get_batch"
    update_batch = "update_batch"
    delete_batch = "delete_batch"

    get_databases = "get_databases"
    get_database = "get_database"
    update_database = "update_database"
    get_database_access = "get_database_access"
    update_database_user_access = "update_database_user_access"
    update_database_ip_access = "update_database_ip_access"

    create_timeseries_table = "create_timeseries_table"
    get_timeseries_tables = "get_timeseries_tables"
    get_timeseries_table = "get_timeseries_table"
    update_timeseries_table = "update_timeseries_table"
    truncate_timeseries_table = "truncate_timeseries_table"
    delete_timeseries_table = "delete_timeseries_table"

    create_indexes_table = "create_indexes_table"
    get_indexes_tables = "get_indexes_tables"
    get_indexes_table = "get_indexes_table"
    update_indexes_table = "update_indexes_table"
    truncate_indexes_table = "truncate_indexes_table"
    delete_indexes_table = "delete_indexes_table"

    get_notifications_access = "get_notifications_access"
    update_notifications_account_access = "update_notifications_account_access"
    webhook_subscribe = "webhook_subscribe"
    webhook_confirm_subscription = "webhook_confirm_subscription"
    webhook_refresh_subscription = "webhook_refresh_subscription"
    webhook_unsubscribe = "webhook_unsubscribe"

    @classmethod
    def on(cls, *areas: Area) -> frozenset[Action]:
        """Give all actions on some parts of the platform.

        Args:
            *areas: Parts such as ``"twins"`` and ``"ledgers"``; none stands for all.

        Raises:
            LookupError: There is no such part.

        Example:
            >>> sorted(Action.on("account"))
            [<Action.get_account: 'get_account'>, <Action.update_account: 'update_account'>]
        """
        return cls._chosen(areas, lambda _: True)

    @classmethod
    def reading(cls, *areas: Area) -> frozenset[Action]:
        """Give the actions that change nothing.

        Args:
            *areas: Parts such as ``"twins"`` and ``"ledgers"``; none stands for all.

        Raises:
            LookupError: There is no such part.
        """
        return cls._chosen(areas, lambda row: row.repeat is Repeat.SAFE)

    @classmethod
    def writing(cls, *areas: Area) -> frozenset[Action]:
        """Give the actions that change something.

        Args:
            *areas: Parts such as ``"twins"`` and ``"ledgers"``; none stands for all.

        Raises:
            LookupError: There is no such part.
        """
        return cls._chosen(areas, lambda row: row.repeat is not Repeat.SAFE)

    @classmethod
    def _chosen(
        cls, areas: tuple[Area, ...], fits: Callable[[Operation], bool]
    ) -> frozenset[Action]:
        rows = {action: OPERATIONS[action] for action in cls}
        known = {row.category for row in rows.values()}
        for area in areas:
            if area not in known:
                raise LookupError(
                    f"the platform has no part {area!r}: expected one of {', '.join(sorted(known))}"
                )
        return frozenset(
            action
            for action, row in rows.items()
            if (not areas or row.category in areas) and fits(row)
        )
