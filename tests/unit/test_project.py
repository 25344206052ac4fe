"""Promises of the project as a whole: imports, public names, layout, dependencies."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import pytest

import ttorm

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LATE = ["sqlite3", "rule_engine", "starlette", "uvicorn", "click", "rich", "django", "redis"]


def python(code: str, **environment: str) -> str:
    """Run code in a process of its own, without coverage: that imports a good deal itself."""
    plain = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**plain, **environment},
    )
    return done.stdout.strip()


def modules() -> list[str]:
    names = [m.name for m in pkgutil.walk_packages(ttorm.__path__, "ttorm.")]
    return [name for name in names if not name.endswith("__main__")]


def test_the_version_is_written_once():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert ttorm.__version__ == version("ttorm")


def test_the_core_needs_four_packages():
    names = {re.match(r"[a-z0-9_-]+", need)[0] for need in PROJECT["project"]["dependencies"]}
    assert names == {"httpx", "pydantic", "cachetools", "blinker"}


def test_the_package_is_typed():
    assert (ROOT / "ttorm" / "py.typed").exists()


def test_every_ignored_lint_rule_says_why():
    text = (ROOT / "pyproject.toml").read_text()
    rules = re.findall(r'^    "[A-Z]+[0-9]*",(.*)$', text, re.MULTILINE)
    assert rules
    assert all(re.match(r"\s+# \S+", rest) for rest in rules)


@pytest.mark.parametrize("module", [*LATE, "httpx", "httpx2", "pydantic", "asyncio.runners"])
def test_importing_ttorm_imports_neither_extras_nor_slow_libraries(module):
    code = f"import sys, ttorm; ttorm.Twin; print({module!r} in sys.modules)"
    assert python(code) == "False"


def test_importing_ttorm_costs_at_most_half_of_its_dependencies(tmp_path):
    """Each measured in a fresh process with compiled modules, the best of several runs."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}

    def cost(names: str) -> float:
        return min(float(python(code.format(names), **compiled)) for _ in range(6))

    assert cost("ttorm") <= 0.5 * cost("httpx, pydantic, cachetools, blinker")


@pytest.mark.parametrize("name", modules())
def test_every_module_imports_alone(name):
    assert python(f"import {name}; print('fine')") == "fine"


def test_all_names_exactly_the_public_members():
    public = {
        name
        for name, member in vars(ttorm).items()
        if not name.startswith("_") and getattr(member, "__module__", None) == "ttorm"
    }
    modules = {name for name in ttorm.__all__ if inspect.ismodule(getattr(ttorm, name))}
    assert set(ttorm.__all__) == public | modules | {"__version__"}


def test_public_names_say_that_they_are_ttorms():
    for name in ttorm.__all__:
        member = getattr(ttorm, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert member.__module__ == "ttorm", name


def test_modules_are_short_enough_to_read():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "ttorm").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 700
    }
    assert not long


def test_every_module_says_what_it_is_for():
    for name in modules():
        assert importlib.import_module(name).__doc__, name


def test_version_is_told_quickly():
    start = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ttorm.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert ttorm.__version__ in done.stdout
    assert perf_counter() - start < 2
