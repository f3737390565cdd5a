import numpy as np
import pytest

from models.autoencoder import ARCHITECTURES, L2_STRENGTH, build_classic, keras, reconstruction_loss


@pytest.fixture(scope="module")
def classic() -> keras.Model:
    """Return an untrained classic network."""
    return build_classic()


def test_classic_has_the_shapes_of_the_original(classic: keras.Model) -> None:
    """256x256x3 to 32x32x4 = 4096 numbers and back, through 16, 8 and 4 filters."""
    encoder, decoder = classic.get_layer("encoder"), classic.get_layer("decoder")
    assert encoder.input_shape == (None, 256, 256, 3)
    assert [layer.output.shape[1:] for layer in encoder.layers[1:]] == [
        (256, 256, 16),
        (128, 128, 16),
        (128, 128, 8),
        (64, 64, 8),
        (64, 64, 4),
        (32, 32, 4),
    ]
    assert [layer.output.shape[1:] for layer in decoder.layers[1:]] == [
        (32, 32, 4),
        (64, 64, 4),
        (64, 64, 8),
        (128, 128, 8),
        (128, 128, 16),
        (256, 256, 16),
        (256, 256, 3),
    ]
    assert classic.output_shape == (None, 256, 256, 3)


def test_classic_has_as_many_weights_as_counted_by_hand(classic: keras.Model) -> None:
    """9 * in * out + out for each convolution."""
    encoder = (27 * 16 + 16) + (144 * 8 + 8) + (72 * 4 + 4)
    decoder = (36 * 4 + 4) + (36 * 8 + 8) + (72 * 16 + 16) + (144 * 3 + 3)
    assert classic.get_layer("encoder").count_params() == encoder
    assert classic.get_layer("decoder").count_params() == decoder


def test_classic_is_regularised(classic: keras.Model) -> None:
    """Each ReLU convolution has an L2 penalty on its kernel, and only there."""
    parts = [classic.get_layer(name) for name in ("encoder", "decoder")]
    convolutions = [layer for part in parts for layer in part.layers if hasattr(layer, "kernel")]
    penalties = [layer.kernel_regularizer for layer in convolutions]
    assert [float(penalty.l2) for penalty in penalties[:-1]] == pytest.approx([L2_STRENGTH] * 6)
    assert penalties[-1] is None
    squares = sum(float((layer.kernel.numpy() ** 2).sum()) for layer in convolutions[:-1])
    assert sum(float(loss) for loss in classic.losses) == pytest.approx(L2_STRENGTH * squares)


def test_reconstruction_loss_by_hand() -> None:
    """Painted 0.25 everywhere: white costs -ln 0.25 = 1.3863, black -ln 0.75 = 0.2877."""
    pictures = np.zeros((1, 2, 2, 3), np.float32)
    pictures[0, 0] = 1  # half of it is white
    loss = reconstruction_loss(lambda given: 0 * keras.ops.array(given) + 0.25, pictures)
    assert float(loss) == pytest.approx((1.3863 + 0.2877) / 2, abs=1e-4)


def test_every_architecture_has_its_parts() -> None:
    """What training and export rely on: parts by name, and sides that 256 is a multiple of."""
    for architecture in ARCHITECTURES.values():
        model = architecture.build()
        side, recipe = architecture.input_side_px, architecture.recipe
        assert model.get_layer("encoder").input_shape[1:] in ((side, side, 3), (None, None, 3))
        assert model.get_layer("decoder").input_shape == model.get_layer("encoder").output_shape
        assert 256 % side == 0
        assert recipe is None or side % recipe.training_px == 0
