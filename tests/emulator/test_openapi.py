"""The description of the API: complete, valid, current, and true of its own examples."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from compliance import check, complaints, described
from openapi_spec_validator import OpenAPIV31SpecValidator

from ttorm.api.http import HttpRequest, HttpResponse
from ttorm.api.operations import OPERATIONS
from ttorm.emulator.openapi import description
from ttorm.emulator.openapi.schema import ecma

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
JSON = {"content-type": "application/json"}
WHOAMI = HttpRequest("GET", "http://emulator.localhost/whoami")


def media_types():
    for name in OPERATIONS:
        operation = described(name)
        yield name, operation.get("requestBody", {})
        for response in operation["responses"].values():
            yield name, response
    for name, response in description()["components"]["responses"].items():
        yield name, response


def test_it_is_valid_openapi():
    assert list(OpenAPIV31SpecValidator(description()).iter_errors()) == []


def test_the_committed_one_is_current():
    current = json.loads(json.dumps(description()))
    assert json.loads(COMMITTED.read_text()) == current, (
        "docs/openapi.json is old: run python -m ttorm.emulator.openapi > docs/openapi.json"
    )


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_every_operation_is_described_as_the_table_has_it(row):
    operation = description()["paths"][row.path][row.method.lower()]
    assert operation["operationId"] == row.name
    assert operation["summary"]
    assert str(row.success) in operation["responses"]
    assert bool(operation["security"]) == row.credential
    assert ("requestBody" in operation) == row.body
    named = [parameter for parameter in operation["parameters"] if "name" in parameter]
    assert [(one["in"], one["name"]) for one in named] == [
        *(("path", name) for name, _ in row.path_params),
        *(("query", name) for name in row.query),
    ]


def test_nothing_else_is_described():
    operations = [one for path in description()["paths"].values() for one in path.values()]
    assert len(operations) == len(OPERATIONS) == 85


def test_every_component_is_used():
    text = json.dumps(description())
    for kind, components in description()["components"].items():
        for name in components:
            if kind != "securitySchemes":
                assert f'"#/components/{kind}/{name}"' in text, name


def test_every_example_is_as_described():
    seen = 0
    for name, place in media_types():
        media = place.get("content", {}).get("application/json")
        if media is not None:
            assert not complaints(media["schema"], media["example"]), name
            seen += 1
    assert seen > 85


def test_parameters_have_the_examples_they_show():
    for name in OPERATIONS:
        for parameter in described(name)["parameters"]:
            for example in parameter.get("schema", {}).get("examples", ()):
                assert not complaints(parameter["schema"], example), (name, parameter["name"])


@pytest.mark.parametrize(
    ("pattern", "flags", "expected"),
    [
        (r"[a-z]+", 0, {"pattern": "^(?:[a-z]+)$"}),
        (r"a|b", 0, {"pattern": "^(?:a|b)$"}),
        (r"(?=.{1,8}\Z)x+", 0, {"minLength": 1, "maxLength": 8, "pattern": "^(?:x+)$"}),
        (r"[0-9a-f]{8}", re.IGNORECASE, {"pattern": "^(?:[0-9a-fA-F]{8})$"}),
    ],
)
def test_patterns_are_written_in_the_dialect_of_json_schema(pattern, flags, expected):
    assert ecma(re.compile(pattern, flags)) == expected


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (HttpResponse(200, JSON, b'{"account": "a"}'), "is not|does not match"),
        (HttpResponse(418, JSON, b"{}"), "not described"),
        (HttpResponse(200, {"content-type": "text/html"}, b"{}"), "text/html"),
        (HttpResponse(404, JSON, b'{"subcode": 400589, "trace": "t"}'), "400589"),
    ],
)
def test_an_answer_that_is_not_as_described_is_noticed(answer, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check(WHOAMI, answer)


def test_a_member_that_is_not_described_is_noticed():
    uuid = "085c0f9f-427e-4e23-9a60-bacf6585a862"
    body = {"account": uuid, "user": uuid, "role": uuid}
    check(WHOAMI, HttpResponse(200, JSON, json.dumps(body).encode()))
    with pytest.raises(AssertionError, match="more"):
        check(WHOAMI, HttpResponse(200, JSON, json.dumps({**body, "more": 1}).encode()))


def test_a_request_that_should_have_been_refused_is_noticed():
    answer = HttpResponse(201, JSON, json.dumps(example_of_answer("create_twin", "201")).encode())
    request = HttpRequest("POST", "http://emulator.localhost/twins", {}, b'{"descripton": {}}')
    with pytest.raises(AssertionError, match="descripton"):
        check(request, answer)


def example_of_answer(name, status):
    return described(name)["responses"][status]["content"]["application/json"]["example"]
