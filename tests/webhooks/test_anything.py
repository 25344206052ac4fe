"""Whatever comes is answered, and never raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_messages import NOW, Sender

from ttorm.webhooks import Receiver
from ttorm.webhooks.messages import read_message
from ttorm.webhooks.refusals import RefusedError

RECEIVER = Receiver(clock=lambda: NOW)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
NAMES = sorted({*Sender().notification(), *Sender().confirmation(), "hash"})
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "content-encoding"]) | st.text(), st.text()
)
REFUSALS = {400, 401, 413, 415}


@given(st.binary(max_size=200), HEADERS)
def test_bytes(body, headers):
    assert RECEIVER.handle(body, headers).status in REFUSALS


@given(VALUES, st.booleans())
def test_json(value, escaped):
    body = json.dumps(value, ensure_ascii=escaped).encode(errors="surrogatepass")
    assert RECEIVER.handle(body, {}).status in REFUSALS


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@settings(max_examples=300)
def test_messages_with_members_of_any_kind(members):
    message = {**Sender().notification(hash=""), **members}
    assert RECEIVER.handle(json.dumps(message).encode(), {}).status in REFUSALS


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 1, "\t"]))
def test_texts_of_members_are_what_stands_there(members, indent):
    """Each text reads as its member's value, and they lie in the body one after the other."""
    body = json.dumps({**Sender().notification(hash=""), **members}, indent=indent)
    try:
        received = read_message(body.encode(errors="surrogatepass"), {}, 1 << 20)
    except RefusedError:
        return
    assert list(received.texts) == list(json.loads(body))
    at = 0
    for name, text in received.texts.items():
        assert json.dumps(json.loads(text)) == json.dumps(received.members[name])
        at = body.index(text, at) + len(text)


@pytest.mark.parametrize("depth", [10, 1_000, 400_000])
def test_depth(depth):
    body = b'{"event": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert RECEIVER.handle(body, {}).status in REFUSALS
