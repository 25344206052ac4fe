"""Building requests from the operation table, and reading answers back."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from ttorm.api import codec, names
from ttorm.api.credentials import Secret, masked
from ttorm.api.errors import (
    QuotaError,
    ResponseFormatError,
    ValidationError,
    api_error,
)
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.operations import Operation, operation

__all__ = [
    "MAX_BODY",
    "ApiRequest",
    "api_request",
    "dictionary_header",
    "encode_query",
    "read_answer",
]

MAX_BODY = 65_536
"""Largest body the service takes, in bytes of UTF-8."""

_MAKE_SECRETS = ("user_secrets", "user_token", "notifications", "cache", "docs", "batches")
"""Areas of the API whose answers hold credentials, or addresses that are ones."""
_SECRETS = (
    *("secret", "token", "pin", "client_secret", "server_secret"),
    *("confirmation_url", "refresh_url", "unsubscribe_url", "url"),
)

Query = tuple[tuple[str, str], ...]


class ApiRequest(NamedTuple):
    """One call of one operation, checked and encoded, not yet bound to a service or credential.

    Attributes:
        operation: The operation's row of the table.
        arguments: Path arguments in order, as given.
        query: Query parameters in order, as text; lists are repeated names.
        body: The JSON body, or None for none.
        dictionary: The request dictionary of this call; None leaves the connection's.
    """

    operation: Operation
    arguments: tuple[str, ...] = ()
    query: Query = ()
    body: Any = None
    dictionary: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<ApiRequest {self.label}>"

    def __sentry_repr__(self) -> str:
        # Sentry shows tuples by their members otherwise.
        return repr(self)

    @property
    def path(self) -> str:
        """The percent-encoded path, without query."""
        path = self.operation.path
        for parameter, argument in zip(self.operation.path_params, self.arguments, strict=True):
            path = path.replace(f"{{{parameter.name}}}", names.encode_segment(argument), 1)
        return path

    @property
    def target(self) -> str:
        """The percent-encoded path with its query."""
        return f"{self.path}?{encode_query(self.query)}" if self.query else self.path

    @property
    def shown_path(self) -> str:
        """The path without query; its template where the path is a credential by itself."""
        # Paths of operations without a credential carry PINs and handlers: not to be shown.
        return self.path if self.operation.credential else self.operation.path

    @property
    def label(self) -> str:
        """Method and path: what errors show."""
        return f"{self.operation.method} {self.shown_path}"

    def encode_body(self) -> bytes:
        """Encode the body.

        Raises:
            QuotaError: It is over 64 kB.
            ValidationError: It is not JSON.
        """
        if self.body is None:
            return b""
        body = codec.encode(self.body)
        if len(body) > MAX_BODY:
            raise QuotaError(
                f"the body of {self.label} has {len(body):,} bytes, the platform takes at most "
                f"{MAX_BODY:,}: write fewer or smaller values at a time, or store a Doc",
                operation=self.operation.name,
                request=self.label,
            )
        return body

    def bind(self, base_url: str, headers: Mapping[str, str]) -> HttpRequest:
        """Make the HTTP request for a service."""
        body = self.encode_body()
        if body:
            headers = {**headers, "content-type": "application/json"}
        return HttpRequest(self.operation.method, base_url + self.target, headers, body)


def api_request(
    name: str,
    arguments: Iterable[object] = (),
    query: Mapping[str, object] | None = None,
    body: Any = None,
    dictionary: Mapping[str, Any] | None = None,
) -> ApiRequest:
    """Check and encode one call.

    Args:
        name: The operation, for example ``"get_twin"``.
        arguments: Path arguments in order; trailing ones with a default may be left out.
        query: Query parameters; None values are left out, booleans become ``true``/``false``,
            lists become repeated names. Path arguments may be given here by name as well.
        body: The JSON body.
        dictionary: The request dictionary of this call.

    Raises:
        LookupError: There is no such operation.
        ValidationError: An argument or parameter is missing, unknown or of a wrong form, or the
            body is not JSON.

    Example:
        >>> api_request("get_twin_identity", ["u", "RFID#a+b="]).path
        '/twins/u/identities/RFID%23a%2Bb%3D'
    """
    row = operation(name)
    parameters = dict(query or {})
    if body is not None and not row.body:
        raise ValidationError(f"{name} takes no body", code="bad-argument")
    codec.check_json(body, f"the body of {name}")
    return ApiRequest(
        row,
        _path_arguments(row, tuple(arguments), parameters),
        _query(row, parameters),
        body,
        dictionary,
    )


def _path_arguments(
    row: Operation, given: tuple[object, ...], named: dict[str, object]
) -> tuple[str, ...]:
    if len(given) > len(row.path_params):
        raise ValidationError(
            f"{row.name} takes {len(row.path_params)} path arguments, got {len(given)}: {row.path}",
            code="bad-argument",
        )
    values: list[str] = []
    for index, parameter in enumerate(row.path_params):
        if index < len(given):
            value: object = given[index]
        else:
            value = named.pop(parameter.name, parameter.default)
        if value is None or str(value) in ("", ".", ".."):
            raise ValidationError(
                f"{row.name} needs {parameter.name!r}, found {value!r}: {row.path}",
                code="bad-argument",
            )
        # A PIN that does not show itself stays so.
        value = value.header() if isinstance(value, Secret) else value
        text = value if isinstance(value, str) else str(value)
        # The cache and the identity map know an object by one spelling of its UUID.
        values.append(text.lower() if names.UUID.fullmatch(text) else text)
    return tuple(values)


def _query(row: Operation, parameters: Mapping[str, object]) -> Query:
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if name not in row.query:
            allowed = ", ".join(row.query) or "none"
            raise ValidationError(
                f"{row.name} has no parameter {name!r}; it takes: {allowed}", code="bad-argument"
            )
        if value is None:
            continue
        if isinstance(value, (list, tuple, set, frozenset)):
            items = cast("Collection[object]", value)
            pairs.extend((name, _parameter(name, item)) for item in items)
        else:
            pairs.append((name, _parameter(name, value)))
    return tuple(pairs)


def _parameter(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(round(value, 3))
    if isinstance(value, (str, int)):
        return str(value)
    raise ValidationError(
        f"the parameter {name!r} takes text, a number, a boolean or a list of them, "
        f"found {type(value).__name__}",
        code="bad-argument",
    )


def encode_query(query: Query) -> str:
    """Encode query parameters, spaces as ``%20``.

    Example:
        >>> encode_query((("match", "a == 1"), ("entries", "x"), ("entries", "y")))
        'match=a%20%3D%3D%201&entries=x&entries=y'
    """
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)


def dictionary_header(dictionary: Mapping[str, Any]) -> str:
    """Encode a request dictionary as the value of ``X-TrustedTwin``.

    Raises:
        ValidationError: A key breaks the platform's rule, or a value is not JSON.

    Example:
        >>> dictionary_header({})
        'e30='
    """
    for key in dictionary:
        names.check_description_key(key)
    codec.check_json(dict(dictionary), "the request dictionary")
    return b64encode(codec.encode(dict(dictionary))).decode("ascii")


def read_answer(request: ApiRequest, response: HttpResponse, attempts: int = 1) -> dict[str, Any]:
    """Decode an answer.

    Returns:
        The JSON object; an empty one when a successful answer has no body.

    Raises:
        ApiError: The status is not 2xx.
        ResponseFormatError: The status is 2xx but the body is not a JSON object.
    """
    success = 200 <= response.status < 300
    try:
        body: Any = _decoded(request, response) if response.body.strip() else {}
    except (ValueError, RecursionError):
        body = None
    if not success:
        raise api_error(
            response.status,
            body,
            response.headers,
            operation=request.operation.name,
            request=request.label,
            attempts=attempts,
        )
    if not isinstance(body, dict):
        body = None  # tracebacks show locals
        kind = response.headers.get("content-type", "no content type")
        # In what is no page of a proxy's, there may be a credential.
        secret = request.operation.category in _MAKE_SECRETS
        page = response.body.lstrip().startswith(b"<") and not secret
        start = f", starting {response.body[:60]!r}" if page else ""
        raise ResponseFormatError(
            f"{request.label} got {response.status} with a body that is not a JSON object "
            f"({kind}{start}): is this address the Trusted Twin API, "
            "or does a proxy answer in its place?",
            operation=request.operation.name,
            request=request.label,
            attempts=attempts,
        )
    answer = cast("dict[str, Any]", body)
    if request.operation.category in _MAKE_SECRETS:
        _hide(answer)
    return answer


def _hide(answer: dict[str, Any]) -> None:
    """Have the credentials in an answer show themselves nowhere: tracebacks show locals."""
    for name, value in answer.items():
        if name in _SECRETS and isinstance(value, str):
            answer[name] = masked(value)
        elif name in ("subscription", "download") and isinstance(value, dict):
            _hide(cast("dict[str, Any]", value))


def _decoded(request: ApiRequest, response: HttpResponse) -> Any:
    # The keys of a history are moments, each of them another one.
    return codec.decode(response.body, keys_recur=request.operation.category != "history")
