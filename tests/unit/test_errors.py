"""The tree of errors, and how answers become errors."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import pytest

import ttorm
from ttorm import SaveResult
from ttorm.api import errors
from ttorm.api.errors import SUBCODES, ItemError, TtormError, api_error

# Number, name, class.
KNOWN = [
    (400141, "quota_violation", ttorm.QuotaError),
    (400314, "invalid_characters", ttorm.InvalidRequestError),
    (400358, "idempotency_violation", ttorm.AlreadyDoneError),
    (400415, "not_a_valid_json", ttorm.InvalidRequestError),
    (400589, "request_format", ttorm.InvalidRequestError),
    (400592, "operation_order_violation", ttorm.OperationOrderError),
    (400793, "corrupted_request", ttorm.InvalidRequestError),
    (400897, "operation_not_allowed", ttorm.OperationNotAllowedError),
    (400979, "service_disabled", ttorm.ServiceDisabledError),
    (401000, "unauthorized", ttorm.UnauthorizedError),
    (403535, "access_forbidden", ttorm.ForbiddenError),
    (404653, "not_found", ttorm.NotFoundError),
    (500000, "general", ttorm.ServerError),
    (500001, "assert", ttorm.ServerError),
    (500159, "response_timeout", ttorm.ServerTimeoutError),
    (500314, "services_database_no_connection", ttorm.DatabaseUnavailableError),
    (501159, "auth_timeout", ttorm.ServerTimeoutError),
    (502159, "request_timeout", ttorm.ServerTimeoutError),
    (503159, "processing_timeout", ttorm.ServerTimeoutError),
]
CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, TtormError)
]


def below(cls):
    """Public errors right below one, seen through private ones."""
    for child in cls.__subclasses__():
        if child.__module__ == "ttorm":
            yield child
        elif child.__module__.startswith("ttorm."):
            yield from below(child)


# The tree


def drawn():
    """The tree of the module's docstring: ``{name: (parent, built-in bases)}``."""
    tree: dict[str, tuple[str | None, set[str]]] = {"TtormError": (None, set())}
    above: list[str] = ["TtormError"]
    pattern = r"([│ ]*)[├└]── (\w+)(?: \((\w+)\))?"
    for branch, name, base in re.findall(pattern, errors.__doc__ or ""):
        depth = len(branch) // 4 + 1
        del above[depth:]
        tree[name] = (above[-1], {base} if base else set())
        above.append(name)
    return tree


def test_the_drawn_tree_has_every_class_in_its_place():
    found = {"TtormError": None} | {
        child.__name__: parent.__name__ for parent in CLASSES for child in below(parent)
    }
    assert {name: parent for name, (parent, _) in drawn().items()} == found


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_drawn_built_in_bases_are_those_it_adds(cls):
    def natural(cls):
        return {
            base.__name__
            for base in cls.__mro__
            if vars(builtins).get(base.__name__) is base and base is not object
        }

    parents = [base for base in cls.__mro__[1:] if base in CLASSES]
    added = {base for base in cls.__bases__ if base.__module__ == "builtins"} - {Exception}
    assert {base.__name__ for base in added} == drawn()[cls.__name__][1]
    for parent in parents:
        assert natural(parent) <= natural(cls)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_public_has_a_code_and_a_section(cls):
    assert getattr(ttorm, cls.__name__) is cls
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cls.code)
    assert cls("text").help == f"docs/errors.md#{cls.code}"
    assert cls.__doc__


def test_codes_tell_classes_apart():
    assert len({cls.code for cls in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_messages_end_in_their_code(cls):
    assert str(cls("what happened")) == f"what happened [{cls.code}]"
    assert str(cls("what happened", code="special")) == "what happened [special]"
    assert cls.code != "special"


@pytest.mark.parametrize(
    ("cls", "natural"),
    [
        (ttorm.ConfigurationError, ValueError),
        (ttorm.ValidationError, ValueError),
        (ttorm.NotLoadedError, RuntimeError),
        (ttorm.MissingEntryError, AttributeError),
        (ttorm.WrongKindError, LookupError),
        (ttorm.NotFoundError, LookupError),
        (ttorm.ForbiddenError, PermissionError),
        (ttorm.UnauthorizedError, PermissionError),
        (ttorm.BadRequestError, ValueError),
        (ttorm.QuotaError, ValueError),
        (ttorm.TransportError, ConnectionError),
        (ttorm.RequestTimeoutError, TimeoutError),
        (ttorm.BudgetExceededError, RuntimeError),
    ],
)
def test_the_natural_built_in_catches_it(cls, natural):
    with pytest.raises(natural):
        raise cls("text")


def test_not_loaded_is_no_attribute_error():
    """Else ``hasattr`` and ``getattr`` with a default would hide it."""
    assert not issubclass(ttorm.NotLoadedError, AttributeError)


# Pickling, copying


def filled(cls):
    """An error of a class with every attribute its constructor takes."""
    samples = {
        "message": "what happened",
        "code": "special",
        "status": 404,
        "subcode": 404653,
        "trace": "t-1",
        "description": "No such Twin.",
        "operation": "get_twin",
        "attempts": 3,
        "request": "GET /twins/x",
        "sent": False,
        "base": {"a": 1},
        "mine": {"a": 2},
        "theirs": {"a": 3},
        "candidates": ("u1", "u2"),
        "errors": {"battery": ItemError("refused", "update_twin_ledger_entry")},
        "result": SaveResult(created=("x",), requests=2),
        "secret": None,
    }
    names = list(inspect.signature(cls).parameters)
    return cls(**{name: samples[name] for name in names}), names


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("way", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_errors_survive_pickling_and_copying(cls, way):
    error, names = filled(cls)
    error.add_note("a note")
    other = way(error)
    assert type(other) is cls
    assert str(other) == str(error)
    assert other.__notes__ == ["a note"]
    for name in set(names) - {"message"}:
        assert getattr(other, name) == getattr(error, name), name


def test_a_pickle_of_an_error_holds_no_secret():
    error = ttorm.SecretNotStoredError("text", secret=ttorm.Secret("hidden-one"))
    error.add_note("a note")
    pickled = pickle.dumps(error)
    assert b"hidden-one" not in pickled
    assert (str(pickle.loads(pickled)), pickle.loads(pickled).secret) == (str(error), None)
    assert error.secret is not None


# Answers


def test_every_known_subcode_is_mapped():
    assert {number: tuple(known) for number, known in SUBCODES.items()} == {
        number: (name, cls) for number, name, cls in KNOWN
    }


@pytest.mark.parametrize(("subcode", "name", "cls"), KNOWN)
@pytest.mark.parametrize("form", [int, str])
def test_known_subcodes(subcode, name, cls, form):
    body = {"subcode": form(subcode), "trace": "t-1", "description": "Said the service."}
    error = api_error(subcode // 1000, body, operation="get_twin", request="GET /x", attempts=2)
    assert type(error) is cls
    assert (error.status, error.subcode, error.trace) == (subcode // 1000, subcode, "t-1")
    assert error.attempts == 2
    text = str(error)
    assert text.startswith(f"GET /x got {subcode // 1000}/{subcode}: {cls.meaning}")
    assert "Said the service." in text
    assert "t-1" in text
    assert text.endswith(f"[{cls.code}]")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, ttorm.BadRequestError),
        (401, ttorm.UnauthorizedError),
        (403, ttorm.ForbiddenError),
        (404, ttorm.NotFoundError),
        (405, ttorm.BadRequestError),
        (429, ttorm.BusyError),
        (500, ttorm.ServerError),
        (504, ttorm.ServerError),
        (599, ttorm.ServerError),
        (302, ttorm.ApiError),
    ],
)
@pytest.mark.parametrize("subcode", [499999, "999999", None, "abc", [], 1e400, True])
def test_unknown_subcodes_fall_back_to_the_status(status, cls, subcode):
    assert type(api_error(status, {"subcode": subcode, "trace": "t"})) is cls


@pytest.mark.parametrize(
    ("status", "headers", "cls", "wait"),
    [
        (429, {}, ttorm.BusyError, None),
        (429, {"retry-after": "soon"}, ttorm.BusyError, None),
        (429, {"retry-after": "3600"}, ttorm.BusyError, 3_600.0),
        (503, {"retry-after": "7"}, ttorm.BusyError, 7.0),
        (503, {}, ttorm.ServerError, None),
        (500, {"retry-after": "7"}, ttorm.ServerError, None),
        (404, {"retry-after": "7"}, ttorm.NotFoundError, None),
    ],
)
def test_a_service_that_is_busy_says_for_how_long(status, headers, cls, wait):
    error = api_error(status, {"trace": "t-1"}, headers)
    assert type(error) is cls
    assert getattr(error, "retry_after", None) == wait
    assert ("it asks to wait" in str(error)) == (wait is not None)


@pytest.mark.parametrize("body", [None, [], "text", 5, True, {}])
def test_bodies_that_are_no_error_objects(body):
    error = api_error(503, body)
    assert type(error) is ttorm.ServerError
    assert (error.subcode, error.trace, error.description) == (None, None, None)
    assert "proxy" in str(error)


def test_members_of_wrong_types():
    error = api_error(404, {"subcode": {}, "trace": 17, "description": ["x"], "help": 3})
    assert type(error) is ttorm.NotFoundError
    assert (error.subcode, error.trace, error.description) == (None, None, None)
    assert str(error) == "the request got 404: there is no such object [not-found]"


def test_nobody_reads_the_text_of_an_error():
    """The same numbers give the same class, whatever the words are."""
    texts = ["Twin already terminated.", "", "not found", "404653"]
    classes = {type(api_error(400, {"subcode": 400358, "description": text})) for text in texts}
    assert classes == {ttorm.AlreadyDoneError}
