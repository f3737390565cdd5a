"""What decoding an AVIF takes, as its AV1 streams say: its container may claim less.

libavif decodes a frame at the stream's size before it compares the two, so 1 kB may cost gigabytes.
Every picture item and every sample of a track is looked at, used or not; what cannot be followed is
refused, as the decoder might follow it. Bytes behind the last box are ignored, as it ignores them.

Sources: AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5; ISO/IEC 14496-12 (boxes) and
23008-12 (items); https://aomediacodec.github.io/av1-avif/.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from models.errors import UndecodableImage

MAX_STEPS = 100_000  # boxes, entries and units; a picture has about a hundred
_SEQUENCE_HEADER = 1
_HEADER_BYTES = 512  # 32 operating points need less
_HEADER_STEPS = 50  # what reading one takes, in boxes
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_DEEPEST = len(_CONTAINERS)
_REPEATED = frozenset({b"free", b"skip", b"uuid", b"sgpd", b"sbgp"})
_PICTURE = b"av01"

Part = tuple[int, int]  # start and end in the file


@dataclass(frozen=True)
class Frames:
    """How many pixels the streams of an AVIF may have.

    A stream that is no still picture can have frames larger than it says, up to the next powers
    of two; those count.

    Attributes
    ----------
    largest : int
        Of the largest frame; 0 if there is no stream.
    total : int
        Of a frame of every picture item, as the tiles of a grid and transparency are, and of the
        largest frame of the tracks, of which one is shown.
    """

    largest: int
    total: int


def frames(data: bytes) -> Frames:
    """Say how large the frames of an AVIF may be.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    UndecodableImage
        If the container or a stream cannot be followed.
    """
    file = _File(data)
    of_items, of_tracks = [0], [0]
    for is_item, stream in _streams(file):
        of = of_items if is_item else of_tracks
        of.append(max((w * h for w, h in _frame_sizes(file, stream)), default=0))
    return Frames(max(of_items + of_tracks), sum(of_items) + max(of_tracks))


class _File:
    """A file, and how much more may be done with it: parts that overlap cannot make it long."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._steps_left, self._bytes_left = MAX_STEPS, 2 * len(data)

    def step(self, n: int = 1) -> None:
        self._steps_left -= n
        if self._steps_left < 0:
            raise _lost()

    def copied(self, n_bytes: int) -> None:
        self._bytes_left -= n_bytes
        if self._bytes_left < 0:
            raise _lost()


class _Reader:
    """Reads big-endian numbers, one after the other, from a part of a file."""

    def __init__(self, file: _File, part: Part) -> None:
        self._file = file
        self.at, self.end = part

    def number(self, n_bytes: int) -> int:
        return int.from_bytes(self.bytes(n_bytes), "big")

    def bytes(self, n: int) -> bytes:
        self.skip(n)
        return self._file.data[self.at - n : self.at]

    def skip(self, n: int) -> None:
        if not 0 <= n <= self.end - self.at:
            raise _lost()
        self.at += n

    def version(self) -> int:
        """Read the version and flags of a full box."""
        return self.number(4) >> 24

    def entries(self, n: int) -> Iterator[int]:
        """Count to n, if that is not too far."""
        for number in range(n):
            self._file.step()
            yield number


class _Bits:
    """Reads bits, the highest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, n: int) -> int:
        if n > self._left:
            raise _lost()
        self._left -= n
        return (self._bits >> self._left) & ((1 << n) - 1)

    def take_uvlc(self) -> None:
        """Take a number of variable length (4.10.3)."""
        for zeros in range(32):
            if self.take(1):
                self.take(zeros)
                return
        raise _lost()


# ---------------------------------------------------------------- container


def _streams(file: _File) -> Iterator[tuple[bool, bytes]]:
    """Yield the bytes of every AV1 item and sample of the file, and whether it is an item."""
    at, end = 0, len(file.data)
    while at < end:
        try:
            kind, part = _box(file, (at, end))
        except UndecodableImage:
            return  # the decoder gets no further either
        yield from _streams_of_box(file, kind, part)
        at = part[1]


def _streams_of_box(
    file: _File, kind: bytes, part: Part, depth: int = 0
) -> Iterator[tuple[bool, bytes]]:
    if depth > _DEEPEST:
        raise _lost()
    if kind == b"meta":
        yield from ((True, stream) for stream in _item_streams(file, part))
    elif kind == b"stbl":
        yield from ((False, stream) for stream in _track_streams(file, part))
    elif kind in _CONTAINERS:
        for child in _boxes(file, part):
            yield from _streams_of_box(file, *child, depth + 1)


def _boxes(file: _File, part: Part) -> Iterator[tuple[bytes, Part]]:
    """Yield kind and content of each box that a part of the file is made of."""
    at, end = part
    while at < end:
        kind, content = _box(file, (at, end))
        yield kind, content
        at = content[1]


def _box(file: _File, part: Part) -> tuple[bytes, Part]:
    """Return kind and content of the first box of a part."""
    file.step()
    reader = _Reader(file, part)
    size, kind = reader.number(4), reader.bytes(4)
    if size == 1:
        size = reader.number(8)
    after = part[1] if size == 0 else part[0] + size
    if not reader.at <= after <= part[1]:
        raise _lost()
    return kind, (reader.at, after)


def _children(file: _File, part: Part) -> dict[bytes, Part]:
    """Return the contents of boxes by kind; refused if one comes twice that should not."""
    found: dict[bytes, Part] = {}
    for kind, content in _boxes(file, part):
        if kind in found and kind not in _REPEATED:
            raise _lost()
        found[kind] = content
    return found


def _item_streams(file: _File, part: Part) -> Iterator[bytes]:
    """Yield the bytes of the items of a meta box that are AV1 pictures."""
    children = _children(file, (part[0] + 4, part[1]))
    if b"iinf" not in children or b"iloc" not in children:
        return
    pictures = _picture_items(file, children[b"iinf"])
    idat = children.get(b"idat", (0, 0))
    seen = set()
    for item, method, pieces in _items(file, children[b"iloc"]):
        if item in seen:  # which of the two counts, decoders need not agree on
            raise _lost()
        seen.add(item)
        if item in pictures:
            yield b"".join(_piece(file, method, idat, *piece) for piece in pieces)


def _picture_items(file: _File, part: Part) -> set[int]:
    reader = _Reader(file, part)
    reader.skip(2 if reader.version() == 0 else 4)
    pictures, seen = set(), set()
    for kind, content in _boxes(file, (reader.at, reader.end)):
        entry = _Reader(file, content)
        version = entry.version()
        if kind != b"infe" or version not in (2, 3):
            raise _lost()
        item = entry.number(2 if version == 2 else 4)
        if item in seen:
            raise _lost()
        seen.add(item)
        entry.skip(2)
        if entry.bytes(4) == _PICTURE:
            pictures.add(item)
    return pictures


def _items(file: _File, part: Part) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield number, construction method, offsets and lengths of each item of an iloc box."""
    reader = _Reader(file, part)
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


def _piece(file: _File, method: int, idat: Part, offset: int, length: int) -> bytes:
    # No AV1 picture is made of other items, and none has a piece without an end.
    if method > 1 or length == 0:
        raise _lost()
    reader = _Reader(file, idat if method else (0, len(file.data)))
    reader.skip(offset)
    file.copied(length)
    return reader.bytes(length)


def _track_streams(file: _File, part: Part) -> Iterator[bytes]:
    """Yield the bytes of each sample of a track."""
    children = _children(file, part)
    if b"stsz" not in children or b"stsc" not in children:
        raise _lost()
    sizes = _sample_sizes(file, children[b"stsz"])
    firsts, counts = _samples_per_chunk(file, children[b"stsc"])
    for chunk, offset in enumerate(_chunk_offsets(file, children), 1):
        run = bisect_right(firsts, chunk)
        reader = _Reader(file, (0, len(file.data)))
        reader.skip(offset)
        for _ in reader.entries(counts[run - 1] if run else 0):
            size = next(sizes, None)
            if size is None:
                raise _lost()
            file.copied(size)
            yield reader.bytes(size)


def _chunk_offsets(file: _File, children: dict[bytes, Part]) -> list[int]:
    kinds = [(b"stco", 4), (b"co64", 8)]
    found = [(children[kind], n_bytes) for kind, n_bytes in kinds if kind in children]
    if len(found) != 1:
        raise _lost()
    ((part, n_bytes),) = found
    reader = _Reader(file, part)
    reader.version()
    return [reader.number(n_bytes) for _ in reader.entries(reader.number(4))]


def _sample_sizes(file: _File, part: Part) -> Iterator[int]:
    """Return the size of one sample after the other; without end if all have one size."""
    reader = _Reader(file, part)
    reader.version()
    size, count = reader.number(4), reader.number(4)
    if size:
        return repeat(size)  # decoders do not look at the count then
    return iter([reader.number(4) for _ in reader.entries(count)])


def _samples_per_chunk(file: _File, part: Part) -> tuple[list[int], list[int]]:
    """Return the first chunk of each run of chunks, and how many samples each of them has."""
    reader = _Reader(file, part)
    reader.version()
    firsts, counts = [], []
    for _ in reader.entries(reader.number(4)):
        firsts.append(reader.number(4))
        counts.append(reader.number(4))
        reader.skip(4)
    if firsts != sorted(set(firsts)):
        raise _lost()
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
        raise _lost()
    return head >> 3 & 15, at, at + size


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length (4.10.5), and where it ends."""
    number = 0
    for place, byte in enumerate(stream[at : at + 8]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise _lost()


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


def _lost() -> UndecodableImage:
    return UndecodableImage(
        "the AVIF picture is cut off or broken (its parts are not where they should be); save it "
        "anew or leave it out"
    )
