"""Uploads: what is wished for a file, and how it becomes a Doc of a Twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ttorm.api.codec import JSONValue, check_json
from ttorm.api.errors import StateError, ValidationError
from ttorm.api.names import check_description_key, check_doc_name
from ttorm.flows import Flow
from ttorm.records.telling import tell_of_upload
from ttorm.records.transfer import Progress, Source, attach
from ttorm.records.values import check_dictionary

if TYPE_CHECKING:
    from ttorm.records.doc import Doc
    from ttorm.records.state import TwinState

__all__ = ["Wish", "saved_uuid", "upload"]

D = TypeVar("D", bound="Doc")


class Wish(NamedTuple):
    """What is to be said of a file that is uploaded.

    Attributes:
        description: Its description.
        storage_class: How it is stored.
        hash: The SHA-256 that it is known to have.
    """

    description: Mapping[str, JSONValue] | None = None
    storage_class: str | None = None
    hash: str | None = None

    def check(self, name: str) -> None:
        """Refuse what the platform would not take.

        Raises:
            ValidationError: The description or the storage class is not allowed.
        """
        if self.description is not None:
            check_dictionary(self.description, f"the description of {name!r}")
        for key in self.description or ():
            check_description_key(key)
        check_json(dict(self.description or {}), f"the description of {name!r}")
        if self.storage_class not in (None, "access_optimized", "cost_optimized"):
            raise ValidationError(
                f"{self.storage_class!r} is no storage class: expected 'access_optimized' or "
                "'cost_optimized'",
                code="bad-argument",
            )

    def wire(self) -> dict[str, Any]:
        """Give it as the API wants it."""
        described = None if self.description is None else dict(self.description)
        return {**self._asdict(), "description": described}


def upload(
    doc: D,
    source: Source,
    wish: Wish,
    *,
    progress: Progress | None = None,
    wait: bool = True,
) -> Flow[D]:
    """Upload a file and attach it to the Twin of a Doc under its name."""
    state, name = doc._state, doc.name
    twin = saved_uuid(state)
    check_doc_name(name)
    wish.check(name)
    wire = yield from attach(
        state.connection, twin, name, source, wish.wire(), progress=progress, wait=wait
    )
    # What was to be removed under this name is gone.
    state.docs.item(name).removed = False
    state.docs.absorb({name: {"description": None, **wire}}, complete=False)
    yield from tell_of_upload(state.record(), name, doc)
    return doc


def saved_uuid(state: TwinState) -> str:
    """Return the UUID of a Twin that is to have Docs.

    Raises:
        StateError: It was not saved yet.
    """
    if state.uuid is None:
        raise StateError("the Twin was not saved yet: save() it before its Docs")
    return state.uuid
