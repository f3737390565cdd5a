"""The networks, as Keras models made of a part named `encoder` and a part named `decoder`.

Both parts can be used alone: the encoder gives the encoding of a picture, the decoder paints
a picture from an encoding.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.quiet import quiet_stderr

# Before TensorFlow is imported: its remarks about CPU and GPU mean nothing to a user here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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
        Side of the square that it takes.
    learning_rate : float
        Of Adam.
    """

    build: Callable[[], keras.Model]
    loss: Callable[[keras.Model, Any], Any]
    input_side_px: int
    learning_rate: float


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
    autoencoder : keras.Model
    pictures : tensor of shape (b, side, side, 3), float32
        0..1.

    Returns
    -------
    scalar tensor, float32
        Nats a number. Never 0: its least value is the entropy of the pictures' shares.
    """
    painted = autoencoder(pictures)  # (b, side, side, 3)
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


ARCHITECTURES: dict[str, Architecture] = {
    "classic": Architecture(
        build=build_classic,
        loss=reconstruction_loss,
        input_side_px=256,
        learning_rate=3e-3,
    ),
}
