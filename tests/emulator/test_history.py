"""History: what is recorded, how long it is kept, and how it is read."""

from __future__ import annotations

import json

import pytest

DAY = 86_400


@pytest.fixture
def history(api):
    """Read records: ``history(twin, "x") -> {time: value}``, the newest first."""

    def history(twin, name="x", *ledger, **query):
        status, answer = api("get_twin_ledger_entry_history", twin, *ledger, entries=name, **query)
        assert status == 200, answer
        slot = answer["entries"][name]
        return {float(at): value for at, value in slot.items()} if isinstance(slot, dict) else slot

    return history


def test_every_change_is_recorded_with_its_time(twin, add, update_value, history, clock):
    start = clock.now()
    add(twin, x={"value": "abc", "history": "INF"})
    for value in ("abd", {"deep": [1]}, None):
        clock.advance(1.25)
        update_value(twin, x=value)
    records = history(twin)
    assert list(records.items()) == [
        (start + 3.75, None),
        (start + 2.5, {"deep": [1]}),
        (start + 1.25, "abd"),
        (start, "abc"),
    ]


def test_the_times_are_texts_like_the_entrys(send, user, twin, add, clock):
    clock.freeze(1_718_000_000.34)
    add(twin, x={"value": 1, "history": "INF"})
    clock.freeze(1_718_000_001)
    add(twin, y={"value": 2, "history": "INF"})
    answer = send("GET", f"/twins/{twin}/ledgers/personal/history", user=user)
    assert json.loads(answer.body)["entries"] == {
        "x": {"1718000000.34": 1},
        "y": {"1718000001.0": 2},
    }


def test_an_equal_value_is_a_change(twin, add, update_value, history):
    add(twin, x={"value": 1, "history": "INF"})
    update_value(twin, x=1)
    update_value(twin, x=1)
    assert list(history(twin).values()) == [1, 1, 1]


def test_a_change_of_properties_is_none(twin, add, update, history):
    add(twin, x={"value": 1, "history": "INF"})
    update(twin, x={"visibility": "true"})
    assert list(history(twin).values()) == [1]


def test_records_are_as_large_as_the_values(twin, add, update_value, history):
    add(twin, x={"value": 1, "history": "INF"})
    update_value(twin, x="y" * 5_000)
    assert list(history(twin).values()) == ["y" * 5_000, 1]


class TestSwitching:
    def test_without_history_there_are_no_records(self, twin, add, update_value, history):
        add(twin, x={"value": 1})
        update_value(twin, x=2)
        assert history(twin) == {}

    def test_on_starts_with_the_current_value(
        self, twin, add, update_value, update, history, clock
    ):
        at = add(twin, x={"value": 1})["x"]["value_changed_ts"]
        clock.advance(5)
        update(twin, x={"history": "1M"})
        assert history(twin) == {at: 1}
        update_value(twin, x=2)
        assert list(history(twin).values()) == [2, 1]

    def test_off_drops_everything(self, twin, add, update_value, update, history):
        add(twin, x={"value": 1, "history": "INF"})
        update_value(twin, x=2)
        update(twin, x={"history": None})
        assert history(twin) == {}
        update(twin, x={"history": "INF"})
        assert list(history(twin).values()) == [2]

    def test_another_period_keeps_what_it_allows(
        self, twin, add, update_value, update, history, clock
    ):
        add(twin, x={"value": 1, "history": "INF"})
        clock.advance(10 * DAY)
        update_value(twin, x=2)
        clock.advance(DAY)
        update(twin, x={"history": "1W"})
        assert list(history(twin).values()) == [2]
        update(twin, x={"history": "INF"})
        assert list(history(twin).values()) == [2]

    def test_a_longer_period_brings_nothing_back(self, twin, add, update, history, clock):
        add(twin, x={"value": 1, "history": "1D"})
        clock.advance(2 * DAY)
        update(twin, x={"value": 2, "history": "INF"})
        assert list(history(twin).values()) == [2]

    def test_on_together_with_a_value(self, twin, add, update, history):
        add(twin, x={"value": 1})
        update(twin, x={"value": 2, "history": "INF"})
        assert list(history(twin).values()) == [2]


class TestRetention:
    @pytest.mark.parametrize(
        ("period", "days"), [("1D", 1), ("2W", 14), ("3M", 90), ("1Y", 365), ("999D", 999)]
    )
    def test_periods(self, twin, add, update_value, history, clock, period, days):
        add(twin, x={"value": 1, "history": period})
        clock.advance(60)
        update_value(twin, x=2)
        clock.advance(days * DAY - 60)
        assert list(history(twin).values()) == [2, 1]
        clock.advance(0.001)
        assert list(history(twin).values()) == [2]

    def test_the_newest_always_stays(self, twin, add, history, clock):
        add(twin, x={"value": 1, "history": "1D"})
        clock.advance(1_000 * DAY)
        assert list(history(twin).values()) == [1]

    def test_old_records_are_removed_by_the_next_change(
        self, emulator, twin, add, update_value, clock
    ):
        add(twin, x={"value": 0, "history": "1D"})
        for value in (1, 2):
            clock.advance(10)
            update_value(twin, x=value)
        clock.advance(2 * DAY)
        update_value(twin, x=3)
        with emulator.store.transaction(write=False) as tx:
            assert len(tx.rows("SELECT * FROM history")) == 1

    @pytest.mark.parametrize("period", ["INF", "999Y"])
    def test_a_thousand_records_at_most(
        self, emulator, twin, add, update_value, history, clock, period
    ):
        add(twin, x={"value": 0, "history": period})
        for value in range(1, 1_001):
            clock.advance(1)
            update_value(twin, x=value)
        found, until = [], None
        while page := history(twin, le=until):
            found += page.values()
            until = min(page) - 0.001
        assert found == list(range(1_000, 0, -1))
        with emulator.store.transaction(write=False) as tx:
            assert len(tx.rows("SELECT * FROM history")) == 1_000

    def test_each_entry_counts_for_itself(self, twin, add, update_value, history):
        add(twin, x={"value": 0, "history": "INF"}, y={"value": 0, "history": "INF"})
        for value in range(5):
            update_value(twin, x=value)
        update_value(twin, y=1)
        assert len(history(twin, "x")) == 6
        assert len(history(twin, "y")) == 2

    def test_nothing_is_left_of_a_deleted_entry(self, api, emulator, twin, add, update_value):
        add(twin, x={"value": 0, "history": "INF"})
        update_value(twin, x=1)
        api("delete_twin_ledger_entry", twin)
        with emulator.store.transaction(write=False) as tx:
            assert tx.rows("SELECT * FROM history") == []


class TestReading:
    @pytest.fixture
    def start(self, clock):
        return clock.now()

    @pytest.fixture
    def twin(self, twin, start, add, update_value, clock):
        add(
            twin,
            x={"value": 0, "history": "INF"},
            y={"value": "a", "history": "INF"},
            z={"value": 5},
        )
        for value in range(1, 150):
            clock.advance(1)
            update_value(twin, x=value)
        update_value(twin, y="b")
        return twin

    def test_the_newest_hundred(self, twin, history):
        assert list(history(twin).values()) == list(range(149, 49, -1))

    def test_a_limit_for_each_entry(self, api, twin):
        _, answer = api("get_twin_ledger_entry_history", twin, limit=1)
        assert {name: list(slot.values()) for name, slot in answer["entries"].items()} == {
            "x": [149],
            "y": ["b"],
        }

    def test_from_and_to(self, twin, history, start):
        assert list(history(twin, ge=start + 147).values()) == [149, 148, 147]
        assert list(history(twin, le=start + 2).values()) == [2, 1, 0]
        assert list(history(twin, ge=start + 3, le=start + 5).values()) == [5, 4, 3]
        assert list(history(twin, ge=start + 3, le=start + 5, limit=2).values()) == [5, 4]
        assert list(history(twin, ge=start + 3.001, le=start + 4.999).values()) == [4]
        assert history(twin, ge=start + 1_000) == {}
        assert history(twin, le=start - 1) == {}

    @pytest.mark.parametrize("limit", ["0", "101", "-5", "many"])
    def test_limits_out_of_range(self, api, twin, limit):
        answer = api("get_twin_ledger_entry_history", twin, limit=limit)
        assert answer[1]["subcode"] == 400589

    @pytest.mark.parametrize("parameter", ["ge", "le"])
    @pytest.mark.parametrize("value", ["yesterday", "nan", "inf", ""])
    def test_times_that_are_none(self, api, twin, parameter, value):
        answer = api("get_twin_ledger_entry_history", twin, **{parameter: value})
        assert answer[1]["subcode"] == 400589

    def test_names(self, api, twin):
        def slots(**query):
            _, answer = api("get_twin_ledger_entry_history", twin, limit=1, **query)
            return {
                name: slot if isinstance(slot, str) else list(slot.values())
                for name, slot in answer["entries"].items()
            }

        assert slots() == {"x": [149], "y": ["b"]}
        assert slots(entries="") == {"x": [149], "y": ["b"]}
        assert slots(entries=["z", "y", "ghost"]) == {
            "z": [],
            "y": ["b"],
            "ghost": "Entry not accessible.",
        }


class TestWho:
    def test_others_read_what_they_see(self, api, twin, add, update, history, stranger, account):
        add(twin, x={"value": 1, "history": "INF"}, y={"value": 2, "history": "INF"})
        update(twin, x={"visibility": "true"})
        for ledger in ("owner", account):
            assert list(history(twin, "x", ledger, user=stranger).values()) == [1]
            assert history(twin, "y", ledger, user=stranger) == "Entry not accessible."
            _, answer = api("get_twin_ledger_entry_history", twin, ledger, user=stranger)
            assert set(answer["entries"]) == {"x"}

    def test_an_unknown_twin(self, api, twin):
        answer = api("get_twin_ledger_entry_history", twin[:-4] + "0000")
        assert answer[1]["subcode"] == 404653
