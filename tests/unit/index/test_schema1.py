"""Schema 1 is read with today's names, and what is taken over from it is written as today's."""

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from index.build_settings import Drift
from index.errors import CorruptSnapshot
from index.snapshot import DataFolder
from tests.golden.make import GOLDEN

OLD_SETTINGS = {"changed_since": {"groups": 2, "quality": 1}, "seed": 4}
OLD_ENCODER_INFO = {"schema_version": 1, "framings_sha256": "b" * 64, "dim": 7}


@pytest.fixture
def data(tmp_path):
    """Give the golden data folder of schema 1, with a crop encoder and settings as it had them."""
    data = DataFolder(shutil.copytree(GOLDEN / "schema-1", tmp_path / "data"))
    old = data.snapshots / data.current_id()
    with data.open_current() as snapshot, data.locked(), data.draft() as draft:
        draft.link_from(snapshot, snapshot.manifest.files)
        for name in ("clusters.json", "catalogue.sqlite"):
            shutil.copyfile(old / name, draft.folder / name)
        (draft.folder / "encoder.json").write_text(json.dumps(OLD_ENCODER_INFO))
        (draft.folder / "framings.tflite").write_bytes(b"crops")
        sealed = data.snapshots / draft.publish(replace(snapshot.manifest, created=now()))
    manifest = json.loads((sealed / "manifest.json").read_text())
    return seal(data, sealed, manifest | {"schema_version": 1, "settings": OLD_SETTINGS})


def now() -> str:
    """Return the time as a manifest has it."""
    return datetime.now(UTC).isoformat()


def seal(data, folder, manifest):
    """Write a manifest, and name the folder by it."""
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    data.set_current(folder.rename(folder.with_name(folder.name[:-8] + digest)).name)
    return data


def publish_all(data):
    """Publish the live snapshot again, with all its files taken over."""
    with data.open_current() as old, data.locked(), data.draft() as draft:
        draft.link_from(old, old.manifest.files)
        return data.snapshots / draft.publish(replace(old.manifest, created=now()))


def test_old_names_are_read_as_todays(data):
    """Files, settings and keys have one name in the code, whatever they are called on disk."""
    with data.open_current() as snapshot:
        assert snapshot.manifest.schema_version == 1
        assert snapshot.manifest.settings.drift == Drift(groups=2, quality=1)
        assert snapshot.manifest.settings.seed == 4
        assert snapshot.file("crops.tflite") == snapshot.folder / "framings.tflite"
        assert "framings.tflite" not in snapshot.manifest.files
        assert snapshot.clusters.knee_strength == 0.0485783477440056
        snapshot.check_files()


def test_damage_to_a_file_with_an_old_name_is_found(data):
    """The checks read the file under the name that it has."""
    (data.snapshots / data.current_id() / "framings.tflite").write_bytes(b"drops")

    with pytest.raises(CorruptSnapshot, match=r"crops\.tflite in snapshot"):
        data.open_current()


def test_catalogue_has_no_more_than_schema_1_says(data):
    """What later schemas added is None, and everything else is as it was."""
    with data.open_current() as snapshot:
        records = list(snapshot.catalogue)

    assert {(r.full_digest, r.single_colour, r.inode) for r in records} == {(None, None, None)}
    assert [r.id for r in records if r.path == "red.bmp"] == ["ec4acc0613a041bc-2"]
    assert [r.metadata for r in records if r.metadata] == [
        {"sold": True, "title": "Blue, untitled"}
    ]


def test_what_is_taken_over_is_written_as_todays_schema(data):
    """A step that changes one part, such as `cluster`, leaves no old name behind."""
    with data.open_current() as old:
        records, clusters = list(old.catalogue), old.clusters

    folder = publish_all(data)

    names = {path.name for path in folder.iterdir()}
    assert "crops.tflite" in names
    assert "framings.tflite" not in names
    assert (folder / "crops.tflite").read_bytes() == b"crops"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema_version"] == 2
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert manifest["settings"]["drift"] == {"groups": 2, "quality": 1}
    assert "changed_since" not in manifest["settings"]
    written = json.loads((folder / "clusters.json").read_text())
    assert (written["schema"], written["knee_strength"]) == (2, clusters.knee_strength)
    assert "elbow_bend" not in written
    assert json.loads((folder / "encoder.json").read_text()) == {
        "schema_version": 2,
        "crops_sha256": "b" * 64,
        "dim": 7,
    }
    with data.open_current() as new:
        assert list(new.catalogue) == records
        assert new.clusters.labels.tolist() == clusters.labels.tolist()
        new.check_files()


def test_files_that_did_not_change_are_linked(data):
    """Taking over costs no more than before."""
    old = data.snapshots / data.current_id()

    new = publish_all(data)

    for name in ("vectors.faiss", "topk_rows.npy", "thumbnails.sqlite", "encoder.tflite"):
        assert (new / name).samefile(old / name)
    assert (new / "crops.tflite").samefile(old / "framings.tflite")
