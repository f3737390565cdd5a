"""Open the standard streams that a process was started without."""

from __future__ import annotations

import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_standard_streams() -> None:
    """Connect each closed standard stream to the null device; call before any file is opened.

    Some schedulers close them (``2>&-`` in a shell). The next file that the process opens would
    take the free descriptor, and what a C library writes to stderr would end up in that file.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
