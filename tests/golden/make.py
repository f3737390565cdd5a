"""Make the golden snapshot: `python -m tests.golden.make` in the repository root.

Only to be run for a schema that has no golden snapshot yet; those of older schemas stay as they
are, for ever, and that they can still be read is what they are for.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

GOLDEN = Path(__file__).parent
SIZE_PX = (16, 12)
METADATA = {"blue.bmp": {"sold": True, "title": "Blue, untitled"}}
COLOURS = {  # every picture is of one colour, so every score can be worked out by hand
    "black.bmp": (0, 0, 0),
    "blue.bmp": (0, 0, 255),
    "dark red.bmp": (128, 0, 0),
    "green.bmp": (0, 255, 0),
    "more/red again.bmp": (255, 0, 0),
    "more/yellow.bmp": (255, 255, 0),
    "red.bmp": (255, 0, 0),
    "white.bmp": (255, 255, 255),
}


def bmp(colour: tuple[int, int, int]) -> bytes:
    """Return the file of a picture in one colour, the same bytes whatever library is installed."""
    width, height = SIZE_PX
    pixels = bytes(reversed(colour)) * (width * height)  # rows of 48 bytes need no padding
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + info + pixels


def write_pictures(folder: Path) -> Path:
    """Write the pictures of `COLOURS` and return their folder."""
    for name, colour in COLOURS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bmp(colour))
    return folder


def make() -> None:
    """Build with a tiny encoder; publish with some metadata, and without this machine's paths."""
    from index.catalogue import write_catalogue
    from index.manifest import SCHEMA_VERSION
    from index.snapshot import DataFolder
    from indexer import pipeline
    from indexer.groups.grouping import Grouping
    from indexer.options import BuildOptions
    from indexer.stages import Stages
    from tests.helpers.tiny_encoders import write_float_with_crops

    golden = DataFolder(GOLDEN / f"schema-{SCHEMA_VERSION}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = write_float_with_crops(folder / "encoder")
        images = write_pictures(folder / "images")
        data = DataFolder(folder / "data")
        options = BuildOptions(images, encoder=str(encoder), groups=Grouping(max_clusters=6))
        pipeline.build(data, options, Stages())
        with data.open_current() as built, golden.locked(), golden.draft() as draft:
            draft.link_from(built, set(built.manifest.files) - {"catalogue.sqlite", "elbow.png"})
            records = [replace(r, metadata=METADATA.get(r.path, {})) for r in built.catalogue]
            write_catalogue(draft.folder / "catalogue.sqlite", records)
            now = datetime.now(UTC).isoformat()
            draft.publish(replace(built.manifest, created=now, image_root="/srv/pictures"))
    (golden.root / "lock").unlink()


if __name__ == "__main__":
    make()
