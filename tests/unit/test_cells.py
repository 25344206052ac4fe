"""Change detection against a model: what users hold, and plain equality of JSON.

Every mutator of `dict` and `list` is applied at every depth, in any order, between saves and
newer answers of the service. A change is there exactly when the JSON value differs from the base.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import json
import operator
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import BaseModel

from ttorm import ConflictError, ValidationError
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Cell, Marker
from ttorm.records.items import Item, Items
from ttorm.records.typed import TypedCodec
from ttorm.records.values import PLAIN

# Values that Python confuses and JSON does not are frequent on purpose.
KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, -0.5, "", "a", "1", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
CONTAINERS = st.lists(VALUES, max_size=3) | st.dictionaries(KEYS, VALUES, max_size=3)


def same(one, other):
    """Equality of JSON values: 1, 1.0 and True differ, the order of keys does not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def snapshot(value):
    """An independent copy."""
    return value if isinstance(value, Marker) else json.loads(json.dumps(value))


def containers(value):
    """A container and all containers inside it."""
    if isinstance(value, (dict, list)):
        yield value
        for item in list(value.values() if isinstance(value, dict) else value):
            yield from containers(item)


class Supply:
    """Draws what mutators need: values for a container, and scalars for the containers inside."""

    def __init__(self, draw, values=VALUES, inner=SCALARS):
        self.draw = draw
        self.values = values
        self.scalars = inner

    def value(self):
        return self.draw(self.values)

    def some(self):
        return self.draw(st.lists(self.values, max_size=2))

    def scalar(self):
        return self.draw(self.scalars)

    def key(self):
        return self.draw(KEYS)

    def index(self):
        return self.draw(st.integers(-3, 3))

    def flag(self):
        return self.draw(st.booleans())


def _iterate_and_set(box, value):
    for key in list(box):
        box[key] = value


def _inside(items, value):
    for item in items:
        if isinstance(item, list):
            item.append(value)
        elif isinstance(item, dict):
            item["z"] = value


def _swap(box, i, j):
    box[i], box[j] = box[j], box[i]


def _reorder(box):
    for key in sorted(box, reverse=True):
        box[key] = box.pop(key)


def _ior(box, other):
    box |= other


def _iadd(box, other):
    box += other


def _imul(box, times):
    if len(box) < 6:
        box *= times


DICT_MUTATORS = {
    "[]=": lambda s, b: operator.setitem(b, s.key(), s.value()),
    "__setitem__": lambda s, b: b.__setitem__(s.key(), s.value()),
    "dict.__setitem__": lambda s, b: dict.__setitem__(b, s.key(), s.value()),
    "del": lambda s, b: operator.delitem(b, s.key()),
    "__delitem__": lambda s, b: b.__delitem__(s.key()),
    "setdefault": lambda s, b: b.setdefault(s.key(), s.value()),
    "change what setdefault gives": lambda s, b: _inside(
        [b.setdefault(s.key(), s.value())], s.scalar()
    ),
    "update by mapping": lambda s, b: b.update({s.key(): s.value(), s.key(): s.value()}),
    "update by pairs": lambda s, b: b.update([(s.key(), s.value())]),
    "update by names": lambda s, b: b.update(a=s.value()),
    "|=": lambda s, b: _ior(b, {s.key(): s.value()}),
    "operator.ior": lambda s, b: operator.ior(b, [(s.key(), s.value())]),
    "pop": lambda s, b: b.pop(s.key()),
    "pop with default": lambda s, b: b.pop(s.key(), None),
    "change what pop gives": lambda s, b: _inside([b.pop(s.key())], s.scalar()),
    "popitem": lambda _, b: b.popitem(),
    "clear": lambda _, b: b.clear(),
    "set while iterating": lambda s, b: _iterate_and_set(b, s.value()),
    "change what values() gives": lambda s, b: _inside(b.values(), s.scalar()),
    "change what items() gives": lambda s, b: _inside([v for _, v in b.items()], s.scalar()),
    "change what get() gives": lambda s, b: _inside([b.get(s.key())], s.scalar()),
    "reorder": lambda _, b: _reorder(b),
    "set again": lambda s, b: operator.setitem(b, key := s.key(), b[key]),
}
LIST_MUTATORS = {
    "[]=": lambda s, b: operator.setitem(b, s.index(), s.value()),
    "list.__setitem__": lambda s, b: list.__setitem__(b, s.index(), s.value()),
    "del": lambda s, b: operator.delitem(b, s.index()),
    "append": lambda s, b: b.append(s.value()),
    "extend": lambda s, b: b.extend(s.some()),
    "extend by generator": lambda s, b: b.extend(x for x in s.some()),
    "insert": lambda s, b: b.insert(s.index(), s.value()),
    "remove": lambda s, b: b.remove(s.value()),
    "pop": lambda _, b: b.pop(),
    "pop at": lambda s, b: b.pop(s.index()),
    "clear": lambda _, b: b.clear(),
    "sort": lambda _, b: b.sort(),
    "sort by key": lambda s, b: b.sort(key=repr, reverse=s.flag()),
    "reverse": lambda _, b: b.reverse(),
    "slice": lambda s, b: operator.setitem(b, slice(s.index(), s.index()), s.some()),
    "whole slice": lambda s, b: operator.setitem(b, slice(None), s.some()),
    "stepped slice": lambda s, b: operator.setitem(
        b, slice(None, None, 2), [s.value() for _ in b[::2]]
    ),
    "del slice": lambda s, b: operator.delitem(b, slice(s.index(), s.index())),
    "+=": lambda s, b: _iadd(b, tuple(s.some())),
    "operator.iadd": lambda s, b: operator.iadd(b, s.some()),
    "operator.iconcat": lambda s, b: operator.iconcat(b, s.some()),
    "*=": lambda s, b: _imul(b, s.index()),
    "operator.imul": lambda _, b: operator.imul(b, 1),
    "swap": lambda s, b: _swap(b, s.index(), s.index()),
    "change while iterating": lambda s, b: _inside(b, s.scalar()),
    "change what [] gives": lambda s, b: _inside([b[s.index()]], s.scalar()),
    "heappush": lambda s, b: heapq.heappush(b, s.value()),
    "heapify": lambda _, b: heapq.heapify(b),
    "insort": lambda s, b: bisect.insort(b, s.value()),
    "shuffle": lambda s, b: random.Random(s.index()).shuffle(b),
}
REFUSED = (AttributeError, LookupError, TypeError, ValueError)


def mutate(draw, value):
    """Apply one mutator to a container somewhere inside a value."""
    apply(Supply(draw), draw(st.sampled_from(list(containers(value)))))


def apply(supply, box):
    """Apply one mutator to a container."""
    mutators = DICT_MUTATORS if isinstance(box, dict) else LIST_MUTATORS
    change = mutators[supply.draw(st.sampled_from(sorted(mutators)))]
    # A sort that fails half-way, a key that is not there: what became of the value counts.
    with suppress(*REFUSED):
        change(supply, box)


@pytest.mark.parametrize("name", sorted(DICT_MUTATORS))
@settings(max_examples=30)
@given(data=st.data())
def test_every_mutator_of_dictionaries_at_every_depth(name, data):
    one_mutator(data.draw, name, dict, DICT_MUTATORS[name])


@pytest.mark.parametrize("name", sorted(LIST_MUTATORS))
@settings(max_examples=30)
@given(data=st.data())
def test_every_mutator_of_lists_at_every_depth(name, data):
    one_mutator(data.draw, name, list, LIST_MUTATORS[name])


def one_mutator(draw, name, kind, change):
    inner = draw(st.lists(VALUES, max_size=3) if kind is list else st.dictionaries(KEYS, VALUES))
    base = inner
    for step in draw(st.lists(st.sampled_from(["a", "b", 0]), max_size=4)):
        base = [base, 1] if step == 0 else {step: base, "x": None}
    cell = Cell(base, "it")
    before = snapshot(base)
    value = cell.read()
    box = draw(st.sampled_from([box for box in containers(value) if isinstance(box, kind)]))
    with suppress(*REFUSED):
        change(Supply(draw), box)
    expect(cell, value, before)


def expect(cell, value, base):
    """A cell tells the change from base to value, exactly."""
    found = cell.change()
    if not isinstance(value, Marker) and not isinstance(base, Marker):
        assert (found is NOTHING) is same(value, base), (value, base, found)
    elif found is NOTHING:
        assert value is base
    if found is not NOTHING:
        assert found is value if isinstance(value, Marker) else same(found, value)
    assert cell.base is base if isinstance(base, Marker) else same(cell.base, base)


class Model(RuleBasedStateMachine):
    """One cell beside what it should be: the value somebody holds, and the service's.

    `value` is the container the user holds, or a scalar or marker; `base` a copy of the service's.
    """

    bases = VALUES | st.sampled_from([UNKNOWN, ABSENT])
    assigned = VALUES

    @initialize(data=st.data())
    def begin(self, data):
        self.base = data.draw(self.bases)
        self.cell = Cell(snapshot(self.base), "it")
        self.value = snapshot(self.base)
        self.live = self.forced = False

    def read_it(self):
        value = self.cell.read(PLAIN)
        assert same(value, self.value)
        if self.live and isinstance(value, (dict, list)):
            assert value is self.value
        self.value, self.live = value, True

    def is_there(self):
        return not isinstance(self.value, Marker)

    @precondition(is_there)
    @rule()
    def read(self):
        self.read_it()

    @precondition(lambda self: isinstance(self.value, (dict, list)))
    @rule(data=st.data())
    def change_in_place(self, data):
        if not self.live:
            self.read_it()
        mutate(data.draw, self.value)

    @rule(data=st.data())
    def assign(self, data):
        value = data.draw(self.assigned)
        self.value, self.live = self.cell.assign(value), True

    @precondition(lambda self: not isinstance(self.base, Marker))
    @rule()
    def assign_what_is_there(self):
        self.value, self.live = self.cell.assign(snapshot(self.base)), True

    @rule()
    def remove(self):
        self.cell.remove()
        self.value, self.live = ABSENT, False

    @rule()
    def discard(self):
        self.cell.discard()
        self.value, self.live, self.forced = snapshot(self.base), False, False

    @rule()
    def touch(self):
        """Have it sent again even if it is what the service has."""
        self.cell.force()
        self.forced = True

    @rule(data=st.data(), meanwhile=st.sampled_from(["nothing", "change", "assign", "spoil"]))
    def save(self, data, meanwhile):
        """Save, while the user goes on working."""
        sent = self.cell.change()
        if sent is NOTHING:
            return
        self.forced = False
        held = self.live and isinstance(self.value, list)
        if meanwhile == "change" and self.live and isinstance(self.value, (dict, list)):
            mutate(data.draw, self.value)
        elif meanwhile == "assign":
            self.assign(data)
        elif meanwhile == "spoil" and held:
            self.value.append({"not", "JSON"})
        self.base = snapshot(sent)
        self.cell.settle(sent, snapshot(sent))
        if meanwhile == "spoil" and held:
            with pytest.raises(ValidationError, match="is a set"):
                self.cell.change()
            self.value.pop()

    @rule(data=st.data())
    def somebody_else_wrote(self, data):
        unchanged = self.value is self.base or same(self.value, self.base)
        self.base = data.draw(VALUES | st.just(ABSENT))
        self.cell.rebase(snapshot(self.base))
        if unchanged and not same(self.value, self.base):
            self.value, self.live = snapshot(self.base), False

    @precondition(lambda self: not isinstance(self.base, Marker))
    @rule()
    def the_same_was_read_again(self):
        self.cell.rebase(snapshot(self.base))

    @invariant()
    def a_change_is_told_exactly(self):
        if hasattr(self, "cell"):
            if self.forced and self.is_there():
                assert same(self.cell.change(), self.value)
            else:
                expect(self.cell, self.value, self.base)
            assert self.cell.current() is self.value or same(self.cell.current(), self.value)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=25)


# Typed values


class Inner(BaseModel):
    level: int = 0
    marks: list[int] = []


class Part(BaseModel):
    name: str
    tags: list[str] = []
    limits: dict[str, int] = {}
    inner: Inner | None = None


@dataclasses.dataclass
class Dial:
    low: int
    steps: list[int]
    inner: Inner | None = None


TEXT = st.sampled_from(["", "a", "b", "1"])
INTEGERS = st.integers(0, 3)
NUMBER_LISTS = st.lists(INTEGERS, max_size=3)
INNERS = st.none() | st.builds(dict, level=INTEGERS, marks=NUMBER_LISTS)


def numbers(value, draw):
    yield lambda: apply(Supply(draw, INTEGERS, INTEGERS), value)


def texts(value, draw):
    yield lambda: apply(Supply(draw, TEXT, TEXT), value)


def series(value, draw):
    yield lambda: apply(Supply(draw, NUMBER_LISTS, INTEGERS), value)
    for item in value.values():
        yield from numbers(item, draw)


def inner(value, draw):
    if value is not None:
        yield lambda: setattr(value, "level", draw(INTEGERS))
        yield from numbers(value.marks, draw)


def part(value, draw):
    yield lambda: setattr(value, "name", draw(TEXT))
    yield lambda: setattr(value, "inner", draw(st.builds(Inner, level=INTEGERS) | st.none()))
    yield from texts(value.tags, draw)
    yield from numbers(value.limits, draw)
    yield from inner(value.inner, draw)


def parts(value, draw):
    yield lambda: apply(Supply(draw, st.builds(Part, name=TEXT), TEXT), value)
    for item in value:
        yield from part(item, draw)


def dial(value, draw):
    yield lambda: setattr(value, "low", draw(INTEGERS))
    yield from numbers(value.steps, draw)
    yield from inner(value.inner, draw)


PARTS = st.builds(
    dict, name=TEXT, tags=st.lists(TEXT), limits=st.dictionaries(KEYS, INTEGERS), inner=INNERS
)
SHAPES = {
    "list[str]": (list[str], st.lists(TEXT), texts),
    "dict[str, int]": (dict[str, int], st.dictionaries(KEYS, INTEGERS), numbers),
    "dict": (dict, st.dictionaries(KEYS, INTEGERS), numbers),
    "dict[str, list[int]]": (
        dict[str, list[int]],
        st.dictionaries(KEYS, NUMBER_LISTS),
        series,
    ),
    "model": (Part, PARTS, part),
    "models": (list[Part], st.lists(PARTS, max_size=2), parts),
    "dataclass": (Dial, st.builds(dict, low=INTEGERS, steps=NUMBER_LISTS, inner=INNERS), dial),
}


def plain(value: Any) -> Any:
    """The JSON of a value, made without the codec."""
    if isinstance(value, BaseModel):
        return {name: plain(item) for name, item in vars(value).items()}
    if dataclasses.is_dataclass(value):
        return {name: plain(item) for name, item in vars(value).items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
def test_typed_values(shape, data):
    """In-place changes, saves, newer answers, assignments and discards, in any order."""
    draw = data.draw
    annotation, bases, changes = SHAPES[shape]
    codec = TypedCodec(lambda: annotation)
    cell = Cell(draw(bases), "it")
    value = cell.read(codec)
    base = plain(value)
    acts = ["change", "change", "change", "save", "newer", "assign", "discard", "read"]
    for act in draw(st.lists(st.sampled_from(acts), min_size=1, max_size=8)):
        if act == "change":
            draw(st.sampled_from(list(changes(value, draw))))()
        elif act == "save" and (sent := cell.change()) is not NOTHING:
            base = snapshot(sent)
            cell.settle(sent, snapshot(sent))
        elif act == "newer":
            unchanged = same(plain(value), base)
            newer = draw(bases)
            base = plain(codec.load(newer, "it"))
            cell.rebase(newer)
            value = cell.read(codec) if unchanged else value
        elif act == "assign":
            value = cell.assign(codec.load(draw(bases), "it"), codec)
        elif act == "discard":
            cell.discard()
            value = cell.read(codec)
        elif act == "read":
            assert cell.read(codec) is value
        found = cell.change()
        assert (found is NOTHING) is same(plain(value), base)
        assert found is NOTHING or same(found, plain(value))


@pytest.mark.parametrize(
    ("annotation", "base", "spoil", "text"),
    [
        (list[str], ["a"], lambda v: v.append(5), r"list\[str\].*\[1\]"),
        (dict[str, int], {"a": 1}, lambda v: v.update(a="x"), r"\['a'\]"),
        (dict[str, int], {"a": 1}, lambda v: v.update({3: 1}), "3|key"),
        (Part, {"name": "a"}, lambda v: setattr(v, "name", None), r"\['name'\]"),
        (Part, {"name": "a"}, lambda v: v.tags.append(None), r"\['tags'\]\[0\]"),
        (Part, {"name": "a"}, lambda v: setattr(v, "inner", "x"), r"\['inner'\]"),
        (list[Part], [{"name": "a"}], lambda v: setattr(v[0], "name", 1.5), r"\[0\]\['name'\]"),
        (Dial, {"low": 1, "steps": []}, lambda v: setattr(v, "low", "x"), r"\['low'\]"),
        (list[Any], [1], lambda v: v.append(object()), "JSON"),
        (Part, {"name": "a"}, lambda v: setattr(v, "name", object()), "name|JSON"),
        (list[float], [1.0], lambda v: v.append(float("nan")), "nan"),
        (list[str], ["a"], lambda v: v.append("\ud800"), "surrogate|unicode"),
    ],
)
def test_typed_containers_changed_to_what_their_type_cannot_hold(annotation, base, spoil, text):
    codec = TypedCodec(lambda: annotation)
    cell = Cell(base, "ledger['x']")
    value = cell.read(codec)
    spoil(value)
    for look in (cell.change, cell.current):
        with pytest.raises(ValidationError, match=text) as caught:
            look()
        assert "ledger['x']" in str(caught.value)
    assert cell.read(codec) is value  # nothing is lost
    cell.rebase({"name": "b"} if annotation is Part else base)
    assert cell.read(codec) is value
    cell.discard()
    assert cell.change() is NOTHING


def test_what_another_thread_has_forgotten_is_still_what_was_looked_at():
    cell = Cell([1], "here")
    raw = cell.current()
    cell.rebase(UNKNOWN)
    value = cell.read(PLAIN, None, raw)
    assert value == [1]
    value.append(2)
    assert cell.change() == [1, 2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v["a"].append({1}),
        lambda v: v.update(b=float("nan")),
        lambda v: v.update(b=b"x"),
        lambda v: v["a"].append({1: 2}),
        lambda v: v["a"].append("\ud800"),
        lambda v: v.update(b=v),
    ],
)
def test_plain_containers_changed_to_what_json_cannot_hold(spoil):
    cell = Cell({"a": [1]}, "ledger['x'].value")
    value = cell.read()
    spoil(value)
    with pytest.raises(ValidationError, match=r"ledger\['x'\]\.value"):
        cell.change()
    assert cell.read() is value
    value.clear()
    value["a"] = [1]
    assert cell.change() is NOTHING


@pytest.mark.parametrize("bad", [{1}, float("inf"), b"x", [object()], {1: 1}, "\udfff"])
def test_a_refused_assignment_leaves_the_cell_as_it_was(bad):
    cell = Cell([1], "it")
    held = cell.read()
    held.append(2)
    with pytest.raises(ValidationError):
        cell.assign(bad)
    assert cell.read() is held
    assert cell.change() == [1, 2]


def test_values_made_past_validation_are_refused_when_they_are_assigned():
    cell = Cell(ABSENT, "it")
    with pytest.raises(ValidationError, match=r"\['name'\]"):
        cell.assign(Part.model_construct(name=None), TypedCodec(lambda: Part))
    assert cell.change() is NOTHING


def test_scalars_are_compared_as_validated_values():
    """What the service holds may be written otherwise than we would write it."""
    whole = TypedCodec(lambda: float)
    cell = Cell(5, "it")
    cell.assign(5.0, whole)
    assert cell.change() is NOTHING
    cell.assign(5.5, whole)
    assert cell.change() == 5.5
    plainly = Cell(5, "it")
    plainly.assign(5.0)
    assert same(plainly.change(), 5.0)


# Two views of one value


TAGS = TypedCodec(lambda: list[str])


@given(st.data())
def test_two_views(data):
    """A plain one and a typed one; each starts where the value was when it was first read."""
    draw = data.draw
    base = draw(st.lists(TEXT, max_size=3))
    cell = Cell(snapshot(base), "it")
    views, first = {}, base
    for codec in draw(st.permutations([PLAIN, TAGS])):
        views[codec] = cell.read(codec)
        # What was changed before the second view came is the start of both.
        starts = {seen: snapshot(value) for seen, value in views.items()}
        first = starts[codec]
        if draw(st.booleans()):
            apply(Supply(draw, TEXT, TEXT), views[codec])
    changed = [view for codec, view in views.items() if not same(view, starts[codec])]
    if len(changed) == 2 and not same(*changed):
        with pytest.raises(ConflictError, match="changed in two places") as caught:
            cell.change()
        assert sorted([caught.value.mine["it"], caught.value.theirs["it"]]) == sorted(changed)
        cell.discard()
        assert cell.change() is NOTHING
        return
    value = changed[0] if changed else first
    expect(cell, value, base)
    if (sent := cell.change()) is not NOTHING:
        cell.settle(sent, snapshot(sent))
        expect(cell, value, value)
        for codec in (PLAIN, TAGS):
            assert cell.read(codec) == value


@pytest.mark.parametrize("meanwhile", [[1], [1, 2, 3], [1, 2], []])
@pytest.mark.parametrize("second", [False, True])
def test_what_happens_while_a_save_is_under_way_counts_against_what_was_sent(meanwhile, second):
    """Also when the value is what it was before: the service has the sent one now."""
    cell = Cell([1], "it")
    held = cell.read()
    held.append(2)
    sent = cell.change()
    held[:] = meanwhile
    if second:
        cell.read(TypedCodec(lambda: list[int]))
    cell.settle(sent, [1, 2])
    expect(cell, meanwhile, [1, 2])
    assert cell.read() is held
    held.append(7)
    expect(cell, [*meanwhile, 7], [1, 2])


def test_a_removed_value_whose_default_was_changed_is_written_once():
    cell = Cell([1], "it")
    cell.remove()
    default = []
    cell.lend(default, PLAIN)
    default.append(2)
    assert cell.change() == [2]
    cell.settle([2], [2])
    assert cell.change() is NOTHING


def test_views_of_an_assigned_container():
    cell = Cell(UNKNOWN, "it")
    mine = ["a"]
    assert cell.assign(mine) is mine
    typed = cell.read(TAGS)
    assert typed == ["a"]
    assert typed is not mine
    typed.append("b")
    assert cell.change() == ["a", "b"]
    mine.append("c")
    with pytest.raises(ConflictError):
        cell.change()
    mine[:] = ["a", "b"]
    assert cell.change() == ["a", "b"]


# Items: an Entry's attributes


ATTRIBUTES = ["value", "visibility", "history"]


def test_an_item_is_told_by_its_attributes():
    item = Item({"value": [1], "visibility": "true"}, "ledger['x'].{}", None)
    assert item.present
    assert item.cell("value").read() == [1]
    assert item.cell("history").current() is None
    assert item.changes() == {}
    item.cell("history").assign("3M")
    item.cell("value").read().append(2)
    item.cell("visibility").assign("true")
    assert item.changes() == {"history": "3M", "value": [1, 2]}
    assert item.is_modified()
    item.settle({"history": "3M", "value": [1, 2]}, {"value": [1, 2], "history": "3M"})
    assert item.changes() == {}
    assert not item.is_modified()
    assert item.cell("visibility").current() is None


@pytest.mark.parametrize(
    ("base", "present"), [(UNKNOWN, None), (ABSENT, False), ({}, True), ({"value": 1}, True)]
)
def test_presence(base, present):
    item = Item(base, "it.{}", None)
    assert item.present is present
    assert not item.is_modified()
    item.remove()
    assert item.is_modified() is (present is not False)
    item.discard()
    item.adding = True
    assert item.is_modified() is (present is not True)


class Service:
    """What the service holds of three names, and which of them were looked at."""

    def __init__(self):
        self.holds: dict[str, int] = {}
        self.unseen = {"a", "b", "c"}

    def wire(self, names):
        self.unseen -= set(names)
        return {name: {"value": self.holds[name]} for name in names if name in self.holds}


@given(st.data())
def test_items_keep_changes_and_follow_the_service_elsewhere(data):
    """Assignments, removals, saves, and partial and complete answers of a changing service."""
    draw, service = data.draw, Service()
    items, mine = Items("ledger['{}'].{}", None), {}
    for act in draw(st.lists(st.sampled_from(["assign", "remove", "save", "all", "some", "else"]))):
        name = draw(KEYS)
        item = items.item(name)
        if act == "assign":
            item.removed = False
            mine[name] = item.cell("value").assign(draw(INTEGERS))
        elif act == "remove":
            item.remove()
            mine[name] = ABSENT
        elif act == "else":
            service.holds = draw(st.dictionaries(KEYS, INTEGERS))
        elif act == "all":
            items.absorb(service.wire("abc"), complete=True)
        elif act == "some" and name in service.holds:
            items.absorb(service.wire(name), complete=False)
        elif act == "save" and item.is_modified():
            if item.removed:
                service.holds.pop(name, None)
            else:
                service.holds[name] = mine[name]
            items.settle(name, item.changes(), service.wire(name).get(name, ABSENT))
        if act != "else":
            # What agrees with what was seen of the service is no change, whoever wrote it.
            seen = {n: item.known.get("value", ABSENT) for n, item in items}
            mine = {n: v for n, v in mine.items() if n in service.unseen or seen[n] != v}
        assert {n for n, item in items if item.is_modified()} == set(mine)
        assert items.is_modified() is bool(mine)
    items.discard()
    assert not items.is_modified()


def test_names_that_are_not_listed_are_unknown_until_the_list_is_complete():
    items = Items("ledger['{}'].{}", None)
    items.absorb({"a": {"value": 1}}, complete=False)
    assert items.item("a").present
    assert items.item("b").present is None
    items.absorb({"a": {"value": 1}}, complete=True)
    assert items.item("b").present is False
    assert items.names() == ["a"]
