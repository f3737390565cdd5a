"""What can go wrong with a run of the indexer; each becomes one sentence and exit code 1.

IndexerError
├── NotAFolder         the image folder does not exist or is no folder
├── NoPictures         the folder holds nothing that can be read as a picture
├── PicturesSkipped    --strict, and something had to be skipped
├── NoGroups           the snapshot has no groups yet
├── NotInTheFolder     a file to add does not lie under the image root
├── MostWouldBeLost    a re-indexing would drop over half of the collection
├── BadLabels          a labels file that cannot be used
├── BadMetadata        a metadata file that cannot be used
├── NothingToCheck     too few pictures, or none readable, to tell quality without labels
└── EncodingsAlike     the encoder gives different pictures the same vector
"""


class IndexerError(Exception):
    """Base of every error that this package raises on purpose."""


class NotAFolder(IndexerError):
    """The image folder does not exist, is a file, or may not be read."""


class NoPictures(IndexerError):
    """The folder holds no picture that can be read."""


class PicturesSkipped(IndexerError):
    """Files had to be skipped, and the user asked for none to be."""


class NoGroups(IndexerError):
    """The collection has not been grouped yet."""


class NotInTheFolder(IndexerError):
    """A file does not lie under the folder that the collection was made of."""


class MostWouldBeLost(IndexerError):
    """More than half of the pictures are gone, and the user has not said that this is meant."""


class BadLabels(IndexerError):
    """A labels file is missing, has no usable columns, or names no picture of the collection."""


class BadMetadata(IndexerError):
    """A metadata file is missing, or one of its lines cannot be understood."""


class NothingToCheck(IndexerError):
    """There are too few pictures, or too few of them can be read, to measure anything."""


class EncodingsAlike(IndexerError):
    """The encoder does not tell the pictures of this collection apart."""
