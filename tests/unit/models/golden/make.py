"""Make the golden files anew: `python -m tests.unit.models.golden.make` in the repository root.

Only needed when the schema changes; that the old files can still be opened is what they are for.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

GOLDEN = Path(__file__).parent
N_SAMPLE = 3


class Pictures:
    """Pictures that need no file: colour ramps with a square on them, each another."""

    def __init__(self, n: int) -> None:
        self.pixels = pictures(n)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the pictures at these rows."""
        return self.pixels[rows]


def pictures(n: int) -> np.ndarray:
    """Return n pictures, (n, 256, 256, 3) uint8, the same each time."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 1, 256)
    images = np.empty((n, 256, 256, 3), np.uint8)
    for image in images:
        down, across, ground, colour = rng.random((4, 3)) * [[80], [80], [80], [255]]
        image[:] = ground + ramp[:, None, None] * down + ramp[None, :, None] * across
        top, left = rng.integers(0, 160, 2)
        image[top : top + 96, left : left + 96] = colour
    return images


def make() -> None:
    """Train for 40 steps, export, and keep what Keras gives for three of the pictures."""
    from models.export import export_autoencoder
    from models.training import TrainingSettings, train

    settings = TrainingSettings(architecture="classic", steps=40)
    with TemporaryDirectory() as folder:
        result = train(Pictures(64), settings, Path(folder))
        export_autoencoder(result, settings, Path(folder))
        for name in ("encoder.tflite", "encoder.json", "decoder.tflite", "decoder.json"):
            (GOLDEN / name).write_bytes((Path(folder) / name).read_bytes())
    shares = pictures(N_SAMPLE).astype(np.float32) / 255
    encodings = result.autoencoder.get_layer("encoder")(shares).numpy().reshape(N_SAMPLE, -1)
    corner = result.autoencoder(shares).numpy()[:, :8, :8]
    np.savez_compressed(GOLDEN / "by_keras.npz", encodings=encodings, corner=corner)


if __name__ == "__main__":
    make()
