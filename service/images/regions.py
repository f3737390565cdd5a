"""Context of pictures: which pixels of an upright picture are meant."""

from __future__ import annotations

from PIL import Image

from service.errors import InvalidRequest

LEAST_SIDE_PX = 8  # fewer pixels show nothing that could be alike

Region = tuple[float, float, float, float]


def crop(picture: Image.Image, region: Region) -> Image.Image:
    """Cut a part out of a picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright.
    region : tuple of float
        x, y, width and height as shares of the picture's, from its upper left corner.

    Raises
    ------
    InvalidRequest
        If fewer than 8 x 8 pixels are left.
    """
    x, y, width, height = region
    left, right = round(x * picture.width), round((x + width) * picture.width)
    upper, lower = round(y * picture.height), round((y + height) * picture.height)
    right, lower = min(right, picture.width), min(lower, picture.height)
    if min(right - left, lower - upper) < LEAST_SIDE_PX:
        size = f"{right - left} x {lower - upper} of its {picture.width} x {picture.height} pixels"
        least = f"{LEAST_SIDE_PX} x {LEAST_SIDE_PX}"
        raise InvalidRequest([("region", f"covers {size}: take {least} at least")])
    return picture.crop((left, upper, right, lower))
