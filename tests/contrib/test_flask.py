"""A session for each request of Flask."""

from __future__ import annotations

import os

import pytest
from canaries import Cage, texts_of_error
from flask import Flask, abort

import ttorm
from ttorm import ConfigurationError, Field, Twin, entry
from ttorm.connection import opening
from ttorm.contrib.flask import Ttorm

SECRET = os.urandom(12).hex()


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


@pytest.mark.parametrize("raised", [False, True])
def test_a_check_before_the_block_may_answer(connection, raised):
    app = Flask(__name__)

    @app.before_request
    def check():
        return abort(401) if raised else ("who are you?", 401)

    Ttorm(app)
    assert app.test_client().get("/").status_code == 401
    assert ttorm.sessions.open_block() is None


def test_a_request_within_a_request_has_a_block_of_its_own(app, ask, connection):
    pump, other = Pump.create(flow=1.0), Pump.create(flow=1.0)

    @app.get("/outer")
    def outer():
        Pump.at(pump.uuid).flow += 1
        return str(ask("/inner").status_code)

    @app.get("/inner")
    def inner():
        Pump.at(other.uuid).flow += 1
        return "no", 409

    assert ask("/outer").text == "409"
    assert (flow_of(pump), flow_of(other)) == (2.0, 1.0)
    assert ttorm.sessions.open_block() is None


def test_a_connection_that_is_refused_shows_no_secret():
    app = Flask(__name__)
    app.config.update(TTORM_URL="ftp://x", TTORM_SECRET=SECRET)
    with pytest.raises(ConfigurationError) as refused:
        Ttorm(app)
    for where, text in texts_of_error(refused.value):
        Cage(secret=SECRET).check(where, text)
