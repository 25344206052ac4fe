"""Mixed work for a long time: memory, sockets, threads and tasks do not grow.

Threads and tasks read, scan, save, count, upload, give up and fail against a server in a process of
its own. The last two thirds of the time count; the first is for what is made once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity, signals

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2_400),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc"),
]

TWINS, THREADS, TASKS = 30, 3, 6
SERVER = """
from ttorm.cli.serve import run

run(host="127.0.0.1", port=0, store="memory:", accounts=1, credentials=None, secret_for=None)
"""


class Machine(Twin):
    """What is worked with."""

    name: Field[str] = description()
    speed: Field[float] = entry(default=0.0, history="1D")
    parts: Field[list[dict[str, int]]] = entry(default_factory=list)
    serial: Field[str] = identity("SN", key=True)

    class Meta:
        kind = "machine"


class Look(NamedTuple):
    """What the process holds."""

    kilobytes: int
    sockets: int
    threads: int
    tasks: int


def look(tasks):
    # Without pathlib, which interns each part of each path: that made the interpreter's table of
    # strings grow by looking.
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123
        [resident] = [line.split()[1] for line in status if line.startswith(b"VmRSS")]
    sockets = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            sockets += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")  # noqa: PTH115
    return Look(int(resident), sockets, threading.active_count(), tasks)


async def work(do, chance, world):
    """One piece of work, of one kind or another."""
    serial = f"M{chance.randrange(TWINS)}"
    match chance.randrange(9):
        case 0:
            machine, _ = await do(Machine, "find_or_create", serial=serial, name=serial)
            machine.speed = chance.random()
            machine.parts = [{"n": n} for n in range(chance.randrange(5))]
            await do(machine, "save")
        case 1:
            await do(Machine.scan(Machine.speed > 0.5).prefetch("ledger"), "all")
        case 2:
            machine = await do(Machine, "find", serial=serial)
            await do(machine, "load", "ledger")
            machine.parts.append({"n": 1})
            del machine.parts[:-5]
            await do(machine, "save", check=chance.random() < 0.5)
        case 3:
            machine = await do(Machine, "find", serial=serial)
            await do(machine.ledger["speed"], "update", lambda speed: speed + 0.001)
        case 4:
            machine = await do(Machine, "find", serial=serial)
            await do(machine, "load", "docs")
            # Few names: a task that was cancelled may have left one behind.
            name = f"note{chance.randrange(3)}.txt"
            if name in machine.docs:
                await do(machine.docs[name], "delete")
            note = await do(machine.docs, "upload", name, b"x" * 20_000, wait=False)
            with suppress(ttorm.NotFoundError):
                await do(note, "download")
            await do(note, "delete")
        case 5:
            machine = await do(Machine, "find", serial=serial)
            await do(machine.ledger["speed"].history(), "first")
        case 6:
            await do(Twin, "get", "00000000-0000-4000-8000-000000000000")
        case 7:
            async with world(ttorm.session()) as session:
                machine = await do(Machine, "find", serial=serial)
                machine.name = f"{serial} {chance.random()}"
                session.rollback()
        case 8:
            await do(ttorm.User.list(), "all")


class Worlds:
    """Sync and async forms of calls and blocks."""

    @staticmethod
    async def sync(owner, verb, *arguments, **options):
        return getattr(owner, verb)(*arguments, **options)

    @staticmethod
    async def loop(owner, verb, *arguments, **options):
        return await getattr(owner, f"a{verb}")(*arguments, **options)


class SyncBlock:
    def __init__(self, block):
        self.block = block

    async def __aenter__(self):
        return self.block.__enter__()

    async def __aexit__(self, *error):
        self.block.__exit__(*error)


def thread(connection, number, until, done):
    chance = random.Random(number)
    with ttorm.session(connection):
        pass
    while time.monotonic() < until:
        with ttorm.session(connection), suppress(ttorm.TtormError):
            piece = work(Worlds.sync, chance, SyncBlock)
            with suppress(StopIteration):
                piece.send(None)
        done[number] += 1


async def task(connection, number, until, done):
    chance = random.Random(number)
    while time.monotonic() < until:
        async with ttorm.session(connection):
            piece = asyncio.ensure_future(work(Worlds.loop, chance, lambda block: block))
            with suppress(TimeoutError, ttorm.TtormError):
                # Now and then somebody loses patience.
                await asyncio.wait_for(piece, 0.01 if chance.random() < 0.1 else 30)
        done[number] += 1


def soak(address, secret, seconds):
    """Work for some seconds, and look now and then.

    Returns:
        What was seen, and how much was done.
    """
    connection = ttorm.connect(
        address, secret=secret, cache=ttorm.Cache(ttl=0.5, size=100), default=False
    )
    until, looks, done = time.monotonic() + seconds, [], [0] * (THREADS + TASKS)

    async def tasks():
        several = [
            asyncio.ensure_future(task(connection, number, until, done))
            for number in range(THREADS, THREADS + TASKS)
        ]
        while time.monotonic() < until:
            await asyncio.sleep(min(1.0, seconds / 60))
            looks.append(look(len(several)))
        await asyncio.gather(*several)
        left = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        looks.append(look(TASKS + len(left)))
        await connection.aclose()

    threads = [
        threading.Thread(target=thread, args=(connection, number, until, done))
        for number in range(THREADS)
    ]
    for one in threads:
        one.start()
    asyncio.run(tasks())
    for one in threads:
        one.join()
    connection.close()
    return looks, sum(done)


@pytest.fixture
def server():
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        secret = json.loads(process.stdout.readline())["accounts"][0]["secret"]
        try:
            yield process.stdout.readline().split()[-1], secret
        finally:
            process.terminate()


@pytest.mark.filterwarnings("ignore::ttorm.UnsavedChangesWarning")
@pytest.mark.parametrize(
    ("minutes", "growth"), [(0.4, 0.10), pytest.param(30, 0.02, marks=pytest.mark.full)]
)
def test_nothing_grows(server, minutes, growth):
    before = look(0)
    with signals.changed.connected_to(lambda *_, **__: None):
        looks, done = soak(*server, minutes * 60)
    third = len(looks) // 3
    counted = looks[third:]
    part = max(1, len(counted) // 10)
    first = median(one.kilobytes for one in counted[:part])
    last = median(one.kilobytes for one in counted[-part:])
    busiest = [max(values) for values in zip(*counted[:-part], strict=True)]
    print(
        f"\n{minutes} minutes, {done} pieces of work: {first / 1024:.1f} MiB, then "
        f"{last / 1024:.1f} MiB ({last / first - 1:+.2%}); at most {busiest[1]} sockets, "
        f"{busiest[2]} threads"
    )
    assert last < first * (1 + growth)
    for one in counted[-part:]:
        assert one.sockets <= busiest[1]
        assert one.threads <= busiest[2]
    assert looks[-1].tasks == TASKS
    after = look(0)
    assert after.threads <= before.threads + 1
    assert after.sockets <= before.sockets
