"""Models that are abstract classes, generic, or keep a protocol."""

from __future__ import annotations

import pickle
from abc import ABC, ABCMeta, abstractmethod
from typing import Generic, Protocol, TypeVar, runtime_checkable

import pytest

import ttorm
from ttorm import Field, Twin, entry, identity

T = TypeVar("T")


class Weighing(ABC):
    @abstractmethod
    def kilograms(self) -> float:
        """Weigh it."""


@runtime_checkable
class Filling(Protocol):
    level: float

    def fill(self) -> float: ...


class Vessel(Twin, Weighing):
    level: Field[float] = entry(default=0.0)


class Keg(Vessel):
    class Meta:
        kind = "beer keg"

    register: Field[str | None] = identity("REG", default=None)
    count: Field[int] = entry(default=0, name="register")

    def kilograms(self) -> float:
        return self.level + 10

    def fill(self) -> float:
        self.level = 50.0
        return self.level


class Tank(Filling, Vessel):
    class Meta:
        kind = "storage tank"

    def kilograms(self) -> float:
        return self.level + 100

    def fill(self) -> float:
        self.level = 500.0
        return self.level


class Measured(Twin, ABC, Generic[T]):
    measured: Field[T] = entry()


class Thermometer(Measured[int]):
    pass


async def test_abstract_classes(do, connection):
    keg = await do(Keg, "create", level=5.0, register="A1")
    tank = await do(Tank, "create", level=6.0)
    await do(Twin, "create", description={"kind": "keg house"})
    shown = await do.list(Vessel.scan())
    assert {type(vessel) for vessel in shown} == {Keg, Tank}
    assert sorted(vessel.kilograms() for vessel in shown) == [15.0, 106.0]
    assert type(await do(Vessel, "get", tank.uuid)) is Tank
    with pytest.raises(ttorm.WrongKindError):
        await do(Tank, "get", keg.uuid)
    assert pickle.loads(pickle.dumps(keg)) == keg
    assert (await do(Keg, "find", register="A1")) == keg
    assert str(Keg.count > 3) == "LEDGER.register > 3"


async def test_what_is_abstract_makes_no_twins(do, connection, sent):
    with pytest.raises(TypeError, match=r"abstract class Vessel.*kilograms"):
        Vessel(level=1.0)
    with pytest.raises(TypeError, match=r"abstract class Vessel.*kilograms"):
        await do(Vessel, "create", level=1.0)
    assert sent == []


async def test_what_is_abstract_shows_no_twins(do, connection):
    twin = await do(Twin, "create", description={"kind": "nothing of ours"})
    expected = r"Vessel has abstract methods \(kilograms\) and shows no Twins.*Meta\.kind"
    with pytest.raises(TypeError, match=expected):
        Vessel.at(twin.uuid)
    with pytest.raises(TypeError, match=expected):
        twin.as_(Vessel)
    twin.ledger["level"] = 5.0
    assert (await do(twin, "save")).requests == 1
    with pytest.raises(ttorm.WrongKindError):
        await do(Vessel, "get", twin.uuid)


async def test_a_kind_of_an_abstract_class_is_shown_by_who_can(do, connection):
    # A name of its own: classes of an earlier run are still there.
    name = f"barrel {do.asynchronous}"

    class Barrel(Vessel):
        class Meta:
            kind = name

    twin = await do(Twin, "create", description={"kind": name})
    assert type(await do(Twin, "get", twin.uuid, fresh=True)) is Twin
    with pytest.raises(TypeError, match="Barrel has abstract methods"):
        await do.list(Barrel.scan())

    class Oak(Barrel):
        def kilograms(self) -> float:
            return 60.0

    class Cask(Oak):
        pass

    assert type(await do(Twin, "get", twin.uuid, fresh=True)) is Oak
    assert [type(found) for found in await do.list(Barrel.scan())] == [Oak]


async def test_a_refused_class_body_leaves_its_base_as_it_was(do, connection):
    class Shelf(Twin):
        class Meta:
            kind = "shelf"

    def declare():
        class Rack(Shelf):
            class Meta:
                knd = "rack"

    with pytest.raises(TypeError, match="did you mean 'kind'") as refused:
        declare()
    await do(Shelf, "create")
    assert len(await do.list(Shelf.scan())) == 1
    # Its traceback keeps the half-made class alive, as an interactive session does.
    assert refused.value.__traceback__ is not None


def test_protocols(connection):
    keg, tank = Keg(level=1.0), Tank(level=1.0)
    assert isinstance(tank, Filling)
    assert not isinstance(Thermometer(measured=5), Filling)
    assert (tank.fill(), keg.fill()) == (500.0, 50.0)


def test_generic_abstract_classes(connection):
    assert Thermometer.create(measured=5).measured == 5
    with pytest.raises(ttorm.ValidationError, match="expects int"):
        Thermometer(measured="warm")


def test_models_are_asked_for_as_fast_as_any_class():
    model = type(Keg)
    assert issubclass(model, ABCMeta)
    assert model.__instancecheck__ is type.__instancecheck__
    assert model.__subclasscheck__ is type.__subclasscheck__


def test_the_name_of_what_abstract_classes_have_is_free(connection):
    class Shop(Twin):
        register: Field[int] = entry(default=0)

    assert str(Shop.register == 5) == "LEDGER.register == 5"
    with pytest.raises(AttributeError, match="register"):
        Twin.register  # noqa: B018 # it is asked for
    with pytest.raises(TypeError, match=r"hides Vessel\.kilograms"):

        class Scale(Vessel):
            kilograms: Field[float] = entry()
