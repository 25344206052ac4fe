"""What ``import ttorm`` brings along, and what it costs: each seen in a process of its own."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from statistics import median

import pytest

import ttorm

LATE = [
    *("httpx", "httpx2", "pydantic", "pydantic_core", "asyncio"),
    *("sqlite3", "rule_engine", "starlette", "uvicorn", "click", "rich", "django", "redis"),
    *("narwhals", "pandas", "polars", "opentelemetry"),
]
DEPENDENCIES = "httpx, pydantic, cachetools, blinker"


def python(code: str, read: str = "", **environment: str) -> str:
    """Run code in a process of its own, without coverage: that imports a good deal itself."""
    plain = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        input=read,
        env={**plain, **environment},
    )
    return done.stdout.strip()


def imported(code: str) -> set[str]:
    """Names of the modules that code imports."""
    found = python(f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))")
    return set(json.loads(found))


@pytest.fixture
def compiled(tmp_path):
    """An environment in which modules are compiled once, as they are where they are installed."""
    return {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}


def modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(ttorm.__path__, "ttorm.")]
    return [name for name in names if not name.endswith("__main__")]


def test_importing_ttorm_imports_no_extra_and_no_slow_library():
    assert not imported("import ttorm") & set(LATE)


@pytest.mark.parametrize(
    "use",
    [
        "import ttorm; ttorm.Twin",
        "from ttorm import *",
        "from ttorm.rules import TWIN; str(TWIN.kind == 'x')",
        "import ttorm\nclass Pump(ttorm.Twin): pressure: ttorm.Field[float] = ttorm.entry()",
        "import ttorm; ttorm.signals.created.connect(print)",
    ],
)
def test_using_its_names_imports_them_neither(use):
    """They come with the first connection, the first typed value and the first await."""
    assert not imported(use) & set(LATE)


def test_the_embedded_emulator_needs_no_http_library_no_event_loop_and_no_rule_engine():
    found = imported("import ttorm; ttorm.connect('memory:').call('create_twin')")
    assert not found & (set(LATE) - {"sqlite3", "pydantic_core"})


EACH_ALONE = """
import os, sys

modules = sys.stdin.read().split()

def alone(name):
    # What is in a package finds the package imported, and nothing beside it.
    child = os.fork()
    if not child:
        __import__(name)
        for inner in modules:
            if inner.rpartition(".")[0] == name:
                alone(inner)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name, flush=True)

alone("ttorm")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_every_module_imports_alone(compiled):
    """Whatever was imported before: no module counts on another one's imports."""
    assert python(EACH_ALONE, "\n".join(modules()), **compiled) == ""


@pytest.mark.slow
def test_importing_ttorm_costs_at_most_half_of_its_dependencies(compiled, record_property):
    """By medians of alternating runs, both sides compiled beforehand.

    `ttorm.Twin`, which a program asks for first, brings all that works without requests.
    """

    def cost(code: str) -> float:
        timed = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
        return float(python(timed.format(code), **compiled))

    codes = [f"import {DEPENDENCIES}", "import ttorm", "import ttorm; ttorm.Twin"]
    runs = [[cost(code) for code in codes] for _ in range(6)][1:]
    theirs, alone, used = (median(column) for column in zip(*runs, strict=True))
    record_property("import ratio", f"{alone / theirs:.2f} alone, {used / theirs:.2f} with Twin")
    assert alone <= 0.5 * theirs
    assert used < theirs
