"""A session for each request: FastAPI and whatever else speaks ASGI."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import ttorm
from ttorm import Field, NotLoadedError, Twin, entry
from ttorm.contrib.fastapi import SessionMiddleware


class Pump(Twin):
    flow: Field[float] = entry(default=0.0)


@pytest.fixture
def app(connection):
    app = FastAPI()
    app.add_middleware(SessionMiddleware)
    return app


@pytest.fixture
def ask(app):
    """Send requests, all at once: ``ask("/a", "/b") -> answers``."""

    async def all_of(paths):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await asyncio.gather(*(client.get(path) for path in paths))

    def ask(*paths):
        answers = asyncio.run(all_of(paths))
        return answers[0] if len(paths) == 1 else answers

    return ask


def flow_of(pump):
    return Pump.get(pump.uuid).ledger.refresh()["flow"].value


def test_what_a_coroutine_changes_is_saved(app, ask, connection):
    pump = Pump.create(flow=1.0)

    @app.get("/")
    async def change():
        Pump.at(pump.uuid).flow = 2.0
        return "done"

    assert ask("/").status_code == 200
    assert flow_of(pump) == 2.0


def test_what_a_function_on_a_thread_changes_is_saved(app, ask, connection):
    pump = Pump.create(flow=1.0)

    @app.get("/")
    def change():
        Pump.at(pump.uuid).flow += 1
        return "done"

    assert ask("/").status_code == 200
    assert flow_of(pump) == 2.0


def test_it_is_saved_before_the_answer_begins(app, ask, connection, sent):
    pump = Pump.create(flow=1.0)
    seen = []

    @app.get("/")
    async def change():
        Pump.at(pump.uuid).flow = 2.0

        async def body():
            seen.append(sent[-1])
            yield b"done"

        return StreamingResponse(body())

    ask("/")
    assert seen == ["update_twin_ledger_entry_value"]


def test_an_error_answer_forgets_the_changes(app, ask, connection, sent):
    pump = Pump.create(flow=1.0)
    sent.clear()

    @app.get("/")
    async def change():
        Pump.at(pump.uuid).flow = 2.0
        raise HTTPException(409, "no")

    assert ask("/").status_code == 409
    assert sent == []
    assert flow_of(pump) == 1.0


def test_an_exception_forgets_the_changes(app, ask, connection, sent):
    pump = Pump.create(flow=1.0)
    sent.clear()

    @app.get("/")
    async def change():
        Pump.at(pump.uuid).flow = 2.0
        raise RuntimeError("a bug")

    assert ask("/").status_code == 500
    assert sent == []


def test_a_save_that_fails_is_an_error_of_the_request(app, ask, connection):
    pump = Pump.create(flow=1.0)

    @app.get("/")
    async def change():
        view = Pump.at(pump.uuid)
        view.ledger["x"] = "y" * 70_000
        return "done"

    assert ask("/").status_code == 500


def test_background_tasks_are_saved_at_the_end(app, ask, connection):
    pump = Pump.create(flow=1.0)

    def later():
        Pump.at(pump.uuid).flow = 3.0

    @app.get("/")
    async def change(tasks: BackgroundTasks):
        tasks.add_task(later)
        return "done"

    assert ask("/").status_code == 200
    assert flow_of(pump) == 3.0


def test_requests_at_the_same_time_have_sessions_of_their_own(app, ask, connection):
    pump = Pump.create(flow=1.0)
    met = asyncio.Event()
    seen = {}

    @app.get("/change")
    async def change():
        Pump.at(pump.uuid).flow = 2.0
        await met.wait()
        return "done"

    @app.get("/look")
    async def look():
        view = await Pump.at(pump.uuid).aload("ledger")
        seen["flow"] = view.flow
        met.set()
        return "done"

    changed, looked = ask("/change", "/look")
    assert (changed.status_code, looked.status_code) == (200, 200)
    assert seen == {"flow": 1.0}
    assert flow_of(pump) == 2.0


def test_coroutines_do_not_wait_for_attributes(app, ask, connection):
    pump = Pump.create(flow=1.0)
    caught = []

    @app.get("/")
    async def look():
        try:
            return Pump.at(pump.uuid).flow
        except NotLoadedError as error:
            caught.append(error)
            raise HTTPException(500) from error

    assert ask("/").status_code == 500
    assert "await record.aload('ledger')" in str(caught[0])


def test_a_budget_for_each_request(connection):
    app = FastAPI()
    app.add_middleware(SessionMiddleware, budget=1)
    pumps = [Pump.create() for _ in range(2)]

    @app.get("/one")
    def one():
        return Pump.get(pumps[0].uuid, fresh=True).status

    @app.get("/two")
    def two():
        return [Pump.get(pump.uuid, fresh=True).status for pump in pumps]

    async def both():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return [(await client.get(path)).status_code for path in ("/one", "/one", "/two")]

    assert asyncio.run(both()) == [200, 200, 500]


def test_another_connection(monkeypatch, connection):
    other = ttorm.connect("memory:", default=False)
    app = FastAPI()
    app.add_middleware(SessionMiddleware, connection=other)

    @app.get("/")
    async def create():
        pump = await Pump.acreate()
        return ttorm.sessions.current_session().connection is other and pump.uuid

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return (await client.get("/")).json()

    uuid = asyncio.run(ask())
    assert other.call("get_twin", uuid)["status"] == "alive"
    other.close()


def test_what_is_no_request_passes(connection):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], ttorm.sessions.open_block()))

    asyncio.run(SessionMiddleware(app)({"type": "lifespan"}, None, None))
    assert seen == [("lifespan", None)]


def test_nothing_of_a_session_is_left(app, ask, connection):
    @app.get("/")
    async def nothing():
        return "done"

    ask("/")
    assert ttorm.sessions.open_block() is None
