"""Two accounts at one Twin: whose Ledger is whose, and what one sees of the other's."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Entry, Field, Twin, entry


class Container(Twin):
    weight: Field[float] = entry(visibility="true", default=0.0)
    seal: Field[str] = entry(default="")


async def test_the_owners_visible_values(do, connection, stranger, emulator):
    container = await do(Container, "create", weight=12.5, seal="s")
    async with do.block(ttorm.session(stranger)):
        theirs = Twin.at(container.uuid)
        await do(theirs, "load", "ledgers/owner", "ledgers/creator")
        assert (
            stranger.transport.sent.lines()
            == [
                f"GET /twins/{container.uuid}/ledgers/owner",
                f"GET /twins/{container.uuid}/ledgers/creator",
            ]
            or do.asynchronous
        )
        assert theirs.ledgers.owner.to_dict() == {"weight": 12.5}
        assert theirs.ledgers.creator["weight"].value == 12.5
        account = emulator.accounts()[0]
        await do(theirs, "load", f"ledgers/{account}")
        assert list(theirs.ledgers[account]) == ["weight"]
        # Who sees a value of others does not see its properties.
        assert theirs.ledgers.owner["weight"].visibility is None
        with pytest.raises(ttorm.MissingEntryError, match="the Ledger 'owner' has no Entry 'seal'"):
            _ = theirs.ledgers.owner["seal"].value


async def test_each_account_has_its_own_ledger(do, connection, stranger):
    container = await do(Container, "create", weight=12.5)
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Container.at(container.uuid), "load", "ledger")
        assert len(theirs.ledger) == 0
        theirs.weight = 99
        theirs.ledger["note"] = "heavy"
        await do(theirs, "save")
        assert theirs.ledgers.personal == theirs.ledger
    await do(container, "refresh")
    assert container.ledger.to_dict() == {"weight": 12.5, "seal": ""}


async def test_ledgers_of_others_are_read_only(do, connection, stranger, emulator):
    container = await do(Container, "create", weight=12.5)
    account = emulator.accounts()[0]
    stranger.transport.sent.clear()
    async with do.block(ttorm.session(stranger)):
        theirs = Twin.at(container.uuid)
        for ledger in (theirs.ledgers.owner, theirs.ledgers.creator, theirs.ledgers[account]):
            for change in (
                lambda ledger=ledger: ledger.__setitem__("weight", 1),
                lambda ledger=ledger: ledger.__delitem__("weight"),
                lambda ledger=ledger: setattr(ledger["weight"], "value", 1),
                lambda ledger=ledger: setattr(ledger["weight"], "history_period", "1D"),
                lambda ledger=ledger: setattr(ledger["weight"], "visibility", None),
            ):
                with pytest.raises(ttorm.StateError, match=r"read-only here.*twin\.ledger"):
                    change()
            for owner, verb in ((ledger, "clear"), (ledger["weight"], "delete")):
                with pytest.raises(ttorm.StateError, match="read-only here"):
                    await do(owner, verb)
        assert not ttorm.inspect(theirs).is_modified
    assert stranger.transport.sent == []


async def test_all_that_is_visible_can_be_gone_through(do, connection, stranger, emulator):
    entries = {
        "a": Entry([1], visibility="true"),
        "b": Entry(None, visibility="true", history="1D"),
        "c": Entry("hidden"),
    }
    twin = await do(Twin, "create", entries=entries)
    async with do.block(ttorm.session(stranger)):
        ledger = Twin.at(twin.uuid).ledgers[emulator.accounts()[0]]
        await do(ledger, "load")
        assert {name: entry.value for name, entry in ledger.items()} == {"a": [1], "b": None}
        assert (len(ledger), "a" in ledger, "c" in ledger) == (2, True, False)
        assert ledger.get("c") is None
        assert ledger["b"].history_period is None
        assert ledger["a"].value_changed_at == twin.ledger["a"].value_changed_at


async def test_no_way_leads_to_writing_ledgers_of_others(do, connection, stranger):
    twin = await do(Twin, "create", entries={"a": Entry(1, visibility="true")})
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Twin.at(twin.uuid), "load", "ledgers/owner")
        ledger = theirs.ledgers.owner
        stranger.transport.sent.clear()
        for change in (
            lambda: ledger.pop("a"),
            ledger.popitem,
            lambda: ledger.setdefault("new", 1),
            lambda: ledger.update({"a": 2}),
            ledger["a"].touch,
            lambda: setattr(ledger["a"], "publish", {}),
            lambda: setattr(ledger["a"], "timeseries", {}),
        ):
            with pytest.raises(ttorm.StateError, match="read-only here"):
                change()
        with pytest.raises(ttorm.StateError, match="read-only here"):
            await do(ledger["a"], "update", lambda value: value + 1)
        assert not ttorm.inspect(theirs).is_modified
    assert stranger.transport.sent == []


async def test_changing_a_value_of_others_in_place_is_no_change(do, connection, stranger):
    twin = await do(Twin, "create", entries={"a": Entry([1], visibility="true")})
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Twin.at(twin.uuid), "load", "ledgers/owner")
        theirs.ledgers.owner["a"].value.append(2)
        stranger.transport.sent.clear()
        assert (await do(theirs, "save")).requests == 0
        assert not ttorm.inspect(theirs).is_modified
    assert stranger.transport.sent == []


async def test_verbs_of_foreign_ledgers(do, connection, stranger, others):
    twin = await do(Twin, "create", entries={"a": Entry(1, visibility="true", history="INF")})
    async with do.block(ttorm.session(stranger)):
        owner = Twin.at(twin.uuid).ledgers.owner
        assert await do(owner, "load") is owner
        assert owner["a"].value == 1
        body = {"entries": {"a": {"value": 2}}}
        others.call("update_twin_ledger_entry_value", twin.uuid, body=body)
        await do(owner, "load")
        assert owner["a"].value == 1
        await do(owner, "refresh")
        assert owner["a"].value == 2
        others.call(
            "update_twin_ledger_entry_value", twin.uuid, body={"entries": {"a": {"value": 3}}}
        )
        assert (await do(owner["a"], "refresh")).value == 3
        assert [record.value for record in await do.list(owner["a"].history())] == [3, 2, 1]


async def test_refresh_reads_foreign_ledgers_that_were_read(do, connection, stranger, others):
    twin = await do(Twin, "create", entries={"a": Entry(1, visibility="true")})
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Twin.at(twin.uuid), "load", "ledgers/owner")
        others.call("delete_twin_ledger_entry", twin.uuid, entries=["a"])
        await do(theirs, "refresh")
        assert len(theirs.ledgers.owner) == 0


async def test_referring_to_what_others_show(do, connection, stranger, emulator):
    twin = await do(Twin, "create", entries={"a": Entry(20.5, visibility="true")})
    account = emulator.accounts()[0]
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Twin, "get", twin.uuid)
        theirs.ledger["copy"] = Entry(ref=theirs.ledgers.owner["a"])
        assert theirs.ledger["copy"].ref == f"twin://{twin.uuid}/{account}/a"
        await do(theirs, "save")
        await do(theirs.ledger, "refresh")
        assert theirs.ledger["copy"].value == 20.5


async def test_a_word_that_is_no_account(do, connection):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.ValidationError, match="is no account UUID"):
        _ = twin.ledgers["everybody"]


async def test_an_account_that_has_no_ledger(do, connection, stranger, emulator):
    twin = await do(Twin, "create")
    ledger = twin.ledgers[emulator.accounts()[1]]
    await do(ledger, "load")
    assert len(ledger) == 0


async def test_a_twin_that_the_role_hides(do, connection, stranger):
    twin = await do(Twin, "create")
    role = stranger.whoami()["role"]
    rules = {"twin_rule": None, "entry_rule": None, "identity_rule": None}
    stranger.call("update_user_role", role, body={"rules": rules})
    async with do.block(ttorm.session(stranger)):
        with pytest.raises(ttorm.ForbiddenError) as caught:
            await do(Twin, "get", twin.uuid)
    assert isinstance(caught.value, PermissionError)
    assert caught.value.trace


async def test_referring_to_an_owner_nobody_has_asked_for(do, connection):
    twin = await do(Twin, "create", entries={"a": 1})
    async with do.block(ttorm.session()):
        source = Twin.at(twin.uuid).ledgers.owner["a"]
        with pytest.raises(ttorm.StateError, match="load the Twin first"):
            Entry(ref=source)
