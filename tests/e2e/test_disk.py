"""A disk that is full or read-only, and files that change under the indexer's hands."""

import ctypes
import functools
import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

from index.snapshot import DataFolder
from index.verification import verify
from indexer import options, pipeline
from indexer.groups.grouping import Grouping
from indexer.stages import Stages
from tests.golden.make import GOLDEN, bmp
from tests.helpers.commands import run, run_process
from tests.helpers.paths import GOLDEN_ENCODER
from tests.helpers.pictures import noise_picture, write_pictures

# Few enough that no build spends its time on altered copies of them.
N_PICTURES = 15
TINY_ENCODER = next((GOLDEN / "schema-1" / "snapshots").iterdir())


@pytest.fixture
def case(tmp_path):
    """Give a picture folder, a data folder with a snapshot of it, and the build command."""
    images, data, command = prepared(tmp_path)
    assert run(*command) == 0
    return images, data, command


def prepared(folder):
    """Write pictures; return their folder, a data folder, and the command that builds it."""
    images, data = folder / "images", folder / "data"
    write_pictures(images, N_PICTURES)
    return (
        images,
        data,
        ["build", images, "--encoder", GOLDEN_ENCODER, "--clusters", "2", "--data", data],
    )


def run_limited(command, file_limit_bytes):
    """Run the command line where no file may grow beyond a size."""
    limits = (file_limit_bytes, file_limit_bytes)
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    return run_process(*command, preexec_fn=limit)


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

    ended = run_limited(command, kib * 1024)

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert_old_one_serves(data, before)
    assert run(*command) == 0


def test_too_little_room_is_said_before_work_starts(case, monkeypatch, capsys):
    """The sentence names what is needed, what is free, and the option that helps."""
    _, data, command = case
    usage = shutil.disk_usage(data)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))

    assert run(*command) == 1

    assert "only 0.0 GB are free. Free some space" in capsys.readouterr().err


@pytest.fixture
def tmpfs(tmp_path):
    """Give a small disk of its own, 32 MiB in memory; only root may have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no disk may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("kib", [0, 12, 200, 2900, 3200, 3300])
def test_a_full_disk_leaves_the_old_snapshot_serving(tmpfs, monkeypatch, capsys, kib):
    """However much is left: one sentence; and once there is room the same command completes."""
    images, data, command = prepared(tmpfs)
    # The estimate would refuse to start here at all, and is tested for itself.
    monkeypatch.setattr("indexer.pipeline.check_disk", lambda *_: None)
    assert run(*command) == 0
    before = DataFolder(data).current_id()
    noise_picture(99).save(images / "new.png")
    fill_but(tmpfs, kib)
    capsys.readouterr()

    assert run(*command) == 1

    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("Error: ")
    assert "No space left" in said or "free disk space" in said
    assert_old_one_serves(data, before)
    (tmpfs / "ballast").unlink()
    assert run(*command) == 0


def fill_but(disk, kib):
    """Fill a disk until so much is left."""
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(bytes(max(0, free - kib * 1024)))


def may_not_write_everywhere():
    """Take from the next program what lets root pass over permissions (Linux)."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; refused, the probe will tell


@pytest.fixture
def permissions(tmp_path):
    """Skip where a folder cannot be kept from being written to, even by a common user."""
    probe = tmp_path / "probe"
    probe.mkdir(mode=0o500)
    script = f"open({str(probe / 'x')!r}, 'w')"
    written = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, preexec_fn=may_not_write_everywhere
    )
    if written.returncode == 0:
        pytest.skip("this machine lets its user write everywhere")


@pytest.fixture(params=["folder", "everything"])
def read_only(request, case):
    """Make the data folder read-only, by itself or with all that is in it."""
    _, data, _ = case
    places = [data] if request.param == "folder" else [data, *sorted(data.rglob("*"))]
    modes = {place: place.stat().st_mode for place in places}
    for place in reversed(places):
        place.chmod(0o500 if place.is_dir() else 0o400)
    yield case
    for place, mode in modes.items():
        place.chmod(mode)


def test_a_read_only_data_folder_is_one_sentence(permissions, read_only):
    """Nothing is changed, and the folder is named; what only reads goes on working."""
    images, data, command = read_only
    before = DataFolder(data).current_id()
    noise_picture(99).save(images / "new.png")

    for writing in (command, ["reindex", "--data", data], ["cluster", "--data", data]):
        ended = run_process(*writing, preexec_fn=may_not_write_everywhere)
        assert ended.returncode == 1
        assert str(data) in ended.stderr.strip().splitlines()[-1]
        assert "Traceback" not in ended.stderr
    for reading in (["verify"], ["search", images / "003.png"], ["snapshots", "list"]):
        ended = run_process(*reading, "--data", data, preexec_fn=may_not_write_everywhere)
        assert ended.returncode == 0, ended.stderr
    assert_old_one_serves(data, before)


def test_a_data_folder_that_is_a_file_is_one_sentence(case, tmp_path):
    """The mistake is named with its path."""
    (tmp_path / "file").write_text("x")

    ended = run_process(*case[2][:-1], tmp_path / "file")

    assert ended.returncode in (1, 2)
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


class Vanishing(Stages):
    """Delete a file, and change another, once reading is over."""

    def __init__(self, images, gone, changed):
        super().__init__()
        self._gone, self._changed = images / gone, images / changed

    def stage(self, name):
        """Do it when the pictures are to be encoded."""
        if name == "encode":
            self._gone.unlink(missing_ok=True)
            noise_picture(77).save(self._changed)
        return super().stage(name)


def test_pictures_that_vanish_meanwhile_are_left_out_and_told(case):
    """Without a cache each is read twice; what has gone by then is skipped, the rest published."""
    images, data, command = case
    chosen = options.BuildOptions(
        images, groups=Grouping(n_clusters=2), encoder=str(command[3]), cache_bytes=0
    )

    built = pipeline.build(DataFolder(data), chosen, Vanishing(images, "003.png", "007.png"))

    assert [(one.path, one.code) for one in built.skipped] == [
        ("003.png", "changed"),
        ("007.png", "changed"),
    ]
    with DataFolder(data).open_current() as snapshot:
        assert len(snapshot) == N_PICTURES - 2
        assert list(verify(snapshot, all_rows=True)) == []


def test_new_pictures_that_vanish_meanwhile_are_taken_later(case):
    """Re-indexing leaves them out and lists them; the next one takes what is there then."""
    images, data, command = case
    for seed, name in enumerate(("new a.png", "new b.png", "new c.png"), 90):
        noise_picture(seed).save(images / name)
    chosen = options.ReindexOptions(cache_bytes=0)

    pipeline.reindex(DataFolder(data), chosen, Vanishing(images, "new a.png", "new b.png"))

    with DataFolder(data).open_current() as snapshot:
        skipped = json.loads(snapshot.file("skipped.json").read_bytes())
        assert [one["path"] for one in skipped] == ["new a.png", "new b.png"]
        assert len(snapshot) == N_PICTURES + 1
        assert list(verify(snapshot, all_rows=True)) == []
    done = pipeline.reindex(DataFolder(data), options.ReindexOptions(), Stages())
    assert (done.changes.added, done.n_images) == (["new b.png"], N_PICTURES + 2)


@pytest.mark.long
def test_a_hundred_thousand_tiny_files(tmp_path):
    """They are read, encoded, published and verified; one more is taken in; memory is bounded."""
    images, data = tmp_path / "images", tmp_path / "data"
    write_tiny_pictures(images, 100_000)

    # 7 numbers a vector: what is to be large here is the number of files.
    command = ["build", images, "--encoder", TINY_ENCODER, "--clusters", "10", "--data", data]
    assert run_process(*command).returncode == 0
    (images / "one more.bmp").write_bytes(bmp((1, 2, 3)))
    assert run_process("reindex", "--data", data).returncode == 0

    with DataFolder(data).open_current() as snapshot:
        assert len(snapshot) == 100_001
    assert run_process("verify", "--data", data).returncode == 0
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"at most {peak_mb:.0f} MB in memory")
    assert peak_mb < 3000


def write_tiny_pictures(folder, n):
    """Write n different pictures of one colour each, a thousand in a folder."""
    for number in range(n):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03d}").mkdir(parents=True)
        colour = (number % 256, number // 256 % 256, 37 * number % 251)
        path = folder / f"{number // 1000:03d}" / f"{number % 1000:03d}.bmp"
        path.write_bytes(bmp(colour))
