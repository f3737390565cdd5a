import numpy as np
import pytest

from models.learning.collapse import collapse_reason, effective_rank, variation

RNG = np.random.default_rng(0)
PIXELS = RNG.random((100, 48)).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.eye(5), 5),
        (np.ones((7, 3)), 1),
        (np.diag([2.0, 2.0, 0.0]), 2),
        (np.diag([3.0, 1.0]), 1.7548),  # shares 3/4 and 1/4: exp(0.5623)
        (np.zeros((4, 4)), 0),
    ],
    ids=["identity", "parallel", "two equal", "three to one", "zero"],
)
def test_effective_rank_by_hand(rows: np.ndarray, expected: float) -> None:
    """The exponential of the entropy of the singular values."""
    assert effective_rank(rows) == pytest.approx(expected, abs=1e-4)


def test_effective_rank_minds_neither_scale_nor_rotation() -> None:
    """Scaling and rotating rows changes nothing."""
    rotation, _ = np.linalg.qr(RNG.standard_normal((48, 48)))
    assert effective_rank(7 * PIXELS @ rotation) == pytest.approx(effective_rank(PIXELS), rel=1e-4)


def test_variation_by_hand() -> None:
    """Rows (1, 0) and (0, 1) are each 0.7071 from their mean, and 1 long."""
    assert variation(np.eye(2)) == pytest.approx(0.7071, abs=1e-4)
    assert variation(np.ones((3, 2))) == 0
    assert variation(np.zeros((3, 2))) == 0


def test_collapse_reason_is_none_when_encodings_differ() -> None:
    """A random projection of the pictures is a fair encoding."""
    assert collapse_reason(PIXELS @ RNG.standard_normal((48, 20)), PIXELS) is None


@pytest.mark.parametrize(
    "encodings", [np.zeros((100, 20)), np.ones((100, 20))], ids=["zero", "ones"]
)
def test_collapse_reason_says_so_when_constant(encodings: np.ndarray) -> None:
    """Equal encodings of different pictures are a collapse."""
    reason = collapse_reason(encodings, PIXELS)
    assert reason is not None
    assert "vary by 0 " in reason


def test_collapse_reason_says_so_when_nearly_constant() -> None:
    """So are encodings that differ by a ten-thousandth."""
    assert collapse_reason(1 + 1e-4 * RNG.random((100, 20)), PIXELS) is not None


def test_collapse_reason_says_so_when_rank_is_low() -> None:
    """Encodings along one line do not tell pictures of many kinds apart."""
    line = RNG.random((100, 1)) @ RNG.random((1, 20))
    reason = collapse_reason(line, PIXELS)
    assert reason is not None
    assert "effective rank is 1.0" in reason


def test_collapse_reason_is_none_when_pictures_are_alike() -> None:
    """The encoder is not blamed for a folder of nearly equal pictures."""
    assert collapse_reason(np.ones((100, 20)), 0.5 + 1e-5 * PIXELS) is None


def test_collapse_reason_is_none_when_pictures_lie_on_a_line() -> None:
    """Greys of one colour have rank 1 themselves."""
    line = RNG.random((100, 1)) @ np.ones((1, 48))
    assert collapse_reason(line @ RNG.random((48, 20)), line) is None


def test_collapse_reason_is_none_when_there_are_few() -> None:
    """Three pictures say nothing."""
    assert collapse_reason(np.ones((3, 20)), PIXELS[:3]) is None
