"""Every documented refusal of every operation: the subcode that each answers, in one table."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import pytest
from refusals import BY_TOKEN, CASES, INDEX, NOBODY, table

from ttorm.api.errors import SUBCODES
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import MAX_BODY
from ttorm.emulator.policy import Policy

ARGUMENTS = {
    "identity": "RFID#1",
    "ledger": "personal",
    "doc_name": "a.txt",
    "color": "red-flag",
    "timeseries": "none",
    "index": "none",
    "pin": "AAAAAA",
    "handler": "none",
}
WITH_CREDENTIAL = [name for name, row in OPERATIONS.items() if row.credential]
WITH_BODY = [name for name, row in OPERATIONS.items() if row.body]
ON_TWINS = [name for name, row in OPERATIONS.items() if row.path.startswith("/twins/{twin}")]
BY_UUID = {"twin", "user", "role", "batch", "account", "database"}
# Their token is looked at first; accounts of strangers are known by their UUID alone.
LOOKED_AT_OTHERWISE = BY_TOKEN | {"update_notifications_account_access"}


BODIES = {
    "add_twin_ledger_entry": b'{"entries": {"a": {"value": 1}}}',
    "update_twin_ledger_entry": b'{"entries": {"a": {"value": 1}}}',
    "update_twin_ledger_entry_value": b'{"entries": {"a": {"value": 1}}}',
    "create_twin_identity": b'{"identities": {"RFID#1": {}}}',
    "update_twin_identity": b'{"visibility": null}',
    "attach_twin_doc": b'{"docs": {"a.txt": {"handler": "x"}}}',
    "put_sticker": b'{"stickers": {"red-flag": {"recipients": ["%s"]}}}' % NOBODY.encode(),
    "update_batch": b'{"status": "cancel"}',
}


def arguments(name, **own):
    """Path arguments of an operation, well formed; nothing is there."""
    given = {**ARGUMENTS, **own}
    return [given.get(part.name, NOBODY) for part in OPERATIONS[name].path_params]


@pytest.fixture
def refusal(send):
    """Send raw requests: ``refusal("get_twin", twin=..., caller=...) -> subcode``."""

    def refusal(name, body=b"", caller=None, headers=None, **own):
        row = OPERATIONS[name]
        quoted = {
            part.name: value.replace("#", "%23")
            for part, value in zip(row.path_params, arguments(name, **own), strict=True)
        }
        answer = send(row.method, row.path.format(**quoted), body, caller, headers)
        fields = json.loads(answer.body)
        assert fields.keys() == {"subcode", "trace", "description"}, fields
        assert answer.status == fields["subcode"] // 1_000
        return fields["subcode"]

    return refusal


@pytest.mark.parametrize("name", WITH_CREDENTIAL)
@pytest.mark.parametrize("credential", [None, "x" * 64, "a.b.c"])
def test_without_a_valid_credential(name, credential, refusal):
    headers = {} if credential is None else {"authorization": credential}
    assert refusal(name, headers=headers) == 401000


@pytest.mark.parametrize("name", sorted({*WITH_CREDENTIAL} - {"refresh_user_token"}))
def test_an_operation_that_the_role_does_not_permit(name, refusal, new_user):
    denied = new_user(statement={"effect": "deny", "actions": [name]})
    assert refusal(name, caller=denied) == 403535


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize(
    ("body", "subcode"),
    [
        (b" " * (MAX_BODY + 1), 400141),
        (b'{"a": "\xff"}', 400314),
        (b'{"a": ', 400415),
        (b"[1]", 400589),
        (b'{"no_such_field": 1}', 400589),
    ],
    ids=["too large", "not UTF-8", "not JSON", "no object", "unknown field"],
)
def test_a_body_that_cannot_be(name, body, subcode, refusal, user, twin):
    known = {"account": NOBODY} if name in BY_TOKEN else {"database": "default"}
    assert refusal(name, body, user, twin=twin, **known) == subcode


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_dictionary_that_cannot_be_read(name, refusal, user):
    assert refusal(name, caller=user, headers={"x-trustedtwin": "no base64"}) == 400793


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, row in OPERATIONS.items()
        if {part.name for part in row.path_params} & BY_UUID and name not in LOOKED_AT_OTHERWISE
    ],
)
def test_what_does_not_exist(name, user, refusal):
    body = BODIES.get(name, b"{}") if OPERATIONS[name].body else b""
    assert refusal(name, body, user) == 404653


@pytest.mark.parametrize("name", ON_TWINS)
def test_a_twin_that_the_role_hides(name, refusal, new_user, twin):
    hidden = new_user(rules={"twin_rule": "false"})
    assert refusal(name, BODIES.get(name, b""), hidden, twin=twin) == 403535


@pytest.mark.parametrize("name", [*ON_TWINS, "get_user", "get_user_role", "get_batch"])
def test_a_uuid_that_is_none(name, refusal, user):
    wrong = dict.fromkeys(("twin", "user", "role", "batch"), "no-uuid")
    bodies = BODIES if OPERATIONS[name].body else {}
    assert refusal(name, bodies.get(name, b""), user, **wrong) == 400589


@pytest.fixture
def w(
    api, send, user, account, twin, stranger, stranger_account, new_user, new_batch, new_doc,
    upload, emulator, clock,
):  # fmt: skip
    """What the cases of the table start from."""

    def doc():
        new_doc(twin, "a.txt", b"content")
        return twin

    return SimpleNamespace(
        api=api,
        send=send,
        user=user,
        account=account,
        role=api("get_user", user)[1]["role"],
        other=new_user(),
        limited=new_user(
            statement={"effect": "allow", "actions": ["create_user_role", "create_batch"]}
        ),
        twin=twin,
        stranger=stranger,
        stranger_account=stranger_account,
        new_batch=new_batch,
        doc=doc,
        upload=upload,
        emulator=emulator,
        now=clock.now(),
    )


class TestTable:
    @pytest.fixture
    def policy(self):
        return Policy(background=False)

    @pytest.mark.parametrize(
        ("name", "subcode", "case"),
        CASES,
        ids=[f"{name}-{subcode}-{number}" for number, (name, subcode, _) in enumerate(CASES)],
    )
    def test_a_documented_refusal(self, name, subcode, case, w, api):
        status, answer = case(partial(api, name), w)
        assert (status, answer.get("subcode")) == (subcode // 1_000, subcode), answer


SERVICES = {"databases", "timeseries", "indexes"}


class TestServices:
    @pytest.fixture
    def policy(self):
        return Policy(services=())

    @pytest.mark.parametrize(
        "name", [name for name, row in OPERATIONS.items() if row.category in SERVICES]
    )
    def test_a_service_that_the_account_does_not_have(self, name, refusal, user):
        bodies = {
            "create_timeseries_table": {"timeseries": {"t": table()}},
            "create_indexes_table": {"indexes": {"i": INDEX}},
            "update_database_ip_access": {"127.0.0.1": "here"},
        }
        body = json.dumps(bodies.get(name, {})).encode() if OPERATIONS[name].body else b""
        assert refusal(name, body, user, database="default") == 400979


def test_every_subcode_of_the_caller_s_is_in_a_table():
    general = {401000, 403535, 400141, 400314, 400415, 400589, 400793, 404653, 400979}
    known = general | {subcode for _, subcode, _ in CASES}
    assert known == {subcode for subcode in SUBCODES if subcode < 500_000}


def test_every_operation_is_in_a_table():
    special = {name for name, _, _ in CASES}
    plain = {
        *("get_account", "get_users", "get_user_roles", "who_am_i", "get_account_usage", "trace"),
        *("create_upload_url", "get_databases", "get_timeseries_tables", "get_indexes_tables"),
        "get_notifications_access",
    }
    by_path = {name for name, row in OPERATIONS.items() if row.path_params}
    assert special | plain | by_path == OPERATIONS.keys()
