"""The state of a model of the platform: what there is, who may see it, what references show.

It is written from the platform's documentation and shares no code with the emulator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DAY = 86_400


def member(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, dict) else None


# The rules that are used, and what they mean in Python; what raises TypeError denies.
RULES = {
    "true": lambda v: True,
    "false": lambda v: False,
    "public": lambda v: False,
    "USER.team == 'ops'": lambda v: member(v["USER"], "team") == "ops",
    "TWIN.kind == 'pump'": lambda v: member(v["TWIN"], "kind") == "pump",
    "TWIN.kind == DICT.kind": lambda v: member(v["TWIN"], "kind") == member(v["DICT"], "kind"),
    "LEDGER.level > 3": lambda v: member(v["LEDGER"], "level") > 3,
    "twin_status == 'alive'": lambda v: v["twin_status"] == "alive",
    "account == ledger": lambda v: v["account"] == v.get("ledger"),
    "entry_name != 'beta'": lambda v: v.get("entry_name") != "beta",
    "identity != 'RFID#1'": lambda v: v.get("identity") != "RFID#1",
    "not (entry_value == null)": lambda v: v.get("entry_value") is not None,
}


class RefusedError(Exception):
    """An operation is refused as a whole.

    Attributes:
        subcode: Why.
    """

    def __init__(self, subcode: int) -> None:
        super().__init__(subcode)
        self.subcode = subcode


@dataclass
class User:
    """Somebody who calls.

    Attributes:
        token: The credential, when it is not the user itself.
        signed: What the token adds to each request's dictionary.
    """

    account: str
    uuid: str
    role: str
    description: dict[str, Any] | None
    rules: dict[str, str | None]
    token: str | None = None
    signed: dict[str, Any] = field(default_factory=dict)


@dataclass
class Entry:
    value: Any
    created: float
    updated: float
    changed: float
    kind: str = "value"
    source: tuple[str, str, str] | None = None
    status: str | None = None
    visibility: str | None = None
    history: str | None = None
    timeseries: dict[str, Any] | None = None
    records: dict[float, Any] = field(default_factory=dict)


def after(now: float, before: float) -> float:
    return now if now > before else round(before + 0.001, 3)


class State:
    """What there is, as plain dictionaries, who may see it, and what references show."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dictionary: dict[str, Any] | None = None
        self.twins: dict[str, dict[str, Any]] = {}
        self.ledgers: dict[tuple[str, str], dict[str, Entry]] = {}
        self.identities: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.stickers: dict[tuple[str, str, str], dict[str, Any]] = {}

    # Rules

    def ledger(self, twin: str, account: str) -> dict[str, Entry]:
        return self.ledgers.setdefault((twin, account), {})

    def values(self, twin: str, account: str) -> dict[str, Any]:
        ledger = self.ledger(twin, account)
        return {name: self.resolved(entry)[0] for name, entry in ledger.items()}

    def holds(self, text: str, user: User | None, twin: str, owner: str, **more: Any) -> bool:
        """Evaluate a rule; `owner` is the account whose Entries it may mention."""
        variables = {
            "account": user and user.account,
            "USER": user and user.description,
            "DICT": user and self.dictionary,
            "TWIN": self.twins[twin].get("description"),
            "twin_status": self.twins[twin]["status"],
            "LEDGER": self.values(twin, owner),
            **more,
        }
        try:
            return bool(RULES[text](variables))
        except TypeError:
            return False

    def of_entry(self, account: str, name: str, entry: Entry | None) -> dict[str, Any]:
        value = None if entry is None else self.resolved(entry)[0]
        return {"ledger": account, "entry_name": name, "entry_value": value}

    def twin_open(self, user: User, twin: str) -> bool:
        text = user.rules["twin_rule"]
        if text is None:
            return self.twins[twin]["owner"] == user.account
        return self.holds(text, user, twin, user.account)

    def entry_open(self, user: User, twin: str, account: str, name: str) -> bool:
        entry, own = self.ledger(twin, account)[name], account == user.account
        more = self.of_entry(account, name, entry)
        text = user.rules["entry_rule"]
        allowed = own if text is None else self.holds(text, user, twin, account, **more)
        if own or not allowed:
            return allowed
        shown = entry.visibility
        return shown is not None and self.holds(shown, user, twin, account, **more)

    def identity_open(self, user: User, twin: str, account: str, identity: str) -> bool:
        own, text = account == user.account, user.rules["identity_rule"]
        allowed = (
            own if text is None else self.holds(text, user, twin, user.account, identity=identity)
        )
        if own or not allowed:
            return allowed
        shown = self.identities[twin, account, identity]["visibility"]
        return shown is not None and self.holds(shown, user, twin, account)

    def visit(self, user: User, twin: str) -> dict[str, Any]:
        if twin not in self.twins:
            raise RefusedError(404653)
        if not self.twin_open(user, twin):
            raise RefusedError(403535)
        return self.twins[twin]

    # Values

    def resolved(self, entry: Entry) -> tuple[Any, float]:
        """The value of an Entry and when it changed; includes are followed."""
        at, hops = entry, 0
        while at.kind == "include":
            twin, account, name = at.source
            at, hops = self.ledger(twin, account).get(name), hops + 1
            if at is None or hops > 32:
                return None, entry.changed
        return at.value, at.changed

    def looked_up(self, key: tuple[str, str, str]) -> tuple[Any, str]:
        """What a reference shows now."""
        passed = set()
        while len(passed) < 32:
            passed.add(key)
            account = key[1]
            key = self.ledger(*key[:2])[key[2]].source
            twin, owner, name = key
            source = self.ledger(twin, owner).get(name) if twin in self.twins else None
            if source is None:
                return None, "not_found"
            if owner != account:
                more = {"account": account, **self.of_entry(owner, name, source)}
                text = source.visibility
                if text is None or not self.holds(text, None, twin, owner, **more):
                    return None, "not_found"
            if source.kind != "ref":
                return self.resolved(source)[0], "ok"
            if key in passed:
                return None, "loop_detected"
        return None, "too_many_hops"

    def propagate(self, touched: set[tuple[str, str, str]]) -> None:
        every = {
            (twin, account, name): entry
            for (twin, account), ledger in self.ledgers.items()
            for name, entry in ledger.items()
            if entry.kind == "ref"
        }
        stale = {key for key in touched if key in every and every[key].status == "created"}
        reached = set(touched)
        while new := {key for key, entry in every.items() if entry.source in reached} - stale:
            stale |= new
            reached |= new
        for key in stale:
            entry, (value, status) = every[key], self.looked_up(key)
            if value != entry.value:
                entry.changed = after(self.now, entry.changed)
                entry.value = value
                self.record(entry)
            entry.status = status

    def record(self, entry: Entry) -> None:
        if entry.history is not None and entry.kind != "include":
            entry.records[entry.changed] = entry.value

    def kept(self, entry: Entry, period: str | None) -> dict[float, Any]:
        start = 0.0 if period == "INF" else self.now - DAY
        oldest = min(start, entry.changed)
        return {at: value for at, value in entry.records.items() if at >= oldest}

    # What is shown

    def shown(self, entry: Entry, *, own: bool = True) -> dict[str, Any]:
        value, changed = self.resolved(entry)
        object_ = {
            "value": value,
            "entry_created_ts": entry.created,
            "entry_updated_ts": entry.updated,
            "value_changed_ts": changed,
        }
        if not own:
            return object_
        if entry.kind == "ref":
            source = f"twin://{'/'.join(entry.source)}"
            object_["ref"] = {"source": source, "status": entry.status}
        if entry.kind == "include":
            twin, _, name = entry.source
            object_["include"] = {"source": f"twin://{twin}/{name}"}
        if entry.visibility is not None or entry.kind != "include":
            object_["visibility"] = entry.visibility
        if entry.history is not None:
            object_["history"] = entry.history
        if entry.timeseries is not None:
            object_["timeseries"] = entry.timeseries
        return object_

    def of_ledger(self, twin: str, account: str) -> dict[str, Any]:
        """What stands beside the Entries of one's own Ledger."""
        objects = [self.shown(entry) for entry in self.ledger(twin, account).values()]
        level = self.values(twin, account).get("level")
        times = ("entry_created_ts", "entry_updated_ts", "value_changed_ts")
        indexes = ["levels"] if isinstance(level, int) and level > 3 else []
        newest = {name: max(one[name] for one in objects) for name in times} if objects else {}
        return {**newest, "indexes": indexes}

    def twin_object(self, twin: str) -> dict[str, Any]:
        return json.loads(json.dumps(self.twins[twin]))
