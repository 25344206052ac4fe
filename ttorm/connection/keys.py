"""What answers are kept under, and which of them are to be forgotten."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["EVERYTHING", "CacheKey", "Drop"]


class CacheKey(NamedTuple):
    """What an answer is kept under.

    Attributes:
        scope: The credential scope (see `ttorm.api.credentials.credential_scope`).
        subject: The object the answer is about.
        operation: Name of the operation.
        detail: The rest of the path, and the query.
    """

    scope: str
    subject: str
    operation: str
    detail: tuple[Any, ...]


class Drop(NamedTuple):
    """Which answers are to be forgotten; None means all of them.

    Attributes:
        subject: Those about an object.
        scope: Those of a credential scope.
        operations: Those of some operations.
    """

    subject: str | None = None
    scope: str | None = None
    operations: frozenset[str] | None = None

    def concerns(self, key: CacheKey) -> bool:
        """Tell whether an answer is one of them."""
        return (
            self.subject in (None, key.subject)
            and self.scope in (None, key.scope)
            and (self.operations is None or key.operation in self.operations)
        )


EVERYTHING = Drop()
