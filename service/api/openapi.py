"""The OpenAPI 3.1 document, built of the pydantic models that check requests and write answers.

`models_json_schema` describes the models; `OPERATIONS` says which route takes and gives which.
Source: https://spec.openapis.org/oas/v3.1.0
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
_OF_BODIES = (400, 408, 413, 415, 422)  # errors that only a request with a body can make


@dataclass(frozen=True)
class Operation:
    """One route as the document describes it.

    Attributes
    ----------
    method, path : str
        The path with its parameters in braces.
    summary : str
    answer : type or str
        A model, or the media type of what is no JSON; "" for JSON that has no model.
    query : type or None
        Model of the fields in the address.
    json : type or None
        Model of the JSON body.
    form : type or None
        Model of the form's fields beside the picture.
    errors : tuple of int
        Statuses beside 200 and those that every route of its kind has.
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
        """The heading that it stands under, by the first word of its path."""
        return _TAGS[self.path.removeprefix(API).split("/")[1]]

    @property
    def is_open(self) -> bool:
        """Whether it asks for no key."""
        return self.path in OPEN

    @property
    def statuses(self) -> list[int]:
        """Every error status that it may answer with."""
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
        "post", f"{API}/search", "The pictures most like one that is sent, named, or a vector",
        schemas.SearchAnswer, json=schemas.SearchBody, form=schemas.OptionsOfPicture, errors=(404,),
    ),
    Operation(
        "post", f"{API}/search/batch", "Several searches at once, each with its own status",
        schemas.BatchAnswer, json=schemas.BatchBody,
    ),
    Operation(
        "post", f"{API}/encode", "The vector of a picture",
        schemas.EncodeAnswer, json=schemas.EncodeBody, form=schemas.Request,
    ),
    Operation(
        "get", f"{API}/images", "The collection", schemas.ImagesAnswer, schemas.FilteredPage
    ),
    Operation("get", f"{API}/images/{{image_id}}", "One picture", schemas.ImageAnswer),
    Operation(
        "get", f"{API}/images/{{image_id}}/similar", "The pictures most like it",
        schemas.SearchAnswer, schemas.Options,
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/file", "The original file", "image/*", errors=(416,)
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/thumbnail", "A JPEG of at most 256 pixels a side",
        "image/jpeg",
    ),
    Operation(
        "get", f"{API}/images/{{image_id}}/reconstruction", "What the model keeps of it, a JPEG",
        "image/jpeg",
    ),
    Operation(
        "get", f"{API}/clusters", "The groups, largest first",
        schemas.ClustersAnswer, schemas.Page, errors=(404,),
    ),
    Operation(
        "get", f"{API}/clusters/{{label}}", "The pictures of one group, medoid first",
        schemas.MembersAnswer, schemas.Page,
    ),
    Operation(
        "get", f"{API}/duplicates", "Pictures that look the same",
        schemas.DuplicatesAnswer, schemas.DuplicatesPage,
    ),
    Operation(
        "get", f"{API}/map", "Where the pictures lie on the map, alike ones close together",
        schemas.MapAnswer, schemas.FilteredPage, errors=(404,),
    ),
    Operation(
        "get", f"{API}/collection", "What the service answers from", schemas.CollectionAnswer
    ),
    Operation("get", "/livez", "Whether the process answers", ""),
    Operation("get", "/readyz", "Whether it can answer searches, part by part", ""),
    Operation("get", "/metrics", "Counts and times of all workers, for Prometheus", "text/plain"),
]  # fmt: skip


@functools.cache
def document(bounds: schemas.Bounds = schemas.DEFAULT_BOUNDS) -> dict[str, Any]:
    """Return the whole document, with the operator's bounds, as JSON values; not to be changed."""
    settled: dict[str, Any] = _settled(_document(), bounds)
    return settled


def _settled(value: Any, bounds: schemas.Bounds) -> Any:
    """Return JSON values in which the bounds have their numbers instead of their names."""
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
            "description": "Which pictures of a collection look like a given one.",
        },
        "security": [{}, *({name: []} for name in _WAYS_IN)],  # {}: where no keys are set
        "paths": paths,
        "components": {"schemas": _components(), "securitySchemes": _WAYS_IN},
    }


def _components() -> dict[str, Any]:
    """Describe every model that is taken or given."""
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
        "responses": {"200": _response("As asked", _content(operation.answer))}
        | {str(status): _error(operation, status) for status in operation.statuses},
    }
    if operation.json is not None:
        described["requestBody"] = {"required": True, "content": _bodies(operation)}
    if operation.is_open:
        described["security"] = []
    return described


def _name(operation: Operation) -> str:
    """Return a name such as get_images_similar."""
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
    if "$ref" in schema:  # a filter, which is written as JSON
        content = {"schema": schema, "example": {}}  # or the page would fill in nonsense
        return parameter | {"content": {"application/json": content}}
    return parameter | {"schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out null, which neither an address nor a form can say."""
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
    """Describe what is JSON in a form, as plain text.

    With a media type of its own Swagger UI would send it as a file.
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
