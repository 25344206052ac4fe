"""Who asks: the line of the user's program that a request comes from."""

from __future__ import annotations

import sys
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import NamedTuple

__all__ = ["Line", "calling_line"]

_HERE = str(Path(__file__).parents[1])


class Line(NamedTuple):
    """A line of a program.

    Attributes:
        path: Its file.
        number: Its number, from 1.
    """

    path: str
    number: int

    def __str__(self) -> str:
        text = getline(self.path, self.number).strip()
        return f"{self.path}:{self.number}" + (f", `{text}`" if text else "")


def calling_line() -> Line | None:
    """Return the innermost line that is not ttorm's; None where tasks hide who started them."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_HERE) and not _is_machinery(path):
            return Line(path, frame.f_lineno)
        frame = frame.f_back
    return None


def _is_machinery(path: str) -> bool:
    """Tell whether a frame only passes calls on: generated code, event loops, threads."""
    return path.startswith("<frozen") or "/asyncio/" in path or path.endswith("/threading.py")
