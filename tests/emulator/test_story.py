"""An account from its first secret to its last, told in one go: each step meets those before it."""

from __future__ import annotations

import json

import pytest

from ttorm.emulator.bootstrap import make_account

STEPS = ["who_am_i", "create_user_token", "refresh_user_token"]


@pytest.fixture
def ask(send):
    """Send requests with a credential: ``ask(secret, "GET", "/whoami") -> (status, answer)``."""

    def ask(credential, method, path, body=None):
        headers = {} if credential is None else {"authorization": credential}
        content = b"" if body is None else json.dumps(body).encode()
        answer = send(method, path, content, None, headers)
        return answer.status, json.loads(answer.body)

    return ask


def test_from_the_first_secret_to_the_last(ask, emulator, clock):
    first = make_account(emulator)
    admin, account = first.secret, first.account
    statement = {"effect": "allow", "actions": STEPS}
    status, role = ask(admin, "POST", "/roles", {"name": "Reader", "statement": statement})
    assert status == 201
    status, user = ask(admin, "POST", "/users", {"name": "gateway", "role": role["uuid"]})
    assert status == 201
    secrets = f"/users/{user['uuid']}/secrets"
    later = clock.now() + 3_600
    status, pin = ask(admin, "POST", secrets, {"validity_ts": later})
    assert (status, [*pin]) == (201, ["pin"])

    exchange = f"/secrets/{account}/{pin['pin']}"
    status, made = ask(None, "POST", exchange)
    secret = made["secret"]
    assert (status, len(secret), made["validity_ts"]) == (201, 64, later)
    assert "fingerprint" not in made
    assert ask(None, "POST", exchange)[0] == 404
    known = {"account": account, "user": user["uuid"], "role": role["uuid"]}
    assert ask(secret, "GET", "/whoami") == (200, known)
    status, shown = ask(admin, "GET", secrets)
    assert (status, shown["fingerprint"]) == (200, secret[-4:])
    assert "secret" not in shown
    assert ask(admin, "PATCH", secrets)[1]["validity_ts"] is None

    options = {"secret_dict": {"serial": "SN-1"}, "options": ["refresh"]}
    status, token = ask(secret, "POST", "/token", options)
    assert status == 201
    assert ask(token["token"], "POST", "/token")[0] == 403
    status, copy = ask(token["token"], "POST", "/token/refresh")
    assert status == 201
    tokens = token["token"], copy["token"]
    assert [ask(one, "GET", "/whoami") for one in tokens] == [(200, known)] * 2

    assert ask(admin, "DELETE", secrets)[0] == 200
    assert [ask(one, "GET", "/whoami")[0] for one in (secret, *tokens)] == [401] * 3
    pin = ask(admin, "POST", secrets)[1]["pin"]
    secret = ask(None, "POST", f"/secrets/{account}/{pin}")[1]["secret"]
    assert ask(admin, "DELETE", f"/roles/{role['uuid']}")[0] == 200
    assert ask(secret, "GET", "/whoami")[0] == 403
    own_role = ask(admin, "GET", "/whoami")[1]["role"]
    status, answer = ask(admin, "DELETE", f"/roles/{own_role}")
    assert (status, answer["subcode"]) == (400, 400897)
