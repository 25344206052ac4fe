"""What is released, by whom, and with which packages it was tested."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RELEASE = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / ".ci/requirements.txt").read_text(encoding="utf-8")
TOOLS = (ROOT / ".ci/tools.txt").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE))


def wanted(extras):
    """Give the requirements of the project and some extras, and of the extras that they name."""
    optional = PROJECT["optional-dependencies"]
    seen, left = set(), list(extras)
    yield from map(Requirement, PROJECT["dependencies"])
    while left:
        extra = left.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in map(Requirement, optional[extra]):
            if requirement.name == "ttorm":
                left.extend(requirement.extras)
            else:
                yield requirement


def test_a_release_may_only_read_and_its_last_job_only_say_who_it_is():
    assert RELEASE["permissions"] == {}
    assert {name: job["permissions"] for name, job in RELEASE["jobs"].items()} == {
        "check": {"contents": "read"},
        "build": {"contents": "read"},
        "publish": {"id-token": "write"},
    }
    publishing = RELEASE["jobs"]["publish"]
    assert publishing["environment"]
    assert not any("run" in step or "checkout" in step["uses"] for step in publishing["steps"])


def test_a_release_has_no_password_and_no_cache():
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert not re.search(r"^\s+cache:", text, re.MULTILINE)
    for job in RELEASE["jobs"].values():
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_actions_are_pinned_by_the_hash_of_a_commit():
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    used = [
        step["uses"] for job in RELEASE["jobs"].values() for step in job["steps"] if "uses" in step
    ]
    assert len(used) >= 6
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        # Which version that is, readers and updating robots see behind it.
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.MULTILINE), action


def test_a_release_is_built_by_locked_tools():
    steps = [step.get("run", "") for step in RELEASE["jobs"]["build"]["steps"]]
    assert "python -m pip install --require-hashes -r .ci/tools.txt" in steps
    assert "python -m build --no-isolation" in steps
    tools = dict(re.findall(r"^([\w.-]+)==(\S+)", TOOLS, re.MULTILINE))
    backends = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    for requirement in map(Requirement, [*backends["requires"], "build", "pip-audit"]):
        assert requirement.specifier.contains(tools[requirement.name]), requirement


def test_an_sdist_has_what_its_tests_look_at():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/ttorm", "/tests", "/cassettes", "/docs", "/.ci", "/.github", "/*.md"} <= {*included}


# The audit

AUDIT = runpy.run_path(str(ROOT / ".ci/audit"))["verdict"]
CLEAN = {"name": "clean", "version": "1.0", "vulns": []}
FLAWED = {
    "name": "flawed",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}],
}
MISSED = {"name": "missed", "skip_reason": "Dependency not found on PyPI"}


def test_a_release_audits_strictly():
    steps = [step.get("run", "") for step in RELEASE["jobs"]["check"]["steps"]]
    assert ".ci/audit --strict" in steps


@pytest.mark.parametrize(
    ("packages", "code", "strict", "text"),
    [
        ([CLEAN], 0, 0, "1 packages looked up, 0 known vulnerabilities"),
        ([CLEAN, FLAWED], 1, 1, "flawed 2.0: PYSEC-1, mended in ['2.1']"),
        ([CLEAN, MISSED], 0, 1, "1 packages were NOT looked up"),
        ([MISSED, FLAWED], 1, 1, "1 packages were NOT looked up"),
        ([], 0, 1, "NOTHING was looked up: it is out of reach"),
    ],
)
def test_an_audit_tells_what_it_has_not_looked_up(packages, code, strict, text):
    said, ended = AUDIT(packages, "it is out of reach")
    assert text in said
    assert (ended, AUDIT(packages, strict=True)[1]) == (code, strict)


# The locks


def test_the_lock_has_what_the_tests_need_as_the_project_allows_it():
    for requirement in wanted(["test", "lint", "httpx2"]):
        version = LOCKED.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement}: make .ci/requirements.txt anew"
        assert requirement.specifier.contains(version), f"{requirement} but {version} is locked"


def test_a_locked_environment_takes_nothing_else():
    """Not to build the project either, nor for another Python than the locks are for."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    body = script.partition("locked_environment() {")[2].partition("\n}")[0]
    installs = re.findall(r'"\$\{install\[@\]\}" (.*)', body)
    assert len(installs) == 3
    for install in installs:
        assert install.startswith(("--require-hashes", "--no-deps --no-build-isolation")), install
    assert 'newer=$([ -n "${TTORM_LOCKED:-}" ] || newer_python)' in script


@pytest.mark.parametrize(("lock", "least"), [(LOCK, 50), (TOOLS, 15)], ids=["tests", "tools"])
def test_every_locked_package_has_hashes_and_no_address(lock, least):
    blocks = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE)) > least
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in lock
