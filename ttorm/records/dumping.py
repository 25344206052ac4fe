"""Records as dictionaries: their fields by name, for answers, logs and files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from ttorm.api.codec import JSONValue
from ttorm.api.errors import BrokenReferenceError, MissingEntryError, ValidationError
from ttorm.flows import Flow, gather
from ttorm.pairs import twin_of
from ttorm.records.attributes import read_field
from ttorm.records.cells import NOTHING, Marker
from ttorm.records.fields import FieldSpec
from ttorm.records.items import Items
from ttorm.records.loading import check_blocking, is_loaded, load, require
from ttorm.records.meta import did_you_mean
from ttorm.records.references import source
from ttorm.records.state import TwinState
from ttorm.records.targets import behind
from ttorm.records.typed import TypedCodec
from ttorm.records.values import PLAIN, Codec
from ttorm.results import all_of

__all__ = ["Dumps", "Mode", "complete", "dumped_fields", "entry_values", "exported", "is_known"]

Mode: TypeAlias = Literal["python", "json"]
"""Whether dictionaries hold Python's own types (dates, decimals, enums), or only those of JSON."""
_PLAIN_PARTS = ("description", "ledger")


class Dumps:
    """What records inherit to be shown as dictionaries."""

    _state: TwinState

    def to_dict(
        self,
        *,
        mode: Mode = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] = (),
        exclude_defaults: bool = False,
        loaded_only: bool = False,
    ) -> dict[str, Any]:
        """Give the record as a dictionary of its own: its UUID, and its fields by name.

        Models, dataclasses and links inside become dictionaries and UUIDs. A class without fields
        gives the description and the values of the Ledger. Docs are left out. What is not loaded
        is loaded; what was changed is shown as it is now.

        Args:
            mode: ``"python"`` keeps dates, decimals and enums; ``"json"`` has types of JSON only.
            include: Names to give; None gives all.
            exclude: Names to leave out.
            exclude_defaults: Whether fields that are equal to their defaults are left out.
            loaded_only: Whether only that is given which can be told without asking the service.

        Raises:
            NotLoadedError: A part is not loaded, and waiting for it is not allowed here.
            MissingEntryError: A field without default has no value (not with `loaded_only`).
            TypeError: There is no field of a name.

        Example:
            >>> class Pump(Twin):
            ...     pressure: Field[float] = entry()
            ...     tags: Field[list[str]] = entry(default_factory=list)
            >>> Pump(pressure=2.5).to_dict()
            {'uuid': None, 'pressure': 2.5, 'tags': []}
        """
        _check_mode(mode)
        names = _chosen(type(self), include, exclude)
        if not loaded_only:
            for part in _missing(self, names):
                check_blocking(self._state, part, "record.ato_dict()")
                require(self._state, part, part)
        return _dumped(self, names, mode, defaults=not exclude_defaults, lenient=loaded_only)

    @twin_of(to_dict)
    async def ato_dict(
        self,
        *,
        mode: Mode = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] = (),
        exclude_defaults: bool = False,
        loaded_only: bool = False,
    ) -> dict[str, Any]:
        _check_mode(mode)
        names = _chosen(type(self), include, exclude)
        if not loaded_only and (missing := _missing(self, names)):
            await self._state.connection.arun(load(self._state, missing))
        if not loaded_only and (waiting := _unread_sources(self, names)):
            await self._state.connection.arun(_load_all(waiting))
        return _dumped(self, names, mode, defaults=not exclude_defaults, lenient=loaded_only)


def _check_mode(mode: object) -> None:
    """Refuse what is no mode."""
    if mode not in get_args(Mode):
        raise ValidationError(
            f"mode={mode!r}: expected {' or '.join(map(repr, get_args(Mode)))}", code="bad-argument"
        )


def dumped_fields(model: Any) -> dict[str, FieldSpec]:
    """Return the fields of a class that dictionaries hold: all but Docs."""
    fields: Mapping[str, FieldSpec] = model.__fields__
    return {name: spec for name, spec in fields.items() if spec.kind != "doc"}


def _names(model: Any) -> list[str]:
    return ["uuid", *(dumped_fields(model) if model.__fields__ else _PLAIN_PARTS)]


def _chosen(
    model: Any, include: Collection[str] | None, exclude: Collection[str] | None
) -> list[str]:
    known = _names(model)
    for argument, names in (("include", include), ("exclude", exclude)):
        if isinstance(names, str):
            raise TypeError(f"{argument}={names!r}: expected a set or list of names")
        for name in names or ():
            if name not in known:
                raise TypeError(
                    f"{argument}: {model.__name__} has no {name!r} in its dictionary"
                    f"{did_you_mean(name, known) or ': it has ' + ', '.join(known)}"
                )
    return [
        name
        for name in known
        if (include is None or name in include) and name not in (exclude or ())
    ]


# What is there, and what is not


def complete(records: Sequence[Dumps]) -> Flow[None]:
    """Read what dictionaries of records would lack, side by side."""
    wanted = [(record._state, _missing(record, _names(type(record)))) for record in records]
    all_of((yield from gather(load(state, parts) for state, parts in wanted if parts)))


def is_known(state: TwinState, spec: FieldSpec) -> bool:
    """Tell whether the value of a field can be told without asking the service."""
    if is_loaded(state, spec.part):
        return True
    if spec.kind == "identity":
        return spec.target in state.identity_fields or state.shown_identity(spec.target) is not None
    try:
        return state.holds(spec)
    except ValidationError:
        return True  # in users' hands, and spoilt there


def _missing(record: Dumps, names: Collection[str]) -> list[str]:
    """Name the parts to load before these names can be given."""
    state, fields = record._state, dumped_fields(type(record))
    if not fields:
        return [part for part in _PLAIN_PARTS if part in names and not is_loaded(state, part)]
    specs = [spec for name, spec in fields.items() if name in names]
    return list(dict.fromkeys(spec.part for spec in specs if not is_known(state, spec)))


def _unread_sources(record: Dumps, names: Collection[str]) -> list[tuple[TwinState, str]]:
    """Name the Ledgers whose values references show that are not saved yet."""
    found: list[tuple[TwinState, str]] = []
    for name, spec in dumped_fields(type(record)).items():
        if name in names and spec.linked and _is_assigned(record._state, spec):
            entry = source(record, name)
            if entry is not None:
                found.append((entry._attached(), entry._part))
    return found


def _is_assigned(state: TwinState, spec: FieldSpec) -> bool:
    item, _ = state.place(spec)
    return item.cell(str(spec.linked)).is_changed()


def _load_all(parts: Iterable[tuple[TwinState, str]]) -> Flow[None]:
    outcomes = yield from gather(load(state, [part]) for state, part in dict.fromkeys(parts))
    all_of(outcomes)


# Dictionaries


def _dumped(
    record: Any, names: Collection[str], mode: Mode, *, defaults: bool = True, lenient: bool = False
) -> dict[str, Any]:
    """Give what is known of a record as a dictionary, without handing anything out.

    Args:
        record: The record.
        names: Which fields to give.
        mode: Which types it may hold.
        defaults: Whether to give what is equal to its default.
        lenient: Whether what has no value, or is not known, is left out.
    """
    state: TwinState = record._state
    found: dict[str, Any] = {"uuid": state.uuid} if "uuid" in names else {}
    fields = dumped_fields(type(record))
    if not fields:
        return found | _untyped(state, names)
    for name in names:
        spec = fields.get(name)
        if spec is None or (lenient and not _is_told(record, spec)):
            continue
        try:
            value = _value_of(state, spec)
        except (MissingEntryError, BrokenReferenceError):
            if lenient:
                continue
            raise
        if defaults or spec.required or not bool(value == spec.default()):
            found[name] = exported(spec.codec, value, name, mode)
    return found


def _is_told(record: Any, spec: FieldSpec) -> bool:
    state: TwinState = record._state
    if not is_known(state, spec):
        return False
    if not spec.linked or not _is_assigned(state, spec):
        return True
    entry = source(record, spec.attribute)
    return entry is None or is_loaded(entry._attached(), entry._part)


def _untyped(state: TwinState, names: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "description" in names and is_loaded(state, "description"):
        item = state.description
        found["description"] = _copied(
            {key: item.current(key) for key in dict.fromkeys([*item.known, *item.cells])}
        )
    if "ledger" in names and is_loaded(state, "ledger"):
        found["ledger"] = entry_values(state.ledger)
    return found


def entry_values(ledger: Items) -> dict[str, JSONValue]:
    """Return the values of a Ledger's Entries, sharing nothing with it."""
    return _copied({name: ledger.item(name).current("value") for name in ledger.names()})


def _copied(values: dict[str, JSONValue]) -> dict[str, JSONValue]:
    return {
        name: PLAIN.load(value, name)
        for name, value in values.items()
        if not isinstance(value, Marker)
    }


def _value_of(state: TwinState, spec: FieldSpec) -> Any:
    """Return the value of a field as `read_field` does, but hand nothing out: it is not kept.

    Raises:
        MissingEntryError: The Twin has no value for it, and it declares no default.
    """
    if spec.kind == "identity" or spec.linked:
        return read_field(state, spec)
    item, attribute = state.place(spec)
    if (held := item.held(attribute, spec.codec)) is not NOTHING:
        return held
    now = item.current(attribute)
    if not isinstance(now, Marker):
        return spec.codec.load(now, spec.attribute, state)
    return read_field(state, spec) if spec.required else spec.default()


def exported(codec: Codec, value: Any, where: str, mode: Mode) -> Any:
    """Return a value as dictionaries hold it, sharing nothing with it."""
    if value is None:
        return None
    codec = behind(codec)
    if isinstance(codec, TypedCodec):
        return codec.export(value, where, json=mode == "json")
    raw = codec.dump(value, where)
    return raw if mode == "json" else codec.load(raw, where)
