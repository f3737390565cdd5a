"""What a user says of the pictures, from a file to the published catalogue."""

import json

import pytest

from index.snapshot import DataFolder
from index.verification import verify
from indexer.encoding import vectors
from tests.helpers.commands import run
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture, write_pictures

HEADER = "path,species,year,tame\n"


@pytest.fixture
def place(tmp_path):
    """Give a folder with a collection of 6 pictures, 3 of them with metadata."""
    write_pictures(tmp_path / "images", 6)
    lines = "000.png,fox,2019,true\n001.png,owl,2021,false\n002.png,owl,,\nstray.png,owl,1,true\n"
    (tmp_path / "metadata.csv").write_text(HEADER + lines)
    build(tmp_path)
    return tmp_path


def build(place):
    """Build without training, with the metadata of metadata.csv."""
    how = ("--encoder", GOLDEN_ENCODER, "--clusters", 2, "--metadata", place / "metadata.csv")
    assert run("build", place / "images", "--data", place / "data", *how) == 0


def metadata(place):
    """Return the metadata in the live snapshot by path, where there is any."""
    with DataFolder(place / "data").open_current() as snapshot:
        assert list(verify(snapshot)) == []
        return {one.path: one.metadata for one in snapshot.catalogue if one.metadata}


def reindex(place, *more):
    """Bring the collection up to date."""
    return run("reindex", "--data", place / "data", *more)


FOX = {"species": "fox", "year": 2019, "tame": True}
OWL = {"species": "owl", "year": 2021, "tame": False}
THREE = {"000.png": FOX, "001.png": OWL, "002.png": {"species": "owl"}}


def test_a_build_takes_what_a_file_says(place, capsys):
    """Numbers are numbers; an empty cell says nothing; strangers and pictures left out are told."""
    assert metadata(place) == THREE
    build(place)
    assert (
        "metadata: 3 of 6 pictures have no line, 1 line matches no picture (the first: 'stray.png')"
        in capsys.readouterr().err
    )


def test_metadata_with_line_ends_of_old_macs(place):
    """A CSV file with CR only, as some Macs still write, says the same as any other."""
    file = place / "metadata.csv"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r"))
    build(place)
    assert metadata(place) == THREE


def test_labels_from_a_spreadsheet_and_files_from_a_mac(tmp_path, capsys):
    """Semicolons, `Path`, backslashes and NFC names label each file, whose names are in NFD."""
    folder = tmp_path / "images" / "Scho\u0308n"
    write_pictures(folder, 4)
    build = ("build", tmp_path / "images", "--data", tmp_path / "data")
    assert run(*build, "--encoder", GOLDEN_ENCODER, "--clusters", 2) == 0
    labels = [f"Sch\u00f6n\\{i:03}.png;{'fox' if i % 2 else 'owl'}" for i in range(4)]
    lines = ["Path;Species", *labels]
    (tmp_path / "labels.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    capsys.readouterr()
    evaluate = ("evaluate", "--data", tmp_path / "data", "--labels", tmp_path / "labels.csv")
    assert run(*evaluate, "--column", "species", "--json") == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["n_queries"], err) == (4, "")

    lines.append("./Sch\u00f6n/000.png;owl")
    (tmp_path / "labels.csv").write_text("\r".join(lines), encoding="utf-16")
    assert run(*evaluate) == 1
    assert "line 6 repeats 'Sch\u00f6n/000.png' of line 2" in capsys.readouterr().err


def test_a_mistake_in_the_file_stops_a_build_before_it_begins(place, capsys):
    """One sentence with the line, exit code 1, and the old snapshot stays."""
    before = DataFolder(place / "data").current_id()
    (place / "bad.csv").write_text(HEADER + "000.png,fox\n")
    how = ("--encoder", GOLDEN_ENCODER, "--metadata", place / "bad.csv")
    code = run("build", place / "images", "--data", place / "data", *how)
    assert code == 1
    assert "bad.csv: line 2 has 2 values for 4 columns" in capsys.readouterr().err
    assert DataFolder(place / "data").current_id() == before


def test_reindexing_keeps_what_each_picture_had(place):
    """A moved picture, and a changed one, too; a new one has the line of its path."""
    images = place / "images"
    (images / "000.png").rename(images / "moved.png")
    noise_picture(50).save(images / "001.png")
    noise_picture(51).save(images / "stray.png")
    assert reindex(place) == 0
    assert metadata(place) == {
        "001.png": OWL,
        "002.png": {"species": "owl"},
        "moved.png": FOX,
        "stray.png": {"species": "owl", "year": 1, "tame": True},
    }


def test_new_metadata_alone_is_published_without_encoding(place, monkeypatch, capsys):
    """Only the catalogue is written anew: vectors, table and thumbnails are the very same files."""
    monkeypatch.setattr(vectors, "encode_rows", None)  # fails if it is called
    (place / "new.jsonl").write_text('{"path": "000.png", "tags": ["red", 4]}\n')
    with DataFolder(place / "data").open_current() as old:
        assert reindex(place, "--metadata", place / "new.jsonl", "--json") == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        with DataFolder(place / "data").open_current() as new:
            assert new.id == told["snapshot"] != old.id
            assert set(new.manifest.files) == set(old.manifest.files)
            for name in ("vectors.faiss", "topk_rows.npy", "thumbnails.sqlite", "clusters.json"):
                assert new.file(name).samefile(old.file(name))
    assert told["metadata"] == ["000.png", "001.png", "002.png"]
    assert metadata(place) == {"000.png": {"tags": ["red", 4]}}


def test_new_metadata_in_a_moved_folder_takes_over_the_folder(place):
    """The pictures are unchanged, but the snapshot points to where they are now."""
    moved = (place / "images").rename(place / "moved")
    (place / "new.csv").write_text("path,species\n000.png,bee\n")
    assert run("reindex", moved, "--data", place / "data", "--metadata", place / "new.csv") == 0
    with DataFolder(place / "data").open_current() as snapshot:
        assert snapshot.image_root == moved
    assert metadata(place) == {"000.png": {"species": "bee"}}


def test_a_changed_file_is_taken_again(place, capsys):
    """The manifest remembers it, so the next re-indexing needs no option; then nothing is new."""
    (place / "metadata.csv").write_text(HEADER + "000.png,wolf,2019,true\n")
    assert reindex(place) == 0
    assert metadata(place) == {"000.png": FOX | {"species": "wolf"}}
    assert "3 with new metadata" in capsys.readouterr().out
    assert reindex(place) == 0
    assert "0 with new metadata" in capsys.readouterr().out


def test_a_file_that_is_gone_changes_nothing(place, capsys):
    """It is told, and everything stays."""
    (place / "metadata.csv").unlink()
    before = DataFolder(place / "data").current_id()
    assert reindex(place) == 0
    assert "Metadata is unchanged." in capsys.readouterr().err
    assert DataFolder(place / "data").current_id() == before
    assert metadata(place) == THREE


def test_a_dry_run_counts_new_metadata(place, capsys):
    """And publishes nothing."""
    (place / "metadata.csv").write_text(HEADER)
    assert reindex(place, "--dry-run") == 0
    assert "3 with new metadata" in capsys.readouterr().out
    assert metadata(place) == THREE


def test_added_pictures_have_lines_of_their_own(place, capsys):
    """`add --metadata` decides for what it adds, and for nothing else; nor is it remembered."""
    noise_picture(60).save(place / "images" / "new.png")
    (place / "more.csv").write_text("path,species\nnew.png,bee\n000.png,bee\n")
    new = place / "images" / "new.png"
    assert run("add", new, "--data", place / "data", "--metadata", place / "more.csv") == 0
    assert "metadata: 0 of 1 pictures have no line" in capsys.readouterr().err
    assert metadata(place) == THREE | {"new.png": {"species": "bee"}}
    assert reindex(place) == 0
    assert metadata(place) == THREE | {"new.png": {"species": "bee"}}


def test_groups_and_removals_keep_metadata(place):
    """`cluster` and `remove` publish what the others had."""
    with DataFolder(place / "data").open_current() as snapshot:
        first = snapshot.catalogue.image(0).id
    assert run("cluster", "--data", place / "data", "--clusters", 2) == 0
    assert run("remove", first, "--data", place / "data") == 0
    assert metadata(place) == {path: one for path, one in THREE.items() if path != "000.png"}


def test_training_anew_keeps_metadata(tmp_path):
    """By path, or by content where a file was moved, even if the metadata file is gone."""
    images, data, file = tmp_path / "images", tmp_path / "data", tmp_path / "metadata.csv"
    write_pictures(images, 6)
    file.write_text("path,species\n000.png,fox\n001.png,owl\n")
    how = ("--architecture", "classic", "--steps", 1, "--clusters", 2, "--metadata", file)
    assert run("build", images, "--data", data, *how) == 0
    (images / "001.png").rename(images / "moved.png")
    file.unlink()
    assert run("reindex", "--data", data, "--retrain") == 0
    assert metadata(tmp_path) == {"000.png": {"species": "fox"}, "moved.png": {"species": "owl"}}
