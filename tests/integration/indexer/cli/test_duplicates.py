"""The command and the route for duplicates: the same data folder, asked in both ways."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from index.layout import ENCODER_FILE, ENCODER_INFO_FILE
from index.snapshot import DataFolder
from models.encoder import Encoder
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.commands import run
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture
from tests.helpers.published import publish_pictures

ENCODER_FILE_NAMES = (ENCODER_FILE, ENCODER_INFO_FILE)
PLAIN = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "dark red": (128, 0, 0),
    "green": (0, 255, 0),
    "grey": (128, 128, 128),
    "orange": (255, 128, 0),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
}


@pytest.fixture
def published(tmp_path):
    """Give a function: pictures by file name -> data folder, encoded by a real encoder."""

    def publish(pictures, **how):
        images = tmp_path / "images"
        images.mkdir()
        for name, picture in pictures.items():
            picture.save(images / name)
        for copy, name in how.pop("copies", {}).items():
            shutil.copyfile(images / name, images / copy)
        encoder = Encoder.open(GOLDEN_ENCODER / ENCODER_FILE)
        data = DataFolder(tmp_path / "data")
        files = {name: (GOLDEN_ENCODER / name).read_bytes() for name in ENCODER_FILE_NAMES}
        publish_pictures(data, images, encoder, files=files, **how)
        return data

    return publish


@pytest.fixture(params=["command", "service"])
def duplicates(request, capsys):
    """Give a function: data folder, threshold -> kind, and score by path, of each group."""

    def by_command(data, threshold):
        capsys.readouterr()
        command = ("duplicates", "--data", data.root, "--format", "json")
        assert run(*command, "--threshold", threshold) == 0
        groups = map(json.loads, capsys.readouterr().out.splitlines())
        return [(g["kind"], {one["path"]: one["score"] for one in g["images"]}) for g in groups]

    def by_service(data, threshold):
        with running_app(Settings(data=data.root), None) as app:
            route = f"/api/v1/duplicates?limit=1000&threshold={threshold}"
            groups = app.test_client().get(route).json["groups"]
        return [
            (g["kind"], {one["image"]["path"]: one["score"] for one in g["members"]})
            for g in groups
        ]

    return by_command if request.param == "command" else by_service


def scan(*dots):
    """Return a page of 1500 x 1500 pixels with a dark line, and some dots of one pixel."""
    page = Image.new("RGB", (1500, 1500), "white")
    page.paste((20, 20, 20), (200, 400, 1300, 430))
    for dot in dots:
        page.putpixel(dot, (254, 255, 255))
    return page


def test_pictures_that_differ_in_one_pixel_are_near_with_score_1(published, duplicates):
    """Two scans of 2.25 million pixels; shrunk to 256 x 256 they are equal."""
    data = published({"a.png": scan(), "b.png": scan((700, 900))})

    assert duplicates(data, 1) == [("near", {"a.png": 1.0, "b.png": 1.0})]


def test_pictures_of_other_sizes_are_near_with_score_1(published, duplicates):
    """A black 400 x 300 picture is not the black 10 x 10 one."""
    data = published(
        {"large.png": Image.new("RGB", (400, 300)), "small.png": Image.new("RGB", (10, 10))}
    )

    assert duplicates(data, 0.98) == [("near", {"large.png": 1.0, "small.png": 1.0})]


def test_lossless_and_identical_copies_are_told_apart(published, duplicates):
    """The same pixels in another format are "pixels", the same bytes are "exact"."""
    data = published(
        {
            "a.png": noise_picture(1),
            "a.bmp": noise_picture(1),
            "b.png": noise_picture(2),
        },
        copies={"c.png": "b.png"},
    )

    assert duplicates(data, 1) == [
        ("pixels", {"a.bmp": 1.0, "a.png": 1.0}),
        ("exact", {"b.png": 1.0, "c.png": 1.0}),
    ]


@pytest.mark.parametrize("top_k", [100, 3])
def test_single_colours_are_not_duplicates_of_each_other(published, duplicates, top_k):
    """The encoder compares patterns, and gives six of the eight nearly the same vector."""
    pictures = {f"{name}.png": Image.new("RGB", (40, 30), of) for name, of in PLAIN.items()}
    data = published(pictures | {"red again.bmp": Image.new("RGB", (30, 20), "red")}, top_k=top_k)
    with data.open_current() as snapshot:
        scores = np.array(snapshot.topk.scores[:, :2])

    assert (scores[:, 1] >= 0.98).sum() >= 6
    assert duplicates(data, 0.98) == [("near", {"red.png": 1.0, "red again.bmp": 1.0})]


@pytest.mark.parametrize("top_k", [100, 10])
def test_a_fade_is_several_groups(published, duplicates, top_k):
    """200 frames from one photo to another: each scores the threshold with the first of its group.

    Joined frame by frame they would be one group, whose ends are different pictures.
    """
    first, last = noise_picture(1), noise_picture(2)
    frames = [Image.blend(first, last, step / 199) for step in range(200)]
    data = published({f"{step:03d}.png": frame for step, frame in enumerate(frames)}, top_k=top_k)
    with data.open_current() as snapshot:
        vectors = snapshot.store.vectors(np.arange(200))
    assert float(vectors[0] @ vectors[199]) < 0.9
    assert (vectors[:-1] * vectors[1:]).sum(axis=1).min() > 0.99

    groups = duplicates(data, 0.98)

    assert 2 <= len(groups) <= 20
    scores = [score for _, members in groups for score in members.values()]
    assert len(scores) >= 190
    assert min(scores) >= 0.98
    paths = [path for _, members in groups for path in members]
    assert len(set(paths)) == len(paths)
