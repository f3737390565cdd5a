from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from index.text import ascii_json, normal_form, path_of_text, printable, text_of_path


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("a b.png", "ascii", "a b.png"),
        ("red\x1b[31m.png", "utf-8", r"red\x1b[31m.png"),
        ("c1\x9b31m.png", "utf-8", r"c1\x9b31m.png"),
        ("a\nb\tc\rd.png", "utf-8", r"a\nb\tc\rd.png"),
        ("del\x7f\x00.png", "utf-8", r"del\x7f\x00.png"),
        ("gnp\u202egpj.exe", "utf-8", r"gnp\u202egpj.exe"),
        ("\u2066a\u2069\u200f", "utf-8", r"\u2066a\u2069\u200f"),
        ("a\u2028b\u2029c", "utf-8", r"a\u2028b\u2029c"),
        ("caf\udce9 \udcff.png", "utf-8", r"caf\xe9 \xff.png"),
        ("lone \ud800.png", "utf-8", r"lone \ud800.png"),
        ("café 猫 🦊.png", "utf-8", "café 猫 🦊.png"),
        ("café 猫 🦊.png", "latin-1", r"café \u732b \U0001f98a.png"),
        ("café 猫 🦊.png", "ascii", r"caf\xe9 \u732b \U0001f98a.png"),
        ("9.41\u202fAM 👨\u200d👩\u200d👧.png", "utf-8", "9.41\u202fAM 👨\u200d👩\u200d👧.png"),
        ("back\\slash\\x1b.png", "utf-8", "back\\slash\\x1b.png"),
        ("", "utf-8", ""),
    ],
)
def test_name_is_printed_on_one_line_that_does_no_harm(text, encoding, shown):
    """What a terminal would obey, and what it cannot show, becomes an escape; nothing else does."""
    assert printable(text, encoding) == shown


def test_every_character_is_printable_in_every_encoding():
    """No control character is left, and none is lost to the encoding; twice changes nothing."""
    whole = "".join(map(chr, range(0x110000)))
    for encoding in ("utf-8", "latin-1", "ascii", "cp1252"):
        shown = printable(whole, encoding)
        assert shown.encode(encoding).decode(encoding) == shown
        assert printable(shown, encoding) == shown
        categories = {unicodedata.category(character) for character in set(shown)}
        assert not categories & {"Cc", "Cs", "Zl", "Zp"}


def test_json_is_ascii_without_control_characters():
    """It keeps every character, and means the same in every encoding."""
    value = {"path": "café 🦊\x1b\x7f\u202e\n.png"}
    text = ascii_json(value)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


def test_letters_in_two_codes_are_those_in_one():
    """An e with an accent as macOS writes it equals that of a keyboard."""
    assert normal_form("Cafe\u0301") == "Caf\u00e9"


@pytest.mark.parametrize("name", ["a b.png", "café 🦊.png", "caf\udce9.png"])
def test_path_is_the_same_as_text_and_back(name):
    """Also if a byte of it is not UTF-8."""
    assert path_of_text(text_of_path(Path("/x") / name)) == Path("/x") / name
