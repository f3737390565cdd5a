"""What can go wrong with a stored collection.

IndexFailure
├── DimensionMismatch      vectors of one length, index of another
├── InvalidK               k outside 1 <= k <= number of vectors
├── UnknownImage           no picture of that id
├── UnknownCluster         no group of that label
├── InvalidClusters        labels, medoids and sizes that contradict each other
├── InvalidQuery           a vector, an example or a filter that cannot be searched with
├── NoSnapshot             nothing has been published in this data folder
├── CorruptSnapshot        a file is missing, of another size, or of another content
├── NewerSchema            written by a later version of Lookalike
├── CannotWrite            a file of the data folder cannot be written
├── DataFolderBusy         another indexer holds the lock
└── DiskFull               less room than the work will need
"""


class IndexFailure(Exception):
    """Base of every error that this package raises on purpose."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError puts its sentence in quotation marks


class DimensionMismatch(IndexFailure, ValueError):
    """Vectors have another number of columns than the index."""


class InvalidK(IndexFailure, ValueError):
    """More neighbours are asked for than there are vectors, or fewer than one."""


class UnknownImage(IndexFailure, KeyError):
    """No picture of the collection has this id."""


class UnknownCluster(IndexFailure, KeyError):
    """No group has this label."""


class InvalidClusters(IndexFailure, ValueError):
    """Labels, medoids and sizes do not describe groups of the same pictures."""


class InvalidQuery(IndexFailure, ValueError):
    """One field of a query cannot be searched with.

    Parameters
    ----------
    field : str
        "vector", "negative" or "filter".
    reason : str
        What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class NoSnapshot(IndexFailure):
    """The data folder holds no published snapshot."""


class CorruptSnapshot(IndexFailure):
    """A stored file is missing or is not what the manifest says."""


class NewerSchema(IndexFailure):
    """The snapshot was written by a later version than this one."""


class CannotWrite(IndexFailure):
    """A file of the data folder cannot be written, most often because the disk is full."""


class DataFolderBusy(IndexFailure):
    """Another indexer is at work on the same data folder."""


class DiskFull(IndexFailure):
    """There is less free disk than the work will need."""
