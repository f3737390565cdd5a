"""Everything that `models` raises on purpose.

::

    ModelsError
    ├── PictureError            one picture cannot be used; the others can
    │   ├── UnknownFormat       code "unsupported_type"
    │   ├── UndecodableImage    code "undecodable"
    │   └── ImageTooLarge       code "too_large"
    ├── ModelMismatch           model files that do not belong together
    ├── EncoderError            the encoder gave something that is no encoding
    ├── PretrainedUnavailable   a named network or its weights cannot be had
    └── TrainingError
        ├── TooFewImages
        ├── ObjectiveMismatch   the network cannot be trained so
        ├── TrainingDiverged    the loss is no longer a number
        └── EncodingCollapse    all pictures get nearly the same encoding
"""

from typing import ClassVar


class ModelsError(Exception):
    """Base of all errors of this package."""


class PictureError(ModelsError):
    """Say that one picture cannot be used.

    Attributes
    ----------
    code : str
        Short name of the reason, the same on the command line and over HTTP.
    """

    code: ClassVar[str]


class UnknownFormat(PictureError):
    """The bytes are no picture of a kind that is read here."""

    code = "unsupported_type"


class UndecodableImage(PictureError):
    """The bytes begin like a picture of a known kind, but are empty, cut off or broken."""

    code = "undecodable"


class ImageTooLarge(PictureError):
    """The picture has more bytes or pixels than the limits allow."""

    code = "too_large"


class ModelMismatch(ModelsError):
    """Model files do not belong together, or are of a schema that is not read here."""


class EncoderError(ModelsError):
    """The encoder gave numbers that are no encoding (NaN or infinite)."""


class PretrainedUnavailable(ModelsError):
    """There is no network of this name, or its weights cannot be loaded."""


class TrainingError(ModelsError):
    """Base of what can go wrong while training."""


class TooFewImages(TrainingError):
    """There is no picture to train on."""


class ObjectiveMismatch(TrainingError):
    """The architecture cannot be trained with this objective."""


class TrainingDiverged(TrainingError):
    """The loss became NaN or infinite."""


class EncodingCollapse(TrainingError):
    """The encodings of different pictures have become (nearly) the same."""
