"""Files to and from temporary addresses: signed by nothing, and repeated as reads are."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ttorm.api.credentials import masked
from ttorm.api.errors import ResponseFormatError, TransportError
from ttorm.api.http import HttpRequest, HttpResponse, origin
from ttorm.api.retry import Failure, failure_of_status, retry_after
from ttorm.connection.patience import Patience
from ttorm.flows import Flow, send, sleep

if TYPE_CHECKING:
    from ttorm.connection.core import Connection

__all__ = ["exchange", "step"]


def exchange(
    connection: Connection, make: Callable[[], HttpRequest], label: str
) -> Flow[HttpResponse]:
    """Send what does the same however often it arrives.

    Args:
        connection: Whose transport carries it, and whose policy says how often.
        make: Makes the request anew for each sending.
        label: What errors call it: the address would give it away.

    Raises:
        TransportError: Nobody answered.
    """
    patience = Patience(connection.strain)
    while True:
        response: HttpResponse | None = None
        lost = TransportError("no answer")
        try:
            response = yield from send(connection.transport, make())
        except TransportError as error:
            lost, floor = error, None
            failure = Failure.AMBIGUOUS if error.sent else Failure.NOT_SENT
        else:
            asked = response.headers.get("retry-after")
            floor = retry_after(asked, time())
            known = failure_of_status(response.status, asked is not None)
            if known is None:
                patience.succeed()
                return response
            failure = known
        pause = patience.pause(failure, floor)
        if pause is None:
            if response is not None:
                return response
            lost.request, lost.attempts = label, patience.attempt
            raise lost
        yield from sleep(pause)


def step(before: str, after: str) -> str:
    """Give the address that another one leads to.

    Raises:
        ResponseFormatError: It leads to none, or from an encrypted one to one that is not.
    """
    try:
        # An address is a credential by itself: tracebacks show locals.
        target = masked(urljoin(before, after))
    except ValueError:
        raise ResponseFormatError("the file's address leads to none that can be read") from None
    if before.lower().startswith("https:") and not target.lower().startswith("https:"):
        raise ResponseFormatError(
            f"the file's address leads from https to {origin(target)}, where it would not be "
            "encrypted"
        )
    return target
