"""The platform's limits in one table: what is just allowed, what is not, and when things expire."""

from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from ttorm.api.request import MAX_BODY

HOUR = 3_600
CLOSE = 0.001


def body_of(size):
    """A body of this many bytes that makes a Twin."""
    empty = json.dumps({"description": {"a": ""}})
    return json.dumps({"description": {"a": "x" * (size - len(empty))}}).encode()


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 201), (MAX_BODY + 1, 400)])
def test_a_body_has_64_kb(api, send, user, size, status):
    assert len(body_of(size)) == size
    answer = send("POST", "/twins", body_of(size), user)
    assert answer.status == status
    if status == 400:
        assert json.loads(answer.body)["subcode"] == 400141
    assert len(api("scan_twins")[1]["twins"]) == (status == 201)


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
def test_a_ledger_has_64_kb_and_what_does_not_fit_is_not_written_at_all(
    api, twin, add, entries, more, status
):
    add(twin, first={"value": "x" * 40_000}, other={"value": 1})
    stored = {"first": {"value": "x" * 40_000}, "other": {"value": ""}}
    room = MAX_BODY - len(json.dumps(stored, separators=(",", ":")))
    body = {"entries": {"first": {"visibility": None}, "other": {"value": "x" * (room + more)}}}
    answer = api("update_twin_ledger_entry", twin, body=body)
    assert answer[0] == status
    if status == 400:
        assert answer[1]["subcode"] == 400141
        kept = entries(twin)
        assert kept["other"]["value"] == 1
        assert kept["first"]["entry_updated_ts"] == kept["first"]["entry_created_ts"]


def test_an_entry_has_a_thousand_records_and_a_call_a_hundred_of_them(api, twin, add, clock):
    add(twin, a={"value": 0, "history": "INF"})
    for value in range(1, 1_001):
        clock.advance(1)
        body = {"entries": {"a": {"value": value}}}
        assert api("update_twin_ledger_entry_value", twin, body=body)[0] == 200
    found, until = [], clock.now()
    while page := api("get_twin_ledger_entry_history", twin, le=until)[1]["entries"]["a"]:
        assert len(page) == 100
        found += page.values()
        until = min(map(float, page)) - CLOSE
    assert found == [*range(1_000, 0, -1)]


@pytest.mark.parametrize(
    ("hops", "status", "value"), [(32, "ok", "x"), (33, "too_many_hops", None)]
)
def test_a_reference_follows_32_others(account, new_twin, add, entries, hops, status, value):
    twins = [new_twin() for _ in range(hops + 1)]
    add(twins[0], a={"value": "x"})
    for source, twin in pairwise(twins):
        add(twin, a={"ref": {"source": f"twin://{source}/{account}/a"}})
    last = entries(twins[-1])["a"]
    assert (last["ref"]["status"], last["value"]) == (status, value)


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (1_000, 200), (1_001, 400)])
def test_a_scan_looks_at_1_to_1000_twins(api, count, status):
    assert api("scan_twins", count=count)[0] == status


def test_a_scan_looks_at_100_twins_by_itself(api, new_twin):
    for _ in range(101):
        new_twin()
    page = api("scan_twins")[1]
    assert len(page["twins"]) == 100
    rest = api("scan_twins", cursor=page["cursor"])[1]
    assert (len(rest["twins"]), rest["cursor"]) == (1, None)


@pytest.mark.parametrize(("operation", "most"), [("list_stickers", 100), ("get_batches", 1_000)])
def test_pages_of_lists(api, operation, most):
    assert api(operation, limit=most)[0] == 200
    assert api(operation, limit=most + 1)[1]["subcode"] == 400589


# What expires: after how many seconds, what makes it, and whether it still works.


def new_pin(w):
    return w.api("create_user_secret_pin", w.other)[1]["pin"]


def new_secret(w):
    """A secret of a minute; who has it is asked for, because its PIN is used up."""
    body = {"validity_ts": w.now() + 60}
    pin = w.api("create_user_secret_pin", w.other, body=body)[1]["pin"]
    return w.api("create_user_secret", w.account, pin)[1]["secret"]


def new_token(w):
    return w.api("create_user_token", body={"validity_ts": w.now() + 60})[1]["token"]


def signs_in(w, credential):
    return w.send("GET", "/whoami", headers={"authorization": credential}).status == 200


def new_identity(w):
    body = {"identities": {"RFID#1": {"validity_ts": w.now() + 60}}}
    assert w.api("create_twin_identity", w.twin, body=body)[0] == 201


def new_sticker(w, **fields):
    sticker = {"recipients": [w.user], **fields}
    assert w.api("put_sticker", w.twin, body={"stickers": {"red-flag": sticker}})[0] == 201


def new_download(w, **query):
    w.new_doc(w.twin, "a.txt", b"content")
    return w.api("get_twin_doc", w.twin, "a.txt", download=True, **query)[1]["download"]["url"]


def new_results(w):
    batch = w.new_batch("who_am_i", {})
    w.run_batches()
    return w.api("get_batch", batch["batch"], download=True)[1]["download"]["url"]


def attaches(w, handler):
    body = {"docs": {f"a_{w.now():.0f}.txt": {"handler": handler}}}
    (doc,) = w.api("attach_twin_doc", w.twin, body=body)[1]["docs"].values()
    return "error" not in doc


EXPIRING = {
    "PIN": (600, new_pin, lambda w, pin: w.api("create_user_secret", w.account, pin)[0] == 201),
    "secret": (60, new_secret, signs_in),
    "token": (60, new_token, signs_in),
    "Identity": (
        60,
        new_identity,
        lambda w, _: w.api("resolve_twin_identity", "RFID#1")[1]["twins"] == [w.twin],
    ),
    "Sticker": (
        60,
        lambda w: new_sticker(w, validity_ts=w.now() + 60),
        lambda w, _: w.api("get_sticker", w.twin, "red-flag")[0] == 200,
    ),
    "Sticker by itself": (
        365 * 24 * HOUR,
        new_sticker,
        lambda w, _: w.api("get_sticker", w.twin, "red-flag")[0] == 200,
    ),
    "URL of an upload": (
        HOUR,
        lambda w: w.api("create_upload_url")[1]["url"],
        lambda w, url: w.send("PUT", url, b"content").status == 200,
    ),
    "uploaded file": (HOUR, lambda w: w.upload(b"content"), attaches),
    "URL of a download": (HOUR, new_download, lambda w, url: w.send("GET", url).status == 200),
    "URL of a download that was told when": (
        90,
        lambda w: new_download(w, validity_ts=w.now() + 90),
        lambda w, url: w.send("GET", url).status == 200,
    ),
    "URL of results": (HOUR, new_results, lambda w, url: w.send("GET", url).status == 200),
}


@pytest.fixture
def w(
    api, send, user, account, twin, new_user, new_doc, new_batch, upload, emulator, clock
):  # fmt: skip
    return SimpleNamespace(
        api=api,
        send=send,
        user=user,
        account=account,
        twin=twin,
        other=new_user(),
        new_doc=new_doc,
        new_batch=new_batch,
        upload=upload,
        run_batches=emulator.run_batches,
        now=clock.now,
    )


@pytest.mark.parametrize("what", EXPIRING)
def test_just_before_it_expires_it_works(what, w, clock):
    seconds, make, works = EXPIRING[what]
    made = make(w)
    clock.advance(seconds - CLOSE)
    assert works(w, made)


@pytest.mark.parametrize("what", EXPIRING)
def test_when_it_has_expired_it_does_not(what, w, clock):
    seconds, make, works = EXPIRING[what]
    made = make(w)
    clock.advance(seconds)
    assert not works(w, made)
