"""Hold back what C libraries write to stderr while they are loaded."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Two threads that swap the descriptor at once could leave it swapped.
_LOCK = threading.RLock()

# Set before TensorFlow is imported: its messages about CPU and GPU do not help a user.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and show it if an error is raised.

    TensorFlow and LiteRT write about oneDNN, missing GPUs and XNNPACK before they read any log
    level, so no setting silences them. This affects the whole process: use it for loading only.
    """
    sys.stderr.flush()
    with _LOCK, _nameless_file() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _nameless_file() -> IO[bytes]:
    """Return a file in memory if the system supports it: perhaps no disk is writable."""
    if hasattr(os, "memfd_create"):  # not on macOS
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()
