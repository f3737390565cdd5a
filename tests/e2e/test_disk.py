"""A disk that is full or read-only, and files that change under the indexer's hands."""

import os
import resource
import shutil
import subprocess
import sys

import pytest

from index.snapshot import DataFolder
from index.verification import verify
from tests.e2e.conftest import REPOSITORY, plain_environment
from tests.fakes import noise_picture, write_pictures


@pytest.fixture(scope="module")
def encoder(built, tmp_path_factory):
    """Give the folder of a trained encoder."""
    with DataFolder(built.data).open_current() as snapshot:
        return shutil.copytree(snapshot.folder, tmp_path_factory.mktemp("encoder") / "kept")


@pytest.fixture
def case(encoder, tmp_path):
    """Give a picture folder, a data folder with a snapshot of it, and the build command."""
    images, data = tmp_path / "images", tmp_path / "data"
    write_pictures(images, 30)
    command = ["build", images, "--encoder", encoder, "--clusters", "2", "--data", data]
    assert run(command).returncode == 0
    return images, data, command


def run(command, file_limit_bytes=None):
    """Run the command line, its files limited in size if asked for."""

    def limit():
        if file_limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))

    return subprocess.run(
        [sys.executable, "-m", "indexer", *map(str, command)],
        cwd=REPOSITORY, env=plain_environment(), capture_output=True, text=True, check=False,
        preexec_fn=limit,
    )  # fmt: skip


def assert_old_one_serves(data, before):
    """See that the snapshot of before is live and sound, and that no half of another is left."""
    folder = DataFolder(data)
    assert folder.current_id() == before
    with folder.open_current() as snapshot:
        assert list(verify(snapshot, all_rows=True)) == []
    assert [path.name for path in folder.snapshots.iterdir()] == [before]


@pytest.mark.parametrize("kib", [0, 4, 40, 200, 400])
def test_a_file_that_cannot_grow_leaves_the_old_snapshot_serving(case, kib):
    """As on a full disk, writing fails somewhere: one sentence, exit code 1, nothing half-made."""
    images, data, command = case
    before = DataFolder(data).current_id()
    noise_picture(99).save(images / "new.png")

    ended = run(command, file_limit_bytes=kib * 1024)

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert_old_one_serves(data, before)
    assert run(command).returncode == 0


def test_too_little_room_is_said_before_work_starts(case, monkeypatch, capsys):
    """The sentence names what is needed, what is free, and the option that helps."""
    from indexer.cli import main

    _, data, command = case
    usage = shutil.disk_usage(data)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))

    with pytest.raises(SystemExit) as ended:
        main([str(part) for part in command])

    assert ended.value.code == 1
    assert "0.0 GB are free: make room" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_read_only_data_folder_is_one_sentence(case):
    """Nothing is changed, and the folder is named."""
    _, data, command = case
    data.chmod(0o500)
    ended = run(command)
    data.chmod(0o700)

    assert ended.returncode == 1
    assert str(data) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_is_a_file_is_one_sentence(case, tmp_path):
    """The mistake is named with its path."""
    (tmp_path / "file").write_text("x")

    ended = run([*case[2][:-1], tmp_path / "file"])

    assert ended.returncode in (1, 2)
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_pictures_that_vanish_meanwhile_are_left_out_and_told(case, tmp_path):
    """Without a cache each is read twice; what has gone by then is skipped, the rest published."""
    from indexer import options, pipeline
    from indexer.clustering import Grouping
    from indexer.stages import Stages

    images, data, command = case

    class Vanishing(Stages):
        """Delete a file, and change another, once reading is over."""

        def stage(self, name):
            if name == "encode":
                (images / "003.png").unlink(missing_ok=True)
                noise_picture(77).save(images / "007.png")
            return super().stage(name)

    chosen = options.BuildOptions(
        images, groups=Grouping(n_clusters=2), encoder=str(command[3]), cache_bytes=0
    )
    built = pipeline.build(DataFolder(data), chosen, Vanishing())

    assert [(one.path, one.code) for one in built.skipped] == [
        ("003.png", "changed"),
        ("007.png", "changed"),
    ]
    with DataFolder(data).open_current() as snapshot:
        assert len(snapshot) == 28
        assert list(verify(snapshot, all_rows=True)) == []


@pytest.mark.long
def test_a_hundred_thousand_tiny_files(encoder, tmp_path):
    """They are read, encoded, published and verified, in bounded memory."""
    images, data = tmp_path / "images", tmp_path / "data"
    one = noise_picture(0, (8, 8))
    for n in range(100_000):
        folder = images / f"{n // 1000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        one.putpixel((n % 8, n // 8 % 8), (n % 256, n // 256 % 256, n // 65536))
        one.save(folder / f"{n % 1000:03d}.bmp")

    command = ["build", images, "--encoder", encoder, "--clusters", "10", "--data", data]
    assert run(command).returncode == 0

    with DataFolder(data).open_current() as snapshot:
        assert len(snapshot) == 100_000
    assert run(["verify", "--data", data]).returncode == 0
