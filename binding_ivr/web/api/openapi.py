"""Writes the OpenAPI 3.1 description of the API from its table of operations. It serves nothing."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from binding_ivr import __version__
from binding_ivr.model import forms
from binding_ivr.web.api.idempotency import HEADER, PATTERN
from binding_ivr.web.api.operation import Operation
from binding_ivr.web.api.request import JSON
from binding_ivr.web.api.schema import NoQuery
from binding_ivr.web.auth.access import Access
from binding_ivr.web.auth.guard import FORM
from binding_ivr.web.problems import CONTENT_TYPE, ProblemDocument

_REF = "#/components/schemas/{name}"
_WHO = {
    Access.OWN: "The user, a key of the account, or an administrator.",
    Access.ACCOUNT: "A key of the account or an administrator.",
    Access.LOOKUP: "A look-up key, a key of the account, or an administrator.",
    Access.ADMIN: "An administrator.",
    Access.SIGNED_IN: "Anybody who is signed in.",
    Access.PUBLIC: "Everybody.",
}
_HEADERS = {
    "If-Match": "Do it only if the binding's entity tag is one of these.",
    "If-None-Match": "Answer 304 if the binding's entity tag is one of these.",
    "Last-Event-ID": "The id of the last event that you received; the next events have higher ids.",
}


def document(operations: Sequence[Operation]) -> bytes:
    """Return the description as JSON."""
    kinds = {kind for operation in operations for kind in _kinds(operation)} | {ProblemDocument}
    queries = [operation.query for operation in operations]
    named = sorted(kinds | set(queries), key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(named, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, components)
    for query in {query.__name__ for query in queries}:
        components.pop(query, None)
    tree = {
        "openapi": "3.1.0",
        "info": {
            "title": "binding_ivr",
            "version": __version__,
            "summary": "Phone Number Binding",
            "description": "Errors are RFC 9457 problem documents. Times are ISO 8601 in UTC. Numbers are E.164.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a user token (JWT)."},
                "session": {"type": "apiKey", "in": "cookie", "name": "binding_ivr"},
            },
        },
    }
    return msgspec.json.format(msgspec.json.encode(tree), indent=1)


def _kinds(operation: Operation) -> list[type[Struct]]:
    kinds = [kind for kind in operation.answers.values() if isinstance(kind, type)]
    return kinds + ([operation.body] if operation.body else [])


def _operation(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"For: {_WHO[operation.access]}",
        "parameters": [*_path(operation), *_query(operation, components), *_header_parameters(operation)],
        "responses": {str(status): _answer(operation, status) for status in operation.answers},
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {FORM if operation.form else JSON: {"schema": _ref(operation.body)}},
        }
    for status in statuses(operation):
        described["responses"][str(status)] = _problem(status)
    return described


def statuses(operation: Operation) -> list[int]:
    """Every status of a problem that the call may be answered with."""
    found = {400, 401, 408, 413, 429, 503, *operation.problems}
    if operation.access is not Access.SIGNED_IN:
        found.add(403)
    if "{" in operation.path or operation.name in ("listAttempts", "listAudit", "listMoves"):
        found.add(404)
    if operation.body is not None:
        found |= {422} if operation.form else {415, 422}
    if operation.keyed:
        found |= {409, 422}
    return sorted(found)


def _answer(operation: Operation, status: int) -> dict[str, Any]:
    kind = operation.answers[status]
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(kind, str):
        described["content"] = {kind: {"schema": {"type": "string"}}}
    elif kind is not None:
        described["content"] = {JSON: {"schema": _ref(kind)}}
        if operation.text_too:
            described["content"]["text/plain"] = {"schema": {"type": "string"}}
    if operation.name == "getBinding":
        described["headers"] = {"ETag": {"schema": {"type": "string"}, "required": True}}
    return described


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": _ref(ProblemDocument)}},
    }
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return described


def _ref(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} if operation.lenient_names else {"type": "string", "pattern": _pattern(name)},
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]


def _pattern(name: str) -> str:
    return forms.whole(forms.PATH_NAMES[name])


def _query(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is NoQuery:
        return []
    properties = components[operation.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _not_null(form)} for name, form in properties.items()
    ]


def _not_null(form: dict[str, Any]) -> dict[str, Any]:
    """A query knows no null; what is not there is left out."""
    kinds = [kind for kind in form.get("anyOf", []) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {name: value for name, value in form.items() if value is not None}


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    named = [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": _HEADERS[name]}
        for name in operation.headers
    ]
    if operation.keyed:
        named.append(
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": PATTERN},
                "description": "A request that is sent again with the same key within 24 h is not carried out again.",
            }
        )
    return named
