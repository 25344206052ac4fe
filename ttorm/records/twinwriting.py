"""Writes of the Twin itself: its creation, and its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ttorm.api.answers import member, needed
from ttorm.api.codec import JSONValue
from ttorm.api.errors import OutcomeUnknownError, ResponseFormatError
from ttorm.api.request import ApiRequest
from ttorm.connection.calls import outcome_unknown, perform
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT
from ttorm.records.conflicts import Lost, conflict, overlaps
from ttorm.records.cutoffs import made_once
from ttorm.records.entrywriting import EntryWriting
from ttorm.records.state import TwinState
from ttorm.records.writing import Doubtful

__all__ = ["Recovery", "TwinWriting"]

Recovery: TypeAlias = Callable[[OutcomeUnknownError], Flow[dict[str, Any] | None]]
"""Finds the Twin of a creation in doubt; None has it created again."""


class TwinWriting(EntryWriting):
    """The part of a save that is about the Twin itself.

    Attributes:
        recover: What to do when nobody knows whether the Twin was created; None raises.
        created: Whether it has created the Twin.
    """

    created = False

    def __init__(
        self, state: TwinState, *, check: bool, atomic: bool, recover: Recovery | None
    ) -> None:
        super().__init__(state, check=check, atomic=atomic)
        self.recover = recover

    def create(self, request: ApiRequest) -> Flow[None]:
        """Create the Twin.

        Raises:
            OutcomeUnknownError: It may or may not exist now.
        """
        state = self.state
        sent: dict[str, JSONValue] = dict(member(request.body, "description"))
        answer = yield from made_once(state, request, self._created(request))
        self.requests += 1
        self.note("create", "description", sent)
        uuid = needed(answer, "creation_certificate", "uuid")
        state.uuid, state.session.known[uuid] = uuid, state
        self.created = True
        self.settle_description(sent, answer)

    def _created(self, request: ApiRequest) -> Flow[dict[str, Any]]:
        answer = None
        while answer is None:
            try:
                answer = yield from self._create_once(request)
            except OutcomeUnknownError as error:
                if self.recover is None:
                    raise
                answer = yield from self.recover(error)
        return answer

    def _create_once(self, request: ApiRequest) -> Flow[dict[str, Any]]:
        answer = yield from perform(self.state.connection, request)
        try:
            needed(answer, "creation_certificate", "uuid")
        except ResponseFormatError as error:
            raise outcome_unknown(request, 1, error) from error
        return answer

    def read_description(self, *, check: bool, after: Doubtful | None = None) -> Flow[None]:
        """Read the whole afresh: the API replaces it, and others may have written other keys."""
        state = self.state
        description = state.description
        if "description" in state.in_doubt:
            state.doubt("description")
        mine = description.changes()
        before = {key: description.base_of(key) for key in mine}
        yield from self.look("description", after)
        sides = [(key, before[key], mine[key], description.base_of(key)) for key in mine]
        lost = [Lost("description", *side) for side in sides if overlaps(*side[1:])]
        if check and lost:
            raise conflict(state, lost)

    def settle_description(self, sent: Mapping[str, JSONValue], answer: Mapping[str, Any]) -> None:
        """Take the answer to a creation, or to a write of the description."""
        state = self.state
        if "creation_certificate" not in answer:
            # Done, says the status, but the answer shows no Twin: it is as it was written.
            known = {**state.description.known, **sent}
            told = {key: value for key, value in known.items() if value is not ABSENT}
            answer = {**(state.facts or {}), "description": told}
        state.facts = dict(answer)
        state.fresh, state.replaced = True, False
        state.description.settle(sent, member(answer, "description"))
        state.forget_values()
