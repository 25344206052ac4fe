"""Conditions and transactions: writes to Entries that happen only as long as something holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ttorm.emulator.access import condition_holds
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_mapping, check_rule
from ttorm.emulator.call import Call
from ttorm.emulator.handlers.entries import Outcome, check_entry_name
from ttorm.emulator.ledgers import Entries, values_of
from ttorm.emulator.rows import TwinRow

__all__ = ["Guard", "guarded", "read_guard"]


class Guard(NamedTuple):
    """What a body demands of a write.

    Attributes:
        conditions: Rules by the names of the Entries that they look at.
        transaction: Whether the write happens wholly or not at all.
    """

    conditions: dict[str, str]
    transaction: bool


def read_guard(body: Mapping[str, Any]) -> Guard:
    """Read ``conditions`` and ``transaction`` of a body."""
    conditions = body.get("conditions")
    conditions = {} if conditions is None else check_mapping(conditions, "conditions")
    for name, rule in conditions.items():
        check_rule(rule, f"the condition on Entry {check_entry_name(name)!r}")
    transaction = body.get("transaction")
    if transaction is not None and not isinstance(transaction, bool):
        raise Fault(400589, f"'transaction' is {transaction!r}: write true, false or null.")
    return Guard(conditions, bool(transaction))


def guarded(
    call: Call, twin: TwinRow, entries: Entries, outcomes: dict[str, Outcome], guard: Guard
) -> dict[str, Outcome]:
    """Take back the planned changes that the body's conditions do not admit.

    The conditions are about the Ledger as it is before the write. An Entry that is not there has
    nothing but its name.
    """
    ledger = values_of(entries)
    failed = {
        name
        for name, rule in guard.conditions.items()
        if not condition_holds(call, rule, twin, name, entries.get(name), ledger)
    }
    outcomes = {
        name: "Condition not met." if name in failed else outcome
        for name, outcome in outcomes.items()
    }
    refused = any(isinstance(outcome, str) for outcome in outcomes.values())
    if not guard.transaction or not (failed or refused):
        return outcomes
    return {
        name: outcome if isinstance(outcome, str) else "Transaction aborted."
        for name, outcome in outcomes.items()
    }
