"""Names and identifiers: what they look like, checked before anything is sent."""

from __future__ import annotations

import re
import string
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ttorm import ValidationError
from ttorm.api import names

LETTERS = string.ascii_letters
WORD = string.ascii_letters + string.digits + "_"

# The published forms of each rule, as they stand; ours may be stricter, never looser.
PUBLISHED = {
    "check_entry_name": [
        r"^[a-z_][0-9a-z_]{0,127}$",
        r"^(_*[a-z0-9]+)([_-][0-9a-z]+)*$",
    ],
    "check_identity": [r"^[A-Za-z_][0-9A-Za-z_]{0,7}#[0-9A-Za-z_=+-]{1,128}$"],
    "check_identity_type": [r"^[A-Za-z_][0-9A-Za-z_]{0,7}$"],
    "check_description_key": [r"^[a-z_][0-9a-z_]{0,63}$"],
    "check_history": [r"^([1-9][0-9]{0,2}[DWMY])|(INF)$"],
    "check_uuid": [r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"],
}
GOOD = {
    "check_entry_name": [
        *("a", "battery", "battery_level", "a1", "_a", "__a", "_1", "a_1", "x" * 128, "a_b_c_1"),
        *("true", "in", "null"),
    ],
    "check_identity": ["SN#A17", "RFID#a+b=", "_#-", "HID#" + "x" * 128, "A2345678#1"],
    "check_identity_type": ["SN", "_", "A2345678", "s1"],
    "check_description_key": ["kind", "_ttorm_key", "a", "_", "k" * 64, "a__b", "a1"],
    "check_doc_name": [
        *("a", "service_v2.pdf", "Certs/a_1.txt", "a/b/c/d/e/f.txt", "x" * 32, "-", "_.a"),
        "x" * 32 + ".abcdefgh",
    ],
    "check_history": ["1D", "999Y", "3M", "12W", "INF"],
    "check_uuid": [
        "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11",
        "e834214a-e13d-412b-ffd6-0123456789ab",
    ],
}
BAD = {
    "check_entry_name": [
        *("", "Battery", "1a", "a-b", "a b", "a.b", "a__b", "a_", "_", "é", "x" * 129, "a\n"),
        *(None, 5, b"a"),
    ],
    "check_identity": [
        *("", "SN", "#A17", "SN#", "A23456789#1", "1N#A", "SN#A/B", "SN#A B", "SN#é", "SN#A17\n"),
        *("HID#" + "x" * 129, "SN#A#B", None),
    ],
    "check_identity_type": ["", "1", "A23456789", "S-N", "SN#", "SN\n", None],
    "check_description_key": ["", "Kind", "1a", "a-b", "a b", "k" * 65, "a\n", "é", None, 1],
    "check_doc_name": [
        *("", "/a", "a/", "a//b", "a.b.c", ".a", "a.", "..", "../a", "a b", "é", "a\n", None),
        *("x" * 33, "a." + "x" * 9, "a/b/c/d/e/f/g.txt", "x" * 33 + "/a", "a.b/c", "a\\b"),
    ],
    "check_history": ["", "0D", "1000D", "3", "3m", "M", "3H", "inf", "03M", "3M\n", 3, "-1D"],
    "check_uuid": [
        *("", "0f6a3a52", "0f6a3a529c1e4b7d8f203b9f4d5c6a11", "g" * 36, None, 5),
        "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11\n",
        "{0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11}",
    ],
}


def pairs(table):
    return [(check, value) for check, values in table.items() for value in values]


@pytest.mark.parametrize(("check", "value"), pairs(GOOD))
def test_good_names_come_back(check, value):
    assert getattr(names, check)(value) == value


@pytest.mark.parametrize(("check", "value"), pairs(BAD))
def test_bad_names_are_refused_with_what_was_expected(check, value):
    with pytest.raises(ValidationError, match=r"is no .*: expected") as caught:
        getattr(names, check)(value)
    assert str(caught.value).startswith((repr(value), repr(str(value))))
    assert caught.value.code == "bad-name"


NEAR = {
    check: st.one_of(
        *(st.from_regex(form) for form in forms),
        st.text("aZ_09#-+=. /é\n", max_size=12),
        st.sampled_from(GOOD[check]),
    )
    for check, forms in PUBLISHED.items()
}


@pytest.mark.parametrize("check", PUBLISHED)
@given(data=st.data())
def test_what_passes_has_every_published_form(check, data):
    value = data.draw(NEAR[check])
    try:
        getattr(names, check)(value)
    except ValidationError:
        return
    assert all(re.fullmatch(form, value) for form in PUBLISHED[check])


@pytest.mark.parametrize(
    ("check", "form"),
    [(check, forms[0]) for check, forms in PUBLISHED.items() if check != "check_entry_name"],
)
@given(data=st.data())
def test_what_has_the_published_form_passes(check, form, data):
    value = data.draw(st.from_regex(form, fullmatch=True))
    assert getattr(names, check)(value) in {value, value.lower()}


PARTS = st.lists(st.text("ab09", min_size=1, max_size=12), min_size=1, max_size=8)


@given(st.text("_", max_size=3), PARTS)
def test_entry_names_sent_are_a_part_of_those_the_emulator_takes(lead, parts):
    name = lead + "_".join(parts)
    assume(lead or not name[0].isdigit())
    assert names.ENTRY_NAME_ACCEPTED.fullmatch(name)
    assert names.check_entry_name(name) == name
    assert len(name) <= 128


FOLDER = st.text(WORD + "-", min_size=1, max_size=32)


@given(
    st.lists(FOLDER, max_size=5),
    FOLDER,
    st.none() | st.text(LETTERS + string.digits, min_size=1, max_size=8),
)
def test_doc_names_made_by_the_rule_pass(folders, stem, extension):
    name = "/".join([*folders, stem if extension is None else f"{stem}.{extension}"])
    assert names.check_doc_name(name) == name


@given(st.text(string.printable, max_size=40))
def test_doc_names_never_lead_out_of_their_folder(name):
    try:
        names.check_doc_name(name)
    except ValidationError:
        return
    assert not {"", ".", ".."} & set(name.split("/"))
    assert "\\" not in name


@given(st.uuids())
def test_uuids_in_any_spelling_come_back_in_lower_case(uuid):
    assert names.check_uuid(uuid) == str(uuid)
    assert names.check_uuid(str(uuid).upper()) == str(uuid)


def test_no_history_is_a_history():
    assert names.check_history(None) is None


@given(st.text(st.characters(codec="utf-8")))
def test_encoded_segments_come_back_and_hold_nothing_special(text):
    segment = names.encode_segment(text)
    assert unquote(segment) == text
    assert re.fullmatch(r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*", segment)


def test_messages_name_what_is_checked():
    with pytest.raises(ValidationError, match="'x' is no account UUID"):
        names.check_uuid("x", "account UUID")


# Hashed Identities


@given(st.text(min_size=1), st.text(min_size=1))
def test_hashed_identities_are_those_of_the_platforms_own_tools(kind, data):
    utils = pytest.importorskip("trustedtwin_utils.identity.hashed_id")
    assume(not re.search("[\ud800-\udfff]", kind + data))
    hashed = names.hashed_identity(kind, data)
    assert hashed == utils.generate_hashed_id(kind, data)
    assert names.check_identity(hashed) == hashed
    assert len(hashed) == 32


def test_a_hashed_identity_stays_what_it_is():
    assert names.hashed_identity("email", "ann@example.com") == "HID#OKZSkehxv4Z32aVo00XvJf99Ws9K"


@pytest.mark.parametrize("texts", [("", "a"), ("a", ""), ("a", 5), (None, "a")])
def test_only_texts_are_hashed(texts):
    with pytest.raises(ValidationError, match="cannot be hashed: expected two texts"):
        names.hashed_identity(*texts)
