"""Whether a role would permit a call: its statement and rules, looked at here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ttorm.api.answers import items
from ttorm.api.operations import OPERATIONS
from ttorm.flows import Flow
from ttorm.records.loading import load
from ttorm.records.matching import load_variables
from ttorm.records.state import PERSONAL, TwinState
from ttorm.records.statement import Permission, Rules, Statement

if TYPE_CHECKING:
    from ttorm.records.entry import Entry
    from ttorm.records.identity import Identity
    from ttorm.records.role import Role
    from ttorm.records.twin import Twin
    from ttorm.records.user import User

__all__ = ["Question", "permission"]

_AREAS = {"entry": ("ledgers", "history"), "identity": ("identities",)}
_OF_CALLER = frozenset({"account", "user", "role", "USER", "DICT", "ledger"})
_OF_ENTRY = {
    "entry_value": "value",
    "entry_created_ts": "entry_created_ts",
    "entry_updated_ts": "entry_updated_ts",
    "value_changed_ts": "value_changed_ts",
}


class Question(NamedTuple):
    """A call that is thought of: what it is about, who makes it, and with what dictionary."""

    twin: Twin | None
    entry: Entry | None
    identity: Identity | None
    user: User | None
    dictionary: Mapping[str, Any] | None

    def state(self, kind: str) -> TwinState | None:
        """Return the Twin whose rule of a kind can be evaluated; None when there is none."""
        given = getattr(self, kind)
        if kind == "twin":
            # An Entry or Identity is on a Twin as well.
            given = given or self.entry or self.identity
        state: TwinState | None = None if given is None else given._state
        return state


def permission(role: Role, name: str, question: Question) -> Flow[Permission]:
    """Look at the statement, then at the rules for which something is given."""
    operation = OPERATIONS.get(name)
    if operation is not None and not operation.credential:
        return _yes(f"{name} needs no credential: roles do not govern it")
    # Before it is saved, a role may have neither: then the platform's defaults hold.
    statement: Statement | None = role.statement
    rules: Rules | None = role.rules
    statement, rules = statement or Statement.deny(), rules or Rules()
    if not statement.allows(name):
        return _no(f"the statement does not permit {name}")
    if name == "refresh_user_token":
        return _yes("roles do not govern it", ["what the token's options allow"])
    unknown: list[str] = []
    for kind in _kinds(name, question):
        state = question.state(kind)
        rule: str | None = getattr(rules, kind)
        if state is None:
            if rule is not None:
                unknown.append(f"the {kind} rule, for which {kind}= is to be given")
            elif kind == "twin":
                unknown.append("whether the Twin belongs to the account: give twin=")
            continue
        gap = _gap(kind, rule, question)
        if gap is not None:
            unknown.append(gap)
            continue
        refused = yield from _refused(role, kind, rule, state, question)
        if refused is not None:
            return _no(refused, unknown)
    return _yes(f"the statement permits {name}", unknown)


def _yes(reason: str, unknown: Iterable[str] = ()) -> Permission:
    return Permission(allowed=True, reason=reason, unknown=tuple(unknown))


def _no(reason: str, unknown: Iterable[str] = ()) -> Permission:
    return Permission(allowed=False, reason=reason, unknown=tuple(unknown))


def _kinds(name: str, question: Question) -> Iterator[str]:
    """Give the kinds of rules that an operation is subject to."""
    operation = OPERATIONS.get(name)
    if question.state("twin") is not None or (operation and "{twin}" in operation.path):
        yield "twin"
    for kind, areas in _AREAS.items():
        if operation and operation.category in areas and operation.method != "POST":
            yield kind


def _gap(kind: str, rule: str | None, question: Question) -> str | None:
    """Tell what is missing to evaluate a rule; None when nothing is."""
    if kind == "entry" and question.entry is not None and question.entry._alias != PERSONAL:
        return "what another account shows of its Ledger"
    if rule is None:
        return None
    try:
        names = _compiled(rule).names
    except ImportError:
        return f"the {kind} rule, which the extra 'local' evaluates: pip install 'ttorm[local]'"
    except ValueError as error:
        return f"the {kind} rule, which cannot be read here: {error}"
    if question.user is None and not names.isdisjoint({"USER", "user"}):
        return f"the {kind} rule, which speaks of the user: give user="
    if question.dictionary is None and "DICT" in names:
        return f"the {kind} rule, which speaks of the request dictionary: give dictionary="
    return None


def _refused(
    role: Role, kind: str, rule: str | None, state: TwinState, question: Question
) -> Flow[str | None]:
    """Evaluate a rule; returns why it refuses, or None."""
    if rule is None:
        yield from load(state, ["description"])
        owner = (state.facts or {}).get("owner")
        if kind == "twin" and owner not in (None, role.account or owner):
            return "the role has no twin rule, and the Twin belongs to another account"
        return None
    compiled = _compiled(rule)
    values = yield from load_variables(state, compiled.names - _OF_CALLER)
    values |= {"account": role.account, "role": role.uuid, "DICT": question.dictionary}
    if question.user is not None:
        yield from question.user._load()
        values |= {"user": question.user.uuid, "USER": question.user.description}
    if kind == "identity" and question.identity is not None:
        values["identity"] = question.identity.text
    if kind == "entry" and question.entry is not None:
        yield from load(state, ["ledger"])
        values |= {"ledger": role.account, "entry_name": question.entry.name}
        entry = items({"entries": state.ledger.base}, "entries").get(question.entry.name, {})
        values |= {name: entry.get(member) for name, member in _OF_ENTRY.items()}
    known = {name: value for name, value in values.items() if value is not None}
    return None if compiled.verdict(known) else f"the {kind} rule does not hold: {rule}"


def _compiled(rule: str) -> Any:
    # The engine of the emulator, which takes a tenth of a second to import, reads rules as the
    # service does.
    from ttorm.emulator.rules import compile_rule

    return compile_rule(rule)
