"""Conditions and transactions of writes to Entries."""

from __future__ import annotations

import pytest

WRITES = ["add_twin_ledger_entry", "update_twin_ledger_entry", "update_twin_ledger_entry_value"]


class TestConditions:
    @pytest.fixture
    def twin(self, twin, add):
        add(twin, a={"value": 1}, b={"value": 2}, limit={"value": 10})
        return twin

    def write(self, api, twin, entries, operation=WRITES[2], **more):
        body = {"entries": {name: {"value": value} for name, value in entries.items()}, **more}
        status, answer = api(operation, twin, body=body)
        assert status in (200, 201), answer
        return {name: slot.get("error", "done") for name, slot in answer["entries"].items()}

    def values(self, entries, twin):
        return {name: entry["value"] for name, entry in entries(twin).items()}

    def test_a_lost_race_is_noticed(self, api, twin, entries):
        seen = entries(twin)["a"]["value_changed_ts"]
        conditions = {"a": f"value_changed_ts == {seen!r}"}
        assert self.write(api, twin, {"a": 5}, conditions=conditions) == {"a": "done"}
        again = self.write(api, twin, {"a": 6}, conditions=conditions)
        assert again == {"a": "Condition not met."}
        assert entries(twin)["a"]["value"] == 5

    def test_only_the_entry_itself_is_held_back(self, api, twin, entries):
        conditions = {"a": "entry_value == 7", "limit": "false", "ghost": "false"}
        answer = self.write(api, twin, {"a": 5, "b": 6}, conditions=conditions)
        assert answer == {"a": "Condition not met.", "b": "done"}
        assert self.values(entries, twin) == {"a": 1, "b": 6, "limit": 10}

    @pytest.mark.parametrize("operation", WRITES[1:])
    @pytest.mark.parametrize(
        ("rule", "holds"),
        [
            ("entry_name == 'a' and entry_value == 1", True),
            ("entry_created_ts == 1718000000.5 and entry_updated_ts <= now", True),
            ("LEDGER.limit > entry_value", True),
            ("LEDGER.a == 1", True),  # the Ledger as it is before the write
            ("ledger == account and twin_status == 'alive'", True),
            ("entry_value > 'x'", False),
            ("LEDGER.limit < entry_value", False),
        ],
    )
    def test_what_a_condition_can_ask(self, api, twin, operation, rule, holds):
        answer = self.write(api, twin, {"a": 5}, operation, conditions={"a": rule})
        assert answer == {"a": "done" if holds else "Condition not met."}

    def test_an_entry_that_is_not_there_has_a_name_only(self, api, twin):
        conditions = {"new": "entry_name == 'new' and value_changed_ts == null"}
        answer = self.write(api, twin, {"new": 1}, WRITES[0], conditions=conditions)
        assert answer == {"new": "done"}

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_no_conditions(self, api, twin, nothing):
        answer = self.write(api, twin, {"a": 5}, conditions=nothing, transaction=None)
        assert answer == {"a": "done"}

    def test_a_transaction_fails_with_a_condition(self, api, twin, entries):
        answer = self.write(
            api, twin, {"a": 5, "b": 6}, conditions={"a": "false"}, transaction=True
        )
        assert answer == {"a": "Condition not met.", "b": "Transaction aborted."}
        assert self.values(entries, twin) == {"a": 1, "b": 2, "limit": 10}

    def test_a_transaction_fails_with_a_condition_on_another_entry(self, api, twin, entries):
        answer = self.write(
            api, twin, {"a": 5}, conditions={"limit": "entry_value > 10"}, transaction=True
        )
        assert answer == {"a": "Transaction aborted."}
        assert entries(twin)["a"]["value"] == 1

    def test_a_transaction_fails_with_any_item(self, api, twin, entries):
        answer = self.write(api, twin, {"a": 5, "ghost": 6}, transaction=True)
        assert answer == {"a": "Transaction aborted.", "ghost": "Entry does not exist."}
        answer = self.write(api, twin, {"new": 5, "a": 6}, WRITES[0], transaction=True)
        assert answer == {"new": "Transaction aborted.", "a": "Entry already exists."}
        assert self.values(entries, twin) == {"a": 1, "b": 2, "limit": 10}

    def test_a_transaction_that_can_is_done(self, api, twin, entries):
        conditions = {"limit": "entry_value == 10"}
        answer = self.write(api, twin, {"a": 5, "b": 6}, conditions=conditions, transaction=True)
        assert answer == {"a": "done", "b": "done"}
        assert self.values(entries, twin) == {"a": 5, "b": 6, "limit": 10}

    def test_a_transaction_of_deletions(self, api, twin, entries):
        body = {"conditions": {"a": "false"}, "transaction": True}
        _, answer = api("delete_twin_ledger_entry", twin, body=body)
        errors = {name: slot["error"] for name, slot in answer["entries"].items()}
        assert errors == {
            "a": "Condition not met.",
            "b": "Transaction aborted.",
            "limit": "Transaction aborted.",
        }
        assert set(entries(twin)) == {"a", "b", "limit"}
