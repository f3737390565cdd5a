"""Keep C libraries from talking on stderr while they are loaded."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Two threads that swap the descriptor at once could leave it swapped.
_LOCK = threading.RLock()

# Before TensorFlow is imported: its remarks about CPU and GPU mean nothing to a user here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; show it after all if an error is raised.

    TensorFlow and LiteRT remark on oneDNN, missing GPUs and XNNPACK before any log level is
    minded, so no setting silences them. Affects the whole process: for loading only.
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
    """Give a file in memory where the system has such: no disk may be writable."""
    if hasattr(os, "memfd_create"):  # not on macOS
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()
