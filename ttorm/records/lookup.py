"""Finding Twins: by UUID, by Identity, in listings; and the class that shows what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from ttorm.api import names
from ttorm.api.answers import member, needed, needed_list
from ttorm.api.errors import AmbiguousIdentityError, NotFoundError, ValidationError
from ttorm.api.moments import given_seconds
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.flows import Flow
from ttorm.records.attributes import identity_text
from ttorm.records.loading import load_part
from ttorm.records.models import check_kind, model_of
from ttorm.records.state import TwinState, known_state
from ttorm.sessions import Session, current_session

__all__ = [
    "Context",
    "age",
    "find",
    "find_all",
    "get",
    "resolve",
    "shown_found",
    "state_at",
]

T = TypeVar("T")
Context: TypeAlias = str | list[str] | None
"""Whose Identities count."""
_UUID = ("creation_certificate", "uuid")


def state_at(model: Any, uuid: str, session: Session | None = None) -> TwinState:
    """Return the state of a UUID in a session, the current one, without asking the service."""
    session = session or current_session()
    state = known_state(session, uuid)
    if state is None:
        state = session.known[uuid] = TwinState(uuid, session, model)
    else:
        state.shown_as(model)
    return state


def get(model: type[T], uuid: str, *, fresh: bool) -> Flow[T]:
    """Fetch a Twin.

    Raises:
        WrongKindError: It is of another kind than the class.
    """
    state = state_at(model, names.check_uuid(uuid))
    yield from load_part(state, "description", fresh=fresh)
    found: T = _shown(model, state)
    return found


def find(
    model: type[T],
    identity: str | None,
    context: Context,
    strict: bool,
    field: Mapping[str, Any],
) -> Flow[T]:
    """Resolve an Identity; of several alive Twins of the class, take the oldest.

    Raises:
        NotFoundError: There is none.
        AmbiguousIdentityError: There are several, and only one is expected.
    """
    text = _identity(model, identity, field)
    found = yield from resolve(model, text, context)
    if not found:
        raise NotFoundError(
            f"no alive {model.__name__} has the Identity {text!r}: create one, or give context= "
            "to look among other accounts' Identities",
            operation="resolve_twin_identity",
        )
    if strict and len(found) > 1:
        uuids = [needed(wire, *_UUID) for wire in found]
        raise AmbiguousIdentityError(
            f"{len(uuids)} alive Twins have the Identity {text!r}, the oldest first: "
            f"{', '.join(uuids)}; take the Identity away from all but one, or leave strict= out to "
            "take the oldest",
            candidates=uuids,
        )
    record: T = shown_found(model, found[0], text, context)
    return record


def find_all(
    model: type[T], identity: str | None, context: Context, field: Mapping[str, Any]
) -> Flow[list[T]]:
    """Resolve an Identity to all alive Twins of the class, the oldest first."""
    text = _identity(model, identity, field)
    found = yield from resolve(model, text, context)
    return [shown_found(model, wire, text, context) for wire in found]


def resolve(model: Any, text: str, context: Context = None) -> Flow[list[dict[str, Any]]]:
    """Resolve an Identity to the alive Twins of a class, the oldest first."""
    for account in [context] if isinstance(context, str) else context or ():
        if account not in ("personal", "system"):
            names.check_uuid(account, "account UUID")
    connection = current_session().connection
    request = api_request("resolve_twin_identity", [text], {"context": context, "details": True})
    try:
        answer = yield from perform(connection, request)
    except NotFoundError as error:
        if error.subcode is None:  # not the service's: a proxy's, or of a wrong address
            raise
        return []
    fitting = [
        wire
        for wire in needed_list(answer, "twins")
        if needed(wire, *_UUID)
        and wire.get("status") == "alive"
        and model_of(member(wire, "description"), model)
    ]
    return sorted(fitting, key=age)


def shown_found(model: Any, wire: Mapping[str, Any], text: str, context: Context = None) -> Any:
    """Return the record for an object that an Identity was resolved to."""
    state = state_at(model, needed(wire, *_UUID))
    state.absorb_twin(wire, fresh=False)
    if context in (None, "personal") and text not in state.identities.base:
        state.absorb_identities({"identities": {text: {}}}, complete=False)
    return _shown(model, state)


def age(wire: Mapping[str, Any]) -> tuple[float, str]:
    """Give what orders Twins by age."""
    certificate = member(wire, "creation_certificate")
    return given_seconds(certificate.get("created_ts") or 0), str(certificate.get("uuid"))


def _identity(model: Any, identity: str | None, field: Mapping[str, Any]) -> str:
    if (identity is None) == (not field) or len(field) > 1:
        raise TypeError(
            f'{model.__name__}.find() takes one Identity, as find("SN#A17") or as one identity '
            "field, find(serial=...)"
        )
    if identity is not None:
        return names.check_identity(identity)
    [(name, value)] = field.items()
    spec = model.__fields__.get(name)
    if spec is None or spec.kind != "identity":
        known = [name for name, spec in model.__fields__.items() if spec.kind == "identity"]
        scan = f"; write {model.__name__}.scan({model.__name__}.{name} == ...) to look for values"
        raise TypeError(
            f"{model.__name__} has no identity field {name!r}; it has: "
            f"{', '.join(known) or 'none'}{scan if spec is not None and spec.plain else ''}"
        )
    if value is None and not spec.required:
        raise ValidationError(
            f"{name}=None leads to no {model.__name__}: give the name that the Twin is found by",
            code="bad-argument",
        )
    return identity_text(spec, value)


def _shown(model: Any, state: TwinState) -> Any:
    fitting = check_kind(member(state.facts, "description"), model, state.uuid)
    state.shown_as(fitting)
    return state.view(fitting)
