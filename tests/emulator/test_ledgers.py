"""Ledgers: adding and reading value Entries; whose Ledger it is, and who sees what of it."""

from __future__ import annotations

from uuid import uuid4

import pytest

WRITES = ["add_twin_ledger_entry", "update_twin_ledger_entry", "update_twin_ledger_entry_value"]
TIMES = ("entry_created_ts", "entry_updated_ts", "value_changed_ts")


class TestAdd:
    def test_a_new_entry(self, api, twin, clock):
        now = clock.now()
        body = {"entries": {"battery": {"value": 87, "visibility": "true", "history": "2W"}}}
        status, ledger = api("add_twin_ledger_entry", twin, body=body)
        times = dict.fromkeys(TIMES, now)
        entry = {"value": 87, "visibility": "true", "history": "2W", **times}
        whole = {**times, "entries": {"battery": entry}, "indexes": []}
        assert (status, ledger) == (201, whole)
        assert api("get_twin_ledger_entry", twin) == (200, ledger)

    def test_a_value_alone_is_private_and_without_history(self, twin, add):
        entry = add(twin, model={"value": "S2"})["model"]
        assert entry["visibility"] is None
        assert not {"history", "timeseries", "publish", "ref", "include"} & set(entry)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -1.5,
            1e300,
            12345678901234567890,
            "ü\n",
            "",
            [],
            [[{}]],
            {"a": {"b": None}},
        ],
    )
    def test_every_json_value(self, twin, add, entries, value):
        assert add(twin, x={"value": value})["x"]["value"] == value
        found = entries(twin)["x"]["value"]
        assert (found, type(found)) == (value, type(value))

    def test_an_existing_entry_is_left_as_it_is(self, api, twin, add, entries):
        before = add(twin, model={"value": "S2"})["model"]
        body = {"entries": {"model": {"value": "S3"}, "battery": {"value": 1}}}
        status, ledger = api("add_twin_ledger_entry", twin, body=body)
        assert status == 201
        assert ledger["entries"]["model"] == {"error": "Entry already exists."}
        assert ledger["entries"]["battery"]["value"] == 1
        assert set(ledger["entries"]) == {"model", "battery"}
        assert entries(twin)["model"] == before

    def test_the_status_is_the_same_when_all_fail(self, api, twin, add):
        add(twin, model={"value": "S2"})
        body = {"entries": {"model": {"value": "S3"}}}
        assert api("add_twin_ledger_entry", twin, body=body)[0] == 201

    @pytest.mark.parametrize(
        "name", ["krakow", "entry_2", "_x", "_1", "a-b", "1abc", "a__b", "a_", "_", "x" * 128]
    )
    def test_names_of_every_published_form(self, twin, add, entries, name):
        assert "error" not in add(twin, **{name: {"value": 1}})[name]
        assert name in entries(twin)

    @pytest.mark.parametrize("name", ["Abc", "a.b", "", "a b", "ä", "a\n", "x" * 129])
    def test_names_of_no_form(self, api, twin, entries, name):
        body = {"entries": {"good": {"value": 1}, name: {"value": 1}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589
        assert entries(twin) == {}

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            None,
            5,
            {"visibility": "true"},
            {"value": 1, "color": 1},
            {"value": 1, "visibility": 5},
            {"value": 1, "visibility": "a ="},
            {"value": 1, "history": "3Mxyz"},
            {"value": 1, "history": "xxINF"},
            {"value": 1, "history": "0D"},
            {"value": 1, "history": "1000D"},
            {"value": 1, "history": 3},
            {"value": 1, "publish": []},
            {"value": 1, "publish": {"a =": ["topic"]}},
            {"value": 1, "publish": {"true": "topic"}},
            {"value": 1, "publish": {"true": []}},
            {"value": 1, "publish": {"true": [1]}},
            {"value": 1, "timeseries": []},
            {"value": 1, "timeseries": {"table": {"columns": 1}}},
            {"value": 1, "ref": {"source": "x"}},
            {"value": 1, "include": {"source": "x"}},
        ],
    )
    def test_wrong_fields_add_nothing(self, api, twin, entries, fields):
        body = {"entries": {"good": {"value": 1}, "x": fields}}
        status, error = api("add_twin_ledger_entry", twin, body=body)
        assert (status, error["subcode"]) == (400, 400589)
        assert entries(twin) == {}

    def test_what_the_service_sets_is_ignored_when_it_is_sent_back(self, twin, new_twin, add):
        entry = add(twin, x={"value": 1, "history": "INF"})["x"]
        other = new_twin()
        assert add(other, x={**entry, "entry_created_ts": 5})["x"] == entry

    def test_publish_is_kept(self, twin, add, entries):
        publish = {"entry_value > 3": ["topic-{entry_name}", "all"]}
        assert add(twin, x={"value": 1, "publish": publish})["x"]["publish"] == publish
        assert entries(twin)["x"]["publish"] == publish


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"entries": {}},
        {"entries": []},
        {"entries": None},
        {"entries": {"x": {"value": 1}}, "more": 1},
        {"entries": {"x": {"value": 1}}, "conditions": []},
        {"entries": {"x": {"value": 1}}, "conditions": {"x": "a ="}},
        {"entries": {"x": {"value": 1}}, "conditions": {"x": True}},
        {"entries": {"x": {"value": 1}}, "conditions": {"X": "true"}},
        {"entries": {"x": {"value": 1}}, "transaction": 1},
        {"entries": {"x": {"value": 1}}, "transaction": "true"},
    ],
)
def test_bodies_of_a_wrong_form(api, twin, operation, body):
    status, error = api(operation, twin, body=body)
    assert (status, error["subcode"]) == (400, 400589)


@pytest.mark.parametrize("operation", WRITES)
def test_the_form_is_checked_before_the_twin_is_looked_for(api, operation):
    assert api(operation, str(uuid4()), body={})[1]["subcode"] == 400589
    body = {"entries": {"x": {"value": 1}}}
    assert api(operation, str(uuid4()), body=body)[1]["subcode"] == 404653


class TestRead:
    def test_a_ledger_that_never_had_entries(self, api, twin):
        assert api("get_twin_ledger_entry", twin) == (200, {"entries": {}, "indexes": []})
        assert api("get_twin_ledger_entry_value", twin) == (200, {"entries": {}})

    @pytest.mark.parametrize("names", [["a", "c"], "a,c", ["a,c", "a"], ["a", "c", "missing"]])
    def test_some_entries(self, twin, add, entries, names):
        add(twin, a={"value": 1}, b={"value": 2}, c={"value": 3})
        assert list(entries(twin, entries=names)) == ["a", "c"]

    def test_an_empty_list_of_names_is_none(self, twin, add, entries):
        add(twin, a={"value": 1}, b={"value": 2})
        assert list(entries(twin, entries="")) == ["a", "b"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, {"public", "private", "publicref", "privateref"}),
            ({"show_references": False}, {"public", "private"}),
            ({"show_public": False}, {"private", "privateref"}),
            ({"show_private": "false"}, {"public", "publicref"}),
            ({"show_private": "0", "show_references": "FALSE"}, {"public"}),
            ({"show_private": "0", "show_public": "0"}, set()),
        ],
    )
    def test_filters_of_the_personal_ledger(self, twin, new_twin, add, entries, query, expected):
        ref = {"source": f"twin://{new_twin()}/{uuid4()}/x"}
        add(
            twin,
            public={"value": 1, "visibility": "true"},
            private={"value": 1},
            publicref={"ref": ref, "visibility": "true"},
            privateref={"ref": ref},
        )
        assert set(entries(twin, **query)) == expected

    def test_the_ledgers_times_are_the_latest_of_its_entries(self, api, twin, add, update, clock):
        start = clock.now()
        add(twin, a={"value": 1})
        clock.advance(1)
        add(twin, b={"value": 1})
        clock.advance(1)
        update(twin, a={"value": 2})
        clock.advance(1)
        update(twin, b={"visibility": "true"})
        _, ledger = api("get_twin_ledger_entry", twin)
        assert [ledger[name] - start for name in TIMES] == [1, 3, 2]

    def test_values_alone(self, api, twin, add):
        entry = add(twin, a={"value": [1], "visibility": "true", "history": "INF"}, b={"value": 2})
        status, answer = api("get_twin_ledger_entry_value", twin, entries="a")
        expected = {"value": [1], **{name: entry["a"][name] for name in TIMES}}
        assert (status, answer) == (200, {"entries": {"a": expected}})
        assert set(api("get_twin_ledger_entry_value", twin)[1]["entries"]) == {"a", "b"}


class TestWhoseLedger:
    def test_foreign_readers_see_four_fields_of_visible_entries(
        self, api, twin, add, entries, stranger, account
    ):
        added = add(
            twin,
            open={"value": 1, "visibility": "true", "history": "INF", "publish": {"true": ["t"]}},
            closed={"value": 2},
            never={"value": 3, "visibility": "false"},
            word={"value": 4, "visibility": "public"},
            broken={"value": 5, "visibility": "entry_value.x > 1"},
        )
        seen = {"value": 1, **{name: added["open"][name] for name in TIMES}}
        for ledger in ("owner", "creator", account, account.upper()):
            status, answer = api("get_twin_ledger_entry", twin, ledger, user=stranger)
            assert (status, answer) == (200, {"entries": {"open": seen}})
        for ledger in ("owner", account):
            answer = api("get_twin_ledger_entry_value", twin, ledger, user=stranger)
            assert answer == (200, {"entries": {"open": seen}})
        # Their filters are for personal Ledgers only, names still count.
        query = {"show_public": False, "show_private": False, "user": stranger}
        assert set(entries(twin, "owner", **query)) == {"open"}
        assert entries(twin, "owner", entries="closed", user=stranger) == {}

    def test_every_account_has_its_own(
        self, twin, add, entries, stranger, account, stranger_account
    ):
        add(twin, x={"value": "ours"})
        add(twin, user=stranger, x={"value": "theirs", "visibility": "true"})
        assert entries(twin)["x"]["value"] == "ours"
        assert entries(twin, user=stranger)["x"]["value"] == "theirs"
        assert entries(twin, "owner", user=stranger) == {}
        assert entries(twin, stranger_account, user=stranger)["x"]["visibility"] == "true"

    def test_aliases_of_the_own_account_are_personal(self, api, twin, add, account):
        add(twin, x={"value": 1})
        personal = api("get_twin_ledger_entry", twin, "personal")
        for ledger in ("owner", "creator", account):
            assert api("get_twin_ledger_entry", twin, ledger) == personal

    def test_a_ledger_that_is_not_there(self, api, twin):
        assert api("get_twin_ledger_entry", twin, str(uuid4())) == (200, {"entries": {}})

    @pytest.mark.parametrize("ledger", ["mine", "Personal", "personal ", "0"])
    def test_a_word_that_is_no_ledger(self, api, twin, ledger):
        assert api("get_twin_ledger_entry", twin, ledger)[1]["subcode"] == 400589

    @pytest.mark.parametrize(
        ("operation", "ledger"),
        [
            ("get_twin_ledger_entry_value", "creator"),
            ("get_twin_ledger_entry_history", "creator"),
            ("delete_twin_ledger_entry", "owner"),
            ("delete_twin_ledger_entry", "creator"),
        ],
    )
    def test_aliases_that_an_operation_does_not_take(self, api, twin, operation, ledger):
        assert api(operation, twin, ledger)[1]["subcode"] == 400589

    @pytest.mark.parametrize("operation", WRITES)
    def test_writes_go_to_the_own_ledger(self, api, twin, operation, account, stranger, entries):
        body = {"entries": {"x": {"value": 1}}}
        assert api(operation, twin, account, body=body)[0] in (200, 201)
        assert api(operation, twin, "owner", body=body)[1]["subcode"] == 400589
        status, error = api(operation, twin, account, body=body, user=stranger)
        assert (status, error["subcode"]) == (403, 403535)
        assert entries(twin, user=stranger) == {}

    def test_deleting_from_a_foreign_ledger(self, api, twin, add, entries, account, stranger):
        add(twin, x={"value": 1, "visibility": "true"})
        status, error = api("delete_twin_ledger_entry", twin, account, user=stranger)
        assert (status, error["subcode"]) == (403, 403535)
        assert set(entries(twin)) == {"x"}

    def test_rules_can_ask_for_the_reader_and_the_whole_ledger(
        self, api, twin, add, entries, stranger
    ):
        add(
            twin,
            public={"value": ["named"]},
            named={"value": 1, "visibility": "entry_name in LEDGER.public"},
            other={"value": 2, "visibility": "entry_name in LEDGER.public"},
            price={"value": 3, "visibility": "USER.profession == 'accounting'"},
            described={"value": 4, "visibility": "TWIN.kind == 'pump'"},
        )
        assert set(entries(twin, "owner", user=stranger)) == {"named"}
        body = {"description": {"profession": "accounting"}}
        api("update_user", stranger, body=body, user=stranger)
        assert set(entries(twin, "owner", user=stranger)) == {"named", "price"}
        api("update_twin", twin, body={"description": {"kind": "pump"}})
        assert set(entries(twin, "owner", user=stranger)) == {"named", "price", "described"}

    def test_the_entry_rule_binds_the_own_account_too(self, api, twin, add, entries, new_user):
        add(twin, price={"value": 1, "history": "INF"}, margin={"value": 2, "history": "INF"})
        user = new_user({"entry_rule": "entry_name == 'price'"})
        assert set(entries(twin, user=user)) == {"price"}
        body = {"entries": {"price": {"value": 3}, "margin": {"value": 4}}}
        _, answer = api("update_twin_ledger_entry", twin, body=body, user=user)
        assert answer["entries"]["price"]["value"] == 3
        assert answer["entries"]["margin"] == {"error": "Entry not accessible."}
        _, answer = api("delete_twin_ledger_entry", twin, user=user)
        assert set(answer["entries"]) == {"price"}
        assert set(entries(twin)) == {"margin"}

    def test_a_role_without_an_entry_rule_sees_no_foreign_entries(
        self, api, twin, add, entries, stranger, stranger_account
    ):
        add(twin, user=stranger, x={"value": 1, "visibility": "true"})
        assert entries(twin, stranger_account) == {}


def test_what_is_no_name_cannot_be_removed(api, twin, add, entries):
    add(twin, a={"value": 1})
    assert api("delete_twin_ledger_entry", twin, entries=["a", "No name"])[0] == 400
    assert entries(twin).keys() == {"a"}
