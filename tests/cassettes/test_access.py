"""The exact requests of users, roles, secrets and tokens, through `Connection.call`."""

from __future__ import annotations

import pytest

from ttorm import Twin, UnauthorizedError

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
