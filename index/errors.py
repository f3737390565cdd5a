"""Errors of a stored collection.

IndexFailure
├── DimensionMismatch      vectors and index have different lengths
├── InvalidK               k outside 1 <= k <= number of vectors
├── UnknownImage           no picture has this id
├── UnknownCluster         no group has this label
├── InvalidClusters        labels, medoids and sizes contradict each other
├── InvalidQuery           a vector, an example or a filter of a query is invalid
├── NoSnapshot             nothing has been published in this data folder
├── CorruptSnapshot        a file is missing or damaged
├── NewerSchema            a later version of Lookalike wrote the file
├── CannotWrite            a file of the data folder cannot be written
├── DataFolderBusy         another indexer holds the lock
└── DiskFull               too little free disk space for the command
"""


class IndexFailure(Exception):
    """Base of every error that this package raises on purpose."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would put the message in quotation marks


class DimensionMismatch(IndexFailure, ValueError):
    """The vectors and the index have different numbers of columns."""


class InvalidK(IndexFailure, ValueError):
    """k is less than 1 or larger than the number of vectors."""


class UnknownImage(IndexFailure, KeyError):
    """No picture of the collection has this id."""


class UnknownCluster(IndexFailure, KeyError):
    """No group has this label."""


class InvalidClusters(IndexFailure, ValueError):
    """Labels, medoids and scores do not describe groups of the same pictures."""


class InvalidQuery(IndexFailure, ValueError):
    """One field of a query is invalid.

    Parameters
    ----------
    field : str
        "vector", "negative" or "filter".
    reason : str
        What is wrong with the field.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class NoSnapshot(IndexFailure):
    """The data folder has no published snapshot, or none with the given id."""


class CorruptSnapshot(IndexFailure):
    """A stored file is missing, damaged, or contradicts another file."""


class NewerSchema(IndexFailure):
    """A later version of Lookalike wrote the file."""


class CannotWrite(IndexFailure):
    """A file of the data folder cannot be written, usually because the disk is full."""


class DataFolderBusy(IndexFailure):
    """Another indexer is using the data folder."""


class DiskFull(IndexFailure):
    """There is less free disk space than the command needs."""
