"""What the platform has not signed is refused, whatever it looks like."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from platform_messages import ACCOUNT, CLIENT, JSON, NOW, SERVER, TWIN, URL

from ttorm.webhooks import MemorySeen

KEY = CLIENT + SERVER
OTHERS = (
    *(TWIN.replace("0", "1"), ACCOUNT.replace("0", "1"), "cold", "hot ", "ledger.entry.deleted"),
    *("sticker.put", "Confirmation", "", None, True, 0, -1, 1e300, 10**400, NOW, NOW - 1, [], {}),
    *([[]], {"celsius": {}}, {"celsius": {"new_value": 99}}, f"{URL}eA==", "https://evil.test/"),
)


def mutated_bytes(body, chance):
    """Bits, bytes and pieces changed, doubled, moved or lost."""
    body = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at, to = sorted(chance.randrange(len(body) + 1) for _ in "ab")
        match chance.randrange(7):
            case 0:
                at = min(at, len(body) - 1)
                body[at] ^= 1 << chance.randrange(8)
            case 1:
                body[at:at] = bytes([chance.randrange(256)])
            case 2:
                del body[at : at + chance.randrange(1, 9)]
            case 3:
                body[at:to] = body[at:to] * 2
            case 4:
                del body[at:]
            case 5:
                body[at:to] = bytes(reversed(body[at:to]))
            case 6:
                body[at : at + 1] = chance.choice((b'"', b"{", b"}", b",", b"\\u0000", b"\x00"))
        if not body:
            break
    return bytes(body)


def places(value, path=()):
    """All places in a JSON value."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))


def mutated_members(body, chance):
    """Members of other values, of other names, exchanged or lost; with the hash as it was."""
    message = json.loads(body)
    for _ in range(chance.choice((1, 1, 2))):
        *path, name = chance.choice(list(places(message)))
        within = message
        for step in path:
            within = within[step]
        match chance.randrange(5):
            case 0:
                within[name] = chance.choice(OTHERS)
            case 1:
                del within[name]
            case 2:
                other = chance.choice(list(within))
                within[name], within[other] = within[other], within[name]
            case 3:
                within[name + chance.choice((" ", "x", "\u0000"))] = within.pop(name)
            case 4:
                within[name] = json.dumps(within[name])
        if not message:
            break
    return json.dumps(message).encode()


def doubled_members(body, chance):
    """A name twice: one for whoever verifies, one for whoever reads."""
    message = json.loads(body)
    name = chance.choice(list(message))
    twice = f"{json.dumps(name)}: {json.dumps(chance.choice(OTHERS))}".encode()
    return (
        b"{" + twice + b", " + body[1:]
        if chance.random() < 0.5
        else body[:-1] + b", " + twice + b"}"
    )


def signed_by_others(body, chance, sender):
    """Another message, with a hash that fits some other key or order."""
    message = json.loads(body)
    del message["hash"]
    message["event" if "event" in message else "confirmation_url"] = chance.choice(OTHERS)
    keys = ("x", CLIENT, SERVER, SERVER + CLIENT, CLIENT + CLIENT, KEY[:-1], KEY + "x", KEY.lower())
    return sender.sign(message, key=chance.choice(keys))


def same_content(one, other):
    """Whether two bodies say the same, so that one is no forgery of the other."""

    def content(body):
        pairs = json.loads(body, object_pairs_hook=lambda pairs: pairs)
        assert len(dict(pairs)) == len(pairs)
        return {name: json.dumps(value) for name, value in pairs}

    try:
        read = content(other)
    except (ValueError, AssertionError, TypeError, RecursionError):
        return False
    return all(read.get(name) == text for name, text in content(one).items())


def headers_for(body, chance):
    return chance.choice((JSON, {"Content-Type": "application/json; charset=utf-8"}, {}))


def wrong_headers(chance):
    return chance.choice(
        (
            {"content-type": "text/plain"},
            {"content-type": "application/x-www-form-urlencoded"},
            {"content-type": ""},
            {"content-type": "application/jsonx"},
            {**JSON, "content-encoding": "gzip"},
            {**JSON, "Content-Encoding": "br, identity"},
        )
    )


def forgeries(sender, chance):
    """Forged messages without end: what was forged, its body and headers."""
    while True:
        made = sender.notification() if chance.random() < 0.7 else sender.confirmation()
        body = sender.sign(made)
        how = chance.choice(("bytes", "members", "doubled", "key", "headers", "old", "large"))
        headers = headers_for(body, chance)
        match how:
            case "bytes":
                forged = mutated_bytes(body, chance)
            case "members":
                forged = mutated_members(body, chance)
            case "doubled":
                forged = doubled_members(body, chance)
            case "key":
                forged = signed_by_others(body, chance, sender)
            case "headers":
                forged, headers = body, wrong_headers(chance)
            case "old":
                sent = NOW + chance.choice((-1, 1)) * chance.uniform(301, 1e8)
                forged = sender.sign({**made, "sent_ts": sent})
            case "large":
                forged = body + b" " * (1 << 20)
        if how in {"headers", "old", "large"} or not same_content(body, forged):
            yield how, forged, headers


def hold(count, seed, receiver, sender, subscription, heard, transport):
    """Have so many forgeries refused."""
    chance = random.Random(seed)
    subscription.confirmed = False
    known = subscription.export()
    statuses = Counter()
    kinds = Counter()
    for number, (how, body, headers) in enumerate(forgeries(sender, chance), 1):
        status = receiver.handle(body, headers).status
        assert status in {400, 401, 413, 415}, (how, status, body)
        statuses[status] += 1
        kinds[how] += 1
        if number == count:
            break
    assert heard == []
    assert transport.requests == []
    assert subscription.export() == known
    assert sum(kinds.values()) == count
    assert min(kinds.values()) > count / 20
    assert min(statuses.values()) > count / 50


def test_ten_thousand_forgeries(receiver, sender, subscription, heard, transport):
    hold(10_000, 1, receiver, sender, subscription, heard, transport)
    # That one is genuine shows that the others were not refused for another reason.
    assert receiver.handle(sender.sign(sender.notification()), JSON).status == 201
    assert len(heard) == 1


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_hundred_thousand_forgeries(receiver, sender, subscription, heard, transport, seed):
    hold(10_000, seed, receiver, sender, subscription, heard, transport)


def test_every_bit_counts(receiver, sender, heard):
    body = sender.sign(sender.notification())
    for at in range(len(body) * 8):
        forged = bytearray(body)
        forged[at // 8] ^= 1 << at % 8
        if not same_content(body, bytes(forged)):
            assert receiver.handle(bytes(forged), JSON).status in {400, 401}
    assert heard == []


def test_replays(receiver, sender, heard):
    """A thousand messages, each ten times and in any order."""
    bodies = [sender.sign(sender.notification()) for _ in range(1_000)]
    replays = bodies * 10
    random.Random(1).shuffle(replays)
    statuses = Counter(receiver.handle(body, JSON).status for body in replays)
    assert statuses == {201: 1_000, 200: 9_000}
    assert len(heard) == 1_000
    assert len({message.message for message in heard}) == 1_000


def test_replays_when_the_window_is_over(new_receiver, sender, heard):
    now = [NOW]
    seen = MemorySeen(clock=lambda: now[0])
    receiver = new_receiver(clock=lambda: now[0], seen=seen)
    body = sender.sign(sender.notification())
    statuses = []
    for now[0] in (NOW, NOW + 299, NOW + 300, NOW + 3_000, NOW - 301):
        statuses.append(receiver.handle(body, JSON).status)
    assert statuses == [201, 200, 400, 400, 400]
    assert len(heard) == 1


def test_a_notification_is_no_confirmation(receiver, sender, subscription, transport):
    """The hash of the one does not do for the other, however the members are named."""
    subscription.confirmed = False
    made = json.loads(sender.sign(sender.notification()))
    for url in (f"{URL}eA==", None, 5):
        for gone in ((), ("trigger",), ("trigger", "twin", "event")):
            message = {**made, "confirmation_url": url}
            for name in gone:
                del message[name]
            assert receiver.handle(json.dumps(message).encode(), JSON).status in {400, 401}
    assert transport.requests == []


def test_a_hash_of_fewer_members(receiver, sender, heard):
    """Missing members add nothing to a hash, but a message has all of them."""
    message = sender.notification()
    for name in message:
        less = {key: value for key, value in message.items() if key != name}
        assert receiver.handle(sender.sign(less), JSON).status == 400
    assert heard == []


def test_an_expired_subscription(receiver, sender, heard):
    subscription = {**sender.notification()["subscription"], "validity_ts": NOW - 301}
    body = sender.sign(sender.notification(subscription=subscription))
    assert receiver.handle(body, JSON).status == 400
    assert heard == []


def test_what_is_unknown_is_refused_as_what_is_forged(receiver, sender):
    """Strangers do not learn what is subscribed to."""
    forged = receiver.handle(sender.sign(sender.notification(), key="x"), JSON)
    for change in ({"topic": "cold"}, {"account": TWIN}):
        subscription = {**sender.notification()["subscription"], **change}
        body = sender.sign(sender.notification(subscription=subscription))
        assert receiver.handle(body, JSON) == forged
    assert forged.status == 401
