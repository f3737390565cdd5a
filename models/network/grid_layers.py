"""Layers between the grid that the deep network sees and the encoding, and their way back.

Each but the last two has an inverse, so that a decoder can follow an encoding back to the grid.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf
    from keras import layers

SOFTNESS = 0.01
_LEAST_VARIANCE = 1e-6

_registered = keras.saving.register_keras_serializable(package="lookalike")


@_registered
class Fold(layers.Layer):
    """Take a grid apart into what it shares with its mirror image and what not.

    (b, h, w, c) -> (b, h, w, c): the left half of the columns is the same for the mirror image
    of a grid, the right half has the other sign. So much of the encoding of a mirrored picture is
    right for nothing, the less `weight` is the more; but for it the map is orthogonal.
    """

    def __init__(self, weight: float, **options: Any) -> None:
        super().__init__(**options)
        self.weight = weight

    def call(self, grid: Any) -> Any:
        """Fold."""
        half = grid.shape[2] // 2
        left = grid[:, :, :half]  # (b, h, w/2, c)
        right = keras.ops.flip(grid, 2)[:, :, :half]
        parts = [left + right, self.weight * (left - right)]
        return 0.5**0.5 * keras.ops.concatenate(parts, 2)  # (b, h, w, c)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "weight": self.weight}


@_registered
class Unfold(Fold):
    """Put together again what `Fold` of the same weight took apart."""

    def call(self, folded: Any) -> Any:
        """Unfold."""
        half = folded.shape[2] // 2
        same, other = folded[:, :, :half], folded[:, :, half:] / self.weight  # (b, h, w/2, c)
        left, right = same + other, keras.ops.flip(same - other, 2)
        return 0.5**0.5 * keras.ops.concatenate([left, right], 2)  # (b, h, w, c)


@_registered
class Window(layers.Layer):
    """Weight the cells of a grid (b, h, w, c) by a bell curve around the middle, or undo it.

    Parameters
    ----------
    width : float
        Its standard deviation, as a share of the side.
    undoes : bool
        Divide by the weights.
    """

    def __init__(self, width: float, undoes: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.width, self.undoes = width, undoes

    def call(self, grid: Any) -> Any:
        """Multiply or divide."""
        weights = bell_curve(grid.shape[1], grid.shape[2], self.width)
        return grid / weights if self.undoes else grid * weights

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "width": self.width, "undoes": self.undoes}


@_registered
class Resize(layers.Layer):
    """Resize grids (b, h, w, c) to (b, side, side, c), bilinear.

    Keras' own `Resizing` takes itself for part of training unless told otherwise, and what comes
    after it in a call as well: batch normalisation would then learn from what it is shown.
    """

    def __init__(self, side: int, **options: Any) -> None:
        super().__init__(**options)
        self.side = side

    def call(self, grid: Any) -> Any:
        """Resize."""
        return tf.image.resize(grid, (self.side, self.side))

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "side": self.side}


@_registered
class Frame(layers.Layer):
    """Lay grids at every place of a larger one, and repeat their edges to fill it.

    (b, s, s, c) -> (b, places², side, side, c), where places = side - s + 1; row by row, the
    upper left place first.
    """

    def __init__(self, side: int, **options: Any) -> None:
        super().__init__(**options)
        self.side = side

    def call(self, grid: Any) -> Any:
        """Lay out."""
        framed = [
            _with_edges(lines, 2, before, self.side)
            for above in range(self.side - grid.shape[1] + 1)
            for lines in [_with_edges(grid, 1, above, self.side)]
            for before in range(self.side - grid.shape[2] + 1)
        ]
        return keras.ops.stack(framed, 1)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "side": self.side}


def _with_edges(grid: Any, axis: int, n_before: int, n_all: int) -> Any:
    """Repeat the first slice and the last one along an axis until there are n_all."""
    n = grid.shape[axis]
    first = keras.ops.take(grid, [0], axis)
    last = keras.ops.take(grid, [n - 1], axis)
    parts = [first] * n_before + [grid] + [last] * (n_all - n - n_before)
    return keras.ops.concatenate(parts, axis)


@_registered
class Whiten(layers.Layer):
    """Turn the channels of a grid (b, h, w, c) so that none says what another says, or undo it.

    (x - mean) @ matrix, or x @ matrix + mean; both are set after training. Until then nothing
    is changed.

    Parameters
    ----------
    undoes : bool
        Add the mean after the product, instead of taking it away before.
    """

    def __init__(self, undoes: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.undoes = undoes

    def build(self, shape: Any) -> None:
        """Make mean and matrix."""
        n = shape[-1]
        self.mean = self.add_weight(shape=(n,), initializer="zeros", trainable=False, name="mean")
        self.matrix = self.add_weight(
            shape=(n, n), initializer="identity", trainable=False, name="matrix"
        )

    def call(self, grid: Any) -> Any:
        """Turn."""
        if self.undoes:
            return keras.ops.matmul(grid, self.matrix) + self.mean
        return keras.ops.matmul(grid - self.mean, self.matrix)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "undoes": self.undoes}


def whitening(
    cells: NDArray[np.float32], floor: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return mean, matrix and inverse matrix that make channels uncorrelated and equally strong.

    Parameters
    ----------
    cells : ndarray of shape (n, c), float32
    floor : float
        Added to each variance, as a share of the mean variance, so that what hardly varies is
        not blown up.

    Returns
    -------
    ndarrays of shape (c,), (c, c) and (c, c), float32
        Symmetric: each channel stays as near to itself as can be.

    Notes
    -----
    ZCA whitening: Bell and Sejnowski, "The independent components of natural scenes are edge
    filters", Vision Research 37, 1997.
    """
    mean = cells.mean(0, dtype=np.float64)
    variances, turn = np.linalg.eigh(np.cov(cells, rowvar=False, bias=True))
    lengths = np.sqrt(variances.clip(0) + max(floor * variances.mean(), _LEAST_VARIANCE))
    matrix, inverse = (turn * lengths**sign @ turn.T for sign in (-1, 1))
    return mean.astype(np.float32), matrix.astype(np.float32), inverse.astype(np.float32)


@_registered
class SignedRoot(layers.Layer):
    """Take square roots that keep their sign, so that a few great numbers do not outshout the rest.

    x / sqrt(|x| + `SOFTNESS`), which unlike the root itself has a slope at 0.

    Source: Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image
    classification", ECCV 2010.
    """

    def call(self, x: Any) -> Any:
        """Take roots."""
        return x / keras.ops.sqrt(keras.ops.abs(x) + SOFTNESS)


@_registered
class SignedSquare(layers.Layer):
    """Undo `SignedRoot`."""

    def call(self, root: Any) -> Any:
        """Square: |x|² = root² (|x| + SOFTNESS), solved for |x|."""
        size = keras.ops.abs(root)
        return root * (size + keras.ops.sqrt(root**2 + 4 * SOFTNESS)) / 2


def bell_curve(height: int, width: int, deviation: float) -> NDArray[np.float32]:
    """Return weights (height, width, 1) that fall from the middle, of mean square 1."""
    down, across = (
        np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / deviation) ** 2) for n in (height, width)
    )
    weights = down[:, None, None] * across[None, :, None]
    return np.asarray(weights / np.sqrt((weights**2).mean()), np.float32)


@_registered
class Centre(layers.Layer):
    """Take the mean encoding of the collection away, or (`sign` = 1) add it.

    What all pictures have in common says nothing about which are alike.
    """

    def __init__(self, sign: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.sign = sign

    def build(self, shape: Any) -> None:
        """Make the mean, which is set after training."""
        self.mean = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="mean"
        )

    def call(self, encodings: Any) -> Any:
        """Move."""
        return encodings + self.sign * self.mean

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "sign": self.sign}


@_registered
class EqualLength(layers.Layer):
    """Scale grids to one length a cell, whatever their own: (b, h, w, c) -> the same.

    The length of an encoding is not stored; so the painter learns to do without it.
    """

    def call(self, grid: Any) -> Any:
        """Scale."""
        length = keras.ops.sqrt(keras.ops.sum(grid**2, axis=(1, 2, 3), keepdims=True))
        n_cells = grid.shape[1] * grid.shape[2]
        return grid * (n_cells**0.5 / (length + 1e-6))  # (b, h, w, c)


@_registered
class DepthToSpace(layers.Layer):
    """Lay channels out as squares of pixels: (b, h, w, c * block²) -> (b, h * block, w * block, c).

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network", CVPR 2016.
    """

    def __init__(self, block: int, **options: Any) -> None:
        super().__init__(**options)
        self.block = block

    def call(self, x: Any) -> Any:
        """Lay out."""
        return tf.nn.depth_to_space(x, self.block)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this layer again."""
        return {**super().get_config(), "block": self.block}
