"""Cells of Timeseries and Indexes tables, made of templates and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ttorm.emulator.columntypes import TIMESTAMPTZ, ColumnType, MisfitError
from ttorm.emulator.templates import Room, TemplateError, compile_template

__all__ = ["Cells", "message"]


def message(text: str, **about: str) -> str:
    """Word a message for an account's log.

    Example:
        >>> message("Unknown dimension", dimension="town", twin="3e17...")
        'Unknown dimension: dimension=[town], twin=[3e17...].'
    """
    return f"{text}: {', '.join(f'{name}=[{value[:80]}]' for name, value in about.items())}."


class Cells:
    """Makes the cells of one row; what does not come out right is null, and a message.

    Args:
        variables: What templates may mention.
        room: How much text the templates of all rows may make together.
        about: What messages say about the row, beside the Twin: its table.

    Attributes:
        messages: What was wrong.
    """

    def __init__(self, variables: Mapping[str, Any], room: Room, **about: str) -> None:
        self.messages: list[str] = []
        self._room = room
        self._variables = variables
        self._about = about

    def complain(self, text: str, **about: str) -> None:
        """Keep a message."""
        self.messages.append(message(text, **self._about, **about, twin=self._variables["twin"]))

    def name(self, template: str) -> str | None:
        """Make a name of a template."""
        try:
            return compile_template(template).name(self._variables, self._room)
        except TemplateError as error:
            self.complain(f"Template failed, {error}", template=template)
            return None

    def fitting(self, column: str, kind: ColumnType, value: Any) -> Any:
        """Make the cell of a column that is to hold a value."""
        if value is None:
            return None
        try:
            return kind.fit(value)
        except MisfitError:
            self.complain("Value does not fit its column", column=column)
            return None

    def row(
        self, columns: Iterable[tuple[str, ColumnType]], templates: Mapping[str, str]
    ) -> dict[str, Any]:
        """Make the cells of several columns, each of its template; one without is null."""
        return {
            name: self.fitting(name, kind, self._value(templates[name]))
            if name in templates
            else None
            for name, kind in columns
        }

    def moment(self, template: str | None, otherwise: float) -> str:
        """Make the time of a row.

        Args:
            template: Its template.
            otherwise: The time, in Unix seconds, when the template is missing or makes none.
        """
        if template is not None:
            try:
                return str(TIMESTAMPTZ.fit(self._value(template)))
            except MisfitError:
                self.complain("Value does not fit its column", column="_timestamp")
        return str(TIMESTAMPTZ.fit(otherwise))

    def _value(self, template: str) -> Any:
        try:
            return compile_template(template).value(self._variables, self._room)
        except TemplateError as error:
            self.complain(f"Template failed, {error}", template=template)
            return None

    def finish(self) -> list[str]:
        """Return all messages about a row that was written."""
        if self.messages:
            self.messages.append(
                message(
                    "Row potentially incomplete. Refer to reported errors",
                    twin=self._variables["twin"],
                )
            )
        return self.messages
