"""Manifest: the list of a snapshot's files, and the settings that it was built with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from index.build_settings import BuildSettings
from index.errors import CorruptSnapshot, NewerSchema
from index.layout import MANIFEST_FILE
from index.schema1 import upgraded_manifest

SCHEMA_VERSION = 2
DIGEST_DIGITS = 8
# What to do about a damaged snapshot.
REMEDY = "run `bin/lookalike snapshots rollback ID`, or build the collection again"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and hex SHA-256 of one file of a snapshot."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the size and digest of a file."""
        digest = hashlib.sha256()
        size_bytes = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return cls(size_bytes, digest.hexdigest())


@dataclass(frozen=True)
class Manifest:
    """The contents of a snapshot.

    Attributes
    ----------
    created : str
        Time of publication, UTC, ISO 8601.
    n_images, dim, top_k : int
        Number of pictures, length of a vector, neighbours per row of the top-k table.
    image_root : str
        Absolute folder that the catalogue's paths are relative to.
    encoder : str
        Fingerprint of the encoder that made the vectors.
    settings : BuildSettings
        Options of the build, including seeds and the number of training steps.
    versions : dict
        Library name to version.
    files : dict
        File name to `FileEntry`, for every file except the manifest itself. The names are the
        current ones, even in a snapshot of an older schema.
    schema_version : int
        Schema of the files on disk. A new snapshot always has the current one.
    """

    created: str
    n_images: int
    dim: int
    top_k: int
    image_root: str
    encoder: str
    settings: BuildSettings = field(default_factory=BuildSettings)
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def digest(self) -> str:
        """Return the first hex digits of the SHA-256 of `to_json`, the end of a snapshot's id."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:DIGEST_DIGITS]

    def to_json(self) -> str:
        """Return the manifest as JSON with sorted keys, the same text for equal manifests."""
        contents = asdict(self) | {"settings": self.settings.to_json()}
        return json.dumps(contents, indent=1, sort_keys=True) + "\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read manifest.json.

        Raises
        ------
        CorruptSnapshot
            If it is missing or is not a manifest.
        NewerSchema
            If a later version of Lookalike wrote it.
        """
        try:
            fields = json.loads(path.read_bytes())
            _refuse_newer(fields["schema_version"])
            fields = upgraded_manifest(fields)
            files = {name: FileEntry(**entry) for name, entry in fields.pop("files").items()}
            settings = BuildSettings.from_json(fields.pop("settings", {}), "settings")
            return cls(files=files, settings=settings, **fields)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptSnapshot(f"{MANIFEST_FILE} cannot be read: {error!r}; {REMEDY}") from error
        except CorruptSnapshot as error:
            raise CorruptSnapshot(f"{MANIFEST_FILE} cannot be used: {error}; {REMEDY}") from error


def _refuse_newer(schema_version: int) -> None:
    if schema_version > SCHEMA_VERSION:
        raise NewerSchema(
            f"the snapshot has schema {schema_version}, this version reads up to {SCHEMA_VERSION}: "
            "update Lookalike, or build the collection again"
        )
