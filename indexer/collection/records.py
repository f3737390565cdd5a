"""From scanned files to the rows of a collection, with ids, thumbnails and what was skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from index.artefacts.thumbnails import write_thumbnails
from index.build_settings import MetadataSource
from index.catalogue import ImageRecord, next_image_id, readable_path
from index.layout import THUMBNAILS_FILE
from index.snapshot import SnapshotDraft
from indexer.dataset import PixelSource, Scanned, Skipped, scan
from indexer.errors import NoPictures, PicturesSkipped
from indexer.options import BuildOptions
from indexer.stages import Stages


@dataclass
class Collected:
    """What was found in a folder: one record and one row of pixels for each picture.

    `metadata_source` is what the manifest is to remember of the file that describes them.
    """

    root: Path
    source: PixelSource
    records: list[ImageRecord] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    metadata_source: MetadataSource | None = None


def collect(
    options: BuildOptions,
    files: list[Path],
    source: PixelSource,
    draft: SnapshotDraft,
    stages: Stages,
) -> Collected:
    """Read every file; write the thumbnails on the way.

    Raises
    ------
    NoPictures
        If not one file is a picture that can be read.
    PicturesSkipped
        If something was skipped and the options say strict.
    """
    collected = Collected(options.images.resolve(), source)
    with stages.stage("read"):
        found = scan(collected.root, files, progress=stages.progress)
        write_thumbnails(draft.folder / THUMBNAILS_FILE, _take(found, collected))
    if not collected.records:
        raise NoPictures(_no_pictures_sentence(options.images, collected.skipped))
    if options.strict and collected.skipped:
        first = collected.skipped[0]
        raise PicturesSkipped(
            f"{len(collected.skipped)} files cannot be used, the first is {first.path} "
            f"({first.reason}): mend or remove them, or leave out --strict"
        )
    stages.say(f"{len(collected.records):,} pictures, {len(collected.skipped):,} skipped")
    return collected


def _no_pictures_sentence(folder: Path, skipped: list[Skipped]) -> str:
    if not skipped:
        return f"{folder} is empty: put pictures into it, or name another folder"
    return (
        f"none of the {len(skipped)} files in {folder} is a picture that can be read "
        f"(the first, {skipped[0].path}: {skipped[0].reason}): name the folder of the pictures"
    )


def _take(found: Iterable[Scanned | Skipped], collected: Collected) -> Iterator[tuple[str, bytes]]:
    """Sort what was scanned into rows and skipped files; yield each row's id and thumbnail."""
    copies: dict[str, int] = {}
    for one in found:
        if isinstance(one, Skipped):
            collected.skipped.append(one)
            continue
        record = make_record(len(collected.records), one, copies)
        collected.source.add(one)
        collected.records.append(record)
        yield record.id, one.thumbnail


def make_record(row: int, scanned: Scanned, copies: dict[str, int]) -> ImageRecord:
    """Return the record of a scanned picture, counting in `copies` how often its file has come."""
    path, raw_path = readable_path(scanned.relative)
    return ImageRecord(
        row=row,
        id=next_image_id(scanned.sha256, copies),
        path=path,
        sha256=scanned.sha256,
        pixel_digest=scanned.pixel_digest,
        size_bytes=scanned.size_bytes,
        mtime_ns=scanned.mtime_ns,
        width=scanned.width,
        height=scanned.height,
        format=scanned.format,
        raw_path=raw_path,
    )
