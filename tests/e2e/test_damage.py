"""Whatever is wrong with a new snapshot is named, and the service goes on with the one before."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest

from index.snapshot import DataFolder
from index.verification import verify
from service.settings import Settings
from tests.golden.make import GOLDEN, bmp, write_pictures
from tests.helpers.apps import running_app
from tests.helpers.commands import run
from tests.helpers.files import flip_bit
from tests.helpers.paths import GOLDEN_ENCODER


def cut(path: Path) -> None:
    """Take the last byte of a file away."""
    path.write_bytes(path.read_bytes()[:-1])


def rewrite(path: Path, **fields) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def seal(folder: Path) -> Path:
    """Make a manifest of what lies in a folder now, as a program with a fault would."""
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    for name in fields["files"]:
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        fields["files"][name] = {"size_bytes": len(content), "sha256": digest}
    path.write_text(json.dumps(fields))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return folder.rename(folder.with_name(f"20991231T000000000000Z-{digest}"))


def other_encoder(folder: Path) -> Path:
    """Put another encoder in, with right checksums."""
    for name in ("encoder.tflite", "encoder.json"):
        shutil.copyfile(GOLDEN_ENCODER / name, folder / name)
    return seal(folder)


def no_encoder(folder: Path) -> Path:
    """Leave the encoder out."""
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    del fields["files"]["encoder.tflite"]
    (folder / "encoder.tflite").unlink()
    path.write_text(json.dumps(fields))
    return seal(folder)


DAMAGES = {
    "flipped byte": (lambda f: flip_bit(f / "vectors.faiss"), "vectors.faiss"),
    "flipped byte of groups": (lambda f: flip_bit(f / "clusters.json"), "clusters.json"),
    "flipped byte of the encoder": (lambda f: flip_bit(f / "encoder.tflite"), "encoder.tflite"),
    "flipped byte of a large file": (lambda f: flip_bit(f / "large.bin"), "large.bin"),
    "truncated": (lambda f: cut(f / "topk_scores.npy"), "topk_scores.npy"),
    "truncated large file": (lambda f: cut(f / "large.bin"), "large.bin"),
    "missing": (lambda f: (f / "catalogue.sqlite").unlink(), "catalogue.sqlite"),
    "manifest missing": (lambda f: (f / "manifest.json").unlink(), "manifest.json"),
    "manifest changed": (lambda f: rewrite(f / "manifest.json", top_k=3), "manifest.json"),
    "newer manifest": (
        lambda f: rewrite(f / "manifest.json", schema_version=3),
        "schema 3, this version reads up to 2",
    ),
    "encoder of another collection": (other_encoder, "encoder"),
    "no encoder": (no_encoder, "encoder"),
}


@pytest.fixture
def data(tmp_path):
    """Give a data folder with the golden snapshot, and a newer one beside it, which is live."""
    root = shutil.copytree(GOLDEN / "schema-1", tmp_path / "data")
    folder = DataFolder(root)
    old = folder.snapshots / folder.current_id()
    new = shutil.copytree(old, folder.snapshots / "new")
    (new / "large.bin").write_bytes(bytes(range(256)) * 8192)  # not read when it is opened
    rewrite(new / "manifest.json", files=files_of(new))
    folder.set_current(seal(new).name)
    return folder


def files_of(folder: Path) -> dict:
    """Return the manifest's list of files, and of large.bin."""
    return json.loads((folder / "manifest.json").read_text())["files"] | {"large.bin": {}}


@pytest.fixture(params=DAMAGES)
def damaged(request, data):
    """Give the data folder with the new snapshot damaged, and what has to be named."""
    damage, named = DAMAGES[request.param]
    folder = data.snapshots / data.current_id()
    moved = damage(folder)
    if isinstance(moved, Path):
        data.set_current(moved.name)
    return data, named


def test_the_new_one_is_sound_before(data, capsys):
    """Else the following tests would find any fault."""
    assert run("verify", "--all", "--data", data.root) == 0
    assert f"snapshot {data.current_id()} is sound" in capsys.readouterr().out


def test_verify_names_it(damaged, capsys):
    """Exit code 1, and what is wrong by its name."""
    data, named = damaged
    assert run("verify", "--data", data.root) == 1
    said = capsys.readouterr()
    assert named in said.out + said.err


@pytest.fixture
def client(damaged):
    """Give a client of the service, which has the real encoder."""
    with running_app(Settings(data=damaged[0].root, poll_s=0.02), open_encoder=None) as app:
        yield app.test_client()


def test_the_service_goes_on_without_it(damaged, client):
    """The old snapshot answers, and /readyz names the new one and what is wrong with it."""
    data, named = damaged
    old, new = data.ids()
    assert new == data.current_id()
    end = time.monotonic() + 30
    while (update := client.get("/readyz").json["checks"]["update"])["ok"]:
        assert time.monotonic() < end, "nothing was noticed"
        time.sleep(0.02)
    assert f"snapshot {new} cannot be used" in update["detail"]
    assert named in update["detail"]
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["checks"]["snapshot"]["detail"]) == (200, old)
    answer = client.post("/api/v1/search", json={"id": "ec4acc0613a041bc"})
    assert (answer.status_code, answer.json["snapshot"]) == (200, old)


def test_nothing_of_it_is_published_again(damaged, tmp_path, capsys):
    """To re-index it, group it or roll back to it ends with a sentence that names the fault."""
    data, named = damaged
    images = write_pictures(tmp_path / "images")
    (images / "new.bmp").write_bytes(bmp((1, 2, 3)))
    new = data.ids()[1]
    for command in (["reindex", images], ["cluster"], ["snapshots", "rollback", new]):
        assert run(*command, "--data", data.root) == 1
        said = capsys.readouterr().err
        assert named in said.splitlines()[-1]
        assert said.splitlines()[-1].startswith("Error: ")
    assert len(data.ids()) == 2


def test_the_way_back_is_open(damaged, capsys):
    """All snapshots are listed, the one that cannot be read with the reason; the old one is had."""
    data, _ = damaged
    old, new = data.ids()
    assert run("snapshots", "list", "--json", "--data", data.root) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["current"]) for one in listed] == [(old, False), (new, True)]
    assert run("snapshots", "list", "--data", data.root) == 0
    assert old in capsys.readouterr().out
    assert run("snapshots", "rollback", old, "--data", data.root) == 0
    assert run("verify", "--all", "--data", data.root) == 0
    assert f"snapshot {old} is sound" in capsys.readouterr().out


def test_a_build_begins_anew_beside_it(damaged, tmp_path):
    """A live snapshot that cannot be read does not keep its own folder from being built."""
    data, _ = damaged
    images = write_pictures(tmp_path / "images")
    how = ("--encoder", GOLDEN_ENCODER, "--clusters", 2)
    assert run("build", images, "--data", data.root, *how) == 0
    with data.open_current() as snapshot:
        assert list(verify(snapshot, all_rows=True)) == []
        assert len(snapshot) == 8
