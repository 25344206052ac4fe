"""The store: transactions, threads, processes, and what survives a kill."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from ttorm.api.errors import ConfigurationError, StateError
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator
from ttorm.emulator.store import open_store, schema, sqlite

BASE = "http://emulator.localhost"
COUNT = "SELECT COUNT(*) AS count FROM numbers"
ADD = "INSERT INTO numbers (number) VALUES (?)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture(params=["memory", "file", "full"])
def store(request, path):
    urls = {"memory": "memory:", "file": f"sqlite:///{path}",
            "full": f"sqlite:///{path}?durability=full"}  # fmt: skip
    store = open_store(urls[request.param])
    with store.transaction(write=True) as tx:
        tx.run("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    yield store
    store.close()


def count(store):
    with store.transaction(write=False) as tx:
        return tx.row(COUNT)["count"]


def test_stores_in_memory_are_copies_of_tables_made_once(monkeypatch):
    with closing(open_store("memory:")) as store:
        monkeypatch.setattr(sqlite, "prepare", None)
        with closing(open_store("memory:")) as other:
            with store.transaction(write=True) as tx:
                tx.run("INSERT INTO meta (name, value) VALUES ('mine', '1')")
            with other.transaction(write=True) as tx:
                assert [*tx.row("SELECT name, value FROM meta")] == ["version", str(schema.VERSION)]


def create_twin(emulator, user):
    answer = emulator.handle(HttpRequest("POST", f"{BASE}/twins"), user)
    assert answer.status == 201, answer
    return json.loads(answer.body)["creation_certificate"]["uuid"]


class TestTransactions:
    def test_rows(self, store):
        with store.transaction(write=True) as tx:
            assert [tx.run(ADD, number) for number in (1, 2, 3)] == [1, 1, 1]
            assert tx.run("UPDATE numbers SET number = number + 10 WHERE number > ?", 1) == 2
            assert [row["number"] for row in tx.rows("SELECT * FROM numbers")] == [1, 12, 13]
            assert tx.row("SELECT * FROM numbers WHERE number = ?", 99) is None

    def test_an_exception_takes_everything_back(self, store):
        def fail(error):
            with store.transaction(write=True) as tx:
                tx.run(ADD, 1)
                raise error

        for error in (ZeroDivisionError, KeyboardInterrupt):
            with pytest.raises(error):
                fail(error)
            assert count(store) == 0

    def test_a_hundred_threads_at_once(self, store):
        barrier, wrong = threading.Barrier(100), []

        def run(number):
            barrier.wait()
            for step in range(5):
                with store.transaction(write=True) as tx:
                    highest = tx.row("SELECT COALESCE(MAX(number), 0) AS n FROM numbers")["n"]
                    tx.run(ADD, highest + 1)
                with store.transaction(write=False) as tx:
                    if tx.row(COUNT)["count"] < step:
                        wrong.append(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, count(store)) == ([], 500)

    def test_closing_twice(self, store):
        store.close()
        store.close()
        with pytest.raises(StateError, match="closed"), store.transaction(write=False):
            pass

    def test_closing_while_in_use(self, store):
        with store.transaction(write=False) as tx:
            closer = threading.Thread(target=store.close)
            closer.start()
            assert tx.row(COUNT)["count"] == 0
        closer.join(10)
        assert not closer.is_alive()
        with pytest.raises(StateError), store.transaction(write=True):
            pass


def test_a_reader_does_not_wait_for_a_writer(path):
    store = open_store(f"sqlite:///{path}")
    with store.transaction(write=True) as tx:
        tx.run("INSERT INTO meta (name, value) VALUES ('a', 'b')")
        with store.transaction(write=False) as reader:
            assert reader.row("SELECT * FROM meta WHERE name = 'a'") is None
    with store.transaction(write=False) as reader:
        assert reader.row("SELECT * FROM meta WHERE name = 'a'")["value"] == "b"
    store.close()


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{path}"])
def test_nothing_is_left_open(url, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for close in (True, False):
            emulator = Emulator(url.format(path=path))
            create_twin(emulator, emulator.first_user())
            thread = threading.Thread(target=create_twin, args=(emulator, emulator.first_user()))
            thread.start()
            thread.join()
            if close:
                emulator.close()
            del emulator, thread
            gc.collect()
    if sys.platform == "linux":
        opened = {fd.resolve() for fd in Path("/proc/self/fd").iterdir()}
        assert path.resolve() not in opened


@pytest.mark.parametrize(
    "url",
    ["", "memory", "sqlite:", "sqlite:///", "sqlite://host/x.db", "https://x", "mysql://h/x",
     "sqlite:///x.db?mode=ro"],
)  # fmt: skip
def test_urls_that_name_no_store(url):
    with pytest.raises(ConfigurationError):
        open_store(url)


def test_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Emulator("sqlite:///relative.db") as relative:
        monkeypatch.chdir("/")
        twin = create_twin(relative, relative.first_user())
        assert relative.address == (tmp_path / "relative.db").as_uri()
    with Emulator(f"sqlite:///{tmp_path}/relative.db") as absolute:
        request = HttpRequest("GET", f"{BASE}/twins/{twin}")
        assert absolute.handle(request, absolute.first_user()).status == 200
        assert absolute.address == relative.address
    with Emulator("memory:") as one, Emulator("sqlite://") as other:
        assert one.address != other.address


class TestFilesThatCannotBeUsed:
    def test_no_database(self, path):
        path.write_text("This is no database, but a text that somebody wants to keep. " * 20)
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="not a database"):
            Emulator(f"sqlite:///{path}")
        assert path.read_bytes() == before

    def test_another_programs_database(self, path):
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE songs (name)")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="ttorm made"):
            Emulator(f"sqlite:///{path}")
        assert path.read_bytes() == before

    def test_no_folder(self, path):
        with pytest.raises(ConfigurationError, match="folder"):
            Emulator(f"sqlite:///{path}/nothing/x.db")

    @pytest.mark.parametrize("version", ["0", "99"])
    def test_other_version(self, path, version):
        store = open_store(f"sqlite:///{path}")
        with store.transaction(write=True) as tx:
            tx.run("UPDATE meta SET value = ? WHERE name = 'version'", version)
        store.close()
        with pytest.raises(ConfigurationError, match=f"version {version}.*update ttorm"):
            Emulator(f"sqlite:///{path}")


def test_an_older_store_is_brought_up_to_date(path, monkeypatch):
    monkeypatch.setattr(schema, "VERSION", 1)
    open_store(f"sqlite:///{path}").close()
    steps = (
        ("CREATE TABLE second (a TEXT)",),
        ("CREATE TABLE third (a TEXT)", "DROP TABLE second"),
    )
    monkeypatch.setattr(schema, "_STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", 3)
    for _ in range(2):
        store = open_store(f"sqlite:///{path}")
        with store.transaction(write=False) as tx:
            assert tx.row("SELECT value FROM meta WHERE name = 'version'")["value"] == "3"
            names = {row["name"] for row in tx.rows("SELECT name FROM sqlite_master")}
        store.close()
    assert "third" in names
    assert "second" not in names


def shape(path):
    """The columns of each table, whatever their order."""
    db = sqlite3.connect(path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in tables
    }
    indexes = {
        name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
    }
    db.close()
    return columns, indexes


def test_a_store_of_version_1(path, tmp_path):
    db = sqlite3.connect(path)
    db.executescript((Path(__file__).parent / "version_1.sql").read_text())
    db.close()
    with Emulator(f"sqlite:///{path}") as emulator, Emulator(f"sqlite:///{tmp_path}/new.db"):
        assert shape(path) == shape(tmp_path / "new.db")
        user = emulator.first_user()

        def get(path):
            answer = emulator.handle(HttpRequest("GET", BASE + path), user)
            assert answer.status == 200, answer
            return json.loads(answer.body)

        [twin] = get("/twins")["twins"]
        assert get(f"/twins/{twin}/ledgers/personal")["entries"]["celsius"]["value"] == 20.5


def test_secrets_and_tokens_outlive_a_restart(path):
    with Emulator(f"sqlite:///{path}") as emulator:
        user = emulator.first_user()
        made = emulator.handle(HttpRequest("POST", f"{BASE}/token"), user)
        token = json.loads(made.body)["token"]
    with Emulator(f"sqlite:///{path}") as emulator:
        request = HttpRequest("GET", f"{BASE}/whoami", {"authorization": token})
        assert json.loads(emulator.handle(request).body)["user"] == user


WRITER = """
import json, sys
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator

url, count = sys.argv[1], int(sys.argv[2])
emulator = Emulator(url)
user = emulator.first_user()
for number in range(count):
    answer = emulator.handle(HttpRequest("POST", "http://h/twins"), user)
    assert answer.status == 201, answer
    print(json.loads(answer.body)["creation_certificate"]["uuid"], flush=True)
emulator.close()
"""


def writer(path, count):
    command = [sys.executable, "-c", WRITER, f"sqlite:///{path}", str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def twins(path):
    with Emulator(f"sqlite:///{path}") as emulator, emulator.store.transaction(write=False) as tx:
        assert tx.row("PRAGMA integrity_check")[0] == "ok"
        return {row["uuid"] for row in tx.rows("SELECT uuid FROM twins")}


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_new_file_is_for_its_owner_only(path):
    with Emulator(f"sqlite:///{path}") as emulator:
        emulator.first_user()
        files = [path, *path.parent.glob("store.db-*")]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert len(files) == 3


def test_processes_share_a_new_file(path):
    writers = [writer(path, 100) for _ in range(4)]
    acknowledged = [line for process in writers for line in process.communicate()[0].split()]
    assert [process.returncode for process in writers] == [0] * 4
    assert len(acknowledged) == 400
    assert twins(path) == set(acknowledged)
    with Emulator(f"sqlite:///{path}") as emulator:
        assert len(emulator.accounts()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
@pytest.mark.parametrize("life", [0.0, 0.03, 0.1])
def test_acknowledged_writes_survive_a_kill(path, life):
    process = writer(path, 100_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline()]
    killer = threading.Timer(life, process.send_signal, [signal.SIGKILL])
    killer.start()
    acknowledged += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    killer.join()
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    kept = twins(path)
    assert whole <= kept
    assert len(kept) <= len(whole) + 2


def in_child(emulator, user, results):
    try:
        results.put(create_twin(emulator, user))
        emulator.close()
    except BaseException as error:
        results.put(repr(error))
        raise


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_for_itself(path):
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    with Emulator(f"sqlite:///{path}") as emulator:
        user = emulator.first_user()
        mine = {create_twin(emulator, user)}
        busy = threading.Event()
        done = threading.Event()

        def hold():
            with emulator.store.transaction(write=False) as tx:
                tx.row("SELECT * FROM meta")
                busy.set()
                # Forks wait for it: nobody else would ever end in the child what it has begun.
                done.wait(0.5)

        holder = threading.Thread(target=hold)
        holder.start()
        busy.wait()
        children = [fork.Process(target=in_child, args=(emulator, user, results)) for _ in range(3)]
        for child in children:
            child.start()
        mine.add(create_twin(emulator, user))
        theirs = {results.get() for _ in children}
        for child in children:
            child.join(30)
        done.set()
        holder.join()
        mine.add(create_twin(emulator, user))
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert twins(path) == mine | theirs
    assert len(mine | theirs) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("verb", ["open", "load", "dump"])
def test_forks_wait_for_databases_that_are_opened(verb, path, monkeypatch):
    # SQLite locks then what nobody would ever unlock in the child.
    with Emulator("memory:") as kept, Emulator(f"sqlite:///{path}") as file:
        verbs = {
            "open": lambda: Emulator("memory:").close(),
            "load": lambda: kept.store.load(kept.store.dump(), lambda tx: None),
            "dump": file.store.dump,
        }
        connect, opening, opened = sqlite._connect, threading.Event(), threading.Event()

        def slowly(target):
            opening.set()
            time.sleep(0.2)
            connection = connect(target)
            opened.set()
            return connection

        monkeypatch.setattr(sqlite, "_connect", slowly)
        opener = threading.Thread(target=verbs[verb])
        opener.start()
        opening.wait()
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=lambda: os._exit(0 if opened.is_set() else 3))
        child.start()
        child.join()
        opener.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{path}"])
def test_a_hundred_threads_of_requests(url, path):
    with Emulator(url.format(path=path)) as emulator:
        user = emulator.first_user()
        twin = create_twin(emulator, user)
        ledger = f"{BASE}/twins/{twin}/ledgers/personal"
        body = b'{"entries": {"n": {"value": 0, "history": "INF"}}}'
        assert emulator.handle(HttpRequest("POST", ledger, {}, body), user).status == 201
        barrier, statuses = threading.Barrier(100), []

        def run(number):
            barrier.wait()
            for step in range(3):
                value = b'{"entries": {"n": {"value": %d}}}' % (number * 10 + step)
                answers = [
                    emulator.handle(HttpRequest("PATCH", f"{ledger}/value", {}, value), user),
                    emulator.handle(HttpRequest("GET", ledger), user),
                ]
                statuses.extend(answer.status for answer in answers)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 600
        with emulator.store.transaction(write=False) as tx:
            times = [row["changed_ts"] for row in tx.rows("SELECT changed_ts FROM history")]
        assert len(times) == len(set(times)) == 301
