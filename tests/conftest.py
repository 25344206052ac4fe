"""What holds for all tests."""

from __future__ import annotations


def pytest_collection_modifyitems(config, items):
    """Leave out the runs of full length, unless `-m` speaks of them."""
    if "full" in config.option.markexpr:
        return
    full = [item for item in items if item.get_closest_marker("full")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
