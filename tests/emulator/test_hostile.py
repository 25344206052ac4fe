"""Hostile rules and templates, sent wherever the API takes them: refused or harmless, never 5xx."""

from __future__ import annotations

import json
import random
import time

import pytest
from hostile import LEAKS, bent, composed, repeated, soup, template_soup

REASONABLE = [
    "TWIN.company == USER.company",
    "entry_name in LEDGER.public and entry_value.a[0] > 3",
    'TWIN.serial =~ "SN-[0-9]+$"',
    "[x for x in LEDGER.readings if x > 2] == [3]",
]


def rule(random_):
    shapes = [
        lambda: composed(random_, 4),
        lambda: soup(random_),
        lambda: bent(random_, REASONABLE),
        lambda: repeated(random_),
    ]
    return random_.choice(shapes)()


@pytest.fixture
def attempt(api):
    """Call an operation with something hostile; tells whether it was accepted."""

    def attempt(name, *args, said, **options):
        status, answer = api(name, *args, **options)
        assert status in {200, 201} or answer["subcode"] in {400589, 400141}, (said, answer)
        made = json.dumps(answer).replace(json.dumps(said)[1:-1], "")
        assert not any(leak in made for leak in LEAKS), (said, made)
        return status < 300

    return attempt


@pytest.fixture
def world(api, add, account, twin, stranger, stranger_account, new_user):
    """A Ledger with values that rules and templates like, and somebody for each role."""
    add(twin, public={"value": ["a"]}, readings={"value": [1, 2, 3]}, nested={"value": {"a": [1]}})
    victim = new_user()
    role = api("get_user", victim)[1]["role"]
    assert api("create_twin_identity", twin, body={"identities": {"RFID#1": {}}})[0] == 201
    index = {
        "rule": "true",
        "properties": {"names": ["p"], "types": ["text"]},
        "templates": {"properties": {"p": "{entry_name}"}},
    }
    assert api("create_indexes_table", body={"indexes": {"all": index}})[0] == 201
    table = {
        "dimensions": {"names": ["d"], "types": ["text"]},
        "measurements": {"names": ["m"], "types": ["text"]},
        "defaults": {"measurement": "m"},
    }
    assert api("create_timeseries_table", body={"timeseries": {"t": table}})[0] == 200
    return {"twin": twin, "victim": victim, "role": role, "stranger": stranger, "account": account}


def try_rules(attempt, world, count, seed):
    """Send rules to each of their places, and use what was accepted."""
    random_, accepted = random.Random(seed), 0
    twin, victim, stranger = world["twin"], world["victim"], world["stranger"]
    for _ in range(count):
        text = rule(random_)
        entry = {"readings": {"visibility": text, "publish": {text: ["topic"]}, "value": [text]}}
        rules = {"twin_rule": text, "entry_rule": text, "identity_rule": text}
        index = {"rule": text}
        guard = {"conditions": {"public": text}, "entries": {"public": {"value": 1}}}
        places = [
            ("update_twin_ledger_entry", (twin, "personal"), {"body": {"entries": entry}}),
            ("update_user_role", (world["role"],), {"body": {"rules": rules}}),
            ("update_twin_identity", (twin, "RFID#1"), {"body": {"visibility": text}}),
            ("update_indexes_table", ("all",), {"body": index}),
            ("update_twin_ledger_entry_value", (twin, "personal"), {"body": guard}),
            ("update_account", (), {"body": {"resource_access_log": {text: {}}}}),
        ]
        accepted += sum([attempt(name, *args, said=text, **more) for name, args, more in places])
        # The query string of a long rule is none that a server takes.
        accepted += attempt("scan_twins", match=text[:2_000], details=True, said=text)
        reads = [
            ("get_twin_ledger_entry", (twin, world["account"]), {}),
            ("get_twin_ledger_entry_history", (twin, world["account"]), {}),
            ("resolve_twin_identity", ("RFID#1",), {"context": "system"}),
            ("get_twin_identities", (twin,), {"show_foreign": True}),
        ]
        for name, args, more in reads:
            assert attempt(name, *args, user=stranger, said=text, **more)
        attempt_as_victim(attempt, twin, victim, text)
    return accepted


def attempt_as_victim(attempt, twin, victim, text):
    """The rules of a role may hide its user everything, and that is all."""
    assert attempt("scan_twins", user=victim, details=True, said=text)
    assert attempt("resolve_twin_identity", "RFID#1", user=victim, details=True, said=text)
    assert attempt("list_stickers", user=victim, said=text)


def try_templates(attempt, world, count, seed):
    random_, accepted, twin = random.Random(seed), 0, world["twin"]
    for _ in range(count):
        text = template_soup(random_)
        defaults = {"dimensions": {"d": text}}
        series = {"t": {"measurement": text, "timestamp": text, "dimensions": {"d": text}}}
        entries = {"nested": {"value": text, "publish": {"true": [text]}, "timeseries": series}}
        templates = {"properties": {"p": text}}
        places = [
            ("update_twin_ledger_entry", (twin, "personal"), {"body": {"entries": entries}}),
            ("update_timeseries_table", ("t",), {"body": {"defaults": defaults}}),
            ("update_indexes_table", ("all",), {"body": {"templates": templates}}),
        ]
        accepted += sum([attempt(name, *args, said=text, **more) for name, args, more in places])
        value = {"entries": {"nested": {"value": [text]}, "public": {"value": text}}}
        assert attempt("update_twin_ledger_entry_value", twin, said=text, body=value)
        assert attempt("get_log", said=text)
    return accepted


def test_the_rules_of_one_request_together_do_not_hold_up_others(api, twin):
    """Each of these is within its limit; all of them would take seconds."""
    api("add_twin_ledger_entry", twin, body={"entries": {"list": {"value": [*range(100)]}}})
    heavy = "[a for a in LEDGER.list if [b for b in LEDGER.list if b > {}]]"
    publish = {heavy.format(n): ["topic"] for n in range(600)}
    entries = {"entries": {"published": {"value": 1, "publish": publish}}}
    assert api("add_twin_ledger_entry", twin, body=entries)[0] == 201
    start = time.thread_time()
    body = {"entries": {"published": {"value": 2}}}
    assert api("update_twin_ledger_entry_value", twin, body=body)[0] == 200
    assert time.thread_time() - start < 2


def test_rules(attempt, world):
    assert 0 < try_rules(attempt, world, 60, 1) < 60 * 7


def test_templates(attempt, world, emulator):
    assert 0 < try_templates(attempt, world, 150, 1) < 150 * 3
    for table in ("ts_1_t", "ix_1_all"):
        rows = json.dumps(emulator.sql(f"SELECT * FROM {table}"))
        assert not any(leak in rows for leak in LEAKS)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_many_rules_and_templates(attempt, world):
    assert 0 < try_rules(attempt, world, 500, 2024) < 500 * 7
    assert 0 < try_templates(attempt, world, 2_000, 2024) < 2_000 * 3
