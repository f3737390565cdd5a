"""What this process may use of its machine: cores and memory, within the limits of its container.

The one place that asks. Considered are the CPU affinity, the control groups of Linux (v1 and v2,
the process's own and all above it), and the free memory. Imports nothing but the standard library,
because gunicorn's parent process reads the settings before it forks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

DECODE_BYTES_PER_PIXEL = 17  # at most, for a moment; see docs/deploying.md
PIXELS_PER_CORE = 25_000_000  # a photo of a current camera
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_ROOT = Path("/")
_UNLIMITED = 1 << 60  # version 1 writes a huge number for "no limit"


def cores(root: Path = _ROOT) -> int:
    """Return how many cores this process may keep busy, at least 1.

    Parameters
    ----------
    root : Path
        Folder that holds `proc` and `sys`. Only tests pass another.

    Returns
    -------
    int
        The smallest of the CPU affinity and the CPU quotas, rounded up.
    """
    quotas = [ceil(quota) for folder in _groups("cpu", root) for quota in _cpu_quota(folder)]
    return max(1, min([_affinity(), *quotas]))


def memory_limit_bytes(root: Path = _ROOT) -> int:
    """Return how much memory this process may have: the smallest limit, or the machine's memory.

    Parameters
    ----------
    root : Path
        As for `cores`.
    """
    limits = [limit for folder in _groups("memory", root) for limit, _ in _memory(folder)]
    return min([_physical_bytes(), *limits])


def available_memory_bytes(root: Path = _ROOT) -> int:
    """Return how much memory is free for this process now, without swapping.

    Parameters
    ----------
    root : Path
        As for `cores`.

    Returns
    -------
    int
        The smallest of the machine's free memory and what each control group has left. The page
        cache counts as free. Where the system does not tell, half of the machine's memory.
    """
    left = [limit - used for folder in _groups("memory", root) for limit, used in _memory(folder)]
    return max(0, min([_free_bytes(root), *left]))


def decode_pixels(memory_bytes: int, n_cores: int) -> int:
    """Return how many pixels may be decoded at a time, so that half of the memory stays free.

    Parameters
    ----------
    memory_bytes : int
        Memory for this process.
    n_cores : int
        Cores for this process.

    Returns
    -------
    int
        At least 1. At most 25 million for each core: more would not be faster.
    """
    affordable = memory_bytes // 2 // DECODE_BYTES_PER_PIXEL
    return max(1, min(affordable, n_cores * PIXELS_PER_CORE))


def limit_library_threads() -> None:
    """Keep numerical libraries to the cores of a container; call it before they are loaded.

    They mind the CPU affinity by themselves, but no CPU quota: with more threads than the quota
    allows, each of them waits most of the time. Variables that are set already win.
    """
    n_cores = cores()
    if n_cores < _affinity():
        for name in _THREAD_VARIABLES:
            os.environ.setdefault(name, str(n_cores))


def _affinity() -> int:
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_bytes(root: Path) -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _text(root / "proc/meminfo"), re.M)
    return int(found[1]) << 10 if found else _physical_bytes() // 2


# ---------------------------------------------------------------- control groups


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups, and of those above them."""
    paths = dict(_own_paths(controller, root))
    for version, inside, mount_point in _mounts(controller, root):
        if version not in paths:
            continue
        top = root / mount_point.lstrip("/")
        own = PurePosixPath(paths[version])
        # A container may see its group mounted as the top of the tree, under another path.
        below = own.relative_to(inside) if own.is_relative_to(inside) else PurePosixPath()
        folder = top / below if ".." not in below.parts else top
        yield folder
        yield from (above for above in folder.parents if above.is_relative_to(top))


def _own_paths(controller: str, root: Path) -> Iterator[tuple[int, str]]:
    """Yield the version of each hierarchy that matters, and the process's path in it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _mounts(controller: str, root: Path) -> Iterator[tuple[int, str, str]]:
    """Yield version, the path inside the hierarchy, and the mount point."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields, _, of_type = line.partition(" - ")
        inside, mount_point = map(_unescaped, fields.split(" ")[3:5])
        kind, *_, options = of_type.split(" ")
        if kind == "cgroup2":
            yield 2, inside, mount_point
        elif kind == "cgroup" and controller in options.split(","):
            yield 1, inside, mount_point


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _cpu_quota(folder: Path) -> Iterator[float]:
    """Yield how many cores a group may keep busy, if that is limited."""
    words = _text(folder / "cpu.max").split() or [
        *_text(folder / "cpu.cfs_quota_us").split(),
        *_text(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:  # else "max" or -1
        yield int(words[0]) / int(words[1])


def _memory(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the limit of a group and what it uses, page cache left out, if it is limited."""
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _text(folder / limit_file).strip()
        if limit.isdigit() and int(limit) < _UNLIMITED:
            used = int(_text(folder / used_file).strip() or 0)
            found = re.search(rf"^{cache} (\d+)$", _text(folder / "memory.stat"), re.M)
            yield int(limit), used - (int(found[1]) if found else 0)


def _text(path: Path) -> str:
    """Return a small file's text, or "" where there is none: not every system has each."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
