"""How a picture is turned: the browser that shows a file and the decoder agree."""

from __future__ import annotations

import zlib

import pytest

from models.preprocess import decode
from tests.helpers.browser import opened
from tests.helpers.pictures import file_of
from tests.hostile import forge
from tests.hostile.forge import chunk, plain
from tests.unit.models.test_preprocess import XMP_TURNED


def files() -> dict[str, bytes]:
    """Return pictures whose orientation is written in every place."""
    exif = forge.turned(6).tobytes()
    as_text = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode()
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_TURNED
    return {
        "exif.jpg": file_of(plain(), "JPEG", exif=forge.turned(6)),
        "exif.png": file_of(plain(), "PNG", exif=forge.turned(6)),
        "exif.avif": file_of(plain(), "AVIF", exif=forge.turned(6)),
        "xmp.jpg": file_of(plain(), "JPEG", xmp=XMP_TURNED),
        "xmp-and-exif.jpg": file_of(plain(), "JPEG", xmp=XMP_TURNED, exif=forge.turned(1)),
        "xmp.avif": file_of(plain(), "AVIF", xmp=XMP_TURNED),
        "xmp.webp": file_of(plain(), "WEBP", xmp=XMP_TURNED),
        "xmp.png": forge.png_with(chunk(b"iTXt", packet)),
        "text.png": forge.png_with(
            chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(as_text))
        ),
    }


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Give width and height of each picture as Chromium shows it."""
    folder = tmp_path_factory.mktemp("turned")
    tags = ""
    for name, data in (files() | {"exif.webp": webp_with_exif()}).items():
        (folder / name).write_bytes(data)
        tags += f"<img id={name} src={name}>"
    (folder / "page.html").write_text(tags)
    with opened(tmp_path_factory.mktemp("profile")) as window:
        window.get((folder / "page.html").as_uri())
        return window.execute_script(
            "return Object.fromEntries([...document.images].map("
            "one => [one.id, [one.naturalWidth, one.naturalHeight]]))"
        )


def webp_with_exif() -> bytes:
    """Return a WEBP that is to be turned."""
    return file_of(plain(), "WEBP", exif=forge.turned(6))


@pytest.mark.parametrize("name", sorted(files()))
def test_browser_and_decoder_turn_a_picture_alike(shown, name):
    """What thumbnail and vector show is what `/file` shows."""
    assert tuple(shown[name]) == decode(files()[name]).size


def test_only_exif_in_webp_is_turned_without_the_browser(shown):
    """The one difference, which docs/folders.md names."""
    assert shown["exif.webp"] == [48, 32]
    assert decode(webp_with_exif()).size == (32, 48)
