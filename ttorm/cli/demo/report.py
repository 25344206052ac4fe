"""What the demonstration cost: requests by operation, and seconds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.table import Table

from ttorm import Connection, signals
from ttorm.api.operations import OPERATIONS, Repeat

__all__ = ["Report"]


class Report:
    """Counts the requests of a connection, and the seconds of each part of the work."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.parts: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds of all parts."""
        return sum(self.parts.values())

    @property
    def writes(self) -> int:
        """Requests that change something."""
        return sum(
            count
            for name, count in self.requests.items()
            if OPERATIONS[name].repeat is not Repeat.SAFE
        )

    @contextmanager
    def counting(self, connection: Connection) -> Generator[None]:
        """Count every request of a connection that is answered meanwhile."""
        with signals.request_sent.connected_to(self._count, connection):
            yield

    def _count(self, _sender: Any, *, operation: str, **_extra: Any) -> None:
        self.requests[operation] += 1

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        """Take the time of a part."""
        start = perf_counter()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + perf_counter() - start

    def table(self) -> Table:
        """Draw it."""
        table = Table(title="Requests by operation", title_justify="left")
        table.add_column("operation")
        table.add_column("requests", justify="right")
        for name, count in sorted(self.requests.items()):
            table.add_row(name, f"{count:,}")
        table.add_section()
        table.add_row("all", f"{self.requests.total():,}", style="bold")
        table.add_row("of these, writes", f"{self.writes:,}", style="bold")
        for name, seconds in self.parts.items():
            table.add_row(f"seconds: {name}", f"{seconds:.2f}")
        table.add_row("seconds", f"{self.seconds:.2f}", style="bold")
        return table

    def write(self, target: Path) -> None:
        """Write it as JSON."""
        content = {
            "seconds": round(self.seconds, 3),
            "requests": dict(sorted(self.requests.items())),
            "writes": self.writes,
        }
        target.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
