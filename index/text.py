"""Text that looks the same, in one form."""

from __future__ import annotations

import unicodedata


def normal_form(text: str) -> str:
    """Return a text in Unicode's normal form C, in which equal letters are equal codes.

    macOS writes an accented letter of a file name as two codes, the letter and its accent (form D).
    Keyboards and most other systems write it as one code.
    """
    return unicodedata.normalize("NFC", text)
