"""An emulator whose requests are counted, as the default connection."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import signals
from ttorm.connection import opening


@pytest.fixture
def connection(monkeypatch):
    monkeypatch.setattr(opening, "_default", None)
    with ttorm.connect("memory:") as connection:
        yield connection


@pytest.fixture
def sent(connection):
    """The operations that were sent."""
    sent = []

    def note(sender, *, operation, **_):
        sent.append(operation)

    with signals.request_sent.connected_to(note, connection):
        yield sent
