"""Random changes and saves through faults: what was assigned last is what is stored in the end."""

from __future__ import annotations

from random import Random

import pytest

import ttorm
from ttorm import Twin
from ttorm.api.http import HttpResponse

FAULTS = ["drop before", "drop after", "error before", "error after", "cut before", "cut after"]


class Cut(BaseException):
    """As a cancelled task, or Ctrl-C."""


class Probe:
    """A Twin that is changed and saved at random.

    Attributes:
        wanted: What was assigned last, by Entry or description key; None was removed.
    """

    def __init__(self, connection, random):
        self.random, self.rate = random, 0.0
        self.wire = connection.transport
        self.wire.meddle = self._meddle
        self.twin = Twin.create(entries={"a": 0, "b": [0]}, description={"x": 0, "y": [0]})
        self.wanted = {"a": 0, "b": [0], "x": 0, "y": [0]}

    def _meddle(self, request):
        if self.random.random() >= self.rate:
            return None
        kind, moment = self.random.choice(FAULTS).split()
        if moment == "after":
            self.wire.transport.send(request)
        if kind == "error":
            return HttpResponse(500, {}, b'{"subcode": 500000}')
        raise Cut if kind == "cut" else ttorm.TransportError("lost", sent=True)

    def change(self, name):
        shown = self.twin.ledger if name in "ab" else self.twin.description
        if name in "ax":
            shown[name] = self.wanted[name] = self.random.choice([0, 1, 2])
            return
        held = shown[name].value if name == "b" else shown[name]
        held.pop() if len(held) > 1 else held.append(1)
        self.wanted[name] = list(held)

    def remove(self, _):
        if "a" in self.twin.ledger:
            del self.twin.ledger["a"]
            self.wanted["a"] = None

    def look(self, _):
        assert ttorm.inspect(self.twin).state in ("clean", "modified")

    def refresh(self, _):
        self.twin.refresh()

    def discard(self, _):
        self.twin.discard()
        self.wanted.clear()

    def save(self, _):
        self.rate = self.random.choice([0.0, 0.3, 0.6])
        try:
            self.twin.save(check=self.random.random() < 0.3)
        except ttorm.ConflictError as error:
            error.resolve("mine")
        except (ttorm.OutcomeUnknownError, ttorm.ServerError, ttorm.TransportError, Cut):
            pass
        finally:
            self.rate = 0.0

    def settle(self):
        """Save until all is said."""
        for _ in range(5):
            try:
                self.twin.save()
            except ttorm.OutcomeUnknownError:
                continue
            return


STEPS = ["change"] * 6 + ["save"] * 6 + ["look"] * 2 + ["remove", "refresh", "discard"]


@pytest.mark.parametrize("seed", range(300))
def test_what_was_assigned_last_is_stored(connect, seed):
    random = Random(seed)
    policy = ttorm.RetryPolicy(attempts=random.choice([1, 2, 3]), base=0.0)
    probe, done = Probe(connect(default=True, retry=policy), random), []
    # Few things that change often meet more of their own past.
    names = random.sample("abxy", random.randint(1, 4))
    for _ in range(random.randint(4, 14)):
        done.append((random.choice(STEPS), random.choice(names)))
        getattr(probe, done[-1][0])(done[-1][1])
    probe.settle()
    assert not ttorm.inspect(probe.twin).is_modified
    other = connect(cache=None)
    entries = other.call("get_twin_ledger_entry", probe.twin.uuid)["entries"]
    stored = {name: entry["value"] for name, entry in entries.items()}
    stored |= other.call("get_twin", probe.twin.uuid)["description"]
    shown = {name: entry.value for name, entry in probe.twin.ledger.items()}
    assert stored == {**shown, **probe.twin.description}, done
    assert {name: stored.get(name) for name in probe.wanted} == probe.wanted, done
