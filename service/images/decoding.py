"""Uploaded pictures, decoded as many at a time as memory allows.

A file of a few kilobytes may hold 50 million pixels, which take 150 MB and more while they are
decoded. Its header says so beforehand, and it waits until there is room for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.preprocess import SIDE_PX, Limits, decode, pixel_count, to_pixels
from service.guard import deadline
from service.guard.capacity import Room
from service.images.regions import Region, crop
from service.process.counters import timed


@dataclass(frozen=True)
class Decoded:
    """What is kept of an uploaded picture.

    Attributes
    ----------
    pixels : ndarray of shape (256, 256, 3), uint8
        What the encoder sees.
    size : tuple of int
        Width and height of the whole picture, upright, or of the part that was asked for.
    small : PIL.Image.Image
        At most 256 pixels a side, in its own proportions.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    small: Image.Image


class Decoding:
    """Decode pictures within limits; safe for any number of threads.

    Parameters
    ----------
    limits : Limits
        Of one picture.
    n_at_a_time : int
    pixels_at_a_time : int
        Of all pictures that are being decoded; one alone may have more.
    wait_s : float
        Longest wait for room, in seconds.
    """

    def __init__(
        self,
        limits: Limits,
        n_at_a_time: int = 2,
        pixels_at_a_time: int = 50_000_000,
        wait_s: float = 2.0,
    ) -> None:
        self.limits = limits
        self._room = Room(n_at_a_time, pixels_at_a_time, name="decoding")
        self._wait_s = wait_s

    def decode(self, data: bytes, region: Region | None = None) -> Decoded:
        """Decode a picture file, or a part of it.

        Parameters
        ----------
        data : bytes
        region : Region, optional
            Of the upright picture; default: all of it.

        Raises
        ------
        PictureError
            If it is no picture that can be read.
        InvalidRequest
            If the region has too few pixels.
        Overloaded
            If there is no room for it in time.
        """
        deadline.check()
        n_pixels = pixel_count(data, self.limits)
        with timed("room"):
            self._room.enter(min(self._wait_s, deadline.left_s()), n_pixels)
        try:
            # In a function of its own, so that the picture is gone when its room is given back.
            with timed("decode"):
                return _decoded(data, self.limits, region)
        finally:
            self._room.leave(n_pixels)


def _decoded(data: bytes, limits: Limits, region: Region | None) -> Decoded:
    picture = decode(data, limits)
    if region is not None:
        picture = crop(picture, region)
    pixels, size = to_pixels(picture), picture.size
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return Decoded(pixels, size, picture)
