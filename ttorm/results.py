"""What a save did, and what one would do, as data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias, TypeVar, overload

from ttorm.api.codec import JSONValue
from ttorm.api.request import ApiRequest
from ttorm.display import Displayed, Sheet, displayed, limited, shortened

__all__ = ["Plan", "PlannedRequest", "SaveResult", "Stage", "all_of", "joined"]

R = TypeVar("R")
Stage: TypeAlias = Literal["whole", "early", "late"]
"""Whether a save is whole, or the first or second one of a record in a circle."""


@displayed
class SaveResult(NamedTuple):
    """What a save did.

    Attributes:
        created: Attributes and items that are new, by name.
        updated: Those that were changed.
        deleted: Those that were removed.
        requests: How many requests it took.
    """

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    requests: int = 0

    @classmethod
    def sum(cls, results: Iterable[SaveResult]) -> SaveResult:
        """Put what several saves did together.

        Example:
            >>> SaveResult.sum([SaveResult(("a",), requests=2), SaveResult(("b",), requests=1)])
            SaveResult(created=('a', 'b'), updated=(), deleted=(), requests=3)
        """
        several = list(results)
        return cls(
            tuple(name for result in several for name in result.created),
            tuple(name for result in several for name in result.updated),
            tuple(name for result in several for name in result.deleted),
            sum(result.requests for result in several),
        )

    def __repr__(self) -> str:
        # Of many records there are thousands of names.
        names = ", ".join(f"{name}={shortened(getattr(self, name))}" for name in self._fields[:3])
        return f"{type(self).__name__}({names}, requests={self.requests})"

    def _sheet(self) -> Sheet:
        done = zip(self._fields[:3], self[:3], strict=True)
        rows = [(what, name) for what, names in done for name in names]
        return Sheet("Save", ("", ""), limited(rows), f"requests: {self.requests}")


class PlannedRequest(NamedTuple):
    """One request a save would send.

    Attributes:
        operation: Name of the operation.
        method: HTTP method.
        path: Path and query.
        body: The JSON body, or None.
    """

    operation: str
    method: str
    path: str
    body: JSONValue = None

    @classmethod
    def of(cls, request: ApiRequest) -> PlannedRequest:
        """Show a call as data."""
        operation = request.operation
        return cls(operation.name, operation.method, request.target, request.body)

    def __str__(self) -> str:
        line = f"{self.method} {self.path}"
        return line if self.body is None else f"{line}\n{_json(self.body)}"


def _json(body: JSONValue) -> str:
    return "" if body is None else json.dumps(body, ensure_ascii=False)


class Plan(Displayed, Sequence[PlannedRequest]):
    """The requests a save would send, in order.

    Example:
        >>> pump = Twin.create()
        >>> pump.ledger["pressure"] = 2.5
        >>> print(pump.plan())  # doctest: +ELLIPSIS
        POST /twins/.../ledgers/personal
        {"entries": {"pressure": {"value": 2.5}}}
    """

    def __init__(self, requests: Iterable[PlannedRequest]) -> None:
        self._requests = tuple(requests)

    @overload
    def __getitem__(self, index: int) -> PlannedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PlannedRequest]: ...
    def __getitem__(self, index: int | slice) -> PlannedRequest | Sequence[PlannedRequest]:
        return self._requests[index]

    def __len__(self) -> int:
        return len(self._requests)

    def __str__(self) -> str:
        return "\n".join(str(request) for request in self._requests) or "(nothing to send)"

    def __repr__(self) -> str:
        return f"<Plan of {len(self)} requests>"

    def _sheet(self) -> Sheet:
        rows = [(one.method, one.path, _json(one.body)) for one in self]
        return Sheet(repr(self)[1:-1], ("method", "path", "body"), limited(rows))


def joined(plans: Iterable[Plan]) -> Plan:
    """Put several plans together; what one of them reads, the others need not."""
    found: list[PlannedRequest] = []
    for request in (request for plan in plans for request in plan):
        if request.method != "GET" or request not in found:
            found.append(request)
    return Plan(found)


def all_of(outcomes: Iterable[R | Exception]) -> list[R]:
    """Return the results of flows that ran side by side.

    Raises:
        Exception: The first that one of them raised; notes on it tell of the others.
    """
    results: list[R] = []
    errors: list[Exception] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            errors.append(outcome)
        else:
            results.append(outcome)
    if errors:
        # What fails alike is told once.
        told = dict.fromkeys(
            "; ".join([str(error), *getattr(error, "__notes__", ())[:1]]) for error in errors
        )
        for other in [*told][1:]:
            errors[0].add_note(f"also, at the same time: {other}")
        raise errors[0]
    return results
