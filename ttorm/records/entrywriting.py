"""Writes of Entries: what their answers mean, lost races, and answers that are lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ttorm.api.answers import is_settled, items, refusal
from ttorm.api.codec import JSONValue
from ttorm.api.errors import OutcomeUnknownError
from ttorm.connection.patience import Patience
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT, Marker, alike
from ttorm.records.changes import attribute_name
from ttorm.records.conflicts import Lost, conflict
from ttorm.records.doubts import Verdict, verdict
from ttorm.records.loading import load_part
from ttorm.records.plan import Sent, Step, adding, is_complete, repeated
from ttorm.records.state import TwinState
from ttorm.records.writing import Doubtful, Writing, overwrites, value_moment

__all__ = ["EntryWriting"]

_ROUNDS = 5
"""How often a save writes again what moved without getting in its way."""


class EntryWriting(Writing):
    """The part of a save that is about Entries."""

    _rounds = 0

    def settle_entries(
        self, step: Step, answer: Mapping[str, Any], patience: Patience
    ) -> Flow[None]:
        """Settle what an answer says of each Entry, and go after what it refuses."""
        ledger = self.state.ledger
        missing: dict[str, str] = {}
        failed: dict[str, str] = {}
        for name, sent in step.sent.items():
            if (text := refusal(answer, "entries", name)) is not None:
                # An Entry that may be new is added, unless there is nothing to make it of.
                unknown = step.does == "update" and ledger.item(name).present is None
                (missing if unknown and is_complete(sent) else failed)[name] = text
                continue
            if step.does == "delete":
                ledger.settle(name, {}, ABSENT)
            else:
                told = items(answer, "entries").get(name)
                ledger.settle(name, sent, told or {**ledger.base.get(name, {}), **sent})
            self.note(step.does, "ledger", [name])
        self.state.expire_aliases()
        for name, entry in items(answer, "entries").items():
            if not is_settled(entry):
                # Its value arrives after this answer: whoever looks asks again.
                ledger.forget(name)
        self.fail(step, failed)
        again = patience.attempt > 1
        checked = [
            name
            for name in failed
            if overwrites(step.sent[name]) or (again and step.does == "create")
        ]
        if checked and again:
            # The guard of a repeat: what was sent before may have arrived late.
            yield from self.clear_entries(step._replace(sent=_only(step.sent, checked)), patience)
        elif checked and self.check:
            yield from self._look_for_conflicts(step, checked)
        # An update that did not find an Entry whose presence nobody knew: it is new.
        for retry in adding(self.state, str(self.state.uuid), _only(step.sent, missing)):
            yield from self.execute(retry)

    def _look_for_conflicts(self, step: Step, failed: Collection[str]) -> Flow[None]:
        """Tell a lost race from another refusal: read whether the values have moved.

        What moved without getting in the way is written over what is there now.
        """
        state = self.state
        sides = yield from self._moved(_only(step.sent, failed))
        moved = [one.name for one in sides]
        lost = [one for one in sides if _is_lost(one)]
        self._rounds += 1
        if lost or self._rounds > _ROUNDS:
            raise conflict(state, lost or sides)
        # Of an atomic write all was refused for the sake of those that moved.
        names = step.sent if self.atomic and moved else moved
        for name in names:
            del self.errors[attribute_name(state, "ledger", name)]
        for again in repeated(state, step, names):
            yield from self.execute(again._replace(request=self.guarded(again)))

    def read_checked(self, writes: Iterable[Step]) -> Flow[None]:
        """Read Entries that an earlier save has left in doubt.

        Raises:
            ConflictError: Somebody else has written something else since they were seen.
            OutcomeUnknownError: They show what was to be written; who did it nobody can tell.
        """
        writes = list(writes)
        ledger = self.state.ledger
        sent = [one for step in writes for one in step.sent.items()]
        sides = yield from self._moved(
            {
                name: one
                for name, one in sent
                if ledger.item(name).present is not None and overwrites(one)
            }
        )
        lost = [one for one in sides if _is_lost(one)]
        if others := [one for one in lost if not alike(one.mine, one.theirs)]:
            raise conflict(self.state, others)
        if lost:
            raise _undecided(self.state, writes[0], [one.name for one in lost])

    def _moved(self, sent: Sent) -> Flow[list[Lost]]:
        """Read the Ledger, and give what has moved of some Entries since they were seen."""
        ledger = self.state.ledger
        before = {name: ledger.base.get(name, {}) for name in sent}
        self.requests += 1
        yield from load_part(self.state, "ledger", fresh=True)
        after = {name: ledger.base.get(name, {}) for name in sent}
        return [
            Lost(
                "ledger",
                name,
                before[name].get("value", ABSENT),
                sent[name].get("value", ABSENT),
                after[name].get("value", ABSENT),
            )
            for name in sent
            if value_moment(before[name]) != value_moment(after[name])
        ]

    def clear_entries(
        self,
        step: Step,
        patience: Patience,
        error: Doubtful | None = None,
    ) -> Flow[None]:
        """Clear up a write of Entries; without an error it is one that its guard has refused."""
        state, ledger = self.state, self.state.ledger
        before = {name: ledger.item(name).base for name in step.sent}
        yield from self.look("ledger", error)
        found: dict[Verdict, list[str]] = {one: [] for one in Verdict}
        for name, sent in step.sent.items():
            now = ledger.item(name).base
            found[verdict(step.does, sent, before[name], now, check=self.check)].append(name)
        for name in found[Verdict.DONE]:
            ledger.settle(name, step.sent[name], ledger.item(name).base)
            self.errors.pop(attribute_name(state, "ledger", name), None)
        self.note(step.does, "ledger", found[Verdict.DONE])
        state.forget_values()
        if found[Verdict.UNKNOWN]:
            # The next save writes over what is there, if that is what is wanted.
            raise _undecided(state, step, found[Verdict.UNKNOWN]) from error
        if found[Verdict.LOST]:
            self._lose(step, found[Verdict.LOST], before)
        if error is not None:
            for again in repeated(state, step, found[Verdict.AGAIN]):
                yield from self.pause(again, error, patience)
                guarded = again._replace(request=self.guarded(again, always=True))
                yield from self.execute(guarded, patience=patience)

    def _lose(self, step: Step, names: Iterable[str], before: Mapping[str, Any]) -> None:
        """Take note of what somebody else has written since."""
        ledger = self.state.ledger
        lost = [
            Lost(
                "ledger",
                name,
                _value(before[name]),
                step.sent[name].get("value", ABSENT),
                _value(ledger.item(name).base),
            )
            for name in names
            if step.does != "create" and overwrites(step.sent[name])
        ]
        told = {one.name for one in lost}
        text = "no answer came to this write, and somebody else has written since"
        self.fail(step, {name: text for name in names if name not in told})
        if lost:
            raise conflict(self.state, lost)


def _is_lost(one: Lost) -> bool:
    # Equal values from both sides are no agreement: each may have added one to the same.
    return not alike(one.base, one.theirs) and (one.mine, one.theirs) != (ABSENT, ABSENT)


def _only(sent: Sent, names: Iterable[str]) -> Sent:
    return {name: sent[name] for name in names}


def _value(base: Any) -> JSONValue:
    return base if isinstance(base, Marker) else base.get("value", ABSENT)


def _undecided(state: TwinState, step: Step, names: Iterable[str]) -> OutcomeUnknownError:
    told = ", ".join(attribute_name(state, "ledger", name) for name in names)
    return OutcomeUnknownError(
        f"{told} of Twin {state.uuid} was written and no answer came; what is there now does not "
        "tell whether by this write or by somebody else's: look at it, and save again or discard()",
        operation=step.request.operation.name,
        request=step.request.label,
    )
