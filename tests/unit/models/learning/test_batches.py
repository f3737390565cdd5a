import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning.batches import N_AHEAD, batch_rows, read_ahead, read_scaled, split_rows


class CountingSource:
    """Pictures whose pixels are their row; knows how many batches were asked for."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.n_reads, self.fails_at, self.threads = 0, fails_at, set()

    def __len__(self) -> int:
        return 250

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return uniform pictures."""
        self.n_reads += 1
        self.threads.add(threading.get_ident())
        if self.n_reads == self.fails_at:
            raise OSError("disk on fire")
        return np.broadcast_to(rows[:, None, None, None], (len(rows), 256, 256, 3)).astype(np.uint8)


@given(n_images=st.integers(1, 3000), share=st.floats(0, 0.9), seed=st.integers(0, 9))
def test_split_rows_parts_the_rows(n_images: int, share: float, seed: int) -> None:
    """Every row is in one part only, and always some are in each."""
    split = split_rows(n_images, share, seed)
    assert len(split.training) >= 1
    assert 1 <= len(split.validation) <= 1024
    together = np.concatenate([split.training, split.validation])
    assert ((together >= 0) & (together < n_images)).all()
    if not split.is_shared:
        assert len(np.unique(together)) == len(together)


def test_split_rows_takes_a_fifth() -> None:
    """Of 100 pictures 20 are set aside."""
    split = split_rows(100, 0.2, seed=0)
    assert (len(split.training), len(split.validation), split.is_shared) == (80, 20, False)


@pytest.mark.parametrize("n_images", [1, 2])
def test_split_rows_shares_when_there_are_too_few(n_images: int) -> None:
    """A fifth of one or two pictures is none: then validation uses what is trained on."""
    split = split_rows(n_images, 0.2, seed=0)
    assert split.is_shared
    assert sorted(split.training) == sorted(split.validation) == list(range(n_images))


def test_split_rows_follows_the_seed() -> None:
    """The same seed sets the same rows aside, another others."""
    first, again, other = (split_rows(100, 0.2, seed).validation.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@given(n_rows=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 5))
def test_batch_rows_brings_every_row_once_a_pass(n_rows: int, batch_size: int, seed: int) -> None:
    """Laid end to end, batches are passes that hold each row once."""
    rows = np.arange(100, 100 + n_rows)
    n_steps = -(-3 * n_rows // batch_size)
    laid = np.concatenate([batch_rows(rows, batch_size, seed, step) for step in range(n_steps)])
    for start in range(0, 3 * n_rows, n_rows):
        assert sorted(laid[start : start + n_rows]) == rows.tolist()


def test_batch_rows_follows_from_seed_and_step_alone() -> None:
    """A step's batch is the same whatever was asked before, and passes differ in order."""
    rows = np.arange(64)
    late = batch_rows(rows, 64, seed=3, step=5)
    first = batch_rows(rows, 64, seed=3, step=0)
    assert (batch_rows(rows, 64, seed=3, step=5) == late).all()
    assert (first != late).any()
    assert (batch_rows(rows, 64, seed=4, step=5) != late).any()


def test_read_ahead_keeps_order_and_little_in_memory() -> None:
    """Batches come in order from another thread, a few read ahead of the one in use."""
    source = CountingSource()
    cuts = [np.array([2 * i, 2 * i + 1]) for i in range(20)]
    for i, pictures in enumerate(read_ahead(source, cuts, 64)):
        assert pictures.shape == (2, 64, 64, 3)
        assert np.rint(pictures[:, 0, 0, 0] * 255).tolist() == [2 * i, 2 * i + 1]
        assert source.n_reads <= i + N_AHEAD
    assert source.n_reads == 20
    assert threading.get_ident() not in source.threads


def test_read_ahead_stops_reading_when_left() -> None:
    """Whoever leaves the loop early does not pay for the rest."""
    source = CountingSource()
    for _ in read_ahead(source, [np.array([0])] * 100, 64):
        break
    assert source.n_reads <= N_AHEAD


def test_read_ahead_passes_errors_on() -> None:
    """An error of the source comes out where its batch would."""
    batches = read_ahead(CountingSource(fails_at=3), [np.array([0])] * 9, 64)
    next(batches)
    next(batches)
    with pytest.raises(OSError, match="disk on fire"):
        next(batches)


def test_read_scaled_gives_shares() -> None:
    """0..255 becomes 0..1."""
    assert read_scaled(CountingSource(), np.array([51]), 128)[0, 5, 5].tolist() == pytest.approx(
        [0.2] * 3
    )
