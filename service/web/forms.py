"""The forms of the pages and their links, as pydantic models.

Unknown fields are ignored: what other sites append to a shared link does no harm.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat

from index.search.duplicates import DEFAULT_THRESHOLD
from index.search.filters import Condition, Filter, Match
from service.errors import InvalidRequest
from service.schemas import (
    MAX_EXAMPLES,
    ImageId,
    Label,
    Offset,
    Region,
    Request,
    Score,
)

_EMPTY_IS_NONE = BeforeValidator(lambda text: text or None)  # an empty field sends ""
Percent = Annotated[Annotated[FiniteFloat, Field(ge=0, le=100)] | None, _EMPTY_IS_NONE]

_EDGES = ("left", "top", "right", "bottom")


class ListForm(Request):
    """Which page of a list to show."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    offset: Offset = 0


class DuplicatesForm(ListForm):
    """Which page of the duplicates to show, and from which score on two pictures are duplicates."""

    threshold: Score = DEFAULT_THRESHOLD


class LikeForm(ListForm):
    """Which page of the results to show, and the pictures that they should (not) resemble."""

    positive: list[ImageId] = Field(default=[], max_length=MAX_EXAMPLES)
    negative: list[ImageId] = Field(default=[], max_length=MAX_EXAMPLES)


class GroupForm(ListForm):
    """Which page of a list to show, and of which group; None for all groups."""

    cluster: Annotated[Label | None, _EMPTY_IS_NONE] = None

    @property
    def filter(self) -> Filter | None:
        """The filter that lets only the group pass; None for all groups."""
        if self.cluster is None:
            return None
        return Filter(must=(Condition("cluster", Match(self.cluster)),))


class SearchForm(GroupForm):
    """Which page of the results to show, of which group, and which region to search with.

    The edges of the region are percentages of the picture's width and height, from its top left
    corner. A missing edge is the edge of the picture.
    """

    left: Percent = None
    top: Percent = None
    right: Percent = None
    bottom: Percent = None

    @property
    def region_box(self) -> Region | None:
        """The region to search with, or None for the whole picture.

        Raises
        ------
        InvalidRequest
            If the region has no area.
        """
        left, top = self.left or 0, self.top or 0
        right, bottom = (100 if edge is None else edge for edge in (self.right, self.bottom))
        if (left, top, right, bottom) == (0, 0, 100, 100):
            return None
        if left >= right or top >= bottom:
            message = "The left edge must be less than the right, the top less than the bottom."
            raise InvalidRequest([("left", message)])
        return left / 100, top / 100, (right - left) / 100, (bottom - top) / 100

    @property
    def edges(self) -> dict[str, float | None]:
        """The edges as they were sent, for links."""
        return {name: getattr(self, name) for name in _EDGES}


class UploadForm(SearchForm):
    """A search with an uploaded picture, or the next page of its results.

    The server keeps no uploads, so the next page's form carries the picture. The uploaded file
    itself is not a field of the model.

    Attributes
    ----------
    picture : str
        base64 of the encoder's 256 x 256 pixels as PNG; "" with an uploaded file.
    width, height : int
        Of the original, in pixels.
    """

    picture: str = ""
    width: int = 1
    height: int = 1
