"""Decode uploaded pictures, only as many at a time as memory allows.

A file of a few kilobytes may hold 50 million pixels, which need 150 MB and more while they are
decoded. The header gives the number of pixels in advance, so each picture waits for a decode slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.preprocess import (
    SIDE_PX,
    Limits,
    decode,
    full_digest,
    pixel_count,
    pixel_digest,
    to_pixels,
)
from service.guard import deadline
from service.guard.capacity import Capacity
from service.images.regions import crop
from service.process.counters import timed
from service.schemas import Region


@dataclass(frozen=True)
class Decoded:
    """The parts of an uploaded picture that outlive its decoding.

    Attributes
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8
        What the encoder sees.
    size : tuple of int
        Width and height of the whole upright picture, or of the requested region.
    small : PIL.Image.Image
        The picture at no more than 256 pixels a side, with its aspect ratio.
    pixel_digest : str
        Hex SHA-256 of `pixels`.
    full_digest : str or None
        Hex SHA-256 of the picture at full size. None if it was not needed.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    small: Image.Image
    pixel_digest: str
    full_digest: str | None = None


class Decoding:
    """Decode pictures within limits; safe for any number of threads.

    Parameters
    ----------
    limits : Limits
        Size limits of one picture.
    n_at_a_time : int
        Decode slots.
    pixels_at_a_time : int
        Largest total of the pictures in all slots; one picture alone may have more.
    wait_s : float
        Longest wait for a decode slot, in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        n_at_a_time: int = 2,
        pixels_at_a_time: int = 50_000_000,
        wait_s: float = 2.0,
    ) -> None:
        self.limits = limits
        self._capacity = Capacity(n_at_a_time, pixels_at_a_time, name="decoding")
        self._wait_s = wait_s

    def decode(
        self,
        data: bytes,
        region: Region | None = None,
        needs_full_digest: Callable[[str], bool] = lambda digest: False,
        limits: Limits | None = None,
    ) -> Decoded:
        """Decode a picture file, or a region of it.

        Parameters
        ----------
        data : bytes
            The whole file.
        region : Region, optional
            Region of the upright picture. Default: the whole picture.
        needs_full_digest : callable, optional
            Returns whether a picture with this pixel digest needs its full digest, which can only
            be computed before the picture is freed. Default: no picture needs it.
        limits : Limits, optional
            Other limits of this picture. Default: those of uploads.

        Returns
        -------
        Decoded

        Raises
        ------
        PictureError
            If the file is not a readable picture.
        InvalidRequest
            If the region has too few pixels.
        Overloaded
            If no decode slot becomes free in time.
        """
        deadline.check()
        limits = limits or self.limits
        n_pixels = pixel_count(data, limits)
        with timed("capacity"):
            self._capacity.acquire(min(self._wait_s, deadline.left_s()), n_pixels)
        try:
            # In its own function, so that the picture is freed before its slot is.
            with timed("decode"):
                return _decoded(data, limits, region, needs_full_digest)
        finally:
            self._capacity.release(n_pixels)


def _decoded(
    data: bytes, limits: Limits, region: Region | None, needs_full_digest: Callable[[str], bool]
) -> Decoded:
    picture = decode(data, limits)
    if region is not None:
        picture = crop(picture, region)
    pixels, size = to_pixels(picture), picture.size
    digest = pixel_digest(pixels)
    full = full_digest(picture) if needs_full_digest(digest) else None
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return Decoded(pixels, size, picture, digest, full)
