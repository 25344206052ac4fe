"""Holds requests and answers of the emulator against the description of its API."""

from __future__ import annotations

import json
from functools import cache

import jsonschema_rs

from ttorm.api.http import Upload
from ttorm.emulator import routing
from ttorm.emulator.answers import Fault
from ttorm.emulator.openapi import description

JSON = "application/json"


@cache
def described(name):
    operations = (
        operation for path in description()["paths"].values() for operation in path.values()
    )
    return next(operation for operation in operations if operation["operationId"] == name)


@cache
def validator(schema):
    return jsonschema_rs.Draft202012Validator(
        {**json.loads(schema), "components": description()["components"]}
    )


def complaints(schema, value):
    """Say how a JSON value differs from a schema, in one text; empty when it does not."""
    errors = validator(json.dumps(schema)).iter_errors(value)
    return "; ".join(f"{list(error.instance_path)}: {error.message}" for error in errors)


def check(request, answer, *, lenient=False):
    """Fail when an answer, or the request that it is for, is not as described."""
    path = routing.split_url(request.url)[1]
    if routing.upload_handler(request.method, path) is not None:
        return
    try:
        route = routing.find_route(request.method, path)
    except Fault:
        return
    operation = described(route.operation.name)
    check_answer(operation, answer)
    if answer.status < 300 and not lenient:
        check_request(operation, route, request)


def check_answer(operation, answer):
    responses = operation["responses"]
    response = responses.get(str(answer.status)) or responses.get(f"{answer.status // 100}XX")
    where = f"{operation['operationId']} answered {answer.status}"
    assert response is not None, f"{where}, which is not described"
    if "$ref" in response:
        response = description()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if answer.stream is not None:
        assert "*/*" in response["content"], f"{where} with a file"
        return
    kind = answer.headers["content-type"]
    assert kind == JSON, f"{where} as {kind}"
    found = complaints(response["content"][JSON]["schema"], json.loads(answer.body))
    assert not found, f"{where}: {found}"


def check_request(operation, route, request):
    """Fail when something was accepted that the description forbids."""
    where = operation["operationId"]
    schemas = {
        parameter.get("name"): parameter.get("schema") for parameter in operation["parameters"]
    }
    for name, argument in route.args().items():
        found = complaints(schemas[name], argument)
        assert not found, f"{where} accepted the path argument {name}={argument!r}: {found}"
    body = request.body
    if isinstance(body, Upload):
        with body.open() as file:
            body = file.read()
    described_body = operation.get("requestBody")
    if described_body is None:
        assert body in (b"", b"{}"), f"{where} accepted a body"
    elif body:
        found = complaints(described_body["content"][JSON]["schema"], json.loads(body))
        assert not found, f"{where} accepted a body: {found}"
    else:
        assert not described_body["required"], f"{where} accepted no body"
