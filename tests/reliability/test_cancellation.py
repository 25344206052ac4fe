"""A thousand requests cancelled at random moments leave a pool of four as good as new.

Over TLS, so that some of them are cancelled in the middle of a handshake.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

import ttorm
from ttorm.api.http import Limits
from ttorm.api.retry import NO_RETRIES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CANCELLED, NORMAL, CONNECTIONS = 1_000, 100, 4
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers every request after a moment, over TLS, on a thread of its own."""

    def __init__(self):
        authority = trustme.CA()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._tls)
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        self.open = self.most = self.answered = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "localhost", 0, ssl=self._tls)
        self.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _talk(self, reader, writer):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await asyncio.sleep(0.005)
                    writer.write(ANSWER)
                    await writer.drain()
                    self.answered += 1
        finally:
            self.open -= 1
            writer.close()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


def sockets():
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("there is no /proc to count sockets by")
    count = 0
    for name in folder.iterdir():
        with suppress(OSError):
            count += str(name.readlink()).startswith("socket:")
    return count


def test_a_storm_of_cancelled_requests():
    chance = random.Random(8)
    with Server() as server:
        limits = Limits(connections=CONNECTIONS, pool=30, connect=30, read=30)
        connection = ttorm.connect(
            server.url,
            secret="made-up",
            limits=limits,
            tls=server.trust,
            cache=None,
            retry=NO_RETRIES,
            default=False,
        )

        async def given_up(delay):
            task = asyncio.ensure_future(connection.acall("get_account"))
            await asyncio.sleep(delay)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return True
            return False

        async def main():
            before = sockets()
            cancelled = 0
            for _ in range(CANCELLED // 50):
                delays = [chance.uniform(0, 0.06) for _ in range(50)]
                cancelled += sum(await asyncio.gather(*map(given_up, delays)))
            answers = await asyncio.gather(
                *(connection.acall("get_account") for _ in range(NORMAL))
            )
            tasks = len(asyncio.all_tasks())
            await connection.aclose()
            deadline = time.monotonic() + 10
            while sockets() > before and time.monotonic() < deadline:  # noqa: ASYNC110 # no event
                await asyncio.sleep(0.05)  # the server's ends close, too
            return cancelled, answers, tasks, sockets() - before

        cancelled, answers, tasks, left = asyncio.run(main())
        print(
            f"\n{cancelled} of {CANCELLED} cancelled, {len(answers)} answered; {server.answered} "
            f"answers sent, at most {server.most} connections, {left} left open"
        )
        assert answers == [{}] * NORMAL
        assert cancelled > CANCELLED // 4
        assert tasks == 1
        assert left == 0


def test_an_unknown_authority_is_not_trusted():
    with Server() as server:
        connection = ttorm.connect(
            server.url, secret="made-up", cache=None, retry=NO_RETRIES, default=False
        )
        with pytest.raises(ttorm.TransportError, match="certificate") as refused:
            connection.call("get_account")
        assert not refused.value.sent
        assert server.answered == 0
        connection.close()


def test_unchecked_certificates_are_warned_of():
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    with pytest.warns(UserWarning, match="certificates or their names are not checked"):
        ttorm.connect("https://localhost:1", secret="made-up", tls=careless, default=False)
