"""Files of other kinds, also of kinds that Pillow opens: none of them is taken."""

from __future__ import annotations

import gzip
import struct

from PIL import Image

from tests.helpers.pictures import file_of
from tests.helpers.raws import RAWS
from tests.hostile.case import Case, of
from tests.hostile.forge import plain

_WRITTEN = ("ico", "icns", "pcx", "ppm", "tga", "dds", "sgi", "jp2", "eps", "pdf", "msp")
_SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="9" height="9"/></svg>'
)
_LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><svg>&b;</svg>'
_FILES = {
    "script.svg": _SVG,
    "declared.svg": b'<?xml version="1.0"?>\n' + _SVG,
    "laughs.svg": _LAUGHS,
    "packed.svgz": gzip.compress(_SVG, mtime=0),
    "page.html": b"<!doctype html><img src=x onerror=alert(1)>",
    "page-named.jpg": b"<html><script>alert(1)</script></html>",
    "document.pdf": b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj",
    "plain.txt": b"no picture, only words",
    "bmw.bmp": b"BMW is a maker of cars, and this is no bitmap",
    "wide-letters.txt": "\ufeffwords".encode("utf-16"),
    "program.exe": b"MZ\x90\0\3\0\0\0",
    "program.elf": b"\x7fELF\2\1\1" + bytes(40),
    "shell.sh": b"#!/bin/sh\nrm -rf /\n",
    "zeros.png": bytes(1024),
    "one-byte.gif": b"G",
    "half-a-name.png": b"\x89PNG\r\n",
    "letters-only.gif": b"GIF90a" + bytes(40),
    "archive.zip": b"PK\3\4" + bytes(40),
    "sound.wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
    "film.avi": b"RIFF\x24\0\0\0AVI LIST" + bytes(30),
    "film.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(30),
    "film.webm": b"\x1aE\xdf\xa3" + bytes(30),
    "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch x) (w) file\n",
    "drawing-in-dos.eps": b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 30, 9, 0, 0, 0, 0) + b"%!PS-A",
    "layers.psd": b"8BPS\0\1" + bytes(6) + b"\0\3" + struct.pack(">IIHH", 9, 9, 8, 3) + bytes(40),
    "stars.fits": b"SIMPLE  =                    T".ljust(2880),
    "letters.xbm": b"#define x_width 8\n#define x_height 1\nstatic char x_bits[] = {0xff};",
    "letters.xpm": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #fff", "a"};',
    "codestream.j2k": b"\xff\x4f\xff\x51" + bytes(40),
    "new.jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40),
    "naked.jxl": b"\xff\x0a" + bytes(40),
    "picture.qoi": b"qoif" + struct.pack(">IIBB", 9, 9, 3, 0) + bytes(40),
    "metafile.wmf": b"\xd7\xcd\xc6\x9a" + bytes(40),
    "weather.grib": b"GRIB" + bytes(40),
    "numbers.hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "cursor.cur": b"\0\0\2\0\1\0" + bytes(40),
    "moving.flc": struct.pack("<IHH", 128, 0xAF12, 1) + bytes(120),
    "bitmap-without-head.dib": struct.pack("<IiiHH", 40, 4, 4, 1, 24) + bytes(80),
    "wrong-end.jpg": b"\xff\xd9\xff\xd8" + bytes(40),
    "old.jpg": b"\xff\xd8\0\0" + bytes(40),
}  # fmt: skip


def cases() -> list[Case]:
    """Return all of them."""
    by_hand = [Case(name, of(data), "unsupported_type") for name, data in _FILES.items()]
    modes = {"msp": "1", "icns": "RGBA"}
    by_pillow = [
        Case(f"other.{kind}", of(_written(kind, modes.get(kind, "RGB"))), "unsupported_type")
        for kind in _WRITTEN
    ]
    raws = [Case(name, of(data), "unsupported_type") for name, data in RAWS.items()]
    return [*by_hand, *by_pillow, *raws]


def _written(kind: str, mode: str) -> bytes:
    Image.init()
    names = {"jp2": "JPEG2000"}
    size = (32, 32)
    return file_of(plain(mode, size), names.get(kind, kind.upper()))
