"""Settings of hypothesis.

Machines that build software are busy, so no example has a deadline; explaining failures traces
every line on Python 3.11, which takes minutes.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "ttorm",
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ttorm")
