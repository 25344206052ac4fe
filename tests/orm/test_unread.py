"""Truth and places of what is read while somebody goes through it."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from ttorm import Entry, Field, Role, Twin, entry


class Tun(Twin):
    class Meta:
        kind = "tun"

    level: Field[int] = entry(default=0)


UNREAD = {
    "Tun.scan()": lambda tun: Tun.scan(),
    "Tun.scan().pages()": lambda tun: Tun.scan().pages(),
    "Tun.scan().chunks(2)": lambda tun: Tun.scan().chunks(2),
    "tun.ledger['level'].history()": lambda tun: tun.ledger["level"].history(),
    "tun.history()": lambda tun: tun.history(),
    "Role.list()": lambda tun: Role.list(),
}


@pytest.mark.parametrize("asked", UNREAD)
async def test_nothing_unread_has_a_truth_value_or_places(do, connection, sent, asked):
    tun = await do(Tun, "create", level=3)
    unread = UNREAD[asked](tun)
    sent.clear()
    with pytest.raises(TypeError, match=r"has no truth value, since it was not read yet: write "):
        bool(unread)
    for place in (0, -1, slice(2, 5), "level"):
        with pytest.raises(TypeError, match=r"has no places, since it was not read yet: write "):
            unread[place]
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        len(unread)
    assert not hasattr(unread, "__len__")  # Django's templates ask for it before they go through
    assert sent == []


async def test_scans_say_what_to_write(do, connection):
    with pytest.raises(TypeError, match=re.escape("write .exists(), or .first() is not None")):
        bool(Tun.scan())
    with pytest.raises(TypeError, match=re.escape(".limit(10).all() for the first ones, or iter")):
        Tun.scan()[:10]


async def test_going_through_is_as_ever(do, connection):
    tuns = [await do(Tun, "create", level=level) for level in range(3)]
    other = await do(Twin, "create")
    tuns[0].ledger["past"] = Entry(1, history="1M")
    await do(tuns[0], "save")
    scan = Tun.scan()
    assert sorted(tun.level for tun in await do.list(scan)) == [0, 1, 2]
    assert len(await do.list(tuns[0].ledger["past"].history())) == 1
    assert len(await do.list(scan.pages())) == 1
    assert await do(scan, "exists")
    assert not hasattr(scan, "__next__")
    if not do.asynchronous:
        assert tuns[1] in scan
        assert other not in scan
        assert len(list(islice(scan, 1, 5))) == 2
        assert sorted(scan, key=lambda tun: tun.level) == tuns
