"""Secrets that are known to the tests, what searches for them, and how things are seen."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, astuple, is_dataclass
from inspect import isclass
from urllib.parse import quote

import pytest
import rich.console
import rich.pretty
import rich.traceback

import ttorm
from ttorm import Role, Secret, Subscription, Token, User
from ttorm.api.retry import NO_RETRIES
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport

__all__ = ["HOOK", "Cage", "Scripted", "World", "shown", "strip", "texts_of_error", "walk"]

HOOK = "http://127.0.0.1:9/hook"
FINGERPRINT = 4
"""So many characters of a secret the platform itself shows."""


class Cage:
    """What must not be seen, in the forms that it could be seen in."""

    def __init__(self, **canaries):
        self._forms = {}
        for kind, text in canaries.items():
            assert len(text) > FINGERPRINT, kind
            coded = {
                text,
                quote(text, safe=""),
                json.dumps(text)[1:-1],
                text.encode().hex(),
                base64.b64encode(text.encode()).decode().rstrip("="),
                text[::-1],
                # Who shows a part of a long text, shows this much of it.
                text[: max(6, min(40, len(text) // 3))],
            }
            self._forms[kind] = coded

    def __repr__(self):
        return "<Cage>"

    def check(self, where, text):
        """Fail when a canary is in a text; what is shown then has none either."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        seen = [kind for kind, forms in self._forms.items() if any(form in text for form in forms)]
        assert not seen, f"{where} shows {', '.join(seen)}"

    @property
    def kinds(self):
        return set(self._forms)


class Scripted:
    """Answers what it is told to, or lets the emulator answer."""

    def __init__(self, emulator):
        self._door = EmulatorTransport(emulator)
        self.emulator = emulator
        self.answers = []
        self.answered = []

    def send(self, request):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        answer = answer or self._door.send(request)
        self.answered.append(answer.body)
        return answer

    async def asend(self, request):
        return self.send(request)

    def close(self):
        """Leave the emulator to the test."""

    async def aclose(self):
        """As `close`."""


class World:
    """An emulator, an administrator, and somebody whose credentials are the canaries."""

    def __init__(self):
        self.looping = False
        self.emulator = Emulator("memory:")
        self.admin = ttorm.connect(
            transport=EmulatorTransport(self.emulator, self.emulator.first_user()), default=False
        )
        me = self.admin.whoami()
        with ttorm.session(self.admin):
            self.ann = User.create(name="Ann", role=Role.at(me["role"]))
            self.used = self.ann.invite()
            self.secret = ttorm.claim(self.used.account, self.used.pin, connection=self.admin)
            self.bob = User.create(name="Bob", role=Role.at(me["role"]))
            self.invitation = self.bob.invite()
        self.connection = self.connect()
        with ttorm.session(self.connection):
            self.token = Token.create(options=["create", "refresh"])
            self.subscription = Subscription.create("hot", HOOK, connection=self.connection)
        exported = self.subscription.export()
        self.cage = Cage(
            secret=self.secret.reveal(),
            token=self.token.value.reveal(),
            pin=self.used.pin.reveal(),
            next_pin=self.invitation.pin.reveal(),
            **{name: exported[name] for name in exported if self._is_secret(name, exported)},
        )

    @staticmethod
    def _is_secret(name, exported):
        return name.endswith(("_secret", "_token")) and exported[name] is not None

    def connect(self, **options):
        credential = {} if "token" in options else {"secret": self.secret}
        return ttorm.connect(
            "https://api.example",
            **{
                "transport": Scripted(self.emulator),
                "default": False,
                "retry": NO_RETRIES,
                **credential,
                **options,
            },
        )

    def answering(self, *answers, **options):
        connection = self.connect(**options)
        if connection.credentials.is_due:
            connection.whoami()
        connection.transport.answers = list(answers)
        return connection

    def call(self, subject, verb, /, *arguments, **options):
        """Call a verb, or its twin in an event loop."""
        if not self.looping:
            return getattr(subject, verb)(*arguments, **options)
        return asyncio.run(getattr(subject, f"a{verb}")(*arguments, **options))

    def __repr__(self):
        return "<World>"


# How errors are seen


def strip(error, *files):
    """Leave out the first frames, of tests: they hold what they raise it with."""
    while error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename in files:
        error.__traceback__ = error.__traceback__.tb_next
    return error


def collected(thing):
    """Give a value as Sentry does: by its repr, but tuples and dictionaries by their members."""
    own = getattr(type(thing), "__sentry_repr__", None)
    if own is not None:
        return own(thing)
    if isinstance(thing, Mapping):
        return repr({str(name): collected(value) for name, value in thing.items()})
    plain = isinstance(thing, (str, bytes, bytearray, memoryview))
    if isinstance(thing, (Sequence, AbstractSet)) and not plain:
        return repr([collected(one) for one in thing])
    return repr(thing)


def frames(error):
    """Give the frames of ttorm that a trace of an error shows, and of what it was raised from."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/ttorm/" in frame.f_code.co_filename:
                yield frame
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def texts_of_error(error):
    """Give all the ways in which an error is seen, by where."""
    yield "str", str(error)
    yield "repr", repr(error)
    yield "format", f"{error}"
    yield "args", repr(error.args)
    yield "vars", repr(vars(error))
    yield "notes", repr(getattr(error, "__notes__", ()))
    captured = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield "a traceback with locals", "".join(captured.format())
    for bounds in ({}, {"locals_max_length": None, "locals_max_string": None}):
        shown = io.StringIO()
        console = rich.console.Console(file=shown, width=400)
        console.print(
            rich.traceback.Traceback.from_exception(
                *(type(error), error, error.__traceback__), show_locals=True, **bounds
            )
        )
        yield f"a traceback of rich with locals {bounds}", shown.getvalue()
    for frame in frames(error):
        where = frame.f_code.co_qualname
        yield f"Sentry's view of {where}", collected(frame.f_locals)
        yield f"Django's view of {where}", "".join(map(pprint.pformat, frame.f_locals.values()))
    shown = pytest.ExceptionInfo.from_exception(error).getrepr(showlocals=True, style="long")
    yield "a failure in pytest", str(shown)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it failed: %s", (error,), None)
    record.exc_info = (type(error), error, error.__traceback__)
    yield "a line of the log", logging.Formatter().format(record)
    for name, make in {"copy": copy.copy, "deepcopy": copy.deepcopy}.items():
        yield name, repr(vars(make(error)))
    try:
        yield "pickle", pickle.dumps(error)
    except (TypeError, AttributeError, pickle.PicklingError) as refusal:
        yield "the refusal to pickle", repr(refusal)


# How objects are seen


def walk(known, seen):
    """Give what an object holds, at any depth, as a debugger would show it."""
    if id(known) in seen or isclass(known) or callable(known):
        return
    seen[id(known)] = known
    if isinstance(known, (str, bytes)):
        yield known
    elif isinstance(known, dict):
        for key, value in list(known.items()):
            yield from walk(key, seen)
            yield from walk(value, seen)
    elif isinstance(known, (list, tuple, set, frozenset)):
        for value in list(known):
            yield from walk(value, seen)
    elif type(known).__module__.startswith("ttorm") and not isinstance(known, (Secret, Emulator)):
        # What is in a Secret is why there is one; what others hold is theirs to hide.
        yield from walk(getattr(known, "__dict__", None) or {}, seen)
        for cls in type(known).__mro__:
            slots = getattr(cls, "__slots__", ())
            for slot in [slots] if isinstance(slots, str) else slots:
                if slot != "__weakref__":
                    yield from walk(getattr(known, slot, None), seen)


def shown(thing):
    """Give all the ways in which an object is seen, by where."""
    yield "repr", repr(thing)
    yield "str", str(thing)
    yield "format", f"{thing}"
    yield "a list of it", repr([thing])
    yield "%r", "%r %s" % (thing, thing)  # noqa: UP031 # log lines are made so
    console = rich.console.Console(file=io.StringIO(), width=400)
    console.print(thing)
    console.print(rich.pretty.Pretty(thing, expand_all=True, max_string=20))
    yield "rich", console.file.getvalue()
    for name in ("_repr_html_", "_repr_mimebundle_"):
        method = getattr(thing, name, None)
        if method is not None:
            yield name, str(method())
    yield "vars", repr(getattr(thing, "__dict__", None))
    yield "dir", repr(dir(thing))
    if is_dataclass(thing):
        for make in (asdict, astuple):
            try:
                yield make.__name__, repr(make(thing))
            except TypeError as refusal:
                yield f"the refusal of {make.__name__}", repr(refusal)
    if hasattr(thing, "_asdict"):
        yield "_asdict", repr(thing._asdict())
    for name, make in {"copy": copy.copy, "deepcopy": copy.deepcopy}.items():
        try:
            yield name, repr(make(thing))
        except (TypeError, RecursionError, AttributeError) as refusal:
            yield name, repr(refusal)
    try:
        yield "pickle", pickle.dumps(thing)
    except (TypeError, AttributeError, pickle.PicklingError, ttorm.StateError) as refusal:
        yield "the refusal to pickle", str(refusal)
