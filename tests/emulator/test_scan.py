"""Scanning Twins: pages, matching, details, and how many statements it takes."""

from __future__ import annotations

import pytest


@pytest.fixture
def pages(api):
    """Walk a scan to its end: ``pages(count=1) -> list of the pages' Twins``."""

    def pages(**query):
        found, cursor = [], None
        while True:
            status, page = api("scan_twins", cursor=cursor, **query)
            assert status == 200, page
            found.append(page["twins"])
            cursor = page["cursor"]
            if cursor is None:
                return found

    return pages


def test_nothing_to_scan(api):
    assert api("scan_twins") == (200, {"cursor": None, "twins": []})


def test_one_by_one_in_the_order_of_creation(pages, new_twin):
    twins = [new_twin() for _ in range(5)]
    assert pages(count=1) == [[twin] for twin in twins]


def test_the_last_page_ends_the_scan_also_when_it_is_full(pages, new_twin):
    twins = [new_twin() for _ in range(4)]
    assert pages(count=2) == [twins[:2], twins[2:]]
    assert pages(count=4) == [twins]


def test_an_empty_cursor_starts_at_the_beginning(api, twin):
    assert api("scan_twins", cursor="")[1]["twins"] == [twin]


def test_a_hundred_by_default(api, new_twin):
    twins = [new_twin() for _ in range(101)]
    assert api("scan_twins")[1]["twins"] == twins[:100]


def test_count_is_how_many_are_scanned_not_how_many_match(pages, new_twin):
    twins = [new_twin({"n": n}) for n in range(5)]
    assert pages(count=2, match="TWIN.n == 4") == [[], [], [twins[4]]]


def test_a_page_ends_early_when_its_rules_do_too_much_and_no_twin_is_lost(pages, new_twin):
    twins = [new_twin({"list": list(range(15)), "n": n}) for n in range(220)]
    heavy = "[x for x in TWIN.list if [y for y in TWIN.list if y < 0]].is_empty and TWIN.n != 7"
    first, *rest = pages(count=1_000, match=heavy)
    assert 0 < len(first) < 219
    assert [twin for page in [first, *rest] for twin in page] == [*twins[:7], *twins[8:]]


def test_twins_made_during_a_scan_are_found_by_it(api, new_twin):
    first, second = new_twin(), new_twin()
    cursor = api("scan_twins", count=1)[1]["cursor"]
    third = new_twin()
    assert api("scan_twins", cursor=cursor)[1] == {"cursor": None, "twins": [second, third]}
    assert first not in api("scan_twins", cursor=cursor)[1]["twins"]


def test_only_twins_of_the_callers_account(api, twin, new_twin, stranger):
    theirs = new_twin(user=stranger)
    assert api("scan_twins")[1]["twins"] == [twin]
    assert api("scan_twins", user=stranger)[1]["twins"] == [theirs]


def test_terminated_twins_are_scanned_too(api, twin):
    api("terminate_twin", twin)
    assert api("scan_twins")[1]["twins"] == [twin]
    assert api("scan_twins", match="twin_status == 'alive'")[1]["twins"] == []


def test_details_are_the_twins_themselves(api, new_twin):
    twins = [new_twin({"n": 1}), new_twin()]
    expected = [api("get_twin", twin)[1] for twin in twins]
    assert api("scan_twins", details=True)[1]["twins"] == expected


def test_hidden_twins_are_listed_but_have_no_details(api, new_twin, new_user):
    pump, valve = new_twin({"kind": "pump"}), new_twin({"kind": "valve"})
    user = new_user({"twin_rule": "TWIN.kind == 'valve'"})
    assert api("scan_twins", user=user)[1]["twins"] == [pump, valve]
    details = api("scan_twins", details=True, user=user)[1]["twins"]
    assert [twin["creation_certificate"]["uuid"] for twin in details] == [valve]


class TestMatch:
    def test_by_the_callers_own_ledger(self, api, new_twin, add, stranger):
        cheap, dear, silent = new_twin(), new_twin(), new_twin()
        add(cheap, price={"value": 5})
        add(dear, price={"value": 50})
        add(silent, user=stranger, price={"value": 500, "visibility": "true"})
        assert api("scan_twins", match="LEDGER.price > 10")[1]["twins"] == [dear]

    def test_a_rule_that_cannot_be_evaluated_does_not_match(self, api, twin, add):
        add(twin, price={"value": "ten"})
        assert api("scan_twins", match="LEDGER.price > 10")[1]["twins"] == []

    def test_includes_are_matched_by_what_they_include(self, api, new_twin, add):
        zone, scooter = new_twin(), new_twin()
        add(zone, price={"value": 7})
        add(scooter, zone_price={"include": {"source": f"twin://{zone}/price"}})
        assert api("scan_twins", match="LEDGER.zone_price == 7")[1]["twins"] == [scooter]

    def test_variables_of_the_caller(self, api, new_twin, new_user):
        ours, _ = new_twin({"company": "acme"}), new_twin({"company": "other"})
        user = new_user(description={"company": "acme"})
        rule = "TWIN.company == USER.company"
        assert api("scan_twins", match=rule, user=user)[1]["twins"] == [ours]
        by_dictionary = api("scan_twins", match="TWIN.company == DICT.c", dictionary={"c": "acme"})
        assert by_dictionary[1]["twins"] == [ours]

    @pytest.mark.parametrize("match", ["TWIN.kind =", "a && b", "1 < a < 3", " "])
    def test_a_rule_that_is_none(self, api, twin, match):
        status, error = api("scan_twins", match=match)
        assert (status, error["subcode"]) == (400, 400589)


@pytest.mark.parametrize("count", ["0", "1001", "-1", "ten", "1.5", ""])
def test_count_is_from_1_to_1000(api, count):
    assert api("scan_twins", count=count)[1]["subcode"] == 400589


@pytest.mark.parametrize(
    "cursor", ["?", "eA==", "N2QyMGI4YzQtNTVlMS00ZjBiLWI2YTktZTFjMmQzZjRhNTIy"]
)
def test_a_cursor_that_no_scan_gave(api, twin, cursor):
    assert api("scan_twins", cursor=cursor)[1]["subcode"] == 400589


def test_a_cursor_of_another_account(api, new_twin, stranger):
    for _ in range(2):
        new_twin(user=stranger)
    cursor = api("scan_twins", count=1, user=stranger)[1]["cursor"]
    assert cursor
    assert api("scan_twins", cursor=cursor)[1]["subcode"] == 400589


def test_the_number_of_statements_does_not_grow_with_the_twins(
    api, new_twin, add, new_user, statements
):
    rule = "LEDGER.n >= 0 and LEDGER.included >= 0"
    user = new_user({"twin_rule": "LEDGER.n >= 0"})

    def count():
        statements.clear()
        status, page = api("scan_twins", match=rule, details=True, count=1_000, user=user)
        assert status == 200
        return len(page["twins"]), len(statements)

    source = new_twin()
    add(source, n={"value": 0})

    def more(number):
        for n in range(number):
            included = {"include": {"source": f"twin://{source}/n"}}
            add(new_twin(), n={"value": n}, included=included)

    more(2)
    few = count()
    more(60)
    many = count()
    assert (few[0], many[0]) == (2, 62)
    assert few[1] == many[1] <= 10
