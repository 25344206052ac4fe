"""The command line itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import ttorm.cli


def run(*arguments):
    command = [sys.executable, "-m", "ttorm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_help_tells_the_commands():
    done = run("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "serve" in done.stdout


@pytest.mark.parametrize(
    "option", ["--host", "--port", "--store", "--accounts", "--credentials", "--new-secret"]
)
def test_serve_has_its_options(option):
    assert option in run("serve", "--help").stdout


@pytest.mark.parametrize("option", ["--quick", "--store", "--report"])
def test_demo_has_its_options(option):
    assert option in run("demo", "--help").stdout


@pytest.mark.parametrize("command", [["serve"], ["listen", "--topic", "battery-low"]])
def test_a_port_that_is_none(command):
    done = run(*command, "--port", "99999")
    assert done.returncode == 2
    assert "'--port': 99999 is not in the range" in done.stderr


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ttorm.cli.commands", None)
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "ttorm.cli.commands")
    with pytest.raises(SystemExit, match=r'needs click: .*"ttorm\[cli\]"'):
        ttorm.cli.main()


@pytest.mark.parametrize(
    ("command", "module", "extra"), [("serve", "uvicorn", "serve"), ("demo", "rich", "demo")]
)
def test_a_command_names_the_extra_it_misses(command, module, extra):
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['ttorm', {command!r}];"
        "from ttorm.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f'this needs {module}: python -m pip install "ttorm[{extra}]"' in done.stderr


def test_options_are_read_without_importing_what_a_command_needs():
    code = (
        "import sys, ttorm.cli.commands;"
        "print([m for m in ('uvicorn', 'starlette', 'rich', 'sqlite3', 'httpx', 'pydantic')"
        " if m in sys.modules])"
    )
    # Coverage imports some of them itself.
    plain = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain
    )
    assert done.stdout.strip() == "[]"


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    report = tmp_path / "missing" / "report.json"
    done = run("demo", "--quick", "--store", "memory:", "--report", str(report))
    assert (done.returncode, done.stdout) == (1, "")
    assert "its folder does not exist" in done.stderr
