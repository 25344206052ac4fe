"""How objects show themselves: as text, in notebooks, by rich; never with a request."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from dataclasses import dataclass
from pprint import pformat

import pytest
from rich.console import Console

import ttorm
from ttorm import Doc, Entry, Field, Link, Reference, Twin, description, doc, entry, identity
from ttorm.connection.credentials import Credentials
from ttorm.records.pages import Page


@dataclass
class Position:
    lat: float
    friend: Link[Robot] | None = None


class Station(Twin):
    celsius: Field[float] = entry()


class Robot(Twin):
    model: Field[str] = description(default="none")
    battery: Field[float] = entry(default=0.0)
    tags: Field[list[str]] = entry(default_factory=list)
    position: Field[Position | None] = entry(default=None)
    friend: Field[Link[Robot] | None] = entry(default=None)
    outside: Reference[float | None] = ttorm.reference(Station.celsius, default=None)
    serial: Field[str | None] = identity("SN", default=None)
    manual: Field[Doc] = doc("manual.txt")


@pytest.fixture
def uuid(others):
    """A Twin that another program made."""
    twin = others.call("create_twin", body={"description": {"model": "R2", "site": "<b>[red]"}})
    uuid = twin["creation_certificate"]["uuid"]
    entries = {"battery": {"value": 50}, "tags": {"value": ["a"]}, "extra": {"value": {"x": 1}}}
    others.call("add_twin_ledger_entry", uuid, body={"entries": entries})
    others.call("create_twin_identity", uuid, body={"identities": {"SN#7": {}}})
    with ttorm.session(others):
        Twin.at(uuid).docs.upload("manual.txt", b"abc")
    return uuid


class Printer:
    """The part of IPython's printer that objects use."""

    def __init__(self, depth=1):
        self.stack, self.found = [0] * depth, []

    def text(self, text):
        self.found.append(text)

    def break_(self):
        self.found.append("\n")


def pretty(shown, depth=1):
    printer = Printer(depth)
    shown._repr_pretty_(printer, cycle=False)
    return "".join(printer.found)


def rich(shown):
    output = io.StringIO()
    Console(file=output, width=200).print(shown)
    return output.getvalue()


def html(shown):
    return shown._repr_html_()


FORMS = {"pretty": pretty, "rich": rich, "html": html}


# What is shown


def test_a_record_that_is_not_loaded(uuid):
    robot = Robot.at(uuid)
    assert repr(robot) == f"<Robot {uuid}>"
    assert pretty(robot) == f"Robot {uuid}\n  (not loaded: description, ledger, identities)"


def test_fields_that_are_loaded(uuid, connection):
    robot = Robot.at(uuid).load("description")
    assert repr(robot) == f"<Robot {uuid}: model='R2'>"
    assert pretty(robot) == (
        f"Robot {uuid}\n"
        "  model                'R2'\n"
        "  description['site']  '<b>[red]'\n"
        "  (not loaded: ledger, identities)"
    )
    robot.load()
    assert repr(robot) == (
        f"<Robot {uuid}: model='R2', battery=50.0, tags=['a'], position=None, friend=None, "
        "outside=None, serial='7'>"
    )


def test_what_was_changed(uuid, connection):
    robot = Robot.at(uuid).load()
    robot.battery, robot.serial = 7, "8"
    robot.tags.append("b")
    robot.position = Position(1.5)
    del robot.model
    robot.ledger["extra"].value["x"] = 2
    robot.ledger["extra"].visibility = "true"
    robot.ledger["new"] = None
    robot.description["site"] = "hall"
    assert pretty(robot).split("\n")[1:] == [
        "  model                       'R2' -> 'none'",
        "  battery                     50.0 -> 7.0",
        "  tags                        ['a'] -> ['a', 'b']",
        "  position                    (none) -> Position(lat=1.5, friend=None)",
        "  friend                      None",
        "  outside                     None",
        "  serial                      '7' -> '8'",
        "  description['site']         '<b>[red]' -> 'hall'",
        "  ledger['extra']             {'x': 1} -> {'x': 2}",
        "  ledger['new']               (none) -> None",
        "  ledger['extra'].visibility  None -> 'true'",
    ]
    assert "battery=50.0 -> 7.0" in repr(robot)
    assert "<td>50.0 -&gt; 7.0</td>" in html(robot)


def test_what_was_assigned_before_it_was_loaded(uuid, sent):
    robot = Robot.at(uuid)
    robot.battery, robot.serial = 7, "8"
    assert repr(robot) == f"<Robot {uuid}: battery=(not loaded) -> 7.0, serial=(none) -> '8'>"
    assert sent == []


def test_what_is_removed(uuid, connection):
    robot = Robot.at(uuid).load()
    del robot.battery
    del robot.ledger["extra"]
    assert "battery=50.0 -> (removed)" in repr(robot)
    assert "{'x': 1} -> (removed)" in pretty(robot)
    assert "{'x': 1} -> (removed)" in pretty(robot.ledger)


def test_a_record_that_is_not_saved(connection):
    robot = Robot(model="R3")
    assert repr(robot).startswith("<Robot (not saved): model='R3', battery=0.0, tags=[]")
    assert "->" not in repr(robot)
    assert "not loaded" not in pretty(robot)


def test_a_reference_that_is_not_saved_names_its_source(connection, sent):
    station = Station.create(celsius=21.5)
    with ttorm.session():
        robot = Robot.create(outside=Station.at(station.uuid))
        sent.clear()
        robot.outside = Station.at(robot.uuid)
        assert f"(a copy of twin://{robot.uuid}/" in repr(robot)
        assert sent == []
        robot.discard()


def test_links_in_circles_end(connection):
    robot = Robot.create()
    robot.friend, robot.position = robot, Position(1.0, friend=robot)
    robot.save()
    short = f"<Robot {robot.uuid}>"
    assert f"friend={short}" in repr(robot)
    assert f"friend  {short}".split() == pretty(robot).split("\n")[5].split()


def test_a_spoilt_container_is_shown(uuid, connection):
    robot = Robot.at(uuid).load()
    robot.tags.append(object())
    robot.ledger["extra"].value["x"] = {1}
    assert "<object object" in repr(robot)
    assert "{'x': {1}}" in pretty(robot)


def test_a_value_that_its_type_refuses_is_shown(uuid, others):
    body = {"entries": {"battery": {"value": "empty"}}}
    others.call("update_twin_ledger_entry_value", uuid, body=body)
    assert "battery='empty'" in repr(Robot.at(uuid).load())


def test_long_values_and_many_entries_are_cut(connection):
    twin = Twin.create(entries={f"e{n}": n for n in range(150)}, description={"text": "x" * 900})
    lines = pretty(twin).split("\n")
    assert max(map(len, lines)) < 250
    assert len(lines) == 1 + 100 + 1
    assert lines[-1].split() == ["...", "51", "more"]
    robot = Robot.create(model="x" * 900, tags=["y" * 900])
    assert len(repr(robot)) < 400


def test_the_result_of_many_saves_is_cut(connection):
    result = ttorm.save_all([Robot(serial=str(number)) for number in range(40)])
    assert len(result.created) > 80
    assert repr(result).startswith("SaveResult(created=('model', 'serial', 'battery', ")
    assert repr(result).endswith(f"..., updated=(), deleted=(), requests={result.requests})")
    assert len(repr(result)) < 300


def test_parts(uuid, connection):
    robot = Robot.at(uuid).load("ledger", "identities", "docs")
    robot.identities.add("RFID#1")
    assert pretty(robot.ledger).split("\n")[1:] == [
        "  battery  50",
        "  tags     ['a']",
        "  extra    {'x': 1}",
    ]
    robot.ledger["battery"].history_period = "3M"
    assert pretty(robot.ledger["battery"]).split("\n")[1:] == [
        "  value           50",
        "  history_period  None -> '3M'",
    ]
    assert pretty(robot.identities).split("\n")[1:] == ["  SN#7", "  RFID#1  (new)"]
    robot.identities["RFID#1"].visibility = "true"
    assert "visibility  (none) -> 'true'" in pretty(robot.identities["RFID#1"])
    assert pretty(robot.docs).split("\n")[1:] == ["  manual.txt"]
    assert pretty(robot.docs.folder("Manuals")).split("\n")[1:] == []
    assert "status" in pretty(robot.docs["manual.txt"].refresh())
    assert "not loaded" in pretty(Robot.at(robot.uuid).ledgers.owner)
    assert "2.5" in pretty(Entry(2.5))


def test_plans_results_scans_and_pages(uuid, connection):
    robot = Robot.at(uuid).load()
    robot.battery = 7
    plan = robot.plan()
    path = f"/twins/{uuid}/ledgers/personal/value"
    for form in FORMS.values():
        assert path in form(plan)
        assert "PATCH" in form(plan)
    changes = ttorm.inspect(robot).changes
    assert "battery  50.0  7.0" in pretty(changes)
    assert pretty(ttorm.inspect(robot)).startswith(f"Robot {uuid}: modified\n")
    assert pretty(robot.save()).split("\n")[1:] == ["  updated  battery", "  (requests: 1)"]
    assert "LEDGER.battery" in pretty(Robot.scan(Robot.battery < 20))
    (page,) = Robot.scan().pages()
    assert f"0  <Robot {uuid}" in pretty(page)
    assert "cursor: c" in pretty(Page([robot], "c"))


def test_sessions(uuid, connection):
    with ttorm.session() as session:
        assert repr(session) == f"<Session of {connection!r}: 0 unsaved>"
        Robot.at(uuid).battery = 7
        assert repr(session) == f"<Session of {connection!r}: 1 unsaved>"


def test_inside_other_objects_it_takes_one_line(uuid, connection):
    robot = Robot.at(uuid).load()
    assert pretty(robot, depth=2) == repr(robot)


def test_nothing_is_taken_for_markup(uuid, connection):
    robot = Robot.at(uuid).load("description")
    assert "[red]" in rich(robot)
    assert "&lt;b&gt;[red]" in html(robot)
    assert "<b>" not in html(robot)


def test_secrets_are_not_shown(connect):
    connection = connect(default=True)
    connection.credentials = Credentials(ttorm.Secret("very-secret"))
    robot = Robot(model="x")
    for form in (repr, pformat, *FORMS.values()):
        assert "very-secret" not in form(robot)


# What must never ask


OBJECTS = {
    "record": lambda robot: robot,
    "plain": lambda robot: Twin.at(robot.uuid),
    "description": lambda robot: robot.description,
    "ledger": lambda robot: robot.ledger,
    "ledgers": lambda robot: robot.ledgers,
    "foreign ledger": lambda robot: robot.ledgers.owner,
    "entry": lambda robot: robot.ledger["battery"],
    "identities": lambda robot: robot.identities,
    "identity": lambda robot: robot.identities.add("RFID#1"),
    "docs": lambda robot: robot.docs,
    "doc": lambda robot: robot.manual,
    "plan": lambda robot: robot.plan(),
    "result": lambda robot: ttorm.SaveResult(("a",)),
    "scan": lambda robot: Robot.scan(Robot.battery < 20),
    "page": lambda robot: Page([robot], None),
    "history": lambda robot: robot.ledger["battery"].history(),
    "inspection": ttorm.inspect,
    "changes": lambda robot: ttorm.inspect(robot).changes,
    "session": lambda robot: ttorm.session(),
    "connection": lambda robot: robot._connection,
    "model": lambda robot: Robot,
}


def variables(shown):
    """Look at each variable, as debuggers do."""
    for _, value in inspect.getmembers_static(shown):
        repr(value)
    for value in getattr(shown, "__dict__", {}).values():
        repr(value)


LOOKS = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "pformat": pformat,
    "dir": dir,
    "variables": variables,
    "equal": lambda shown: shown != 5,
    "hash": lambda shown: isinstance(shown, Page) or (type(shown).__hash__ and hash(shown)),
    "hasattr": lambda shown: (hasattr(shown, "_x"), hasattr(shown, "__html__")),
    "copy": lambda shown: isinstance(shown, ttorm.Connection) or copy.copy(shown),
    "rich": rich,
    "html": lambda shown: inspect.isclass(shown) or getattr(shown, "_repr_html_", str)(),
    "pretty": lambda shown: hasattr(type(shown), "_repr_pretty_") and pretty(shown),
}


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("look", LOOKS)
async def test_looking_at_anything_never_asks(do, uuid, sent, what, look):
    robot = Robot.at(uuid)
    LOOKS[look](OBJECTS[what](robot))
    assert sent == []
    assert ttorm.inspect(robot).loaded == ()


@pytest.mark.parametrize("what", ["record", "plain"])
async def test_looking_at_what_is_loaded_hands_nothing_out(do, uuid, sent, what):
    async with do.block(ttorm.session()) as session:
        robot = OBJECTS[what](Robot.at(uuid))
        await do(robot, "load")
        sent.clear()
        for form in (repr, *FORMS.values()):
            form(robot)
        for form in FORMS.values():
            form(robot.ledger)
        assert sent == []
        assert session._held == {}
        assert robot._state._lent is None
        assert not robot._state._touched


@pytest.mark.parametrize("what", ["record", "plain"])
def test_pickling_never_asks(uuid, sent, what):
    pickle.loads(pickle.dumps(OBJECTS[what](Robot.at(uuid))))
    assert sent == []


def test_an_identity_is_shown_as_what_its_field_reads(connection):
    class Slot(Twin):
        number: Field[int] = identity("NO")

    slot = Slot.create(number=5)
    assert "number=5>" in repr(slot)
    slot.number = 6
    assert "number=5 -> 6>" in repr(slot)
