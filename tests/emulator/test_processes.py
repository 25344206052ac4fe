"""Four processes that serve one store at once: nothing is lost, doubled, half done or out of order.

Each client talks to the workers over several connections of its own, which the system deals out
to them.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from ttorm.emulator import Emulator

WORKERS = 4
CLIENTS = 8


class Client:
    """Calls operations over one connection, on the calling thread."""

    def __init__(self, url, secret):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.headers = {"Authorization": secret}

    def __call__(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, self.headers)
        answer = self.connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status < 500, content
        return answer.status, content


@contextmanager
def served(url):
    command = [sys.executable, "-m", "ttorm", "serve", "--port", "0", "--store", url]
    with subprocess.Popen(
        [*command, "--workers", str(WORKERS)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            made = json.loads(process.stdout.readline())
            yield process.stdout.readline(), made["accounts"][0]["secret"]
        finally:
            process.terminate()


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def url(request, tmp_path_factory):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"
    schemas = request.getfixturevalue("schemas")
    return schemas.url(schemas.new())


@pytest.fixture(scope="module")
def server(url):
    with served(url) as server:
        yield server


@pytest.fixture
def new_client(server):
    made = []

    def new_client():
        line, secret = server
        made.append(Client(line.split()[-1], secret))
        return made[-1]

    yield new_client
    for client in made:
        client.connection.close()


@pytest.fixture
def twin(new_client):
    return new_client()("POST", "/twins", {})[1]["creation_certificate"]["uuid"]


def at_once(new_client, work):
    """Let all clients do the same at once, each with its number."""
    barrier, wrong = threading.Barrier(CLIENTS), []

    def run(number):
        client = new_client()
        try:
            barrier.wait(60)
            work(client, number)
        except Exception as error:  # noqa: BLE001 - the test's thread tells of it
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


@pytest.fixture(params=[15, pytest.param(100, marks=pytest.mark.full)])
def times(request):
    """How often each client does its work."""
    return request.param


@pytest.mark.timeout(600)
class TestFourWorkers:
    def test_no_increment_is_lost(self, new_client, twin, times):
        ledger = f"/twins/{twin}/ledgers/personal"
        entries = {"n": {"value": 0, "history": "INF"}}
        assert new_client()("POST", ledger, {"entries": entries})[0] == 201
        lost = []

        def increment(client, _):
            for _ in range(times):
                while True:
                    entry = client("GET", ledger)[1]["entries"]["n"]
                    seen = f"value_changed_ts == {entry['value_changed_ts']!r}"
                    body = {
                        "entries": {"n": {"value": entry["value"] + 1}},
                        "conditions": {"n": seen},
                    }
                    status, answer = client("PATCH", f"{ledger}/value", body)
                    assert status == 200, answer
                    if "error" not in answer["entries"]["n"]:
                        break
                    lost.append(answer)

        at_once(new_client, increment)
        assert new_client()("GET", ledger)[1]["entries"]["n"]["value"] == CLIENTS * times
        assert lost, "nobody was ever too late: the clients did not write at once"

    def test_no_identity_is_there_twice(self, new_client, twin, times):
        made = []

        def add(client, _):
            for number in range(times):
                body = {"identities": {f"SN#{number}": {}}}
                made.append(client("POST", f"/twins/{twin}/identities", body))

        at_once(new_client, add)
        ok = [answer for answer in made if "error" not in json.dumps(answer[1])]
        assert len(ok) == times
        found = new_client()("GET", f"/twins/{twin}/identities")[1]["identities"]
        assert sorted(found) == sorted(f"SN#{number}" for number in range(times))

    def test_a_request_is_done_whole_or_not_at_all(self, new_client, twin, times):
        """All Entries of a Ledger are written together, and read together."""
        ledger = f"/twins/{twin}/ledgers/personal"
        names = [f"e{number}" for number in range(20)]
        entries = {name: {"value": "0 0"} for name in names}
        assert new_client()("POST", ledger, {"entries": entries})[0] == 201

        def write(client, number):
            for step in range(times):
                value = f"{number} {step}"
                body = {"entries": {name: {"value": value} for name in names}}
                status, answer = client("PATCH", f"{ledger}/value", body)
                assert status == 200
                assert {entry["value"] for entry in answer["entries"].values()} == {value}
                seen = client("GET", f"{ledger}/value")[1]["entries"]
                assert len({entry["value"] for entry in seen.values()}) == 1

        at_once(new_client, write)

    def test_scans_find_everything_in_the_order_of_creation(self, new_client, times):
        """Who pages through the Twins while others are created misses none that came before."""
        mine = [[] for _ in range(CLIENTS)]

        def create(client, number):
            for _ in range(times):
                twin = client("POST", "/twins", {})[1]["creation_certificate"]["uuid"]
                mine[number].append(twin)
                found, cursor = [], ""
                while cursor is not None:
                    more = f"&cursor={cursor}" if cursor else ""
                    page = client("GET", f"/twins?count=1000{more}")[1]
                    found += page["twins"]
                    cursor = page["cursor"]
                assert [uuid for uuid in found if uuid in mine[number]] == mine[number]

        # A whole scan after each creation: fewer of them are enough.
        times = min(times, 60)
        at_once(new_client, create)

    def test_values_keep_the_order_of_their_history(self, new_client, url, twin, times):
        ledger = f"/twins/{twin}/ledgers/personal"
        entries = {"n": {"value": 0, "history": "INF"}}
        assert new_client()("POST", ledger, {"entries": entries})[0] == 201

        def write(client, number):
            for step in range(times):
                body = {"entries": {"n": {"value": [number, step]}}}
                assert client("PATCH", f"{ledger}/value", body)[0] == 200

        at_once(new_client, write)
        with Emulator(url) as emulator, emulator.store.transaction(write=False) as tx:
            rows = tx.rows(
                "SELECT changed_ts, h.value FROM history h JOIN entries ON entry = seq "
                "WHERE twin = ? ORDER BY changed_ts",
                twin,
            )
        assert len({row["changed_ts"] for row in rows}) == len(rows)
        for number in range(CLIENTS):
            values = [json.loads(row["value"]) for row in rows[1:]]
            steps = [step for client, step in values if client == number]
            assert steps == sorted(steps)


@pytest.mark.postgres
def test_a_password_is_not_shown(schemas):
    url = schemas.url(schemas.new()).replace("postgresql://", "postgresql://root:sesame@", 1)
    with served(url) as (line, secret):
        assert " on http://" in line
        assert "sesame" not in line
        client = Client(line.split()[-1], secret)
        assert client("GET", "/whoami")[0] == 200
        client.connection.close()
