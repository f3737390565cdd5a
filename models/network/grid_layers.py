"""Layers between the trunk's grid and the encoding of the deep network, and their inverses.

The decoder uses the inverses to turn an encoding back into a grid. `Resize`, `Frame`, `EqualLength`
and `DepthToSpace` have none.
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
    """Split a grid into the part that mirroring keeps and the part whose sign it changes.

    (b, h, w, c) -> (b, h, w, c): the left half of the columns is the same for the mirror image of a
    grid, the right half has the opposite sign and is multiplied by `weight`. The smaller the
    weight, the more similar the encodings of a picture and its mirror image. With weight 1 the map
    is orthogonal.
    """

    def __init__(self, weight: float, **options: Any) -> None:
        super().__init__(**options)
        self.weight = weight

    def call(self, grid: Any) -> Any:
        """Split."""
        half = grid.shape[2] // 2
        left = grid[:, :, :half]  # (b, h, w/2, c)
        right = keras.ops.flip(grid, 2)[:, :, :half]
        parts = [left + right, self.weight * (left - right)]
        return 0.5**0.5 * keras.ops.concatenate(parts, 2)  # (b, h, w, c)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "weight": self.weight}


@_registered
class Unfold(Fold):
    """Undo `Fold` of the same weight."""

    def call(self, folded: Any) -> Any:
        """Join."""
        half = folded.shape[2] // 2
        same, other = folded[:, :, :half], folded[:, :, half:] / self.weight  # (b, h, w/2, c)
        left, right = same + other, keras.ops.flip(same - other, 2)
        return 0.5**0.5 * keras.ops.concatenate([left, right], 2)  # (b, h, w, c)


@_registered
class Window(layers.Layer):
    """Weight the cells of a grid (b, h, w, c) by a bell curve around its centre, or undo it.

    Parameters
    ----------
    width : float
        Standard deviation of the curve, as a share of the side.
    undoes : bool
        Divide by the weights instead.
    """

    def __init__(self, width: float, undoes: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.width, self.undoes = width, undoes

    def call(self, grid: Any) -> Any:
        """Multiply or divide."""
        weights = bell_curve(grid.shape[1], grid.shape[2], self.width)
        return grid / weights if self.undoes else grid * weights

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "width": self.width, "undoes": self.undoes}


@_registered
class Resize(layers.Layer):
    """Resize grids (b, h, w, c) to (b, side, side, c), bilinear.

    Keras' own `Resizing` runs in training mode unless told otherwise, and so do the layers after
    it. Batch normalisation would then learn from every picture that is encoded.
    """

    def __init__(self, side: int, **options: Any) -> None:
        super().__init__(**options)
        self.side = side

    def call(self, grid: Any) -> Any:
        """Resize."""
        return tf.image.resize(grid, (self.side, self.side))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "side": self.side}


@_registered
class Frame(layers.Layer):
    """Put a grid at every place in a larger one, and repeat its edges to fill the rest.

    (b, s, s, c) -> (b, places², side, side, c), where places = side - s + 1. The order is row by
    row from the upper left place.
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
        """Return the arguments of this layer."""
        return {**super().get_config(), "side": self.side}


def _with_edges(grid: Any, axis: int, n_before: int, n_all: int) -> Any:
    """Repeat the first and the last slice along an axis until there are n_all."""
    n = grid.shape[axis]
    first = keras.ops.take(grid, [0], axis)
    last = keras.ops.take(grid, [n - 1], axis)
    parts = [first] * n_before + [grid] + [last] * (n_all - n - n_before)
    return keras.ops.concatenate(parts, axis)


@_registered
class Whiten(layers.Layer):
    """Whiten the channels of a grid (b, h, w, c), or undo it.

    (x - mean) @ matrix, or x @ matrix + mean. Mean and matrix are set after training. Until then
    the layer is the identity.

    Parameters
    ----------
    undoes : bool
        Add the mean after the product, instead of subtracting it before.
    """

    def __init__(self, undoes: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.undoes = undoes

    def build(self, shape: Any) -> None:
        """Add mean and matrix."""
        n = shape[-1]
        self.mean = self.add_weight(shape=(n,), initializer="zeros", trainable=False, name="mean")
        self.matrix = self.add_weight(
            shape=(n, n), initializer="identity", trainable=False, name="matrix"
        )

    def call(self, grid: Any) -> Any:
        """Whiten, or undo it."""
        if self.undoes:
            return keras.ops.matmul(grid, self.matrix) + self.mean
        return keras.ops.matmul(grid - self.mean, self.matrix)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "undoes": self.undoes}


def whitening(
    cells: NDArray[np.float32], floor: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return mean, matrix and inverse matrix that make channels uncorrelated, of equal variance.

    Parameters
    ----------
    cells : ndarray of shape (n, c), float32
    floor : float
        Added to each variance, as a share of the mean variance, so that noise is not amplified.

    Returns
    -------
    ndarrays of shape (c,), (c, c) and (c, c), float32
        Symmetric, so each channel stays as similar to itself as possible.

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
    """Damp large values by a square root that keeps the sign.

    x / sqrt(|x| + `SOFTNESS`), which has a finite slope at 0, unlike the root itself.

    Source: Perronnin, Sanchez and Mensink, "Improving the Fisher kernel for large-scale image
    classification", ECCV 2010.
    """

    def call(self, x: Any) -> Any:
        """Take signed roots."""
        return x / keras.ops.sqrt(keras.ops.abs(x) + SOFTNESS)


@_registered
class SignedSquare(layers.Layer):
    """Undo `SignedRoot`."""

    def call(self, root: Any) -> Any:
        """Square: |x|² = root² (|x| + SOFTNESS), solved for |x|."""
        size = keras.ops.abs(root)
        return root * (size + keras.ops.sqrt(root**2 + 4 * SOFTNESS)) / 2


def bell_curve(height: int, width: int, deviation: float) -> NDArray[np.float32]:
    """Return weights (height, width, 1) that fall from the centre; their mean square is 1."""
    down, across = (
        np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / deviation) ** 2) for n in (height, width)
    )
    weights = down[:, None, None] * across[None, :, None]
    return np.asarray(weights / np.sqrt((weights**2).mean()), np.float32)


@_registered
class Centre(layers.Layer):
    """Subtract the mean encoding of the collection, or (`sign` = 1) add it.

    What all pictures have in common does not help to find similar ones.
    """

    def __init__(self, sign: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.sign = sign

    def build(self, shape: Any) -> None:
        """Add the mean, which is set after training."""
        self.mean = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="mean"
        )

    def call(self, encodings: Any) -> Any:
        """Subtract, or add."""
        return encodings + self.sign * self.mean

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "sign": self.sign}


@_registered
class EqualLength(layers.Layer):
    """Scale grids (b, h, w, c) to a root mean square norm of 1 per cell.

    The norm of an encoding is not stored, so the painter has to work without it.
    """

    def call(self, grid: Any) -> Any:
        """Scale."""
        length = keras.ops.sqrt(keras.ops.sum(grid**2, axis=(1, 2, 3), keepdims=True))
        n_cells = grid.shape[1] * grid.shape[2]
        return grid * (n_cells**0.5 / (length + 1e-6))  # (b, h, w, c)


@_registered
class DepthToSpace(layers.Layer):
    """Arrange channels as blocks of pixels: (b, h, w, c * block²) -> (b, h * block, w * block, c).

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
        """Return the arguments of this layer."""
        return {**super().get_config(), "block": self.block}
