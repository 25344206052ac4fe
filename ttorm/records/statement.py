"""What roles are made of: a statement about operations, and rules about what is visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ttorm.api.errors import ValidationError
from ttorm.records.action import Action
from ttorm.records.meta import did_you_mean
from ttorm.rules import Expression, rule_text

__all__ = ["Permission", "Rules", "Statement", "read_rules", "read_statement"]

# Names that the platform takes and that no operation has.
_WITHOUT_EFFECT = frozenset({"update_timeseries_access", "update_indexes_access"})
_EFFECTS = ("allow", "deny")
_KINDS = ("twin", "entry", "identity")


@dataclass(frozen=True, repr=False)
class Statement:
    """Which operations a role permits: the listed ones only, or all but those.

    Make one by `Statement.allow` or `Statement.deny`.

    Attributes:
        effect: What becomes of the listed operations.
        actions: Names of the operations; None, with ``"deny"``, permits all operations.

    Raises:
        ValidationError: There is no such effect or operation.

    Example:
        >>> reader = Statement.allow(Action.reading("twins"), Action.who_am_i)
        >>> reader
        <Statement: allow get_twin, scan_twins, who_am_i>
        >>> reader.allows(Action.create_twin)
        False
    """

    effect: Literal["allow", "deny"]
    actions: frozenset[str] | None

    def __post_init__(self) -> None:
        if self.effect not in _EFFECTS:
            raise ValidationError(
                f"effect={self.effect!r}: expected 'allow' or 'deny'"
                f"{did_you_mean(str(self.effect), _EFFECTS)}",
                code="bad-argument",
            )
        if self.actions is not None:
            # One text would be gone through letter by letter.
            object.__setattr__(self, "actions", _names([self.actions]))

    @classmethod
    def allow(cls, *actions: Action | str | Iterable[Action | str]) -> Statement:
        """Permit some operations, and nothing else.

        Args:
            *actions: Members of `Action`, their names, or groups of either, such as
                ``Action.reading()``; none permit nothing.

        Raises:
            ValidationError: There is no such operation.
        """
        return cls("allow", _names(actions))

    @classmethod
    def deny(cls, *actions: Action | str | Iterable[Action | str]) -> Statement:
        """Permit all operations but some.

        Args:
            *actions: Members of `Action`, their names, or groups of either; none permit all.

        Raises:
            ValidationError: There is no such operation.
        """
        return cls("deny", _names(actions) or None)

    def allows(self, action: Action | str) -> bool:
        """Tell whether it permits an operation; rules may still say no.

        Raises:
            ValidationError: There is no such operation.
        """
        (name,) = _names([action])
        return (name in (self.actions or ())) == (self.effect == "allow")

    def to_json(self) -> dict[str, Any]:
        """Give what the API calls a statement."""
        listed = None if self.actions is None else sorted(map(str, self.actions))
        return {"effect": self.effect, "actions": listed}

    def __repr__(self) -> str:
        if not self.actions:
            return f"<Statement: {'allow nothing' if self.effect == 'allow' else 'allow all'}>"
        return f"<Statement: {self.effect} {', '.join(sorted(map(str, self.actions)))}>"


def _names(given: Iterable[Action | str | Iterable[Action | str]]) -> frozenset[str]:
    found: set[str] = set()
    for item in given:
        if not isinstance(cast(object, item), Iterable):
            raise ValidationError(
                f"{item!r} is no operation: expected members of ttorm.Action or their names, such "
                "as Action.get_twin",
                code="bad-argument",
            )
        for name in (item,) if isinstance(item, str) else item:
            if name not in _WITHOUT_EFFECT:
                _check_action(name)
            found.add(str(name))
    return frozenset(found)


def _check_action(name: str) -> None:
    try:
        Action(name)
    except ValueError:
        from difflib import get_close_matches

        near = get_close_matches(str(name), list(Action), n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else "see ttorm.Action"
        raise ValidationError(
            f"no operation is called {name!r}: {hint}", code="bad-argument"
        ) from None


def read_statement(raw: Any) -> Statement:
    """Make a statement of the API's; names that are not known here are kept."""
    found = object.__new__(Statement)
    listed = raw["actions"]
    object.__setattr__(found, "effect", raw["effect"])
    object.__setattr__(found, "actions", None if listed is None else frozenset(map(str, listed)))
    return found


@dataclass(frozen=True)
class Rules:
    """Which Twins, Entries and Identities the users of a role work with.

    A rule left out does not limit what belongs to the account itself, and by the platform's word
    shuts out what belongs to other accounts.

    Attributes:
        twin: Rule for Twins: an expression, or its text.
        entry: Rule for Entries.
        identity: Rule for Identities.

    Raises:
        ValidationError: That is no rule.

    Example:
        >>> from ttorm.rules import TWIN, USER
        >>> Rules(twin=TWIN.company == USER.company, entry="true").twin
        'TWIN.company == USER.company'
    """

    twin: str | Expression | None = None
    entry: str | Expression | None = None
    identity: str | Expression | None = None

    def __post_init__(self) -> None:
        for kind in _KINDS:
            rule = getattr(self, kind)
            # As text, which compares and is what the service has.
            object.__setattr__(self, kind, None if rule is None else rule_text(rule))

    def to_json(self) -> dict[str, Any]:
        """Give what the API calls rules."""
        return {f"{kind}_rule": getattr(self, kind) for kind in _KINDS}


def read_rules(raw: Mapping[str, Any]) -> Rules:
    """Make rules of the API's, whose members have two spellings."""
    return Rules(**{kind: raw.get(f"{kind}_rule", raw.get(kind)) for kind in _KINDS})


@dataclass(frozen=True)
class Permission:
    """Whether a role would permit a call, as far as that can be told here; true when it would.

    Attributes:
        allowed: Whether nothing that was looked at forbids it.
        reason: What decided.
        unknown: What only the service knows, or what was not given to look at; with something
            here, a permission that is `allowed` is no promise.
    """

    allowed: bool
    reason: str
    unknown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed
