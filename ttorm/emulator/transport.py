"""The emulator behind the same door as the service: a transport without a network."""

from __future__ import annotations

from collections.abc import Iterable

from ttorm.api.http import HttpRequest, HttpResponse, Upload
from ttorm.emulator.core import Emulator
from ttorm.emulator.faults import Strike

__all__ = ["EmulatorTransport"]

_LONG = 1_048_576
"""Bodies longer than this do not pass on an event loop's thread."""


class EmulatorTransport:
    """Carries requests to an emulator in this process, for both worlds.

    Args:
        emulator: The emulator.
        user: UUID of the user who calls, without a secret; None leaves it to the requests'
            ``Authorization`` header.
        owner: Whether closing the transport closes the emulator.
    """

    def __init__(self, emulator: Emulator, user: str | None = None, *, owner: bool = False) -> None:
        self.emulator = emulator
        self.user = user
        self._owner = owner

    def send(self, request: HttpRequest) -> HttpResponse:
        """Answer on the calling thread."""
        return _delivered(request, self.emulator.handle(request, self.user))

    def _send(self, request: HttpRequest, strike: Strike) -> HttpResponse:
        return _delivered(request, self.emulator.handle(request, self.user, strike=strike))

    async def asend(self, request: HttpRequest) -> HttpResponse:
        """Answer at once on the loop's thread, which takes a millisecond.

        Files, and stores on other computers, use another thread.
        """
        strike = self.emulator.faults.strike(request)
        if strike.delay:
            from asyncio import sleep

            await sleep(self.emulator.clock.pause(strike.delay))
        if _length(request) > _LONG or not self.emulator.store.near:
            from asyncio import to_thread

            return await to_thread(self._send, request, strike)
        response = self.emulator.handle(request, self.user, strike=strike)
        if response.stream is None:
            return _delivered(request, response)
        from asyncio import to_thread

        return await to_thread(_delivered, request, response)

    def close(self) -> None:
        """Close the emulator if it is this transport's."""
        if self._owner:
            self.emulator.close()

    async def aclose(self) -> None:
        """See `close`."""
        self.close()


def _length(request: HttpRequest) -> int:
    return request.body.size if isinstance(request.body, Upload) else len(request.body)


def _delivered(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Bring an answer's bytes where the request wants them."""
    chunks: Iterable[bytes] = [response.body] if response.stream is None else response.stream
    if request.sink is not None and 200 <= response.status < 300:
        for chunk in chunks:
            request.sink.write(chunk)
        return response._replace(body=b"", stream=None)
    if response.stream is None:
        return response
    return response._replace(body=b"".join(chunks), stream=None)
