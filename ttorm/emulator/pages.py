"""Pages beside the API, which need no credential: is the server well, and what is its API?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from ttorm._version import __version__
from ttorm.api.http import HttpResponse
from ttorm.emulator.answers import json_answer
from ttorm.emulator.store import Store

__all__ = ["HEALTH", "OPENAPI", "Stored", "pages"]

HEALTH = "/_health"
"""Where monitors look."""
OPENAPI = "/openapi.json"
"""Where the description of the API is."""


class Stored(Protocol):
    """What has a store."""

    @property
    def store(self) -> Store:
        """The store."""
        ...


def pages(core: Stored) -> Mapping[str, Callable[[], HttpResponse]]:
    """Return what makes the pages, by path."""
    return {HEALTH: partial(_health, core), OPENAPI: _openapi}


def _health(core: Stored) -> HttpResponse:
    status, state = (200, "ok") if _answers(core.store) else (503, "unavailable")
    return json_answer(status, {"status": state, "store": state, "version": __version__})


def _answers(store: Store) -> bool:
    try:
        with store.transaction(write=False) as tx:
            return tx.row("SELECT 1 AS one") is not None
    except Exception:  # noqa: BLE001 - whatever it is, the store does not answer
        return False


def _openapi() -> HttpResponse:
    # The shapes of all operations are many, and most servers are never asked.
    from ttorm.emulator.openapi import description

    return json_answer(200, description())
