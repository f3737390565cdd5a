"""Hand-made encodings of the benchmark, on pictures that can be worked out by hand."""

import numpy as np
import pytest

from benchmarks.baselines import BASELINES, ColourHistogram, PatchDictionary, RawPixels


class Images:
    """Pictures in memory."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def read(self, rows):
        """Return the pictures at these rows."""
        return self.pixels[rows]


def plain(*colours):
    """Return pictures of one colour each."""
    colours = np.array(colours, np.uint8)
    return np.broadcast_to(colours[:, None, None], (len(colours), 256, 256, 3)).copy()


@pytest.fixture(scope="module")
def noise():
    """Give 12 pictures of coarse noise."""
    cells = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    return cells.repeat(8, axis=1).repeat(8, axis=2)


def test_histograms_score_the_shared_colours():
    """Half black and half white against black: sqrt(1/2 * 1) = 0.7071; red has nothing of it."""
    pictures = plain((0, 0, 0), (0, 0, 0), (255, 0, 0))
    pictures[1, :, :128] = 255

    vectors = ColourHistogram().encode(pictures)

    np.testing.assert_allclose(vectors @ vectors.T, [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 1]])
    assert np.flatnonzero(vectors[2]).tolist() == [7 * 64]


def test_raw_pixels_are_measured_from_the_mean_picture():
    """Of grey 0, 100 and 200 the mean is 100: the outer two point in opposite directions."""
    pictures = plain((0,) * 3, (100,) * 3, (200,) * 3)
    pixels = RawPixels()
    pixels.fit(Images(pictures))

    vectors = pixels.encode(pictures[[0, 2]])

    assert vectors.shape == (2, 3072)
    assert vectors[0] @ vectors[1] == pytest.approx(-1)


def test_the_patch_dictionary_tells_pictures_apart_and_repeats_itself(noise):
    """Unit rows; each picture is nearest to itself, turned upside down it is another."""
    vectors = []
    for _ in range(2):
        patches = PatchDictionary(seed=1, n_patches=16)
        patches.n_sampled = 600
        patches.fit(Images(noise))
        vectors.append(patches.encode(np.concatenate([noise, noise[:, ::-1]])))

    np.testing.assert_array_equal(vectors[0], vectors[1])
    scores = vectors[0][:12] @ vectors[0].T
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == np.arange(12)).all()
    assert scores[np.arange(12), np.arange(12, 24)].max() < 0.99


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_vector_does_not_depend_on_its_batch(name, noise):
    """Alone or among others a picture gets the same unit row, but for rounding."""
    baseline = PatchDictionary(0, n_patches=8) if name == "patches" else BASELINES[name](0)
    baseline.n_sampled = 600
    baseline.fit(Images(noise))

    whole = baseline.encode(noise)

    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(baseline.encode(noise[4:5]), whole[4:5], atol=1e-5)
