"""Small pictures and their files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def file_of(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    """Return the file of a picture."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def picture_bytes(colour=(255, 0, 0), size=(40, 30), form="PNG", **options) -> bytes:
    """Return the file of a picture in one colour."""
    return file_of(Image.new("RGB", size, colour), form, **options)


def random_picture(size=(40, 30), seed=0) -> Image.Image:
    """Return a picture that can hardly be compressed, the same for the same seed."""
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def noise_picture(seed, size=(64, 48)):
    """Return a picture of coarse coloured noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def write_pictures(folder: Path, n: int, form="PNG") -> list[Path]:
    """Write n different noise pictures 000.png, 001.png, ... and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed:03d}.{form.lower()}" for seed in range(n)]
    for seed, path in enumerate(paths):
        noise_picture(seed).save(path, form)
    return paths
