"""Settings of a build, from the manifest's JSON and back."""

import json
from dataclasses import replace

import pytest

from index.build_settings import BuildSettings, Drift, GroupingOptions, MetadataSource
from index.errors import CorruptSnapshot
from index.manifest import Manifest

# As a build wrote them, byte for byte but for indentation; the names are a contract.
STORED = {
    "drift": {"groups": 3, "quality": 0},
    "files": {"exclude": ["drafts/"], "include": [], "mounts": ["disk"]},
    "groups": {
        "algorithm": "fasterpam",
        "elbow": "kmeans",
        "matrix_bytes": None,
        "max_clusters": 6,
        "min_clusters": 2,
        "n_clusters": None,
        "seed": 5,
    },
    "metadata": {"file": "/srv/metadata.csv", "sha256": "ab" * 32},
    "n_steps": 1200,
    "n_zero_encodings": 1,
    "seed": 5,
    "top_k": 50,
    "training": {
        "architecture": "deep",
        "epochs": None,
        "minutes": 30.0,
        "objective": None,
        "steps": 1200,
    },
}


def loaded(found) -> BuildSettings:
    """Return the settings that a JSON value holds."""
    return BuildSettings.from_json(found, "settings")


def text(settings) -> str:
    """Return settings as the manifest's text has them."""
    return json.dumps(settings, sort_keys=True)


@pytest.fixture
def manifest(tmp_path):
    """Give a function that reads a manifest of the given settings from a file."""

    def read(**fields) -> Manifest:
        path = tmp_path / "manifest.json"
        facts = {
            "created": "",
            "n_images": 1,
            "dim": 2,
            "top_k": 1,
            "image_root": "/",
            "encoder": "",
        }
        path.write_text(json.dumps(facts | {"schema_version": 1, "files": {}} | fields))
        return Manifest.load(path)

    return read


def test_settings_are_read_as_typed_values():
    """Every key of the text is a field."""
    settings = loaded(STORED)

    assert settings.groups == GroupingOptions(max_clusters=6, elbow="kmeans", seed=5)
    assert settings.metadata == MetadataSource("/srv/metadata.csv", "ab" * 32)
    assert settings.drift == Drift(groups=3)
    assert (settings.seed, settings.top_k, settings.training.steps) == (5, 50, 1200)


def test_a_round_trip_gives_the_same_text():
    """What was read is written back byte for byte."""
    assert text(loaded(STORED).to_json()) == text(STORED)


@pytest.mark.parametrize("section", [None, "groups", "training", "metadata", "drift", "files"])
def test_keys_of_another_version_survive(section):
    """A key that is not known stays where it is, also when another setting changes."""
    stored = json.loads(json.dumps(STORED))
    (stored if section is None else stored[section])["of_a_later_version"] = {"a": [1, 2]}

    written = replace(loaded(stored), seed=9).to_json()

    assert text(written) == text(stored | {"seed": 9})


def test_missing_keys_get_their_defaults():
    """An older build wrote fewer settings."""
    assert loaded({}) == BuildSettings()
    assert loaded({"groups": {"max_clusters": 6}}).groups == GroupingOptions(max_clusters=6)
    assert loaded({"metadata": None}).metadata is None


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([], r"settings must be an object, not \[\]"),
        ({"seed": "7"}, "settings.seed must be a whole number, not '7'"),
        ({"seed": True}, "settings.seed must be a whole number, not True"),
        ({"top_k": None}, "settings.top_k must be a whole number, not None"),
        ({"training": {"minutes": "3"}}, "settings.training.minutes must be a number, not '3'"),
        ({"groups": {"elbow": 1}}, "settings.groups.elbow must be a string, not 1"),
        ({"groups": None}, "settings.groups must be an object, not None"),
        ({"metadata": {"file": "a.csv"}}, "settings.metadata.sha256 is missing"),
    ],
    ids=["list", "text", "bool", "null", "minutes", "number", "section", "missing"],
)
def test_a_wrong_type_is_named(found, sentence):
    """The error says which key is wrong and what it holds."""
    with pytest.raises(CorruptSnapshot, match=sentence):
        loaded(found)


def test_whole_minutes_are_a_number():
    """JSON does not tell 3 from 3.0."""
    assert loaded({"training": {"minutes": 3}}).training.minutes == 3


def test_a_manifest_holds_its_settings_as_json(manifest):
    """The settings are one object of the manifest's text."""
    found = manifest(settings=STORED)

    assert found.settings == loaded(STORED)
    assert text(json.loads(found.to_json())["settings"]) == text(STORED)


def test_a_manifest_with_wrong_settings_says_what_to_do(manifest):
    """Whoever reads the sentence can go on."""
    with pytest.raises(CorruptSnapshot, match="settings.seed must be .* snapshots rollback ID`"):
        manifest(settings={"seed": "7"})
