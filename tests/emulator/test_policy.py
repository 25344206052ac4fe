"""The switches that no other test is about, and the modes."""

from __future__ import annotations

import json
import threading
from dataclasses import fields

import pytest

from ttorm.emulator import Emulator, Policy
from ttorm.emulator.bootstrap import make_account


def switched(**switches):
    """A fixture that gives the tests of a class this policy."""
    return pytest.fixture(lambda self: Policy(**switches))


def test_every_switch_has_a_reason():
    assert all(switch.metadata["reason"].endswith(".") for switch in fields(Policy))


def test_modes_take_exceptions():
    assert Policy.strict(lenient_bodies=True).lenient_bodies
    assert Policy.lenient(reference_delay=2.0).reference_delay == 2.0
    with pytest.raises(TypeError):
        Policy.strict(unknown=1)


@pytest.mark.parametrize(
    "switch",
    [
        "null_role_rule",
        "series_of_entries",
        "lenient_bodies",
        "tokens_need_secret",
        "expired_identities",
        "unresolved",
        "history_quota",
    ],
)
def test_modes_differ(switch):
    assert getattr(Policy.strict(), switch) != getattr(Policy.lenient(), switch)


@pytest.fixture
def referred(api, add, new_twin):
    """A reference to the Entry ``level`` of another Twin: ``(source, target)``."""
    source, target = new_twin(), new_twin()
    add(source, level={"value": 1})
    account = api("who_am_i")[1]["account"]
    add(target, copy={"ref": {"source": f"twin://{source}/{account}/level"}})
    return source, target


class TestReferenceDelay:
    policy = switched(reference_delay=2.0, background=False)

    def test_references_follow_when_they_are_told_to(
        self, emulator, referred, entries, update_value
    ):
        source, target = referred
        assert entries(target)["copy"]["ref"]["status"] == "created"
        assert emulator.propagate() == 2
        copy = entries(target)["copy"]
        assert (copy["value"], copy["ref"]["status"]) == (1, "ok")
        update_value(source, level=2)
        assert entries(target)["copy"]["value"] == 1
        assert emulator.propagate() == 1
        assert entries(target)["copy"]["value"] == 2
        assert emulator.propagate() == 0

    def test_the_time_is_that_of_following(self, emulator, clock, referred, entries):
        clock.advance(5)
        emulator.propagate()
        assert entries(referred[1])["copy"]["value_changed_ts"] == clock.now()

    def test_a_source_that_is_gone(self, emulator, api, referred, entries):
        emulator.propagate()
        api("delete_twin_ledger_entry", referred[0], entries="level")
        assert emulator.propagate() == 1
        copy = entries(referred[1])["copy"]
        assert (copy["value"], copy["ref"]["status"]) == (None, "not_found")

    def test_many_changes(self, emulator, referred, update_value, entries):
        for level in range(600):
            update_value(referred[0], level=level)
        assert emulator.propagate() == 602
        assert entries(referred[1])["copy"]["value"] == 599


class TestReferenceDelayInTheBackground:
    policy = switched(reference_delay=2.0)

    def test_references_follow_when_it_is_time(self, clock, referred, entries):
        def status():
            return entries(referred[1])["copy"]["ref"]["status"]

        assert status() == "created"
        clock.advance(2)
        waited = threading.Event()
        for _ in range(500):
            if status() == "ok":
                break
            waited.wait(0.01)
        assert status() == "ok"

    def test_after_a_restart(self, store_url, clock):
        policy = Policy(reference_delay=2.0, background=False)
        body = {"entries": {"level": {"value": 1}}}
        with Emulator(store_url, clock=clock, policy=policy) as emulator:
            account = emulator.load(
                {"accounts": {"a": {"twins": {"s": {"entries": body["entries"]}}}}}
            )
        with Emulator(store_url, clock=clock, policy=policy) as emulator:
            assert emulator.propagate() == 1
            assert account


class TestVisibilityOfSources:
    """What other Entries, or the Twin, say decides whether an account may see a source."""

    @pytest.fixture
    def copy(self, api, add, new_twin, account, stranger, entries):
        def copy(visibility, **more):
            source, target = new_twin({"shown": True}), new_twin(user=stranger)
            add(source, level={"value": 1, "visibility": visibility}, **more)
            ref = {"source": f"twin://{source}/{account}/level"}
            add(target, user=stranger, copy={"ref": ref})
            return source, lambda: entries(target, user=stranger)["copy"]["ref"]["status"]

        return copy

    def test_another_entry(self, copy, update_value):
        source, status = copy("LEDGER.open == true", open={"value": True})
        assert status() == "ok"
        update_value(source, open=False)
        assert status() == "not_found"
        update_value(source, open=True)
        assert status() == "ok"

    def test_the_description(self, copy, api):
        source, status = copy("TWIN.shown == true")
        assert status() == "ok"
        api("update_twin", source, body={"description": {"shown": False}})
        assert status() == "not_found"

    def test_the_end_of_the_twin(self, copy, api):
        source, status = copy('twin_status == "alive"')
        assert status() == "ok"
        api("terminate_twin", source)
        assert status() == "not_found"


class TestDocDelay:
    policy = switched(doc_delay=3.0)

    def test_a_doc_is_copied_for_a_while(self, api, clock, twin, new_doc):
        new_doc(twin, "a.txt", b"content")
        clock.advance(2.9)
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        assert (doc["status"], "download" in doc) == ("copying", False)
        assert list(api("get_twin_docs", twin)[1]["docs"]) == ["a.txt"]
        clock.advance(0.1)
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        assert (doc["status"], "download" in doc) == ("ok", True)

    def test_it_can_be_removed_meanwhile(self, emulator, api, twin, new_doc, clock):
        new_doc(twin, "a.txt", b"content")
        assert api("delete_twin_doc", twin, "a.txt")[1]["status"] == "copying"


class TestHistoryQuota:
    policy = switched(history_quota="hard")

    @pytest.mark.parametrize(("size", "status"), [(510, 201), (511, 400)])
    def test_larger_values_are_refused(self, api, twin, size, status):
        entries = {"log": {"value": "x" * size, "history": "1D"}, "free": {"value": "x" * 999}}
        answered, body = api("add_twin_ledger_entry", twin, body={"entries": entries})
        assert answered == status
        if status == 400:
            assert body["subcode"] == 400141
            assert api("get_twin_ledger_entry", twin)[1] == {"entries": {}, "indexes": []}

    def test_a_history_that_is_switched_on(self, api, add, twin):
        add(twin, log={"value": "x" * 999})
        body = {"entries": {"log": {"history": "1D"}}}
        assert api("update_twin_ledger_entry", twin, body=body)[1]["subcode"] == 400141


class TestEntryUpdatedTs:
    policy = switched(entry_updated_ts="every_write")

    def test_values_move_it(self, add, update_value, clock, twin):
        add(twin, level={"value": 1})
        clock.advance(5)
        assert update_value(twin, level=2)["level"]["entry_updated_ts"] == clock.now()


class TestCursorFault:
    policy = switched(cursor_fault=400793)

    def test_an_unknown_cursor(self, api):
        assert api("scan_twins", cursor="nonsense")[1]["subcode"] == 400793


class TestUnresolved:
    policy = switched(unresolved="not_found")

    def test_an_unknown_identity(self, api, twin):
        assert api("resolve_twin_identity", "SN#1")[1]["subcode"] == 404653
        api("create_twin_identity", twin, body={"identities": {"SN#1": {}}})
        assert api("resolve_twin_identity", "SN#1") == (200, {"twins": [twin]})


class TestExpiredIdentities:
    policy = switched(expired_identities="resolved")

    def test_they_still_lead_to_their_twin(self, api, clock, twin):
        until = clock.now() + 10
        body = {"identities": {"SN#1": {"validity_ts": until}}}
        api("create_twin_identity", twin, body=body)
        clock.advance(20)
        assert api("resolve_twin_identity", "SN#1")[1] == {"twins": [twin]}


class TestLenient:
    policy = pytest.fixture(lambda self: Policy.lenient())

    def test_other_accounts_are_seen_without_a_rule(self, emulator, add, twin, api):
        add(twin, level={"value": 1, "visibility": "true"})
        partner = make_account(emulator).user
        assert api("get_twin", twin, user=partner)[0] == 200

    def test_unknown_fields_are_passed_over(self, send, user):
        answer = send("POST", "/twins", json.dumps({"colour": "red"}).encode(), user=user)
        assert answer.status == 201
