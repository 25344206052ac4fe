"""What the service holds of one Twin, and what it makes of a request: plain dictionaries.

Only what saves need, written from the platform's documentation. Identities and Docs that were there
once stay in no place: what is gone is gone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Answer", "Moment", "Request", "Service", "StatusError"]


class Request(NamedTuple):
    """A request: `path` begins behind the Twin's own path, "" is the Twin itself."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None


class Answer(NamedTuple):
    """What an answer tells: whole objects by name, and the names of refused items."""

    items: dict[str, Any]
    refused: frozenset[str] = frozenset()


class StatusError(Exception):
    """The whole request was refused."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Moment:
    """When a value was written; the emulator tells the time afterwards."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __repr__(self) -> str:
        return f"@{self.at}"


class Service:
    """One Twin at the service."""

    def __init__(self) -> None:
        self.hidden: frozenset[str] = frozenset()
        self.description: dict[str, Any] | None = None
        self.alive = True
        self.entries: dict[str, dict[str, Any]] = {}
        self.identities: dict[str, dict[str, Any]] = {}
        self.docs: dict[str, Any] = {}

    def answer(self, request: Request, hidden: frozenset[str] = frozenset()) -> Answer:
        """Do what a request asks for.

        Args:
            request: The request.
            hidden: Names of Entries that the caller's role does not let see or change.

        Raises:
            StatusError: It is refused as a whole.
        """
        self.hidden = hidden
        part, _, name = request.path.partition("/")
        verb = request.method.lower()
        if part == "":
            return getattr(self, f"_{verb}_twin")(request.body or {})
        return getattr(self, f"_{verb}_{part}")(name, request)

    # The Twin

    def _get_twin(self, body: Any) -> Answer:
        return Answer({"description": dict(self.description or {}), "alive": self.alive})

    def _post_twin(self, body: Any) -> Answer:
        self.description = body.get("description")
        return self._get_twin(body)

    def _patch_twin(self, body: Any) -> Answer:
        if not self.alive:
            raise StatusError(400)
        self.description = body["description"]
        return self._get_twin(body)

    def _delete_twin(self, body: Any) -> Answer:
        if not self.alive:
            raise StatusError(400)
        self.alive = False
        return self._get_twin(body)

    # The Ledger

    def _get_ledger(self, name: str, request: Request) -> Answer:
        return Answer(
            {name: dict(entry) for name, entry in self.entries.items() if name not in self.hidden}
        )

    def _post_ledger(self, name: str, request: Request) -> Answer:
        wanted = request.body["entries"]
        if not all("value" in entry for entry in wanted.values()):
            raise StatusError(400)
        return self._write(request, lambda name: name not in self.entries, self._put)

    def _patch_ledger(self, name: str, request: Request) -> Answer:
        def possible(name: str) -> bool:
            fixed = "ref" in self.entries.get(name, {}) and "value" in request.body["entries"][name]
            return self._is_seen(name) and not fixed

        return self._write(request, possible, self._put)

    def _delete_ledger(self, name: str, request: Request) -> Answer:
        names = {text: {} for _, text in request.query}
        return self._write(request, self._is_seen, lambda name, _: self.entries.pop(name), names)

    def _is_seen(self, name: str) -> bool:
        return name in self.entries and name not in self.hidden

    def _put(self, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
        entry = self.entries.setdefault(name, {"visibility": None, "history": None})
        entry.update(wanted)
        if "value" in wanted:
            entry["moment"] = Moment()
        return dict(entry)

    def _write(self, request: Request, possible: Any, do: Any, names: Any = None) -> Answer:
        body = request.body or {}
        wanted = body["entries"] if names is None else names
        conditions = body.get("conditions", {})
        refused = {
            name
            for name in wanted
            if not possible(name)
            or (name in conditions and conditions[name] is not self.entries[name]["moment"])
        }
        if body.get("transaction") and refused:
            refused = set(wanted)
        done = {name: do(name, wanted[name]) for name in wanted if name not in refused}
        return Answer(done, frozenset(refused))

    # Identities

    def _get_identities(self, name: str, request: Request) -> Answer:
        # The listing does not tell who sees them.
        return Answer({text: {"validity_ts": None} for text in self.identities})

    def _post_identities(self, name: str, request: Request) -> Answer:
        wanted = request.body["identities"]
        refused = frozenset(text for text in wanted if text in self.identities)
        for text in wanted:
            if text not in refused:
                self.identities[text] = {"validity_ts": None, "visibility": None, **wanted[text]}
        return Answer({text: self.identities[text] for text in wanted}, refused)

    def _patch_identities(self, name: str, request: Request) -> Answer:
        if name not in self.identities:
            raise StatusError(404)
        self.identities[name] = {**self.identities[name], **request.body}
        return Answer({name: self.identities[name]})

    def _delete_identities(self, name: str, request: Request) -> Answer:
        if self.identities.pop(name, None) is None:
            raise StatusError(404)
        return Answer({})

    # Docs

    def _get_docs(self, name: str, request: Request) -> Answer:
        return Answer({doc: {} for doc in self.docs})

    def _patch_docs(self, name: str, request: Request) -> Answer:
        if name not in self.docs:
            raise StatusError(404)
        self.docs[name] = request.body["description"]
        return Answer({name: {"description": self.docs[name]}})

    def _delete_docs(self, name: str, request: Request) -> Answer:
        if name not in self.docs:
            raise StatusError(404)
        del self.docs[name]
        return Answer({})
