from __future__ import annotations

import os
import sys
import tempfile

import pytest

from models.runtime.quiet import quiet_stderr


def test_it_is_held_back(capfd):
    """What a C library writes to stderr is not seen; what comes later is."""
    with quiet_stderr():
        os.write(2, b"a remark\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def test_it_is_shown_after_an_error(capfd):
    """An error shows what was held back, as it may tell why."""
    with pytest.raises(KeyError), quiet_stderr():
        _fail(b"a remark\n")
    assert capfd.readouterr().err == "a remark\n"


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_no_disk_is_needed(capfd, monkeypatch):
    """It works where nothing may be written, as in a container with a read-only root."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: pytest.fail("wants a disk"))
    with quiet_stderr():
        os.write(2, b"a remark\n")
    assert capfd.readouterr().err == ""


def _fail(remark):
    os.write(2, remark)
    raise KeyError("x")
