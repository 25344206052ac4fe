"""Files that are larger than the memory for them: up, attached and down again, in pieces."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ttorm.api.http import HttpRequest, Upload
from ttorm.emulator import Emulator

MIB = 1 << 20
PIECE = bytes(range(256)) * 4_096
EXTRA = 64 * MIB
"""Memory that the file may take, however large it is."""


def digest(size):
    found = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        found.update(PIECE)
    return found.hexdigest()


def peak(pid):
    """Return the most memory that a process has had since `forget_peak`, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1_024


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


SIZES = [32 * MIB, pytest.param(1_024 * MIB, marks=[pytest.mark.full, pytest.mark.timeout(600)])]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Pieces:
    """A file of so many bytes, without having them."""

    def __init__(self, size):
        self.left = size

    def read(self, size=-1):
        piece = PIECE[: min(self.left, len(PIECE) if size < 0 else size)]
        self.left -= len(piece)
        return piece

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@linux
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size // MIB} MiB")
def test_over_http(tmp_path, size):
    command = [sys.executable, "-m", "ttorm", "serve", "--port", "0"]
    command += ["--store", f"sqlite:///{tmp_path / 'x.db'}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        try:
            secret = json.loads(process.stdout.readline())["accounts"][0]["secret"]
            client = Client(urlsplit(process.stdout.readline().split()[-1]).netloc, secret)
            forget_peak(process.pid)
            before = peak(process.pid)
            url = client.attach(size)
            assert client.digest(url) == digest(size)
            assert peak(process.pid) - before < EXTRA
        finally:
            process.terminate()


class Client:
    """Talks to a server in pieces."""

    def __init__(self, address, secret):
        self.address = address
        self.headers = {"Authorization": secret}

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=300)
        connection.request(method, path, json.dumps(body) if body else None, self.headers)
        with connection.getresponse() as answer:
            assert answer.status < 300, answer.read()
            found = json.loads(answer.read())
        connection.close()
        return found

    def attach(self, size):
        twin = self.call("POST", "/twins")["creation_certificate"]["uuid"]
        place = self.call("POST", "/cache")
        connection = http.client.HTTPConnection(self.address, timeout=300)
        headers = {"Content-Length": str(size)}
        connection.request("PUT", urlsplit(place["url"]).path, Pieces(size), headers)
        with connection.getresponse() as answer:
            assert answer.status == 200
        connection.close()
        docs = {"large.bin": {"handler": place["handler"], "hash": digest(size)}}
        self.call("POST", f"/twins/{twin}/docs", {"docs": docs})
        shown = self.call("GET", f"/twins/{twin}/docs/large.bin?download=true")
        assert (shown["status"], shown["creation_certificate"]["size"]) == ("ok", size)
        return shown["download"]["url"]

    def digest(self, url):
        connection = http.client.HTTPConnection(self.address, timeout=300)
        connection.request("GET", urlsplit(url).path)
        found = hashlib.sha256()
        with connection.getresponse() as answer:
            while piece := answer.read(MIB):
                found.update(piece)
        connection.close()
        return found.hexdigest()


IN_PROCESS = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from test_large_docs import in_process
in_process(sys.argv[2], int(sys.argv[3]))
"""


def in_process(store, size):
    """Take a file through an emulator in this process, and fail when that takes much memory."""
    with Emulator(store) as emulator:
        user = emulator.first_user()

        def call(method, path, body=None):
            data = b"" if body is None else json.dumps(body).encode()
            request = HttpRequest(method, f"http://emulator.localhost{path}", {}, data)
            answer = emulator.handle(request, user)
            assert answer.status < 300, answer.body
            return json.loads(answer.body)

        twin = call("POST", "/twins")["creation_certificate"]["uuid"]
        forget_peak("self")
        before = peak("self")
        place = call("POST", "/cache")
        upload = Upload(lambda: Pieces(size), size)
        assert emulator.handle(HttpRequest("PUT", place["url"], {}, upload)).status == 200
        docs = {"large.bin": {"handler": place["handler"], "hash": digest(size)}}
        call("POST", f"/twins/{twin}/docs", {"docs": docs})
        shown = call("GET", f"/twins/{twin}/docs/large.bin?download=true")
        answer = emulator.handle(HttpRequest("GET", shown["download"]["url"]))
        found = hashlib.sha256()
        for piece in answer.stream:
            found.update(piece)
        assert found.hexdigest() == digest(size)
        assert peak("self") - before < EXTRA


@linux
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size // MIB} MiB")
def test_in_process(tmp_path, size):
    command = [sys.executable, "-c", IN_PROCESS, Path(__file__).parent]
    store = f"sqlite:///{tmp_path / 'x.db'}"
    done = subprocess.run([*map(str, command), store, str(size)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


HOSTILE = [
    "../../evil",
    "..",
    "/etc/passwd",
    "a/../../b",
    "a\\..\\b",
    "a\0b",
    "C:evil.txt",
    "a//b",
    ".hidden",
    "con.txt:stream",
    "a/b/c/d/e/f/g",
    "%2e%2e%2fevil",
    "e\u0301vil",
    "\u202egpj.exe",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_do_not_reach_the_file_system(tmp_path, clock, name):
    folder = tmp_path / "store"
    folder.mkdir()
    with Emulator(f"sqlite:///{folder / 'x.db'}", clock=clock) as emulator:
        user = emulator.first_user()

        def call(method, path, body=None):
            data = b"" if body is None else json.dumps(body).encode()
            request = HttpRequest(method, f"http://emulator.localhost{path}", {}, data)
            return emulator.handle(request, user)

        twin = json.loads(call("POST", "/twins").body)["creation_certificate"]["uuid"]
        place = json.loads(call("POST", "/cache").body)
        call("PUT", place["url"].removeprefix("http://emulator.localhost"), {"evil": 1})
        docs = {name: {"handler": place["handler"]}}
        assert call("POST", f"/twins/{twin}/docs", {"docs": docs}).status in {201, 400}
        files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    stored = hashlib.sha256(b'{"evil": 1}').hexdigest()
    assert {one for one in files if not one.startswith("x.db")} == {stored}


@pytest.mark.parametrize("handler", ["..%2F..%2Fevil", "../../evil", "%00", "x" * 5_000])
def test_files_are_put_where_an_upload_was_made_and_nowhere_else(tmp_path, clock, handler):
    with Emulator(f"sqlite:///{tmp_path / 'x.db'}", clock=clock) as emulator:
        url = f"http://emulator.localhost/_upload/{handler}"
        assert emulator.handle(HttpRequest("PUT", url, {}, b"evil")).status in {403, 404}
    assert {path.name.partition(".db")[0] for path in tmp_path.iterdir()} == {"x"}
