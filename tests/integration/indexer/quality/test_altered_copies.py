"""Checks without labels: on vectors worked out by hand, and through `build` and `evaluate`."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from index.search.faiss_store import FaissStore
from index.snapshot import DataFolder
from indexer.collection.records import make_record
from indexer.errors import EncodingsAlike, NothingToCheck
from indexer.folder.dataset import Scanned, scan
from indexer.folder.walk import walk
from indexer.quality.alterations import ALTERATIONS
from indexer.quality.altered_copies import (
    Recall,
    Subject,
    check_distinguishes,
    recall_of_copies,
    self_check,
    spread_of,
)
from tests.helpers.commands import run
from tests.helpers.fakes import FakeEncoder
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import write_pictures

N = 24


def subject_of(folder, encoder=None):
    """Return the pictures of a folder as a collection to check."""
    encoder = encoder or FakeEncoder()
    scanned = [one for one in scan(folder, walk(folder).files) if isinstance(one, Scanned)]
    records = [make_record(row, f"{row}", one) for row, one in enumerate(scanned)]
    store = FaissStore.from_vectors(encoder.encode(np.stack([one.pixels for one in scanned])))
    return Subject(store, encoder, lambda rows: [records[row] for row in rows], folder)


def flat(colour):
    """Return a picture of one colour, large enough for a logo to be small."""
    return Image.new("RGB", (60, 40), colour)


def test_copies_are_counted_by_alteration(tmp_path):
    """Mean colours survive what leaves them alone, and not what moves them.

    Of black, dark red and red, each altered copy keeps its mean colour when cropped, mirrored,
    shrunk and (nearly) recompressed. Red, brightened, is cut at 255 and stays; dark red (100)
    becomes 130, angle atan(2 * 130 / 255) = 45.6 degrees, nearer to its own 38.1 than to red's
    63.4.
    """
    for name, colour in (("a", (0, 0, 0)), ("b", (100, 0, 0)), ("c", (255, 0, 0))):
        flat(colour).save(tmp_path / f"{name}.png")

    found = recall_of_copies(subject_of(tmp_path), np.arange(3))

    for name in ("centre_crop", "random_crop", "mirror", "jpeg_30", "resize_128", "brighter_30"):
        assert found.n_found[name] == 3
    assert (found.n_pictures, found.n_unread) == (3, 0)


def test_a_copy_that_finds_another_picture_is_a_miss(tmp_path):
    """100 brightened by 30 % is 130: of 100 and 131 it finds the latter, and 131 darkened is 92."""
    flat((100, 0, 0)).save(tmp_path / "a.png")
    flat((131, 0, 0)).save(tmp_path / "b.png")

    found = recall_of_copies(subject_of(tmp_path), np.arange(2))

    assert found.n_found["brighter_30"] == 1  # 131 becomes 170, nearer to itself than to 100
    assert found.n_found["darker_30"] == 1
    assert found.n_found["mirror"] == 2


def test_either_of_two_equal_pictures_will_do(tmp_path):
    """A byte-identical copy of the original is as good an answer."""
    flat((100, 0, 0)).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")

    found = recall_of_copies(subject_of(tmp_path), np.arange(2))

    assert set(found.n_found.values()) == {2}


def test_files_that_are_gone_or_changed_are_not_held_against_the_encoder(tmp_path):
    """One of three vanished, one was painted over: one picture was altered, two unread."""
    paths = write_pictures(tmp_path, 3)
    subject = subject_of(tmp_path)
    paths[0].unlink()
    flat((1, 2, 3)).save(paths[1])

    found = recall_of_copies(subject, np.arange(3))

    assert (found.n_pictures, found.n_unread) == (1, 2)


def test_a_folder_that_has_moved_is_said(tmp_path):
    """The sentence names the folder and --images."""
    write_pictures(tmp_path / "images", 3)
    subject = subject_of(tmp_path / "images")
    (tmp_path / "images").rename(tmp_path / "moved")

    with pytest.raises(NothingToCheck, match="None of 3 pictures .* is readable.*--images"):
        recall_of_copies(subject, np.arange(3))


def test_no_picture_is_begun_after_the_time_is_up(tmp_path):
    """With no time at all, the first is altered and no other; it counts each alteration once."""
    write_pictures(tmp_path, N)

    check = self_check(subject_of(tmp_path), max_seconds=-1)

    assert check.recall.n_pictures == 1
    assert max(check.recall.n_found.values()) == 1


def test_a_handful_of_pictures_is_not_checked(tmp_path):
    """Among 19, to come first means little."""
    write_pictures(tmp_path, 19)

    with pytest.raises(NothingToCheck, match="19 pictures are too few"):
        self_check(subject_of(tmp_path))


def test_spread_on_four_directions():
    """Four orthonormal vectors about their mean use three equal directions; all cosines are 0."""
    store = FaissStore.from_vectors(np.eye(4, dtype=np.float32))

    spread = spread_of(store, np.arange(4))

    assert spread.effective_rank == pytest.approx(3)
    assert spread.median_nearest_score == 0
    assert spread.background_scores == {"p5": 0, "p50": 0, "p95": 0, "p99": 0}


def test_background_scores_are_those_of_different_pictures():
    """At 0, 60 and 120 degrees: pairs score 0.5, 0.5 and -0.5; the nearest of each scores 0.5."""
    angles = np.radians([0, 60, 120])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    spread = spread_of(FaissStore.from_vectors(vectors), np.arange(3))

    assert spread.median_nearest_score == pytest.approx(0.5)
    assert spread.background_scores["p50"] == pytest.approx(0.5)
    assert spread.background_scores["p5"] == pytest.approx(-0.4)  # a tenth of the way to 0.5


def test_the_sentence_is_rounded_down_and_names_the_hardest():
    """1 miss of 110 is 99 in 100, not all; 9 of 10 mirror images."""
    n_found = {one.name: 10 for one in ALTERATIONS}
    whole, missed = Recall(10, 0, n_found), Recall(10, 0, n_found | {"mirror": 9})

    assert whole.sentence().endswith("every altered copy found its original first")
    assert "99 in 100 of these altered copies" in missed.sentence()
    assert "hardest: mirror image, 90 in 100" in missed.sentence()


def test_an_encoder_that_sees_no_difference_is_refused(rng):
    """Equal vectors of different pictures are an error with a cure; of equal pictures none."""
    vectors = np.full((8, 4), 0.5, np.float32)
    pictures = rng.integers(0, 256, (8, 256, 256, 3), dtype=np.uint8)
    pictures[:] = rng.integers(0, 256, (8, 1, 1, 3), dtype=np.uint8)

    with pytest.raises(EncodingsAlike, match="does not tell the pictures apart.*--retrain"):
        check_distinguishes(vectors, pictures)
    check_distinguishes(vectors, np.repeat(pictures[:1], 8, axis=0))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build 24 pictures in two folders; return images, data, and what was said."""
    root = tmp_path_factory.mktemp("checked")
    for name in ("one", "two"):
        write_pictures(root / "images" / name, N // 2)
    command = ("build", root / "images", "--data", root / "data", "--encoder", GOLDEN_ENCODER)
    assert run(*command, "--clusters", 2) == 0
    return root / "images", root / "data"


def test_build_keeps_what_it_found(built):
    """quality.json holds the sentence, the figures and each alteration's share."""
    with DataFolder(built[1]).open_current() as snapshot:
        quality = json.loads(snapshot.file("quality.json").read_text())

    assert quality["pictures_altered"] == quality["n_images"] == N
    assert set(quality["recall_at_1"]) == {one.name for one in ALTERATIONS}
    assert quality["found_first"] == pytest.approx(np.mean(list(quality["recall_at_1"].values())))
    assert quality["summary"].startswith("24 pictures were cropped")


def test_evaluate_without_labels_repeats_it(built, capsys):
    """The same seed gives the same figures; the table names every alteration."""
    with DataFolder(built[1]).open_current() as snapshot:
        quality = json.loads(snapshot.file("quality.json").read_text())

    assert run("evaluate", "--data", built[1], "--json") == 0
    assert json.loads(capsys.readouterr().out) == quality
    assert run("evaluate", "--data", built[1]) == 0
    said = capsys.readouterr().out
    assert all(one.phrase in said for one in ALTERATIONS)


def test_evaluate_with_labels_draws_the_worst(built, tmp_path, capsys):
    """Two folders of the same pictures: a table of two classes, a sheet, and all of it as JSON."""
    sheet = tmp_path / "worst.jpg"
    command = ("evaluate", "--data", built[1], "--labels", "folders", "--sheet", sheet)

    assert run(*command, "--per-class") == 0
    said = capsys.readouterr().out
    assert run(*command, "--json") == 0
    measures = json.loads(capsys.readouterr().out)

    assert "24 labelled pictures" in said
    assert [line.split()[0] for line in said.splitlines()[-2:]] == [
        one["label"] for one in measures["per_class"]
    ]
    assert measures["p_at_1"] == 0  # each picture's copy in the other folder comes first
    assert len(measures["worst"]) == 20
    with Image.open(sheet) as image:
        assert image.format == "JPEG"


def test_a_sheet_without_labels_is_wrong_usage(built, tmp_path, capsys):
    """Exit code 2: nothing is right or wrong without labels."""
    assert run("evaluate", "--data", built[1], "--sheet", tmp_path / "x.jpg") == 2
    assert "require --labels" in capsys.readouterr().err


def test_reindexing_and_clustering_carry_the_check_over(built):
    """The encoder stays, so what is known of it stays: quality.json is a hard link."""
    images, root = built
    data = DataFolder(root)
    before = (data.snapshots / data.current_id() / "quality.json").stat().st_ino
    write_pictures(images / "three", 1)

    assert run("reindex", "--data", root) == 0
    assert run("cluster", "--clusters", 3, "--data", root) == 0

    with data.open_current() as snapshot:
        assert len(snapshot) == N + 1
        assert snapshot.file("quality.json").stat().st_ino == before


def test_many_new_pictures_bring_a_new_check(built, tmp_path, capsys):
    """Over a tenth has changed: the figures are those of the collection as it is now."""
    images, root = tmp_path / "images", tmp_path / "data"
    shutil.copytree(built[0], images)
    shutil.copytree(built[1], root)
    write_pictures(images / "four", 12)
    capsys.readouterr()

    assert run("reindex", images, "--data", root) == 0

    assert "check: " in capsys.readouterr().err
    with DataFolder(root).open_current() as snapshot:
        quality = json.loads(snapshot.file("quality.json").read_bytes())
        assert quality["n_images"] == len(snapshot) > N + 11


def test_a_collection_that_has_shrunk_loses_its_check(built, tmp_path):
    """Figures of pictures that are gone are not shown; of so few none can be had."""
    images, root = tmp_path / "images", tmp_path / "data"
    shutil.copytree(built[0], images)
    shutil.copytree(built[1], root)
    for path in sorted(images.rglob("*.png"))[5:]:
        path.unlink()

    assert run("reindex", images, "--yes", "--data", root) == 0

    with DataFolder(root).open_current() as snapshot:
        assert len(snapshot) == 5
        assert snapshot.file("quality.json") is None
