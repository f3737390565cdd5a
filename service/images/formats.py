"""The supported picture formats: their names in a sentence, and their media types.

`models.preprocess` holds the list itself.
"""

from __future__ import annotations

from models.preprocess import supported_formats

MEDIA_TYPES = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}


def in_words() -> str:
    """Return the names of the supported formats, such as "JPEG, PNG or WEBP"."""
    *others, last = supported_formats()
    return f"{', '.join(others)} or {last}"
