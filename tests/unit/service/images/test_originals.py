from __future__ import annotations

import contextlib
import os

import pytest

from index.catalogue import ImageRecord
from service.errors import NoPictureFile
from service.images import originals

NOBODY = 65534
RECORD = ImageRecord(
    row=0, id="0" * 16, path="in/one.png", sha256="0" * 64, pixel_digest="0" * 64,
    size_bytes=1, mtime_ns=0, width=1, height=1, format="PNG", metadata={},
)  # fmt: skip


@contextlib.contextmanager
def without_rights():
    """Be somebody who may not read everything, as root may."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def root(tmp_path):
    """Return an image root with one file in a folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.png").write_bytes(b"x")
    return tmp_path


def test_file_under_the_root_is_found(root):
    """The path is that of the file, links resolved."""
    assert originals.find(RECORD, root) == (root / "in" / "one.png").resolve()


@pytest.mark.parametrize("locked", ["in", "in/one.png"])
def test_file_that_may_not_be_read_is_none(root, locked):
    """A service under a user of its own says so, whether the file or its folder is closed to it."""
    (root / locked).chmod(0)
    with without_rights(), pytest.raises(NoPictureFile, match="service's user may not read it"):
        originals.find(RECORD, root)
    (root / locked).chmod(0o700)


def test_folder_in_place_of_the_file_is_none(root):
    """What is there now must be a file."""
    (root / "in" / "one.png").unlink()
    (root / "in" / "one.png").mkdir()
    with pytest.raises(NoPictureFile, match="is no longer a file"):
        originals.find(RECORD, root)
