"""Lines of the log, written so that whoever listens to them breaks nothing of what they tell."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["tell"]


def tell(log: logging.Logger, level: int, message: str, *values: object, **options: Any) -> None:
    """Write a line.

    What a filter or handler raises would take the place of an answer that has come: it is shown on
    standard error instead, as `logging` does with what fails in its own handlers.

    Args:
        log: The logger.
        level: The level, such as `logging.INFO`.
        message: The text, with places for values.
        *values: The values.
        **options: More that `logging.Logger.log` takes.
    """
    try:
        log.log(level, message, *values, stacklevel=2, **options)
    except Exception:  # noqa: BLE001 # it is the user's, and may raise anything
        if logging.raiseExceptions:
            import traceback

            traceback.print_exc()
