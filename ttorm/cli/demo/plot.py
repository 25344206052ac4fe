"""A small plot for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["plot"]

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def plot(values: Sequence[float], width: int = 72, height: int = 6) -> list[str]:
    """Draw values as columns, the lowest at the bottom line and the highest at the top.

    Args:
        values: The values in order; neighbours are averaged when there are more than columns.
        width: Most columns.
        height: Lines, at least 2.

    Example:
        >>> for line in plot([1, 2, 3, 4], height=2):
        ...     print(line)
        4.0 ┤  ▃█
        1.0 ┤▁▆██
    """
    columns = _columns(values, width)
    low, high = min(columns), max(columns)
    steps = [1 + round((value - low) / (high - low or 1) * (8 * height - 1)) for value in columns]
    labels = [f"{high:.1f}", *[""] * (height - 2), f"{low:.1f}"]
    margin = max(map(len, labels))
    return [
        f"{label:>{margin}} ┤"
        + "".join(_EIGHTHS[max(0, min(8, step - 8 * level))] for step in steps)
        for label, level in zip(labels, reversed(range(height)), strict=True)
    ]


def _columns(values: Sequence[float], width: int) -> list[float]:
    count = min(width, len(values))
    edges = [len(values) * index // count for index in range(count + 1)]
    parts = [values[start:end] for start, end in pairwise(edges)]
    return [sum(part) / len(part) for part in parts]
