"""The exact requests of users, roles, secrets and tokens, as records and through `call`."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import (
    Account,
    Action,
    Role,
    Rules,
    Statement,
    Token,
    TokenOptions,
    Twin,
    UnauthorizedError,
    User,
)
from ttorm.rules import TWIN, USER

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

END = 4_000_000_000.0


async def test_users_roles_and_secrets(connection, connect, do, tape):
    call = connection.call
    account = (await do(connection.whoami))["account"]
    statement = {"effect": "allow", "actions": ["who_am_i", "create_user_token"]}
    role = await do(call, "create_user_role", body={"name": "guest", "statement": statement})
    user = await do(call, "create_user", body={"name": "Ann", "role": role["uuid"]})
    pin = await do(call, "create_user_secret_pin", user["uuid"], body={"validity_ts": END})
    made = await do(call, "create_user_secret", account, pin["pin"])
    guest = connect(secret=made["secret"])
    assert (await do(guest.whoami))["user"] == user["uuid"]
    token = await do(guest.call, "create_user_token", body={"validity_ts": END})
    bearer = connect(token=token["token"])
    assert (await do(bearer.whoami))["role"] == role["uuid"]
    await do(call, "delete_user_secret", user["uuid"])
    with pytest.raises(UnauthorizedError):
        await do(guest.call, "who_am_i")
    secrets = f"/users/{user['uuid']}/secrets"
    tape.shows(
        ("GET", "/whoami", None),
        ("POST", "/roles", {"name": "guest", "statement": statement}),
        ("POST", "/users", {"name": "Ann", "role": role["uuid"]}),
        ("POST", secrets, {"validity_ts": END}),
        ("POST", f"/secrets/{account}/PIN-0001", None),
        ("GET", "/whoami", None),
        ("POST", "/token", {"validity_ts": END}),
        ("GET", "/whoami", None),
        ("DELETE", secrets, None),
        ("GET", "/whoami", None),
    )
    assert [line.split("/")[1] for line in tape.unsigned] == ["secrets"]


async def test_request_dictionary(connect, do, tape):
    """The one header that says something about the request: it stays in cassettes."""
    connect(dictionary={"team": "ops"})
    await do(Twin.create)
    assert [request.headers["x-trustedtwin"] for request in tape.cassette.requests] == [
        "eyJ0ZWFtIjoib3BzIn0="
    ]
    tape.shows(("POST", "/twins", None))


async def test_users_and_roles_as_records(connection, do, tape):
    account = await do(Account.current)
    assert account.resource_access_log is None
    reader = await do(
        Role.create,
        name="Reader",
        statement=Statement.allow(Action.get_twin, "get_user"),
        rules=Rules(twin=TWIN.company == USER.company),
    )
    ann = await do(User.create, role=reader, name="Ann", description={"company": "acme"})
    reader.rules = Rules()
    await do(reader.save)
    ann.description["level"] = 3
    await do(ann.save)
    assert (await do(ann.save)).requests == 0
    assert [user.name for user in await do.each(User.list())] == ["Super Admin", "Ann"]
    assert reader in await do.each(Role.list())
    uuids = ann.uuid, reader.uuid
    await do(ann.delete)
    await do(reader.delete)
    ruled = {"twin_rule": "TWIN.company == USER.company", "entry_rule": None, "identity_rule": None}
    tape.shows(
        ("GET", "/account", None),
        (
            "POST",
            "/roles",
            {
                "name": "Reader",
                "statement": {"effect": "allow", "actions": ["get_twin", "get_user"]},
                "rules": ruled,
            },
        ),
        (
            "POST",
            "/users",
            {"name": "Ann", "role": uuids[1], "description": {"company": "acme"}},
        ),
        ("PATCH", f"/roles/{uuids[1]}", {"rules": dict.fromkeys(ruled)}),
        (
            "PATCH",
            f"/users/{uuids[0]}",
            {"description": {"company": "acme", "level": 3}},
        ),
        ("GET", "/users", None),
        ("GET", "/roles", None),
        ("DELETE", f"/users/{uuids[0]}", None),
        ("DELETE", f"/roles/{uuids[1]}", None),
    )


async def test_secrets_and_tokens_as_records(connection, connect, do, tape):
    role = (await do(connection.whoami))["role"]
    ann = await do(User.create, role=role)
    invitation = await do(ann.invite, END)
    own = connect(secret=await do(ttorm.claim, ann.account, invitation.pin, connection=connection))
    await do(ann.secret.load)
    ann.secret.valid_until = None
    await do(ann.secret.save)
    new = await do(own.rotate, END)
    signing = connect(secret=new, tokens=TokenOptions(lifetime=1_000, secret_dict={"a": 1}))
    signing.credentials._clock = lambda: END - 1_000
    await do(signing.call, "trace")
    with ttorm.session(own):
        token = await do(Token.create, options=["refresh"], valid_until=END)
    longer = await do(token.refresh, END + 1)
    bearer = connect(token=longer)
    await do(bearer.call, "trace")
    await do(ann.secret.delete)
    with pytest.raises(UnauthorizedError):
        await do(bearer.call, "trace")
    secrets = f"/users/{ann.uuid}/secrets"
    carried = {"validity_ts": END, "options": ["refresh"]}
    tape.shows(
        ("GET", "/whoami", None),
        ("POST", "/users", {"role": role}),
        ("POST", secrets, {"validity_ts": END}),
        ("POST", f"/secrets/{ann.account}/PIN-0001", None),
        ("GET", secrets, None),
        ("PATCH", secrets, {"validity_ts": None}),
        ("GET", "/whoami", None),
        ("POST", secrets, {"validity_ts": END}),
        ("POST", f"/secrets/{ann.account}/PIN-0002", None),
        ("POST", "/token", {**carried, "secret_dict": {"a": 1}}),
        ("POST", "/trace", None),
        ("POST", "/token", carried),
        ("POST", "/token/refresh", {"validity_ts": END + 1}),
        ("POST", "/trace", None),
        ("DELETE", secrets, None),
        ("POST", "/trace", None),
    )
    assert [line.split("/")[1] for line in tape.unsigned] == ["secrets", "secrets"]
