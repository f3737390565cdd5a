"""The networks, as Keras models made of a part named `encoder` and a part named `decoder`.

Both parts can be used alone: the encoder gives the encoding of a picture, the decoder paints
a picture from an encoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.network.grid_layers import (
    Centre,
    DepthToSpace,
    EqualLength,
    Fold,
    Frame,
    Resize,
    SignedRoot,
    SignedSquare,
    Unfold,
    Whiten,
    Window,
    whitening,
)
from models.network.recipe import Recipe
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras
    from keras import layers

L2_STRENGTH = 1e-6


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
        Side of the square that it encodes.
    learning_rate : float
        Of Adam, when it is trained to reconstruct.
    batch_size : int
        Pictures a step, when it is trained to reconstruct.
    recipe : Recipe or None
        How it is trained by contrasting pictures, of `recipe.training_px`; None if it cannot be.
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


def build_deep(recipe: Recipe) -> keras.Model:
    """Make the deep network: pictures of any side -> 8x8x64 = 4096 -> 256x256x3.

    Returns
    -------
    keras.Model
        Pictures in 0..1 to reconstructions in 0..1; not compiled. Its trunk and its painter are
        what is trained (`build_trunk`, `build_painter`); between them there is no weight but those
        of `set_whitening` and `set_centre`, which change nothing until they are set.
    """
    grid_shape = (recipe.code_side, recipe.code_side, recipe.code_channels)
    encoder, decoder = _deep_encoder(recipe), _deep_decoder(recipe, grid_shape)
    pictures = keras.Input((None, None, 3), name="pictures")
    return keras.Model(pictures, decoder(encoder(pictures)), name="autoencoder")


def set_whitening(autoencoder: keras.Model, grids: NDArray[np.float32], floor: float) -> None:
    """Whiten the channels of a deep network's grid, as `see` gives them for some pictures."""
    mean, matrix, inverse = whitening(grids.reshape(-1, grids.shape[-1]), floor)
    for part, both in (("encoder", (mean, matrix)), ("decoder", (mean, inverse))):
        layer = autoencoder.get_layer(part).get_layer("whiten")
        layer.mean.assign(both[0])
        layer.matrix.assign(both[1])


def see(autoencoder: keras.Model, pictures: Any) -> Any:
    """Return what a deep network's encoder has of pictures before whitening: (b, 8, 8, 64)."""
    encoder = autoencoder.get_layer("encoder")
    grid, _ = encoder.get_layer("trunk")(encoder.get_layer("large")(pictures), training=False)
    return encoder.get_layer("grid")(grid)


def code(autoencoder: keras.Model, grids: Any) -> Any:
    """Return the encodings of what was seen, (b, 8, 8, 64) of both, before they are centred."""
    encoder = autoencoder.get_layer("encoder")
    for name in ("whiten", "root", "window", "fold"):
        grids = encoder.get_layer(name)(grids)
    return grids


def set_centre(autoencoder: keras.Model, mean: Any) -> None:
    """Set the mean encoding, (h, w, c) float32, that a deep network takes away."""
    for part in ("encoder", "decoder"):
        autoencoder.get_layer(part).get_layer("centre").mean.assign(mean)


def build_crop_encoder(autoencoder: keras.Model, recipe: Recipe, side_px: int) -> keras.Model:
    """Make of a trained deep network what sees a picture as a piece of a larger one.

    The picture is laid, a cell further each time, at every place of a frame of `recipe.seen_px`
    whose rest is unknown: there its edges are repeated. What is unknown costs some likeness, what
    fits gains more.

    Parameters
    ----------
    autoencoder : keras.Model
        As `build_deep` makes it. Its trunk's weights are copied, its other layers are used.
    recipe : Recipe
    side_px : int
        Side of the pictures that it will take.

    Returns
    -------
    keras.Model
        Pictures (b, side_px, side_px, 3) in 0..1 -> encodings (b, 9, 8, 8, 64), by the places
        from the upper left one, row by row.
    """
    encoder = autoencoder.get_layer("encoder")
    trunk = build_trunk(recipe, side_px=recipe.framed_px)
    trunk.set_weights(encoder.get_layer("trunk").get_weights())
    shape = (recipe.code_side, recipe.code_side, recipe.code_channels)
    pictures = keras.Input((side_px, side_px, 3), name="pictures")
    grid, _ = trunk(Resize(recipe.framed_px)(pictures))  # (b, 10, 10, 64)
    framed = Frame(recipe.seen_px // recipe.cell_px)(grid)  # (b, 9, 12, 12, 64)
    n_places = framed.shape[1]
    grids = encoder.get_layer("grid")(keras.ops.reshape(framed, (-1, *framed.shape[2:])))
    encodings = encoder.get_layer("centre")(code(autoencoder, grids))  # (9b, 8, 8, 64)
    by_picture = keras.ops.reshape(encodings, (-1, n_places, *shape))
    return keras.Model(pictures, by_picture, name="crops")


def _deep_encoder(recipe: Recipe) -> keras.Model:
    pictures = keras.Input((None, None, 3), name="pictures")
    large = Resize(recipe.seen_px, name="large")(pictures)  # (b, 192, 192, 3)
    grid, _ = build_trunk(recipe, side_px=recipe.seen_px)(large)  # (b, 12, 12, 64)
    grid = Resize(recipe.code_side, name="grid")(grid)  # (b, 8, 8, 64)
    white = Whiten(name="whiten")(grid)  # (b, 8, 8, 64)
    roots = SignedRoot(name="root")(white)  # (b, 8, 8, 64)
    weighted = Window(recipe.window, name="window")(roots)  # (b, 8, 8, 64)
    folded = Fold(recipe.antisymmetric_weight, name="fold")(weighted)  # (b, 8, 8, 64)
    return keras.Model(pictures, Centre(name="centre")(folded), name="encoder")


def _deep_decoder(recipe: Recipe, grid_shape: tuple[int, int, int]) -> keras.Model:
    encoding = keras.Input(grid_shape, name="encoding")
    folded = Centre(sign=1, name="centre")(encoding)  # (b, 8, 8, 64)
    weighted = Unfold(recipe.antisymmetric_weight, name="unfold")(folded)  # (b, 8, 8, 64)
    roots = Window(recipe.window, undoes=True, name="window")(weighted)  # (b, 8, 8, 64)
    white = SignedSquare(name="square")(roots)  # (b, 8, 8, 64)
    grid = Whiten(undoes=True, name="whiten")(white)  # (b, 8, 8, 64)
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
        input_side_px=256,
        learning_rate=2e-3,
        recipe=Recipe(),
    ),
}
