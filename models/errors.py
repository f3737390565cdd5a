"""Everything that `models` raises on purpose.

::

    ModelsError
    ├── PictureError            one picture cannot be used; the others can
    │   ├── UnknownFormat       code "unsupported_type"
    │   │   └── UnsupportedPicture
    │   ├── UndecodableImage    code "undecodable"
    │   └── ImageTooLarge       code "too_large"
    ├── CapacityFull            no free slot in time
    ├── ModelMismatch           model files that do not belong together
    ├── EncoderError            an encoding is not finite
    ├── ExternalEncoderUnavailable   the external encoder or its weights cannot be loaded
    └── TrainingError
        ├── TooFewImages        there is no picture
        ├── ObjectiveMismatch   the network does not support the objective
        ├── TrainingDiverged    the loss is no longer finite
        └── EncodingCollapse    all pictures get nearly the same encoding
"""

from typing import ClassVar


class ModelsError(Exception):
    """Base of all errors of this package."""


class PictureError(ModelsError):
    """One picture cannot be used.

    Attributes
    ----------
    code : str
        Short name of the reason, the same on the command line and over HTTP.
    """

    code: ClassVar[str]


class UnknownFormat(PictureError):
    """The bytes are not of a supported picture format."""

    code = "unsupported_type"


class UnsupportedPicture(UnknownFormat):
    """The file is a picture, whole as far as one can tell, but of a kind that is not supported."""


class UndecodableImage(PictureError):
    """The file is empty, or has a supported format but is cut off or broken."""

    code = "undecodable"


class ImageTooLarge(PictureError):
    """The picture exceeds the limits on bytes or pixels."""

    code = "too_large"


class CapacityFull(ModelsError):
    """No slot became free in time, or too many threads wait for one.

    Parameters
    ----------
    name : str
        What is full, in a word.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no free slot: {name}")


class ModelMismatch(ModelsError):
    """Model files are missing, broken, of another schema, or do not belong together."""


class EncoderError(ModelsError):
    """An encoding has NaN or infinite values."""


class ExternalEncoderUnavailable(ModelsError):
    """There is no external encoder of this name, or its weights cannot be loaded."""


class TrainingError(ModelsError):
    """Base of all errors of training."""


class TooFewImages(TrainingError):
    """There is no picture to train on."""


class ObjectiveMismatch(TrainingError):
    """The architecture does not support the objective."""


class TrainingDiverged(TrainingError):
    """The loss became NaN or infinite."""


class EncodingCollapse(TrainingError):
    """Different pictures get (nearly) equal encodings."""
