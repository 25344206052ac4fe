"""Twins: creation, description, termination, who may do what."""

from __future__ import annotations

from uuid import uuid4

import pytest


def test_a_new_twin_belongs_to_the_callers_account(api, account, clock):
    status, twin = api("create_twin", body={"description": {"kind": "scooter", "n": [1, None]}})
    uuid = twin["creation_certificate"]["uuid"]
    assert status == 201
    assert twin == {
        "owner": account,
        "status": "alive",
        "updated_ts": clock.now(),
        "description": {"kind": "scooter", "n": [1, None]},
        "creation_certificate": {"uuid": uuid, "creator": account, "created_ts": clock.now()},
    }
    assert api("get_twin", uuid) == (200, twin)


@pytest.mark.parametrize("body", [None, {}, {"description": None}])
def test_a_twin_without_a_description_has_no_such_field(api, body):
    status, twin = api("create_twin", body=body)
    assert status == 201
    assert "description" not in twin
    assert "description" not in api("get_twin", twin["creation_certificate"]["uuid"])[1]


def test_an_empty_description_is_a_description(api):
    assert api("create_twin", body={"description": {}})[1]["description"] == {}


def test_an_empty_body_with_a_content_type_is_no_body(send, user):
    headers = {"content-type": "application/json"}
    assert send("POST", "/twins", b"", user, headers).status == 201


@pytest.mark.parametrize(
    "body",
    [
        {"description": {"Kind": 1}},
        {"description": {"a" * 65: 1}},
        {"description": "text"},
        {"description": []},
        {"kind": "scooter"},
    ],
)
def test_a_wrong_body_makes_no_twin(api, body):
    status, error = api("create_twin", body=body)
    assert (status, error["subcode"]) == (400, 400589)
    assert error["trace"]
    assert api("scan_twins")[1]["twins"] == []


def test_a_body_of_64_kb_passes_and_a_larger_one_does_not(send, user):
    def answer(size):
        frame = b'{"description":{"a":""}}'
        body = frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')
        assert len(body) == size
        return send("POST", "/twins", body, user)

    assert answer(65_536).status == 201
    assert answer(65_537).status == 400
    assert b"400141" in answer(65_537).body


@pytest.mark.parametrize(
    ("body", "subcode"), [(b"\xff{}", 400314), (b"{", 400415), (b"[]", 400589), (b"1", 400589)]
)
def test_a_body_that_is_no_json_object(send, user, body, subcode):
    answer = send("POST", "/twins", body, user)
    assert answer.status == 400
    assert str(subcode).encode() in answer.body


def test_an_unknown_twin_is_not_found_and_a_malformed_one_is_refused(api):
    for operation in ("get_twin", "update_twin", "terminate_twin"):
        assert api(operation, str(uuid4()))[1]["subcode"] == 404653
        assert api(operation, "no-uuid")[1]["subcode"] == 400589


def test_a_uuid_is_the_same_in_upper_case(api, twin):
    assert api("get_twin", twin.upper()) == api("get_twin", twin)


class TestUpdate:
    def test_a_description_is_replaced_as_a_whole(self, api, new_twin, clock):
        twin = new_twin({"a": 1, "b": 2})
        created = clock.now()
        clock.advance(10)
        status, updated = api("update_twin", twin, body={"description": {"b": 3}})
        assert status == 200
        assert updated["description"] == {"b": 3}
        assert updated["updated_ts"] == created + 10
        assert updated["creation_certificate"]["created_ts"] == created
        assert api("get_twin", twin)[1] == updated

    @pytest.mark.parametrize("body", [None, {}])
    def test_saying_nothing_changes_nothing_but_the_time(self, api, new_twin, clock, body):
        twin = new_twin({"a": 1})
        clock.advance(1)
        status, updated = api("update_twin", twin, body=body)
        assert (status, updated["description"]) == (200, {"a": 1})
        assert updated["updated_ts"] == clock.now()

    def test_null_removes_and_an_empty_object_empties(self, api, new_twin):
        twin = new_twin({"a": 1})
        assert api("update_twin", twin, body={"description": {}})[1]["description"] == {}
        assert "description" not in api("update_twin", twin, body={"description": None})[1]
        assert "description" not in api("get_twin", twin)[1]

    def test_two_updates_never_share_a_time(self, api, twin):
        one = api("update_twin", twin)[1]["updated_ts"]
        other = api("update_twin", twin)[1]["updated_ts"]
        assert other > one

    def test_a_bad_description_is_refused(self, api, twin):
        status, error = api("update_twin", twin, body={"description": {"a.b": 1}})
        assert (status, error["subcode"]) == (400, 400589)

    def test_only_the_owner_may(self, api, twin, stranger):
        assert api("get_twin", twin, user=stranger)[0] == 200
        for operation in ("update_twin", "terminate_twin"):
            status, error = api(operation, twin, user=stranger)
            assert (status, error["subcode"]) == (403, 403535)
        assert api("get_twin", twin)[1]["status"] == "alive"


class TestTermination:
    def test_the_twin_shows_who_ended_it_and_when(self, api, new_twin, account, clock):
        twin = new_twin({"a": 1})
        clock.advance(5)
        status, ended = api("terminate_twin", twin)
        assert status == 200
        assert ended["status"] == "terminated"
        assert ended["description"] == {"a": 1}
        assert ended["updated_ts"] == clock.now()
        assert ended["termination_certificate"] == {
            "issuer": account,
            "terminated_ts": clock.now(),
        }
        assert api("get_twin", twin) == (200, ended)

    def test_it_happens_once(self, api, twin):
        api("terminate_twin", twin)
        status, error = api("terminate_twin", twin)
        assert (status, error["subcode"]) == (400, 400358)
        assert error["description"] == "Twin already terminated."

    def test_the_description_is_frozen(self, api, new_twin):
        twin = new_twin({"a": 1})
        api("terminate_twin", twin)
        status, error = api("update_twin", twin, body={"description": {}})
        assert (status, error["subcode"]) == (400, 400897)
        assert api("get_twin", twin)[1]["description"] == {"a": 1}

    def test_it_can_be_left_out_of_reads(self, api, twin):
        assert api("get_twin", twin, show_terminated=False)[0] == 200
        api("terminate_twin", twin)
        assert api("get_twin", twin)[0] == 200
        assert api("get_twin", twin, show_terminated="TRUE")[0] == 200
        status, error = api("get_twin", twin, show_terminated="0")
        assert (status, error["subcode"]) == (404, 404653)

    def test_a_flag_must_be_a_flag(self, api, twin):
        assert api("get_twin", twin, show_terminated="maybe")[1]["subcode"] == 400589

    def test_what_is_attached_stays_and_more_can_be_attached(
        self, api, twin, stranger, add, entries, new_doc
    ):
        add(twin, before={"value": 1})
        api("terminate_twin", twin)
        add(twin, after={"value": 2})
        add(twin, user=stranger, theirs={"value": 3})
        assert set(entries(twin)) == {"before", "after"}
        assert api("create_twin_identity", twin, body={"identities": {"SN#1": {}}})[0] == 201
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [twin]
        new_doc(twin, "a.txt", b"text")
        assert api("get_twin_doc", twin, "a.txt")[1]["status"] == "ok"


class TestVisibility:
    def test_a_twin_rule_also_binds_users_of_the_owning_account(self, api, new_twin, new_user):
        valve, pump = new_twin({"kind": "valve"}), new_twin({"kind": "pump"})
        user = new_user({"twin_rule": "TWIN.kind == 'valve'"})
        assert api("get_twin", valve, user=user)[0] == 200
        status, error = api("get_twin", pump, user=user)
        assert (status, error["subcode"]) == (403, 403535)
        for operation in ("get_twin_ledger_entry", "get_twin_identities", "get_twin_docs"):
            assert api(operation, pump, user=user)[0] == 403

    def test_a_twin_rule_can_ask_for_the_request_dictionary(self, api, new_twin, new_user):
        twin = new_twin({"serial": "SN-1"})
        user = new_user({"twin_rule": "TWIN.serial == DICT.serial"})
        assert api("get_twin", twin, user=user)[0] == 403
        assert api("get_twin", twin, user=user, dictionary={"serial": "SN-1"})[0] == 200

    def test_without_a_rule_twins_of_other_accounts_are_hidden(self, api, new_twin, stranger):
        theirs = new_twin(user=stranger)
        assert api("get_twin", theirs)[1]["subcode"] == 403535
        assert api("get_twin", theirs, user=stranger)[0] == 200

    def test_an_operation_that_the_role_does_not_list_is_refused_first(self, api, new_user):
        user = new_user(statement={"effect": "deny", "actions": ["get_twin"]})
        assert api("get_twin", str(uuid4()), user=user)[1]["subcode"] == 403535
        assert api("create_twin", user=user)[0] == 201
