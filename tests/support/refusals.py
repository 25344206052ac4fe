"""What single operations refuse: the operation, the subcode, and how it comes to that.

A case is called with `ask`, which calls the operation, and `w`, what there is to begin with.
"""

from __future__ import annotations

import json

from ttorm.api.operations import OPERATIONS

__all__ = ["BY_TOKEN", "CASES", "INDEX", "NOBODY", "table"]

NOBODY = "00000000-0000-4000-8000-000000000000"
BY_TOKEN = {name for name in OPERATIONS if name.startswith("webhook_")} - {"webhook_subscribe"}
"""Operations on a subscription that its token names."""


def by_token(ask, w, *args, options=(), **more):
    """Ask with a token instead of as a user."""
    token = w.api("create_user_token", body={"options": [*options]})[1]["token"]
    name = ask.args[0]
    row = OPERATIONS[name]
    answer = w.send(row.method, row.path, b"", None, {"authorization": token})
    return answer.status, json.loads(answer.body)


def done(w):
    batch = w.new_batch("who_am_i", {})
    w.emulator.run_batches()
    return batch["batch"]


def cancelled(w):
    batch = w.new_batch("who_am_i", {})["batch"]
    assert w.api("update_batch", batch, body={"status": "cancel"})[0] == 200
    return batch


def table(**more):
    column = {"names": ["city"], "types": ["varchar"]}
    return {"dimensions": column, "measurements": {"names": ["t"], "types": ["real"]}, **more}


def series(w, **more):
    body = {"timeseries": {"weather": table(**more)}}
    assert w.api("create_timeseries_table", body=body)[0] == 200
    return "weather"


INDEX = {
    "rule": "LEDGER.serial > 3",
    "properties": {"names": ["serial"], "types": ["int"]},
    "templates": {"properties": {"serial": "{LEDGER.serial}"}},
}


def index(w):
    assert w.api("create_indexes_table", body={"indexes": {"serials": INDEX}})[0] == 201
    return "serials"


def terminated(w):
    assert w.api("terminate_twin", w.twin)[0] == 200
    return w.twin


def entry(**fields):
    return {"entries": {"a": {"value": 1, **fields}}}


def sticker(**fields):
    return {"stickers": {"red-flag": {"recipients": [NOBODY], **fields}}}


BIG = {"entries": {"a": {"value": "x" * 60_000}, "b": {"value": 1}}}


def full(w):
    assert w.api("add_twin_ledger_entry", w.twin, body=BIG)[0] == 201
    return w.twin


def hook(**fields):
    return {"callback_url": "http://127.0.0.1:9/x", "topic": "green", **fields}


CASES = [
    # Accounts, users, roles
    (
        "update_account",
        404653,
        lambda ask, w: ask(body={"resource_access_log": {"true": {"t": {}}}}),
    ),
    ("update_account", 400589, lambda ask, w: ask(body={"resource_access_log": {"a =": {}}})),
    ("create_user", 400589, lambda ask, w: ask(body={"name": "first"})),
    ("create_user", 404653, lambda ask, w: ask(body={"role": NOBODY})),
    ("create_user", 400589, lambda ask, w: ask(body={"role": w.role, "name": "x"})),
    ("create_user", 400589, lambda ask, w: ask(body={"role": w.role, "description": {"A": 1}})),
    ("update_user", 404653, lambda ask, w: ask(w.other, body={"role": NOBODY})),
    ("get_user", 404653, lambda ask, w: ask(w.stranger)),
    ("delete_user", 400897, lambda ask, w: ask(w.user)),
    ("create_user_role", 403535, lambda ask, w: ask(user=w.limited, body={})),
    ("create_user_role", 400589, lambda ask, w: ask(body={"rules": {"twin_rule": "a ="}})),
    ("create_user_role", 400589, lambda ask, w: ask(body={"statement": {"effect": "allow"}})),
    ("update_user_role", 400589, lambda ask, w: ask(w.role, body={"rules": {"twin_rule": True}})),
    ("delete_user_role", 400897, lambda ask, w: ask(w.role)),
    # Secrets, tokens, log
    ("create_user_secret_pin", 400589, lambda ask, w: ask(w.other, body={"validity_ts": "soon"})),
    ("create_user_secret", 404653, lambda ask, w: ask(w.account, "AAAAAA")),
    ("get_user_secret", 404653, lambda ask, w: ask(w.other)),
    ("update_user_secret", 404653, lambda ask, w: ask(w.other)),
    ("delete_user_secret", 404653, lambda ask, w: ask(w.other)),
    ("create_user_token", 400589, lambda ask, w: ask(body={"options": ["all"]})),
    ("create_user_token", 403535, by_token),
    ("refresh_user_token", 403535, by_token),
    ("refresh_user_token", 400897, lambda ask, w: ask()),
    ("get_log", 404653, lambda ask, w: ask(fragment=NOBODY)),
    # Twins and Identities
    ("create_twin", 400589, lambda ask, w: ask(body={"description": {"Kind": 1}})),
    ("get_twin", 404653, lambda ask, w: ask(terminated(w), show_terminated=False)),
    ("get_twin", 400589, lambda ask, w: ask(w.twin, show_terminated="perhaps")),
    ("update_twin", 400897, lambda ask, w: ask(terminated(w), body={"description": {}})),
    ("update_twin", 403535, lambda ask, w: ask(w.twin, user=w.stranger, body={})),
    ("terminate_twin", 400358, lambda ask, w: ask(terminated(w))),
    ("terminate_twin", 403535, lambda ask, w: ask(w.twin, user=w.stranger)),
    ("scan_twins", 400589, lambda ask, w: ask(match="LEDGER.a =")),
    ("scan_twins", 400589, lambda ask, w: ask(count=1_001)),
    ("scan_twins", 400589, lambda ask, w: ask(count=0)),
    ("scan_twins", 400589, lambda ask, w: ask(cursor="none")),
    ("create_twin_identity", 400589, lambda ask, w: ask(w.twin, body={"identities": {"x": {}}})),
    ("create_twin_identity", 400589, lambda ask, w: ask(w.twin, body={"identities": {}})),
    ("get_twin_identity", 404653, lambda ask, w: ask(w.twin, "RFID#1")),
    ("update_twin_identity", 404653, lambda ask, w: ask(w.twin, "RFID#1", body={})),
    ("delete_twin_identity", 404653, lambda ask, w: ask(w.twin, "RFID#1")),
    ("get_twin_identities", 400589, lambda ask, w: ask(w.twin, show_foreign="some")),
    ("resolve_twin_identity", 400589, lambda ask, w: ask("RFID")),
    ("resolve_twin_identity", 400589, lambda ask, w: ask("RFID#1", context=["personal", NOBODY])),
    # Ledgers and history
    ("add_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, body={"entries": {}})),
    (
        "add_twin_ledger_entry",
        400589,
        lambda ask, w: ask(w.twin, body={"entries": {"A": {"value": 1}}}),
    ),
    (
        "add_twin_ledger_entry",
        400589,
        lambda ask, w: ask(w.twin, body=entry(include={"source": "x"})),
    ),
    ("add_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, body=entry(history="3X"))),
    ("add_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, "owner", body=entry())),
    ("add_twin_ledger_entry", 403535, lambda ask, w: ask(w.twin, NOBODY, body=entry())),
    (
        "add_twin_ledger_entry",
        400589,
        lambda ask, w: ask(w.twin, body={**entry(), "transaction": 1}),
    ),
    (
        "add_twin_ledger_entry",
        400589,
        lambda ask, w: ask(w.twin, body={**entry(), "conditions": {"a": "="}}),
    ),
    (
        "add_twin_ledger_entry",
        400141,
        lambda ask, w: ask(full(w), body={"entries": {"c": {"value": "x" * 9_000}}}),
    ),
    ("update_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, body=entry(visibility="a ="))),
    ("update_twin_ledger_entry", 403535, lambda ask, w: ask(w.twin, NOBODY, body=entry())),
    (
        "update_twin_ledger_entry",
        400141,
        lambda ask, w: ask(
            full(w),
            body={
                "entries": {
                    "a": {
                        "visibility": f"'{'x' * 4_000}' == ''",
                        "publish": {"true": ["x" * 2_000]},
                    }
                }
            },
        ),
    ),
    (
        "update_twin_ledger_entry_value",
        400589,
        lambda ask, w: ask(w.twin, body=entry(history="1D")),
    ),
    ("update_twin_ledger_entry_value", 403535, lambda ask, w: ask(w.twin, NOBODY, body=entry())),
    (
        "update_twin_ledger_entry_value",
        400141,
        lambda ask, w: ask(full(w), body={"entries": {"b": {"value": "x" * 9_000}}}),
    ),
    ("get_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, "mine")),
    ("get_twin_ledger_entry_value", 400589, lambda ask, w: ask(w.twin, "creator")),
    ("get_twin_ledger_entry_history", 400589, lambda ask, w: ask(w.twin, "creator")),
    ("get_twin_ledger_entry_history", 400589, lambda ask, w: ask(w.twin, limit=101)),
    ("get_twin_ledger_entry_history", 400589, lambda ask, w: ask(w.twin, limit=0)),
    ("get_twin_ledger_entry_history", 400589, lambda ask, w: ask(w.twin, ge="then")),
    ("delete_twin_ledger_entry", 400589, lambda ask, w: ask(w.twin, entries="")),
    ("delete_twin_ledger_entry", 403535, lambda ask, w: ask(w.twin, NOBODY)),
    # Docs and files
    (
        "attach_twin_doc",
        400589,
        lambda ask, w: ask(w.twin, body={"docs": {"a.tar.gz": {"handler": "x"}}}),
    ),
    ("attach_twin_doc", 400589, lambda ask, w: ask(w.twin, body={"docs": {"a.txt": {}}})),
    ("get_twin_doc", 404653, lambda ask, w: ask(w.twin, "a.txt")),
    ("get_twin_doc", 400589, lambda ask, w: ask(w.doc(), "a.txt", download=True, validity_ts=1)),
    ("update_twin_doc", 404653, lambda ask, w: ask(w.twin, "a.txt", body={})),
    ("update_twin_doc", 400589, lambda ask, w: ask(w.doc(), "a.txt", body={"hash": "0"})),
    ("delete_twin_doc", 404653, lambda ask, w: ask(w.twin, "a.txt")),
    ("get_twin_docs", 400589, lambda ask, w: ask(w.twin, mask="(")),
    ("get_twin_docs", 400589, lambda ask, w: ask(w.twin, view="heap")),
    ("delete_twin_docs", 400589, lambda ask, w: ask(w.twin, view="heap")),
    ("download_doc", 404653, lambda ask, w: ask(w.account, "none")),
    ("invalidate_upload_url", 404653, lambda ask, w: ask("none")),
    # Stickers
    ("put_sticker", 400589, lambda ask, w: ask(w.twin, body={"stickers": {"r!": {}}})),
    ("put_sticker", 400589, lambda ask, w: ask(w.twin, body=sticker(recipients=[]))),
    ("put_sticker", 400589, lambda ask, w: ask(w.twin, body=sticker(recipients=[NOBODY] * 101))),
    ("put_sticker", 400589, lambda ask, w: ask(w.twin, body=sticker(note="x" * 513))),
    (
        "put_sticker",
        400589,
        lambda ask, w: ask(w.twin, body=sticker(validity_ts=w.now + 31_536_001)),
    ),
    ("get_sticker", 404653, lambda ask, w: ask(w.twin, "red-flag")),
    ("get_stickers", 400589, lambda ask, w: ask(w.twin, context="mine")),
    ("list_stickers", 400589, lambda ask, w: ask(limit=101)),
    ("remove_sticker", 404653, lambda ask, w: ask(w.twin, "red-flag")),
    # Batches
    ("create_batch", 404653, lambda ask, w: ask(body={"operation": "get_twin", "handler": "none"})),
    (
        "create_batch",
        400589,
        lambda ask, w: ask(body={"operation": "fly", "handler": w.upload(b"{}")}),
    ),
    (
        "create_batch",
        400589,
        lambda ask, w: ask(body={"operation": "get_batch", "handler": w.upload(b"{}")}),
    ),
    (
        "create_batch",
        403535,
        lambda ask, w: ask(user=w.limited, body={"operation": "create_user", "handler": "x"}),
    ),
    ("get_batches", 400589, lambda ask, w: ask(limit=1_001)),
    ("get_batches", 400589, lambda ask, w: ask(cursor="none")),
    ("update_batch", 400358, lambda ask, w: ask(cancelled(w), body={"status": "cancel"})),
    ("update_batch", 400592, lambda ask, w: ask(done(w), body={"status": "cancel"})),
    ("update_batch", 400589, lambda ask, w: ask(NOBODY, body={"status": "completed"})),
    # Databases, tables
    ("update_database", 400897, lambda ask, w: ask("default", body={"default": False})),
    ("update_database", 400589, lambda ask, w: ask("default", body={"note": "x" * 257})),
    ("update_database_user_access", 404653, lambda ask, w: ask("default", NOBODY, body={})),
    (
        "update_database_user_access",
        400589,
        lambda ask, w: ask("default", w.user, body={"indexes": ["write"]}),
    ),
    ("update_database_ip_access", 400589, lambda ask, w: ask("default", body={"300.1.1.1": "x"})),
    ("create_timeseries_table", 400589, lambda ask, w: ask(body={"timeseries": {"T": table()}})),
    (
        "create_timeseries_table",
        400589,
        lambda ask, w: ask(body={"timeseries": {"t": table(retention="3X")}}),
    ),
    (
        "create_timeseries_table",
        400589,
        lambda ask, w: ask(body={"timeseries": {"t": table(defaults={"measurement": "{0}"})}}),
    ),
    ("get_timeseries_table", 404653, lambda ask, w: ask("none")),
    ("update_timeseries_table", 404653, lambda ask, w: ask("none", body={})),
    (
        "update_timeseries_table",
        400897,
        lambda ask, w: ask(series(w), body={"dimensions": {"names": ["city"], "types": ["int"]}}),
    ),
    ("truncate_timeseries_table", 404653, lambda ask, w: ask("none")),
    ("delete_timeseries_table", 404653, lambda ask, w: ask("none")),
    (
        "create_indexes_table",
        400589,
        lambda ask, w: ask(body={"indexes": {"i": {**INDEX, "rule": "a ="}}}),
    ),
    ("get_indexes_table", 404653, lambda ask, w: ask("none")),
    ("update_indexes_table", 404653, lambda ask, w: ask("none", body={})),
    (
        "update_indexes_table",
        400897,
        lambda ask, w: ask(index(w), body={"properties": {"names": ["serial"], "types": ["text"]}}),
    ),
    (
        "update_indexes_table",
        400589,
        lambda ask, w: ask(
            index(w), body={"properties": {"names": ["serial", "new"], "types": ["int", "int"]}}
        ),
    ),
    ("truncate_indexes_table", 404653, lambda ask, w: ask("none")),
    ("delete_indexes_table", 404653, lambda ask, w: ask("none")),
    # Usage, notifications
    ("get_user_usage", 404653, lambda ask, w: ask(w.stranger)),
    ("webhook_subscribe", 400589, lambda ask, w: ask(body=hook(topic="my_topic"))),
    ("webhook_subscribe", 400589, lambda ask, w: ask(body=hook(expires=604_801))),
    ("webhook_subscribe", 400589, lambda ask, w: ask(body=hook(client_secret="short"))),
    *((name, 400793, lambda ask, w: ask(w.account, token="!")) for name in sorted(BY_TOKEN)),
    (
        "update_notifications_account_access",
        400897,
        lambda ask, w: ask(w.account, body={"topics": []}),
    ),
    (
        "update_notifications_account_access",
        400589,
        lambda ask, w: ask(w.stranger_account, body={"topics": ["a b"]}),
    ),
]
