"""Identities: the external names that lead to a Twin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from ttorm.api.answers import member
from ttorm.api.errors import NotFoundError, StateError
from ttorm.api.moments import moment, timestamp
from ttorm.api.names import check_identity
from ttorm.api.request import api_request
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.items import Item
from ttorm.records.loading import check_blocking, read_of, require
from ttorm.records.named import Named
from ttorm.records.saving import remove_now, save
from ttorm.records.sheets import item_sheet, names_sheet
from ttorm.results import SaveResult
from ttorm.rules import Expression, rule_text

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Identities", "Identity"]

_SHOWN = {"visibility": "visibility", "validity_ts": "valid_until (Unix seconds)"}


class Identity(Displayed):
    """An Identity of a Twin: a type, a ``#`` and an external name, such as ``SN#A17``.

    Identities come from their Twin: ``twin.identities["SN#A17"]``.

    Attributes:
        text: The Identity.

    Example:
        >>> pump = Twin.create(identities=["SN#A17"])
        >>> pump.identities["SN#A17"].visibility = "true"
        >>> pump.save().requests
        1
    """

    __slots__ = ("__weakref__", "_state", "text")

    def __init__(self, state: TwinState, text: str) -> None:
        self._state = state
        self.text = text

    def _item(self) -> Item:
        return self._state.identities.item(self.text)

    def _get(self, attribute: str) -> Any:
        state, cell = self._state, self._item().cell(attribute)
        if cell.current() is UNKNOWN:
            require(state, "identities", f"identities[{self.text!r}]")
        if cell.current() is UNKNOWN:
            # The listing tells less than the Identity itself.
            check_blocking(state, f"identities[{self.text!r}].{attribute}", "identity.arefresh()")
            state.connection.run(self._refresh(fresh=False))
        value = cell.current()
        if value in (ABSENT, UNKNOWN):
            if self.text in state.identities:
                return None
            raise NotFoundError(
                f"{self!r} is not there: add it first",
                operation="get_twin_identity",
            )
        return value

    def _set(self, attribute: str, value: Any) -> None:
        self._state.touch()
        self._item().cell(attribute).assign(value)

    @property
    def type(self) -> str:
        """The part before the ``#``."""
        return self.text.partition("#")[0]

    @property
    def visibility(self) -> str | None:
        """Rule that lets users of other accounts see it; None keeps it private."""
        rule: str | None = self._get("visibility")
        return rule

    @visibility.setter
    def visibility(self, rule: str | Expression | None) -> None:
        self._set("visibility", None if rule is None else rule_text(rule))

    @property
    def valid_until(self) -> datetime | None:
        """When it expires, in UTC; None when it does not."""
        stamp = self._get("validity_ts")
        return None if stamp is None else moment(stamp)

    @valid_until.setter
    def valid_until(self, when: datetime | float | None) -> None:
        self._set("validity_ts", None if when is None else timestamp(when))

    @property
    def is_expired(self) -> bool:
        """Whether it does not lead to its Twin any more, by the clock of this machine."""
        until = self.valid_until
        return until is not None and until <= datetime.now(UTC)

    @property
    def created_at(self) -> datetime:
        """When it was attached, in UTC."""
        certificate = member(self._item().known, "creation_certificate")
        return moment(certificate.get("created_ts") or self._get("created_ts"))

    def save(self) -> SaveResult:
        """Send what changed of this Identity alone.

        Example:
            >>> pump = Twin.create(identities=["SN#A17"])
            >>> pump.identities["SN#A17"].visibility = "true"
            >>> pump.identities["SN#A17"].save().requests
            1
        """
        state = self._state
        return state.connection.run(save(state.record(), only=("identities", self.text)))

    @twin_of(save)
    async def asave(self) -> SaveResult:
        state = self._state
        return await state.connection.arun(save(state.record(), only=("identities", self.text)))

    def refresh(self) -> Self:
        """Read this Identity, from the service.

        Raises:
            NotFoundError: The Twin has no such Identity of this account.

        Example:
            >>> pump = Twin.create(identities=["SN#A17"])
            >>> pump.identities["SN#A17"].refresh().visibility is None
            True
        """
        self._state.connection.run(self._refresh(fresh=True))
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._state.connection.arun(self._refresh(fresh=True))
        return self

    def _refresh(self, *, fresh: bool) -> Flow[None]:
        state = self._state
        if state.uuid is None:
            raise StateError("the Twin was not saved yet: there is nothing to read")
        request = api_request("get_twin_identity", [state.uuid, self.text])
        answer = yield from read_of(state, request, fresh=fresh)
        state.absorb_identities({"identities": {self.text: answer.body}}, complete=False)

    def delete(self) -> SaveResult:
        """Take the Identity away at once; ``del twin.identities[...]`` leaves it to the next save.

        Example:
            >>> pump = Twin.create(identities=["SN#A17"])
            >>> pump.identities["SN#A17"].delete().requests
            1
        """
        state = self._state
        return state.connection.run(remove_now(state, "identities", self.text))

    @twin_of(delete)
    async def adelete(self) -> SaveResult:
        state = self._state
        return await state.connection.arun(remove_now(state, "identities", self.text))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Identity {self.text} of {self._state.uuid or '(not saved)'}>"

    def _sheet(self) -> Sheet:
        return item_sheet(repr(self)[1:-1], self._item(), _SHOWN)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return self.text == other.text and self._state.record() == other._state.record()

    def __hash__(self) -> int:
        return hash((Identity, self._state.record(), self.text))


class Identities(Displayed, Named[Identity]):
    """The account's own Identities of a Twin, by their text.

    Example:
        >>> pump = Twin.create()
        >>> pump.identities.add("SN#A17")
        <Identity SN#A17 of ...>
        >>> _ = pump.save()
        >>> list(pump.identities)
        ['SN#A17']
    """

    __slots__ = ("_state",)

    def __init__(self, state: TwinState) -> None:
        self._state = state

    def _names(self) -> list[str]:
        require(self._state, "identities", "identities")
        return self._state.identities.names()

    def __getitem__(self, identity: str) -> Identity:
        items = self._state.identities
        if identity not in items:
            if items.item(check_identity(identity)).present is None:
                require(self._state, "identities", f"identities[{identity!r}]")
            if identity not in items:
                raise KeyError(identity)
        return Identity(self._state, identity)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def add(
        self,
        identity: str,
        *,
        visibility: str | Expression | None = None,
        valid_until: datetime | float | None = None,
    ) -> Identity:
        """Attach an Identity with the next save.

        Args:
            identity: The Identity, such as ``"SN#A17"``.
            visibility: Rule that lets users of other accounts see it.
            valid_until: When it expires: an aware datetime or Unix seconds.

        Raises:
            ValidationError: That is no Identity.

        Example:
            >>> Twin().identities.add("SN#A17", visibility="true")
            <Identity SN#A17 of (not saved)>
        """
        check_identity(identity)
        given = {
            "visibility": None if visibility is None else rule_text(visibility),
            "validity_ts": None if valid_until is None else timestamp(valid_until),
        }
        self._state.touch()
        item = self._state.identities.item(identity)
        item.removed, item.adding = False, True
        for attribute, value in given.items():
            if value is not None:
                item.cell(attribute).assign(value)
        self._state.forget_values()
        return Identity(self._state, identity)

    def __delitem__(self, identity: str) -> None:
        item = self._state.identities.item(check_identity(identity))
        if item.removed or (item.present is False and not item.adding):
            raise KeyError(identity)
        self._state.touch()
        item.remove()
        fields, prefix = self._state.identity_fields, identity.partition("#")[0]
        if fields.get(prefix) == identity:
            fields[prefix] = None
        self._state.forget_values()

    def __repr__(self) -> str:
        return f"<Identities of {self._state.uuid or '(not saved)'}>"

    def _sheet(self) -> Sheet:
        return names_sheet(repr(self)[1:-1], self._state.identities)
