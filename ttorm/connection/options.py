"""What `connect` may be given: refused before anything is opened by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from ttorm.api.errors import ConfigurationError
from ttorm.connection.cache import Cache
from ttorm.connection.credentials import TokenOptions
from ttorm.connection.hooks import Hooks

__all__ = ["check_options", "check_url", "several"]


def check_options(**given: Any) -> None:
    """Refuse what is of another kind than an option of `connect` is.

    Args:
        **given: Options by name; None is always one left out.

    Raises:
        ConfigurationError: One is.
    """
    for name, value in given.items():
        fits, form = _OPTIONS[name]
        if value is not None and not fits(value):
            raise _wrong(name, value, form)


def check_url(url: object) -> None:
    """Refuse what is no text.

    Raises:
        ConfigurationError: It is not.
    """
    if url is not None and not isinstance(url, str):
        raise _wrong("url", url, "text, such as 'sqlite:///fleet.db' or 'https://host'")


def several(hooks: Iterable[Hooks]) -> tuple[Hooks, ...]:
    """Return hooks as what can be gone through more than once.

    Raises:
        ConfigurationError: They are none.
    """
    given = cast(object, hooks)
    if not isinstance(given, Iterable):
        raise _wrong("hooks", given, _HOOKS)
    found = tuple(cast(Iterable[object], given))
    for one in found:
        if not isinstance(one, Hooks):
            raise _wrong("hooks", one, _HOOKS)
    return cast(tuple[Hooks, ...], found)


def _wrong(name: str, value: object, form: str) -> ConfigurationError:
    # Text in a wrong place may be a secret, or an address with one.
    shown = f"={value!r}" if isinstance(value, (int, float)) else f"= is a {type(value).__name__}"
    return ConfigurationError(f"{name}{shown}: expected {form}")


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_bound(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_dictionary(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_cache(value: object) -> bool:
    return isinstance(value, Cache) or value == "memory"


def _is_way(value: object) -> bool:
    return isinstance(value, TokenOptions)


def _is_context(value: object) -> bool:
    from ssl import SSLContext

    return isinstance(value, SSLContext)


def _is_transport(value: object) -> bool:
    ours = _has("send", "asend")(value)
    return ours or any(_has(name)(value) for name in ("handle_request", "handle_async_request"))


def _has(*names: str) -> Callable[[object], bool]:
    return lambda value: all(callable(getattr(value, name, None)) for name in names)


_OPTIONS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "tokens": (_is_way, "ttorm.TokenOptions(lifetime=900)"),
    "dictionary": (_is_dictionary, "a dictionary, such as {'region': 'north'}"),
    "cache": (_is_cache, "'memory', None, or one such as ttorm.Cache(ttl=60)"),
    "concurrency": (_is_bound, "at least 1, a whole number"),
    "blocking": (_is_flag, "True, False or None"),
    "tls": (_is_context, "an ssl.SSLContext, such as ssl.create_default_context(cafile=...)"),
    "proxy": (_is_text, "the address of a proxy, such as 'http://host:3128'"),
    "transport": (_is_transport, "a ttorm.api.http.Transport, or a transport of the HTTP library"),
    "default": (_is_flag, "True or False"),
    "development": (_is_flag, "True, False or None"),
    "batch_codec": (_has("write", "read"), "an object with the methods of ttorm.BatchCodec"),
}
_HOOKS = "a list of objects of classes below ttorm.Hooks, such as [Slow()]"
