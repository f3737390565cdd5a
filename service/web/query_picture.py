"""The picture that was searched with, as a results page shows it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from index.catalogue import ImageRecord
from models.preprocess import SIDE_PX, thumbnail
from service.search import PreparedQuery
from service.snapshots import Live
from service.web.forms import UploadForm
from service.web.rendering import picture_url

MAX_SHOWN_SIDE_PX = 10_000
_NAME = "Your picture"  # of an upload, whose file name is not shown


@dataclass(frozen=True)
class QueryPicture:
    """A picture or a region of it.

    Attributes
    ----------
    source : str
        Address or `data:` URL.
    name : str
    width, height : int
        Of the original or its region, in pixels.
    record : ImageRecord or None
        The catalogue's record; None if the picture is not in the collection.
    pixels : str
        base64 of the encoder's pixels as PNG, for the form that asks for the next page; "" if
        the picture is in the collection.
    is_region : bool
        Whether this is only a region of the picture.
    """

    source: str
    name: str
    width: int
    height: int
    record: ImageRecord | None = None
    pixels: str = ""
    is_region: bool = False


def of_indexed(live: Live, prepared: PreparedQuery, image_id: str) -> QueryPicture:
    """Return a picture in the collection, or the region of it that was searched with."""
    record = live.snapshot.catalogue.by_id(image_id)
    if prepared.picture is None:
        source = picture_url(live.snapshot, record.id)
        return QueryPicture(source, record.path, record.width, record.height, record)
    source, size = _data_url(prepared.picture.small), prepared.picture.size
    return QueryPicture(source, record.path, *size, record, is_region=True)


def of_upload(live: Live, prepared: PreparedQuery, form: UploadForm) -> QueryPicture:
    """Return an uploaded picture, or the picture in the collection that it is equal to."""
    row = prepared.query.row
    if row is not None:
        return of_indexed(live, prepared, live.snapshot.catalogue.image(row).id)
    picture = prepared.picture
    assert picture is not None  # a picture that is not in the collection was decoded
    small, size = picture.small, picture.size
    if form.picture:
        small, size = _original_shape(small, form)
    pixels = _png_base64(Image.fromarray(picture.pixels))
    is_region = form.region_box is not None
    return QueryPicture(_data_url(small), _NAME, *size, pixels=pixels, is_region=is_region)


def _original_shape(square: Image.Image, form: UploadForm) -> tuple[Image.Image, tuple[int, int]]:
    """Return a square from the form in the shape of its original, and the original's size."""
    _, _, across, down = form.region_box or (0, 0, 1, 1)
    width, height = (
        min(max(round(side), 1), MAX_SHOWN_SIDE_PX)
        for side in (form.width * across, form.height * down)
    )
    longest = max(width, height)
    shape = (max(1, SIDE_PX * width // longest), max(1, SIDE_PX * height // longest))
    return square.resize(shape), (width, height)


def _png_base64(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _data_url(picture: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(picture)).decode("ascii")
