"""The OpenAPI 3.1 document, built from the pydantic models of requests and responses.

`models_json_schema` describes the models. `OPERATIONS` lists the routes and the models that each
uses. Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service.api import schemas
from service.guard.access import OPEN

API = "/api/v1"
_TAGS = {
    "search": "search",
    "encode": "search",
    "images": "images",
    "clusters": "groups",
    "duplicates": "groups",
    "map": "groups",
    "collection": "collection",
    "livez": "health",
    "readyz": "health",
    "metrics": "health",
}
_WAYS_IN = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
}
_REF = "#/components/schemas/{model}"
_PICTURE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_OF_BODIES = (400, 408, 413, 415, 422)  # errors of requests that have a body


@dataclass(frozen=True)
class Operation:
    """One route in the document.

    Attributes
    ----------
    method, path : str
        The path has its parameters in braces.
    summary : str
    answer : type or str
        The response: a model, the media type of a response that is not JSON, or "" for JSON
        without a model.
    query : type or None
        Model of the query string.
    json : type or None
        Model of the JSON body.
    form : type or None
        Model of the form fields other than the picture.
    errors : tuple of int
        Error statuses in addition to those of every route of this kind.
    """

    method: str
    path: str
    summary: str
    answer: type[BaseModel] | str
    query: type[schemas.Request] | None = None
    json: type[schemas.Request] | None = None
    form: type[schemas.Request] | None = None
    errors: tuple[int, ...] = ()

    @property
    def tag(self) -> str:
        """The heading in the document, chosen by the first word of the path."""
        return _TAGS[self.path.removeprefix(API).split("/")[1]]

    @property
    def is_open(self) -> bool:
        """Whether the route needs no API key."""
        return self.path in OPEN

    @property
    def statuses(self) -> list[int]:
        """Every error status that the route may return."""
        of_query = (422,) if self.query else ()
        of_body = _OF_BODIES if self.json else ()
        of_path = (404,) if "{" in self.path else ()
        of_key = () if self.is_open else (401,)
        of_limit = (429,) if self.path.startswith(API) else ()
        of_snapshot = () if self.path in ("/livez", "/metrics") else (503,)
        return sorted(
            {*self.errors, *of_query, *of_body, *of_path, *of_key, *of_limit, *of_snapshot}
        )


OPERATIONS = [
    Operation(
        "post", f"{API}/search", "Find similar pictures by file, id, vector or examples",
        schemas.SearchResponse, json=schemas.SearchBody, form=schemas.OptionsOfPicture,
        errors=(404,),
    ),
    Operation(
        "post", f"{API}/search/batch", "Run several searches at once",
        schemas.BatchResponse, json=schemas.BatchBody,
    ),
    Operation(
        "post", f"{API}/encode", "Return the vector of a picture",
        schemas.EncodeResponse, json=schemas.EncodeBody, form=schemas.Request,
    ),
    Operation(
        "get", f"{API}/images", "List the pictures", schemas.ImagesResponse, schemas.FilteredPage
    ),
    Operation("get", f"{API}/images/{{image_id}}", "Describe one picture", schemas.ImageInfo),
    Operation(
        "get", f"{API}/images/{{image_id}}/similar", "Find pictures similar to this one",
        schemas.SearchResponse, schemas.Options,
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/file", "Return the original file", "image/*",
        errors=(416,),
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/thumbnail",
        "Return a thumbnail, a JPEG of at most 256 pixels a side", "image/jpeg",
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/reconstruction",
        "Return the picture as decoded from its vector, a JPEG", "image/jpeg",
    ),
    Operation(
        "get", f"{API}/clusters", "List the groups, largest first",
        schemas.ClustersResponse, schemas.Page, errors=(404,),
    ),
    Operation(
        "get", f"{API}/clusters/{{label}}", "List the pictures in a group, medoid first",
        schemas.MembersResponse, schemas.Page,
    ),
    Operation(
        "get", f"{API}/duplicates", "List groups of duplicates",
        schemas.DuplicatesResponse, schemas.DuplicatesPage,
    ),
    Operation(
        "get", f"{API}/map", "List the positions of the pictures on the map",
        schemas.MapResponse, schemas.FilteredPage, errors=(404,),
    ),
    Operation(
        "get", f"{API}/collection", "Describe the collection, its encoder and its groups",
        schemas.CollectionResponse,
    ),
    Operation("get", "/livez", "Check that the process responds", ""),
    Operation("get", "/readyz", "Check that the service can answer searches", ""),
    Operation("get", "/metrics", "Return Prometheus metrics of all workers", "text/plain"),
]  # fmt: skip


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
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
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
    given = {o.answer for o in OPERATIONS if isinstance(o.answer, type)}
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in taken | {schemas.SearchBody}),
        *((model, "serialization") for model in given | {schemas.ErrorBody}),
    ]
    _, found = models_json_schema(
        sorted(wanted, key=lambda one: one[0].__name__), ref_template=_REF
    )
    return found["$defs"]


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.query)],
        "responses": {"200": _response("Success", _content(operation.answer))}
        | {str(status): _error(operation, status) for status in operation.statuses},
    }
    if operation.json is not None:
        described["requestBody"] = {"required": True, "content": _bodies(operation)}
    if operation.is_open:
        described["security"] = []
    return described


def _name(operation: Operation) -> str:
    """Return an operation id such as get_images_one_similar."""
    words = re.findall(r"\w+", re.sub(r"\{\w+\}", "one", operation.path.removeprefix(API)))
    return "_".join([operation.method, *words])


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
    return rest | options[0]


def _bodies(operation: Operation) -> dict[str, Any]:
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


def _error(operation: Operation, status: int) -> dict[str, Any]:
    model = "" if operation.path == "/readyz" else schemas.ErrorBody
    return _response(HTTPStatus(status).phrase, _content(model))


def _response(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
