"""Who may do and see what: the contract's composed examples, credentials, statements, variables."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ttorm.emulator.access import Statement, permits
from ttorm.emulator.bootstrap import make_account, new_secret
from ttorm.emulator.policy import Policy

PUMP = {"kind": "pump"}
ALL_TRUE = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}
ENTRIES = {
    "temperature": {"value": 21.5, "visibility": "true"},
    "price": {"value": 12, "visibility": "USER.profession == 'accounting'"},
    "margin": {"value": 3},
    "note": {"value": "n", "visibility": "public"},
}


@pytest.fixture
def world(api, account, new_user, new_twin, add, emulator):
    """Accounts A and B, a Twin of A with its Ledger, and users as in the contract's examples."""
    twin = new_twin(PUMP)
    add(twin, **ENTRIES)
    status, _ = api(
        "create_twin_identity", twin, body={"identities": {"RFID#1": {"visibility": "true"}}}
    )
    assert status == 201
    b_admin = make_account(emulator).user

    def of_b(rules, description=None, statement=None):
        body = {"rules": rules} if statement is None else {"rules": rules, "statement": statement}
        role = api("create_user_role", body=body, user=b_admin)[1]["uuid"]
        body = {"role": role, "description": description}
        return api("create_user", body=body, user=b_admin)[1]["uuid"]

    return SimpleNamespace(
        twin=twin,
        a=account,
        a1=new_user(),
        a2=new_user({"twin_rule": 'TWIN.kind == "valve"'}),
        a3=new_user({"entry_rule": 'entry_name == "price"'}),
        a4=new_user({"twin_rule": "TWIN.serial == DICT.serial"}),
        b1=of_b(None),
        b2=of_b(ALL_TRUE, {"profession": "accounting"}),
        b3=of_b(ALL_TRUE),
        b4=of_b(ALL_TRUE, statement={"effect": "deny", "actions": ["get_twin"]}),
    )


class TestComposedExamples:
    def test_a1_own_account_without_rules(self, api, world):
        assert api("get_twin", world.twin, user=world.a1)[0] == 200

    def test_a2_own_account_twin_rule_false(self, api, world):
        status, body = api("get_twin", world.twin, user=world.a2)
        assert (status, body["subcode"]) == (403, 403535)

    def test_a3_visibility_does_not_apply_inside_the_account(self, entries, world):
        assert entries(world.twin, user=world.a1).keys() == ENTRIES.keys()

    def test_a4_entry_rule_applies_inside_the_account(self, entries, world):
        assert entries(world.twin, user=world.a3).keys() == {"price"}

    def test_a5_null_twin_rule_and_a_foreign_twin(self, api, world):
        status, body = api("get_twin", world.twin, user=world.b1)
        assert (status, body["subcode"]) == (403, 403535)

    def test_a6_twin_rule_true(self, api, world):
        status, body = api("get_twin", world.twin, user=world.b2)
        assert (status, body["description"]) == (200, PUMP)

    def test_a7_visibilities(self, entries, world):
        shown = entries(world.twin, world.a, user=world.b2)
        assert shown.keys() == {"temperature", "price"}
        assert "visibility" not in shown["price"]

    def test_a8_visibility_on_a_missing_description(self, entries, world):
        assert entries(world.twin, world.a, user=world.b3).keys() == {"temperature"}

    def test_a9_own_ledger_on_a_foreign_twin(self, add, entries, world):
        add(world.twin, user=world.b2, seen={"value": 1})
        assert entries(world.twin, user=world.b2).keys() == {"seen"}
        assert "seen" not in entries(world.twin)

    def test_a10_scan_lists_twins_one_may_not_see(self, api, world):
        assert api("scan_twins", user=world.a2)[1]["twins"] == [world.twin]

    def test_a11_details_leave_them_out(self, api, world):
        assert api("scan_twins", user=world.a2, details=True)[1]["twins"] == []

    @pytest.mark.parametrize(
        ("match", "found"),
        [("LEDGER.price > 10", True), ("LEDGER.price > 12", False), ("LEDGER.weight > 1", False)],
    )
    def test_a12_match_reads_the_own_ledger(self, api, world, match, found):
        twins = api("scan_twins", user=world.a1, match=match)[1]["twins"]
        assert twins == ([world.twin] if found else [])

    def test_a13_resolving_lists_twins_one_may_not_see(self, api, world):
        found = api("resolve_twin_identity", "RFID#1", context=world.a, user=world.b2)
        assert found == (200, {"twins": [world.twin]})

    def test_a13b_null_identity_rule_and_a_foreign_identity(self, api, world):
        found = api("resolve_twin_identity", "RFID#1", context=world.a, user=world.b1)
        assert found == (200, {"twins": []})

    def test_a14_statement_before_any_rule(self, api, world):
        status, body = api("get_twin", "not-even-a-uuid", user=world.b4)
        assert (status, body["subcode"]) == (403, 403535)

    def test_a15_two_absent_values_are_equal(self, api, world):
        assert api("get_twin", world.twin, user=world.a4)[0] == 200

    def test_a16_dictionary(self, api, world):
        assert api("update_twin", world.twin, body={"description": {"serial": "SN-1"}})[0] == 200
        assert api("get_twin", world.twin, user=world.a4)[0] == 403
        dictionary = {"serial": "SN-1"}
        assert api("get_twin", world.twin, user=world.a4, dictionary=dictionary)[0] == 200


class TestNullRulesUnrestricted:
    @pytest.fixture
    def policy(self):
        return Policy(null_role_rule="unrestricted")

    def test_a5(self, api, world):
        assert api("get_twin", world.twin, user=world.b1)[0] == 200

    def test_a13b(self, api, world):
        found = api("resolve_twin_identity", "RFID#1", context=world.a, user=world.b1)
        assert found == (200, {"twins": [world.twin]})

    def test_visibility_still_counts(self, entries, world):
        assert entries(world.twin, world.a, user=world.b1).keys() == {"temperature"}


OF_TWIN = (
    "account", "user", "role", "now", "USER.mark", "DICT.mark", "twin", "twin_status",
    "TWIN.mark", "LEDGER.mark",
)  # fmt: skip
OF_ENTRY = (
    *OF_TWIN, "ledger", "entry_name", "entry_value", "value_changed_ts", "entry_created_ts",
    "entry_updated_ts",
)  # fmt: skip


def known(*names):
    """Make a rule that holds when exactly these of all variables are not null."""
    everything = [*OF_ENTRY, "identity"]
    return " and ".join(f"{name} {'!=' if name in names else '=='} null" for name in everything)


class TestVariables:
    """The matrix of variables and places: each rule holds only if all of them are as it says."""

    @pytest.fixture
    def marked(self, new_twin, add):
        twin = new_twin({"mark": 1})
        add(twin, mark={"value": 1})
        return twin

    def caller(self, new_user, **rules):
        return new_user(rules, description={"mark": 1})

    def test_twin_rule(self, api, marked, new_user):
        user = self.caller(new_user, twin_rule=known(*OF_TWIN))
        assert api("get_twin", marked, user=user, dictionary={"mark": 1})[0] == 200
        assert api("get_twin", marked, user=user)[0] == 403

    def test_entry_rule(self, entries, marked, new_user):
        user = self.caller(new_user, entry_rule=known(*OF_ENTRY))
        assert entries(marked, user=user, dictionary={"mark": 1}).keys() == {"mark"}
        assert entries(marked, user=user) == {}

    def test_identity_rule(self, api, marked, new_user):
        api("create_twin_identity", marked, body={"identities": {"SN#1": {}}})
        user = self.caller(new_user, identity_rule=known(*OF_TWIN, "identity"))
        found = api("resolve_twin_identity", "SN#1", user=user, dictionary={"mark": 1})
        assert found[1]["twins"] == [marked]
        assert api("resolve_twin_identity", "SN#1", user=user)[1]["twins"] == []

    def test_match(self, api, marked, new_user):
        rule = known(*OF_TWIN, "ledger")
        user = self.caller(new_user)
        found = api("scan_twins", match=rule, user=user, dictionary={"mark": 1})
        assert found[1]["twins"] == [marked]
        assert api("scan_twins", match=rule, user=user)[1]["twins"] == []

    def test_conditions(self, api, marked, new_user):
        conditions = {"mark": known(*OF_ENTRY)}
        body = {"entries": {"mark": {"value": 2}}, "conditions": conditions}
        user = self.caller(new_user)
        refused = api("update_twin_ledger_entry", marked, body=body, user=user)[1]
        assert "error" in refused["entries"]["mark"]
        done = api(
            "update_twin_ledger_entry", marked, body=body, user=user, dictionary={"mark": 1}
        )[1]
        assert done["entries"]["mark"]["value"] == 2

    def test_visibilities(self, api, account, marked, stranger, entries):
        visibility = known(*(name for name in OF_ENTRY if name != "USER.mark"))
        body = {"entries": {"mark": {"visibility": visibility}}}
        assert api("update_twin_ledger_entry", marked, body=body)[0] == 200
        visibility = known(*(name for name in OF_TWIN if name != "USER.mark"))
        body = {"identities": {"SN#1": {"visibility": visibility}}}
        assert api("create_twin_identity", marked, body=body)[0] == 201
        seen = {"user": stranger, "dictionary": {"mark": 1}}
        assert entries(marked, account, **seen).keys() == {"mark"}
        assert entries(marked, account, user=stranger) == {}
        resolved = api("resolve_twin_identity", "SN#1", context=account, **seen)[1]
        assert resolved["twins"] == [marked]

    def test_the_reader_is_meant(self, api, account, stranger_account, stranger, marked, entries):
        rule = f"account == '{stranger_account}' and ledger == '{account}'"
        api("update_twin_ledger_entry", marked, body={"entries": {"mark": {"visibility": rule}}})
        assert entries(marked, account, user=stranger).keys() == {"mark"}

    def test_a_rule_reads_values_that_the_reader_may_not(
        self, api, account, stranger, marked, add, entries
    ):
        add(marked, shared={"value": ["mark"]})
        body = {"entries": {"mark": {"visibility": "entry_name in LEDGER.shared"}}}
        assert api("update_twin_ledger_entry", marked, body=body)[0] == 200
        assert entries(marked, account, user=stranger).keys() == {"mark"}

    def test_a_rule_that_fails_denies(self, api, marked, new_user):
        user = new_user({"twin_rule": "TWIN.mark > 'x'"})
        assert api("get_twin", marked, user=user)[0] == 403


class TestCredentials:
    @pytest.fixture
    def whoami(self, send):
        def whoami(header, **more):
            headers = {} if header is None else {"authorization": header}
            answer = send("GET", "/whoami", headers=headers | more)
            return answer.status, json.loads(answer.body)

        return whoami

    def test_secret(self, emulator, whoami):
        made = make_account(emulator)
        status, body = whoami(made.secret)
        assert (status, body["account"], body["user"]) == (200, made.account, made.user)

    @pytest.mark.parametrize(
        "header", [None, "", "nonsense", "a.b.c", "..", "é.\ud800.x", "\ud800"]
    )
    def test_unknown(self, whoami, header):
        status, body = whoami(header)
        assert (status, body["subcode"]) == (401, 401000)

    def test_bearer_is_no_part_of_it(self, emulator, whoami):
        assert whoami(f"Bearer {make_account(emulator).secret}")[0] == 401

    def test_new_secret_replaces_the_old(self, emulator, whoami):
        made = make_account(emulator)
        new = new_secret(emulator, made.account)
        assert (new.account, new.user) == (made.account, made.user)
        assert whoami(made.secret)[0] == 401
        assert whoami(new.secret)[0] == 200

    def test_deleted_role(self, api, new_user, user):
        caller = new_user()
        role = api("who_am_i", user=caller)[1]["role"]
        assert api("delete_user_role", role)[0] == 200
        assert api("who_am_i", user=caller)[0] == 403
        own = api("get_user", user)[1]["role"]
        assert api("update_user", caller, body={"role": own})[0] == 200
        assert api("who_am_i", user=caller)[0] == 200

    def test_a_user_of_the_door_that_is_gone(self, api):
        assert api("who_am_i", user="e0f727d6-704b-4d8a-9c10-ac726a3b8a94")[0] == 401


@pytest.mark.parametrize(
    ("effect", "actions", "permitted"),
    [
        ("deny", None, True),
        ("deny", {"get_twin"}, False),
        ("deny", {"create_twin"}, True),
        ("deny", set(), True),
        ("allow", {"get_twin"}, True),
        ("allow", {"create_twin"}, False),
        ("allow", set(), False),
        ("allow", None, False),
    ],
)
def test_statements(effect, actions, permitted):
    listed = None if actions is None else frozenset(actions)
    assert permits(Statement(effect, listed), "get_twin") is permitted
