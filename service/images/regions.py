"""Regions: rectangles of an upright picture, cut out before it is encoded."""

from __future__ import annotations

from PIL import Image

from service.errors import InvalidRequest
from service.schemas import Region

MIN_SIDE_PX = 8  # a smaller region shows too little to compare


def crop(picture: Image.Image, region: Region) -> Image.Image:
    """Cut a region out of a picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright.
    region : tuple of float
        x, y, width and height as fractions of the picture's sides, [0, 1], from its top left
        corner.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    InvalidRequest
        If the region has fewer than 8 x 8 pixels.
    """
    x, y, width, height = region
    left, right = round(x * picture.width), round((x + width) * picture.width)
    upper, lower = round(y * picture.height), round((y + height) * picture.height)
    right, lower = min(right, picture.width), min(lower, picture.height)
    if min(right - left, lower - upper) < MIN_SIDE_PX:
        size = f"{right - left} x {lower - upper} of {picture.width} x {picture.height} pixels"
        smallest = f"{MIN_SIDE_PX} x {MIN_SIDE_PX}"
        raise InvalidRequest([("region", f"is too small ({size}): select at least {smallest}")])
    return picture.crop((left, upper, right, lower))
