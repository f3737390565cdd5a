"""Requests and answers of the JSON API, as pydantic models.

A request that does not fit raises `MalformedBody` where it is no JSON at all, and else
`InvalidRequest`, which names every field. What the operator bounds is checked against `Bounds`; in
the schemas of the models it stands as `BOUND` and its name, for `service.api.openapi` to fill in.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
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

from index.search.duplicates import DEFAULT_THRESHOLD
from service.errors import InvalidRequest, MalformedBody
from service.images.regions import Region

BOUND = "x-bound"
MAX_OFFSET = 1_000_000_000
MAX_CONDITIONS = 100  # in each of the three lists of a filter
_MOST_DETAILS = 10  # a vector of 4096 words need not be answered with 4096 lines
MAX_EXAMPLES = 64  # positive ones, and negative ones
_ROUNDING = 1e-6  # 0.1 + 0.9 may be more than 1
_QUERIES = ("id", "image", "vector", "positive")


@dataclass(frozen=True)
class Bounds:
    """What one request may ask for at the most; see `service.settings`.

    Attributes
    ----------
    limit : int
        Answers on a page.
    batch : int
        Searches in a batch.
    """

    limit: int = 1000
    batch: int = 64


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True)
class _AtMost:
    """Annotation: the number, or the length of the list, is at most the bound of this name."""

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
    """Return the schema of an object that has a field, which is not null."""
    return {"required": [name], "properties": {name: {"type": kind}}}


class Request(BaseModel):
    """Base of what a client sends: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(Request):
    """A value to be equal to; of a path, what it begins with."""

    value: bool | Whole | FiniteFloat | str


class Range(Request):
    """From one number to another, both counted in."""

    gte: FiniteFloat | None = None
    lte: FiniteFloat | None = None


class Condition(Request):
    """Something that a picture has or has not: exactly one of `match` and `range`."""

    key: str = Field(description="cluster, path, width, height, or metadata. and a key of yours.")
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


Conditions = Annotated[list[Condition], Field(max_length=MAX_CONDITIONS)]


class Filter(Request):
    """Which pictures may answer."""

    must: Conditions = Field(default=[], description="All of these.")
    should: Conditions = Field(default=[], description="At least one of these, if there are any.")
    must_not: Conditions = Field(default=[], description="None of these.")


class Page(Request):
    """Which part of a list is wanted."""

    limit: Limit = Field(default=10, description="How many at most.")
    offset: Offset = Field(default=0, description="How many to leave out before.")


class DuplicatesPage(Page):
    """Which groups of duplicates are wanted."""

    threshold: Score = Field(
        default=DEFAULT_THRESHOLD, description="Least score that joins two pictures."
    )


class FilteredPage(Page):
    """Which part of a list is wanted, and of which pictures."""

    filter: Filter | None = Field(
        default=None, description="Leave out what does not pass; in forms and addresses as JSON."
    )


class Options(FilteredPage):
    """How a search is to be answered."""

    score_threshold: Score | None = Field(default=None, description="Leave out what scores less.")
    include_self: bool = Field(
        default=True, description="Whether a picture of the collection is among its own answers."
    )
    with_vector: bool = Field(default=False, description="Whether the answers carry their vectors.")


class OptionsOfPicture(Options):
    """How a search with a picture is to be answered."""

    region: Annotated[list[Share], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="Search with a part only: [x, y, width, height] as shares of the upright "
        "picture, from its upper left corner; in forms as JSON.",
    )

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        if self.region is not None:
            x, y, width, height = self.region
            if x + width > 1 + _ROUNDING or y + height > 1 + _ROUNDING:
                raise ValueError("region reaches beyond the picture: x + width and y + height <= 1")
        return self

    @property
    def region_box(self) -> Region | None:
        """The region, if one is asked for that is not the whole picture."""
        if self.region is None or self.region == [0, 0, 1, 1]:
            return None
        x, y, width, height = self.region
        return x, y, width, height


class SearchBody(OptionsOfPicture):
    """A search as JSON: exactly one of `id`, `image`, `vector` and `positive`."""

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

    id: ImageId | None = Field(default=None, description="A picture of the collection.")
    image: str | None = Field(
        default=None, description="A picture file, base64; a data: URL is taken too."
    )
    vector: list[FiniteFloat] | None = Field(
        default=None, description="Numbers of any length but zero."
    )
    positive: Annotated[list[ImageId], Field(min_length=1, max_length=MAX_EXAMPLES)] | None = Field(
        default=None,
        description="Pictures of the collection that the answers are to be like; examples are "
        "left out of the answers unless include_self is given as true.",
    )
    negative: Annotated[list[ImageId], Field(max_length=MAX_EXAMPLES)] = Field(
        default=[], description="Pictures that they are to be unlike; only with positive."
    )

    @model_validator(mode="after")
    def _has_one_query(self) -> Self:
        given = [name for name in _QUERIES if getattr(self, name) is not None]
        if len(given) != 1:
            queries = "id, image, vector and positive"
            raise ValueError(f"give exactly one of {queries}, not {given or 'none'}")
        if self.negative and self.positive is None:
            raise ValueError("negative goes with positive: give at least one picture to be like")
        if self.region is not None and self.id is None and self.image is None:
            raise ValueError("region goes with id or image: a vector has no parts")
        return self

    @property
    def options(self) -> Options:
        """How the search is to be answered; by default the examples are left out."""
        if self.positive is None or "include_self" in self.model_fields_set:
            return self
        return self.model_copy(update={"include_self": False})


class BatchBody(Request):
    """Several searches in one request; each is checked by itself, as a `SearchBody`."""

    searches: Annotated[list[Any], Field(min_length=1), _AtMost("batch")]


class EncodeBody(Request):
    """A picture as JSON."""

    image: str = Field(description="A picture file, base64; a data: URL is taken too.")


class ErrorDetail(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class ErrorAnswer(BaseModel):
    """What went wrong: a code for programs, a sentence for people."""

    code: str
    message: str
    details: list[ErrorDetail] | None


class ErrorBody(BaseModel):
    """The one form of every error."""

    error: ErrorAnswer


class ImageAnswer(BaseModel):
    """A picture of the collection."""

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
    """A picture that answers a search."""

    id: str
    score: float
    path: str
    cluster: int | None
    width: int
    height: int
    thumbnail_url: str | None
    metadata: dict[str, Any]
    vector: list[float] | None = None


class SearchAnswer(BaseModel):
    """The answer to a search, best first."""

    snapshot: str
    mode: Literal["cached", "encoded", "vector"]
    total: int
    time_ms: float
    results: list[SearchResult]


class BatchEntry(BaseModel):
    """One search of several: its answer, or why it has none."""

    status: int
    answer: SearchAnswer | None = None
    error: ErrorAnswer | None = None


class BatchAnswer(BaseModel):
    """The answers to several searches, in their order, all from one snapshot."""

    snapshot: str
    answers: list[BatchEntry]


class EncodeAnswer(BaseModel):
    """The vector of a picture."""

    snapshot: str
    mode: Literal["cached", "encoded"]
    encoder: str
    vector: list[float]


class ImagesAnswer(BaseModel):
    """A page of the collection."""

    snapshot: str
    total: int
    images: list[ImageAnswer]


class ClusterAnswer(BaseModel):
    """One group: its size, the picture that stands for it, and the few closest to that."""

    label: int
    size: int
    medoid: ImageAnswer
    closest: list[ImageAnswer]


class ClustersAnswer(BaseModel):
    """A page of the groups, largest first."""

    snapshot: str
    total: int
    algorithm: str
    rule: str
    clusters: list[ClusterAnswer]


class MemberAnswer(BaseModel):
    """A picture of a group, and its score with the medoid."""

    score: float
    image: ImageAnswer


class MembersAnswer(BaseModel):
    """A page of one group: the medoid, then the others, closest to it first."""

    snapshot: str
    label: int
    total: int
    members: list[MemberAnswer]


class MapPoint(BaseModel):
    """Where a picture lies on the map: x and y from 0 to 1, pictures that are alike close."""

    id: str
    path: str
    x: float
    y: float
    cluster: int | None
    thumbnail_url: str | None


class MapAnswer(BaseModel):
    """A part of the map, in the order of the rows."""

    snapshot: str
    total: int
    points: list[MapPoint]


class DuplicateGroupAnswer(BaseModel):
    """Pictures that look the same, the largest first, and each one's score with that."""

    kind: str = Field(description="exact, pixels or near.")
    size: int
    members: list[MemberAnswer]


class DuplicatesAnswer(BaseModel):
    """A page of the groups of duplicates, the group with the most pictures first."""

    snapshot: str
    threshold: float
    total: int
    groups: list[DuplicateGroupAnswer]


class ElbowPoint(BaseModel):
    """Error within the groups, for one number of groups that was tried."""

    n_clusters: int
    wce: float


class ClusteringAnswer(BaseModel):
    """How the groups were found."""

    n_clusters: int
    algorithm: str
    rule: str
    elbow_clear: bool | None
    elbow_bend: float | None
    loss: float
    quality: dict[str, float | None]
    wce_method: str | None
    elbow: list[ElbowPoint]


class CollectionAnswer(BaseModel):
    """What the service answers from."""

    snapshot: str
    created: str
    n_images: int
    dim: int
    top_k: int
    encoder: dict[str, Any]
    clustering: ClusteringAnswer | None
    quality: dict[str, Any] | None


AnyRequest = TypeVar("AnyRequest", bound=Request)


def from_json(model: type[AnyRequest], body: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> AnyRequest:
    """Read a JSON body; numbers must be numbers.

    Raises
    ------
    MalformedBody
        If it is no JSON.
    InvalidRequest
        If it does not fit.
    """
    try:
        return model.model_validate_json(body, strict=True, context=bounds)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise MalformedBody(f"the body is not JSON: {error.errors()[0]['msg']}") from error
        raise _invalid(error) from error


def from_fields(
    model: type[AnyRequest], fields: Mapping[str, list[str]], bounds: Bounds = DEFAULT_BOUNDS
) -> AnyRequest:
    """Read form fields or a query string, where everything is text.

    Raises
    ------
    InvalidRequest
        If a field does not fit or comes twice.
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
    """Read the one field that is JSON; what is wrong with it is wrong with a field."""
    try:
        return from_json(Filter, text.encode("utf-8", "replace"))
    except MalformedBody:
        raise InvalidRequest([("filter", "is not JSON")]) from None
    except InvalidRequest as error:
        details = [(f"filter.{name}".rstrip("."), why) for name, why in error.details]
        raise InvalidRequest(details) from error


def _list_of_text(name: str, text: str) -> Any:
    """Read a JSON list, with or without its brackets: Swagger UI, as people do, leaves them out."""
    text = text.strip()
    try:
        return json.loads(text if text.startswith("[") else f"[{text}]")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest([(name, "is no list of numbers")]) from error


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text, with or without the head of a data: URL.

    Raises
    ------
    InvalidRequest
        If it is no base64.
    """
    _, _, tail = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        return base64.b64decode("".join(tail.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest([("image", f"is not base64: {error}")]) from error


def _invalid(error: ValidationError) -> InvalidRequest:
    found = error.errors(include_url=False, include_input=False)[:_MOST_DETAILS]
    return InvalidRequest([(".".join(map(str, one["loc"])), _plain(one)) for one in found])


def _plain(error: ErrorDetails) -> str:
    """Say in plain words what pydantic found."""
    if error["type"] == "extra_forbidden":
        return "is not a field of this request"
    if error["type"] == "missing":
        return "is missing"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ")
