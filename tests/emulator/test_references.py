"""Reference Entries: statuses, propagation, visibility, loops and chains."""

from __future__ import annotations

from uuid import uuid4

import pytest


@pytest.fixture
def source_of(account):
    """The address of an Entry: ``source_of(twin, "x", account) -> {"source": ...}``."""
    first = account

    def source_of(twin, name, account=first):
        return {"source": f"twin://{twin}/{account}/{name}"}

    return source_of


@pytest.fixture
def source(new_twin, add):
    """A Twin with a value Entry ``x``."""
    twin = new_twin()
    add(twin, x={"value": 1})
    return twin


@pytest.fixture
def state(entries):
    """Value and status of a reference."""

    def state(twin, name="r", **options):
        entry = entries(twin, **options)[name]
        return entry["value"], entry["ref"]["status"]

    return state


def test_created_in_the_answer_and_there_for_the_next_reader(
    twin, source, add, entries, source_of, clock
):
    made = add(twin, r={"ref": source_of(source, "x"), "visibility": "true"})["r"]
    ref = source_of(source, "x")
    assert made == {
        "value": None,
        "ref": {**ref, "status": "created"},
        "visibility": "true",
        "entry_created_ts": clock.now(),
        "entry_updated_ts": clock.now(),
        "value_changed_ts": clock.now(),
    }
    found = entries(twin)["r"]
    assert found["ref"] == {**ref, "status": "ok"}
    assert found["value"] == 1
    assert found["value_changed_ts"] > made["value_changed_ts"]
    assert found["entry_updated_ts"] == made["entry_updated_ts"]


def test_a_change_of_the_source_is_copied(twin, source, add, entries, update, source_of, clock):
    add(twin, r={"ref": source_of(source, "x")})
    before = entries(twin)["r"]
    clock.advance(5)
    update(source, x={"value": {"deep": [2]}})
    after = entries(twin)["r"]
    assert after == {**before, "value": {"deep": [2]}, "value_changed_ts": clock.now()}


def test_an_equal_value_moves_nothing(twin, source, add, entries, update, source_of, clock):
    add(twin, r={"ref": source_of(source, "x")})
    before = entries(twin)
    clock.advance(5)
    update(source, x={"value": 1})
    assert entries(twin) == before
    update(source, x={"value": True})
    assert entries(twin)["r"]["value"] is True


def test_changes_of_values_alone_are_copied_too(api, twin, source, add, state, source_of):
    add(twin, r={"ref": source_of(source, "x")})
    api("update_twin_ledger_entry_value", source, body={"entries": {"x": {"value": 9}}})
    assert state(twin) == (9, "ok")


def test_a_missing_source(api, twin, source, add, entries, state, source_of, clock):
    for ref in (
        source_of(source, "y"),
        source_of(str(uuid4()), "x"),
        source_of(source, "x", uuid4()),
    ):
        made = add(twin, r={"ref": ref})["r"]
        assert state(twin) == (None, "not_found")
        # Only the status has changed.
        assert entries(twin)["r"]["value_changed_ts"] == made["value_changed_ts"]
        api("delete_twin_ledger_entry", twin)


def test_a_source_that_comes_goes_and_comes_back(
    api, twin, source, add, entries, state, source_of, clock
):
    add(twin, r={"ref": source_of(source, "y")})
    assert state(twin) == (None, "not_found")
    add(source, y={"value": 5})
    assert state(twin) == (5, "ok")
    clock.advance(1)
    api("delete_twin_ledger_entry", source, entries="y")
    assert state(twin) == (None, "not_found")
    assert entries(twin)["r"]["value_changed_ts"] == clock.now()
    add(source, y={"value": 6})
    assert state(twin) == (6, "ok")


def test_a_source_with_the_value_null_is_found(twin, source, add, update, state, source_of):
    add(twin, r={"ref": source_of(source, "x")})
    update(source, x={"value": None})
    assert state(twin) == (None, "ok")


def test_emptying_a_ledger_loses_all_its_references(api, twin, source, add, state, source_of):
    add(twin, r={"ref": source_of(source, "x")})
    api("delete_twin_ledger_entry", source)
    assert state(twin) == (None, "not_found")


def test_upper_case_uuids_are_the_same(twin, source, add, state, source_of, update):
    address = source_of(source, "x")["source"]
    add(twin, r={"ref": {"source": address.upper().replace("TWIN", "twin").replace("/X", "/x")}})
    assert state(twin) == (1, "ok")
    update(source, x={"value": 2})
    assert state(twin) == (2, "ok")


class TestVisibility:
    """Judged for the account that refers, not for a user."""

    def test_of_another_accounts_source(
        self, twin, source, add, update, state, source_of, stranger
    ):
        add(twin, user=stranger, r={"ref": source_of(source, "x")})
        assert state(twin, user=stranger) == (None, "not_found")
        update(source, x={"visibility": "true"})
        assert state(twin, user=stranger) == (1, "ok")
        update(source, x={"value": 2})
        assert state(twin, user=stranger) == (2, "ok")
        update(source, x={"visibility": None})
        assert state(twin, user=stranger) == (None, "not_found")

    def test_rules_know_the_account_but_no_user(
        self, api, twin, source, add, update, state, source_of, stranger, stranger_account
    ):
        body = {"description": {"team": "x"}}
        api("update_user", stranger, body=body, user=stranger)
        add(twin, user=stranger, r={"ref": source_of(source, "x")})
        update(source, x={"visibility": f"account == '{stranger_account}'"})
        assert state(twin, user=stranger) == (1, "ok")
        update(source, x={"visibility": "USER.team == 'x'"})
        assert state(twin, user=stranger) == (None, "not_found")
        update(source, x={"visibility": "user == null and role == null and DICT == null"})
        assert state(twin, user=stranger) == (1, "ok")

    def test_rules_know_the_twin_and_the_ledger(
        self, twin, new_twin, add, state, source_of, stranger
    ):
        source = new_twin({"kind": "pump"})
        add(
            source,
            public={"value": ["x"]},
            x={"value": 1, "visibility": "TWIN.kind == 'pump' and entry_name in LEDGER.public"},
            y={"value": 2, "visibility": "TWIN.kind == 'pump' and entry_name in LEDGER.public"},
        )
        refs = {name: {"ref": source_of(source, name)} for name in ("x", "y")}
        add(twin, user=stranger, **refs)
        assert state(twin, "x", user=stranger) == (1, "ok")
        assert state(twin, "y", user=stranger) == (None, "not_found")

    def test_a_reference_is_shown_by_its_own_visibility(
        self, twin, source, add, entries, source_of, stranger
    ):
        ref = source_of(source, "x")
        add(twin, open={"ref": ref, "visibility": "true"}, closed={"ref": ref})
        seen = entries(twin, "owner", user=stranger)
        assert set(seen) == {"open"}
        assert seen["open"]["value"] == 1
        assert set(seen["open"]) == {
            "value",
            "entry_created_ts",
            "entry_updated_ts",
            "value_changed_ts",
        }

    def test_in_a_chain_every_account_judges_its_own_step(
        self, twin, new_twin, source, add, update, state, source_of, stranger, stranger_account
    ):
        # ours <- theirs <- ours again
        middle, end = new_twin(), twin
        update(source, x={"visibility": "true"})
        ref = source_of(source, "x")
        add(middle, user=stranger, m={"ref": ref, "visibility": "true"})
        add(end, r={"ref": source_of(middle, "m", stranger_account)})
        assert state(end) == (1, "ok")
        update(source, x={"visibility": None})
        assert state(end) == (None, "not_found")


class TestChains:
    def chain(self, new_twin, add, source_of, start, length):
        """Each new Twin refers to the one before; returns the Twins."""
        twins, address = [], source_of(start, "x")
        for _ in range(length):
            twins.append(new_twin())
            add(twins[-1], r={"ref": address})
            address = source_of(twins[-1], "r")
        return twins

    def test_32_hops_and_no_more(self, new_twin, source, add, state, update, source_of):
        twins = self.chain(new_twin, add, source_of, source, 34)
        assert state(twins[31]) == (1, "ok")
        assert state(twins[32]) == (None, "too_many_hops")
        assert state(twins[33]) == (None, "too_many_hops")
        update(source, x={"value": 2})
        assert [state(twin) for twin in twins[:32]] == [(2, "ok")] * 32
        assert state(twins[32]) == (None, "too_many_hops")

    def test_a_shorter_way_reaches_the_end(self, new_twin, source, add, state, update, source_of):
        twins = self.chain(new_twin, add, source_of, source, 33)
        update(twins[16], r={"ref": source_of(source, "x")})
        assert state(twins[32]) == (1, "ok")

    def test_a_loop_of_two(self, api, twin, new_twin, add, state, source_of):
        other = new_twin()
        add(twin, r={"ref": source_of(other, "r")})
        assert state(twin) == (None, "not_found")
        add(other, r={"ref": source_of(twin, "r")})
        assert state(twin) == (None, "loop_detected")
        assert state(other) == (None, "loop_detected")
        outside = new_twin()
        add(outside, r={"ref": source_of(twin, "r")})
        assert state(outside) == (None, "loop_detected")
        api("delete_twin_ledger_entry", other)
        assert state(twin) == state(outside) == (None, "not_found")
        add(other, r={"value": 5})
        assert state(twin) == state(outside) == (5, "ok")

    def test_many_references_to_one_source(self, new_twin, source, add, state, update, source_of):
        twins = self.chain(new_twin, add, source_of, source, 1)
        for _ in range(20):
            twins.append(new_twin())
            add(twins[-1], r={"ref": source_of(source, "x")})
        update(source, x={"value": 7})
        assert {state(twin) for twin in twins} == {(7, "ok")}

    def test_within_one_request(self, api, twin, new_twin, add, state, source_of):
        other = new_twin()
        refs = {f"r{n}": {"ref": source_of(other, f"s{n}")} for n in range(3)}
        add(twin, **refs)
        add(other, **{f"s{n}": {"value": n} for n in range(3)})
        assert [state(twin, f"r{n}") for n in range(3)] == [(n, "ok") for n in range(3)]


class TestWriting:
    def test_the_value_is_not_the_callers(self, api, twin, source, add, entries, update, source_of):
        add(twin, r={"ref": source_of(source, "x")})
        before = entries(twin)
        refused = {"r": {"error": "Entry value cannot be changed."}}
        assert update(twin, r={"value": 5, "visibility": "true"}) == refused
        body = {"entries": {"r": {"value": 5}}}
        assert api("update_twin_ledger_entry_value", twin, body=body)[1]["entries"] == refused
        assert entries(twin) == before

    def test_it_stays_a_reference(self, twin, source, add, entries, update, source_of):
        add(twin, r={"ref": source_of(source, "x")})
        before = entries(twin)
        for fields in ({"ref": None}, {"include": {"source": f"twin://{source}/x"}}):
            assert update(twin, r=fields) == {"r": {"error": "Entry type cannot be changed."}}
        assert entries(twin) == before

    def test_another_source(self, twin, source, add, entries, update, state, source_of, clock):
        add(source, y={"value": 2})
        add(twin, r={"ref": source_of(source, "x"), "history": "INF"})
        clock.advance(1)
        answer = update(twin, r={"ref": source_of(source, "y")})["r"]
        assert answer["ref"] == {**source_of(source, "y"), "status": "created"}
        assert answer["value"] is None
        assert answer["entry_updated_ts"] == clock.now()
        assert state(twin) == (2, "ok")
        update(source, x={"value": 50})
        assert state(twin) == (2, "ok")

    def test_the_same_source_sent_back_changes_nothing(
        self, twin, source, add, entries, update, source_of, clock
    ):
        add(twin, r={"ref": source_of(source, "x")})
        entry = entries(twin)["r"]
        clock.advance(1)
        assert update(twin, r={"ref": entry["ref"]}) == {"r": entry}

    def test_properties(self, api, twin, source, add, update, source_of, clock):
        add(twin, r={"ref": source_of(source, "x")})
        clock.advance(1)
        entry = update(
            twin, r={"visibility": "true", "history": "INF", "publish": {"true": ["t"]}}
        )["r"]
        assert (entry["visibility"], entry["history"]) == ("true", "INF")
        assert entry["entry_updated_ts"] == clock.now()
        assert entry["ref"]["status"] == "ok"

    def test_copies_have_history(self, api, twin, source, add, update, source_of, clock):
        add(twin, r={"ref": source_of(source, "x"), "history": "INF"})
        for value in (2, 3):
            clock.advance(1)
            update(source, x={"value": value})
        _, answer = api("get_twin_ledger_entry_history", twin)
        assert list(answer["entries"]["r"].values()) == [3, 2, 1, None]

    def test_visibility_inside_the_ref_counts_unless_it_is_beside(
        self, twin, source, add, source_of
    ):
        ref = {**source_of(source, "x"), "visibility": "true"}
        assert add(twin, r={"ref": ref})["r"]["visibility"] == "true"
        assert add(twin, s={"ref": ref, "visibility": "false"})["s"]["visibility"] == "false"

    def test_no_reference_inside_one_ledger(self, twin, add, entries, update, source, source_of):
        refused = {"error": "Reference source must be in a different Ledger."}
        add(twin, x={"value": 1})
        assert add(twin, r={"ref": source_of(twin, "x")})["r"] == refused
        add(twin, r={"ref": source_of(source, "x")})
        before = entries(twin)
        assert update(twin, r={"ref": source_of(twin, "x")})["r"] == refused
        assert entries(twin) == before

    def test_the_same_twin_but_another_accounts_ledger(
        self, twin, add, state, source_of, stranger, stranger_account
    ):
        add(twin, user=stranger, x={"value": 4, "visibility": "true"})
        add(twin, r={"ref": source_of(twin, "x", stranger_account)})
        assert state(twin) == (4, "ok")

    @pytest.mark.parametrize(
        "ref",
        [
            "twin://{twin}/{account}/x",
            {},
            {"source": None},
            {"source": "twin://{twin}/personal/x"},
            {"source": "twin://{twin}/x"},
            {"source": "twin://{twin}/{account}/X"},
            {"source": "twin://{twin}/{account}/x/y"},
            {"source": "twin://{twin}/{account}/"},
            {"source": "https://{twin}/{account}/x"},
            {"source": "twin://{twin}/{account}/x", "more": 1},
            None,
        ],
    )
    def test_sources_of_a_wrong_form(self, api, twin, account, ref):
        def fill(value):
            if isinstance(value, dict):
                return {key: fill(item) for key, item in value.items()}
            return value.format(twin=twin, account=account) if isinstance(value, str) else value

        body = {"entries": {"r": {"ref": fill(ref)}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589


def test_a_refused_write_propagates_nothing(api, twin, source, add, state, source_of):
    add(twin, r={"ref": source_of(source, "x")})
    body = {"entries": {"x": {"value": 2}, "ghost": {"value": 1}}, "transaction": True}
    api("update_twin_ledger_entry", source, body=body)
    assert state(twin) == (1, "ok")
    body = {"entries": {"x": {"value": 2}, "y": {"value": "x" * 60_000}}}
    add(source, z={"value": "z" * 10_000})
    assert api("add_twin_ledger_entry", source, body=body)[0] == 400
    assert state(twin) == (1, "ok")
