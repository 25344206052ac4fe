"""Who is calling, and what that user may do and see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ttorm.api import codec
from ttorm.api.operations import Operation
from ttorm.emulator.answers import Fault
from ttorm.emulator.ledgers import stored_ledger, values_of
from ttorm.emulator.rows import EntryRow, IdentityRow, TwinRow, from_json
from ttorm.emulator.rules import RuleError, compile_rule
from ttorm.emulator.store import Row, Transaction
from ttorm.emulator.variables import of_caller, of_entry, of_twin

if TYPE_CHECKING:
    from ttorm.emulator.call import Call
    from ttorm.emulator.core import Emulator

__all__ = [
    "Principal",
    "RoleRules",
    "Statement",
    "Who",
    "account_sees_entry",
    "authenticate",
    "authorize",
    "condition_holds",
    "entry_allowed",
    "find_principal",
    "identity_allowed",
    "matches",
    "permits",
    "twin_allowed",
]

_USER = (
    "SELECT u.uuid, u.account, u.role, u.description, r.statement, r.rules "
    "FROM users u LEFT JOIN roles r ON r.uuid = u.role WHERE u.uuid = ?"
)
_BY_HASH = "SELECT * FROM secrets WHERE hash = ?"
_BY_UUID = "SELECT validity_ts FROM secrets WHERE uuid = ?"


class Statement(NamedTuple):
    """Which operations a role permits.

    Attributes:
        effect: Whether the listed actions are all that is allowed, or all that is denied.
        actions: The listed operations; None lists nothing.
    """

    effect: Literal["allow", "deny"]
    actions: frozenset[str] | None


class RoleRules(NamedTuple):
    """The access rules of a role; None leaves it to the policy for null rules."""

    twin: str | None
    entry: str | None
    identity: str | None


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation.

    Attributes:
        account: UUID of the user's account.
        user: UUID of the user.
        role: UUID of the user's role, which may be deleted.
        statement: Which operations the role permits; None when the role is deleted.
        rules: The role's access rules.
        description: The user's description, which rules call ``USER``.
        credential: How the user is known; ``local`` is the door of the same process.
        secret: UUID of the secret that the user has, or that the token stems from.
        dictionary: The token's ``secret_dict``.
        options: What the token may do about tokens.
        validity_ts: When the credential expires; None for never.
    """

    account: str
    user: str
    role: str
    statement: Statement | None
    rules: RoleRules
    description: dict[str, Any] | None
    credential: Literal["local", "secret", "token"] = "local"
    secret: str | None = None
    dictionary: dict[str, Any] | None = None
    options: frozenset[str] = frozenset()
    validity_ts: float | None = None


Who: TypeAlias = Callable[[Transaction, float], Principal]
"""Finds out, in a transaction and at a time, who calls."""


def authenticate(
    world: Emulator, tx: Transaction, now: float, header: str | None, user: str | None
) -> Principal:
    """Find out who calls.

    Args:
        world: The emulator.
        tx: A transaction.
        now: The time of the request.
        header: The value of ``Authorization``.
        user: UUID of a user who needs no credential; takes the place of the header, unless that
            has a token, which is somebody's in particular.

    Raises:
        Fault: Nobody is known by that credential (401000).
    """
    is_token = header is not None and header.count(".") == 2
    if user is not None and not is_token:
        return find_principal(tx, user, "local")
    if not header:
        raise Fault(401000, "This needs a user secret or token in the Authorization header.")
    if is_token:
        return _by_token(world, tx, now, header)
    return _by_secret(world, tx, now, header)


def _by_secret(world: Emulator, tx: Transaction, now: float, secret: str) -> Principal:
    row = tx.row(_BY_HASH, world.vault.hash(secret))
    if row is None or not world.vault.holds(secret, row["hash"]) or _over(row["validity_ts"], now):
        raise _unknown()
    return find_principal(
        tx, row["owner"], "secret", secret=row["uuid"], validity_ts=row["validity_ts"]
    )


def _by_token(world: Emulator, tx: Transaction, now: float, token: str) -> Principal:
    claims = world.vault.read(token)
    if claims is None or _over(claims.get("exp"), now):
        raise _unknown()
    if world.policy.tokens_need_secret and claims["sec"] is not None:
        row = tx.row(_BY_UUID, claims["sec"])
        if row is None or _over(row["validity_ts"], now):
            raise _unknown()
    return find_principal(
        tx,
        claims["usr"],
        "token",
        secret=claims["sec"],
        dictionary=claims["dct"],
        options=frozenset(claims["opt"] or ()),
        validity_ts=claims.get("exp"),
    )


def _over(validity_ts: float | None, now: float) -> bool:
    return validity_ts is not None and now >= validity_ts


def _unknown() -> Fault:
    return Fault(401000, "The user secret or token is unknown, expired or deleted.")


def find_principal(
    tx: Transaction, user: str, credential: Literal["local", "secret", "token"], **more: Any
) -> Principal:
    """Read who a user is and what the role permits at this moment.

    Args:
        tx: A transaction.
        user: UUID of the user.
        credential: How the user is known.
        more: What else is known, by the attributes of `Principal`.

    Raises:
        Fault: There is no such user any more (401000).
    """
    row = tx.row(_USER, user)
    if row is None:
        raise _unknown()
    return Principal(
        row["account"],
        row["uuid"],
        row["role"],
        None if row["statement"] is None else read_statement(row["statement"]),
        _NO_RULES if row["rules"] is None else _read_rules(row["rules"]),
        _description(row),
        credential,
        **more,
    )


_NO_RULES = RoleRules(None, None, None)


def _description(row: Row) -> dict[str, Any] | None:
    text = row["description"]
    return None if text is None else from_json(text)


@lru_cache(maxsize=1_024)
def read_statement(text: str) -> Statement:
    """Decode a role's stored statement."""
    fields = codec.decode(text.encode())
    actions = fields["actions"]
    return Statement(fields["effect"], None if actions is None else frozenset(actions))


@lru_cache(maxsize=1_024)
def _read_rules(text: str) -> RoleRules:
    fields = codec.decode(text.encode())
    return RoleRules(fields["twin_rule"], fields["entry_rule"], fields["identity_rule"])


def permits(statement: Statement, operation: str) -> bool:
    """Tell whether a role's statement permits an operation.

    Example:
        >>> permits(Statement("deny", None), "get_twin")
        True
        >>> permits(Statement("allow", frozenset({"get_twin"})), "create_twin")
        False
    """
    listed = operation in (statement.actions or ())
    return listed if statement.effect == "allow" else not listed


def authorize(principal: Principal, operation: Operation) -> None:
    """Refuse an operation that the caller's role, or token, does not permit (403535)."""
    if principal.statement is None:
        raise Fault(403535, "The user's role does not exist any more.")
    name = operation.name
    if name in _TOKEN_OPTIONS and principal.credential == "token":
        if _TOKEN_OPTIONS[name] not in principal.options:
            raise Fault(403535, f"The token lacks the option {_TOKEN_OPTIONS[name]!r}.")
    elif name != "refresh_user_token" and not permits(principal.statement, name):
        raise Fault(403535, "Operation not allowed by the user's role.")


_TOKEN_OPTIONS = {"create_user_token": "create", "refresh_user_token": "refresh"}


def twin_allowed(call: Call, twin: TwinRow) -> bool:
    """Tell whether the caller's role lets the user work with a Twin."""
    rule = call.principal.rules.twin
    if rule is None:
        return _null_rule(call, twin.owner)
    return _holds(call, rule, of_caller(call) | of_twin(twin), _own_ledger(call, twin))


def entry_allowed(call: Call, twin: TwinRow, entry: EntryRow, ledger: Mapping[str, Any]) -> bool:
    """Tell whether the caller may see an Entry: by the role's rule and by its visibility.

    Args:
        call: The request.
        twin: The Twin that the Entry is on.
        entry: The Entry.
        ledger: Values of the whole Ledger that holds it, visible or not.
    """
    rule = call.principal.rules.entry
    foreign = entry.account != call.account
    if foreign and entry.visibility is None:
        return False
    if rule is None and not (foreign and _null_rule(call, entry.account)):
        return not foreign
    variables = of_caller(call) | of_twin(twin) | of_entry(entry.account, entry.name, entry)
    return all(
        _holds(call, text, variables, lambda: ledger)
        for text in (rule, entry.visibility if foreign else None)
        if text is not None
    )


def identity_allowed(call: Call, twin: TwinRow, identity: IdentityRow) -> bool:
    """Tell whether the caller may see an Identity: by the role's rule and by its visibility."""
    rule = call.principal.rules.identity
    variables = of_caller(call) | of_twin(twin)
    if rule is None:
        allowed = _null_rule(call, identity.account)
    else:
        named = variables | {"identity": identity.identity}
        allowed = _holds(call, rule, named, _own_ledger(call, twin))
    if not allowed or identity.account == call.account:
        return allowed
    if identity.visibility is None:
        return False
    owned = _ledger(call, twin.uuid, identity.account)
    return _holds(call, identity.visibility, variables, owned)


def account_sees_entry(
    call: Call, account: str, twin: TwinRow, entry: EntryRow, ledger: Mapping[str, Any]
) -> bool:
    """Tell whether an account's references may copy an Entry.

    No user reads here, so that ``USER``, ``DICT``, ``user`` and ``role`` are null.
    """
    if entry.account == account:
        return True
    if entry.visibility is None:
        return False
    variables = {"account": account, "now": call.now}
    variables |= of_twin(twin) | of_entry(entry.account, entry.name, entry)
    return _holds(call, entry.visibility, variables, lambda: ledger)


def matches(call: Call, rule: str, twin: TwinRow) -> bool:
    """Tell whether a scan's ``match`` keeps a Twin; ``LEDGER`` is the caller's own."""
    variables = of_caller(call) | of_twin(twin) | {"ledger": call.account}
    return _holds(call, rule, variables, _own_ledger(call, twin))


def condition_holds(
    call: Call,
    rule: str,
    twin: TwinRow,
    name: str,
    entry: EntryRow | None,
    ledger: Mapping[str, Any],
) -> bool:
    """Tell whether a write to an Entry may go ahead.

    Args:
        call: The request.
        rule: The condition.
        twin: The Twin of the Ledger.
        name: Name of the Entry.
        entry: The Entry as it is stored; None when there is none.
        ledger: Values of the Ledger before the write.
    """
    variables = of_caller(call) | of_twin(twin) | of_entry(call.account, name, entry)
    return _holds(call, rule, variables, lambda: ledger)


def _null_rule(call: Call, owner: str) -> bool:
    return owner == call.account or call.policy.null_role_rule == "unrestricted"


def _own_ledger(call: Call, twin: TwinRow) -> Callable[[], Mapping[str, Any]]:
    return _ledger(call, twin.uuid, call.account)


def _ledger(call: Call, twin: str, account: str) -> Callable[[], Mapping[str, Any]]:
    def values() -> Mapping[str, Any]:
        key = twin, account
        if key not in call.ledgers:
            call.ledgers[key] = values_of(stored_ledger(call.tx, twin, account))
        return call.ledgers[key]

    return values


def _holds(
    call: Call,
    text: str,
    variables: dict[str, Any],
    ledger: Callable[[], Mapping[str, Any]],
) -> bool:
    """Evaluate a rule; whatever goes wrong denies."""
    try:
        rule = compile_rule(text)
    except RuleError:
        return False
    if "LEDGER" in rule.names:
        variables = {**variables, "LEDGER": ledger()}
    return rule.verdict(variables, call.effort)
