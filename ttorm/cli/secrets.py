"""Secrets on the command line: claimed by a PIN, and rotated; they are shown or stored once."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ttorm.api.credentials import Secret
from ttorm.api.errors import ConfigurationError, SecretNotStoredError
from ttorm.connection.opening import claim as claimed
from ttorm.connection.opening import connect

__all__ = ["claim", "rotate"]

Keep = Callable[[Secret], None]


def claim(*, account: str, pin: str | Secret, url: str | None, to: Path | None) -> None:
    """Exchange a PIN, and keep the secret."""
    pin = Secret(pin)
    if to is not None and to.exists():
        raise ConfigurationError(
            f"{to} exists: secrets are not written over it; name another file or remove it"
        )
    with _keeping(to) as keep:
        keep(claimed(account, pin, url=url))


def rotate(*, url: str | None, days: int | None, to: Path | None) -> None:
    """Replace the secret of the environment, and keep the new one."""
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _keeping(to) as keep, connect(url, default=False) as connection:
        try:
            connection.rotate(until, store=keep)
        except SecretNotStoredError as error:
            # Shown rather than lost.
            click.echo(error.secret.reveal())
            raise


@contextmanager
def _keeping(target: Path | None) -> Generator[Keep]:
    """Open the place for a secret before there is one, so that a bad place costs nothing."""
    if target is None:
        yield lambda secret: click.echo(secret.reveal())
        return
    beside = target.with_name(f".{target.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{beside} cannot be made ({error.strerror}): name a file in a folder of your own, and "
            "remove what an earlier call may have left"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:

        def keep(secret: Secret) -> None:
            file.write(f"{secret.reveal()}\n")
            file.flush()
            os.fsync(file.fileno())
            beside.replace(target)

        try:
            yield keep
        finally:
            beside.unlink(missing_ok=True)
