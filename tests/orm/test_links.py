"""Values that are other Twins: stored as UUIDs, read as records."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from uuid import UUID

import pytest

import ttorm
from ttorm import Field, Link, Twin, description, entry
from ttorm.records.links import linked_states
from ttorm.rules import LEDGER


class Customer(Twin):
    name: Field[str] = description()

    class Meta:
        kind = "link-customer"


class Company(Customer):
    class Meta:
        kind = "link-company"


class Garage(Twin):
    class Meta:
        kind = "link-garage"


class Car(Twin):
    customer: Field[Link[Customer] | None] = entry(default=None)
    drivers: Field[list[Link[Customer]]] = entry(default_factory=list)
    garage: Field[Link[Garage] | None] = description(default=None)


@dataclass
class Trip:
    driver: Link[Customer]
    kilometres: float


def stored(others, record):
    answer = others.call("get_twin_ledger_entry", record.uuid, "personal")
    return {name: entry["value"] for name, entry in answer["entries"].items()}


async def test_what_is_stored_is_the_uuid(do, connection, others):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    garage = await do(Garage, "create")
    car = await do(Car, "create", customer=ada, drivers=[ada, bob], garage=garage)
    assert stored(others, car) == {"customer": ada.uuid, "drivers": [ada.uuid, bob.uuid]}
    assert others.call("get_twin", car.uuid)["description"] == {"garage": garage.uuid}


async def test_reading_a_link_asks_nobody(do, connection, sent):
    ada = await do(Customer, "create", name="Ada")
    made = await do(Car, "create", customer=ada, drivers=[ada])
    async with do.block(ttorm.session()):
        car = await do(Car.at(made.uuid), "load")
        sent.clear()
        assert isinstance(car.customer, Customer)
        assert car.customer == ada
        assert car.drivers == [ada]
        assert car.customer is car.drivers[0]
        assert sent == []
        await do(car.customer, "load", "description")
        assert car.customer.name == "Ada"
        assert sent == []  # the cache has it


async def test_a_link_shows_the_class_that_is_known(do, connection):
    company = await do(Company, "create", name="Ltd")
    car = await do(Car, "create", customer=company)
    assert type((await do(Car, "get", car.uuid)).customer) is Company


async def test_reading_links_changes_nothing(do, connection, sent):
    ada = await do(Customer, "create", name="Ada")
    made = await do(Car, "create", customer=ada, drivers=[ada])
    car = await do(Car.at(made.uuid), "refresh")
    await do(car, "load")
    _ = car.customer, car.drivers
    assert not ttorm.inspect(car).is_modified
    assert car.plan()[:] == ()


async def test_what_may_be_assigned(do, connection, others):
    ada = await do(Customer, "create", name="Ada")
    car = await do(Car, "create")
    for value in (ada, ada.uuid, UUID(ada.uuid), Twin.at(ada.uuid), Customer.at(ada.uuid)):
        car.customer = None
        car.customer = value
        assert type(car.customer) is Customer
        assert car.customer == ada
    await do(car, "save")
    assert stored(others, car)["customer"] == ada.uuid


async def test_setting_a_link_back_is_no_change(do, connection):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    car = await do(Car, "create", customer=ada, drivers=[ada])
    car.customer = bob
    car.drivers.append(bob)
    assert set(ttorm.inspect(car).changes) == {"customer", "drivers"}
    assert ttorm.inspect(car).changes["customer"] == (ada, bob)
    car.customer = ada
    car.drivers.pop()
    assert not ttorm.inspect(car).is_modified


async def test_lists_of_links_are_sent_when_they_change(do, connection, sent):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    car = await do(Car, "create", drivers=[ada])
    sent.clear()
    car.drivers.append(bob)
    await do(car, "save")
    assert sent.take()[0].body == {"entries": {"drivers": {"value": [ada.uuid, bob.uuid]}}}


@pytest.mark.parametrize("value", ["nobody", 5, {"uuid": "x"}])
async def test_what_is_no_link_is_refused(do, connection, value):
    car = await do(Car, "create")
    with pytest.raises(ttorm.ValidationError):
        car.customer = value
    assert not ttorm.inspect(car).is_modified


async def test_records_of_other_classes_are_refused(do, connection, connect):
    car, garage = await do(Car, "create"), await do(Garage, "create")
    with pytest.raises(ttorm.ValidationError, match="is no Customer"):
        car.customer = garage
    loaded = await do(Twin.at(garage.uuid), "load", "description")
    with pytest.raises(ttorm.ValidationError, match="is of another kind than Customer"):
        car.customer = loaded


def test_records_of_other_services_are_refused(connection):
    car = Car.create()
    with ttorm.connect("https://other.example", secret="x", default=False) as other:
        with ttorm.session(other):
            stranger = Customer.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
        with pytest.raises(ttorm.ValidationError, match="belongs to another service"):
            car.customer = stranger


async def test_a_link_that_the_service_spoils(do, connection, others):
    car = await do(Car, "create", customer=await do(Customer, "create", name="Ada"))
    body = {"entries": {"customer": {"value": "nobody"}}}
    others.call("update_twin_ledger_entry_value", car.uuid, "personal", body=body)
    await do(car, "refresh")
    with pytest.raises(ttorm.ValidationError, match="'nobody' is no UUID"):
        _ = car.customer


async def test_links_in_dataclasses(do, connection, others):
    class Log(Twin):
        last: Field[Trip] = entry()

    ada = await do(Customer, "create", name="Ada")
    log = await do(Log, "create", last=Trip(ada, 5.0))
    assert stored(others, log) == {"last": {"driver": ada.uuid, "kilometres": 5.0}}
    again = await do(Log.at(log.uuid), "load")
    assert again.last.driver == ada


async def test_rules_compare_links_with_records(do, connection):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    car = await do(Car, "create", customer=ada, drivers=[ada, bob])
    await do(Car, "create", customer=bob)
    assert str(Car.customer == ada) == f'LEDGER.customer == "{ada.uuid}"'
    assert await do(Car.scan(Car.customer == ada), "all") == [car]
    assert await do(Car.scan(Car.customer.in_([ada])), "all") == [car]
    with pytest.raises(TypeError, match="only == and != can be asked"):
        _ = Car.customer < ada
    with pytest.raises(ttorm.StateError, match=r"save\(\) it first"):
        _ = Car.customer == Customer(name="New")


async def test_who_refers_to_a_record(do, connection):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    garage = await do(Garage, "create")
    car = await do(Car, "create", customer=ada, drivers=[ada, bob], garage=garage)
    assert await do(ada.referrers(Car.customer), "all") == [car]
    assert await do(bob.referrers(Car.customer), "all") == []
    assert await do(bob.referrers(Car.drivers), "all") == [car]
    assert await do(garage.referrers(Car.garage), "all") == [car]
    with pytest.raises(TypeError, match="field of links"):
        ada.referrers(Customer.name)
    with pytest.raises(TypeError, match="field of links"):
        ada.referrers(LEDGER.customer)


async def test_linked_states_are_found_without_asking(do, connection, sent):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    made = await do(Car, "create", customer=ada, drivers=[ada, bob])
    async with do.block(ttorm.session()):
        car = Car.at(made.uuid)
        sent.clear()
        assert linked_states(car, "drivers") == []
        assert sent == []
        await do(car, "load")
        assert [state.uuid for state in linked_states(car, Car.drivers)] == [ada.uuid, bob.uuid]
        assert [state.record() for state in linked_states(car, "customer")] == [ada]
        assert linked_states(car, "garage") == []


async def test_links_survive_pickle_and_copy(do, connection):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    car = await do(Car, "create", customer=ada, drivers=[ada])
    car.customer = bob
    for again in (pickle.loads(pickle.dumps(car)), copy.copy(car), copy.deepcopy(car)):
        assert again.customer.uuid == bob.uuid
        assert set(ttorm.inspect(again).changes) == {"customer"}
        assert [driver.uuid for driver in again.drivers] == [ada.uuid]


def test_a_link_to_nobody_yet_cannot_be_pickled(connection):
    car = Car(customer=Customer(name="New"))
    for duplicate in (pickle.dumps, copy.copy):
        with pytest.raises(ttorm.StateError, match=r"speaks of \(new Customer\)"):
            duplicate(car)


def test_a_link_to_what_is_no_model(connection):
    class Odd(Twin):
        other: Field[Link[int]] = entry()

    with pytest.raises(TypeError, match=r"expected a class of Twins, as in Link\[Customer\]"):
        Odd(other=5)


async def test_links_belong_to_the_session_of_their_record(do, connection, stranger):
    ada = await do(Customer, "create", name="Ada")
    car = await do(Car, "create", customer=ada)
    async with do.block(ttorm.session()) as session:
        mine = await do(Car.at(car.uuid), "load")
        async with do.block(ttorm.session(stranger)):
            assert mine.customer._state.session is session
            assert mine.customer._connection is connection


async def test_class_names_in_quotes(do, connection):
    class Employee(Twin):
        boss: Field[Link[Employee] | None] = entry(default=None)
        team: Field[list[Link[Employee]]] = entry(default_factory=list)

    boss = await do(Employee, "create")
    one = await do(Employee, "create", boss=boss)
    boss.team.append(one)
    await do(boss, "save")
    assert (await do(Employee.at(boss.uuid), "load")).team == [one]
    assert one.boss == boss


async def test_prefetched_links_are_read_once_each(do, connection, sent):
    ada, bob = [await do(Customer, "create", name=name) for name in ("Ada", "Bob")]
    for driver in (ada, bob, ada):
        await do(Car, "create", customer=driver, drivers=[ada, bob])
    connection.cache.drop()
    sent.clear()
    async with do.block(ttorm.session()):
        scan = Car.scan(Car.customer != None).prefetch("customer", "drivers")  # noqa: E711 # a rule
        cars = await do.list(scan)
        lines = sent.lines()
        assert len(lines) == 1 + 3 + 2
        assert sorted(car.customer.name for car in cars) == ["Ada", "Ada", "Bob"]
        assert sent == []
