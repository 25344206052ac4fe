"""How objects show themselves to people: as text, in HTML (notebooks) and in rich's tables.

An object tells what it is by a `Sheet`; nothing here, and no sheet, ever asks the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["Displayed", "Sheet", "displayed", "limited", "shortened"]

T = TypeVar("T")
_ROWS = 100
"""Most rows that are shown; the rest is counted."""


class Sheet(NamedTuple):
    """What an object shows of itself.

    Attributes:
        title: What it is.
        columns: Headings.
        rows: Texts, one for each column.
        note: What else there is to know.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def __str__(self) -> str:
        """Show it as text, the columns aligned."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)][:-1]
        lines = [
            "  " + "  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in self.rows
        ]
        return "\n".join([self.title, *lines, *([f"  ({self.note})"] if self.note else [])])


class Displayed:
    """What classes inherit whose objects give a `Sheet`."""

    __slots__ = ()

    def _sheet(self) -> Sheet:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """Show it in HTML: notebooks call this."""
        from html import escape

        def cells(tag: str, texts: Iterable[str]) -> str:
            return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)

        sheet = self._sheet()
        head = f"<thead><tr>{cells('th', sheet.columns)}</tr></thead>"
        rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in sheet.rows)
        note = f"<p>{escape(sheet.note)}</p>" if sheet.note else ""
        title = f"<caption>{escape(sheet.title)}</caption>"
        return f"<table>{title}{head}<tbody>{rows}</tbody></table>{note}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show it as text: IPython calls this. Inside other objects it takes one line."""
        alone = len(getattr(printer, "stack", ())) <= 1 and not cycle
        text = str(self._sheet()) if alone else repr(self)
        for number, line in enumerate(text.split("\n")):
            if number:
                printer.break_()
            printer.text(line)

    def __rich__(self) -> Any:
        """Show it as a table: rich calls this."""
        from rich.table import Table
        from rich.text import Text

        sheet = self._sheet()
        # As Text: what stands in brackets is no markup.
        table = Table(title=Text(sheet.title), caption=Text(sheet.note), title_justify="left")
        for column in sheet.columns:
            table.add_column(Text(column), overflow="fold")
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        return table


def displayed(kind: type[T]) -> type[T]:
    """Give a class of named tuples, which cannot inherit, what `Displayed` gives."""
    for name in ("_repr_html_", "_repr_pretty_", "__rich__"):
        setattr(kind, name, vars(Displayed)[name])
    return kind


def shortened(value: object, width: int = 200) -> str:
    """Show a value in one line of limited width."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def limited(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Keep the first rows, and count the rest in a row of its own."""
    found = list(rows)
    if len(found) <= _ROWS:
        return found
    rest = ("" for _ in found[0][2:])
    return [*found[:_ROWS], ("...", f"{len(found) - _ROWS} more", *rest)]
