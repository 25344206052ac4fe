"""mypy and pyright agree with users: right calls pass, mistakes are found where they are made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def mypy(file, tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--cache-dir", str(tmp_path), "--config-file", "", str(file)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    found = re.findall(r"errors\.py:(\d+): error|baseline\.py:(\d+): error", output)
    return {int(one or other) for one, other in found}, output


def pyright(file, tmp_path):
    (tmp_path / file.name).write_text(file.read_text())
    config = tmp_path / "pyrightconfig.json"
    config.write_text(
        json.dumps(
            {
                "include": [file.name],
                "typeCheckingMode": "strict",
                "reportUnusedExpression": False,
                "reportUnknownMemberType": False,
                "reportUnknownVariableType": False,
            }
        )
    )
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(config)]
    command += ["--pythonpath", sys.executable]
    output = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    problems = json.loads(output)["generalDiagnostics"]
    lines = {one["range"]["start"]["line"] + 1 for one in problems if one["severity"] == "error"}
    return lines, "\n".join(one["message"] for one in problems)


CHECKERS = [
    pytest.param(
        checker,
        id=checker.__name__,
        marks=pytest.mark.skipif(
            find_spec(checker.__name__) is None, reason=f"{checker.__name__} is not installed"
        ),
    )
    for checker in (mypy, pyright)
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKERS)
def test_right_calls_have_the_right_types(check, tmp_path):
    lines, output = check(HERE / "baseline.py", tmp_path)
    assert lines == set(), output


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKERS)
def test_mistakes_are_found(check, tmp_path):
    source = (HERE / "errors.py").read_text().splitlines()
    expected = {number for number, line in enumerate(source, 1) if "# error:" in line}
    assert len(expected) > 10
    lines, output = check(HERE / "errors.py", tmp_path)
    assert lines == expected, output
