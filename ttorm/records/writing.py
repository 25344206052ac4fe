"""One save under way: what it did so far, and what its parts have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ttorm.api.codec import JSONValue
from ttorm.api.errors import (
    BusyError,
    ItemError,
    OutcomeUnknownError,
    ServerError,
    TransportError,
)
from ttorm.api.request import ApiRequest
from ttorm.api.retry import Failure
from ttorm.connection.patience import Patience
from ttorm.flows import Flow, sleep
from ttorm.records.changes import attribute_name
from ttorm.records.loading import load_part
from ttorm.records.plan import Part, Step
from ttorm.records.state import TwinState
from ttorm.results import SaveResult

__all__ = ["Doubtful", "Writing", "overwrites", "value_moment"]

Doubtful: TypeAlias = OutcomeUnknownError | ServerError
"""Errors after which a write may have happened, or not."""


class Writing(ABC):
    """One save under way.

    Attributes:
        state: The Twin that is saved.
        check: Whether to write only over what was seen.
        atomic: Whether all changes of Entries are written, or none.
        errors: What was refused, by attribute.
        requests: How many requests were sent.
    """

    def __init__(self, state: TwinState, *, check: bool, atomic: bool) -> None:
        self.state = state
        self.check = check
        self.atomic = atomic
        self.errors: dict[str, ItemError] = {}
        self.requests: int = 0
        self._done: dict[str, list[str]] = {"create": [], "update": [], "delete": []}

    @abstractmethod
    def execute(
        self, step: Step, *, gone_is_fine: bool = False, patience: Patience | None = None
    ) -> Flow[None]:
        """Send a step and settle what it did.

        Args:
            step: The request.
            gone_is_fine: Whether what is to be removed may be gone already.
            patience: How long to go on, when its first sending was in vain.
        """

    @property
    def done(self) -> list[str]:
        """The attributes written so far."""
        return [name for names in self._done.values() for name in names]

    def result(self) -> SaveResult:
        """Sum up what was done."""
        created, updated, deleted = self._done.values()
        return SaveResult(tuple(created), tuple(updated), tuple(deleted), self.requests)

    def note(self, does: str, part: str, names: Iterable[str]) -> None:
        """Note what was done to some items of a part."""
        self._done[does].extend(attribute_name(self.state, part, name) for name in names)

    def fail(self, step: Step, texts: Mapping[str, str]) -> None:
        """Note what was refused, and why."""
        for name, text in texts.items():
            known = attribute_name(self.state, step.part, name)
            self.errors[known] = ItemError(text, step.request.operation.name)

    def guarded(self, step: Step, *, always: bool = False) -> ApiRequest:
        """Give the request of a step with what keeps it from overwriting, or from doing half."""
        guard: dict[str, JSONValue] = {}
        if (self.check or always) and (conditions := self._conditions(step)):
            guard["conditions"] = conditions
        if self.atomic:
            guard["transaction"] = True
        if not guard:
            return step.request
        request = step.request._replace(body={**(step.request.body or {}), **guard})
        request.encode_body()
        return request

    def _conditions(self, step: Step) -> dict[str, str]:
        if step.part != "ledger" or step.does == "create":
            return {}
        base = self.state.ledger.base
        writes = (name for name, sent in step.sent.items() if overwrites(sent))
        seen = {name: value_moment(base.get(name, {})) for name in writes}
        return {
            name: f"value_changed_ts == {moment!r}"
            for name, moment in seen.items()
            if isinstance(moment, (int, float))
        }

    def look(self, part: Part, error: Doubtful | None) -> Flow[None]:
        """Read a part that is in doubt; that this fails, too, is not what matters to the caller."""
        self.requests += 1
        try:
            yield from load_part(self.state, part, fresh=True)
        except (BusyError, ServerError, TransportError) as failure:
            raise (failure if error is None else error) from failure

    def pause(self, step: Step, error: Doubtful, patience: Patience) -> Flow[None]:
        """Wait before another attempt at a step.

        Raises:
            OutcomeUnknownError: There is none.
        """
        # What was sent before may still arrive: who saves after this one was cut off looks again.
        self.state.begin_doubt(step.part, step.sent)
        seconds = patience.pause(Failure.AMBIGUOUS)
        if seconds is None:
            raise error
        yield from sleep(seconds)


def overwrites(sent: Mapping[str, JSONValue]) -> bool:
    """Tell whether a write of some attributes, or of none to remove an Entry, ends a value."""
    return "value" in sent or not sent


def value_moment(entry: Mapping[str, Any]) -> object:
    """Return when an Entry's value was last written, as the service says it."""
    return entry.get("value_changed_ts")
