"""The emulator: a request in, an answer out, on a store."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ttorm.api.credentials import masked_address
from ttorm.api.errors import StateError
from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.emulator import bootstrap, jobs, routing
from ttorm.emulator.access import authenticate
from ttorm.emulator.answers import Fault, fault_answer
from ttorm.emulator.background import Background
from ttorm.emulator.body import take_body
from ttorm.emulator.callbacks import Callbacks
from ttorm.emulator.clock import Clock
from ttorm.emulator.dispatch import dispatch
from ttorm.emulator.faults import Faults, Strike
from ttorm.emulator.handlers import registered
from ttorm.emulator.ids import Ids
from ttorm.emulator.policy import Policy
from ttorm.emulator.requestlog import Note, RequestLog
from ttorm.emulator.store import open_store
from ttorm.emulator.usage import Meter
from ttorm.emulator.vault import Vault

if TYPE_CHECKING:
    from ttorm.emulator.seeds import Seed, Source
    from ttorm.emulator.snapshots import Snapshot

__all__ = ["Emulator"]

_POLL = 5.0
"""Seconds after which what processes on other computers have left undone is looked for."""

_log = logging.getLogger("ttorm.emulator")


class Emulator:
    """Trusted Twin in this process.

    Args:
        url: Where the data is: ``memory:``, ``sqlite:///file.db`` or ``postgresql://host/database``.
        clock: The time; by default the computer's.
        policy: Choices where the platform's documentation is silent.
        seed: Makes identifiers and secrets repeatable, for tests on a new store.
        callbacks: Where notifications may be sent beside this machine: ``HOST``, ``HOST:PORT``,
            an address with or without a port, or a network such as ``10.1.0.0/16``.

    Attributes:
        address: Names the store: equal for two emulators on the same file.
        background: Does what no caller waits for.
        blobs: Contents of Docs and uploads.
        callbacks: Sends messages to subscribers.
        clock: The time.
        faults: What goes wrong on purpose.
        ids: Makes identifiers and secrets.
        policy: The choices made.
        requests: The newest requests.
        store: The data.
        usage: Counts requests and what they changed.
        vault: Hashes secrets and signs tokens.

    Raises:
        ConfigurationError: The URL names no store, or it cannot be used.

    Example:
        >>> emulator = Emulator("memory:")
        >>> request = HttpRequest("GET", "http://emulator.localhost/whoami")
        >>> emulator.handle(request, emulator.first_user()).status
        200
        >>> emulator.handle(request).status
        401
        >>> emulator.close()
    """

    def __init__(
        self,
        url: str = "memory:",
        *,
        clock: Clock | None = None,
        policy: Policy | None = None,
        seed: int | None = None,
        callbacks: Iterable[str] = (),
    ) -> None:
        url = masked_address(url)
        self.clock = clock or Clock()
        self.policy = policy or Policy()
        self.ids = Ids(seed)
        self.usage = Meter()
        self.callbacks = Callbacks(callbacks, seconds=self.policy.delivery_seconds)
        self.faults = Faults()
        self.requests = RequestLog()
        self.store = open_store(url)
        self.blobs = self.store.blobs()
        with self.store.transaction(write=True) as tx:
            self.vault = Vault.of(tx, self.ids.key())
        self.address = self.store.address or f"memory:{self.ids.uuid()}"
        self._handlers = registered()
        near = self.store.near
        self.background = Background(
            self,
            partial(jobs.jobs, near=near),
            enabled=self.policy.background,
            interrupt=self.callbacks.end,
            poll=None if near else _POLL,
        )
        self.resume()

    def resume(self) -> None:
        """Go on with what the store says is under way."""
        with self.store.transaction(write=False) as tx:
            waiting = jobs.any_waiting(tx)
        if waiting or not self.store.near:
            self.background.wake()

    def first_user(self) -> str:
        """Return the UUID of the first account's first user, making both in a new store."""
        return bootstrap.first_user(self)

    def accounts(self) -> list[str]:
        """Return the UUIDs of all accounts in the order they were made."""
        return bootstrap.accounts(self)

    def handle(
        self,
        request: HttpRequest,
        principal: str | None = None,
        *,
        strike: Strike | None = None,
    ) -> HttpResponse:
        """Answer one request.

        Args:
            request: The request, with an absolute URL.
            principal: UUID of the user who calls, when the caller needs no credential; else the
                ``Authorization`` header counts.
            strike: What ``faults.strike(request)`` said, from a caller who has waited already;
                without it the faults are asked, and their delay passes here.

        Returns:
            The answer; an error is an answer like any other.

        Raises:
            StateError: The emulator is closed.
            TransportError: A fault broke the connection.
        """
        if strike is None:
            strike = self.faults.strike(request)
            if strike.delay:
                time.sleep(self.clock.pause(strike.delay))
        note = Note(request, self.clock.now())
        try:
            strike.break_connection("before")
            if strike.fault is None:
                note.answer = self._handle(request, principal, note)
            else:
                note.answer = strike.dress(self.failure(request, strike.fault))
            strike.break_connection("after")
            return note.answer
        finally:
            self.requests.add(note.finish(strike.drop))

    def _handle(self, request: HttpRequest, principal: str | None, note: Note) -> HttpResponse:
        path = routing.split_url(request.url)[1]
        try:
            upload = routing.upload_handler(request.method, path)
            if upload is not None:
                return self._receive(upload, request)
            route = note.route = routing.find_route(request.method, path)
            request = request._replace(body=take_body(request))
            header = request.headers.get("authorization")
            who = note.caller(partial(authenticate, self, header=header, user=principal))
            handler = self._handlers[route.operation.name]
            with self.store.transaction(write=handler.writes) as tx:
                done = dispatch(self, tx, route, request, who)
            return done.finish()
        except StateError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the emulator is an answer too
            return self.failure(request, error)

    def failure(self, request: HttpRequest, error: Exception) -> HttpResponse:
        """Make the answer of a request that could not be done."""
        trace = self.ids.uuid()
        if not isinstance(error, Fault):
            # PINs and handlers work on.
            path = routing.split_url(request.url)[1]
            path = routing.shown_path(path, routing.route_of(request), "***")
            _log.error("%s %s failed, trace %s", request.method, path, trace, exc_info=error)
            error = Fault(500000, "The emulator failed; its log says how.")
        return fault_answer(error, trace)

    def load(self, source: Source, accounts: Mapping[str, str] | None = None) -> Seed:
        """Put seed data in: all of it or, when something in it is wrong, nothing.

        Args:
            source: A JSON file, or what would be in it; files it names are found beside it.
            accounts: UUIDs of accounts that there are, by their names in the data; the rest are
                made. Without it the first account of the data is the emulator's first one.

        Returns:
            The UUIDs of what was made, by name.

        Raises:
            ConfigurationError: The data says something impossible.
        """
        from ttorm.emulator import seeds

        return seeds.load(self, source, accounts)

    def snapshot(self) -> Snapshot:
        """Keep all that is here now: accounts and what belongs to them, tables, contents of Docs.

        The clock, the policy, faults and the request log are no part of it.
        """
        from ttorm.emulator import snapshots

        return snapshots.take(self)

    def restore(self, snapshot: Snapshot) -> None:
        """Bring back what a snapshot holds, in the place of everything that is here.

        Requests under way are done before or after, none of them in between. Where several
        processes share the store, they have to be started anew if the snapshot is of another one.

        Raises:
            ConfigurationError: The snapshot is damaged, or of a newer version of ttorm.
        """
        from ttorm.emulator import snapshots

        snapshots.restore(self, snapshot)

    def reset(self) -> None:
        """Bring the accounts to their first state, and remove everything else.

        Each account keeps its UUID and its first user, who may do everything and has the same
        secret. Faults end, the request log is cleared; clock and policy stay as they are.
        """
        from ttorm.emulator import snapshots

        snapshots.reset(self)
        self.faults.clear()
        self.requests.clear()

    def recording(self) -> AbstractContextManager[RequestLog]:
        """Record the requests made within a block, however many.

        Example:
            >>> with Emulator("memory:") as emulator, emulator.recording() as made:
            ...     answer = emulator.handle(HttpRequest("GET", "http://localhost/twins"))
            >>> [(request.operation, request.status) for request in made]
            [('scan_twins', 401)]
        """
        return self.requests.recording()

    def run_batches(self, steps: int | None = None) -> int:
        """Run batches here and now, instead of waiting until they have run in the background.

        Args:
            steps: How many steps each batch takes: to its next status, or through one line of its
                file. None lets all come to their end.

        Returns:
            How many batches are not finished.
        """
        from ttorm.emulator import batchruns

        return batchruns.run(self, steps)

    def propagate(self) -> int:
        """Let references follow all changes here and now, which `Policy.reference_delay` delays.

        Returns:
            How many changed Entries that were.
        """
        from ttorm.emulator import propagation

        return propagation.run(self)

    def deliver(self) -> int:
        """Send notifications here and now, instead of waiting until they go in the background.

        Stickers whose time is over end first, so that this is told as well.

        Returns:
            How many wait: for another try, or because they came up meanwhile.
        """
        from ttorm.emulator import deliveries, stickers

        stickers.sweep(self)
        return deliveries.run(self)

    def expects_file(self, request: HttpRequest) -> bool:
        """Tell whether a request's body is a file that will be kept; its body is not looked at."""
        try:
            handler = routing.upload_handler(request.method, routing.split_url(request.url)[1])
        except Fault:
            return False
        if handler is None:
            return False
        from ttorm.emulator.handlers.uploads import is_open

        return is_open(self, handler)

    def _receive(self, handler: str, request: HttpRequest) -> HttpResponse:
        from ttorm.emulator.handlers.uploads import receive

        return receive(self, handler, request)

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Look into the Timeseries and Indexes tables with a query of one's own.

        The rows of the table ``weather`` of the first account are in ``ts_1_weather``, those of
        its Indexes table ``pumps`` in ``ix_1_pumps``.

        Args:
            query: The query, in the database's SQL; it cannot change anything.
            parameters: Values in place of each ``?``.

        Returns:
            The rows, each a dictionary by column name.
        """
        from ttorm.emulator.tables import drop_expired

        drop_expired(self.store, self.clock.now())
        return self.store.query(query, *parameters)

    def close(self) -> None:
        """Release the store and temporary files; closing twice is harmless."""
        self.background.close()
        self.blobs.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
