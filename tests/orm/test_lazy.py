"""Loading what is looked at, and only then; refusing to where waiting would block a loop."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import pydoc
from contextlib import nullcontext
from pprint import pformat

import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity


class Robot(Twin):
    model: Field[str] = description(default="none")
    battery: Field[float] = entry(default=0.0)
    arms: Field[int] = entry(default=2)
    serial: Field[str | None] = identity("SN", default=None)


@pytest.fixture
def uuid(others):
    """A Twin that another program made."""
    twin = others.call("create_twin", body={"description": {"model": "R2"}})
    uuid = twin["creation_certificate"]["uuid"]
    entries = {"battery": {"value": 50}, "arms": {"value": 4}}
    others.call("add_twin_ledger_entry", uuid, body={"entries": entries})
    others.call("create_twin_identity", uuid, body={"identities": {"SN#7": {}}})
    return uuid


# A miss loads what one request can bring


def test_the_whole_description_at_once(uuid, sent):
    robot = Robot.at(uuid)
    assert robot.model == "R2"
    assert sent.lines() == [f"GET /twins/{uuid}"]
    assert (robot.status, dict(robot.description)) == ("alive", {"model": "R2"})
    assert sent == []


def test_the_whole_ledger_at_once(uuid, sent):
    robot = Robot.at(uuid)
    assert robot.arms == 4
    assert sent.lines() == [f"GET /twins/{uuid}/ledgers/personal"]
    assert (robot.battery, robot.ledger["battery"].value, len(robot.ledger)) == (50.0, 50, 2)
    assert sent == []


def test_all_identities_at_once(uuid, sent):
    robot = Robot.at(uuid)
    assert robot.serial == "7"
    assert sent.lines() == [f"GET /twins/{uuid}/identities"]
    assert list(robot.identities) == ["SN#7"]
    assert sent == []


def test_a_read_value_is_an_ordinary_instance_attribute(uuid, connection):
    robot = Robot.at(uuid)
    assert "battery" not in vars(robot)
    assert robot.battery == 50.0
    assert vars(robot)["battery"] == 50.0


def test_a_part_is_loaded_once_although_it_is_empty(others, connection, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    robot = Robot.at(uuid)
    assert (robot.battery, robot.arms, len(robot.ledger)) == (0.0, 2, 0)
    assert (len(robot.docs), len(robot.docs)) == (0, 0)
    assert sorted(sent.lines()) == [
        f"GET /twins/{uuid}/docs",
        f"GET /twins/{uuid}/ledgers/personal",
    ]


def test_asking_for_an_entry_by_name_loads_nothing_before_its_value(uuid, sent):
    entry = Robot.at(uuid).ledger["battery"]
    assert sent == []
    assert entry.visibility is None
    assert len(sent) == 1
    assert (entry.value, entry.created_at <= entry.updated_at) == (50, True)
    assert len(sent) == 1


def test_what_was_written_can_be_read_without_loading(uuid, sent):
    robot = Robot.at(uuid)
    robot.battery, robot.model, robot.serial = 7, "R3", "8"
    robot.ledger["wheels"] = [1, 2]
    robot.description["site"] = {"hall": 4}
    assert (robot.battery, robot.model, robot.serial) == (7.0, "R3", "8")
    assert robot.ledger["wheels"].value == [1, 2]
    assert robot.description["site"] == {"hall": 4}
    assert sent == []


def test_missing_names_are_told_without_asking_twice(uuid, sent):
    robot = Robot.at(uuid)
    assert "wheels" not in robot.ledger
    with pytest.raises(ttorm.MissingEntryError, match="no Entry 'wheels'"):
        _ = robot.ledger["wheels"].value
    with pytest.raises(KeyError):
        _ = robot.description["colour"]
    with pytest.raises(KeyError):
        _ = robot.identities["SN#8"]
    assert len(sent) == 3


# Under a running loop


READS = {
    "model": lambda robot: robot.model,
    "battery": lambda robot: robot.battery,
    "serial": lambda robot: robot.serial,
    "status": lambda robot: robot.status,
    "created_at": lambda robot: robot.created_at,
    "description": lambda robot: robot.description["model"],
    "ledger": lambda robot: list(robot.ledger),
    r"ledger\['battery'\].value": lambda robot: robot.ledger["battery"].value,
    "ledgers/owner": lambda robot: list(robot.ledgers.owner),
    r"ledger\['arms'\].history": lambda robot: robot.ledgers.owner["arms"].history_period,
    "identities": lambda robot: list(robot.identities),
    r"identities\['SN#7'\]": lambda robot: robot.identities["SN#7"],
    "docs": lambda robot: list(robot.docs),
    r"docs\['a.txt'\]": lambda robot: robot.docs["a.txt"],
}


@pytest.mark.parametrize("what", READS)
def test_reading_under_a_loop_is_refused(uuid, sent, what):
    async def read():
        READS[what](Robot.at(uuid))

    with pytest.raises(ttorm.NotLoadedError, match=what) as caught:
        asyncio.run(read())
    message = str(caught.value)
    assert f"of Robot {uuid} is not loaded" in message
    assert "write await record.aload('" in message
    assert "connect(blocking=True)" in message
    assert isinstance(caught.value, RuntimeError)
    assert not isinstance(caught.value, AttributeError)
    assert sent == []


@pytest.mark.parametrize("what", READS)
def test_the_line_the_message_proposes_is_right(uuid, connection, sent, what):
    async def read():
        robot = Robot.at(uuid)
        try:
            READS[what](robot)
        except ttorm.NotLoadedError as error:
            _, _, line = str(error).partition("write await record.aload('")
        await robot.aload(line.partition("')")[0])
        sent.clear()
        return READS[what](robot)

    # There is no such Doc: that is known afterwards.
    with pytest.raises(KeyError) if "docs" in what and "txt" in what else nullcontext():
        asyncio.run(read())
    assert sent == []


def test_the_refusal_does_not_depend_on_the_cache(uuid, connection, sent):
    async def read():
        await Robot.at(uuid).aload("ledger")
        with pytest.raises(ttorm.NotLoadedError):
            _ = Robot.at(uuid).battery

    asyncio.run(read())
    assert len(sent) == 1


def test_getattr_with_a_default_does_not_hide_the_refusal(uuid, connection):
    async def read():
        robot = Robot.at(uuid)
        with pytest.raises(ttorm.NotLoadedError):
            getattr(robot, "battery", None)
        with pytest.raises(ttorm.NotLoadedError):
            hasattr(robot, "battery")

    asyncio.run(read())


def test_an_async_session_never_blocks(uuid, connection, sent):
    async def read():
        async with ttorm.session():
            with pytest.raises(ttorm.NotLoadedError):
                _ = Robot.at(uuid).battery

    asyncio.run(read())
    assert sent == []


def test_after_an_async_session_its_records_load_like_others(uuid, connection):
    async def hand_out():
        async with ttorm.session():
            return Robot.at(uuid)

    assert asyncio.run(hand_out()).battery == 50.0


def test_blocking_allows_it(uuid, connect, sent):
    allowing = connect(blocking=True, default=True)

    async def read():
        robot = Robot.at(uuid)
        return robot.battery, robot.model, robot.serial, list(robot.docs)

    assert asyncio.run(read()) == (50.0, "R2", "7", [])
    assert len(allowing.transport.sent) == 4


def test_blocking_false_allows_it_outside_loops(uuid, connect):
    connect(blocking=False, default=True)
    assert Robot.at(uuid).battery == 50.0


def test_a_notebook_kernel_allows_it(uuid, connection, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipykernel", asyncio)

    async def read():
        return Robot.at(uuid).battery

    assert asyncio.run(read()) == 50.0


def test_details_of_an_identity_under_a_loop(uuid, connection):
    async def read():
        robot = await Robot.at(uuid).aload("identities")
        identity = robot.identities["SN#7"]
        # The listing does not tell the visibility.
        with pytest.raises(ttorm.NotLoadedError, match=r"await identity\.arefresh\(\)"):
            _ = identity.visibility
        await identity.arefresh()
        return identity.visibility

    assert asyncio.run(read()) is None


def test_details_of_a_doc_under_a_loop(uuid, connection, others):
    async def read():
        robot = await Robot.at(uuid).aload("docs")
        doc = robot.docs["a.txt"]
        assert doc.size == 3
        for attribute in ("status", "sha256", "description", "storage_class"):
            with pytest.raises(ttorm.NotLoadedError, match=r"await doc\.arefresh\(\)"):
                getattr(doc, attribute)
        await doc.arefresh()
        return doc.status, doc.description, len(doc.sha256)

    with ttorm.session(others):
        Twin.at(uuid).docs.upload("a.txt", b"abc")
    assert asyncio.run(read()) == ("ok", None, 64)


# What must never ask


LOOKS = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "pformat": pformat,
    "equal": lambda robot: robot == Twin.at(robot.uuid),
    "unequal": lambda robot: robot != 5,
    "hash": hash,
    "dir": dir,
    "vars": vars,
    "bool": bool,
    "hasattr private": lambda robot: hasattr(robot, "_x"),
    "hasattr ipython": lambda robot: hasattr(robot, "_repr_html_"),
    "hasattr dunder": lambda robot: hasattr(robot, "__html__"),
    "hasattr unknown": lambda robot: hasattr(robot, "shape"),
    "isinstance": lambda robot: isinstance(robot, (Robot, list)),
    "callable": callable,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda robot: pickle.loads(pickle.dumps(robot)),
    "inspect": lambda robot: repr(ttorm.inspect(robot)),
    "changes": lambda robot: str(ttorm.inspect(robot).changes),
    "is modified": lambda robot: ttorm.inspect(robot).is_modified,
    "loaded": lambda robot: ttorm.inspect(robot).loaded,
    "plan": lambda robot: str(robot.plan()),
    "discard": lambda robot: robot.discard(),
    "parts": lambda robot: repr(
        [
            robot.description,
            robot.ledger,
            robot.ledgers,
            robot.ledgers.owner,
            robot.ledger["battery"],
            robot.identities,
            robot.docs,
            robot.ledger["battery"].history(),
        ]
    ),
    "equal parts": lambda robot: robot.ledger == robot.ledger and hash(robot.ledger),
    "equal entries": lambda robot: (
        robot.ledger["a"] == robot.ledger["a"] != robot.ledger["b"] and hash(robot.ledger["a"])
    ),
    "scan": lambda robot: repr(Robot.scan(Robot.battery < 20)),
    "uuid": lambda robot: robot.uuid,
    "assigning": lambda robot: setattr(robot, "battery", 5),
    "assigning an identity": lambda robot: setattr(robot, "serial", "9"),
    "deleting an entry": lambda robot: robot.ledger.__delitem__("arms"),
}


@pytest.mark.parametrize("look", LOOKS)
async def test_looking_never_asks(do, uuid, sent, look):
    robot = Robot.at(uuid)
    LOOKS[look](robot)
    assert sent == []
    assert ttorm.inspect(robot).loaded == ()


def test_looking_at_the_class_never_asks(connection, sent):
    inspect.getmembers(Robot, lambda member: isinstance(member, property))
    repr(Robot.battery)
    dir(Robot)
    help_text = inspect.getdoc(Robot)
    assert "battery" in dir(Robot)
    assert help_text is not None
    with pytest.raises(TypeError, match=r"&, \| and ~"):
        bool(Robot.battery < 20)
    assert sent == []


def test_shells_and_help_know_the_verbs_of_the_class(connection):
    assert {"create", "acreate", "find_or_create", "afind_or_create"} <= set(dir(Robot))
    assert "create" not in dir(Robot.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"))
    assert "Make a Twin of this class and save it." in pydoc.render_doc(Robot)


def test_a_debugger_shows_a_record_without_asking(uuid, sent):
    robot = Robot.at(uuid)
    shown = {
        name: value for name, value in inspect.getmembers_static(robot) if not name.startswith("_")
    }
    assert "battery" in shown or "battery" in dir(robot)
    assert sent == []


def test_a_kept_answer_serves_a_miss(uuid, sent):
    assert Robot.at(uuid).battery == 50.0
    with ttorm.session():
        assert len(sent.take()) == 1
        assert (Robot.at(uuid).battery, Robot.at(uuid).arms) == (50.0, 4)
    assert sent == []
