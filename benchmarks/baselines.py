"""Hand-made encodings that a trained encoder has to leave behind: no network, no labels.

All take pictures (n, 256, 256, 3) uint8 and give float32 rows of length 1. `fit` sees the pictures
of the collection, as training does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from models.encoder import unit_rows
from models.learning.batches import ImageSource
from models.preprocess import shrink

_BATCH = 64

Floats = NDArray[np.float32]


class Baseline(ABC):
    """Something that is fitted to a collection and encodes pictures."""

    @abstractmethod
    def fit(self, images: ImageSource) -> None:
        """Take from the collection what encoding needs."""

    @abstractmethod
    def encode(self, images: NDArray[np.uint8]) -> Floats:
        """Return unit rows, (n, dim)."""

    def encode_query(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the row of one picture, (1, dim); there are no crops."""
        return self.encode(pixels[np.newaxis])


class RawPixels(Baseline):
    """The picture itself, 32 px, less the collection's mean picture: 3,072 numbers."""

    side_px = 32

    def __init__(self, seed: int = 0) -> None:
        self._mean: Floats | float = 0.0

    def fit(self, images: ImageSource) -> None:
        """Take the mean picture."""
        self._mean = np.concatenate([self._rows(batch) for batch in _batches(images)]).mean(axis=0)

    def encode(self, images: NDArray[np.uint8]) -> Floats:
        """Return unit rows."""
        return unit_rows(self._rows(images) - self._mean)

    def _rows(self, images: NDArray[np.uint8]) -> Floats:
        return shrink(images, self.side_px).reshape(len(images), -1)


class ColourHistogram(Baseline):
    """Square roots of the shares of 8 x 8 x 8 colours: cosines are Bhattacharyya coefficients."""

    levels = 8

    def __init__(self, seed: int = 0) -> None:
        pass

    def fit(self, images: ImageSource) -> None:
        """Need nothing."""

    def encode(self, images: NDArray[np.uint8]) -> Floats:
        """Return unit rows, (n, 512)."""
        steps = (shrink(images, 64) * (self.levels / 256)).astype(np.int64)
        bins = (steps @ [self.levels**2, self.levels, 1]).reshape(len(images), -1)
        counts = [np.bincount(row, minlength=self.levels**3) for row in bins]
        return unit_rows(np.sqrt(np.array(counts, np.float32)))


class PatchDictionary(Baseline):
    """1,024 whitened patches found by k-means, their activations pooled over 2 x 2 = 4,096 numbers.

    Notes
    -----
    Source: A. Coates, A. Ng and H. Lee, "An analysis of single-layer networks in unsupervised
    feature learning" (AISTATS 2011): 6 x 6 patches of pictures of 64 px, contrast-normalised and
    whitened, triangle activation, sums over quadrants. Here with a stride of 2, and soft-whitened
    in the end: divided by sqrt(eigenvalue + c * mean eigenvalue) along the principal axes.
    """

    side_px = 64
    patch_px = 6
    stride_px = 2
    n_sampled = 100_000
    whitening = 0.1  # added to the eigenvalues of normalised patches
    softness = 3.0  # c

    def __init__(self, seed: int = 0, n_patches: int = 1024) -> None:
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self._n_patches = n_patches

    def fit(self, images: ImageSource) -> None:
        """Learn patches and both whitenings."""
        from sklearn.cluster import MiniBatchKMeans

        sampled = self._sample(images)
        self._patch_mean = sampled.mean(axis=0)
        values, axes = np.linalg.eigh(np.cov((sampled - self._patch_mean).T))
        self._whiten = ((axes / np.sqrt(values + self.whitening)) @ axes.T).astype(np.float32)
        whitened = (sampled - self._patch_mean) @ self._whiten
        means = MiniBatchKMeans(
            self._n_patches,
            init="random",  # k-means++ takes longer than all the rest
            batch_size=4096,
            n_init=1,
            max_iter=20,
            random_state=self._seed,
        )
        self._patches = means.fit(whitened).cluster_centers_.astype(np.float32)
        self._fit_axes(np.concatenate([self._pooled(batch) for batch in _batches(images)]))

    def encode(self, images: NDArray[np.uint8]) -> Floats:
        """Return unit rows, (n, 4 * n_patches) or as many as there were pictures to fit."""
        return unit_rows((self._pooled(images) - self._mean) @ self._axes)

    def _sample(self, images: ImageSource) -> Floats:
        """Return normalised patches from all pictures, the same number of each."""
        each = max(1, self.n_sampled // len(images))
        parts = []
        for batch in _batches(images):
            patches = self._normalised(batch)  # (b, places, 108)
            chosen = self._rng.integers(0, patches.shape[1], (len(batch), each))
            parts.append(np.take_along_axis(patches, chosen[..., None], axis=1))
        return np.concatenate(parts).reshape(-1, self.patch_px**2 * 3)

    def _normalised(self, images: NDArray[np.uint8]) -> Floats:
        small = shrink(images, self.side_px)  # (b, 64, 64, 3)
        windows = np.lib.stride_tricks.sliding_window_view(
            small, (self.patch_px, self.patch_px), axis=(1, 2)
        )[:, :: self.stride_px, :: self.stride_px]  # (b, 30, 30, 3, 6, 6)
        patches = windows.reshape(len(images), -1, self.patch_px**2 * 3)  # (b, 900, 108)
        spread = np.sqrt(patches.var(axis=2, keepdims=True) + 10)
        return (patches - patches.mean(axis=2, keepdims=True)) / spread

    def _pooled(self, images: NDArray[np.uint8]) -> Floats:
        """Return sums of the triangle activation over quadrants, (b, 4 * n_patches)."""
        lengths = (self._patches**2).sum(axis=1)
        pooled = []
        for patches in self._normalised(images):  # (900, 108)
            rows = (patches - self._patch_mean) @ self._whiten
            squares = (rows**2).sum(axis=1, keepdims=True) - 2 * rows @ self._patches.T + lengths
            distances = np.sqrt(np.maximum(squares, 0))  # (900, n_patches)
            active = np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)
            pooled.append(_quadrants(active))
        return np.array(pooled, np.float32)

    def _fit_axes(self, rows: Floats) -> None:
        """Learn soft-whitening from pooled rows, (n, d), by the smaller of the two products."""
        self._mean = rows.mean(axis=0)
        _, singular, axes = np.linalg.svd(rows - self._mean, full_matrices=False)
        values = singular**2 / len(rows)
        total = values.sum() / rows.shape[1]
        scale = np.sqrt(values + self.softness * total)
        self._axes = (axes.T / scale).astype(np.float32)


def _quadrants(active: Floats) -> Floats:
    side = round(len(active) ** 0.5)
    grid = active.reshape(side, side, -1)
    half = side // 2
    ends = (slice(None, half), slice(half, None))
    return np.concatenate([grid[y, x].sum(axis=(0, 1)) for y in ends for x in ends])


def _batches(images: ImageSource) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images), _BATCH):
        yield images.read(np.arange(start, min(start + _BATCH, len(images))))


BASELINES: dict[str, Callable[[int], Baseline]] = {
    "pixels": RawPixels,
    "histogram": ColourHistogram,
    "patches": PatchDictionary,
}
