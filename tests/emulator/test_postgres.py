"""The store on PostgreSQL: URLs, servers that go away, forks, processes, and what is different."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import threading
from io import BytesIO

import pytest

import ttorm
from ttorm.api.errors import ConfigurationError, StateError
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator
from ttorm.emulator.blobs import PIECE
from ttorm.emulator.store import open_store, schema

BASE = "http://emulator.localhost"
COUNT = "SELECT COUNT(*) AS count FROM meta"


@pytest.fixture
def store(postgres_url):
    store = open_store(postgres_url)
    yield store
    store.close()


@pytest.fixture
def schema_name(postgres_url):
    return postgres_url.rpartition("=")[2]


def create_twin(emulator, user):
    answer = emulator.handle(HttpRequest("POST", f"{BASE}/twins"), user)
    assert answer.status == 201, answer
    return json.loads(answer.body)["creation_certificate"]["uuid"]


def twins(url):
    with Emulator(url) as emulator, emulator.store.transaction(write=False) as tx:
        return {row["uuid"] for row in tx.rows("SELECT uuid FROM twins")}


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        ["postgresql://h:p/x", "postgresql://h/x?schema=", "postgresql://h/x?schema=A",
         "postgresql://h/x?schema=pg_x", "postgresql://h/x?schema=a;b", "postgresql://h/x?colour=1",
         "postgresql://u:sesame@h/x?sesame", "postgres://[h/x"],
    )  # fmt: skip
    def test_wrong_ones_are_refused_without_their_passwords(self, url):
        with pytest.raises(ConfigurationError) as caught:
            open_store(url)
        assert "sesame" not in str(caught.value)

    def test_no_server(self):
        with pytest.raises(ConfigurationError, match="cannot be used as a store") as caught:
            open_store("postgresql://u:sesame@127.0.0.1:1/x?connect_timeout=2")
        assert "sesame" not in str(caught.value)
        assert "127.0.0.1:1/x" in str(caught.value)
        assert "refused" in str(caught.value)

    def test_no_database(self, schemas):
        location, _, query = schemas.url(schemas.new()).partition("?")
        with pytest.raises(ConfigurationError, match="does not exist"):
            open_store(f"{location}_that_is_missing?{query}")

    def test_a_schema_with_other_tables(self, postgres, schemas):
        name = schemas.new()
        postgres.execute(f"CREATE SCHEMA {name}")
        postgres.execute(f"CREATE TABLE {name}.songs (name TEXT)")
        server = schemas.url(name)
        with pytest.raises(ConfigurationError, match="holds other tables"):
            open_store(server)
        (tables,) = postgres.execute(
            "SELECT COUNT(*) FROM pg_tables WHERE schemaname = %s", [name]
        ).fetchone()
        assert tables == 1

    def test_a_newer_version(self, schemas):
        url = schemas.url(schemas.new())
        store = open_store(url)
        with store.transaction(write=True) as tx:
            tx.run("UPDATE meta SET value = '999' WHERE name = 'version'")
        store.close()
        with pytest.raises(ConfigurationError, match="update ttorm"):
            open_store(url)

    def test_an_older_version_is_brought_up_to_date(self, schemas, monkeypatch):
        url = schemas.url(schemas.new())
        open_store(url).close()
        monkeypatch.setattr(schema, "_STEPS", (*schema._STEPS, ("CREATE TABLE x (n INTEGER)",)))
        monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
        store = open_store(url)
        with store.transaction(write=True) as tx:
            assert tx.rows("SELECT * FROM x") == []
            assert tx.row("SELECT value FROM meta")["value"] == str(schema.VERSION)
        store.close()

    def test_the_address_says_neither_user_nor_password(self, postgres_url, schema_name):
        location, _, query = postgres_url.removeprefix("postgresql://").partition("?")
        url = f"postgresql://root:sesame@{location}?{query}"
        with Emulator(url) as emulator, Emulator(postgres_url) as other:
            assert emulator.address == other.address
            assert emulator.address.endswith(f"?schema={schema_name}")
            assert "sesame" not in emulator.address + repr(vars(emulator.store))


class TestTransactions:
    def test_marks_and_quotes(self, store):
        with store.transaction(write=False) as tx:
            row = tx.row("SELECT '?' AS \"a?\", $$?$$ AS b, $x$ $$?$x$ AS c, E'\\'?' AS d, "
                         "/* ? */ 10 % ? AS e -- ?", 4)  # fmt: skip
        assert row == {"a?": "?", "b": "?", "c": " $$?", "d": "'?", "e": 2}

    def test_an_exception_takes_everything_back(self, store):
        def fail(error):
            with store.transaction(write=True) as tx:
                tx.run("INSERT INTO meta (name, value) VALUES ('a', 'b')")
                raise error

        for error in (ZeroDivisionError, KeyboardInterrupt):
            with pytest.raises(error):
                fail(error)
            with store.transaction(write=False) as tx:
                assert tx.row(COUNT)["count"] == 1

    def test_a_failed_statement_is_never_taken_for_committed(self, store):
        def swallow():
            with store.transaction(write=True) as tx:
                tx.run("INSERT INTO meta (name, value) VALUES ('a', 'b')")
                with pytest.raises(Exception, match="does not exist"):
                    tx.run("DELETE FROM no_such_table")

        with pytest.raises(Exception, match="had failed"):
            swallow()
        with store.transaction(write=False) as tx:
            assert tx.row(COUNT)["count"] == 1

    def test_a_reader_sees_one_moment_and_waits_for_nobody(self, store):
        with store.transaction(write=False) as reader:
            assert reader.row(COUNT)["count"] == 1
            with store.transaction(write=True) as tx:
                tx.run("INSERT INTO meta (name, value) VALUES ('a', 'b')")
                assert reader.row(COUNT)["count"] == 1
            assert reader.row(COUNT)["count"] == 1
        with store.transaction(write=False) as reader:
            assert reader.row(COUNT)["count"] == 2

    def test_readers_cannot_write(self, store):
        with (
            pytest.raises(Exception, match="read-only"),
            store.transaction(write=False) as tx,
        ):
            tx.run("DELETE FROM meta")

    def test_a_hundred_threads_at_once(self, store):
        with store.transaction(write=True) as tx:
            tx.run("INSERT INTO meta (name, value) VALUES ('n', '0')")
        barrier = threading.Barrier(100)

        def run():
            barrier.wait()
            for _ in range(3):
                with store.transaction(write=True) as tx:
                    number = int(tx.row("SELECT value FROM meta WHERE name = 'n'")["value"])
                    tx.run("UPDATE meta SET value = ? WHERE name = 'n'", str(number + 1))
                with store.transaction(write=False) as tx:
                    tx.row(COUNT)

        threads = [threading.Thread(target=run) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.transaction(write=False) as tx:
            assert tx.row("SELECT value FROM meta WHERE name = 'n'")["value"] == "300"

    def test_closing_twice(self, store):
        store.close()
        store.close()
        with pytest.raises(StateError, match="closed"), store.transaction(write=False):
            pass

    def test_texts_keep_no_null_character(self, store):
        with store.transaction(write=True) as tx:
            tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", "n", "a\0b")
            assert tx.row("SELECT value FROM meta WHERE name = ?", "n")["value"] == "a\ufffdb"
            assert tx.row("SELECT value FROM meta WHERE name = ?", "\0") is None

    def test_texts_sort_by_code_points(self, store):
        with store.transaction(write=True) as tx:
            for name in ("b", "B", "a", "_", "é"):
                tx.run("INSERT INTO meta (name, value) VALUES (?, '')", name)
            found = [row["name"] for row in tx.rows("SELECT name FROM meta ORDER BY name")]
        assert found == ["B", "_", "a", "b", "version", "é"]


def cut(postgres, store):
    """End all connections of a store, as a restart of the server does."""
    with store.transaction(write=False) as tx:
        mine = tx.row("SELECT pg_backend_pid() AS pid")["pid"]
    postgres.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])


class TestTheServerGoesAway:
    def test_between_requests(self, postgres, store):
        cut(postgres, store)
        with store.transaction(write=True) as tx:
            assert tx.row(COUNT)["count"] == 1

    def test_in_the_middle_of_a_request(self, postgres, postgres_url, monkeypatch, caplog):
        with Emulator(postgres_url) as emulator:
            user = emulator.first_user()
            before = create_twin(emulator, user)
            uuid, key = emulator.ids.uuid, int(re.search(rb"-?\d+", emulator.store._write)[0])

            def cutting():
                # Twins get their UUID inside the transaction, which holds the store's own lock.
                postgres.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND granted "
                    "AND (classid::bigint << 32 | objid::bigint) = %s",
                    [key],
                )
                return uuid()

            monkeypatch.setattr(emulator.ids, "uuid", cutting)
            answer = emulator.handle(HttpRequest("POST", f"{BASE}/twins"), user)
            monkeypatch.undo()
            assert (answer.status, json.loads(answer.body)["subcode"]) == (500, 500000)
            assert b"terminat" not in answer.body
            after = create_twin(emulator, user)
        assert twins(postgres_url) == {before, after}

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has this")
    def test_an_answer_that_never_comes_is_given_up(self, store):
        """Where the network has vanished, that is; keepalives are for when nobody waits."""
        connection, _ = store._connections.take()
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            given_up = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        store._connections.give_back(connection, usable=True)
        assert given_up == 60_000

    def test_a_writer_that_hangs(self, postgres, store):
        """The server ends it, so that it holds up nobody for ever."""
        with store.transaction(write=False) as tx:
            row = tx.row(
                "SELECT current_setting('idle_in_transaction_session_timeout') AS idle, "
                "current_setting('lock_timeout') AS waiting"
            )
        assert row == {"idle": "1min", "waiting": "30s"}


class TestSql:
    def test_nothing_can_be_changed(self, postgres_url):
        with Emulator(postgres_url) as emulator:
            user = emulator.first_user()
            for query in (
                "DELETE FROM users",
                "CREATE TABLE x (y TEXT)",
                "SELECT 1; DROP TABLE users",
                "COMMIT; DELETE FROM users",
                "SET TRANSACTION READ WRITE; DELETE FROM users",
            ):
                with pytest.raises(Exception, match=r"read-only|multiple commands"):
                    emulator.sql(query)
            assert emulator.sql("COMMIT") == []
            assert emulator.sql("SET search_path TO public") == []
            assert emulator.sql("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]
            create_twin(emulator, user)

    def test_values_are_those_of_other_stores(self, postgres_url):
        query = """SELECT TRUE AS b, 1.5::numeric AS n, 2::numeric AS i, DATE '2024-06-10' AS d,
            TIME '06:13:20.5' AS t, TIMESTAMP '2024-06-10 06:13:20.5' AS at, NULL AS no"""
        with Emulator(postgres_url) as emulator:
            assert emulator.sql(query) == [
                {"b": 1, "n": 1.5, "i": 2, "d": "2024-06-10", "t": "06:13:20.500",
                 "at": "2024-06-10 06:13:20.500", "no": None}
            ]  # fmt: skip


class TestContents:
    @pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
    def test_they_come_back_whole(self, postgres_url, size):
        content = os.urandom(size)
        with Emulator(postgres_url) as emulator, Emulator(postgres_url) as elsewhere:
            received = emulator.blobs.receive(BytesIO(content))
            assert received.size == size
            with emulator.store.transaction(write=True) as tx:
                emulator.blobs.keep(tx, received)
            emulator.blobs.forget(received)
            assert b"".join(elsewhere.blobs.read(received.content)) == content
            with elsewhere.blobs.open(received.content) as file:
                file.seek(size // 2)
                assert file.read() == content[size // 2 :]
                assert file.tell() == size
                file.seek(-min(size, 5), 2)
                assert file.read() == content[-5:]

    def test_nothing_is_there_before_it_is_kept(self, postgres_url):
        with Emulator(postgres_url) as emulator:
            received = emulator.blobs.receive(BytesIO(b"text"))
            with pytest.raises(FileNotFoundError):
                emulator.blobs.open(received.content)
            emulator.blobs.forget(received)
            with emulator.store.transaction(write=False) as tx:
                assert not tx.rows("SELECT * FROM files")
                assert not tx.rows("SELECT * FROM pieces")

    def test_what_a_crash_left_is_removed_later(self, postgres_url):
        with Emulator(postgres_url) as emulator:
            emulator.blobs.receive(BytesIO(b"text"))
            with emulator.store.transaction(write=True) as tx:
                tx.run("UPDATE files SET received_ts = received_ts - 3601")
            emulator.blobs.receive(BytesIO(b"other"))
            with emulator.store.transaction(write=False) as tx:
                assert len(tx.rows("SELECT * FROM files")) == 1
                assert len(tx.rows("SELECT * FROM pieces")) == 1

    def test_a_broken_source_leaves_nothing(self, postgres_url):
        def pieces():
            yield b"x" * PIECE
            raise OSError("gone")

        with Emulator(postgres_url) as emulator:
            with pytest.raises(OSError, match="gone"):
                emulator.blobs.write(pieces())
            with emulator.store.transaction(write=False) as tx:
                assert not tx.rows("SELECT * FROM pieces")


def test_usage_of_one_process_is_seen_by_others(postgres_url):
    with Emulator(postgres_url) as one, Emulator(postgres_url) as other:
        user = one.first_user()
        for _ in range(3):
            assert one.handle(HttpRequest("GET", f"{BASE}/whoami"), user).status == 200
        one.background.wake()
        pause = threading.Event()
        for _ in range(500):
            answer = other.handle(HttpRequest("GET", f"{BASE}/usage/{user}"), user)
            if b"who_am_i" in answer.body:
                break
            pause.wait(0.01)
        assert b"who_am_i" in answer.body


def test_a_connection_of_ttorm(postgres_url):
    location, _, query = postgres_url.removeprefix("postgresql://").partition("?")
    connection = ttorm.connect(f"postgres://root:sesame@{location}?{query}", default=False)
    assert "sesame" not in repr(connection) + connection.url
    twin = connection.call("create_twin")["creation_certificate"]["uuid"]

    async def read():
        return await connection.acall("get_twin", twin)

    assert asyncio.run(read())["status"] == "alive"
    connection.close()


def test_the_loop_does_not_wait_for_the_server(postgres_url):
    with Emulator(postgres_url) as emulator:
        connection = ttorm.connect(postgres_url, default=False)

        async def both():
            with emulator.store.transaction(write=True):
                writing = asyncio.create_task(connection.acall("create_twin"))
                await connection.acall("who_am_i")
                assert not writing.done()
            await writing

        asyncio.run(asyncio.wait_for(both(), 20))
        connection.close()


WRITER = """
import json, sys
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator

emulator = Emulator(sys.argv[1])
user = emulator.first_user()
for number in range(50):
    answer = emulator.handle(HttpRequest("POST", "http://h/twins"), user)
    assert answer.status == 201, answer
    print(json.loads(answer.body)["creation_certificate"]["uuid"], flush=True)
emulator.close()
"""


def test_processes_share_a_new_store(schemas):
    url = schemas.url(schemas.new())
    command = [sys.executable, "-c", WRITER, url]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    acknowledged = [line for process in writers for line in process.communicate()[0].split()]
    assert [process.returncode for process in writers] == [0] * 4
    assert len(acknowledged) == 200
    assert twins(url) == set(acknowledged)
    with Emulator(url) as emulator:
        assert len(emulator.accounts()) == 1


def in_child(emulator, user, results):
    try:
        results.put(create_twin(emulator, user))
        emulator.close()
    except BaseException as error:
        results.put(repr(error))
        raise


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_for_itself(postgres_url):
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    with Emulator(postgres_url) as emulator:
        user = emulator.first_user()
        mine = {create_twin(emulator, user)}
        children = [fork.Process(target=in_child, args=(emulator, user, results)) for _ in range(3)]
        for child in children:
            child.start()
        mine.add(create_twin(emulator, user))
        theirs = {results.get() for _ in children}
        for child in children:
            child.join(30)
        mine.add(create_twin(emulator, user))
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert twins(postgres_url) == mine | theirs
    assert len(mine | theirs) == 6


def test_nothing_is_left_open(postgres, postgres_url):
    name = f"ttorm {os.getpid()}"

    def connections():
        found = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = %s"
        (count,) = postgres.execute(found, [name]).fetchone()
        return count

    emulator = Emulator(f"{postgres_url}&application_name={name.replace(' ', '%20')}")
    create_twin(emulator, emulator.first_user())
    assert connections()
    emulator.close()
    pause = threading.Event()
    for _ in range(200):
        if not connections():
            break
        pause.wait(0.01)
    assert not connections()
