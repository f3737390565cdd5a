"""What people do to pictures: crop, mirror, recompress, shrink, recolour, turn, stamp. Pure.

Each alteration takes a decoded picture in full size and a random generator, and returns a new RGB
picture. A copy altered so should still find its original.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

CROP_AREA = 0.7
JPEG_QUALITY = 30
SMALL_SIDE_PX = 128
CHANGE = 0.3  # of brightness and contrast
TURN_DEGREES = 5
LOGO_SHARE = 0.2  # of the shorter side
_LOGO_MARGIN = 0.03
_LOGO_COLOUR = (178, 34, 52)

Alter = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Alteration:
    """One way of altering a picture.

    Attributes
    ----------
    name : str
        For programs.
    phrase : str
        For people, to be read after "hardest:".
    alter : callable
        (RGB picture, generator) to a new RGB picture; the same for an equal generator.
    """

    name: str
    phrase: str
    alter: Alter


def centre_crop(image: Image.Image) -> Image.Image:
    """Cut out the middle, 70 % of the area, in the picture's own proportions."""
    width, height = _cropped_size(image)
    return _cut(image, (image.width - width) // 2, (image.height - height) // 2)


def random_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut out 70 % of the area anywhere, in the picture's own proportions."""
    width, height = _cropped_size(image)
    left = int(rng.integers(0, image.width - width + 1))
    return _cut(image, left, int(rng.integers(0, image.height - height + 1)))


def mirror(image: Image.Image) -> Image.Image:
    """Swap left and right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def recompress(image: Image.Image, quality: int = JPEG_QUALITY) -> Image.Image:
    """Save as JPEG and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as again:
        return again.convert("RGB")


def shrink(image: Image.Image, side_px: int = SMALL_SIDE_PX) -> Image.Image:
    """Make the longer side 128 px, aspect kept; a smaller picture is enlarged."""
    factor = side_px / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def brighten(image: Image.Image, change: float) -> Image.Image:
    """Multiply every number by 1 + change, cut at 255."""
    return ImageEnhance.Brightness(image).enhance(1 + change)


def change_contrast(image: Image.Image, change: float) -> Image.Image:
    """Multiply every number's distance from the picture's mean grey by 1 + change."""
    return ImageEnhance.Contrast(image).enhance(1 + change)


def turn(image: Image.Image, degrees: float = TURN_DEGREES) -> Image.Image:
    """Turn anticlockwise about the middle; the size stays, bare corners become white."""
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255))


def stamp(image: Image.Image) -> Image.Image:
    """Put an opaque mark, a fifth of the shorter side wide, into the lower right corner."""
    stamped = image.copy()
    shorter = min(image.size)
    side, margin = max(1, round(shorter * LOGO_SHARE)), round(shorter * _LOGO_MARGIN)
    right, bottom = image.width - margin - 1, image.height - margin - 1
    box = (right - side + 1, bottom - side + 1, right, bottom)
    draw = ImageDraw.Draw(stamped)
    draw.rectangle(box, fill=_LOGO_COLOUR)
    inset = side // 4
    if inset:
        left, top, right, bottom = box
        draw.ellipse((left + inset, top + inset, right - inset, bottom - inset), fill="white")
    return stamped


def _cropped_size(image: Image.Image) -> tuple[int, int]:
    share = CROP_AREA**0.5
    return max(1, round(image.width * share)), max(1, round(image.height * share))


def _cut(image: Image.Image, left: int, top: int) -> Image.Image:
    width, height = _cropped_size(image)
    return image.crop((left, top, left + width, top + height))


ALTERATIONS = (
    Alteration("centre_crop", "the middle cut out", lambda image, rng: centre_crop(image)),
    Alteration("random_crop", "a part cut out", random_crop),
    Alteration("mirror", "the mirror image", lambda image, rng: mirror(image)),
    Alteration("jpeg_30", "strong compression", lambda image, rng: recompress(image)),
    Alteration("resize_128", "shrunk to 128 pixels", lambda image, rng: shrink(image)),
    Alteration("brighter_30", "30 % brighter", lambda image, rng: brighten(image, CHANGE)),
    Alteration("darker_30", "30 % darker", lambda image, rng: brighten(image, -CHANGE)),
    Alteration("contrast_more_30", "contrast up", lambda i, rng: change_contrast(i, CHANGE)),
    Alteration("contrast_less_30", "contrast down", lambda i, rng: change_contrast(i, -CHANGE)),
    Alteration("turn_5", "turned by 5 degrees", lambda image, rng: turn(image)),
    Alteration("corner_logo", "a logo in the corner", lambda image, rng: stamp(image)),
)
