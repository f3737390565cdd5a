"""Small real things for tests: pictures, an encoder to work out by hand, snapshots."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from index.catalogue import ImageRecord, image_ids, write_catalogue
from index.manifest import Manifest
from index.search.faiss_store import FaissStore
from index.search.topk import TopKTable
from index.snapshot import DataFolder


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


def picture_bytes(colour=(255, 0, 0), size=(40, 30), form="PNG", **options):
    """Return the file of a picture in one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form, **options)
    return out.getvalue()


def noise_picture(seed, size=(64, 48)):
    """Return a picture of coarse coloured noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def write_pictures(folder: Path, n: int, form="PNG") -> list[Path]:
    """Write n different noise pictures 000.png, 001.png, ... and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed:03d}.{form.lower()}" for seed in range(n)]
    for seed, path in enumerate(paths):
        noise_picture(seed).save(path, form)
    return paths


def publish_vectors(data: DataFolder, vectors, top_k=100, table_of=None) -> str:
    """Publish a snapshot of given vectors, with made-up pictures behind them."""
    store = FaissStore.from_vectors(vectors)
    digests = [hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]
    with data.locked(), data.draft() as draft:
        store.save(draft.folder / "vectors.faiss")
        TopKTable.compute(table_of or store, top_k).save(draft.folder)
        write_catalogue(
            draft.folder / "catalogue.sqlite",
            [
                ImageRecord(row, id_, f"{row}.png", sha, sha, 1, 1, 8, 8, "PNG")
                for row, (id_, sha) in enumerate(zip(image_ids(digests), digests, strict=True))
            ],
        )
        return draft.publish(
            Manifest(
                created=datetime.now(UTC).isoformat(),
                n_images=len(vectors),
                dim=vectors.shape[1],
                top_k=min(top_k, len(vectors)),
                image_root="/nowhere",
                encoder=FakeEncoder.fingerprint,
            )
        )
