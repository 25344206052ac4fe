"""Mistakes in class bodies, told when the class is made: what is wrong, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ForwardRef, get_args, get_origin

from ttorm.records.annotations import annotations_in
from ttorm.records.fields import Field, FieldSpec, Reference

__all__ = ["check_body", "check_targets"]

_DECLARED = "entry(), description() or identity()"
_MAKING = ("entries", "self", "cls")
"""Arguments of what makes records, beside the fields."""
_FINDING = ("context", "strict")
"""Arguments of `find`, beside identity fields."""


def check_body(
    name: str, bases: tuple[type, ...], namespace: Mapping[str, Any], own: Mapping[str, FieldSpec]
) -> None:
    """Look through a class body.

    Args:
        name: The class's name.
        bases: Its bases.
        namespace: Its body.
        own: The fields in it.

    Raises:
        TypeError: A declaration is wrong.
    """
    for attribute, spec in own.items():
        _check_name(name, bases, attribute, spec)
    for attribute, annotation in annotations_in(namespace).items():
        if attribute in own:
            _check_annotation(name, attribute, annotation, own[attribute], namespace)
        elif _mentions_field(annotation):
            raise TypeError(
                f"{name}.{attribute} is annotated as a field but not declared as one: "
                f"write {attribute}: Field[...] = {_declaration(namespace, attribute)}"
            )
    _check_mixins(name, bases)
    for base in bases:
        for attribute in getattr(base, "__fields__", {}):
            if attribute in namespace and attribute not in own:
                raise TypeError(
                    f"{name}.{attribute} replaces the field of {base.__name__} by "
                    f"{type(namespace[attribute]).__name__}: declare it again as a field, "
                    "or give it another name"
                )


def check_targets(cls: Any) -> None:
    """Refuse two fields of one place.

    Raises:
        TypeError: There are two.
    """
    for spec in cls.__fields__.values():
        other = cls.__targets__[spec.place]
        if other is not spec:
            raise TypeError(
                f"{cls.__name__}.{spec.attribute} and {cls.__name__}.{other.attribute} map the "
                f"same {spec.kind} {spec.target!r}: leave one out, or give it another name="
            )


def _check_name(name: str, bases: tuple[type, ...], attribute: str, spec: FieldSpec) -> None:
    hidden = next((base for base in bases if _has_member(base, attribute)), None)
    if hidden is not None or attribute.startswith("_"):
        why = (
            "starts with an underscore"
            if hidden is None or attribute.startswith("_")
            else f"hides {hidden.__name__}.{attribute}"
        )
        raise TypeError(
            f"the field {name}.{attribute} {why}: give it another name in Python and keep the "
            f"platform's, as in other = {_renamed(spec, attribute.lstrip('_'))}"
        )
    verb = f"{name}.find" if spec.kind == "identity" and attribute in _FINDING else name
    if attribute in _MAKING or verb != name:
        raise TypeError(
            f"the field {name}.{attribute} has the name of an argument of {verb}(): give it "
            "another name in Python and keep the platform's, as in other = "
            f"{_renamed(spec, attribute)}"
        )


def _renamed(spec: FieldSpec, name: str) -> str:
    name = spec.target or name
    argument = f'"{name}"' if spec.kind in ("identity", "doc") else f'name="{name}"'
    return f"{spec.kind}({argument})"


def _has_member(base: type, attribute: str) -> bool:
    if any(attribute in vars(parent) for parent in base.__mro__[:-1]):
        return True
    # Verbs of the class alone (create, acreate) are members of its class.
    return hasattr(base, "__fields__") and callable(vars(type(base)).get(attribute))


def _check_mixins(name: str, bases: tuple[type, ...]) -> None:
    """Refuse fields of classes that are no models: nothing would ever save them."""
    parents = {parent for base in bases for parent in base.__mro__}
    for parent in parents:
        for attribute, value in vars(parent).items():
            if isinstance(value, FieldSpec):
                raise TypeError(
                    f"{name} inherits the field {attribute} from {parent.__name__}, which is no "
                    f"Twin: write class {parent.__name__}(Twin), with abstract = True in its "
                    "class Meta when it stands for no Twins of its own"
                )


# Annotations


def _mentions_field(annotation: Any) -> bool:
    text = annotation if isinstance(annotation, str) else str(annotation)
    bare = text.removeprefix("ttorm.records.fields.").removeprefix("ttorm.")
    return bare.startswith(("Field[", "Reference["))


def _declaration(namespace: Mapping[str, Any], attribute: str) -> str:
    """Propose what to write in the place of a value that declares nothing."""
    found = namespace.get(attribute)
    if attribute not in namespace or callable(found) or isinstance(found, Field):
        return _DECLARED
    return f"entry(default={found!r}), or description(...)"


def _check_annotation(
    name: str, attribute: str, annotation: Any, spec: FieldSpec, namespace: Mapping[str, Any]
) -> None:
    """Refuse what is annotated as something else; of names that come later nothing is said."""
    is_doc = spec.kind == "doc"
    if isinstance(annotation, str):
        if _mentions_field(annotation) and not is_doc:
            return
        module = vars(sys.modules.get(namespace["__module__"], object))
        try:
            annotation = eval(annotation, dict(module))  # noqa: S307 # it is the module's own text
        except Exception:  # noqa: BLE001 # whatever it raises now, it may not when it is needed
            return
    if isinstance(annotation, ForwardRef):
        return
    shown = annotation.__name__ if isinstance(annotation, type) else annotation
    if annotation in (Field, Reference):
        raise TypeError(
            f"{name}.{attribute} is annotated without its type: write it in brackets, "
            f"as in {attribute}: {shown}[float] = {spec.kind}(...)"
        )
    if get_origin(annotation) not in (Field, Reference):
        raise TypeError(
            f"{name}.{attribute} is annotated as {shown}: write Field[...] around it, "
            f"as in {attribute}: Field[{shown}] = {spec.kind}(...)"
        )
    if is_doc and getattr(get_args(annotation)[0], "__name__", "") != "Doc":
        raise TypeError(
            f"{name}.{attribute} is a Doc: write {attribute}: Field[Doc] = doc(...), or keep the "
            "value in an entry()"
        )
