"""What is read from the service only while somebody goes through it."""

from __future__ import annotations

from typing import ClassVar, NoReturn

__all__ = ["Unread"]


class Unread:
    """What classes inherit whose objects are gone through and hold nothing themselves.

    That one holds anything, and what is where, nobody knows before it is read: asking for it would
    look like an answer, or hide requests.
    """

    __slots__ = ()
    _ANY: ClassVar = ".first() is not None"
    _FEW: ClassVar = ".first() for the first, .all()[2:5] for some"

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} has no truth value, since it was not read yet: write {self._ANY}, or keep a "
            "list(...) of it"
        )

    def __getitem__(self, place: object) -> NoReturn:
        raise TypeError(
            f"{self!r} has no places, since it was not read yet: write {self._FEW}, or "
            "itertools.islice(...)"
        )
