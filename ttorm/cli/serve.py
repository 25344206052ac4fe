"""What `ttorm serve` does."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import uvicorn
from starlette.types import ASGIApp

from ttorm.api.errors import ConfigurationError
from ttorm.cli.impatient import impatient
from ttorm.cli.sockets import in_url, listen
from ttorm.cli.switches import read_policy
from ttorm.emulator import Emulator, Policy
from ttorm.emulator.asgi import LOOPBACK, MAX_UPLOAD, application
from ttorm.emulator.bootstrap import make_account, new_secret

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from ttorm.emulator.admin import Admin

__all__ = ["run"]

_MOST_CONNECTIONS = 1_000
_NAME = re.compile(r"\*|(?:\*\.)?[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]")
_LONGEST_HEAD = 65_536
"""Bytes of a request's line and headers."""


def run(
    *,
    host: str,
    port: int,
    store: str,
    accounts: int,
    credentials: Path | None,
    secret_for: str | None,
    data: Path | None = None,
    callbacks: Iterable[str] = (),
    hosts: Iterable[str] = (),
    max_upload: int = MAX_UPLOAD,
    switches: Iterable[str] = (),
    admin: bool = False,
    access_log: bool = False,
    workers: int = 1,
) -> None:
    """Serve until a signal ends it.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        store: Where the data is kept.
        accounts: How many accounts a new store gets.
        credentials: File for new secrets; None writes them to standard output.
        secret_for: An account whose first user gets a new secret.
        data: What a new store gets.
        callbacks: Where notifications may be sent beside this machine.
        hosts: More names under which the server answers.
        max_upload: Largest file that is taken, in bytes.
        switches: Switches of the emulator's policy.
        admin: Whether there are the emulator's own operations.
        access_log: Whether requests are logged on standard error.
        workers: How many processes answer.

    Raises:
        ConfigurationError: The address is taken, the store cannot be opened, or by one process
            only, the credentials file exists, the data cannot be loaded, there is no such
            account or switch, or a callback to be allowed is no target.
    """
    if admin and workers > 1:
        raise ConfigurationError(
            f"--admin is for one process, {workers} workers have clocks, faults and logs of their "
            "own: leave out --admin or --workers"
        )
    names = tuple(map(_name, hosts))
    service = _Service(
        store,
        (*callbacks,),
        (*LOOPBACK, in_url(host), *names),
        max_upload,
        read_policy(switches),
        access_log=access_log,
    )
    with listen(host, port) as listener:
        with closing(service.emulator()) as emulator:
            if workers > 1 and emulator.store.address is None:
                raise ConfigurationError(
                    f"{store} is in one process, {workers} workers cannot share it: name a store "
                    "such as --store sqlite:///file.db or --store postgresql://host/database"
                )
            url = f"http://{in_url(host)}:{listener.getsockname()[1]}"
            # The URL of a server may hold a password.
            shown = store if emulator.store.near else emulator.address
            made = partial(_new_credentials, emulator, accounts, data, secret_for)
            if data is not None and emulator.accounts():
                click.echo(f"ttorm: {shown} has data, {data} was not loaded", err=True)
            if secret_for is not None or not emulator.accounts():
                _write_once(credentials, lambda: {"url": url, "accounts": made()})
            if not _is_loopback(host):
                _warn(host)
            ready = partial(click.echo, f"ttorm: serving {shown} on {url}")
            if workers == 1:
                service.serve(emulator, listener, ready, _admin(emulator) if admin else None)
                return
        from ttorm.cli.workers import supervise

        supervise(_work, (service, listener), workers, ready)


class _Service(NamedTuple):
    """What processes that serve the same have in common."""

    store: str
    callbacks: tuple[str, ...]
    names: tuple[str, ...]
    max_upload: int
    policy: Policy
    access_log: bool

    def emulator(self) -> Emulator:
        """Open the store."""
        return Emulator(self.store, callbacks=self.callbacks, policy=self.policy)

    def serve(
        self,
        emulator: Emulator,
        listener: socket.socket,
        ready: Callable[[], None],
        admin: Admin | None = None,
    ) -> None:
        """Answer requests until a signal ends that."""
        if self.access_log:
            _log_requests()
        app = application(emulator, self.names, max_upload=self.max_upload, admin=admin)
        with suppress(KeyboardInterrupt):
            _Server(app, emulator, ready).run([listener])


def _work(service: _Service, listener: socket.socket, started: Event) -> None:
    """Be one of several processes."""
    from ttorm.cli.workers import end_with_parent

    end_with_parent()
    try:
        emulator = service.emulator()
    except ConfigurationError as error:
        click.echo(f"ttorm: {error}", err=True)
        sys.exit(1)
    with closing(emulator):
        service.serve(emulator, listener, started.set)


def _admin(emulator: Emulator) -> Admin:
    """Give the emulator's own operations a token, and tell it."""
    from secrets import token_urlsafe

    from ttorm.emulator.admin import Admin

    token = os.environ.get("TTORM_ADMIN_TOKEN")
    if not token:
        token = token_urlsafe(32)
        click.echo(f"ttorm: admin token {token}")
    return Admin(emulator, token)


def _name(host: str) -> str:
    if _NAME.fullmatch(host):
        return host
    raise ConfigurationError(
        f"--allow-host {host}: expected a name without scheme and port, such as twins or "
        "*.example.test"
    )


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _warn(host: str) -> None:
    click.echo(
        f"ttorm: warning: {host} can be reached from other machines, and what they send is not "
        "encrypted; put a proxy with TLS in front, or leave --host out",
        err=True,
    )


def _log_requests() -> None:
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("ttorm.emulator.access")
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    log.propagate = False


def _new_credentials(
    emulator: Emulator, accounts: int, data: Path | None, secret_for: str | None
) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    if not emulator.accounts():
        if data is not None:
            made += _load(emulator, data)
        missing = accounts - len(emulator.accounts())
        made += [make_account(emulator)._asdict() for _ in range(missing)]
    if secret_for is not None:
        made.append(new_secret(emulator, secret_for)._asdict())
    return made


def _load(emulator: Emulator, data: Path) -> list[dict[str, str]]:
    """Put data into a new store, and return the credentials of its accounts and users by name."""
    seed = emulator.load(data)
    made = [
        {"name": name, **new_secret(emulator, uuid)._asdict()}
        for name, uuid in seed.accounts.items()
    ]
    for name, secret in seed.secrets.items():
        account, user = seed.accounts[name.partition("/")[0]], seed.users[name]
        made.append({"name": name, "account": account, "user": user, "secret": secret})
    return made


def _write_once(target: Path | None, content: Callable[[], dict[str, Any]]) -> None:
    """Write secrets where only this user can read them.

    The file is there before the secrets are: they exist nowhere else.
    """
    if target is None:
        click.echo(json.dumps(content()))
        return
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{target} exists: secrets are not written over it; name another file or remove it"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{target} cannot be made ({error.strerror}): name a file in a folder of your own"
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            file.write(json.dumps(content(), indent=2) + "\n")
        except ConfigurationError:
            target.unlink()
            raise


class _Server(uvicorn.Server):
    """Says when it is ready, and closes the store however it is ended."""

    def __init__(self, app: ASGIApp, emulator: Emulator, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            ws="none",
            log_level="warning",
            access_log=False,  # it would show secrets in paths
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=10,
        )
        super().__init__(config)
        config.http_protocol_class = impatient(config)
        self._emulator = emulator
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()
        gc.enable()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # uvicorn ends the process with the signal it got: a "finally" further out may not run.
        self._emulator.close()
