"""Random edits and saves send what a reference says, and leave at the service what it says.

Records with and without a class, sync and async, in blocks and outside of them, beside another
program that writes to the same Twins. The reference, `wanted_requests`, knows nothing of ttorm.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from contextlib import suppress
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from wanted_requests import GONE, UNKNOWN, FailedError, Wanted
from wanted_service import Moment, Request, Service

import ttorm
from ttorm import Field, Twin, description, entry, identity, signals
from ttorm.emulator import Emulator, Policy
from ttorm.emulator.clock import Clock
from ttorm.emulator.transport import EmulatorTransport


class Robot(Twin):
    title: Field[str | None] = description(default=None)
    tags: Field[list[int]] = description(default_factory=list)
    level: Field[int | None] = entry(default=None)
    data: Field[dict[str, Any]] = entry(default_factory=dict, history="3M")
    serial: Field[str | None] = identity("SN", default=None)


DECLARED = {"data": {"history": "3M"}}
FIELDS = {
    ("description", "title"): "title",
    ("description", "tags"): "tags",
    ("ledger", "level"): "level",
    ("ledger", "data"): "data",
}
ENTRY_RULE = "entry_name != 'locked'"
HIDDEN = frozenset({"locked"})
DEFAULTS: dict[str, Any] = {"title": None, "tags": [], "level": None, "data": {}}
KINDS = {
    "state": ttorm.StateError,
    "refused": ttorm.SaveError,
    "conflict": ttorm.ConflictError,
    "broken": ttorm.TtormError,
    "404": ttorm.NotFoundError,
    "400": ttorm.TtormError,
}
RESOLVED: dict[str, Any] = {"title": "R", "tags": [7], "data": {"r": 7}}
MOST = 6

# What is drawn

which = st.integers(0, 30)
plain = st.sampled_from([0, 1, 2, "x", None, [1], [], {"a": 1}, {"a": {"b": [2]}}])
numbers = st.sampled_from([0, 1, 2, None])
dictionaries = st.sampled_from([{}, {"a": 1}, {"a": {"b": [2]}}, {"c": [1]}])
lists = st.sampled_from([[], [1], [1, 2]])
texts = st.sampled_from(["A", "B", None])
VALUES = {
    "level": numbers,
    "data": dictionaries,
    "alpha": plain,
    "beta": plain,
    "locked": plain,
    "copy": plain,
    "title": texts,
    "tags": lists,
    "site": dictionaries,
    "mark": plain,
}
ENTRIES = ("level", "data", "alpha", "beta", "copy", "locked")
KEYS = ("title", "tags", "site", "mark")
IDENTITIES = ("SN#1", "SN#2", "RFID#1")
DOCS = ("a.txt", "b.txt")


def named(*names):
    return st.sampled_from(names).flatmap(lambda n: st.tuples(st.just(n), VALUES[n]))


entry_names = st.sampled_from(ENTRIES)
keys = st.sampled_from(KEYS)
rules_ = st.sampled_from([None, "true", "USER.a == 1"])
properties = st.one_of(
    st.tuples(st.just("visibility"), rules_),
    st.tuples(st.just("history"), st.sampled_from([None, "3M", "1Y"])),
)
descriptions = st.fixed_dictionaries({}, optional={key: VALUES[key] for key in KEYS})
edits = st.one_of(
    st.tuples(st.just("entry"), named(*ENTRIES)),
    st.tuples(st.just("entry"), named(*ENTRIES)),
    st.tuples(st.just("inside"), st.tuples(entry_names, which)),
    st.tuples(st.just("property"), st.tuples(entry_names, properties)),
    st.tuples(st.just("unentry"), entry_names),
    st.tuples(st.just("touch"), entry_names),
    st.tuples(st.just("describe"), named(*KEYS)),
    st.tuples(st.just("inside_description"), st.tuples(keys, which)),
    st.tuples(st.just("undescribe"), keys),
    st.tuples(st.just("replace"), descriptions),
    st.tuples(st.just("touch_description"), st.none()),
    st.tuples(st.just("identify"), st.tuples(st.sampled_from(IDENTITIES), rules_)),
    st.tuples(st.just("unidentify"), st.sampled_from(IDENTITIES)),
    st.tuples(st.just("show_identity"), st.tuples(st.sampled_from(IDENTITIES), rules_)),
    st.tuples(st.just("serial"), st.sampled_from(["1", "2", None])),
    st.tuples(st.just("doc"), st.tuples(st.sampled_from(DOCS), dictionaries)),
    st.tuples(st.just("undoc"), st.sampled_from(DOCS)),
)


def both(name):
    """Two edits of the same Entry or key: one of the record's, one of somebody else's."""
    if name in KEYS:
        one = st.tuples(st.just("describe"), st.tuples(st.just(name), VALUES[name]))
        return st.tuples(
            st.one_of(
                one, st.tuples(st.just("inside_description"), st.tuples(st.just(name), which))
            ),
            one,
        )
    one = st.tuples(st.just("entry"), st.tuples(st.just(name), VALUES[name]))
    remove = st.tuples(st.just("unentry"), st.just(name))
    inside = st.tuples(st.just("inside"), st.tuples(st.just(name), which))
    shown = st.tuples(st.just("property"), st.tuples(st.just(name), properties))
    return st.tuples(st.one_of(one, one, inside, remove, shown), st.one_of(one, one, one, remove))


racing = st.sampled_from((*ENTRIES, *KEYS)).flatmap(both)
breaks = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 3))


class Recorder:
    """Notes requests, lets time pass with each, and breaks the connection when told so."""

    def __init__(self, transport, clock):
        self.transport, self.clock = transport, clock
        self.emulator, self.user = transport.emulator, transport.user
        self.sent: list[Request] = []
        self.breaks: int | None = None

    def _note(self, request):
        self.clock.advance(1)
        url = urlsplit(request.url)
        query = tuple(sorted(parse_qsl(url.query, keep_blank_values=True)))
        body = json.loads(request.body) if request.body else None
        self.sent.append(Request(request.method, unquote(url.path), query, body))
        if self.breaks is not None and len(self.sent) > self.breaks:
            raise ttorm.TransportError("cut off", sent=False)

    def send(self, request):
        self._note(request)
        return self.transport.send(request)

    async def asend(self, request):
        self._note(request)
        return await self.transport.asend(request)

    def close(self):
        self.transport.close()

    async def aclose(self):
        await self.transport.aclose()


class Pair:
    """A record, and what the reference knows of it."""

    def __init__(self, record, wanted):
        self.record, self.wanted = record, wanted

    @property
    def uuid(self):
        return self.record.uuid


class Saves(RuleBasedStateMachine):
    """Records that are edited and saved, and another program that writes, too.

    Attributes:
        steps: How many edits and verbs all machines of a run have done.
    """

    steps = 0

    @initialize(asynchronous=st.booleans(), typed=st.booleans())
    def begin(self, asynchronous, typed):
        self.runner = asyncio.Runner() if asynchronous else None
        self.typed = typed
        self.turn = 0
        self.model = Robot if typed else Twin
        self.clock = Clock()
        self.clock.freeze(1_718_000_000)
        self.emulator = Emulator(
            "memory:", clock=self.clock, policy=Policy(background=False), seed=1
        )
        admin = EmulatorTransport(self.emulator, self.emulator.first_user())
        self.others = self.connect(admin)
        role = self.others.call("create_user_role", body={"rules": {"entry_rule": ENTRY_RULE}})
        user = self.others.call("create_user", body={"role": role["uuid"]})["uuid"]
        transport = EmulatorTransport(self.emulator, user)
        self.connection = self.connect(Recorder(transport, self.clock))
        self.sent = self.connection.transport.sent
        self.services: dict[str, Service] = {}
        self.pairs: list[Pair] = []
        self.kept: list[tuple[Pair, str, Any]] = []
        self.told: list[Any] = []
        for signal in (signals.changed, signals.conflict, signals.post_save, signals.created):
            signal.connect(self.hear(signal.name), weak=False)
        self.source = self.others.call("create_twin")["creation_certificate"]["uuid"]
        self.account = self.others.whoami()["account"]
        body = {"entries": {"src": {"value": 1}}}
        self.others.call("add_twin_ledger_entry", self.source, body=body)
        for _ in range(2):
            self.somebody_creates()
            self.show(-1, "at")

    def connect(self, transport):
        retry = ttorm.RetryPolicy(attempts=1)
        return ttorm.connect(transport=transport, cache=None, retry=retry, default=False)

    def hear(self, name):
        def receiver(sender, *, record, changes=None, **_):
            names = {
                known.removesuffix(".visibility").removesuffix(".history")
                for known in changes or ()
            }
            self.told.append((name, id(record), frozenset(names)))

        self.receivers = [*getattr(self, "receivers", []), (name, receiver)]
        return receiver

    def teardown(self):
        for name, receiver in getattr(self, "receivers", ()):
            getattr(signals, name).disconnect(receiver)
        if not hasattr(self, "source"):
            return
        self.drive(self.do(self.connection, "close"))
        if self.runner is not None:
            self.runner.close()
        self.emulator.close()

    @invariant()
    def everything_is_as_the_reference_says(self):
        if hasattr(self, "source"):
            self.turn += 1
            self.look(self.pick(self.turn))
            self.learn(self.twin(self.turn))

    # Both worlds

    def drive(self, coroutine):
        if self.runner is not None:
            return self.runner.run(coroutine)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a sync program has waited for something")

    async def do(self, owner, verb, *arguments, **options):
        if self.runner is not None:
            return await getattr(owner, f"a{verb}")(*arguments, **options)
        return getattr(owner, verb)(*arguments, **options)

    def pick(self, index):
        return self.pairs[index % len(self.pairs)]

    def count(self, steps=1):
        type(self).steps += steps

    # The service

    def learn(self, uuid):
        """Hold what the service has to what the reference says; learn the times of writes."""
        service = self.services[uuid]
        call = self.others.call
        twin = call("get_twin", uuid)
        assert twin.get("description", {}) == (service.description or {})
        assert (twin["status"] == "alive") == service.alive
        entries = call("get_twin_ledger_entry", uuid)["entries"]
        for name, found in entries.items():
            moment = service.entries[name]["moment"]
            assert moment.at in (None, found["value_changed_ts"]), name
            moment.at = found["value_changed_ts"]
        assert {name: attributes(found) for name, found in entries.items()} == {
            name: attributes(known) for name, known in service.entries.items()
        }
        texts = call("get_twin_identities", uuid, show_expired=True)["identities"]
        found = {text: call("get_twin_identity", uuid, text)["visibility"] for text in texts}
        assert found == {text: one["visibility"] for text, one in service.identities.items()}
        docs = {
            name: call("get_twin_doc", uuid, name).get("description")
            for name in call("get_twin_docs", uuid)["docs"]
        }
        assert docs == service.docs

    def actual(self, uuid, request):
        """Give a request of the reference as it is sent."""
        part, _, name = request.path.partition("/")
        paths = {
            "": f"/twins/{uuid}" if request.method != "POST" else "/twins",
            "ledger": f"/twins/{uuid}/ledgers/personal",
        }
        path = paths.get(part, f"/twins/{uuid}/{part}") + (f"/{name}" if name else "")
        body = request.body
        if body and "conditions" in body:
            rules = {k: f"value_changed_ts == {m.at!r}" for k, m in body["conditions"].items()}
            body = {**body, "conditions": rules}
        return Request(request.method, path, tuple(sorted(request.query)), body)

    # Other programs

    @rule()
    def somebody_creates(self):
        if len(self.services) < MOST:
            uuid = self.others.call("create_twin")["creation_certificate"]["uuid"]
            self.services[uuid] = Service()
            self.learn(uuid)

    def twin(self, at):
        return list(self.services)[at % len(self.services)]

    def elsewhere(self, uuid, request):
        """Have somebody else send a request."""
        self.count()
        self.clock.advance(1)
        answer = self.services[uuid].answer(request)
        found = self.actual(uuid, request)
        operations = {
            ("POST", "ledger"): "add_twin_ledger_entry",
            ("PATCH", "ledger"): "update_twin_ledger_entry",
            ("DELETE", "ledger"): "delete_twin_ledger_entry",
            ("PATCH", ""): "update_twin",
            ("DELETE", ""): "terminate_twin",
            ("POST", "identities"): "create_twin_identity",
            ("DELETE", "identities"): "delete_twin_identity",
            ("DELETE", "docs"): "delete_twin_doc",
        }
        part, _, name = request.path.partition("/")
        ledger = ["personal"] if part == "ledger" else [name] if name else []
        query = {"entries": [text for _, text in request.query]} if request.query else {}
        self.others.call(operations[request.method, part], uuid, *ledger, body=found.body, **query)
        self.learn(uuid)
        return answer

    @rule(at=which, named=named("level", "data", "alpha", "beta", "locked"), shown=rules_)
    def somebody_writes(self, at, named, shown):
        uuid, (name, value) = self.twin(at), named
        if name in self.services[uuid].entries:
            sent = {"value": value} if shown is None else {"value": value, "visibility": shown}
            self.elsewhere(uuid, Request("PATCH", "ledger", (), {"entries": {name: sent}}))
        else:
            sent = {"value": value, "visibility": shown}
            self.elsewhere(uuid, Request("POST", "ledger", (), {"entries": {name: sent}}))

    @rule(at=which, name=entry_names)
    def somebody_deletes(self, at, name):
        uuid = self.twin(at)
        if name in self.services[uuid].entries:
            self.elsewhere(uuid, Request("DELETE", "ledger", (("entries", name),)))

    @rule(at=which)
    def somebody_refers(self, at):
        uuid = self.twin(at)
        if "copy" not in self.services[uuid].entries:
            self.count()
            ref = {"source": f"twin://{self.source}/{self.account}/src"}
            body = {"entries": {"copy": {"ref": ref}}}
            self.others.call("add_twin_ledger_entry", uuid, body=body)
            self.others.call("get_twin_ledger_entry", uuid)
            self.services[uuid].entries["copy"] = {
                "value": 1,
                "ref": True,
                "visibility": None,
                "history": None,
                "moment": Moment(),
            }
            self.learn(uuid)

    @rule(at=which, named=named(*KEYS), drop=keys)
    def somebody_describes(self, at, named, drop):
        uuid = self.twin(at)
        service = self.services[uuid]
        if service.alive:
            whole = {**(service.description or {}), named[0]: named[1]}
            whole = {key: value for key, value in whole.items() if key != drop or key == named[0]}
            self.elsewhere(uuid, Request("PATCH", "", (), {"description": whole}))

    @rule(at=which, text=st.sampled_from(IDENTITIES))
    def somebody_identifies(self, at, text):
        uuid = self.twin(at)
        if text in self.services[uuid].identities:
            self.elsewhere(uuid, Request("DELETE", f"identities/{text}"))
        else:
            self.elsewhere(uuid, Request("POST", "identities", (), {"identities": {text: {}}}))

    @rule(at=which, name=st.sampled_from(DOCS))
    def somebody_files(self, at, name):
        uuid = self.twin(at)
        if name in self.services[uuid].docs:
            self.elsewhere(uuid, Request("DELETE", f"docs/{name}"))
        else:
            self.count()
            with ttorm.session(self.others):
                Twin.at(uuid).docs.upload(name, b"hello")
            self.services[uuid].docs[name] = None
            self.learn(uuid)

    @rule(at=which, sure=st.integers(0, 4))
    def somebody_terminates(self, at, sure):
        uuid = self.twin(at)
        if sure == 0 and self.services[uuid].alive:
            self.elsewhere(uuid, Request("DELETE", ""))

    # Records come and go

    def keep(self, pair):
        if len(self.pairs) >= MOST:
            gone = self.pairs.pop(0)
            self.kept = [one for one in self.kept if one[0] is not gone]
        self.pairs.append(pair)

    @rule(at=which, how=st.sampled_from(["at", "at", "get", "scan"]))
    def show(self, at, how):
        """Come by a Twin in a session of its own."""
        self.count()
        self.drive(self._show(self.twin(at), how))

    async def _show(self, uuid, how):
        session = ttorm.session(self.connection)
        session.begin()
        self.sent.clear()
        wanted = Wanted(self.services[uuid], DECLARED if self.typed else {}, HIDDEN)
        if how == "at":
            record = self.model.at(uuid)
        elif how == "get":
            record = await self.do(self.model, "get", uuid)
            wanted.load("description")
        else:
            scan = self.model.scan(terminated=True)
            found = [one async for one in scan] if self.runner is not None else list(scan)
            [record] = [one for one in found if one.uuid == uuid]
            wanted.load("description")
            wanted.fresh = False
        session.end()
        self.keep(Pair(record, wanted))

    @rule(given=st.lists(edits, max_size=3), described=st.none() | descriptions)
    def make(self, given, described):
        self.drive(self._make(given, described))

    async def _make(self, given, described):
        session = ttorm.session(self.connection)
        session.begin()
        pair = self.new(described)
        session.end()
        self.keep(pair)
        for edit in given:
            await self._edit(pair, edit)

    def new(self, described):
        self.count()
        wanted = Wanted(None, DECLARED if self.typed else {}, HIDDEN)
        record = self.model(description=deepcopy(described))
        wanted.description.want.update(deepcopy(described or {}))
        wanted.replaced = described == {}
        if self.typed:
            for name in ("tags", "data"):
                part = wanted.description if name == "tags" else wanted.ledger[name]
                key = name if name == "tags" else "value"
                part.want[key] = deepcopy(DEFAULTS[name])
        return Pair(record, wanted)

    # Edits

    @rule(index=which, edit=edits)
    def edit(self, index, edit):
        self.drive(self._edit(self.pick(index), edit))

    @rule(index=which, given=st.lists(edits, min_size=2, max_size=6))
    def edit_much(self, index, given):
        for edit in given:
            self.drive(self._edit(self.pick(index), edit))

    async def _edit(self, pair, edit):
        self.count()
        kind, arguments = edit
        note(f"edit {self.pairs.index(pair) if pair in self.pairs else 'inside'}: {edit}")
        await getattr(self, f"_{kind}")(pair, arguments)
        assert ttorm.inspect(pair.record).is_modified == pair.wanted.is_modified()

    def field(self, part, name):
        return FIELDS.get((part, name)) if self.typed else None

    def changed(self, thing, attribute, name, value):
        """Have the reference take what a container was changed to."""
        if attribute in thing.lent and value == DEFAULTS[name]:
            # A default that is as it was stands for what is not there.
            thing.want[attribute] = GONE
        else:
            thing.want[attribute] = deepcopy(value)

    def assign(self, pair, thing, attribute, name, value):
        """Have the reference take a value of a field."""
        default = DEFAULTS[name]
        same = (
            value is None and default is None if pair.wanted.service is None else value == default
        )
        thing.removed = False
        thing.lent.discard(attribute)
        if thing.seen(attribute) is GONE and same:
            thing.want.pop(attribute, None)
            thing.forced.discard(attribute)
        else:
            thing.want[attribute] = deepcopy(value)

    async def _entry(self, pair, named):
        name, value = named
        thing = pair.wanted.ledger[name]
        if field := self.field("ledger", name):
            setattr(pair.record, field, deepcopy(value))
            self.assign(pair, thing, "value", name, value)
        elif thing.present and "ref" in thing.base:
            with pytest.raises(ttorm.StateError, match="cannot become a value"):
                pair.record.ledger[name] = deepcopy(value)
        else:
            pair.record.ledger[name] = deepcopy(value)
            thing.removed = False
            thing.lent.discard("value")
            thing.want["value"] = deepcopy(value)

    async def _inside(self, pair, arguments):
        name, how = arguments
        thing = pair.wanted.ledger[name]
        now = thing.now("value")
        field = self.field("ledger", name)
        if now is GONE and field == "data" and not thing.removed:
            now = {}
            thing.lent.add("value")
        if not isinstance(now, (list, dict)):
            return
        value = getattr(pair.record, field) if field else pair.record.ledger[name].value
        assert value == now
        change_inside(value, how)
        self.changed(thing, "value", name, value)

    async def _property(self, pair, arguments):
        name, (attribute, value) = arguments
        thing = pair.wanted.ledger[name]
        shown = "history_period" if attribute == "history" else attribute
        setattr(pair.record.ledger[name], shown, value)
        thing.removed = False
        thing.want[attribute] = value

    async def _unentry(self, pair, name):
        thing = pair.wanted.ledger[name]
        if thing.removed or (thing.present is False and not thing.is_modified()):
            with pytest.raises(KeyError):
                del pair.record.ledger[name]
            return
        del pair.record.ledger[name]
        thing.remove()

    async def _touch(self, pair, name):
        thing = pair.wanted.ledger[name]
        if thing.now("value") not in (GONE, UNKNOWN):
            pair.record.ledger[name].touch()
            thing.forced.add("value")

    async def _describe(self, pair, named):
        key, value = named
        thing = pair.wanted.description
        field = self.field("description", key)
        if pair.wanted.frozen:
            with pytest.raises(ttorm.StateError):
                pair.record.description[key] = value
        elif field:
            setattr(pair.record, field, deepcopy(value))
            self.assign(pair, thing, key, key, value)
        else:
            pair.record.description[key] = deepcopy(value)
            thing.lent.discard(key)
            thing.want[key] = deepcopy(value)

    async def _inside_description(self, pair, arguments):
        key, how = arguments
        thing = pair.wanted.description
        now = thing.now(key)
        field = self.field("description", key)
        if now is GONE and field == "tags" and not pair.wanted.frozen:
            now = []
            thing.lent.add(key)
        if pair.wanted.frozen or not isinstance(now, (list, dict)):
            return
        value = getattr(pair.record, field) if field else pair.record.description[key]
        assert value == now
        change_inside(value, how)
        self.changed(thing, key, key, value)

    async def _undescribe(self, pair, key):
        thing = pair.wanted.description
        if pair.wanted.frozen:
            with pytest.raises(ttorm.StateError):
                del pair.record.description[key]
        elif thing.now(key) is GONE:
            with pytest.raises(KeyError):
                del pair.record.description[key]
        else:
            del pair.record.description[key]
            thing.want[key] = GONE

    async def _replace(self, pair, whole):
        if pair.wanted.frozen:
            with pytest.raises(ttorm.StateError):
                pair.record.description = deepcopy(whole)
        else:
            pair.record.description = deepcopy(whole)
            pair.wanted.replace_description(deepcopy(whole))

    async def _touch_description(self, pair, _):
        wanted = pair.wanted
        if wanted.frozen or (wanted.description.base is UNKNOWN and not wanted.replaced):
            return
        pair.record.touch()
        wanted.description.forced |= set(wanted.shown_description())

    async def _identify(self, pair, arguments):
        text, visibility = arguments
        thing = pair.wanted.identities[text]
        pair.record.identities.add(text, visibility=visibility)
        thing.removed, thing.adding = False, True
        if visibility is not None:
            thing.want["visibility"] = visibility

    async def _unidentify(self, pair, text):
        thing = pair.wanted.identities[text]
        if thing.removed or (thing.present is False and not thing.adding):
            with pytest.raises(KeyError):
                del pair.record.identities[text]
            return
        del pair.record.identities[text]
        thing.remove()
        if pair.wanted.fields.get(text.partition("#")[0]) == text:
            pair.wanted.fields["SN"] = None

    async def _show_identity(self, pair, arguments):
        text, visibility = arguments
        if text in pair.wanted.identities.names():
            pair.record.identities[text].visibility = visibility
            pair.wanted.identities[text].want["visibility"] = visibility

    async def _serial(self, pair, value):
        if self.typed:
            pair.record.serial = value
            pair.wanted.assign_identity("SN", None if value is None else f"SN#{value}")

    async def _doc(self, pair, arguments):
        name, value = arguments
        thing = pair.wanted.docs[name]
        if thing.present and not thing.removed:
            pair.record.docs[name].description = deepcopy(value)
            thing.want["description"] = deepcopy(value)

    async def _undoc(self, pair, name):
        thing = pair.wanted.docs[name]
        if thing.removed or thing.present is False:
            with pytest.raises(KeyError):
                del pair.record.docs[name]
            return
        del pair.record.docs[name]
        thing.remove()

    @rule(index=which, name=st.sampled_from(["alpha", "beta"]))
    def hold(self, index, name):
        """Keep a container in hands, to change it some time later."""
        pair = self.pick(index)
        if isinstance(pair.wanted.ledger[name].now("value"), (list, dict)):
            self.kept.append((pair, name, pair.record.ledger[name].value))

    @precondition(lambda self: self.kept)
    @rule(index=which, how=which)
    def change_what_was_held(self, index, how):
        self.count()
        pair, name, value = self.kept[index % len(self.kept)]
        thing = pair.wanted.ledger[name]
        if thing.now("value") in (GONE, UNKNOWN):
            return
        attached = pair.record.ledger[name].value is value
        change_inside(value, how)
        if attached:
            thing.want["value"] = deepcopy(value)
        assert ttorm.inspect(pair.record).is_modified == pair.wanted.is_modified()

    @rule(index=which)
    def discard(self, index):
        self.count()
        pair = self.pick(index)
        pair.record.discard()
        pair.wanted.discard()
        assert ttorm.inspect(pair.record).is_modified == pair.wanted.is_modified()

    # Reads

    @rule(
        index=which, parts=st.sets(st.sampled_from(["description", "ledger", "identities", "docs"]))
    )
    def load(self, index, parts):
        pair = self.pick(index)
        if pair.wanted.service is not None and parts:
            self.drive(self._load(pair, sorted(parts), fresh=False))

    @rule(index=which)
    def refresh(self, index):
        pair = self.pick(index)
        if pair.wanted.service is not None:
            parts = ["description", "ledger", "identities", "docs"]
            loaded = [part for part in parts if pair.wanted.is_loaded(part)]
            self.drive(self._load(pair, loaded or ["description"], fresh=True))

    async def _load(self, pair, parts, *, fresh):
        self.count()
        self.sent.clear()
        pair.wanted.sent.clear()
        pair.wanted.breaks = None
        await self.do(pair.record, *(["refresh"] if fresh else ["load", *parts]))
        for part in parts:
            if fresh or not pair.wanted.is_loaded(part):
                pair.wanted.load(part)
        wanted = [self.actual(pair.uuid, one) for one in pair.wanted.sent]
        assert sorted(self.sent) == sorted(wanted)
        self.look(pair)

    def read(self, record, part, name):
        """Read a value in one way only: views of the same container do not follow each other."""
        if field := self.field(part, name):
            return getattr(record, field)
        return record.ledger[name].value if part == "ledger" else record.description[name]

    def look(self, pair):
        """Hold what a record shows to the reference; nothing is read for it."""
        self.sent.clear()
        record, wanted = pair.record, pair.wanted
        assert ttorm.inspect(record).is_modified == wanted.is_modified()
        if wanted.description.base is not UNKNOWN:
            found = {key: self.read(record, "description", key) for key in record.description}
            assert found == wanted.shown_description()
        if wanted.ledger.complete:
            shown = {name: wanted.ledger[name].now("value") for name in wanted.ledger.names()}
            valued = {name: value for name, value in shown.items() if value is not GONE}
            assert set(record.ledger) == set(shown)
            found = {name: self.read(record, "ledger", name) for name in valued}
            assert found == valued
        if wanted.identities.complete:
            assert set(record.identities) == set(wanted.identities.names())
        if wanted.docs.complete:
            assert set(record.docs) == set(wanted.docs.names())
        assert self.sent == []

    # Saves

    @rule(
        index=which,
        check=st.booleans(),
        atomic=st.sampled_from([False] * 4 + [True]),
        breaks=breaks,
    )
    def save(self, index, check, atomic, breaks):
        pair = self.pick(index)
        self.drive(self._save(pair, breaks, check=check, atomic=atomic))

    @rule(index=which, name=entry_names)
    def save_one(self, index, name):
        pair = self.pick(index)
        self.drive(self._save(pair, None, only=name))

    @rule(
        index=which,
        mine=st.lists(racing, min_size=1, max_size=3),
        check=st.sampled_from([True, True, False]),
        atomic=st.sampled_from([False, False, False, True]),
    )
    def race(self, index, mine, check, atomic):
        """Somebody else writes what a record has read and is about to write."""
        pair = self.pick(index)
        if pair.wanted.service is None:
            return
        self.drive(self._load(pair, ["description", "ledger", "identities"], fresh=False))
        self.refresh(index)
        at = list(self.services).index(pair.uuid)
        for _, (kind, named) in mine:
            if kind == "entry" and named[0] != "copy":
                self.somebody_writes(at, named, None)
            elif kind == "unentry":
                self.somebody_deletes(at, named)
            elif kind == "describe":
                self.somebody_describes(at, named, KEYS[index % len(KEYS)])
        for edit, _ in mine:
            self.drive(self._edit(pair, edit))
        self.drive(self._save(pair, None, check=check, atomic=atomic))

    async def _save(self, pair, breaks, only=None, **options):
        self.count()
        note(f"save {self.pairs.index(pair) if pair in self.pairs else 'inside'}: {options} {only}")
        wanted = pair.wanted
        wanted.breaks = self.connection.transport.breaks = breaks
        was_new = wanted.service is None
        plan = None if only or any(options.values()) else self.plan(pair)
        failure, result = None, None
        chosen = {"only": ("ledger", only)} if only else options
        try:
            wanted.save(**chosen)
        except FailedError as error:
            failure = error
        self.sent.clear()
        self.told.clear()
        try:
            if only:
                result = await self.do(pair.record.ledger[only], "save")
            else:
                result = await self.do(pair.record, "save", **options)
        except ttorm.TtormError as error:
            self.check_failure(pair, error, failure)
        else:
            assert failure is None, failure
        self.connection.transport.breaks = wanted.breaks = None
        self.settle(pair)
        wanted_requests = [self.actual(pair.record._state.uuid, one) for one in wanted.sent]
        assert self.sent == wanted_requests, (self.sent, wanted_requests)
        if result is not None:
            self.check_result(wanted, result)
        self.check_signals(pair, was_new, failure)
        if plan is not None and failure is None:
            self.check_plan(pair, plan)
        assert ttorm.inspect(pair.record).is_modified == wanted.is_modified()
        if failure is not None and failure.kind == "conflict":
            self.pending = pair

    def settle(self, pair):
        """Take note of a Twin that was created, and of the times of what was written."""
        if pair.wanted.service is not None:
            self.services[pair.uuid] = pair.wanted.service
            self.learn(pair.uuid)
        else:
            assert pair.record._state.uuid is None

    def check_failure(self, pair, error, failure):
        assert failure is not None, repr(error)
        assert isinstance(error, KINDS[failure.kind]), (failure, error)
        if failure.kind == "refused":
            known = {self.label(name) for name in failure.names}
            assert set(error.errors) == known
            assert error.result.requests == len(self.sent)
        if failure.kind == "conflict":
            pair.error, pair.lost = error, list(pair.wanted.conflicts)
            assert set(error.mine) == {
                self.label(name, part) for part, name, *_ in pair.wanted.conflicts
            }

    def check_failures(self, error, failures):
        """The first failure is raised, with a note on its record and on each of the others."""
        assert (error is None) == (not failures), (error, failures)
        if failures:
            assert any(isinstance(error, KINDS[one.kind]) for one in failures), (error, failures)
            assert len(getattr(error, "__notes__", ())) == len(failures)

    def label(self, name, part=""):
        part = part or ("identities" if "#" in name else "ledger")
        if part == "identities" and self.typed and name.startswith("SN#"):
            return "serial"
        return self.field(part, name) or f"{part}[{name!r}]"

    def check_result(self, wanted, result):
        done = {"create": [], "update": [], "delete": []}
        for does, part, name in wanted.done:
            done[does].append(self.label(name, part))
        found = [sorted(names) for names in result[:3]]
        assert found == [sorted(names) for names in done.values()], (found, done)
        assert result.requests == len(self.sent)

    def check_signals(self, pair, was_new, failure):
        """Everybody is told once of what was done, and of nothing else."""
        told = [(name, names) for name, record, names in self.told if record == id(pair.record)]
        done = frozenset(self.label(name, part) for _, part, name in pair.wanted.done)
        created = was_new and pair.wanted.service is not None
        expected = [("created", done)] if created else []
        expected += [("changed", done)] if done else []
        expected += [("post_save", done)] if done or created else []
        if failure is not None and failure.kind == "conflict":
            expected.append(("conflict", frozenset()))
        assert told == expected

    def certain(self, pair):
        """Tell whether a save need not look at the service first, nor try and see."""
        wanted = pair.wanted
        described = wanted.fresh or wanted.replaced or not wanted.description.is_modified()
        known = all(thing.present is not None for thing in wanted.ledger.modified().values())
        return described and known and not wanted.fields

    def plan(self, pair):
        """Give what a plan says; None when it says that a save would fail, or has to look first."""
        certain = self.certain(pair)
        self.sent.clear()
        try:
            plan = pair.record.plan()
        except ttorm.StateError:
            plan = None
        assert self.sent == []
        return plan if certain else None

    def check_plan(self, pair, plan):
        assert [self.planned(request, pair.uuid) for request in plan] == self.sent

    def planned(self, request, uuid):
        """Give a request of a plan as it is sent."""
        url = urlsplit(request.path.replace("/twins/new", f"/twins/{uuid}"))
        query = tuple(sorted(parse_qsl(url.query, keep_blank_values=True)))
        return Request(request.method, unquote(url.path), query, request.body)

    # Many records at once

    @rule(chosen=st.sets(which, min_size=1, max_size=4), check=st.booleans())
    def save_all(self, chosen, check):
        several = {id(pair): pair for pair in map(self.pick, sorted(chosen))}
        # Two that write to the same Twin would race.
        by_uuid = {pair.record._state.uuid or id(pair): pair for pair in several.values()}
        self.drive(self._save_all(list(by_uuid.values()), check))

    async def _save_all(self, pairs, check):
        self.count()
        note(f"save_all {[self.pairs.index(pair) for pair in pairs]}")
        records = [pair.record for pair in pairs]
        await self.together(
            pairs, lambda: self.do(ttorm, "save_all", records, check=check), check=check
        )

    async def together(self, pairs, verb, **options):
        """Save several records by one verb; the order among their requests is nobody's."""
        failures = []
        for pair in pairs:
            try:
                pair.wanted.save(**options)
            except FailedError as error:
                failures.append(error)
                pair.failure = error
        self.sent.clear()
        try:
            result = await verb()
        except ttorm.TtormError as error:
            told = error
        else:
            told = None
            assert result.requests == len(self.sent)
        self.check_failures(told, failures)
        sent = list(self.sent)
        for pair in pairs:
            self.settle(pair)
        wanted = [
            [self.actual(pair.record._state.uuid, one) for one in pair.wanted.sent]
            for pair in pairs
        ]
        together = [one for of_one in wanted for one in of_one]
        assert sorted(map(in_order, sent)) == sorted(map(in_order, together))
        for pair, of_one in zip(pairs, wanted, strict=True):
            mine = [one for one in sent if pair.record._state.uuid in one.path.split("/")]
            assert mine == [one for one in of_one if one.path != "/twins"]
            assert ttorm.inspect(pair.record).is_modified == pair.wanted.is_modified()

    # Blocks

    @rule(
        begun=st.lists(st.tuples(st.sampled_from(["at", "at", "new"]), which), max_size=4),
        steps=st.lists(
            st.one_of(
                st.tuples(st.just("edit"), st.tuples(which, edits)),
                st.tuples(st.just("edit"), st.tuples(which, edits)),
                st.tuples(st.just("edit"), st.tuples(which, edits)),
                st.tuples(st.just("edit"), st.tuples(which, edits)),
                st.tuples(st.just("save"), st.tuples(which, st.booleans())),
                st.tuples(st.just("break"), st.tuples(which, st.none())),
                st.tuples(st.sampled_from(["flush", "plan", "rollback"]), st.none()),
            ),
            max_size=12,
        ),
        ends=st.sampled_from(["well", "well", "well", "raising"]),
        nested=st.booleans(),
    )
    def block(self, begun, steps, ends, nested):
        self.drive(self._block(begun, steps, ends, nested))

    async def _block(self, begun, steps, ends, nested):
        session = ttorm.session(self.connection)
        outer = None
        held: list[Pair] = []
        if nested:
            # Whose changes stay its own.
            outer = ttorm.session(self.connection)
            outer.begin()
            outside = self.model.at(self.twin(0))
            outside.ledger["outside"] = 1
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                if self.runner is not None:
                    async with session:
                        await self._inside_block(session, held, begun, steps, ends)
                else:
                    with session:
                        await self._inside_block(session, held, begun, steps, ends)
            except ZeroDivisionError:
                assert ends == "raising"
                for pair in held:
                    pair.wanted.discard()
        left = [pair for pair in held if pair.wanted.stuck and pair.wanted.is_modified()]
        warned = [one for one in told if one.category is ttorm.UnsavedChangesWarning]
        assert len(warned) == (1 if left and ends == "well" else 0)
        if outer is not None:
            assert outer.dirty == [outside]
            outer.rollback()
            outer.end()
        for pair in held[:2]:
            self.keep(pair)

    async def _inside_block(self, session, held, begun, steps, ends):
        for how, index in begun:
            self.begin_with(held, how, index)
        for kind, arguments in steps:
            note(f"in block: {kind} {arguments}")
            if kind == "rollback":
                session.rollback()
                for pair in held:
                    pair.wanted.discard()
                # Nobody makes the new ones any more.
                held[:] = [pair for pair in held if pair.wanted.service is not None]
            elif kind == "plan":
                self.sent.clear()
                self.try_to_plan(session)
                assert self.sent == []
            elif kind == "flush":
                await self._flush(session, held)
            elif held:
                pair = held[arguments[0] % len(held)]
                if kind == "edit":
                    await self._edit(pair, arguments[1])
                elif kind == "save":
                    await self._save(pair, None, check=arguments[1], atomic=False)
                else:
                    await self._save(pair, 0, check=False, atomic=False)
            dirty = [pair.record for pair in held if pair.wanted.is_modified()]
            assert {id(one) for one in session.dirty} == {id(one) for one in dirty}
        if ends == "raising":
            raise ZeroDivisionError
        await self._flush(session, held)
        # The end has nothing left to do, and tells of what could not be done.
        self.sent.clear()

    def begin_with(self, held, how, index):
        """Have a record in the block: one for each Twin."""
        uuid = self.twin(index)
        if how == "new":
            held.append(self.new({"mark": index}))
        elif all(pair.record._state.uuid != uuid for pair in held):
            wanted = Wanted(self.services[uuid], DECLARED if self.typed else {}, HIDDEN)
            held.append(Pair(self.model.at(uuid), wanted))
            assert self.model.at(uuid) is held[-1].record

    def try_to_plan(self, session):
        with suppress(ttorm.StateError):
            session.plan()

    async def _flush(self, session, held):
        self.count()
        ready = [pair for pair in held if pair.wanted.is_modified() and not pair.wanted.stuck]
        new = [pair for pair in ready if pair.wanted.service is None]
        certain = all(self.certain(pair) for pair in ready)
        plan = None
        with suppress(ttorm.StateError):
            plan = session.plan()
        await self.together(ready, lambda: self.do(session, "flush"))
        if certain and plan is not None and len(plan) == len(self.sent):
            # Whose Entries belong to a new Twin, no plan can tell.
            known = {pair.record._state.uuid: "new" for pair in new}
            planned = [self.planned(request, "new") for request in plan]
            sent = [
                one._replace(path="/".join(known.get(part, part) for part in one.path.split("/")))
                for one in self.sent
            ]
            assert sorted(map(in_order, planned)) == sorted(map(in_order, sent))

    @precondition(lambda self: getattr(self, "pending", None) is not None)
    @rule(how=st.sampled_from(["mine", "theirs", "value"]))
    def resolve(self, how):
        self.count()
        pair, self.pending = self.pending, None
        decided = {self.label(name, part): RESOLVED.get(name, 7) for part, name, *_ in pair.lost}
        by_name = lambda conflict: deepcopy(decided[conflict.name])
        pair.error.resolve(by_name if how == "value" else how)
        pair.wanted.resolve(how, pair.lost, RESOLVED)
        assert ttorm.inspect(pair.record).is_modified == pair.wanted.is_modified()


def attributes(found):
    """Give what is compared of an Entry."""
    return found["value"], found.get("visibility"), found.get("history"), "ref" in found


def in_order(request):
    return json.dumps(request, sort_keys=True)


def change_inside(value, how):
    """Change a list or dictionary somewhere inside."""
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, (dict, list)) and how % 2:
                return change_inside(inner, how // 2)
        if "z" in value and how % 3 == 0:
            del value["z"]
        else:
            value["z"] = how % 4
    elif value and how % 3 == 0:
        value.pop()
    else:
        value.append(how % 4)
    return None


def run(steps):
    """Let machines do this many steps; returns how many they were."""
    machine = type("Saves", (Saves,), {"steps": 0})
    thorough = settings(
        max_examples=100,
        stateful_step_count=30,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )
    while machine.steps < steps:
        run_state_machine_as_test(machine, settings=thorough)
    return machine.steps


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_saves_send_what_the_reference_says():
    assert run(2_000) >= 2_000


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_twenty_thousand_steps_send_what_the_reference_says():
    assert run(20_000) >= 20_000
