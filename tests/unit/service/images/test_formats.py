import sys

from models.errors import UnknownFormat
from models.image_files.formats import formats_in_words, supported_formats
from service.errors import to_failure
from service.images import originals


def test_every_supported_format_has_a_media_type():
    """An original of any supported format is sent with its own type."""
    assert set(supported_formats()) <= set(originals.MEDIA_TYPES)


def test_unsupported_type_names_what_is_supported(monkeypatch):
    """The message lists every supported format, and HEIC only with its package."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    failure = to_failure(UnknownFormat("begins with b'secret'"))
    assert failure.status == 415
    assert failure.message.endswith("send JPEG, PNG, WEBP, AVIF, GIF, BMP or TIFF")


def test_heic_is_listed_with_its_package(monkeypatch):
    """Once pillow-heif is installed, HEIC is named as well."""
    monkeypatch.setattr("models.image_files.formats.find_spec", lambda name: object())
    assert formats_in_words().endswith("TIFF or HEIC")
