"""An encoder whose vectors can be worked out by hand."""

from __future__ import annotations

import numpy as np


class FakeEncoder:
    """Stand in for the trained encoder: mean red, green and blue, and a constant 0.5, normalised.

    A black picture gives (0, 0, 0, 1), a red one (2, 0, 0, 1) / sqrt(5).
    """

    dim = 4
    fingerprint = "fake000000000000"

    def encode(self, images):
        """Encode (n, 256, 256, 3) uint8 pictures to (n, 4) float32 unit rows."""
        means = np.asarray(images, np.float64).mean(axis=(1, 2)) / 255.0
        encodings = np.hstack([means, np.full((len(means), 1), 0.5)])
        return (encodings / np.linalg.norm(encodings, axis=1, keepdims=True)).astype(np.float32)

    def encode_query(self, pixels):
        """Encode (256, 256, 3) pixels to one row; there are no crops."""
        return self.encode(pixels[np.newaxis])
