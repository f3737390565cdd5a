"""What the model keeps of a picture: its stored vector, painted again by the decoder. No Flask."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from index.catalogue import ImageRecord
from index.layout import DECODER_FILE
from index.snapshot import Snapshot
from service.errors import NoReconstruction

if TYPE_CHECKING:
    from models.decoder import Decoder

SIDE_PX = 256  # as thumbnails, so that the two can be compared
_QUALITY = 90


def can_paint(snapshot: Snapshot) -> bool:
    """Say whether a snapshot has a decoder."""
    return snapshot.file(DECODER_FILE) is not None


def open_decoder(snapshot: Snapshot) -> Decoder:
    """Open the decoder of a snapshot.

    Raises
    ------
    NoReconstruction
        If it has none, or not that of the encoder that made its vectors.
    """
    from models.decoder import Decoder  # LiteRT is only loaded where it is used

    path = snapshot.file(DECODER_FILE)
    decoder = None if path is None else Decoder.open(path)
    if decoder is None or decoder.info.encoder_fingerprint != snapshot.manifest.encoder:
        raise NoReconstruction(
            "this collection has no decoder, so nothing can be painted from its vectors: "
            "build it with an encoder that is trained here"
        )
    return decoder


def etag(decoder: Decoder, record: ImageRecord) -> str:
    """Return what changes whenever a painted picture may change."""
    return hashlib.sha256(f"{decoder.info.sha256} {record.sha256}".encode()).hexdigest()[:16]


def paint(snapshot: Snapshot, decoder: Decoder, record: ImageRecord) -> bytes:
    """Paint a picture from its vector.

    Returns
    -------
    bytes
        A JPEG in the picture's own proportions, its longer side 256 pixels.
    """
    vectors = snapshot.store.vectors(np.array([record.row]))
    square = Image.fromarray(decoder.decode_vectors(vectors)[0])
    longest = max(record.width, record.height)
    width, height = (max(1, SIDE_PX * side // longest) for side in (record.width, record.height))
    out = io.BytesIO()
    square.resize((width, height)).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
