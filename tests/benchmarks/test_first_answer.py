"""The server is there soon after it was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_answer_comes_within_one_and_a_half_times_that_of_a_bare_server(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from first_answer import measure

    results = []
    while not results or (results[-1].ratio > 1.5 and len(results) < 3):
        # Whatever else the machine does may disturb one side more than the other, for a while.
        results.append(measure())
    assert results[-1].ratio <= 1.5, results


def test_serving_imports_nothing_before_it_is_needed():
    late = ["rule_engine", "httpx", "pydantic", "psycopg", "ttorm.emulator.guard", "ttorm.records"]
    late += ["ttorm.emulator.openapi", "ttorm.emulator.batchruns", "ttorm.emulator.deliveries"]
    late += ["ttorm.emulator.handlers.ledgers", "ttorm.emulator.columntypes"]
    program = (
        "import sys, ttorm.cli.commands, ttorm.cli.serve\n"
        "from ttorm.emulator import Emulator\n"
        "from ttorm.emulator.bootstrap import make_account\n"
        "with Emulator('memory:') as emulator: make_account(emulator)\n"
        f"print(*sorted(sys.modules.keys() & {set(late)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
