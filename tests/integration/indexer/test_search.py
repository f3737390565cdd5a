"""`search --json` prints what the HTTP API returns: one data folder, asked in both ways."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from index.layout import CROP_ENCODER_FILE, ENCODER_FILE, ENCODER_INFO_FILE
from index.snapshot import DataFolder
from models.encoder import Encoder
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.commands import plain_environment, run
from tests.helpers.paths import ROOT
from tests.helpers.pictures import noise_picture, write_pictures
from tests.helpers.published import publish_pictures

ENCODER_FILE_NAMES = (ENCODER_FILE, ENCODER_INFO_FILE, CROP_ENCODER_FILE)
N = 14  # twelve pictures, a byte-identical copy, and the pixels of another in another file
TOP_K = 5


@pytest.fixture(scope="module")
def data(encoder, tmp_path_factory):
    """Publish a collection with duplicates, groups and metadata, made by a trained encoder."""
    place = tmp_path_factory.mktemp("collection")
    paths = write_pictures(place / "images", 12)
    shutil.copy(paths[3], place / "images" / "zz copy.png")
    noise_picture(3).save(place / "images" / "zz same.bmp")
    found = DataFolder(place / "data")
    publish_pictures(
        found,
        place / "images",
        Encoder.open(encoder / ENCODER_FILE),
        top_k=TOP_K,
        n_clusters=3,
        metadata={"003.png": {"title": "Ärger", "tags": ["a", 1, 2.5, None]}},
        files={name: (encoder / name).read_bytes() for name in ENCODER_FILE_NAMES},
    )
    return found


@pytest.fixture(scope="module")
def equal_when_shrunk(encoder, tmp_path_factory):
    """Publish pictures that become equal to the queries below when they are shrunk."""
    place = tmp_path_factory.mktemp("shrunk")
    (place / "images").mkdir()
    Image.new("RGB", (10, 10)).save(place / "images" / "black.png")
    scan().save(place / "images" / "scan.png")
    found = DataFolder(place / "data")
    publish_pictures(
        found,
        place / "images",
        Encoder.open(encoder / ENCODER_FILE),
        files={name: (encoder / name).read_bytes() for name in ENCODER_FILE_NAMES},
    )
    return found


def scan(*dots):
    """Return a page of 1500 x 1500 pixels with a dark line, and some dots of one pixel."""
    page = Image.new("RGB", (1500, 1500), "white")
    page.paste((20, 20, 20), (200, 400, 1300, 430))
    for dot in dots:
        page.putpixel(dot, (254, 255, 255))
    return page


@pytest.fixture(scope="module")
def client(data):
    """Give a client of the service over the same data folder."""
    with running_app(Settings(data=data.root), None) as app:
        yield app.test_client()


def upload(client, content, limit):
    """Return the response of the HTTP API."""
    form = {"image": (io.BytesIO(content), "query"), "limit": str(limit)}
    answered = client.post("/api/v1/search", data=form)
    assert answered.status_code == 200
    return answered.json


def command(data, folder, capsys, content, limit):
    """Return what the command line prints."""
    query = folder / "query"
    query.write_bytes(content)
    capsys.readouterr()
    assert run("search", query, "--data", data.root, "--json", "--limit", limit) == 0
    return json.loads(capsys.readouterr().out)


def saved(picture, form, **options):
    """Return the file of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


QUERIES = {
    "file": (saved(noise_picture(3), "PNG"), "cached"),
    "pixels": (saved(noise_picture(7), "WEBP", lossless=True), "cached"),
    "copy": (saved(noise_picture(3, (60, 45)), "JPEG"), "encoded"),
    "new": (saved(noise_picture(99), "PNG"), "encoded"),
    "crop": (saved(noise_picture(3, (256, 192)).crop((60, 40, 200, 170)), "PNG"), "encoded"),
}


@pytest.mark.parametrize("limit", [1, 2, TOP_K, TOP_K + 1, 1000])
@pytest.mark.parametrize("name", QUERIES)
def test_command_prints_what_the_service_returns(data, client, tmp_path, capsys, name, limit):
    """Every field is equal but the duration: within the table, beyond it, and beyond the end."""
    content, mode = QUERIES[name]
    by_command = command(data, tmp_path, capsys, content, limit)
    by_service = upload(client, content, limit)
    assert by_command.pop("time_ms") > 0
    assert by_service.pop("time_ms") > 0
    assert by_command == by_service
    assert (by_command["mode"], by_command["total"]) == (mode, N)
    assert len(by_command["results"]) == min(limit, N)


def test_results_of_both_have_ties_metadata_and_thumbnails(data, client, tmp_path, capsys):
    """What the comparison above compares: three copies with one score, lower rows first."""
    content, _ = QUERIES["copy"]
    results = command(data, tmp_path, capsys, content, 3)["results"]
    assert [one["path"] for one in results] == ["003.png", "zz copy.png", "zz same.bmp"]
    assert len({one["score"] for one in results}) == 1
    assert results[0]["metadata"] == {"title": "Ärger", "tags": ["a", 1, 2.5, None]}
    assert {type(one["cluster"]) for one in results} == {int}
    for one in results:
        assert client.get(one["thumbnail_url"]).mimetype == "image/jpeg"


def test_both_search_with_crop_vectors(data, tmp_path, capsys):
    """A service with crop search off scores some picture less."""
    content, _ = QUERIES["crop"]
    by_command = command(data, tmp_path, capsys, content, N)
    with running_app(Settings(data=data.root, crop_search=False), None) as app:
        without = upload(app.test_client(), content, N)
    pairs = [{one["id"]: one["score"] for one in way["results"]} for way in (by_command, without)]
    assert all(pairs[0][one] >= pairs[1][one] for one in pairs[0])
    assert pairs[0] != pairs[1]


@pytest.mark.parametrize(
    ("picture", "mode", "path"),
    [
        (scan((700, 900)), "encoded", "scan.png"),
        (scan(), "cached", "scan.png"),
        (Image.new("RGB", (400, 300)), "encoded", "black.png"),
        (Image.new("RGB", (20, 5)), "encoded", "black.png"),
        (Image.new("RGB", (10, 10)), "cached", "black.png"),
    ],
    ids=["one pixel", "same scan", "larger black", "black of the same area", "same black"],
)
@pytest.mark.parametrize("way", ["command", "service"])
def test_only_equal_pixels_at_full_size_are_cached(
    equal_when_shrunk, tmp_path, capsys, way, picture, mode, path
):
    """A picture that differs in one pixel, or in its size, is another picture: it is encoded.

    The encoder sees the same 256 x 256 pixels, so its score is 1 all the same.
    """
    content = saved(picture, "WEBP", lossless=True)
    if way == "command":
        found = command(equal_when_shrunk, tmp_path, capsys, content, 2)
    else:
        with running_app(Settings(data=equal_when_shrunk.root), None) as app:
            found = upload(app.test_client(), content, 2)
    first = found["results"][0]
    assert (found["mode"], first["path"], first["score"]) == (mode, path, 1.0)


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_search_without_standard_streams(data, closed):
    """A scheduler may close the stream of messages; the results are printed all the same."""
    images = data.root.parent / "images"
    arguments = ["search", images / "003.png", "--data", data.root, "--limit", "1", "--json"]
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "indexer", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=plain_environment(), stdout=subprocess.PIPE, check=True
    )
    assert json.loads(done.stdout)["results"][0]["path"] == "003.png"
