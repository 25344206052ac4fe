"""Seed data: accounts and what belongs to them, described in one JSON file.

Everything goes through the operations of the API, as the first user of each account would call
them, so that a file can say nothing that the API would refuse. All of it is one transaction.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ttorm.api import codec
from ttorm.api.codec import Json
from ttorm.api.errors import ConfigurationError, TtormError
from ttorm.api.request import api_request
from ttorm.emulator import bootstrap
from ttorm.emulator.access import Principal, find_principal
from ttorm.emulator.answers import Fault
from ttorm.emulator.blobs import Received
from ttorm.emulator.dispatch import dispatch
from ttorm.emulator.handlers.uploads import (
    find_upload,
    note_release,
    put_file,
    remove_released,
)
from ttorm.emulator.routing import find_route
from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Seed", "load"]

_BASE = "http://emulator.localhost"
_PLACEHOLDER = re.compile(r"\$\{(account|role|twin|user):([^}]*)\}")
_NOW = re.compile(r"\$\{now([+-][0-9]{1,9})?\}")

_ACCOUNT = ("rules", "roles", "users", "timeseries", "indexes", "twins", "ledgers")
_ROLE = ("statement", "rules")
_USER = ("role", "name", "description", "secret")
_TWIN = ("description", "identities", "entries", "docs", "stickers", "terminated")
_SOURCES = ("text", "base64", "file")
_DOC = (*_SOURCES, "description", "storage_class")

Source: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""A JSON file, or what would be in it."""


class Seed(NamedTuple):
    """What became of seed data.

    Attributes:
        accounts: UUIDs of accounts by the names that the data has for them.
        roles: UUIDs of roles, by ``account/role``.
        users: UUIDs of users, by ``account/user``.
        secrets: Secrets of the users for whom the data asks for one, by ``account/user``; they
            are shown only here.
        twins: UUIDs of Twins by name.
    """

    accounts: dict[str, str]
    roles: dict[str, str]
    users: dict[str, str]
    secrets: dict[str, str]
    twins: dict[str, str]


def load(world: Emulator, source: Source, accounts: Mapping[str, str] | None = None) -> Seed:
    """Put seed data into an emulator.

    Args:
        world: The emulator.
        source: A JSON file, or what would be in it; files it names are found beside it.
        accounts: UUIDs of accounts that there are, by their names in the data; the rest are made.
            Without it the first account of the data is the emulator's first one.

    Raises:
        ConfigurationError: The data says something impossible; nothing was put in.
    """
    folder, data = _read(source)
    root = _Node("", "$", data)
    root.check(("accounts",))
    described = root.part("accounts")
    files = _Files(world)
    try:
        for account in described:
            files.read(account, folder)
        with world.store.transaction(write=True) as tx:
            loading = _Loading(world, tx, files)
            loading.load(described, accounts)
    except BaseException:
        files.forget()
        files.release()
        raise
    files.forget()
    for action in loading.afterwards:
        action()
    return loading.seed


def _read(source: Source) -> tuple[Path | None, Any]:
    if isinstance(source, Mapping):
        # What is sent has to be JSON, and must not change under way.
        return None, codec.decode(codec.encode(dict(source)))
    path = Path(source)
    try:
        return path.parent, codec.decode_finite(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no JSON: {error}") from None


class _Node(NamedTuple):
    """A part of the data.

    Attributes:
        name: Its name.
        where: Its JSON path.
        value: What the data says there.
    """

    name: str
    where: str
    value: Json

    @property
    def fields(self) -> dict[str, Json]:
        """The value, if it is a JSON object."""
        if isinstance(self.value, dict):
            return self.value
        kind = type(self.value).__name__
        raise ConfigurationError(f"{self.where}: expected a JSON object, found {kind}")

    def check(self, allowed: Collection[str]) -> dict[str, Json]:
        """Return the fields, if they are none but these."""
        for name in self.fields:
            if name not in allowed:
                raise ConfigurationError(
                    f"{self.where}: expected the fields {', '.join(allowed)}, found {name!r}"
                )
        return self.fields

    def part(self, name: str) -> list[_Node]:
        """Return what a field has, by name; nothing when it is left out."""
        part = _Node(name, f"{self.where}.{name}", self.fields.get(name, {}))
        return [_Node(key, f"{part.where}.{key}", item) for key, item in part.fields.items()]


class _Files:
    """Contents of Docs by the JSON path of the Doc: written down first, which may take long."""

    def __init__(self, world: Emulator) -> None:
        self._world = world
        self._received: dict[str, Received] = {}

    def read(self, account: _Node, folder: Path | None) -> None:
        """Write down the contents of an account's Docs."""
        for twin in account.part("twins"):
            for doc in twin.part("docs"):
                content = _content(doc, folder)
                self._received[doc.where] = self._world.blobs.write([content])

    def put(self, tx: Transaction, handler: str, doc: _Node) -> None:
        """Make the content of a Doc the file of an upload."""
        upload = find_upload(tx, handler, self._world.clock.now())
        if upload is not None:
            put_file(self._world, tx, upload, self._received[doc.where])

    def forget(self) -> None:
        """Remove what was written down and not put anywhere."""
        for received in self._received.values():
            self._world.blobs.forget(received)

    def release(self) -> None:
        """Remove also what was put somewhere in a transaction that was taken back."""
        with self._world.store.transaction(write=True) as tx:
            for received in self._received.values():
                note_release(tx, received.content)
        remove_released(self._world)


class _Loading:
    """Calls the operations that make what the data describes."""

    def __init__(self, world: Emulator, tx: Transaction, files: _Files) -> None:
        self._world = world
        self._tx = tx
        self._files = files
        self._callers: dict[str, str] = {}
        self.afterwards: list[Callable[[], None]] = []
        self.seed = Seed({}, {}, {}, {}, {})

    def load(self, accounts: list[_Node], known: Mapping[str, str] | None) -> None:
        """Make everything, each kind in the order of the data."""
        self._find_accounts(accounts, known)
        for step in (
            self._make_people,
            self._make_tables,
            self._make_twins,
            self._fill_twins,
            self._fill_ledgers,
        ):
            for account in accounts:
                step(account)

    def _find_accounts(self, accounts: list[_Node], known: Mapping[str, str] | None) -> None:
        there = bootstrap.accounts_in(self._tx)
        if known is None:
            known = {account.name: uuid for account, uuid in zip(accounts[:1], there, strict=False)}
        for account in accounts:
            account.check(_ACCOUNT)
            if account.name in known:
                with _told(account.where):
                    uuid, user = bootstrap.first_user_of(self._tx, known[account.name])
            else:
                uuid, user = bootstrap.insert_account(self._world, self._tx)
            self.seed.accounts[account.name] = uuid
            self._callers[account.name] = user

    def _make_people(self, account: _Node) -> None:
        for role in account.part("roles"):
            made = self._call(
                account, role, "create_user_role", body={"name": role.name, **role.check(_ROLE)}
            )
            self.seed.roles[f"{account.name}/{role.name}"] = made["uuid"]
        for user in account.part("users"):
            self._make_user(account, user)
        if "rules" in account.fields:
            first = self._call(account, account, "get_user", self._callers[account.name])
            body = {"rules": account.fields["rules"]}
            self._call(account, account, "update_user_role", first["role"], body=body)

    def _make_user(self, account: _Node, user: _Node) -> None:
        body = {"name": user.name, **user.check(_USER)}
        name = f"{account.name}/{user.name}"
        body["role"] = self._found("role", f"{account.name}/{body.get('role')}", user.where)
        secret = body.pop("secret", False)
        uuid = self._call(account, user, "create_user", body=body)["uuid"]
        self.seed.users[name] = uuid
        if secret:
            pin = self._call(account, user, "create_user_secret_pin", uuid, body={})["pin"]
            owner = self.seed.accounts[account.name]
            made = self._call(account, user, "create_user_secret", owner, pin)
            self.seed.secrets[name] = made["secret"]

    def _make_tables(self, account: _Node) -> None:
        for kind in ("timeseries", "indexes"):
            self._add(account, account, kind, f"create_{kind}_table")

    def _make_twins(self, account: _Node) -> None:
        for twin in account.part("twins"):
            if twin.name in self.seed.twins:
                raise ConfigurationError(f"{twin.where}: expected a name that no other Twin has")
            body = {"description": twin.check(_TWIN).get("description")}
            made = self._call(account, twin, "create_twin", body=body)
            self.seed.twins[twin.name] = made["creation_certificate"]["uuid"]

    def _fill_twins(self, account: _Node) -> None:
        for twin in account.part("twins"):
            uuid = self.seed.twins[twin.name]
            self._add(account, twin, "identities", "create_twin_identity", uuid)
            self._add(account, twin, "entries", "add_twin_ledger_entry", uuid)
            self._add(account, twin, "stickers", "put_sticker", uuid)
            for doc in twin.part("docs"):
                self._attach(account, uuid, doc)
            if twin.fields.get("terminated"):
                self._call(account, twin, "terminate_twin", uuid)

    def _fill_ledgers(self, account: _Node) -> None:
        for ledger in account.part("ledgers"):
            uuid = self._found("twin", ledger.name, ledger.where)
            body = {"entries": ledger.value}
            self._call(account, ledger, "add_twin_ledger_entry", uuid, body=body)

    def _add(self, account: _Node, owner: _Node, kind: str, operation: str, *uuid: str) -> None:
        """Make all things of one kind with one call, if there are any."""
        value = owner.fields.get(kind)
        if value:
            node = _Node(kind, f"{owner.where}.{kind}", value)
            self._call(account, node, operation, *uuid, body={kind: value})

    def _attach(self, account: _Node, twin: str, doc: _Node) -> None:
        handler = self._call(account, doc, "create_upload_url")["handler"]
        self._files.put(self._tx, handler, doc)
        told = {name: value for name, value in doc.fields.items() if name not in _SOURCES}
        body = {"docs": {doc.name: {"handler": handler, **told}}}
        self._call(account, doc, "attach_twin_doc", twin, body=body)

    def _call(
        self, account: _Node, node: _Node, operation: str, *arguments: str, body: Any = None
    ) -> dict[str, Any]:
        """Call an operation as the first user of an account, and refuse all errors."""
        resolved = None if body is None else self._resolved(body, node.where)
        with _told(node.where):
            asked = api_request(operation, arguments, body=resolved)
            request = asked.bind(_BASE, {})
            route = find_route(request.method, asked.path)
            done = dispatch(self._world, self._tx, route, request, self._who(account.name))
        self.afterwards += done.afterwards
        answer: dict[str, Any] = codec.decode(done.answer.body)
        for part in body or ():
            _check_items(answer.get(part), node.where)
        return answer

    def _who(self, account: str) -> Callable[[Transaction, float], Principal]:
        return lambda tx, _: find_principal(tx, self._callers[account], "local")

    def _resolved(self, value: Json, where: str) -> Json:
        """Put UUIDs and times in the places of their names."""
        if isinstance(value, str):
            now = _NOW.fullmatch(value)
            if now:
                return round(self._world.clock.now() + int(now[1] or 0), 3)
            return _PLACEHOLDER.sub(lambda named: self._found(named[1], named[2], where), value)
        if isinstance(value, list):
            return [self._resolved(item, where) for item in value]
        if isinstance(value, dict):
            return {name: self._resolved(item, where) for name, item in value.items()}
        return value

    def _found(self, kind: str, name: str, where: str) -> str:
        known: dict[str, str] = getattr(self.seed, f"{kind}s")
        if name in known:
            return known[name]
        raise ConfigurationError(
            f"{where}: expected a {kind} that the data describes "
            f"({', '.join(known) or 'there is none'}), found {name!r}"
        )


@contextmanager
def _told(where: str) -> Generator[None]:
    """Say of an error where in the data it is."""
    try:
        yield
    except Fault as fault:
        raise ConfigurationError(f"{where}: {fault.description}") from None
    except TtormError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _check_items(items: Json, where: str) -> None:
    if not isinstance(items, dict):
        return
    for name, item in items.items():
        if isinstance(item, dict) and "error" in item:
            raise ConfigurationError(f"{where}.{name}: {item['error']}")


def _content(doc: _Node, folder: Path | None) -> bytes:
    fields, where = doc.check(_DOC), doc.where
    given = {name: fields[name] for name in _SOURCES if name in fields}
    kind, value = next(iter(given.items()), ("", None))
    if len(given) != 1 or not isinstance(value, str):
        raise ConfigurationError(
            f"{where}: expected the content as one text in 'text', 'base64' or 'file', "
            f"found {', '.join(given) or 'none'}"
        )
    try:
        if kind == "text":
            return value.encode()
        if kind == "base64":
            return b64decode(value, validate=True)
        return _beside(folder, value).read_bytes()
    except (OSError, Base64Error, UnicodeEncodeError) as error:
        raise ConfigurationError(f"{where}.{kind}: cannot be read: {error}") from None


def _beside(folder: Path | None, name: str) -> Path:
    """Find a file that data names: nothing else on this machine is its business."""
    path = (folder or Path()) / name
    if folder is None or not path.resolve().is_relative_to(folder.resolve()):
        raise FileNotFoundError(f"{name!r} is not beside the data; write 'text' or 'base64'")
    return path
