"""Find the size of the frames in the AV1 streams of an AVIF; its container may name smaller ones.

libavif decodes a frame at the stream's size before it compares the two, so 1 kB can cost gigabytes.
Every picture item and every sample of a track counts, used or not. A file that cannot be parsed is
refused, because the decoder might manage to. Bytes after the last box are ignored, as by libavif.

Sources: AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5; ISO/IEC 14496-12 (boxes) and
23008-12 (items); https://aomediacodec.github.io/av1-avif/.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from models.errors import UndecodableImage

MAX_STEPS = 100_000  # boxes, entries and units; a picture has about 100
_SEQUENCE_HEADER = 1
_HEADER_BYTES = 512  # enough for 32 operating points
_HEADER_STEPS = 50  # cost of reading one, in boxes
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_DEEPEST = len(_CONTAINERS)
_REPEATED = frozenset({b"free", b"skip", b"uuid", b"sgpd", b"sbgp"})
_PICTURE = b"av01"

Span = tuple[int, int]  # start and end in the file


@dataclass(frozen=True)
class Frames:
    """The most pixels that the streams of an AVIF can have.

    Unless a stream is a still picture, its frames can be larger than it says, up to the next powers
    of two. These larger sizes count.

    Attributes
    ----------
    largest : int
        Of the largest frame; 0 if there is no stream.
    total : int
        Of one frame per picture item (tiles of a grid and transparency are items), and of the
        largest frame of all tracks, of which only one is shown.
    """

    largest: int
    total: int


def frames(data: bytes) -> Frames:
    """Return how large the frames of an AVIF can be.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    UndecodableImage
        If the container or a stream cannot be parsed.
    """
    file = _File(data)
    of_items, of_tracks = [0], [0]
    for is_item, stream in _streams(file):
        of = of_items if is_item else of_tracks
        of.append(max((w * h for w, h in _frame_sizes(file, stream)), default=0))
    return Frames(max(of_items + of_tracks), sum(of_items) + max(of_tracks))


class _File:
    """A file and the work left for it, so that spans which overlap cannot take long."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._steps_left, self._bytes_left = MAX_STEPS, 2 * len(data)

    def step(self, n: int = 1) -> None:
        self._steps_left -= n
        if self._steps_left < 0:
            raise _broken()

    def copied(self, n_bytes: int) -> None:
        self._bytes_left -= n_bytes
        if self._bytes_left < 0:
            raise _broken()


class _Reader:
    """Reads big-endian numbers in order from a span of a file."""

    def __init__(self, file: _File, span: Span) -> None:
        self._file = file
        self.at, self.end = span

    def number(self, n_bytes: int) -> int:
        return int.from_bytes(self.bytes(n_bytes), "big")

    def bytes(self, n: int) -> bytes:
        self.skip(n)
        return self._file.data[self.at - n : self.at]

    def skip(self, n: int) -> None:
        if not 0 <= n <= self.end - self.at:
            raise _broken()
        self.at += n

    def version(self) -> int:
        """Read the version and flags of a full box."""
        return self.number(4) >> 24

    def entries(self, n: int) -> Iterator[int]:
        """Count to n; each number is a step."""
        for number in range(n):
            self._file.step()
            yield number


class _Bits:
    """Reads bits, the most significant of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, n: int) -> int:
        if n > self._left:
            raise _broken()
        self._left -= n
        return (self._bits >> self._left) & ((1 << n) - 1)

    def take_uvlc(self) -> None:
        """Take a number of variable length (4.10.3)."""
        for zeros in range(32):
            if self.take(1):
                self.take(zeros)
                return
        raise _broken()


# ---------------------------------------------------------------- container


def _streams(file: _File) -> Iterator[tuple[bool, bytes]]:
    """Yield the bytes of every AV1 item and sample of the file, and whether it is an item."""
    at, end = 0, len(file.data)
    while at < end:
        try:
            kind, span = _box(file, (at, end))
        except UndecodableImage:
            return  # the decoder stops here too
        yield from _streams_of_box(file, kind, span)
        at = span[1]


def _streams_of_box(
    file: _File, kind: bytes, span: Span, depth: int = 0
) -> Iterator[tuple[bool, bytes]]:
    if depth > _DEEPEST:
        raise _broken()
    if kind == b"meta":
        yield from ((True, stream) for stream in _item_streams(file, span))
    elif kind == b"stbl":
        yield from ((False, stream) for stream in _track_streams(file, span))
    elif kind in _CONTAINERS:
        for child in _boxes(file, span):
            yield from _streams_of_box(file, *child, depth + 1)


def _boxes(file: _File, span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield kind and content of each box in a span of the file."""
    at, end = span
    while at < end:
        kind, content = _box(file, (at, end))
        yield kind, content
        at = content[1]


def _box(file: _File, span: Span) -> tuple[bytes, Span]:
    """Return kind and content of the first box of a span."""
    file.step()
    reader = _Reader(file, span)
    size, kind = reader.number(4), reader.bytes(4)
    if size == 1:
        size = reader.number(8)
    after = span[1] if size == 0 else span[0] + size
    if not reader.at <= after <= span[1]:
        raise _broken()
    return kind, (reader.at, after)


def _children(file: _File, span: Span) -> dict[bytes, Span]:
    """Return the contents of boxes by kind; refuse a kind twice that must be unique."""
    found: dict[bytes, Span] = {}
    for kind, content in _boxes(file, span):
        if kind in found and kind not in _REPEATED:
            raise _broken()
        found[kind] = content
    return found


def _item_streams(file: _File, span: Span) -> Iterator[bytes]:
    """Yield the bytes of the items of a meta box that are AV1 pictures."""
    children = _children(file, (span[0] + 4, span[1]))
    if b"iinf" not in children or b"iloc" not in children:
        return
    pictures = _picture_items(file, children[b"iinf"])
    idat = children.get(b"idat", (0, 0))
    seen = set()
    for item, method, pieces in _items(file, children[b"iloc"]):
        if item in seen:  # decoders may not agree on which one counts
            raise _broken()
        seen.add(item)
        if item in pictures:
            yield b"".join(_piece(file, method, idat, *piece) for piece in pieces)


def _picture_items(file: _File, span: Span) -> set[int]:
    reader = _Reader(file, span)
    reader.skip(2 if reader.version() == 0 else 4)
    pictures, seen = set(), set()
    for kind, content in _boxes(file, (reader.at, reader.end)):
        entry = _Reader(file, content)
        version = entry.version()
        if kind != b"infe" or version not in (2, 3):
            raise _broken()
        item = entry.number(2 if version == 2 else 4)
        if item in seen:
            raise _broken()
        seen.add(item)
        entry.skip(2)
        if entry.bytes(4) == _PICTURE:
            pictures.add(item)
    return pictures


def _items(file: _File, span: Span) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield number, construction method, offsets and lengths of each item of an iloc box."""
    reader = _Reader(file, span)
    version = reader.version()
    sizes = [nibble for byte in reader.bytes(2) for nibble in (byte >> 4, byte & 15)]
    n_offset, n_length, n_base, n_index = sizes
    wide = 2 if version < 2 else 4
    for _ in reader.entries(reader.number(wide)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.skip(2)
        base, pieces = reader.number(n_base), []
        for _ in reader.entries(reader.number(2)):
            reader.skip(n_index if version else 0)
            pieces.append((base + reader.number(n_offset), reader.number(n_length)))
        yield item, method, pieces


def _piece(file: _File, method: int, idat: Span, offset: int, length: int) -> bytes:
    # No AV1 picture consists of other items, and every piece has an end.
    if method > 1 or length == 0:
        raise _broken()
    reader = _Reader(file, idat if method else (0, len(file.data)))
    reader.skip(offset)
    file.copied(length)
    return reader.bytes(length)


def _track_streams(file: _File, span: Span) -> Iterator[bytes]:
    """Yield the bytes of each sample of a track."""
    children = _children(file, span)
    if b"stsz" not in children or b"stsc" not in children:
        raise _broken()
    sizes = _sample_sizes(file, children[b"stsz"])
    firsts, counts = _samples_per_chunk(file, children[b"stsc"])
    for chunk, offset in enumerate(_chunk_offsets(file, children), 1):
        run = bisect_right(firsts, chunk)
        reader = _Reader(file, (0, len(file.data)))
        reader.skip(offset)
        for _ in reader.entries(counts[run - 1] if run else 0):
            size = next(sizes, None)
            if size is None:
                raise _broken()
            file.copied(size)
            yield reader.bytes(size)


def _chunk_offsets(file: _File, children: dict[bytes, Span]) -> list[int]:
    kinds = [(b"stco", 4), (b"co64", 8)]
    found = [(children[kind], n_bytes) for kind, n_bytes in kinds if kind in children]
    if len(found) != 1:
        raise _broken()
    ((span, n_bytes),) = found
    reader = _Reader(file, span)
    reader.version()
    return [reader.number(n_bytes) for _ in reader.entries(reader.number(4))]


def _sample_sizes(file: _File, span: Span) -> Iterator[int]:
    """Yield the size of each sample; endlessly if all have the same size."""
    reader = _Reader(file, span)
    reader.version()
    size, count = reader.number(4), reader.number(4)
    if size:
        return repeat(size)  # decoders then ignore the count
    return iter([reader.number(4) for _ in reader.entries(count)])


def _samples_per_chunk(file: _File, span: Span) -> tuple[list[int], list[int]]:
    """Return the first chunk of each run of chunks, and the samples per chunk of the run."""
    reader = _Reader(file, span)
    reader.version()
    firsts, counts = [], []
    for _ in reader.entries(reader.number(4)):
        firsts.append(reader.number(4))
        counts.append(reader.number(4))
        reader.skip(4)
    if firsts != sorted(set(firsts)):
        raise _broken()
    return firsts, counts


# ---------------------------------------------------------------- stream


def _frame_sizes(file: _File, stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield width and height of each sequence header."""
    at = 0
    while at < len(stream):
        file.step()
        kind, start, at = _unit(stream, at)
        if kind == _SEQUENCE_HEADER:
            file.step(_HEADER_STEPS)
            yield _largest_size(_Bits(stream[start:at][:_HEADER_BYTES]))


def _unit(stream: bytes, at: int) -> tuple[int, int, int]:
    """Return kind, start and end of the content of one open bitstream unit (5.3)."""
    head = stream[at]
    at += 2 if head & 4 else 1
    size = len(stream) - at
    if head & 2:
        size, at = _leb128(stream, at)
    if head & 0x80 or not 0 <= size <= len(stream) - at:
        raise _broken()
    return head >> 3 & 15, at, at + size


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length (4.10.5), and where it ends."""
    number = 0
    for place, byte in enumerate(stream[at : at + 8]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise _broken()


def _largest_size(bits: _Bits) -> tuple[int, int]:
    """Return the largest width and height of a sequence header (5.5.1)."""
    bits.take(4)  # profile, still picture
    is_reduced = bits.take(1)
    if is_reduced:
        bits.take(5)
    else:
        _take_operating_points(bits)
    n_width, n_height = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(n_width) + 1, bits.take(n_height) + 1
    if is_reduced:
        return width, height
    return 1 << n_width, 1 << n_height  # a frame may override its size


def _take_operating_points(bits: _Bits) -> None:
    n_delay = 0
    if bits.take(1):  # timing info
        bits.take(64)
        if bits.take(1):
            bits.take_uvlc()
        if bits.take(1):  # decoder model
            n_delay = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    has_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if n_delay and bits.take(1):
            bits.take(2 * n_delay + 1)
        if has_delay and bits.take(1):
            bits.take(4)


def _broken() -> UndecodableImage:
    return UndecodableImage(
        "the AVIF picture is cut off or broken (its parts are not where they should be): save it "
        "again or remove it"
    )
