"""The emulator's own operations over HTTP, under ``/_emulator/``: what its object can do.

They are for whoever runs the server, so they need a token of their own in a header that no web page
can send, and answer only to the names of this machine.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from ttorm.api import codec
from ttorm.api.errors import ConfigurationError, StateError
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.emulator.answers import Fault, json_answer
from ttorm.emulator.blobs import PIECE
from ttorm.emulator.body import check_fields, check_mapping
from ttorm.emulator.bootstrap import make_account
from ttorm.emulator.routing import read_query, split_url

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["HEADER", "PLACE", "Admin"]

PLACE = "/_emulator/"
"""Where these operations are."""
HEADER = "x-emulator-admin"
"""The header that has the token."""

_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
_FAULT = (
    "operation", "status", "subcode", "retry_after", "delay", "drop", "every", "probability",
    "seed", "times",
)  # fmt: skip
_TEXTS = ("operation", "drop")

_Answer: TypeAlias = Mapping[str, Any] | HttpResponse
_Work: TypeAlias = Callable[["Emulator", HttpRequest, Mapping[str, list[str]]], _Answer]


class Admin:
    """Does for whoever has the token what the emulator's object does.

    Args:
        world: The emulator.
        token: The token.
    """

    def __init__(self, world: Emulator, token: str) -> None:
        self._world = world
        self._token = token.encode()

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request under ``/_emulator/``."""
        try:
            return self._answer(request)
        except StateError:
            raise
        except ConfigurationError as error:
            return self._world.failure(request, Fault(400589, str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of the emulator is an answer too
            return self._world.failure(request, error)

    def expects_file(self, request: HttpRequest) -> bool:
        """Tell whether a request comes from somebody who may send one of any size."""
        given = request.headers.get(HEADER, "")
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        origin, path, query = split_url(request.url)
        host = origin.partition("://")[2]
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in _NAMES:
            raise Fault(403535, "This answers only to localhost, 127.0.0.1 and [::1].")
        if not self.expects_file(request):
            raise Fault(401000, f"This needs the server's token in the header {HEADER}.")
        place, _, number = path.removeprefix(PLACE).partition("/")
        if number and (request.method, place) == ("DELETE", "faults"):
            return json_answer(200, _remove_fault(self._world, number))
        work = None if number else _OPERATIONS.get((request.method, place))
        if work is None:
            known = ", ".join(f"{method} {PLACE}{name}" for method, name in _OPERATIONS)
            raise Fault(404653, f"There is no {request.method} {path[:200]}; there are {known}.")
        answer = work(self._world, request, read_query(query))
        return answer if isinstance(answer, HttpResponse) else json_answer(200, answer)


def _body(request: HttpRequest, *allowed: str) -> dict[str, Any]:
    with _file(request) as file:
        content = file.read()
    try:
        fields = check_mapping(codec.decode_finite(content) if content else {}, "The body")
    except ValueError as error:
        raise Fault(400415, f"The body is no JSON: {error}") from None
    if allowed:
        check_fields(fields, allowed)
    return fields


def _file(request: HttpRequest) -> IO[bytes]:
    return request.body.open() if isinstance(request.body, Upload) else BytesIO(request.body)


def _numbers(fields: Mapping[str, Any], *names: str) -> dict[str, float | None]:
    for name in names:
        value = fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise Fault(400589, f"{name!r} is no number: write seconds.")
    return {name: fields.get(name) for name in names}


def _reset(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    world.reset()
    return {"accounts": world.accounts()}


def _load(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return world.load(_body(request))._asdict()


def _snapshot(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    snapshot = world.snapshot()
    file = TemporaryFile()  # noqa: SIM115 - it is read while the answer is sent
    snapshot.write(file)
    size = file.tell()
    file.seek(0)
    headers = {"content-type": "application/zip", "content-length": str(size)}
    return HttpResponse(200, headers, stream=_pieces(file))


def _pieces(file: IO[bytes]) -> Any:
    with file:
        yield from iter(partial(file.read, PIECE), b"")


def _restore(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    from ttorm.emulator.snapshots import Snapshot

    with _file(request) as file:
        world.restore(Snapshot.load(file))
    return {"accounts": world.accounts()}


def _clock(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return {"now": world.clock.now(), "frozen": world.clock.is_frozen}


def _set_clock(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    fields = _body(request, "freeze", "advance", "unfreeze")
    numbers = _numbers(fields, "freeze", "advance")
    if fields.get("unfreeze"):
        world.clock.unfreeze()
    if "freeze" in fields:
        world.clock.freeze(numbers["freeze"])
    world.clock.advance(numbers["advance"] or 0)
    # What has become due is done now, not when the background would have looked again.
    world.background.wake()
    return _clock(world, request, query)


def _faults(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return {"faults": [fault.describe() for fault in world.faults]}


def _add_fault(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    given = _body(request, *_FAULT)
    _numbers(given, *(name for name in _FAULT if name not in _TEXTS))
    fields = {name: value for name, value in given.items() if value is not None}
    if not all(isinstance(fields.get(name, ""), str) for name in _TEXTS):
        raise Fault(400589, "'operation' and 'drop' are texts.")
    return world.faults.add(**fields).describe()


def _clear_faults(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    found = _faults(world, request, query)
    world.faults.clear()
    return found


def _remove_fault(world: Emulator, number: str) -> Mapping[str, Any]:
    for fault in world.faults:
        if str(fault.number) == number:
            fault.remove()
            return fault.describe()
    raise Fault(404653, f"There is no fault {number[:20]!r}.")


def _requests(world: Emulator, request: HttpRequest, query: Mapping[str, list[str]]) -> _Answer:
    asked = query.get("operation")
    return {
        "requests": [
            recorded.describe()
            for recorded in world.requests
            if asked is None or recorded.operation in asked
        ]
    }


def _clear_requests(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    world.requests.clear()
    return {}


def _accounts(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return {"accounts": world.accounts()}


def _make_account(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return make_account(world)._asdict()


def _batches(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    steps = _numbers(_body(request, "steps"), "steps")["steps"]
    return {"unfinished": world.run_batches(None if steps is None else int(steps))}


def _deliver(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return {"waiting": world.deliver()}


def _propagate(world: Emulator, request: HttpRequest, query: Any) -> _Answer:
    return {"followed": world.propagate()}


_OPERATIONS: Mapping[tuple[str, str], _Work] = {
    ("POST", "reset"): _reset,
    ("PUT", "data"): _load,
    ("GET", "snapshot"): _snapshot,
    ("PUT", "snapshot"): _restore,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _set_clock,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _clear_requests,
    ("GET", "accounts"): _accounts,
    ("POST", "accounts"): _make_account,
    ("POST", "batches"): _batches,
    ("POST", "deliveries"): _deliver,
    ("POST", "references"): _propagate,
}
