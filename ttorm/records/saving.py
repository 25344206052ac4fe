"""Saving: the requests of a plan, one after the other, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttorm import signals
from ttorm.api.answers import items, member, refusal
from ttorm.api.errors import (
    ApiError,
    BudgetExceededError,
    BusyError,
    ConflictError,
    ItemError,
    NotFoundError,
    OutcomeUnknownError,
    SaveError,
    ServerError,
    StateError,
    TransportError,
)
from ttorm.api.request import api_request
from ttorm.connection.calls import outcome_unknown, perform
from ttorm.connection.hooks import at_work
from ttorm.connection.patience import Patience
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT
from ttorm.records.changes import Change, attribute_name, changes_of
from ttorm.records.loading import load_part
from ttorm.records.needs import (
    ask_account,
    check_needs,
    keys_about_itself,
    spots_that_wait,
)
from ttorm.records.plan import (
    Part,
    Spots,
    Step,
    check_atomic,
    creation,
    description_needs_reading,
    identities_need_reading,
    ledger_needs_reading,
    steps,
)
from ttorm.records.state import TwinState
from ttorm.records.telling import anybody_listens, of_items, tell
from ttorm.records.turns import alone, asked, turn
from ttorm.records.twinwriting import Recovery, TwinWriting
from ttorm.records.writing import Doubtful
from ttorm.results import SaveResult

__all__ = ["after_another", "remove_now", "save", "terminate"]


def save(
    record: Any,
    *,
    check: bool = False,
    atomic: bool = False,
    only: tuple[Part, str] | None = None,
    without: Spots | None = None,
    recover: Recovery | None = None,
) -> Flow[SaveResult]:
    """Send what changed of a Twin.

    Args:
        record: The Twin.
        check: Write only over what this record has seen.
        atomic: Write all changes of Entries, or none.
        only: One item, by part and name, when not everything is to be saved.
        without: What is left out, with all else that speaks of records not saved yet; None has
            such a save refused instead.
        recover: What to do when nobody knows whether the Twin was created; None raises.

    Raises:
        StateError: It speaks of a record that has to be saved first.
        SaveError: Some items were refused.
        ConflictError: Somebody else changed the same (only with `check`).
    """
    state: TwinState = record._state
    state.check_home()
    yield from turn(state)
    if only is not None and state.uuid is None:
        raise StateError("the Twin was not saved yet: save() the Twin first")
    if not state.is_modified():
        state.stuck = False
        return SaveResult()
    saving = _Saving(
        state, check=check or record.__meta__.optimistic, atomic=atomic, recover=recover
    )
    return (
        yield from at_work(state.connection, "save", _run(saving, record, only, without), record)
    )


def after_another(state: TwinState, saving: Flow[SaveResult], asker: object) -> Flow[SaveResult]:
    """Save what is just being saved once more, unless that fails: it is others' to handle.

    Args:
        state: The Twin.
        saving: The save.
        asker: Who asks for it; what is told of the save under way cannot wait for its end.
    """
    here = state.saving is not None and state.saving[0] == asker
    if not here:
        yield from turn(state)
    return SaveResult() if here or state.stuck else (yield from saving)


def _run(
    saving: _Saving, record: Any, only: tuple[Part, str] | None, without: Spots | None
) -> Flow[SaveResult]:
    """Save, and tell everybody of it."""
    state = saving.state
    if signals.pre_save.receivers:
        planned = changes_of(state)
        if only is not None:
            planned = of_items(planned, [attribute_name(state, *only)])
        question = signals.emit(signals.pre_save, type(record), record=record, changes=planned)
        yield from asked(state, question)
    # Receivers may have changed more.
    if without is None:
        left_out = check_needs(state, only)
    else:
        left_out = without | spots_that_wait(state, only)
    heard = anybody_listens()
    saving.changes = changes_of(state) if heard else None
    failure: Exception | None = None
    try:
        yield from alone(state, _sticking(saving, saving.run(only, left_out)))
    except Exception as error:  # noqa: BLE001 # raised when everybody was told what was done
        failure = error
    result = saving.result()
    if heard and (saving.done or saving.created):
        yield from tell(record, result, of_items(saving.changes or {}, saving.done), saving.created)
    if failure is None and saving.errors:
        failure = _refused(state, saving.errors, result, atomic=saving.atomic)
    if failure is not None:
        if isinstance(failure, ConflictError):
            state.connection.log.conflict(str(state.uuid), failure.mine)
        if isinstance(failure, ConflictError) and signals.conflict.receivers:
            yield from signals.emit(signals.conflict, type(record), record=record, error=failure)
        raise failure
    return result


def _sticking(saving: _Saving, flow: Flow[None]) -> Flow[None]:
    """Leave a record whose save fails to whoever handles that."""
    stuck = True
    try:
        yield from flow
        stuck = bool(saving.errors)
    finally:
        # Also after a cancelled task.
        saving.state.stuck = stuck


class _Saving(TwinWriting):
    """A whole save: the Twin itself, and each of its parts."""

    def __init__(
        self, state: TwinState, *, check: bool, atomic: bool, recover: Recovery | None
    ) -> None:
        super().__init__(state, check=check, atomic=atomic, recover=recover)
        self.changes: dict[str, Change] | None = None
        self.only: tuple[Part, str] | None = None
        self.without: Spots = frozenset()

    def run(self, only: tuple[Part, str] | None, without: Spots) -> Flow[None]:
        state = self.state
        # Everything is checked before anything is sent.
        self.requests += yield from ask_account(state)
        self.only, self.without = only, without
        doubtful = state.in_doubt
        for part in sorted(doubtful):
            yield from self._read_doubtful(part)
        self._steps(only, without)
        if state.uuid is None:
            created = creation(state, without | keys_about_itself(state))
            created.encode_body()
            yield from self.create(created)
            # Nobody else has seen it yet: what is found there is its own.
            self.check = False
        elif only is None and (
            description_needs_reading(state)
            or (self.check and "description" not in doubtful and state.redescribed())
        ):
            yield from self.read_description(check=self.check)
        if only is None and identities_need_reading(state):
            self.requests += 1
            yield from load_part(state, "identities", fresh=True)
        if (self.check or self.atomic) and ledger_needs_reading(state, only):
            self.requests += 1
            yield from load_part(state, "ledger", fresh=True)
        if self.changes is not None:
            # Reading tells what is removed by what takes its place.
            self.changes |= changes_of(state)
        for step in self._steps(only, without):
            # Where more is saved, what somebody else has removed already holds up nothing.
            gone_is_fine = only is None and step.does == "delete" and step.part != "ledger"
            yield from self.execute(step, gone_is_fine=gone_is_fine)

    def _read_doubtful(self, part: str) -> Flow[None]:
        """Read what an earlier save has left in doubt; what others write is not taken for seen."""
        if part == "description":
            yield from self.read_description(check=self.check and self.only is None)
        elif part == "ledger" and self.check:
            self.state.doubt(part)
            writes = steps(self.state, str(self.state.uuid), self.only, self.without)
            yield from self.read_checked([step for step in writes if step.part == "ledger"])
        else:
            self.requests += 1
            yield from load_part(self.state, part, fresh=True)

    def _steps(self, only: tuple[Part, str] | None, without: Spots) -> list[Step]:
        found = steps(self.state, self.state.uuid or "new", only, without)
        if self.atomic:
            check_atomic(self.state, found)
        # What goes along with the values may be too much for one body.
        return [step._replace(request=self.guarded(step)) for step in found]

    def execute(
        self, step: Step, *, gone_is_fine: bool = False, patience: Patience | None = None
    ) -> Flow[None]:
        """Send a step and settle what it did.

        Args:
            step: The request.
            gone_is_fine: Whether what is to be removed may be gone already.
            patience: How long to go on, when its first sending was in vain.
        """
        state = self.state
        patience = patience or Patience(state.connection.strain)
        state.begin_doubt(step.part, step.sent)
        try:
            answer = yield from perform(state.connection, step.request)
        except (OutcomeUnknownError, ServerError) as error:
            yield from self._clear_up(step, error, patience)
            return
        except (ApiError, BudgetExceededError, TransportError) as error:
            unsent = (BudgetExceededError, BusyError, TransportError)
            if patience.attempt > 1 and isinstance(error, unsent):
                # This sending has done nothing, but an earlier one may still arrive.
                raise outcome_unknown(step.request, patience.attempt, error) from error
            # Nothing was done.
            state.end_doubt(step.part, step.sent)
            if not (gone_is_fine and isinstance(error, NotFoundError)):
                raise
            answer = {}
        except BaseException:
            # A cancelled task. Whoever has read meanwhile has seen what was there before.
            state.begin_doubt(step.part, step.sent)
            raise
        state.end_doubt(step.part, step.sent)
        self.requests += 1
        patience.repay()
        match step.part:
            case "description":
                self.settle_description(step.sent["description"], answer)
                self.note("update", "description", step.sent["description"])
            case "ledger":
                yield from self.settle_entries(step, answer, patience)
            case "identities":
                yield from self._settle_identities(step, answer, patience)
            case "docs":
                self._settle_docs(step, answer)
        self.state.forget_values()

    def _clear_up(self, step: Step, error: Doubtful, patience: Patience) -> Flow[None]:
        """Read what a write has done whose outcome is not known, and write again what it has not.

        Raises:
            OutcomeUnknownError: Reading does not tell, or the service does not answer.
            ConflictError: Somebody else has written something else since.
        """
        self.requests += 1
        if step.part == "docs" or step.request.operation.repeat.is_harmless:
            # It was repeated as often as it may be.
            raise error
        match step.part:
            case "ledger":
                yield from self.clear_entries(step, patience, error)
                return
            case "description":
                yield from self.read_description(check=True, after=error)
                if self.state.replaced and member(self.state.facts, "description") == member(
                    step.request.body, "description"
                ):
                    self.settle_description(step.sent["description"], self.state.facts or {})
            case "identities":
                yield from self.look("identities", error)
        again = self._left_of(step)
        still = {name for one in again for name in one.sent.get("description", one.sent)}
        sent = step.sent.get("description", step.sent)
        self.note(step.does, step.part, [name for name in sent if name not in still])
        for one in again:
            yield from self.pause(one, error, patience)
            # What was sent before may arrive at last.
            yield from self.execute(one, patience=patience)

    def _left_of(self, step: Step) -> list[Step]:
        """Give what a look has left of a step, and nothing else that is to be saved."""
        left = steps(self.state, str(self.state.uuid), self.only, self.without)
        return [
            one
            for one in left
            if (one.part, one.does) == (step.part, step.does)
            and not one.sent.keys().isdisjoint(step.sent)
        ]

    def _settle_identities(
        self, step: Step, answer: Mapping[str, Any], patience: Patience
    ) -> Flow[None]:
        identities = self.state.identities
        failed = {text: refusal(answer, "identities", text) for text in step.sent}
        refused = {text: why for text, why in failed.items() if why is not None}
        if refused and patience.attempt > 1:
            # What was sent before may have arrived late.
            yield from self.look("identities", None)
            still = {text for one in self._left_of(step) for text in one.sent}
            self.note(step.does, "identities", [text for text in refused if text not in still])
            refused = {text: why for text, why in refused.items() if text in still}
        self.fail(step, refused)
        for text, sent in step.sent.items():
            if failed[text] is not None:
                continue
            if step.does == "delete":
                identities.settle(text, {}, ABSENT)
            else:
                told = items(answer, "identities").get(text) if step.does == "create" else answer
                known = member(identities.base, text)
                identities.settle(text, sent, dict(told or {**known, **sent}))
            self.note(step.does, "identities", [text])

    def _settle_docs(self, step: Step, answer: Mapping[str, Any]) -> None:
        for name, sent in step.sent.items():
            base = ABSENT if step.does == "delete" else {"description": None, **answer}
            self.state.docs.settle(name, sent, base)
            self.note(step.does, "docs", [name])


def _refused(
    state: TwinState, errors: Mapping[str, ItemError], result: SaveResult, *, atomic: bool
) -> SaveError:
    shown = "; ".join(
        f"{name}: {error.message} ({error.operation})" for name, error in errors.items()
    )
    return SaveError(
        f"the service refused {len(errors)} of the changes of Twin {state.uuid}: {shown}. "
        f"They are still changed here; {'nothing' if atomic else 'everything else'} was saved",
        errors=errors,
        result=result,
    )


# Verbs without a plan


def remove_now(state: TwinState, part: Part, name: str) -> Flow[SaveResult]:
    """Remove one Entry, Identity or Doc at once."""
    if state.uuid is None:
        raise StateError("the Twin was not saved yet: there is nothing to delete")
    items = {"ledger": state.ledger, "identities": state.identities, "docs": state.docs}[part]
    state.touch()
    items.item(name).remove()
    return (yield from save(state.record(), only=(part, name)))


def terminate(record: Any) -> Flow[None]:
    """Terminate the Twin, for ever."""
    state: TwinState = record._state
    if state.uuid is None:
        raise StateError("this record was not saved yet: there is nothing to terminate")
    answer = yield from perform(state.connection, api_request("terminate_twin", [state.uuid]))
    if "creation_certificate" not in answer:
        # A lost answer's work was found done.
        answer = yield from perform(
            state.connection, api_request("get_twin", [state.uuid], {"show_terminated": True})
        )
    state.absorb_twin(answer, fresh=True)
    if signals.terminated.receivers:
        yield from signals.emit(signals.terminated, type(record), record=record)
