"""Building requests and reading answers."""

from __future__ import annotations

import json
from base64 import b64decode
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm import (
    ApiError,
    NotFoundError,
    QuotaError,
    ResponseFormatError,
    ServerError,
    ValidationError,
)
from ttorm.api.credentials import Secret
from ttorm.api.http import HttpResponse
from ttorm.api.request import (
    MAX_BODY,
    api_request,
    dictionary_header,
    encode_query,
    read_answer,
)

TWIN = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


# Paths


def test_an_identity_is_one_encoded_segment():
    request = api_request("get_twin_identity", [TWIN, "RFID#a+b="])
    assert request.path == f"/twins/{TWIN}/identities/RFID%23a%2Bb%3D"


def test_folders_of_a_doc_name_are_encoded():
    assert api_request("get_twin_doc", [TWIN, "Certs/a_1.txt"]).path == (
        f"/twins/{TWIN}/docs/Certs%2Fa_1.txt"
    )


@given(TEXT.filter(lambda text: text not in {".", ".."}))
def test_every_path_argument_comes_back_from_one_segment(argument):
    path = api_request("get_user", [argument]).path
    _, users, segment = path.split("/")
    assert users == "users"
    assert unquote(segment) == argument
    assert segment.isascii()
    assert not set(segment) & set("#?+= &")


def test_path_arguments_may_contain_braces():
    """An argument that looks like a placeholder is not filled in once more."""
    path = api_request("create_user_secret", ["{pin}", "A1"]).path
    assert path == "/secrets/%7Bpin%7D/A1"


def test_a_pin_that_does_not_show_itself():
    request = api_request("create_user_secret", ["an-account", Secret("A1B2C3")])
    assert request.path == "/secrets/an-account/A1B2C3"
    assert "A1B2C3" not in repr(request.arguments)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([TWIN], f"/twins/{TWIN}/ledgers/personal"),
        ([TWIN, "owner"], f"/twins/{TWIN}/ledgers/owner"),
    ],
)
def test_trailing_path_arguments_have_defaults(given, expected):
    assert api_request("get_twin_ledger_entry", given).path == expected


def test_path_arguments_by_name():
    assert api_request("get_twin", query={"twin": TWIN}).path == f"/twins/{TWIN}"
    request = api_request("update_database_user_access", query={"user": "u1"})
    assert request.path == "/account/services/databases/default/access/users/u1"
    assert request.query == ()


def test_missing_path_arguments():
    with pytest.raises(ValidationError, match="get_twin needs 'twin', found None") as caught:
        api_request("get_twin")
    assert "/twins/{twin}" in str(caught.value)


@pytest.mark.parametrize("argument", ["", ".", "..", None])
def test_path_arguments_that_would_make_another_path(argument):
    """A client or proxy would resolve them, and DELETE something else."""
    with pytest.raises(ValidationError, match="needs 'twin'"):
        api_request("terminate_twin", [argument])


def test_too_many_path_arguments():
    with pytest.raises(ValidationError, match="takes 1 path arguments, got 2"):
        api_request("get_twin", [TWIN, "personal"])


# Query


def target(**query):
    return api_request("scan_twins", query=query).target


def test_booleans_are_lower_case():
    assert target(details=True) == "/twins?details=true"
    assert target(details=False) == "/twins?details=false"


def test_none_is_left_out():
    assert target(cursor=None, match=None) == "/twins"


def test_lists_are_repeated_names_in_order():
    request = api_request("get_twin_ledger_entry", [TWIN], {"entries": ["b", "a", "c d"]})
    assert request.target.endswith("?entries=b&entries=a&entries=c%20d")
    request = api_request("get_twin_ledger_entry", [TWIN], {"entries": []})
    assert "?" not in request.target


def test_rules_are_encoded_with_nothing_left_safe():
    assert target(match="TWIN.a == 'x+y' and b > 1") == (
        "/twins?match=TWIN.a%20%3D%3D%20%27x%2By%27%20and%20b%20%3E%201"
    )


@pytest.mark.parametrize(
    ("moment", "text"), [(1707997280.44, "1707997280.44"), (0.1 + 0.2, "0.3"), (17, "17")]
)
def test_moments_have_milliseconds(moment, text):
    request = api_request("get_twin_ledger_entry_history", [TWIN], {"ge": moment})
    assert request.query == (("ge", text),)


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_encoded_queries_come_back(pairs):
    assert parse_qsl(encode_query(tuple(pairs)), strict_parsing=bool(pairs)) == pairs


def test_unknown_parameters_are_named_with_the_known_ones():
    with pytest.raises(ValidationError, match=r"no parameter 'matches'.*cursor, count, match"):
        target(matches="true")
    with pytest.raises(ValidationError, match="it takes: none"):
        api_request("get_account", query={"x": 1})


@pytest.mark.parametrize("value", [{"a": 1}, b"x", object(), [["nested"]]])
def test_parameters_of_a_wrong_type(value):
    with pytest.raises(ValidationError, match="'match' takes text, a number, a boolean"):
        target(match=value)


def test_unknown_operations():
    with pytest.raises(LookupError, match="did you mean 'get_twin'"):
        api_request("get_tvin")


# Bodies


def test_a_body_is_compact_json_with_its_type():
    request = api_request("update_twin", [TWIN], body={"description": {"a": [1, "é"]}})
    http = request.bind("https://example.org", {"accept": "application/json"})
    assert http.method == "PATCH"
    assert http.url == f"https://example.org/twins/{TWIN}"
    assert http.body == '{"description":{"a":[1,"é"]}}'.encode()
    assert http.headers["content-type"] == "application/json"
    assert http.headers["accept"] == "application/json"


def test_without_body_nothing_is_sent():
    http = api_request("create_twin").bind("https://example.org", {})
    assert http.body == b""
    assert "content-type" not in http.headers


def test_an_empty_body_is_sent():
    assert api_request("create_twin", body={}).encode_body() == b"{}"


def test_operations_without_body_refuse_one():
    with pytest.raises(ValidationError, match="get_twin takes no body"):
        api_request("get_twin", [TWIN], body={})


def filled(length):
    frame = len(json.dumps({"description": {"k": ""}}, separators=(",", ":")))
    return {"description": {"k": "x" * (length - frame)}}


def test_64_kilobytes_pass():
    assert len(api_request("create_twin", body=filled(MAX_BODY)).encode_body()) == 65_536


def test_one_byte_more_is_refused_before_sending():
    with pytest.raises(QuotaError, match="65,537 bytes") as caught:
        api_request("create_twin", body=filled(MAX_BODY + 1)).encode_body()
    assert caught.value.status is None
    assert caught.value.operation == "create_twin"


def test_size_is_counted_in_bytes_not_in_characters():
    with pytest.raises(QuotaError):
        api_request("create_twin", body={"description": {"k": "é" * 33_000}}).encode_body()


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800", {1: 2}, {1}, b"x"])
def test_bodies_that_are_not_json(value):
    """An encoder would send NaN as it is, and quietly turn sets, bytes and keys into others."""
    with pytest.raises(ValidationError, match=r"body of create_twin\['description'\]\['k'\]"):
        api_request("create_twin", body={"description": {"k": value}})


# The request dictionary


def test_dictionary_is_base64_of_json():
    header = dictionary_header({"serial": "SN-1", "city": "Łódź"})
    assert json.loads(b64decode(header, validate=True)) == {"serial": "SN-1", "city": "Łódź"}
    assert header.isascii()
    assert dictionary_header({}) == "e30="


@pytest.mark.parametrize("key", ["Serial", "1a", "a-b", "", "x" * 65])
def test_dictionary_keys_are_checked(key):
    with pytest.raises(ValidationError, match="description key"):
        dictionary_header({key: 1})


def test_dictionary_values_are_checked():
    with pytest.raises(ValidationError, match=r"request dictionary\['a'\] is a set"):
        dictionary_header({"a": {1}})


# Labels


def test_labels_show_paths_but_no_credentials():
    assert api_request("get_twin", [TWIN], {"show_terminated": True}).label == (
        f"GET /twins/{TWIN}"
    )
    assert api_request("create_user_secret", ["acc", "P1N"]).label == (
        "POST /secrets/{account}/{pin}"
    )
    confirm = api_request("webhook_confirm_subscription", ["acc"], {"token": "t0ken"})
    assert "t0ken" not in confirm.label


# Answers

REQUEST = api_request("get_twin", [TWIN])


@pytest.mark.parametrize("status", [200, 201, 202, 226])
def test_any_2xx_is_success(status):
    assert read_answer(REQUEST, HttpResponse(status, {}, b'{"status": "alive"}')) == {
        "status": "alive"
    }


@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_an_empty_success_is_an_empty_object(body):
    assert read_answer(REQUEST, HttpResponse(204, {}, body)) == {}


def test_moments_of_a_history_are_not_kept_by_the_decoder():
    """They would fill its store and drive the names of Entries out."""
    body = HttpResponse(200, {}, b'{"1699999999.123": 1}')
    history = api_request("get_twin_ledger_entry_history", [TWIN, "personal"])
    [one], [two] = read_answer(history, body), read_answer(history, body)
    assert one == two
    assert one is not two
    [one], [two] = read_answer(REQUEST, body), read_answer(REQUEST, body)
    assert one is two


@pytest.mark.parametrize(
    "body", [b"<html>Welcome to the hotel</html>", b"[1]", b'"text"', b"{", b"\xff{}", b"[" * 9999]
)
def test_a_success_that_is_not_the_apis(body):
    headers = {"content-type": "text/html"}
    with pytest.raises(ResponseFormatError, match="not a JSON object") as caught:
        read_answer(REQUEST, HttpResponse(200, headers, body), attempts=2)
    error = caught.value
    assert "text/html" in str(error)
    assert "proxy" in str(error)
    assert (error.operation, error.request, error.attempts) == (
        "get_twin",
        f"GET /twins/{TWIN}",
        2,
    )
    assert len(str(error)) < 400


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b"null", b"\xff"])
def test_an_error_that_is_not_the_apis(body):
    with pytest.raises(ServerError, match=r"502.*proxy may have answered") as caught:
        read_answer(REQUEST, HttpResponse(502, {}, body))
    assert (caught.value.status, caught.value.subcode) == (502, None)


def test_an_error_of_the_apis():
    body = json.dumps(
        {"subcode": "404653", "trace": "t-1", "description": "No such Twin.", "help": None}
    ).encode()
    with pytest.raises(NotFoundError, match=r"No such Twin.*trace t-1") as caught:
        read_answer(REQUEST, HttpResponse(404, {}, body), attempts=3)
    error = caught.value
    assert (error.status, error.subcode, error.trace) == (404, 404653, "t-1")
    assert (error.description, error.operation, error.attempts) == (
        "No such Twin.",
        "get_twin",
        3,
    )


def test_redirects_are_errors():
    with pytest.raises(ApiError, match=r"302.*leads elsewhere on its server"):
        read_answer(REQUEST, HttpResponse(302, {"location": "/elsewhere"}, b""))
