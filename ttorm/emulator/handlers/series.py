"""What bodies say about Timeseries tables that are to be written to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ttorm.api.names import TABLE_NAME
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_template
from ttorm.emulator.call import Call
from ttorm.emulator.tables import TIMESERIES, tables_of

__all__ = [
    "check_log",
    "check_series",
    "check_table_name",
    "read_log",
    "read_row_templates",
]

_TEMPLATES = ("measurement", "dimensions", "timestamp")


def check_table_name(name: str) -> str:
    """Return the name of a table (else 400589)."""
    if TABLE_NAME.fullmatch(name):
        return name
    raise Fault(
        400589,
        f"{name[:80]!r} is no name of a table: write 1 to 64 lower-case letters, digits and '_', "
        "not starting with a digit.",
    )


def read_row_templates(value: Any, where: str) -> dict[str, Any]:
    """Read the templates that make a row of a Timeseries table (400589 if they are none).

    Returns:
        ``measurement`` and ``timestamp``, which are templates, and ``dimensions``, which are
        templates by name; each only if it was said.
    """
    fields = check_mapping(value, where)
    check_fields(fields, _TEMPLATES, where=where)
    for name in ("measurement", "timestamp"):
        if name in fields:
            check_template(fields[name], f"the {name} of {where}")
    dimensions = check_mapping(fields.get("dimensions", {}), f"the dimensions of {where}")
    for name, template in dimensions.items():
        check_template(template, f"the dimension {name!r} of {where}")
    return {name: fields[name] for name in _TEMPLATES if name in fields}


def read_log(value: Any, where: str) -> dict[str, Any]:
    """Read tables that are to log something: templates of dimensions by table (else 400589)."""
    tables: dict[str, Any] = {}
    for name, templates in check_mapping(value, where).items():
        place = f"the table {check_table_name(name)!r} of {where}"
        check_fields(check_mapping(templates, place), ["dimensions"], where=place)
        tables[name] = read_row_templates(templates, place)
    return tables


def check_log(call: Call, tables: Iterable[str]) -> None:
    """Refuse to log without the Timeseries service (400979), or to unknown tables (404653)."""
    names = [*tables]
    if not names:
        return
    call.require_service("timeseries")
    known = tables_of(call.tx, TIMESERIES, call.account)
    for name in names:
        if name not in known:
            raise Fault(404653, f"There is no Timeseries table {name!r}.")


def check_series(call: Call, timeseries: Iterable[dict[str, Any] | None]) -> None:
    """Refuse Entries that name what does not exist, if the policy is to refuse them.

    Args:
        call: The request.
        timeseries: Templates by Timeseries table, as each Entry has them.

    Raises:
        Fault: The account has no Timeseries service (400979) or not such a table (404653), or
            the table has not such a dimension (400589).
    """
    named = [item for tables in timeseries if tables for item in tables.items()]
    if not named or call.policy.series_of_entries == "logged":
        return
    call.require_service("timeseries")
    known = tables_of(call.tx, TIMESERIES, call.account)
    for name, templates in named:
        if name not in known:
            raise Fault(404653, f"There is no Timeseries table {name!r}.")
        for dimension in templates.get("dimensions", ()):
            if dimension not in known[name].dimensions.names:
                raise Fault(400589, f"The table {name!r} has no dimension {dimension!r}.")
