"""Which pictures each training step uses, and reading them ahead. Without TensorFlow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.preprocess import shrink
from models.runtime.threads import ordered_map

MAX_VALIDATION_IMAGES = 1024
N_AHEAD = 3


class ImageSource(Protocol):
    """The pictures of a collection, read on demand. `read` is called from other threads."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pictures at these rows, (len(rows), 256, 256, 3) uint8."""
        ...


@dataclass(frozen=True)
class Split:
    """The rows for training and for validation.

    Attributes
    ----------
    training, validation : ndarray of int64
        Without a common row, unless there are too few pictures to set some aside.
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]

    @property
    def is_shared(self) -> bool:
        """Return whether validation uses training pictures."""
        return bool(np.isin(self.validation, self.training).any())


def split_rows(n_images: int, share: float, seed: int) -> Split:
    """Set a share of the rows aside for validation, chosen by the seed.

    Parameters
    ----------
    n_images : int
        At least 1.
    share : float
        0 <= share < 1. If it is less than one picture, validation uses the training pictures.
    seed : int

    Returns
    -------
    Split
        At most 1024 validation rows, which are enough for the mean loss, so validation of a large
        collection takes no longer. Other rows that were set aside are not trained on either.
    """
    order = np.random.default_rng([seed, 0]).permutation(n_images)
    n_aside = min(round(n_images * share), n_images - 1)
    aside, training = order[:n_aside], order[n_aside:]
    validation = aside if n_aside else training
    return Split(training, validation[:MAX_VALIDATION_IMAGES])


def batch_rows(
    training: NDArray[np.int64], batch_size: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return the rows of one training step. A pure function, so a run can resume at any step.

    Batches are cut from an endless sequence of epochs, each in its own order. So every batch is
    full, and every picture comes once in an epoch.

    Parameters
    ----------
    training : ndarray of int64
    batch_size, seed : int
    step : int
        From 0.

    Returns
    -------
    ndarray of shape (batch_size,), int64
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    passes = places // len(training)
    rows = np.empty(batch_size, np.int64)
    for number in np.unique(passes):
        order = _order_of_epoch(len(training), seed, int(number))
        chosen = passes == number
        rows[chosen] = training[order[places[chosen] % len(training)]]
    return rows


def distinct_rows(
    training: NDArray[np.int64], batch_size: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Return the rows of one training step without repeats; otherwise as `batch_rows`.

    An epoch ends with its last whole batch. The rows left over differ from epoch to epoch.

    Parameters
    ----------
    training : ndarray of int64
        At least batch_size.
    batch_size, seed, step : int

    Returns
    -------
    ndarray of shape (batch_size,), int64
    """
    number, place = divmod(step, len(training) // batch_size)
    order = _order_of_epoch(len(training), seed, number)
    return training[order[place * batch_size : (place + 1) * batch_size]]


@lru_cache(maxsize=2)  # an epoch has many steps
def _order_of_epoch(n_rows: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 1, number]).permutation(n_rows)


def read_ahead(
    images: ImageSource, batches: Iterable[NDArray[np.int64]], side_px: int
) -> Iterator[NDArray[np.float32]]:
    """Return an iterator of pictures in 0..1, (b, side_px, side_px, 3) float32.

    A thread reads them ahead. At most N_AHEAD batches wait in memory, however many there are.
    """
    return ordered_map(
        lambda rows: read_scaled(images, rows, side_px), batches, n_threads=1, n_ahead=N_AHEAD
    )


def read_scaled(images: ImageSource, rows: NDArray[np.int64], side_px: int) -> NDArray[np.float32]:
    """Return pictures in 0..1, (len(rows), side_px, side_px, 3)."""
    return shrink(images.read(rows), side_px) / np.float32(255)
