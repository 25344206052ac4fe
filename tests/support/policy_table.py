"""The table of the emulator's switches in docs/emulator.md: run this file to see it."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import fields

from ttorm.emulator import Policy


def meanings():
    """What the docstring says of each switch."""
    text = inspect.cleandoc(Policy.__doc__).partition("Attributes:\n")[2].partition("\nExample:")[0]
    parts = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(meaning.split()) for name, meaning in parts}


def values(switch):
    """The values that a switch takes, the default first."""
    default = repr(switch.default).replace("'", '"')
    found = re.fullmatch(r"Literal\[(.*)\]", switch.type.replace("'", '"'))
    if not found:
        return f"`{default}`"
    others = [value for value in found[1].split(", ") if value != default]
    return ", ".join(f"`{value}`" for value in (default, *others))


def table():
    told = meanings()
    lines = [
        "| switch | values, the default first | what | why that default |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{switch.name}` | {values(switch)} | {told.pop(switch.name)} | "
        f"{switch.metadata['reason']} |"
        for switch in fields(Policy)
    ]
    assert not told, f"these are no switches: {told}"
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
