"""Usage: what counts, for whom, and for how long."""

from __future__ import annotations

import os
import threading
import warnings

import pytest

from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator
from ttorm.emulator.policy import Policy

NOBODY = "00000000-0000-4000-8000-000000000000"
HOUR = "2024-06-10-06"  # where the clock stands


@pytest.fixture
def usage(api, user):
    """Read a user's usage in the current hour, without the reading itself: ``usage() -> items``."""

    def usage(of=user, hour=HOUR):
        status, answer = api("get_user_usage", of)
        assert status == 200, answer
        items = answer["usage"].get(hour, {})
        return {name: n for name, n in items.items() if not name.startswith("task_get_user_usage")}

    return usage


@pytest.fixture
def of_nobody(api):
    """Read the usage that no user caused: ``of_nobody() -> {hour: items}``."""

    def of_nobody(**options):
        status, answer = api("get_account_usage", **options)
        assert status == 200, answer
        return answer["usage"]

    return of_nobody


def test_nothing(api, user, of_nobody):
    assert api("get_user_usage", user) == (200, {"usage": {}})
    assert of_nobody() == {}


def test_requests(api, usage):
    for _ in range(3):
        api("create_twin")
    api("who_am_i")
    assert usage() == {
        "rest_count": 4,
        "request_count": 4,
        "task_create_twin_count": 3,
        "task_who_am_i_count": 1,
        "twins_created": 3,
    }
    assert usage()["rest_count"] == 5  # with the reading before


def test_what_requests_did(api, usage, twin, add, update_value):
    def delta(before):
        return usage().get("ledger_size_delta", 0) - before

    api("terminate_twin", twin)
    body = {"identities": {"SN#1": {}, "SN#2": {}}}
    api("create_twin_identity", twin, body=body)
    api("create_twin_identity", twin, body=body)
    assert {name: usage()[name] for name in ("twins_terminated", "identities_added")} == {
        "twins_terminated": 1,
        "identities_added": 2,
    }
    assert delta(0) == 0
    add(twin, x={"value": 10})
    added = delta(0)
    assert added == len('"x":{"value":10},')
    update_value(twin, x=20)
    assert delta(added) == 0
    update_value(twin, x=1)
    assert delta(added) == -1
    api("delete_twin_ledger_entry", twin)
    assert "ledger_size_delta" not in usage()


def test_rows_of_tables(api, usage, twin, add):
    columns = {"names": ["x"], "types": ["int"]}
    none = {"names": [], "types": []}
    api(
        "create_timeseries_table",
        body={"timeseries": {"t": {"dimensions": none, "measurements": columns}}},
    )
    table = {"rule": "true", "properties": none, "templates": {"properties": {}}}
    api("create_indexes_table", body={"indexes": {"i": table, "j": table}})
    add(twin, x={"value": 1, "timeseries": {"t": {"measurement": "x"}}})
    assert usage()["ts_db_write_cost"] == 1
    assert usage()["ix_db_write_cost"] == 2


def test_refused_requests_count_but_did_nothing(api, usage):
    assert api("update_twin", NOBODY, body={})[0] == 404
    body = {"entries": {"x": {"value": 1}}, "conditions": {"x": "("}}
    assert api("add_twin_ledger_entry", NOBODY, body=body)[0] == 400
    assert usage() == {
        "rest_count": 2,
        "request_count": 2,
        "task_update_twin_count": 1,
        "task_add_twin_ledger_entry_count": 1,
    }


def test_unknown_callers_do_not_count(emulator, api, usage, of_nobody):
    api("who_am_i", user=None)
    api("create_user_secret", NOBODY, "ABC123", user=None)
    assert usage() == {}
    assert of_nobody() == {}


def test_each_user_for_itself(api, usage, new_user, of_nobody):
    other = new_user()
    before = usage()
    for _ in range(2):
        api("create_twin", user=other)
    assert usage(of=other)["twins_created"] == 2
    assert "twins_created" not in usage()
    assert usage()["rest_count"] > before["rest_count"]
    assert of_nobody() == {}


def test_what_no_user_did(api, user, account, stranger, of_nobody):
    _, pin = api("create_user_secret_pin", user, body={})
    assert api("create_user_secret", account, pin["pin"], user=None)[0] == 201
    counts = {"rest_count": 1, "request_count": 1, "task_create_user_secret_count": 1}
    assert of_nobody() == {HOUR: counts}
    assert of_nobody(user=stranger) == {}


def test_copies_in_other_accounts_are_nobodys(
    api, twin, add, update_value, account, stranger, of_nobody, usage
):
    add(twin, t={"value": 1, "visibility": "true"})
    ref = {"source": f"twin://{twin}/{account}/t"}
    add(twin, user=stranger, copy={"ref": ref})
    before = usage()["ledger_size_delta"]
    update_value(twin, t=1_000)
    assert usage()["ledger_size_delta"] == before + 3
    assert of_nobody(user=stranger) == {HOUR: {"ledger_size_delta": 3}}
    assert of_nobody() == {}


def test_two_hours(api, user, usage, clock, emulator):
    api("create_twin")
    clock.advance(3_600)
    api("create_twin")
    api("create_twin")
    later = "2024-06-10-07"
    assert usage()["twins_created"] == 1
    assert usage(hour=later)["twins_created"] == 2
    clock.advance(3_600)
    assert set(api("get_user_usage", user)[1]["usage"]) == {later}
    api("create_twin")
    clock.advance(3 * 3_600)
    assert api("get_user_usage", user)[1] == {"usage": {}}
    api("create_twin")
    with emulator.store.transaction(write=False) as tx:
        assert len({row["hour"] for row in tx.rows("SELECT hour FROM usage")}) <= 2


def test_unknown_users(api, stranger):
    for uuid in (NOBODY, stranger):
        assert api("get_user_usage", uuid)[1]["subcode"] == 404653
    assert api("get_user_usage", "bad")[1]["subcode"] == 400589


def test_reads_wait_for_the_next_write(api, user, usage, emulator, twin, statements):
    def stored():
        with emulator.store.transaction(write=False) as tx:
            rows = tx.rows("SELECT amount FROM usage WHERE item = 'get_twin'")
            return sum(row["amount"] for row in rows)

    for _ in range(5):
        api("get_twin", twin)
    # What is done in the background meanwhile is no matter here.
    written = [sql for sql in statements if not sql.startswith("SELECT")]
    assert not [sql for sql in written if "usage" in sql]
    assert (stored(), usage()["task_get_twin_count"]) == (0, 5)
    statements.clear()
    api("update_twin", twin, body={})
    assert len([sql for sql in statements if "usage" in sql]) == 1
    assert (stored(), usage()["task_get_twin_count"]) == (5, 5)


def test_many_users_wait_for_several_writes(emulator, api, account, usage):
    hour = 1_718_000_000 // 3_600
    emulator.usage.note({(account, f"user {n}", hour, "get_twin"): 1 for n in range(500)})
    for _ in range(5):
        api("create_twin")
    assert usage()["twins_created"] == 5
    with emulator.store.transaction(write=False) as tx:
        (row,) = tx.rows("SELECT COUNT(*) AS n FROM usage WHERE owner LIKE 'user %'")
        assert row["n"] == 500


def test_threads_lose_nothing(api, usage, twin):
    def run():
        for _ in range(50):
            api("get_twin", twin)
            api("update_twin", twin, body={})

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = usage()
    assert counts["task_get_twin_count"] == 400
    assert counts["task_update_twin_count"] == 400


def test_it_outlives_the_process(store_url, clock):
    url = store_url
    create = HttpRequest("POST", "http://emulator.localhost/twins")
    with Emulator(url, clock=clock) as emulator:
        user = emulator.first_user()
        emulator.handle(create, user)
    with Emulator(url, clock=clock) as emulator:
        emulator.handle(create, user)
        request = HttpRequest("GET", f"http://emulator.localhost/usage/{user}")
        assert b'"twins_created":2' in emulator.handle(request, user).body


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_for_itself(emulator, account, user):
    key = (account, user, 1, "get_twin")
    emulator.usage.note({key: 1})
    with emulator.usage._lock, warnings.catch_warnings():
        # Later Pythons warn of forks beside threads, which is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        # It may have been written to the store meanwhile.
        waiting = dict(emulator.usage._waiting)
        child = os.fork()
        if child == 0:
            emulator.usage.note({key: 5})
            os._exit(emulator.usage._waiting[key])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        assert emulator.usage._waiting == waiting


class TestWithoutServices:
    @pytest.fixture
    def policy(self):
        return Policy(services=())

    def test_usage_is_counted(self, api, usage):
        api("create_twin")
        assert usage()["twins_created"] == 1
