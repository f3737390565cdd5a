"""What the user says of the pictures, brought to their records.

A file that was given once is remembered in the manifest, and read again at each re-indexing: if it
has changed it decides what is said of every picture, and else of the new ones only. All others
keep what they had.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from index.build_settings import MetadataSource
from index.catalogue import ImageRecord
from index.snapshot import Snapshot
from indexer.collection.metadata_file import MetadataFile
from indexer.collection.records import Collected
from indexer.errors import BadMetadata
from indexer.stages import Stages


@dataclass(frozen=True)
class Descriptions:
    """A metadata file, and which pictures it decides for.

    Attributes
    ----------
    file : MetadataFile
    for_all : bool
        For every picture: one without a line is left without metadata. Else for the new ones.
    also : collection of str
        Paths of pictures that it decides for in any case.
    """

    file: MetadataFile
    for_all: bool = True
    also: Collection[str] = ()

    def decides(self, record: ImageRecord, before: ImageRecord | None) -> bool:
        """Say whether the file decides for a picture, given the record that it had before."""
        return self.for_all or before is None or record.path in self.also

    def source(self) -> MetadataSource:
        """Return what the manifest remembers of the file."""
        return MetadataSource(str(self.file.file), self.file.sha256)


def descriptions_for(
    live: Snapshot | None, file: Path | None, stages: Stages
) -> Descriptions | None:
    """Return what a run goes by: a file that is given, or else the one that a snapshot remembers.

    Raises
    ------
    BadMetadata
        If a file that is given cannot be read.
    """
    if file is not None:
        return Descriptions(MetadataFile.read(file))
    return None if live is None else remembered_file(live, stages)


def remembered_file(live: Snapshot, stages: Stages) -> Descriptions | None:
    """Return what the file says that was given before: of every picture, if it has changed.

    One that cannot be read is told, and everything stays as it was.
    """
    remembered = live.manifest.settings.metadata
    if remembered is None:
        return None
    try:
        file = MetadataFile.read(Path(remembered.file))
    except BadMetadata as error:
        stages.say(f"metadata stays as it was, as {error}; another file goes with --metadata")
        return None
    return Descriptions(file, for_all=file.sha256 != remembered.sha256)


def source_of(descriptions: Descriptions | None, live: Snapshot) -> MetadataSource | None:
    """Return what the manifest is to remember: the file that decided for all, or the old one."""
    if descriptions is not None and descriptions.for_all:
        return descriptions.source()
    return live.manifest.settings.metadata


def describe(
    records: Sequence[ImageRecord],
    before: Sequence[ImageRecord | None],
    descriptions: Descriptions | None,
) -> list[ImageRecord]:
    """Return records with their metadata: what a file says, or else what they had before.

    Parameters
    ----------
    records : sequence of ImageRecord
    before : sequence of ImageRecord or None
        What each of them was in the live snapshot. A moved picture has the line of its new path,
        or else that of its old one.
    descriptions : Descriptions or None
    """
    return [
        replace(record, metadata=_said_of(record, old, descriptions))
        for record, old in zip(records, before, strict=True)
    ]


def _said_of(
    record: ImageRecord, old: ImageRecord | None, descriptions: Descriptions | None
) -> dict[str, Any]:
    if descriptions is None or not descriptions.decides(record, old):
        return {} if old is None else old.metadata
    paths = [record.path] if old is None else [record.path, old.path]
    return descriptions.file.of(*paths) or {}


def described_anew(
    records: Sequence[ImageRecord], before: Sequence[ImageRecord | None]
) -> list[str]:
    """Return the paths of the pictures that were there before, with other metadata."""
    pairs = zip(records, before, strict=True)
    return [one.path for one, old in pairs if old is not None and old.metadata != one.metadata]


def describe_build(
    live: Snapshot | None, collected: Collected, descriptions: Descriptions | None, stages: Stages
) -> None:
    """Give the pictures of a build their metadata; `live` has what is to be taken over, if any."""
    before = before_a_build(live, collected.records) if live else [None] * len(collected.records)
    collected.records = describe(collected.records, before, descriptions)
    if live is not None:
        collected.metadata_source = source_of(descriptions, live)
    elif descriptions is not None:
        collected.metadata_source = descriptions.source()
    say_coverage(descriptions, collected.records, stages)


def before_a_build(live: Snapshot, records: Sequence[ImageRecord]) -> list[ImageRecord | None]:
    """Return what each picture of a new build was before: by path, or else by content."""
    by_content = {old.sha256: old for old in live.catalogue}
    by_path = {old.path: old for old in live.catalogue}
    return [by_path.get(one.path, by_content.get(one.sha256)) for one in records]


def say_coverage(
    descriptions: Descriptions | None, records: Sequence[ImageRecord], stages: Stages
) -> None:
    """Say in one line how the lines of a file and the pictures belong together."""
    if descriptions is None or not (descriptions.for_all or descriptions.also):
        return
    file, decided = descriptions.file, [one for one in records if descriptions.decides(one, one)]
    n_without = sum(file.of(one.path) is None for one in decided)
    said = f"metadata: {n_without:,} of {len(decided):,} pictures have no line"
    if descriptions.for_all and (unknown := file.unknown(one.path for one in records)):
        lines = "line" if len(unknown) == 1 else "lines"
        said += f", {len(unknown):,} {lines} no picture (the first: {unknown[0]!r})"
    stages.say(said)
