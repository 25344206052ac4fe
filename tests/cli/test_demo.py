"""`ttorm demo`: the main job on real data, as often as one likes."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from click.testing import CliRunner
from rich.console import Console

import ttorm
import ttorm.cli.demo
from ttorm.api import names
from ttorm.cli.commands import ttorm as command
from ttorm.cli.demo.data import Data, read
from ttorm.cli.demo.load import load
from ttorm.cli.demo.models import Aircraft, Airline, Airport
from ttorm.cli.demo.plot import plot
from ttorm.emulator import Emulator
from ttorm.emulator.asgi import application
from ttorm.emulator.bootstrap import make_account


def demo(*options):
    result = CliRunner().invoke(command, ["demo", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path / 'demo.db'}"


# The data


def test_the_data_is_all_there():
    data = read()
    assert [len(part) for part in data] == [16, 1458, 3322, 3000]


def test_a_tenth_of_the_data_keeps_what_it_refers_to():
    data = read(quick=True)
    assert len(data.airlines) == 16
    assert len(data.aircraft) == 333
    assert len(data.temperatures) == 300
    codes = {row["faa"] for row in data.airports}
    assert {row["main_airport"] for row in data.aircraft} <= codes
    assert {faa for faa, _, _ in data.temperatures} <= codes


def test_every_key_can_be_an_identity():
    data = read()
    for kind, rows, key in (
        ("TAIL", data.aircraft, "tail_number"),
        ("FAA", data.airports, "faa"),
        ("CARRIER", data.airlines, "carrier"),
    ):
        keys = [names.check_identity(f"{kind}#{row[key]}") for row in rows]
        assert len(set(keys)) == len(keys)


def test_temperatures_are_in_order_and_whole_hours():
    hours = [hour for _, hour, _ in read().temperatures]
    assert hours == sorted(hours)
    assert all((hour.minute, hour.second, str(hour.tzinfo)) == (0, 0, "UTC") for hour in hours)


# The run


def test_the_second_run_finds_its_objects_and_writes_nothing(store, tmp_path):
    reports = [tmp_path / "1.json", tmp_path / "2.json"]
    outputs = [demo("--quick", "--store", store, "--report", str(report)) for report in reports]
    first, second = (json.loads(report.read_text()) for report in reports)
    assert first["requests"]["create_twin"] == 16 + 148 + 333
    assert first["writes"] == sum(
        count
        for name, count in first["requests"].items()
        if name.startswith(("create", "add", "upd"))
    )
    assert second["writes"] == 0
    assert not [name for name in second["requests"] if name.startswith(("create", "add", "update"))]
    for output in outputs:
        for words in (
            "PATCH /twins/",
            '"inspected"',
            "signal loaded: ledger",
            "second: N10156, 0 requests",
            "match: TWIN.year < 1970",
            "degrees Celsius, Newark Liberty Intl",
            "changes from 2013-11-19 07:00 to 2013-11-23 11:00",
            "of these, writes",
        ):
            assert words in output
    assert "signal changed: equipment" in outputs[0]
    assert "signal changed" not in outputs[1]


def test_without_a_store_it_keeps_one_among_the_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(ttorm.cli.demo, "user_cache_path", lambda *_args, **_options: tmp_path)
    monkeypatch.setattr(ttorm.cli.demo, "read", small)
    demo()
    assert (tmp_path / "demo.db").exists()


def test_a_store_that_cannot_be_opened_is_told_in_one_line(tmp_path):
    result = CliRunner().invoke(command, ["demo", "--store", "nonsense:x"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: 'nonsense:x' is no URL")


def test_the_history_has_the_hours_of_2013_and_references_show_the_last(store):
    demo("--quick", "--store", store)
    with ttorm.connect(store, default=False) as connection, ttorm.session(connection):
        data = read(quick=True)
        for faa in ("EWR", "JFK", "LGA"):
            measured = [(hour, celsius) for code, hour, celsius in data.temperatures if code == faa]
            airport = Airport.find(faa=faa)
            history = airport.ledger["temperature"].history()
            assert [(change.at, change.value) for change in history] == measured[::-1]
            flying = next(Aircraft.scan(Aircraft.main_airport == faa).__iter__())
            assert flying.ledger["outside"].value == measured[-1][1]


# Stopped and taken up again


def small(*, quick: bool = True) -> Data:
    data = read()
    codes = ("04G", "EWR", "JFK", "LGA")
    return Data(
        data.airlines[:1],
        [row for row in data.airports if row["faa"] in codes],
        data.aircraft[:2],
        data.temperatures[:6],
    )


class Stop(BaseException):
    """What pulling the plug looks like from inside."""


@contextmanager
def world(store, stop_after=None):
    with ttorm.connect(store, default=False) as connection:
        send, left = connection.transport.send, stop_after

        def counting(request):
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Stop
            return send(request)

        connection.transport.send = counting
        with ttorm.session(connection):
            yield connection


def load_small(store, stop_after=None):
    with world(store, stop_after) as connection:
        load(small(), lambda _title, items, _total: iter(items), connection.emulator.clock)
        return connection.requests


def content(store):
    """All of a store that the demonstration makes, without what differs from run to run."""
    found = []
    with world(store):
        for model in (Airline, Airport, Aircraft):
            for record in model.scan():
                entries = {name: record.ledger[name].value for name in record.ledger}
                temperature = (
                    [tuple(c) for c in record.ledger["temperature"].history()]
                    if "temperature" in entries
                    else []
                )
                found.append(
                    (dict(record.description), sorted(record.identities), entries, temperature)
                )
    return sorted(found, key=repr)


def test_stopped_after_any_request_the_next_run_ends_it_well(tmp_path):
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    requests = load_small(whole)
    expected = content(whole)
    assert len(expected) == 1 + 4 + 2
    for stop_after in range(requests):
        store = f"sqlite:///{tmp_path / f'{stop_after}.db'}"
        with pytest.raises(Stop):
            load_small(store, stop_after)
        load_small(store)
        assert content(store) == expected, f"stopped after {stop_after} requests"


# Over HTTP


def test_over_http_the_report_says_whose_times_these_are(monkeypatch):
    monkeypatch.setattr(ttorm.cli.demo, "read", small)
    with Emulator("memory:") as emulator:
        config = uvicorn.Config(application(emulator), port=0, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                thread.join(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            monkeypatch.setenv("TTORM_SECRET", make_account(emulator).secret)
            output = demo("--store", f"http://127.0.0.1:{port}")
        finally:
            server.should_exit = True
            thread.join()
    assert "over HTTP these times are the server's" in output


# The plot


def test_a_plot_has_its_extremes_at_its_edges():
    lines = plot(range(16), height=2)
    assert lines == ["15.0 ┤        ▁▂▃▄▅▆▇█", " 0.0 ┤▁▂▃▄▅▆▇█████████"]


def test_a_plot_of_many_values_fits_its_width():
    lines = plot([float(n % 50) for n in range(10_000)], width=60, height=5)
    assert len(lines) == 5
    assert max(map(len, lines)) <= 60 + len("-12.3 ┤")


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0]])
def test_a_plot_of_equal_values_is_a_line(values):
    assert plot(values, height=2)[-1].endswith("▁" * len(values))


def test_the_output_fits_a_narrow_terminal(store, monkeypatch, tmp_path):
    monkeypatch.setattr(ttorm.cli.demo, "read", small)
    with (tmp_path / "out.txt").open("w", encoding="utf-8") as file:
        console = Console(file=file, width=40)
        ttorm.cli.demo.run(store=store, report=None, quick=True, console=console)
    assert "requests" in (tmp_path / "out.txt").read_text(encoding="utf-8")
