"""Secrets, PINs and tokens."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from ttorm.api.request import api_request, dictionary_header
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.policy import Policy

BASE = "http://emulator.localhost"


@pytest.fixture
def call(send):
    """Call an operation with a credential: ``call(secret, "who_am_i", ...)``."""

    def call(credential, name, *args, body=None, dictionary=None):
        headers = {} if credential is None else {"authorization": credential}
        if dictionary is not None:
            headers["x-trustedtwin"] = dictionary_header(dictionary)
        request = api_request(name, args, None, body).bind(BASE, headers)
        answer = send(request.method, request.url, request.body, headers=request.headers)
        return answer.status, json.loads(answer.body)

    return call


@pytest.fixture
def admin(emulator):
    """Account, user and secret of an administrator."""
    return make_account(emulator)


@pytest.fixture
def new_secret(call, admin):
    """Make a user and its secret: ``new_secret(rules=..., statement=..., validity_ts=...)``."""

    def new_secret(validity_ts=None, **role):
        status, role = call(admin.secret, "create_user_role", body=role)
        assert status == 201, role
        user = call(admin.secret, "create_user", body={"role": role["uuid"]})[1]["uuid"]
        body = {"validity_ts": validity_ts}
        pin = call(admin.secret, "create_user_secret_pin", user, body=body)[1]["pin"]
        status, made = call(None, "create_user_secret", admin.account, pin)
        assert status == 201, made
        return SimpleNamespace(**made)

    return new_secret


class TestSecrets:
    def test_a_full_run(self, call, admin, clock):
        role = call(admin.secret, "create_user_role", body={})[1]["uuid"]
        user = call(admin.secret, "create_user", body={"role": role})[1]["uuid"]
        end = clock.now() + 3_600
        body = {"validity_ts": end}
        status, made = call(admin.secret, "create_user_secret_pin", user, body=body)
        assert (status, made.keys()) == (201, {"pin"})
        assert re.fullmatch("[0-9A-Z]{6}", made["pin"])
        assert call(admin.secret, "get_user_secret", user)[1]["subcode"] == 404653
        clock.advance(60)
        status, secret = call(None, "create_user_secret", admin.account, made["pin"])
        now = clock.now()
        assert (status, secret) == (
            201,
            {
                "account": admin.account,
                "user": user,
                "secret": secret["secret"],
                "validity_ts": end,
                "created_ts": now,
                "updated_ts": now,
            },
        )
        assert re.fullmatch("[0-9A-Za-z+/]{64}", secret["secret"])
        again = call(None, "create_user_secret", admin.account, made["pin"])
        assert (again[0], again[1]["subcode"]) == (404, 404653)
        whoami = call(secret["secret"], "who_am_i")
        assert whoami == (200, {"account": admin.account, "user": user, "role": role})
        shown = call(admin.secret, "get_user_secret", user)
        assert shown == (
            200,
            {
                "account": admin.account,
                "user": user,
                "fingerprint": secret["secret"][-4:],
                "validity_ts": end,
                "created_ts": now,
                "updated_ts": now,
            },
        )
        clock.advance(1)
        updated = call(admin.secret, "update_user_secret", user)
        assert updated == (201, shown[1] | {"validity_ts": None, "updated_ts": now + 1})
        deleted = call(admin.secret, "delete_user_secret", user)
        assert deleted == (200, updated[1])
        assert call(secret["secret"], "who_am_i")[0] == 401

    def test_expiry_and_revival(self, call, admin, new_secret, clock):
        made = new_secret(validity_ts=clock.now() + 10)
        clock.advance(9.999)
        assert call(made.secret, "who_am_i")[0] == 200
        clock.advance(0.001)
        assert call(made.secret, "who_am_i")[0] == 401
        assert call(admin.secret, "get_user_secret", made.user)[0] == 200
        body = {"validity_ts": clock.now() + 5}
        assert call(admin.secret, "update_user_secret", made.user, body=body)[0] == 201
        assert call(made.secret, "who_am_i")[0] == 200

    def test_a_secret_may_be_made_expired(self, call, new_secret):
        assert call(new_secret(validity_ts=1).secret, "who_am_i")[0] == 401

    def test_pin_is_over_after_ten_minutes(self, call, admin, clock):
        pin = call(admin.secret, "create_user_secret_pin", admin.user)[1]["pin"]
        clock.advance(600)
        assert call(None, "create_user_secret", admin.account, pin)[0] == 404
        assert call(admin.secret, "who_am_i")[0] == 200

    def test_a_second_pin_replaces_the_first(self, call, admin):
        first, second = (
            call(admin.secret, "create_user_secret_pin", admin.user)[1]["pin"] for _ in range(2)
        )
        assert call(None, "create_user_secret", admin.account, first)[0] == 404
        assert call(None, "create_user_secret", admin.account, second)[0] == 201

    def test_the_old_secret_holds_until_the_pin_is_used(self, call, admin):
        pin = call(admin.secret, "create_user_secret_pin", admin.user)[1]["pin"]
        assert call(admin.secret, "who_am_i")[0] == 200
        new = call(None, "create_user_secret", admin.account, pin)[1]["secret"]
        assert call(admin.secret, "who_am_i")[0] == 401
        assert call(new, "who_am_i")[0] == 200

    def test_pins_belong_to_their_account(self, call, admin, emulator):
        pin = call(admin.secret, "create_user_secret_pin", admin.user)[1]["pin"]
        wrong = [
            call(None, "create_user_secret", account, text)
            for account, text in [
                (make_account(emulator).account, pin),
                ("nonsense", pin),
                (admin.account, pin.lower() + "x"),
                (admin.account, "é\0'\""),
            ]
        ]
        assert {(status, body["description"]) for status, body in wrong} == {
            (404, wrong[0][1]["description"])
        }
        assert call("ignored", "create_user_secret", admin.account.upper(), pin)[0] == 201

    def test_deleting_a_secret_or_user_drops_the_pin(self, call, admin, new_secret):
        made = new_secret()
        pin = call(admin.secret, "create_user_secret_pin", made.user)[1]["pin"]
        assert call(made.secret, "delete_user_secret", made.user)[0] == 200
        assert call(None, "create_user_secret", admin.account, pin)[0] == 404
        pin = call(admin.secret, "create_user_secret_pin", made.user)[1]["pin"]
        assert call(admin.secret, "delete_user", made.user)[0] == 200
        assert call(None, "create_user_secret", admin.account, pin)[0] == 404

    def test_deleting_a_user_ends_its_secret(self, call, admin, new_secret):
        made = new_secret()
        assert call(admin.secret, "delete_user", made.user)[0] == 200
        assert call(made.secret, "who_am_i")[0] == 401

    @pytest.mark.parametrize(
        "body", [{"validity_ts": "soon"}, {"validity_ts": True}, {"validity_ts": 1e300}, {"pin": 1}]
    )
    @pytest.mark.parametrize("name", ["create_user_secret_pin", "update_user_secret"])
    def test_refused_bodies(self, call, admin, name, body):
        assert call(admin.secret, name, admin.user, body=body)[1]["subcode"] == 400589

    @pytest.mark.sqlite
    def test_no_secret_is_in_the_store(self, emulator, admin, call):
        pin = call(admin.secret, "create_user_secret_pin", admin.user)[1]["pin"]
        with emulator.store.transaction(write=False) as tx:
            tables = tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            stored = [
                str(value)
                for table in tables
                for row in tx.rows(f"SELECT * FROM {table['name']}")
                for value in tuple(row)
            ]
        assert len(stored) > 30
        assert not any(admin.secret in value or pin == value for value in stored)


class TestTokens:
    def test_made_by_a_secret(self, call, admin, clock):
        body = {"secret_dict": {"serial": "SN-1"}, "options": ["refresh"],
                "validity_ts": clock.now() + 60}  # fmt: skip
        status, made = call(admin.secret, "create_user_token", body=body)
        assert (status, made) == (
            201,
            {"token": made["token"], "options": ["refresh"], "validity_ts": body["validity_ts"]},
        )
        assert made["token"].count(".") == 2
        assert call(made["token"], "who_am_i") == call(admin.secret, "who_am_i")
        clock.advance(60)
        assert call(made["token"], "who_am_i")[0] == 401

    def test_without_a_body(self, call, admin):
        status, made = call(admin.secret, "create_user_token")
        assert (status, made["options"], made["validity_ts"]) == (201, None, None)
        for name in ("create_user_token", "refresh_user_token"):
            assert call(made["token"], name)[1]["subcode"] == 403535

    def test_refreshing_makes_a_copy(self, call, admin, clock):
        body = {"secret_dict": {"serial": "SN-1"}, "options": ["refresh"],
                "validity_ts": clock.now() + 60}  # fmt: skip
        token = call(admin.secret, "create_user_token", body=body)[1]["token"]
        later = {"validity_ts": clock.now() + 600}
        status, copy = call(token, "refresh_user_token", body=later)
        assert (status, copy) == (201, {"token": copy["token"], **later})
        assert call(token, "who_am_i")[0] == 200
        clock.advance(60)
        assert call(token, "who_am_i")[0] == 401
        assert call(copy["token"], "refresh_user_token")[1]["validity_ts"] is None

    def test_a_secret_cannot_be_refreshed(self, call, admin):
        assert call(admin.secret, "refresh_user_token")[1]["subcode"] == 400897

    def test_the_roles_permission_is_for_secrets(self, call, new_secret):
        made = new_secret(statement={"effect": "deny", "actions": ["create_user_token"]})
        assert call(made.secret, "create_user_token")[1]["subcode"] == 403535

    def test_a_token_gives_no_more_than_it_has(self, call, admin, clock):
        end = clock.now() + 60
        body = {"secret_dict": {"a": 1, "b": 1}, "options": ["create"], "validity_ts": end}
        token = call(admin.secret, "create_user_token", body=body)[1]["token"]
        for more in ({"options": ["refresh"], "validity_ts": end}, {"validity_ts": end + 1}, {}):
            assert call(token, "create_user_token", body=more)[1]["subcode"] == 403535
        child = call(token, "create_user_token", body={"validity_ts": end - 1, "options": []})
        assert child[0] == 201

    def test_secret_dict_is_read_as_dict_and_wins(self, call, admin, new_secret):
        rule = "TWIN.serial == DICT.serial and DICT.extra == 1"
        made = new_secret(rules={"twin_rule": rule})
        twins = {}
        for serial in ("SN-1", "SN-2"):
            body = {"description": {"serial": serial}}
            twin = call(admin.secret, "create_twin", body=body)[1]
            twins[serial] = twin["creation_certificate"]["uuid"]
        options = {"secret_dict": {"serial": "SN-1"}, "options": ["create", "refresh"]}
        token = call(made.secret, "create_user_token", body=options)[1]["token"]
        child = {"secret_dict": {"serial": "SN-2"}}
        for holder in (
            token,
            call(token, "refresh_user_token")[1]["token"],
            call(token, "create_user_token", body=child)[1]["token"],
        ):
            forged = {"serial": "SN-2", "extra": 1}
            assert call(holder, "get_twin", twins["SN-1"], dictionary=forged)[0] == 200
            assert call(holder, "get_twin", twins["SN-2"], dictionary=forged)[0] == 403
            assert call(holder, "get_twin", twins["SN-1"])[0] == 403

    @pytest.mark.parametrize("end", ["delete_user_secret", "new secret", "expiry", "delete_user"])
    def test_a_token_dies_with_its_secret(self, call, admin, new_secret, clock, end):
        made = new_secret()
        token = call(made.secret, "create_user_token")[1]["token"]
        assert call(token, "who_am_i")[0] == 200
        if end == "new secret":
            pin = call(admin.secret, "create_user_secret_pin", made.user)[1]["pin"]
            assert call(None, "create_user_secret", admin.account, pin)[0] == 201
        elif end == "expiry":
            body = {"validity_ts": clock.now()}
            assert call(admin.secret, "update_user_secret", made.user, body=body)[0] == 201
        else:
            assert call(admin.secret, end, made.user)[0] == 200
        assert call(token, "who_am_i")[0] == 401

    class TestThatNeedNoSecret:
        @pytest.fixture
        def policy(self):
            return Policy(tokens_need_secret=False)

        def test_a_token_survives_its_secret(self, call, admin, new_secret):
            made = new_secret()
            token = call(made.secret, "create_user_token")[1]["token"]
            assert call(admin.secret, "delete_user_secret", made.user)[0] == 200
            assert call(token, "who_am_i")[0] == 200
            assert call(admin.secret, "delete_user", made.user)[0] == 200
            assert call(token, "who_am_i")[0] == 401

    def test_forged_tokens(self, call, admin):
        token = call(admin.secret, "create_user_token")[1]["token"]
        header, claims, signature = token.split(".")
        for forged in (
            f"{header}.{claims}.{signature[:-1]}",
            f"{header}.{claims}A.{signature}",
            f"{header}.{claims}.",
            f"eyJhbGciOiJub25lIn0.{claims}.",
            f"{header}.{signature}.{claims}",
        ):
            assert call(forged, "who_am_i")[0] == 401

    def test_a_token_of_the_door_without_secret(self, api, call, user):
        token = api("create_user_token")[1]["token"]
        assert call(token, "who_am_i")[1]["user"] == user

    @pytest.mark.parametrize(
        "body",
        [
            {"secret_dict": {"Bad": 1}},
            {"secret_dict": []},
            {"options": "create"},
            {"options": ["delete"]},
            {"options": [["create"]]},
            {"validity_ts": "x"},
            {"user": "u"},
        ],
    )
    def test_refused_bodies(self, call, admin, body):
        assert call(admin.secret, "create_user_token", body=body)[1]["subcode"] == 400589
