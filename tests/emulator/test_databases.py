"""Databases: the default one, notes, and the lists of users and addresses."""

from __future__ import annotations

import re

import pytest

from ttorm.emulator.bootstrap import insert_database
from ttorm.emulator.policy import Policy

NOBODY = "00000000-0000-4000-8000-000000000000"
NONE = {"timeseries": [], "indexes": [], "customer_data": []}
OPERATIONS = [
    ("get_databases", ()),
    ("get_database", ()),
    ("update_database", ()),
    ("get_database_access", ()),
    ("update_database_user_access", ("default", NOBODY)),
    ("update_database_ip_access", ()),
]


@pytest.fixture
def database(api, user):
    """The default database."""
    return api("get_databases")[1]["default"]


@pytest.fixture
def second(emulator, account, clock):
    """Another database, made by the operator: no operation makes one."""
    uuid = emulator.ids.uuid()
    with emulator.store.transaction(write=True) as tx:
        insert_database(tx, uuid, account, clock.now())
    return uuid


def call(api, name, args, **options):
    body = {"body": {}} if name.startswith("update") else {}
    return api(name, *args, **{**body, **options})


class TestReading:
    def test_an_account_has_one_from_the_start(self, api, database, account, clock):
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", database)
        assert database != account
        times = {"created_ts": clock.now(), "updated_ts": clock.now()}
        short = {"status": "running", "note": None, **times}
        assert api("get_databases") == (
            200,
            {"default": database, "databases": {database: short}},
        )
        status, found = api("get_database", database)
        assert status == 200
        assert found.pop("database_size") >= 0
        assert found == {"uuid": database, "default": True, "instance_type": "micro", **short}

    def test_the_alias(self, api, database):
        assert api("get_database") == api("get_database", database)
        assert api("get_database", "default") == api("get_database", database.upper())

    @pytest.mark.parametrize(("uuid", "subcode"), [(NOBODY, 404653), ("bad", 400589)])
    @pytest.mark.parametrize("name", ["get_database", "update_database", "get_database_access"])
    def test_unknown(self, api, name, uuid, subcode):
        assert call(api, name, [uuid])[1]["subcode"] == subcode

    def test_those_of_other_accounts(self, api, database, stranger):
        assert api("get_databases", user=stranger)[1]["default"] != database
        for name, args in OPERATIONS[1:]:
            answer = call(api, name, (database, *args[1:]), user=stranger)
            assert answer[1]["subcode"] == 404653

    def test_the_size_is_that_of_the_tables(self, api, database, second):
        def size(uuid):
            return api("get_database", uuid)[1]["database_size"]

        columns = {"names": ["x"], "types": ["int"]}
        table = {"dimensions": columns, "measurements": {"names": [], "types": []}}
        _, made = api("create_timeseries_table", body={"timeseries": {"a": table}})
        table = {"rule": "true", "properties": columns, "templates": {"properties": {"x": "1"}}}
        _, more = api("create_indexes_table", body={"indexes": {"a": table}})
        sizes = [made["timeseries"]["a"]["stats"], more["indexes"]["a"]["stats"]]
        assert size(database) == sum(stats["total_size"] for stats in sizes) > 0
        assert size(second) == 0


class TestUpdate:
    def test_a_note(self, api, database, clock):
        clock.advance(5)
        status, found = api("update_database", body={"note": "main analytics"})
        assert status == 200
        assert found["note"] == "main analytics"
        assert found["updated_ts"] == clock.now() == found["created_ts"] + 5
        assert found == api("get_database", database)[1]
        assert api("update_database", database, body={})[1]["note"] == "main analytics"
        assert api("update_database", database, body={"note": None})[1]["note"] is None

    def test_another_default(self, api, database, second):
        status, found = api("update_database", second, body={"default": True})
        assert (status, found["default"]) == (200, True)
        assert api("get_databases")[1]["default"] == second
        assert api("get_database")[1]["uuid"] == second
        assert api("get_database", database)[1]["default"] is False
        assert api("update_database", database, body={"default": False})[0] == 200
        assert api("update_database", body={"default": True})[1]["uuid"] == second

    def test_one_is_the_default(self, api, database):
        assert api("update_database", body={"default": False})[1]["subcode"] == 400897
        assert api("get_database")[1]["default"] is True

    @pytest.mark.parametrize(
        "body",
        [{"note": "x" * 257}, {"note": 1}, {"default": 1}, {"default": None}, {"status": "x"}],
    )
    def test_bad_bodies(self, api, body):
        assert api("update_database", body=body)[1]["subcode"] == 400589


class TestUsers:
    def test_added_changed_and_removed(self, api, database, user, new_user):
        other = new_user()
        body = {"timeseries": ["read"], "customer_data": ["write", "read", "write"]}
        status, found = api("update_database_user_access", "default", user, body=body)
        assert status == 200
        assert found == {**NONE, "timeseries": ["read"], "customer_data": ["read", "write"]}
        api("update_database_user_access", database, other, body={"indexes": ["read"]})
        both = {user: found, other: {**NONE, "indexes": ["read"]}}
        assert api("get_database_access") == (200, {"users": both, "ips": {}})
        found = api("update_database_user_access", database, user, body={"timeseries": []})[1]
        assert found == {**NONE, "customer_data": ["read", "write"]}
        body = {"customer_data": []}
        assert api("update_database_user_access", database, user, body=body)[1] == NONE
        assert set(api("get_database_access")[1]["users"]) == {other}

    def test_nothing_said_changes_nothing(self, api, user):
        body = {"indexes": ["read"]}
        _, before = api("update_database_user_access", "default", user, body=body)
        assert api("update_database_user_access", "default", user, body={})[1] == before

    def test_each_database_has_its_own(self, api, user, second):
        api("update_database_user_access", second, user, body={"indexes": ["read"]})
        assert api("get_database_access")[1]["users"] == {}

    def test_unknown_users(self, api, stranger):
        for uuid in (NOBODY, stranger):
            answer = api("update_database_user_access", "default", uuid, body={})
            assert answer[1]["subcode"] == 404653
        assert api("update_database_user_access", "default", "x", body={})[1]["subcode"] == 400589

    def test_a_deleted_user_has_no_access(self, api, new_user):
        other = new_user()
        api("update_database_user_access", "default", other, body={"indexes": ["read"]})
        assert api("delete_user", other)[0] == 200
        assert api("get_database_access")[1]["users"] == {}

    @pytest.mark.parametrize(
        "body",
        [
            {"timeseries": ["write"]},
            {"indexes": ["write"]},
            {"customer_data": ["delete"]},
            {"customer_data": "read"},
            {"customer_data": None},
            {"customer_data": [["read"]]},
            {"tables": []},
        ],
    )
    def test_bad_bodies(self, api, user, body):
        answer = api("update_database_user_access", "default", user, body=body)
        assert answer[1]["subcode"] == 400589


class TestAddresses:
    def test_added_renamed_and_removed(self, api):
        body = {"192.0.2.10": "office", "198.51.100.0/24": "plant", "2001:DB8::1": "lab"}
        status, found = api("update_database_ip_access", body=body)
        assert status == 200
        whole = {"192.0.2.10/32": "office", "198.51.100.0/24": "plant", "2001:db8::1/128": "lab"}
        assert found == whole
        body = {"192.0.2.10/32": "head office", "2001:db8::1": None, "203.0.113.7": None}
        _, found = api("update_database_ip_access", body=body)
        assert found == {"192.0.2.10/32": "head office", "198.51.100.0/24": "plant"}
        assert api("get_database_access")[1]["ips"] == found
        assert api("update_database_ip_access", body={})[1] == found

    def test_bits_of_the_host_stay(self, api):
        found = api("update_database_ip_access", body={"172.16.1.4/20": "vpn"})[1]
        assert found == {"172.16.1.4/20": "vpn"}

    def test_each_database_has_its_own(self, api, second):
        api("update_database_ip_access", second, body={"192.0.2.10": "office"})
        assert api("get_database_access")[1]["ips"] == {}

    @pytest.mark.parametrize(
        "body",
        [
            {"office": "x"},
            {"192.0.2.256": "x"},
            {"192.0.2.0/33": "x"},
            {"": "x"},
            {"fe80::1%eth0": "x"},
            {"192.0.2.1": 5},
            {"192.0.2.1": "x" * 257},
        ],
    )
    def test_bad_bodies(self, api, body):
        assert api("update_database_ip_access", body=body)[1]["subcode"] == 400589
        assert api("get_database_access")[1]["ips"] == {}


@pytest.mark.parametrize("name", [name for name, _ in OPERATIONS if name.startswith("update")])
def test_a_body_is_needed(api, user, name):
    args = ("default", user) if "user" in name else ()
    assert api(name, *args)[1]["subcode"] == 400589


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=("timeseries", "indexes"))

    @pytest.mark.parametrize(("name", "args"), OPERATIONS)
    def test_refused(self, api, name, args):
        assert call(api, name, args)[1]["subcode"] == 400979
