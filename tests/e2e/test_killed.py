"""Killed at any moment, the indexer leaves a whole snapshot, and the same command completes.

bin/test kills at a sample of moments; `python -m pytest -m long -s tests/e2e/test_killed.py` at
every step and at many random times, some 300 in all, and prints how many of each kind.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from index.snapshot import DataFolder
from index.verification import verify
from indexer.encoding.choice import encoder_findings
from service.errors import NotReady
from service.snapshots import SnapshotHolder, open_encoder
from tests.helpers.commands import plain_environment, run
from tests.helpers.killing import MARK
from tests.helpers.paths import GOLDEN_ENCODER, ROOT
from tests.helpers.pictures import noise_picture, write_pictures
from tests.helpers.published import publish_again

QUICK_STEPS, QUICK_MOMENTS = 4, 1
LONG_MOMENTS = 45
OLD_NAMES = sorted(f"{n:03d}.png" for n in range(10))


class Case:
    """A folder of pictures, its data folder, and the command to be killed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.images, self.data, self.spare = folder / "images", folder / "data", folder / "spare"
        self.data.mkdir()
        write_pictures(self.images, 10)
        if name in ("build", "reindex"):
            self.publish_three_times()
        self.command = self.command_of(folder, name)
        shutil.copytree(self.data, self.spare)
        self.old_names = OLD_NAMES if self.ids() else None
        self.new_names = sorted(path.name for path in self.images.iterdir())

    def publish_three_times(self):
        """Have a snapshot of ten pictures, and two older ones, so that one has to be pruned."""
        self.run("build", self.images, "--encoder", GOLDEN_ENCODER, "--clusters", "2")
        data = DataFolder(self.data)
        for _ in range(2):
            publish_again(data)
        noise_picture(50).save(self.images / "new.png")
        noise_picture(51).save(self.images / "004.png")
        (self.images / "005.png").unlink()

    def command_of(self, folder, name):
        """Return the command line of a case."""
        build = ["build", self.images, "--clusters", "2"]
        if name == "first":  # with an encoder that has to be taken over
            shutil.copyfile(GOLDEN_ENCODER / "encoder.tflite", folder / "another.tflite")
            return [*build, "--encoder", folder / "another.tflite"]
        return {
            "build": [*build, "--encoder", GOLDEN_ENCODER],
            "reindex": ["reindex"],
            "training": [*build, "--architecture", "classic", "--steps", "3"],
        }[name]

    def arguments(self, *command):
        """Return a command line over this data folder."""
        return [*map(str, command), "--data", str(self.data)]

    def run(self, *command):
        """Run a command to its end, in this process: one of its own takes seconds to start."""
        assert run(*self.arguments(*command)) == 0

    def start(self, how):
        """Start the command so that it can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.killing", how, *self.arguments(*self.command)],
            cwd=ROOT, env=plain_environment(), stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def reset(self):
        """Put the data folder back to where it was before the command."""
        shutil.rmtree(self.data)
        shutil.copytree(self.spare, self.data)

    def steps(self):
        """Return the kind of every step of the whole command, and its seconds."""
        start = time.monotonic()
        process = self.start("list")
        _, said = process.communicate(timeout=300)
        seconds = time.monotonic() - start
        assert process.returncode == 0, said
        self.reset()
        return said.rpartition(MARK)[2].split(), seconds

    def kill_before(self, step):
        """Kill before a step, check, and put everything back."""
        process = self.start(str(step))
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        self.check_and_reset()

    def kill_after(self, seconds):
        """Kill after some time, check, and put everything back."""
        process = self.start("list")
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=300)
        self.check_and_reset()

    def check_and_reset(self):
        """See that what is published is whole and served, and that the same command completes."""
        assert self.names_served() in (self.old_names, self.new_names)
        self.run(*self.command)
        assert self.names_served() == self.new_names
        assert len(self.ids()) <= 3
        assert list(self.data.rglob(".*")) == []
        self.reset()

    def ids(self):
        """Return the ids of the snapshots that there are."""
        return DataFolder(self.data).ids()

    def names_served(self):
        """Verify what is live, let the service open it, and return the names of its pictures."""
        holder = SnapshotHolder(DataFolder(self.data), open_encoder(1))
        holder.look()
        try:
            assert holder.problem() is None
            with holder.use() as live:
                snapshot = live.snapshot
                assert snapshot.id == DataFolder(self.data).current_id()
                assert list(encoder_findings(snapshot)) == []
                assert list(verify(snapshot, all_rows=True)) == []
                assert np.isfinite(snapshot.store.vectors(np.arange(len(snapshot)))).all()
                return sorted(record.path for record in snapshot.catalogue)
        except NotReady:
            return None
        finally:
            holder.stop()


@pytest.fixture(scope="module", params=["first", "build", "reindex"])
def case(request, tmp_path_factory):
    """Give each command in turn: a first build, another build, and a re-indexing."""
    return Case(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Give a build that trains, which takes seconds each time."""
    return Case(tmp_path_factory.mktemp("training"), "training")


def kill_everywhere(case, n_steps=None, n_moments=0):
    """Kill before steps spread over the whole run (all by default), and at random times."""
    kinds, seconds = case.steps()
    numbers = np.linspace(1, len(kinds), min(n_steps or len(kinds), len(kinds))).round()
    chosen = sorted({int(number) for number in numbers})
    for step in chosen:
        case.kill_before(step)
    moments = random.Random(0)
    for _ in range(n_moments):
        case.kill_after(moments.uniform(0, seconds))
    return Counter(kinds[step - 1] for step in chosen) + Counter(moment=n_moments)


def test_a_killed_run_leaves_something_whole(case):
    """A sample of moments: first and last step, some between, and random times."""
    assert kill_everywhere(case, QUICK_STEPS, QUICK_MOMENTS).total() == 5


@pytest.mark.long
def test_a_run_killed_at_any_moment_leaves_something_whole(case):
    """Every fsync, rename, link, mkdir, removal and opening for writing, and many random times."""
    points = kill_everywhere(case, n_moments=LONG_MOMENTS)
    print(case.name, points.total(), dict(points))
    assert points.total() >= 85
    assert min(points[kind] for kind in ("fsync", "rename", "mkdir", "open")) >= 2


@pytest.mark.long
def test_a_killed_training_leaves_something_whole(training):
    """The same while the encoder is trained, exported and put into its place."""
    points = kill_everywhere(training, n_steps=16, n_moments=6)
    print("build with training", points.total(), dict(points))
    assert points.total() == 22
