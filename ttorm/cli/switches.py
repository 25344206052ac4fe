"""The emulator's policy as options say it: ``strict``, ``lenient`` and ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ttorm.api.errors import ConfigurationError
from ttorm.emulator import Policy

__all__ = ["read_policy"]

_MODES = {"strict": Policy.strict, "lenient": Policy.lenient}


def read_policy(options: Iterable[str]) -> Policy:
    """Read a policy.

    Args:
        options: Modes and switches; a switch counts more than a mode, what comes later more than
            what comes before.

    Raises:
        ConfigurationError: There is no such mode or switch, or it takes other values.

    Example:
        >>> read_policy(["lenient", "reference_delay=2", "lenient_bodies=false"]).reference_delay
        2.0
    """
    mode: Any = Policy
    switches: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if equals:
            switches[name] = _value(name, text)
        elif option in _MODES:
            mode = _MODES[option]
        else:
            raise ConfigurationError(
                f"--policy {option}: expected strict, lenient or a switch such as reference_delay=2"
            )
    policy: Policy = mode(**switches)
    return policy


def _value(name: str, text: str) -> Any:
    known = [switch.name for switch in fields(Policy)]
    if name not in known:
        raise ConfigurationError(
            f"--policy {name}: expected one of the switches {', '.join(known)}"
        )
    kind = get_type_hints(Policy)[name]
    if kind in (int, float):
        return _number(name, text, kind)
    if get_origin(kind) in (Literal, None):
        return _choice(name, text, kind)
    (kind, *_) = get_args(kind)
    parts = [part for part in text.split(",") if part]
    return tuple(part if kind is str else _choice(name, part, kind) for part in parts)


def _choice(name: str, text: str, kind: Any) -> Any:
    choices = {str(choice): choice for choice in get_args(kind)} or {"true": True, "false": False}
    if text not in choices:
        raise ConfigurationError(f"--policy {name}={text}: expected {' or '.join(choices)}")
    return choices[text]


def _number(name: str, text: str, kind: Any) -> Any:
    with suppress(ValueError):
        number = kind(text)
        if 0 <= number < float("inf"):
            return number
    raise ConfigurationError(f"--policy {name}={text}: expected a number from 0")
