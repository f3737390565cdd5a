"""The OpenAPI 3.1 document, built from the pydantic models of requests and responses.

`models_json_schema` describes the models. The document lists the routes of the route table that
have a tag. Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import functools
import re
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from index.search.response import API
from service import schemas
from service.route_table import ROUTES, Route

_WAYS_IN = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
}
_REF = "#/components/schemas/{model}"
_PICTURE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_OF_BODIES = (400, 408, 413, 415, 422)  # errors of requests that have a body

OPERATIONS = [route for route in ROUTES if route.tag]


@functools.cache
def document(bounds: schemas.Bounds = schemas.DEFAULT_BOUNDS) -> dict[str, Any]:
    """Return the document with the operator's bounds, as JSON values.

    The result is cached: do not modify it.
    """
    settled: dict[str, Any] = _settled(_document(), bounds)
    return settled


def _settled(value: Any, bounds: schemas.Bounds) -> Any:
    """Return JSON values with each bound's name replaced by its number."""
    if isinstance(value, list):
        return [_settled(one, bounds) for one in value]
    if not isinstance(value, dict):
        return value
    settled = {key: _settled(one, bounds) for key, one in value.items() if key != schemas.BOUND}
    if schemas.BOUND in value:
        most = "maxItems" if value["type"] == "array" else "maximum"
        settled[most] = getattr(bounds, value[schemas.BOUND])
    return settled


def _document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lookalike",
            "version": "1",
            "description": "Find the pictures in a collection that look like a given picture.",
        },
        "security": [{}, *({name: []} for name in _WAYS_IN)],  # {}: where no key is set
        "paths": paths,
        "components": {"schemas": _components(), "securitySchemes": _WAYS_IN},
    }


def _components() -> dict[str, Any]:
    """Return the schemas of all request and response models."""
    taken = {model for o in OPERATIONS for model in (o.query, o.json) if model}
    given = {o.response for o in OPERATIONS if isinstance(o.response, type)}
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in taken | {schemas.SearchBody}),
        *((model, "serialization") for model in given | {schemas.ErrorBody}),
    ]
    _, found = models_json_schema(
        sorted(wanted, key=lambda one: one[0].__name__), ref_template=_REF
    )
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def _described(operation: Route) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": {"200": _response("Success", _content(operation.response))}
        | {str(status): _error(operation, status) for status in _statuses(operation)},
    }
    if operation.json is not None:
        described["requestBody"] = {"required": True, "content": _bodies(operation)}
    if not operation.needs_key:
        described["security"] = []
    return described


def _name(operation: Route) -> str:
    """Return an operation id such as get_images_one_similar."""
    words = re.findall(r"\w+", re.sub(r"\{\w+\}", "one", operation.path.removeprefix(API)))
    return "_".join([operation.method.lower(), *words])


def _statuses(operation: Route) -> list[int]:
    """Return every error status that the route may answer with."""
    of_query = (422,) if operation.query else ()
    of_body = _OF_BODIES if operation.json else ()
    of_path = (404,) if "{" in operation.path else ()
    of_key = (401,) if operation.needs_key else ()
    of_rate_limit = (429,) if operation.is_rate_limited else ()
    of_slot = (503,) if operation.needs_slot else ()
    found = {*operation.errors, *of_query, *of_body, *of_path, *of_key, *of_rate_limit, *of_slot}
    return sorted(found)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    kinds = {"image_id": {"type": "string"}, "label": {"type": "integer", "minimum": 0}}
    return [
        {"name": name, "in": "path", "required": True, "schema": kinds[name]}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    fields = model.model_json_schema(ref_template=_REF)["properties"]
    return [_query_parameter(name, dict(schema)) for name, schema in fields.items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameter = {"name": name, "in": "query", "description": schema.pop("description")}
    schema = _without_null(schema)
    if "$ref" in schema:  # a filter, sent as JSON
        content = {"schema": schema, "example": {}}  # without one, Swagger UI invents a filter
        return parameter | {"content": {"application/json": content}}
    return parameter | {"schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null, which query strings and forms cannot express."""
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if not options:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "title")}
    return dict(rest | options[0])


def _bodies(operation: Route) -> dict[str, Any]:
    bodies = {}
    if operation.form is not None:
        bodies["multipart/form-data"] = _form(operation.form)
    if operation.json is not None:
        bodies["application/json"] = {"schema": _ref(operation.json)}
    return bodies


def _form(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_json_schema(ref_template=_REF).get("properties", {})
    plain = {name: _without_null(schema) for name, schema in fields.items()}
    if "filter" in plain:
        plain["filter"] = _json_text(plain["filter"]) | {"default": "{}"}
    if "region" in plain:
        plain["region"] = _json_text(plain["region"]) | {"default": "[0, 0, 1, 1]"}
    schema = {
        "type": "object",
        "properties": {"image": _PICTURE | {"description": "A picture file."}, **plain},
        "required": ["image"],
        "additionalProperties": False,
    }
    return {"schema": schema}


def _json_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a form field that holds JSON as plain text.

    With its own media type, Swagger UI would send the field as a file.
    """
    return {"type": "string", "description": schema["description"]}


def _content(answer: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(answer, type):
        return {"application/json": {"schema": _ref(answer)}}
    if not answer:
        return {"application/json": {"schema": {"type": "object"}}}
    return {answer: {"schema": _PICTURE}}


def _error(operation: Route, status: int) -> dict[str, Any]:
    model = "" if operation.path == "/readyz" else schemas.ErrorBody
    return _response(HTTPStatus(status).phrase, _content(model))


def _response(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
