"""What is released, by whom, and with which packages it was tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RELEASE = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / ".ci/requirements.txt").read_text(encoding="utf-8")
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
    assert RELEASE["permissions"] == {"contents": "read"}
    asked = {
        name: job["permissions"] for name, job in RELEASE["jobs"].items() if "permissions" in job
    }
    assert asked == {"publish": {"id-token": "write"}}
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


def test_the_lock_has_what_the_tests_need_as_the_project_allows_it():
    for requirement in wanted(["test", "lint"]):
        version = LOCKED.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement}: make .ci/requirements.txt anew"
        assert requirement.specifier.contains(version), f"{requirement} but {version} is locked"


def test_every_locked_package_has_hashes_and_no_address():
    blocks = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(LOCKED) > 50
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK
