"""The public names, in one place; `ttorm` shows them as its own."""

from __future__ import annotations

from ttorm import rules as rules
from ttorm import signals as signals
from ttorm._version import __version__ as __version__
from ttorm.api.credentials import Secret as Secret
from ttorm.api.errors import AlreadyDoneError as AlreadyDoneError
from ttorm.api.errors import ApiError as ApiError
from ttorm.api.errors import BadRequestError as BadRequestError
from ttorm.api.errors import BudgetExceededError as BudgetExceededError
from ttorm.api.errors import ConfigurationError as ConfigurationError
from ttorm.api.errors import ConflictError as ConflictError
from ttorm.api.errors import DatabaseUnavailableError as DatabaseUnavailableError
from ttorm.api.errors import ForbiddenError as ForbiddenError
from ttorm.api.errors import InvalidRequestError as InvalidRequestError
from ttorm.api.errors import ItemError as ItemError
from ttorm.api.errors import MissingEntryError as MissingEntryError
from ttorm.api.errors import NotFoundError as NotFoundError
from ttorm.api.errors import NotLoadedError as NotLoadedError
from ttorm.api.errors import OperationNotAllowedError as OperationNotAllowedError
from ttorm.api.errors import OperationOrderError as OperationOrderError
from ttorm.api.errors import OutcomeUnknownError as OutcomeUnknownError
from ttorm.api.errors import QuotaError as QuotaError
from ttorm.api.errors import RequestTimeoutError as RequestTimeoutError
from ttorm.api.errors import ResponseFormatError as ResponseFormatError
from ttorm.api.errors import ResponseTooLargeError as ResponseTooLargeError
from ttorm.api.errors import SaveError as SaveError
from ttorm.api.errors import ServerError as ServerError
from ttorm.api.errors import ServerTimeoutError as ServerTimeoutError
from ttorm.api.errors import ServiceDisabledError as ServiceDisabledError
from ttorm.api.errors import StateError as StateError
from ttorm.api.errors import TransportError as TransportError
from ttorm.api.errors import TtormError as TtormError
from ttorm.api.errors import UnauthorizedError as UnauthorizedError
from ttorm.api.errors import ValidationError as ValidationError
from ttorm.api.errors import WrongKindError as WrongKindError
from ttorm.api.retry import RetryPolicy as RetryPolicy
from ttorm.connection.cache import Cache as Cache
from ttorm.connection.cache import CacheStatistics as CacheStatistics
from ttorm.connection.core import Connection as Connection
from ttorm.connection.opening import connect as connect
from ttorm.connection.opening import default_connection as default_connection
from ttorm.records.changes import Change as Change
from ttorm.records.doc import Doc as Doc
from ttorm.records.entry import Entry as Entry
from ttorm.records.fields import Field as Field
from ttorm.records.fields import description as description
from ttorm.records.fields import entry as entry
from ttorm.records.fields import identity as identity
from ttorm.records.history import HistoryRecord as HistoryRecord
from ttorm.records.identity import Identity as Identity
from ttorm.records.inspection import Inspection as Inspection
from ttorm.records.inspection import inspect as inspect
from ttorm.records.ledger import Ledger as Ledger
from ttorm.records.plan import Plan as Plan
from ttorm.records.plan import PlannedRequest as PlannedRequest
from ttorm.records.scanning import Scan as Scan
from ttorm.records.twin import Twin as Twin
from ttorm.sessions import SaveResult as SaveResult
from ttorm.sessions import Session as Session
from ttorm.sessions import session as session

__all__ = [
    "__version__",
    "AlreadyDoneError",
    "ApiError",
    "BadRequestError",
    "BudgetExceededError",
    "Cache",
    "CacheStatistics",
    "Change",
    "ConfigurationError",
    "ConflictError",
    "connect",
    "Connection",
    "DatabaseUnavailableError",
    "default_connection",
    "description",
    "Doc",
    "Entry",
    "entry",
    "Field",
    "ForbiddenError",
    "HistoryRecord",
    "identity",
    "Identity",
    "inspect",
    "Inspection",
    "InvalidRequestError",
    "ItemError",
    "Ledger",
    "MissingEntryError",
    "NotFoundError",
    "NotLoadedError",
    "OperationNotAllowedError",
    "OperationOrderError",
    "OutcomeUnknownError",
    "Plan",
    "PlannedRequest",
    "QuotaError",
    "RequestTimeoutError",
    "ResponseFormatError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "rules",
    "SaveError",
    "SaveResult",
    "Scan",
    "Secret",
    "ServerError",
    "ServerTimeoutError",
    "ServiceDisabledError",
    "Session",
    "session",
    "signals",
    "StateError",
    "TransportError",
    "TtormError",
    "Twin",
    "UnauthorizedError",
    "ValidationError",
    "WrongKindError",
]

for _name in __all__:
    if callable(globals()[_name]):
        # Tracebacks, documentation and pickles name things as users import them.
        globals()[_name].__module__ = "ttorm"
del _name
