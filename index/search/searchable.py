"""Searchable: the parts of a snapshot that a search reads."""

from __future__ import annotations

from typing import Protocol

from index.artefacts.clusters import Clusters
from index.artefacts.thumbnails import Thumbnails
from index.catalogue import Catalogue
from index.search.metadata_index import MetadataIndex
from index.search.store import VectorStore
from index.search.topk import TopKTable


class Searchable(Protocol):
    """The parts of a snapshot that a search reads. An open `index.snapshot.Snapshot` has them all.

    Attributes
    ----------
    id : str
        Id of the snapshot.
    store : VectorStore
    topk : TopKTable
    catalogue : Catalogue
    clusters : Clusters or None
        None before the first grouping.
    metadata : MetadataIndex
    thumbnails : Thumbnails or None
        None if the snapshot was built without them.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - described above
    @property
    def store(self) -> VectorStore: ...  # noqa: D102
    @property
    def topk(self) -> TopKTable: ...  # noqa: D102
    @property
    def catalogue(self) -> Catalogue: ...  # noqa: D102
    @property
    def clusters(self) -> Clusters | None: ...  # noqa: D102
    @property
    def metadata(self) -> MetadataIndex: ...  # noqa: D102
    @property
    def thumbnails(self) -> Thumbnails | None: ...  # noqa: D102
    def __len__(self) -> int: ...
