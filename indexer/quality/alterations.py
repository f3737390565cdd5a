"""Alterations: crop, mirror, recompress, shrink, recolour, rotate, add a logo.

People change pictures in these ways, and the altered copies should still find their originals. Each
alteration is a pure function from a decoded picture in full size, and in some cases a random
generator, to a new RGB picture.
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
ROTATION_DEGREES = 5
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
        Key in quality.json.
    phrase : str
        Description for people, to follow "hardest:".
    alter : callable
        Maps an RGB picture and a generator to a new RGB picture. Equal generators give the same
        picture.
    """

    name: str
    phrase: str
    alter: Alter


def centre_crop(image: Image.Image) -> Image.Image:
    """Crop the centre, 70 % of the area, with the aspect ratio kept."""
    width, height = _cropped_size(image)
    return _crop(image, (image.width - width) // 2, (image.height - height) // 2)


def random_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Crop 70 % of the area at a random position, with the aspect ratio kept."""
    width, height = _cropped_size(image)
    left = int(rng.integers(0, image.width - width + 1))
    return _crop(image, left, int(rng.integers(0, image.height - height + 1)))


def mirror(image: Image.Image) -> Image.Image:
    """Swap left and right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def recompress(image: Image.Image, quality: int = JPEG_QUALITY) -> Image.Image:
    """Save the picture as JPEG, and read it again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as again:
        return again.convert("RGB")


def shrink(image: Image.Image, side_px: int = SMALL_SIDE_PX) -> Image.Image:
    """Resize the longer side to 128 px, with the aspect ratio kept. Smaller pictures grow."""
    factor = side_px / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def brighten(image: Image.Image, change: float) -> Image.Image:
    """Multiply all values by 1 + change, clipped at 255."""
    return ImageEnhance.Brightness(image).enhance(1 + change)


def change_contrast(image: Image.Image, change: float) -> Image.Image:
    """Multiply the difference of all values from the picture's mean grey by 1 + change."""
    return ImageEnhance.Contrast(image).enhance(1 + change)


def rotate(image: Image.Image, degrees: float = ROTATION_DEGREES) -> Image.Image:
    """Rotate anticlockwise about the centre. The size stays, and empty corners become white."""
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255))


def add_logo(image: Image.Image) -> Image.Image:
    """Draw an opaque logo, a fifth of the shorter side wide, in the lower right corner."""
    marked = image.copy()
    shorter = min(image.size)
    side, margin = max(1, round(shorter * LOGO_SHARE)), round(shorter * _LOGO_MARGIN)
    right, bottom = image.width - margin - 1, image.height - margin - 1
    box = (right - side + 1, bottom - side + 1, right, bottom)
    draw = ImageDraw.Draw(marked)
    draw.rectangle(box, fill=_LOGO_COLOUR)
    inset = side // 4
    if inset:
        left, top, right, bottom = box
        draw.ellipse((left + inset, top + inset, right - inset, bottom - inset), fill="white")
    return marked


def _cropped_size(image: Image.Image) -> tuple[int, int]:
    scale = CROP_AREA**0.5
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _crop(image: Image.Image, left: int, top: int) -> Image.Image:
    width, height = _cropped_size(image)
    return image.crop((left, top, left + width, top + height))


ALTERATIONS = (
    Alteration("centre_crop", "centre crop", lambda image, rng: centre_crop(image)),
    Alteration("random_crop", "random crop", random_crop),
    Alteration("mirror", "mirror image", lambda image, rng: mirror(image)),
    Alteration("jpeg_30", "strong compression", lambda image, rng: recompress(image)),
    Alteration("resize_128", "shrunk to 128 pixels", lambda image, rng: shrink(image)),
    Alteration("brighter_30", "30 % brighter", lambda image, rng: brighten(image, CHANGE)),
    Alteration("darker_30", "30 % darker", lambda image, rng: brighten(image, -CHANGE)),
    Alteration("contrast_more_30", "more contrast", lambda i, rng: change_contrast(i, CHANGE)),
    Alteration("contrast_less_30", "less contrast", lambda i, rng: change_contrast(i, -CHANGE)),
    Alteration("turn_5", "rotated by 5 degrees", lambda image, rng: rotate(image)),
    Alteration("corner_logo", "logo in the corner", lambda image, rng: add_logo(image)),
)
