"""Roles as records, their statements and rules, and what they are told here to permit."""

from __future__ import annotations

import pickle

import pytest

import ttorm
from ttorm import (
    Action,
    ForbiddenError,
    NotFoundError,
    OperationNotAllowedError,
    Permission,
    Role,
    Rules,
    Statement,
    Twin,
    User,
    ValidationError,
)
from ttorm.api.operations import ACTIONS, OPERATIONS
from ttorm.rules import DICT, LEDGER, TWIN, USER, entry_name, entry_value, identity

ALL = {"effect": "deny", "actions": None}
NONE = {"twin_rule": None, "entry_rule": None, "identity_rule": None}


# Actions and statements


def test_there_is_an_action_for_each_permission():
    assert {str(action) for action in Action} == ACTIONS
    assert all(action.name == action.value for action in Action)


def test_groups_of_actions():
    assert Action.get_twin in Action.reading()
    assert Action.create_twin not in Action.reading()
    assert Action.reading() | Action.writing() == set(Action)
    assert Action.reading() & Action.writing() == set()
    assert Action.on() == set(Action)
    assert Action.on("account") == {Action.get_account, Action.update_account}
    assert Action.reading("users", "roles") == {
        *(Action.get_user, Action.get_users, Action.get_user_role, Action.get_user_roles),
    }
    assert all(OPERATIONS[action].method == "GET" for action in Action.reading())
    with pytest.raises(LookupError, match="no part 'twin'"):
        Action.on("twin")


def test_statements():
    reader = Statement.allow(Action.reading("twins"), "who_am_i")
    assert reader.actions == {"get_twin", "scan_twins", "who_am_i"}
    assert reader.to_json() == {
        "effect": "allow",
        "actions": ["get_twin", "scan_twins", "who_am_i"],
    }
    assert [reader.allows(name) for name in ("get_twin", Action.create_twin)] == [True, False]
    careful = Statement.deny([Action.terminate_twin, "delete_user"])
    assert [careful.allows(name) for name in ("get_twin", "delete_user")] == [True, False]
    assert Statement.deny().to_json() == ALL
    assert all(Statement.deny().allows(action) for action in Action)
    assert Statement.allow().to_json() == {"effect": "allow", "actions": []}
    assert not any(Statement.allow().allows(action) for action in Action)
    assert Statement.allow("get_twin") == Statement.allow(Action.get_twin)
    assert repr(Statement.allow()) == "<Statement: allow nothing>"
    assert repr(Statement.deny()) == "<Statement: allow all>"
    assert repr(careful) == "<Statement: deny delete_user, terminate_twin>"


def test_statements_refuse_what_is_no_operation():
    with pytest.raises(ValidationError, match="'get_twins': did you mean get_twin"):
        Statement.deny("get_twins")
    with pytest.raises(ValidationError, match="no operation is called 'create_user_secret'"):
        Statement.allow("create_user_secret")
    with pytest.raises(ValidationError, match="no operation"):
        Statement.deny().allows("x")
    assert Statement.deny("update_indexes_access").actions == {"update_indexes_access"}


def test_rules_are_texts():
    rules = Rules(twin=TWIN.company == "acme", entry="true")
    assert (rules.twin, rules.entry, rules.identity) == ('TWIN.company == "acme"', "true", None)
    assert rules == Rules(twin='TWIN.company == "acme"', entry="true")
    assert rules.to_json() == {**NONE, "twin_rule": 'TWIN.company == "acme"', "entry_rule": "true"}
    with pytest.raises((TypeError, ValidationError)):
        Rules(twin=5)


# Roles


async def test_create(do, connection, sent):
    statement, rules = Statement.allow("get_twin"), Rules(entry=entry_name == "public")
    role = await do(Role, "create", name="Reader", statement=statement, rules=rules)
    assert sent.take() == [
        (
            "POST",
            "/roles",
            (),
            {
                "name": "Reader",
                "statement": {"effect": "allow", "actions": ["get_twin"]},
                "rules": {**NONE, "entry_rule": 'entry_name == "public"'},
            },
        )
    ]
    assert (role.name, role.statement, role.rules) == ("Reader", statement, rules)
    assert role.created_at == role.updated_at
    assert role.account == (await do(connection, "whoami"))["account"]


async def test_defaults_are_the_platforms(do, sent):
    role = await do(Role, "create")
    assert sent.take()[0].body == {}
    assert (role.statement, role.rules) == (Statement.deny(), Rules())


async def test_a_save_sends_what_changed(do, sent):
    role = await do(Role, "create", name="Reader", statement=Statement.allow("get_twin", "trace"))
    sent.clear()
    role.statement = Statement.allow("trace", "get_twin")
    assert (await do(role, "save")).requests == 0
    role.rules = Rules(twin="true")
    assert list(ttorm.inspect(role).changes) == ["rules"]
    await do(role, "save")
    assert sent.take() == [
        ("PATCH", f"/roles/{role.uuid}", (), {"rules": {**NONE, "twin_rule": "true"}})
    ]
    role.statement = Statement.deny("delete_user")
    await do(role, "save")
    assert sent.take()[0].body == {"statement": {"effect": "deny", "actions": ["delete_user"]}}
    await do(role, "refresh")
    assert role.statement == Statement.deny("delete_user")


async def test_what_cannot_be_sent_is_refused_before(do, sent):
    role = Role()
    with pytest.raises(ValidationError, match=r"Role\.statement: expected Statement"):
        role.statement = {"effect": "allow"}
    with pytest.raises(ValidationError, match=r"Role\.rules: expected Rules"):
        role.rules = "true"
    with pytest.raises(ValidationError, match="no name of a user or role"):
        Role(name="-x-")
    assert sent.lines() == []


async def test_reads_both_spellings_of_rules(do, connection, wire):
    role = await do(Role, "create", rules=Rules(twin="true"))
    role._item.rebase({**role._item.known, "rules": {"twin": "false", "entry": None}})
    assert role.rules == Rules(twin="false")


async def test_listing_get_and_delete(do, sent):
    role = await do(Role, "create", name="Reader")
    sent.clear()
    assert role in await do.list(Role.list())
    assert sent.lines() == ["GET /roles"]
    (found,) = [one for one in await do(Role.list(), "all") if one == role]
    sent.clear()
    assert found.name == "Reader"
    assert sent.lines() == []
    assert (await do(Role, "get", role.uuid)).statement == Statement.deny()
    assert sent.lines() == [f"GET /roles/{role.uuid}"]
    await do(role, "delete")
    with pytest.raises(NotFoundError):
        await do(found, "refresh")


async def test_a_deleted_role_can_be_made_again(do, sent):
    statement, rules = Statement.allow("get_twin"), Rules(twin="true")
    role = await do(Role, "create", name="Reader", statement=statement, rules=rules)
    old = role.uuid
    await do(role, "delete")
    assert (role.statement, role.rules, role.is_saved) == (statement, rules, False)
    sent.clear()
    await do(role, "save")
    assert role.uuid != old
    assert sent.take()[0].body == {
        "name": "Reader",
        "statement": statement.to_json(),
        "rules": rules.to_json(),
    }


async def test_the_service_refuses(do, connection, connect):
    own = Role.at((await do(connection, "whoami"))["role"])
    with pytest.raises(OperationNotAllowedError):
        await do(own, "delete")
    small = await do(Role, "create", statement=Statement.allow("create_user_role", "get_user_role"))
    guest = await do(User, "create", role=small)
    async with do.block(ttorm.session(connect(user=guest.uuid))):
        with pytest.raises(ForbiddenError):
            await do(Role, "create", statement=Statement.deny())


# What a role would permit


async def test_the_statement_decides_first(do, sent):
    role = await do(Role, "create", statement=Statement.allow("get_twin"))
    sent.clear()
    no = await do(role, "allows", Action.create_twin)
    assert no == Permission(False, "the statement does not permit create_twin")
    assert not no
    yes = await do(role, "allows", "get_twin")
    assert yes
    assert yes.unknown == ("whether the Twin belongs to the account: give twin=",)
    role.rules = Rules(twin="true")
    yes = await do(role, "allows", "get_twin")
    assert yes.unknown == ("the twin rule, for which twin= is to be given",)
    assert (await do(role, "allows", "get_twin_identity")).allowed is False
    assert sent.lines() == []
    with pytest.raises(ValidationError, match="no operation is called 'fly'"):
        await do(role, "allows", "fly")


async def test_what_roles_do_not_govern(do, connection):
    role = Role(statement=Statement.allow())
    assert await do(role, "allows", "create_user_secret")
    assert await do(role, "allows", "webhook_confirm_subscription")
    refresh = await do(Role(), "allows", "refresh_user_token")
    assert refresh.unknown == ("what the token's options allow",)


async def test_a_role_that_is_not_loaded_loads(do, sent):
    made = await do(Role, "create", statement=Statement.allow())
    sent.clear()
    assert not await do(Role.at(made.uuid), "allows", "get_twin")
    assert sent.lines() == [f"GET /roles/{made.uuid}"]


@pytest.fixture
def acme(connection):
    return Twin.create(
        description={"company": "acme"}, entries={"public": 1, "hidden": 50, "level": 3}
    )


COMPANY = TWIN.company == USER.company
CASES = [
    (Rules(), {}, True),
    (Rules(twin=COMPANY), {"company": "acme"}, True),
    (Rules(twin=COMPANY), {"company": "other"}, False),
    (Rules(twin=LEDGER.level > 2), {}, True),
    (Rules(twin=LEDGER.level > 3), {}, False),
    (Rules(twin=LEDGER.gone > 3), {}, False),
    (Rules(twin=DICT.pin == "77"), {}, True),
    (Rules(twin="DICT.pin == '78'"), {}, False),
    (Rules(twin="TWIN.company =~ 'ac'"), {}, True),
]


@pytest.mark.parametrize(("rules", "description", "expected"), CASES)
async def test_rules_for_twins_as_the_service_has_it(
    do, connect, acme, rules, description, expected
):
    """The same question is put to the service: both say the same."""
    role = await do(Role, "create", rules=rules)
    user = await do(User, "create", role=role, description=description)
    dictionary = {"pin": "77"}
    told = await do(role, "allows", "get_twin", twin=acme, user=user, dictionary=dictionary)
    assert (told.allowed, told.unknown) == (expected, ())
    guest = connect(user=user.uuid, dictionary=dictionary)
    try:
        await do(guest, "call", "get_twin", acme.uuid)
    except ForbiddenError:
        assert expected is False
    else:
        assert expected is True


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        (entry_name == "public", "public", True),
        (entry_name == "public", "hidden", False),
        (entry_value < 10, "public", True),
        (entry_value < 10, "hidden", False),
        ((entry_value < 10) & (LEDGER.level == 3), "public", True),
    ],
)
async def test_rules_for_entries_as_the_service_has_it(do, connect, acme, rule, name, expected):
    role = await do(Role, "create", rules=Rules(entry=rule))
    user = await do(User, "create", role=role)
    entry = acme.ledger[name]
    told = await do(role, "allows", "get_twin_ledger_entry", entry=entry, user=user)
    assert (told.allowed, told.unknown) == (expected, ())
    guest = connect(user=user.uuid)
    ledger = await do(guest, "call", "get_twin_ledger_entry", acme.uuid)
    assert (name in ledger["entries"]) is expected


async def test_rules_for_identities(do, acme):
    acme.identities.add("SN#A1")
    acme.identities.add("RFID#A1")
    await do(acme, "save")
    role = await do(Role, "create", rules=Rules(identity=identity == "SN#A1"))
    assert await do(role, "allows", "get_twin_identity", identity=acme.identities["SN#A1"])
    no = await do(role, "allows", "get_twin_identity", identity=acme.identities["RFID#A1"])
    assert no.reason == 'the identity rule does not hold: identity == "SN#A1"'


async def test_what_is_missing_is_told(do, acme):
    role = await do(Role, "create", rules=Rules(twin=COMPANY, entry=DICT.pin == "77"))
    told = await do(role, "allows", "get_twin", twin=acme)
    assert told.allowed
    assert told.unknown == ("the twin rule, which speaks of the user: give user=",)
    user = await do(User, "create", role=role, description={"company": "acme"})
    told = await do(role, "allows", "get_twin_ledger_entry", twin=acme, user=user)
    assert told.unknown == ("the entry rule, for which entry= is to be given",)
    entry = acme.ledger["public"]
    told = await do(role, "allows", "get_twin_ledger_entry", entry=entry, user=user)
    assert told.unknown == (
        "the entry rule, which speaks of the request dictionary: give dictionary=",
    )


async def test_twins_of_others_need_a_rule(do, world, stranger, connection):
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Twin, "create")
        role = await do(Role, "create")
        assert await do(role, "allows", "get_twin", twin=theirs)
    own = await do(Role, "create")
    told = await do(own, "allows", "get_twin", twin=theirs)
    assert told.reason == "the role has no twin rule, and the Twin belongs to another account"


async def test_a_rule_that_cannot_be_read_here_is_unknown(do, connection):
    twin = await do(Twin, "create")
    role = Role(rules=Rules(twin="TWIN.a ==="))
    told = await do(role, "allows", "get_twin", twin=twin)
    assert told
    (gap,) = told.unknown
    assert gap.startswith("the twin rule, which cannot be read here: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dney", None), r"effect='dney': expected 'allow' or 'deny': did you mean 'deny'\?"),
        ((None, None), "effect=None: expected 'allow' or 'deny'"),
        (("allow", ["get_twn"]), "no operation is called 'get_twn': did you mean get_twin"),
        (("allow", 5), "5 is no operation: expected members of ttorm.Action"),
    ],
)
def test_statements_with_slips_are_refused(arguments, message):
    with pytest.raises(ttorm.ValidationError, match=message):
        ttorm.Statement(*arguments)


def test_a_statement_of_one_name():
    statement = ttorm.Statement("deny", "get_twin")
    assert statement == ttorm.Statement.deny("get_twin")
    assert (statement.allows("get_twin"), statement.allows("scan_twins")) == (False, True)
    assert pickle.loads(pickle.dumps(statement)) == statement
    with pytest.raises(ttorm.ValidationError, match="None is no operation"):
        ttorm.Statement.allow(None)
