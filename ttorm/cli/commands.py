"""The commands and their options; what they do is imported when they are called."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from click.core import ParameterSource

from ttorm._version import __version__

__all__ = ["demo", "listen", "secret", "serve", "ttorm"]

_PORTS = click.IntRange(0, 65_535)


@contextmanager
def _plain_errors(extra: str) -> Generator[None]:
    """Tell what is wrong in one line: a trace is for faults of the program."""
    from ttorm.api.errors import TtormError

    try:
        yield
    except TtormError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing == "ttorm":
            raise
        raise click.ClickException(
            f'this needs {missing}: python -m pip install "ttorm[{extra}]"'
        ) from error


@contextmanager
def _without_collections() -> Generator[None]:
    """Look for no garbage until the server is there: it takes a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@click.group()
@click.version_option(__version__)
def ttorm() -> None:
    """Work with Trusted Twin, or with the emulator of it that ttorm brings along."""


@ttorm.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8787, show_default=True, type=_PORTS, help="Port; 0 takes a free one."
)
@click.option(
    "--store",
    default="memory:",
    show_default=True,
    help="memory:, sqlite:///FILE or postgresql://HOST/DATABASE.",
)
@click.option(
    "--accounts",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many accounts a new store gets.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with what a new store gets: accounts, Twins and what belongs to them.",
)
@click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file for the secrets of new accounts (mode 0600), instead of standard output.",
)
@click.option(
    "--allow-callback",
    "callbacks",
    metavar="TARGET",
    multiple=True,
    help="Send notifications also to this HOST, HOST:PORT or NETWORK, not only to this machine; "
    "may be repeated.",
)
@click.option(
    "--new-secret",
    metavar="ACCOUNT",
    help="Make a new secret for this account's first user; the old one ends.",
)
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="Also answer requests for this name, such as that of a container; may be repeated.",
)
@click.option(
    "--max-upload",
    metavar="MIB",
    default=5_120,
    show_default=True,
    type=click.IntRange(min=1),
    help="Largest file that is taken, in MiB.",
)
@click.option(
    "--policy",
    "switches",
    metavar="SWITCH",
    multiple=True,
    help="strict, lenient, or a switch of the emulator as NAME=VALUE; may be repeated.",
)
@click.option(
    "--admin",
    is_flag=True,
    help="Also answer under /_emulator/ (reset, snapshot, clock, faults, ...) to the token that "
    "is printed, or that TTORM_ADMIN_TOKEN has.",
)
@click.option("--access-log", is_flag=True, help="Log each request on standard error.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(min=1, max=64),
    help="How many processes answer; not with memory:.",
)
def serve(
    *,
    host: str,
    port: int,
    store: str,
    accounts: int,
    data: Path | None,
    credentials: Path | None,
    callbacks: tuple[str, ...],
    new_secret: str | None,
    hosts: tuple[str, ...],
    max_upload: int,
    switches: tuple[str, ...],
    admin: bool,
    access_log: bool,
    workers: int,
) -> None:
    """Serve the emulator over HTTP, until Ctrl-C.

    A new store gets its accounts first, and their secrets are written once: they are kept as
    hashes only. Standard output has them as one line of JSON, then one line with the address.
    """
    with _plain_errors("serve"), _without_collections():
        from ttorm.cli.serve import run

        run(
            host=host,
            port=port,
            store=store,
            accounts=accounts,
            data=data,
            credentials=credentials,
            callbacks=callbacks,
            secret_for=new_secret,
            hosts=hosts,
            max_upload=max_upload << 20,
            switches=switches,
            admin=admin,
            access_log=access_log,
            workers=workers,
        )


@ttorm.command()
@click.option("--quick", is_flag=True, help="Take a tenth of the data.")
@click.option("--store", metavar="URL", help="Where to work, instead of a file among your caches.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the final table as JSON.",
)
def demo(*, quick: bool, store: str | None, report: Path | None) -> None:
    """Load the flights of 2013 and show what ttorm does.

    STORE is memory:, sqlite:///FILE, or the address of a service (with TTORM_SECRET set). On a
    store that has the data already, nothing is written again.
    """
    with _plain_errors("demo"):
        from ttorm.cli.demo import run

        run(store=store, report=report, quick=quick)


@ttorm.command()
@click.option(
    "--topic", "topics", metavar="TOPIC", multiple=True, required=True, help="May be repeated."
)
@click.option("--url", help="The service; without it TTORM_URL counts.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, type=_PORTS, help="Port to listen on; a free one without it.")
@click.option(
    "--callback-url",
    metavar="URL",
    help="Address that the service sends messages to, when it is not the one listened on.",
)
@click.option(
    "--expires",
    default=3_600,
    show_default=True,
    type=click.IntRange(60, 604_800),
    help="Seconds for which subscriptions live unless they are refreshed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each change.")
def listen(
    *,
    topics: tuple[str, ...],
    url: str | None,
    host: str,
    port: int,
    callback_url: str | None,
    expires: int,
    as_json: bool,
) -> None:
    """Print changes as the service tells them, until Ctrl-C.

    Subscribes to the topics, refreshes that, and cancels it at the end. The credential is that of
    TTORM_SECRET or TTORM_TOKEN. Standard output has the changes and nothing else.
    """
    with _plain_errors("cli"):
        from ttorm.cli.listen import run

        run(
            topics=topics,
            url=url,
            host=host,
            port=port,
            callback_url=callback_url,
            expires=expires,
            as_json=as_json,
        )


@ttorm.group()
def secret() -> None:
    """Claim a secret by a PIN, or rotate the one in use."""


_to = click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the secret (mode 0600), instead of standard output.",
)
_url = click.option("--url", help="The service; without it TTORM_URL counts.")


def _pin(context: click.Context, parameter: click.Parameter, given: str) -> str:
    """Read the PIN where ``-`` says so; one among the arguments is in the list of processes."""
    if given == "-":
        return sys.stdin.readline().strip()
    if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
        click.echo(
            "everybody on this machine can read a PIN among the arguments: leave --pin out to be "
            "asked for it, set TTORM_PIN, or write --pin - to have it read from standard input",
            err=True,
        )
    return given


@secret.command()
@click.argument("account")
@click.option(
    "--pin",
    prompt="PIN",
    hide_input=True,
    envvar="TTORM_PIN",
    callback=_pin,
    help="- reads it from standard input. Without this TTORM_PIN counts, or it is asked for; "
    "written here, everybody on the machine can read it.",
)
@_url
@_to
def claim(*, account: str, pin: str, url: str | None, to: Path | None) -> None:
    """Exchange a PIN for the secret of its user, once.

    ACCOUNT is the account's UUID. A secret that the user had before ends.
    """
    with _plain_errors("cli"):
        from ttorm.cli import secrets

        secrets.claim(account=account, pin=pin, url=url, to=to)


@secret.command()
@click.option("--days", type=click.IntRange(min=1), help="Days after which the new secret ends.")
@_url
@_to
def rotate(*, days: int | None, url: str | None, to: Path | None) -> None:
    """Replace the secret of TTORM_SECRET by a new one, which ends it.

    A file named by --to is replaced by one with the new secret, at once and as a whole.
    """
    with _plain_errors("cli"):
        from ttorm.cli import secrets

        secrets.rotate(url=url, days=days, to=to)
