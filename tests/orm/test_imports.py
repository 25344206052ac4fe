from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["connection.opening", "connection.calls", "sessions", "records.twin", "signals", "emulator"],
)
def test_any_module_may_be_the_first_that_is_imported(module):
    command = [sys.executable, "-c", f"import ttorm.{module}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
