"""Docs: files that hang on a Twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, overload

from ttorm.api.codec import JSONValue, check_json
from ttorm.api.errors import StateError, ValidationError
from ttorm.api.names import check_description_key, check_doc_name
from ttorm.api.request import api_request
from ttorm.connection.calls import read
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN, Item
from ttorm.records.loading import check_blocking, require
from ttorm.records.moments import moment
from ttorm.records.saving import remove_now, save
from ttorm.records.telling import tell_of_upload
from ttorm.records.transfer import Source, Target, attach, fetch
from ttorm.records.values import PLAIN
from ttorm.results import SaveResult

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Doc", "Docs"]


class Doc:
    """A file attached to a Twin. Its content never changes; its description may.

    Docs come from their Twin: ``twin.docs["Manuals/service.pdf"]``.

    Attributes:
        name: Its name, folders included.

    Example:
        >>> pump = Twin.create()
        >>> doc = pump.docs.upload("Manuals/service.txt", b"Oil it.")
        >>> doc.size, doc.status, doc.download()
        (7, 'ok', b'Oil it.')
    """

    __slots__ = ("__weakref__", "_state", "name")

    def __init__(self, state: TwinState, name: str) -> None:
        self._state = state
        self.name = name

    def _item(self) -> Item:
        return self._state.docs.item(self.name)

    def _get(self, attribute: str) -> Any:
        cell = self._item().cell(attribute)
        if cell.current() is UNKNOWN:
            self._require(attribute)
        value = cell.current()
        if value is ABSENT:
            raise KeyError(self.name)
        return None if value is UNKNOWN else cell.read(PLAIN)

    def _require(self, attribute: str) -> None:
        """Read the Doc itself: the listing of Docs tells less."""
        check_blocking(self._state, f"docs[{self.name!r}].{attribute}", "doc.arefresh()")
        self._state.connection.run(self._refresh(fresh=False))

    @property
    def description(self) -> dict[str, JSONValue] | None:
        """What is said about it: a dictionary that may be changed in place, or None."""
        self._state.touch()
        described: dict[str, JSONValue] | None = self._get("description")
        return described

    @description.setter
    def description(self, value: Mapping[str, JSONValue] | None) -> None:
        if value is not None:
            for key in value:
                check_description_key(key)
            value = dict(value)
        self._item().cell("description").assign(value)
        self._state.touch()

    @property
    def status(self) -> str:
        """``"copying"``, ``"ok"``, ``"hash_mismatch"`` or ``"error"``."""
        return str(self._get("status"))

    @property
    def storage_class(self) -> str:
        """``"access_optimized"`` or ``"cost_optimized"``."""
        return str(self._get("storage_class"))

    @property
    def size(self) -> int | None:
        """Its length in bytes; None while the service does not know it."""
        size: int | None = self._get("creation_certificate").get("size")
        return size

    @property
    def sha256(self) -> str | None:
        """SHA-256 of its content in hexadecimal, or None."""
        certificate = self._get("creation_certificate")
        if "hash" not in certificate:
            self._require("sha256")
            certificate = self._get("creation_certificate")
        digest: str | None = certificate.get("hash")
        return digest

    @property
    def created_at(self) -> datetime:
        """When it was attached, in UTC."""
        return moment(self._get("creation_certificate")["created_ts"])

    @property
    def updated_at(self) -> datetime:
        """When its description last changed, in UTC."""
        return moment(self._get("updated_ts"))

    def upload(
        self,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
    ) -> Self:
        """Upload a file under this name, as `Docs.upload` does.

        Args:
            source: The bytes, a path, or a file opened for reading bytes.
            description: What is said about it.
            storage_class: ``"access_optimized"`` (the default) or ``"cost_optimized"``.

        Raises:
            SaveError: The service refused it, for example because there is such a Doc.
            StateError: The Twin was not saved yet.

        Example:
            >>> class Pump(Twin):
            ...     manual: Field[Doc] = doc("manuals/service.txt")
            >>> Pump.create().manual.upload(b"Oil it.").size
            7
        """
        docs = Docs(self._state)
        self._state.connection.run(docs._upload(self.name, source, description, storage_class))
        return self

    @twin_of(upload)
    async def aupload(
        self,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
    ) -> Self:
        docs = Docs(self._state)
        flow = docs._upload(self.name, source, description, storage_class)
        await self._state.connection.arun(flow)
        return self

    @overload
    def download(self, to: None = None) -> bytes: ...
    @overload
    def download(self, to: Target) -> None: ...
    def download(self, to: Target | None = None) -> bytes | None:
        """Fetch its content and check it against the certificate's hash.

        Args:
            to: A path (written beside and moved into place at the end) or a file opened for
                writing bytes; None returns the bytes.

        Raises:
            NotFoundError: There is no such Doc, or it is still being copied.
            ResponseFormatError: What arrived is not what the certificate says.

        Example:
            >>> pump = Twin.create()
            >>> pump.docs.upload("note.txt", b"hello").download()
            b'hello'
        """
        return self._state.connection.run(self._fetch(to))

    @overload
    async def adownload(self, to: None = None) -> bytes: ...
    @overload
    async def adownload(self, to: Target) -> None: ...
    @twin_of(download)
    async def adownload(self, to: Target | None = None) -> bytes | None:
        return await self._state.connection.arun(self._fetch(to))

    def _fetch(self, to: Target | None) -> Flow[bytes | None]:
        return fetch(self._state.connection, _saved(self._state), self.name, to)

    def save(self) -> SaveResult:
        """Send its changed description.

        Example:
            >>> doc = Twin.create().docs.upload("note.txt", b"hello")
            >>> doc.description = {"lang": "en"}
            >>> doc.save().requests
            1
        """
        state = self._state
        return state.connection.run(save(state.record(), only=("docs", self.name)))

    @twin_of(save)
    async def asave(self) -> SaveResult:
        state = self._state
        return await state.connection.arun(save(state.record(), only=("docs", self.name)))

    def refresh(self) -> Self:
        """Read what the service says about it.

        Raises:
            NotFoundError: There is no such Doc.

        Example:
            >>> Twin.create().docs.upload("note.txt", b"hello").refresh().status
            'ok'
        """
        self._state.connection.run(self._refresh(fresh=True))
        return self

    @twin_of(refresh)
    async def arefresh(self) -> Self:
        await self._state.connection.arun(self._refresh(fresh=True))
        return self

    def _refresh(self, *, fresh: bool) -> Flow[None]:
        request = api_request("get_twin_doc", [_saved(self._state), self.name])
        answer = yield from read(self._state.connection, request, fresh=fresh)
        self._state.docs.absorb({self.name: {"description": None, **answer.body}}, complete=False)

    def delete(self) -> SaveResult:
        """Delete it at once; ``del twin.docs[name]`` leaves it to the next save.

        Raises:
            NotFoundError: There is no such Doc.

        Example:
            >>> Twin.create().docs.upload("note.txt", b"hello").delete().requests
            1
        """
        return self._state.connection.run(remove_now(self._state, "docs", self.name))

    @twin_of(delete)
    async def adelete(self) -> SaveResult:
        return await self._state.connection.arun(remove_now(self._state, "docs", self.name))

    def __repr__(self) -> str:
        return f"<Doc {self.name!r} of {self._state.uuid or '(not saved)'}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Doc):
            return NotImplemented
        return self.name == other.name and self._state.record() == other._state.record()

    def __hash__(self) -> int:
        return hash((Doc, self._state.record(), self.name))


class Docs(Mapping[str, Doc]):
    """The account's own Docs of a Twin, by name.

    Example:
        >>> pump = Twin.create()
        >>> _ = pump.docs.upload("Manuals/service.txt", b"Oil it.")
        >>> list(pump.docs)
        ['Manuals/service.txt']
    """

    __slots__ = ("_state",)

    def __init__(self, state: TwinState) -> None:
        self._state = state

    def __getitem__(self, name: str) -> Doc:
        item = self._state.docs.item(check_doc_name(name))
        if item.present is None:
            require(self._state, "docs", f"docs[{name!r}]")
        if item.removed or item.present is False:
            raise KeyError(name)
        return Doc(self._state, name)

    def _names(self) -> list[str]:
        require(self._state, "docs", "docs")
        return self._state.docs.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __delitem__(self, name: str) -> None:
        item = self._state.docs.item(check_doc_name(name))
        if item.removed or item.present is False:
            raise KeyError(name)
        item.remove()
        self._state.touch()

    def upload(
        self,
        name: str,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
    ) -> Doc:
        """Upload a file and attach it.

        Args:
            name: Its name: up to 5 folders and a file name.
            source: The bytes, a path, or a file opened for reading bytes.
            description: What is said about it.
            storage_class: ``"access_optimized"`` (the default) or ``"cost_optimized"``.

        Raises:
            ValidationError: The name, description or source is not allowed; nothing was sent.
            SaveError: The service refused it, for example because the name is taken.
            StateError: The Twin was not saved yet.

        Example:
            >>> Twin.create().docs.upload("note.txt", b"hello", description={"lang": "en"})
            <Doc 'note.txt' of ...>
        """
        flow = self._upload(name, source, description, storage_class)
        return self._state.connection.run(flow)

    @twin_of(upload)
    async def aupload(
        self,
        name: str,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
    ) -> Doc:
        flow = self._upload(name, source, description, storage_class)
        return await self._state.connection.arun(flow)

    def _upload(
        self,
        name: str,
        source: Source,
        description: Mapping[str, JSONValue] | None,
        storage_class: str | None,
    ) -> Flow[Doc]:
        state, twin = self._state, _saved(self._state)
        check_doc_name(name)
        for key in description or ():
            check_description_key(key)
        check_json(dict(description or {}), f"the description of {name!r}")
        if storage_class not in (None, "access_optimized", "cost_optimized"):
            raise ValidationError(
                f"{storage_class!r} is no storage class: expected 'access_optimized' or "
                "'cost_optimized'",
                code="bad-argument",
            )
        wire = yield from attach(state.connection, twin, name, source, description, storage_class)
        state.docs.absorb({name: {"description": None, **wire}}, complete=False)
        doc = Doc(state, name)
        yield from tell_of_upload(state.record(), name, doc)
        return doc

    def __repr__(self) -> str:
        return f"<Docs of {self._state.uuid or '(not saved)'}>"


def _saved(state: TwinState) -> str:
    if state.uuid is None:
        raise StateError("the Twin was not saved yet: save() it before its Docs")
    return state.uuid
