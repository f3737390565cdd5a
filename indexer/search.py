"""Search with a picture file, as the service searches with an upload."""

from __future__ import annotations

import functools
from pathlib import Path

from index.layout import ENCODER_FILE
from index.search.queries import query_of_picture
from index.search.ranking import Options
from index.search.response import SearchResponse, respond
from index.snapshot import Snapshot
from indexer.folder.reading import open_picture
from models.encoder import Encoder
from models.preprocess import file_digest, full_digest, pixel_digest, to_pixels


def search(snapshot: Snapshot, image: Path, limit: int) -> SearchResponse:
    """Return the pictures most similar to a file.

    Parameters
    ----------
    snapshot : Snapshot
    image : Path
        A picture of the collection is recognised in any lossless format. Any other picture is
        encoded, and the search uses its crop vectors too.
    limit : int
        Maximum number of results.

    Returns
    -------
    SearchResponse

    Raises
    ------
    PictureError, OSError
        If the file cannot be read as a picture.
    """
    with open_picture(image) as file:
        picture = functools.cache(file.decode)
        pixels = functools.cache(lambda: to_pixels(picture()))
        query = query_of_picture(
            snapshot,
            file_digest(file.data),
            lambda: pixel_digest(pixels()),
            lambda: full_digest(picture()),
            lambda: Encoder.open(snapshot.folder / ENCODER_FILE).encode_query(pixels()),
        )
    return respond(snapshot, query, Options(limit=limit))
