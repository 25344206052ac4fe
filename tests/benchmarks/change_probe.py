"""Which changes do object mappers notice? Fourteen probes, for ttorm and for its peers.

Each probe takes a record that has just been read, does one thing to it and asks whether it would
be saved. Run it with ``python tests/benchmarks/change_probe.py``; what is not installed is named
and left out. Peers are no dependencies of ttorm::

    pip install sqlalchemy django beanie mongoengine odmantic pyairtable python-gitlab peewee pony \
        stripe pydantic attrs
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

# The probes


class Hands(NamedTuple):
    """How a record of some library is held: its attributes are got and set by these."""

    get: Callable[[Any, str], Any] = getattr
    set: Callable[[Any, str, Any], Any] = setattr


class Probe(NamedTuple):
    """One thing done to a record, and whether it is to be noticed as a change."""

    name: str
    act: Callable[[Hands, Any], object]
    changes: bool = True


def values() -> dict[str, Any]:
    """Give what every record holds: a number, a list, a dictionary, a list of dictionaries."""
    return {
        "num": 1,
        "lst": [3, 1, 2],
        "dct": {"k": 1, "sub": {"deep": 1}, "arr": [1]},
        "lod": [{"x": 1}],
    }


def _extend(hands: Hands, record: Any) -> None:
    held = hands.get(record, "lst")
    held += [9]


def _merge(hands: Hands, record: Any) -> None:
    held = hands.get(record, "dct")
    held |= {"z": 1}


def _iterate(hands: Hands, record: Any) -> None:
    for value in hands.get(record, "dct").values():
        if isinstance(value, dict):
            value["deep"] = 2


PROBES = [
    Probe("scalar set", lambda hands, record: hands.set(record, "num", 5)),
    Probe("equal value set", lambda hands, record: hands.set(record, "num", 1), changes=False),
    Probe("`list.append`", lambda hands, record: hands.get(record, "lst").append(4)),
    Probe("`list +=`", _extend),
    Probe("`list.sort`", lambda hands, record: hands.get(record, "lst").sort()),
    Probe("`list[0] =`", lambda hands, record: hands.get(record, "lst").__setitem__(0, 99)),
    Probe('`dict["k"] =`', lambda hands, record: hands.get(record, "dct").__setitem__("k", 2)),
    Probe("`dict.update`", lambda hands, record: hands.get(record, "dct").update(k=3)),
    Probe(r"`dict \|=`", _merge),
    Probe(
        "dict in dict", lambda hands, record: hands.get(record, "dct")["sub"].update({"deep": 2})
    ),
    Probe("list in dict", lambda hands, record: hands.get(record, "dct")["arr"].append(2)),
    Probe("dict in list", lambda hands, record: hands.get(record, "lod")[0].__setitem__("x", 2)),
    Probe("while iterating", _iterate),
    Probe("read only", lambda hands, record: [hands.get(record, n) for n in values()], False),
]


# The libraries


class Subject(NamedTuple):
    """A library that keeps track of changes.

    Attributes:
        name: What the table calls it.
        package: Its distribution, for the version.
        load: Makes a record as it is after reading.
        changed: Tells whether the record would be saved.
        hands: How its attributes are got and set.
    """

    name: str
    package: str
    load: Callable[[], Any]
    changed: Callable[[Any], bool]
    hands: Hands = Hands()


def _ttorm() -> Iterator[Subject]:
    import ttorm
    from ttorm import Field, Twin, entry

    class Probed(Twin):
        num: Field[int] = entry()
        lst: Field[list[int]] = entry()
        dct: Field[dict[str, Any]] = entry()
        lod: Field[list[dict[str, Any]]] = entry()

    connection = ttorm.connect("memory:", default=False)

    def load() -> Any:
        with ttorm.session(connection):
            uuid = Probed.create(**values()).uuid
        with ttorm.session(connection):
            return Probed.get(uuid).load()

    entries = Hands(
        lambda record, name: record.ledger[name].value,
        lambda record, name, value: record.ledger.__setitem__(name, value),
    )

    def modified(record: Any) -> bool:
        return ttorm.inspect(record).is_modified

    yield Subject("**ttorm**, fields", "ttorm", load, modified)
    yield Subject("**ttorm**, without a class", "ttorm", load, modified, entries)


def _sqlalchemy() -> Iterator[Subject]:
    from sqlalchemy import JSON, Integer, create_engine, inspect
    from sqlalchemy.ext.mutable import MutableDict, MutableList
    from sqlalchemy.orm import Session, declarative_base, mapped_column

    base: Any = declarative_base()
    engine = create_engine("sqlite://")

    def subject(name: str, a_list: Any, a_dict: Any) -> Subject:
        body = {
            "__tablename__": name,
            "id": mapped_column(Integer, primary_key=True),
            "num": mapped_column(Integer),
            "lst": mapped_column(a_list),
            "dct": mapped_column(a_dict),
            "lod": mapped_column(a_list),
        }
        model = type(name, (base,), body)
        base.metadata.create_all(engine)
        session = Session(engine)

        def load() -> Any:
            session.query(model).delete()
            session.add(model(id=1, **values()))
            session.commit()
            record = session.get(model, 1)
            _ = [getattr(record, column) for column in values()]
            return record

        return Subject(
            name,
            "sqlalchemy",
            load,
            lambda record: bool(inspect(record).session.is_modified(record)),
        )

    yield subject("SQLAlchemy, `JSON`", JSON, JSON)
    mutable = MutableList.as_mutable(JSON), MutableDict.as_mutable(JSON)
    yield subject("SQLAlchemy, `MutableDict` and `MutableList`", *mutable)


def _beanie() -> Iterator[Subject]:
    import beanie
    from pymongo import AsyncMongoClient

    class Probed(beanie.Document):
        num: int
        lst: list[int]
        dct: dict[str, Any]
        lod: list[dict[str, Any]]

        class Settings:
            use_state_management = True

    class Unasked:
        """A database that answers what Beanie asks when it begins; there is no server."""

        def __init__(self) -> None:
            self._database = AsyncMongoClient(connect=False)["probes"]

        async def command(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"version": "7.0.0"}

        async def list_collection_names(self, **_: Any) -> list[str]:
            return []

        def __getitem__(self, name: str) -> Any:
            return self._database[name]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._database, name)

    unasked: Any = Unasked()
    asyncio.run(
        beanie.init_beanie(database=unasked, document_models=[Probed], skip_indexes=True)  # type: ignore[func-returns-value]
    )

    def load() -> Any:
        record = Probed.model_validate({"_id": "5f0000000000000000000000", **values()})
        record._save_state()
        return record

    yield Subject("Beanie, state management on", "beanie", load, attrgetter("is_changed"))


def _mongoengine() -> Iterator[Subject]:
    import mongoengine as me

    class Probed(me.Document):
        num = me.IntField()
        lst = me.ListField(me.IntField())
        dct = me.DictField()
        lod = me.ListField(me.DictField())

    yield Subject(
        "MongoEngine",
        "mongoengine",
        lambda: Probed._from_son({"_id": "5f0000000000000000000000", **values()}),
        lambda record: bool(record._get_changed_fields()),
    )


def _odmantic() -> Iterator[Subject]:
    import odmantic

    class Probed(odmantic.Model):
        num: int
        lst: list[int]
        dct: dict[str, Any]
        lod: list[dict[str, Any]]

    def load() -> Any:
        record = Probed.model_validate_doc({"_id": odmantic.ObjectId(), **values()})
        record.__fields_modified__.clear()
        return record

    yield Subject(
        "ODMantic",
        "odmantic",
        load,
        lambda record: bool(record.__fields_modified__ | set(record.__mutable_fields__)),
    )


def _pyairtable() -> Iterator[Subject]:
    from pyairtable.orm import Model, fields

    class Probed(Model):
        class Meta:
            base_id = "appProbes"
            table_name = "probes"
            api_key = "none"

        num = fields.IntegerField("num")
        lst = fields.MultipleSelectField("lst")
        lod = fields.AttachmentsField("lod")
        dct = fields.Field("dct")

    stamp = {"id": "rec1", "createdTime": "2021-01-01T00:00:00.000Z"}
    yield Subject(
        "pyairtable",
        "pyairtable",
        lambda: Probed.from_record({**stamp, "fields": values()}),  # type: ignore[typeddict-item]
        lambda record: any(record._changed.values()),
    )


def _gitlab() -> Iterator[Subject]:
    import gitlab
    from gitlab.v4.objects import GroupLabel

    manager: Any = SimpleNamespace(gitlab=gitlab.Gitlab("https://example.invalid"), parent_attrs={})
    yield Subject(
        "python-gitlab",
        "python-gitlab",
        lambda: GroupLabel(manager, {"id": 1, **values()}),
        lambda record: bool(record._updated_attrs),
    )


def _peewee() -> Iterator[Subject]:
    import peewee

    class Probed(peewee.Model):
        num = peewee.IntegerField()
        lst = peewee.BareField()
        dct = peewee.BareField()
        lod = peewee.BareField()

        class Meta:
            only_save_dirty = True

    def load() -> Any:
        record = Probed(**values())
        record._dirty.clear()
        return record

    yield Subject(
        "peewee, `only_save_dirty`", "peewee", load, lambda record: bool(record.dirty_fields)
    )


def _pony() -> Iterator[Subject]:
    from pony import orm

    database = orm.Database("sqlite", ":memory:")

    class Probed(database.Entity):
        num = orm.Required(int)
        lst = orm.Required(orm.Json)
        dct = orm.Required(orm.Json)
        lod = orm.Required(orm.Json)

    database.generate_mapping(create_tables=True)
    block: list[Any] = []

    def load() -> Any:
        for entered in block:
            entered.__exit__(None, None, None)
        block[:] = [orm.db_session()]
        block[0].__enter__()
        made = Probed(**values())
        orm.commit()
        uuid = made.id
        orm.rollback()
        record = Probed[uuid]
        record.load()
        return record

    yield Subject("Pony, `Json`", "pony", load, lambda record: record._status_ == "modified")


def _stripe() -> Iterator[Subject]:
    import stripe

    yield Subject(
        "stripe",
        "stripe",
        lambda: stripe.Customer.construct_from(
            {"id": "cus_1", "object": "customer", **values()}, "k"
        ),
        lambda record: bool(record.serialize(None)),
        Hands(lambda record, name: record[name], lambda record, name, v: record.update({name: v})),
    )


def _pydantic() -> Iterator[Subject]:
    import pydantic

    class Probed(pydantic.BaseModel):
        num: int
        lst: list[int]
        dct: dict[str, Any]
        lod: list[dict[str, Any]]

    def load() -> Any:
        record = Probed(**values())
        record.model_fields_set.clear()
        return record

    yield Subject(
        "pydantic, `model_fields_set`",
        "pydantic",
        load,
        lambda record: bool(record.model_fields_set),
    )


def _django() -> Iterator[Subject]:
    import django  # noqa: F401 # that it is there

    return
    yield


def _attrs() -> Iterator[Subject]:
    import attrs  # noqa: F401 # that it is there

    return
    yield


LIBRARIES = {
    "ttorm": _ttorm,
    "sqlalchemy": _sqlalchemy,
    "beanie": _beanie,
    "mongoengine": _mongoengine,
    "odmantic": _odmantic,
    "pyairtable": _pyairtable,
    "python-gitlab": _gitlab,
    "peewee": _peewee,
    "pony": _pony,
    "stripe": _stripe,
    "pydantic": _pydantic,
    "django": _django,
    "attrs": _attrs,
}
"""By the name of their distribution. Those without subjects keep no track of changes at all."""


# What comes out


def outcome(subject: Subject, probe: Probe) -> bool | str:
    """Tell whether a library notices one change; the name of an exception if it raises."""
    try:
        record = subject.load()
        probe.act(subject.hands, record)
        return subject.changed(record)
    except Exception as error:  # noqa: BLE001 # whatever a library raises is its outcome
        return type(error).__name__


def row(subject: Subject) -> tuple[str, int]:
    """Return a library's row of the table, and how many of its answers are right."""
    found = [outcome(subject, probe) for probe in PROBES]
    right = [answer is probe.changes for answer, probe in zip(found, PROBES, strict=True)]
    words = {True: "yes", False: "no"}
    cells = [words[answer] if isinstance(answer, bool) else f"`{answer}`" for answer in found]
    marked = [cell if good else f"**{cell}**" for cell, good in zip(cells, right, strict=True)]
    version = importlib.metadata.version(subject.package)
    name = f"{subject.name} ({version})"
    return f"| {' | '.join([name, *marked, f'{sum(right)}'])} |", sum(right)


def main() -> int:
    """Print the table; the exit code tells whether ttorm has all answers right."""
    titles = [probe.name for probe in PROBES]
    write = sys.stdout.write
    write(f"| {' | '.join(['noticed as a change', *titles, 'right of 14'])} |\n")
    write(f"|---|{':---:|' * (len(PROBES) + 1)}\n")
    missing, untracked, failed = [], [], False
    for package, subjects in LIBRARIES.items():
        try:
            found = list(subjects())
        except ImportError:
            missing.append(package)
            continue
        if not found:
            untracked.append(f"{package} {importlib.metadata.version(package)}")
        for subject in found:
            line, right = row(subject)
            write(f"{line}\n")
            failed = failed or (package == "ttorm" and right < len(PROBES))
    write(f"\nNo track of changes: {', '.join(untracked) or 'none of those installed'}.\n")
    write(f"Not installed: {', '.join(missing) or 'none'}.\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
