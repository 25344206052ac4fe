"""Signals: who is told what, and when."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import ttorm
from ttorm import Change, Field, Twin, description, entry, identity, signals
from ttorm.api.http import HttpResponse

NAMES = [
    "pre_save",
    "post_save",
    "created",
    "changed",
    "terminated",
    "loaded",
    "entry_changed",
    "identity_changed",
    "doc_changed",
    "conflict",
    "request_sent",
    "cache_invalidated",
]
NEWER = {"entries": {"flow": {"value": 2.0}}}
OF_REQUESTS = ("request_sent", "cache_invalidated")


class Pump(Twin):
    label: Field[str] = description(default="")
    flow: Field[float] = entry(default=0.0)
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str | None] = identity("SN", default=None)


class Valve(Twin):
    opening: Field[int] = entry(default=0)


@pytest.fixture
def heard():
    """Everything that is signalled: ``(signal, sender, arguments)``; taken from a list."""
    heard = []
    receivers = []
    for name in NAMES:

        def receive(sender, name=name, **arguments):
            heard.append((name, sender, arguments))

        getattr(signals, name).connect(receive)
        receivers.append((getattr(signals, name), receive))
    yield heard
    for signal, receive in receivers:
        signal.disconnect(receive)


@pytest.fixture
def receive():
    """Connect receivers for one test: ``receive(signals.changed, function, sender=...)``."""
    connected = []

    def receive(signal, function, **options):
        signal.connect(function, **options)
        connected.append((signal, function))

    yield receive
    for signal, function in connected:
        signal.disconnect(function)


def names(heard):
    """Name what was heard of records since the last time."""
    found = [name for name, _, _ in heard if name not in OF_REQUESTS]
    heard.clear()
    return found


async def test_creating(do, connection, heard):
    pump = await do(Pump, "create", label="a", flow=1, serial="7")
    told = {name: arguments for name, _, arguments in heard}
    assert {sender for name, sender, _ in heard if name not in OF_REQUESTS} == {Pump}
    assert names(heard) == [
        "pre_save",
        "created",
        "changed",
        "entry_changed",
        "identity_changed",
        "post_save",
    ]
    changes = {
        "label": Change(None, "a"),
        "flow": Change(None, 1.0),
        "tags": Change(None, []),
        "serial": Change(None, "7"),
    }
    for name in ("pre_save", "created", "changed", "post_save"):
        assert told[name]["record"] is pump
        assert told[name]["changes"] == changes
    assert told["entry_changed"]["changes"] == {
        "flow": Change(None, 1.0),
        "tags": Change(None, []),
    }
    assert "result" not in told["pre_save"]
    for name in ("created", "changed", "entry_changed", "post_save"):
        assert told[name]["result"].requests == 3


async def test_changing(do, connection, heard):
    pump = await do(Pump, "create", label="a", tags=["x"])
    heard.clear()
    pump.label = "b"
    pump.tags.append("y")
    pump.ledger["extra"] = 1
    await do(pump, "save")
    told = {name: arguments for name, _, arguments in heard}
    assert names(heard) == ["pre_save", "changed", "entry_changed", "post_save"]
    entries = {"tags": Change(["x"], ["x", "y"]), "ledger['extra']": Change(None, 1)}
    assert told["changed"]["changes"] == {"label": Change("a", "b"), **entries}
    assert told["entry_changed"]["changes"] == entries
    assert told["post_save"]["result"].updated == ("label", "tags")
    assert str(told["changed"]["changes"]["label"]) == "'a' -> 'b'"


async def test_only_a_description(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    pump.label = "b"
    await do(pump, "save")
    assert names(heard) == ["pre_save", "changed", "post_save"]


async def test_removing(do, connection, heard):
    pump = await do(Pump, "create", flow=5, serial="7")
    heard.clear()
    del pump.flow, pump.serial
    await do(pump, "save")
    [changes] = [arguments["changes"] for name, _, arguments in heard if name == "changed"]
    assert changes == {"flow": Change(5.0, None), "serial": Change("7", None)}


async def test_nothing_changed(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    await do(pump, "save")
    assert heard == []


async def test_one_signal_for_each_record_of_a_flush(do, connection, heard):
    async with do.block(ttorm.session()):
        Pump(label="a")
        Valve(opening=3)
    told = [(name, sender) for name, sender, _ in heard if name in ("created", "post_save")]
    assert sorted(told, key=str) == sorted(
        [(name, sender) for sender in (Pump, Valve) for name in ("created", "post_save")], key=str
    )


async def test_saving_one_entry_tells_of_it_alone(do, connection, heard):
    pump = await do(Pump, "create")
    pump.flow, pump.label = 5, "b"
    pump.ledger["flow"].visibility = "true"
    heard.clear()
    await do(pump.ledger["flow"], "save")
    changes = {"flow": Change(0.0, 5.0), "flow.visibility": Change(None, "true")}
    for name, _, arguments in heard:
        if name not in OF_REQUESTS:
            assert arguments["changes"] == changes
    assert names(heard) == ["pre_save", "changed", "entry_changed", "post_save"]
    heard.clear()
    await do(pump, "save")
    [told] = [arguments["changes"] for name, _, arguments in heard if name == "changed"]
    assert told == {"label": Change("", "b")}


async def test_deleting_one_entry_at_once(do, connection, heard):
    pump = await do(Pump, "create", flow=5)
    pump.label = "b"
    heard.clear()
    await do(pump.ledger["flow"], "delete")
    [told] = [arguments["changes"] for name, _, arguments in heard if name == "entry_changed"]
    assert told == {"flow": Change(5.0, None)}


async def test_a_partial_failure_tells_what_succeeded(do, connection, others, heard):
    pump = await do(Pump, "create")
    others.call("delete_twin_ledger_entry", pump.uuid, entries=["flow"])
    heard.clear()
    pump.flow, pump.label = 5, "b"
    with pytest.raises(ttorm.SaveError):
        await do(pump, "save")
    [told] = [arguments["changes"] for name, _, arguments in heard if name == "changed"]
    assert told == {"label": Change("", "b")}
    assert names(heard) == ["pre_save", "changed", "post_save"]


async def test_a_save_that_fails_half_way_tells_what_succeeded(do, connection, wire, heard):
    pump = Pump(label="a", flow=5)

    def meddle(request):
        return HttpResponse(403) if request.url.endswith("/ledgers/personal") else None

    wire.meddle = meddle
    with pytest.raises(ttorm.ForbiddenError):
        await do(pump, "save")
    told = {name: arguments for name, _, arguments in heard}
    assert names(heard) == ["pre_save", "created", "changed", "post_save"]
    assert told["created"]["changes"] == {"label": Change(None, "a")}
    assert told["created"]["record"].uuid == pump.uuid


async def test_a_save_that_does_nothing_tells_nobody(do, connection, wire, heard):
    pump = Pump(label="a")
    wire.meddle = lambda request: HttpResponse(403)
    with pytest.raises(ttorm.ForbiddenError):
        await do(pump, "save")
    assert names(heard) == ["pre_save"]


# Refusing


async def test_pre_save_may_refuse(do, connection, receive, sent):
    pump = await do(Pump, "create")
    sent.clear()

    def refuse(sender, record, changes, **extra):
        if "flow" in changes and changes["flow"].new > 10:
            raise ValueError("too much")

    receive(signals.pre_save, refuse, sender=Pump)
    pump.flow = 11
    with pytest.raises(ValueError, match="too much"):
        await do(pump, "save")
    assert sent == []
    assert ttorm.inspect(pump).changes == {"flow": Change(0.0, 11.0)}
    pump.flow = 9
    await do(pump, "save")
    assert len(sent) == 1


async def test_pre_save_may_change_the_record(do, connection, receive, heard):
    def stamp(sender, record, **extra):
        record.label = "stamped"

    receive(signals.pre_save, stamp)
    pump = await do(Pump, "create", flow=1)
    assert pump.label == "stamped"
    [told] = [arguments["changes"] for name, _, arguments in heard if name == "created"]
    assert told["label"] == Change(None, "stamped")
    assert not ttorm.inspect(pump).is_modified


async def test_pre_save_may_take_the_change_back(do, connection, receive, sent, heard):
    pump = await do(Pump, "create")
    sent.clear()
    heard.clear()

    def forget(sender, record, **extra):
        record.discard()

    receive(signals.pre_save, forget)
    pump.flow = 5
    assert (await do(pump, "save")).requests == 0
    assert sent == []
    assert names(heard) == ["pre_save"]


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize("verb", ["save", "entry.save", "update", "save_all"])
async def test_pre_save_may_not_save(do, connection, receive, sent, verb, changing):
    verbs = {
        "save": lambda pump: (pump, "save"),
        "entry.save": lambda pump: (pump.ledger["flow"], "save"),
        "update": lambda pump: (pump.ledger["label"], "update", str, "x"),
        "save_all": lambda pump: (ttorm, "save_all", [pump]),
    }
    calls = []

    def before(record):
        calls.append(record)
        if changing:
            record.flow += 1
        owner, name, *arguments = verbs[verb](record)
        options = {"default": "x"} if name == "update" else {}
        return do(owner, name, *arguments[:1], **options)

    def save(sender, record, **extra):
        with pytest.raises(StopIteration):
            before(record).send(None)

    async def asave(sender, record, **extra):
        await before(record)

    pump = await do(Pump, "create", flow=1.0)
    receive(signals.pre_save, asave if do.asynchronous else save)
    sent.clear()
    pump.flow = 2.0
    with pytest.raises(ttorm.StateError, match=r"about to be saved right here.*leaves the saving"):
        await do(pump, "save")
    assert (len(calls), sent) == (1, [])
    assert ttorm.inspect(pump).is_modified


async def test_pre_save_of_a_role_may_not_save_it(do, connection, receive):
    role, calls = await do(ttorm.Role, "create", name="Guest"), []

    def save(sender, record, **extra):
        calls.append(record)
        record.save()

    async def asave(sender, record, **extra):
        calls.append(record)
        await record.asave()

    receive(signals.pre_save, asave if do.asynchronous else save)
    role.name = "Host"
    with pytest.raises(ttorm.StateError, match="leaves the saving"):
        await do(role, "save")
    assert calls == [role]


async def test_pre_save_may_save_others(do, connection, receive, sent):
    log = await do(Pump, "create", label="log")

    def save(sender, record, **extra):
        if record is not log:
            log.flow += 1
            log.save()

    async def asave(sender, record, **extra):
        if record is not log:
            log.flow += 1
            await log.asave()

    receive(signals.pre_save, asave if do.asynchronous else save)
    pump = await do(Pump, "create", flow=5.0)
    pump.flow = 6.0
    await do(pump, "save")
    assert log.flow == 2.0


def test_two_tasks_may_save_one_record_at_once(connection, receive):
    asked = []

    async def slowly(sender, record, **extra):
        asked.append(asyncio.current_task())
        await asyncio.sleep(0.01)

    async def change(pump, name):
        setattr(pump, name, 7.0 if name == "flow" else "seven")
        await pump.asave()

    async def work():
        pump = await Pump.acreate(flow=1.0)
        asked.clear()
        await asyncio.gather(change(pump, "flow"), change(pump, "label"))
        assert (pump.flow, pump.label) == (7.0, "seven")
        assert not ttorm.inspect(pump).is_modified

    receive(signals.pre_save, slowly)
    asyncio.run(work())
    assert len(set(asked)) == 2


# Reading


async def test_loading(do, connection, others, heard):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    heard.clear()
    pump = await do(Pump.at(uuid), "load", "ledger", "description")
    told = [arguments for name, _, arguments in heard if name == "loaded"]
    assert sorted(arguments["part"] for arguments in told) == ["description", "ledger"]
    assert all(arguments["record"] is pump for arguments in told)
    heard.clear()
    await do(pump, "load")
    assert [name for name, _, _ in heard if name == "loaded"] == ["loaded"]
    heard.clear()
    await do(pump, "load")
    assert heard == []
    await do(pump, "refresh")
    assert len([1 for name, _, _ in heard if name == "loaded"]) == 3


def test_loading_lazily(connection, others, heard):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    pump = Pump.at(uuid)
    heard.clear()
    assert pump.flow == 0.0
    assert [name for name, _, _ in heard] == ["request_sent", "loaded"]


async def test_getting_is_loading(do, connection, others, heard):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    heard.clear()
    pump = await do(Pump, "get", uuid)
    [(_, sender, told)] = [item for item in heard if item[0] == "loaded"]
    assert (sender, told["record"], told["part"]) == (Pump, pump, "description")


async def test_terminating(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    await do(pump, "terminate")
    [(_, sender, told)] = [item for item in heard if item[0] == "terminated"]
    assert (sender, told) == (Pump, {"record": pump})


# Requests


async def test_every_answer(do, connection, heard):
    pump = await do(Pump, "create")
    with pytest.raises(ttorm.NotFoundError):
        await do(Twin, "get", "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    told = [arguments for name, _, arguments in heard if name == "request_sent"]
    assert [(item["operation"], item["path"], item["status"]) for item in told] == [
        ("create_twin", "/twins", 201),
        ("add_twin_ledger_entry", f"/twins/{pump.uuid}/ledgers/personal", 201),
        ("get_twin", "/twins/0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11", 404),
    ]
    assert {id(item["connection"]) for item in told} == {id(connection)}


async def test_what_is_kept_is_no_request(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    await do(Pump, "get", pump.uuid)
    assert [name for name, _, _ in heard if name == "request_sent"] == []


async def test_pins_are_not_told(do, connection, heard):
    with pytest.raises(ttorm.ApiError):
        await do(
            connection,
            "call",
            "create_user_secret",
            "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11",
            "123456",
        )
    [told] = [arguments for name, _, arguments in heard if name == "request_sent"]
    assert told["path"] == "/secrets/{account}/{pin}"


# Receivers


async def test_receivers_of_one_class(do, connection, receive):
    told = []

    def note(sender, record, **extra):
        told.append(record)

    receive(signals.created, note, sender=Pump)
    pump = await do(Pump, "create")
    await do(Valve, "create")
    assert told == [pump]


async def test_a_failing_receiver_loses_nothing(do, connection, receive, caplog, others):
    def fail(sender, **extra):
        raise RuntimeError("a bug of the receiver")

    for name in NAMES:
        if name != "pre_save":
            receive(getattr(signals, name), fail)
    with caplog.at_level(logging.ERROR, logger="ttorm.signals"):
        pump = await do(Pump, "create", label="a", serial="7")
        pump.label = "b"
        await do(pump, "save")
        await do(pump.docs, "upload", "guide.txt", b"read me")
        await do(pump, "refresh")
        others.call("update_twin_ledger_entry_value", pump.uuid, "personal", body=NEWER)
        pump.flow = 3.0
        with pytest.raises(ttorm.ConflictError):
            await do(pump, "save", check=True)
        await do(pump, "terminate")
    assert (pump.label, pump.status) == ("b", "terminated")
    assert others.call("get_twin", pump.uuid)["description"] == {"label": "b"}
    failed = {record.getMessage().split()[3] for record in caplog.records}
    assert failed == set(NAMES) - {"pre_save"}
    assert "a bug of the receiver" in caplog.text


async def test_a_failing_receiver_leaves_the_others(do, connection, receive):
    told = []

    def fail(sender, **extra):
        raise RuntimeError

    def note(sender, **extra):
        told.append(sender)

    receive(signals.created, fail)
    receive(signals.created, note)
    await do(Pump, "create")
    assert told == [Pump]


async def test_async_receivers(do, connection, receive, caplog):
    told = []

    async def note(sender, record, **extra):
        told.append(record)

    receive(signals.created, note)
    pump = await do(Pump, "create")
    if do.asynchronous:
        assert told == [pump]
    else:
        # The write happened; the log says what to do.
        assert told == []
        assert "is a coroutine, which a blocking verb cannot run" in caplog.text
        assert "asave" in caplog.text


def test_async_receivers_may_wait(connection, receive):
    told = []

    async def slowly(sender, changes, **extra):
        await asyncio.sleep(0)
        told.append(changes)

    async def change():
        pump = await Pump.acreate()
        assert len(told) == 2
        pump.flow = 5
        await pump.asave()

    receive(signals.changed, slowly)
    receive(signals.pre_save, slowly)
    asyncio.run(change())
    assert told[2:] == [{"flow": Change(0.0, 5.0)}] * 2


async def test_an_async_receiver_may_refuse(do, connection, receive, sent):
    async def refuse(sender, **extra):
        raise ValueError("no")

    receive(signals.pre_save, refuse)
    expected = ValueError if do.asynchronous else ttorm.StateError
    with pytest.raises(expected):
        await do(Pump, "create")
    assert sent == []


async def test_a_receiver_may_use_the_record(do, connection, receive):
    def count_blocking(sender, record, **extra):
        if "saves" not in record.ledger:
            record.ledger["saves"] = 1
            record.save()

    async def count_async(sender, record, **extra):
        if "saves" not in record.ledger:
            record.ledger["saves"] = 1
            await record.asave()

    receive(signals.post_save, count_async if do.asynchronous else count_blocking)
    pump = await do(Pump, "create")
    assert pump.ledger["saves"].value == 1
    assert not ttorm.inspect(pump).is_modified


@pytest.mark.parametrize(
    ("signal", "asynchronous"),
    [(signals.request_sent, False), (signals.loaded, False), (signals.request_sent, True)],
    ids=["sent", "loaded", "async"],
)
def test_a_receiver_may_read_what_is_being_read(connection, receive, signal, asynchronous):
    """It may be called by what reads it, or what reads it may go on with it only."""
    uuids = [Pump.create(flow=float(number)).uuid for number in range(2)]
    connection.cache.drop()
    seen = []

    def look(sender, **extra):
        signal.disconnect(look)
        with ttorm.session(connection):
            seen.extend(Pump.at(uuid).flow for uuid in uuids)

    async def alook(sender, **extra):
        signal.disconnect(alook)

        async def inner():
            async with ttorm.session(connection):
                seen.extend([(await Pump.at(uuid).aload("ledger")).flow for uuid in uuids])

        await asyncio.gather(inner())

    def work():
        with ttorm.session(connection):
            ttorm.load_all(map(Pump.at, uuids), "ledger")

    async def awork():
        async with ttorm.session(connection):
            await asyncio.wait_for(ttorm.aload_all(map(Pump.at, uuids), "ledger"), 20)

    receive(signal, alook if asynchronous else look)
    if asynchronous:
        asyncio.run(awork())
    else:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(20)
    assert seen == [0.0, 1.0]


async def test_without_receivers_nothing_is_computed(do, connection, monkeypatch):
    def never(*arguments):
        raise AssertionError("changes are collected although nobody listens")

    for name in ttorm.signals.__all__:
        if name != "muted":
            # Other tests and examples may have left receivers behind.
            monkeypatch.setattr(getattr(ttorm.signals, name), "receivers", {})
    monkeypatch.setattr("ttorm.records.saving.changes_of", never)
    pump = await do(Pump, "create")
    pump.flow = 5
    assert (await do(pump, "save")).updated == ("flow",)


# Parts


@pytest.mark.parametrize("name", sorted(set(signals.__all__) - {"muted", *OF_REQUESTS}))
def test_senders_that_would_never_be_heard_of(connection, name):
    signal, pump = getattr(signals, name), Pump(flow=1.0)
    before = {*signal.receivers}
    for sender, cure in (("Pump", "Pump"), (pump, "Pump"), (connection, "Scooter")):
        with pytest.raises(TypeError, match=rf"^{name}\.connect.* a class of .* sender={cure}$"):
            signal.connect(print, sender=sender)
        with pytest.raises(TypeError, match="expected a class"):
            signal.connect_via(sender)(print)
        with (
            pytest.raises(TypeError, match="expected a class"),
            signal.connected_to(print, sender=sender),
        ):
            raise AssertionError
    with pytest.raises(TypeError, match=r"expected a function that takes \(sender, \*\*extra\)"):
        signal.connect("print")
    assert {*signal.receivers} <= before


@pytest.mark.parametrize("name", OF_REQUESTS)
def test_senders_of_requests_are_connections(connection, name):
    signal = getattr(signals, name)
    for sender in ("memory:", Pump, type(connection), 5):
        with pytest.raises(TypeError, match=rf"^{name}\.connect.* expected the connection that"):
            signal.connect(print, sender=sender)
    with signal.connected_to(print, sender=connection):
        assert signal.receivers
    assert not signal.receivers


async def test_identities_and_docs_have_signals_of_their_own(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    pump.serial = "7"
    await do(pump, "save")
    assert names(heard) == ["pre_save", "changed", "identity_changed", "post_save"]
    doc = await do(pump.docs, "upload", "guide.txt", b"read me")
    [told] = [(name, arguments) for name, _, arguments in heard if name == "doc_changed"]
    assert told[1]["changes"] == {"docs['guide.txt']": Change(None, doc)}
    assert told[1]["result"].created == ("docs['guide.txt']",)
    heard.clear()
    doc.description = {"language": "en"}
    await do(pump, "save")
    assert names(heard) == ["pre_save", "changed", "doc_changed", "post_save"]


async def test_a_conflict_is_told_and_no_change(do, connection, others, heard):
    pump = await do(Pump, "create", flow=1.0)
    others.call("update_twin_ledger_entry_value", pump.uuid, "personal", body=NEWER)
    pump.flow = 3.0
    heard.clear()
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(pump, "save", check=True)
    [told] = [arguments for name, _, arguments in heard if name == "conflict"]
    assert told == {"record": pump, "error": caught.value}
    assert "changed" not in names(heard)


async def test_stale_answers_are_told(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    pump.flow = 1.0
    await do(pump, "save")
    [told] = [(sender, arguments) for name, sender, arguments in heard if name == OF_REQUESTS[1]]
    assert told == (
        connection,
        {
            "operation": "update_twin_ledger_entry_value",
            "path": f"/twins/{pump.uuid}/ledgers/personal/value",
            "connection": connection,
        },
    )


async def test_reading_makes_nothing_stale(do, connection, heard):
    pump = await do(Pump, "create")
    heard.clear()
    await do(pump, "refresh")
    assert "cache_invalidated" not in [name for name, _, _ in heard]


async def test_a_failed_write_may_have_made_answers_stale(do, connection, wire, heard):
    pump = await do(Pump, "create", flow=1.0)
    heard.clear()

    def meddle(request):
        if request.method == "PATCH":
            raise ttorm.TransportError("cut off", sent=True)

    wire.meddle = meddle
    connection.retry = ttorm.RetryPolicy(attempts=1)
    pump.flow = 2.0
    with pytest.raises(ttorm.TtormError):
        await do(pump, "save")
    told = [name for name, _, _ in heard]
    assert "cache_invalidated" in told
    assert "changed" not in told


# Senders and order


class HeatPump(Pump):
    heat: Field[float] = entry(default=0.0)


async def test_who_asks_for_a_class_hears_of_its_subclasses(do, connection, receive):
    told = []
    for model in (Pump, Twin, Valve):

        def hear(sender, model=model, **_):
            told.append((model, sender))

        receive(signals.created, hear, sender=model, weak=False)
    await do(HeatPump, "create")
    assert told == [(Pump, HeatPump), (Twin, HeatPump)]


async def test_each_receiver_is_called_once_in_the_order_of_connecting(do, connection, receive):
    told = []
    receivers = [lambda sender, number=number, **_: told.append(number) for number in range(9)]
    for receiver in receivers:
        receive(signals.created, receiver, sender=HeatPump)
    # Also as a receiver of the base class, and of all.
    receive(signals.created, receivers[3], sender=Pump)
    receive(signals.created, receivers[4])
    await do(HeatPump, "create")
    assert told == list(range(9))


class Listener:
    def __init__(self):
        self.told = []

    def hear(self, sender, **_):
        self.told.append(sender)


async def test_methods_are_receivers(do, connection, receive):
    listener = Listener()
    receive(signals.created, listener.hear, sender=Pump)
    await do(HeatPump, "create")
    assert listener.told == [HeatPump]


# Silence


async def test_nobody_is_told_inside_a_muted_block(do, connection, heard):
    with signals.muted():
        pump = await do(Pump, "create", flow=1.0)
    assert heard == []
    with signals.muted(signals.changed, signals.pre_save):
        pump.flow = 2.0
        await do(pump, "save")
    assert names(heard) == ["entry_changed", "post_save"]
    with signals.changed.muted():
        pump.flow = 3.0
        await do(pump, "save")
    assert names(heard) == ["pre_save", "entry_changed", "post_save"]


def test_muting_is_for_one_thread_alone(connection, heard):
    from concurrent.futures import ThreadPoolExecutor

    with signals.muted(), ThreadPoolExecutor(1) as threads:
        threads.submit(Pump.create).result()
    assert "created" in names(heard)


async def test_what_is_only_found_by_reading_is_told_too(do, connection, others, heard):
    class Tagged(Twin):
        tag: Field[str | None] = identity("TAG", default=None)

    twin = others.call("create_twin", body={"description": {"a": 1, "b": 2}})
    uuid = twin["creation_certificate"]["uuid"]
    others.call("create_twin_identity", uuid, body={"identities": {"TAG#old": {}}})
    tagged = Tagged.at(uuid)
    tagged.tag = None
    tagged.description = {"b": 2}
    heard.clear()
    await do(tagged, "save", check=True)
    [told] = [arguments["changes"] for name, _, arguments in heard if name == "changed"]
    assert told == {"description['a']": Change(1, None), "tag": Change("old", None)}


async def test_clearing_a_ledger(do, connection, heard):
    pump = await do(Pump, "create", flow=1, tags=["a"])
    heard.clear()
    await do(pump.ledger, "clear")
    told = {name: arguments for name, _, arguments in heard}
    assert names(heard) == ["changed", "entry_changed", "post_save"]
    changes = {"flow": Change(1.0, None), "tags": Change(["a"], None)}
    assert told["changed"]["changes"] == told["entry_changed"]["changes"] == changes
    assert told["post_save"]["result"].deleted == ("flow", "tags")
    await do(pump.ledger, "clear")
    assert names(heard) == []


async def test_a_ledger_that_cannot_be_cleared_keeps_its_changes(do, connection, wire, heard):
    pump = await do(Pump, "create", flow=1)
    pump.flow = 2
    heard.clear()

    def refuse(request):
        raise ttorm.TransportError("cut off", sent=False)

    wire.meddle = refuse
    connection.retry = ttorm.RetryPolicy(attempts=1)
    with pytest.raises(ttorm.TransportError):
        await do(pump.ledger, "clear")
    assert names(heard) == []
    assert ttorm.inspect(pump).changes == {"flow": Change(1.0, 2.0)}
