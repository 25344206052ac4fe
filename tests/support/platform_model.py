"""A model of the platform in plain dictionaries, written from its documentation.

It shares no code with the emulator, which is compared with it. Each operation is a method of its
name; it takes who calls, the path's arguments, and the query and body by name.
"""

from __future__ import annotations

from typing import Any

from platform_state import Entry, RefusedError, State, User, after

__all__ = ["Model"]


class Model(State):
    """The platform's operations on Twins, Ledgers, Identities and Stickers."""

    # Twins

    def create_twin(self, user: User, uuid: str, body: dict[str, Any]) -> dict[str, Any]:
        self.twins[uuid] = {
            "owner": user.account,
            "status": "alive",
            "updated_ts": self.now,
            **({} if body["description"] is None else body),
            "creation_certificate": {
                "uuid": uuid,
                "creator": user.account,
                "created_ts": self.now,
            },
        }
        return self.twin_object(uuid)

    def get_twin(self, user: User, twin: str, show_terminated: bool = True) -> dict[str, Any]:
        if self.visit(user, twin)["status"] == "terminated" and not show_terminated:
            raise RefusedError(404653)
        return self.twin_object(twin)

    def owned(self, user: User, twin: str) -> dict[str, Any]:
        found = self.visit(user, twin)
        if found["owner"] != user.account:
            raise RefusedError(403535)
        return found

    def update_twin(self, user: User, twin: str, body: dict[str, Any]) -> dict[str, Any]:
        found = self.owned(user, twin)
        if found["status"] == "terminated":
            raise RefusedError(400897)
        found.update(body, updated_ts=self.now)
        if found.get("description") is None:
            found.pop("description", None)
        return self.twin_object(twin)

    def terminate_twin(self, user: User, twin: str) -> dict[str, Any]:
        found = self.owned(user, twin)
        if found["status"] == "terminated":
            raise RefusedError(400358)
        certificate = {"issuer": user.account, "terminated_ts": self.now}
        found.update(status="terminated", updated_ts=self.now, termination_certificate=certificate)
        return self.twin_object(twin)

    def scan_twins(self, user: User, match: str, details: bool) -> dict[str, Any]:
        found = [
            uuid
            for uuid, twin in self.twins.items()
            if twin["owner"] == user.account
            and self.holds(match, user, uuid, user.account, ledger=user.account)
        ]
        if not details:
            return {"cursor": None, "twins": found}
        open_ = [self.twin_object(uuid) for uuid in found if self.twin_open(user, uuid)]
        return {"cursor": None, "twins": open_}

    # Ledgers

    def account_of(self, user: User, twin: str, ledger: str, *aliases: str) -> str:
        if ledger not in {"personal", *aliases} and len(ledger) < 36:
            raise RefusedError(400589)
        found = self.visit(user, twin)
        creator = found["creation_certificate"]["creator"]
        known = {"personal": user.account, "owner": found["owner"], "creator": creator}
        return known.get(ledger, ledger)

    def own_account(self, user: User, twin: str, ledger: str) -> str:
        account = self.account_of(user, twin, ledger)
        if account != user.account:
            raise RefusedError(403535)
        return account

    def open_names(self, user: User, twin: str, account: str) -> list[str]:
        return [n for n in self.ledger(twin, account) if self.entry_open(user, twin, account, n)]

    def get_twin_ledger_entry(
        self, user: User, twin: str, ledger: str, entries: list[str] | None, **show: bool
    ) -> dict[str, Any]:
        account = self.account_of(user, twin, ledger, "owner", "creator")
        own, found = account == user.account, self.ledger(twin, account)
        names = self.open_names(user, twin, account)
        if own and not show.get("show_references", True):
            names = [n for n in names if found[n].kind != "ref"]
        if own and not show.get("show_public", True):
            names = [n for n in names if found[n].visibility is None]
        if own and not show.get("show_private", True):
            names = [n for n in names if found[n].visibility is not None]
        objects = {
            name: self.shown(found[name], own=own)
            for name in names
            if entries is None or name in entries
        }
        beside = {}
        if own:
            # Its times are those of what the caller may see.
            beside = self.of_ledger(twin, account)
            seen = [self.shown(found[n]) for n in self.open_names(user, twin, account)]
            for time in [name for name in beside if name != "indexes"]:
                beside[time] = max((one[time] for one in seen), default=None)
        return {k: v for k, v in beside.items() if v is not None} | {"entries": objects}

    def get_twin_ledger_entry_value(
        self, user: User, twin: str, ledger: str, entries: list[str] | None
    ) -> dict[str, Any]:
        account = self.account_of(user, twin, ledger, "owner")
        found = self.ledger(twin, account)
        names = [n for n in self.open_names(user, twin, account) if entries is None or n in entries]
        return {"entries": {name: self.shown(found[name], own=False) for name in names}}

    def get_twin_ledger_entry_history(
        self, user: User, twin: str, ledger: str, entries: list[str] | None
    ) -> dict[str, Any]:
        account = self.account_of(user, twin, ledger, "owner")
        found, names = self.ledger(twin, account), self.open_names(user, twin, account)
        answer: dict[str, Any] = {}
        for name in entries or [n for n in names if found[n].history is not None]:
            if name not in names:
                answer[name] = "Entry not accessible."
                continue
            entry = found[name]
            kept = self.kept(entry, entry.history) if entry.history is not None else {}
            newest = sorted(kept.items(), reverse=True)[:100]
            answer[name] = {repr(at): value for at, value in newest}
        return {"entries": answer}

    def add_twin_ledger_entry(
        self, user: User, twin: str, ledger: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        account = self.own_account(user, twin, ledger)
        outcomes: dict[str, Any] = {}
        for name, draft in body["entries"].items():
            entry = self.drafted(twin, account, draft)
            if name in self.ledger(twin, account):
                outcomes[name] = "Entry already exists."
            elif entry.source and entry.source[:2] == (twin, account):
                kind = "Reference" if entry.kind == "ref" else "Include"
                outcomes[name] = f"{kind} source must be in a different Ledger."
            else:
                outcomes[name] = entry
        return self.write(user, twin, outcomes, body)

    def drafted(self, twin: str, account: str, draft: dict[str, Any]) -> Entry:
        entry = Entry(draft.get("value"), self.now, self.now, self.now)
        entry.visibility, entry.history = draft.get("visibility"), draft.get("history")
        entry.timeseries = draft.get("timeseries")
        for kind in {"ref", "include"} & draft.keys():
            source = draft[kind]["source"].removeprefix("twin://").split("/")
            entry.kind = kind
            entry.source = (source[0], account if kind == "include" else source[1], source[-1])
            entry.status = "created" if kind == "ref" else None
        return entry

    def update_twin_ledger_entry(
        self, user: User, twin: str, ledger: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        account = self.own_account(user, twin, ledger)
        outcomes: dict[str, Any] = {}
        for name, draft in body["entries"].items():
            entry = self.ledger(twin, account).get(name)
            if entry is None:
                outcomes[name] = "Entry does not exist."
            elif not self.entry_open(user, twin, account, name):
                outcomes[name] = "Entry not accessible."
            elif "value" in draft and entry.kind != "value":
                outcomes[name] = "Entry value cannot be changed."
            elif entry.kind == "include" and draft.get("history"):
                outcomes[name] = "An include Entry takes no history."
            else:
                outcomes[name] = draft
        return self.write(user, twin, outcomes, body)

    update_twin_ledger_entry_value = update_twin_ledger_entry

    def delete_twin_ledger_entry(
        self, user: User, twin: str, ledger: str, entries: list[str] | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        account = self.own_account(user, twin, ledger)
        seen = self.open_names(user, twin, account)
        outcomes: dict[str, Any] = {}
        for name in seen if entries is None else entries:
            there = name in self.ledger(twin, account)
            hidden = "Entry not accessible." if there else "Entry does not exist."
            outcomes[name] = None if name in seen else hidden
        return self.write(user, twin, outcomes, body)

    def write(
        self, user: User, twin: str, outcomes: dict[str, Any], body: dict[str, Any]
    ) -> dict[str, Any]:
        """Do what may be done: add an Entry, change it as a draft says, or remove it (None)."""
        account, ledger = user.account, self.ledger(twin, user.account)
        failed = set()
        for name, text in body.get("conditions", {}).items():
            more = self.of_entry(account, name, ledger.get(name))
            if not self.holds(text, user, twin, account, **more):
                failed.add(name)
        outcomes.update(dict.fromkeys(failed & outcomes.keys(), "Condition not met."))
        refused = failed or any(isinstance(one, str) for one in outcomes.values())
        if body.get("transaction") and refused:
            for name, outcome in outcomes.items():
                if not isinstance(outcome, str):
                    outcomes[name] = "Transaction aborted."
        removed = {name: self.shown(ledger[name]) for name, one in outcomes.items() if one is None}
        touched = set()
        for name, outcome in outcomes.items():
            if isinstance(outcome, str) or outcome == {}:
                continue
            touched.add((twin, account, name))
            if outcome is None:
                del ledger[name]
            elif isinstance(outcome, Entry):
                ledger[name] = outcome
                self.record(outcome)
            else:
                self.change(ledger[name], outcome)
        answer = {
            "entries": {
                name: {"error": outcome}
                if isinstance(outcome, str)
                else removed.get(name) or self.shown(ledger[name])
                for name, outcome in outcomes.items()
            },
            **self.of_ledger(twin, account),
        }
        self.propagate(touched)
        return answer

    def change(self, entry: Entry, draft: dict[str, Any]) -> None:
        if {"visibility", "history"} & draft.keys():
            entry.updated = after(self.now, entry.updated)
        entry.visibility = draft.get("visibility", entry.visibility)
        if "value" in draft:
            entry.value, entry.changed = draft["value"], after(self.now, entry.changed)
        # What is too old for the former period or the new one is gone for good.
        before = entry.records if entry.history else {entry.changed: entry.value}
        former, entry.history = entry.history, draft.get("history", entry.history)
        entry.records = before if entry.history else {}
        self.record(entry)
        for period in filter(None, (former, entry.history)):
            entry.records = self.kept(entry, period)

    # Identities

    def create_twin_identity(self, user: User, twin: str, body: dict[str, Any]) -> dict[str, Any]:
        self.visit(user, twin)
        answer = {}
        for text, draft in body["identities"].items():
            key = twin, user.account, text
            if key in self.identities:
                answer[text] = {"error": "Identity already exists."}
                continue
            certificate = {"identity": text, "creator": user.account, "created_ts": self.now}
            fields = {"validity_ts": None, "visibility": None, **draft, "updated_ts": self.now}
            self.identities[key] = {**fields, "creation_certificate": certificate}
            answer[text] = dict(self.identities[key])
        return {"identities": answer}

    def own_identity(self, user: User, twin: str, text: str) -> tuple[str, str, str]:
        self.visit(user, twin)
        key = twin, user.account, text
        if key not in self.identities or not self.identity_open(user, *key):
            raise RefusedError(404653)
        return key

    def get_twin_identity(self, user: User, twin: str, text: str) -> dict[str, Any]:
        return dict(self.identities[self.own_identity(user, twin, text)])

    def update_twin_identity(
        self, user: User, twin: str, text: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        identity = self.identities[self.own_identity(user, twin, text)]
        identity.update(body, updated_ts=self.now)
        return dict(identity)

    def delete_twin_identity(self, user: User, twin: str, text: str) -> dict[str, Any]:
        return self.identities.pop(self.own_identity(user, twin, text))

    def expired(self, identity: dict[str, Any]) -> bool:
        return identity["validity_ts"] is not None and identity["validity_ts"] <= self.now

    def get_twin_identities(
        self, user: User, twin: str, show_foreign: bool, show_expired: bool, show_private: bool
    ) -> dict[str, Any]:
        self.visit(user, twin)
        answer = {}
        here = {key: one for key, one in self.identities.items() if key[0] == twin}
        for key, one in sorted(here.items(), key=lambda item: item[0][1] == user.account):
            _, account, text = key
            if account == user.account:
                wanted = show_expired or not self.expired(one)
                wanted = wanted and (show_private or one["visibility"] is not None)
            else:
                wanted = show_foreign and not self.expired(one)
            if wanted and self.identity_open(user, *key):
                answer[text] = {
                    "validity_ts": one["validity_ts"],
                    "created_ts": one["creation_certificate"]["created_ts"],
                    "updated_ts": one["updated_ts"],
                }
        return {"identities": answer}

    def resolve_twin_identity(
        self, user: User, identity: str, context: str, details: bool
    ) -> dict[str, Any]:
        accounts = {"personal": user.account}.get(context, context)
        found = {
            twin
            for (twin, account, text), one in self.identities.items()
            if text == identity
            and accounts in (account, "system")
            and not self.expired(one)
            and self.identity_open(user, twin, account, text)
        }
        twins = [twin for twin in self.twins if twin in found]
        if not details:
            return {"twins": twins}
        return {"twins": [self.twin_object(t) for t in twins if self.twin_open(user, t)]}

    # Stickers

    def put_sticker(self, user: User, twin: str, body: dict[str, Any]) -> dict[str, Any]:
        self.visit(user, twin)
        answer = {}
        for color, draft in body["stickers"].items():
            key = twin, user.account, color
            if key in self.stickers and self.stickers[key]["validity_ts"] > self.now:
                answer[color] = {"error": "Sticker already exists."}
                continue
            self.stickers[key] = {**draft, "created_ts": self.now}
            answer[color] = dict(self.stickers[key])
        return {"stickers": answer}

    def received(self, user: User) -> list[tuple[str, str, str]]:
        me = {user.account, user.role, user.uuid}
        found = [
            key
            for key, one in self.stickers.items()
            if one["validity_ts"] > self.now and me & set(one["recipients"])
        ]
        return sorted(found, key=lambda key: self.stickers[key]["created_ts"], reverse=True)

    def to_recipient(self, key: tuple[str, str, str]) -> dict[str, Any]:
        return {n: self.stickers[key][n] for n in ("note", "validity_ts", "created_ts")}

    def get_stickers(self, user: User, twin: str) -> dict[str, Any]:
        self.visit(user, twin)
        answer: dict[str, Any] = {}
        for key in self.received(user):
            if key[0] == twin:
                answer.setdefault(key[1], {})[key[2]] = self.to_recipient(key)
        return {"accounts": answer}

    def list_stickers(self, user: User, context: str) -> dict[str, Any]:
        account = {"personal": user.account}.get(context, context)
        return {
            "stickers": [
                {"twin": key[0], "account": key[1], "color": key[2], **self.to_recipient(key)}
                for key in self.received(user)
                if account in (key[1], "system") and self.twin_open(user, key[0])
            ]
        }

    def remove_sticker(self, user: User, twin: str, color: str, context: str) -> dict[str, Any]:
        self.visit(user, twin)
        account = {"personal": user.account}.get(context, context)
        for key in self.received(user):
            if key[0] == twin and key[2] == color and account in (key[1], "system"):
                answer = {"account": key[1], **self.to_recipient(key)}
                del self.stickers[key]
                return answer
        raise RefusedError(404653)
