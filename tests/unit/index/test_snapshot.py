"""Snapshots are published whole or not at all, and damage is found and named."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.artefacts.map_points import MapPoints
from index.errors import CannotWrite, CorruptSnapshot, DataFolderBusy, NewerSchema, NoSnapshot
from index.search.faiss_store import FaissStore
from index.snapshot import DataFolder, Snapshot
from tests.helpers.fakes import FakeEncoder
from tests.helpers.published import clusters_of, publish_vectors


@pytest.fixture
def data(tmp_path):
    """Give an empty data folder."""
    return DataFolder(tmp_path / "data")


def test_an_empty_folder_says_what_to_run(data):
    """Nobody has to guess the next command."""
    with pytest.raises(NoSnapshot, match=r"bin/lookalike build IMAGES --data"):
        data.open_current()


def test_what_was_published_is_what_is_opened(data, unit_vectors):
    """Vectors, table, catalogue and manifest agree after a round trip."""
    vectors = unit_vectors(12)

    snapshot_id = publish_vectors(data, vectors, top_k=5)

    with data.open_current() as snapshot:
        assert snapshot.id == snapshot_id == data.current_id()
        assert len(snapshot) == len(snapshot.catalogue) == 12
        assert (snapshot.topk.k, snapshot.manifest.dim) == (5, 16)
        np.testing.assert_array_equal(snapshot.store.vectors(np.arange(12)), vectors)
        assert snapshot.clusters is None
        snapshot.check_files()


def test_the_id_is_time_then_hash_so_ids_sort_by_age(data, unit_vectors):
    """Two snapshots published one after the other sort in that order."""
    ids = [publish_vectors(data, unit_vectors(3, seed=seed)) for seed in range(3)]

    assert data.ids() == ids == sorted(ids)


def test_a_draft_that_is_not_published_leaves_nothing(data, unit_vectors):
    """An error half-way keeps the old snapshot live and removes the new files."""
    old = publish_vectors(data, unit_vectors(3))

    def stop_half_way():
        with data.locked(), data.draft() as draft:
            (draft.folder / "vectors.faiss").write_bytes(b"x")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        stop_half_way()

    assert data.current_id() == old
    assert [p.name for p in data.snapshots.iterdir()] == [old]


def test_parts_that_do_not_agree_are_not_published(data, unit_vectors):
    """Twelve vectors with a table of eleven lines never go live."""
    other = FaissStore.from_vectors(unit_vectors(11))

    with pytest.raises(CorruptSnapshot, match="different numbers of pictures"):
        publish_vectors(data, unit_vectors(12), table_of=other)

    assert data.current_id() is None


def test_leftovers_of_a_killed_run_are_cleared_by_the_next(data):
    """A hidden folder of a process that died is gone once the lock is held again."""
    (data.snapshots / ".new-1-dead").mkdir(parents=True)
    (data.snapshots / ".new-1-dead" / "big").write_bytes(b"x" * 100)

    with data.locked():
        assert list(data.snapshots.iterdir()) == []


def test_foreign_files_among_snapshots_are_left_alone(data, unit_vectors):
    """What a NAS, a desktop or a person puts there is no snapshot and is never removed."""
    data.snapshots.mkdir(parents=True)
    (data.snapshots / ".DS_Store").write_bytes(b"x")
    names = ["#recycle", "@eaDir", ".Trash-1000", "20261122T202730164593Z-ab1cba08 copy"]
    for name in names:
        (data.snapshots / name).mkdir()
        (data.snapshots / name / "precious").write_bytes(b"x")

    ids = [publish_vectors(data, unit_vectors(3, seed=seed)) for seed in range(3)]
    assert data.ids() == ids
    assert data.prune(keep=1) == ids[:2]
    left = {path.name for path in data.snapshots.iterdir()}
    assert left == {*names, ".DS_Store", ids[2]}
    assert all((data.snapshots / name / "precious").exists() for name in names)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_file_system_that_cannot_sync_folders(data, unit_vectors, monkeypatch, code):
    """Publishing goes on where only files can be synced, such as in shared folders of a VM."""
    fsync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    assert publish_vectors(data, unit_vectors(3)) == data.current_id()


def test_data_folder_whose_path_is_not_utf8_is_refused(tmp_path):
    """FAISS takes names in UTF-8 only, so the sentence comes before any work is done."""
    root = tmp_path / os.fsdecode(b"B\xfccher") / "data"
    with pytest.raises(CannotWrite, match=r"not UTF-8 \(b'.*B\\xfccher/data'\): rename"):
        DataFolder(root).locked().__enter__()
    assert not root.parent.exists()


def test_two_indexers_cannot_mix(data):
    """The second is told the first one's process id."""
    with (
        data.locked(),
        pytest.raises(DataFolderBusy, match=rf"process {os.getpid()}\b"),
        data.locked(),
    ):
        pytest.fail("two indexers held one lock")


def test_a_dead_process_holds_no_lock(data):
    """Flock ends with its process, kill -9 included."""
    script = (
        "import os, signal, pathlib\nfrom index.snapshot import DataFolder\n"
        f"with DataFolder(pathlib.Path({str(data.root)!r})).locked():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=os.getcwd(), check=False)

    assert ended.returncode == -9
    with data.locked():
        pass


@pytest.mark.parametrize(
    "name", ["vectors.faiss", "topk_rows.npy", "topk_scores.npy", "catalogue.sqlite"]
)
@pytest.mark.parametrize("damage", ["flipped", "short", "missing"])
def test_every_damaged_file_is_named(data, unit_vectors, name, damage):
    """One flipped byte, one byte less, or no file at all: refused by name."""
    file = data.snapshots / publish_vectors(data, unit_vectors(12)) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    if damage != "missing":
        file.write_bytes(content if damage == "flipped" else content[:-1])

    with pytest.raises(CorruptSnapshot, match=name):
        data.open_current()


def test_a_changed_manifest_is_found(data, unit_vectors):
    """The folder's name ends with the manifest's hash."""
    path = data.snapshots / publish_vectors(data, unit_vectors(3)) / "manifest.json"
    path.write_text(path.read_text().replace('"top_k": 3', '"top_k": 2'))

    with pytest.raises(CorruptSnapshot, match=r"manifest.json .* has been changed"):
        data.open_current()


def test_a_newer_schema_is_refused_with_the_cure(data, unit_vectors):
    """An old program says that it is old instead of reading nonsense."""
    path = data.snapshots / publish_vectors(data, unit_vectors(3)) / "manifest.json"
    fields = json.loads(path.read_text()) | {"schema_version": 99}
    path.write_text(json.dumps(fields))

    with pytest.raises(NewerSchema, match="update Lookalike"):
        data.open_current()


def test_large_files_are_checked_apart(data, unit_vectors):
    """Opening reads no large file; check_large_files finds the flipped byte in it."""
    file = data.snapshots / publish_vectors(data, unit_vectors(300, 1024)) / "vectors.faiss"
    assert file.stat().st_size > 1 << 20
    with file.open("r+b") as opened:
        opened.seek(500_000)
        byte = opened.read(1)[0]
        opened.seek(500_000)
        opened.write(bytes([byte ^ 1]))

    with data.open_current() as snapshot, pytest.raises(CorruptSnapshot, match="vectors.faiss"):
        snapshot.check_large_files()


def test_prune_keeps_the_last_three_the_live_one_and_open_ones(data, unit_vectors):
    """What is in use or was rolled back to is never removed."""
    ids = [publish_vectors(data, unit_vectors(3, seed=seed)) for seed in range(6)]
    data.set_current(ids[0])

    with data.open(ids[1]):
        assert data.prune() == [ids[2]]
    assert data.prune() == [ids[1]]
    assert data.ids() == [ids[0], *ids[3:]]


def test_hard_links_carry_the_unchanged_parts(data, unit_vectors):
    """A draft that changes one part shares the others' disk blocks."""
    old_id = publish_vectors(data, unit_vectors(3))

    with data.open(old_id) as old, data.locked(), data.draft() as draft:
        draft.link_from(old, ["vectors.faiss", "not there"])

        assert not (draft.folder / "topk_rows.npy").exists()
        ours, theirs = (folder / "vectors.faiss" for folder in (draft.folder, old.folder))
        assert ours.stat().st_ino == theirs.stat().st_ino


def test_an_open_snapshot_survives_its_removal(data, unit_vectors):
    """Files that are open or mapped stay readable after the folder is gone."""
    vectors = unit_vectors(30)
    publish_vectors(data, vectors)

    with data.open_current() as snapshot:
        shutil.rmtree(snapshot.folder)
        _, rows = snapshot.store.search(vectors, 1)

    assert rows[:, 0].tolist() == list(range(30))


def test_a_closed_snapshot_gives_its_lock_back(data, unit_vectors):
    """Closing twice is harmless; afterwards the snapshot may be pruned."""
    ids = [publish_vectors(data, unit_vectors(3, seed=seed)) for seed in range(2)]
    snapshot = Snapshot.open(data.snapshots / ids[0])
    assert data.prune(keep=1) == []

    snapshot.close()
    snapshot.close()

    assert data.prune(keep=1) == [ids[0]]


def test_a_manifest_of_fewer_fields_is_still_known(data, unit_vectors):
    """What a later version adds to the manifest does not make the old ones unknown."""
    folder = data.snapshots / publish_vectors(data, unit_vectors(3))
    fields = json.loads((folder / "manifest.json").read_text())
    del fields["versions"]
    text = json.dumps(fields)
    (folder / "manifest.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    renamed = folder.rename(data.snapshots / f"20200101T000000000000Z-{digest}")
    data.set_current(renamed.name)

    with data.open_current() as snapshot:
        assert (len(snapshot), snapshot.manifest.versions) == (3, {})


def test_everything_is_on_the_disk_before_its_name_is(data, unit_vectors, monkeypatch):
    """Files, then their folder, then the rename, then the list of snapshots; CURRENT alike."""
    done = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def noted(call, what):
        return lambda *arguments: (done.append(what(*arguments)), call(*arguments))[1]

    monkeypatch.setattr(os, "fsync", noted(fsync, lambda descriptor: os.fstat(descriptor).st_ino))
    monkeypatch.setattr(os, "rename", noted(rename, lambda _, new: Path(new).name))
    monkeypatch.setattr(os, "replace", noted(replace, lambda _, new: Path(new).name))

    snapshot_id = publish_vectors(data, unit_vectors(3))

    folder = data.snapshots / snapshot_id
    at = done.index(snapshot_id)
    assert {path.stat().st_ino for path in folder.iterdir()} <= set(done[:at])
    assert done[at - 1] == folder.stat().st_ino
    assert done[at + 1 :] == [
        data.snapshots.stat().st_ino,
        (data.root / "CURRENT").stat().st_ino,
        "CURRENT",
        data.root.stat().st_ino,
    ]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_one_may_read_but_nothing_is_written_or_pruned(
    data, unit_vectors, monkeypatch, code
):
    """On a file system that cannot lock, nobody can tell who reads, so nothing is taken away."""
    ids = [publish_vectors(data, unit_vectors(3, seed=seed)) for seed in range(2)]

    def refuse(descriptor, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with data.open_current() as snapshot:
        assert len(snapshot) == 3
    assert data.prune(keep=1) == []
    assert data.ids() == ids
    with pytest.raises(CannotWrite, match="without file locks: choose a folder on a local disk"):
        data.locked().__enter__()


def test_what_cannot_be_made_current_is_taken_away_again(data, unit_vectors, monkeypatch):
    """A disk that is full at the very last step leaves no snapshot that nobody will read."""
    before = publish_vectors(data, unit_vectors(3))

    def refuse(self, snapshot_id):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DataFolder, "set_current", refuse)
    with pytest.raises(OSError, match="No space left"):
        publish_vectors(data, unit_vectors(4))

    assert (data.ids(), data.current_id()) == ([before], before)
    assert [path.name for path in data.snapshots.iterdir()] == [before]


@pytest.mark.parametrize(
    ("fingerprint", "dim"),
    [("other", 16), (FakeEncoder.fingerprint, 7)],
    ids=["fingerprint", "length"],
)
def test_an_encoder_of_another_collection_is_named(data, unit_vectors, fingerprint, dim):
    """Only the encoder that made the vectors passes."""
    publish_vectors(data, unit_vectors(3))

    with data.open_current() as snapshot:
        assert snapshot.encoder_finding(FakeEncoder.fingerprint, 16) is None
        finding = snapshot.encoder_finding(fingerprint, dim)

    assert finding is not None
    assert f"but its file is {fingerprint} (length {dim})" in finding


def test_groups_and_map_of_other_pictures_are_refused(data, unit_vectors):
    """Their numbers of pictures are compared with the snapshot's when they are read."""
    publish_vectors(data, unit_vectors(4))
    few = unit_vectors(3)
    with data.locked(), data.open_current() as old, data.draft() as draft:
        draft.link_from(old, old.manifest.files)
        clusters_of(few, 2, elbow_clear=True).save(draft.folder / "clusters.json")
        MapPoints.fitted(few[:, :2].astype(np.float64)).save(draft.folder)
        draft.publish(replace(old.manifest, created="2026-11-25T00:00:00+00:00"))

    with data.open_current() as snapshot:
        with pytest.raises(CorruptSnapshot, match="clusters.json .* covers 3 pictures, .* has 4"):
            _ = snapshot.clusters
        with pytest.raises(CorruptSnapshot, match="map.npy .* covers 3 pictures, .* has 4"):
            _ = snapshot.map_points
