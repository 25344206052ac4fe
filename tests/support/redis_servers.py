"""Redis servers for tests: the one of this machine, and ones of a test's own that it may stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from uuid import uuid4

import pytest

__all__ = ["OwnRedis", "shared_server"]

SERVER = os.environ.get("TTORM_TEST_REDIS", "redis://127.0.0.1:6379/0")


def missing(why):
    """Pass over a test, unless services have to be there."""
    if os.environ.get("TTORM_REQUIRE_SERVICES"):
        pytest.fail(f"a Redis server is required: {why}")
    pytest.skip(f"there is no Redis server: {why}")


def shared_server():
    """Give the URL of the server, a prefix that nobody else uses, and a client for a look."""
    try:
        import redis

        client = redis.Redis.from_url(SERVER, socket_connect_timeout=2)
        client.ping()
    except (ImportError, redis.RedisError) as error:
        missing(error)
    prefix = f"ttorm_test_{uuid4().hex}:"
    with client:
        yield SERVER, prefix, client
        for name in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(name)


class OwnRedis:
    """A server that keeps its data on disk and listens at a socket file, until it is stopped.

    Further options are given to it as they are.
    """

    def __init__(self, folder, *options):
        self.folder = folder
        self._options = options
        self.url = f"unix://{folder}/redis.sock"
        self._program = shutil.which("redis-server")
        self._process = None

    def start(self):
        import redis

        if self._program is None:
            missing("redis-server is not installed")
        options = {
            "--port": "0",
            "--unixsocket": f"{self.folder}/redis.sock",
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--save": "",
        }
        flat = [word for option in options.items() for word in option]
        command = [self._program, *flat, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.RedisError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("redis-server does not start")

    def stop(self):
        """Kill it: what it has written is there when it starts again."""
        self._process.kill()
        self._process.wait()

    def client(self):
        import redis

        return redis.Redis.from_url(self.url)
