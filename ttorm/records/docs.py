"""The Docs of a Twin, and of its folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ttorm.api.codec import JSONValue
from ttorm.api.names import check_doc_name
from ttorm.display import Displayed, Sheet
from ttorm.pairs import twin_of
from ttorm.records.doc import Doc
from ttorm.records.loading import require
from ttorm.records.named import Named
from ttorm.records.sheets import names_sheet
from ttorm.records.transfer import Progress, Source
from ttorm.records.uploads import Wish, upload

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Docs"]


class Docs(Displayed, Named[Doc]):
    """The account's own Docs of a Twin, by name; or those in one of its folders.

    Example:
        >>> pump = Twin.create()
        >>> _ = pump.docs.upload("Manuals/service.txt", b"Oil it.")
        >>> list(pump.docs), list(pump.docs.folder("Manuals"))
        (['Manuals/service.txt'], ['service.txt'])
    """

    __slots__ = ("_folder", "_state")

    def __init__(self, state: TwinState, folder: str = "") -> None:
        self._state = state
        self._folder = folder

    def _full(self, name: str) -> str:
        if not isinstance(name, str):
            return check_doc_name(name)
        full = f"{self._folder}{name}"
        # The service may have names that it would not take any more.
        return full if full in self._state.docs.base else check_doc_name(full)

    def __getitem__(self, name: str) -> Doc:
        full = self._full(name)
        item = self._state.docs.item(full)
        if item.present is None:
            require(self._state, "docs", f"docs[{full!r}]")
        if item.removed or item.present is False:
            raise KeyError(name)
        return Doc(self._state, full)

    def _names(self) -> list[str]:
        require(self._state, "docs", "docs")
        here = len(self._folder)
        names = self._state.docs.names()
        return [name[here:] for name in names if name.startswith(self._folder)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __delitem__(self, name: str) -> None:
        item = self._state.docs.item(self._full(name))
        if item.removed or item.present is False:
            raise KeyError(name)
        self._state.touch()
        item.remove()

    # Folders

    @property
    def folders(self) -> list[str]:
        """The names of the folders right here, in alphabetical order.

        Example:
            >>> pump = Twin.create()
            >>> _ = pump.docs.upload("Manuals/en/service.txt", b"Oil it.")
            >>> pump.docs.folders, pump.docs.folder("Manuals").folders
            (['Manuals'], ['en'])
        """
        return sorted({name.partition("/")[0] for name in self._names() if "/" in name})

    def folder(self, name: str) -> Docs:
        """Give the Docs in a folder, by their names from there on; it need not exist yet.

        Folders are parts of names: one is there as long as a Doc is in it.

        Args:
            name: The folder, or a path of folders such as ``"Manuals/en"``.

        Raises:
            ValidationError: That is no name of a folder.

        Example:
            >>> manuals = Twin.create().docs.folder("Manuals")
            >>> manuals.upload("service.txt", b"Oil it.").name
            'Manuals/service.txt'
        """
        path = f"{self._folder}{name.strip('/')}/"
        check_doc_name(f"{path}x")
        return Docs(self._state, path)

    # Uploads

    def upload(
        self,
        name: str,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
    ) -> Doc:
        """Upload a file and attach it.

        The service compares what it got with the SHA-256 of what was sent.

        Args:
            name: Its name: up to 5 folders and a file name.
            source: The bytes, a path, or a file opened for reading bytes.
            description: What is said about it.
            storage_class: ``"access_optimized"`` (the default) or ``"cost_optimized"``.
            sha256: What the SHA-256 of the content is known to be, in hexadecimal.
            progress: Called with the bytes sent and their number altogether, perhaps on another
                thread; starts anew when the file has to be sent again.
            wait: Whether to wait half a minute for the service to copy the file; see
                `Doc.wait_ready`.

        Raises:
            ValidationError: The name, description or source is not allowed, or the content has
                another hash; nothing was sent.
            SaveError: The service refused it, for example because the name is taken, or it got
                something else than was sent; the name is free then.
            StateError: The Twin was not saved yet.

        Example:
            >>> Twin.create().docs.upload("note.txt", b"hello", description={"lang": "en"})
            <Doc 'note.txt' of ...>
        """
        wish = Wish(description, storage_class, sha256)
        flow = upload(
            Doc(self._state, self._full(name)), source, wish, progress=progress, wait=wait
        )
        return self._state.connection.run(flow)

    @twin_of(upload)
    async def aupload(
        self,
        name: str,
        source: Source,
        *,
        description: Mapping[str, JSONValue] | None = None,
        storage_class: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
        wait: bool = True,
    ) -> Doc:
        wish = Wish(description, storage_class, sha256)
        flow = upload(
            Doc(self._state, self._full(name)), source, wish, progress=progress, wait=wait
        )
        return await self._state.connection.arun(flow)

    def __repr__(self) -> str:
        folder = f" in {self._folder!r}" if self._folder else ""
        return f"<Docs{folder} of {self._state.uuid or '(not saved)'}>"

    def _sheet(self) -> Sheet:
        return names_sheet(repr(self)[1:-1], self._state.docs, self._folder)
