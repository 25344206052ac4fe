"""How soon `ttorm serve` answers its first request, beside a bare starlette on uvicorn.

Both are started in turn, and asked for the same JSON; the time is from the start of the process
to the end of the answer. Both have the bytecode of all their modules, as after an installation.
Run it with ``python tests/benchmarks/first_answer.py``.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

ROUNDS = 11
Environment: TypeAlias = dict[str, str]
BARE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def whoami(request):
    uuid = "085c0f9f-427e-4e23-9a60-bacf6585a862"
    return JSONResponse({"account": uuid, "user": uuid, "role": uuid})

app = Starlette(routes=[Route("/whoami", whoami)])
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


class Result(NamedTuple):
    """Medians in seconds."""

    bare: float
    ttorm: float

    @property
    def ratio(self) -> float:
        """How many times as long as the bare one ttorm takes."""
        return self.ttorm / self.bare


def measure(rounds: int = ROUNDS) -> Result:
    """Start each in turn so many times."""
    times: dict[Callable[[Environment], float], list[float]] = {_bare: [], _ttorm: []}
    with TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for start in times:
            start(environment)
        for _ in range(rounds):
            for start, taken in times.items():
                taken.append(start(environment))
    return Result(median(times[_bare]), median(times[_ttorm]))


def _bare(environment: Environment) -> float:
    port = _free_port()
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", BARE, str(port)], env=environment) as process:
        return _answered(process, port, "", began)


def _ttorm(environment: Environment) -> float:
    port = _free_port()
    began = time.perf_counter()
    command = [sys.executable, "-m", "ttorm", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        made = json.loads(process.stdout.readline())
        return _answered(process, port, made["accounts"][0]["secret"], began)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answered(process: subprocess.Popen[str], port: int, secret: str, began: float) -> float:
    try:
        while True:
            try:
                _ask(port, secret)
            except ConnectionRefusedError:
                time.sleep(0.001)
            else:
                return time.perf_counter() - began
    finally:
        process.kill()


def _ask(port: int, secret: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/whoami", headers={"Authorization": secret})
        with connection.getresponse() as answer:
            found = json.loads(answer.read())
        assert found.keys() == {"account", "user", "role"}, found
    finally:
        connection.close()


if __name__ == "__main__":
    result = measure()
    sys.stdout.write(
        f"bare starlette and uvicorn {result.bare * 1_000:.0f} ms, "
        f"ttorm serve {result.ttorm * 1_000:.0f} ms: {result.ratio:.2f} times\n"
    )
