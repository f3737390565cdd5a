"""Reconstruction errors, and when they warn."""

import numpy as np
import pytest

from indexer.quality.encoder_fit import Fit, reconstruction_errors, warning_of_new


class StubSnapshot:
    """Stands for a snapshot that has, or has not, a fit.json."""

    def __init__(self, path):
        self.path = path

    def file(self, name):
        """Return the one file."""
        assert name == "fit.json"
        return self.path


def test_errors_are_mean_differences_in_grey_levels():
    """A picture of 100 painted as 90 is 10 off; half of it 40 off is 20 off."""
    pictures = np.full((2, 256, 256, 3), 100, np.uint8)
    painted = pictures.copy()
    painted[0] -= 10
    painted[1, :128] += 40

    np.testing.assert_allclose(reconstruction_errors(pictures, painted), [10, 20], atol=1e-5)


def test_a_fit_sums_up_errors_and_survives_saving(tmp_path):
    """Median and ninetieth percentile, as NumPy gives them."""
    fit = Fit.of(np.arange(11.0))
    fit.save(tmp_path)

    assert (fit.n_pictures, fit.median_error, fit.p90_error) == (11, 5.0, 9.0)
    assert Fit.load(tmp_path / "fit.json") == fit


@pytest.mark.parametrize(
    ("n_new", "median", "warns"), [(10, 9.1, True), (10, 8.9, False), (9, 99.0, False)]
)
def test_only_many_clearly_worse_pictures_warn(tmp_path, n_new, median, warns):
    """Worse than nine tenths of those learnt, and at least ten of them."""
    Fit(100, 5.0, 9.0).save(tmp_path)
    live = StubSnapshot(tmp_path / "fit.json")

    assert (warning_of_new(live, Fit(n_new, median, median)) is not None) == warns


def test_without_a_fit_there_is_no_warning(tmp_path):
    """Own encoders have no decoder, and old snapshots no fit.json."""
    assert warning_of_new(StubSnapshot(None), Fit(100, 99.0, 99.0)) is None
    Fit(100, 5.0, 9.0).save(tmp_path)
    assert warning_of_new(StubSnapshot(tmp_path / "fit.json"), None) is None
