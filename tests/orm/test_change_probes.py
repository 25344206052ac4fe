"""The probes that ttorm is compared with its peers by: each change is noticed, and only changes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import ttorm
from ttorm import Field, Twin, entry

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
try:
    import change_probe
    from change_probe import PROBES, Hands, Subject, row, values
finally:
    del sys.path[0]


class Probed(Twin):
    num: Field[int] = entry()
    lst: Field[list[int]] = entry()
    dct: Field[dict[str, Any]] = entry()
    lod: Field[list[dict[str, Any]]] = entry()


FIELDS = Hands()
ENTRIES = Hands(
    lambda record, name: record.ledger[name].value,
    lambda record, name, value: record.ledger.__setitem__(name, value),
)


def test_there_are_fourteen_probes():
    assert len({probe.name for probe in PROBES}) == len(PROBES) == 14
    assert sum(not probe.changes for probe in PROBES) == 2


@pytest.mark.parametrize("hands", [FIELDS, ENTRIES], ids=["fields", "entries"])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
async def test_a_record_that_was_read(do, connection, others, sent, probe, hands):
    uuid = (await do(Probed, "create", **values())).uuid
    async with do.block(ttorm.session()):
        record = await do(await do(Probed, "get", uuid, fresh=True), "load")
        sent.clear()
        probe.act(hands, record)
        assert ttorm.inspect(record).is_modified is probe.changes
        result = await do(record, "save")
    changed = [f"PATCH /twins/{uuid}/ledgers/personal/value"] if probe.changes else []
    assert sent.lines() == changed
    assert result.requests == len(changed)
    stored = others.call("get_twin_ledger_entry", uuid, "personal")["entries"]
    assert ({name: stored[name]["value"] for name in values()} != values()) is probe.changes


def test_the_table_of_ttorm_is_right(monkeypatch, capsys, connection):
    libraries = {
        "ttorm": change_probe.LIBRARIES["ttorm"],
        "absent": lambda: importlib.import_module("no_such_library"),
    }
    monkeypatch.setattr(change_probe, "LIBRARIES", libraries)
    assert change_probe.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("| 14 |") for line in lines[2:4]] == [True, True]
    assert lines[-1] == "Not installed: absent."


def test_the_table_counts_what_is_right():
    blind = Subject("blind", "ttorm", dict, lambda record: False, Hands(dict.get, dict.__setitem__))
    text, right = row(blind)
    assert right == 2  # the two probes that change nothing
    assert text.count("**`") == 11  # what an empty dictionary has no methods for
    assert text.count("| **no** ") == 1
    assert text.endswith("| 2 |")
