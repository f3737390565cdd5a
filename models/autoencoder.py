"""The networks: Keras models with a layer named `encoder` and a layer named `decoder`.

Both work alone: the encoder turns a picture into its encoding, the decoder reconstructs a picture
from an encoding.
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
        Returns a new autoencoder, a `keras.Model` with layers named `encoder` and `decoder`.
    loss : callable
        `loss(autoencoder, pictures)` -> scalar tensor; pictures are (b, side, side, 3) in 0..1.
        Training adds the regularisers.
    input_side_px : int
        Side of the square that the exported encoder expects.
    learning_rate : float
        Of Adam, for the reconstruction objective.
    batch_size : int
        Pictures per step, for the reconstruction objective.
    recipe : Recipe or None
        For the contrastive objective; None if the network does not support it.
    """

    build: Callable[[], keras.Model]
    loss: Callable[[keras.Model, Any], Any]
    input_side_px: int
    learning_rate: float
    batch_size: int = 32
    recipe: Recipe | None = None


def build_classic() -> keras.Model:
    """Build the network of the original solution: 256x256x3 -> 32x32x4 = 4096 -> 256x256x3.

    Returns
    -------
    keras.Model
        Pictures in 0..1 to reconstructions in 0..1; not compiled.
    """
    encoder, decoder = _classic_encoder(), _classic_decoder()
    pictures = keras.Input((256, 256, 3), name="pictures")
    return keras.Model(pictures, decoder(encoder(pictures)), name="autoencoder")


def reconstruction_loss(autoencoder: keras.Model, pictures: Any) -> Any:
    """Return the mean binary cross-entropy between pictures and their reconstructions.

    Parameters
    ----------
    autoencoder : keras.Model or callable
        If its output is larger than the pictures, the means of its blocks are compared.
    pictures : tensor of shape (b, side, side, 3), float32
        0..1.

    Returns
    -------
    scalar tensor, float32
        Nats per value. Its minimum is the entropy of the pictures' values, not 0.
    """
    outputs = autoencoder(pictures)  # (b, side, side, 3)
    block = outputs.shape[1] // pictures.shape[1]
    if block > 1:
        outputs = keras.ops.average_pool(outputs, block, block)  # (b, side, side, 3)
    return keras.ops.mean(keras.losses.binary_crossentropy(pictures, outputs))


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
    """Build the deep network: pictures of any side -> 8x8x64 = 4096 -> 256x256x3.

    Returns
    -------
    keras.Model
        Pictures in 0..1 to reconstructions in 0..1; not compiled. Training changes its trunk and
        its painter (`build_trunk`, `build_painter`). The only weights between the two are those of
        `set_whitening` and `set_centre`, which are the identity until they are set.
    """
    grid_shape = (recipe.code_side, recipe.code_side, recipe.code_channels)
    encoder, decoder = _deep_encoder(recipe), _deep_decoder(recipe, grid_shape)
    pictures = keras.Input((None, None, 3), name="pictures")
    return keras.Model(pictures, decoder(encoder(pictures)), name="autoencoder")


def set_whitening(autoencoder: keras.Model, grids: NDArray[np.float32], floor: float) -> None:
    """Whiten a deep network's channels, given `unwhitened_grids` of some pictures."""
    mean, matrix, inverse = whitening(grids.reshape(-1, grids.shape[-1]), floor)
    for part, both in (("encoder", (mean, matrix)), ("decoder", (mean, inverse))):
        layer = autoencoder.get_layer(part).get_layer("whiten")
        layer.mean.assign(both[0])
        layer.matrix.assign(both[1])


def unwhitened_grids(autoencoder: keras.Model, pictures: Any) -> Any:
    """Return the grids of a deep network's encoder before whitening, (b, 8, 8, 64)."""
    encoder = autoencoder.get_layer("encoder")
    grid, _ = encoder.get_layer("trunk")(encoder.get_layer("large")(pictures), training=False)
    return encoder.get_layer("grid")(grid)


def uncentred_encodings(autoencoder: keras.Model, grids: Any) -> Any:
    """Return the encodings of unwhitened grids before centring; both are (b, 8, 8, 64)."""
    encoder = autoencoder.get_layer("encoder")
    for name in ("whiten", "root", "window", "fold"):
        grids = encoder.get_layer(name)(grids)
    return grids


def set_centre(autoencoder: keras.Model, mean: Any) -> None:
    """Set the mean encoding, (h, w, c) float32, that a deep network subtracts."""
    for part in ("encoder", "decoder"):
        autoencoder.get_layer(part).get_layer("centre").mean.assign(mean)


def build_crop_encoder(autoencoder: keras.Model, recipe: Recipe, side_px: int) -> keras.Model:
    """Build the encoder for crop search from a trained deep network.

    It encodes a picture as a crop of a larger one of `recipe.seen_px`: at each place in it, one
    cell apart. The rest of the larger picture is unknown, so the edges are repeated there. That
    costs some similarity, but the right place gains more.

    Parameters
    ----------
    autoencoder : keras.Model
        From `build_deep`. The weights of its trunk are copied, its other layers are shared.
    recipe : Recipe
    side_px : int
        Side of its input.

    Returns
    -------
    keras.Model
        Pictures (b, side_px, side_px, 3) in 0..1 -> encodings (b, 9, 8, 8, 64), one per place,
        row by row from the upper left.
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
    encodings = encoder.get_layer("centre")(
        uncentred_encodings(autoencoder, grids)
    )  # (9b, 8, 8, 64)
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
    """Build the trunk: pictures (b, s, s, 3) in 0..1 -> grid (b, s/16, s/16, 64), pooled (b, 128).

    Parameters
    ----------
    recipe : Recipe
    dtype : str
        Keras policy: "float32", or "mixed_bfloat16" for training. Results are float32.
    side_px : int or None
        None: any side that 16 divides, for training. A tflite file needs a fixed side.

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
    """Build the painter: grids (b, g, g, 64) of `EqualLength` -> pictures (b, 16g, 16g, 3), 0..1.

    Parameters as in `build_trunk`; `side` is that of the grid.
    """
    grid = keras.Input((side, side, recipe.code_channels), name="grid")
    x = grid
    for width in (48, 32):
        # Repeats each value four times. UpSampling2D does too, but the tflite converter loses its
        # sides.
        x = DepthToSpace(2, dtype=dtype)(layers.Concatenate(dtype=dtype)([x] * 4))
        x = _norm(dtype)(_kernel(width, 3, 1, dtype)(x))
        x = layers.ReLU(dtype=dtype)(x)  # (b, 2g, 2g, 48), (b, 4g, 4g, 32)
    block = recipe.cell_px // 4
    x = layers.Conv2D(3 * block**2, 1, dtype=dtype)(x)  # (b, 4g, 4g, 48)
    x = DepthToSpace(block, dtype=dtype)(x)  # (b, 16g, 16g, 3)
    return keras.Model(grid, layers.Activation("sigmoid", dtype="float32")(x), name="painter")


def build_head(recipe: Recipe, dtype: str = "float32") -> keras.Model:
    """Build the head, for training only: pooled features (b, 128) -> (b, 128) to contrast."""
    n_hidden, n_out = recipe.head
    pooled = keras.Input((recipe.widths[-1],), name="pooled")
    x = _norm(dtype)(layers.Dense(n_hidden, use_bias=False, dtype=dtype)(pooled))  # (b, 256)
    x = layers.Dense(n_out, dtype=dtype)(layers.ReLU(dtype=dtype)(x))  # (b, 128)
    return keras.Model(pooled, layers.Activation("linear", dtype="float32")(x), name="head")


def _residual_stage(x: Any, width: int, dtype: str) -> Any:
    """Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016."""
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
