"""Users, roles, tables and their kin: odd members of answers raise errors of ttorm only."""

from __future__ import annotations

import json
from random import Random

import pytest

import ttorm
from ttorm import (
    Account,
    Batch,
    BatchCall,
    Database,
    IndexTable,
    Log,
    Role,
    Rules,
    Statement,
    Sticker,
    StoredIndex,
    StoredTimeseries,
    Subscription,
    TimeseriesTable,
    Token,
    TopicAccess,
    TtormError,
    Twin,
    Usage,
    User,
)

ODD = [
    None,
    True,
    -1,
    1e300,
    "",
    "x",
    "é",
    "2024",
    [],
    [1],
    {},
    {"a": 1},
    {"uuid": 5},
    {"error": "No."},
]


def bent(value, random, depth=0):
    """Replace or remove something somewhere in an answer."""
    if not (isinstance(value, dict) and value and (depth == 0 or random.random() < 0.8)):
        return random.choice(ODD)
    name = random.choice(sorted(value))
    kept = {other: value[other] for other in value if other != name}
    return kept if random.random() < 0.25 else {**kept, name: bent(value[name], random, depth + 1)}


@pytest.fixture
def looks(connect):
    """Looks at all there is to see, by name, on a connection without a cache."""
    connection = connect(default=True, cache=None, batch_codec=ttorm.EmulatorBatchCodec())
    me = connection.whoami()["user"]
    role = Role.create(
        name="Reader", statement=Statement.deny("get_twin"), rules=Rules(twin="true")
    )
    user = User.create(role=role, name="Ann", description={"team": "ops"})
    twin = Twin.create()
    twin.stickers.put("red", [me], note="Look", publish={"on_put": "hot"})
    StoredTimeseries.create(
        "weather", dimensions={"city": "varchar"}, measurements={"heat": "real"}
    )
    StoredIndex.create("hot", rule="true", properties={"a": "real"}, templates={"a": "{LEDGER.a}"})
    batch = Batch.run("get_twin", [BatchCall(twin)]).wait_done()

    def shown(*records):
        for record in records:
            assert [getattr(record, name) for name in record._members()]
            assert repr(record)
            assert record._sheet()

    def put():
        for sticker in [*Sticker.list(), *twin.stickers.of("system").get(twin.owner, {}).values()]:
            assert sticker._sheet()
            assert sticker.created_at
            assert repr((sticker.note, sticker.recipients, sticker.publish))

    looks = {
        "role": lambda: shown(Role.get(role.uuid)),
        "roles": lambda: shown(*Role.list()),
        "user": lambda: shown(User.get(user.uuid)),
        "users": lambda: shown(*User.list()),
        "allows": lambda: Role.at(role.uuid).allows("get_twin", twin=twin, user=User.at(user.uuid)),
        "account": lambda: shown(Account.current()),
        "invite": lambda: User.at(user.uuid).invite(),
        "token": lambda: repr(Token.create()),
        "stickers": put,
        "series": lambda: (shown(TimeseriesTable.get("weather")), TimeseriesTable.list().all()),
        "index": lambda: (shown(IndexTable.get("hot")), IndexTable.get("hot").columns),
        "alter": lambda: TimeseriesTable.get("weather").alter(retention="1Y"),
        "change": lambda: IndexTable.get("hot").alter(rule="false"),
        "rows": lambda: TimeseriesTable.stored("weather").rows().all(),
        "database": lambda: shown(Database.get("default")),
        "databases": lambda: shown(*Database.list()),
        "access": lambda: (dict(Database.default().users), dict(TopicAccess.current())),
        "log": lambda: Log().read(),
        "usage": lambda: Usage.current(me).total(),
        "batches": lambda: (shown(*Batch.list()), shown(batch.refresh()), batch.results().all()),
        "subscribe": lambda: repr(Subscription.create("hot", "https://example.com/h").expires_at),
    }
    return connection.transport, looks


@pytest.mark.parametrize("seed", range(3))
def test_odd_answers_raise_errors_of_ttorm_only(looks, seed):
    transport, several = looks
    random = Random(seed)  # not for secrets

    def meddle(request):
        answer = transport.transport.send(request)
        if answer.status >= 300 or not answer.body.startswith(b"{"):
            return answer
        return answer._replace(body=json.dumps(bent(json.loads(answer.body), random)).encode())

    transport.meddle = meddle
    refused = 0
    for _ in range(20):
        for look in several.values():
            try:
                look()
            except TtormError:
                refused += 1
    assert refused > 20
