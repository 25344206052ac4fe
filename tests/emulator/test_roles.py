"""Roles: their statements and rules, and what they do to their users."""

from __future__ import annotations

import pytest

from ttorm.api.operations import OPERATIONS

NO_RULES = {"twin_rule": None, "entry_rule": None, "identity_rule": None}
ABSENT = "3fb20104-4c8e-4be3-aadc-cab04d2f530b"


@pytest.fixture
def made(api):
    body = {
        "name": "Reader",
        "statement": {"effect": "allow", "actions": ["get_twin", "scan_twins", "get_twin"]},
        "rules": {"twin_rule": "TWIN.company == USER.company", "entry_rule": " true"},
    }
    status, made = api("create_user_role", body=body)
    assert status == 201
    return made


def test_create(api, account, made, clock):
    now = clock.now()
    assert made == {
        "uuid": made["uuid"],
        "account": account,
        "name": "Reader",
        "statement": {"effect": "allow", "actions": ["get_twin", "scan_twins", "get_twin"]},
        "rules": {
            "twin_rule": "TWIN.company == USER.company",
            "entry_rule": " true",
            "identity_rule": None,
        },
        "created_ts": now,
        "updated_ts": now,
    }
    assert api("get_user_role", made["uuid"]) == (200, made)


@pytest.mark.parametrize("body", [{}, {"rules": None}, {"rules": {}}])
def test_defaults(api, body):
    made = api("create_user_role", body=body)[1]
    assert made["name"] == "User Role Name"
    assert made["statement"] == {"effect": "deny", "actions": None}
    assert made["rules"] == NO_RULES


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": "x"},
        {"statement": None},
        {"statement": {}},
        {"statement": {"effect": "allow"}},
        {"statement": {"actions": []}},
        {"statement": {"effect": "permit", "actions": []}},
        {"statement": {"effect": "allow", "actions": "get_twin"}},
        {"statement": {"effect": "allow", "actions": ["get_everything"]}},
        {"statement": {"effect": "allow", "actions": ["create_user_secret"]}},
        {"statement": {"effect": "allow", "actions": [1]}},
        {"statement": {"effect": "allow", "actions": [], "more": 1}},
        {"rules": "true"},
        {"rules": {"twin_rule": True}},
        {"rules": {"twin_rule": ""}},
        {"rules": {"twin_rule": "TWIN.a = 1"}},
        {"rules": {"twin_rule": "true", "twin": "true"}},
        {"rules": {"ledger_rule": "true"}},
        {"colour": "red"},
    ],
)
def test_refused_fields(api, made, fields):
    for answer in (
        api("create_user_role", body=fields),
        api("update_user_role", made["uuid"], body=fields),
    ):
        assert (answer[0], answer[1]["subcode"]) == (400, 400589)
    assert api("get_user_role", made["uuid"]) == (200, made)


def test_short_names_of_rules(api):
    made = api("create_user_role", body={"rules": {"twin": "true", "identity": "false"}})[1]
    assert made["rules"] == NO_RULES | {"twin_rule": "true", "identity_rule": "false"}


def test_every_operation_can_be_listed(api):
    actions = [name for name in OPERATIONS if name != "create_user_secret"]
    actions += ["update_timeseries_access", "update_indexes_access"]
    statement = {"effect": "deny", "actions": actions}
    assert api("create_user_role", body={"statement": statement})[1]["statement"] == statement


def test_list_is_short(api, made):
    status, listed = api("get_user_roles")
    assert status == 200
    assert len(listed["roles"]) == 2
    shown = {name: made[name] for name in ("name", "created_ts", "updated_ts")}
    assert listed["roles"][made["uuid"]] == shown


def test_update_replaces_whole_fields(api, made, clock):
    clock.advance(5)
    status, updated = api("update_user_role", made["uuid"], body={"rules": {"twin_rule": "true"}})
    assert status == 201
    assert updated == made | {"rules": NO_RULES | {"twin_rule": "true"}, "updated_ts": clock.now()}
    assert api("update_user_role", made["uuid"])[1]["subcode"] == 400589


def test_delete(api, made):
    assert api("delete_user_role", made["uuid"]) == (200, made)
    assert api("get_user_role", made["uuid"])[1]["subcode"] == 404653


def test_nobody_deletes_the_role_it_has(api, user):
    role = api("get_user", user)[1]["role"]
    assert api("delete_user_role", role)[1]["subcode"] == 400897


@pytest.mark.parametrize("name", ["get_user_role", "delete_user_role"])
def test_roles_of_other_accounts_do_not_exist(api, made, stranger, name):
    for uuid in (made["uuid"], ABSENT):
        assert api(name, uuid, user=stranger)[1]["subcode"] == 404653
    assert api(name, "nonsense")[1]["subcode"] == 400589


@pytest.fixture
def clerk(new_user):
    """A user who may make roles and a few things more."""
    names = ["create_user_role", "update_user_role", "get_twin", "get_user_roles"]
    return new_user(statement={"effect": "allow", "actions": names})


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ({"effect": "allow", "actions": ["get_twin"]}, 201),
        ({"effect": "allow", "actions": []}, 201),
        ({"effect": "allow", "actions": None}, 201),
        ({"effect": "allow", "actions": ["get_twin", "create_twin"]}, 403),
        ({"effect": "deny", "actions": None}, 403),
        ({"effect": "deny", "actions": ["create_twin"]}, 403),
        (None, 403),
    ],
)
def test_nobody_makes_a_role_stronger_than_its_own(api, made, clerk, statement, status):
    body = {} if statement is None else {"statement": statement}
    assert api("create_user_role", body=body, user=clerk)[0] == status
    if statement is not None:
        assert api("update_user_role", made["uuid"], body=body, user=clerk)[0] == status


def test_statement_decides_about_each_operation(api, new_user, twin):
    only = new_user(statement={"effect": "allow", "actions": ["get_twin"]})
    all_but = new_user(statement={"effect": "deny", "actions": ["get_twin"]})
    assert api("get_twin", twin, user=only)[0] == 200
    assert api("update_twin", twin, body={}, user=only)[0] == 403
    assert api("get_twin", twin, user=all_but)[0] == 403
    assert api("update_twin", twin, body={}, user=all_but)[0] == 200


def test_a_changed_statement_acts_at_once(api, new_user, twin):
    caller = new_user()
    role = api("who_am_i", user=caller)[1]["role"]
    assert api("get_twin", twin, user=caller)[0] == 200
    statement = {"effect": "deny", "actions": ["get_twin"]}
    assert api("update_user_role", role, body={"statement": statement})[0] == 201
    assert api("get_twin", twin, user=caller)[0] == 403
