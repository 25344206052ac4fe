"""Routing: from raw URLs to operations and arguments."""

from __future__ import annotations

import pytest

from ttorm.api.operations import OPERATIONS
from ttorm.api.request import api_request
from ttorm.emulator.answers import Fault
from ttorm.emulator.routing import find_route, read_query, split_url, upload_handler

HARD = {
    "identity": "RFID#a+b/=%41é ",
    "doc_name": "Certs/2024/a_1.txt",
    "color": "ä/?#&",
    "pin": "%2F",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_found_with_its_arguments(name):
    operation = OPERATIONS[name]
    names = [parameter.name for parameter in operation.path_params]
    given = [HARD.get(name, f"the {name}") for name in names]
    request = api_request(name, given)
    route = find_route(operation.method, request.path)
    assert route.operation is operation
    assert list(route.args().values()) == given


@pytest.mark.parametrize(
    ("method", "path", "name", "args"),
    [
        ("GET", "/roles/", "get_user_roles", {}),
        ("GET", "/twins/T/docs/", "get_twin_docs", {"twin": "T"}),
        ("POST", "/token/refresh", "refresh_user_token", {}),
        ("GET", "/notifications/webhooks/access", "get_notifications_access", {}),
        ("GET", "/notifications/webhooks/A", "webhook_confirm_subscription", {"account": "A"}),
        ("GET", "/twins/T/docs/a/b/c.txt", "get_twin_doc", {"twin": "T", "doc_name": "a/b/c.txt"}),
        ("PATCH", "/twins/T/docs/a%2Fb/c", "update_twin_doc", {"twin": "T", "doc_name": "a/b/c"}),
        ("GET", "/resolve/SN%231+2", "resolve_twin_identity", {"identity": "SN#1+2"}),
        ("GET", "/twins/T/ledgers/personal/value", "get_twin_ledger_entry_value",
         {"twin": "T", "ledger": "personal"}),
        ("GET", "/users/value", "get_user", {"user": "value"}),
    ],
)  # fmt: skip
def test_particular_paths(method, path, name, args):
    route = find_route(method, path)
    assert (route.operation.name, route.args()) == (name, args)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "//"),
        ("GET", "/twins//"),
        ("GET", "/users//secrets"),
        ("PUT", "/twins"),
        ("POST", "/whoami"),
        ("GET", "/unknown"),
        ("GET", "/twins/T/ledgers"),
        ("GET", "/v1/twins"),
        ("GET", "/twins/T/identities/a/b"),
        ("get", "/twins"),
    ],
)
def test_unknown_paths(method, path):
    with pytest.raises(Fault) as fault:
        find_route(method, path)
    assert fault.value.subcode == 404653


def test_path_that_is_no_utf8(send, user):
    answer = send("GET", "/twins/%FF%FE", user=user)
    assert (answer.status, b"400589" in answer.body) == (400, True)


def test_query():
    assert read_query("a=1&a=2&b=&c&d=x%20y+z&e=%C3%A9") == {
        "a": ["1", "2"],
        "b": [""],
        "c": [""],
        "d": ["x y z"],
        "e": ["é"],
    }
    with pytest.raises(Fault) as fault:
        read_query("a=%FF")
    assert fault.value.subcode == 400589


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://h:1/a/b?x=1&y=2", ("http://h:1", "/a/b", "x=1&y=2")),
        ("https://h/a%2Fb%3F?q=/?", ("https://h", "/a%2Fb%3F", "q=/?")),
        ("http://h", ("http://h", "", "")),
        ("http://h/#part", ("http://h", "/", "")),
    ],
)
def test_url(url, parts):
    assert split_url(url) == parts


def test_uploads_are_beside_the_operations():
    assert upload_handler("PUT", "/_upload/a%20b") == "a b"
    assert upload_handler("GET", "/_upload/a") is None
    assert upload_handler("PUT", "/twins") is None
