"""What is known of a user's secret, and the PIN that a new one is made by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ttorm.api.credentials import Secret
from ttorm.api.errors import StateError
from ttorm.api.request import ApiRequest
from ttorm.records.keyed import Deletable
from ttorm.records.members import MOMENT, Member, Writable
from ttorm.records.resource import Operations

__all__ = ["Invitation", "UserSecret"]


class UserSecret(Deletable):
    """What is known of a user's secret: all but the secret itself, which nobody can read again.

    It comes from ``user.secret``, or from the user's UUID by `get` and `at`. A user has one
    secret; a new one is made by `User.invite`.

    Example:
        >>> ann = User.create(name="Ann", role=Role.create(name="Guest"))
        >>> invitation = ann.invite()
        >>> secret = ttorm.claim(invitation.account, invitation.pin)
        >>> ann.secret.fingerprint == secret.reveal()[-4:]
        True
        >>> from datetime import UTC, datetime
        >>> ann.secret.valid_until = datetime(2040, 1, 1, tzinfo=UTC)
        >>> ann.secret.save().updated
        ('valid_until',)
    """

    __slots__ = ()
    _operations = Operations(
        "get_user_secret", update="update_user_secret", delete="delete_user_secret"
    )
    _key_member = "user"

    user: Member[str] = Member("UUID of the user.")
    account: Member[str] = Member("UUID of the account.")
    fingerprint: Member[str] = Member("The last 4 characters of the secret.")
    valid_until: Writable[datetime | None] = Writable(
        "When it ends, in UTC; None when it never does.", MOMENT, name="validity_ts"
    )
    created_at: Member[datetime] = Member("When it was made, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member("When it was changed, in UTC.", MOMENT, name="updated_ts")

    def __init__(self) -> None:
        raise TypeError("secrets are made by user.invite() and ttorm.claim(account, pin)")

    def _creation(self) -> ApiRequest:
        raise StateError(
            "a secret is made by its user's PIN: write user.invite(), and have the user call "
            "ttorm.claim(account, pin)"
        )

    def _wire(self) -> dict[str, Any]:
        # Left out, the service takes it as "for ever".
        return {"validity_ts": self._item.current("validity_ts")}


@dataclass(frozen=True)
class Invitation:
    """A PIN, to be given to who is to use a user: `ttorm.claim` exchanges it for the secret.

    Attributes:
        account: UUID of the account.
        user: UUID of the user.
        pin: The PIN, wrapped: ``pin.reveal()`` gives the text.
        expires_at: When the PIN ends, in UTC: 10 minutes after it was made.
        valid_until: When the secret is to end, in UTC; None for never.
    """

    account: str
    user: str
    pin: Secret
    expires_at: datetime
    valid_until: datetime | None = None
