"""What `ttorm demo` does: the flights from New York City of 2013, as objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import ttorm
from ttorm import ConfigurationError, Connection
from ttorm.cli.demo.data import read
from ttorm.cli.demo.load import load
from ttorm.cli.demo.report import Report
from ttorm.cli.demo.show import show

__all__ = ["run"]


def run(
    *, store: str | None, report: Path | None, quick: bool, console: Console | None = None
) -> None:
    """Load the data, show what can be done with it, and report what it cost.

    Args:
        store: URL of the store or service; None takes a file among the user's caches.
        report: File that also gets the report.
        quick: Take a tenth of the data.
        console: Where to print.

    Raises:
        TtormError: The store or service cannot be used.
    """
    if report is not None and not report.resolve().parent.is_dir():
        raise ConfigurationError(f"{report} cannot be written: its folder does not exist")
    console = console or Console()
    counted = Report()
    url = store or _own_store()
    with ttorm.connect(url, default=False) as connection, counted.counting(connection):
        # What was given may hold a password; what the connection tells does not.
        where = f"Flights from New York City in 2013, in {connection.url}"
        console.print(where, highlight=False, soft_wrap=True)
        with counted.part("load"), ttorm.session(connection), _progress(console) as progress:
            _load(connection, progress, quick=quick)
        if connection.cache is not None:
            # So that what is shown starts from nothing known, in a first run as in a later one.
            connection.cache.drop()
        with counted.part("show"), ttorm.session(connection):
            show(console, counted, connection)
    console.print()
    console.print(counted.table())
    if report is not None:
        counted.write(report)


def _load(connection: Connection, progress: Progress, *, quick: bool) -> None:
    def track(title: str, items: Iterable[Any], total: int) -> Iterator[Any]:
        return iter(progress.track(items, total, description=title))

    emulator = connection.emulator
    load(read(quick=quick), track, None if emulator is None else emulator.clock)


def _own_store() -> str:
    folder = user_cache_path("ttorm", ensure_exists=True)
    return f"sqlite:///{folder / 'demo.db'}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
