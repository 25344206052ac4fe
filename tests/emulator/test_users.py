"""Users and the account."""

from __future__ import annotations

import pytest

from ttorm.emulator.policy import Policy

ABSENT = "e0f727d6-704b-4d8a-9c10-ac726a3b8a94"
OBJECT = {"uuid", "account", "role", "created_ts", "updated_ts"}


@pytest.fixture
def role(api, user):
    return api("get_user", user)[1]["role"]


@pytest.fixture
def made(api, role):
    status, made = api("create_user", body={"role": role, "name": "Line 4 gateway"})
    assert status == 201
    return made


def test_who_am_i(api, account, user, role):
    assert api("who_am_i") == (200, {"account": account, "user": user, "role": role})


def test_create(api, account, role, clock):
    description = {"company": "acme", "lines": [4, None, {"a": 1.5}]}
    body = {"role": role.upper(), "name": "Line 4 gateway", "description": description}
    status, made = api("create_user", body=body)
    now = clock.now()
    assert status == 201
    assert made == {
        "uuid": made["uuid"],
        "account": account,
        "role": role,
        "name": "Line 4 gateway",
        "description": description,
        "created_ts": now,
        "updated_ts": now,
    }
    assert api("get_user", made["uuid"]) == (200, made)


def test_what_was_never_set_is_left_out(api, role):
    body = {"role": role, "description": None, "activity": None}
    assert api("create_user", body=body)[1].keys() == OBJECT
    made = api("create_user", body={"role": role, "description": {}, "activity": {}})[1]
    assert (made["description"], made["activity"]) == ({}, {})


@pytest.mark.parametrize(
    ("fields", "subcode"),
    [
        ({"role": "no-uuid"}, 400589),
        ({"role": None}, 400589),
        ({"role": ABSENT}, 404653),
        ({"name": "x"}, 400589),
        ({"name": "-dash first"}, 400589),
        ({"name": "trailing space "}, 400589),
        ({"name": "a" * 33}, 400589),
        ({"name": "new\nline"}, 400589),
        ({"name": 7}, 400589),
        ({"description": []}, 400589),
        ({"description": {"Capital": 1}}, 400589),
        ({"description": {"a" * 65: 1}}, 400589),
        ({"activity": "t"}, 400589),
        ({"activity": {"table": {}}}, 404653),
        ({"activity": {"Table": {}}}, 400589),
        ({"activity": {"table": {"dimensions": {"who": "{}"}}}}, 400589),
        ({"activity": {"table": {"measurement": "x"}}}, 400589),
        ({"colour": "red"}, 400589),
    ],
)
def test_refused_fields(api, role, made, fields, subcode):
    assert api("create_user", body={"role": role} | fields)[1]["subcode"] == subcode
    assert api("update_user", made["uuid"], body=fields)[1]["subcode"] == subcode
    assert api("get_user", made["uuid"]) == (200, made)


@pytest.mark.parametrize("body", [None, {}, {"name": "no role"}])
def test_a_role_is_needed(api, body):
    status, answer = api("create_user", body=body)
    assert (status, answer["subcode"]) == (400, 400589)


def test_list_is_short(api, user, role, made):
    status, listed = api("get_users")
    assert status == 200
    assert listed["users"].keys() == {user, made["uuid"]}
    shown = {name: made[name] for name in ("name", "role", "created_ts", "updated_ts")}
    assert listed["users"][made["uuid"]] == shown


def test_update_replaces_what_is_given(api, made, clock):
    clock.advance(1)
    body = {"description": {"a": 1, "b": 2}}
    status, updated = api("update_user", made["uuid"], body=body)
    assert (status, updated) == (200, made | body | {"updated_ts": clock.now()})
    replaced = api("update_user", made["uuid"], body={"description": {"c": 3}})[1]
    assert replaced["description"] == {"c": 3}
    assert replaced["updated_ts"] > updated["updated_ts"]
    assert api("update_user", made["uuid"], body={"description": {}})[1]["description"] == {}
    removed = api("update_user", made["uuid"], body={"description": None, "name": None})[1]
    assert removed.keys() == OBJECT
    assert api("get_user", made["uuid"]) == (200, removed)


def test_update_needs_a_body(api, made):
    assert api("update_user", made["uuid"])[1]["subcode"] == 400589
    assert api("update_user", made["uuid"], body={})[0] == 200


def test_a_new_role_acts_at_once(api, made):
    reader = {"effect": "allow", "actions": ["who_am_i"]}
    narrow = api("create_user_role", body={"statement": reader})[1]["uuid"]
    assert api("get_users", user=made["uuid"])[0] == 200
    assert api("update_user", made["uuid"], body={"role": narrow})[0] == 200
    assert api("get_users", user=made["uuid"])[0] == 403


def test_delete(api, made):
    assert api("delete_user", made["uuid"]) == (200, made)
    assert api("get_user", made["uuid"])[1]["subcode"] == 404653
    assert api("who_am_i", user=made["uuid"])[0] == 401


def test_nobody_deletes_itself(api, user):
    assert api("delete_user", user)[1]["subcode"] == 400897


@pytest.mark.parametrize("name", ["get_user", "delete_user", "get_user_secret"])
def test_users_of_other_accounts_do_not_exist(api, user, stranger, name):
    for uuid in (user, ABSENT):
        status, answer = api(name, uuid, user=stranger)
        assert (status, answer["subcode"]) == (404, 404653)
    assert api(name, "nonsense")[1]["subcode"] == 400589


def test_roles_of_other_accounts_cannot_be_given(api, role, stranger):
    body = {"role": role}
    assert api("create_user", body=body, user=stranger)[1]["subcode"] == 404653
    assert api("update_user", stranger, body=body, user=stranger)[1]["subcode"] == 404653


def test_account(api, account, clock):
    status, shown = api("get_account")
    assert (status, shown) == (200, {"uuid": account, "created_ts": clock.now(),
                                     "updated_ts": clock.now()})  # fmt: skip


def test_update_account(api):
    before = api("get_account")[1]
    emptied = api("update_account", body={"resource_access_log": {}})
    assert emptied[0] == 200
    assert emptied[1]["resource_access_log"] == {}
    assert emptied[1]["updated_ts"] > before["updated_ts"]
    assert api("update_account", body={})[1]["resource_access_log"] == {}
    removed = api("update_account", body={"resource_access_log": None})[1]
    assert "resource_access_log" not in removed


@pytest.mark.parametrize(
    ("log", "subcode"),
    [
        ({"account != 'x'": {"reads": {}}}, 404653),
        ({"not a rule": {}}, 400589),
        ({"true": []}, 400589),
        ({"true": {"Reads": {}}}, 400589),
        ({"true": {"reads": {"dimensions": {"who": 1}}}}, 400589),
        ({"true": {"reads": {"timestamp": "{now}"}}}, 400589),
        ([], 400589),
    ],
)
def test_refused_access_logs(api, log, subcode):
    assert api("update_account", body={"resource_access_log": log})[1]["subcode"] == subcode


NONE = {"names": [], "types": []}


class TestLogTables:
    @pytest.fixture(autouse=True)
    def _tables(self, api, user):
        who = {"names": ["who"], "types": ["uuid"]}
        table = {"dimensions": who, "measurements": NONE}
        tables = {"reads": table, "writes": table}
        assert api("create_timeseries_table", body={"timeseries": tables})[0] == 200

    def test_accesses(self, api):
        log = {"true": {"reads": {"dimensions": {"who": "{account}"}}}, "account == 'x'": {}}
        shown = api("update_account", body={"resource_access_log": log})
        assert (shown[0], shown[1]["resource_access_log"]) == (200, log)
        assert api("get_account")[1]["resource_access_log"] == log
        bad = {"true": {"reads": {}, "gone": {}}}
        assert api("update_account", body={"resource_access_log": bad})[1]["subcode"] == 404653
        assert api("get_account")[1]["resource_access_log"] == log

    def test_activity(self, api, role):
        activity = {"reads": {"dimensions": {"who": "{user}"}}, "writes": {}}
        made = api("create_user", body={"role": role, "activity": activity})[1]
        assert made["activity"] == activity
        assert api("get_user", made["uuid"])[1]["activity"] == activity


class TestWithoutTheService:
    @pytest.fixture
    def policy(self):
        return Policy(services=("indexes",))

    def test_nothing_can_be_logged(self, api, role, made):
        activity = {"activity": {"table": {}}}
        assert api("create_user", body={"role": role} | activity)[1]["subcode"] == 400979
        assert api("update_user", made["uuid"], body=activity)[1]["subcode"] == 400979
        log = {"resource_access_log": {"true": {"reads": {}}}}
        assert api("update_account", body=log)[1]["subcode"] == 400979
        assert api("update_account", body={"resource_access_log": {"true": {}}})[0] == 200
