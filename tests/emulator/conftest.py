"""An emulator with its clock stopped, and short ways to call it.

It is in memory; ``pytest tests/emulator --store postgresql`` has it on a PostgreSQL server, which
``TTORM_TEST_POSTGRES`` names.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import pytest
from compliance import check
from receivers import Receiver

from ttorm.api.http import HttpRequest
from ttorm.api.request import api_request, dictionary_header
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.clock import Clock
from ttorm.emulator.core import Emulator
from ttorm.emulator.policy import Policy

BASE = "http://emulator.localhost"
OPEN_RULES = {"twin_rule": "true", "entry_rule": "true", "identity_rule": "true"}


SHORT_TYPES = {
    "CHARACTER VARYING": "VARCHAR",
    "TIME WITHOUT TIME ZONE": "TIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
}
SERVER = os.environ.get("TTORM_TEST_POSTGRES", "postgresql://127.0.0.1/test")
EMPTY = """DO $$
DECLARE
    found text;
BEGIN
    FOR found IN
        SELECT relname FROM pg_class
        WHERE relkind = 'r' AND relnamespace = '{schema}'::regnamespace ORDER BY oid DESC
    LOOP
        IF found ~ '^(ts|ix)_' THEN
            EXECUTE format('DROP TABLE {schema}.%I', found);
        ELSIF found <> 'meta' THEN
            EXECUTE format('DELETE FROM {schema}.%I', found);
        END IF;
    END LOOP;
    DELETE FROM {schema}.meta WHERE name <> 'version';
END $$"""


def pytest_addoption(parser):
    parser.addoption(
        "--store",
        choices=["memory", "postgresql"],
        default="memory",
        help="where the emulator of most tests in tests/emulator keeps its data",
    )


def pytest_collection_modifyitems(config, items):
    everywhere = config.getoption("--store", "memory") == "postgresql"
    for item in items:
        names = getattr(item, "fixturenames", ())
        if {"postgres_url", "other_postgres_url"} & {*names} or (
            everywhere and {"emulator", "store_url"} & {*names}
        ):
            item.add_marker("postgres")


class Schemas:
    """Schemas of a server; making one takes long, so that those done with are used again."""

    def __init__(self, connection):
        self.connection = connection
        self.made, self.free = [], []

    def new(self):
        """Name a schema that does not exist."""
        self.made.append(f"ttorm_test_{os.getpid()}_{len(self.made)}")
        return self.made[-1]

    def take(self):
        return self.free.pop() if self.free else self.new()

    def url(self, schema):
        # Without the wait for the disk, which only a crash of the server makes necessary.
        return f"{SERVER}?options=-csynchronous_commit%3Doff&schema={schema}"

    def give_back(self, schema):
        self.connection.execute(EMPTY.format(schema=schema))
        self.free.append(schema)

    def drop(self):
        for schema in self.made:
            self.connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture(scope="session")
def postgres():
    """A connection to the PostgreSQL server, for what tests do beside the emulator."""
    try:
        import psycopg

        connection = psycopg.connect(SERVER, autocommit=True, connect_timeout=5)
    except (ImportError, psycopg.OperationalError) as error:
        if os.environ.get("TTORM_REQUIRE_SERVICES"):
            pytest.fail(f"a PostgreSQL server is required: {error}")
        pytest.skip(f"there is no PostgreSQL server: {error}")
    with connection:
        yield connection


@pytest.fixture(scope="session")
def schemas(postgres):
    schemas = Schemas(postgres)
    yield schemas
    schemas.drop()


@pytest.fixture
def postgres_url(schemas):
    """URL of a store on PostgreSQL that has nothing in it."""
    yield from _new_store(schemas)


@pytest.fixture
def other_postgres_url(schemas):
    """URL of a second one."""
    yield from _new_store(schemas)


def _new_store(schemas):
    schema = schemas.take()
    yield schemas.url(schema)
    schemas.give_back(schema)


@pytest.fixture
def store_url(request, tmp_path):
    """URL of a new store that several emulators can open."""
    if request.config.getoption("--store", "memory") == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(autouse=True)
def described(monkeypatch):
    """Each answer that any test gets, and each request that succeeds, is as described."""
    handle = Emulator.handle

    def checked(self, request, *args, **options):
        answer = handle(self, request, *args, **options)
        check(request, answer, lenient=self.policy.lenient_bodies)
        return answer

    monkeypatch.setattr(Emulator, "handle", checked)


@pytest.fixture
def clock():
    clock = Clock()
    clock.freeze(1_718_000_000.5)
    return clock


@pytest.fixture
def policy():
    """The emulator's choices; classes of tests put their own in its place."""
    return Policy()


@pytest.fixture
def emulator(request, clock, policy):
    in_memory = request.config.getoption("--store", "memory") == "memory"
    if in_memory or request.node.get_closest_marker("sqlite"):
        url = "memory:"
    else:
        url = request.getfixturevalue("postgres_url")
    with Emulator(url, clock=clock, policy=policy) as emulator:
        yield emulator


@pytest.fixture
def files(emulator):
    """The files that the emulator keeps: ``files() -> set of names``."""

    def files():
        if emulator.store.near:
            return {path.name for path in emulator.blobs.folder.iterdir()}
        with emulator.store.transaction(write=False) as tx:
            return {row["content"] or row["file"] for row in tx.rows("SELECT * FROM files")}

    return files


@pytest.fixture
def columns(emulator):
    """The columns of an SQL table: ``columns("ts_1_weather") -> {name: type}``."""

    def columns(table):
        with emulator.store.transaction(write=False) as tx:
            if emulator.store.near:
                found = tx.rows(f"PRAGMA table_info({table})")
            else:
                found = tx.rows(
                    "SELECT column_name AS name, UPPER(data_type) AS type "
                    "FROM information_schema.columns "
                    "WHERE table_schema = current_schema() AND table_name = ? "
                    "ORDER BY ordinal_position",
                    table,
                )
        return {row["name"]: SHORT_TYPES.get(row["type"], row["type"]) for row in found}

    return columns


@pytest.fixture
def user(emulator):
    """The first user of the first account, who may do everything there."""
    return emulator.first_user()


@pytest.fixture
def account(emulator, user):
    """The first account."""
    return emulator.accounts()[0]


@pytest.fixture
def send(emulator):
    """Send raw requests: ``send("GET", "/twins", user=...) -> HttpResponse``."""

    def send(method, path, body=b"", user=None, headers=None):
        url = path if path.startswith("http") else BASE + path
        return emulator.handle(HttpRequest(method, url, headers or {}, body), user)

    return send


@pytest.fixture
def api(send, user):
    """Call operations: ``api("get_twin", uuid, user=..., body=..., ...) -> (status, dict)``."""
    first = user

    def api(name, *args, body=None, user=first, dictionary=None, **query):
        headers = {} if dictionary is None else {"x-trustedtwin": dictionary_header(dictionary)}
        request = api_request(name, args, query, body).bind(BASE, headers)
        answer = send(request.method, request.url, request.body, user, request.headers)
        body = json.loads(answer.body)
        if answer.status >= 400:
            # Every error looks like this, whatever it is about.
            assert set(body) == {"subcode", "trace", "description"}
            assert type(body["subcode"]) is int
            assert body["subcode"] // 1_000 == answer.status
            assert body["trace"]
        return answer.status, body

    return api


@pytest.fixture
def new_user(api):
    """Make users of the first account: ``new_user(rules={...}, description={...}) -> uuid``."""

    def new_user(rules=None, description=None, statement=None):
        role = {} if statement is None else {"statement": statement}
        status, role = api("create_user_role", body={"rules": rules, **role})
        assert status == 201, role
        body = {"role": role["uuid"], "description": description}
        status, made = api("create_user", body=body)
        assert status == 201, made
        return made["uuid"]

    return new_user


@pytest.fixture
def stranger(emulator, user, api):
    """A user of a second account whose role lets see whatever others show."""
    stranger = make_account(emulator).user
    role = api("get_user", stranger, user=stranger)[1]["role"]
    status, answer = api("update_user_role", role, body={"rules": OPEN_RULES}, user=stranger)
    assert status == 201, answer
    return stranger


@pytest.fixture
def stranger_account(emulator, stranger):
    """The second account."""
    return emulator.accounts()[1]


@pytest.fixture
def new_twin(api):
    """Make Twins: ``new_twin(description=..., user=...) -> uuid``."""

    def new_twin(description=None, **options):
        status, twin = api("create_twin", body={"description": description}, **options)
        assert status == 201, twin
        return twin["creation_certificate"]["uuid"]

    return new_twin


@pytest.fixture
def twin(new_twin):
    """A Twin of the first account."""
    return new_twin()


@pytest.fixture
def add(api):
    """Add Entries: ``add(twin, battery={"value": 1}) -> the Entries as they were answered``."""

    def add(twin, user=None, **entries):
        caller = {} if user is None else {"user": user}
        status, ledger = api("add_twin_ledger_entry", twin, body={"entries": entries}, **caller)
        assert status == 201, ledger
        return ledger["entries"]

    return add


@pytest.fixture
def entries(api):
    """Read Entries: ``entries(twin) -> {name: Entry}``."""

    def entries(twin, *ledger, **options):
        status, found = api("get_twin_ledger_entry", twin, *ledger, **options)
        assert status == 200, found
        return found["entries"]

    return entries


@pytest.fixture
def statements(emulator, monkeypatch):
    """The statements that requests run, as a list that grows."""
    ran = []
    transaction = emulator.store.transaction

    class Recorded:
        def __init__(self, tx):
            self.tx = tx

        def row(self, sql, *parameters):
            ran.append(sql)
            return self.tx.row(sql, *parameters)

        def rows(self, sql, *parameters):
            ran.append(sql)
            return self.tx.rows(sql, *parameters)

        def run(self, sql, *parameters):
            ran.append(sql)
            return self.tx.run(sql, *parameters)

    @contextmanager
    def recorded(*, write):
        with transaction(write=write) as tx:
            yield Recorded(tx)

    monkeypatch.setattr(emulator.store, "transaction", recorded)
    return ran


@pytest.fixture
def upload(api, send):
    """Put a file into a new upload: ``upload(b"...") -> handler``."""

    def upload(content, **options):
        status, place = api("create_upload_url", **options)
        assert status == 201, place
        assert send("PUT", place["url"], content).status == 200
        return place["handler"]

    return upload


@pytest.fixture
def new_doc(api, upload):
    """Attach a file: ``new_doc(twin, "a.txt", b"...") -> the Doc as it was answered``."""

    def new_doc(twin, name, content, user=None, **fields):
        caller = {} if user is None else {"user": user}
        docs = {name: {"handler": upload(content, **caller), **fields}}
        status, answer = api("attach_twin_doc", twin, body={"docs": docs}, **caller)
        assert status == 201, answer
        return answer["docs"][name]

    return new_doc


@pytest.fixture(scope="session")
def running_receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(running_receiver):
    """A subscriber's server."""
    running_receiver.reset()
    return running_receiver


@pytest.fixture
def subscribe(api, receiver):
    """Subscribe: ``subscribe("topic", expires=60) -> the answer``."""

    def subscribe(topic, user=None, **fields):
        caller = {} if user is None else {"user": user}
        body = {"callback_url": receiver.url, "topic": topic, **fields}
        status, answer = api("webhook_subscribe", body=body, **caller)
        assert status == 201, answer
        return answer

    return subscribe


@pytest.fixture
def subscribed(emulator, receiver, subscribe, send):
    """Subscribe and confirm: ``subscribed("topic") -> the confirmed subscription``."""

    def subscribed(topic, **fields):
        made = subscribe(topic, **fields)
        before = len(receiver.bodies)
        emulator.deliver()
        (message,) = receiver.messages[before:]
        del receiver.bodies[before:]
        answer = send("GET", message["confirmation_url"])
        assert answer.status == 200, answer
        secret = {"server_secret": made["server_secret"]} if "server_secret" in made else {}
        return {**json.loads(answer.body)["subscription"], **secret}

    return subscribed


@pytest.fixture
def update(api):
    """Change Entries: ``update(twin, battery={"value": 2}) -> the answered Entries``."""

    def update(twin, **entries):
        status, ledger = api("update_twin_ledger_entry", twin, body={"entries": entries})
        assert status == 200, ledger
        return ledger["entries"]

    return update


@pytest.fixture
def update_value(api):
    """Change values: ``update_value(twin, battery=2) -> the answered Entries``."""

    def update_value(twin, **values):
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        status, ledger = api("update_twin_ledger_entry_value", twin, body=body)
        assert status == 200, ledger
        return ledger["entries"]

    return update_value


@pytest.fixture
def new_batch(api, upload):
    """Begin a batch: ``new_batch("get_twin", line, ...) -> the batch as it was answered``."""

    def new_batch(operation, *lines, content=None, user=None, **fields):
        caller = {} if user is None else {"user": user}
        handler = upload(
            content or "".join(f"{json.dumps(line)}\n" for line in lines).encode(), **caller
        )
        body = {"operation": operation, "handler": handler, **fields}
        status, batch = api("create_batch", body=body, **caller)
        assert status == 201, batch
        return batch

    return new_batch


@pytest.fixture
def get_batch(api):
    """Read a batch: ``get_batch(batch, download=True) -> the batch``."""

    def get_batch(batch, **options):
        status, answer = api("get_batch", batch["batch"], **options)
        assert status == 200, answer
        return answer

    return get_batch


@pytest.fixture
def results(get_batch, send):
    """Download the results of a batch: ``results(batch) -> [{"line", "status", ...}, ...]``."""

    def results(batch, **options):
        answer = send("GET", get_batch(batch, download=True, **options)["download"]["url"])
        assert answer.status == 200, answer
        content = b"".join(answer.stream)
        assert answer.headers["content-length"] == str(len(content))
        return [json.loads(line) for line in content.splitlines()]

    return results
