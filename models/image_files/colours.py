"""Turn a decoded picture of any mode and colour profile into sRGB on white."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms

from models.image_files.essentials import MAX_PROFILE_BYTES
from models.image_files.formats import DECODER_ERRORS

_SRGB_TOLERANCE = 2  # levels of 255: the difference between sRGB profiles of different makers
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}  # modes whose colours are multiplied by their alpha
_LEVELS = {  # of 255, to the nearest, by bits of a grey value
    12: ((17 * np.arange(1 << 16) + 136) // 273).clip(0, 255).astype(np.uint8),
    16: ((np.arange(1 << 16) + 128) // 257).astype(np.uint8),
}


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGB picture in sRGB, with transparent parts on white.

    Parameters
    ----------
    image : PIL.Image.Image
        Of any mode that a decoder gives. May be modified and returned.
    """
    if image.mode in _STRAIGHT:
        image = image.convert(_STRAIGHT[image.mode])
    alpha = _alpha(image)
    colour = _to_srgb(_opaque(image), image.info.get("icc_profile"))
    if alpha is not None:
        colour.paste("white", mask=ImageChops.invert(alpha))
    return colour


def _alpha(image: Image.Image) -> Image.Image | None:
    if not image.has_transparency_data:
        return None
    if "A" in image.getbands():
        return image.getchannel("A")
    key = image.info.get("transparency")
    if _is_wide(image):
        return Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
    if isinstance(key, tuple) and max(key) > 255:  # of a PNG with 16 bits a channel
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image.convert("RGBA").getchannel("A")


def _opaque(image: Image.Image) -> Image.Image:
    """Return the colours without transparency, in a mode that a colour profile can describe."""
    if _is_wide(image):
        return _to_8_bit(image)
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "LA":
        return image.getchannel("L")
    if "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]  # otherwise Pillow mixes it into the colours
    return image.convert("RGB")


def _is_wide(image: Image.Image) -> bool:
    return image.mode.startswith("I;16")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale greys of 12 or 16 bits to 0..255, rounded to the nearest."""
    n_bits = 12 if _tiff_tag(image, ExifTags.Base.BitsPerSample) == (12,) else 16
    levels = _LEVELS[n_bits][np.asarray(image)]
    if _tiff_tag(image, ExifTags.Base.PhotometricInterpretation) == 0:
        levels = 255 - levels  # "white is zero", which Pillow only applies to 8 bits
    return Image.fromarray(levels)


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return getattr(image, "tag_v2", {}).get(tag)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as RGB in sRGB. Broken, huge and unsuitable profiles are ignored."""
    if image.mode == "LAB":
        return _transformed(image, ImageCms.createProfile("LAB"))
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        try:
            return _apply_profile(image, profile)
        except (ImageCms.PyCMSError, *DECODER_ERRORS):
            pass  # unconverted colours are better than no picture
    return _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if image.mode != "CMYK" and _is_srgb(source, image.mode):
        return _rgb(image)
    return _transformed(image, source)


def _is_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Return whether a profile changes no colour by more than rounding.

    So the same pixels give the same vector whether a tool writes an sRGB profile or not.
    """
    probe = _probe().convert(mode)
    before = np.asarray(probe.convert("RGB"), dtype=np.int16)
    after = np.asarray(_transformed(probe, profile), dtype=np.int16)
    return int(np.abs(before - after).max()) <= _SRGB_TOLERANCE


def _probe() -> Image.Image:
    """Return 729 colours, nine levels of each channel."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)  # (9, 9, 9, 3)
    return Image.fromarray(cube.reshape(27, 27, 3))


def _transformed(image: Image.Image, source: Any) -> Image.Image:
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), image.mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # only an in-place transform gives None
    return result
