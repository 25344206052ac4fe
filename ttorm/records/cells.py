"""Change detection: JSON values with their originals.

A `Cell` is one value of the service's, with what was done to it here. Nothing watches the
containers that users hold: a container is compared with its fingerprint when somebody asks, so
every change at every depth is noticed and untouched values cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ttorm.api.codec import JSONValue, fingerprint, same
from ttorm.api.errors import ConflictError, ValidationError
from ttorm.records.values import PLAIN, Codec, Need, is_exact, is_scalar

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["ABSENT", "NOTHING", "UNKNOWN", "Cell", "Marker", "alike"]


class Marker(Enum):
    """What stands in the place of a value that is not there."""

    UNKNOWN = "not read yet"
    ABSENT = "known not to be there"
    NOTHING = "not assigned"


UNKNOWN: Final = Marker.UNKNOWN
ABSENT: Final = Marker.ABSENT
NOTHING: Final = Marker.NOTHING


class _Handout:
    """A container a user holds.

    Attributes:
        value: The container.
        codec: What it was made with.
        print: Fingerprint of its JSON when it agreed with the cell; None when it never did,
            because it was assigned.
    """

    __slots__ = ("codec", "print", "value")

    def __init__(self, value: Any, codec: Codec, fingerprint_: bytes | None) -> None:
        self.value = value
        self.codec = codec
        self.print = fingerprint_


class Cell:
    """One value.

    Attributes:
        base: The service's JSON value, UNKNOWN or ABSENT; shared, never handed out or changed.
        sent: Whether something else was sent for it, and nobody knows whether that has arrived.
        where: How messages name it.
    """

    __slots__ = (
        "_assigned",
        "_codec",
        "_forced",
        "_handouts",
        "_replaced",
        "base",
        "sent",
        "where",
    )

    def __init__(self, base: JSONValue, where: str) -> None:
        self.base = base
        self.where = where
        self.sent = False
        self._assigned: JSONValue = NOTHING
        self._codec: Codec = PLAIN
        self._forced = False
        self._handouts: list[_Handout] = []
        self._replaced: _Handout | None = None

    @property
    def touched(self) -> bool:
        """Whether it was assigned, removed or handed out; if not, it is clean."""
        return self._assigned is not NOTHING or bool(self._handouts) or self._forced

    @property
    def is_assigned(self) -> bool:
        """Whether it holds another value than the service's, whatever users hold."""
        return self._assigned is not NOTHING

    @property
    def holds(self) -> bool:
        """Whether a value can be read from it without asking the service."""
        return self.current() not in (UNKNOWN, ABSENT)

    def assign(self, value: Any, codec: Codec = PLAIN, near: TwinState | None = None) -> Any:
        """Take a new value; returns it as validated.

        Raises:
            ValidationError: The codec refuses it; the cell is as before.
        """
        if is_exact(value, codec.exact):
            self._codec, self._assigned, self._handouts = codec, value, []
            self._replaced = None
            return value
        value = codec.check(value, self.where, near)
        self._codec, self._replaced = codec, None
        if is_scalar(value):
            self._assigned, self._handouts = codec.dump(value, self.where), []
        else:
            self._assigned, self._handouts = NOTHING, [_Handout(value, codec, None)]
        return value

    def remove(self) -> None:
        """Take the value away."""
        self._assigned, self._handouts = ABSENT, []
        self._replaced = None

    def discard(self) -> None:
        """Forget what was done here."""
        self._assigned, self._handouts, self._forced = NOTHING, [], False
        self._replaced = None

    def force(self) -> None:
        """Have the value written by the next save even if it is the service's."""
        self._forced = True

    def read(
        self, codec: Codec = PLAIN, near: TwinState | None = None, raw: JSONValue = NOTHING
    ) -> Any:
        """Give the value to a user. Call only when there `holds` one.

        Args:
            codec: What makes the value of JSON.
            near: The Twin it belongs to.
            raw: What `current` has said, which other threads may have had forgotten since.
        """
        for handout in self._handouts:
            if handout.codec is codec and not self._is_behind(handout):
                return handout.value
        raw = self.current() if raw is NOTHING else raw
        # What was changed so far is the common start of all views.
        self._compare_with(self.base)
        return self.lend(codec.load(raw, self.where, near), codec)

    def held(self, codec: Codec = PLAIN) -> Any:
        """Return the container that stands for the value; NOTHING when there is none.

        One that was changed to what JSON cannot hold, too: who spoilt it has to mend it.
        """
        for held in self._handouts:
            there = self.base is not ABSENT or self._is_changed(held)
            if held.codec is codec and there and not self._is_behind(held):
                return held.value
        return NOTHING

    def _is_behind(self, handout: _Handout) -> bool:
        """Tell whether another view of the value was changed, and this one was not."""
        return (
            len(self._handouts) > 1
            and not self._is_changed(handout)
            and any(map(self._is_changed, self._handouts))
        )

    def lend(self, value: Any, codec: Codec) -> Any:
        """Remember a container that a user holds from now on.

        Returns:
            The value, or the equal one that is held already: no value is held twice.
        """
        if is_scalar(value):
            return value
        print_ = fingerprint(codec.dump(value, self.where))
        for held in self._handouts:
            if held.codec is codec and held.print == print_:
                return held.value
        self._handouts.append(_Handout(value, codec, print_))
        return value

    def _print(self, handout: _Handout) -> bytes | None:
        """Fingerprint a container as it is now; None when JSON cannot hold it any more."""
        try:
            return fingerprint(handout.codec.dump(handout.value, self.where))
        except ValidationError:
            return None

    def current(self) -> JSONValue:
        """Give the JSON value as it is now, UNKNOWN or ABSENT.

        Raises:
            ValidationError: A container was changed to what JSON or its field's type cannot hold.
            ConflictError: Two views of the value were changed to different values.
        """
        found: list[JSONValue] = []
        for handout in self._handouts:
            raw = handout.codec.dump(handout.value, self.where)
            if handout.print is None or fingerprint(raw) != handout.print:
                found.append(raw)
        if any(not same(raw, found[0]) for raw in found[1:]):
            raise ConflictError(
                f"{self.where} was changed in two places, as a typed field and as an Entry, to "
                "different values: change it in one place only",
                mine={self.where: found[0]},
                theirs={self.where: found[1]},
            )
        if found:
            return found[0]
        return self.base if self._assigned is NOTHING else self._assigned

    def change(self) -> JSONValue:
        """Give the value to write, ABSENT to remove it, or NOTHING when it is clean."""
        if not self.touched:
            return NOTHING
        now = self.current()
        if self._forced and not isinstance(now, Marker):
            return now
        return NOTHING if self._agrees(now, self.base) else now

    def needs(self) -> Iterator[Need]:
        """Give the Twins and Entries that values in users' hands speak of."""
        for held in self._handouts:
            yield from held.codec.needs(held.value)

    def handed_out(self) -> Iterator[Any]:
        """Give the containers that stand for the value in users' hands, or stood last."""
        for held in self._handouts:
            yield held.value
        if self._replaced is not None:
            yield self._replaced.value

    def lost_a_change(self) -> bool:
        """Tell, once, whether a container was changed after a newer value took its place."""
        if self._replaced is None or not self._is_changed(self._replaced):
            return False
        self._replaced = None
        return True

    def is_changed(self) -> bool:
        """Tell whether a save would write it, or refuse to."""
        try:
            return self.change() is not NOTHING
        except (ConflictError, ValidationError):
            return True

    def _agrees(self, now: JSONValue, known: JSONValue) -> bool:
        return alike(now, known) or self._shows(now, self._codec, known)

    def settle(self, sent: JSONValue, base: JSONValue) -> None:
        """Take the service's answer to a write.

        Args:
            sent: What was written.
            base: What the service holds now.
        """
        self._forced = self.sent = False
        if self.touched:
            self._compare_with(sent)
        self.base = sent
        self.rebase(base)

    def rebase(self, base: JSONValue) -> None:
        """Take a newer value of the service; what was changed here stays changed."""
        self.doubt()
        if self.touched and self._compare_with(self.base):
            # What says the same as the old value is no change: it follows the new one.
            self._keep_followers(base)
        self.base = base
        self.sent = False

    def doubt(self) -> None:
        """Have what is here count as a change if it was set back from what was sent."""
        if self.sent and self.touched:
            self._compare_with(UNKNOWN)
            self.base = UNKNOWN

    def _compare_with(self, known: JSONValue) -> bool:
        """Tell what is here now from a value of the service's, whatever it was compared with.

        Returns:
            Whether it is the same.
        """
        try:
            now = self.current()
        except (ConflictError, ValidationError):
            # Not one value: whatever becomes of it will be a change.
            self._assigned = NOTHING
            self._handouts = [held for held in self._handouts if self._is_changed(held)]
            for held in self._handouts:
                held.print = None
            return False
        unchanged = self._agrees(now, known)
        self._assigned = NOTHING if unchanged else now
        self._keep_followers(now)
        return unchanged

    def _keep_followers(self, value: JSONValue) -> None:
        """Let go of the containers that do not show a value; of the last, remember what it was."""
        followers: list[_Handout] = []
        for held in self._handouts:
            if self._follows(held, value):
                followers.append(held)
            else:
                self._replaced = held
        self._handouts = followers

    def _is_changed(self, handout: _Handout) -> bool:
        return handout.print is None or self._print(handout) != handout.print

    def _follows(self, handout: _Handout, base: JSONValue) -> bool:
        """Tell whether a container shows a value, and so counts as unchanged; else let it go."""
        now = handout.codec.dump(handout.value, self.where)
        handout.print = fingerprint(now)
        # A record that is not saved yet has no JSON that could be read again.
        same_now = isinstance(base, Marker) or alike(now, base)
        return same_now or self._shows(now, handout.codec, base)

    def _shows(self, now: JSONValue, codec: Codec, base: JSONValue) -> bool:
        """Tell whether a value is what the service's reads as, through a codec."""
        if isinstance(base, Marker):
            return False
        try:
            return alike(now, codec.dump(codec.load(base, self.where), self.where))
        except ValidationError:
            return False


def alike(one: JSONValue, other: JSONValue) -> bool:
    """Compare two JSON values, each of which may be a marker."""
    if one is other or isinstance(one, Marker) or isinstance(other, Marker):
        return one is other
    return same(one, other)
