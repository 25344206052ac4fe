"""Assigning a field again: the quick way, for programs that write the same field many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from ttorm.records.cells import NOTHING, Cell
from ttorm.records.typed import TypedCodec
from ttorm.records.values import Codec
from ttorm.sessions import Session

__all__ = ["NEVER", "Again"]

_SOUND: Mapping[type, Callable[[Any], bool]] = {float: isfinite, str: str.isascii}
"""What tells of scalars that JSON may not be able to hold whether it can."""


class Again:
    """A field that was assigned a scalar; `Record.__setattr__` does the rest.

    What was found out then holds for the next scalar of the same type as well: that the Twin is
    alive, the Ledger one's own, who else shows the value, and that changes are to be looked for.
    Whatever ends one of these empties `TwinState.again`, mostly by having all records of the Twin
    read their values again.

    Args:
        session: The session of the Twin.
        cell: Where the value is.
        codec: The field's.
        kind: The type of the value.

    Attributes:
        cell: Where the value is.
        kind: The type of the value.
        convert: Makes it of a value of another type, or raises `ValueError`.
        sound: Tells whether JSON can hold it; None when it can hold all of the type.
        session: The Twin's.
    """

    __slots__ = ("cell", "convert", "kind", "session", "sound")

    def __init__(self, session: Session, cell: Cell, codec: Codec, kind: type) -> None:
        self.session = session
        self.cell = cell
        self.kind = kind
        self.convert = codec.validate if isinstance(codec, TypedCodec) else _refused
        self.sound = _SOUND.get(kind)


def _refused(_: Any) -> Any:
    return NOTHING


NEVER: Final[Mapping[str, Again]] = MappingProxyType({})
"""No field was assigned."""
