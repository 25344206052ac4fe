"""Secrets that do not show themselves, and the scope they give to what they may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NoReturn, SupportsIndex, TypeAlias

from ttorm.api import codec

__all__ = [
    "HeldToken",
    "Secret",
    "TokenOption",
    "credential_scope",
    "derived_key",
    "masked",
    "masked_address",
]

TokenOption: TypeAlias = Literal["create", "refresh"]
"""What the holder of a token may do with it: make tokens, or longer copies of itself."""


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
        given: object = value.reveal() if isinstance(value, Secret) else value
        if not isinstance(given, str):
            raise TypeError(f"a secret is text, found {type(given).__name__}")
        # Plain text, whatever masks it: what is revealed is shown on purpose.
        self._value: str = str.__str__(given)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def header(self) -> str:
        """Return the text for a request: locals that tracebacks show, show it masked."""
        return _Masked(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        mine, theirs = (
            one._value.encode("utf-8", "surrogatepass")  # an error would show the text
            for one in (self, other)
        )
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled: give them to ttorm.connect() where they are used")


class _Masked(str):
    """Text that goes over the wire as it is, and shows itself nowhere else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        # Debuggers show the beginning of long texts.
        return _Masked(super().__getitem__(key))

    # Copies stay in the process, and masked.
    def __copy__(self) -> str:
        return self

    def __deepcopy__(self, memo: object) -> str:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled, nor requests that hold one")


def masked(text: str) -> str:
    """Return equal text that tracebacks and debuggers show masked."""
    return _Masked(text)


def masked_address(url: str) -> str:
    """Return an address that shows itself masked where it may hold a password."""
    return masked(url) if "@" in url or "?" in url else url


class HeldToken:
    """A token, and what its holder knows of it; `ttorm.Token` adds the verbs.

    Attributes:
        value: The token's text.
        ends: When it ends, in Unix seconds; None when it never does, or nobody knows.
        options: What may be done with it.
        key: What the scope of its answers is made from (see `derived_key`).
    """

    __slots__ = ("ends", "key", "options", "value")

    def __init__(
        self,
        value: str | Secret,
        ends: float | None = None,
        options: Iterable[TokenOption] = (),
        key: Secret | None = None,
    ) -> None:
        # Before anything is raised: tracebacks show locals.
        value = self.value = Secret(value)
        self.ends = ends
        self.options: tuple[TokenOption, ...] = tuple(options)
        self.key = value if key is None else key

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled: give them to ttorm.connect() where they are used")


def derived_key(key: Secret, secret_dict: Mapping[str, Any] | None) -> Secret:
    """Name what a token may read that was made with a credential: the same in all processes.

    Args:
        key: The credential that it was made with, or that one's own key.
        secret_dict: What the token carries for access rules. Without it the token reads what
            the credential reads.
    """
    if secret_dict is None:
        return key
    return Secret(credential_scope(key.reveal(), "token", secret_dict))


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
