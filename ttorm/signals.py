"""Signals: blinker signals that ttorm sends when records and requests do something.

The sender of a record's signal is its model class. Receivers take keyword arguments and should end
in ``**extra``, since later versions may send more.

| signal | sent | arguments |
| --- | --- | --- |
| `pre_save` | before the first request of a save; an exception stops the save | `record changes` |
| `post_save` | after a save that did something | `record changes result` |
| `created` | after a Twin was created | `record changes result` |
| `changed` | after a save changed something | `record changes result` |
| `entry_changed` | the same, with the changes of Ledger Entries only | `record changes result` |
| `loaded` | after a part of a record was read from the service | `record part` |
| `terminated` | after a Twin was terminated | `record` |
| `request_sent` | after each answer of the service | `operation path connection status` |

`changes` maps attributes to `Change(old, new)`. Receivers may be coroutine functions when the
async verbs are used. An exception in a receiver is logged by the logger ``ttorm.signals`` and
never undoes or hides a write (`pre_save` is the exception: it may refuse).
"""

from __future__ import annotations

from inspect import iscoroutine
from typing import Any

from blinker import NamedSignal, Namespace

from ttorm.flows import Flow, finish

__all__ = [
    "changed",
    "created",
    "entry_changed",
    "loaded",
    "post_save",
    "pre_save",
    "request_sent",
    "terminated",
]

_namespace = Namespace()

pre_save = _namespace.signal("pre_save")
post_save = _namespace.signal("post_save")
created = _namespace.signal("created")
changed = _namespace.signal("changed")
terminated = _namespace.signal("terminated")
loaded = _namespace.signal("loaded")
entry_changed = _namespace.signal("entry_changed")
request_sent = _namespace.signal("request_sent")


def emit(signal: NamedSignal, sender: Any, **arguments: Any) -> Flow[None]:
    """Call the receivers of a signal, one after the other.

    Callers guard it by ``if signal.receivers``, so that a signal without receivers costs nothing.

    Raises:
        Exception: A receiver of `pre_save` raised it.
    """
    for receiver in list(signal.receivers_for(sender)):
        try:
            result = receiver(sender, **arguments)
            if iscoroutine(result):
                yield from finish(result)
        except Exception:
            if signal is pre_save:
                raise
            import logging

            log = logging.getLogger("ttorm.signals")
            log.exception("a receiver of %s failed: %r", signal.name, receiver)
