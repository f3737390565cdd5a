"""Re-indexing gives what a build from scratch with the same encoder gives, with less work."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.build_settings import Drift
from index.snapshot import DataFolder
from index.verification import verify
from indexer.encoding import vectors as encoding
from tests.helpers.commands import run
from tests.helpers.compare import assert_same_neighbours
from tests.helpers.files import flip_bit
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture, write_pictures


@pytest.fixture
def collection(encoder, tmp_path):
    """Give a built collection of 12 pictures: its picture folder and its data folder."""
    write_pictures(tmp_path / "images", 12)
    build(tmp_path / "images", tmp_path / "data", encoder)
    return tmp_path / "images", tmp_path / "data"


def build(images, data, encoder, *more):
    """Build without training."""
    assert run("build", images, "--data", data, "--encoder", encoder, "--clusters", 2, *more) == 0


def contents(data):
    """Return what the live snapshot says of its pictures, vectors and neighbours."""
    with DataFolder(data).open_current() as snapshot:
        assert list(verify(snapshot, all_rows=True)) == []
        records = [(r.row, r.id, r.path, r.sha256) for r in snapshot.catalogue]
        thumbnails = [snapshot.thumbnails.jpeg(r.id) for r in snapshot.catalogue]
        vectors = snapshot.store.vectors(np.arange(len(snapshot)))
        return records, thumbnails, vectors, np.array(snapshot.topk.scores), snapshot.topk.rows[:]


def assert_equal_to_a_build(images, data, encoder, fresh):
    """Compare the live snapshot with one that is built from scratch by the same encoder.

    The numbers of copies in their ids differ, because they depend on the order of arrival.
    """
    build(images, fresh, encoder)
    ours, wanted = contents(data), contents(fresh)
    assert without_numbers(ours[0]) == without_numbers(wanted[0])
    assert ours[1] == wanted[1]
    np.testing.assert_array_equal(ours[2], wanted[2])
    assert_same_neighbours(ours[3], ours[4], wanted[3], wanted[4])


def without_numbers(records):
    """Return records with ids that are equal for all copies of a file."""
    return [(row, image_id[:16], *others) for row, image_id, *others in records]


def test_every_kind_of_change_is_told_and_taken(collection, encoder, tmp_path, capsys):
    """One added, changed, moved, removed and broken file each; the rest is carried over."""
    images, data = collection
    noise_picture(100).save(images / "0 new.png")
    noise_picture(101).save(images / "003.png")
    (images / "sub").mkdir()
    (images / "004.png").rename(images / "sub" / "moved.png")
    (images / "005.png").unlink()
    (images / "broken.png").write_bytes(b"no picture")
    before = {path: image_id for _, image_id, path, _ in contents(data)[0]}
    capsys.readouterr()

    assert run("reindex", "--data", data, "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert told["added"] == ["0 new.png"]
    assert told["changed"] == ["003.png"]
    assert told["moved"] == ["sub/moved.png"]
    assert told["removed"] == ["005.png"]
    assert [one["path"] for one in told["skipped"]] == ["broken.png"]
    after = {path: image_id for _, image_id, path, _ in contents(data)[0]}
    assert after["sub/moved.png"] == before["004.png"]
    assert_equal_to_a_build(images, data, encoder, tmp_path / "fresh")


def test_only_new_pictures_are_encoded(collection, monkeypatch):
    """A moved file, a byte-identical copy and a lossless copy need no encoding; two new ones do."""
    images, data = collection
    (images / "001.png").rename(images / "zz.png")
    shutil.copy(images / "002.png", images / "copy.png")
    noise_picture(3).save(images / "same pixels.bmp")
    noise_picture(200).save(images / "n1.png")
    noise_picture(201).save(images / "n2.png")
    encoded = []
    encode_rows = encoding.encode_rows
    monkeypatch.setattr(
        "indexer.encoding.vectors.encode_rows",
        lambda encoder, source, stages: (
            encoded.append(len(block)) or block for block in encode_rows(encoder, source, stages)
        ),
    )

    assert run("reindex", "--data", data) == 0

    assert sum(encoded) == 2


def test_nothing_changed_publishes_nothing(collection, capsys):
    """A file that was touched is read once; the run after that has nothing to do."""
    images, data = collection
    os.utime(images / "001.png")
    assert run("reindex", "--data", data) == 0
    assert "1 read again without a change" in capsys.readouterr().out
    before = DataFolder(data).current_id()

    assert run("reindex", "--data", data) == 0

    assert DataFolder(data).current_id() == before
    assert "0 added, 0 changed, 0 moved, 0 removed, 0 skipped" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(collection, capsys):
    """It says what would be done, and the data folder stays as it was."""
    images, data = collection
    (images / "001.png").unlink()
    before = sorted(path.name for path in (data / "snapshots").iterdir())

    assert run("reindex", "--data", data, "--dry-run") == 0

    assert "1 removed" in capsys.readouterr().out
    assert sorted(path.name for path in (data / "snapshots").iterdir()) == before


def test_losing_most_of_a_collection_needs_yes(collection, capsys):
    """A wrong or unmounted folder is the usual cause, and the sentence asks for it."""
    images, data = collection
    for number in range(7):
        (images / f"{number:03d}.png").unlink()
    before = DataFolder(data).current_id()

    assert run("reindex", "--data", data) == 1
    assert "7 of 12 pictures are missing from" in capsys.readouterr().err
    assert DataFolder(data).current_id() == before

    assert run("reindex", "--data", data, "--yes") == 0
    assert len(contents(data)[0]) == 5


def test_a_moved_folder_is_taken_over(collection, encoder, tmp_path):
    """The same pictures under another root: nothing is encoded, the root is the new one."""
    images, data = collection
    images.rename(tmp_path / "elsewhere")
    noise_picture(50).save(tmp_path / "elsewhere" / "new.png")

    assert run("reindex", tmp_path / "elsewhere", "--data", data) == 0

    with DataFolder(data).open_current() as snapshot:
        assert snapshot.image_root == tmp_path / "elsewhere"
        assert len(snapshot) == 13


def test_few_changes_keep_the_groups_and_many_make_new_ones(collection):
    """One new to twelve: the medoids stay; six more: groups are made anew."""
    images, data = collection

    def grouping():
        with DataFolder(data).open_current() as snapshot:
            clusters = snapshot.clusters
            assert clusters.n_images == len(snapshot)
            medoids = {snapshot.catalogue.image(row).path for row in clusters.medoids}
            # The silhouette is of the pictures that the groups were made of.
            return medoids, clusters.quality["medoid_silhouette"]

    before = grouping()
    noise_picture(300).save(images / "000 new.png")
    assert run("reindex", "--data", data) == 0
    assert grouping() == before
    for seed in range(6):
        noise_picture(400 + seed).save(images / f"more {seed}.png")
    assert run("reindex", "--data", data) == 0
    assert grouping()[1] != before[1]


def test_many_small_changes_add_up(tmp_path):
    """Three of forty keep the groups; three more make over a tenth, and new groups; and so on."""
    images, data = tmp_path / "images", tmp_path / "data"
    write_pictures(images, 40)
    build(images, data, GOLDEN_ENCODER)  # small: over 20 pictures are checked by every build

    def after(n_new, first):
        for seed in range(first, first + n_new):
            noise_picture(seed).save(images / f"more {seed}.png")
        assert run("reindex", "--data", data) == 0
        with DataFolder(data).open_current() as snapshot:
            return snapshot.manifest.settings.drift

    assert after(3, 600) == Drift(groups=3, quality=3)
    assert after(3, 610) == Drift(groups=0, quality=0)  # made anew
    assert after(2, 620) == Drift(groups=2, quality=2)
    assert run("cluster", "--clusters", 2, "--data", data) == 0
    with DataFolder(data).open_current() as snapshot:
        assert snapshot.manifest.settings.drift == Drift(groups=0, quality=2)


def test_a_removed_picture_stays_away_until_it_is_added_again(collection, encoder, tmp_path):
    """Its file stays in the folder, and re-indexing minds the decision."""
    images, data = collection
    image_id = {path: image_id for _, image_id, path, _ in contents(data)[0]}["004.png"]

    assert run("remove", image_id, "--data", data) == 0
    assert "004.png" not in [path for *_, path, _ in contents(data)[0]]
    noise_picture(60).save(images / "new.png")
    assert run("reindex", "--data", data) == 0
    assert "004.png" not in [path for *_, path, _ in contents(data)[0]]
    assert run("add", images / "004.png", "--data", data) == 0

    assert_equal_to_a_build(images, data, encoder, tmp_path / "fresh")
    assert run("reindex", "--data", data) == 0
    assert len(contents(data)[0]) == 13


def test_add_takes_one_file_and_nothing_else(collection):
    """Another new file and a deleted one are left for `reindex`."""
    images, data = collection
    noise_picture(70).save(images / "one.png")
    noise_picture(71).save(images / "other.png")
    (images / "000.png").unlink()

    assert run("add", images / "one.png", "--data", data) == 0

    paths = [path for *_, path, _ in contents(data)[0]]
    assert "one.png" in paths
    assert "000.png" in paths
    assert "other.png" not in paths


def test_what_cannot_be_added_or_removed_is_explained(collection, tmp_path, capsys):
    """A file elsewhere and an unknown id: one sentence each, nothing published."""
    _, data = collection
    noise_picture(1).save(tmp_path / "elsewhere.png")
    before = DataFolder(data).current_id()

    assert run("add", tmp_path / "elsewhere.png", "--data", data) == 1
    assert "Copy it there, then add it again" in capsys.readouterr().err
    assert run("remove", "nope", "--data", data) == 1
    assert "has the id 'nope'" in capsys.readouterr().err
    assert DataFolder(data).current_id() == before


def test_a_damaged_snapshot_is_not_carried_over(collection, capsys):
    """A flipped byte in the old vectors is named; it does not get a new checksum."""
    images, data = collection
    folder = DataFolder(data)
    flip_bit(folder.snapshots / folder.current_id() / "vectors.faiss", at=100_000)
    noise_picture(80).save(images / "new.png")

    assert run("reindex", "--data", data) == 1
    assert "vectors.faiss" in capsys.readouterr().err


def test_retrain_makes_a_new_encoder(tmp_path):
    """With the options of the last build, and on the pictures as they are now."""
    images, data = tmp_path / "images", tmp_path / "data"
    write_pictures(images, 6)
    command = ("build", images, "--data", data, "--architecture", "classic", "--steps", 2)
    assert run(*command, "--clusters", 2) == 0
    with DataFolder(data).open_current() as before:
        first = before.manifest
    noise_picture(90).save(images / "new.png")

    assert run("reindex", "--retrain", "--data", data) == 0

    with DataFolder(data).open_current() as after:
        assert len(after) == 7
        assert after.manifest.encoder != first.encoder
        assert after.manifest.settings.training == first.settings.training


def test_pictures_unlike_those_learnt_bring_a_warning(tmp_path, capsys):
    """Nine dark pictures are learnt; ten glaring ones follow: the cure is named."""
    images, data = tmp_path / "images", tmp_path / "data"
    images.mkdir()
    for n in range(9):
        noise_picture(n).point(lambda value: value // 5).save(images / f"{n:03d}.png")
    command = ("build", images, "--data", data, "--architecture", "classic", "--steps", 40)
    assert run(*command, "--clusters", 1) == 0
    for n in range(10):
        noise_picture(n).point(lambda value: 255 - value // 5).save(images / f"white {n}.png")
    capsys.readouterr()

    assert run("reindex", "--data", data) == 0

    assert "Train a new encoder with `bin/lookalike reindex --retrain`" in capsys.readouterr().err


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "copy", "change", "move", "remove", "reindex"]),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(operations=OPERATIONS)
def test_any_sequence_of_changes_equals_a_build(encoder, tmp_path_factory, operations):
    """Adds, copies, changes, moves, removals and re-indexings in any order: as if built anew."""
    root = tmp_path_factory.mktemp("sequence")
    images, data = root / "images", root / "data"
    write_pictures(images, 5)
    build(images, data, encoder)
    for step, (operation, number) in enumerate(operations):
        apply(operation, number, step, images, data)

    assert run("reindex", "--data", data, "--yes") == 0

    assert_equal_to_a_build(images, data, encoder, root / "fresh")


def apply(operation, number, step, images, data):
    """Carry out one change on the folder; at least two pictures always stay."""
    files = sorted(images.iterdir())
    chosen = files[number % len(files)]
    if operation == "add":
        noise_picture(1000 + step * 40 + number).save(images / f"{number:02d} {step}.png")
    elif operation == "copy":
        shutil.copy(chosen, images / f"{number:02d} copy {step}.png")
    elif operation == "change":
        noise_picture(5000 + step * 40 + number).save(chosen)
    elif operation == "move":
        chosen.rename(images / f"{number:02d} moved {step}.png")
    elif operation == "remove" and len(files) > 2:
        chosen.unlink()
    elif operation == "reindex":
        assert run("reindex", "--data", data, "--yes") == 0


def places(data):
    """Return each picture's place on the map of the live snapshot, by path."""
    with DataFolder(data).open_current() as snapshot:
        return dict(
            zip(
                [record.path for record in snapshot.catalogue],
                snapshot.map_points.xy.tolist(),
                strict=True,
            )
        )


def test_few_changes_keep_the_map(collection):
    """Pictures stay where they were; a new one comes to lie between those that it is like."""
    images, data = collection
    before = places(data)
    noise_picture(100).save(images / "new.png")

    assert run("reindex", "--data", data) == 0

    after = places(data)
    new = after.pop("new.png")
    assert after == before
    low, high = np.min(list(before.values()), axis=0), np.max(list(before.values()), axis=0)
    assert (low <= new).all()
    assert (new <= high).all()


def test_many_changes_draw_the_map_anew(collection, encoder, tmp_path):
    """Then it is that of a build from scratch."""
    images, data = collection
    for seed in range(100, 106):
        noise_picture(seed).save(images / f"{seed}.png")

    assert run("reindex", "--data", data) == 0

    build(images, tmp_path / "fresh", encoder)
    assert places(data) == places(tmp_path / "fresh")
