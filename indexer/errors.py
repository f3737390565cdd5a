"""Errors of the indexer. The command line prints the message and exits with code 1.

IndexerError
├── NotAFolder         the picture folder does not exist or is not a folder
├── NoPictures         the folder contains no readable picture
├── PicturesSkipped    a file or folder was skipped although --strict was given
├── FolderUnreadable   a build would lose pictures below a folder that cannot be read
├── NoGroups           the collection has no groups
├── NotInTheFolder     a file to add is not under the image root
├── FileExcluded       a file to add is left out by a rule
├── BadPattern         a pattern of --include or --exclude is invalid
├── OutputInFolder     a command would write inside the picture folder
├── NotPurged          a snapshot that contains a removed picture is still there
├── MostWouldBeLost    a re-index would remove over half of the collection
├── BadTable           a metadata or labels file cannot be read
├── BadLabels          labels cannot be used
├── NothingToCheck     too few readable pictures to measure quality without labels
└── EncodingsAlike     the encoder does not tell the pictures apart
"""


class IndexerError(Exception):
    """Base of every error that this package raises on purpose."""


class NotAFolder(IndexerError):
    """The picture folder does not exist or is not a folder."""


class NoPictures(IndexerError):
    """The folder contains no readable picture."""


class PicturesSkipped(IndexerError):
    """Files were skipped although --strict was given."""


class FolderUnreadable(IndexerError):
    """A build would lose pictures of the live snapshot, because their folder cannot be read."""


class FileExcluded(IndexerError):
    """A file to add is left out by a rule, so that `reindex` would remove it again."""


class BadPattern(IndexerError, ValueError):
    """A pattern of --include or --exclude is invalid."""


class OutputInFolder(IndexerError):
    """A command would write inside the picture folder."""


class NoGroups(IndexerError):
    """The collection has no groups."""


class NotInTheFolder(IndexerError):
    """A file to add is not under the image root."""


class NotPurged(IndexerError):
    """An older snapshot that contains a removed picture could not be removed."""


class MostWouldBeLost(IndexerError):
    """A re-index would remove over half of the collection, and --yes was not given."""


class BadTable(IndexerError):
    """A metadata or labels file is missing or has an invalid line."""


class BadLabels(IndexerError):
    """Labels lack their column, name no picture of the collection, or are all different."""


class NothingToCheck(IndexerError):
    """There are too few readable pictures to measure quality without labels."""


class EncodingsAlike(IndexerError):
    """The encoder gives different pictures of the collection nearly the same vector."""
