"""Answers: JSON objects, and faults as the API's error body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttorm.api import codec
from ttorm.api.http import HttpResponse

__all__ = ["Fault", "fault_answer", "json_answer"]

_JSON = {"content-type": "application/json"}


class Fault(Exception):  # noqa: N818 - an answer, which the caller may have caused
    """An error answer.

    Attributes:
        subcode: The API's error number; its first three digits are the HTTP status.
        description: Text for people.
    """

    def __init__(self, subcode: int, description: str) -> None:
        super().__init__(subcode, description)
        self.subcode = subcode
        self.description = description


def json_answer(status: int, body: Mapping[str, Any]) -> HttpResponse:
    """Make an answer with a JSON object."""
    return HttpResponse(status, _JSON, codec.encode(body))


def fault_answer(fault: Fault, trace: str) -> HttpResponse:
    """Make the answer of a fault.

    Args:
        fault: What went wrong.
        trace: Identifies this one error, to find it in the emulator's log.
    """
    body = {"subcode": fault.subcode, "trace": trace, "description": fault.description}
    return json_answer(fault.subcode // 1000, body)
