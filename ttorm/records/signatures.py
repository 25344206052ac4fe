"""What the constructor of a model takes, for `help`, shells and editors that ask at run time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from inspect import Parameter
from typing import Any

from ttorm.records.fields import FieldSpec
from ttorm.records.models import is_mark

__all__ = ["ConstructorSignature"]

_OWN = {"description": None, "entries": None, "identities": ()}
"""What all Twins take, with its defaults."""


class _Made:
    """Stands for defaults that are made afresh each time."""

    def __repr__(self) -> str:
        return "<made>"


class ConstructorSignature:
    """The signature of each model that has no constructor of its own."""

    _base: Any

    def __set_name__(self, base: Any, name: str) -> None:
        self._base = base

    def __get__(self, instance: object, model: Any) -> inspect.Signature:
        """Return the signature; raises AttributeError where `inspect` knows better."""
        if instance is not None or model.__init__ is not self._base.__init__:
            raise AttributeError("__signature__")
        return inspect.Signature(list(_parameters(model)))


def _parameters(model: Any) -> Iterator[Parameter]:
    for name, spec in model.__fields__.items():
        if spec.kind != "doc":
            default = model.__meta__.kind if is_mark(model, spec) else _default(spec)
            yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=_type(spec))
    for name, default in _OWN.items():
        if name not in model.__fields__:
            yield Parameter(name, Parameter.KEYWORD_ONLY, default=default)


def _default(spec: FieldSpec) -> Any:
    if spec.required:
        return Parameter.empty
    return spec._default if spec._factory is None else _Made()


def _type(spec: FieldSpec) -> Any:
    try:
        return Parameter.empty if spec._type is None else spec._type()
    except TypeError:
        return Parameter.empty  # a name in it comes later
