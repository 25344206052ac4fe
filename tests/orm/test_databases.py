"""Databases: their notes, which one is the default, and who may look into them."""

from __future__ import annotations

import copy
import ipaddress
import pickle

import pytest

import ttorm
from ttorm import Database, NotLoadedError, ValidationError, signals

PATH = "/account/services/databases"
UUID = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


@pytest.fixture
def user(connection, sent):
    """UUID of a second user."""
    statement = {"effect": "allow", "actions": ["who_am_i"]}
    role = connection.call("create_user_role", body={"name": "guest", "statement": statement})
    made = connection.call("create_user", body={"name": "Ann", "role": role["uuid"]})
    sent.clear()
    return made["uuid"]


async def test_list_get_and_default(do, world, connection, sent):
    [listed] = await world.list(Database.list())
    assert sent.lines() == [f"GET {PATH}"]
    assert (listed.status, listed.note, listed.is_default) == ("running", None, True)
    assert sent.lines() == []
    default = Database.default()
    assert sent.lines() == []
    await do(default, "load")
    assert default.uuid == listed.uuid
    assert default.instance_type == "micro"
    assert default.size == 0
    assert default.created_at.tzinfo is not None
    assert sent.lines() == [f"GET {PATH}/default"]
    got = await do(Database, "get", listed.uuid)
    assert got == listed
    assert got.uuid == listed.uuid
    with pytest.raises(ttorm.NotFoundError):
        await do(Database, "get", UUID)
    with pytest.raises(ValidationError):
        Database.at("main")


async def test_a_note_is_one_small_request(do, connection, sent):
    database = Database.default()
    database.note = "Tables of the fleet"
    assert str(database.plan()) == f'PATCH {PATH}/default\n{{"note": "Tables of the fleet"}}'
    assert (await do(database, "save")).updated == ("note",)
    assert sent.take() == [("PATCH", f"{PATH}/default", (), {"note": "Tables of the fleet"})]
    assert database.note == "Tables of the fleet"
    database.note = "Tables of the fleet"
    assert (await do(database, "save")).requests == 0
    assert (await do(Database, "get", "default")).note == "Tables of the fleet"
    with pytest.raises(ValidationError, match="256"):
        database.note = "x" * 257
    with pytest.raises(AttributeError):
        database.status = "pending"


async def test_one_database_is_always_the_default(do, connection):
    database = await do(Database, "get", "default")
    database.is_default = True
    assert (await do(database, "save")).requests == 0
    database.is_default = False
    with pytest.raises(ttorm.OperationNotAllowedError):
        await do(database, "save")


# Who may look into it


async def test_access_of_users(do, connection, user, sent):
    database = Database.default()
    database.users[user] = {"timeseries": ["read"], "customer_data": ["read", "write"]}
    assert [*ttorm.inspect(database).changes] == [f"users[{user!r}]"]
    await do(database, "save")
    assert sent.take() == [
        (
            "PATCH",
            f"{PATH}/default/access/users/{user}",
            (),
            {"timeseries": ["read"], "indexes": [], "customer_data": ["read", "write"]},
        )
    ]
    assert not ttorm.inspect(database).is_modified
    await do(database, "load_access")
    assert {**database.users} == {
        user: {"timeseries": ["read"], "indexes": [], "customer_data": ["read", "write"]}
    }
    sent.clear()
    database.users[user]["indexes"].append("read")
    await do(database, "save")
    assert sent.take()[0].body == {"indexes": ["read"]}
    assert len(database.users) == 1
    del database.users[user]
    assert user not in database.users
    await do(database, "save")
    assert sent.take()[0].body == {"timeseries": [], "indexes": [], "customer_data": []}
    assert connection.call("get_database_access", "default")["users"] == {}
    assert [*database.users] == []


async def test_access_from_networks(do, connection, sent):
    database = await do(Database.default(), "load_access")
    sent.clear()
    database.networks["192.0.2.10"] = "office"
    database.networks[ipaddress.ip_network("198.51.100.0/24")] = "plant"
    assert database.networks["192.0.2.10/32"] == "office"
    await do(database, "save")
    assert sent.take() == [
        (
            "PATCH",
            f"{PATH}/default/access/ips",
            (),
            {"192.0.2.10/32": "office", "198.51.100.0/24": "plant"},
        )
    ]
    database.networks["192.0.2.10"] = "home"
    del database.networks["198.51.100.0/24"]
    assert {**database.networks} == {"192.0.2.10/32": "home"}
    assert [request.body for request in database.plan()] == [
        {"192.0.2.10/32": "home", "198.51.100.0/24": None}
    ]
    await do(database, "save")
    assert connection.call("get_database_access", "default")["ips"] == {"192.0.2.10/32": "home"}
    with pytest.raises(KeyError):
        del database.networks["198.51.100.0/24"]


async def test_all_that_changed_is_saved_together(do, connection, user, sent):
    database = Database.default()
    database.note = "n"
    database.users[user] = {"indexes": ["read"]}
    database.networks["192.0.2.10"] = "office"
    told = []
    with signals.changed.connected_to(lambda sender, **facts: told.append({*facts["changes"]})):
        result = await do(database, "save")
    assert result == (
        (),
        (f"users[{user!r}]", "networks['192.0.2.10/32']", "note"),
        (),
        3,
    )
    assert told == [{f"users[{user!r}]", "networks['192.0.2.10/32']", "note"}]
    assert [request.method for request in sent.take()] == ["PATCH"] * 3
    assert (await do(database, "save")).requests == 0


def test_what_cannot_be_access_is_refused(connection, user, sent):
    database = Database.default()
    for value in ({"tables": ["read"]}, {"indexes": ["write"]}, {"indexes": "read"}):
        with pytest.raises(ValidationError, match="are no permissions"):
            database.users[user] = value
    with pytest.raises(ValidationError, match="UUID of a user"):
        database.users["Ann"] = {"indexes": ["read"]}
    for network in ("office", "300.1.1.1", "fe80::1%eth0", 5j):
        with pytest.raises(ValidationError, match="is no address or network"):
            database.networks[network] = "office"
    with pytest.raises(ValidationError, match="256"):
        database.networks["192.0.2.10"] = "x" * 257
    assert not ttorm.inspect(database).is_modified
    assert sent == []


def test_discard_forgets_access_too(connection, user):
    database = Database.default()
    database.users[user] = {"indexes": ["read"]}
    database.networks["192.0.2.10"] = "office"
    database.discard()
    assert not ttorm.inspect(database).is_modified
    assert [*database.users] == []


async def test_reading_access_under_a_loop_says_what_to_await(do, world, connection, sent):
    database = Database.default()
    if world.asynchronous:
        with pytest.raises(NotLoadedError, match=r"await database\.aload_access"):
            len(database.users)
        assert sent == []
        await database.aload_access()
    assert len(database.users) == len(database.networks) == 0
    assert sent.lines() == [f"GET {PATH}/default/access"]


def test_refresh_reads_access_again(connection, others, user):
    database = Database.default().load_access()
    others.call("update_database_ip_access", "default", body={"192.0.2.10": "office"})
    assert [*database.networks] == []
    database.users[user] = {"indexes": ["read"]}
    database.refresh()
    assert [*database.networks] == ["192.0.2.10/32"]
    assert user in database.users


def test_looking_asks_nothing_and_copies_keep_changes(connection, user, sent):
    database = Database.default()
    database.users[user] = {"indexes": ["read"]}
    database.networks["192.0.2.10"] = "office"
    database.note = "n"
    shown = [repr(database), repr(database.users), database.users._repr_html_()]
    assert "users of <Database default>" in shown[1]
    for copied in (copy.copy(database), pickle.loads(pickle.dumps(database))):
        assert {*ttorm.inspect(copied).changes} == {*ttorm.inspect(database).changes}
        assert copied == database
    assert sent == []


async def test_an_access_in_doubt_is_taken_away_when_it_is_removed(do, connection, user, others):
    connection.retry = ttorm.RetryPolicy(base=0.0)
    database = await do(Database.default(), "load_access")
    database.networks["192.0.2.1"] = "office"
    with (
        connection.emulator.faults.add("update_database_ip_access", drop="after"),
        pytest.raises(ttorm.OutcomeUnknownError),
    ):
        await do(database, "save")
    await do(database, "load_access")
    del database.networks["192.0.2.1"]
    assert ttorm.inspect(database).is_modified
    await do(database, "save")
    assert others.call("get_database_access", "default")["ips"] == {}
    database.users[user] = {"timeseries": ["read"]}
    with (
        connection.emulator.faults.add("update_database_user_access", drop="after"),
        pytest.raises(ttorm.OutcomeUnknownError),
    ):
        await do(database, "save")
    database.discard()
    await do(database, "load_access")
    assert list(database.users) == [user]
