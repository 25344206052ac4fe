"""Value Entries: changing and removing them, and which of their times that moves."""

from __future__ import annotations

from itertools import pairwise

import pytest

TIMES = ("entry_created_ts", "entry_updated_ts", "value_changed_ts")


class TestUpdate:
    def test_only_what_is_said_changes(self, api, twin, add, update, clock):
        before = add(twin, x={"value": 1, "visibility": "true", "history": "2W"}, y={"value": 1})
        clock.advance(1)
        assert update(twin, x={"visibility": None}) == {
            "x": {**before["x"], "visibility": None, "entry_updated_ts": clock.now()}
        }
        clock.advance(1)
        after = update(twin, x={"history": None})["x"]
        assert "history" not in after
        assert after["entry_updated_ts"] == clock.now()

    def test_a_property_moves_only_its_own_time(self, twin, add, update, clock):
        before = add(twin, x={"value": 1, "visibility": "true"})["x"]
        clock.advance(1)
        after = update(twin, x={"visibility": "true"})["x"]
        assert after == {**before, "entry_updated_ts": clock.now()}

    @pytest.mark.parametrize("value", [1, 2])
    def test_a_value_moves_only_its_own_time_also_when_it_is_equal(
        self, twin, add, update, clock, value
    ):
        before = add(twin, x={"value": 1})["x"]
        clock.advance(1)
        after = update(twin, x={"value": value})["x"]
        assert after == {**before, "value": value, "value_changed_ts": clock.now()}

    def test_value_and_property_together_move_both(self, twin, add, update, clock):
        created = add(twin, x={"value": 1})["x"]["entry_created_ts"]
        clock.advance(1)
        after = update(twin, x={"value": 2, "visibility": "true"})["x"]
        now = clock.now()
        assert [after[name] for name in TIMES] == [created, now, now]

    def test_the_times_of_changes_grow_strictly(self, twin, add, update, update_value):
        seen = [add(twin, x={"value": 0})["x"]["value_changed_ts"]]
        for n in range(5):
            seen.append(update(twin, x={"value": n})["x"]["value_changed_ts"])
            seen.append(update_value(twin, x=n)["x"]["value_changed_ts"])
        assert all(one < other for one, other in pairwise(seen))

    def test_times_grow_also_when_the_clock_goes_back(self, twin, add, update, clock):
        before = add(twin, x={"value": 0})["x"]
        clock.advance(-100)
        assert update(twin, x={"value": 1})["x"]["value_changed_ts"] > before["value_changed_ts"]

    def test_nothing_said_changes_nothing(self, twin, add, update, clock):
        before = add(twin, x={"value": 1})
        clock.advance(1)
        assert update(twin, x={}) == before
        assert update(twin, x={"entry_created_ts": 5.0}) == before

    def test_a_missing_entry_is_an_item_error(self, api, twin, add, entries):
        add(twin, x={"value": 1})
        body = {"entries": {"ghost": {"value": 1}, "x": {"value": 2}}}
        for operation in ("update_twin_ledger_entry", "update_twin_ledger_entry_value"):
            status, answer = api(operation, twin, body=body)
            assert status == 200
            assert answer["entries"]["ghost"] == {"error": "Entry does not exist."}
            assert answer["entries"]["x"]["value"] == 2
        assert set(entries(twin)) == {"x"}

    def test_values_are_replaced_as_a_whole(self, twin, add, update):
        add(twin, x={"value": {"a": 1, "b": 2}, "publish": {"true": ["a"], "false": ["b"]}})
        after = update(twin, x={"value": {"b": 3}, "publish": {"true": ["c"]}})["x"]
        assert after["value"] == {"b": 3}
        assert after["publish"] == {"true": ["c"]}

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_publish_can_be_removed(self, twin, add, update, nothing):
        add(twin, x={"value": 1, "publish": {"true": ["a"]}})
        assert "publish" not in update(twin, x={"publish": nothing})["x"]

    def test_the_kind_cannot_change(self, twin, new_twin, account, add, update, entries):
        add(twin, x={"value": 1})
        before = entries(twin)
        ref = {"source": f"twin://{new_twin()}/{account}/y"}
        include = {"source": f"twin://{new_twin()}/y"}
        for fields in ({"ref": ref}, {"ref": None}, {"include": include}, {"include": None}):
            answer = update(twin, x={"value": 5, **fields})
            assert answer == {"x": {"error": "Entry type cannot be changed."}}
        assert entries(twin) == before


class TestUpdateValue:
    def test_the_whole_entries_are_answered(self, twin, add, update_value, clock):
        before = add(twin, x={"value": 1, "visibility": "true", "history": "INF"}, y={"value": 1})
        clock.advance(1)
        after = {**before["x"], "value": 2, "value_changed_ts": clock.now()}
        assert update_value(twin, x=2) == {"x": after}

    @pytest.mark.parametrize(
        "fields", [{}, {"value": 1, "visibility": None}, {"visibility": "true"}, None, 1]
    )
    def test_only_values(self, api, twin, add, fields):
        add(twin, x={"value": 1})
        status, error = api("update_twin_ledger_entry_value", twin, body={"entries": {"x": fields}})
        assert (status, error["subcode"]) == (400, 400589)


class TestDelete:
    def test_the_named_ones_are_answered_as_they_were(self, api, twin, add, entries):
        before = add(twin, a={"value": 1, "visibility": "true"}, b={"value": 2}, c={"value": 3})
        status, answer = api("delete_twin_ledger_entry", twin, entries=["a", "ghost", "b"])
        assert status == 200
        assert answer["entries"] == {
            "a": before["a"],
            "ghost": {"error": "Entry does not exist."},
            "b": before["b"],
        }
        assert set(entries(twin)) == {"c"}

    def test_without_names_the_ledger_is_emptied(self, api, twin, add, entries):
        before = add(twin, a={"value": 1}, b={"value": 2})
        assert api("delete_twin_ledger_entry", twin) == (200, {"entries": before, "indexes": []})
        assert api("get_twin_ledger_entry", twin) == (200, {"entries": {}, "indexes": []})

    @pytest.mark.parametrize("names", ["", ",", ["", ""]])
    def test_an_empty_list_of_names_is_refused(self, api, twin, add, entries, names):
        add(twin, a={"value": 1})
        status, error = api("delete_twin_ledger_entry", twin, entries=names)
        assert (status, error["subcode"]) == (400, 400589)
        assert set(entries(twin)) == {"a"}

    def test_the_body_is_read(self, api, twin, add, entries):
        add(twin, a={"value": 1}, b={"value": 2})
        body = {"conditions": {"a": "entry_value == 2", "b": "entry_value == 2"}}
        _, answer = api("delete_twin_ledger_entry", twin, body=body)
        assert answer["entries"]["a"] == {"error": "Condition not met."}
        assert answer["entries"]["b"]["value"] == 2
        assert set(entries(twin)) == {"a"}
        answer = api("delete_twin_ledger_entry", twin, body={"entries": {}})
        assert answer[1]["subcode"] == 400589

    def test_a_name_can_be_used_again(self, twin, add, api, clock):
        add(twin, a={"value": 1, "history": "INF"})
        api("delete_twin_ledger_entry", twin)
        clock.advance(1)
        again = add(twin, a={"value": 2, "history": "INF"})["a"]
        assert again["entry_created_ts"] == clock.now()
        _, answer = api("get_twin_ledger_entry_history", twin)
        assert list(answer["entries"]["a"].values()) == [2]
