"""OpenTelemetry: a span for each call, save and flush, and metrics (extra ``otel``).

```python
instrument(ttorm.connect("https://rest.trustedtwin.com", secret=secret))
```

Spans and metrics of calls follow the semantic conventions of HTTP clients. A call has one span,
however often it is sent. The spans of saves and flushes hold those of their calls; where a span is
open already, on the thread or in the task that asks, it holds them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from ttorm._version import __version__
from ttorm.api.errors import BudgetExceededError, TtormError
from ttorm.api.errors.transport import RequestError
from ttorm.connection.core import Connection
from ttorm.connection.hooks import Call, Hooks, Work
from ttorm.connection.opening import default_connection

__all__ = ["Telemetry", "instrument", "uninstrument"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_Attributes: TypeAlias = dict[str, str | int]


class Telemetry(Hooks):
    """Hooks that make spans and metrics; `instrument` puts them to a connection.

    Args:
        tracer_provider: Makes the spans; None for the global one.
        meter_provider: Makes the metrics; None for the global one.
        propagate: Whether requests tell the service which span they belong to.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagate: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer("ttorm", __version__, tracer_provider)
        self._propagate = propagate
        meter = metrics.get_meter("ttorm", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of calls, with their repeats.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._repeats = meter.create_counter(
            "ttorm.client.repeats", "{request}", "Requests sent again after a failure."
        )
        self._refusals = meter.create_counter(
            "ttorm.client.budget_refusals", "{call}", "Calls that a budget has refused."
        )
        self._hits = meter.create_counter(
            "ttorm.cache.hits", "{call}", "Reads that the cache has answered."
        )
        self._misses = meter.create_counter(
            "ttorm.cache.misses", "{call}", "Reads of which the cache had no answer."
        )

    def watch(self, connection: Connection) -> None:
        """Tell of a connection's work from now on."""
        connection.hooks = (*connection.hooks, self)

    def leave(self, connection: Connection) -> None:
        """Tell of a connection's work no more."""
        connection.hooks = tuple(one for one in connection.hooks if one is not self)

    # Calls

    def before(self, call: Call) -> None:
        """Begin the span of a call."""
        server = _server(call.connection)
        span = self._tracer.start_span(
            f"{call.method} {call.template}",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": call.method,
                "url.template": call.template,
                "url.full": call.connection.base_url + call.path,
                "ttorm.operation": call.operation,
                **server,
            },
        )
        call.notes[self] = span
        if self._propagate:
            # Of the span alone: baggage is the program's own, and the service is somebody else's.
            propagate.inject(call.headers, trace.set_span_in_context(span, context.Context()))

    def repeated(self, call: Call, pause: float) -> None:
        """Count a repeat, and note it in the span of its call."""
        outcome = _outcome(call)
        self._repeats.add(1, {"ttorm.operation": call.operation, **outcome})
        span: Span | None = call.notes.get(self)
        if span is not None:
            span.add_event("ttorm.repeat", {"ttorm.pause": pause, **outcome})

    def after(self, call: Call) -> None:
        """End the span of a call, and count it."""
        if call.cached:
            self._hits.add(1, _server(call.connection))
        if call.missed:
            self._misses.add(1, _server(call.connection))
        span: Span | None = call.notes.pop(self, None)
        if span is None:
            # Answered by the cache; or begun before these were its hooks.
            return
        outcome = _outcome(call)
        if call.attempts > 1:
            span.set_attribute("http.request.resend_count", call.attempts - 1)
        _end(span, call.error, outcome)
        if isinstance(call.error, BudgetExceededError):
            self._refusals.add(1, {"ttorm.operation": call.operation})
        if call.attempts:
            self._duration.record(
                call.seconds,
                {
                    "http.request.method": call.method,
                    "url.template": call.template,
                    **_server(call.connection),
                    **outcome,
                },
            )

    # Saves and flushes

    def begin(self, work: Work) -> None:
        """Begin the span of a save or flush, and have it hold the spans of its calls."""
        kind = {} if work.record is None else {"ttorm.model": type(work.record).__name__}
        span = self._tracer.start_span(f"ttorm {work.name}", attributes=kind)
        work.notes[self] = span
        # Its context ends with it: there is nothing to be detached.
        context.attach(trace.set_span_in_context(span))

    def end(self, work: Work) -> None:
        """End the span of a save or flush."""
        span: Span | None = work.notes.pop(self, None)
        if span is not None:
            _end(span, work.error, {} if work.error is None else {"error.type": _name(work.error)})


def instrument(
    connection: Connection | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    propagate: bool = False,
) -> Telemetry:
    """Have a connection make spans and metrics; a second time changes its settings.

    Args:
        connection: The connection; the default one when left out.
        tracer_provider: Makes the spans; None for the global one.
        meter_provider: Makes the metrics; None for the global one.
        propagate: Whether requests tell the service which span they belong to (the header
            ``traceparent``). The service is somebody else's: it is not told unless you say so.

    Returns:
        The hooks, which `Telemetry.watch` puts to more connections.

    Example:
        >>> from ttorm.contrib import otel
        >>> telemetry = otel.instrument(connection)
        >>> pump = Twin.create()
        >>> otel.uninstrument(connection)
    """
    connection = connection or default_connection()
    uninstrument(connection)
    telemetry = Telemetry(
        tracer_provider=tracer_provider, meter_provider=meter_provider, propagate=propagate
    )
    telemetry.watch(connection)
    return telemetry


def uninstrument(connection: Connection | None = None) -> None:
    """Have a connection make no spans and metrics any more; harmless where it makes none.

    Args:
        connection: The connection; the default one when left out.

    Example:
        >>> from ttorm.contrib import otel
        >>> otel.uninstrument(connection)
    """
    connection = connection or default_connection()
    for one in connection.hooks:
        if isinstance(one, Telemetry):
            one.leave(connection)


def _server(connection: Connection) -> _Attributes:
    parts = urlsplit(connection.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _outcome(call: Call) -> _Attributes:
    found: _Attributes = {}
    if call.status is not None:
        found["http.response.status_code"] = call.status
    if call.status is not None and call.status >= 400:
        found["error.type"] = str(call.status)
    elif call.error is not None:
        found["error.type"] = _name(call.error)
    return found


def _name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _told(error: BaseException) -> str | None:
    """Say which error it is; its text may quote the service, or a value."""
    if not isinstance(error, TtormError):
        return None
    request = error.request if isinstance(error, RequestError) else None
    return f"{request}: {error.code}" if request else error.code


def _end(span: Span, error: BaseException | None, outcome: Mapping[str, str | int]) -> None:
    span.set_attributes(dict(outcome))
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, _told(error)))
    elif "error.type" in outcome:
        span.set_status(Status(StatusCode.ERROR))
    span.end()
