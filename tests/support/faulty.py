"""A transport on which things go wrong: answers that are lost, late or errors."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from random import Random

import ttorm
from ttorm.api.http import HttpResponse

__all__ = ["KINDS", "FaultyTransport"]

KINDS = ("error before", "error after", "drop before", "drop after", "time-out", "late")
"""What may go wrong: "late" is a time-out of a request that takes effect afterwards."""
_LATE = 0.01


class FaultyTransport:
    """Carries requests by another transport, except for some.

    Args:
        transport: The other one.
        rate: How many of the requests go wrong, from 0 to 1.
        seed: Makes the same choices each time.
        kinds: What may go wrong.
        spare: Which requests never go wrong.

    Attributes:
        sent: How many requests were sent.
        struck: How often each kind of fault has struck.
        acknowledged: How many were answered as they should.
    """

    def __init__(self, transport, rate, *, seed=0, kinds=KINDS, spare=lambda request: False):
        self.transport = transport
        self.emulator, self.user = transport.emulator, transport.user
        self.rate = rate
        self.kinds = kinds
        self.spare = spare
        self.sent = 0
        self.acknowledged = 0
        self.struck = Counter()
        self._random = Random(seed)
        self._lock = threading.Lock()
        self._late = []

    def _kind(self, request):
        with self._lock:
            self.sent += 1
            if self.spare(request) or self._random.random() >= self.rate:
                self.acknowledged += 1
                return None
            kind = self._random.choice(self.kinds)
            self.struck[kind] += 1
            return kind

    def send(self, request):
        kind = self._kind(request)
        if kind in (None, "error after", "drop after"):
            answer = self.transport.send(request)
            if kind is None:
                return answer
        return self._fail(kind, request)

    async def asend(self, request):
        kind = self._kind(request)
        # Others have their turn, as they would have over a network.
        await asyncio.sleep(0)
        if kind in (None, "error after", "drop after"):
            answer = await self.transport.asend(request)
            if kind is None:
                return answer
        return self._fail(kind, request)

    def _fail(self, kind, request):
        if kind.startswith("error"):
            return HttpResponse(500, {}, b'{"subcode": 500001, "trace": "", "description": ""}')
        if kind == "late":
            timer = threading.Timer(_LATE, self.transport.send, (request,))
            timer.start()
            self._late.append(timer)
        if kind.startswith("drop"):
            raise ttorm.TransportError("the connection broke", sent=True)
        raise ttorm.RequestTimeoutError("no answer in time", sent=True)

    def settle(self):
        """Wait for what is still to arrive."""
        for timer in self._late:
            timer.join()

    def close(self):
        self.settle()

    async def aclose(self):
        self.settle()
