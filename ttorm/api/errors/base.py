"""The root of all errors."""

from __future__ import annotations

__all__ = ["TtormError"]


class TtormError(Exception):
    """Root of all errors that ttorm raises.

    Attributes:
        code: Short code of the error, a section of the documentation page "Errors".
    """

    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{super().__str__()} [{self.code}]"

    @property
    def help(self) -> str:
        """Where the documentation explains this error."""
        return f"docs/errors.md#{self.code}"
