"""The emulator against requests that schemathesis makes of the description, valid and not."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ttorm.api.http import HttpRequest
from ttorm.api.operations import OPERATIONS
from ttorm.api.request import api_request
from ttorm.emulator import Emulator
from ttorm.emulator.asgi import application
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.policy import Policy
from ttorm.emulator.subscriptions import SubscriptionRow, token_url

BASE = "http://emulator.localhost"
FEW, MANY = 20, 240
INTRICATE = {"create_indexes_table"}
"""Operations whose bodies have parts that must agree in ways that no schema says."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NAMES = st.sampled_from(
    ["LEDGER.celsius", "TWIN.kind", "USER.team", "DICT.x", "entry_name", "now", "missing"]
)
VALUES = st.one_of(st.integers(), st.sampled_from(["null", "true", "'pump'", "'ä'", "[1, 'a']"]))
RULES = st.builds("{} {} {}".format, NAMES, st.sampled_from(["==", "!=", "<", "in"]), VALUES)
TEMPLATES = st.one_of(st.text(st.characters(exclude_characters="{}")), NAMES.map("{{{}}}".format))
DICTIONARIES = st.dictionaries(st.from_regex("[a-z_]{1,8}", fullmatch=True), st.integers())

schemathesis.openapi.format("rule", RULES)
schemathesis.openapi.format("template", TEMPLATES)
schemathesis.openapi.format(
    "dictionary", DICTIONARIES.map(lambda value: b64encode(json.dumps(value).encode()).decode())
)


class World:
    """An emulator with something of everything, which requests can be made to mean."""

    def __init__(self):
        self.emulator = Emulator("memory:", policy=Policy(background=False))
        self.credentials = make_account(self.emulator)
        self.app = application(self.emulator, ["*"])
        self.fill()
        self.subscribe()

    def call(self, name, *args, body=None, **query):
        request = api_request(name, args, query, body).bind(BASE, {})
        answer = self.emulator.handle(request, self.credentials.user)
        assert answer.status < 300, (name, answer.body)
        return json.loads(answer.body)

    def upload(self):
        place = self.call("create_upload_url")
        content = b'{"body": {}}\n'
        assert self.emulator.handle(HttpRequest("PUT", place["url"], {}, content)).status == 200
        return place["handler"]

    def fill(self):
        """Make one thing of each kind, and note what it is called in requests."""
        account = self.credentials.account
        role = self.call("create_user_role", body={"name": "Guest"})["uuid"]
        user = self.call("create_user", body={"role": role})["uuid"]
        pin = self.call("create_user_secret_pin", user)["pin"]
        self.call("create_user_secret", account, pin)
        twin, other = self.twin(), self.twin()
        self.tables()
        self.entries(twin, other)
        self.call("create_twin_identity", twin, body={"identities": {"SN#A17": {}}})
        docs = {"a/b.txt": {"handler": self.upload()}}
        self.call("attach_twin_doc", twin, body={"docs": docs})
        stickers = {"red": {"recipients": [account]}}
        self.call("put_sticker", twin, body={"stickers": stickers})
        batch = {"operation": "create_twin", "handler": self.upload()}
        self.names = {
            "account": [account],
            "batch": [self.call("create_batch", body=batch)["batch"]],
            "color": ["red"],
            "doc_name": ["a/b.txt"],
            "identity": ["SN#A17"],
            "index": ["warm"],
            "pin": [self.call("create_user_secret_pin", user)["pin"]],
            "role": [role],
            "timeseries": ["climate"],
            "twin": [twin, other],
            "user": [user],
        }
        self.link = self.call("get_twin_doc", twin, "a/b.txt", download=True)["download"]["url"]
        self.token = self.call("create_user_token", body={"options": ["create", "refresh"]})

    def twin(self):
        twin = self.call("create_twin", body={"description": {"kind": "pump"}})
        return twin["creation_certificate"]["uuid"]

    def tables(self):
        columns, none = {"names": ["celsius"], "types": ["real"]}, {"names": [], "types": []}
        climate = {"dimensions": none, "measurements": columns}
        self.call("create_timeseries_table", body={"timeseries": {"climate": climate}})
        templates = {"properties": {"celsius": "{LEDGER.celsius}"}}
        warm = {"rule": "LEDGER.celsius > 25", "properties": columns, "templates": templates}
        self.call("create_indexes_table", body={"indexes": {"warm": warm}})

    def entries(self, twin, other):
        entries = {
            "celsius": {"value": 20.5, "history": "1M", "timeseries": {"climate": {}}},
            "shown": {"value": [1], "visibility": "true", "publish": {"true": ["shown-now"]}},
        }
        self.call("add_twin_ledger_entry", twin, body={"entries": entries})
        entries = {
            "a": {"ref": {"source": f"twin://{twin}/{self.credentials.account}/celsius"}},
            "b": {"include": f"twin://{twin}/shown"},
        }
        self.call("add_twin_ledger_entry", other, body={"entries": entries})

    def subscribe(self):
        body = {"callback_url": "http://127.0.0.1:9/", "topic": "shown-now"}
        self.call("webhook_subscribe", body=body)
        with self.emulator.store.transaction(write=False) as tx:
            subscription = SubscriptionRow.from_row(tx.rows("SELECT * FROM subscriptions")[-1])
        self.tokens = {}
        for purpose in ("confirm", "refresh", "unsubscribe"):
            url = token_url(self.emulator.vault, subscription, purpose)
            self.tokens[purpose] = parse_qs(urlsplit(url).query)["token"][0]
        account = self.credentials.account
        self.call("webhook_confirm_subscription", account, token=self.tokens["confirm"])

    def credential(self, operation):
        if operation == "refresh_user_token":
            return self.token["token"]
        return self.credentials.secret

    def known(self, operation, name, value):
        """Return what there is in place of what was made up, for three values out of four."""
        odd = sum(value.encode("utf-8", "replace"))
        if odd % 4 == 0:
            return value
        if name == "handler":
            return self.link.rpartition("/")[2] if operation == "download_doc" else self.upload()
        if name == "token":
            purposes = (purpose for purpose in self.tokens if purpose in operation)
            return self.tokens[next(purposes)]
        names = self.names.get(name, [value])
        return names[odd % len(names)]

    def mean(self, operation, value):
        """Put names of what there is into a JSON value."""
        if not isinstance(value, dict):
            return value
        return {
            name: self.known(operation, name, item)
            if isinstance(item, str)
            else self.mean(operation, item)
            for name, item in value.items()
        }


class Door:
    """Leads to a new world in each test, so that the description is read once."""

    async def __call__(self, scope, receive, send):
        await self.world.app(scope, receive, send)


@pytest.fixture(scope="module")
def door():
    return Door()


@pytest.fixture(scope="module")
def schema(door):
    door.world = World()
    with door.world.emulator:
        return schemathesis.openapi.from_asgi("/openapi.json", door)


@pytest.fixture
def world(door):
    door.world = World()
    yield door.world
    door.world.emulator.close()


def drive(world, operation, mode, count):
    """Make requests of one operation and check each answer; return all statuses."""
    name, statuses = operation.definition.raw["operationId"], []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        path = world.mean(name, case.path_parameters)
        case.path_parameters = {
            argument: value if value == given else quote(value, safe="")
            for (argument, given), value in zip(
                case.path_parameters.items(), path.values(), strict=True
            )
        }
        case.query = world.mean(name, case.query)
        case.body = world.mean(name, case.body)
        answer = case.call(headers={"Authorization": world.credential(name)})
        case.validate_response(answer, checks=CHECKS)
        statuses.append(answer.status_code)
        if answer.status_code >= 300:
            return
        if name == "webhook_unsubscribe":
            world.subscribe()
        elif case.method == "DELETE" or name == "create_user_secret":
            world.fill()

    run()
    return statuses


@pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=[pytest.mark.full, pytest.mark.timeout(600)])]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_as_described(world, schema, name, count):
    operation = schema.find_operation_by_id(name)
    valid, invalid = (
        drive(world, operation, mode, count // 2)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )
    assert len(valid) + len(invalid) >= count
    assert OPERATIONS[name].success in valid or name in INTRICATE
    assert 400 in invalid


def test_the_full_run_makes_twenty_thousand_requests():
    assert len(OPERATIONS) * MANY >= 20_000
