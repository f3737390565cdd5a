"""The whole way from a folder to a snapshot, with the real network, on a dozen small pictures."""

import io
import json
import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from index.search.reference import ReferenceStore
from index.snapshot import DataFolder
from models.encoder import Encoder
from models.preprocess import decode, to_pixels
from tests.helpers.commands import run
from tests.helpers.compare import assert_same_neighbours
from tests.helpers.files import flip_bit
from tests.helpers.pictures import picture_bytes, write_pictures


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build once: 12 pictures, a byte-identical copy, a broken file and a text file."""
    root = tmp_path_factory.mktemp("collection")
    images, data = root / "images", root / "data"
    paths = write_pictures(images / "sub folder", 12)
    (images / "zz copy.png").write_bytes(paths[3].read_bytes())
    (images / "broken.png").write_bytes(paths[0].read_bytes()[:-50])
    (images / "notes.txt").write_text("not a picture")
    assert run("build", images, "--data", data, "--steps", 3, "--clusters", 3) == 0
    return images, data


@pytest.fixture
def snapshot(built):
    """Give the live snapshot of the built collection."""
    with DataFolder(built[1]).open_current() as opened:
        yield opened


def test_every_picture_has_a_row_and_every_other_file_a_reason(snapshot):
    """Thirteen pictures in the order of their paths; a broken one is skipped with its code."""
    paths = [record.path for record in snapshot.catalogue]
    skipped = json.loads(snapshot.file("skipped.json").read_text())

    assert paths == [f"sub folder/{i:03d}.png" for i in range(12)] + ["zz copy.png"]
    assert [(one["path"], one["code"]) for one in skipped] == [("broken.png", "undecodable")]


def test_a_byte_identical_copy_is_numbered(snapshot):
    """The copy has the original's id with -2, and its vector bit for bit."""
    original, copy = snapshot.catalogue.image(3), snapshot.catalogue.image(12)
    vectors = snapshot.store.vectors(np.array([3, 12]))

    assert copy.id == original.id + "-2"
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_the_stored_vectors_are_what_the_stored_encoder_gives(built, snapshot):
    """Alone or in a batch, today or tomorrow: the same unit rows of 4096 numbers, bit for bit."""
    encoder = Encoder.open(snapshot.file("encoder.tflite"))
    for row in (0, 5, 12):
        record = snapshot.catalogue.image(row)
        pixels = to_pixels(decode(record.file_under(built[0]).read_bytes()))

        vector = encoder.encode(pixels[None])

        np.testing.assert_array_equal(vector, snapshot.store.vectors(np.array([row])))
    lengths = np.linalg.norm(snapshot.store.vectors(np.arange(13)), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert (snapshot.manifest.dim, snapshot.manifest.encoder) == (4096, encoder.fingerprint)


def test_the_table_equals_the_reference_for_every_row(snapshot):
    """All neighbours of all pictures, ties in mind."""
    vectors = snapshot.store.vectors(np.arange(13))

    wanted = ReferenceStore.from_vectors(vectors).search(vectors, 13)

    assert_same_neighbours(snapshot.topk.scores, snapshot.topk.rows, *wanted)


def test_there_is_a_thumbnail_for_every_picture(snapshot):
    """Each is a JPEG of the picture's own proportions."""
    for record in snapshot.catalogue:
        with Image.open(io.BytesIO(snapshot.thumbnails.jpeg(record.id))) as image:
            assert (image.format, image.size) == ("JPEG", (record.width, record.height))


def test_groups_are_stored(snapshot):
    """Three groups were asked for; a copy is in its original's group."""
    assert len(snapshot.clusters) == 3
    assert snapshot.clusters.labels[3] == snapshot.clusters.labels[12]


def test_verify_passes(built, capsys):
    """A new snapshot is sound, every row of its table compared."""
    assert run("verify", "--all", "--data", built[1]) == 0
    assert "is sound: 13 pictures" in capsys.readouterr().out


def test_search_knows_its_pictures_and_encodes_others(built, tmp_path, capsys):
    """A file of the collection and its lossless copy are cached; a smaller JPEG is encoded."""
    original = built[0] / "sub folder" / "004.png"
    with Image.open(original) as image:
        image.save(tmp_path / "same.bmp")
        image.resize((50, 40)).save(tmp_path / "small.jpg", quality=95)

    answers = []
    for path in (original, tmp_path / "same.bmp", tmp_path / "small.jpg"):
        assert run("search", path, "--data", built[1], "--json", "--limit", 5) == 0
        answers.append(json.loads(capsys.readouterr().out))
        assert answers[-1].pop("time_ms") > 0

    assert [answer["mode"] for answer in answers] == ["cached", "cached", "encoded"]
    assert answers[0] == answers[1]
    assert answers[0]["results"][0]["path"] == "sub folder/004.png"
    assert answers[0]["results"][0]["score"] == pytest.approx(1, abs=1e-6)


def test_a_second_build_keeps_the_encoder(built, tmp_path, capsys):
    """The same folder is encoded by the same file, without training, to the same vectors."""
    before = DataFolder(built[1]).current_id()
    with DataFolder(built[1]).open(before) as old:
        vectors = old.store.vectors(np.arange(13))

    assert run("build", built[0], "--data", built[1], "--clusters", 2) == 0

    assert "Using the collection's encoder" in capsys.readouterr().err
    with DataFolder(built[1]).open_current() as new:
        assert new.id != before
        np.testing.assert_array_equal(new.store.vectors(np.arange(13)), vectors)
        assert len(new.clusters) == 2


def test_snapshots_list_is_the_contract(built, capsys):
    """The JSON names id, created, n_images, size_bytes and current."""
    assert run("snapshots", "list", "--json", "--data", built[1]) == 0

    listed = json.loads(capsys.readouterr().out)

    assert set(listed[-1]) == {"id", "created", "n_images", "size_bytes", "current"}
    assert [one["current"] for one in listed].count(True) == 1
    assert listed[-1]["n_images"] == 13
    assert listed[-1]["size_bytes"] > 13 * 4096 * 4


def test_export_writes_every_file(built, tmp_path):
    """The five files are there, of the right shapes."""
    assert run("export", tmp_path / "out", "--data", built[1]) == 0

    medoids, groups = json.loads((tmp_path / "out" / "k_groups.json").read_text())
    assert np.load(tmp_path / "out" / "encodings.npy").shape == (13, 4096)
    assert np.load(tmp_path / "out" / "cosine_similarity_matrix.npy").shape == (13, 13)
    assert sorted(row for group in groups for row in group) == list(range(13))
    assert [group[0] for group in groups] == medoids


def test_cluster_publishes_new_groups_and_links_the_rest(built):
    """Other groups, the same vectors on the same disk blocks."""
    data = DataFolder(built[1])
    before = data.snapshots / data.current_id()

    assert run("cluster", "--clusters", 5, "--data", built[1]) == 0

    with data.open_current() as new:
        assert len(new.clusters) == 5
        assert (new.folder / "vectors.faiss").stat().st_ino == (
            before / "vectors.faiss"
        ).stat().st_ino


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: None, "does not exist. Name the folder"),
        (lambda p: p.write_bytes(b"x"), "is a file, not a folder"),
        (lambda p: p.mkdir(), "There are no pictures in"),
        (lambda p: (p.mkdir(), (p / "a.txt").write_text("a")), "There are no pictures in"),
    ],
    ids=["missing", "file", "empty", "no pictures"],
)
def test_a_wrong_folder_is_one_clear_sentence(tmp_path, capsys, make, sentence):
    """Exit code 1, one line on stderr, no trace, and nothing published."""
    make(tmp_path / "images")

    assert run("build", tmp_path / "images", "--data", tmp_path / "data") == 1

    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert DataFolder(tmp_path / "data").current_id() is None


def test_strict_makes_a_bad_file_an_error(built, tmp_path, capsys):
    """The first one is named with its reason, and nothing is published."""
    code = run("build", built[0], "--data", tmp_path / "data", "--strict", "--steps", 1)

    assert code == 1
    assert "1 file cannot be used. The first is broken.png" in capsys.readouterr().err
    assert DataFolder(tmp_path / "data").current_id() is None


def test_commands_without_a_snapshot_say_what_to_run(tmp_path, capsys):
    """Every reader names the command that makes one."""
    for command in (["verify"], ["search", "x.png"], ["export", tmp_path / "out"], ["cluster"]):
        assert run(*command, "--data", tmp_path / "data") == 1
        assert "bin/lookalike build IMAGES" in capsys.readouterr().err


def test_verify_names_a_damaged_file(built, tmp_path, capsys):
    """One flipped byte in the encoder: exit code 1 and the file's name."""
    with DataFolder(built[1]).open_current() as snapshot:
        draft = DataFolder(tmp_path / "data").snapshots / snapshot.id
        draft.mkdir(parents=True)
        for name in [*snapshot.manifest.files, "manifest.json"]:
            (draft / name).write_bytes((snapshot.folder / name).read_bytes())
        DataFolder(tmp_path / "data").set_current(snapshot.id)
    flip_bit(draft / "encoder.tflite")

    assert run("verify", "--data", tmp_path / "data") == 1
    assert "encoder.tflite" in "".join(capsys.readouterr())


def test_one_picture_is_a_collection(tmp_path):
    """The smallest folder builds, and its picture finds itself."""
    write_pictures(tmp_path / "images", 1)

    code = run("build", tmp_path / "images", "--data", tmp_path / "data", "--steps", 1)

    assert code == 0
    with DataFolder(tmp_path / "data").open_current() as snapshot:
        assert snapshot.topk.rows.tolist() == [[0]]
    assert run("verify", "--data", tmp_path / "data") == 0


def test_names_of_every_kind_are_kept(tmp_path, capsys):
    """Spaces, quotes, newlines and bytes that are not UTF-8 lead back to their files."""
    images = tmp_path / "images"
    images.mkdir()
    names = [b"a b.png", b'it\'s "x".png', b"line\nbreak.png", b"caf\xe9.png", "ü&<b>.png".encode()]
    for i, name in enumerate(names):
        with open(os.fsencode(images) + b"/" + name, "wb") as file:
            file.write(picture_bytes((i * 40, 0, 255)))

    assert run("build", images, "--data", tmp_path / "data", "--steps", 1, "--clusters", 1) == 0

    with DataFolder(tmp_path / "data").open_current() as snapshot:
        for record in snapshot.catalogue:
            assert record.file_under(images).is_file()
        assert {os.fsencode(r.file_under(images).name) for r in snapshot.catalogue} == set(names)
        database = snapshot.folder / "catalogue.sqlite"
        with closing(sqlite3.connect(database)) as connection:
            (raw,) = connection.execute(
                "SELECT raw_path FROM images WHERE raw_path IS NOT NULL"
            ).fetchone()
    assert raw == b"caf\xe9.png"


def test_the_elbow_is_found_and_drawn(built, tmp_path, capsys):
    """Without --clusters the curve is stored and drawn, and each group gets a sheet."""
    command = ("cluster", "--max-clusters", 6, "--labels", "folders", "--sheets", tmp_path / "s")
    assert run(*command, "--data", built[1]) == 0

    said = capsys.readouterr().out
    assert "number of groups: " in said
    assert "purity" in said
    with DataFolder(built[1]).open_current() as snapshot:
        clusters = snapshot.clusters
        assert [n for n, _ in clusters.wce] == [2, 3, 4, 5, 6]
        with Image.open(snapshot.file("elbow.png")) as plot:
            assert plot.format == "PNG"
    assert len(list((tmp_path / "s").glob("group-*.jpg"))) == len(clusters)


def test_partition_puts_every_picture_into_its_group(built, tmp_path, capsys):
    """A folder for each group, each with its medoid marked; a second call writes nothing."""
    assert run("cluster", "--clusters", 3, "--data", built[1]) == 0
    assert run("partition", tmp_path / "out", "--data", built[1]) == 0
    assert "13 pictures written" in capsys.readouterr().out

    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    files = [path for folder in folders for path in folder.iterdir()]
    assert len(folders) == 3
    assert len(files) == 13
    assert len([path for path in files if path.name.startswith("medoid--")]) == 3

    assert run("partition", tmp_path / "out", "--data", built[1]) == 0
    assert "0 pictures written, 13 already there" in capsys.readouterr().out


def test_more_groups_than_pictures_are_refused_before_training(built, tmp_path, capsys):
    """Nobody waits for half an hour to be told this."""
    command = ("build", built[0], "--data", tmp_path / "data", "--clusters", 14, "--steps", 1)

    assert run(*command) == 1

    assert "13 pictures" in capsys.readouterr().err
    assert not (tmp_path / "data" / "training").exists()


def test_duplicates_lists_the_copy_in_every_form(built, capsys):
    """The byte-identical copy and its original are the one exact group."""
    command = ("duplicates", "--data", built[1], "--threshold", 1.1)
    said = []
    for form in ("table", "json", "csv"):
        assert run(*command, "--format", form) == 0
        said.append(capsys.readouterr().out)

    assert said[0].startswith("group 1: 2 pictures, exact\n  1.0000  ")
    group = json.loads(said[1])
    assert group["kind"] == "exact"
    assert [one["path"] for one in group["images"]] == ["sub folder/003.png", "zz copy.png"]
    heading, first, _ = said[2].splitlines()
    assert heading.startswith("group,kind,id,path")
    assert first.split(",")[:2] == ["1", "exact"]
