"""Every route of the service in one table: what the guards ask of it, and how OpenAPI describes it.

The views are in `service/api/`, `service/web/` and `service/process/`. The guards look a request up
here to find whether it needs a key and a slot and whether it counts against the rate limit. Error
responses are JSON or HTML, depending on the route. `service/api/openapi.py` writes the routes that
have a tag into the OpenAPI document. A new view needs a line here; a test compares this table with
the routes of the application.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from index.search.response import API, THUMBNAIL_ROUTE
from service import schemas


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Attributes
    ----------
    method, path : str
        The path has its parameters in braces.
    endpoint : str
        Flask's name for the view: blueprint and function.
    tag : str
        The heading in the OpenAPI document. "" for a route that is not in the document.
    summary : str
        One line for the document.
    response : type or str
        A model, the media type of a response that is not JSON, or "" for JSON without a model.
    query : type or None
        Model of the query string.
    json : type or None
        Model of the JSON body.
    form : type or None
        Model of the form fields other than the picture.
    errors : tuple of int
        Error statuses in addition to those of every route of this kind.
    needs_key : bool
        Whether the client must send an API key, if keys are set.
    needs_slot : bool
        Whether the request waits for a slot. A route without one answers even under overload.
    is_rate_limited : bool
        Whether the request counts against the client's rate limit, if one is set.
    """

    method: str
    path: str
    endpoint: str
    tag: str = ""
    summary: str = ""
    response: type[BaseModel] | str = ""
    query: type[schemas.Request] | None = None
    json: type[schemas.Request] | None = None
    form: type[schemas.Request] | None = None
    errors: tuple[int, ...] = ()
    needs_key: bool = True
    needs_slot: bool = True
    is_rate_limited: bool = True

    @property
    def is_for_programs(self) -> bool:
        """Whether errors are JSON. Those of the other routes are HTML pages."""
        return bool(self.tag)


ROUTES = (
    Route(
        "POST", f"{API}/search", "api.post_search",
        "search", "Find similar pictures by file, id, vector or examples", schemas.SearchResponse,
        json=schemas.SearchBody, form=schemas.OptionsOfPicture, errors=(404,),
    ),
    Route(
        "POST", f"{API}/search/batch", "api.post_batch",
        "search", "Run several searches at once", schemas.BatchResponse, json=schemas.BatchBody,
    ),
    Route(
        "POST", f"{API}/encode", "api.post_encode",
        "search", "Return the vector of a picture", schemas.EncodeResponse,
        json=schemas.EncodeBody, form=schemas.Request,
    ),
    Route(
        "GET", f"{API}/images", "api.get_images",
        "images", "List the pictures", schemas.ImagesResponse, schemas.FilteredPage,
    ),
    Route(
        "GET", f"{API}/images/{{image_id}}", "api.get_image",
        "images", "Describe one picture", schemas.ImageInfo,
    ),
    Route(
        "GET", f"{API}/images/{{image_id}}/similar", "api.get_similar",
        "images", "Find pictures similar to this one", schemas.SearchResponse, schemas.Options,
    ),
    Route(
        "GET", f"{API}/images/{{image_id}}/file", "api.get_file",
        "images", "Return the original file", "image/*", errors=(416,), is_rate_limited=False,
    ),
    Route(
        "GET", API + THUMBNAIL_ROUTE, "api.get_thumbnail",
        "images", "Return a thumbnail, a JPEG of at most 256 pixels a side", "image/jpeg",
        is_rate_limited=False,
    ),
    Route(
        "GET", f"{API}/images/{{image_id}}/reconstruction", "api.get_reconstruction",
        "images", "Return the picture as decoded from its vector, a JPEG", "image/jpeg",
    ),
    Route(
        "GET", f"{API}/clusters", "api.get_clusters",
        "groups", "List the groups, largest first", schemas.ClustersResponse, schemas.Page,
        errors=(404,),
    ),
    Route(
        "GET", f"{API}/clusters/{{label}}", "api.get_cluster",
        "groups", "List the pictures in a group, medoid first", schemas.MembersResponse,
        schemas.Page,
    ),
    Route(
        "GET", f"{API}/duplicates", "api.get_duplicates",
        "groups", "List groups of duplicates", schemas.DuplicatesResponse, schemas.DuplicatesPage,
    ),
    Route(
        "GET", f"{API}/map", "api.get_map",
        "groups", "List the positions of the pictures on the map", schemas.MapResponse,
        schemas.FilteredPage, errors=(404,),
    ),
    Route(
        "GET", f"{API}/collection", "api.get_collection",
        "collection", "Describe the collection, its encoder and its groups",
        schemas.CollectionResponse,
    ),
    Route(
        "GET", "/livez", "health.livez", "health", "Check that the process responds",
        needs_key=False, needs_slot=False, is_rate_limited=False,  # load balancers have no key
    ),
    Route(
        "GET", "/readyz", "health.readyz", "health", "Check that the service can answer searches",
        errors=(503,), needs_key=False, needs_slot=False, is_rate_limited=False,
    ),
    Route(
        "GET", "/metrics", "metrics.page",
        "health", "Return Prometheus metrics of all workers", "text/plain",
        needs_slot=False, is_rate_limited=False,
    ),
    Route("GET", "/openapi.json", "docs.openapi"),
    Route("GET", "/docs", "docs.docs"),
    Route("GET", "/docs/{name}", "docs.docs_file", is_rate_limited=False),
    Route("GET", "/", "pages.home"),
    Route("GET", "/search", "pages.search_form"),
    Route("POST", "/search", "pages.search_upload"),
    Route("GET", "/similar/{image_id}", "pages.similar"),
    Route("GET", "/like", "pages.like"),
    Route("GET", "/browse", "pages.browse"),
    Route("GET", "/groups", "pages.groups"),
    Route("GET", "/groups/{label}", "pages.group"),
    Route("GET", "/map", "pages.map_"),
    Route("GET", "/duplicates", "pages.duplicates"),
    Route("GET", "/collection", "pages.collection"),
    Route("GET", "/static/{filename}", "static", needs_slot=False, is_rate_limited=False),
)  # fmt: skip

_UNKNOWN = Route("", "", "")  # no such path, or no such method: guarded like any other request
_BY_ENDPOINT = {route.endpoint: route for route in ROUTES}
_WITHOUT_KEY = frozenset(route.path for route in ROUTES if not route.needs_key)
_FOR_PROGRAMS = ("/api/", *(route.path for route in ROUTES if route.is_for_programs))
METHODS = tuple(sorted({"HEAD", *(route.method for route in ROUTES)}))


def route_of(endpoint: str | None) -> Route:
    """Return the route of an endpoint; for None, a route with every guard."""
    return _BY_ENDPOINT.get(endpoint or "", _UNKNOWN)


def path_needs_key(path: str) -> bool:
    """Return whether a path needs an API key, whatever the method."""
    return path not in _WITHOUT_KEY


def path_is_for_programs(path: str) -> bool:
    """Return whether errors at a path are JSON, whether or not there is such a route."""
    return path.startswith(_FOR_PROGRAMS)
