"""Makes docs/coverage.md: what stands behind each operation of the emulator.

Run it with ``python tests/support/coverage_page.py > docs/coverage.md``.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

from ttorm.api.operations import OPERATIONS, Operation
from ttorm.emulator.handlers import registered

__all__ = ["AREAS", "EMULATOR", "page"]

EMULATOR = Path(__file__).parents[1] / "emulator"
DRIVER = EMULATOR / "test_official_client.py"
MODEL = Path(__file__).parent / "platform_model.py"
# No page about them was found, or one that does not show the answer.
CLIENT_ONLY = {"get_users", "delete_user", "who_am_i", "download_doc"}
# For each area its tests, and its section of the differences.
AREAS = {
    "account": ("users", "accounts-and-access"),
    "users": ("users", "accounts-and-access"),
    "user_secrets": ("secrets", "accounts-and-access"),
    "user_token": ("secrets", "accounts-and-access"),
    "roles": ("roles access", "accounts-and-access"),
    "whoami": ("users", "accounts-and-access"),
    "usage": ("usage", "log-usage-trace"),
    "log": ("log", "log-usage-trace"),
    "trace": ("log", "log-usage-trace"),
    "twins": ("twins scan", "twins-ledgers-history"),
    "identities": ("identities", "identities"),
    "ledgers": (
        "entries ledgers conditions references includes ledger_size",
        "twins-ledgers-history",
    ),
    "history": ("history", "twins-ledgers-history"),
    "docs": ("docs", "docs"),
    "cache": ("uploads", "docs"),
    "stickers": ("stickers", "stickers"),
    "batches": ("batches batch_files batch_runs", "batches"),
    "databases": ("databases", "databases-timeseries-indexes"),
    "timeseries": ("timeseries timeseries_tables", "databases-timeseries-indexes"),
    "indexes": ("indexes indexes_tables", "databases-timeseries-indexes"),
    "notifications": ("notifications publishing deliveries", "notifications"),
}
NOTES = {
    "webhook_refresh_subscription": "status 200 as documented, 201 in the client",
    "webhook_unsubscribe": "status 200 as documented, 201 in the client; nested answer",
    "webhook_confirm_subscription": "nested answer as documented, flat in the client",
    "create_timeseries_table": "status 200 as in the client; its example is malformed",
    "create_twin_identity": "the client shows no answer; like that of Entries",
    "put_sticker": "the client shows no answer; like `get_sticker`",
    "list_stickers": "the client shows no answer; a list",
    "attach_twin_doc": "the client shows the request; what `get_twin_doc` shows besides",
    "get_stickers": "accounts once, twice in the client",
    "create_batch": "the format of files is the emulator's own",
    "download_doc": "the bytes, which the client shows as `{}`",
    "get_batches": "by UUID as documented; a placeholder in the client",
    "get_timeseries_tables": "names alone, as in the client",
    "get_indexes_tables": "names alone, as in the client",
    "update_user": "the whole user; four members in the client",
}
HEAD = """# Coverage

What stands behind each of the {count} operations of the emulator. This page is made by
`tests/support/coverage_page.py` from the table of operations and from the tests, which also
check that it is current.

| column | says |
| --- | --- |
| status | the HTTP status of success |
| built | whether the emulator does it: {built} of {count} |
| client | whether the platform's Python client gets the documented answer: {driven} of {count} |
| model | whether random requests are compared with a model of the platform: {modelled} |
| tests | the tests of its own, in `tests/emulator/test_*.py` |
| sources | what it was written from: the published documentation, or the client's interface alone |
| choices | where sources disagree or are silent, and where more is said about that |

The client calls over HTTP, blocking and asynchronous. The model has the Twins, Ledgers,
Identities and Stickers of several accounts. Besides, every operation is tested for what it refuses
(`test_refusals.py`), for its description (`test_openapi.py`) and by generated requests
(`test_schemathesis.py`).

**Nothing was compared with the service itself**: no account was at hand. What the sources leave
open is a choice, listed in [Differences from the service](differences.md).

## Operations

"""


def page() -> str:
    """Return the text of the page."""
    columns = "operation", "request", "status", "built", "client", "model", "tests", "sources"
    rows = [[*columns, "choices"], ["---"] * (len(columns) + 1)]
    rows += [row(operation) for operation in OPERATIONS.values()]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    counts = {
        "count": len(OPERATIONS),
        "built": len(built()),
        "driven": len(driven()),
        "modelled": len(modelled()),
    }
    return f"{HEAD.format(**counts)}{table}\n"


def row(operation: Operation) -> list[str]:
    name = operation.name
    tests, section = AREAS[operation.category]
    link = f"[{operation.category}](differences.md#{section})"
    return [
        f"`{name}`",
        f"`{operation.method} {operation.path}`",
        str(operation.success),
        yes(name in built()),
        yes(name in driven()),
        yes(name in modelled()),
        tests,
        "client" if name in CLIENT_ONLY else "documentation, client",
        f"{NOTES[name]}; {link}" if name in NOTES else link,
    ]


def yes(truth: bool) -> str:
    return "yes" if truth else "-"


@cache
def built() -> set[str]:
    return registered().keys() & OPERATIONS.keys()


@cache
def driven() -> set[str]:
    return set(re.findall(r'"(\w+)"', DRIVER.read_text(encoding="utf-8"))) & OPERATIONS.keys()


@cache
def modelled() -> set[str]:
    methods = re.findall(r"^    (?:def )?(\w+)(?:\(| = )", MODEL.read_text("utf-8"), re.MULTILINE)
    return set(methods) & OPERATIONS.keys()


if __name__ == "__main__":
    sys.stdout.write(page())
