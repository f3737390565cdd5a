"""Options of a grouping: number of groups, algorithm, elbow, seed and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from index.build_settings import GroupingOptions
from indexer.errors import IndexerError
from indexer.groups.elbow import check_range

FASTERPAM, PYCLUSTERING = "fasterpam", "pyclustering"
ALGORITHMS = (FASTERPAM, PYCLUSTERING)
KMEDOIDS, KMEANS = "kmedoids", "kmeans"
ELBOWS = (KMEDOIDS, KMEANS, PYCLUSTERING)

FULL_LIMIT = 20_000  # pictures; their matrix has 1.6 GB
SAMPLE_BYTES = 256 << 20  # matrix of one sample of a larger collection: 8,192 pictures


class UnknownMethod(IndexerError, ValueError):
    """The name of the algorithm or of the elbow is unknown."""


class TooLittleMemory(IndexerError, ValueError):
    """The memory limit allows only samples that are too small for the number of groups."""


@dataclass(frozen=True)
class Grouping(GroupingOptions):
    """Options of a grouping, checked.

    Attributes
    ----------
    n_clusters : int or None
        Number of groups. None if the elbow decides it.
    min_clusters, max_clusters : int
        Smallest and largest number of groups in the sweep. `max_clusters` is limited to the number
        of pictures.
    algorithm : str
        Algorithm of the final grouping: "fasterpam" or "pyclustering".
    elbow : str
        Curve whose elbow gives the number: "kmedoids" (FasterPAM), "kmeans" (Euclidean, as in the
        original) or "pyclustering" (k-medoids by pyclustering, which takes hours).
    seed : int
    matrix_bytes : int or None
        Largest size of a dissimilarity matrix, which has 4 * n^2 bytes for n pictures. A larger
        collection is sampled. None for 1.6 GB (20,000 pictures), and for samples of 256 MiB.
    """

    def __post_init__(self) -> None:
        check_range(self.min_clusters, self.max_clusters)
        if self.algorithm not in ALGORITHMS:
            raise UnknownMethod(f"unknown algorithm {self.algorithm!r}: use one of {ALGORITHMS}")
        if self.elbow not in ELBOWS:
            raise UnknownMethod(f"unknown elbow {self.elbow!r}: use one of {ELBOWS}")

    @classmethod
    def of(cls, options: GroupingOptions) -> Self:
        """Return stored options, checked again because another version may have stored them."""
        return cls(**options.known(), other_keys=options.other_keys)

    def sample_size(self, n: int) -> int:
        """Return the number of pictures in a sample of n pictures; n if no sampling is needed.

        Raises
        ------
        TooLittleMemory
            If `matrix_bytes` allows fewer than 40 pictures plus 2 for each group.
        """
        fits = math.isqrt((self.matrix_bytes or 4 * FULL_LIMIT**2) // 4)
        if n <= fits:
            return n
        size = math.isqrt((self.matrix_bytes or SAMPLE_BYTES) // 4)
        needed = 40 + 2 * (self.n_clusters or self.max_clusters)
        if size < needed:
            raise TooLittleMemory(
                f"{self.matrix_bytes} bytes allow samples of {size} pictures, but this number of "
                f"groups needs {needed}. Allow at least {4 * needed**2} bytes."
            )
        return size
