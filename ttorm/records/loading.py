"""Reading parts of a Twin: which request brings which part, lazily or on demand."""

from __future__ import annotations

from collections.abc import Iterable

from ttorm import signals
from ttorm.api.answers import needed
from ttorm.api.errors import NotLoadedError, StateError, ValidationError
from ttorm.api.names import check_uuid
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.reads import Answer, kept_answer, read
from ttorm.flows import Flow, gather
from ttorm.records.cells import UNKNOWN
from ttorm.records.state import PERSONAL, TwinState
from ttorm.results import all_of
from ttorm.sessions import Fetch

__all__ = [
    "PARTS",
    "check_blocking",
    "check_part",
    "is_loaded",
    "load",
    "load_part",
    "loaded_parts",
    "part_request",
    "read_of",
    "require",
]

PARTS = ("description", "ledger", "identities", "docs")
"""The parts of a Twin; one request brings one. Foreign Ledgers are ``ledgers/<alias>``."""
_ALIASES = (PERSONAL, "owner", "creator")


def require(state: TwinState, part: str, attribute: str) -> None:
    """Read a part that somebody looks at, or say what to write instead.

    Raises:
        NotLoadedError: Waiting for the service is not allowed here.
        StateError: The Twin was not created yet.
    """
    if is_loaded(state, part):
        return
    fetch = _fetch(state)
    if fetch == "raise":
        raise NotLoadedError(
            f"{attribute} of {state.model.__name__} {state.uuid} is not loaded, and nothing is "
            f'read by itself here (fetch="raise"): write record.load({part!r}) first, or '
            f"scan(...).prefetch({part!r})"
        )
    check_blocking(state, attribute, f"record.aload({part!r})")
    request = part_request(state, part)
    kept = None if state.model.__meta__.ttl == 0 else kept_answer(state.connection, request)
    if kept is not None and not signals.loaded.receivers:
        _absorb(state, part, kept)
        return
    peers = _peers(state, part) if fetch == "peers" else []
    if peers:
        state.connection.run(_load_with(state, peers, part))
    else:
        state.connection.run(load_part(state, part))


def _fetch(state: TwinState) -> Fetch:
    """Tell what a missing part of a record loads."""
    return state.session.fetch if state.listing is None else state.listing.fetch


def _peers(state: TwinState, part: str) -> list[TwinState]:
    """Give the next ones of its listing that lack a part too: one round of requests at most."""
    if state.listing is None:
        return []
    ahead = state.connection.concurrency - 1
    return list(state.listing.following(state, ahead, lambda peer: not is_loaded(peer, part)))


def _load_with(state: TwinState, peers: Iterable[TwinState], part: str) -> Flow[None]:
    outcomes = yield from gather(load_part(one, part) for one in (state, *peers))
    # Whoever looks at a peer that could not be read is told then.
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]


def check_blocking(state: TwinState, attribute: str, verb: str) -> None:
    """Refuse to wait for the service where that would block an event loop.

    Args:
        state: The Twin.
        attribute: What somebody looks at.
        verb: What to await before looking.

    Raises:
        NotLoadedError: Waiting is not allowed here.
    """
    if state.session.asynchronous or not state.connection.may_block():
        raise NotLoadedError(
            f"{attribute} of {state.model.__name__} {state.uuid} is not loaded, and reading it "
            f"here would block the event loop: write await {verb} first, or connect(blocking=True)"
        )


def load(state: TwinState, parts: Iterable[str], *, fresh: bool = False) -> Flow[None]:
    """Read parts, side by side.

    Args:
        state: The Twin.
        parts: Names of `PARTS`, or ``ledgers/<alias>``.
        fresh: Read also what is loaded, from the service and not from the cache.
    """
    wanted = [part for part in dict.fromkeys(parts) if fresh or not is_loaded(state, part)]
    if len(wanted) == 1:
        yield from load_part(state, wanted[0], fresh=fresh)
        return
    outcomes = yield from gather(load_part(state, part, fresh=fresh) for part in wanted)
    all_of(outcomes)


def load_part(state: TwinState, part: str, *, fresh: bool = False) -> Flow[None]:
    """Read one part."""
    state.check_home()
    ttl = state.model.__meta__.ttl
    request = part_request(state, part)
    answer = yield from read_of(state, request, fresh=fresh or ttl == 0, ttl=ttl)
    _absorb(state, part, answer)
    if signals.loaded.receivers:
        record = state.record()
        yield from signals.emit(signals.loaded, type(record), record=record, part=part)
    if not answer.kept:
        state.in_doubt -= {part}


def read_of(
    state: TwinState,
    request: ApiRequest,
    *,
    fresh: bool = False,
    ttl: float | None = None,
    repeats: int = 2,
) -> Flow[Answer]:
    """Read something of a Twin, and again when a save of the same record was answered meanwhile.

    Args:
        state: The Twin.
        request: What is read.
        fresh: Ask the service whatever is kept.
        ttl: Seconds the answer is kept; None leaves it to the cache.
        repeats: How often it is read again at most, since others may save all the time.
    """
    written = state.written
    answer = yield from read(state.connection, request, fresh=fresh, ttl=ttl)
    if state.written == written or not repeats:
        return answer
    # It may show what was there before.
    return (yield from read_of(state, request, fresh=True, ttl=ttl, repeats=repeats - 1))


def is_loaded(state: TwinState, part: str) -> bool:
    """Tell whether a part was read."""
    match part:
        case "description":
            return state.description.base is not UNKNOWN
        case "ledger":
            return state.ledger.complete
        case "identities":
            return state.identities.complete
        case "docs":
            return state.docs.complete
        case _:
            alias = _alias(part)
            return alias in state.ledgers and state.ledgers[alias].complete


def loaded_parts(state: TwinState) -> tuple[str, ...]:
    """Name the parts that were read."""
    foreign = (f"ledgers/{alias}" for alias in state.ledgers if alias != PERSONAL)
    return tuple(part for part in (*PARTS, *foreign) if is_loaded(state, part))


def check_part(part: str, hint: str = "") -> str:
    """Return the name of a part.

    Args:
        part: The name.
        hint: What else may have been meant.

    Raises:
        ValidationError: A Twin has no such part.
    """
    if part in PARTS:
        return part
    if isinstance(part, str) and part.startswith("ledgers/"):
        alias = part.removeprefix("ledgers/")
        return part if alias in _ALIASES else f"ledgers/{check_uuid(alias, 'account UUID')}"
    raise ValidationError(
        f"a Twin has no part {part!r}{hint}: expected one of {', '.join(PARTS)} or "
        "'ledgers/<alias>'",
        code="bad-argument",
    )


def _alias(part: str) -> str:
    return PERSONAL if part == "ledger" else check_part(part).removeprefix("ledgers/")


def part_request(state: TwinState, part: str) -> ApiRequest:
    """Give the request that reads a part."""
    if state.uuid is None:
        raise StateError("this record was not saved yet: there is nothing to read; save() it first")
    match part:
        case "description":
            return api_request("get_twin", [state.uuid])
        case "identities":
            return api_request("get_twin_identities", [state.uuid], {"show_expired": True})
        case "docs":
            return api_request("get_twin_docs", [state.uuid])
        case _:
            return api_request("get_twin_ledger_entry", [state.uuid, _alias(part)])


def _absorb(state: TwinState, part: str, answer: Answer) -> None:
    match part:
        case "description":
            # Nothing taken for a Twin would be taken for an empty description.
            needed(answer.body, "creation_certificate", "uuid")
            state.absorb_twin(answer.body, fresh=not answer.kept)
        case "identities":
            state.absorb_identities(answer.body)
        case "docs":
            state.absorb_docs(answer.body)
        case _:
            state.absorb_ledger(_alias(part), answer.body)
