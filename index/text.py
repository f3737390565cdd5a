"""Text in one form: equal names compare equal, and any name can be printed on a line."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

# Control characters, undecodable bytes and line separators. Of the formatting characters only those
# that reverse the direction of what follows: others belong to emoji and to Arabic.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FIRST_BYTE = 0xDC00  # how Python writes a byte that it cannot decode, see PEP 383
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def normal_form(text: str) -> str:
    """Return a text in Unicode's normal form C, in which equal letters are equal codes.

    macOS writes an accented letter of a file name as two codes, the letter and its accent (form D).
    Keyboards and most other systems write it as one code.
    """
    return unicodedata.normalize("NFC", text)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Return a text as one line that does no harm to a terminal or a log.

    Control characters, characters that change the direction of the text, and characters that the
    encoding lacks become escapes such as \n, \x1b and \u202e. A byte of a file name that is not
    UTF-8 becomes \xNN, as in the catalogue.

    Parameters
    ----------
    text : str
    encoding : str
        Of the stream that the text is written to.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_escaped, text))
    return text.encode(encoding, "backslashreplace").decode(encoding)


def quoted(name: str) -> str:
    """Return a printable name in quotes, for a sentence."""
    return f"'{printable(name)}'"


def _escaped(character: str) -> str:
    category = unicodedata.category(character)
    if category not in _UNPRINTABLE and character not in _DIRECTION:
        return character
    code = ord(character)
    if _FIRST_BYTE <= code < _FIRST_BYTE + 0x100:
        code -= _FIRST_BYTE
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def ascii_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON that is valid in every encoding and does no harm to a terminal."""
    return json.dumps(value, indent=indent).replace("\x7f", r"\u007f")


def text_of_path(path: Path) -> str:
    """Return a path as text that means the same bytes in every locale; see `path_of_text`."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def path_of_text(text: str) -> Path:
    """Return the path of a text in UTF-8, whatever the encoding of this locale's file names."""
    return Path(os.fsdecode(text.encode("utf-8", "surrogateescape")))
