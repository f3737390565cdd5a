"""Pages for people: server-made HTML that works without JavaScript."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from PIL import Image
from pydantic import ConfigDict, Field, FiniteFloat, field_validator
from werkzeug.wrappers import Response as AnyResponse

from index.catalogue import ImageRecord
from index.search.duplicates import DEFAULT_THRESHOLD
from index.snapshot import Snapshot
from models.preprocess import thumbnail
from service import search
from service.api import responses
from service.api.queries import query_of_file, query_of_indexed
from service.api.schemas import (
    MAX_EXAMPLES,
    Condition,
    Filter,
    ImageId,
    Label,
    Match,
    Offset,
    Options,
    Request,
    Score,
    decode_base64,
    from_fields,
)
from service.context import context
from service.errors import Failure, InvalidRequest
from service.guard.uploads import uploaded_file
from service.images import formats
from service.images.regions import Region
from service.process.request_log import note_mode
from service.snapshots import Live
from service.web import elbow_drawing, map_drawing

bp = Blueprint("pages", __name__)

N_ANSWERS = 24
N_BROWSED = 60
N_EXAMPLES = 12
N_GROUPS = 48
N_DUPLICATES = 20  # groups
N_COPIES = 12  # pictures of each
MAX_SHOWN_SIDE_PX = 10_000

Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]

_KINDS = ("positive", "negative")  # of examples
_TITLES = {
    401: "A key is needed",
    404: "Not found",
    405: "Not this way",
    413: "That picture is too large",
    415: "That is not a picture we can read",
    422: "That did not work",
    503: "Not ready yet",
}


class PageOf(Request):
    """Which part of a list a page shows; what others append to a shared link does no harm."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    offset: Offset = 0


class DuplicatesPageOf(PageOf):
    """Which part of the duplicates a page shows."""

    threshold: Score = DEFAULT_THRESHOLD


class Within(PageOf):
    """Which part of an answer a page shows, of which group only, and to which part of a picture.

    The edges of that part are percent of the picture's sides, from its upper left corner.
    """

    cluster: Label | None = None
    left: Percent | None = None
    top: Percent | None = None
    right: Percent | None = None
    bottom: Percent | None = None

    @field_validator("cluster", "left", "top", "right", "bottom", mode="before")
    @classmethod
    def _empty_is_none(cls, text: str | None) -> str | None:
        return text or None

    @property
    def filter(self) -> Filter | None:
        """Leaves out the other groups."""
        if self.cluster is None:
            return None
        return Filter(must=[Condition(key="cluster", match=Match(value=self.cluster))])

    @property
    def region_box(self) -> Region | None:
        """The part of the picture to search with; an edge that is left out is the picture's."""
        left, top = self.left or 0, self.top or 0
        right, bottom = (100 if edge is None else edge for edge in (self.right, self.bottom))
        if (left, top, right, bottom) == (0, 0, 100, 100):
            return None
        if left >= right or top >= bottom:
            why = "“from” must be less than “to”, across and down"
            raise InvalidRequest([("left", f"That is no part of the picture: {why}.")])
        return left / 100, top / 100, (right - left) / 100, (bottom - top) / 100

    @property
    def edges(self) -> dict[str, float | None]:
        """The edges of the part, as an address names them."""
        return {name: getattr(self, name) for name in ("left", "top", "right", "bottom")}


class LikePage(PageOf):
    """Which pictures the answers are to be like and unlike, and which part of them is shown."""

    positive: list[ImageId] = Field(default=[], max_length=MAX_EXAMPLES)
    negative: list[ImageId] = Field(default=[], max_length=MAX_EXAMPLES)


class Again(Within):
    """The next page for an uploaded picture: its pixels come along, as nothing is kept here."""

    picture: str = ""
    width: int = 1
    height: int = 1


@dataclass(frozen=True)
class Pager:
    """Where in a list a page is.

    Attributes
    ----------
    offset, limit, total : int
    """

    offset: int
    limit: int
    total: int

    @property
    def number(self) -> int:
        """Which page this is, from 1."""
        return self.offset // self.limit + 1

    @property
    def n_pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // self.limit))

    @property
    def previous(self) -> int | None:
        """Offset of the page before, if any."""
        return max(0, self.offset - self.limit) if self.offset > 0 else None

    @property
    def next(self) -> int | None:
        """Offset of the page after, if any."""
        after = self.offset + self.limit
        return after if after < self.total else None


@dataclass(frozen=True)
class Asked:
    """The picture that was searched with, as the results page shows it.

    Attributes
    ----------
    source : str
        Address or data: URI.
    name : str
    width, height : int
        Of the original, in pixels.
    record : ImageRecord or None
        If it is a picture of the collection.
    pixels : str
        base64 of a PNG of what the encoder saw, to ask for the next page with; "" where an
        address does.
    is_region : bool
        Only a part was searched with, and is shown.
    """

    source: str
    name: str
    width: int
    height: int
    record: ImageRecord | None = None
    pixels: str = ""
    is_region: bool = False


@bp.get("/")
def home() -> str:
    """Show the form, and pictures to start from."""
    with context().holder.use() as live:
        examples = live.snapshot.catalogue.records(_example_rows(live.snapshot))
        return render_template("home.html", examples=examples, **_common(live))


@bp.post("/search")
def search_upload() -> str:
    """Answer an uploaded picture, or its next page."""
    form = from_fields(Again, request.form.to_dict(flat=False))
    data = decode_base64(form.picture) if form.picture else _chosen_file()
    with context().holder.use() as live:
        query = query_of_file(live, data, form.region_box)
        return _results(live, query, _asked_uploaded(live, query, form), form)


@bp.get("/search")
def search_form() -> AnyResponse:
    """Lead those who reload or bookmark an answer back to the form."""
    return redirect(url_for("pages.home"))


@bp.get("/similar/<image_id>")
def similar(image_id: str) -> str:
    """Answer a picture of the collection."""
    page = from_fields(Within, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        query = query_of_indexed(live, image_id, page.region_box)
        return _results(live, query, _asked_known(live, query, image_id), page)


@bp.get("/like")
def like() -> str:
    """Answer several pictures of the collection that were ticked."""
    asked = from_fields(LikePage, request.args.to_dict(flat=False))
    if not asked.positive:
        raise InvalidRequest([("positive", "Tick “like” at one picture at least.")])
    options = Options(limit=N_ANSWERS, offset=asked.offset, include_self=False)
    with context().holder.use() as live:
        by_id = live.snapshot.catalogue.by_id
        query = search.query_of_examples(live, asked.positive, asked.negative)
        answer = search.search(live, query, options)
        note_mode(query.mode)
        return render_template(
            "like.html",
            answer=answer,
            asked=asked,
            examples={kind: list(map(by_id, getattr(asked, kind))) for kind in _KINDS},
            pager=Pager(asked.offset, N_ANSWERS, answer.total),
            **_common(live),
        )


@bp.get("/browse")
def browse() -> str:
    """Show the collection."""
    page = from_fields(PageOf, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        records = live.snapshot.catalogue.page(page.offset, N_BROWSED)
        pager = Pager(page.offset, N_BROWSED, len(live.snapshot))
        return render_template("browse.html", images=records, pager=pager, **_common(live))


@bp.get("/groups")
def groups() -> str:
    """Show the medoid and a few members of each group, and how their number was found."""
    page = from_fields(PageOf, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        clusters = live.snapshot.clusters
        if clusters is None:
            return render_template("no_groups.html", **_common(live))
        labels = range(len(clusters))[page.offset : page.offset + N_GROUPS]
        return render_template(
            "groups.html",
            groups=responses.cluster_infos(live.snapshot, clusters, labels),
            clusters=clusters,
            curve=elbow_drawing.draw(clusters.wce, len(clusters)) if page.offset == 0 else None,
            box=(elbow_drawing.WIDTH, elbow_drawing.HEIGHT),
            pager=Pager(page.offset, N_GROUPS, len(clusters)),
            **_common(live),
        )


@bp.get("/groups/<int:label>")
def group(label: int) -> str:
    """Show the pictures of one group, closest to its medoid first."""
    page = from_fields(PageOf, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        clusters = responses.clusters_of(live.snapshot)
        rows = responses.members_of(clusters, label)
        wanted = rows[page.offset : page.offset + N_BROWSED]
        return render_template(
            "group.html",
            label=label,
            members=responses.member_infos(live.snapshot, clusters, wanted),
            pager=Pager(page.offset, N_BROWSED, len(rows)),
            **_common(live),
        )


@bp.get("/map")
def map_() -> str:
    """Show where the pictures lie on the map, and some of those that stand for groups."""
    page = from_fields(Within, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        snapshot = live.snapshot
        if snapshot.projection is None:
            return render_template("no_map.html", **_common(live))
        rows = map_drawing.rows_to_show(snapshot, page.cluster)
        return render_template(
            "map.html",
            drawing=map_drawing.draw(
                responses.map_points(snapshot, snapshot.catalogue.records(rows))
            ),
            landmarks=map_drawing.draw(
                responses.map_points(
                    snapshot, snapshot.catalogue.records(map_drawing.landmarks(snapshot))
                )
            ),
            side=map_drawing.SIDE,
            cluster=page.cluster,
            **_common(live),
        )


@bp.get("/duplicates")
def duplicates() -> str:
    """Show the groups of pictures that look the same."""
    page = from_fields(DuplicatesPageOf, request.args.to_dict(flat=False))
    with context().holder.use() as live:
        found = live.duplicates.groups(page.threshold)
        shown = found[page.offset : page.offset + N_DUPLICATES]
        return render_template(
            "duplicates.html",
            groups=responses.duplicate_group_infos(live.snapshot, shown, N_COPIES),
            threshold=page.threshold,
            pager=Pager(page.offset, N_DUPLICATES, len(found)),
            **_common(live),
        )


@bp.get("/collection")
def collection() -> str:
    """Say what the service answers from."""
    with context().holder.use() as live:
        about = responses.collection_response(live.snapshot)
        return render_template("collection.html", about=about, **_common(live))


def error_page(failure: Failure) -> Response:
    """Return a page that says what went wrong and keeps the form."""
    title = _TITLES.get(failure.status, "Something went wrong")
    template = {401: "locked.html", 503: "not_ready.html"}.get(failure.status, "error.html")
    message = failure.message
    if failure.details:
        message = "; ".join(detail["message"] for detail in failure.details)
    html = render_template(template, title=title, message=message, formats=formats.in_words())
    response = make_response(html, failure.status)
    response.headers.update(failure.headers)
    return response


def _chosen_file() -> bytes:
    data = uploaded_file(request, "image")
    if not data:
        raise InvalidRequest([("image", "Choose a picture first, then press the button.")])
    return data


def _results(live: Live, query: search.Query, asked: Asked, page: Within) -> str:
    options = Options(limit=N_ANSWERS, offset=page.offset, filter=page.filter)
    answer = search.search(live, query, options)
    note_mode(query.mode)
    return render_template(
        "results.html",
        answer=answer,
        asked=asked,
        cluster=page.cluster,
        edges=page.edges,
        painted=_painted(live, asked),
        pager=Pager(page.offset, N_ANSWERS, answer.total),
        **_common(live),
    )


def _painted(live: Live, asked: Asked) -> str | None:
    """Return the address of what the model keeps of the picture that is shown."""
    if asked.record is None or asked.is_region:
        return None
    return responses.reconstruction_url(live.snapshot, asked.record.id)


def _asked_known(live: Live, query: search.Query, image_id: str) -> Asked:
    """Show a picture of the collection, or the part of it that was searched with."""
    record = live.snapshot.catalogue.by_id(image_id)
    if query.picture is None:
        source = _picture_url(live.snapshot, record.id)
        return Asked(source, record.path, record.width, record.height, record)
    source, size = _data_uri(query.picture.small), query.picture.size
    return Asked(source, record.path, *size, record, is_region=True)


def _asked_uploaded(live: Live, query: search.Query, form: Again) -> Asked:
    """Show an uploaded picture without keeping it, or the one of the collection that it is."""
    if query.row is not None:
        return _asked_known(live, query, live.snapshot.catalogue.image(query.row).id)
    picture = query.picture
    assert picture is not None  # it was encoded just now
    pixels, is_region = _png(Image.fromarray(picture.pixels)), form.region_box is not None
    if form.picture:
        small, size = _reshaped(picture.small, form)
        return Asked(_data_uri(small), "Your picture", *size, pixels=pixels, is_region=is_region)
    source = _data_uri(picture.small)
    return Asked(source, "Your picture", *picture.size, pixels=pixels, is_region=is_region)


def _reshaped(square: Image.Image, form: Again) -> tuple[Image.Image, tuple[int, int]]:
    """Give a picture whose pixels came with the form its own proportions again, and its size."""
    _, _, across, down = form.region_box or (0, 0, 1, 1)
    width, height = (
        min(max(round(side), 1), MAX_SHOWN_SIDE_PX)
        for side in (form.width * across, form.height * down)
    )
    longest = max(width, height)
    shape = (max(1, 256 * width // longest), max(1, 256 * height // longest))
    return square.resize(shape), (width, height)


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _data_uri(picture: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(picture)).decode("ascii")


def _example_rows(snapshot: Snapshot) -> list[int]:
    """Return rows to start from: pictures that stand for groups, or some from all over."""
    n = min(N_EXAMPLES, len(snapshot))
    if snapshot.clusters is not None and len(snapshot.clusters) >= n:
        return snapshot.clusters.medoids[:n].tolist()
    return np.linspace(0, len(snapshot) - 1, n).astype(int).tolist()


def _picture_url(snapshot: Snapshot, image_id: str) -> str:
    small = responses.thumbnail_url(snapshot, image_id)
    return small or url_for("api.get_file", image_id=image_id)


def _common(live: Live) -> dict[str, Any]:
    """Return what every page shows."""
    return {
        "snapshot": live.snapshot,
        "formats": formats.in_words(),
        "max_mb": context().decoding.limits.max_bytes / 2**20,
        "picture_url": lambda image: _picture_url(live.snapshot, image.id),
    }
