"""A connection: one service, one credential, and what belongs to the two."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast

from ttorm._version import __version__
from ttorm.api.answers import needed
from ttorm.api.batches import BatchCodec, EmulatorBatchCodec
from ttorm.api.codec import JSONValue
from ttorm.api.credentials import Secret
from ttorm.api.errors import NotLoadedError
from ttorm.api.http import HttpRequest, Transport
from ttorm.api.request import ApiRequest, api_request, dictionary_header
from ttorm.api.retry import RetryPolicy
from ttorm.api.wire import WhoAmI
from ttorm.connection import blocking
from ttorm.connection.cache import Cache
from ttorm.connection.calls import perform
from ttorm.connection.credentials import Credential, Credentials
from ttorm.connection.hooks import Hooks
from ttorm.connection.patience import Strain
from ttorm.connection.reads import read
from ttorm.connection.rotation import Store, check_blocking, rotated
from ttorm.flows import Flow
from ttorm.pairs import twin_of

if TYPE_CHECKING:
    from ttorm.connection.readers import Reader
    from ttorm.connection.watch import Watch
    from ttorm.emulator import Emulator

__all__ = ["Connection"]

R = TypeVar("R")


class Connection:
    """A service, a credential, and the cache of what that credential read.

    Made by `ttorm.connect`. Safe to use from many threads and event loops at once, and after a
    fork. A context manager, sync and async: leaving it closes it.

    Attributes:
        url: The URL it was made from.
        address: What tells services apart: records of equal UUID and address are equal.
        base_url: Where requests go.
        cache: The cache of its reads, or None.
        retry: When requests are sent again.
        concurrency: Most requests under way at once in one bulk operation.
        requests: How many requests were answered so far.
        emulator: The embedded emulator, or None for a served one.
        credentials: What signs its requests.
        watch: What warns of loops that send one request after the other, or None.
        hooks: Who is told of its work; to add one, assign a longer tuple.
        log: What writes its lines of the log.
        reader: What reads the rows of tables; None on an embedded emulator, which does so itself.
        batch_codec: What writes and reads the files of batches; None where nothing knows how.

    Example:
        >>> connection = ttorm.connect("memory:")
        >>> connection.call("create_twin", body={"description": {"kind": "pump"}})["status"]
        'alive'
    """

    def __init__(
        self,
        *,
        url: str,
        address: str,
        base_url: str,
        transport: Transport,
        credentials: Credentials,
        dictionary: Mapping[str, Any] | None = None,
        cache: Cache | None = None,
        retry: RetryPolicy | None = None,
        blocking: bool | None = None,
        concurrency: int = 16,
        emulator: Emulator | None = None,
        watch: Watch | None = None,
        batch_codec: BatchCodec | None = None,
        hooks: Iterable[Hooks] = (),
    ) -> None:
        # Imported with the first connection: it brings a good deal of the standard library along.
        from ttorm.connection.logs import RequestLog

        self.url = url
        self.address = address
        self.base_url = base_url
        self.transport = transport
        self.cache = cache
        self.retry = RetryPolicy() if retry is None else retry
        self._strain = Strain(self.retry)
        self.concurrency = concurrency
        self.emulator = emulator
        self.credentials = credentials
        self.watch = watch
        self.hooks = tuple(hooks)
        self.log = RequestLog()
        self.reader: Reader | None = None
        if batch_codec is None and emulator is not None:
            batch_codec = EmulatorBatchCodec()
        self.batch_codec = batch_codec
        self.requests = 0
        # Of its own all the way down: the scope of answers is that of what is sent.
        self._dictionary = None if dictionary is None else deepcopy(dict(dictionary))
        self._blocking = blocking
        self._account: str | None = None
        self._beside: set[Any] = set()
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": f"ttorm/{__version__}",
        }
        if self._dictionary is not None:
            self._headers["x-trustedtwin"] = dictionary_header(self._dictionary)

    def __repr__(self) -> str:
        return f"<Connection {self.url}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "connections are neither pickled nor copied: connect() in each process, and hand over "
            "records or UUIDs"
        )

    # The raw door

    def call(
        self,
        operation: str,
        *arguments: object,
        body: JSONValue = None,
        dictionary: Mapping[str, JSONValue] | None = None,
        **parameters: object,
    ) -> JSONValue:
        """Call any operation of the API by name.

        Args:
            operation: The operation, for example ``"get_twin"`` (see `ttorm.api.operations`).
            *arguments: Path arguments in order.
            body: The JSON body.
            dictionary: The request dictionary, in place of the connection's.
            **parameters: Query parameters, and path arguments by name.

        Returns:
            The decoded JSON object; for ``"download_doc"`` the file's bytes.

        Raises:
            LookupError: There is no such operation.
            ValidationError: The arguments do not fit it.
            ApiError: The service refused.
            TransportError: It could not be reached.

        Example:
            >>> twin = connection.call("create_twin")["creation_certificate"]["uuid"]
            >>> connection.call("get_twin", twin, show_terminated=False)["status"]
            'alive'
        """
        return self.run(self._call(operation, arguments, parameters, body, dictionary))

    @twin_of(call)
    async def acall(
        self,
        operation: str,
        *arguments: object,
        body: JSONValue = None,
        dictionary: Mapping[str, JSONValue] | None = None,
        **parameters: object,
    ) -> JSONValue:
        return await self.arun(self._call(operation, arguments, parameters, body, dictionary))

    def _call(
        self,
        operation: str,
        arguments: tuple[object, ...],
        parameters: Mapping[str, object],
        body: JSONValue,
        dictionary: Mapping[str, JSONValue] | None,
    ) -> Flow[JSONValue]:
        request = api_request(operation, arguments, parameters, body, dictionary)
        if operation != "download_doc":
            return (yield from perform(self, request))
        content = BytesIO()
        yield from perform(self, request, sink=content)
        return content.getvalue()

    def whoami(self) -> WhoAmI:
        """Tell which account, user and role the credential stands for.

        Raises:
            UnauthorizedError: The credential is not valid (any more).

        Example:
            >>> sorted(connection.whoami())
            ['account', 'role', 'user']
        """
        return self.run(self._whoami())

    @twin_of(whoami)
    async def awhoami(self) -> WhoAmI:
        return await self.arun(self._whoami())

    def trace(self) -> None:
        """Have the service run a task that leaves a trace: shows that it works and knows you.

        The emulator writes a line to the logger ``ttorm.emulator``.

        Raises:
            UnauthorizedError: The credential is not valid (any more).

        Example:
            >>> connection.trace()
        """
        self.run(self._trace())

    @twin_of(trace)
    async def atrace(self) -> None:
        await self.arun(self._trace())

    def _trace(self) -> Flow[None]:
        yield from perform(self, api_request("trace"))

    def learn_account(self) -> Flow[None]:
        """Ask for the credential's account."""
        yield from self._whoami()

    def _whoami(self) -> Flow[WhoAmI]:
        answer = cast(WhoAmI, (yield from read(self, api_request("who_am_i"))).body)
        self._account = needed(answer, "account")
        return answer

    # Its secret

    @property
    def secret(self) -> Secret | None:
        """The secret it signs with, or makes tokens of; None when there is none."""
        return self.credentials.secret

    def rotate(
        self, valid_until: datetime | float | None = None, *, store: Store | None = None
    ) -> Secret:
        """Replace the user's secret by a new one, and use it from now on.

        A user has one secret, and the new one ends the old. In this connection that goes
        unnoticed: requests of other threads and tasks that are refused because of it are sent once
        more with the new one. Other connections and processes lose their access, and so do tokens
        made with the old secret. Threads and tasks that rotate at the same time share one rotation,
        with the validity that the first of them asks for.

        The new secret is shown nowhere else: keep it before the process ends. A task that is
        cancelled during the exchange still takes the secret, and calls `store` unless that is a
        coroutine function; `secret` has it in any case.

        Args:
            valid_until: When the new secret ends, an aware `datetime` or Unix seconds; None for
                never.
            store: Called with the new secret before this returns. The old one has ended by then
                and the new one is in use; `store` may use the connection.

        Returns:
            The new secret.

        Raises:
            StateError: The connection has no secret; or `store` is a coroutine function, which only
                `arotate` can run.
            ForbiddenError: The user may not make a PIN for itself; the old secret stays.
            SecretNotStoredError: `store` failed; the error has the new secret.
            OutcomeUnknownError: The answer with the new secret was lost.

        Example:
            >>> admin = ttorm.connect("sqlite:///fleet.db")
            >>> invitation = User.create(role=Role.create(statement=Statement.deny())).invite()
            >>> secret = ttorm.claim(invitation.account, invitation.pin)
            >>> kept = []
            >>> with ttorm.connect("sqlite:///fleet.db", secret=secret) as own:
            ...     own.rotate(store=kept.append)
            Secret('***')
            >>> kept
            [Secret('***')]
            >>> admin.close()
        """
        check_blocking(store)
        return self.run(rotated(self, valid_until, store))

    @twin_of(rotate)
    async def arotate(
        self, valid_until: datetime | float | None = None, *, store: Store | None = None
    ) -> Secret:
        return await self.arun(rotated(self, valid_until, store))

    def swap(self, secret: Secret) -> None:
        """Sign with a new secret from now on, and forget what was kept for the old one."""
        for scope in self.credentials.swap(secret):
            if self.cache is not None:
                self.cache.drop(scope=scope)

    # What flows need

    def run(self, flow: Flow[R]) -> R:
        """Drive a flow on this thread."""
        return blocking.run(flow, self.concurrency)

    async def arun(self, flow: Flow[R]) -> R:
        """Drive a flow in the running event loop."""
        from ttorm.connection import tasks

        return await tasks.run(flow, self.concurrency)

    def run_beside(self, flow: Flow[None]) -> None:
        """Drive a flow to its end for one that was cancelled: only the loop's end waits for it."""
        if blocking.running_loop() is None:
            self.run(flow)
        else:
            from ttorm.connection import tasks

            tasks.begin_beside(flow, self.concurrency, self._beside)

    def bind(self, request: ApiRequest, credential: Credential) -> HttpRequest:
        """Make the HTTP request of a call, with a credential and this connection's dictionary."""
        headers = dict(self._headers)
        if request.operation.credential and credential.text is not None:
            headers["authorization"] = credential.text.header()
        if request.dictionary is not None:
            headers["x-trustedtwin"] = dictionary_header(request.dictionary)
        return request.bind(self.base_url, headers)

    def scope(self, dictionary: Mapping[str, Any] | None = None) -> str:
        """Name what this connection's credential may read with a request dictionary."""
        seen = self._dictionary if dictionary is None else dictionary
        return self.credentials.scope(self.address, seen)

    @property
    def dictionary(self) -> Mapping[str, Any] | None:
        """The request dictionary that calls have when they have none of their own."""
        return self._dictionary

    @property
    def account(self) -> str:
        """UUID of the credential's account; asked for once.

        Raises:
            NotLoadedError: It was not asked for yet, and waiting for it is not allowed here.
        """
        if self._account is None:
            if not self.may_block():
                raise NotLoadedError(
                    "the connection's account is not known yet, and asking here would block the "
                    "event loop: write await connection.awhoami() first"
                )
            self.whoami()
        return str(self._account)

    @property
    def known_account(self) -> str | None:
        """UUID of the credential's account, when it was asked for before."""
        return self._account

    @property
    def strain(self) -> Strain:
        """What its calls share while the service is in trouble."""
        strain = self._strain
        if strain.policy is not self.retry or strain.process != os.getpid():
            strain = self._strain = Strain(self.retry)
        return strain

    def may_block(self) -> bool:
        """Tell whether reading an attribute may wait for the service here and now."""
        if blocking.running_loop() is None:
            return True
        return "ipykernel" in sys.modules if self._blocking is None else self._blocking

    # Its end

    def close(self) -> None:
        """Close the threads' HTTP client and an embedded emulator; closing twice is harmless.

        Clients of event loops close when their loops end, or by `aclose` inside them.
        """
        self.transport.close()

    async def aclose(self) -> None:
        """Close everything `close` closes, and the running event loop's HTTP client."""
        await self.transport.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
