"""Snapshots: all that an emulator holds, to be brought back later, here or elsewhere."""

from __future__ import annotations

import os
import shutil
import weakref
import zlib
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp
from typing import IO, TYPE_CHECKING, Any, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from ttorm.api import codec
from ttorm.api.errors import ConfigurationError
from ttorm.emulator import bootstrap
from ttorm.emulator.blobs import PIECE, Received
from ttorm.emulator.handlers.uploads import contents, note_release, remove_released
from ttorm.emulator.store import Transaction
from ttorm.emulator.store.copying import clear, drop_tables
from ttorm.emulator.store.schema import TABLES
from ttorm.emulator.usage import hour_of
from ttorm.emulator.vault import Vault

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Snapshot", "reset", "restore", "take"]

_FORMAT = 1
_ABOUT, _DATA, _DOCS = "snapshot.json", "data.sqlite", "docs/"
_UNREADABLE = (
    *(BadZipFile, zlib.error, EOFError),
    *(KeyError, ValueError, AttributeError, RuntimeError),
)
"""What is raised where a file holds no snapshot, or a damaged one."""
_KEPT = ("meta", "accounts", "roles", "users", "secrets", "databases")
"""Tables that a reset does not empty."""


class Snapshot:
    """All that an emulator holds at one moment; what is in it is the emulator's business.

    It can be restored as often as one likes, by this emulator or another one, whatever database
    that has. Whoever has the file of a snapshot can make tokens for the accounts in it.

    Example:
        >>> from ttorm.emulator import Emulator
        >>> with Emulator("memory:") as emulator:
        ...     snapshot = emulator.snapshot()
        ...     user = emulator.first_user()
        ...     emulator.restore(snapshot)
        ...     emulator.accounts()
        []
    """

    def __init__(self, image: bytes, ids: list[Any] | None) -> None:
        self._image = image
        self._ids = ids
        self._docs: Path | None = None

    @property
    def _folder(self) -> Path:
        """Where contents of Docs are, each in a file named by its SHA-256."""
        if self._docs is None:
            self._docs = Path(mkdtemp(prefix="ttorm-snapshot-"))
            weakref.finalize(self, shutil.rmtree, self._docs, ignore_errors=True)
        return self._docs

    def _files(self) -> list[Path]:
        return [] if self._docs is None else sorted(self._docs.iterdir())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot into a file, which is there as a whole or not at all.

        Args:
            path: The file; one that is there is replaced. Only its owner can read it.
        """
        target = Path(path).absolute()
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as file:
            try:
                self.write(file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _sync_folder(target.parent)

    def write(self, file: IO[bytes]) -> None:
        """Write the snapshot into an open file."""
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            about = {"format": _FORMAT, "ids": self._ids}
            archive.writestr(_ABOUT, codec.encode(about))
            archive.writestr(_DATA, self._image)
            for path in self._files():
                archive.write(path, _DOCS + path.name, ZIP_STORED)

    @classmethod
    def load(cls, source: str | os.PathLike[str] | IO[bytes]) -> Self:
        """Read a snapshot that `save` or `write` wrote.

        Args:
            source: The file, or its path.

        Raises:
            ConfigurationError: It is no snapshot, or one of a newer version of ttorm.
        """
        try:
            with ZipFile(source) as archive:
                about = codec.decode(archive.read(_ABOUT))
                if about.get("format") != _FORMAT:
                    raise ConfigurationError(
                        f"the snapshot has the format {about.get('format')!r}, this ttorm reads "
                        f"{_FORMAT}: update ttorm"
                    )
                snapshot = cls(archive.read(_DATA), about["ids"])
                for name in archive.namelist():
                    if name.startswith(_DOCS):
                        snapshot._take_doc(archive, name)
        except _UNREADABLE as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(
                f"this is no snapshot: {error}; expected a file that Snapshot.save wrote"
            ) from None
        return snapshot

    def _take_doc(self, archive: ZipFile, name: str) -> None:
        digest = sha256()
        with NamedTemporaryFile(dir=self._folder, delete=False) as file, archive.open(name) as doc:
            while piece := doc.read(PIECE):
                digest.update(piece)
                file.write(piece)
        if _DOCS + digest.hexdigest() != name:
            raise ConfigurationError(f"the snapshot is damaged: {name} holds something else")
        Path(file.name).replace(self._folder / digest.hexdigest())

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self._image)} bytes and {len(self._files())} contents>"


def _sync_folder(folder: Path) -> None:
    """Let the new name of a file survive a loss of power, where folders can be synchronised."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take(world: Emulator) -> Snapshot:
    """Take a snapshot of an emulator."""
    with world.store.transaction(write=True) as tx:
        world.usage.settle(tx, hour_of(world.clock.now()))
    # Writers wait: no content goes between the copy of the rows and that of the contents.
    with world.store.transaction(write=True) as tx:
        snapshot = Snapshot(world.store.dump(), world.ids.state())
        for content in contents(tx):
            world.blobs.copy(content, snapshot._folder / content)
    return snapshot


def restore(world: Emulator, snapshot: Snapshot) -> None:
    """Bring back what a snapshot holds, in the place of everything there is.

    Raises:
        ConfigurationError: The snapshot is damaged, or of a newer version of ttorm.
    """
    with world.store.transaction(write=False) as tx:
        before = contents(tx)
    received = [
        _received(world, path) for path in snapshot._files() if not world.blobs.has(path.name)
    ]

    def settle(tx: Transaction) -> None:
        world.usage.forget()
        world.vault = Vault.of(tx, world.ids.key())
        for file in received:
            world.blobs.keep(tx, file)
        for content in before:
            note_release(tx, content)

    try:
        world.store.load(snapshot._image, settle)
    finally:
        for file in received:
            world.blobs.forget(file)
    world.ids.resume(snapshot._ids)
    if before:
        remove_released(world)
    world.resume()


def _received(world: Emulator, path: Path) -> Received:
    with path.open("rb") as file:
        return world.blobs.receive(file)


def reset(world: Emulator) -> None:
    """Bring the accounts of an emulator to their first state, and remove everything else."""
    with world.store.transaction(write=True) as tx:
        world.usage.forget()
        for content in contents(tx):
            note_release(tx, content)
        drop_tables(tx)
        clear(tx, (table for table in TABLES if table not in (*_KEPT, "released")))
        bootstrap.reinstate(tx)
    remove_released(world)
