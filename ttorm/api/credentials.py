"""Secrets that do not show themselves, and the scope they give to what they may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ttorm.api import codec

__all__ = ["Secret", "credential_scope"]


class Secret:
    """A secret or token that never shows in ``repr``, ``str``, formatting, logs or pickles.

    Args:
        value: The text to keep.

    Example:
        >>> secret = Secret("very-secret-text")
        >>> secret, secret.reveal()
        (Secret('***'), 'very-secret-text')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def header(self) -> str:
        """Return the text for a header: locals that tracebacks show, show it masked."""
        return _Header(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled: give them to ttorm.connect() where they are used")


class _Header(str):
    """Text that goes over the wire as it is, and shows itself nowhere else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def credential_scope(credential: str, base_url: str, dictionary: Mapping[str, Any] | None) -> str:
    """Name what a credential may read, the same in all processes, without telling the credential.

    Args:
        credential: The secret or token.
        base_url: Address of the service.
        dictionary: The request dictionary, which access rules may read.

    Returns:
        Hexadecimal HMAC-SHA-256 keyed by the credential.
    """
    import hashlib
    import hmac

    seen = b"\0".join((base_url.encode(), codec.canonical(dictionary)))
    return hmac.new(credential.encode(), seen, hashlib.sha256).hexdigest()
