"""Webhooks: notifications of the platform, verified, as signals in this process.

```python
receiver = ttorm.webhooks.Receiver()
receiver.subscribe("battery-low", "https://example.com/hook")   # while the server below runs


@app.post("/hook")
def hook():
    return receiver.handle(request.get_data(), request.headers)
```

Each message that is genuine, new and recent drops the cached answers that it makes stale, has
loaded records follow, and emits the signals `notification` and `entry_changed`. Nothing else does
anything: what a stranger sends is refused, and never raises.
"""

from __future__ import annotations

from ttorm.records.notification import Notification
from ttorm.webhooks.doors import Asgi, Wsgi
from ttorm.webhooks.keeping import MemoryStore, Store
from ttorm.webhooks.receiver import Receiver
from ttorm.webhooks.refusals import Reply
from ttorm.webhooks.seen import MemorySeen, Seen

__all__ = [
    "Asgi",
    "MemorySeen",
    "MemoryStore",
    "Notification",
    "Receiver",
    "Reply",
    "Seen",
    "Store",
    "Wsgi",
]
