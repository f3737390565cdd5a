"""A snapshot of each schema is kept for ever, and today's reader opens it.

Every picture has one colour, and the encoder only turns colours in space: scores are the cosines of
colours, worked out by hand. Black has no direction; it stands for the constant vector.
"""

import json
import re
import shutil

import numpy as np
import pytest

from index.errors import NewerSchema
from index.manifest import SCHEMA_VERSION
from index.snapshot import DataFolder
from index.verification import verify
from models.encoder import Encoder
from tests.golden.make import COLOURS, GOLDEN, METADATA, bmp, write_pictures
from tests.helpers.clients import get, search
from tests.helpers.commands import run_process
from tests.helpers.servers import Collection, running

HALF, THIRD, TWO_THIRDS = 0.5**0.5, (1 / 3) ** 0.5, (2 / 3) ** 0.5
BLACK = 1 / 7**0.5  # each number of the constant vector; the others' numbers add up to 2 |colour|
# Scores with red, best first; the three reds are known apart by id, green and blue are orthogonal.
NEAR_RED = {
    "red.bmp": 1.0,
    "dark red.bmp": 1.0,
    "more/red again.bmp": 1.0,
    "more/yellow.bmp": HALF,
    "white.bmp": THIRD,
    "black.bmp": BLACK,
    "blue.bmp": 0.0,
    "green.bmp": 0.0,
}
SCHEMAS = sorted(path.name for path in GOLDEN.glob("schema-*"))


@pytest.fixture(params=SCHEMAS)
def golden(request, tmp_path):
    """Give a copy of each golden data folder, and its pictures."""
    shutil.copytree(GOLDEN / request.param, tmp_path / "data")
    return Collection(write_pictures(tmp_path / "pictures"), tmp_path / "data")


@pytest.fixture
def newer(golden):
    """Give the golden data folder with a newer snapshot of a schema to come, which is live."""
    data = DataFolder(golden.data)
    folder = data.snapshots / "20991231T000000000000Z-00000000"
    shutil.copytree(data.snapshots / data.current_id(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    fields = manifest | {"schema_version": 99, "something": "that nobody knows yet"}
    (folder / "manifest.json").write_text(json.dumps(fields))
    data.set_current(folder.name)
    return golden


def test_there_is_one_of_every_schema():
    """None is left out, from the first to today's."""
    assert [f"schema-{number}" for number in range(1, SCHEMA_VERSION + 1)] == SCHEMAS


def test_every_part_is_read(golden):
    """Catalogue, vectors, table, groups, thumbnails and encoder say what they said when made."""
    with DataFolder(golden.data).open_current() as snapshot:
        assert list(verify(snapshot, all_rows=True)) == []
        records = list(snapshot.catalogue)
        assert [record.path for record in records] == list(COLOURS)
        assert {r.path: r.metadata for r in records if r.metadata} == METADATA
        assert [r.id for r in records if "red" in r.path] == [
            "ef7b18529a08fb08",
            "ec4acc0613a041bc",
            "ec4acc0613a041bc-2",
        ]
        vectors = snapshot.store.vectors(np.arange(8))
        np.testing.assert_allclose(vectors[0], np.full(7, BLACK), atol=1e-6)
        np.testing.assert_allclose(vectors[6], [0.5, 0, 0, 0.5, 0.5, 0, -0.5], atol=1e-6)
        np.testing.assert_allclose(snapshot.topk.scores[6], list(NEAR_RED.values()), atol=1e-6)
        assert snapshot.topk.rows[6][0] == 6
        assert snapshot.clusters.labels.tolist() == [2, 3, 0, 1, 0, 1, 0, 1]
        assert snapshot.thumbnails.jpeg("ec4acc0613a041bc-2").startswith(b"\xff\xd8")
        encoder = Encoder.open(snapshot.file("encoder.tflite"))
        assert encoder.fingerprint == snapshot.manifest.encoder
        green = np.full((1, 256, 256, 3), (0, 255, 0), np.uint8)
        np.testing.assert_allclose(encoder.encode(green)[0], vectors[3], atol=1e-6)


def test_the_commands_take_it(golden):
    """It is verified, searched, and brought up to date with its folder."""
    checked = run_process("verify", "--all", "--data", golden.data)
    assert (checked.returncode, checked.stderr.count("Error")) == (0, 0)
    assert "is sound: 8 pictures" in checked.stdout
    red = golden.pictures / "red.bmp"
    asked = run_process("search", red, "--json", "--data", golden.data)
    found = {one["path"]: one["score"] for one in json.loads(asked.stdout)["results"]}
    assert found == pytest.approx(NEAR_RED, abs=1e-6)
    (golden.pictures / "orange.bmp").write_bytes(bmp((255, 128, 0)))

    updated = run_process("reindex", golden.pictures, "--json", "--data", golden.data)

    assert json.loads(updated.stdout)["added"] == ["orange.bmp"]
    with DataFolder(golden.data).open_current() as snapshot:
        assert len(snapshot) == 9
        assert snapshot.manifest.schema_version == SCHEMA_VERSION
        assert list(verify(snapshot, all_rows=True)) == []


def test_the_service_answers_from_it(golden, tmp_path):
    """A known picture by its bytes, a new one by the encoder, each with the scores worked out."""
    with running(golden, tmp_path / "log", LOOKALIKE_WORKERS="1") as server:
        known = search(server, bmp((255, 0, 0)))
        assert known["mode"] == "cached"
        found = {one["path"]: one["score"] for one in known["results"]}
        assert found == pytest.approx(NEAR_RED, abs=2e-6)
        cyan = search(server, bmp((0, 255, 255)))
        assert cyan["mode"] == "encoded"
        scores = {one["path"]: one["score"] for one in cyan["results"]}
        assert scores["green.bmp"] == pytest.approx(HALF, abs=2e-6)
        assert scores["white.bmp"] == pytest.approx(TWO_THIRDS, abs=2e-6)
        assert scores["more/yellow.bmp"] == pytest.approx(0.5, abs=2e-6)
        assert get(server, "/api/v1/clusters")["total"] == 4
        assert get(server, "/readyz")["checks"]["update"]["ok"]


def test_a_newer_schema_is_refused_with_a_sentence(newer):
    """Today's commands say what to do, and touch nothing."""
    data = DataFolder(newer.data)
    wanted = r"has schema 99, this version reads up to \d+: update Lookalike"
    with pytest.raises(NewerSchema, match=wanted):
        data.open_current()
    for command in (["verify"], ["reindex", newer.pictures]):
        ended = run_process(*command, "--data", newer.data)
        assert ended.returncode == 1
        assert re.search(wanted, ended.stderr)
        assert "Traceback" not in ended.stderr
    assert len(data.ids()) == 2


def test_the_service_goes_on_beside_a_newer_schema(newer, tmp_path):
    """The snapshot before answers, and /readyz says why."""
    with running(newer, tmp_path / "log", LOOKALIKE_WORKERS="1") as server:
        update = get(server, "/readyz")["checks"]["update"]
        assert not update["ok"]
        assert "20991231T000000000000Z-00000000 cannot be used" in update["detail"]
        assert "update Lookalike" in update["detail"]
        answer = search(server, bmp((255, 0, 0)))
        assert answer["snapshot"] != "20991231T000000000000Z-00000000"
        assert answer["total"] == 8
