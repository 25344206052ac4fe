"""Docs: files that hang on a Twin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, overload

from ttorm.api.codec import JSONValue
from ttorm.api.errors import NotFoundError, RequestTimeoutError
from ttorm.api.moments import moment
from ttorm.api.names import check_description_key
from ttorm.api.request import api_request
from ttorm.display import Displayed, Sheet
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.downloads import Target, fetch
from ttorm.records.items import Item
from ttorm.records.loading import check_blocking, read_of
from ttorm.records.saving import remove_now, save
from ttorm.records.sheets import item_sheet
from ttorm.records.transfer import (
    FAILED,
    Progress,
    Source,
    copied,
    failure,
)
from ttorm.records.uploads import Wish, saved_uuid, upload
from ttorm.records.values import PLAIN, check_dictionary
from ttorm.results import SaveResult

if TYPE_CHECKING:
    from ttorm.records.docs import Docs
    from ttorm.records.state import TwinState

__all__ = ["Doc"]

_SHOWN = {"status": "status", "storage_class": "storage_class", "description": "description"}


class Doc(Displayed):
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
            raise NotFoundError(
                f"{self!r} is not there: upload it first",
                operation="get_twin_doc",
            )
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
            check_dictionary(value, "a description")
            for key in value:
                check_description_key(key)
            value = dict(value)
        self._state.touch()
        self._item().cell("description").assign(value)

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
        certificate: Mapping[str, Any] = self._get("creation_certificate") or {}
        return moment(certificate.get("created_ts"))

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
        sha256: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
    ) -> Self:
        """Upload a file under this name, as `Docs.upload` does.

        Args:
            source: The bytes, a path, or a file opened for reading bytes.
            description: What is said about it.
            storage_class: ``"access_optimized"`` (the default) or ``"cost_optimized"``.
            sha256: What the SHA-256 of the content is known to be, in hexadecimal.
            progress: Called with the bytes sent and their number altogether.
            wait: Whether to wait half a minute for the service to copy the file.

        Raises:
            SaveError: The service refused it, for example because there is such a Doc.
            StateError: The Twin was not saved yet.

        Example:
            >>> class Pump(Twin):
            ...     manual: Field[Doc] = doc("manuals/service.txt")
            >>> Pump.create().manual.upload(b"Oil it.").size
            7
        """
        wish = Wish(description, storage_class, sha256)
        flow = upload(self, source, wish, progress=progress, wait=wait)
        self._state.connection.run(flow)
        return self

    @twin_of(upload)
    async def aupload(
        self,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
    ) -> Self:
        wish = Wish(description, storage_class, sha256)
        flow = upload(self, source, wish, progress=progress, wait=wait)
        await self._state.connection.arun(flow)
        return self

    @overload
    def download(self, to: None = None, *, progress: Progress | None = None) -> bytes: ...
    @overload
    def download(self, to: Target, *, progress: Progress | None = None) -> None: ...
    def download(
        self, to: Target | None = None, *, progress: Progress | None = None
    ) -> bytes | None:
        """Fetch its content and check it against the certificate's hash.

        What does not arrive whole leaves nothing behind: no half file, and no other one in the
        place of what was there.

        Args:
            to: A path (written beside and moved into place at the end) or a file opened for
                writing bytes; None returns the bytes.
            progress: Called with the bytes that arrived and their number altogether.

        Raises:
            NotFoundError: There is no such Doc, or it is still being copied.
            ResponseFormatError: What arrived is not what the certificate says.

        Example:
            >>> pump = Twin.create()
            >>> pump.docs.upload("note.txt", b"hello").download()
            b'hello'
        """
        return self._state.connection.run(self._fetch(to, progress))

    @overload
    async def adownload(self, to: None = None, *, progress: Progress | None = None) -> bytes: ...
    @overload
    async def adownload(self, to: Target, *, progress: Progress | None = None) -> None: ...
    @twin_of(download)
    async def adownload(
        self, to: Target | None = None, *, progress: Progress | None = None
    ) -> bytes | None:
        return await self._state.connection.arun(self._fetch(to, progress))

    def _fetch(self, to: Target | None, progress: Progress | None = None) -> Flow[bytes | None]:
        return fetch(self._state.connection, saved_uuid(self._state), self.name, to, progress)

    def wait_ready(self, timeout: float = 60.0) -> Self:
        """Wait until the service has copied the file, so that it can be downloaded.

        Args:
            timeout: Most seconds to wait; 0 looks once.

        Raises:
            RequestTimeoutError: It is still being copied.
            SaveError: The copy came to nothing: delete the Doc and upload it again.
            NotFoundError: There is no such Doc.

        Example:
            >>> doc = Twin.create().docs.upload("note.txt", b"hello", wait=False)
            >>> doc.wait_ready(timeout=10).status
            'ok'
        """
        self._state.connection.run(self._ready(timeout))
        return self

    @twin_of(wait_ready)
    async def await_ready(self, timeout: float = 60.0) -> Self:  # noqa: ASYNC109 # its twin's
        await self._state.connection.arun(self._ready(timeout))
        return self

    def _ready(self, timeout: float) -> Flow[None]:
        state = self._state
        wire = yield from copied(state.connection, saved_uuid(state), self.name, timeout)
        state.docs.absorb({self.name: {"description": None, **wire}}, complete=False)
        if wire.get("status") in FAILED:
            raise failure(self.name, wire)
        if wire.get("status") == "copying":
            raise RequestTimeoutError(
                f"the Doc {self.name!r} is still being copied after {timeout:g} seconds: wait "
                "longer, or look again later",
                operation="get_twin_doc",
            )

    def copy_to(self, docs: Docs, name: str | None = None) -> Doc:
        """Attach the same file to another Twin, or under another name, with its description.

        The platform does not copy: the file comes here and goes back, through a temporary file.

        Args:
            docs: Where it is to be: the Docs of a Twin, or a folder of them.
            name: Its name there; None for its present one.

        Raises:
            NotFoundError: There is no such Doc, or it is still being copied.
            SaveError: The service refused it, for example because the name is taken.

        Example:
            >>> doc = Twin.create().docs.upload("note.txt", b"hello", description={"lang": "en"})
            >>> copy = doc.copy_to(Twin.create().docs, "copy.txt")
            >>> copy.description, copy.download()
            ({'lang': 'en'}, b'hello')
        """
        return self._state.connection.run(self._copy(docs, name))

    @twin_of(copy_to)
    async def acopy_to(self, docs: Docs, name: str | None = None) -> Doc:
        return await self._state.connection.arun(self._copy(docs, name))

    def _copy(self, docs: Docs, name: str | None) -> Flow[Doc]:
        from tempfile import TemporaryFile

        yield from self._refresh(fresh=True)
        with TemporaryFile() as file:
            yield from self._fetch(file)
            file.seek(0)
            known = self._item().known
            wish = Wish(known.get("description"), known.get("storage_class"))
            copy = Doc(docs._state, docs._full(name or self.name))
            yield from upload(copy, file, wish)
        return copy

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
        request = api_request("get_twin_doc", [saved_uuid(self._state), self.name])
        answer = yield from read_of(self._state, request, fresh=fresh)
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

    def _sheet(self) -> Sheet:
        return item_sheet(repr(self)[1:-1], self._item(), _SHOWN)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Doc):
            return NotImplemented
        return self.name == other.name and self._state.record() == other._state.record()

    def __hash__(self) -> int:
        return hash((Doc, self._state.record(), self.name))
