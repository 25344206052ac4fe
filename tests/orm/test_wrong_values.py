"""Values of the wrong form: refused with what to write instead, before anything is asked."""

from __future__ import annotations

import io
import os

import pytest

from ttorm import Field, Twin, ValidationError, description, entry


class Kiln(Twin):
    class Meta:
        kind = "kiln"

    label: Field[str] = description(default="")
    celsius: Field[float] = entry(default=20.0)


@pytest.mark.parametrize(
    ("given", "mend"),
    [
        ({"description": "hot"}, "description= is a dictionary, found str"),
        ({"description": [("label", "hot")]}, "description= is a dictionary, found list"),
        ({"entries": "celsius"}, "entries= is a dictionary, found str"),
        ({"identities": "SN#A17"}, r"such as \['SN#A17'\]"),
    ],
)
async def test_what_a_twin_is_made_of(do, connection, sent, given, mend):
    with pytest.raises(ValidationError, match=mend):
        await do(Kiln, "create", **given)
    assert sent == []


async def test_parts_and_contexts(do, connection, sent):
    kiln = Kiln.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    with pytest.raises(ValidationError, match="'oven' is no account UUID"):
        await do(kiln, "load", "ledgers/oven")
    for context in ("mine", ["system", "mine"]):
        with pytest.raises(ValidationError, match="'mine' is no account UUID"):
            await do(Kiln, "find", "SN#A17", context=context)
    assert sent == []


def test_views_as_no_class(connection):
    with pytest.raises(TypeError, match="takes a class of Twins, found 'Kiln'"):
        Kiln().as_("Kiln")


async def test_descriptions_and_targets_of_docs(do, connection, sent):
    kiln = await do(Kiln, "create")
    doc = await do(kiln.docs, "upload", "a", b"1")
    sent.clear()
    with pytest.raises(ValidationError, match="the description of 'b' is a dictionary, found str"):
        await do(kiln.docs, "upload", "b", b"1", description="x")
    with pytest.raises(ValidationError, match="a description is a dictionary, found str"):
        doc.description = "x"
    for target in (io.StringIO(), 5):
        with pytest.raises(ValidationError, match="opened for writing bytes"):
            await do(doc, "download", target)
    assert sent == []


async def test_what_progress_raises_ends_an_upload(do, connection):
    kiln = await do(Kiln, "create")

    def stop(done, whole):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await do(kiln.docs, "upload", "a", os.urandom(10), progress=stop)
    await do(kiln, "load", "docs")
    assert list(kiln.docs) == []


async def test_another_description_keeps_the_kind(do, connection, sent):
    kiln = await do(Kiln, "create", label="hot")
    kiln.description = {"site": 4}
    await do(kiln, "save")
    assert sent[-1].body == {"description": {"kind": "kiln", "site": 4}}
    kiln.description = {"kind": "oven"}
    await do(kiln, "save")
    assert sent[-1].body == {"description": {"kind": "oven"}}


async def test_another_description_keeps_the_kind_of_a_subclass(do, connection, sent):
    class Gas(Kiln):
        class Meta:
            kind = "gas"

    gas = await do(Gas, "create")
    gas.as_(Kiln).description = {"site": 4}
    await do(gas, "save")
    assert sent[-1].body == {"description": {"kind": "gas", "site": 4}}
