"""A world of secrets that the searches for them share."""

from __future__ import annotations

import pytest
from canaries import World


@pytest.fixture
def world(monkeypatch):
    for name in ("TTORM_URL", "TTORM_SECRET", "TTORM_TOKEN", "TTORM_PIN", "TTORM_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    world = World()
    monkeypatch.setattr("ttorm.connection.opening._default", world.connection)
    yield world
    world.emulator.close()
