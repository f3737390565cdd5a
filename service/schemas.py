"""Requests and responses of the JSON API, as pydantic models.

A body that is not JSON raises `MalformedBody`. Any other invalid request raises `InvalidRequest`,
which names every invalid field. Limits that the operator sets are checked against `Bounds`. In the
models' schemas, `BOUND` and a limit's name mark the place where `service.api.openapi` writes the
operator's number. The class docstrings and the field descriptions appear in the OpenAPI document.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self, TypeVar, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from index.search import filters, ranking
from index.search.duplicates import DEFAULT_THRESHOLD
from service.errors import InvalidRequest, MalformedBody

Region = tuple[float, float, float, float]  # x, y, width, height: fractions of the sides

BOUND = "x-bound"
MAX_OFFSET = 1_000_000_000
MAX_CONDITIONS = 100  # in each of a filter's three lists
_MOST_DETAILS = 10  # a vector of 4096 words must not produce 4096 messages
MAX_EXAMPLES = 64  # positive ids, and as many negative ids
_ROUNDING = 1e-6  # in floating point, a sum such as 0.1 + 0.9 may exceed 1
_QUERIES = ("id", "image", "vector", "positive")
_BASE64 = "A picture file as base64. A `data:` URL prefix is accepted."


@dataclass(frozen=True)
class Bounds:
    """The operator's limits on one request; see `service.settings`.

    Attributes
    ----------
    limit : int
        Items on one page of a list.
    batch : int
        Searches in one batch.
    """

    limit: int = 1000
    batch: int = 64


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True)
class _AtMost:
    """Annotation: a number, or the length of a list, is at most the bound of this name."""

    name: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {BOUND: self.name}

    def _checked(self, value: int | list[Any], info: ValidationInfo) -> int | list[Any]:
        most = getattr(info.context or DEFAULT_BOUNDS, self.name)
        facts = {"most": most}
        if isinstance(value, list):
            if len(value) > most:
                raise PydanticCustomError("too_long", "should have at most {most} items", facts)
        elif value > most:
            raise PydanticCustomError(
                "less_than_equal", "should be less than or equal to {most}", facts
            )
        return value


Limit = Annotated[int, Field(ge=1), _AtMost("limit")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Label = Annotated[int, Field(ge=0, lt=2**31)]
ImageId = Annotated[str, Field(max_length=100)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Score = Annotated[FiniteFloat, Field(ge=-1, le=1)]


def _given(name: str, kind: str) -> JsonDict:
    """Return the schema of an object that has this field, with a value other than null."""
    return {"required": [name], "properties": {name: {"type": kind}}}


class Request(BaseModel):
    """A request without fields. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(Request):
    """The value that the key must have. For `path`: the prefix that it must have."""

    value: bool | Whole | FiniteFloat | str


class Range(Request):
    """A range of numbers, both ends included."""

    gte: FiniteFloat | None = None
    lte: FiniteFloat | None = None


class Condition(Request):
    """A condition on one key. Requires exactly one of `match` and `range`."""

    key: str = Field(
        description="`cluster`, `path`, `width`, `height`, or `metadata.` and a metadata key."
    )
    match: Match | None = None
    range: Range | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["match"], "properties": {"match": {"type": "object"}}},
                {"required": ["range"], "properties": {"range": {"type": "object"}}},
            ]
        }
    )

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.match is None) == (self.range is None):
            raise ValueError("give exactly one of match and range")
        return self

    def to_search(self) -> filters.Condition:
        """Return the condition as a plain value."""
        if self.match is not None:
            return filters.Condition(self.key, filters.Match(self.match.value))
        assert self.range is not None  # exactly one of the two
        return filters.Condition(self.key, filters.Range(self.range.gte, self.range.lte))


Conditions = Annotated[list[Condition], Field(max_length=MAX_CONDITIONS)]


class Filter(Request):
    """Conditions on the pictures to return."""

    must: Conditions = Field(default=[], description="All of these must hold.")
    should: Conditions = Field(
        default=[], description="At least one of these must hold, if the list is not empty."
    )
    must_not: Conditions = Field(default=[], description="None of these may hold.")

    def to_search(self) -> filters.Filter:
        """Return the filter as a plain value."""
        lists = (self.must, self.should, self.must_not)
        return filters.Filter(*(tuple(one.to_search() for one in some) for some in lists))


class Page(Request):
    """The page of a list to return."""

    limit: Limit = Field(default=10, description="Maximum number of items to return.")
    offset: Offset = Field(default=0, description="Number of items to skip.")


class DuplicatesPage(Page):
    """The page of duplicate groups to return."""

    threshold: Score = Field(
        default=DEFAULT_THRESHOLD,
        description="Minimum score of a picture with the largest picture of its group.",
    )


class FilteredPage(Page):
    """The page of a list to return, with a filter."""

    filter: Filter | None = Field(
        default=None,
        description="Return only pictures that pass this filter. "
        "In forms and query strings, send it as JSON.",
    )

    @property
    def wanted(self) -> filters.Filter | None:
        """The filter as a plain value."""
        return None if self.filter is None else self.filter.to_search()


class Options(FilteredPage):
    """Options of a search."""

    score_threshold: Score | None = Field(
        default=None, description="Return only results with at least this score."
    )
    include_self: bool = Field(
        default=True, description="Whether a picture in the collection is among its own results."
    )
    with_vector: bool = Field(default=False, description="Whether each result includes its vector.")

    def to_search(self) -> ranking.Options:
        """Return the options as a plain value."""
        return ranking.Options(
            self.limit,
            self.offset,
            self.score_threshold,
            self.include_self,
            self.with_vector,
            self.wanted,
        )


class OptionsOfPicture(Options):
    """Options of a search with a picture."""

    region: Annotated[list[Share], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="Search with this region only: [x, y, width, height] as fractions of the "
        "upright picture, from its top left corner. In forms, send it as JSON.",
    )

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        if self.region is not None:
            x, y, width, height = self.region
            if x + width > 1 + _ROUNDING or y + height > 1 + _ROUNDING:
                raise ValueError("region extends beyond the picture: x + width and y + height <= 1")
        return self

    @property
    def region_box(self) -> Region | None:
        """The requested region, or None for the whole picture."""
        if self.region is None or self.region == [0, 0, 1, 1]:
            return None
        x, y, width, height = self.region
        return x, y, width, height


class SearchBody(OptionsOfPicture):
    """A search. Requires exactly one of `id`, `image`, `vector` and `positive`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                _given("id", "string"),
                _given("image", "string"),
                _given("vector", "array"),
                _given("positive", "array"),
            ],
            "allOf": [
                {
                    "if": {"required": ["negative"], "properties": {"negative": {"minItems": 1}}},
                    "then": _given("positive", "array"),
                },
                {
                    "if": _given("region", "array"),
                    "then": {"anyOf": [_given("id", "string"), _given("image", "string")]},
                },
            ],
        }
    )

    id: ImageId | None = Field(default=None, description="Id of a picture in the collection.")
    image: str | None = Field(default=None, description=_BASE64)
    vector: list[FiniteFloat] | None = Field(
        default=None,
        description="Query vector, with as many numbers as the collection's vectors. "
        "It is normalised; any norm but zero is valid.",
    )
    positive: Annotated[list[ImageId], Field(min_length=1, max_length=MAX_EXAMPLES)] | None = Field(
        default=None,
        description="Ids of pictures that the results should resemble. The examples are left out "
        "of the results unless `include_self` is set to true.",
    )
    negative: Annotated[list[ImageId], Field(max_length=MAX_EXAMPLES)] = Field(
        default=[],
        description="Ids of pictures that the results should not resemble. Requires `positive`.",
    )

    @model_validator(mode="after")
    def _has_one_query(self) -> Self:
        given = [name for name in _QUERIES if getattr(self, name) is not None]
        if len(given) != 1:
            queries = "id, image, vector and positive"
            raise ValueError(f"give exactly one of {queries}; got {', '.join(given) or 'none'}")
        if self.negative and self.positive is None:
            raise ValueError("negative requires positive: give at least one positive id")
        if self.region is not None and self.id is None and self.image is None:
            raise ValueError("region requires id or image")
        return self

    def to_search(self) -> ranking.Options:
        """Return the options as a plain value. Examples are left out by default."""
        options = super().to_search()
        if self.positive is None or "include_self" in self.model_fields_set:
            return options
        return replace(options, include_self=False)


class BatchBody(Request):
    """Several searches in one request. Each is validated separately, as a `SearchBody`."""

    searches: Annotated[list[Any], Field(min_length=1), _AtMost("batch")]


class EncodeBody(Request):
    """A picture to encode."""

    image: str = Field(description=_BASE64)


class ErrorDetail(BaseModel):
    """What is wrong with one field of the request."""

    field: str
    message: str


class ErrorInfo(BaseModel):
    """An error: a code for programs and a message for people."""

    code: str
    message: str
    details: list[ErrorDetail] | None


class ErrorBody(BaseModel):
    """The body of every error response."""

    error: ErrorInfo


class ImageInfo(BaseModel):
    """A picture in the collection."""

    id: str
    path: str
    cluster: int | None
    width: int
    height: int
    format: str
    size_bytes: int
    thumbnail_url: str | None
    file_url: str
    reconstruction_url: str | None
    metadata: dict[str, Any]


class SearchResult(BaseModel):
    """One result of a search."""

    id: str
    score: float
    path: str
    cluster: int | None
    width: int
    height: int
    thumbnail_url: str | None
    metadata: dict[str, Any]
    vector: list[float] | None = None


class SearchResponse(BaseModel):
    """The results of a search, best first."""

    snapshot: str
    mode: Literal["cached", "encoded", "vector"]
    total: int
    time_ms: float
    results: list[SearchResult]


class BatchEntry(BaseModel):
    """The outcome of one search in a batch: its results or its error."""

    status: int
    answer: SearchResponse | None = None
    error: ErrorInfo | None = None


class BatchResponse(BaseModel):
    """The outcomes of a batch, in request order, all from one snapshot."""

    snapshot: str
    answers: list[BatchEntry]


class EncodeResponse(BaseModel):
    """The vector of a picture."""

    snapshot: str
    mode: Literal["cached", "encoded"]
    encoder: str
    vector: list[float]


class ImagesResponse(BaseModel):
    """A page of the collection."""

    snapshot: str
    total: int
    images: list[ImageInfo]


class ClusterInfo(BaseModel):
    """A group: its size, its medoid (the most central picture), and the pictures closest to it."""

    label: int
    size: int
    medoid: ImageInfo
    closest: list[ImageInfo]


class ClustersResponse(BaseModel):
    """A page of groups, largest first."""

    snapshot: str
    total: int
    algorithm: str
    rule: str
    clusters: list[ClusterInfo]


class MemberInfo(BaseModel):
    """A picture in a group, and its score with the first picture of the group."""

    score: float
    image: ImageInfo


class MembersResponse(BaseModel):
    """A page of one group: the medoid first, then the pictures closest to it."""

    snapshot: str
    label: int
    total: int
    members: list[MemberInfo]


class MapPoint(BaseModel):
    """A position on the map. x and y range from 0 to 1; similar pictures are close together."""

    id: str
    path: str
    x: float
    y: float
    cluster: int | None
    thumbnail_url: str | None


class MapResponse(BaseModel):
    """A page of map positions, in catalogue order."""

    snapshot: str
    total: int
    points: list[MapPoint]


class DuplicateGroupInfo(BaseModel):
    """A group of duplicates, the largest picture first. Scores are with that picture."""

    kind: str = Field(
        description="`exact` (same bytes), `pixels` (same pixels at full size) or `near`."
    )
    size: int
    members: list[MemberInfo]


class DuplicatesResponse(BaseModel):
    """A page of duplicate groups, largest group first."""

    snapshot: str
    threshold: float
    total: int
    groups: list[DuplicateGroupInfo]


class ElbowPoint(BaseModel):
    """Error within the groups, for one number of groups."""

    n_clusters: int
    wce: float


class ClusteringInfo(BaseModel):
    """How the groups were made, and how good they are."""

    n_clusters: int
    algorithm: str
    rule: str
    elbow_clear: bool | None
    knee_strength: float | None
    loss: float
    quality: dict[str, float | None]
    wce_method: str | None
    elbow: list[ElbowPoint]


class CollectionResponse(BaseModel):
    """The collection, its encoder, its groups and its quality."""

    snapshot: str
    created: str
    n_images: int
    dim: int
    top_k: int
    encoder: dict[str, Any]
    clustering: ClusteringInfo | None
    quality: dict[str, Any] | None


AnyRequest = TypeVar("AnyRequest", bound=Request)


def from_json(model: type[AnyRequest], body: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> AnyRequest:
    """Parse and validate a JSON body. Numbers may not be sent as text.

    Parameters
    ----------
    model : type
        The request's model.
    body : bytes
    bounds : Bounds

    Raises
    ------
    MalformedBody
        If the body is not JSON.
    InvalidRequest
        If the body does not match the model.
    """
    try:
        return model.model_validate_json(body, strict=True, context=bounds)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            why = error.errors()[0]["msg"]
            raise MalformedBody(f"the body is not valid JSON: {why}") from error
        raise _invalid(error) from error


def from_fields(
    model: type[AnyRequest], fields: Mapping[str, list[str]], bounds: Bounds = DEFAULT_BOUNDS
) -> AnyRequest:
    """Parse and validate form fields or a query string, where every value is text.

    Parameters
    ----------
    model : type
        The request's model.
    fields : mapping of str to list of str
        Every value of each field.
    bounds : Bounds

    Raises
    ------
    InvalidRequest
        If a field is invalid, or is given twice and is not a list.
    """
    lists = {n for n, field in model.model_fields.items() if get_origin(field.annotation) is list}
    twice = [
        (name, "is given more than once")
        for name, texts in fields.items()
        if len(texts) > 1 and name not in lists
    ]
    if twice:
        raise InvalidRequest(twice[:_MOST_DETAILS])
    values: dict[str, Any] = {
        name: texts if name in lists else texts[0] for name, texts in fields.items()
    }
    if "filter" in values and "filter" in model.model_fields:
        values["filter"] = _filter_of_text(values["filter"])
    if "region" in values and "region" in model.model_fields:
        values["region"] = _list_of_text("region", values["region"])
    try:
        return model.model_validate(values, context=bounds)
    except ValidationError as error:
        raise _invalid(error) from error


def _filter_of_text(text: str) -> Filter:
    """Parse a filter in a text field, where malformed JSON is the fault of that field."""
    try:
        return from_json(Filter, text.encode("utf-8", "replace"))
    except MalformedBody:
        raise InvalidRequest([("filter", "is not valid JSON")]) from None
    except InvalidRequest as error:
        details = [(f"filter.{name}".rstrip("."), why) for name, why in error.details]
        raise InvalidRequest(details) from error


def _list_of_text(name: str, text: str) -> Any:
    """Parse a JSON list, with or without its brackets: Swagger UI and people leave them out."""
    text = text.strip()
    try:
        return json.loads(text if text.startswith("[") else f"[{text}]")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest([(name, "is not a list of numbers")]) from error


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, with or without a `data:` URL prefix.

    Raises
    ------
    InvalidRequest
        If the text is not valid base64.
    """
    if text[:8].lower().startswith(("http://", "https://")):
        why = "is an address, which is not fetched: send the picture as base64"
        raise InvalidRequest([("image", why)])
    _, _, tail = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode("".join(tail.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest([("image", f"is not valid base64: {error}")]) from error


def _invalid(error: ValidationError) -> InvalidRequest:
    found = error.errors(include_url=False, include_input=False)[:_MOST_DETAILS]
    return InvalidRequest([(".".join(map(str, one["loc"])), _plain(one)) for one in found])


def _plain(error: ErrorDetails) -> str:
    """Return pydantic's message without its own vocabulary."""
    if error["type"] == "extra_forbidden":
        return "is not a field of this request"
    if error["type"] == "missing":
        return "is missing"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ")
