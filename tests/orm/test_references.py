"""Fields whose values come from elsewhere: references, includes, and where they lead."""

from __future__ import annotations

import pickle

import pytest

import ttorm
from ttorm import Entry, Field, Reference, Twin, entry, include, reference


class Station(Twin):
    celsius: Field[float] = entry(visibility="true")
    humidity: Field[float] = entry(name="hum", default=0.5)

    class Meta:
        kind = "reference-station"


class Alpine(Station):
    class Meta:
        kind = "reference-alpine"


class Car(Twin):
    outside: Reference[float | None] = reference(Station.celsius, default=None, history="3M")
    damp: Reference[float | None] = include("Station.humidity", default=None)
    anything: Reference[object] = reference(default=None)


class Strict(Twin):
    outside: Reference[float] = reference(Station.celsius)


async def station_and_car(do, **values):
    station = await do(Station, "create", celsius=21.5)
    return station, await do(Car, "create", outside=station, damp=station, **values)


async def test_what_is_sent_for_them(do, connection, sent, emulator):
    station = await do(Station, "create", celsius=21.5)
    sent.clear()
    car = await do(Car, "create", outside=station, damp=station)
    account = emulator.accounts()[0]
    body = next(request.body for request in sent if "ledgers" in request.path)
    assert body == {
        "entries": {
            "outside": {
                "ref": {"source": f"twin://{station.uuid}/{account}/celsius"},
                "history": "3M",
            },
            "damp": {"include": {"source": f"twin://{station.uuid}/hum"}},
        }
    }
    assert [line for line in sent.lines() if "ledgers" in line] == [
        f"POST /twins/{car.uuid}/ledgers/personal"
    ]


async def test_reading_gives_the_value_of_the_source(do, connection):
    _, car = await station_and_car(do)
    car = await do(Car.at(car.uuid), "refresh")
    await do(car, "load")
    assert (car.outside, car.damp, car.anything) == (21.5, 0.5, None)
    assert not ttorm.inspect(car).is_modified
    assert car.plan()[:] == ()


async def test_a_reference_that_is_not_saved_reads_its_source(do, connection, sent):
    station = await do(Station, "create", celsius=21.5)
    car = Car(outside=station, anything=station.ledger["celsius"])
    sent.clear()
    assert (car.outside, car.anything) == (21.5, 21.5)
    assert sent == []


@pytest.mark.parametrize("form", ["record", "base", "entry", "text"])
async def test_what_may_be_assigned(do, connection, emulator, form):
    station, car = await station_and_car(do)
    other = await do(Alpine, "create", celsius=-3.0)
    car.outside = {
        "record": other,
        "base": Twin.at(other.uuid),
        "entry": other.ledger["celsius"],
        "text": f"twin://{other.uuid}/{emulator.accounts()[0]}/celsius",
    }[form]
    await do(car, "save")
    await do(car, "load", "ledger")
    assert car.outside == -3.0
    assert ttorm.source(car, "outside").twin == other
    assert ttorm.source(car, "outside").twin != station


async def test_assigning_the_same_source_is_no_change(do, connection):
    station, car = await station_and_car(do)
    await do(car, "load", "ledger")
    car.outside, car.damp = station, station.ledger["hum"]
    assert not ttorm.inspect(car).is_modified


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda car: car, "it copies Station.celsius; expected a Station"),
        (lambda car: Station.at(car.uuid).ledger["hum"], "it copies the Entry 'celsius'"),
        (lambda car: "celsius", "is no source: expected 'twin://<twin>/<account>/<entry>'"),
        (lambda car: 5, "that is no source"),
    ],
)
async def test_what_may_not(do, connection, value, message):
    _, car = await station_and_car(do)
    with pytest.raises(ttorm.ValidationError, match=message):
        car.outside = value(car)
    with pytest.raises(ttorm.ValidationError, match="is not declared"):
        car.anything = car
    assert not ttorm.inspect(car).is_modified


async def test_taking_a_reference_away(do, connection):
    _, car = await station_and_car(do)
    car.outside = None
    del car.damp
    assert set((await do(car, "save")).deleted) == {"outside", "damp"}
    assert (car.outside, car.damp) == (None, None)
    assert ttorm.source(car, "outside") is None
    strict = Strict(outside=Station(celsius=1.0))
    with pytest.raises(ttorm.ValidationError, match="that is no source"):
        strict.outside = None


async def test_a_reference_whose_source_is_gone(do, connection):
    station, car = await station_and_car(do)
    for name in ("celsius", "hum"):
        await do(station.ledger[name], "delete")
    await do(car, "refresh")
    await do(car, "load", "ledger")
    with pytest.raises(ttorm.BrokenReferenceError, match="gone, or not visible") as broken:
        _ = car.outside
    assert broken.value.status == "not_found"
    assert isinstance(broken.value, LookupError)
    with pytest.raises(ttorm.BrokenReferenceError, match="gone or null") as broken:
        _ = car.damp
    assert broken.value.status is None
    assert car.ledger["outside"].ref_status == "not_found"


@pytest.mark.parametrize("status", ["created", "loop_detected", "too_many_hops", "odd"])
async def test_every_other_status_says_what_it_means(do, connection, status):
    _, car = await station_and_car(do)
    await do(car, "load", "ledger")
    source = car.ledger["outside"].ref
    told = {"outside": {"value": None, "ref": {"source": source, "status": status}}}
    car._state.absorb_ledger("personal", {"entries": told})
    with pytest.raises(ttorm.BrokenReferenceError, match=source) as broken:
        _ = car.outside
    assert broken.value.status == status


async def test_a_required_reference_that_is_not_there(do, connection):
    bare = await do(Strict.at((await do(Twin, "create")).uuid), "load")
    with pytest.raises(ttorm.MissingEntryError, match="assign its source"):
        _ = bare.outside


async def test_the_way_to_the_source(do, connection, sent):
    station, car = await station_and_car(do)
    async with do.block(ttorm.session()):
        car = await do(Car.at(car.uuid), "load")
        sent.clear()
        found = ttorm.source(car, "outside")
        assert (found.name, found.twin.uuid, type(found.twin)) == (
            "celsius",
            station.uuid,
            Station,
        )
        assert car.ledger["damp"].source.twin is ttorm.source(car, "damp").twin
        assert sent == []
        await do(found.twin, "load", "ledger")
        found.value = 30.0
        await do(found.twin, "save")
        await do(car, "refresh")
        assert car.outside == 30.0
    assert station.ledger["celsius"].source is None
    with pytest.raises(TypeError, match="no reference or include 'wheels'; it has: outside, damp"):
        ttorm.source(car, "wheels")


async def test_references_to_other_accounts(do, connection, stranger):
    station = await do(Station, "create", celsius=21.5)
    account = (await do(connection, "whoami"))["account"]
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Station.at(station.uuid), "load", "description")
        car = await do(Car, "create", outside=theirs.ledgers.owner["celsius"])
        await do(car, "load", "ledger")
        assert car.outside == 21.5
        assert ttorm.source(car, "outside") == theirs.ledgers[account]["celsius"]
        with pytest.raises(ttorm.ValidationError, match="one's own Ledgers only"):
            car.damp = f"twin://{station.uuid}/{account}/hum"


async def test_references_survive_pickle(do, connection):
    station, car = await station_and_car(do)
    car.anything = station.ledger["hum"]
    again = pickle.loads(pickle.dumps(car))
    assert set(ttorm.inspect(again).changes) == {"anything.ref"}
    await do(again, "save")
    await do(again, "load", "ledger")
    assert again.anything == 0.5


async def test_rules_see_the_copied_value(do, connection):
    _, car = await station_and_car(do)
    assert await do(Car.scan(Car.outside > 20), "all") == [car]
    assert await do(Car.scan(Car.outside > 30), "all") == []


async def test_what_has_no_value_of_its_own_cannot_be_touched(do, connection):
    _, car = await station_and_car(do)
    with pytest.raises(TypeError, match="a copy of its source"):
        car.touch("outside")


async def test_untyped_entries_lead_to_their_sources(do, connection):
    station = await do(Station, "create", celsius=21.5)
    twin = Twin(entries={"a": Entry(include=station.ledger["celsius"]), "b": 1})
    assert twin.ledger["a"].source == station.ledger["celsius"]
    assert twin.ledger["b"].source is None
    assert twin.ledger["a"].twin is twin


async def test_an_entry_stays_what_it_was_made_as(do, connection):
    source = await do(Twin, "create", entries={"celsius": 21.5, "kelvin": 294.6})
    twin = await do(Twin, "create", entries={"plain": 1})
    twin.ledger["shown"] = Entry(include=source.ledger["celsius"])
    twin.ledger["copied"] = Entry(ref=source.ledger["celsius"])
    await do(twin, "save")
    await do(twin, "load", "ledger")
    requests = connection.requests
    for name, value in (
        ("shown", 5),
        ("copied", 5),
        ("copied", Entry(5)),
        ("copied", Entry(include=source.ledger["celsius"])),
        ("plain", Entry(ref=source.ledger["celsius"])),
    ):
        with pytest.raises(ttorm.StateError, match="cannot become") as caught:
            twin.ledger[name] = value
        assert caught.value.code == "entry-form"
    with pytest.raises(ttorm.StateError, match=r"del ledger\['shown'\], save, and assign then"):
        twin.ledger["shown"].value = 5
    assert not ttorm.inspect(twin).is_modified
    assert connection.requests == requests

    twin.ledger["copied"] = Entry(ref=source.ledger["kelvin"])
    del twin.ledger["shown"]
    await do(twin, "save")
    twin.ledger["shown"] = 5
    await do(twin, "save")
    await do(twin.ledger, "refresh")
    assert (twin.ledger["copied"].value, twin.ledger["shown"].value) == (294.6, 5)


async def test_the_last_form_of_a_new_entry_counts(do, connection):
    source = await do(Twin, "create", entries={"celsius": 21.5})
    twin = await do(Twin, "create")
    twin.ledger["outside"] = Entry(ref=source.ledger["celsius"], history="1M")
    twin.ledger["outside"] = 5
    assert twin.plan()[0].body == {"entries": {"outside": {"value": 5, "history": "1M"}}}
    twin.ledger["outside"] = Entry(include=source.ledger["celsius"])
    twin.ledger["outside"].history_period = None
    await do(twin, "save")
    await do(twin.ledger, "refresh")
    assert twin.ledger["outside"].value == 21.5
