"""Secrets that do not show themselves, and what scopes tell apart."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ttorm
from ttorm import Secret
from ttorm.api.credentials import credential_scope, derived_key
from ttorm.api.http import HttpResponse
from ttorm.api.request import api_request, read_answer

TEXT = "q9fS+very/secret"
URL = "https://rest.example.org"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        "{}".format,
        "{!r:>30}".format,
        "{:>30}".format,
        "{:.2}".format,
        "%s".__mod__,
        "%r".__mod__,
        lambda secret: f"{secret}",
        lambda secret: repr([secret, {"secret": secret}]),
        lambda secret: str(ValueError(secret)),
        lambda secret: json.dumps(secret, default=repr),
    ],
)
def test_a_secret_never_shows(show):
    assert TEXT not in show(Secret(TEXT))
    assert TEXT[:4] not in show(Secret(TEXT))


def test_a_secret_does_not_show_in_logs_and_tracebacks(caplog):
    secret = Secret(TEXT)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("connecting with %s", secret)
    with pytest.raises(ValueError) as caught:
        raise ValueError("no good", secret)
    assert TEXT not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_secret_has_no_dictionary_to_look_into():
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol):
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"secret": Secret(TEXT)}, protocol)


def test_settings_with_a_secret_are_copied():
    @dataclass
    class Settings:
        secret: Secret

    settings = Settings(Secret(TEXT))
    for again in (copy.copy(settings.secret), asdict(settings)["secret"]):
        assert again is settings.secret


def test_a_secret_is_revealed_on_demand_only():
    assert Secret(TEXT).reveal() == TEXT
    assert Secret(Secret(TEXT)).reveal() == TEXT


def test_what_goes_into_a_header_shows_masked_in_reprs():
    """Tracebacks with locals, and what error trackers collect, are full of them."""
    header = Secret(TEXT).header()
    assert header == TEXT
    assert header.encode() == TEXT.encode()
    assert TEXT not in repr({"authorization": header})


def test_what_a_call_answers_copies_and_encodes():
    answer = HttpResponse(200, {}, json.dumps({"token": TEXT}).encode())
    text = read_answer(api_request("create_user_token", body={}), answer)["token"]
    assert repr(text) == "'***'"
    for again in (copy.copy(text), copy.deepcopy({"token": text})["token"]):
        assert (again, repr(again)) == (TEXT, "'***'")
    assert (f"{text}", str(text), json.dumps(text)) == (TEXT, TEXT, f'"{TEXT}"')
    assert {TEXT: 1}[text] == 1
    assert type(str(text)) is str
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(text)


def test_equality_and_hash():
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2


def test_secrets_with_any_text_compare():
    assert Secret("é") != Secret("e")


# Scopes


def test_a_scope_does_not_tell_the_credential():
    scope = credential_scope(TEXT, URL, {"pin": "77"})
    assert TEXT not in scope
    assert len(scope) == 64
    assert set(scope) <= set("0123456789abcdef")


def test_a_scope_is_the_same_in_all_processes():
    code = (
        "from ttorm.api.credentials import credential_scope as scope;"
        f"print(scope({TEXT!r}, {URL!r}, {{'b': 1, 'a': [2]}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == credential_scope(TEXT, URL, {"a": [2], "b": 1})


KEYS = st.text("abc_", min_size=1, max_size=3)
DICTIONARIES = st.none() | st.dictionaries(KEYS, st.integers(0, 2) | st.booleans() | st.text("a"))
ASKERS = st.tuples(st.text("ab", min_size=1, max_size=3), st.sampled_from([URL, URL + "/x"]))


@given(ASKERS, DICTIONARIES, ASKERS, DICTIONARIES)
def test_scopes_are_equal_only_for_the_same_credential_address_and_dictionary(
    one, dict_one, other, dict_other
):
    same_dictionary = ttorm.api.codec.same(dict_one, dict_other)  # True is not 1
    same = one == other and same_dictionary
    assert (credential_scope(*one, dict_one) == credential_scope(*other, dict_other)) is same


def test_no_dictionary_is_not_an_empty_one():
    """``DICT.x`` is null in both, but the service may tell them apart."""
    assert credential_scope(TEXT, URL, None) != credential_scope(TEXT, URL, {})


# Keys of tokens


def test_what_a_token_carries_is_part_of_its_key():
    key = Secret(TEXT)
    assert derived_key(key, None) is key
    carried = [derived_key(key, one) for one in ({}, {"a": 1}, {"a": True}, {"a": 2})]
    assert len({key, *carried}) == 5
    assert derived_key(key, {"a": 1, "b": 2}) == derived_key(key, {"b": 2, "a": 1})
    assert TEXT not in carried[0].reveal()


def test_an_answer_with_a_secret_is_not_shown_when_it_cannot_be_read():
    request = ttorm.api.request.api_request("create_user_token")
    answer = ttorm.api.http.HttpResponse(201, {}, TEXT.encode())
    with pytest.raises(ttorm.ResponseFormatError) as caught:
        ttorm.api.request.read_answer(request, answer)
    assert TEXT[:4] not in str(caught.value)
