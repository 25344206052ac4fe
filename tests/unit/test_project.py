"""Promises of the project as a whole: imports, public names, layout, dependencies."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import ttorm

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


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
    def seconds():
        start = perf_counter()
        command = [sys.executable, "-m", "ttorm", "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ttorm.__version__ in done.stdout
        return perf_counter() - start

    # Machines are busy at times: one quick run of several is enough.
    assert any(seconds() < 2 for _ in range(5))
