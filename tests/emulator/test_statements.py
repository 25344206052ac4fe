"""Every statement finds its rows by an index: no operation gets slower as a store grows."""

from __future__ import annotations

import pytest

from ttorm.emulator.policy import Policy

# What is looked at are the plans of SQLite.
pytestmark = pytest.mark.sqlite


def run_everything(api, send, twin, other, account):
    """Call every operation on Twins and what belongs to them."""
    api("update_twin", twin, body={"description": {"a": 1}})
    entries = {
        "x": {"value": 1, "history": "1D"},
        "i": {"include": {"source": f"twin://{other}/y"}},
        "r": {"ref": {"source": f"twin://{other}/{account}/y"}},
    }
    api("add_twin_ledger_entry", twin, body={"entries": entries})
    api("add_twin_ledger_entry", other, body={"entries": {"y": {"value": 1}}})
    api("get_twin_ledger_entry", twin)
    api("get_twin_ledger_entry_value", twin)
    api("update_twin_ledger_entry", other, body={"entries": {"y": {"value": 2}}})
    api("update_twin_ledger_entry_value", twin, body={"entries": {"x": {"value": 2}}})
    api("update_twin_ledger_entry", twin, body={"entries": {"x": {"history": None}}})
    api("get_twin_ledger_entry_history", twin, entries="x")
    api("scan_twins", match="LEDGER.i == 2", details=True)
    api("create_twin_identity", twin, body={"identities": {"SN#1": {}}})
    api("get_twin_identities", twin)
    api("resolve_twin_identity", "SN#1", context="system", details=True)
    api("update_twin_identity", twin, "SN#1", body={"visibility": "true"})
    api("delete_twin_identity", twin, "SN#1")
    place = api("create_upload_url")[1]
    send("PUT", place["url"], b"text")
    api("attach_twin_doc", twin, body={"docs": {"a.txt": {"handler": place["handler"]}}})
    api("update_twin_doc", twin, "a.txt")
    doc = api("get_twin_doc", twin, "a.txt", download=True)[1]
    send("GET", doc["download"]["url"])
    api("get_twin_docs", twin)
    api("delete_twin_docs", twin)
    api("invalidate_upload_url", place["handler"])
    api("delete_twin_ledger_entry", twin)
    api("terminate_twin", twin)


def test_no_table_is_read_from_end_to_end(api, send, emulator, twin, new_twin, account, statements):
    other = new_twin()
    statements.clear()
    run_everything(api, send, twin, other, account)
    tables = ("twins", "entries", "history", "identities", "uploads", "docs", "users", "secrets")
    asked = {sql for sql in statements if not sql.startswith("INSERT")}
    assert len(asked) > 30
    with emulator.store.transaction(write=False) as tx:
        for sql in asked:
            plan = tx.rows(f"EXPLAIN QUERY PLAN {sql}", *[None] * sql.count("?"))
            scans = [f"SCAN {table}" for table in tables]
            assert not [step["detail"] for step in plan if step["detail"] in scans], sql


def run_services(api, send, twin, user):
    """Call every operation on databases and tables, and those that look into them."""
    columns = {"names": ["x"], "types": ["int"]}
    table = {"dimensions": columns, "measurements": {"names": ["y"], "types": ["int"]}}
    api("create_timeseries_table", body={"timeseries": {"t": {**table, "retention": "1D"}}})
    table = {"rule": "true", "properties": columns, "templates": {"properties": {"x": "{y}"}}}
    api("create_indexes_table", body={"indexes": {"i": table}})
    series = {"t": {"measurement": "y", "dimensions": {"x": "1"}}, "gone": {}}
    entries = {"y": {"value": 1, "timeseries": series}}
    api("add_twin_ledger_entry", twin, body={"entries": entries})
    api("update_twin_ledger_entry_value", twin, body={"entries": {"y": {"value": 1}}})
    api("get_twin_ledger_entry", twin)
    body = {"rule": "false"}
    api("update_indexes_table", "i", body=body)
    api("delete_twin_ledger_entry", twin)
    columns = {"names": [["x", "z"], "new"], "types": ["int", "int"]}
    api("update_timeseries_table", "t", body={"dimensions": columns})
    for kind, name in (("timeseries", "t"), ("indexes", "i")):
        api(f"get_{kind}_tables")
        api(f"truncate_{kind}_table", name)
        api(f"delete_{kind}_table", name)
    api("get_databases")
    api("update_database", body={"note": "x"})
    api("update_database_user_access", "default", user, body={"indexes": ["read"]})
    api("update_database_ip_access", body={"192.0.2.1": "x", "192.0.2.2": None})
    api("get_database_access")
    api("get_log")
    api("get_account_usage")
    api("get_user_usage", user)


def test_tables_of_services_are_neither(api, send, emulator, twin, user, statements):
    api("update_twin", twin, body={})
    statements.clear()
    run_services(api, send, twin, user)
    tables = (
        *("databases", "database_users", "database_ips", "timeseries_tables", "indexes_tables"),
        *("indexed_ledgers", "logs", "log_messages", "usage", "entries", "accounts"),
    )
    changes = ("INSERT", "CREATE", "ALTER", "DROP")
    asked = {sql for sql in statements if not sql.startswith(changes)}
    asked = {sql for sql in asked if "ts_1_" not in sql and "ix_1_" not in sql}
    assert len(asked) > 20
    with emulator.store.transaction(write=False) as tx:
        for sql in asked:
            plan = tx.rows(f"EXPLAIN QUERY PLAN {sql}", *[None] * sql.count("?"))
            scans = [f"SCAN {table}" for table in tables]
            assert not [step["detail"] for step in plan if step["detail"] in scans], sql


class TestLenientBodies:
    @pytest.fixture
    def policy(self):
        return Policy(lenient_bodies=True)

    def test_unknown_fields_are_ignored(self, api, twin, upload):
        more = {"unknown": 1}
        assert api("create_twin", body=more)[0] == 201
        assert api("update_twin", twin, body=more)[0] == 200
        body = {"identities": {"SN#1": more}, **more}
        assert "error" not in api("create_twin_identity", twin, body=body)[1]["identities"]["SN#1"]
        assert api("update_twin_identity", twin, "SN#1", body=more)[0] == 201
        body = {"entries": {"x": {"value": 1, **more}}, **more}
        for operation in (
            "add_twin_ledger_entry",
            "update_twin_ledger_entry",
            "update_twin_ledger_entry_value",
        ):
            status, answer = api(operation, twin, body=body)
            assert status in (200, 201)
            assert answer["entries"]["x"]["value"] == 1
            assert "unknown" not in answer["entries"]["x"]
        body = {"docs": {"a.txt": {"handler": upload(b"1"), **more}}, **more}
        assert "error" not in api("attach_twin_doc", twin, body=body)[1]["docs"]["a.txt"]
        assert api("update_twin_doc", twin, "a.txt", body=more)[0] == 200
        assert api("delete_twin_ledger_entry", twin, body=more)[0] == 200

    def test_unknown_fields_of_services_are_ignored(self, api, user, twin):
        more = {"unknown": 1}
        columns = {"names": ["x"], "types": ["int"], **more}
        table = {"dimensions": columns, "measurements": {"names": [], "types": []}, **more}
        table["defaults"] = {"dimensions": {"x": "1"}, **more}
        body = {"timeseries": {"t": table}, **more}
        _, made = api("create_timeseries_table", body=body)
        assert made["timeseries"]["t"]["dimensions"] == {"names": ["x"], "types": ["int"]}
        assert made["timeseries"]["t"]["defaults"] == {"dimensions": {"x": "1"}}
        assert api("update_timeseries_table", "t", body=more)[0] == 200
        templates = {"properties": {"x": "1"}, **more}
        table = {"rule": "true", "properties": columns, "templates": templates, **more}
        _, made = api("create_indexes_table", body={"indexes": {"i": table}, **more})
        assert made["indexes"]["i"]["templates"] == {"properties": {"x": "1"}}
        assert api("update_indexes_table", "i", body=more)[0] == 200
        assert api("update_database", body=more)[0] == 200
        access = api("update_database_user_access", "default", user, body=more)
        assert access[1] == {"timeseries": [], "indexes": [], "customer_data": []}
        body = {"entries": {"x": {"value": 1, "timeseries": {"t": {"measurement": "x", **more}}}}}
        shown = api("add_twin_ledger_entry", twin, body=body)[1]["entries"]["x"]["timeseries"]
        assert shown == {"t": {"measurement": "x"}}
