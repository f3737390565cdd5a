"""Read TIFFs whose samples Pillow cannot unpack, or unpacks wrongly.

These are colours, and grey with alpha, of 16 bits and more; floats; samples in separate planes; and
any number of extra samples. The result has 8 bits a channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from models.image_files import tiff as tags
from models.image_files.tiff import Directory
from models.image_files.tiff_pieces import Block, Bytes, Samples, TiffPieces

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _LAB = 0, 1, 2, 5, 8
_N_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4, _LAB: 3}
_MODES = {_WHITE_IS_ZERO: "L", _BLACK_IS_ZERO: "L", _RGB: "RGB", _CMYK: "CMYK", _LAB: "LAB"}
_LETTERS = {1: "u", 2: "i", 3: "f", 4: "u"}  # by sample format; 4 is "undefined"
_PREMULTIPLIED, _STRAIGHT = 1, 2  # kinds of alpha
_MOST_SAMPLES = 100
_LEVEL_BYTES = 10  # a pixel, for the picture that is made


class TiffSamples:
    """The samples of one picture.

    Parameters
    ----------
    directory : Directory
    """

    def __init__(self, directory: Directory) -> None:
        self._tags = directory
        self._photometric = directory.number(tags.PHOTOMETRIC, -1)
        self._n_colours = _N_COLOURS.get(self._photometric, _MOST_SAMPLES)
        self._dtype = _dtype(directory)
        self.pieces = TiffPieces(directory, self._dtype or np.dtype(np.uint8))
        self._alpha_at, self._is_premultiplied = _alpha(
            directory.numbers(tags.EXTRA_SAMPLES), self._photometric, self.pieces.n_samples
        )

    @property
    def is_readable(self) -> bool:
        """Whether `load` can read these samples, unless they are broken."""
        return (
            self._dtype is not None
            and self._n_colours <= self.pieces.n_samples < _MOST_SAMPLES
            and self.pieces.can_be_unpacked
            and (self._photometric != _LAB or self._dtype in (np.uint8, np.uint16))
        )

    @property
    def is_misread_by_pillow(self) -> bool:
        """Whether `load` can read these samples, but Pillow may give others.

        Pillow 13 reads separate planes of 16 bits, or packed by bytes, from the wrong places. It
        takes 32 bits for signed, and swaps no bytes of unpacked numbers other than 16 bits.
        """
        is_common = self._dtype in (np.uint8, np.uint16)
        return self.is_readable and (self.pieces.is_planar or not is_common)

    @property
    def n_pixels(self) -> int:
        """Pixels that decoding takes: more than there are if a strip or tile is large."""
        width, height = self.pieces.size
        n_bytes = _LEVEL_BYTES * width * height + self.pieces.piece_bytes
        return max(width * height, n_bytes // 17)

    def load(self) -> Image.Image:
        """Decode the picture.

        Returns
        -------
        PIL.Image.Image
            Mode L, LA, RGB, RGBA, RGBa, CMYK or LAB, not turned, with its colour profile.

        Raises
        ------
        UndecodableImage, OSError
            If the samples are cut off or broken.
        """
        width, height = self.pieces.size
        low, high = self._range()
        n_channels = self._n_colours + (self._alpha_at is not None)
        levels = np.empty((height, width, n_channels), np.uint8)
        for block in self.pieces.blocks():
            self._put(levels, block, low, high)
        return self._image(levels)

    def _put(self, levels: Bytes, block: Block, low: float, high: float) -> None:
        height, width, n = block.samples.shape
        part = levels[block.top : block.top + height, block.left : block.left + width]
        is_only = self.pieces.n_samples == 1
        for number in range(block.first, block.first + n):
            samples = block.samples[..., number - block.first]
            if number < self._n_colours:
                shown = _levels(samples, low, high, is_only)
                part[..., number] = 255 - shown if self._is_inverted else shown
            elif number == self._alpha_at:
                part[..., -1] = _levels(samples, 0, _full(samples.dtype), is_only)

    @property
    def _is_inverted(self) -> bool:
        # Programs that write floats do not mean it.
        return self._photometric == _WHITE_IS_ZERO and self._kind != "f"

    @property
    def _kind(self) -> str:
        assert self._dtype is not None
        return self._dtype.kind

    def _range(self) -> tuple[float, float]:
        """Return the values of black and white: known up to 16 bits unsigned, else guessed."""
        assert self._dtype is not None
        if self._dtype in (np.uint8, np.uint16):
            return 0, _full(self._dtype)
        colours = (
            block.samples[..., : self._n_colours - block.first]
            for block in self.pieces.blocks()
            if block.first < self._n_colours
        )
        found = _Values.of(colours)
        if self._n_colours > 1:
            return found.range_of_colours(self._dtype)
        return _usual_range(found.low, found.high, self._kind == "f")

    def _image(self, levels: Bytes) -> Image.Image:
        mode = _MODES[self._photometric]
        if self._alpha_at is not None:
            mode += "a" if self._is_premultiplied else "A"
        size = levels.shape[1], levels.shape[0]
        image = Image.frombytes(mode, size, levels)
        if profile := self._tags.content(tags.ICC_PROFILE):
            image.info["icc_profile"] = profile
        return image


def _dtype(directory: Directory) -> np.dtype[Any] | None:
    """Return the type of all samples, or None if it is none of NumPy's, or if they differ."""
    bits = set(directory.numbers(tags.BITS) or (1,))
    formats = set(directory.numbers(tags.SAMPLE_FORMAT) or (1,))
    if len(bits) != 1 or len(formats) != 1:
        return None
    try:
        return np.dtype(f"{_LETTERS[formats.pop()]}{_n_bytes(bits.pop())}")
    except (KeyError, TypeError):
        return None


def _n_bytes(n_bits: int) -> int:
    if n_bits not in (8, 16, 32, 64):
        raise KeyError(n_bits)
    return n_bits // 8


def _alpha(extra: tuple[int, ...], photometric: int, n_samples: int) -> tuple[int | None, bool]:
    """Return which sample is alpha, if any, and whether the colours are multiplied by it."""
    n_colours = _N_COLOURS.get(photometric, _MOST_SAMPLES)
    if photometric in (_CMYK, _LAB):  # more inks, or masks that no viewer follows
        return None, False
    if not extra and photometric == _RGB and n_samples == n_colours + 1:
        return n_colours, False
    for number, kind in enumerate(extra[: n_samples - n_colours], n_colours):
        if kind in (_PREMULTIPLIED, _STRAIGHT):
            return number, kind == _PREMULTIPLIED
    return None, False


def _full(dtype: np.dtype[Any]) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _levels(samples: Samples, low: float, high: float, is_only: bool) -> Bytes:
    """Scale samples to 0..255. Of 16 bits, take the upper eight as Pillow does, if not grey."""
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype.kind == "u" and samples.dtype.itemsize == 2 and not is_only:
        return (samples >> 8).astype(np.uint8)
    with np.errstate(all="ignore"):  # what is no float then is as good as infinite
        values = np.nan_to_num(samples.astype(np.float32), nan=0, posinf=0, neginf=0)
        scaled = (values - np.float32(low)) * np.float32(255 / max(high - low, 1e-30))
    levels: Bytes = np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)
    return levels


@dataclass(frozen=True)
class _Values:
    """What numbers there are in a picture, NaN and infinity left out."""

    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0

    @classmethod
    def of(cls, blocks: Iterator[Samples]) -> Self:
        low, high, total, n_values = np.inf, -np.inf, 0.0, 0
        for block in blocks:
            values = block[np.isfinite(block)]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                with np.errstate(over="ignore"):
                    total += float(values.sum(dtype=np.float64))
                n_values += values.size
        return cls(low, high, total / n_values) if n_values else cls()

    def range_of_colours(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """Return black and white of colours.

        Floats whose mean is at most 1 are meant for 0..1. What is above is lighter than white, as
        in pictures of a high dynamic range, and cut off. Large integers use their whole range.
        """
        if dtype.kind == "f" and abs(self.mean) <= 1:
            return 0, 1
        if dtype.kind != "f" and self.high > np.iinfo(np.uint16).max:
            return 0, _full(dtype)
        return _usual_range(self.low, self.high, dtype.kind == "f")


def _usual_range(low: float, high: float, is_float: bool) -> tuple[float, float]:
    """Return black and white: the smallest usual range that holds all values, else their own."""
    usual = (1, 255, 65535) if is_float else (255, 65535)
    fitting = [full for full in usual if low >= 0 and high <= full]
    return (0, fitting[0]) if fitting else (low, high)
