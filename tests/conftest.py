"""What holds for all tests."""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, Phase, settings

# Machines that build software are busy, so no example has a deadline; explaining failures traces
# every line on Python 3.11, which takes minutes.
settings.register_profile(
    "ttorm",
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ttorm")


def pytest_collection_modifyitems(config, items):
    """Leave out the runs of full length, unless `-m` speaks of them."""
    if "full" in config.option.markexpr:
        return
    full = [item for item in items if item.get_closest_marker("full")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_collection_finish(session):
    """Keep the garbage collector from what lives to the end: modules, and thousands of tests."""
    gc.collect()
    gc.freeze()
