"""A session for each request of Flask."""

from __future__ import annotations

import pytest
from flask import Flask

import ttorm
from ttorm import Field, Twin, entry
from ttorm.connection import opening
from ttorm.contrib.flask import Ttorm


class Pump(Twin):
    flow: Field[float] = entry(default=0.0)


@pytest.fixture
def app(connection):
    app = Flask(__name__)
    Ttorm(app)
    return app


@pytest.fixture
def ask(app):
    return app.test_client().get


def flow_of(pump):
    return Pump.get(pump.uuid).ledger.refresh()["flow"].value


def test_what_a_view_changes_is_saved(app, ask, connection):
    pump = Pump.create(flow=1.0)

    @app.get("/")
    def change():
        Pump.at(pump.uuid).flow += 1
        return "done"

    assert ask("/").status_code == 200
    assert flow_of(pump) == 2.0


def test_an_error_answer_forgets_the_changes(app, ask, connection, sent):
    pump = Pump.create(flow=1.0)
    sent.clear()

    @app.get("/")
    def change():
        Pump.at(pump.uuid).flow = 2.0
        return "no", 409

    assert ask("/").status_code == 409
    assert sent == []


def test_an_exception_forgets_the_changes(app, ask, connection, sent):
    pump = Pump.create(flow=1.0)
    sent.clear()

    @app.get("/")
    def change():
        Pump.at(pump.uuid).flow = 2.0
        raise RuntimeError("a bug")

    assert ask("/").status_code == 500
    assert sent == []
    assert ttorm.sessions.open_block() is None


def test_a_save_that_fails_is_an_error_of_the_request(app, ask, connection):
    pump = Pump.create(flow=1.0)

    @app.get("/")
    def change():
        Pump.at(pump.uuid).ledger["x"] = "y" * 70_000
        return "done"

    assert ask("/").status_code == 500
    assert ttorm.sessions.open_block() is None


def test_it_connects_as_configured(monkeypatch):
    monkeypatch.setattr(opening, "_default", None)
    app = Flask(__name__)
    app.config.update(TTORM_URL="memory:", TTORM_BUDGET=1)
    extension = Ttorm()
    extension.init_app(app)
    assert app.extensions["ttorm"] is extension
    pump = Pump.create()

    @app.get("/<int:times>")
    def look(times):
        return [Pump.get(pump.uuid, fresh=True).status for _ in range(times)]

    client = app.test_client()
    assert [client.get(f"/{times}").status_code for times in (1, 1, 2)] == [200, 200, 500]
    ttorm.default_connection().close()


def test_a_missing_page_is_no_error(app, ask, connection):
    assert ask("/nothing").status_code == 404
    assert ttorm.sessions.open_block() is None
