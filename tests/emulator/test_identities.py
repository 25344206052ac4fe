"""Identities and resolving them."""

from __future__ import annotations

from uuid import uuid4

import pytest


@pytest.fixture
def name(api):
    """Give a Twin Identities: ``name(twin, {"SN#1": {}}) -> the answered Identities``."""

    def name(twin, identities, **options):
        body = {"identities": identities}
        status, answer = api("create_twin_identity", twin, body=body, **options)
        assert status == 201, answer
        return answer["identities"]

    return name


@pytest.fixture
def listed(api):
    """List the Identities of a Twin: ``listed(twin, show_foreign=True) -> set of texts``."""

    def listed(twin, **options):
        status, answer = api("get_twin_identities", twin, **options)
        assert status == 200, answer
        return set(answer["identities"])

    return listed


def test_create_and_get(api, name, twin, account, clock):
    made = name(twin, {"QR#SC-4471": {"visibility": "USER.team == 'service'"}, "SN#1": {}})
    expected = {
        "validity_ts": None,
        "visibility": "USER.team == 'service'",
        "updated_ts": clock.now(),
        "creation_certificate": {
            "identity": "QR#SC-4471",
            "creator": account,
            "created_ts": clock.now(),
        },
    }
    assert made["QR#SC-4471"] == expected
    assert made["SN#1"]["visibility"] is None
    assert api("get_twin_identity", twin, "QR#SC-4471") == (200, expected)


def test_characters_that_paths_must_encode(api, name, twin):
    text = "R_1#a+b=c-_"
    name(twin, {text: {}})
    assert api("get_twin_identity", twin, text)[0] == 200
    assert api("resolve_twin_identity", text)[1]["twins"] == [twin]


def test_an_identity_that_exists_is_left_as_it_is(api, name, twin):
    name(twin, {"SN#1": {"validity_ts": 1_900_000_000}})
    made = name(twin, {"SN#1": {"visibility": "true"}, "SN#2": {}})
    assert made["SN#1"] == {"error": "Identity already exists."}
    assert made["SN#2"]["creation_certificate"]["identity"] == "SN#2"
    assert api("get_twin_identity", twin, "SN#1")[1]["visibility"] is None
    assert api("get_twin_identity", twin, "SN#1")[1]["validity_ts"] == 1_900_000_000


def test_the_same_text_on_other_twins_and_of_other_accounts(
    name, twin, new_twin, api, stranger, stranger_account
):
    other = new_twin()
    assert "error" not in name(other, {"SN#1": {}})["SN#1"]
    assert "error" not in name(twin, {"SN#1": {}})["SN#1"]
    made = name(twin, {"SN#1": {}}, user=stranger)["SN#1"]
    assert made["creation_certificate"]["creator"] == stranger_account
    assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [twin, other]


@pytest.mark.parametrize(
    "identities",
    [
        {},
        {"noseparator": {}},
        {"TOOLONGTYPE#1": {}},
        {"SN#": {}},
        {"SN#" + "x" * 129: {}},
        {"1N#1": {}},
        {"SN#ü": {}},
        {"SN#1\n": {}},
        {"SN#1": None},
        {"SN#1": {"validity_ts": "tomorrow"}},
        {"SN#1": {"validity_ts": True}},
        {"SN#1": {"visibility": True}},
        {"SN#1": {"visibility": "a ="}},
        {"SN#1": {"visibility": ""}},
        {"SN#1": {"created_ts": 1}},
        ["SN#1"],
        None,
    ],
)
def test_a_wrong_body_creates_nothing(api, twin, identities, listed):
    body = {"identities": identities}
    if isinstance(identities, dict) and identities:
        body["identities"] = {"OK#1": {}, **identities}
    status, error = api("create_twin_identity", twin, body=body)
    assert (status, error["subcode"]) == (400, 400589)
    assert listed(twin) == set()


def test_a_body_is_needed(api, twin):
    assert api("create_twin_identity", twin)[1]["subcode"] == 400589
    assert api("create_twin_identity", twin, body={})[1]["subcode"] == 400589


class TestUpdate:
    def test_what_is_said_replaces_and_the_rest_stays(self, api, name, twin, clock):
        name(twin, {"SN#1": {"validity_ts": 1_900_000_000.5, "visibility": "true"}})
        created = clock.now()
        clock.advance(3)
        status, updated = api("update_twin_identity", twin, "SN#1", body={"visibility": None})
        assert status == 201
        assert updated["visibility"] is None
        assert updated["validity_ts"] == 1_900_000_000.5
        assert updated["updated_ts"] == created + 3
        assert updated["creation_certificate"]["created_ts"] == created
        status, updated = api("update_twin_identity", twin, "SN#1", body={"validity_ts": None})
        assert (updated["validity_ts"], updated["visibility"]) == (None, None)
        assert api("get_twin_identity", twin, "SN#1")[1] == updated

    def test_an_expired_one_can_be_revived(self, api, name, twin, clock):
        name(twin, {"SN#1": {"validity_ts": clock.now() - 1}})
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == []
        later = clock.now() + 60
        api("update_twin_identity", twin, "SN#1", body={"validity_ts": later})
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [twin]

    def test_refusals(self, api, name, twin):
        name(twin, {"SN#1": {}})
        bad = api("update_twin_identity", twin, "SN#1", body={"identity": "SN#2"})
        assert bad[1]["subcode"] == 400589
        assert api("update_twin_identity", twin, "SN#2", body={})[1]["subcode"] == 404653


def test_delete_frees_the_text(api, name, twin):
    made = name(twin, {"SN#1": {"visibility": "true"}})["SN#1"]
    assert api("delete_twin_identity", twin, "SN#1") == (200, made)
    assert api("get_twin_identity", twin, "SN#1")[1]["subcode"] == 404653
    assert api("delete_twin_identity", twin, "SN#1")[1]["subcode"] == 404653
    assert "error" not in name(twin, {"SN#1": {}})["SN#1"]


def test_details_are_for_the_own_account_only(api, name, twin, stranger):
    name(twin, {"SN#1": {"visibility": "true"}})
    for operation in ("get_twin_identity", "delete_twin_identity"):
        assert api(operation, twin, "SN#1", user=stranger)[1]["subcode"] == 404653
    body = {"visibility": None}
    assert api("update_twin_identity", twin, "SN#1", body=body, user=stranger)[0] == 404
    assert api("get_twin_identity", twin, "SN#1")[1]["visibility"] == "true"


def test_unknown_twins_and_malformed_identities(api, twin):
    assert api("get_twin_identity", str(uuid4()), "SN#1")[1]["subcode"] == 404653
    assert api("get_twin_identity", twin, "nothing")[1]["subcode"] == 400589
    assert api("resolve_twin_identity", "nothing")[1]["subcode"] == 400589


class TestListing:
    @pytest.fixture
    def twin(self, twin, name, clock):
        over, ahead = clock.now() - 1, clock.now() + 100
        name(
            twin,
            {
                "A#public": {"visibility": "true"},
                "A#private": {"validity_ts": ahead},
                "A#publicold": {"visibility": "true", "validity_ts": over},
                "A#privateold": {"validity_ts": clock.now()},
            },
        )
        return twin

    def test_the_short_form(self, api, twin, clock):
        _, answer = api("get_twin_identities", twin)
        assert answer["identities"]["A#private"] == {
            "validity_ts": clock.now() + 100,
            "created_ts": clock.now(),
            "updated_ts": clock.now(),
        }

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, {"public", "private"}),
            ({"show_expired": True}, {"public", "private", "publicold", "privateold"}),
            ({"show_valid": False, "show_expired": True}, {"publicold", "privateold"}),
            ({"show_valid": False}, set()),
            ({"show_public": False}, {"private"}),
            ({"show_private": False}, {"public"}),
            ({"show_private": False, "show_public": False}, set()),
            ({"show_personal": False, "show_expired": True}, set()),
            ({"show_private": "False", "show_expired": "1"}, {"public", "publicold"}),
        ],
    )
    def test_filters_of_the_own_ones(self, listed, twin, query, expected):
        assert listed(twin, **query) == {f"A#{name}" for name in expected}

    def test_those_of_others_when_they_are_visible_and_valid(
        self, listed, twin, stranger, account, stranger_account
    ):
        assert listed(twin, user=stranger) == set()
        assert listed(twin, show_foreign=True, user=stranger) == {"A#public"}
        assert listed(twin, show_foreign=account, user=stranger) == {"A#public"}
        assert listed(twin, show_foreign=stranger_account, user=stranger) == set()
        # The filters are about the caller's own Identities only.
        query = {"show_foreign": True, "show_personal": False, "show_public": False}
        assert listed(twin, **query, user=stranger) == {"A#public"}

    def test_of_one_text_the_own_one_is_shown(self, api, twin, name, stranger, clock):
        clock.advance(50)
        name(twin, {"A#public": {}}, user=stranger)
        _, answer = api("get_twin_identities", twin, show_foreign=True, user=stranger)
        assert answer["identities"]["A#public"]["created_ts"] == clock.now()
        _, answer = api("get_twin_identities", twin, show_foreign=True)
        assert answer["identities"]["A#public"]["created_ts"] == clock.now() - 50

    def test_a_flag_that_is_none(self, api, twin):
        assert api("get_twin_identities", twin, show_foreign="some")[1]["subcode"] == 400589

    def test_the_identity_rule_binds_the_own_account_too(self, listed, api, twin, new_user):
        user = new_user({"identity_rule": "identity =~ '.*private'"})
        assert listed(twin, user=user) == {"A#private"}
        assert api("get_twin_identity", twin, "A#public", user=user)[0] == 404
        assert api("resolve_twin_identity", "A#public", user=user)[1]["twins"] == []


class TestResolve:
    def test_nothing_found_is_an_empty_list(self, api):
        assert api("resolve_twin_identity", "SN#none") == (200, {"twins": []})

    def test_personal_by_default(self, api, name, twin, stranger):
        name(twin, {"SN#1": {"visibility": "true"}})
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [twin]
        assert api("resolve_twin_identity", "SN#1", context="personal")[1]["twins"] == [twin]
        assert api("resolve_twin_identity", "SN#1", user=stranger)[1]["twins"] == []

    def test_contexts(self, api, name, twin, stranger, account, stranger_account):
        name(twin, {"SN#1": {"visibility": "true"}, "SN#2": {}})

        def resolve(text, context):
            query = {"context": context, "user": stranger}
            return api("resolve_twin_identity", text, **query)[1]["twins"]

        assert resolve("SN#1", "system") == [twin]
        assert resolve("SN#1", account) == [twin]
        assert resolve("SN#1", account.upper()) == [twin]
        assert resolve("SN#1", [stranger_account, account]) == [twin]
        assert resolve("SN#1", f"{stranger_account},{account}") == [twin]
        assert resolve("SN#1", stranger_account) == []
        assert resolve("SN#2", "system") == []
        assert resolve("SN#2", account) == []

    def test_visibility_rules_are_about_the_reader(self, api, name, twin, stranger):
        name(
            twin,
            {"SN#1": {"visibility": "USER.team == 'service'"}, "SN#2": {"visibility": "public"}},
        )
        query = {"context": "system", "user": stranger}
        assert api("resolve_twin_identity", "SN#1", **query)[1]["twins"] == []
        api("update_user", stranger, body={"description": {"team": "service"}}, user=stranger)
        assert api("resolve_twin_identity", "SN#1", **query)[1]["twins"] == [twin]
        # A bare word is a variable that does not exist.
        assert api("resolve_twin_identity", "SN#2", **query)[1]["twins"] == []

    def test_a_role_without_an_identity_rule_sees_no_foreign_ones(
        self, api, name, new_twin, stranger
    ):
        theirs = new_twin(user=stranger)
        name(theirs, {"SN#1": {"visibility": "true"}}, user=stranger)
        assert api("resolve_twin_identity", "SN#1", context="system")[1]["twins"] == []

    def test_details_only_of_visible_twins(self, api, name, new_twin, new_user):
        pump, valve = new_twin({"kind": "pump"}), new_twin({"kind": "valve"})
        for twin in (pump, valve):
            name(twin, {"SN#1": {}})
        user = new_user({"twin_rule": "TWIN.kind == 'valve'"})
        assert api("resolve_twin_identity", "SN#1", user=user)[1]["twins"] == [pump, valve]
        _, answer = api("resolve_twin_identity", "SN#1", details=True, user=user)
        assert answer["twins"] == [api("get_twin", valve)[1]]

    def test_a_twin_appears_once(self, api, name, twin, stranger):
        name(twin, {"SN#1": {"visibility": "true"}})
        name(twin, {"SN#1": {"visibility": "true"}}, user=stranger)
        answer = api("resolve_twin_identity", "SN#1", context="system", user=stranger)
        assert answer[1]["twins"] == [twin]

    def test_expired_ones_do_not_resolve_but_those_of_terminated_twins_do(
        self, api, name, new_twin, clock
    ):
        ended, other = new_twin(), new_twin()
        name(ended, {"SN#1": {}})
        name(other, {"SN#1": {"validity_ts": clock.now() + 10}})
        api("terminate_twin", ended)
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [ended, other]
        clock.advance(10)
        assert api("resolve_twin_identity", "SN#1")[1]["twins"] == [ended]

    @pytest.mark.parametrize("context", ["nobody", ["personal", "system"]])
    def test_a_context_that_is_none(self, api, context):
        answer = api("resolve_twin_identity", "SN#1", context=context)
        assert answer[1]["subcode"] == 400589

    def test_words_and_accounts_do_not_mix(self, api, account):
        answer = api("resolve_twin_identity", "SN#1", context=["personal", account])
        assert answer[1]["subcode"] == 400589


def test_the_latest_time_that_there_is_can_be_sent_back(api, twin):
    body = {"identities": {"SN#A17": {"validity_ts": 999_999_999_999.9999}}}
    made = api("create_twin_identity", twin, body=body)[1]["identities"]["SN#A17"]
    body = {"validity_ts": made["validity_ts"]}
    assert api("update_twin_identity", twin, "SN#A17", body=body)[0] == 201
