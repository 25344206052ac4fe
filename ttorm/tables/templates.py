"""Templates: what values of columns are made of."""

from __future__ import annotations

import re
from typing import Any

from ttorm.display import shortened
from ttorm.records.fields import FieldAttribute
from ttorm.rules import Attribute
from ttorm.rules.nodes import Member, Name

__all__ = ["checked_template", "template_of"]

_DOTTED = re.compile(r"(LEDGER|TWIN|USER|DICT)(\.[a-z_][0-9a-z_]*)+|[a-z_]+")


def template_of(source: str | Attribute[Any]) -> str:
    """Return the template that gives a value of the Ledger, Twin, user or request.

    Raises:
        TypeError: The source is neither text, nor a field or variable.

    Example:
        >>> from ttorm.rules import LEDGER
        >>> template_of(LEDGER.site.city)
        '{LEDGER.site.city}'
    """
    if isinstance(source, str):
        return source
    if isinstance(source, FieldAttribute):
        return source._template
    if isinstance(source, Attribute) and _is_path(source) and _DOTTED.fullmatch(str(source)):
        return f"{{{source}}}"
    raise TypeError(
        f"{shortened(source)} is no template: expected a field such as Station.city, a variable "
        'such as LEDGER.city, or text such as "{LEDGER.city}"'
    )


def _is_path(source: Attribute[Any]) -> bool:
    """Tell whether an attribute is a member of a variable, not something computed."""
    return all(isinstance(node, (Member, Name)) for node in source._node.walk())


def checked_template(where: str, template: str) -> str:
    """Refuse a template that the platform cannot read.

    Raises:
        TypeError: It is none.
    """
    from string import Formatter

    try:
        fields = [field for _, field, *_ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise TypeError(f"{where}: {template!r} is no template: {error}") from None
    for field in fields:
        if not re.match(r"[A-Za-z_]", field):
            raise TypeError(
                f"{where}: the template {template!r} has {{{field}}}: write the variable that is "
                'meant, as in "{LEDGER.city}"'
            )
    return template
