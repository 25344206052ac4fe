"""Signals: blinker signals that ttorm sends when records and requests do something.

The sender of a record's signal is its model class, that of a request's its connection; who asks for
a class hears of its subclasses as well. Receivers take keyword arguments and should end in
``**extra``, since later versions may send more. They are called one after the other, in the order
in which they were connected.

| signal | sent | arguments |
| --- | --- | --- |
| `pre_save` | before the first request of a save; an exception stops the save | `record changes` |
| `post_save` | after a save that did something | `record changes result` |
| `created` | after a Twin was created | `record changes result` |
| `changed` | after a save changed something | `record changes result` |
| `entry_changed` | the same, with the changes of Ledger Entries only | `record changes result` |
| `identity_changed` | the same, with the changes of Identities only | `record changes result` |
| `doc_changed` | the same for Docs, and after an upload | `record changes result` |
| `conflict` | after a checked save lost against somebody else's | `record error` |
| `loaded` | after a part of a record was read from the service | `record part` |
| `terminated` | after a Twin was terminated | `record` |
| `notification` | after a message of the platform was verified | `record message` |
| `request_sent` | after each answer of the service | `operation path connection status` |
| `cache_invalidated` | when kept answers may be stale now | `operation path connection` |

`changes` maps attributes to `Change(old, new)`: one call for each save, with what the service has
acknowledged, and none for what it refused. What a message of the platform tells (`ttorm.webhooks`)
is an `entry_changed` as well, made elsewhere: then there is one more argument, `message`. Receivers
may be coroutine functions when the async verbs are used. An exception in a receiver is logged by
the logger ``ttorm.signals`` and never undoes or hides a write (`pre_save` is the exception: it may
refuse).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import iscoroutine
from typing import Any, TypeVar, cast

from blinker import ANY, NamedSignal

from ttorm.flows import Flow, finish, inform

__all__ = [
    "cache_invalidated",
    "changed",
    "conflict",
    "created",
    "doc_changed",
    "entry_changed",
    "identity_changed",
    "loaded",
    "muted",
    "notification",
    "post_save",
    "pre_save",
    "request_sent",
    "terminated",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Signal(NamedSignal):
    """A signal that refuses receivers it would never call."""

    def connect(self, receiver: F, sender: Any = ANY, weak: bool = True) -> F:
        """Have a function called when the signal is sent.

        Args:
            receiver: The function.
            sender: The one class, or connection, to hear of; all of them when left out.
            weak: Whether it is forgotten when nobody else holds it: a local function, or a lambda.

        Raises:
            TypeError: The sender is none of this signal, or the receiver no function.
        """
        if not callable(receiver):
            raise TypeError(
                f"{self.name}.connect({receiver!r}): expected a function that takes "
                "(sender, **extra)"
            )
        if sender is not ANY:
            self._check_sender(sender)
        return super().connect(receiver, sender, weak)

    def _check_sender(self, sender: Any) -> None:
        if not isinstance(sender, type):
            named = sender if isinstance(sender, str) else type(sender).__name__
            wanted = "Scooter" if hasattr(sender, "acall") else named
            raise TypeError(
                f"{self.name}.connect(..., sender={sender!r}): expected a class of records, as in "
                f"sender={wanted}"
            )


class _RequestSignal(_Signal):
    def _check_sender(self, sender: Any) -> None:
        if isinstance(sender, type) or not hasattr(sender, "acall"):
            raise TypeError(
                f"{self.name}.connect(..., sender={sender!r}): expected the connection that sends "
                "requests, such as ttorm.connect(...) returns"
            )


_namespace: dict[str, NamedSignal] = {}


def _signal(name: str, kind: type[_Signal] = _Signal) -> NamedSignal:
    return _namespace.setdefault(name, kind(name))


pre_save = _signal("pre_save")
post_save = _signal("post_save")
created = _signal("created")
changed = _signal("changed")
terminated = _signal("terminated")
loaded = _signal("loaded")
entry_changed = _signal("entry_changed")
identity_changed = _signal("identity_changed")
doc_changed = _signal("doc_changed")
conflict = _signal("conflict")
notification = _signal("notification")
request_sent = _signal("request_sent", _RequestSignal)
cache_invalidated = _signal("cache_invalidated", _RequestSignal)

_muted: ContextVar[frozenset[str]] = ContextVar("ttorm_muted", default=frozenset())


@contextmanager
def muted(*several: NamedSignal) -> Generator[None]:
    """Have nobody told of what this thread or task does inside the block.

    Args:
        *several: The signals to hold back; without any, all of them.

    Example:
        >>> from ttorm import signals
        >>> with signals.muted(signals.pre_save, signals.changed):
        ...     pump = Twin.create(entries={"pressure": 2.5})
    """
    names = {signal.name for signal in several or _namespace.values()}
    outside = _muted.set(_muted.get() | names)
    try:
        yield
    finally:
        _muted.reset(outside)


def emit(signal: NamedSignal, sender: Any, **arguments: Any) -> Flow[None]:
    """Call the receivers of a signal, one after the other.

    Callers guard it by ``if signal.receivers``, so that a signal without receivers costs nothing.

    Raises:
        Exception: A receiver of `pre_save` raised it.
    """
    if signal.is_muted or signal.name in _muted.get():
        return
    for receiver in _receivers(signal, sender):
        try:
            result = inform(receiver, sender, **arguments)
            if iscoroutine(result):
                yield from finish(result)
        except Exception:
            if signal is pre_save:
                raise
            import logging

            from ttorm.telling import tell

            log, told = logging.getLogger("ttorm.signals"), "a receiver of %s failed: %r"
            tell(log, logging.ERROR, told, signal.name, receiver, exc_info=True)


def _receivers(signal: NamedSignal, sender: Any) -> list[Callable[..., Any]]:
    """Give who is to be told, in the order of connecting, each one once.

    A sender that is a class stands for its base classes, too.
    """
    senders = sender.__mro__ if isinstance(sender, type) else (sender,)
    wanted = [receiver for one in senders for receiver in signal.receivers_for(one)]
    # blinker keeps the receivers in order, but gives those of a sender in any.
    known: list[Any] = [_strong(receiver) for receiver in list(signal.receivers.values())]
    return [receiver for receiver in known if receiver is not None and receiver in wanted]


def _strong(receiver: Any) -> Any:
    """Give what a reference refers to; None when it is gone."""
    if isinstance(receiver, weakref.ref):
        return cast(Any, receiver())
    return receiver
