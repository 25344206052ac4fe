"""What `ttorm listen` does."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager, suppress
from socketserver import TCPServer, ThreadingMixIn
from types import FrameType
from typing import Any, NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import click

from ttorm import signals
from ttorm.api.errors import TtormError
from ttorm.cli.sockets import in_url, listen
from ttorm.connection.opening import connect
from ttorm.webhooks import Notification, Receiver, Wsgi

__all__ = ["lines", "objects", "run"]

_CONFIRMED_WITHIN = 15.0
"""Seconds after which it is told that the service has not asked for a confirmation."""


def run(
    *,
    topics: Iterable[str],
    url: str | None,
    host: str,
    port: int,
    callback_url: str | None,
    expires: int,
    as_json: bool,
) -> None:
    """Print changes until a signal ends it.

    Args:
        topics: The topics.
        url: The service; None takes that of the environment.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        callback_url: Where the service sends messages; None for the address listened on.
        expires: Seconds for which subscriptions live unless they are refreshed.
        as_json: Whether changes are printed as JSON.

    Raises:
        TtormError: The service cannot be reached or refuses, or the address is taken.
    """
    printer = _Printer(as_json=as_json)
    receiver = Receiver()
    with connect(url), listen(host, port) as listener, _served(receiver, listener):
        address = callback_url or f"http://{in_url(host)}:{listener.getsockname()[1]}/"
        with signals.notification.connected_to(printer.on_notification), _until_the_end():
            try:
                for topic in dict.fromkeys(topics):
                    receiver.subscribe(topic, address, expires=expires)
                click.echo(f"ttorm: listening to {', '.join(topics)} at {address}", err=True)
                receiver.keep(_CONFIRMED_WITHIN)
                _warn(receiver, address)
                receiver.keep()
            finally:
                _cancel(receiver)


def _warn(receiver: Receiver, address: str) -> None:
    silent = [one.topic for one in receiver.store.all() if not one.confirmed]
    if silent:
        click.echo(
            f"ttorm: the service has not asked to confirm {', '.join(silent)}: can it reach "
            f"{address}? A served emulator may have to be told, by --allow-callback",
            err=True,
        )


def _cancel(receiver: Receiver) -> None:
    try:
        receiver.cancel()
    except TtormError as error:
        click.echo(f"ttorm: subscriptions go on until they expire: {error}", err=True)


@contextmanager
def _until_the_end() -> Generator[None]:
    """End the block in good order by Ctrl-C and by what ends processes."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _served(receiver: Receiver, listener: socket.socket) -> Generator[None]:
    """Have a thread take messages within the block."""
    with closing(_Server(listener)) as server:
        server.set_app(Wsgi(receiver))
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    """A server for few messages: a thread for each connection."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # Its name would be asked of name servers, which may take their time.
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()

    def close(self) -> None:
        TCPServer.server_close(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that break off."""


class _Handler(WSGIRequestHandler):
    timeout = 10
    """Seconds to wait for each piece of a request."""

    def get_environ(self) -> dict[str, Any]:
        """Describe a request; without a content type it has none."""
        environ: dict[str, Any] = super().get_environ()
        environ["CONTENT_TYPE"] = self.headers.get("content-type", "")
        return environ

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # its name there
        """Keep quiet: standard error is for people."""


class _Printer:
    """Prints changes, one after the other, whichever thread brings them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._lock = threading.Lock()
        self._console = None if as_json else _console()

    def on_notification(self, sender: type, *, message: Notification, **_: Any) -> None:
        kind = sender.__name__
        with self._lock:
            try:
                if self._as_json:
                    for found in objects(kind, message):
                        click.echo(json.dumps(found))
                else:
                    for line in lines(kind, message):
                        self._print(*line)
            except OSError:
                # Whoever has read the changes is gone.
                os.kill(os.getpid(), signal.SIGINT)

    def _print(self, about: str, what: str) -> None:
        if self._console is None:
            click.echo(f"{about} {what}")
            return
        from rich.text import Text

        text = Text.assemble((about, "dim"), " ", (what, "bold"))
        self._console.print(text, soft_wrap=True)


def _console() -> Any:
    """Return rich's console where there is a terminal and rich."""
    if not sys.stdout.isatty():
        return None
    with suppress(ModuleNotFoundError):
        from rich.console import Console

        return Console(highlight=False)
    return None


def objects(kind: str, message: Notification) -> Generator[dict[str, Any]]:
    """Give the changes of a message as JSON objects.

    Args:
        kind: The class of the Twin.
        message: The message.
    """
    about = {
        "sent_at": message.sent_at.isoformat(),
        "topic": message.topic,
        "trigger": message.trigger,
        "twin": message.twin,
        "kind": kind,
    }
    for name, change in message.entries.items():
        yield {**about, "entry": name, "old": change.old, "new": change.new}
    if not message.entries:
        yield {**about, "event": message.event}


def lines(kind: str, message: Notification) -> Generator[tuple[str, str]]:
    """Give the changes of a message as people read them: about what, and what.

    Args:
        kind: The class of the Twin.
        message: The message.
    """
    about = f"{message.sent_at:%H:%M:%S} {message.topic} {kind} {message.twin}"
    event = message.trigger.rpartition(".")[2]
    for name, change in message.entries.items():
        both = f"{_text(change.old)} -> {_text(change.new)}"
        told = {"added": _text(change.new), "deleted": f"{_text(change.old)} (deleted)"}
        yield about, _printable(f"{name}: {told.get(event, both)}")
    if not message.entries:
        yield about, _printable(f"{message.trigger}: {_text(message.event)}")


def _text(value: Mapping[str, Any] | Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """Let nothing through that would do something to the terminal."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
