"""Timeseries tables that a model names in its ``class Meta``: which of its Entries feed them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ttorm.records.fields import FieldSpec
from ttorm.records.meta import Meta

__all__ = ["fed_fields"]


def fed_fields(model: Any, fields: Mapping[str, FieldSpec], meta: Meta) -> dict[str, FieldSpec]:
    """Return the fields of a model with the Timeseries tables that their Entries feed.

    Raises:
        TypeError: The model names a table that none of its Entries feeds.
    """
    found = dict(fields)
    for table in meta.timeseries:
        fed = False
        for attribute, spec in found.items():
            if spec.kind not in ("entry", "reference"):
                continue
            settings = table.__feed__(spec)
            if settings:
                fed = True
                found[attribute] = _feeding(spec, settings)
        if not fed and not meta.abstract:
            raise TypeError(
                f"{model.__name__} names the table {_name(table)} in Meta.timeseries, but no Entry "
                "of it is a measurement there: give field and measurement one name, or write "
                "entry(timeseries=...) with the column that the Entry feeds"
            )
    return found


def _feeding(spec: FieldSpec, settings: Mapping[str, Any]) -> FieldSpec:
    # The fields of base classes are shared with them.
    found = copy.copy(spec)
    declared: Mapping[str, Any] = found.options.get("timeseries") or {}
    found.options = {**found.options, "timeseries": {**settings, **declared}}
    return found


def _name(table: object) -> str:
    return str(getattr(table, "__name__", table))
