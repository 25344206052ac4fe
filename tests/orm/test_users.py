"""Users and the account as records: what is sent, and what is known without asking."""

from __future__ import annotations

import pickle
import threading

import pytest

import ttorm
from ttorm import (
    Account,
    NotFoundError,
    NotLoadedError,
    Role,
    StateError,
    User,
    ValidationError,
)
from ttorm.api.http import HttpResponse
from ttorm.rules import account as asking

ABSENT = "e0f727d6-704b-4d8a-9c10-ac726a3b8a94"


@pytest.fixture
def role(connection, sent):
    role = connection.call("create_user_role", body={"name": "Guest"})["uuid"]
    sent.clear()
    return role


# Users


async def test_create(do, role, sent):
    user = await do(User, "create", role=role, name="Ann", description={"team": "ops"})
    (request,) = sent.take()
    assert request == (
        "POST",
        "/users",
        (),
        {"role": role, "name": "Ann", "description": {"team": "ops"}},
    )
    assert (user.name, user.description, user.activity) == ("Ann", {"team": "ops"}, None)
    assert user.account == (await do(Account, "current")).uuid
    assert user.created_at == user.updated_at
    assert user.created_at.tzinfo is not None
    assert sent.lines() == ["GET /account"]


async def test_a_role_may_be_given_as_a_record(do, role, sent):
    guest = Role.at(role)
    user = await do(User, "create", role=guest)
    assert user.role is guest
    assert sent.take()[0].body == {"role": role}
    with pytest.raises(StateError, match="the role was not saved yet"):
        User(role=Role(name="New"))
    with pytest.raises(ValidationError, match=r"role.*expected a UUID"):
        User(role="Guest")


async def test_get_and_at(do, role, sent):
    made = await do(User, "create", role=role, name="Ann")
    sent.clear()
    found = await do(User, "get", made.uuid)
    assert (found, found.name, found.description) == (made, "Ann", None)
    assert sent.lines() == [f"GET /users/{made.uuid}"]
    there = User.at(made.uuid)
    assert there.uuid == made.uuid
    await do(there, "load")
    assert there.name == "Ann"
    assert sent.lines() == []  # the cache has it
    with pytest.raises(NotFoundError):
        await do(User, "get", ABSENT)
    with pytest.raises(ValidationError):
        User.at("ann")


async def test_a_save_sends_what_changed(do, role, sent):
    user = await do(User, "create", role=role, name="Ann", description={"team": "ops", "n": [1]})
    sent.clear()
    user.description["n"].append(2)
    user.name = "Ann"
    assert list(ttorm.inspect(user).changes) == ["description"]
    result = await do(user, "save")
    assert (result.updated, result.requests) == (("description",), 1)
    assert sent.take() == [
        ("PATCH", f"/users/{user.uuid}", (), {"description": {"team": "ops", "n": [1, 2]}})
    ]
    assert (await do(user, "save")).requests == 0
    user.description = None
    user.name = "Bea"
    await do(user, "save")
    assert sent.take()[0].body == {"description": None, "name": "Bea"}
    user.description = {}
    await do(user, "save")
    await do(user, "refresh")
    assert user.description == {}


async def test_what_cannot_be_sent_is_refused_before(do, role, sent):
    user = await do(User, "create", role=role)
    sent.clear()
    with pytest.raises(ValidationError, match=r"User\.name: 'x' is no name of a user or role"):
        user.name = "x"
    with pytest.raises(ValidationError, match="a user always has a role"):
        user.role = None
    with pytest.raises(ValidationError, match="'Team' is no description key"):
        user.description = {"Team": 1}
    with pytest.raises(ValidationError, match="expected a dictionary"):
        user.description = ["ops"]
    with pytest.raises(AttributeError, match="set by the service"):
        user.account = ABSENT
    user.description = {"ok": 1}
    user.description["Not"] = 1
    with pytest.raises(ValidationError, match="'Not' is no description key"):
        await do(user, "save")
    assert sent.lines() == []


async def test_the_role_changes(do, role, sent):
    user = await do(User, "create", role=role)
    other = await do(Role, "create", name="Other")
    sent.clear()
    user.role = other
    await do(user, "save")
    assert sent.take() == [("PATCH", f"/users/{user.uuid}", (), {"role": other.uuid})]
    user.role = other.uuid
    assert (await do(user, "save")).requests == 0
    user.role = role.upper()
    await do(user, "save")
    assert sent.take()[0].body == {"role": role}
    assert user.role.uuid == role


def test_the_role_loads_when_it_is_looked_at(connection, role, sent):
    made = User.create(role=role)
    sent.clear()
    user = User.at(made.uuid)
    guest = user.role
    assert sent.lines() == [f"GET /users/{made.uuid}"]
    assert guest.name == "Guest"
    assert sent.lines() == [f"GET /roles/{role}"]
    assert user.role is guest


async def test_listing(do, role, sent):
    ann = await do(User, "create", role=role, name="Ann", description={"team": "ops"})
    sent.clear()
    users = await do.list(User.list())
    assert sent.lines() == ["GET /users"]
    assert ann in users
    (found,) = [user for user in users if user == ann]
    assert (found.name, found.role.uuid, found.created_at) == ("Ann", role, ann.created_at)
    assert sent.lines() == []
    await do(found, "load")
    assert found.description == {"team": "ops"}
    assert sent.lines() == [f"GET /users/{ann.uuid}"]
    assert len(await do(User.list(), "all")) == 2
    assert (await do(User.list(), "first")) in users


async def test_what_is_not_loaded_is_refused_under_a_loop(do, world, role, sent):
    made = await do(User, "create", role=role, name="Ann")
    user = User.at(made.uuid)
    sent.clear()
    if world.asynchronous:
        with pytest.raises(NotLoadedError, match=r"await record\.aload\(\)"):
            user.name  # noqa: B018 # it raises
        assert sent.lines() == []
    else:
        assert user.name == "Ann"


async def test_delete(do, role, sent):
    user = await do(User, "create", role=role, name="Ann")
    old = user.uuid
    sent.clear()
    assert (await do(user, "delete")).deleted == (old,)
    assert sent.lines() == [f"DELETE /users/{old}"]
    assert user.name == "Ann"
    with pytest.raises(NotFoundError):
        await do(User, "get", old, fresh=True)
    with pytest.raises(StateError):
        user.invite()
    sent.clear()
    await do(user, "save")  # makes another one
    assert user.uuid != old
    assert sent.take()[0].body == {"role": role, "name": "Ann"}


async def test_activity_needs_its_tables(do, role, emulator):
    with pytest.raises(NotFoundError, match="no Timeseries table 'usage'"):
        await do(User, "create", role=role, activity={"usage": {"dimensions": {"who": "{user}"}}})


def test_users_pickle_and_copy(connection, role, sent):
    user = User.create(role=role, name="Ann")
    user.name = "Bea"
    sent.clear()
    again = pickle.loads(pickle.dumps(user))
    assert (again, again.name, ttorm.inspect(again).is_modified) == (user, "Bea", True)
    assert again.role.uuid == role
    assert sent.lines() == []


def test_looking_at_a_user_asks_nothing(connection, role, sent):
    user = User.at(ABSENT)
    assert repr(user) == f"<User {ABSENT}>"
    assert "Ann" in str(User(role=role, name="Ann")._sheet())
    assert ttorm.inspect(user).state == "clean"
    assert user == User.at(ABSENT)
    assert len({user, User.at(ABSENT)}) == 1
    assert dir(user)
    assert sent.lines() == []


def test_threads_that_save_the_same_new_user_make_one(connection, role, emulator, wire):
    user = User(role=role, name="Ann")
    barrier = threading.Barrier(8)

    def save():
        barrier.wait()
        user.save()

    threads = [threading.Thread(target=save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.sent.lines() == ["POST /users"]


def test_a_receiver_is_told(connection, role):
    told = []

    def changed(sender, *, record, changes, result):
        told.append((sender, record.name, dict(changes), result.updated))

    user = User.create(role=role, name="Ann")
    with ttorm.signals.changed.connected_to(changed, sender=User):
        user.name = "Bea"
        user.save()
    assert told == [(User, "Bea", {"name": ("Ann", "Bea")}, ("name",))]


# The account


async def test_the_account(do, connection, sent):
    account = await do(Account, "current")
    assert account.uuid == (await do(connection, "whoami"))["account"]
    assert account.resource_access_log is None
    assert account.created_at == account.updated_at
    assert sent.lines() == ["GET /account", "GET /whoami"]
    assert await do(Account, "current") == account
    assert sent.lines() == []


async def test_the_access_log_of_the_account(do, connection, sent):
    account = await do(Account, "current")
    sent.clear()
    foreign = asking != account.uuid
    account.resource_access_log = {foreign: {"reads": {"dimensions": {"who": "{account}"}}}}
    assert str(account.plan()).splitlines()[0].endswith("/account")
    with pytest.raises(NotFoundError, match="no Timeseries table 'reads'"):
        await do(account, "save")
    assert sent.take() == [
        (
            "PATCH",
            "/account",
            (),
            {
                "resource_access_log": {
                    str(foreign): {"reads": {"dimensions": {"who": "{account}"}}}
                }
            },
        )
    ]
    account.resource_access_log = {}
    await do(account, "save")
    assert sent.take()[0].body == {"resource_access_log": {}}
    account.discard()
    assert account.resource_access_log == {}
    account.resource_access_log = None
    assert (await do(account, "save")).updated == ("resource_access_log",)
    with pytest.raises(ValidationError, match="resource_access_log: expected"):
        account.resource_access_log = {"true": 5}
    with pytest.raises(TypeError, match=r"Account\.current"):
        Account()


# Lost answers

EASY = ttorm.RetryPolicy(base=0.0)


@pytest.fixture
def doubtful(do, connection, role):
    """Have a change of a user's name and description get lost, before or after its effect."""

    async def doubtful(moment):
        connection.retry = EASY
        user = await do(User, "create", role=role, name="Ann", description={"n": [1]})
        user.name = "Bea"
        user.description["n"].append(2)
        with (
            connection.emulator.faults.add("update_user", drop=moment),
            pytest.raises(ttorm.OutcomeUnknownError),
        ):
            await do(user, "save")
        return user

    return doubtful


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_is_set_back_in_doubt_is_written(do, doubtful, others, moment):
    user = await doubtful(moment)
    user.name = "Ann"
    user.description["n"].pop()
    assert ttorm.inspect(user).is_modified
    await do(user, "save")
    told = others.call("get_user", user.uuid)
    assert (told["name"], told["description"]) == ("Ann", {"n": [1]})
    assert (await do(user, "save")).requests == 0


@pytest.mark.parametrize(("moment", "name"), [("before", "Ann"), ("after", "Bea")])
async def test_what_is_discarded_in_doubt_is_read_when_it_is_looked_at(do, doubtful, moment, name):
    user = await doubtful(moment)
    user.discard()
    assert not ttorm.inspect(user).is_modified
    if do.asynchronous:
        with pytest.raises(NotLoadedError):
            _ = user.name
        await user.aload()
    assert user.name == name
    assert (await do(user, "save")).requests == 0


async def test_what_was_refused_is_in_no_doubt(do, connection, role, sent):
    user = await do(User, "create", role=role, name="Ann")
    user.name = "Bea"
    with (
        connection.emulator.faults.add("update_user", status=403),
        pytest.raises(ttorm.ForbiddenError),
    ):
        await do(user, "save")
    user.discard()
    sent.clear()
    assert user.name == "Ann"
    assert sent.lines() == []


@pytest.mark.parametrize("kind", [User, Role])
async def test_a_creation_that_was_cut_off_is_told_before_another_one_is_made(
    do, connection, role, wire, sent, kind
):
    def cut(request):
        wire.meddle = lambda request: None
        raise KeyboardInterrupt

    record = kind(role=role) if kind is User else kind(name="New")
    wire.meddle = cut
    with pytest.raises(KeyboardInterrupt):
        await do(record, "save")
    sent.clear()
    with pytest.raises(ttorm.OutcomeUnknownError, match=f"this new {kind.__name__} was cut off"):
        await do(record, "save")
    assert sent.lines() == []
    assert (await do(record, "save")).requests == 1


@pytest.mark.parametrize("failure", ["busy", "lost"])
async def test_a_deletion_that_was_not_its_own_is_told(do, connection, role, wire, others, failure):
    connection.retry = EASY
    user = await do(User, "create", role=role)

    def meddle(request):
        wire.meddle = lambda request: None
        others.call("delete_user", user.uuid)
        if failure == "busy":
            return HttpResponse(429, {}, b"{}")
        raise ttorm.TransportError("lost", sent=True)

    wire.meddle = meddle
    if failure == "busy":
        with pytest.raises(NotFoundError):
            await do(user, "delete")
    else:
        # It may have been.
        assert (await do(user, "delete")).requests == 1
