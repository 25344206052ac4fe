"""Include Entries: values looked up in another Ledger of the account at each reading."""

from __future__ import annotations

from uuid import uuid4

import pytest


@pytest.fixture
def zone(new_twin, add):
    """A Twin with a value Entry ``price``."""
    twin = new_twin()
    add(twin, price={"value": 0.35})
    return twin


def included(twin, name="price"):
    return {"include": {"source": f"twin://{twin}/{name}"}}


def test_the_answer_already_has_the_value(twin, zone, add, entries, clock):
    changed = entries(zone)["price"]["value_changed_ts"]
    clock.advance(1)
    made = add(twin, p=included(zone))["p"]
    assert made == {
        "value": 0.35,
        "include": {"source": f"twin://{zone}/price"},
        "entry_created_ts": clock.now(),
        "entry_updated_ts": clock.now(),
        "value_changed_ts": changed,
    }
    assert entries(twin)["p"] == made


def test_it_follows_its_source_at_once(api, twin, zone, add, entries, update, clock):
    before = add(twin, p=included(zone))["p"]
    clock.advance(1)
    update(zone, price={"value": 0.4})
    assert entries(twin)["p"] == {**before, "value": 0.4, "value_changed_ts": clock.now()}
    _, answer = api("get_twin_ledger_entry_value", twin)
    assert answer["entries"]["p"]["value"] == 0.4
    assert answer["entries"]["p"]["value_changed_ts"] == clock.now()


def test_nothing_is_kept_of_its_past(api, twin, zone, add, update):
    add(twin, p=included(zone))
    update(zone, price={"value": 0.4})
    _, answer = api("get_twin_ledger_entry_history", twin, entries="p")
    assert answer == {"entries": {"p": {}}}


def test_a_missing_source_is_null(api, twin, zone, add, entries):
    made = add(twin, p=included(zone, "ghost"), q=included(str(uuid4())), r=included(zone))
    for name in ("p", "q"):
        assert made[name]["value"] is None
        assert made[name]["value_changed_ts"] == made[name]["entry_created_ts"]
    api("delete_twin_ledger_entry", zone)
    assert entries(twin)["r"]["value"] is None
    assert entries(twin)["r"]["value_changed_ts"] == entries(twin)["r"]["entry_created_ts"]
    add(zone, price={"value": 1})
    assert entries(twin)["r"]["value"] == 1


def test_the_source_is_in_the_accounts_own_ledger(twin, zone, add, entries, stranger):
    add(twin, user=stranger, p=included(zone))
    assert entries(twin, user=stranger)["p"]["value"] is None
    add(zone, user=stranger, price={"value": 9})
    assert entries(twin, user=stranger)["p"]["value"] == 9


def test_plain_text_is_taken_too(twin, zone, add):
    made = add(twin, p={"include": f"twin://{zone}/price"})["p"]
    assert made["include"] == {"source": f"twin://{zone}/price"}


def test_an_include_of_an_include(new_twin, zone, add, entries, update, clock):
    middle, end = new_twin(), new_twin()
    add(middle, m=included(zone))
    add(end, p=included(middle, "m"))
    clock.advance(1)
    update(zone, price={"value": 2})
    assert entries(end)["p"]["value"] == 2
    assert entries(end)["p"]["value_changed_ts"] == clock.now()


def test_an_include_of_a_reference_reads_its_copy(new_twin, zone, add, entries, update, account):
    middle, end = new_twin(), new_twin()
    add(middle, m={"ref": {"source": f"twin://{zone}/{account}/price"}})
    add(end, p=included(middle, "m"))
    update(zone, price={"value": 2})
    assert entries(end)["p"]["value"] == 2


def test_a_reference_to_an_include_copies_what_it_includes(
    new_twin, zone, add, entries, update, account
):
    middle, end = new_twin(), new_twin()
    add(middle, m=included(zone))
    add(end, r={"ref": {"source": f"twin://{middle}/{account}/m"}})
    assert entries(end)["r"]["value"] == 0.35
    # The source of an include raises no event.
    update(zone, price={"value": 2})
    assert entries(end)["r"]["value"] == 0.35
    assert entries(middle)["m"]["value"] == 2


def test_32_steps_and_no_more(new_twin, zone, add, entries):
    twins, source = [], included(zone)
    for _ in range(33):
        twins.append(new_twin())
        add(twins[-1], p=source)
        source = included(twins[-1], "p")
    assert entries(twins[31])["p"]["value"] == 0.35
    assert entries(twins[32])["p"]["value"] is None


def test_a_loop_is_null(twin, new_twin, add, entries):
    other = new_twin()
    add(twin, p=included(other, "p"))
    add(other, p=included(twin, "p"))
    assert entries(twin)["p"]["value"] is None
    assert entries(other)["p"]["value"] is None


def test_no_include_inside_one_ledger(twin, zone, add, update):
    refused = {"error": "Include source must be in a different Ledger."}
    add(twin, x={"value": 1})
    assert add(twin, p=included(twin, "x"))["p"] == refused
    add(twin, p=included(zone))
    assert update(twin, p=included(twin, "x"))["p"] == refused


def test_show_references_is_not_about_includes(twin, zone, add, entries):
    add(twin, p=included(zone))
    assert set(entries(twin, show_references=False)) == {"p"}


def test_its_own_visibility_decides_for_others(twin, zone, add, entries, stranger):
    made = add(twin, p={**included(zone), "visibility": "true"}, q=included(zone))
    assert made["p"]["visibility"] == "true"
    assert "visibility" not in made["q"]
    seen = entries(twin, "owner", user=stranger)
    assert set(seen) == {"p"}
    assert seen["p"]["value"] == 0.35
    assert "include" not in seen["p"]


class TestWriting:
    @pytest.mark.parametrize(
        "more", [{"history": "INF"}, {"publish": {"true": ["t"]}}, {"timeseries": {"t": {}}}]
    )
    def test_services_are_refused(self, api, twin, zone, add, update, more):
        body = {"entries": {"p": {**included(zone), **more}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589
        if "timeseries" not in more:
            before = add(twin, p=included(zone))
            name = next(iter(more))
            assert update(twin, p=more) == {"p": {"error": f"An include Entry takes no {name}."}}
            assert update(twin, p={}) == before

    @pytest.mark.parametrize("include", [None, {}, {"source": 1}, "text", {"source": "twin://x/y"}])
    def test_sources_of_a_wrong_form(self, api, twin, include):
        body = {"entries": {"p": {"include": include}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589

    def test_the_source_of_a_reference_is_none_of_an_include(self, api, twin, zone, account):
        body = {"entries": {"p": {"include": {"source": f"twin://{zone}/{account}/price"}}}}
        assert api("add_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400589

    def test_another_source(self, twin, zone, add, entries, update, clock):
        add(zone, fee={"value": 5})
        before = add(twin, p=included(zone))["p"]
        clock.advance(1)
        after = update(twin, p=included(zone, "fee"))["p"]
        assert after == {
            **before,
            **included(zone, "fee"),
            "value": 5,
            "entry_updated_ts": clock.now(),
        }
        assert entries(twin)["p"] == after

    def test_value_and_kind_cannot_change(self, api, twin, zone, add, update, account, entries):
        before = add(twin, p=included(zone))
        refused = {"p": {"error": "Entry value cannot be changed."}}
        assert update(twin, p={"value": 1}) == refused
        body = {"entries": {"p": {"value": 1}}}
        assert api("update_twin_ledger_entry_value", twin, body=body)[1]["entries"] == refused
        ref = {"ref": {"source": f"twin://{zone}/{account}/price"}}
        for fields in (ref, {"include": None}):
            assert update(twin, p=fields) == {"p": {"error": "Entry type cannot be changed."}}
        assert entries(twin) == before

    def test_visibility_can(self, twin, zone, add, update, entries, clock):
        before = add(twin, p=included(zone))["p"]
        clock.advance(1)
        after = update(twin, p={"visibility": "true"})["p"]
        assert after == {**before, "visibility": "true", "entry_updated_ts": clock.now()}
        assert entries(twin)["p"] == after

    def test_removal(self, api, twin, zone, add, entries):
        made = add(twin, p=included(zone))
        assert api("delete_twin_ledger_entry", twin) == (200, {"entries": made, "indexes": []})
        assert entries(twin) == {}
        assert entries(zone)["price"]["value"] == 0.35


def test_many_includes_take_few_statements(twin, new_twin, add, entries, statements):
    zones = [new_twin() for _ in range(30)]
    for zone in zones:
        add(zone, price={"value": 1})
    add(twin, **{f"p{n}": included(zone) for n, zone in enumerate(zones)})
    statements.clear()
    found = entries(twin)
    assert len(found) == 30
    assert len(statements) <= 5
