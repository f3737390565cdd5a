import numpy as np
import pytest

from models.learning.muon import MuonAdamW, is_inner_kernel, orthogonalised, tf


@pytest.mark.parametrize("shape", [(64, 64), (200, 64), (64, 130)], ids=str)
def test_orthogonalised_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    """Whatever the singular values were (here 0.1 to 10), they end between 0.65 and 1.25."""
    rng = np.random.default_rng(0)
    u, _, v = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    matrix = u * np.geomspace(0.1, 10, min(shape)) @ v
    found = orthogonalised(tf.constant(matrix, tf.float32)).numpy()
    values = np.linalg.svd(found, compute_uv=False)
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_orthogonalised_keeps_directions() -> None:
    """The singular vectors stay: found = U S' V^T is diagonal between them."""
    rng = np.random.default_rng(1)
    u, s, v = np.linalg.svd(rng.standard_normal((8, 8)))
    found = orthogonalised(tf.constant(u * s @ v, tf.float32)).numpy()
    between = u.T @ found @ v.T
    np.testing.assert_allclose(between, np.diag(np.diag(between)), atol=0.02)
    assert (np.diag(between) > 0).all()


@pytest.mark.parametrize(
    ("shape", "is_inner"),
    [
        ((3, 3, 64, 128), True),
        ((128, 256), True),
        ((4, 4, 3, 64), False),
        ((3, 3, 64, 48), False),
        ((128,), False),
    ],
    ids=["convolution", "dense", "sees pixels", "few outputs", "bias"],
)
def test_is_inner_kernel(shape: tuple[int, ...], is_inner: bool) -> None:
    """Muon is for wide kernels between features."""
    assert is_inner_kernel(np.empty(shape)) == is_inner


def test_first_adamw_step_by_hand() -> None:
    """The first step is the rate, against the gradient's sign; decay takes rate * 0.1 * weight."""
    weight = tf.Variable([2.0, -4.0])
    optimizer = MuonAdamW([weight], weight_decay=0.1)
    optimizer.apply([tf.constant([0.5, -3.0])], tf.constant(0.01))
    np.testing.assert_allclose(
        weight.numpy(), [2 - 0.01 - 0.002, -4 + 0.01 + 0.004], rtol=0, atol=1e-5
    )
    assert optimizer.step == 1


def test_adamw_is_what_keras_does() -> None:
    """Ten steps of changing gradients, against Keras' AdamW."""
    import keras

    rng = np.random.default_rng(0)
    ours, theirs = tf.Variable([0.3, -0.7, 1.5]), keras.Variable([0.3, -0.7, 1.5])
    optimizer = MuonAdamW([ours], weight_decay=0.01)
    reference = keras.optimizers.AdamW(0.05, weight_decay=0.01)
    for gradient in rng.standard_normal((10, 3)).astype(np.float32):
        optimizer.apply([tf.constant(gradient)], tf.constant(0.05))
        reference.apply([tf.constant(gradient)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-4)


def test_muon_step_has_the_size_of_adamws() -> None:
    """The root mean square of a step over the rate is near 0.2, whatever the gradient's size."""
    kernel = tf.Variable(tf.zeros((3, 3, 64, 64)))
    optimizer = MuonAdamW([kernel], weight_decay=0.1)
    gradient = 1e-4 * np.random.default_rng(0).standard_normal((3, 3, 64, 64))
    optimizer.apply([tf.constant(gradient, tf.float32)], tf.constant(0.01))
    size = float(np.sqrt((kernel.numpy() ** 2).mean())) / 0.01
    assert 0.15 < size < 0.25
    assert float((kernel.numpy() * gradient).sum()) < 0  # downhill
