"""The API described as OpenAPI 3.1: one shape for each operation of the table.

Shapes are JSON Schema, written down as data in modules by area. What the emulator's own checks
define is taken from there: patterns of names, limits, choices. The emulator imports this package
when somebody asks for the description.
"""

from __future__ import annotations

from ttorm.emulator.openapi.document import description

__all__ = ["description"]
