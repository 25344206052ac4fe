"""From method and raw URL to an operation and its path arguments."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from ttorm.api.http import HttpRequest
from ttorm.api.operations import OPERATIONS, Operation
from ttorm.emulator.answers import Fault

__all__ = [
    "UPLOAD",
    "UPLOADS",
    "Route",
    "find_route",
    "name_of",
    "read_query",
    "route_of",
    "shown_path",
    "split_url",
    "upload_handler",
]

UPLOADS = "/_upload/"
"""Where files are put: ``PUT /_upload/<handler>``, beside the API."""
UPLOAD = "upload"
"""What that is called where operations are named."""

_CREDENTIALS = frozenset(("handler", "pin"))
"""Path arguments that let whoever knows them do something."""
_PLACES = frozenset(("cache", "download", "secrets", UPLOADS.strip("/")))
"""Where such arguments are, also in requests that are none of the API."""


class Route(NamedTuple):
    """An operation that a request asks for, its path arguments still encoded.

    Attributes:
        operation: The operation.
        segments: The path arguments in the template's order, percent-encoded.
    """

    operation: Operation
    segments: tuple[str, ...]

    def args(self) -> dict[str, str]:
        """Decode the path arguments, each by itself (400589 if one is not UTF-8)."""
        names = (parameter.name for parameter in self.operation.path_params)
        return {name: _decode(segment) for name, segment in zip(names, self.segments, strict=True)}


class _Pattern(NamedTuple):
    operation: Operation
    parts: tuple[str | None, ...]

    def match(self, segments: list[str]) -> tuple[str, ...] | None:
        if all(
            part == segment or (part is None and segment)
            for part, segment in zip(self.parts, segments, strict=True)
        ):
            pairs = zip(self.parts, segments, strict=True)
            return tuple(segment for part, segment in pairs if part is None)
        return None


def _patterns() -> dict[tuple[str, int], list[_Pattern]]:
    patterns: dict[tuple[str, int], list[_Pattern]] = {}
    for operation in OPERATIONS.values():
        parts = tuple(
            None if part.startswith("{") else part for part in operation.path.split("/")[1:]
        )
        patterns.setdefault((operation.method, len(parts)), []).append(_Pattern(operation, parts))
    for group in patterns.values():
        # Literal segments win over placeholders, the leftmost first.
        group.sort(key=lambda pattern: [part is None for part in pattern.parts])
    return patterns


_PATTERNS = _patterns()


def split_url(url: str) -> tuple[str, str, str]:
    """Split an absolute URL into origin, raw path and raw query.

    Example:
        >>> split_url("http://h:1/twins/a%2Fb?x=1")
        ('http://h:1', '/twins/a%2Fb', 'x=1')
    """
    address, _, query = url.partition("#")[0].partition("?")
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path, query


def upload_handler(method: str, path: str) -> str | None:
    """Return the handler that a file is put to, or None when this is no such request."""
    if method != "PUT" or not path.startswith(UPLOADS):
        return None
    return _decode(path.removeprefix(UPLOADS))


def find_route(method: str, path: str) -> Route:
    """Find the operation of a request.

    Args:
        method: Its HTTP method.
        path: Its path as it was sent, still percent-encoded.

    Raises:
        Fault: There is none (404653).

    Example:
        >>> route = find_route("GET", "/twins/T/identities/RFID%23a%2Fb")
        >>> route.operation.name, route.args()
        ('get_twin_identity', {'twin': 'T', 'identity': 'RFID#a/b'})
    """
    segments = path.split("/")[1:]
    if len(segments) > 1 and not segments[-1]:
        segments.pop()
    if len(segments) > 4 and segments[0] == "twins" and segments[2] == "docs":
        # A Doc's name with folders, sent without encoding the slashes between them.
        segments[3:] = ["%2F".join(segments[3:])]
    for pattern in _PATTERNS.get((method, len(segments)), ()):
        found = pattern.match(segments)
        if found is not None:
            return Route(pattern.operation, found)
    raise Fault(404653, f"There is no operation {method} {path[:200]}.")


def name_of(request: HttpRequest) -> str:
    """Return the operation that a request asks for: empty when there is none at its path."""
    if request.method == "PUT" and split_url(request.url)[1].startswith(UPLOADS):
        return UPLOAD
    route = route_of(request)
    return "" if route is None else route.operation.name


def route_of(request: HttpRequest) -> Route | None:
    """Find the operation of a request; None when there is none at its path."""
    try:
        return find_route(request.method, split_url(request.url)[1])
    except Fault:
        return None


def shown_path(path: str, route: Route | None, mask: str) -> str:
    """Return a path without what nobody else may know: PINs and handlers of files.

    Args:
        path: The path as it was sent.
        route: The operation at the path; None when there is none.
        mask: What to put in their places.

    Example:
        >>> path = "/secrets/b4f4/AVC110"
        >>> shown_path(path, find_route("POST", path), "***")
        '/secrets/b4f4/***'
    """
    if route is None:
        place = path.split("/")[1:2]
        return f"/{place[0]}/{mask}" if _PLACES.intersection(place) else path
    hidden = [
        segment
        for parameter, segment in zip(route.operation.path_params, route.segments, strict=True)
        if parameter.name in _CREDENTIALS
    ]
    return "/".join(mask if segment in hidden else segment for segment in path.split("/"))


def read_query(query: str) -> dict[str, list[str]]:
    """Decode a query string (400589 if it is not UTF-8)."""
    parameters: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
            parameters.setdefault(name, []).append(value)
    except ValueError:
        raise Fault(400589, "The query is not UTF-8.") from None
    return parameters


def _decode(segment: str) -> str:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise Fault(400589, f"The path segment {segment[:80]!r} is not UTF-8.") from None
