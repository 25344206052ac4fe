"""What the store holds, as plain tuples."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from ttorm.api import codec
from ttorm.emulator.store import Row

__all__ = [
    "AccountRow",
    "DocRow",
    "EntryKey",
    "EntryRow",
    "IdentityRow",
    "RoleRow",
    "SecretRow",
    "TwinRow",
    "UploadRow",
    "UserRow",
    "address_of",
    "from_json",
    "to_json",
]


EntryKey: TypeAlias = tuple[str, str, str]
"""Twin, account and name: where an Entry is."""


def address_of(key: EntryKey) -> str:
    """Return what the source of a reference to an Entry says."""
    twin, account, name = key
    return f"twin://{twin}/{account}/{name}"


def to_json(value: Any) -> str:
    """Encode a JSON value for a TEXT column."""
    return codec.encode(value).decode()


def from_json(text: str) -> Any:
    """Decode what `to_json` wrote."""
    return codec.decode(text.encode())


def _optional_json(text: str | None) -> Any:
    return None if text is None else from_json(text)


class AccountRow(NamedTuple):
    """An account.

    Attributes:
        uuid: Its UUID.
        resource_access_log: Which accesses are logged where; None when never set or removed.
        created_ts: When it was made.
        updated_ts: When it was last changed.
    """

    uuid: str
    resource_access_log: dict[str, Any] | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> AccountRow:
        """Read a row of the table ``accounts``."""
        log = _optional_json(row["resource_access_log"])
        return cls(row["uuid"], log, row["created_ts"], row["updated_ts"])


class UserRow(NamedTuple):
    """A user.

    Attributes:
        uuid: Its UUID.
        account: The account it belongs to.
        role: UUID of its role, which may be deleted.
        name: Its name; None when never set or removed.
        description: Its description; None when never set or removed.
        activity: Where its requests are logged; None when never set or removed.
        created_ts: When it was made.
        updated_ts: When it was last changed.
    """

    uuid: str
    account: str
    role: str
    name: str | None
    description: dict[str, Any] | None
    activity: dict[str, Any] | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> UserRow:
        """Read a row of the table ``users``."""
        fields = {name: row[name] for name in cls._fields}
        fields["description"] = _optional_json(row["description"])
        fields["activity"] = _optional_json(row["activity"])
        return cls(**fields)


class RoleRow(NamedTuple):
    """A role.

    Attributes:
        uuid: Its UUID.
        account: The account it belongs to.
        name: Its name.
        statement: Which operations it permits: ``effect`` and ``actions``.
        rules: Its ``twin_rule``, ``entry_rule`` and ``identity_rule``; None where there is none.
        created_ts: When it was made.
        updated_ts: When it was last changed.
    """

    uuid: str
    account: str
    name: str
    statement: dict[str, Any]
    rules: dict[str, str | None]
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> RoleRow:
        """Read a row of the table ``roles``."""
        fields = {name: row[name] for name in cls._fields}
        fields["statement"] = from_json(row["statement"])
        fields["rules"] = from_json(row["rules"])
        return cls(**fields)


class SecretRow(NamedTuple):
    """A user's secret, of which only the fingerprint can be read.

    Attributes:
        owner: The user.
        account: The user's account.
        fingerprint: The last four characters of the secret.
        validity_ts: When it expires; None for never.
        created_ts: When it was made.
        updated_ts: When its expiry was last changed.
    """

    owner: str
    account: str
    fingerprint: str
    validity_ts: float | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> SecretRow:
        """Read a row of the table ``secrets``."""
        return cls(*(row[name] for name in cls._fields))


class TwinRow(NamedTuple):
    """A Twin.

    Attributes:
        seq: Its place in the order of creation, by which scans go.
        uuid: Its UUID.
        owner: The account that owns it.
        creator: The account that created it.
        description: Its description; None when never set or removed.
        created_ts: When it was created.
        updated_ts: When its description or status last changed.
        terminated_ts: When it was terminated; None while it is alive.
        issuer: The account that terminated it.
    """

    seq: int
    uuid: str
    owner: str
    creator: str
    description: dict[str, Any] | None
    created_ts: float
    updated_ts: float
    terminated_ts: float | None
    issuer: str | None

    @property
    def status(self) -> str:
        """``alive`` or ``terminated``."""
        return "alive" if self.terminated_ts is None else "terminated"

    @classmethod
    def from_row(cls, row: Row) -> TwinRow:
        """Read a row of the table ``twins``."""
        return cls(
            row["seq"],
            row["uuid"],
            row["owner"],
            row["creator"],
            _optional_json(row["description"]),
            row["created_ts"],
            row["updated_ts"],
            row["terminated_ts"],
            row["issuer"],
        )


class EntryRow(NamedTuple):
    """An Entry.

    Attributes:
        seq: Its place in the order of creation; 0 before it is stored.
        twin: The Twin it is on.
        account: The account in whose Ledger it is.
        name: Its name.
        value: Its value: the user's, a reference's copy, or an include's when it was resolved.
        source: Where a reference or include takes its value from, as ``twin://...``.
        ref_status: How the last look at a reference's source ended; None for other Entries.
        visibility: The rule for users of other accounts; None hides it from them.
        history: How long changes are kept; None keeps none.
        publish: Notification rules and their topics; None when there are none.
        timeseries: Timeseries tables that its values go to, and templates for their rows; None
            when there are none.
        entry_created_ts: When it was added.
        entry_updated_ts: When one of its properties was last written.
        value_changed_ts: When its value was last written; never twice the same for one Entry.
        size: Bytes of the Ledger's JSON that it takes.
    """

    seq: int
    twin: str
    account: str
    name: str
    value: Any
    source: str | None
    ref_status: str | None
    visibility: str | None
    history: str | None
    publish: dict[str, Any] | None
    timeseries: dict[str, Any] | None
    entry_created_ts: float
    entry_updated_ts: float
    value_changed_ts: float
    size: int

    @property
    def is_reference(self) -> bool:
        """Whether its value is a copy of another Entry's."""
        return self.ref_status is not None

    @property
    def is_include(self) -> bool:
        """Whether its value is looked up in another Ledger at each reading."""
        return self.source is not None and self.ref_status is None

    @property
    def key(self) -> EntryKey:
        """Where it is: Twin, account and name."""
        return self.twin, self.account, self.name

    @property
    def source_key(self) -> EntryKey | None:
        """Where its source is; an include's is in another Ledger of the same account."""
        if self.source is None:
            return None
        twin, *account, name = self.source.removeprefix("twin://").split("/")
        return twin, account[0] if account else self.account, name

    @property
    def address(self) -> str:
        """What the source of a reference to it says."""
        return address_of(self.key)

    @classmethod
    def from_row(cls, row: Row) -> EntryRow:
        """Read a row of the table ``entries``."""
        return cls(
            row["seq"],
            row["twin"],
            row["account"],
            row["name"],
            from_json(row["value"]),
            row["source"],
            row["ref_status"],
            row["visibility"],
            row["history"],
            _optional_json(row["publish"]),
            _optional_json(row["timeseries"]),
            row["entry_created_ts"],
            row["entry_updated_ts"],
            row["value_changed_ts"],
            row["size"],
        )


class IdentityRow(NamedTuple):
    """An Identity of a Twin.

    Attributes:
        twin: The Twin it names.
        account: The account that made it.
        identity: Its text, such as ``SN#A17``.
        validity_ts: When it expires; None for never.
        visibility: The rule for users of other accounts; None hides it from them.
        created_ts: When it was made.
        updated_ts: When it was last changed.
    """

    twin: str
    account: str
    identity: str
    validity_ts: float | None
    visibility: str | None
    created_ts: float
    updated_ts: float

    def expired(self, now: float) -> bool:
        """Whether it no longer holds at a time."""
        return self.validity_ts is not None and self.validity_ts <= now

    @classmethod
    def from_row(cls, row: Row) -> IdentityRow:
        """Read a row of the table ``identities``."""
        return cls(*(row[name] for name in cls._fields))


class UploadRow(NamedTuple):
    """A place where a file can be put, to be attached as a Doc.

    Attributes:
        handler: Its name.
        account: The account that asked for it.
        validity_ts: When it ends.
        content: SHA-256 under which the file put there is kept; None before.
        size: Length of that file in bytes.
    """

    handler: str
    account: str
    validity_ts: float
    content: str | None
    size: int | None

    @classmethod
    def from_row(cls, row: Row) -> UploadRow:
        """Read a row of the table ``uploads``."""
        return cls(*(row[name] for name in cls._fields))


class DocRow(NamedTuple):
    """A Doc of a Twin.

    Attributes:
        uuid: Identifies it among all Docs that ever were; addresses for fetching it say it.
        twin: The Twin it is on.
        account: The account that attached it.
        name: Its name, with folders.
        status: How the copying of the file ended.
        storage_class: As asked for when it was attached.
        description: Its description; None when never set or removed.
        hash: SHA-256 that the caller expects or the file has.
        size: Length of the file in bytes.
        content: SHA-256 under which the contents are kept; None when no copy was made.
        created_ts: When it was attached.
        updated_ts: When its description last changed.
    """

    uuid: str
    twin: str
    account: str
    name: str
    status: str
    storage_class: str
    description: dict[str, Any] | None
    hash: str
    size: int
    content: str | None
    created_ts: float
    updated_ts: float

    @classmethod
    def from_row(cls, row: Row) -> DocRow:
        """Read a row of the table ``docs``."""
        fields = {name: row[name] for name in cls._fields}
        fields["description"] = _optional_json(row["description"])
        return cls(**fields)
