"""Making Twins: what is sent, in how many requests, and what is refused before."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry, identity


class Scooter(Twin):
    model: Field[str] = description()
    city: Field[str | None] = description(default=None)
    battery: Field[float] = entry(history="3M")
    zone: Field[str | None] = entry(visibility="USER.team == 'ops'", default=None)
    tags: Field[list[str]] = entry(default_factory=list)
    serial: Field[str] = identity("SN", key=True)


class Ferry(Twin):
    class Meta:
        kind = "ferry"

    deck: Field[str] = description(default="main")


async def test_a_bare_twin_is_one_request_without_a_body(do, sent):
    twin = await do(Twin, "create")
    assert sent.take() == [("POST", "/twins", (), None)]
    assert (twin.status, twin.owner, twin.creator) == ("alive", twin.owner, twin.owner)
    assert twin.created_at.tzinfo is not None
    assert sent == []


async def test_a_model_is_three_requests(do, sent):
    scooter = await do(Scooter, "create", model="X1", battery=99, serial="A17")
    at = f"/twins/{scooter.uuid}"
    assert sent.take() == [
        ("POST", "/twins", (), {"description": {"model": "X1"}}),
        ("POST", f"{at}/identities", (), {"identities": {"SN#A17": {}}}),
        (
            "POST",
            f"{at}/ledgers/personal",
            (),
            {"entries": {"battery": {"value": 99.0, "history": "3M"}, "tags": {"value": []}}},
        ),
    ]
    assert not ttorm.inspect(scooter).is_modified


async def test_reading_after_creating_asks_for_nothing(do, sent):
    scooter = await do(Scooter, "create", model="X1", battery=99, serial="A17")
    sent.clear()
    assert (scooter.model, scooter.city, scooter.battery) == ("X1", None, 99.0)
    assert (scooter.zone, scooter.tags, scooter.serial) == (None, [], "A17")
    assert list(scooter.identities) == ["SN#A17"]
    assert list(scooter.docs) == []
    assert sent == []


async def test_a_none_that_was_given_is_sent_when_the_field_is_required(do, sent):
    class Buoy(Twin):
        depth: Field[float | None] = entry()

    await do(Buoy, "create", depth=None)
    assert sent[1].body == {"entries": {"depth": {"value": None}}}


async def test_declared_properties_come_with_the_entry(do, sent):
    await do(Scooter, "create", model="X1", battery=1, serial="A17", zone="north")
    zone = sent[-1].body["entries"]["zone"]
    assert zone == {"value": "north", "visibility": "USER.team == 'ops'"}


async def test_making_and_saving_are_the_same_as_creating(do, sent):
    scooter = Scooter(model="X1", battery=99, serial="A17")
    assert sent == []
    result = await do(scooter, "save")
    assert sent.lines()[0] == "POST /twins"
    assert result.created == ("model", "serial", "battery", "tags")
    assert result.requests == 3


async def test_the_kind_is_marked_in_the_description(do, sent):
    ferry = await do(Ferry, "create")
    assert sent[0].body == {"description": {"kind": "ferry", "deck": "main"}}
    assert ferry.description["kind"] == "ferry"


async def test_untyped_parts_can_be_given(do, sent):
    twin = await do(
        Twin,
        "create",
        description={"site": {"hall": 4}},
        entries={"pressure": 2.5, "valve": Entry("open", history="INF")},
        identities=["RFID#a+b=", "SN#1"],
    )
    assert [request.body for request in sent.take()] == [
        {"description": {"site": {"hall": 4}}},
        {"identities": {"RFID#a+b=": {}, "SN#1": {}}},
        {"entries": {"pressure": {"value": 2.5}, "valve": {"value": "open", "history": "INF"}}},
    ]
    assert twin.ledger.to_dict() == {"pressure": 2.5, "valve": "open"}


async def test_an_empty_description_is_sent_when_it_was_given(do, sent):
    await do(Twin, "create", description={})
    assert sent.take() == [("POST", "/twins", (), {"description": {}})]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "X1", "batery": 1}, "no field 'batery': did you mean 'battery'?"),
        ({"model": "X1"}, "needs a value for battery, serial"),
    ],
)
async def test_wrong_arguments_are_type_errors(do, sent, values, message):
    with pytest.raises(TypeError, match=message.replace("?", r"\?")):
        await do(Scooter, "create", **values)
    assert sent == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"battery": "full"},
        {"battery": float("nan")},
        {"serial": "no spaces"},
        {"tags": "abc"},
        {"entries": {"Upper": 1}},
        {"entries": {"raw": b"bytes"}},
        {"description": {"9lives": 1}},
        {"identities": ["nothing"]},
    ],
)
async def test_wrong_values_are_refused_before_anything_is_sent(do, sent, wrong):
    with pytest.raises(ttorm.ValidationError):
        await do(Scooter, "create", **{"model": "X1", "battery": 1, "serial": "A17", **wrong})
    assert sent == []


async def test_a_wrong_constructor_leaves_nothing_to_a_session(do, sent):
    async with do.block(ttorm.session()) as session:
        with pytest.raises(ttorm.ValidationError):
            Scooter(model="X1", battery="full", serial="A17")
        assert session.dirty == []
    assert sent == []


async def test_an_oversized_entry_creates_no_twin(do, sent):
    with pytest.raises(ttorm.QuotaError, match=r"'big' takes 70,0\d\d bytes"):
        await do(Twin, "create", entries={"big": "x" * 70_000})
    assert sent == []


async def test_what_failed_after_the_twin_was_made_can_be_saved_again(do, sent, wire):
    scooter = Scooter(model="X1", battery=99, serial="A17")

    def broken(request):
        if request.url.endswith("/ledgers/personal"):
            raise ttorm.TransportError("broken", sent=False)

    wire.meddle = broken
    with pytest.raises(ttorm.TransportError):
        await do(scooter, "save")
    wire.meddle = lambda request: None
    sent.clear()
    assert ttorm.inspect(scooter).state == "modified"
    result = await do(scooter, "save")
    assert sent.lines() == [f"POST /twins/{scooter.uuid}/ledgers/personal"]
    assert result.created == ("battery", "tags")


def test_a_record_that_was_not_saved_has_no_facts(connection, sent):
    twin = Twin()
    for fact in ("uuid", "owner", "status", "creator", "created_at", "updated_at", "terminated_at"):
        with pytest.raises(ttorm.StateError, match=r"save\(\)"):
            getattr(twin, fact)
    assert ttorm.inspect(twin).state == "new"
    assert sent == []


async def test_verbs_that_need_a_twin_say_so(do, connection, sent):
    twin = Twin(entries={"x": 1})
    for owner, verb, arguments in [
        (twin, "terminate", ()),
        (twin, "refresh", ()),
        (twin.ledger["x"], "save", ()),
        (twin.ledger["x"], "delete", ()),
        (twin.ledger["x"], "refresh", ()),
        (twin.ledger, "refresh", ()),
        (twin.identities.add("SN#1"), "refresh", ()),
        (twin.docs, "upload", ("a.txt", b"")),
    ]:
        with pytest.raises(ttorm.StateError, match="not saved yet"):
            await do(owner, verb, *arguments)
    with pytest.raises(ttorm.StateError, match="not saved yet"):
        twin.ledger["x"].history()
    assert sent == []
