"""Snapshots, restoring and resetting."""

from __future__ import annotations

import json
import stat
import threading
from hashlib import sha256
from zipfile import ZipFile

import pytest

from ttorm.api.errors import ConfigurationError, StateError
from ttorm.api.http import HttpRequest
from ttorm.emulator import Emulator, Policy, Snapshot
from ttorm.emulator.bootstrap import make_account, new_secret

BASE = "http://emulator.localhost"
TABLES = {
    "timeseries": {
        "climate": {
            "dimensions": {"names": ["room"], "types": ["uuid"]},
            "measurements": {
                "names": ["celsius", "open", "seen"],
                "types": ["real", "bool", "timestamptz"],
            },
            "defaults": {"measurement": "{entry_name}", "dimensions": {"room": "{twin}"}},
        }
    }
}
INDEXES = {
    "indexes": {
        "warm": {
            "rule": "LEDGER.celsius > 20",
            "properties": {"names": ["celsius"], "types": ["real"]},
            "templates": {"properties": {"celsius": "{LEDGER.celsius}"}},
        }
    }
}


def call(emulator, method, path, body=None, user=None, headers=None):
    content = b"" if body is None else json.dumps(body).encode()
    caller = None if headers else user or emulator.first_user()
    answer = emulator.handle(HttpRequest(method, BASE + path, headers or {}, content), caller)
    return answer.status, json.loads(answer.body)


@pytest.fixture(params=["memory", "file", pytest.param("postgresql", marks=pytest.mark.postgres)])
def other(request, tmp_path, clock):
    """A second emulator, in each kind of store."""
    if request.param == "postgresql":
        url = request.getfixturevalue("other_postgres_url")
    else:
        url = {"memory": "memory:", "file": f"sqlite:///{tmp_path}/other.db"}[request.param]
    with Emulator(url, clock=clock) as other:
        other.first_user()
        yield other


@pytest.fixture
def world(api, new_twin, add, new_doc, account):
    """A bit of everything; returns the Twin it is about."""
    assert api("create_timeseries_table", body=TABLES)[0] == 200
    assert api("create_indexes_table", body=INDEXES)[0] == 201
    twin = new_twin({"kind": "room"})
    series = {"timeseries": {"climate": {}}}
    add(
        twin,
        celsius={"value": 26.5, "history": "INF", **series},
        open={"value": True, **series},
        seen={"value": 1_718_000_000, **series},
    )
    api("create_twin_identity", twin, body={"identities": {"SN#1": {}}})
    new_doc(twin, "a.txt", b"content")
    sticker = {"red": {"recipients": [account], "validity_ts": 1_718_000_100}}
    assert api("put_sticker", twin, body={"stickers": sticker})[0] == 201
    return twin


def seen(emulator, twin):
    """What can be seen of a Twin."""
    found = {}
    for path in (
        f"/twins/{twin}",
        f"/twins/{twin}/ledgers/personal",
        f"/twins/{twin}/ledgers/personal/history",
        f"/twins/{twin}/identities",
        f"/twins/{twin}/docs/a.txt",
        f"/twins/{twin}/stickers",
    ):
        found[path] = call(emulator, "GET", path)
        assert found[path][0] == 200, found[path]
    found["climate"] = emulator.sql("SELECT * FROM ts_1_climate")
    found["warm"] = emulator.sql("SELECT * FROM ix_1_warm")
    found["content"] = download(emulator, twin)
    return found


def download(emulator, twin):
    _, doc = call(emulator, "GET", f"/twins/{twin}/docs/a.txt?download=true")
    return b"".join(emulator.handle(HttpRequest("GET", doc["download"]["url"])).stream)


def has(emulator, content):
    return emulator.blobs.has(sha256(content).hexdigest())


class TestRestoring:
    def test_everything_comes_back(self, emulator, api, world, update_value, user):
        before, snapshot = seen(emulator, world), emulator.snapshot()
        update_value(world, celsius=1.0)
        api("update_twin", world, body={"description": {"kind": "hall"}})
        api("delete_twin_doc", world, "a.txt")
        api("delete_timeseries_table", "climate")
        api("truncate_indexes_table", "warm")
        api("create_twin")
        for _ in range(2):
            emulator.restore(snapshot)
            assert seen(emulator, world) == before
            api("terminate_twin", world)
        assert emulator.first_user() == user

    def test_in_another_emulator(self, emulator, other, world):
        secret = new_secret(emulator, emulator.accounts()[0]).secret
        before = seen(emulator, world)
        other.restore(emulator.snapshot())
        assert seen(other, world) == before
        assert other.accounts() == emulator.accounts()
        assert call(other, "GET", "/whoami", headers={"authorization": secret})[0] == 200

    def test_back_from_another_store(self, emulator, other, world, new_twin):
        before = seen(emulator, world)
        other.restore(emulator.snapshot())
        emulator.reset()
        emulator.restore(other.snapshot())
        assert seen(emulator, world) == before
        # New rows get numbers of their own.
        assert call(other, "POST", "/twins")[0] == 201
        assert new_twin()

    def test_a_store_of_its_own_kind(self, other, world, emulator):
        other.restore(emulator.snapshot())
        before, snapshot = seen(other, world), other.snapshot()
        assert call(other, "DELETE", f"/twins/{world}/ledgers/personal")[0] == 200
        assert call(other, "DELETE", f"/twins/{world}/docs")[0] == 200
        other.restore(snapshot)
        assert seen(other, world) == before

    def test_tables_of_the_same_name_may_have_become_others(self, emulator, api, world, add):
        snapshot = emulator.snapshot()
        for _ in range(2):
            api("delete_timeseries_table", "climate")
            other = json.loads(json.dumps(TABLES))
            other["timeseries"]["climate"]["measurements"] = {"names": ["lux"], "types": ["int"]}
            assert api("create_timeseries_table", body=other)[0] == 200
            series = {"timeseries": {"climate": {}}}
            add(world, lux={"value": 3, **series})
            assert emulator.sql("SELECT lux FROM ts_1_climate") == [{"lux": 3}]
            emulator.restore(snapshot)
            (row,) = emulator.sql("SELECT celsius, open FROM ts_1_climate")
            assert row == {"celsius": 26.5, "open": 1}

    def test_contents_that_nothing_uses_any_more_go(self, emulator, world, new_doc, tmp_path):
        snapshot = emulator.snapshot()
        new_doc(world, "b.txt", b"another content")
        emulator.restore(snapshot)
        assert has(emulator, b"content")
        assert not has(emulator, b"another content")

    def test_the_sequence_of_a_seed_goes_on_where_it_was(self, clock):
        with Emulator(seed=7, clock=clock) as emulator:
            emulator.first_user()
            snapshot = emulator.snapshot()
            first = call(emulator, "POST", "/twins")
            emulator.restore(snapshot)
            assert call(emulator, "POST", "/twins") == first
            assert call(emulator, "POST", "/twins") != first

    def test_usage(self, emulator, api):
        api("who_am_i")
        snapshot = emulator.snapshot()
        usage = api("get_account_usage")[1]
        api("create_twin")
        emulator.restore(snapshot)
        assert api("get_account_usage")[1] == usage

    def test_batches_go_on(self, emulator, new_batch, get_batch, twin):
        with Emulator("memory:", clock=emulator.clock, policy=Policy(background=False)) as quiet:
            quiet.restore(emulator.snapshot())
            assert quiet.run_batches() == 0
        emulator.background.close()
        batch = new_batch("get_twin", {"twin": twin})
        with Emulator("memory:", clock=emulator.clock) as other:
            other.restore(emulator.snapshot())
            finished = threading.Event()
            for _ in range(500):
                status = call(other, "GET", f"/batches/{batch['batch']}")[1]["status"]
                if status == "completed":
                    finished.set()
                    break
                finished.wait(0.01)
            assert finished.is_set()

    def test_requests_meanwhile(self, other):
        """Each sees a whole state, and none fails."""
        snapshot, wrong, end = other.snapshot(), [], threading.Event()
        user = other.first_user()

        def ask():
            while not end.is_set():
                for method, path in (("POST", "/twins"), ("GET", "/twins"), ("GET", "/whoami")):
                    status = call(other, method, path, user=user)[0]
                    if status >= 400:
                        wrong.append((method, path, status))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            other.restore(snapshot)
        end.set()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_not_within_a_transaction(self):
        with Emulator("memory:") as emulator:
            snapshot = emulator.snapshot()
            with (
                emulator.store.transaction(write=True),
                pytest.raises(StateError, match="within a transaction"),
            ):
                emulator.restore(snapshot)
            assert emulator.first_user()


class TestFiles:
    def test_saved_and_loaded(self, emulator, other, world, tmp_path):
        before, path = seen(emulator, world), tmp_path / "world.ttorm"
        emulator.snapshot().save(path)
        other.restore(Snapshot.load(path))
        assert seen(other, world) == before

    def test_only_the_owner_can_read_it(self, emulator, tmp_path):
        path = tmp_path / "world.ttorm"
        emulator.snapshot().save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_older_file_is_replaced_as_a_whole(self, emulator, tmp_path, monkeypatch):
        path = tmp_path / "world.ttorm"
        path.write_bytes(b"older")
        snapshot = emulator.snapshot()
        monkeypatch.setattr(ZipFile, "writestr", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            snapshot.save(path)
        assert path.read_bytes() == b"older"
        monkeypatch.undo()
        snapshot.save(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["world.ttorm"]
        assert Snapshot.load(path)

    def test_what_is_no_snapshot(self, emulator, tmp_path):
        path = tmp_path / "world.ttorm"
        path.write_bytes(b"nonsense")
        with pytest.raises(ConfigurationError, match="no snapshot"):
            Snapshot.load(path)
        with ZipFile(path, "w") as archive:
            archive.writestr("snapshot.json", '{"format": 99}')
        with pytest.raises(ConfigurationError, match="format 99"):
            Snapshot.load(path)

    def test_what_is_no_store(self, other):
        user = other.first_user()
        with pytest.raises(ConfigurationError, match="no copy of a store"):
            other.restore(Snapshot(b"nonsense" * 512, None))
        assert other.first_user() == user

    def test_a_newer_version(self, other):
        with Emulator("memory:") as newer:
            with newer.store.transaction(write=True) as tx:
                tx.run("UPDATE meta SET value = '99' WHERE name = 'version'")
            snapshot = newer.snapshot()
        with pytest.raises(ConfigurationError, match="has version 99"):
            other.restore(snapshot)
        assert len(other.accounts()) == 1

    def test_damaged_data(self, emulator, tmp_path):
        path = tmp_path / "world.ttorm"
        emulator.snapshot().save(path)
        content = bytearray(path.read_bytes())
        at = content.index(b"data.sqlite") + len("data.sqlite")
        content[at : at + 100] = b"\xff" * 100
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="no snapshot"):
            Snapshot.load(path)

    def test_a_damaged_content(self, emulator, world, tmp_path):
        path = tmp_path / "world.ttorm"
        emulator.snapshot().save(path)
        damaged = tmp_path / "damaged.ttorm"
        with ZipFile(path) as whole, ZipFile(damaged, "w") as archive:
            for name in whole.namelist():
                content = whole.read(name)
                archive.writestr(name, b"wrong" if name.startswith("docs/") else content)
        with pytest.raises(ConfigurationError, match="damaged"):
            Snapshot.load(damaged)


class TestResetting:
    def test_everything_but_the_accounts_goes(self, other, emulator, world):
        other.restore(emulator.snapshot())
        accounts, user = other.accounts(), other.first_user()
        secret = new_secret(other, accounts[0]).secret
        other.faults.add("get_twin", status=503)
        other.reset()
        assert (other.accounts(), other.first_user()) == (accounts, user)
        assert call(other, "GET", "/twins")[1] == {"cursor": None, "twins": []}
        assert call(other, "GET", f"/twins/{world}")[0] == 404
        assert call(other, "GET", "/whoami", headers={"authorization": secret})[0] == 200
        assert (len(other.faults), len(other.requests)) == (0, 3)
        assert call(other, "POST", "/account/services/timeseries", TABLES)[0] == 200
        assert other.sql("SELECT * FROM ts_1_climate") == []
        assert other.sql("SELECT COUNT(*) AS count FROM indexed_ledgers") == [{"count": 0}]

    def test_users_and_roles_are_as_at_first(self, emulator, api, user, new_user):
        first = api("get_user", user)[1]
        role = api("get_user_role", first["role"])[1]
        stranger = new_user()
        api("update_user_role", first["role"], body={"name": "Other", "rules": {"twin_rule": "1"}})
        api("update_user", user, body={"name": "Other", "description": {"a": 1}})
        emulator.reset()
        after = {**api("get_user", user)[1], "updated_ts": first["updated_ts"]}
        assert after == first
        assert api("get_user_role", first["role"])[1] == role
        assert api("get_user", stranger)[0] == 404
        assert len(api("get_user_roles")[1]["roles"]) == 1

    def test_a_first_user_who_was_deleted_is_back(self, emulator, api, user, new_user):
        assert api("delete_user", user, user=new_user())[0] == 200
        emulator.reset()
        assert api("who_am_i")[0] == 200

    def test_contents_go(self, emulator, world):
        assert has(emulator, b"content")
        emulator.reset()
        assert not has(emulator, b"content")

    def test_several_accounts(self, emulator, user):
        partner = make_account(emulator)
        emulator.reset()
        headers = {"authorization": partner.secret}
        assert call(emulator, "GET", "/whoami", headers=headers)[1]["user"] == partner.user

    def test_users_of_an_older_store_stay(self, emulator, new_user, api, user):
        stranger = new_user()
        with emulator.store.transaction(write=True) as tx:
            tx.run("DELETE FROM meta WHERE name LIKE 'first of %'")
        emulator.reset()
        assert api("get_user", stranger)[0] == 200


def test_no_store_shows_what_it_is(emulator):
    assert repr(emulator.snapshot()).startswith("<Snapshot of ")
