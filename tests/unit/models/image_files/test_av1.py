"""The size of an AVIF's frames is that of its streams, wherever its container puts them."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import ImageTooLarge, PictureError, UndecodableImage
from models.image_files.av1 import Frames, frames
from models.image_files.formats import DECODER_ERRORS
from models.preprocess import Limits, decode, pixel_count
from tests.hostile import forge


def largest_frame(data):
    """Return the pixels of the largest frame."""
    return frames(data).largest


def avif(size, mode="RGB", **options):
    """Return an AVIF of noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    out = io.BytesIO()
    picture = Image.fromarray(small).resize(size).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(size))
    picture.save(out, "AVIF", speed=10, **options)
    return out.getvalue()


def box(kind, content=b"", head=b""):
    """Return a box; a full one with a head of four bytes."""
    return struct.pack(">I4s", 8 + len(head) + len(content), kind) + head + content


def bits(*fields):
    """Return the bytes of (value, number of bits) fields, filled with zeros."""
    text = "".join(f"{value:0{n}b}" for value, n in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def unit(content, kind=1):
    """Return an open bitstream unit with its size."""
    return bytes([kind << 3 | 2, len(content)]) + content


# Profile 0, a still picture with a short header, level 8, sides of 9 and 7 bits.
STILL = unit(bits((0, 3), (1, 1), (1, 1), (8, 5), (8, 4), (6, 4), (299, 9), (99, 7)))


def holding(contents, kinds=None, version=1):
    """Return a file of items, each a list of pieces: in the meta box, or if version 0 before it."""
    numbers = range(1, len(contents) + 1)
    number_of = ">I" if version == 2 else ">H"
    infe = b"".join(
        box(
            b"infe",
            struct.pack(number_of, number) + b"\0\0" + kind + b"\0",
            b"\3\0\0\0" if version == 2 else b"\2\0\0\0",
        )
        for number, kind in zip(numbers, kinds or [b"av01"] * len(contents), strict=True)
    )
    entries, offset = struct.pack(number_of, len(contents)), 0 if version else 8
    for number, pieces in zip(numbers, contents, strict=True):
        entries += struct.pack(number_of, number) + (b"\0\1" if version else b"")
        entries += struct.pack(">HH", 0, len(pieces))
        for piece in pieces:
            entries += struct.pack(">II", offset, len(piece))
            offset += len(piece)
    iinf = box(b"iinf", struct.pack(">H", len(contents)) + infe, bytes(4))
    iloc = box(b"iloc", b"\x44\0" + entries, bytes([version, 0, 0, 0]))
    everything = b"".join(piece for pieces in contents for piece in pieces)
    if version == 0:
        return box(b"mdat", everything) + box(b"meta", iinf + iloc, bytes(4))
    return box(b"meta", iinf + iloc + box(b"idat", everything), bytes(4))


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (257, 100), (64, 65), (1024, 700)])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": "4:4:4"}, {"icc_profile": bytes(200), "xmp": b"<x/>"}]
)
def test_still_picture_is_as_large_as_it_says(size, options):
    """What Pillow writes: width times height, no more."""
    assert largest_frame(avif(size, **options)) == size[0] * size[1]


def test_transparency_is_a_stream_of_its_own():
    """Both have the picture's size, and count both."""
    assert frames(avif((50, 60), "RGBA")) == Frames(largest=3000, total=6000)


def test_frames_of_an_animation_may_be_larger_up_to_powers_of_two():
    """50 x 60 needs 6 bits a side, in which a frame can say 64."""
    more = [Image.new("RGB", (50, 60), (0, 50 * k, 0)) for k in range(1, 4)]
    assert largest_frame(avif((50, 60), save_all=True, append_images=more)) == 64 * 64


@pytest.mark.parametrize("version", [0, 1, 2])
def test_short_sequence_header_by_hand(version):
    """300 x 100 in two pieces of the second item; other kinds of items are not looked at."""
    contents = [[b"\xff\xff\xff\xff"], [STILL[:5], STILL[5:]]]
    assert largest_frame(holding(contents, [b"Exif", b"av01"], version)) == 30_000


def long_header(timing, delay):
    """Return a sequence header of 300 x 100 that is not of a still picture."""
    fields = [(1, 3), (0, 1), (0, 1), (int(timing), 1)]
    if timing:  # a tick, a second, equal intervals of 1 + 1, and a decoder model of 10 bits
        fields += [(1, 32), (25, 32), (1, 1), (0b011, 3), (1, 1), (9, 5), (1, 32), (3, 5), (3, 5)]
    fields += [(int(delay), 1), (1, 5)]
    for level in (8, 5):  # two operating points; the first has a tier
        fields += [(0, 12), (level, 5)] + [(1, 1)] * (level > 7)
        fields += [(1, 1), (2**10 - 1, 10), (0, 10), (1, 1)] if timing else []
        fields += [(1, 1), (15, 4)] if delay else []
    return unit(bits(*fields, (8, 4), (6, 4), (299, 9), (99, 7)))


@pytest.mark.parametrize("timing", [False, True])
@pytest.mark.parametrize("delay", [False, True])
def test_long_sequence_header_by_hand(timing, delay):
    """512 x 128: what nine and seven bits can say, as a frame may override its size."""
    file = holding([[unit(b"", 2) + long_header(timing, delay)]])
    assert largest_frame(file) == 512 * 128


def test_units_come_with_and_without_sizes_and_extensions():
    """An extension byte, a size of two bytes, and a last unit without a size."""
    padding = bytes([15 << 3 | 2, 0x80 | 3, 1]) + bytes(131)
    extended = bytes([2 << 3 | 4 | 2, 0, 0])
    last = bytes([1 << 3]) + STILL[2:]
    assert largest_frame(holding([[padding + extended + last]])) == 30_000


def track(sizes, chunks=((1, 2),), wide=False, offsets=(8,), fixed=0):
    """Return a movie of one track, whose samples lie elsewhere."""
    stsz = box(b"stsz", struct.pack(f">II{len(sizes)}I", fixed, len(sizes), *sizes), bytes(4))
    runs = b"".join(struct.pack(">III", first, n, 1) for first, n in chunks)
    stsc = box(b"stsc", struct.pack(">I", len(chunks)) + runs, bytes(4))
    kind, form = (b"co64", "Q") if wide else (b"stco", "I")
    stco = box(kind, struct.pack(f">I{len(offsets)}{form}", len(offsets), *offsets), bytes(4))
    movie = box(b"stbl", stsz + stsc + stco)
    for outer in (b"minf", b"mdia", b"trak", b"moov"):
        movie = box(outer, movie)
    return movie


@pytest.mark.parametrize("wide", [False, True])
def test_samples_of_a_track_are_streams(wide):
    """The second sample of the first chunk; then the only one of the second."""
    first = unit(bytes(6), 15)
    mdat, sizes = box(b"mdat", first + STILL), [len(first), len(STILL)]
    assert largest_frame(mdat + track(sizes, wide=wide)) == 30_000
    offsets = (8, 8 + len(first))
    assert largest_frame(mdat + track(sizes, ((1, 1),), wide, offsets)) == 30_000
    assert largest_frame(mdat + track(sizes[:1], ((1, 1),), wide)) == 0


def test_samples_of_one_size_are_not_counted_by_their_table():
    """Decoders take their number from the chunks, whatever the table of sizes says."""
    mdat = box(b"mdat", STILL * 2)
    assert largest_frame(mdat + track([], fixed=len(STILL))) == 30_000


def test_every_item_counts_but_one_frame_of_a_track():
    """Three items of 30,000 pixels; two samples of a track beside them."""
    meta = holding([[STILL]] * 3)
    assert frames(meta) == Frames(30_000, 90_000)
    both = box(b"mdat", STILL * 2) + track([len(STILL)] * 2) + meta
    assert frames(both) == Frames(30_000, 120_000)


def test_grid_of_large_tiles_is_refused():
    """Each of 16 items is below the limit, all together are not."""
    tiles = b"".join(struct.pack(">I4s", 8, b"free") for _ in range(2)) + holding([[STILL]] * 16)
    ftyp = box(b"ftyp", b"avif\0\0\0\0avifmif1")
    with pytest.raises(ImageTooLarge, match="streams of the AVIF picture can hold"):
        decode(ftyp + tiles, Limits(max_pixels=200_000))


def test_larger_stream_than_the_container_says_is_refused():
    """1,200 pixels claimed, 9 million behind them: it counts as that, and is not decoded."""
    claimed, real = avif((40, 30)), avif((3000, 3000))
    size = claimed[claimed.index(b"ispe") + 8 :][:8]
    at = real.index(b"ispe") + 8
    crafted = real[:at] + size + real[at + 8 :]
    assert pixel_count(crafted) == 9_000_000
    with pytest.raises(ImageTooLarge, match="frames of more than 1,000,000 pixels"):
        decode(crafted, Limits(max_pixels=1_000_000))
    with pytest.raises(ImageTooLarge):
        decode(forge.avif_of_stream(16_000, 16_000))
    assert largest_frame(forge.avif_of_stream(16_000, 16_000)) == 256_000_000


def test_bytes_behind_the_picture_are_ignored():
    """As of every format."""
    data = avif((40, 30))
    for tail in (b"tail", bytes(100), b"\xff" * 20, data):
        assert largest_frame(data + tail) == 1200
        assert decode(data + tail).width == 40


def nested():
    """Return containers in one another, thousands deep."""
    inner = b""
    for _ in range(3000):
        inner = box(b"moov", inner)
    return inner


def endless():
    """Return an iloc of 65,535 items with as many pieces each, of no bytes."""
    iloc = box(b"iloc", b"\0\0\xff\xff" + b"\0\1\0\0\xff\xff" * 65_535, bytes(4))
    return box(b"meta", box(b"iinf", b"\0\0", bytes(4)) + iloc, bytes(4))


def overlapping():
    """Return a track of 50,000 samples that are all the whole file."""
    movie = track([100_000] * 50_000, ((1, 1),), offsets=[0] * 9000)
    return box(b"mdat", bytes(100_000)) + movie


def many_headers():
    """Return an item of 100,000 sequence headers with 32 operating points each."""
    points = [(0, 12), (0, 5)] * 32
    header = unit(bits((1, 3), (0, 1), (0, 1), (0, 1), (0, 1), (31, 5), *points, (0, 10)))
    return holding([[header * 100_000]])


@pytest.mark.parametrize(
    "data",
    [
        nested(),
        endless(),
        overlapping(),
        box(b"meta", box(b"iinf", b"", bytes(4)) * 2, bytes(4)),
        box(b"moov", box(b"stbl", b"")),
        box(b"moov", b"\0\0\0\x05stbl"),
        box(b"mdat", STILL) + track([len(STILL)], ((1, 2),)),
        holding([[b"", STILL]]),
        holding([[STILL], [STILL]]).replace(b"\0\2\0\1\0\0\0\1", b"\0\1\0\1\0\0\0\1"),
        holding([[unit(bits((1, 3), (0, 2), (1, 1), (1, 64), (1, 1), (0, 100), (1, 1)))]]),
        many_headers(),
        holding([[b"\x0a\xff\xff"]]),
        holding([[unit(b"\x18\x10")]]),
        holding([[b"\x80" + STILL]]),
    ],
    ids=[
        "nested",
        "endless",
        "overlapping",
        "twice",
        "empty",
        "short",
        "short-table",
        "endless-piece",
        "one-item-twice",
        "zeros",
        "headers",
        "unit",
        "header",
        "bit",
    ],
)
def test_what_cannot_be_followed_is_refused(data):
    """At once, however it is made."""
    with pytest.raises(UndecodableImage, match="not where they should be"):
        largest_frame(data)


SEEDS = {
    (40, 30): avif((40, 30), "RGBA"),
    (300, 100): holding([[b"\xff"], [STILL[:5], STILL[5:]]], [b"Exif", b"av01"]),
    (50, 60): avif((50, 60), save_all=True, append_images=[Image.new("RGB", (50, 60))]),
}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_can_be_decoded_is_never_larger_than_was_said(data):
    """A picture with bytes exchanged, left out or repeated is refused, or told at its size."""
    picture = bytearray(data.draw(st.sampled_from(list(SEEDS.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(picture) - 1))
        piece = data.draw(st.binary(max_size=4))
        picture[at : at + data.draw(st.integers(0, 8))] = piece
    try:
        n_pixels = pixel_count(bytes(picture), Limits(max_pixels=10**9))
    except PictureError:
        return
    try:
        with Image.open(io.BytesIO(picture), formats=["AVIF"]) as image:
            image.load()
    except DECODER_ERRORS:
        return
    assert n_pixels >= image.width * image.height
