"""Records as parameters and answers of FastAPI."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from ttorm import Field, Twin, description, entry
from ttorm.contrib.fastapi import RecordRoute, SessionMiddleware


class Place(BaseModel):
    hall: int


class Lift(Twin):
    """A lift."""

    name: Field[str] = description()
    place: Field[Place | None] = entry(default=None, visibility="true")
    load_kg: Field[float] = entry(default=0.0)


class CargoLift(Lift):
    volume: Field[float] = entry(default=1.0)

    class Meta:
        kind = "cargo-lift"


class Building(BaseModel):
    lifts: list[Lift]


@pytest.fixture
def app(connection):
    app = FastAPI()
    app.add_middleware(SessionMiddleware)
    app.router.route_class = RecordRoute
    return app


@pytest.fixture
def ask(app):
    """Send a request: ``ask("GET", "/a", json=...)``."""

    async def asked(*arguments, **options):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.request(*arguments, **options)

    return lambda *arguments, **options: asyncio.run(asked(*arguments, **options))


@pytest.fixture
def uuid(connection, sent):
    lift = Lift.create(name="A", place=Place(hall=4))
    sent.clear()
    return lift.uuid


def shown(uuid, **changed):
    return {"uuid": uuid, "name": "A", "place": {"hall": 4}, "load_kg": 0.0, **changed}


def test_a_path_gives_a_record_without_asking(app, ask, uuid, sent):
    @app.get("/{lift}")
    async def show(lift: Lift) -> str:
        assert type(lift) is Lift
        return lift.uuid

    assert ask("GET", f"/{uuid}").json() == uuid
    assert sent == []


def test_what_is_no_uuid_is_an_error_of_the_request(app, ask, connection, sent):
    @app.get("/{lift}")
    async def show(lift: Lift) -> str:
        raise AssertionError

    answer = ask("GET", "/A17")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == "Input should be a Lift or the UUID of one"
    assert sent == []


def test_the_record_of_a_function_is_loaded_changed_saved_and_sent(app, ask, uuid, sent):
    @app.post("/{lift}/enter")
    def enter(lift: Lift) -> Lift:
        lift.load_kg += 80
        return lift

    assert ask("POST", f"/{uuid}/enter").json() == shown(uuid, load_kg=80.0)
    assert Lift.get(uuid).refresh().load_kg == 80.0


def test_the_record_of_a_coroutine_is_loaded_and_sent(app, ask, uuid, sent):
    @app.get("/{lift}")
    async def show(lift: Lift) -> Lift:
        return lift

    assert ask("GET", f"/{uuid}").json() == shown(uuid)


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_records_are_loaded_side_by_side(app, ask, uuid, sent, kind):
    @app.get("/")
    def lifts() -> list[Lift]:
        return kind(Lift.scan())

    other = Lift.create(name="B")
    found = {lift["uuid"]: lift for lift in ask("GET", "/").json()}
    assert found == {uuid: shown(uuid), other.uuid: shown(other.uuid, name="B", place=None)}


def test_without_the_route_the_handler_loads(ask, uuid, app):
    router = APIRouter()

    @router.get("/bare/{lift}")
    def bare(lift: Lift) -> Lift:
        return lift

    @router.get("/function/{lift}")
    def function(lift: Lift) -> Lift:
        return lift.load()

    @router.get("/coroutine/{lift}")
    async def coroutine(lift: Lift) -> Lift:
        return await lift.aload()

    app.include_router(router)
    assert ask("GET", f"/function/{uuid}").json() == shown(uuid)
    assert ask("GET", f"/coroutine/{uuid}").json() == shown(uuid)
    with pytest.raises(Exception, match=r"await record\.ato_dict\(\)"):
        ask("GET", f"/bare/{uuid}")


def test_only_fields_of_the_declared_class_are_sent(app, ask, connection):
    cargo = CargoLift.create(name="C")

    @app.get("/{lift}")
    def show(lift: CargoLift) -> Lift:
        return lift

    assert set(ask("GET", f"/{cargo.uuid}").json()) == {"uuid", "name", "place", "load_kg"}


def test_records_in_bodies_and_answers_of_pydantic_models(app, ask, uuid):
    @app.post("/")
    def check(building: Building) -> Building:
        assert all(type(lift) is Lift for lift in building.lifts)
        building.lifts[0].load()
        return building

    assert ask("POST", "/", json={"lifts": [uuid]}).json() == {"lifts": [shown(uuid)]}
    assert ask("POST", "/", json={"lifts": [5]}).status_code == 422


def test_what_is_no_record_is_answered_as_ever(app, ask, connection):
    @app.get("/")
    async def number() -> list[int]:
        return [1, 2]

    assert ask("GET", "/").json() == [1, 2]


def test_the_description_of_the_api(app, connection):
    @app.get("/{lift}")
    def show(lift: Lift) -> list[Lift]:
        raise AssertionError

    @app.put("/")
    def replace(building: Building) -> Building:
        raise AssertionError

    api = app.openapi()
    (parameter,) = api["paths"]["/{lift}"]["get"]["parameters"]
    assert parameter["schema"] == {"type": "string", "format": "uuid", "title": "Lift"}
    answer = api["paths"]["/{lift}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"]["items"] == {"$ref": "#/components/schemas/Lift"}
    lift = api["components"]["schemas"]["Lift"]
    assert lift["description"] == "A lift."
    assert lift["required"] == ["uuid", "name", "place", "load_kg"]
    assert lift["properties"]["place"]["anyOf"][0] == {"$ref": "#/components/schemas/Place"}
    # Who may see an Entry is nothing to publish.
    assert "x-ttorm" not in str(api)


def test_an_unsaved_record_is_no_answer(app, ask, connection):
    @app.get("/")
    def make() -> Lift:
        return Lift(name="A")

    with pytest.raises(Exception, match="was not saved yet"):
        ask("GET", "/")
    assert Lift.scan().count() == 0
