"""The networks, as Keras models made of a part named `encoder` and a part named `decoder`.

Both parts can be used alone: the encoder gives the encoding of a picture, the decoder paints
a picture from an encoding.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quiet import quiet_stderr
from models.recipe import Recipe

# Before TensorFlow is imported: its remarks about CPU and GPU mean nothing to a user here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import keras
    import tensorflow as tf
    from keras import layers

L2_STRENGTH = 1e-6
SOFTNESS = 0.01


@dataclass(frozen=True)
class Architecture:
    """A network and how it is trained.

    Attributes
    ----------
    build : callable
        Makes the autoencoder, a `keras.Model` with layers named `encoder` and `decoder`.
    loss : callable
        `loss(autoencoder, pictures)` -> scalar tensor; pictures are (b, side, side, 3) in 0..1.
        The regularisers are added to it for training.
    input_side_px : int
        Side of the square that it takes.
    learning_rate : float
        Of Adam, when it is trained to reconstruct.
    batch_size : int
        Pictures a step, when it is trained to reconstruct.
    recipe : Recipe or None
        How it is trained by contrasting pictures; None if it cannot be.
    """

    build: Callable[[], keras.Model]
    loss: Callable[[keras.Model, Any], Any]
    input_side_px: int
    learning_rate: float
    batch_size: int = 32
    recipe: Recipe | None = None


def build_classic() -> keras.Model:
    """Make the network of the original solution: 256x256x3 -> 32x32x4 = 4096 -> 256x256x3.

    Returns
    -------
    keras.Model
        Pictures in 0..1 to reconstructions in 0..1; not compiled.
    """
    encoder, decoder = _classic_encoder(), _classic_decoder()
    pictures = keras.Input((256, 256, 3), name="pictures")
    return keras.Model(pictures, decoder(encoder(pictures)), name="autoencoder")


def reconstruction_loss(autoencoder: keras.Model, pictures: Any) -> Any:
    """Return the mean binary cross-entropy between pictures and what is painted of them.

    Parameters
    ----------
    autoencoder : keras.Model or callable
        What paints; where that is larger, the means of its blocks are compared.
    pictures : tensor of shape (b, side, side, 3), float32
        0..1.

    Returns
    -------
    scalar tensor, float32
        Nats a number. Never 0: its least value is the entropy of the pictures' shares.
    """
    painted = autoencoder(pictures)  # (b, side, side, 3)
    block = painted.shape[1] // pictures.shape[1]
    if block > 1:
        painted = keras.ops.average_pool(painted, block, block)  # (b, side, side, 3)
    return keras.ops.mean(keras.losses.binary_crossentropy(pictures, painted))


def _classic_encoder() -> keras.Model:
    pictures = keras.Input((256, 256, 3), name="pictures")
    x = _conv(16, "encoder_conv_1")(pictures)  # (b, 256, 256, 16)
    x = layers.MaxPooling2D(2, name="encoder_pool_1")(x)  # (b, 128, 128, 16)
    x = _conv(8, "encoder_conv_2")(x)  # (b, 128, 128, 8)
    x = layers.MaxPooling2D(2, name="encoder_pool_2")(x)  # (b, 64, 64, 8)
    x = _conv(4, "encoder_conv_3")(x)  # (b, 64, 64, 4)
    encoding = layers.MaxPooling2D(2, name="encoder_pool_3")(x)  # (b, 32, 32, 4)
    return keras.Model(pictures, encoding, name="encoder")


def _classic_decoder() -> keras.Model:
    encoding = keras.Input((32, 32, 4), name="encoding")
    x = _conv(4, "decoder_conv_1")(encoding)  # (b, 32, 32, 4)
    x = _double("decoder_up_1")(x)  # (b, 64, 64, 4)
    x = _conv(8, "decoder_conv_2")(x)  # (b, 64, 64, 8)
    x = _double("decoder_up_2")(x)  # (b, 128, 128, 8)
    x = _conv(16, "decoder_conv_3")(x)  # (b, 128, 128, 16)
    x = _double("decoder_up_3")(x)  # (b, 256, 256, 16)
    shares = layers.Conv2D(3, 3, padding="same", activation="sigmoid", name="decoder_conv_4")(x)
    return keras.Model(encoding, shares, name="decoder")  # (b, 256, 256, 3)


def _conv(n_filters: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(
        n_filters,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="he_uniform",
        kernel_regularizer=keras.regularizers.L2(L2_STRENGTH),
        name=name,
    )


def _double(name: str) -> layers.UpSampling2D:
    return layers.UpSampling2D(2, interpolation="bilinear", name=name)


# ---------------------------------------------------------------- deep

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
    return (weights / np.sqrt((weights**2).mean())).astype(np.float32)


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


def build_deep(recipe: Recipe) -> keras.Model:
    """Make the deep network: 128x128x3 -> 8x8x64 = 4096 -> 256x256x3.

    Returns
    -------
    keras.Model
        Pictures in 0..1 to reconstructions in 0..1; not compiled. Its trunk and its painter are
        what is trained (`build_trunk`, `build_painter`); between them there is no weight but the
        mean encoding, which is 0 until `set_centre`.
    """
    side = recipe.encoding_px
    grid_shape = (side // recipe.cell_px, side // recipe.cell_px, recipe.code_channels)
    encoder, decoder = _deep_encoder(recipe), _deep_decoder(recipe, grid_shape)
    pictures = keras.Input((side, side, 3), name="pictures")
    return keras.Model(pictures, decoder(encoder(pictures)), name="autoencoder")


def set_centre(autoencoder: keras.Model, mean: Any) -> None:
    """Set the mean encoding, (h, w, c) float32, that a deep network takes away."""
    for part in ("encoder", "decoder"):
        autoencoder.get_layer(part).get_layer("centre").mean.assign(mean)


def _deep_encoder(recipe: Recipe) -> keras.Model:
    side = recipe.encoding_px // recipe.cell_px
    pictures = keras.Input((recipe.encoding_px, recipe.encoding_px, 3), name="pictures")
    large = Resize(recipe.seen_px, name="large")(pictures)
    grid, _ = build_trunk(recipe, side_px=recipe.seen_px)(large)  # (b, 10, 10, 64)
    grid = Resize(side, name="grid")(grid)  # (b, 8, 8, 64)
    roots = SignedRoot(name="root")(grid)  # (b, 8, 8, 64)
    weighted = Window(recipe.window, name="window")(roots)  # (b, 8, 8, 64)
    folded = Fold(recipe.antisymmetric_weight, name="fold")(weighted)  # (b, 8, 8, 64)
    return keras.Model(pictures, Centre(name="centre")(folded), name="encoder")


def _deep_decoder(recipe: Recipe, grid_shape: tuple[int, int, int]) -> keras.Model:
    encoding = keras.Input(grid_shape, name="encoding")
    folded = Centre(sign=1, name="centre")(encoding)  # (b, 8, 8, 64)
    weighted = Unfold(recipe.antisymmetric_weight, name="unfold")(folded)  # (b, 8, 8, 64)
    roots = Window(recipe.window, undoes=True, name="window")(weighted)  # (b, 8, 8, 64)
    grid = SignedSquare(name="square")(roots)  # (b, 8, 8, 64)
    equal = EqualLength(name="equal_length")(grid)  # (b, 8, 8, 64)
    painted = build_painter(recipe, side=grid_shape[0])(equal)  # (b, 128, 128, 3)
    double = layers.UpSampling2D(2, interpolation="bilinear", name="double")
    return keras.Model(encoding, double(painted), name="decoder")  # (b, 256, 256, 3)


def build_trunk(recipe: Recipe, dtype: str = "float32", side_px: int | None = None) -> keras.Model:
    """Make what sees: pictures (b, s, s, 3) in 0..1 -> grid (b, s/16, s/16, 64), pooled (b, 128).

    Parameters
    ----------
    recipe : Recipe
    dtype : str
        Keras' policy: "float32", or "mixed_bfloat16" for training. Results are float32.
    side_px : int or None
        None: any side that 16 divides, for training. A tflite file needs to know it.

    Returns
    -------
    keras.Model
    """
    pictures = keras.Input((side_px, side_px, 3), name="pictures")
    x = layers.Rescaling(255 / 64, -2.0, dtype=dtype)(pictures)  # (b, s, s, 3)
    x = _norm(dtype)(_kernel(recipe.stem, 4, 4, dtype)(x))  # (b, s/4, s/4, 48)
    for width in recipe.widths:
        x = _residual_stage(x, width, dtype)  # (b, s/8, s/8, 64), (b, s/16, s/16, 128)
    pooled = layers.GlobalAveragePooling2D(dtype="float32")(x)  # (b, 128)
    grid = layers.Conv2D(recipe.code_channels, 1, dtype=dtype)(x)  # (b, s/16, s/16, 64)
    grid = layers.Activation("linear", dtype="float32")(grid)
    return keras.Model(pictures, [grid, pooled], name="trunk")


def build_painter(recipe: Recipe, dtype: str = "float32", side: int | None = None) -> keras.Model:
    """Make what paints: grids (b, g, g, 64) of `EqualLength` -> pictures (b, 16g, 16g, 3), 0..1.

    Parameters as `build_trunk`; `side` is that of the grid.
    """
    grid = keras.Input((side, side, recipe.code_channels), name="grid")
    x = grid
    for width in (48, 32):
        # Each value four times, as UpSampling2D, whose sides the tflite converter loses.
        x = DepthToSpace(2, dtype=dtype)(layers.Concatenate(dtype=dtype)([x] * 4))
        x = _norm(dtype)(_kernel(width, 3, 1, dtype)(x))
        x = layers.ReLU(dtype=dtype)(x)  # (b, 2g, 2g, 48), (b, 4g, 4g, 32)
    block = recipe.cell_px // 4
    x = layers.Conv2D(3 * block**2, 1, dtype=dtype)(x)  # (b, 4g, 4g, 48)
    x = DepthToSpace(block, dtype=dtype)(x)  # (b, 16g, 16g, 3)
    return keras.Model(grid, layers.Activation("sigmoid", dtype="float32")(x), name="painter")


def build_head(recipe: Recipe, dtype: str = "float32") -> keras.Model:
    """Make the head, used in training only: pooled features (b, 128) -> (b, 128) to contrast."""
    n_hidden, n_out = recipe.head
    pooled = keras.Input((recipe.widths[-1],), name="pooled")
    x = _norm(dtype)(layers.Dense(n_hidden, use_bias=False, dtype=dtype)(pooled))  # (b, 256)
    x = layers.Dense(n_out, dtype=dtype)(layers.ReLU(dtype=dtype)(x))  # (b, 128)
    return keras.Model(pooled, layers.Activation("linear", dtype="float32")(x), name="head")


def _residual_stage(x: Any, width: int, dtype: str) -> Any:
    """He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016."""
    y = _norm(dtype)(_kernel(width, 3, 2, dtype)(x))  # (b, s/2, s/2, width)
    y = _kernel(width, 3, 1, dtype)(layers.ReLU(dtype=dtype)(y))  # (b, s/2, s/2, width)
    x = _norm(dtype)(_kernel(width, 1, 2, dtype)(x))  # (b, s/2, s/2, width)
    both = layers.Add(dtype=dtype)([x, _norm(dtype)(y)])
    return layers.ReLU(dtype=dtype)(both)  # (b, s/2, s/2, width)


def _norm(dtype: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.95, dtype=dtype)


def _kernel(n_filters: int, size: int, stride: int, dtype: str) -> layers.Layer:
    return layers.Conv2D(n_filters, size, stride, padding="same", use_bias=False, dtype=dtype)


ARCHITECTURES: dict[str, Architecture] = {
    "classic": Architecture(
        build=build_classic,
        loss=reconstruction_loss,
        input_side_px=256,
        learning_rate=3e-3,
    ),
    "deep": Architecture(
        build=partial(build_deep, Recipe()),
        loss=reconstruction_loss,
        input_side_px=Recipe().encoding_px,
        learning_rate=2e-3,
        recipe=Recipe(),
    ),
}
