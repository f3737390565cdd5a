"""Build settings: the options of a build, as the manifest of its snapshot stores them.

A re-index uses them again. Each class is one JSON object, and each field is one of its keys.
Unknown keys are kept and written back, so that builds by several versions of Lookalike lose none.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from index.errors import CorruptSnapshot
from index.search.topk import DEFAULT_K

_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a string"}


@dataclass(frozen=True)
class Section:
    """One JSON object. Its fields are the keys that this version knows.

    Attributes
    ----------
    other_keys : mapping of str to JSON value
        Keys that another version of Lookalike wrote.
    """

    other_keys: Mapping[str, Any] = field(
        default_factory=dict, kw_only=True, hash=False, repr=False
    )

    @classmethod
    def from_json(cls, value: Any, name: str) -> Self:
        """Return the section for a JSON value. A missing key gets its default.

        Parameters
        ----------
        value : JSON value
            As `json.loads` returns it.
        name : str
            Name of the section in error messages.

        Raises
        ------
        CorruptSnapshot
            If the value is not an object, lacks a key that has no default, or has a key of the
            wrong type.
        """
        if not isinstance(value, dict):
            raise CorruptSnapshot(f"{name} must be an object, not {value!r}")
        types = _field_types(cls)
        known = {
            key: _checked(value[key], type_, f"{name}.{key}")
            for key, type_ in types.items()
            if key in value
        }
        for key in _required(cls) - set(known):
            raise CorruptSnapshot(f"{name}.{key} is missing")
        return cls(**known, other_keys={k: v for k, v in value.items() if k not in types})

    def known(self) -> dict[str, Any]:
        """Return the fields that this version knows, by name."""
        return {key: getattr(self, key) for key in _field_types(type(self))}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value of the section, including the keys of other versions."""
        return {**self.other_keys} | {
            key: value.to_json() if isinstance(value, Section) else value
            for key, value in self.known().items()
        }


@dataclass(frozen=True)
class TrainingOptions(Section):
    """How an encoder is trained and for how long; see `models.training.TrainingSettings`."""

    architecture: str = "deep"
    objective: str | None = None
    minutes: float | None = 30.0
    epochs: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class GroupingOptions(Section):
    """How a collection is grouped; `indexer.groups.grouping.Grouping` checks the values.

    Attributes
    ----------
    n_clusters : int or None
        Number of groups. None if the elbow decides it.
    min_clusters, max_clusters : int
        Smallest and largest number of groups in the sweep.
    algorithm : str
        "fasterpam" or "pyclustering".
    elbow : str
        Curve whose elbow gives the number: "kmedoids", "kmeans" or "pyclustering".
    seed : int
    matrix_bytes : int or None
        Largest size of the dissimilarity matrix, in bytes. None for the default.
    """

    n_clusters: int | None = None
    min_clusters: int = 2
    max_clusters: int = 100
    algorithm: str = "fasterpam"
    elbow: str = "kmedoids"
    seed: int = 0
    matrix_bytes: int | None = None


@dataclass(frozen=True)
class MetadataSource(Section):
    """The metadata file that a re-index reads again.

    Attributes
    ----------
    file : str
        Absolute path.
    sha256 : str
        Hex SHA-256 of its bytes when it was last read.
    """

    file: str
    sha256: str


@dataclass(frozen=True)
class FileSettings(Section):
    """Settings of the walk of the image root.

    Attributes
    ----------
    include, exclude : list of str
        Patterns of `--include` and `--exclude`.
    mounts : list of str
        Relative paths of the folders in which another file system was mounted.
    """

    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drift(Section):
    """Number of pictures that were added or removed.

    Attributes
    ----------
    groups : int
        Since the groups were computed.
    quality : int
        Since quality.json was written.
    """

    groups: int = 0
    quality: int = 0


@dataclass(frozen=True)
class BuildSettings(Section):
    """The options of a build, and what the next re-index needs to know.

    Attributes
    ----------
    seed : int
    top_k : int
        Requested number of nearest neighbours per picture. A small collection has fewer.
    training : TrainingOptions
    groups : GroupingOptions
    n_steps : int
        Training steps of the encoder; `--steps` with this number repeats the training.
    n_zero_encodings : int
        Number of pictures whose encoding was zero in the last build.
    metadata : MetadataSource or None
    files : FileSettings
    drift : Drift
    """

    seed: int = 0
    top_k: int = DEFAULT_K
    training: TrainingOptions = field(default_factory=TrainingOptions)
    groups: GroupingOptions = field(default_factory=GroupingOptions)
    n_steps: int = 0
    n_zero_encodings: int = 0
    metadata: MetadataSource | None = None
    files: FileSettings = field(default_factory=FileSettings)
    drift: Drift = field(default_factory=Drift)


def _field_types(section: type[Section]) -> dict[str, Any]:
    """Return the type of each key that a section knows."""
    hints = typing.get_type_hints(section)
    return {f.name: hints[f.name] for f in fields(section) if f.name != "other_keys"}


def _required(section: type[Section]) -> set[str]:
    return {
        f.name for f in fields(section) if f.default is MISSING and f.default_factory is MISSING
    }


def _checked(value: Any, type_: Any, name: str) -> Any:
    """Return a value of the given type; CorruptSnapshot if the value has another type."""
    allowed = typing.get_args(type_) if isinstance(type_, types.UnionType) else (type_,)
    if value is None and type(None) in allowed:
        return None
    (wanted,) = (one for one in allowed if one is not type(None))
    if typing.get_origin(wanted) is list:
        return _checked_list(value, name)
    if issubclass(wanted, Section):
        return wanted.from_json(value, name)
    # A float may be written as an integer. A bool is an int in Python, but not in JSON.
    accepted = (int, float) if wanted is float else wanted
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise CorruptSnapshot(f"{name} must be {_TYPE_NAMES[wanted]}, not {value!r}")
    return value


def _checked_list(value: Any, name: str) -> list[str]:
    """Return a list of strings; CorruptSnapshot if the value is anything else."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise CorruptSnapshot(f"{name} must be a list of strings, not {value!r}")
    return value
