"""Killed at any moment, the indexer leaves a whole snapshot, and the same command completes.

bin/test kills at a sample of moments; `python -m pytest -m long tests/e2e/test_killed.py` at 200
and more.
"""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from index.snapshot import DataFolder
from index.verification import verify
from tests.e2e.conftest import REPOSITORY, plain_environment
from tests.fakes import noise_picture, write_pictures

QUICK_CALLS, QUICK_MOMENTS = 6, 2
LONG_CALLS, LONG_MOMENTS = 150, 60


@pytest.fixture(scope="module")
def encoder(built, tmp_path_factory):
    """Give the folder of a trained encoder."""
    with DataFolder(built.data).open_current() as snapshot:
        return shutil.copytree(snapshot.folder, tmp_path_factory.mktemp("encoder") / "kept")


class Case:
    """A folder of pictures, its data folder, and the command to be killed."""

    def __init__(self, folder: Path, encoder: Path, name: str) -> None:
        self.images, self.data, self.spare = folder / "images", folder / "data", folder / "spare"
        write_pictures(self.images, 10)
        self.run("build", self.images, "--encoder", encoder, "--clusters", "2")
        noise_picture(50).save(self.images / "new.png")
        noise_picture(51).save(self.images / "004.png")
        (self.images / "005.png").unlink()
        if name == "build":
            self.command = ["build", self.images, "--encoder", encoder, "--clusters", "2"]
        else:
            self.command = ["reindex"]
        shutil.copytree(self.data, self.spare)
        self.before = DataFolder(self.data).current_id()

    def arguments(self, *command):
        """Return a command line over this data folder."""
        return [*map(str, command), "--data", str(self.data)]

    def run(self, *command):
        """Run a command to its end."""
        ended = subprocess.run(
            [sys.executable, "-m", "indexer", *self.arguments(*command)],
            cwd=REPOSITORY, env=plain_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr

    def start(self, *how):
        """Start the command so that it can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.killing", *how, *self.arguments(*self.command)],
            cwd=REPOSITORY, env=plain_environment(), stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def reset(self):
        """Put the data folder back to where it was before the command."""
        shutil.rmtree(self.data)
        shutil.copytree(self.spare, self.data)

    def check(self):
        """See that what is published is whole, and that the same command completes."""
        assert self.sound_paths() in (self.old_paths(), self.new_paths())
        self.run(*self.command)
        assert self.sound_paths() == self.new_paths()
        leftovers = [p.name for p in (self.data / "snapshots").iterdir() if p.name[0] == "."]
        assert leftovers == []

    def sound_paths(self):
        """Verify the live snapshot and return its paths with their hashes."""
        with DataFolder(self.data).open_current() as snapshot:
            assert list(verify(snapshot, all_rows=True)) == []
            vectors = snapshot.store.vectors(np.arange(len(snapshot)))
            assert np.isfinite(vectors).all()
            return sorted(record.path for record in snapshot.catalogue)

    def old_paths(self):
        """Return what was published before."""
        return sorted(f"{n:03d}.png" for n in range(10))

    def new_paths(self):
        """Return what the folder holds now."""
        return sorted(path.name for path in self.images.iterdir())


@pytest.fixture(scope="module", params=["build", "reindex"])
def case(request, tmp_path_factory, encoder):
    """Give each command in turn."""
    return Case(tmp_path_factory.mktemp(request.param), encoder, request.param)


def count_calls(case):
    """Return the number of durable calls of the whole command, and its seconds."""
    start = time.monotonic()
    process = case.start("count")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    case.reset()
    return int(re.search(r"durable calls: (\d+)", said).group(1)), time.monotonic() - start


def kill_everywhere(case, n_calls, n_moments):
    """Kill at durable calls spread over the whole run, and at random moments."""
    n_all, seconds = count_calls(case)
    chosen = sorted({round(at) for at in np.linspace(1, n_all, min(n_calls, n_all))})
    for at in chosen:
        process = case.start("call", str(at))
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        case.check()
        case.reset()
    moments = random.Random(0)
    for _ in range(n_moments):
        process = case.start("count")
        time.sleep(moments.uniform(0, seconds))
        process.kill()
        process.communicate(timeout=120)
        case.check()
        case.reset()
    return len(chosen) + n_moments


def test_a_killed_run_leaves_something_whole(case):
    """A sample of moments: first and last durable call, those between, and random times."""
    assert kill_everywhere(case, QUICK_CALLS, QUICK_MOMENTS) >= 8


@pytest.mark.long
def test_a_run_killed_at_any_moment_leaves_something_whole(case):
    """Every durable call and many random times."""
    print(kill_everywhere(case, LONG_CALLS, LONG_MOMENTS))
