"""The account's log in its fragments, and traces."""

from __future__ import annotations

import logging

import pytest

from ttorm.emulator.logs import MAX_MESSAGES, report


@pytest.fixture
def say(emulator, account):
    """Put messages into the first account's log: ``say("a", "b")``."""

    def say(*messages):
        with emulator.store.transaction(write=True) as tx:
            report(tx, account, messages)

    return say


@pytest.fixture
def read(api):
    """Read the log: ``read(fragment=...) -> (fragment, messages)``."""

    def read(**query):
        status, answer = api("get_log", **query)
        assert status == 200, answer
        assert set(answer) == {"fragment", "messages"}
        return answer["fragment"], answer["messages"]

    return read


def test_an_empty_log(read):
    first, messages = read()
    assert messages == []
    second, messages = read()
    assert messages == []
    assert first != second


def test_messages_are_given_once_and_in_order(read, say):
    say("a", "b")
    say("c")
    assert read()[1] == ["a", "b", "c"]
    assert read()[1] == []
    say("d")
    assert read()[1] == ["d"]


def test_fragment_by_fragment(api, read, say):
    say("a")
    following, messages = read()
    assert messages == ["a"]
    say("b")
    after, messages = read(fragment=following)
    assert messages == ["b"]
    say("c")
    assert api("get_log", fragment=following)[1]["subcode"] == 404653
    assert read(fragment=after)[1] == ["c"]


def test_who_did_not_read_all_is_told(api, read, say):
    following, _ = read()
    say("a")
    read()
    assert api("get_log", fragment=following)[1]["subcode"] == 404653


@pytest.mark.parametrize("fragment", ["", "x", "00000000-0000-4000-8000-000000000000"])
def test_unknown_fragments(api, say, fragment):
    say("a")
    assert api("get_log", fragment=fragment)[1]["subcode"] == 404653
    assert api("get_log")[1]["messages"] == ["a"]


def test_the_newest_thousand_stay(read, say):
    say(*map(str, range(600)))
    say(*map(str, range(600, 1_100)))
    assert read()[1] == list(map(str, range(100, 1_100)))
    say(*map(str, range(MAX_MESSAGES + 5)))
    say("last")
    assert read()[1] == [*map(str, range(6, MAX_MESSAGES + 5)), "last"]
    say()
    assert read()[1] == []


def test_each_account_has_its_own(api, say, stranger):
    say("a")
    assert api("get_log", user=stranger)[1]["messages"] == []
    assert api("get_log")[1]["messages"] == ["a"]


def test_trace(api, user, account, caplog):
    with caplog.at_level(logging.INFO, logger="ttorm.emulator"):
        assert api("trace") == (201, {})
    assert f"trace by user {user} of account {account}" in caplog.text
    assert api("get_log")[1]["messages"] == []


@pytest.mark.parametrize("name", ["get_log", "trace"])
def test_the_role_permits_it(api, new_user, name):
    other = new_user(statement={"effect": "deny", "actions": [name]})
    assert api(name, user=other)[1]["subcode"] == 403535
