"""Answers of a service that has gone mad: good ones, of which any member or byte may be odd."""

from __future__ import annotations

import gzip
import json
import zlib
from random import Random

__all__ = ["BOMB", "bend"]

ODD = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    10**400,
    1e308,
    -1e308,
    0.1,
    "",
    "x",
    "null",
    "2024-01-01",
    "\x00",
    "\ud83d\ude00" * 20,
    "a" * 10_000,
    "'; DROP TABLE twins; --",
    "../../etc/passwd",
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"error": "No."},
    {"error": None},
    {"value": None},
    {"uuid": 7},
    {"creation_certificate": None},
]
TEXTS = [
    b"",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"NaN",
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"a": -Infinity}',
    b'{"a": "\\ud800"}',
    b'{"a": 1}{"b": 2}',
    b'{"a": 1, "a": 2}',
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}',
    "{}".encode("utf-16"),
    "{}".encode("utf-32"),
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[" * 5_000 + b"]" * 5_000,
    b" " * 100_000,
    b"9" * 100_000,
]
STATUSES = [200, 201, 204, 206, 301, 302, 307, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503]
STATUSES += [504, 599, 999]


def _bomb(mebibytes: int) -> bytes:
    """Compress so many MiB of blanks, without ever holding them."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(mebibytes)) + packer.flush()


BOMB = _bomb(200)


def bend(chance: Random, status: int, headers: dict, body: bytes):
    """Make a mad answer of a good one.

    Returns:
        Status, headers and raw body.
    """
    headers = dict(headers)
    kind = chance.randrange(12)
    if kind < 6:
        try:
            body = json.dumps(_bent(chance, json.loads(body))).encode()
        except ValueError:
            body = chance.choice(TEXTS)
    elif kind == 6:
        body = chance.choice(TEXTS)
    elif kind == 7:
        body = body[: chance.randrange(len(body) + 1)]
    elif kind == 8:
        body = _flipped(chance, body)
    elif kind == 9:
        status = chance.choice(STATUSES)
        headers |= {"retry-after": chance.choice(["0", "-1", "soon", "1e9", "\t"])}
        headers |= {"location": chance.choice(["http://169.254.169.254/", "/", "file:///etc"])}
    elif kind == 10:
        headers["content-type"] = chance.choice(["text/html", "", "application/json; charset=x"])
        headers["content-encoding"] = chance.choice(["br", "gzip", "deflate", "x", "identity"])
    elif chance.random() < 0.02:
        headers["content-encoding"], body = "gzip", BOMB
    else:
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body)
        body = body[: chance.randrange(len(body))] if chance.random() < 0.5 else body + b"more"
    return status, headers, body


def _bent(chance: Random, node):
    """Put something odd in the place of some member."""
    if chance.random() < 0.15 or not isinstance(node, (dict, list)) or not node:
        return _odd(chance, node)
    if isinstance(node, list):
        place = chance.randrange(len(node))
        return [*node[:place], _bent(chance, node[place]), *node[place + 1 :]]
    name = chance.choice(list(node))
    if chance.random() < 0.2:
        return {other: value for other, value in node.items() if other != name}
    if chance.random() < 0.1:
        return {**node, str(_odd(chance, name))[:300]: node[name]}
    return {**node, name: _bent(chance, node[name])}


def _odd(chance: Random, node):
    if isinstance(node, (int, float)) and chance.random() < 0.3:
        return node * chance.choice([-1, 1e6, 1e15, 1e300, 0])
    if chance.random() < 0.05:
        deep = 1
        for _ in range(chance.choice([50, 150])):
            deep = [deep]
        return deep
    return chance.choice(ODD)


def _flipped(chance: Random, body: bytes) -> bytes:
    flipped = bytearray(body or b"x")
    for _ in range(chance.randrange(1, 8)):
        flipped[chance.randrange(len(flipped))] = chance.randrange(256)
    return bytes(flipped)
