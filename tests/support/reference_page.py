"""Makes docs/reference.md: every public name, with what the first line of its docstring says.

Run it with ``python tests/support/reference_page.py > docs/reference.md``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import ttorm
import ttorm.contrib
from ttorm import emulator, rules, signals, webhooks
from ttorm.records.description import Description
from ttorm.records.docs import Docs
from ttorm.records.identity import Identities
from ttorm.records.ledger import Ledgers
from ttorm.records.models import ModelMeta
from ttorm.records.stickers import Stickers

__all__ = ["page"]

HOME = Path(ttorm.__file__).parent

# What is not named here comes under the last heading; modules have sections of their own.
SECTIONS = {
    "Connecting": "connect default_connection Connection Secret RetryPolicy RetryQuota"
    " CircuitBreaker Limits Cache CacheStatistics RedisBackend RedisStatistics Hooks Call Work",
    "Declaring": "Field Reference Link description entry reference include identity doc ValueCodec"
    " Reconciliation Reconciled Swept",
    "Records": "Twin Ledger Entry Identity Doc source hashed_identity",
    "Changes and saves": "inspect Inspection Change Plan PlannedRequest SaveResult ItemError",
    "Conflicts": "Conflict merge retry_conflicts Attempts Attempt",
    "Sessions and many objects": "session Session save_all load_all refresh_all Budget Scan Page",
    "Notifications": "Subscription TopicAccess",
    "Users, roles and secrets": "Account User Role Statement Rules Action Permission UserSecret"
    " Invitation claim Token TokenOptions",
    "History": "History HistoryRecord Timeline HistoryRow",
    "Batches": "Batch BatchCall BatchResults BatchResult BatchCodec EmulatorBatchCodec BatchLine",
    "Stickers": "Sticker",
    "The account": "Log Usage",
    "Tables": "TimeseriesTable IndexTable Column dimension measurement column Condition Ordering"
    " migrate_all Row Rows Twins StoredTimeseries StoredIndex TableStats SQLReader Reader Query",
    "Databases": "Database DatabaseUsers DatabaseNetworks DatabasePermissions",
}
LAST = "More"
# Classes whose members get a table of their own, under the heading of the first one.
PARTS = {
    "Twin": {"Description": Description, "Ledgers": Ledgers},
    "Identity": {"Identities": Identities},
    "Doc": {"Docs": Docs},
    "Sticker": {"Stickers": Stickers},
}
# Classes of modules whose members get a table of their own.
OF_MODULES = {
    "ttorm.webhooks": ("Receiver", "Notification", "Reply"),
    "ttorm.emulator": ("Emulator", "Clock", "Snapshot"),
}
# Public to other modules of ttorm only.
PLUMBING = {
    "Cache": "begin board count_hit deliver drop end get is_shared key land left look peek"
    " put share",
    "Column": "bind call learn of read untyped",
    "Connection": "arun bind known_account learn_account may_block run run_beside scope strain"
    " swap",
    "Emulator": "address background blobs callbacks expects_file failure ids resume store"
    " usage vault",
    "PlannedRequest": "of",
    "RedisBackend": "deliver keep listen look note",
    "RetryPolicy": "delay may_repeat",
    "RetryQuota": "cost",
    "Query": "refs sql",
    "TableStats": "of",
    "Secret": "header",
    "Session": "hold let_go release",
}
HEAD = """\
# Reference

Every public name and what it is, in a line; `help(name)` in a Python shell tells arguments,
errors and an example. Where two names are given, the second one is for async code: same
arguments, to be awaited. The modules `ttorm.rules`, `ttorm.signals`, `ttorm.webhooks`,
`ttorm.emulator` and `ttorm.contrib` have sections at the end; `ttorm.__version__` is the version.

This page is made from the docstrings, by `tests/support/reference_page.py`.
"""


def first_line(thing: object) -> str:
    """The first line of a docstring, as Markdown in a table."""
    line = (inspect.getdoc(thing) or "").partition("\n")[0]
    return line.replace("``", "`").replace("|", "\\|")


def signature(name: str, thing: object) -> str:
    """A call as one would write it, without types."""
    if not callable(thing) or inspect.isclass(thing):
        return f"`{name}`"
    found = inspect.signature(thing)
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    if plain and plain[0].name in {"self", "cls"}:
        del plain[0]
    text = str(found.replace(parameters=plain, return_annotation=found.empty))
    # Markers that stand for "not given".
    return f"`{name}{re.sub('=<.*?>', '=...', text)}`"


def is_ours(function: object) -> bool:
    """Whether a member was written here, and not inherited from Python."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return code is not None and Path(code.co_filename).is_relative_to(HOME)


def attributes(cls: type) -> dict[str, str]:
    """What the docstring of a class says of attributes that are no properties."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    parts = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(meaning.split()).replace("``", "`") for name, meaning in parts}


def public_members(cls: type) -> dict[str, object]:
    """The members of a public class that users call, those of its metaclass among them."""
    found: dict[str, object] = {}
    bases = [*cls.__mro__, *(ModelMeta.__mro__ if isinstance(cls, ModelMeta) else ())]
    for base in bases:
        for member, static in vars(base).items():
            plain = static.fget if isinstance(static, property) else static
            if not member.startswith("_") and is_ours(plain) and inspect.getdoc(plain):
                found.setdefault(member, static if isinstance(static, property) else plain)
    return {member: found[member] for member in sorted(found)}


def row(name: str, thing: object, others: Iterable[str] = ()) -> str:
    """A line of a table; the async twin of a call stands beside it."""
    call = getattr(thing, "__func__", thing)
    shown = f"`{name}`" if isinstance(thing, property) else signature(name, call)
    twin = f"a{name}"
    meant = first_line(call)
    return f"| {shown}{f', `{twin}`' if twin in others else ''} | {meant} |"


def table(names: dict[str, object]) -> Iterator[str]:
    """Rows of all names, pairs in one."""
    yield "| name | meaning |"
    yield "| --- | --- |"
    for name, thing in names.items():
        if not (name.startswith("a") and name[1:] in names):
            yield row(name, thing, names)
    yield ""


def section(names: list[str]) -> Iterator[str]:
    """A table of names, and one for the members of each class."""
    things = {name: getattr(ttorm, name) for name in names}
    yield from table(things)
    for name, thing in things.items():
        for part, cls in {name: thing, **PARTS.get(name, {})}.items():
            if inspect.isclass(cls):
                yield from members(part, cls)


def members(name: str, cls: type) -> Iterator[str]:
    """A table of what a class has, if it has anything for its users."""
    left_out = PLUMBING.get(name, "").split()
    told, found = attributes(cls), public_members(cls)
    assert {*left_out} <= {*told, *found}, f"gone from {name}: {left_out}"
    told = {known: text for known, text in told.items() if known not in left_out}
    found = {known: thing for known, thing in found.items() if known not in left_out}
    if not told and not found:
        return
    yield f"### {name}\n"
    if name not in ttorm.__all__:
        yield f"{first_line(cls)}\n"
    yield from table_with(told, found)


def table_with(told: dict[str, str], names: dict[str, object]) -> Iterator[str]:
    """A table that begins with names of which only the meaning is known."""
    head, line, *rows = table(names)
    yield from [head, line, *(f"| `{known}` | {text} |" for known, text in told.items()), *rows]


def errors() -> Iterator[str]:
    """The errors as a tree, each with its section."""
    yield "## Errors\n"
    yield "Each links to [what to do](errors.md); the indentation says which ones a base catches.\n"
    yield "| error | meaning |"
    yield "| --- | --- |"

    def below(cls: type[ttorm.TtormError], depth: int) -> Iterator[str]:
        if cls.__name__ in ttorm.__all__:
            link = f"[`{cls.__name__}`](errors.md#{cls.code})"
            yield f"| {'&emsp;' * depth}{link} | {first_line(cls)} |"
            depth += 1
        for child in sorted(cls.__subclasses__(), key=lambda c: c.__name__):
            if child.__module__.partition(".")[0] == "ttorm":
                yield from below(child, depth)

    yield from below(ttorm.TtormError, 0)
    yield ""
    yield "Warnings:\n"
    yield from table(
        {name: thing for name in ttorm.__all__ if is_warning(thing := getattr(ttorm, name))}
    )


def is_warning(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Warning)


def is_error(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, BaseException)


def modules() -> Iterator[str]:
    """The names of the modules that are used as such."""
    heads = {
        "ttorm.rules": (rules, "[Rules](rules.md) shows them at work."),
        "ttorm.signals": (signals, "[Signals](signals.md) tells when each is sent."),
        "ttorm.webhooks": (webhooks, "[React to changes](notifications.md) shows them at work."),
        "ttorm.emulator": (emulator, "[Emulator](emulator.md) tells how it is run."),
    }
    for name, (module, text) in heads.items():
        yield f"## {name}\n"
        yield f"{text}\n"
        named = {known: getattr(module, known) for known in module.__all__}
        described = {known: thing for known, thing in named.items() if is_described(thing)}
        told = {known: text for known, text in documented(module).items() if known in named}
        assert {*told, *described} == set(named), f"undocumented in {name}"
        yield from table_with(told, described)
        for known in OF_MODULES.get(name, ()):
            yield from members(known, named[known])


def documented(module: ModuleType) -> dict[str, str]:
    """What a package says of names that are no classes or functions.

    That is a text below their assignment, or a row of a table in the module's docstring.
    """
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", inspect.getdoc(module) or "", re.MULTILINE)
    found = {name: f"{text[0].upper()}{text[1:]}." for name, text in rows}
    path = Path(str(module.__file__))
    for file in path.parent.glob("*.py") if path.name == "__init__.py" else [path]:
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for one, text in pairwise(body):
            if isinstance(one, ast.Assign) and isinstance(text, ast.Expr):
                name, value = ast.unparse(one.targets[0]), ast.literal_eval(text.value)
                found[name] = value.partition("\n")[0].replace("``", "`")
    return found


def is_described(thing: object) -> bool:
    """Whether its docstring is its own, not that of the class it is an object of."""
    return callable(thing) and (inspect.isclass(thing) or is_ours(thing))


def contrib() -> Iterator[str]:
    yield "## ttorm.contrib\n"
    yield "Each needs the extra of its name; see [Web applications](web.md).\n"
    yield "| module | what |"
    yield "| --- | --- |"
    for module in pkgutil.iter_modules(ttorm.contrib.__path__, "ttorm.contrib."):
        loaded = importlib.import_module(module.name)
        names = ", ".join(f"`{name}`" for name in getattr(loaded, "__all__", ()))
        yield f"| `{module.name}` | {first_line(loaded)}{f' {names}' if names else ''} |"
    yield ""


def page() -> str:
    """The whole page."""
    left = [
        name
        for name in ttorm.__all__
        if not is_error(getattr(ttorm, name)) and name not in {"__version__", "rules", "signals"}
    ]
    lines = [HEAD]
    for heading, text in SECTIONS.items():
        names = text.split()
        pairs = [f"a{name}" for name in names if f"a{name}" in left]
        left = [name for name in left if name not in names and name not in pairs]
        lines += [f"## {heading}\n", *section([*names, *pairs])]
    if left:
        lines += [f"## {LAST}\n", *section(left)]
    lines += [*errors(), *modules(), *contrib()]
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
