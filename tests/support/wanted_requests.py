"""The requests that a save is to send: a reference made from the table of minimal writes alone.

A `Wanted` is what one record has seen of its Twin and what its user made of it, in dictionaries.
Its `save` finds out, against a `Service`, which requests are sent, what they leave, and how the
save ends. Nothing of the library is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from wanted_service import Answer, Request, Service, StatusError

__all__ = ["GONE", "UNKNOWN", "FailedError", "Part", "Thing", "Wanted", "differs"]


class _Mark:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: Any) -> _Mark:
        return self


UNKNOWN, GONE = _Mark("UNKNOWN"), _Mark("GONE")
MOST_ROUNDS = 5


def differs(one: Any, other: Any) -> bool:
    """Tell whether two values are not the same."""
    if isinstance(one, _Mark) or isinstance(other, _Mark):
        return one is not other
    return type(one) is not type(other) or one != other


class FailedError(Exception):
    """How a save ends that does not end well."""

    def __init__(self, kind: str, names: Iterable[str] = ()) -> None:
        self.names = sorted(names)
        super().__init__(kind, self.names)
        self.kind = kind


class Thing:
    """An Entry, Identity, Doc or description: what was seen, and what is wanted instead."""

    def __init__(self, base: Any, missing: Any) -> None:
        self.base = base
        self.missing = missing
        self.want: dict[str, Any] = {}
        self.forced: set[str] = set()
        # Defaults in users' hands, in place of values that are not there.
        self.lent: set[str] = set()
        self.removed = self.adding = False

    @property
    def present(self) -> bool | None:
        return None if self.base is UNKNOWN else self.base is not GONE

    def seen(self, name: str) -> Any:
        return self.base if isinstance(self.base, _Mark) else self.base.get(name, self.missing)

    def now(self, name: str) -> Any:
        return GONE if self.removed else self.want.get(name, self.seen(name))

    def changes(self) -> dict[str, Any]:
        found = {name: new for name, new in self.want.items() if differs(new, self.seen(name))}
        for name in self.forced:
            if not isinstance(self.want.get(name, self.seen(name)), _Mark):
                found[name] = self.want.get(name, self.seen(name))
        return found

    def is_modified(self) -> bool:
        if self.removed:
            return self.present is not False
        return (self.adding and not self.present) or bool(self.changes())

    def discard(self) -> None:
        self.want.clear()
        self.forced.clear()
        self.lent.clear()
        self.removed = self.adding = False

    def remove(self) -> None:
        self.discard()
        self.removed = self.present is not False

    def learn(self, base: Any) -> None:
        """See what the service holds: what was changed stays changed, the rest follows."""
        self.want = {name: new for name, new in self.want.items() if differs(new, self.seen(name))}
        self.lent -= set(self.want)
        self.base = base
        self.lent = {name for name in self.lent if self.seen(name) is GONE}
        self.removed = self.removed and self.present is not False

    def written(self, sent: Iterable[str], base: Any) -> None:
        for name in sent:
            self.want.pop(name, None)
            self.forced.discard(name)
        self.adding = False
        self.learn(base)


class Part:
    """All Entries, Identities or Docs of a Twin."""

    def __init__(self, missing: Any, *, complete: bool) -> None:
        self.missing = missing
        self.complete = complete
        self.things: dict[str, Thing] = {}

    def __getitem__(self, name: str) -> Thing:
        if name not in self.things:
            self.things[name] = Thing(GONE if self.complete else UNKNOWN, self.missing)
        return self.things[name]

    def names(self) -> list[str]:
        return [
            name
            for name, thing in self.things.items()
            if not thing.removed and (thing.present or thing.adding or thing.is_modified())
        ]

    def modified(self) -> dict[str, Thing]:
        return {name: thing for name, thing in self.things.items() if thing.is_modified()}

    def learn(self, items: dict[str, Any]) -> None:
        self.complete = True
        for name in {**self.things, **items}:
            thing = self[name]
            thing.learn(items.get(name, GONE))


Send = Callable[[Request], Answer]


class Wanted:
    """One record: what it has seen of its Twin, and what its user wants.

    Attributes:
        service: The Twin; None before it was created.
        sent: The requests of the last save.
        done: What the last save has written: how, part and name.
        breaks: After how many requests the connection breaks; None when it does not.
    """

    def __init__(
        self,
        service: Service | None,
        declared: dict[str, dict[str, Any]],
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        new = service is None
        self.hidden = hidden
        self.service = service
        self.declared = declared
        self.description = Thing({} if new else UNKNOWN, GONE)
        self.fresh = new
        self.replaced = False
        self.frozen = False
        self.stuck = False
        self.ledger = Part(None, complete=new)
        self.identities = Part(UNKNOWN, complete=new)
        self.fields: dict[str, str | None] = {}
        self.docs = Part(UNKNOWN, complete=new)
        self.conflicts: list[tuple[str, str, Any, Any, Any]] = []
        self.sent: list[Request] = []
        self.done: list[tuple[str, str, str]] = []
        self.breaks: int | None = None
        self._errors: set[str] = set()
        self._rounds = 0

    # What is wanted

    def is_modified(self) -> bool:
        return (
            self.service is None
            or self._describes()
            or bool(self.fields)
            or any(part.modified() for part in (self.ledger, self.identities, self.docs))
        )

    def _describes(self) -> bool:
        return self.description.is_modified() or (
            self.replaced and self.description.base is UNKNOWN
        )

    def replace_description(self, whole: dict[str, Any]) -> None:
        known = self.description
        before = {} if known.base is UNKNOWN else known.base
        known.want = {
            **{key: GONE for key in {**before, **known.want} if key not in whole},
            **whole,
        }
        self.replaced = known.base is UNKNOWN or bool(known.changes())

    def shown_description(self) -> dict[str, Any]:
        base = {} if self.description.base is UNKNOWN else self.description.base
        now = {**base, **self.description.want}
        return {key: value for key, value in now.items() if value is not GONE}

    def assign_identity(self, kind: str, wanted: str | None) -> None:
        for text in self.identities.names():
            if text.startswith(f"{kind}#") and text != wanted:
                self.identities[text].remove()
        if wanted is not None:
            thing = self.identities[wanted]
            thing.removed, thing.adding = False, not thing.present
        if not self.identities.complete:
            self.fields[kind] = wanted

    def discard(self) -> None:
        self.stuck = False
        if self.service is None:
            return
        self.replaced = False
        self.fields.clear()
        self.description.discard()
        for part in (self.ledger, self.identities, self.docs):
            for thing in part.things.values():
                thing.discard()

    def resolve(self, how: str, lost: list[Any], values: dict[str, Any]) -> None:
        self.stuck = False
        if how == "mine":
            return
        for part, name, _, _, theirs in lost:
            thing = self.description if part == "description" else self.ledger[name]
            attribute = name if part == "description" else "value"
            if part == "ledger" and (thing.removed or theirs is GONE):
                thing.discard()
            thing.forced.discard(attribute) if how == "theirs" else None
            thing.want.pop(attribute, None)
            if how == "value":
                thing.want[attribute] = deepcopy(values.get(name, 7))

    # Reads

    def see_twin(self, answer: Answer, *, fresh: bool = True) -> None:
        self.fresh = fresh
        self.frozen = not answer.items["alive"]
        base = dict(answer.items["description"])
        if self.replaced:
            shown = self.shown_description()
            self.description.base = base
            self.description.want = {key: shown.get(key, GONE) for key in {**base, **shown}}
            self.replaced = bool(self.description.changes())
        else:
            self.description.learn(base)

    def load(self, part: str) -> None:
        """Read a part; the request is in `sent`."""
        path = "" if part == "description" else part
        query = (("show_expired", "true"),) if part == "identities" else ()
        answer = self._send(Request("GET", path, query))
        if part == "description":
            self.see_twin(answer)
        else:
            getattr(self, part).learn(deepcopy_items(answer.items))
        if part == "identities":
            for text, thing in self.identities.things.items():
                wanted = self.fields.get(text.partition("#")[0], text)
                if thing.present and not thing.adding and wanted != text:
                    thing.remove()
            self.fields.clear()

    def is_loaded(self, part: str) -> bool:
        if part == "description":
            return self.description.base is not UNKNOWN
        return bool(getattr(self, part).complete)

    # Saves

    def save(
        self, *, check: bool = False, atomic: bool = False, only: tuple[str, str] | None = None
    ) -> None:
        """Do what a save does.

        Raises:
            FailedError: It does not end well.
        """
        self.sent, self.done, self._errors, self._rounds = [], [], set(), 0
        if only is not None and self.service is None:
            raise FailedError("state")
        if not self.is_modified():
            self.stuck = False
            return
        self.stuck = True
        if atomic:
            self._check_atomic(only)
        self._check_possible(only)
        if self.service is None:
            self._create()
        elif only is None and self._describes() and (check or not (self.fresh or self.replaced)):
            self._merge_description(check=check)
        if only is None and self.fields:
            self.load("identities")
        unseen = (thing.present is None for thing in self._chosen("ledger", only).values())
        if (check or atomic) and any(unseen):
            self.load("ledger")
        if atomic:
            self._check_atomic(only)
        self._check_possible(only)
        if only is None:
            self._save_description()
        self._save_identities(only)
        self._save_ledger(self._chosen("ledger", only), check=check, atomic=atomic)
        self._save_docs(only)
        if self._errors:
            raise FailedError("refused", self._errors)
        self.stuck = False

    def _chosen(self, part: str, only: tuple[str, str] | None) -> dict[str, Thing]:
        found = getattr(self, part).modified()
        return found if only is None else {n: t for n, t in found.items() if only == (part, n)}

    def _check_possible(self, only: tuple[str, str] | None) -> None:
        """Refuse a description that is frozen, and an Entry that is not there nor given a value."""
        if only is None and self.frozen and self._describes():
            raise FailedError("state")
        for thing in self._chosen("ledger", only).values():
            if not thing.removed and thing.present is False and "value" not in thing.changes():
                raise FailedError("state")

    def _check_atomic(self, only: tuple[str, str] | None) -> None:
        """Refuse what is more than one request to the Ledger."""
        kinds = set()
        for thing in self._chosen("ledger", only).values():
            kinds.add("remove" if thing.removed else "add" if thing.present is False else "change")
        others = only is None and self._describes()
        more = any(self._chosen(part, only) for part in ("identities", "docs"))
        if self.service is None or others or more or len(kinds) > 1:
            raise FailedError("state")

    def _send(self, request: Request) -> Answer:
        assert self.service is not None
        self.sent.append(request)
        if self.breaks is not None and len(self.sent) > self.breaks:
            raise FailedError("broken")
        try:
            return self.service.answer(request, self.hidden)
        except StatusError as error:
            raise FailedError(str(error.status)) from None

    def _note(self, does: str, part: str, names: Iterable[str]) -> None:
        self.done += [(does, part, name) for name in names]

    def _create(self) -> None:
        described = {key: new for key, new in self.description.want.items() if new is not GONE}
        body = {"description": described} if described or self.replaced else None
        self.service = Service()
        try:
            answer = self._send(Request("POST", "", (), body))
        except FailedError:
            self.service = None
            raise
        self.replaced = False
        self.fresh = True
        self.description.written(described, dict(answer.items["description"]))
        self._note("create", "description", described)

    def _merge_description(self, *, check: bool) -> None:
        """Read the description first: others may have written other keys."""
        mine = self.description.changes()
        before = {key: self.description.seen(key) for key in mine}
        self.load("description")
        theirs = {key: self.description.seen(key) for key in mine}
        self.conflicts = [
            ("description", key, before[key], mine[key], theirs[key])
            for key in mine
            if before[key] is not UNKNOWN
            and differs(before[key], theirs[key])
            and differs(mine[key], theirs[key])
        ]
        if check and self.conflicts:
            raise FailedError("conflict", [key for _, key, *_ in self.conflicts])

    def _save_description(self) -> None:
        if not self._describes():
            return
        changes = self.description.changes()
        whole = self.shown_description()
        answer = self._send(Request("PATCH", "", (), {"description": whole}))
        self.replaced, self.fresh = False, True
        self.description.written(changes, dict(answer.items["description"]))
        self._note("update", "description", changes)

    def _save_identities(self, only: tuple[str, str] | None) -> None:
        chosen = self._chosen("identities", only)
        new: dict[str, Any] = {}
        changed: dict[str, Any] = {}
        for text, thing in chosen.items():
            if thing.removed:
                continue
            attributes = thing.changes()
            if thing.present is False or (thing.adding and not thing.present):
                new[text] = {key: value for key, value in attributes.items() if value is not None}
            else:
                changed[text] = attributes
        if new:
            answer = self._send(Request("POST", "identities", (), {"identities": new}))
            self._errors |= answer.refused
            for text in new:
                if text not in answer.refused:
                    chosen[text].written(chosen[text].changes(), dict(answer.items[text]))
                    self._note("create", "identities", [text])
        for text, attributes in changed.items():
            answer = self._send(Request("PATCH", f"identities/{text}", (), attributes))
            chosen[text].written(attributes, dict(answer.items[text]))
            self._note("update", "identities", [text])
        for text, thing in chosen.items():
            if thing.removed:
                self._delete("identities", text, thing, only)

    def _save_docs(self, only: tuple[str, str] | None) -> None:
        for name, thing in self._chosen("docs", only).items():
            if thing.removed:
                self._delete("docs", name, thing, only)
                continue
            attributes = thing.changes()
            answer = self._send(Request("PATCH", f"docs/{name}", (), attributes))
            thing.written(attributes, dict(answer.items[name]))
            self._note("update", "docs", [name])

    def _delete(self, part: str, name: str, thing: Thing, only: object) -> None:
        try:
            self._send(Request("DELETE", f"{part}/{name}"))
        except FailedError as error:
            # It is to be gone, and gone it is.
            if error.kind != "404" or only is not None:
                raise
        thing.removed = False
        thing.learn(GONE)
        self._note("delete", part, [name])

    # The Ledger

    def _save_ledger(self, chosen: dict[str, Thing], *, check: bool, atomic: bool) -> None:
        removed = [name for name, thing in chosen.items() if thing.removed]
        rest = {name: t.changes() for name, t in chosen.items() if not t.removed}
        new = {name: sent for name, sent in rest.items() if chosen[name].present is False}
        changed = {name: sent for name, sent in rest.items() if name not in new}
        # What is sent is decided before anything is sent.
        seen = {name: t.base.get("moment") for name, t in chosen.items() if t.present}
        guard = {"check": check, "atomic": atomic, "moments": seen}
        if new:
            self._add(new, check=check, atomic=atomic)
        if changed:
            only_values = all(set(sent) == {"value"} for sent in changed.values())
            path = "ledger/value" if only_values else "ledger"
            self._write("update", "PATCH", path, changed, **guard)
        if removed:
            self._write("delete", "DELETE", "ledger", {name: {} for name in removed}, **guard)

    def _add(self, new: dict[str, Any], *, check: bool, atomic: bool) -> None:
        entries = {name: {**self.declared.get(name, {}), **sent} for name, sent in new.items()}
        self._write("create", "POST", "ledger", entries, check=check, atomic=atomic)

    def _write(
        self,
        does: str,
        method: str,
        path: str,
        sent: dict[str, Any],
        *,
        check: bool,
        atomic: bool,
        moments: dict[str, Any] | None = None,
    ) -> None:
        overwrites = [name for name, attrs in sent.items() if "value" in attrs or does == "delete"]
        body: dict[str, Any] = {} if does == "delete" else {"entries": sent}
        if check and does != "create":
            conditions = {name: (moments or {})[name] for name in overwrites}
            body |= {"conditions": conditions} if conditions else {}
        if atomic:
            body["transaction"] = True
        query = tuple(("entries", name) for name in sent) if does == "delete" else ()
        answer = self._send(Request(method, path, query, deepcopy_items(body) or None))
        missing: dict[str, Any] = {}
        failed = set()
        for name, attributes in sent.items():
            thing = self.ledger[name]
            if name in answer.refused:
                if does == "update" and thing.present is None:
                    missing[name] = attributes
                else:
                    failed.add(name)
            elif does == "delete":
                thing.removed = False
                thing.learn(GONE)
                self._note(does, "ledger", [name])
            else:
                thing.written(attributes, dict(answer.items[name]))
                self._note(does, "ledger", [name])
        self._errors |= failed
        checked = [name for name in overwrites if name in failed]
        if check and checked:
            self._look_for_conflicts(does, sent, checked, atomic=atomic)
        # What has no value cannot be made.
        self._errors |= {name for name in missing if "value" not in missing[name]}
        missing = {name: attrs for name, attrs in missing.items() if "value" in attrs}
        if missing:
            self._add(missing, check=False, atomic=atomic)

    def _look_for_conflicts(
        self, does: str, sent: dict[str, Any], failed: list[str], *, atomic: bool
    ) -> None:
        before = {name: self.ledger[name].base for name in failed}
        self.load("ledger")
        sides = []
        for name in failed:
            base, theirs = (
                {} if one is GONE else one for one in (before[name], self.ledger[name].base)
            )
            if base.get("moment") is not theirs.get("moment"):
                values = (base.get("value", GONE), theirs.get("value", GONE))
                sides.append((name, values[0], sent[name].get("value", GONE), values[1]))
        lost = [
            side
            for side in sides
            if differs(side[1], side[3]) and not (side[2] is GONE and side[3] is GONE)
        ]
        self._rounds += 1
        if lost or self._rounds > MOST_ROUNDS:
            self.conflicts = [("ledger", *side) for side in lost or sides]
            raise FailedError("conflict", [name for name, *_ in lost or sides])
        names = list(sent) if atomic and sides else [name for name, *_ in sides]
        self._errors -= set(names)
        again = {name: self.ledger[name] for name in names if self.ledger[name].is_modified()}
        self._save_ledger(again, check=True, atomic=atomic)


def deepcopy_items(items: dict[str, Any]) -> dict[str, Any]:
    """Copy what is told, but for the moments, which stay the same."""
    return {
        name: {k: v if k == "moment" else deepcopy(v) for k, v in item.items()}
        if isinstance(item, dict) and name != "conditions"
        else item
        for name, item in items.items()
    }
