"""What ttorm does with the objects, step by step, with the requests that each step takes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console

from ttorm import Connection, signals
from ttorm.cli.demo.models import Aircraft, Airport
from ttorm.cli.demo.plot import plot
from ttorm.cli.demo.report import Report

__all__ = ["show"]

_TAIL_NUMBER = "N10156"
_OLD = 1970


class Stage(NamedTuple):
    """Where the demonstration takes place."""

    console: Console
    report: Report
    connection: Connection

    @contextmanager
    def step(self, title: str, *code: str) -> Generator[None]:
        """Announce a step, and tell afterwards which requests it took."""
        self.console.print(f"\n[bold]{title}[/bold]")
        for line in code:
            self.say(line, "cyan")
        before = self.report.requests.copy()
        yield
        sent = self.report.requests - before
        told = ", ".join(f"{count} {name}" for name, count in sent.items()) or "none"
        self.say(f"requests: {told}", "dim")

    def say(self, text: object, style: str = "") -> None:
        """Print a result."""
        for line in str(text).splitlines():
            self.console.print(
                f"  {line}", style=style, highlight=False, markup=False, soft_wrap=True
            )


def show(console: Console, report: Report, connection: Connection) -> None:
    """Show it all."""
    stage = Stage(console, report, connection)
    aircraft = _find(stage)
    _read(stage, aircraft)
    _change(stage, aircraft)
    _cache(stage, aircraft)
    _scan(stage)
    airport = _reference(stage, aircraft)
    _history(stage, airport)


def _find(stage: Stage) -> Aircraft:
    with stage.step("Find by identity", f'aircraft = Aircraft.find(tail_number="{_TAIL_NUMBER}")'):
        aircraft = Aircraft.find(tail_number=_TAIL_NUMBER)
        stage.say(f"{aircraft}: {aircraft.manufacturer} {aircraft.model}, {aircraft.year}")
    return aircraft


def _read(stage: Stage, aircraft: Aircraft) -> None:
    def loaded(_sender: Any, *, part: str, **_extra: Any) -> None:
        stage.say(f"signal loaded: {part}")

    with (
        stage.step(
            "Read lazily: the first look at an Entry loads the Ledger", "aircraft.equipment"
        ),
        signals.loaded.connected_to(loaded, Aircraft),
    ):
        stage.say(aircraft.equipment)


def _change(stage: Stage, aircraft: Aircraft) -> None:
    def changed(_sender: Any, *, changes: dict[str, Any], **_extra: Any) -> None:
        for name, change in changes.items():
            stage.say(f"signal changed: {name}: {change}")

    engines = aircraft.equipment["engines"]
    done = engines.get("inspected", False)
    with (
        stage.step(
            "Change it deep inside, and send only that",
            f'aircraft.equipment["engines"]["inspected"] = {not done}',
            "print(aircraft.plan())",
        ),
        signals.changed.connected_to(changed, Aircraft),
    ):
        engines["inspected"] = not done
        stage.say(aircraft.plan())
        if done:
            stage.say("an earlier run saved this, so it stays: aircraft.discard()", "cyan")
            aircraft.discard()
        else:
            stage.say("aircraft.save()", "cyan")
            stage.say(aircraft.save())


def _cache(stage: Stage, aircraft: Aircraft) -> None:
    with stage.step("Ask twice: the second time the cache answers", "Aircraft.get(aircraft.uuid)"):
        for time in ("first", "second"):
            before = stage.report.requests.total()
            shown = Aircraft.get(aircraft.uuid)
            took = stage.report.requests.total() - before
            stage.say(f"{time}: {shown.code}, {took} requests")
        if stage.connection.cache is not None:
            stage.say(stage.connection.cache.statistics)


def _scan(stage: Stage) -> None:
    rule = Aircraft.year < _OLD
    with stage.step("Scan by rule: the service decides", f"Aircraft.scan(Aircraft.year < {_OLD})"):
        stage.say(f"match: {rule}")
        found = sorted(Aircraft.scan(rule), key=lambda aircraft: aircraft.year or 0)
        for aircraft in found[:5]:
            stage.say(f"{aircraft.code}: {aircraft.manufacturer} {aircraft.model}, {aircraft.year}")
        stage.say(f"{len(found)} found")


def _reference(stage: Stage, aircraft: Aircraft) -> Airport:
    with stage.step(
        "Read a reference: the temperature at the aircraft's main airport",
        'aircraft.ledger["outside"].value',
    ):
        airport = Airport.find(faa=aircraft.main_airport)
        outside = aircraft.ledger["outside"]
        stage.say(f"{outside.value} degrees Celsius, {airport.name}, {outside.ref}")
    return airport


def _history(stage: Stage, airport: Airport) -> None:
    with stage.step(
        f"Look back: the temperature at {airport.name}", 'airport.ledger["temperature"].history()'
    ):
        changes = list(airport.ledger["temperature"].history())[::-1]
        stage.say("\n".join(plot([change.value for change in changes])))
        first, last = changes[0].at, changes[-1].at
        stage.say(f"{len(changes):,} changes from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}")
        if stage.connection.emulator is None:
            stage.say("over HTTP these times are the server's: when the values were written")
