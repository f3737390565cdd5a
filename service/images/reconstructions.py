"""Reconstructions: pictures that the decoder makes from stored vectors. No Flask."""

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

SIDE_PX = 256  # as for thumbnails, to compare the two
_QUALITY = 90


def has_decoder(snapshot: Snapshot) -> bool:
    """Return whether a snapshot has a decoder."""
    return snapshot.file(DECODER_FILE) is not None


def open_decoder(snapshot: Snapshot) -> Decoder:
    """Open the decoder of a snapshot.

    Raises
    ------
    NoReconstruction
        If the snapshot has no decoder, or one that was trained with another encoder.
    """
    from models.decoder import Decoder  # loads LiteRT, which few requests need

    path = snapshot.file(DECODER_FILE)
    decoder = None if path is None else Decoder.open(path)
    if decoder is None or decoder.info.encoder_fingerprint != snapshot.manifest.encoder:
        raise NoReconstruction(
            "this collection has no decoder, so it has no reconstructions: "
            "rebuild it with an encoder that is trained here"
        )
    return decoder


def etag(decoder: Decoder, record: ImageRecord) -> str:
    """Return an ETag, which changes with the decoder and with the picture."""
    return hashlib.sha256(f"{decoder.info.sha256} {record.sha256}".encode()).hexdigest()[:16]


def reconstruct(snapshot: Snapshot, decoder: Decoder, record: ImageRecord) -> bytes:
    """Decode a picture's stored vector.

    Parameters
    ----------
    snapshot : Snapshot
    decoder : Decoder
        The decoder of this snapshot.
    record : ImageRecord

    Returns
    -------
    bytes
        A JPEG with the picture's aspect ratio, its longer side 256 pixels.
    """
    vectors = snapshot.store.vectors(np.array([record.row]))
    square = Image.fromarray(decoder.decode_vectors(vectors)[0])
    longest = max(record.width, record.height)
    width, height = (max(1, SIDE_PX * side // longest) for side in (record.width, record.height))
    out = io.BytesIO()
    square.resize((width, height)).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
