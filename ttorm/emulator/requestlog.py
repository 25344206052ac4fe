"""What an emulator was asked: the newest requests, for assertions and for people who wonder."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any, overload
from urllib.parse import unquote_plus

from ttorm.api import codec
from ttorm.api.codec import Json
from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.emulator.access import Principal, Who
from ttorm.emulator.answers import Fault
from ttorm.emulator.faults import Drop
from ttorm.emulator.routing import Route, name_of, read_query, route_of, shown_path, split_url
from ttorm.emulator.store import Transaction

__all__ = ["Note", "Recorded", "RequestLog"]

_MASK = "***"
_SECRET_FIELDS = frozenset(("client_secret", "handler", "pin", "secret", "server_secret", "token"))
"""Fields of bodies and query parameters that let whoever knows them do something."""
_OPEN = frozenset(("ledgers", "twins", "identities", "history"))
"""Areas whose bodies have no such fields, only names that callers choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request as the emulator saw it; secrets, tokens, PINs and handlers of files are masked.

    Attributes:
        operation: The operation; ``upload`` for a file that is put to its address, empty when
            there is none at the path.
        method: The HTTP method.
        path: The path without its query.
        status: The answer's HTTP status; None when nothing was done because of a fault.
        subcode: The API's error number; None when there was no error.
        drop: When a fault broke the connection, if one did: the caller knows no answer then.
        account: The account that called; None when nobody was signed in.
        user: The user who called.
        at: When it came, in Unix seconds of the emulator's clock.
        duration: How long the answer took, in seconds.
        size: Length of the request's body in bytes.
    """

    operation: str
    method: str
    path: str
    status: int | None
    subcode: int | None
    drop: Drop | None
    account: str | None
    user: str | None
    at: float
    duration: float
    size: int
    # Both are read when somebody asks: what a query becomes is many times as large.
    _query: str = ""
    _body: bytes = field(default=b"", repr=False)

    @property
    def query(self) -> dict[str, list[str]]:
        """The query parameters, each with all its values."""
        try:
            return read_query(self._query)
        except Fault:
            return {}

    @property
    def body(self) -> Any:
        """The body, decoded; None when there was none or it is no JSON."""
        try:
            return codec.decode(self._body) if self._body else None
        except (ValueError, RecursionError):
            return None

    @property
    def kept(self) -> int:
        """How many bytes of the body, and characters of the address, are kept."""
        return len(self._body) + len(self._query) + len(self.path)

    def describe(self) -> dict[str, Any]:
        """Return the request as a JSON object."""
        names = (name for name in self.__slots__ if not name.startswith("_"))
        told = {name: getattr(self, name) for name in names}
        return {**told, "query": self.query, "body": self.body}


class RequestLog:
    """The newest requests, the oldest of them first.

    Args:
        limit: How many are kept; None keeps all.
        size: How many bytes of bodies and addresses are kept; None keeps all.
    """

    def __init__(self, limit: int | None = 1_000, size: int | None = 8 << 20) -> None:
        self._limit = limit
        self._room = size
        self._lock = Lock()
        self._kept: deque[Recorded] = deque()
        self._size = 0
        self._recordings: tuple[RequestLog, ...] = ()

    def add(self, recorded: Recorded) -> None:
        """Keep a request, and let go of the oldest ones that there is no room for."""
        with self._lock:
            self._kept.append(recorded)
            self._size += recorded.kept
            while self._is_full():
                self._size -= self._kept.popleft().kept
            recordings = self._recordings
        for recording in recordings:
            recording.add(recorded)

    def _is_full(self) -> bool:
        too_many = self._limit is not None and len(self._kept) > self._limit
        return too_many or (self._room is not None and self._size > self._room)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def of(self, operation: str) -> list[Recorded]:
        """Return the requests for one operation."""
        return [recorded for recorded in self if recorded.operation == operation]

    @contextmanager
    def recording(self) -> Generator[RequestLog]:
        """Record the requests made within a block, however many."""
        recording = RequestLog(None, None)
        with self._lock:
            self._recordings += (recording,)
        try:
            yield recording
        finally:
            with self._lock:
                self._recordings = tuple(
                    other for other in self._recordings if other is not recording
                )

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Recorded]:
        with self._lock:
            return iter([*self._kept])

    @overload
    def __getitem__(self, place: int) -> Recorded: ...

    @overload
    def __getitem__(self, place: slice) -> list[Recorded]: ...

    def __getitem__(self, place: int | slice) -> Recorded | list[Recorded]:
        return [*self][place]

    def __repr__(self) -> str:
        return f"<RequestLog of {len(self)} requests>"


class Note:
    """What becomes known of a request while it is answered.

    Attributes:
        route: Operation and path arguments; None while or where there are none.
        principal: Who calls; None until that is known.
        answer: The answer; None while there is none.
    """

    __slots__ = ("_at", "_request", "_started", "answer", "principal", "route")

    def __init__(self, request: HttpRequest, at: float) -> None:
        self._request = request
        self._at = at
        self._started = perf_counter()
        self.route: Route | None = None
        self.principal: Principal | None = None
        self.answer: HttpResponse | None = None

    def caller(self, who: Who) -> Who:
        """Let somebody find out who calls, and remember it."""

        def remembered(tx: Transaction, now: float) -> Principal:
            self.principal = principal = who(tx, now)
            return principal

        return remembered

    def finish(self, drop: Drop | None) -> Recorded:
        """Return what is to be kept of the request and its answer."""
        request, body, principal = self._request, self._request.body, self.principal
        route = self.route = self.route or route_of(request)
        _, path, query = split_url(request.url)
        return Recorded(
            operation=route.operation.name if route else name_of(request),
            method=request.method,
            path=shown_path(path, route, _MASK),
            status=None if self.answer is None else self.answer.status,
            subcode=_subcode(self.answer),
            drop=drop,
            account=None if principal is None else principal.account,
            user=None if principal is None else principal.user,
            at=self._at,
            duration=perf_counter() - self._started,
            size=body.size if isinstance(body, Upload) else len(body),
            _query=_masked_query(query) if query else "",
            _body=b"" if isinstance(body, Upload) else self._masked(body),
        )

    def _masked(self, body: bytes) -> bytes:
        if not body or self.route is None:
            return b""
        if self.route.operation.category in _OPEN:
            return body
        try:
            return codec.encode(_without_secrets(codec.decode(body)))
        except (ValueError, RecursionError):
            return b""


def _masked_query(query: str) -> str:
    return "&".join(map(_masked_parameter, query.split("&")))


def _masked_parameter(text: str) -> str:
    name = text.partition("=")[0]
    return f"{name}={_MASK}" if unquote_plus(name) in _SECRET_FIELDS else text


def _subcode(answer: HttpResponse | None) -> int | None:
    if answer is None or answer.status < 400:
        return None
    try:
        subcode = codec.decode(answer.body).get("subcode")
    except (ValueError, AttributeError):
        return None
    return subcode if isinstance(subcode, int) else None


def _without_secrets(value: Json) -> Json:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _MASK if name in _SECRET_FIELDS and isinstance(item, str) else _without_secrets(item)
        for name, item in value.items()
    }
