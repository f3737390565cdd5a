"""The losses against plain NumPy, one pair at a time, and by hand."""

import math

import numpy as np
import pytest

from models.learning.losses import info_nce, neighbour_loss, small_view_loss, tf, unit


def unit_rows(n: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    """Return n random unit rows."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_sum_exp(values: list[float]) -> float:
    """Return log of the sum of exponentials."""
    return math.log(sum(math.exp(value) for value in values))


def test_unit_scales_rows() -> None:
    """(3, 4) has length 5."""
    np.testing.assert_allclose(unit(tf.constant([[3.0, 4.0]])), [[0.6, 0.8]], atol=1e-6)


def test_info_nce_by_hand() -> None:
    """Two pictures with equal views at right angles, temperature 1: -1 + ln(e + 1 + 1)."""
    views = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(info_nce(views, 1.0)) == pytest.approx(math.log(math.e + 2) - 1, abs=1e-6)


def test_info_nce_is_what_plain_loops_give() -> None:
    """Each view against every other one, its partner half the rows away."""
    n, temperature = 3, 0.2
    views = unit_rows(2 * n)
    losses = []
    for i in range(2 * n):
        others = [float(views[i] @ views[j]) / temperature for j in range(2 * n) if j != i]
        partner = float(views[i] @ views[(i + n) % (2 * n)]) / temperature
        losses.append(log_sum_exp(others) - partner)
    assert float(info_nce(tf.constant(views), temperature)) == pytest.approx(
        np.mean(losses), abs=1e-5
    )


def test_info_nce_of_one_picture_is_zero() -> None:
    """With nothing to tell apart there is nothing to learn."""
    assert float(info_nce(tf.constant(unit_rows(2)), 0.1)) == pytest.approx(0, abs=1e-5)


def test_info_nce_in_bfloat16_is_near() -> None:
    """Fewer digits change the loss little."""
    views = tf.constant(unit_rows(16))
    exact, rough = info_nce(views, 0.2), info_nce(views, 0.2, tf.bfloat16)
    assert float(rough) == pytest.approx(float(exact), abs=0.05)


def test_small_view_loss_by_hand() -> None:
    """One picture: both large views are right, and to choose evenly between equals costs ln 2."""
    large = tf.constant([[1.0, 0.0], [1.0, 0.0]])
    small = tf.constant([[0.0, 1.0], [1.0, 0.0]])
    assert float(small_view_loss(small, large, 0.2)) == pytest.approx(math.log(2), abs=1e-6)


def test_small_view_loss_is_what_plain_loops_give() -> None:
    """Cross-entropy with one half on each large view of the same picture."""
    n, n_small, temperature = 3, 2, 0.2
    large, small = unit_rows(2 * n), unit_rows(n_small * n, seed=1)
    losses = []
    for i, view in enumerate(small):
        logits = [float(view @ row) / temperature for row in large]
        own = (logits[i % n] + logits[i % n + n]) / 2
        losses.append(log_sum_exp(logits) - own)
    found = small_view_loss(tf.constant(small), tf.constant(large), temperature)
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.parametrize("slots", [[4, 0, 6], [-1, -1, -1]], ids=["in the bank", "not in it"])
def test_neighbour_loss_is_what_plain_loops_give(slots: list[int]) -> None:
    """The k rows nearest to what is known of a picture are wanted; its own row does not exist."""
    n, n_bank, k, temperature = 3, 8, 2, 0.1
    views, bank = unit_rows(2 * n), unit_rows(n_bank, seed=1)
    known = unit_rows(n, seed=2)
    losses = []
    for i in range(2 * n):
        own = slots[i % n]
        there = [j for j in range(n_bank) if j != own]
        nearest = sorted(there, key=lambda j: -float(known[i % n] @ bank[j]))[:k]
        logits = {j: float(views[i] @ bank[j]) / temperature for j in there}
        liked = np.mean([logits[j] for j in nearest])
        losses.append(log_sum_exp(list(logits.values())) - liked)
    found = neighbour_loss(
        tf.constant(views),
        tf.constant(known),
        tf.constant(bank),
        tf.constant(slots),
        k,
        temperature,
    )
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-4)


def test_neighbour_loss_moves_views_only() -> None:
    """What neighbours are sought with gets no gradient."""
    views, known = tf.constant(unit_rows(4)), tf.constant(unit_rows(2, seed=1))
    with tf.GradientTape() as tape:
        tape.watch([views, known])
        loss = neighbour_loss(
            views, known, tf.constant(unit_rows(6, seed=2)), tf.constant([0, 1]), 2, 0.1
        )
    moved, fixed = tape.gradient(loss, [views, known])
    assert float(tf.norm(moved)) > 0
    assert fixed is None
