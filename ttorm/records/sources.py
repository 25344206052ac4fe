"""What references copy and includes show: Entries, also those of Twins that have no UUID yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from ttorm.api import names
from ttorm.api.answers import member
from ttorm.api.codec import JSONValue
from ttorm.api.errors import StateError, ValidationError

if TYPE_CHECKING:
    from ttorm.records.items import Item
    from ttorm.records.state import TwinState
    from ttorm.records.values import Need

__all__ = ["SOURCES", "Source", "SourceCodec", "placeholder", "take_form"]

_SCHEME = "twin://"
_OWN = "personal"


def placeholder(state: TwinState) -> str:
    """Name a Twin that has no UUID yet, in plans and messages."""
    return f"(new {state.model.__name__})"


_FORMS = {"ref": "a reference", "include": "an include", "value": "a value"}


def take_form(item: Item, attribute: str, name: str) -> None:
    """Have an Entry be of the form that an attribute gives it; other attributes give it none.

    Args:
        item: The Entry.
        attribute: What is about to be assigned.
        name: The Entry's name.

    Raises:
        StateError: The service has it in another form, which the platform does not change.
    """
    if attribute not in _FORMS:
        return
    form = next((one for one in _FORMS if item.known.get(one) is not None), attribute)
    if attribute != form:
        raise StateError(
            f"the Entry {name!r} is {_FORMS[form]} and cannot become {_FORMS[attribute]}: "
            f"del ledger[{name!r}], save, and assign then",
            code="entry-form",
        )
    for other in _FORMS:
        if other != attribute and other in item.cells:
            item.cells[other].discard()


class Source:
    """An Entry somewhere, as the source of another one.

    Attributes:
        name: The Entry's name.
        twin: UUID of its Twin; empty as long as `state` has none.
        account: UUID of the account whose Ledger it is in; empty for one's own.
        state: The Twin, if it is known here.
    """

    __slots__ = ("_twin", "account", "name", "state")

    def __init__(
        self, name: str, *, twin: str = "", account: str = "", state: TwinState | None = None
    ) -> None:
        self.name = name
        self.account = account
        self.state = state
        self._twin = twin

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``twin://twin/ledger/entry`` or ``twin://twin/entry``.

        Raises:
            ValidationError: That is neither.

        Example:
            >>> Source.parse("twin://0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11/celsius").name
            'celsius'
        """
        parts = text.removeprefix(_SCHEME).split("/")
        if not text.startswith(_SCHEME) or len(parts) not in (2, 3) or not all(parts):
            raise ValidationError(
                f"{text!r} is no source: expected 'twin://<twin>/<account>/<entry>' of a reference "
                "or 'twin://<twin>/<entry>' of an include",
                code="bad-name",
            )
        twin, *account, name = parts
        return cls(name, twin=names.check_uuid(twin), account="".join(account))

    @property
    def twin(self) -> str:
        """UUID of its Twin; empty as long as it has none."""
        return self._twin if self.state is None else self.state.uuid or ""

    def url(self, *, with_ledger: bool) -> str:
        """Write it as the platform does; what is not known yet by a name that stands for it."""
        state = self.state
        twin = self.twin or (placeholder(state) if state is not None else "")
        if not with_ledger:
            return f"{_SCHEME}{twin}/{self.name}"
        known = None if state is None else state.known_account
        return f"{_SCHEME}{twin}/{self.account or known or _OWN}/{self.name}"


class SourceCodec:
    """From ``{"source": "twin://..."}`` to a `Source`, and back.

    Args:
        with_ledger: Whether the text names the Ledger, as references do and includes do not.
    """

    ordered = False
    exact: Collection[type] = ()

    def __init__(self, *, with_ledger: bool) -> None:
        self._with_ledger = with_ledger

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Take sources, and text that is one."""
        return Source.parse(value) if isinstance(value, str) else value

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Read what is stored, whatever else is said about it; None for what is no source."""
        text = member({"link": raw}, "link").get("source")
        return Source.parse(text) if isinstance(text, str) else None

    def dump(self, value: Any, where: str) -> JSONValue:  # noqa: ARG002 # one shape for codecs
        """Write a source."""
        return None if value is None else {"source": value.url(with_ledger=self._with_ledger)}

    def needs(self, value: Any) -> Iterable[Need]:
        """Return the Entry that has to be there first."""
        return () if value is None or value.state is None else ((value.state, value.name),)


SOURCES: dict[str, SourceCodec] = {
    "ref": SourceCodec(with_ledger=True),
    "include": SourceCodec(with_ledger=False),
}
"""The codecs of the attributes that hold sources."""
