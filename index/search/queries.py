"""Queries: what to search with. A picture is recognised by its digests, or else encoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.arrays import Vectors
from index.errors import InvalidQuery
from index.search.searchable import Searchable

_MIN_NORM = 1e-6  # a shorter sum of float32 unit vectors is only rounding error
Mode = Literal["cached", "encoded", "vector"]


@dataclass(frozen=True, eq=False)
class Query:
    """What to search with, and where its vector came from.

    Attributes
    ----------
    mode : {"cached", "encoded", "vector"}
        Source of the vector: stored in the collection, encoded from a picture, or sent or computed
        as a vector.
    vectors : ndarray of shape (1 + m, dim), float32
        Unit rows. The first is the query's own vector. The others are crop vectors of an encoded
        picture; m is 0 for every other query.
    row : int or None
        Row of the picture, if the query is a picture of the collection.
    examples : tuple of int
        Rows that the vector was computed from. They are left out of the results unless
        `Options.include_self` is set.
    """

    mode: Mode
    vectors: Vectors
    row: int | None = None
    examples: tuple[int, ...] = ()

    @property
    def vector(self) -> Vectors:
        """The query's own vector, (dim,) float32."""
        vector: Vectors = self.vectors[0]
        return vector


def query_of_picture(
    searchable: Searchable,
    file_digest: str,
    pixel_digest: Callable[[], str],
    full_digest: Callable[[], str],
    vectors: Callable[[], Vectors],
) -> Query:
    """Recognise a picture of the collection by its digests, or encode the picture.

    Parameters
    ----------
    searchable : Searchable
    file_digest : str
        Hex SHA-256 of the file.
    pixel_digest : callable
        Returns the digest of the pixels that the encoder sees. Called only for an unknown file.
    full_digest : callable
        Returns the digest of all pixels. Called only if the collection has the pixel digest.
    vectors : callable
        Returns the picture's vector and crop vectors, (1 + m, dim) float32 unit rows. Called only
        for an unknown picture.

    Returns
    -------
    Query
        "cached" if the collection has the file or the same pixels at full size, else "encoded".
    """
    row = searchable.catalogue.row_of_sha256(file_digest)
    if row is None:
        row = _row_of_equal(searchable.catalogue.full_digests(pixel_digest()), full_digest)
    return Query("encoded", vectors()) if row is None else query_of_row(searchable, row)


def _row_of_equal(
    candidates: Mapping[int, str | None], full_digest: Callable[[], str]
) -> int | None:
    """Return the lowest row with the same full digest, or else the lowest row without a digest.

    Rows of schema 1 have no full digest. For them, the pixel digest decides.
    """
    unknown = [row for row, digest in candidates.items() if digest is None]
    if len(unknown) == len(candidates):
        return min(unknown, default=None)
    wanted = full_digest()
    equal = [row for row, digest in candidates.items() if digest == wanted]
    return min(equal or unknown, default=None)


def query_of_row(searchable: Searchable, row: int) -> Query:
    """Return the query for the picture of a row."""
    return Query("cached", searchable.store.vectors(np.array([row])), row)


def query_of_id(searchable: Searchable, image_id: str) -> Query:
    """Return the query for a picture of the collection; UnknownImage if the id is unknown."""
    return query_of_row(searchable, searchable.catalogue.by_id(image_id).row)


def query_of_vector(searchable: Searchable, numbers: Sequence[float]) -> Query:
    """Return the query for a vector of any norm except zero. The vector is normalised.

    Parameters
    ----------
    searchable : Searchable
    numbers : sequence of float

    Raises
    ------
    InvalidQuery
        If it has the wrong number of entries, is zero, or is not finite.
    """
    dim = searchable.store.dim
    if len(numbers) != dim:
        message = f"has {len(numbers)} numbers: the vectors of this collection have {dim}"
        raise InvalidQuery("vector", message)
    largest = max(map(abs, numbers))
    if largest == 0 or not math.isfinite(largest):
        raise InvalidQuery("vector", "must have finite numbers, at least one of them not 0")
    scaled = np.array(numbers, np.float64) / largest  # so that squares do not overflow
    return _computed(scaled / np.linalg.norm(scaled))


def query_of_examples(
    searchable: Searchable, positive: Sequence[str], negative: Sequence[str]
) -> Query:
    """Return the query for pictures that resemble some examples and do not resemble others.

    Parameters
    ----------
    searchable : Searchable
    positive, negative : sequences of str
        Ids; at least one positive.

    Returns
    -------
    Query
        Its vector points along 2 * mean(positive) - mean(negative), or mean(positive) alone.

    Raises
    ------
    UnknownImage
        If an id is unknown.
    InvalidQuery
        If the examples cancel each other out.

    Notes
    -----
    Source: the strategy `average_vector` of Qdrant's recommendations
    (https://qdrant.tech/documentation/concepts/explore/), a form of Rocchio's relevance feedback:
    Manning, Raghavan and Schuetze, "Introduction to Information Retrieval" (2008), 9.1.1.
    """
    by_id = searchable.catalogue.by_id
    liked, disliked = ([by_id(one).row for one in ids] for ids in (positive, negative))
    vector = _mean(searchable, liked)
    if disliked:
        vector = 2 * vector - _mean(searchable, disliked)
    norm = np.linalg.norm(vector)
    if norm < _MIN_NORM:
        message = "the examples cancel out, so no direction is left: use other examples"
        raise InvalidQuery("negative", message)
    return _computed(vector / norm, tuple(sorted({*liked, *disliked})))


def _mean(searchable: Searchable, rows: list[int]) -> NDArray[np.float64]:
    vectors = searchable.store.vectors(np.array(rows))
    return np.asarray(vectors.mean(axis=0, dtype=np.float64))


def _computed(vector: NDArray[np.float64], examples: tuple[int, ...] = ()) -> Query:
    return Query("vector", vector.astype(np.float32)[np.newaxis], examples=examples)
