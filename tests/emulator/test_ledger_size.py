"""A Ledger may have 64 kB: the length of its JSON, names and properties included."""

from __future__ import annotations

import json


class TestSize:
    def fill(self, size):
        return {"value": "x" * size}

    def test_a_larger_write_changes_nothing(self, api, twin, add, entries):
        add(twin, a=self.fill(40_000))
        before = entries(twin)
        body = {"entries": {"small": {"value": 1}, "large": self.fill(30_000)}}
        status, error = api("add_twin_ledger_entry", twin, body=body)
        assert (status, error["subcode"]) == (400, 400141)
        assert entries(twin) == before

    def test_to_the_byte(self, api, twin, add):
        ledger = {
            "a": self.fill(30_000),
            "b": {"value": None, "visibility": "true"},
            "c": {"value": ""},
        }
        add(twin, **ledger)
        room = 65_536 - len(json.dumps(ledger, separators=(",", ":")))
        for size, status in ((room + 1, 400), (room, 200)):
            body = {"entries": {"c": self.fill(size)}}
            assert api("update_twin_ledger_entry_value", twin, body=body)[0] == status

    def test_each_ledger_counts_for_itself(self, add, twin, new_twin, stranger, entries):
        large = self.fill(60_000)["value"]
        add(twin, a=self.fill(60_000))
        other = new_twin()
        add(other, a=self.fill(60_000))
        theirs = add(twin, user=stranger, a=self.fill(60_000))
        assert entries(twin)["a"]["value"] == entries(other)["a"]["value"] == large
        assert theirs["a"]["value"] == large

    def test_smaller_values_make_room(self, api, twin, add, update_value, entries):
        add(twin, a=self.fill(60_000))
        body = {"entries": {"b": self.fill(60_000)}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400141
        update_value(twin, a=None)
        add(twin, b=self.fill(60_000))
        api("delete_twin_ledger_entry", twin, entries="b")
        add(twin, c=self.fill(60_000))
        assert set(entries(twin)) == {"a", "c"}

    def test_a_ledger_that_references_made_too_large_can_still_shrink(
        self, api, twin, new_twin, account, add, update_value
    ):
        source = new_twin()
        add(source, x={"value": 1})
        ref = {"source": f"twin://{source}/{account}/x"}
        add(twin, a=self.fill(40_000), r={"ref": ref})
        update_value(source, x="x" * 40_000)
        body = {"entries": {"b": {"value": 1}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400141
        assert len(update_value(twin, a="x" * 39_000)["a"]["value"]) == 39_000

    def test_an_oversized_body_is_refused_by_the_service(self, send, user, twin, entries):
        body = json.dumps({"entries": {"a": self.fill(66_000)}}).encode()
        answer = send("POST", f"/twins/{twin}/ledgers/personal", body, user)
        assert (answer.status, json.loads(answer.body)["subcode"]) == (400, 400141)
        assert entries(twin) == {}
