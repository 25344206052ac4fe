"""Both type checkers, in their strict modes, on what users write."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BASELINE, ERRORS = HERE / "baseline.py", HERE / "errors.py"


def mypy(*files, cache):
    """Return the messages of mypy: ``[(file, line, text)]``."""
    options = ["--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, "--hide-error-context", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+)(?::\d+)?: error: (.*)$", done.stdout, re.MULTILINE)
    return [(Path(file).name, int(line), text) for file, line, text in found]


def pyright(*files, cache):
    """Return the messages of pyright: ``[(file, line, text)]``."""
    options = ["--outputjson", "--pythonpath", sys.executable]
    command = [sys.executable, "-m", "pyright", *options, *map(str, files)]
    # Away from the project's settings: the files ask for the strict mode themselves.
    done = subprocess.run(command, capture_output=True, text=True, cwd=cache)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return [
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    ]


pytestmark = pytest.mark.timeout(600)  # a whole run of a checker, on a machine that may be busy
CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def messages(request, tmp_path_factory):
    """What a checker says of both files."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: it comes with the extra 'lint'")
    cache = tmp_path_factory.mktemp(request.param)
    return CHECKERS[request.param](BASELINE, ERRORS, cache=cache)


def test_what_is_right_passes_with_the_right_types(messages):
    assert [message for message in messages if message[0] == BASELINE.name] == []


def test_every_mistake_is_found_and_nothing_else(messages):
    lines = ERRORS.read_text().splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    found = {line: text for file, line, text in messages if file == ERRORS.name}
    missed = {number: lines[number - 1] for number in expected - found.keys()}
    extra = {number: found[number] for number in found.keys() - expected}
    assert not missed
    assert not extra


def test_the_baseline_tries_every_public_call():
    """A verb that is added needs its line."""
    import ttorm

    text = BASELINE.read_text()
    classes = [
        ttorm.Twin,
        ttorm.Ledger,
        ttorm.Entry,
        ttorm.Identity,
        ttorm.Doc,
        ttorm.Scan,
        ttorm.History,
        ttorm.Timeline,
        ttorm.Batch,
        ttorm.BatchResults,
        ttorm.Log,
        ttorm.Sticker,
        ttorm.Usage,
    ]
    for cls in [*classes, ttorm.Connection, ttorm.Session, ttorm.Inspection]:
        inner = {
            "run",
            "arun",
            "run_beside",
            "bind",
            "scope",
            "may_block",
            "hold",
            "release",
            "is_open",
        }
        inner |= {"known_account", "learn_account", "strain", "swap", "check_home"}
        own = [base for base in cls.__mro__ if base.__module__.startswith("ttorm")]
        for name in {name for base in own for name in vars(base)} - inner:
            if not name.startswith("_"):
                assert re.search(rf"\.{name}\b", text), f"{cls.__name__}.{name}"
