from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.process import shared_folder
from tests.helpers import paths
from tests.helpers.waiting import PATIENCE_S

REPOSITORY = paths.ROOT


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Put the folders where the test can see them; leave none behind."""
    monkeypatch.setattr(shared_folder, "MEMORY", tmp_path)
    monkeypatch.setattr(shared_folder, "ABANDONED_S", -1.0)
    yield tmp_path
    shared_folder.remove()


def test_folder_is_private_empty_and_one(memory):
    """Nobody else may look into it, and asking again gives the same one."""
    assert shared_folder.shared() is None
    folder = shared_folder.make()
    assert folder.parent == memory
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    assert shared_folder.make() == shared_folder.shared() == folder
    shared_folder.remove()
    assert not folder.exists()
    assert shared_folder.shared() is None


def make_in_a_process(memory, then):
    """Make a folder in a process of its own."""
    code = (
        "import os, sys; from pathlib import Path; from service.process import shared_folder as s; "
        f"s.MEMORY = Path({str(memory)!r}); print(s.make(), flush=True); {then}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_folder_of_a_killed_service_is_removed(memory):
    """What it could not remove itself goes when the next one starts."""
    with make_in_a_process(memory, "os._exit(9)") as killed:
        left = Path(killed.stdout.readline().strip())
        killed.wait(PATIENCE_S)
    assert left.is_dir()
    shared_folder.make()
    assert not left.exists()


def test_folder_of_a_living_service_stays(memory):
    """Two services on one machine do not disturb each other."""
    with make_in_a_process(memory, "sys.stdin.read()") as other:
        theirs = Path(other.stdout.readline().strip())
        assert shared_folder.make() != theirs
        assert theirs.is_dir()
        other.stdin.close()


def test_links_and_files_of_that_name_are_left_alone(memory, tmp_path_factory):
    """A link somebody has put there does not lead to the removal of what it points at."""
    precious = tmp_path_factory.mktemp("precious")
    (precious / "file").write_text("x")
    (memory / "lookalike-link").symlink_to(precious)
    (memory / "lookalike-file").write_text("x")
    shared_folder.make()
    assert (precious / "file").exists()
    assert (memory / "lookalike-file").exists()


def test_worker_is_known_by_its_number(monkeypatch):
    """Until gunicorn gives one, the process's id stands for it."""
    monkeypatch.setattr(shared_folder, "_worker", None)
    assert shared_folder.worker() == os.getpid()
    shared_folder.set_worker(3)
    assert shared_folder.worker() == 3
