"""The operation table against a second, independent writing of it."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from ttorm.api.operations import ACTIONS, OPERATIONS, Repeat, operation
from ttorm.api.request import api_request

# Name, method, path, whether a body is taken, and the status of success when it is not 200.
ROWS = """
get_account GET /account
update_account PATCH /account body
get_databases GET /account/services/databases
get_database GET /account/services/databases/{database}
update_database PATCH /account/services/databases/{database} body
get_database_access GET /account/services/databases/{database}/access
update_database_ip_access PATCH /account/services/databases/{database}/access/ips body
update_database_user_access PATCH /account/services/databases/{database}/access/users/{user} body
get_indexes_tables GET /account/services/indexes
create_indexes_table POST /account/services/indexes body 201
delete_indexes_table DELETE /account/services/indexes/{index}
get_indexes_table GET /account/services/indexes/{index}
update_indexes_table PATCH /account/services/indexes/{index} body
truncate_indexes_table DELETE /account/services/indexes/{index}/data
get_timeseries_tables GET /account/services/timeseries
create_timeseries_table POST /account/services/timeseries body
delete_timeseries_table DELETE /account/services/timeseries/{timeseries}
get_timeseries_table GET /account/services/timeseries/{timeseries}
update_timeseries_table PATCH /account/services/timeseries/{timeseries} body
truncate_timeseries_table DELETE /account/services/timeseries/{timeseries}/data
get_batches GET /batches
create_batch POST /batches body 201
delete_batch DELETE /batches/{batch}
get_batch GET /batches/{batch}
update_batch PATCH /batches/{batch} body
create_upload_url POST /cache 201
invalidate_upload_url DELETE /cache/{handler}
download_doc GET /download/{account}/{handler}
get_log GET /log
webhook_subscribe POST /notifications/webhooks body 201
get_notifications_access GET /notifications/webhooks/access
update_notifications_account_access PATCH /notifications/webhooks/access/accounts/{account} body
webhook_unsubscribe DELETE /notifications/webhooks/{account}
webhook_confirm_subscription GET /notifications/webhooks/{account}
webhook_refresh_subscription PATCH /notifications/webhooks/{account} body
resolve_twin_identity GET /resolve/{identity}
get_user_roles GET /roles
create_user_role POST /roles body 201
delete_user_role DELETE /roles/{role}
get_user_role GET /roles/{role}
update_user_role PATCH /roles/{role} body 201
create_user_secret POST /secrets/{account}/{pin} 201
list_stickers GET /stickers
create_user_token POST /token body 201
refresh_user_token POST /token/refresh body 201
trace POST /trace 201
scan_twins GET /twins
create_twin POST /twins body 201
terminate_twin DELETE /twins/{twin}
get_twin GET /twins/{twin}
update_twin PATCH /twins/{twin} body
delete_twin_docs DELETE /twins/{twin}/docs
get_twin_docs GET /twins/{twin}/docs
attach_twin_doc POST /twins/{twin}/docs body 201
delete_twin_doc DELETE /twins/{twin}/docs/{doc_name}
get_twin_doc GET /twins/{twin}/docs/{doc_name}
update_twin_doc PATCH /twins/{twin}/docs/{doc_name} body
get_twin_identities GET /twins/{twin}/identities
create_twin_identity POST /twins/{twin}/identities body 201
delete_twin_identity DELETE /twins/{twin}/identities/{identity}
get_twin_identity GET /twins/{twin}/identities/{identity}
update_twin_identity PATCH /twins/{twin}/identities/{identity} body 201
delete_twin_ledger_entry DELETE /twins/{twin}/ledgers/{ledger} body
get_twin_ledger_entry GET /twins/{twin}/ledgers/{ledger}
update_twin_ledger_entry PATCH /twins/{twin}/ledgers/{ledger} body
add_twin_ledger_entry POST /twins/{twin}/ledgers/{ledger} body 201
get_twin_ledger_entry_history GET /twins/{twin}/ledgers/{ledger}/history
get_twin_ledger_entry_value GET /twins/{twin}/ledgers/{ledger}/value
update_twin_ledger_entry_value PATCH /twins/{twin}/ledgers/{ledger}/value body
get_stickers GET /twins/{twin}/stickers
put_sticker POST /twins/{twin}/stickers body 201
remove_sticker DELETE /twins/{twin}/stickers/{color}
get_sticker GET /twins/{twin}/stickers/{color}
get_account_usage GET /usage
get_user_usage GET /usage/{user}
get_users GET /users
create_user POST /users body 201
delete_user DELETE /users/{user}
get_user GET /users/{user}
update_user PATCH /users/{user} body
delete_user_secret DELETE /users/{user}/secrets
get_user_secret GET /users/{user}/secrets
update_user_secret PATCH /users/{user}/secrets body 201
create_user_secret_pin POST /users/{user}/secrets body 201
who_am_i GET /whoami
"""

DEFAULTS = {"ledger": "personal", "database": "default"}

QUERY = {
    "delete_twin_docs": "view",
    "delete_twin_ledger_entry": "entries",
    "get_batch": "download",
    "get_batches": "cursor limit ge le status",
    "get_log": "fragment",
    "get_stickers": "context",
    "get_twin": "show_terminated",
    "get_twin_doc": "download validity_ts",
    "get_twin_docs": "mask view",
    "get_twin_identities": "show_expired show_valid show_foreign "
    "show_public show_private show_personal",
    "get_twin_ledger_entry": "show_references show_public show_private entries",
    "get_twin_ledger_entry_history": "le ge limit entries",
    "get_twin_ledger_entry_value": "entries",
    "list_stickers": "color context ge le limit offset",
    "remove_sticker": "context",
    "resolve_twin_identity": "context details",
    "scan_twins": "cursor count match details",
    "webhook_confirm_subscription": "token",
    "webhook_refresh_subscription": "token",
    "webhook_unsubscribe": "token",
}


class Row(NamedTuple):
    name: str
    method: str
    path: str
    query: set[str]
    body: bool
    success: int


def read(line: str) -> Row:
    name, method, path, *rest = line.split()
    query = set(QUERY.get(name, "").split())
    status = next((int(part) for part in rest if part.isdigit()), 200)
    return Row(name, method, path, query, "body" in rest, status)


EXPECTED = [read(line) for line in ROWS.strip().splitlines()]


def test_there_are_85_operations_and_each_stands_once():
    assert len(EXPECTED) == len(OPERATIONS) == 85
    assert {row.name for row in EXPECTED} == set(OPERATIONS)
    assert len({(row.method, row.path) for row in OPERATIONS.values()}) == 85


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row.name)
def test_row(row):
    found = OPERATIONS[row.name]
    assert found.name == row.name
    assert (found.method, found.path) == (row.method, row.path)
    assert set(found.query) == row.query
    assert found.body is row.body
    assert found.success == row.success
    assert all(p.default == DEFAULTS.get(p.name) for p in found.path_params)


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_rows_are_well_formed(row):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.name)
    assert row.method in {"GET", "POST", "PATCH", "DELETE"}
    assert re.fullmatch(r"(/([a-z]+|{[a-z_]+}))+", row.path)
    placeholders = re.findall(r"{([a-z_]+)}", row.path)
    assert [parameter.name for parameter in row.path_params] == placeholders
    assert len(set(row.query)) == len(row.query)
    assert not set(row.query) & set(placeholders)
    assert row.success in {200, 201}


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_only_reads_are_cached_and_reads_change_nothing(row):
    if row.cacheable:
        assert row.method == "GET"
        assert row.repeat is Repeat.SAFE
    if row.repeat is Repeat.SAFE:
        assert row.method == "GET"
        assert not row.body
    if row.method in {"PATCH", "DELETE"}:
        assert row.repeat in (Repeat.IDEMPOTENT, Repeat.GUARDED)


def test_what_is_never_cached():
    """Scans and history change all the time; secrets, tokens and addresses are credentials."""
    names = {
        "scan_twins",
        "get_twin_ledger_entry_history",
        "get_user_secret",
        "create_user_token",
        "download_doc",
        "get_log",
        "list_stickers",
    }
    assert not [name for name in names if OPERATIONS[name].cacheable]


@pytest.mark.parametrize(
    ("name", "repeat"),
    [
        ("create_twin", Repeat.UNSAFE),
        ("create_user", Repeat.UNSAFE),
        ("create_user_secret", Repeat.UNSAFE),
        ("create_batch", Repeat.UNSAFE),
        ("webhook_subscribe", Repeat.UNSAFE),
        ("get_log", Repeat.UNSAFE),
        ("create_twin_identity", Repeat.RECONCILABLE),
        ("add_twin_ledger_entry", Repeat.RECONCILABLE),
        ("attach_twin_doc", Repeat.RECONCILABLE),
        ("update_twin", Repeat.GUARDED),
        ("update_user", Repeat.IDEMPOTENT),
        ("terminate_twin", Repeat.IDEMPOTENT),
        ("get_twin", Repeat.SAFE),
    ],
)
def test_what_a_second_sending_does(name, repeat):
    assert OPERATIONS[name].repeat is repeat


def test_operations_without_credential():
    open_to_all = {row.name for row in OPERATIONS.values() if not row.credential}
    assert open_to_all == {
        "create_user_secret",
        "download_doc",
        "webhook_confirm_subscription",
        "webhook_refresh_subscription",
        "webhook_unsubscribe",
    }


def test_actions_of_role_statements():
    assert set(OPERATIONS) - {"create_user_secret"} == ACTIONS


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        OPERATIONS["get_twin"] = OPERATIONS["trace"]  # type: ignore[index]


def test_unknown_names_get_a_proposal():
    with pytest.raises(LookupError, match="did you mean 'get_twin'"):
        operation("get_twinn")
    with pytest.raises(LookupError, match="'frobnicate'"):
        operation("frobnicate")


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_each_operation_makes_a_request(row):
    arguments = [f"a/{index}#" for index in range(len(row.path_params))]
    query = dict.fromkeys(row.query, "x y")
    request = api_request(row.name, arguments, query, {"k": 1} if row.body else None)
    assert "{" not in request.path
    assert request.path.count("/") == row.path.count("/")
    assert request.target.count("=x%20y") == len(row.query)
