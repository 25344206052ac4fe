"""A connection and sessions for Django."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

import django
import pytest
from canaries import Cage, texts_of_error
from django.conf import settings
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

import ttorm
from ttorm import ConfigurationError, Field, Secret, Twin, entry
from ttorm.connection import opening

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[],
        MIDDLEWARE=["ttorm.contrib.django.SessionMiddleware"],
        ROOT_URLCONF="nowhere",
        SECRET_KEY="for tests",
        USE_TZ=True,
    )
    django.setup()

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

from ttorm.contrib import django as contrib

SECRET = os.urandom(12).hex()


class Pump(Twin):
    flow: Field[float] = entry(default=0.0)


def flow_of(pump):
    return Pump.get(pump.uuid).ledger.refresh()["flow"].value


@pytest.fixture(autouse=True)
def no_connections(monkeypatch):
    monkeypatch.setattr(contrib, "_known", [])


class Urls:
    """What Django takes for a module of URLs."""

    def __init__(self, view):
        self.urlpatterns = [path("", view)]


@pytest.fixture
def ask():
    """Have a view answer a request, through all of Django: ``ask(view) -> status``."""

    def ask(view):
        with override_settings(ROOT_URLCONF=Urls(view)):
            handler = WSGIHandler()
            return handler.get_response(RequestFactory().get("/")).status_code

    return ask


@pytest.fixture
def aask():
    """The same for an ASGI server."""

    async def answer():
        handler = ASGIHandler()
        response = await handler.get_response_async(AsyncRequestFactory().get("/"))
        return response.status_code

    def aask(view):
        with override_settings(ROOT_URLCONF=Urls(view)):
            return asyncio.run(answer())

    return aask


def test_what_a_view_changes_is_saved(connection, ask):
    pump = Pump.create(flow=1.0)

    def change(request):
        Pump.at(pump.uuid).flow += 1
        return HttpResponse("done")

    assert ask(change) == 200
    assert flow_of(pump) == 2.0


def test_what_an_async_view_changes_is_saved(connection, aask):
    pump = Pump.create(flow=1.0)

    async def change(request):
        view = await Pump.at(pump.uuid).aload("ledger")
        view.flow += 1
        return HttpResponse("done")

    assert aask(change) == 200
    assert flow_of(pump) == 2.0


def test_a_sync_view_behind_an_async_server(connection, aask):
    pump = Pump.create(flow=1.0)

    def change(request):
        Pump.at(pump.uuid).flow += 1
        return HttpResponse("done")

    assert aask(change) == 200
    assert flow_of(pump) == 2.0


@pytest.mark.parametrize("form", ["ask", "aask"])
def test_an_error_answer_forgets_the_changes(connection, sent, form, request):
    pump = Pump.create(flow=1.0)
    sent.clear()

    def change(request):
        Pump.at(pump.uuid).flow = 2.0
        return HttpResponse("no", status=409)

    assert request.getfixturevalue(form)(change) == 409
    assert sent == []


@pytest.mark.parametrize("form", ["ask", "aask"])
def test_an_exception_forgets_the_changes(connection, sent, form, request):
    pump = Pump.create(flow=1.0)
    sent.clear()

    def change(request):
        Pump.at(pump.uuid).flow = 2.0
        raise RuntimeError("a bug")

    assert request.getfixturevalue(form)(change) == 500
    assert sent == []
    assert ttorm.sessions.open_block() is None


def test_a_save_that_fails_is_an_error_of_the_request(connection, ask):
    pump = Pump.create(flow=1.0)

    def change(request):
        Pump.at(pump.uuid).ledger["x"] = "y" * 70_000
        return HttpResponse("done")

    assert ask(change) == 500
    assert ttorm.sessions.open_block() is None


def test_it_connects_by_the_settings(monkeypatch, ask):
    monkeypatch.setattr(opening, "_default", None)
    seen = []

    def create(request):
        seen.append(ttorm.sessions.current_session().connection)
        Pump.create()
        return HttpResponse("done")

    with override_settings(TTORM={"URL": "memory:", "CONCURRENCY": 3}):
        assert ask(create) == 200
        assert contrib.connection() is seen[0]
    assert seen[0].concurrency == 3
    assert ttorm.default_connection() is seen[0]
    seen[0].close()


@pytest.mark.parametrize("wrong", [{}, "memory:", {"url": "memory:", "secrt": "x"}])
def test_wrong_settings(wrong):
    with override_settings(TTORM=wrong), pytest.raises(ConfigurationError, match="setting TTORM"):
        contrib.connection()


def test_each_secret_has_a_connection_of_its_own():
    made = []
    for secret in ("one", "another", "one"):
        setting = {"url": "https://x.test", "secret": Secret(secret), "default": False}
        with override_settings(TTORM=setting):
            made.append(contrib.connection())
    assert made[0] is made[2]
    assert made[0] is not made[1]


def test_requests_at_the_same_time_make_one_connection(monkeypatch):
    def slow(*given, **options):
        time.sleep(0.05)
        return ttorm.connect(*given, **options)

    monkeypatch.setattr(contrib, "connect", slow)
    setting = {"url": "memory:", "default": False}
    with override_settings(TTORM=setting), ThreadPoolExecutor(4) as threads:
        made = {id(found) for found in threads.map(lambda _: contrib.connection(), range(4))}
    assert len(made) == 1


@pytest.mark.parametrize(
    "wrong", [{"url": "ftp://x"}, {"address": "memory:"}, {"url": "memory:", "x": 1}]
)
def test_settings_that_are_refused_show_no_secret(wrong):
    setting = override_settings(TTORM={**wrong, "secret": SECRET})
    with setting, pytest.raises(ConfigurationError) as refused:
        contrib.connection()
    for where, text in texts_of_error(refused.value):
        Cage(secret=SECRET).check(where, text)


def test_messages_of_the_platform(connection, monkeypatch):
    """A view of a receiver, as the documentation has it: all of Django may stand before it."""
    receiver = ttorm.webhooks.Receiver(max_body=1_000)

    @csrf_exempt
    @require_POST
    def hook(request):
        reply = receiver.handle(request.body, request.headers)
        return HttpResponse(reply.body, status=reply.status, headers=reply.headers)

    with override_settings(
        ROOT_URLCONF=Urls(hook), MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"]
    ):
        handler = WSGIHandler()

        def post(body, kind="application/json"):
            request = RequestFactory(enforce_csrf_checks=True).post("/", body, kind)
            return handler.get_response(request)

        assert [post(body).status_code for body in ("{}", "x" * 1_001)] == [400, 413]
        assert post("{}", "text/plain").status_code == 415
        assert post("{}").headers["content-type"] == "application/json"
        assert handler.get_response(RequestFactory().get("/")).status_code == 405
