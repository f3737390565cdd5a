"""Settings of a build: what a snapshot was asked for, as its manifest stores them.

A re-index repeats them. Each class is one object of the JSON text and each field one key. Keys that
this version does not know are kept and written back, so that a snapshot can pass through builds of
several versions without losing any.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from index.errors import CorruptSnapshot
from index.search.topk import DEFAULT_K

_KINDS = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Section:
    """One object of the JSON text: its fields are the keys that this version knows.

    Attributes
    ----------
    other_keys : mapping of str to JSON value
        Keys that another version wrote.
    """

    other_keys: Mapping[str, Any] = field(
        default_factory=dict, kw_only=True, hash=False, repr=False
    )

    @classmethod
    def from_json(cls, found: Any, name: str) -> Self:
        """Return the section that a JSON value holds; a missing key gets its default.

        Parameters
        ----------
        found : JSON value
            As `json.loads` returns it.
        name : str
            What to call the section in an error.

        Raises
        ------
        CorruptSnapshot
            If it is no object, lacks a key that has no default, or holds a value of a wrong type.
        """
        if not isinstance(found, dict):
            raise CorruptSnapshot(f"{name} must be an object, not {found!r}")
        kinds = _kinds(cls)
        known = {
            key: _checked(found[key], kind, f"{name}.{key}")
            for key, kind in kinds.items()
            if key in found
        }
        for key in _required(cls) - set(known):
            raise CorruptSnapshot(f"{name}.{key} is missing")
        return cls(**known, other_keys={k: v for k, v in found.items() if k not in kinds})

    def known(self) -> dict[str, Any]:
        """Return the fields that this version knows, by name."""
        return {key: getattr(self, key) for key in _kinds(type(self))}

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` writes, the keys of other versions included."""
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
    """How a collection is grouped; `indexer.groups.clustering.Grouping` says what is allowed.

    Attributes
    ----------
    n_clusters : int or None
        Number of groups; None to find it by the elbow.
    min_clusters, max_clusters : int
        Numbers of groups that the elbow looks at.
    algorithm : str
        "fasterpam" or "pyclustering".
    elbow : str
        Curve that the number is read off: "kmedoids", "kmeans" or "pyclustering".
    seed : int
    matrix_bytes : int or None
        Largest dissimilarity matrix; None for the default.
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
class Drift(Section):
    """Pictures that came or went.

    Attributes
    ----------
    groups : int
        Since the groups were made.
    quality : int
        Since quality.json was made.
    """

    groups: int = 0
    quality: int = 0


@dataclass(frozen=True)
class BuildSettings(Section):
    """What a build was asked for, and what a re-index has to remember.

    Attributes
    ----------
    seed : int
    top_k : int
        Neighbours per picture that were asked for; a small collection has fewer.
    training : TrainingOptions
    groups : GroupingOptions
    n_steps : int
        Training steps of the encoder; `--steps` with this number repeats the training.
    n_zero_encodings : int
        Pictures whose encoding was zero at the last build.
    metadata : MetadataSource or None
    changed_since : Drift
    """

    seed: int = 0
    top_k: int = DEFAULT_K
    training: TrainingOptions = field(default_factory=TrainingOptions)
    groups: GroupingOptions = field(default_factory=GroupingOptions)
    n_steps: int = 0
    n_zero_encodings: int = 0
    metadata: MetadataSource | None = None
    changed_since: Drift = field(default_factory=Drift)


def _kinds(section: type[Section]) -> dict[str, Any]:
    """Return the type of each key that a section knows."""
    hints = typing.get_type_hints(section)
    return {one.name: hints[one.name] for one in fields(section) if one.name != "other_keys"}


def _required(section: type[Section]) -> set[str]:
    return {
        one.name
        for one in fields(section)
        if one.default is MISSING and one.default_factory is MISSING
    }


def _checked(value: Any, kind: Any, name: str) -> Any:
    """Return a value as its type wants it; CorruptSnapshot if it is of another type."""
    allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    (wanted,) = (one for one in allowed if one is not type(None))
    if issubclass(wanted, Section):
        return wanted.from_json(value, name)
    # JSON has one kind of number; true and false are whole numbers to Python only.
    fits = (int, float) if wanted is float else wanted
    if not isinstance(value, fits) or isinstance(value, bool):
        raise CorruptSnapshot(f"{name} must be {_KINDS[wanted]}, not {value!r}")
    return value
