"""Ids of pictures: what an id is made of, and which file keeps or gets which."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from index.catalogue import ImageRecord, image_id


class ImageIds:
    """The ids of the pictures of one run.

    A picture that was indexed before keeps its id, whatever copies come or go. Any other picture
    gets the lowest number that no picture of the earlier index and of this run has.

    Parameters
    ----------
    earlier : iterable of ImageRecord
        Pictures of the earlier index; none for a first build.
    """

    def __init__(self, earlier: Iterable[ImageRecord] = ()) -> None:
        self._earlier = {record.id for record in earlier}
        self._given: set[str] = set()
        self._numbers: dict[str, count[int]] = {}  # by digest, so that many copies take no time

    def next(self, sha256: str, before: ImageRecord | None = None) -> str:
        """Return the id of a picture.

        Parameters
        ----------
        sha256 : str
            Hex SHA-256 of its file.
        before : ImageRecord, optional
            Its record in the earlier index. The id stays if the content did.
        """
        kept = before is not None and before.sha256 == sha256 and before.id not in self._given
        found = before.id if before is not None and kept else self._unused(sha256)
        self._given.add(found)
        return found

    def _unused(self, sha256: str) -> str:
        numbers = self._numbers.setdefault(sha256[:16], count(1))
        ids = (image_id(sha256, number) for number in numbers)
        return next(one for one in ids if one not in self._earlier and one not in self._given)
