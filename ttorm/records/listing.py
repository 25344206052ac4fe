"""Listings: records that came together, so that what one of them lacks is read for the next too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttorm.records.state import TwinState
    from ttorm.sessions import Fetch, Session

__all__ = ["Listing"]


class Listing:
    """The order in which one answer gave Twins; it keeps none of them alive.

    Args:
        session: The session that knows them.
        uuids: Their UUIDs.
        fetch: What a missing part of one of them loads.
    """

    __slots__ = ("_places", "_session", "_uuids", "fetch")

    def __init__(self, session: Session, uuids: Sequence[str], fetch: Fetch) -> None:
        self.fetch: Fetch = fetch
        self._session = session
        self._uuids = uuids
        self._places: dict[str, int] | None = None

    def following(
        self, state: TwinState, number: int, lacks: Callable[[TwinState], bool]
    ) -> Iterator[TwinState]:
        """Yield the next Twins of the listing, after one of them.

        Args:
            state: The one.
            number: How many places to look ahead.
            lacks: Which of them are wanted.
        """
        if self._places is None:
            self._places = {uuid: place for place, uuid in enumerate(self._uuids)}
        place = self._places[str(state.uuid)] + 1
        for uuid in self._uuids[place : place + number]:
            peer: TwinState | None = self._session.known.get(uuid)
            if peer is not None and peer.listing is self and lacks(peer):
                yield peer
