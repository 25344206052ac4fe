"""The tables, and how a store made by an older version is brought up to date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from ttorm.api.errors import ConfigurationError
from ttorm.emulator.store import Transaction

__all__ = ["POSTGRES", "SQLITE", "TABLES", "VERSION", "Dialect", "prepare"]

_ACCOUNTS = (
    """CREATE TABLE accounts (
        uuid TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        resource_access_log TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE roles (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (uuid),
        name TEXT NOT NULL,
        statement TEXT NOT NULL,
        rules TEXT NOT NULL,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX roles_of_account ON roles (account)",
    # A user may keep the UUID of a deleted role, so there is no reference.
    """CREATE TABLE users (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (uuid),
        role TEXT NOT NULL,
        name TEXT,
        description TEXT,
        activity TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX users_of_account ON users (account)",
)

_SECRETS = (
    """CREATE TABLE secrets (
        owner TEXT PRIMARY KEY REFERENCES users (uuid),
        account TEXT NOT NULL,
        uuid TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE pins (
        owner TEXT PRIMARY KEY REFERENCES users (uuid),
        account TEXT NOT NULL,
        hash TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        expires_ts DOUBLE PRECISION NOT NULL,
        UNIQUE (account, hash)
    )""",
)

_TWINS = (
    # Scans go by seq, the order of creation.
    """CREATE TABLE twins (
        seq INTEGER PRIMARY KEY,
        uuid TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        creator TEXT NOT NULL,
        description TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        terminated_ts DOUBLE PRECISION,
        issuer TEXT
    )""",
    "CREATE INDEX twins_of_owner ON twins (owner, seq)",
    """CREATE TABLE identities (
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        identity TEXT NOT NULL,
        validity_ts DOUBLE PRECISION,
        visibility TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (twin, account, identity)
    )""",
    "CREATE INDEX identities_by_text ON identities (identity)",
)

_LEDGERS = (
    # A reference has a source and a ref_status, an include has a source only.
    """CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        source TEXT,
        ref_status TEXT,
        visibility TEXT,
        history TEXT,
        publish TEXT,
        timeseries TEXT,
        entry_created_ts DOUBLE PRECISION NOT NULL,
        entry_updated_ts DOUBLE PRECISION NOT NULL,
        value_changed_ts DOUBLE PRECISION NOT NULL,
        size INTEGER NOT NULL,
        UNIQUE (twin, account, name)
    )""",
    "CREATE INDEX entries_by_source ON entries (source) WHERE source IS NOT NULL",
    """CREATE TABLE history (
        entry INTEGER NOT NULL,
        changed_ts DOUBLE PRECISION NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (entry, changed_ts)
    )""",
)

_DOCS = (
    """CREATE TABLE uploads (
        handler TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        validity_ts DOUBLE PRECISION NOT NULL,
        content TEXT,
        size INTEGER
    )""",
    "CREATE INDEX uploads_by_validity ON uploads (validity_ts)",
    "CREATE INDEX uploads_by_content ON uploads (content)",
    """CREATE TABLE docs (
        uuid TEXT PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        storage_class TEXT NOT NULL,
        description TEXT,
        hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        content TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL,
        UNIQUE (twin, account, name)
    )""",
    "CREATE INDEX docs_by_content ON docs (content)",
    # Contents that something let go of: removed when nothing else uses them.
    "CREATE TABLE released (content TEXT PRIMARY KEY)",
)

_SERVICES = (
    """CREATE TABLE databases (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        is_default INTEGER NOT NULL,
        status TEXT NOT NULL,
        instance_type TEXT NOT NULL,
        note TEXT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX databases_of_account ON databases (account)",
    """CREATE TABLE database_users (
        database TEXT NOT NULL,
        owner TEXT NOT NULL,
        timeseries TEXT NOT NULL,
        indexes TEXT NOT NULL,
        customer_data TEXT NOT NULL,
        PRIMARY KEY (database, owner)
    )""",
    "CREATE INDEX database_users_by_owner ON database_users (owner)",
    """CREATE TABLE database_ips (
        database TEXT NOT NULL,
        network TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (database, network)
    )""",
    # The rows of these tables are in tables of their own, which sql_name names.
    """CREATE TABLE timeseries_tables (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        sql_name TEXT NOT NULL UNIQUE,
        database TEXT NOT NULL,
        dimensions TEXT NOT NULL,
        measurements TEXT NOT NULL,
        defaults TEXT,
        retention TEXT NOT NULL,
        chunk TEXT NOT NULL,
        PRIMARY KEY (account, name)
    )""",
    """CREATE TABLE indexes_tables (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        sql_name TEXT NOT NULL UNIQUE,
        database TEXT NOT NULL,
        rule TEXT NOT NULL,
        properties TEXT NOT NULL,
        templates TEXT NOT NULL,
        PRIMARY KEY (account, name)
    )""",
    # Which Ledgers are said to be in which Indexes tables: until they change, also in those that
    # were truncated or deleted.
    """CREATE TABLE indexed_ledgers (
        account TEXT NOT NULL,
        twin TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (account, twin, name)
    )""",
    # The fragment is the one that the next reading of the log gives; number counts messages.
    """CREATE TABLE logs (
        account TEXT PRIMARY KEY,
        fragment TEXT,
        number BIGINT NOT NULL
    )""",
    """CREATE TABLE log_messages (
        account TEXT NOT NULL,
        number BIGINT NOT NULL,
        message TEXT NOT NULL,
        PRIMARY KEY (account, number)
    )""",
    # What no user did has an empty owner; an hour is one since 1970.
    """CREATE TABLE usage (
        account TEXT NOT NULL,
        owner TEXT NOT NULL,
        hour BIGINT NOT NULL,
        item TEXT NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (account, owner, hour, item)
    )""",
)

_STICKERS = (
    """CREATE TABLE stickers (
        uuid TEXT PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        color TEXT NOT NULL,
        note TEXT,
        recipients TEXT NOT NULL,
        publish TEXT,
        validity_ts DOUBLE PRECISION NOT NULL,
        created_ts DOUBLE PRECISION NOT NULL,
        UNIQUE (twin, account, color)
    )""",
    "CREATE INDEX stickers_by_validity ON stickers (validity_ts)",
    """CREATE TABLE sticker_recipients (
        recipient TEXT NOT NULL,
        sticker TEXT NOT NULL,
        PRIMARY KEY (recipient, sticker)
    )""",
    "CREATE INDEX recipients_of_sticker ON sticker_recipients (sticker)",
)

_BATCHES = (
    # The file is read up to a line, which ends at a position in bytes.
    """CREATE TABLE batches (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        caller TEXT NOT NULL,
        origin TEXT NOT NULL,
        operation TEXT NOT NULL,
        dictionary TEXT,
        status TEXT NOT NULL,
        hash TEXT,
        content TEXT,
        line BIGINT NOT NULL,
        position BIGINT NOT NULL,
        results TEXT,
        results_size BIGINT,
        created_ts DOUBLE PRECISION NOT NULL,
        updated_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX batches_of_account ON batches (account, created_ts, uuid)",
    "CREATE INDEX batches_by_content ON batches (content)",
    "CREATE INDEX batches_by_results ON batches (results)",
    """CREATE INDEX batches_to_run ON batches (created_ts, uuid) WHERE status NOT IN
        ('hash_mismatch', 'validation_failed', 'cancelled', 'completed')""",
    """CREATE TABLE batch_results (
        batch TEXT NOT NULL,
        line BIGINT NOT NULL,
        status INTEGER NOT NULL,
        response TEXT NOT NULL,
        PRIMARY KEY (batch, line)
    )""",
)

_EVENTS = (
    # Of versions without subscriptions, in which nobody could be told of events.
    """CREATE TABLE outbox (
        uuid TEXT PRIMARY KEY,
        number BIGINT NOT NULL,
        kind TEXT NOT NULL,
        account TEXT NOT NULL,
        twin TEXT NOT NULL,
        topic TEXT NOT NULL,
        event TEXT NOT NULL,
        raised_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX outbox_by_number ON outbox (number)",
)

_TOPICS = (
    # A subscription counts its messages; next_ts is when one is due, leased_ts until when
    # somebody sends them, in the computer's time whatever the emulator's clock shows.
    """CREATE TABLE subscriptions (
        uuid TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        topic TEXT NOT NULL,
        callback_url TEXT NOT NULL,
        target TEXT NOT NULL,
        origin TEXT NOT NULL,
        client_secret TEXT,
        server_secret TEXT,
        confirmed INTEGER NOT NULL,
        number BIGINT NOT NULL,
        next_ts DOUBLE PRECISION,
        lease TEXT,
        leased_ts DOUBLE PRECISION NOT NULL,
        validity_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX subscriptions_of_topic ON subscriptions (account, topic)",
    "CREATE INDEX subscriptions_by_validity ON subscriptions (validity_ts)",
    "CREATE INDEX subscriptions_due ON subscriptions (next_ts) WHERE next_ts IS NOT NULL",
    # A confirmation message tells of no event.
    """CREATE TABLE deliveries (
        subscription TEXT NOT NULL,
        number BIGINT NOT NULL,
        uuid TEXT NOT NULL,
        kind TEXT,
        twin TEXT,
        event TEXT,
        tries INTEGER NOT NULL,
        raised_ts DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (subscription, number)
    )""",
    """CREATE TABLE topic_access (
        account TEXT NOT NULL,
        grantee TEXT NOT NULL,
        topics TEXT NOT NULL,
        PRIMARY KEY (account, grantee)
    )""",
    "CREATE INDEX topic_access_of_grantee ON topic_access (grantee)",
)

_CHANGES = (
    # Changed Entries that references to them have not followed yet.
    """CREATE TABLE propagations (
        number BIGINT PRIMARY KEY,
        twin TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        due_ts DOUBLE PRECISION NOT NULL
    )""",
    "CREATE INDEX propagations_due ON propagations (due_ts)",
)

_AREAS = (
    *(_ACCOUNTS, _SECRETS, _TWINS, _LEDGERS, _DOCS, _SERVICES, _STICKERS, _BATCHES, _TOPICS),
    _CHANGES,
)
_META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"

_FILES = (
    # Files that several computers share, in pieces; one without content is not kept yet.
    """CREATE TABLE files (
        file TEXT PRIMARY KEY,
        content TEXT UNIQUE,
        size INTEGER NOT NULL,
        received_ts DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE pieces (
        file TEXT NOT NULL REFERENCES files (file) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        data BYTEA NOT NULL,
        PRIMARY KEY (file, number)
    )""",
    "ALTER TABLE pieces ALTER COLUMN data SET STORAGE EXTERNAL",
)


class Dialect(NamedTuple):
    """How a database differs from what the statements here say.

    Attributes:
        types: What it calls types of columns.
        files: Tables for the contents of Docs, where they are not files of their own.
    """

    types: Mapping[str, str]
    files: tuple[str, ...]

    def __call__(self, statement: str) -> str:
        """Say a statement in this dialect."""
        return _TYPES.sub(lambda found: self.types.get(found[0], found[0]), statement)


_TYPES = re.compile(r"\b(INTEGER PRIMARY KEY|INTEGER|TEXT)\b")

SQLITE = Dialect({}, ())
POSTGRES = Dialect(
    {
        "INTEGER PRIMARY KEY": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "INTEGER": "BIGINT",
        # Sorts by code points whatever the language of the database is.
        "TEXT": 'TEXT COLLATE "C"',
    },
    _FILES,
)

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        *_SERVICES,
        "ALTER TABLE entries ADD COLUMN timeseries TEXT",
        # Statements make no new UUIDs: these databases have that of their account, like Ledgers.
        """INSERT INTO databases (
            uuid, account, is_default, status, instance_type, created_ts, updated_ts
        ) SELECT uuid, uuid, 1, 'running', 'micro', created_ts, created_ts FROM accounts""",
    ),
    (*_STICKERS, *_EVENTS),
    _BATCHES,
    ("DROP TABLE outbox", *_TOPICS),
    _CHANGES,
)
"""Statements that lead from each published version of the tables to the next."""

VERSION = 1 + len(_STEPS)
"""Version of the tables that this version of ttorm writes."""


TABLES = tuple(
    statement.split()[2]
    for statement in (_META, *chain.from_iterable(_AREAS))
    if statement.startswith("CREATE TABLE")
)
"""Names of all tables of a store, those that are referred to before those that refer to them.

Without the tables of files, and without those that accounts make for their own rows.
"""


def prepare(tx: Transaction, *, new: bool, dialect: Dialect = SQLITE) -> None:
    """Make the tables, or bring them up to date.

    Args:
        tx: A write transaction.
        new: Whether the store holds no table at all.
        dialect: How to say it to the database.

    Raises:
        ConfigurationError: The store is of a newer version.
    """
    if new:
        for statement in (_META, *chain.from_iterable(_AREAS), *dialect.files):
            tx.run(dialect(statement))
        tx.run("INSERT INTO meta (name, value) VALUES (?, ?)", "version", str(VERSION))
        return
    row = tx.row("SELECT value FROM meta WHERE name = ?", "version")
    version = 0 if row is None else int(row["value"])
    if not 1 <= version <= VERSION:
        raise ConfigurationError(
            f"the store has version {version} of the tables, this ttorm knows 1 to {VERSION}: "
            "update ttorm, or name another store"
        )
    if version == VERSION:
        return
    for statement in chain.from_iterable(_STEPS[version - 1 :]):
        tx.run(dialect(statement))
    tx.run("UPDATE meta SET value = ? WHERE name = ?", str(VERSION), "version")
