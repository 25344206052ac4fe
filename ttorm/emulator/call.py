"""One call of one operation: what its handler works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ttorm.api.operations import Operation
from ttorm.emulator.access import Principal
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import MAX_TIMESTAMP
from ttorm.emulator.policy import Policy, Service
from ttorm.emulator.rules import Effort
from ttorm.emulator.store import Transaction
from ttorm.emulator.usage import Counts, hour_of

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Call"]

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Call:
    """A request whose caller is known and may do this operation.

    Attributes:
        world: The emulator: its identifiers, clock, vault and blobs.
        tx: The transaction of this request; a read-only one for operations that only read.
        operation: The operation's row of the table.
        now: When the request was made, in Unix seconds: taken once, so that all times agree.
        origin: Scheme and host that the caller used, to make addresses that reach this emulator.
        args: Decoded path arguments by name.
        query: Query parameters by name, each with all its values.
        body: The JSON body; None when there was none.
        dictionary: The request dictionary, a token's keys included; None when there was none.
        afterwards: Done, in this order, once the transaction is committed.
        counts: What the request adds to the usage.
        effort: What rules may do.
        ledgers: Values of Ledgers that rules have read, by Twin and account.
    """

    __slots__ = (
        "_principal",
        "afterwards",
        "args",
        "body",
        "counts",
        "dictionary",
        "effort",
        "ledgers",
        "now",
        "operation",
        "origin",
        "query",
        "tx",
        "world",
    )

    def __init__(
        self,
        world: Emulator,
        tx: Transaction,
        operation: Operation,
        *,
        now: float,
        origin: str = "",
        principal: Principal | None = None,
        args: dict[str, str] | None = None,
        query: dict[str, list[str]] | None = None,
        body: dict[str, Any] | None = None,
        dictionary: dict[str, Any] | None = None,
    ) -> None:
        self.world = world
        self.tx = tx
        self.operation = operation
        self.now = now
        self.origin = origin
        self._principal = principal
        self.args = args or {}
        self.query = query or {}
        self.body = body
        self.dictionary = dictionary
        self.afterwards: list[Callable[[], None]] = []
        self.counts: Counts = {}
        self.effort = Effort()
        self.ledgers: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def policy(self) -> Policy:
        """The emulator's choices where the sources are silent."""
        return self.world.policy

    @property
    def principal(self) -> Principal:
        """Who calls; operations that need no credential have nobody (401000)."""
        if self._principal is None:
            raise Fault(401000, "This needs a user secret or token.")
        return self._principal

    @property
    def account(self) -> str:
        """The caller's account."""
        return self.principal.account

    def count(self, item: str, amount: int = 1, account: str | None = None) -> None:
        """Add to the usage of the caller.

        Args:
            item: What is counted: an item of the API's usage, or the operation itself.
            amount: How many, or how much.
            account: Whose usage it is, if that may be another account's; there it is nobody's.
        """
        if not amount:
            return
        owner = ""
        if self._principal is not None and account in (None, self._principal.account):
            account, owner = self._principal.account, self._principal.user
        # Operations without a credential name the account in their path.
        account = account or self.args.get("account", "").lower()
        key = account, owner, hour_of(self.now), item
        self.counts[key] = self.counts.get(key, 0) + amount

    def text(self, name: str) -> str | None:
        """Return a query parameter, or None when it was not sent."""
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean query parameter (400589 if it is none)."""
        text = self.text(name)
        if text is None:
            return default
        try:
            return _FLAGS[text.lower()]
        except KeyError:
            raise Fault(400589, f"{name!r} is {text!r}: write true or false.") from None

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a query parameter that is a whole number from low to high (else 400589)."""
        text = self.text(name)
        if text is None:
            return default
        # int() takes more than digits, such as "1_0" and " 1".
        if text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high:
            return int(text)
        raise Fault(400589, f"{name!r} is {text!r}: write a number from {low} to {high}.")

    def timestamp(self, name: str) -> float | None:
        """Return a query parameter in Unix seconds (400589 if it is none)."""
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if abs(value) <= MAX_TIMESTAMP:
            return round(value, 3)
        raise Fault(400589, f"{name!r} is {text!r}: write Unix seconds.")

    def names(self, name: str) -> list[str] | None:
        """Return a query parameter with several values: repeated, joined by commas, or both.

        Returns:
            The values; an empty list when only empty ones were sent, None when none was sent.
        """
        values = self.query.get(name)
        if values is None:
            return None
        return [part for value in values for part in value.split(",") if part]

    def require_body(self) -> dict[str, Any]:
        """Return the body of an operation that needs one (400589 if there is none)."""
        if self.body is None:
            raise Fault(400589, f"{self.operation.name} needs a JSON object as its body.")
        return self.body

    def require_service(self, service: Service) -> None:
        """Refuse an operation of a service that the account does not have (400979)."""
        if service not in self.policy.services:
            raise Fault(
                400979, f"The {service.capitalize()} service is not enabled for the account."
            )
