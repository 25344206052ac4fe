"""Batches: one operation, called for every line of a file that is uploaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any, Literal, Self, TypeAlias, cast, get_args

from ttorm.api.answers import member, needed
from ttorm.api.codec import JSONValue
from ttorm.api.credentials import masked
from ttorm.api.errors import BatchError, RequestTimeoutError, StateError, ValidationError
from ttorm.api.moments import timestamp
from ttorm.api.request import ApiRequest, api_request, dictionary_header
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.flows import Flow, sleep
from ttorm.pairs import twin_of
from ttorm.records.batchcalls import (
    BatchCall,
    BatchResults,
    batched,
    codec_of,
    requests,
    written,
)
from ttorm.records.collection import Collection
from ttorm.records.downloads import download
from ttorm.records.keyed import KeyedResource
from ttorm.records.members import MOMENT, Member
from ttorm.records.meta import did_you_mean
from ttorm.records.resource import Operations
from ttorm.records.transfer import store, upload_of
from ttorm.sessions import current_session

__all__ = ["Batch", "BatchStatus"]

BatchStatus: TypeAlias = Literal[
    "new",
    "copying",
    "copied",
    "hash_mismatch",
    "validating",
    "validation_failed",
    "processing",
    "processed",
    "writing_results",
    "cancel",
    "cancelling",
    "cancelled",
    "deleting",
    "completed",
]
"""How far a batch is."""
_FAILED = ("hash_mismatch", "validation_failed")
_FINISHED = ("completed", "cancelled", *_FAILED)
_SHORTEST, _LONGEST = 0.05, 15.0
"""Seconds between two looks, which double from one to the next."""


class Batch(KeyedResource):
    """A batch: one operation, called in the background for every call in an uploaded file.

    `run` uploads and begins, `wait_done` waits for the end, `results` tells what became of each
    call. Batches stay at the service until they are deleted.

    **Provisional**: the service does not publish what its files look like. Against anything but
    the embedded emulator, batches need a codec: see `ttorm.connect`.

    Attributes:
        operation: The operation that it calls; None of one that was begun elsewhere.

    Example:
        >>> pumps = [Twin.create(entries={"pressure": n}) for n in range(3)]
        >>> calls = [BatchCall(one, body={"entries": {"pressure": {"value": 0}}}) for one in pumps]
        >>> batch = Batch.run("update_twin_ledger_entry_value", calls)
        >>> [(result.line, result.status) for result in batch.wait_done().results()]
        [(1, 200), (2, 200), (3, 200)]
        >>> batch.delete()
    """

    __slots__ = ("operation",)
    _operations = Operations("get_batch", delete="delete_batch")
    _key_member = "batch"

    status: Member[BatchStatus] = Member("How far it is, as far as is known here.")
    hash: Member[str | None] = Member("SHA-256 of its file, in hexadecimal.")
    created_at: Member[datetime] = Member("When it was begun, in UTC.", MOMENT, name="created_ts")
    updated_at: Member[datetime] = Member(
        "When its status last changed, in UTC.", MOMENT, name="updated_ts"
    )

    def __init__(self) -> None:
        raise TypeError("batches are begun, not saved: write Batch.run(operation, calls)")

    def _begin(self, key: str | None, base: Any) -> None:
        super()._begin(key, base)
        self.operation: str | None = None

    @property
    def uuid(self) -> str:
        """Its UUID."""
        return self._saved_key()

    @property
    def is_finished(self) -> bool:
        """Whether it has come to an end, as far as is known here."""
        return self.status in _FINISHED

    # Beginning one

    @classmethod
    def run(
        cls,
        operation: str,
        calls: Iterable[BatchCall],
        *,
        dictionary: Mapping[str, JSONValue] | None = None,
    ) -> Self:
        """Upload calls of one operation, and begin to make them.

        All calls are checked before anything is sent; they may be any number, as they are written
        to a temporary file one by one.

        Args:
            operation: What is called, for example ``"add_twin_ledger_entry"``.
            calls: The calls, of any iterable.
            dictionary: The request dictionary of calls without one of their own; the connection's
                when it is left out.

        Returns:
            The batch, which has just begun: see `wait_done`.

        Raises:
            ConfigurationError: What its file has to look like is not known for this service.
            ForbiddenError: The role lacks ``create_batch`` or the operation.
            LookupError: There is no such operation.
            OutcomeUnknownError: Whether it was begun is not known: see `list`.
            QuotaError: The body of a call is over 64 kB; nothing was sent.
            ValidationError: A call does not fit the operation, or there is none; nothing was sent.

        Example:
            >>> calls = (BatchCall(body={"description": {"hall": n}}) for n in range(100))
            >>> Batch.run("create_twin", calls).wait_done().status
            'completed'
        """
        connection = current_session().connection
        flow = cls._run(connection, operation, requests(operation, calls), dictionary)
        return connection.run(flow)

    @classmethod
    @twin_of(run)
    async def arun(
        cls,
        operation: str,
        calls: Iterable[BatchCall],
        *,
        dictionary: Mapping[str, JSONValue] | None = None,
    ) -> Self:
        connection = current_session().connection
        flow = cls._run(connection, operation, requests(operation, calls), dictionary)
        return await connection.arun(flow)

    @classmethod
    def _run(
        cls,
        connection: Connection,
        operation: str,
        calls: Iterable[ApiRequest],
        dictionary: Mapping[str, JSONValue] | None = None,
    ) -> Flow[Self]:
        codec, row = codec_of(connection), batched(operation)
        if dictionary is None:
            dictionary = connection.dictionary
        else:
            dictionary_header(dictionary)
        with ExitStack() as files:
            file = cast(IO[bytes], files.enter_context(TemporaryFile()))
            if not (yield from written(file, codec.write(calls))):
                raise ValidationError(
                    "a batch needs a call at least, and there is none: nothing was sent",
                    code="bad-argument",
                )
            file.seek(0)
            upload, digest = upload_of(file, files)
            body: dict[str, Any] = {
                "operation": row.name,
                "handler": (yield from store(connection, upload)),
                "hash": digest,
            }
        if dictionary is not None:
            body["batch_dict"] = dict(dictionary)
        answer = yield from perform(connection, api_request("create_batch", body=body))
        batch = cls._at(needed(answer, "batch"), {"hash": digest, **answer}, connection)
        batch.operation = row.name
        return batch

    # Its end

    def wait_done(
        self,
        timeout: float | None = None,
        *,
        progress: Callable[[Self], object] | None = None,
    ) -> Self:
        """Wait until it has come to its end, looking less and less often, at last every 15 seconds.

        Args:
            timeout: Most seconds to wait; None for ever, 0 looks once.
            progress: Called with the batch after each look.

        Raises:
            BatchError: Its file was refused, or arrived damaged: no call was made.
            NotFoundError: It was deleted.
            RequestTimeoutError: It is still under way; it goes on.
        """
        self._connection.run(self._wait(timeout, progress))
        return self

    @twin_of(wait_done)
    async def await_done(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 # its twin's
        *,
        progress: Callable[[Self], object] | None = None,
    ) -> Self:
        await self._connection.arun(self._wait(timeout, progress))
        return self

    def _wait(
        self, timeout: float | None = None, progress: Callable[[Self], object] | None = None
    ) -> Flow[int]:
        """Wait until it has come to its end, and tell how often that took a look."""
        waited, pause, looks = 0.0, _SHORTEST, 0
        while True:
            yield from self._load(fresh=True)
            looks += 1
            if progress is not None:
                progress(self)
            if self.is_finished:
                break
            if timeout is not None:
                if waited >= timeout:
                    raise RequestTimeoutError(
                        f"the batch {self._key} is still {self.status!r} after {timeout:g} "
                        "seconds: wait longer, look again later, or cancel() it",
                        operation="get_batch",
                    )
                pause = min(pause, timeout - waited)
            yield from sleep(pause)
            waited, pause = waited + pause, min(2 * pause, _LONGEST)
        self._check()
        return looks

    def _check(self) -> None:
        if self.status in _FAILED:
            raise BatchError(
                f"the batch {self._key} made no call: its file "
                + (
                    "arrived with another SHA-256 than was sent: run it again"
                    if self.status == "hash_mismatch"
                    else "was refused; Log() may tell why. Does the connection's batch_codec know "
                    "this service's format?"
                ),
                status=self.status,
            )

    def results(self) -> BatchResults:
        """Give what became of the calls, in their order; of a cancelled one, of those it made.

        Each time somebody goes through them, by ``for`` or ``async for``, they are downloaded anew.

        Raises:
            BatchError: (when gone through) No call was made.
            ConfigurationError: What the file looks like is not known for this service.
            StateError: (when gone through) The batch has not come to its end: `wait_done` first.

        Example:
            >>> batch = Batch.run("get_twin", [BatchCall(Twin.create()), BatchCall("no-uuid")])
            >>> [result.status for result in batch.wait_done().results()]
            [200, 400]
        """
        codec_of(self._connection)
        what = f"results of {self!r}"
        return BatchResults(what, self._connection, self._download, self.operation)

    def _download(self, file: IO[bytes]) -> Flow[None]:
        """Write the results into a file; nothing when no call was made."""
        request = api_request("get_batch", [self._saved_key()], {"download": True})
        answer = yield from perform(self._connection, request)
        url = member(answer, "download").get("url")
        # The address is a credential by itself, and ends soon: nothing to be kept or pickled.
        answer.pop("download", None)
        self._item.rebase(self._whole(answer))
        self._check()
        if url:
            yield from download(self._connection, masked(url), file)
        elif not self.is_finished:
            raise StateError(
                f"the batch {self._key} has no results yet, it is {self.status!r}: wait_done() "
                "comes first"
            )

    # Other verbs

    def cancel(self) -> Self:
        """Have it stop; calls that were made stay made.

        Raises:
            AlreadyDoneError: It was cancelled before.
            OperationOrderError: It has come to its end.
        """
        self._connection.run(self._cancel())
        return self

    @twin_of(cancel)
    async def acancel(self) -> Self:
        await self._connection.arun(self._cancel())
        return self

    def _cancel(self) -> Flow[None]:
        request = api_request("update_batch", [self._saved_key()], body={"status": "cancel"})
        answer = yield from perform(self._connection, request)
        self._item.rebase(self._whole({**self._item.known, **answer}))

    def delete(self) -> None:
        """Forget it and its files, at once; if it is under way, it stops.

        Raises:
            NotFoundError: There is no such batch.
        """
        self._connection.run(self._delete())

    @twin_of(delete)
    async def adelete(self) -> None:
        await self._connection.arun(self._delete())

    def _delete(self) -> Flow[None]:
        answer = yield from perform(self._connection, self._request("delete_batch"))
        self._item.rebase(self._whole(answer))

    @classmethod
    def list(
        cls,
        *,
        status: BatchStatus | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> Collection[Self]:
        """Go through the account's batches: newest first; oldest first with `since` alone.

        Args:
            status: Only those that are this far.
            since: Only those begun then or later: an aware datetime or Unix seconds.
            until: Only those begun then or earlier.

        Raises:
            ValidationError: That is no moment, or no status; nothing was sent.

        Example:
            >>> Batch.list(status="completed").all()
            []
        """
        known = get_args(BatchStatus)
        if status is not None and status not in known:
            raise ValidationError(
                f"status={status!r}: expected one of {', '.join(known)}"
                f"{did_you_mean(str(status), known)}",
                code="bad-argument",
            )
        query = {
            "status": status,
            "ge": None if since is None else timestamp(since),
            "le": None if until is None else timestamp(until),
        }

        def page(connection: Connection, cursor: Any) -> Flow[tuple[list[Self], Any]]:
            asked = api_request("get_batches", query={**query, "cursor": cursor})
            answer = yield from perform(connection, asked)
            found = member(answer, "batches")
            several = [cls._at(uuid, {"status": found[uuid]}, connection) for uuid in found]
            return several, answer.get("cursor")

        return Collection("Batches", page)
