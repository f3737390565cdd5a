"""Metadata that the user supplies, attached to the records of the pictures.

The manifest stores the path of the metadata file, and each re-index reads the file again. If the
file has changed, it replaces the metadata of every picture. Otherwise it supplies metadata only for
new pictures, and all others keep theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from index.build_settings import MetadataSource
from index.catalogue import ImageRecord
from index.snapshot import Snapshot
from index.text import path_of_text, quoted, text_of_path
from indexer.collection.metadata_file import MetadataFile
from indexer.collection.records import Collected
from indexer.errors import BadTable
from indexer.stages import Stages


@dataclass(frozen=True)
class MetadataUpdate:
    """A metadata file, and the pictures that get their metadata from it.

    Attributes
    ----------
    file : MetadataFile
    for_all : bool
        Whether every picture gets its metadata from the file. A picture without a line then has
        none. If false, only new pictures get theirs from the file.
    also : collection of str
        Paths of further pictures that get their metadata from the file.
    """

    file: MetadataFile
    for_all: bool = True
    also: Collection[str] = ()

    def applies_to(self, record: ImageRecord, before: ImageRecord | None) -> bool:
        """Return whether a picture gets its metadata from the file, given its earlier record."""
        return self.for_all or before is None or record.path in self.also

    def source(self) -> MetadataSource:
        """Return the entry of the file in the manifest."""
        return MetadataSource(text_of_path(self.file.file), self.file.sha256)


def metadata_update(
    old: Snapshot | None, file: Path | None, stages: Stages
) -> MetadataUpdate | None:
    """Return the update from a given file, or else from the file that a snapshot names.

    Raises
    ------
    BadTable
        If the given file cannot be read.
    """
    if file is not None:
        return MetadataUpdate(MetadataFile.read(file))
    return None if old is None else _update_from_same_file(old, stages)


def _update_from_same_file(old: Snapshot, stages: Stages) -> MetadataUpdate | None:
    """Read the metadata file of a snapshot again. If this fails, report it and return None."""
    source = old.manifest.settings.metadata
    if source is None:
        return None
    try:
        file = MetadataFile.read(path_of_text(source.file))
    except BadTable as error:
        stages.say(f"Metadata is unchanged. {error} To use another file, add --metadata FILE.")
        return None
    return MetadataUpdate(file, for_all=file.sha256 != source.sha256)


def metadata_source(update: MetadataUpdate | None, old: Snapshot | None) -> MetadataSource | None:
    """Return the entry for the manifest: a file that applied to all pictures, or the old entry."""
    if update is not None and update.for_all:
        return update.source()
    return None if old is None else old.manifest.settings.metadata


def attach_metadata(collected: Collected, update: MetadataUpdate | None, stages: Stages) -> None:
    """Set the metadata of each record, from the file or from the picture's earlier record."""
    collected.records = [
        replace(record, metadata=_metadata_for(record, before, update))
        for record, before in zip(collected.records, collected.before, strict=True)
    ]
    if update is not None and (update.for_all or update.also):
        stages.say(_coverage(update, collected.records))


def _metadata_for(
    record: ImageRecord, before: ImageRecord | None, update: MetadataUpdate | None
) -> dict[str, Any]:
    if update is None or not update.applies_to(record, before):
        return {} if before is None else before.metadata
    # A moved picture gets the line of its new path, or else that of its old path.
    paths = [record.path] if before is None else [record.path, before.path]
    return update.file.lookup(*paths) or {}


def _coverage(update: MetadataUpdate, records: Sequence[ImageRecord]) -> str:
    """Return a message about pictures without a line, and lines without a picture."""
    chosen = [one for one in records if update.applies_to(one, one)]
    n_without = sum(update.file.lookup(one.path) is None for one in chosen)
    message = f"metadata: {n_without:,} of {len(chosen):,} pictures have no line"
    if update.for_all and (unknown := update.file.unknown(one.path for one in records)):
        lines = "line matches" if len(unknown) == 1 else "lines match"
        message += f", {len(unknown):,} {lines} no picture (the first: {quoted(unknown[0])})"
    return message


def paths_with_new_metadata(collected: Collected) -> list[str]:
    """Return the paths of the pictures that were indexed before and now have other metadata."""
    pairs = zip(collected.records, collected.before, strict=True)
    return [one.path for one, old in pairs if old is not None and old.metadata != one.metadata]
