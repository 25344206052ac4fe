"""Templates: texts with ``{...}`` tokens, out of which names and values are made at run time.

They look like those of Python's `str.format`, which would let a stranger read attributes of real
objects. Here a token reaches members of JSON objects and items of JSON arrays, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sized
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple, TypeGuard, cast

from ttorm.api import codec

__all__ = [
    "MAX_OUTPUT",
    "MAX_PARTS",
    "MAX_TEXT",
    "Room",
    "Template",
    "TemplateError",
    "compile_template",
]

MAX_TEXT = 4_096
"""Longest template, in characters."""
MAX_OUTPUT = 65_536
"""Longest text that a template makes, in characters."""
MAX_PARTS = 16
"""How deep a token may reach: ``{a.b[0]}`` has three parts."""

_LEAST = 16
"""Characters that a template takes of a room, however little text it makes."""
_FIRST = re.compile(r"[^.\[\]]+")
_MORE = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]+)\]")


class TemplateError(ValueError):
    """A text is no template, or makes more text than it may."""


class Room:
    """How much text several templates may make together.

    Attributes:
        left: Characters; one that asks for more fails, and takes what it could have had.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_OUTPUT) -> None:
        self.left = left


class _Piece(NamedTuple):
    """A text that stands for itself, and the path of the token behind it; at the end, none."""

    literal: str
    path: tuple[str, ...]


class Template:
    """A compiled template.

    Attributes:
        text: The template as it was written.
        names: Names that it mentions as variables.
    """

    __slots__ = ("_pieces", "names", "text")

    def __init__(self, text: str, pieces: tuple[_Piece, ...]) -> None:
        self.text = text
        self.names = frozenset(piece.path[0] for piece in pieces if piece.path)
        self._pieces = pieces

    def name(self, variables: Mapping[str, Any], room: Room | None = None) -> str:
        """Make a name: texts are put in as they are, other values as JSON.

        Args:
            variables: JSON values by name. What is missing is null; a name that is no variable
                may be that of an Entry in ``LEDGER``.
            room: What the text is taken from, if there is a limit for several templates.

        Raises:
            TemplateError: The name would be too long.

        Example:
            >>> compile_template("{LEDGER.city}-{LEDGER[tags][1]}").name(
            ...     {"LEDGER": {"city": "Oslo", "tags": ["a", None]}}
            ... )
            'Oslo-null'
        """
        return self._render(variables, _plain, room or Room())

    def value(self, variables: Mapping[str, Any], room: Room | None = None) -> Any:
        """Make a value: the JSON that the finished text is, else the text itself.

        Args:
            variables: As in `name`.
            room: As in `name`.

        Raises:
            TemplateError: The text would be too long.

        Example:
            >>> template = compile_template("[{entry_value.at}, {entry_name}]")
            >>> template.value({"entry_name": "temp", "entry_value": {"at": 3}})
            [3, 'temp']
            >>> compile_template("warehouse 4").value({})
            'warehouse 4'
        """
        text = self._render(variables, _dumped, room or Room())
        try:
            return codec.decode_finite(text.encode())
        except (ValueError, RecursionError):
            return text

    def _render(
        self, variables: Mapping[str, Any], show: Callable[[Any, int], str], room: Room
    ) -> str:
        limit = min(MAX_OUTPUT, room.left)
        room.left -= limit
        parts: list[str] = []
        left = limit
        for literal, path in self._pieces:
            shown = show(_find(variables, path), left) if path else ""
            left -= len(literal) + len(shown)
            if left < 0:
                raise _too_long()
            parts += (literal, shown)
        room.left += min(left, limit - _LEAST)
        return "".join(parts)


@lru_cache(maxsize=1_024)
def compile_template(text: str) -> Template:
    """Compile the text of a template.

    Raises:
        TemplateError: It is none, or asks for more than templates may do.
    """
    if len(text) > MAX_TEXT:
        raise TemplateError(f"a template has at most {MAX_TEXT} characters")
    try:
        parsed = [*Formatter().parse(text)]
    except ValueError as error:
        raise TemplateError(str(error)) from None
    return Template(text, tuple(_piece(*part) for part in parsed))


def _piece(literal: str, field: str | None, spec: str | None, conversion: str | None) -> _Piece:
    if spec or conversion:
        raise TemplateError(f"{field!r} has a format or conversion: write {{{field}}} only")
    return _Piece(literal, () if field is None else _path(field))


def _path(field: str) -> tuple[str, ...]:
    first = _FIRST.match(field)
    if first is None or first[0].isdecimal():
        raise TemplateError(f"{{{field}}} names no variable: write one such as {{entry_name}}")
    path = [first[0]]
    position = first.end()
    while position < len(field):
        more = _MORE.match(field, position)
        if more is None:
            raise TemplateError(f"{{{field}}} is no path: write one such as {{LEDGER.tags[0]}}")
        path.append(more[1] or more[2])
        position = more.end()
    if len(path) > MAX_PARTS:
        raise TemplateError(f"{{{field}}} has more than {MAX_PARTS} parts")
    return tuple(path)


def _find(variables: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    name, *more = path
    value = variables[name] if name in variables else _member(variables.get("LEDGER"), name)
    for key in more:
        value = _member(value, key)
    return value


def _member(value: Any, key: str) -> Any:
    if _is_object(value):
        return value.get(key)
    if _is_array(value) and key.isascii() and key.isdigit() and len(key) < 10:
        return value[int(key)] if int(key) < len(value) else None
    return None


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _plain(value: Any, room: int) -> str:
    return value if isinstance(value, str) else _dumped(value, room)


def _dumped(value: Any, room: int) -> str:
    _check_room(value, room)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"a value cannot be written: {error}") from None


def _check_room(value: Any, room: int) -> None:
    """Refuse a value whose JSON is certainly too long, before it is made."""
    level: list[Any] = [value]
    while level and room >= 0:
        below: list[Any] = []
        for item in level:
            if isinstance(item, (str, list, dict)):
                room -= len(cast("Sized", item))
            if room < 0:
                break
            if _is_array(item):
                below += item
            elif _is_object(item):
                room -= sum(map(len, item))
                below += item.values()
        level = below
    if room < 0:
        raise _too_long()


def _too_long() -> TemplateError:
    return TemplateError("the text is too long")
