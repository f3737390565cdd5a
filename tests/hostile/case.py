"""One file of the corpus, and how it must be answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STATUS = {"undecodable": 422, "unsupported_type": 415, "too_large": 413}


@dataclass(frozen=True)
class Case:
    """A hostile or odd file.

    Attributes
    ----------
    name : str
        Unique; also its name in a folder, with the extension that it pretends.
    make : callable
        Gives the bytes, the same each time.
    code : str or None
        The error that it must be answered with; None for a picture that must be read.
    size : tuple of int or None
        Width and height of the picture, upright.
    colour : tuple of int or None
        Mean red, green and blue of the picture on white, 0 to 255.
    tolerance : int
        How far the mean may be off, 0 to 255.
    in_folder : str or None
        The indexer's code, where its wider limits make it another.
    """

    name: str
    make: Callable[[], bytes]
    code: str | None = None
    size: tuple[int, int] | None = None
    colour: tuple[int, int, int] | None = None
    tolerance: int = 4
    in_folder: str | None = None

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return 200 if self.code is None else STATUS[self.code]

    @property
    def folder_code(self) -> str | None:
        """Code that the indexer lists it with, None where it is taken in."""
        return self.in_folder or self.code


def of(data: bytes) -> Callable[[], bytes]:
    """Return a function that gives bytes which are cheap to keep."""
    return lambda: data
