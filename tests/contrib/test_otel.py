"""Spans and metrics, by the exporters that OpenTelemetry has for tests."""

from __future__ import annotations

import asyncio
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import ttorm
from ttorm import BudgetExceededError, Field, NotFoundError, RetryPolicy, Twin, description, entry
from ttorm.api.errors import TransportError
from ttorm.api.http import HttpResponse
from ttorm.contrib import otel
from ttorm.contrib.otel import instrument, uninstrument

MISSING = "00000000-0000-4000-8000-000000000000"
SERVER = {"server.address": "emulator.localhost", "server.port": 80}


class Pump(Twin):
    name: Field[str] = description(default="")
    pressure: Field[float | None] = entry(default=None)


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def options(tracing, reader):
    meters = MeterProvider([reader])
    yield {"tracer_provider": tracing, "meter_provider": meters}
    meters.shutdown()


@pytest.fixture
def telemetry(connection, options):
    connection.retry = RetryPolicy(base=0.0)
    return instrument(connection, **options)


@pytest.fixture
def spans(exporter, telemetry):
    """Take the spans that have ended."""

    def take():
        found = list(exporter.get_finished_spans())
        exporter.clear()
        return found

    return take


@pytest.fixture
def points(reader):
    """Give the data points of a metric, by the value of an attribute."""

    def points(name):
        data = reader.get_metrics_data()
        if data is None:
            return []
        scopes = [scope for one in data.resource_metrics for scope in one.scope_metrics]
        assert {scope.scope.name for scope in scopes} == {"ttorm"}
        found = {metric.name: metric for scope in scopes for metric in scope.metrics}
        return list(found[name].data.data_points) if name in found else []

    return points


@pytest.fixture
def faults(connection, monkeypatch):
    """Answer the next requests: ``faults(HttpResponse(500), error, ...)``; seen are all."""
    transport, left, seen = connection.transport, [], []
    forward = transport.send

    def send(request):
        seen.append(request)
        answer = left.pop(0) if left else forward(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(transport, "send", send)

    def faults(*answers):
        left.extend(answers)
        return seen

    return faults


def parents(found):
    """Tell which span holds which, by their names."""
    names = {span.context.span_id: span.name for span in found}
    return [(span.name, names[span.parent.span_id] if span.parent else None) for span in found]


# Calls


def test_a_call_has_a_span_as_the_conventions_have_it(connection, spans):
    twin = connection.call("create_twin")["creation_certificate"]["uuid"]
    connection.call("get_twin", twin, show_terminated=True)
    created, read = spans()
    assert (created.name, created.kind) == ("POST /twins", SpanKind.CLIENT)
    assert dict(read.attributes) == {
        **SERVER,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "ttorm.operation": "get_twin",
        "url.full": f"http://emulator.localhost/twins/{twin}",
        "url.template": "/twins/{twin}",
    }
    assert read.status.status_code is StatusCode.UNSET
    assert read.instrumentation_scope.version == ttorm.__version__


def test_a_refusal_is_an_error(connection, spans):
    with pytest.raises(NotFoundError):
        Twin.get(MISSING)
    [span] = spans()
    assert span.attributes["error.type"] == "404"
    assert span.attributes["http.response.status_code"] == 404
    assert span.status.status_code is StatusCode.ERROR


def test_a_failure_to_reach_it_is_an_error(connection, spans, faults):
    faults(*[TransportError("no way", sent=False)] * 3)
    with pytest.raises(TransportError):
        connection.whoami()
    [span] = spans()
    assert span.attributes["error.type"] == "ttorm.TransportError"
    assert span.attributes["http.request.resend_count"] == 2
    assert "http.response.status_code" not in span.attributes


def test_repeats_are_counted_in_one_span(connection, spans, faults, points):
    faults(HttpResponse(503), TransportError("it broke", sent=True))
    connection.whoami()
    [span] = spans()
    assert span.attributes["http.request.resend_count"] == 2
    assert span.attributes["http.response.status_code"] == 200
    assert "error.type" not in span.attributes
    events = [(event.name, event.attributes["error.type"]) for event in span.events]
    assert events == [("ttorm.repeat", "503"), ("ttorm.repeat", "ttorm.TransportError")]
    assert {
        (point.attributes["ttorm.operation"], point.attributes["error.type"], point.value)
        for point in points("ttorm.client.repeats")
    } == {("who_am_i", "503", 1), ("who_am_i", "ttorm.TransportError", 1)}


def test_what_the_cache_answers_has_no_span(connection, spans):
    pump = Pump.create()
    spans()
    Twin.get(pump.uuid)
    assert spans() == []


def test_paths_that_are_credentials_are_in_no_span(connection, spans):
    with pytest.raises(NotFoundError):
        connection.call("create_user_secret", MISSING, "Pin123")
    [span] = spans()
    assert span.attributes["url.full"] == "http://emulator.localhost/secrets/{account}/{pin}"
    assert "Pin123" not in span.to_json()


# Who holds whom


def test_a_save_holds_its_calls(connection, spans):
    Pump(name="a", pressure=2.5).save()
    found = spans()
    assert parents(found) == [
        ("POST /twins", "ttorm save"),
        ("POST /twins/{twin}/ledgers/{ledger}", "ttorm save"),
        ("ttorm save", None),
    ]
    assert found[-1].attributes["ttorm.model"] == "Pump"


def test_a_block_holds_its_saves_and_the_users_span_holds_the_block(connection, spans, tracing):
    with tracing.get_tracer("test").start_as_current_span("order"):
        with ttorm.session():
            for number in range(5):
                Pump(name=str(number))
        connection.whoami()
    found = spans()
    told = parents(found)
    assert told.count(("ttorm save", "ttorm flush")) == 5
    assert told.count(("POST /twins", "ttorm save")) == 5
    assert told[-3:] == [("ttorm flush", "order"), ("GET /whoami", "order"), ("order", None)]
    saves = {span.context.span_id for span in found if span.name == "ttorm save"}
    assert {span.parent.span_id for span in found if span.name == "POST /twins"} == saves


def test_tasks_hold_their_own(connection, spans, tracing):
    tracer = tracing.get_tracer("test")

    async def order(number):
        with tracer.start_as_current_span(f"order {number}"):
            await Pump(name=str(number)).asave()
            await ttorm.asave_all([Pump(name=f"{number} a"), Pump(name=f"{number} b")])

    async def main():
        await asyncio.gather(*map(order, range(5)))

    asyncio.run(main())
    told = parents(spans())
    for number in range(5):
        assert told.count(("ttorm save", f"order {number}")) == 3
    assert told.count(("POST /twins", "ttorm save")) == 15


def test_threads_hold_what_their_context_says(connection, spans, tracing):
    with (
        tracing.get_tracer("test").start_as_current_span("order"),
        ThreadPoolExecutor(4) as pool,
    ):
        done = [pool.submit(copy_context().run, Pump.create, name=str(n)) for n in range(8)]
        _ = [one.result() for one in done]
        pool.submit(Pump.create).result()
    told = parents(spans())
    assert told.count(("ttorm save", "order")) == 8
    assert told.count(("ttorm save", None)) == 1


def test_a_save_that_fails_says_why(connection, spans, faults):
    faults(HttpResponse(403, {}, b"{}"))
    with pytest.raises(ttorm.ForbiddenError):
        Pump(name="a").save()
    save = spans()[-1]
    assert save.attributes["error.type"] == "ttorm.ForbiddenError"
    assert save.status.status_code is StatusCode.ERROR
    assert save.status.description == "POST /twins: forbidden"


def test_a_span_quotes_neither_answers_nor_values(connection, spans, faults):
    faults(HttpResponse(200, {}, b"<p>a page with VALUE"))
    with pytest.raises(ttorm.ResponseFormatError, match="VALUE"):
        connection.whoami()
    pump = Pump.create()
    with pytest.raises(ttorm.InvalidRequestError, match="VALUE"):
        connection.call("update_twin", pump.uuid, body={"description": {"VALUE 1": 1}})
    found = spans()
    assert found[0].status.description == "GET /whoami: response-format"
    assert not any("VALUE" in span.to_json() for span in found)


@pytest.mark.parametrize("ends", ["cancelled", "timed out"])
def test_a_call_that_is_cancelled_ends_its_span(connection, spans, points, monkeypatch, ends):
    async def never(request):
        await asyncio.sleep(60)

    monkeypatch.setattr(connection.transport, "asend", never)

    async def main():
        if ends == "timed out":
            async with asyncio.timeout(0.01):
                await connection.awhoami()
        task = asyncio.ensure_future(connection.awhoami())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        asyncio.run(main())
    [span] = spans()
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert span.status.status_code is StatusCode.ERROR
    [point] = points("http.client.request.duration")
    assert point.attributes["error.type"] == "asyncio.exceptions.CancelledError"


def test_repeats_in_an_event_loop_are_counted_in_one_span(connection, spans, monkeypatch):
    left, forward = [HttpResponse(503)] * 2, connection.transport.asend

    async def asend(request):
        return left.pop() if left else await forward(request)

    monkeypatch.setattr(connection.transport, "asend", asend)
    asyncio.run(connection.awhoami())
    [span] = spans()
    assert span.attributes["http.request.resend_count"] == 2
    assert [event.name for event in span.events] == ["ttorm.repeat"] * 2


def test_the_service_is_told_of_spans_only_if_it_is_asked_for(connection, spans, faults, options):
    seen = faults()
    connection.whoami()
    assert "traceparent" not in seen[-1].headers
    instrument(connection, propagate=True, **options)
    spans()
    copy_context().run(lambda: attach(set_baggage("customer", "a")) and connection.trace())
    [span] = spans()
    assert "baggage" not in seen[-1].headers
    assert seen[-1].headers["traceparent"].split("-")[1:3] == [
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    ]


# Metrics


def test_durations(connection, telemetry, points, faults):
    connection.call("who_am_i")
    connection.call("who_am_i")
    faults(*[HttpResponse(500)] * 3)
    with pytest.raises(ttorm.ServerError):
        connection.call("who_am_i")
    by_status = {
        point.attributes["http.response.status_code"]: point
        for point in points("http.client.request.duration")
    }
    assert (by_status[200].count, by_status[500].count) == (2, 1)
    assert 0 < by_status[200].sum < 60
    assert dict(by_status[500].attributes) == {
        **SERVER,
        "error.type": "500",
        "http.request.method": "GET",
        "http.response.status_code": 500,
        "url.template": "/whoami",
    }


def test_refusals_of_budgets(connection, telemetry, points, spans):
    with ttorm.session(budget=0), pytest.raises(BudgetExceededError):
        Twin.get(MISSING)
    [point] = points("ttorm.client.budget_refusals")
    assert (point.value, point.attributes["ttorm.operation"]) == (1, "get_twin")
    assert points("http.client.request.duration") == []
    [span] = spans()
    assert span.attributes["error.type"] == "ttorm.BudgetExceededError"


def test_hits_and_misses_of_the_cache(connection, telemetry, points):
    pump = Pump.create()
    for _ in range(3):
        Twin.get(pump.uuid)
    with pytest.raises(NotFoundError):
        Twin.get(MISSING)
    statistics = connection.cache.statistics
    assert statistics.hits >= 3
    assert statistics.misses >= 1
    [hits], [misses] = points("ttorm.cache.hits"), points("ttorm.cache.misses")
    assert (hits.value, misses.value) == (statistics.hits, statistics.misses)
    assert dict(hits.attributes) == SERVER


def test_connections_of_one_cache_count_once(connection, telemetry, points):
    with ttorm.connect("memory:", cache=connection.cache, default=False) as other:
        telemetry.watch(other)
        connection.whoami()
        connection.whoami()
        [hits] = points("ttorm.cache.hits")
        assert hits.value == connection.cache.statistics.hits == 1


def test_connections_that_are_instrumented_one_by_one_are_all_counted(options, points):
    """Nor does a sum shrink when a connection is gone."""
    for reads in (2, 4):
        with ttorm.connect("memory:", default=False) as one:
            instrument(one, **options)
            for _ in range(reads):
                one.whoami()
    [hits], [misses] = points("ttorm.cache.hits"), points("ttorm.cache.misses")
    assert (hits.value, misses.value) == (4, 2)


# Beginning and end


def test_instrumented_twice_tells_once(connection, options, spans):
    instrument(connection, **options)
    connection.whoami()
    assert len(spans()) == 1


def test_nothing_is_told_after_the_end(connection, options, telemetry, spans, points):
    uninstrument(connection)
    uninstrument(connection)
    assert connection.hooks == ()
    connection.whoami()
    Pump.create()
    assert spans() == []
    assert points("ttorm.cache.hits") == []


def test_without_providers_it_works_too(connection):
    """The interface of OpenTelemetry does nothing until a program brings its SDK."""
    instrument()
    assert isinstance(connection.hooks[0], otel.Telemetry)
    assert Pump.create(name="a").name == "a"
    uninstrument()


def test_what_is_not_used_any_more_is_let_go(options):
    connection = ttorm.connect("memory:", default=False)
    telemetry = weakref.ref(instrument(connection, **options))
    connection.close()
    del connection
    gc.collect()
    assert telemetry() is None
