"""The public names, in one place; `ttorm` shows them as its own."""

from __future__ import annotations

from ttorm import rules, signals
from ttorm._version import __version__
from ttorm.api.batches import BatchCodec, BatchLine, EmulatorBatchCodec
from ttorm.api.credentials import Secret
from ttorm.api.errors import (
    AlreadyDoneError,
    AmbiguousIdentityError,
    ApiError,
    BadRequestError,
    BatchError,
    BrokenReferenceError,
    BudgetExceededError,
    BusyError,
    CircuitOpenError,
    ConfigurationError,
    Conflict,
    ConflictError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidRequestError,
    ItemError,
    LogGapError,
    MissingEntryError,
    NotFoundError,
    NotLoadedError,
    OperationNotAllowedError,
    OperationOrderError,
    OutcomeUnknownError,
    QuotaError,
    RequestTimeoutError,
    ResponseFormatError,
    ResponseTooLargeError,
    SaveError,
    SecretNotStoredError,
    ServerError,
    ServerTimeoutError,
    ServiceDisabledError,
    StateError,
    TransportError,
    TtormError,
    UnauthorizedError,
    ValidationError,
    WrongKindError,
)
from ttorm.api.http import Limits
from ttorm.api.names import hashed_identity
from ttorm.api.retry import CircuitBreaker, RetryPolicy, RetryQuota
from ttorm.connection.budgets import Budget
from ttorm.connection.cache import Cache, CacheStatistics
from ttorm.connection.core import Connection
from ttorm.connection.credentials import TokenOptions
from ttorm.connection.hooks import Call, Hooks, Work
from ttorm.connection.opening import aclaim, claim, connect, default_connection
from ttorm.connection.readers import Query, Reader, SQLReader
from ttorm.connection.redis import RedisBackend, RedisStatistics
from ttorm.connection.watch import NPlusOneWarning
from ttorm.records.account import Account
from ttorm.records.action import Action
from ttorm.records.batch import Batch
from ttorm.records.batchcalls import BatchCall, BatchResult, BatchResults
from ttorm.records.bulk import (
    aload_all,
    arefresh_all,
    asave_all,
    load_all,
    refresh_all,
    save_all,
)
from ttorm.records.changes import Change
from ttorm.records.codecs import ValueCodec
from ttorm.records.collection import Collection
from ttorm.records.database import Database
from ttorm.records.databaseaccess import DatabaseNetworks, DatabasePermissions, DatabaseUsers
from ttorm.records.declarations import description, doc, entry, identity, include, reference
from ttorm.records.doc import Doc
from ttorm.records.entry import Entry
from ttorm.records.fields import Field, Reference
from ttorm.records.history import History, HistoryRecord
from ttorm.records.identity import Identity
from ttorm.records.inspection import Inspection, inspect
from ttorm.records.ledger import Ledger
from ttorm.records.links import Link
from ttorm.records.log import Log
from ttorm.records.merging import merge
from ttorm.records.pages import Page
from ttorm.records.reconciling import Reconciled, Reconciliation
from ttorm.records.references import source
from ttorm.records.retrying import Attempt, Attempts, retry_conflicts
from ttorm.records.role import Role
from ttorm.records.scanning import Scan
from ttorm.records.secret import Invitation, UserSecret
from ttorm.records.statement import Permission, Rules, Statement
from ttorm.records.sticker import Sticker
from ttorm.records.subscription import Subscription
from ttorm.records.sweeping import Swept
from ttorm.records.timeline import HistoryRow, Timeline
from ttorm.records.token import Token
from ttorm.records.topicaccess import TopicAccess
from ttorm.records.twin import Twin
from ttorm.records.usage import Usage
from ttorm.records.user import User
from ttorm.results import Plan, PlannedRequest, SaveResult
from ttorm.sessions import Session, UnsavedChangesWarning, session
from ttorm.tables.columns import Column
from ttorm.tables.conditions import Condition, Ordering
from ttorm.tables.declaring import column, dimension, measurement
from ttorm.tables.indexes import IndexTable, StoredIndex
from ttorm.tables.rows import Row, Rows
from ttorm.tables.stored import TableStats
from ttorm.tables.timeseries import StoredTimeseries, TimeseriesTable
from ttorm.tables.together import amigrate_all, migrate_all
from ttorm.tables.twins import Twins

__all__ = [
    "Account",
    "Action",
    "AlreadyDoneError",
    "AmbiguousIdentityError",
    "ApiError",
    "Attempt",
    "Attempts",
    "BadRequestError",
    "Batch",
    "BatchCall",
    "BatchCodec",
    "BatchError",
    "BatchLine",
    "BatchResult",
    "BatchResults",
    "BrokenReferenceError",
    "Budget",
    "BudgetExceededError",
    "BusyError",
    "Cache",
    "CacheStatistics",
    "Call",
    "Change",
    "CircuitBreaker",
    "CircuitOpenError",
    "Collection",
    "Column",
    "Condition",
    "ConfigurationError",
    "Conflict",
    "ConflictError",
    "Connection",
    "Database",
    "DatabaseNetworks",
    "DatabasePermissions",
    "DatabaseUnavailableError",
    "DatabaseUsers",
    "Doc",
    "EmulatorBatchCodec",
    "Entry",
    "Field",
    "ForbiddenError",
    "History",
    "HistoryRecord",
    "HistoryRow",
    "Hooks",
    "Identity",
    "IndexTable",
    "Inspection",
    "InvalidRequestError",
    "Invitation",
    "ItemError",
    "Ledger",
    "Limits",
    "Link",
    "Log",
    "LogGapError",
    "MissingEntryError",
    "NPlusOneWarning",
    "NotFoundError",
    "NotLoadedError",
    "OperationNotAllowedError",
    "OperationOrderError",
    "Ordering",
    "OutcomeUnknownError",
    "Page",
    "Permission",
    "Plan",
    "PlannedRequest",
    "Query",
    "QuotaError",
    "Reader",
    "Reconciled",
    "Reconciliation",
    "RedisBackend",
    "RedisStatistics",
    "Reference",
    "RequestTimeoutError",
    "ResponseFormatError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "RetryQuota",
    "Role",
    "Row",
    "Rows",
    "Rules",
    "SQLReader",
    "SaveError",
    "SaveResult",
    "Scan",
    "Secret",
    "SecretNotStoredError",
    "ServerError",
    "ServerTimeoutError",
    "ServiceDisabledError",
    "Session",
    "StateError",
    "Statement",
    "Sticker",
    "StoredIndex",
    "StoredTimeseries",
    "Subscription",
    "Swept",
    "TableStats",
    "Timeline",
    "TimeseriesTable",
    "Token",
    "TokenOptions",
    "TopicAccess",
    "TransportError",
    "TtormError",
    "Twin",
    "Twins",
    "UnauthorizedError",
    "UnsavedChangesWarning",
    "Usage",
    "User",
    "UserSecret",
    "ValidationError",
    "ValueCodec",
    "Work",
    "WrongKindError",
    "__version__",
    "aclaim",
    "aload_all",
    "amigrate_all",
    "arefresh_all",
    "asave_all",
    "claim",
    "column",
    "connect",
    "default_connection",
    "description",
    "dimension",
    "doc",
    "entry",
    "hashed_identity",
    "identity",
    "include",
    "inspect",
    "load_all",
    "measurement",
    "merge",
    "migrate_all",
    "reference",
    "refresh_all",
    "retry_conflicts",
    "rules",
    "save_all",
    "session",
    "signals",
    "source",
]

for _public in [globals()[name] for name in __all__]:
    if callable(_public):
        # Tracebacks, documentation and pickles name things as users import them.
        _public.__module__ = "ttorm"
