"""Uploads: places for files, and what becomes of the files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from io import BytesIO

import pytest

from ttorm.api.http import HttpRequest, Upload
from ttorm.emulator.blobs import LOST
from ttorm.emulator.core import Emulator


@pytest.fixture
def place(api):
    """Make a place: ``place() -> {"handler", "url", "validity_ts"}``."""

    def place(**options):
        status, place = api("create_upload_url", **options)
        assert status == 201, place
        return place

    return place


def test_a_place_for_an_hour(place, clock):
    made = place()
    assert set(made) == {"handler", "url", "validity_ts"}
    assert made["validity_ts"] == clock.now() + 3_600
    assert made["url"] == f"http://emulator.localhost/_upload/{made['handler']}"
    assert place()["handler"] != made["handler"]


def test_files_are_put_without_a_credential(send, place, clock):
    url = place()["url"]
    answer = send("PUT", url, b"text")
    assert (answer.status, answer.body) == (200, b"")
    clock.advance(3_599.999)
    assert send("PUT", url, b"text").status == 200
    clock.advance(0.001)
    answer = send("PUT", url, b"text")
    assert answer.status == 403
    assert b"403535" in answer.body


def test_an_unknown_place(send):
    assert send("PUT", "/_upload/nothing", b"text").status == 403


def test_the_last_file_counts(api, twin, send, place, files):
    made = place()
    for content in (b"first", b"the second one"):
        assert send("PUT", made["url"], content).status == 200
    api("attach_twin_doc", twin, body={"docs": {"a.txt": {"handler": made["handler"]}}})
    assert api("get_twin_doc", twin, "a.txt")[1]["creation_certificate"]["size"] == 14
    assert len(files()) == 1


def test_a_file_put_again_after_it_was_attached(api, twin, send, place, files):
    made = place()
    for content in (b"first", b"second"):
        send("PUT", made["url"], content)
        docs = {f"{content.decode()}.txt": {"handler": made["handler"]}}
        api("attach_twin_doc", twin, body={"docs": docs})
    for name in ("first", "second"):
        _, doc = api("get_twin_doc", twin, f"{name}.txt", download=True)
        assert b"".join(send("GET", doc["download"]["url"]).stream) == name.encode()


def test_a_large_file_is_never_whole_in_memory(api, emulator, twin, place, send):
    class Zeros(BytesIO):
        """Three hundred megabytes that exist only while they are read."""

        left, most = 300 * 1024 * 1024, 0

        def read(self, size=-1):
            assert size > 0
            Zeros.most = max(Zeros.most, size)
            taken = min(size, self.left)
            self.left -= taken
            return bytes(taken)

    made = place()
    request = HttpRequest("PUT", made["url"], {}, Upload(Zeros, Zeros.left))
    assert emulator.handle(request).status == 200
    assert Zeros.most <= 1024 * 1024
    api("attach_twin_doc", twin, body={"docs": {"a.bin": {"handler": made["handler"]}}})
    _, doc = api("get_twin_doc", twin, "a.bin", download=True)
    assert doc["creation_certificate"]["size"] == Zeros.left
    pieces = [len(piece) for piece in send("GET", doc["download"]["url"]).stream]
    assert sum(pieces) == Zeros.left
    assert max(pieces) <= 1024 * 1024


def test_a_broken_upload_leaves_nothing(emulator, place, files, caplog):
    class Broken(BytesIO):
        def read(self, size=-1):
            raise OSError("gone")

    request = HttpRequest("PUT", place()["url"], {}, Upload(Broken, 10))
    assert emulator.handle(request).status == 500
    assert files() == set()


class TestInvalidation:
    def test_it_takes_no_more_files(self, api, send, place):
        made = place()
        handler = made["handler"]
        assert api("invalidate_upload_url", handler) == (200, {"handler": handler})
        assert send("PUT", made["url"], b"text").status == 403
        assert api("invalidate_upload_url", handler)[1]["subcode"] == 404653

    def test_unknown_foreign_and_expired(self, api, place, stranger, clock):
        handler = place()["handler"]
        for answer in (
            api("invalidate_upload_url", "nothing"),
            api("invalidate_upload_url", handler, user=stranger),
        ):
            assert answer[1]["subcode"] == 404653
        clock.advance(3_600)
        assert api("invalidate_upload_url", handler)[1]["subcode"] == 404653

    def test_docs_that_were_made_stay(self, api, twin, upload, send, files):
        handler = upload(b"text")
        api("attach_twin_doc", twin, body={"docs": {"a.txt": {"handler": handler}}})
        api("invalidate_upload_url", handler)
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        assert b"".join(send("GET", doc["download"]["url"]).stream) == b"text"

    def test_a_file_that_nothing_uses_is_removed(self, api, upload, files):
        handler = upload(b"text")
        assert len(files()) == 1
        api("invalidate_upload_url", handler)
        assert files() == set()


class TestFiles:
    def test_equal_contents_are_kept_once(self, api, twin, new_doc, files):
        new_doc(twin, "a.txt", b"same")
        new_doc(twin, "b.txt", b"same")
        assert len(files()) == 1

    def test_they_go_with_the_last_doc(self, api, twin, new_twin, new_doc, files, clock):
        other = new_twin()
        new_doc(twin, "a.txt", b"same")
        new_doc(other, "b.txt", b"same")
        # The uploads themselves end after an hour.
        clock.advance(3_600)
        api("create_upload_url")
        assert len(files()) == 1
        api("delete_twin_doc", twin, "a.txt")
        assert len(files()) == 1
        api("delete_twin_docs", other)
        assert files() == set()

    def test_they_stay_while_the_upload_lives(self, api, twin, upload, send, files):
        handler = upload(b"text")
        docs = {"a.txt": {"handler": handler}}
        api("attach_twin_doc", twin, body={"docs": docs})
        api("delete_twin_doc", twin, "a.txt")
        assert len(files()) == 1
        api("attach_twin_doc", twin, body={"docs": docs})
        _, doc = api("get_twin_doc", twin, "a.txt", download=True)
        assert b"".join(send("GET", doc["download"]["url"]).stream) == b"text"

    def test_expired_files_vanish(self, api, upload, files, clock):
        upload(b"one")
        clock.advance(3_600)
        upload(b"two")
        assert len(files()) == 1

    def test_names_never_reach_the_disk(self, twin, new_doc, files):
        new_doc(twin, "secret/name.txt", b"text")
        assert all(len(name) == 64 for name in files())

    def test_beside_the_store_and_for_good(self, tmp_path):
        path = tmp_path / "fleet.db"
        with Emulator(f"sqlite:///{path}") as emulator:
            received = emulator.blobs.receive(BytesIO(b"text"))
            with emulator.store.transaction(write=True) as tx:
                emulator.blobs.keep(tx, received)
        with Emulator(f"sqlite:///{path}") as emulator:
            assert b"".join(emulator.blobs.read(received.content)) == b"text"
        assert (tmp_path / "fleet.db.docs" / received.content).read_bytes() == b"text"

    def test_a_temporary_folder_ends_with_the_emulator(self):
        with Emulator("memory:") as emulator:
            folder = emulator.blobs.folder
            assert folder.exists()
        assert not folder.exists()

    def test_a_program_that_closes_nothing_leaves_nothing_behind_quietly(self, tmp_path):
        program = (
            "import ttorm; connection = ttorm.connect('memory:'); "
            "ttorm.Twin.create().docs.upload('a', b'x'); "
            "print(connection.emulator.blobs.folder.parent)"
        )
        command = [sys.executable, "-W", "error", "-c", program]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, str(tmp_path), "")
        assert [*tmp_path.iterdir()] == []

    def test_nothing_is_removed_for_a_change_that_did_not_happen(
        self, api, emulator, twin, new_doc, files, monkeypatch, caplog
    ):
        new_doc(twin, "a.txt", b"text")

        def fail(*_):
            raise RuntimeError("the disk is full")

        monkeypatch.setattr("ttorm.emulator.handlers.docs._doc_object", fail)
        assert api("delete_twin_doc", twin, "a.txt")[0] == 500
        monkeypatch.undo()
        assert api("get_twin_doc", twin, "a.txt")[1]["status"] == "ok"
        assert len(files()) == 1


def test_what_a_killed_process_left_is_removed_later(tmp_path):
    with Emulator(f"sqlite:///{tmp_path}/s.db") as emulator:
        folder = emulator.blobs.folder
    lost, fresh = folder / "new-lost", folder / "new-fresh"
    for file in (lost, fresh):
        file.write_bytes(b"half of it")
    os.utime(lost, (time.time() - LOST - 60,) * 2)
    with Emulator(f"sqlite:///{tmp_path}/s.db") as emulator:
        received = emulator.blobs.receive(BytesIO(b"a file"))
        assert not lost.exists()
        assert fresh.exists()
        emulator.blobs.forget(received)
    assert [file.name for file in folder.iterdir()] == ["new-fresh"]
