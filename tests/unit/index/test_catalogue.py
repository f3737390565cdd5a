"""The catalogue gives back what was written."""

import os
import threading
from pathlib import Path

import pytest

from index.catalogue import Catalogue, ImageRecord, image_ids, readable_path, write_catalogue
from index.errors import CorruptSnapshot, UnknownImage


def record(row, **changes):
    """Make one record with recognisable values."""
    fields = {
        "row": row, "id": f"{row:016x}", "path": f"folder/{row}.jpg", "sha256": f"{row:064x}",
        "pixel_digest": f"{row + 1000:064x}", "size_bytes": 10 + row, "mtime_ns": 1_700_000_000_000,
        "width": 640, "height": 480, "format": "JPEG",
    }  # fmt: skip
    return ImageRecord(**(fields | changes))


@pytest.fixture
def catalogue(tmp_path):
    """Give a catalogue of 5 pictures; 3 has the file of 1, 4 its pixels."""
    records = [
        record(0, metadata={"price": 3.5, "name": "Öl & <Wasser>"}),
        record(1),
        record(2, path="a b/ü\n'\"%.png"),
        record(3, sha256=f"{1:064x}"),
        record(4, pixel_digest=f"{1001:064x}"),
    ]
    write_catalogue(tmp_path / "catalogue.sqlite", records)
    opened = Catalogue.open(tmp_path)
    yield opened
    opened.close()


def test_records_come_back_as_written(catalogue):
    """Text of any kind, numbers and metadata survive."""
    assert catalogue.image(0) == record(0, metadata={"price": 3.5, "name": "Öl & <Wasser>"})
    assert catalogue.image(2).path == "a b/ü\n'\"%.png"
    assert [r.row for r in catalogue] == [0, 1, 2, 3, 4]
    assert len(catalogue) == 5


def test_records_come_in_the_order_asked_for(catalogue):
    """Rows may be asked for in any order and more than once."""
    assert [r.row for r in catalogue.records([3, 0, 3])] == [3, 0, 3]


def test_many_records_need_no_more_than_sqlite_allows(tmp_path):
    """Twelve hundred rows at a time are answered in parts."""
    write_catalogue(tmp_path / "catalogue.sqlite", [record(row) for row in range(1200)])
    catalogue = Catalogue.open(tmp_path)

    assert [r.row for r in catalogue.records(range(1199, -1, -1))] == list(range(1199, -1, -1))
    catalogue.close()


def test_a_page_starts_at_its_offset(catalogue):
    """Pages past the end are short or empty."""
    assert [r.row for r in catalogue.page(3, 10)] == [3, 4]
    assert catalogue.page(5, 10) == []


def test_known_content_gives_the_lowest_row(catalogue):
    """Of byte-identical copies the first is found; unknown content is None."""
    assert catalogue.row_of_sha256(f"{1:064x}") == 1
    assert catalogue.row_of_pixels(f"{1001:064x}") == 1
    assert catalogue.row_of_sha256("0" * 63 + "f") is None


@pytest.mark.parametrize(
    "number", [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, -(2**70), 13_569_465_599_999_999_999]
)
def test_numbers_of_any_size_come_back(tmp_path, number):
    """Some file systems number files up to 2**64, and some files are dated after the year 2262."""
    written = record(0, mtime_ns=number, ctime_ns=number, inode=number)
    write_catalogue(tmp_path / "catalogue.sqlite", [written])
    catalogue = Catalogue.open(tmp_path)

    assert list(catalogue) == [written]
    catalogue.close()


@pytest.mark.parametrize("image_id", ["", "nope", "' OR 1=1 --"])
def test_an_unknown_id_is_an_error(catalogue, image_id):
    """The sentence names the id."""
    with pytest.raises(UnknownImage, match="no picture of the collection has the id"):
        catalogue.by_id(image_id)


def test_every_thread_may_read(catalogue):
    """Eight threads read at once, each through its own connection."""
    found = []
    threads = [
        threading.Thread(target=lambda row=row: found.append(catalogue.image(row % 5).row))
        for row in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [0, 0, 1, 1, 2, 2, 3, 4]


def test_a_file_that_is_no_database_is_corrupt(tmp_path):
    """Rubbish and an absent file are told, each with the file's name."""
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database at all" * 100)

    with pytest.raises(CorruptSnapshot, match="cannot be read"):
        Catalogue.open(tmp_path)
    with pytest.raises(CorruptSnapshot, match="missing"):
        Catalogue.open(tmp_path / "nowhere")


def test_ids_are_16_digits_and_copies_are_numbered():
    """The second and third copy of a file get -2 and -3, in order."""
    a, b = "a" * 64, "b" * 64

    assert image_ids([a, b, a, a]) == ["a" * 16, "b" * 16, "a" * 16 + "-2", "a" * 16 + "-3"]


def test_a_name_that_is_not_utf8_is_readable_and_exact():
    """The text shows the bytes in hex; the bytes lead back to the file."""
    raw = b"caf\xe9/x.jpg"

    text, kept = readable_path(Path(os.fsdecode(raw)))

    assert (text, kept) == ("caf\\xe9/x.jpg", raw)
    found = record(0, path=text, raw_path=kept).file_under(Path("root"))
    assert os.fsencode(found) == b"root/" + raw
    assert readable_path(Path("a/ü.jpg")) == ("a/ü.jpg", None)


@pytest.mark.parametrize("prefix", ["", "a", "a b/", "a c/", "ä", "ä\U0010ffff", "b", "z", "A"])
def test_rows_under_a_prefix_are_those_that_begin_so(tmp_path, prefix):
    """Whatever stands after it, and however it is written, no path is left out or too much."""
    paths = ["b", "a b/1", "a", "a b/\U0010ffff", "ä", "a b", "a c/1", "ä\U0010ffffx", "B", "a b/ü"]
    records = [record(row, path=path) for row, path in enumerate(paths)]
    write_catalogue(tmp_path / "catalogue.sqlite", records)
    catalogue = Catalogue.open(tmp_path)

    found = catalogue.rows_under(prefix)

    assert sorted(found) == [row for row, path in enumerate(paths) if path.startswith(prefix)]
    catalogue.close()


@pytest.mark.parametrize(
    ("prefix", "rows"),
    [
        ("caf\u00e9/", [0, 1]),
        ("cafe\u0301/", [0, 1]),
        ("caf\u00e9", [0, 1, 2]),
        ("caf", [0, 1, 2, 3]),
        ("cafe", [3]),
        ("caf\u00e9/\ud55c", [1]),
        ("", [0, 1, 2, 3, 4]),
    ],
)
def test_rows_under_a_prefix_in_another_normal_form(tmp_path, prefix, rows):
    """A prefix that was typed finds the names of a Mac, and the reverse."""
    paths = ["cafe\u0301/a", "caf\u00e9/\u1112\u1161\u11ab", "caf\u00e9s", "cafes", "z"]
    write_catalogue(
        tmp_path / "catalogue.sqlite", [record(row, path=path) for row, path in enumerate(paths)]
    )
    catalogue = Catalogue.open(tmp_path)
    assert sorted(catalogue.rows_under(prefix)) == rows
    catalogue.close()


@pytest.mark.parametrize("bounds", [(2, 4), (2.5, float("inf")), (float("-inf"), 3), (4, 2)])
def test_rows_between_two_sizes(tmp_path, bounds):
    """Both bounds are counted in; width and height are not mixed up."""
    records = [record(row, width=5 - row, height=row) for row in range(6)]
    write_catalogue(tmp_path / "catalogue.sqlite", records)
    catalogue = Catalogue.open(tmp_path)
    least, most = bounds

    high, wide = (catalogue.rows_between(side, *bounds) for side in ("height", "width"))

    assert high == [row for row in range(6) if least <= row <= most]
    assert wide == [row for row in range(6) if least <= 5 - row <= most]
    catalogue.close()


def test_metadata_of_those_that_have_some(catalogue):
    """Pictures of which nothing was said are not gone through."""
    assert list(catalogue.metadata()) == [(0, {"price": 3.5, "name": "Öl & <Wasser>"})]
