"""Cores and memory of a container, read from file trees as Linux writes them."""

import os
import subprocess
import sys

import pytest

from models.runtime import machine_limits
from models.runtime.machine_limits import (
    available_memory_bytes,
    cores,
    decode_pixels,
    limit_library_threads,
    memory_limit_bytes,
)
from tests.helpers.paths import ROOT

MIB = 1 << 20
V2 = "30 23 0:26 {inside} /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:28 {inside} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:29 {inside} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
FREE = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:   {900 << 10} kB\n"}
MANY_CORES = 64

has_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system has no CPU affinity"
)


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    """Let only the control groups limit: this machine may be smaller than what they allow."""
    monkeypatch.setattr(machine_limits, "_affinity", lambda: MANY_CORES)
    monkeypatch.setattr(machine_limits, "_physical_bytes", lambda: 1 << 40)


@pytest.fixture
def host(tmp_path):
    """Give a function that writes a tree of files and returns its root."""

    def write(files):
        for name, text in (FREE | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def v2(group, files, own="/", inside="/"):
    """Return the tree of a host with control groups of version 2."""
    tree = {f"sys/fs/cgroup/{group}{name}": text for name, text in files.items()}
    return tree | {
        "proc/self/cgroup": f"0::{own}\n",
        "proc/self/mountinfo": V2.format(inside=inside),
    }


def v1(files, own="/docker/ab", inside="/"):
    """Return the tree of a host with control groups of version 1."""
    tree = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    lines = f"5:cpu,cpuacct:{own}\n4:memory:{own}\n1:name=systemd:{own}\n0::/\n"
    return tree | {
        "proc/self/cgroup": lines,
        "proc/self/mountinfo": V1.format(inside=inside),
    }


# ---------------------------------------------------------------- cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 2), ("50000 100000", 1), ("800000 100000", 8), ("max 100000", MANY_CORES)],
)
def test_cores_follow_the_quota_of_a_container(host, quota, expected):
    """A quota of one and a half cores keeps two threads busy; "max" is no quota."""
    assert cores(host(v2("", {"cpu.max": quota}))) == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("-1", MANY_CORES)])
def test_cores_follow_the_quota_of_version_1(host, quota, expected):
    """Quota and period are two files there; the container sees its group as the top."""
    files = {"cpu,cpuacct/cpu.cfs_quota_us": quota, "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    assert cores(host(v1(files, inside="/docker/ab"))) == expected


def test_cores_follow_the_smallest_quota_on_the_way_up(host):
    """Systemd limits a slice, and its services with it."""
    files = {"cpu.max": "max 100000", "app.service/cpu.max": "400000 100000"}
    tree = v2("user.slice/", files, own="/user.slice/app.service")
    tree["sys/fs/cgroup/user.slice/cpu.max"] = "200000 100000"
    assert cores(host(tree)) == 2


def test_cores_without_control_groups_are_those_of_the_affinity(tmp_path):
    """On macOS, or without /proc, nothing else is asked."""
    assert cores(tmp_path) == MANY_CORES


@has_affinity
def test_cores_follow_the_affinity():
    """`taskset -c 0` leaves one core, whatever the machine has."""
    script = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    script += "from models.runtime.machine_limits import cores; print(cores())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


# ---------------------------------------------------------------- memory


def test_memory_is_that_of_the_container(host):
    """Of the limit, what is used is not free; the page cache is."""
    files = {
        "memory.max": str(512 * MIB),
        "memory.current": str(300 * MIB),
        "memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
    }
    root = host(v2("", files))
    assert memory_limit_bytes(root) == 512 * MIB
    assert available_memory_bytes(root) == 312 * MIB


def test_memory_is_that_of_the_container_in_version_1(host):
    """The names of the files differ, the sum does not."""
    files = {
        "memory/docker/ab/memory.limit_in_bytes": str(512 * MIB),
        "memory/docker/ab/memory.usage_in_bytes": str(300 * MIB),
        "memory/docker/ab/memory.stat": f"inactive_file 1\ntotal_inactive_file {100 * MIB}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }
    root = host(v1(files))
    assert memory_limit_bytes(root) == 512 * MIB
    assert available_memory_bytes(root) == 312 * MIB


def test_memory_of_a_group_above_counts_too(host):
    """A pod has a limit for all of its containers."""
    tree = v2("pod/", {"memory.max": str(256 * MIB), "c/memory.max": "max"}, own="/pod/c")
    assert memory_limit_bytes(host(tree)) == 256 * MIB


def test_memory_without_limit_is_what_the_machine_has_free(host):
    """MemAvailable counts where no group limits."""
    root = host(v2("", {"memory.max": "max"}))
    assert memory_limit_bytes(root) == 1 << 40
    assert available_memory_bytes(root) == 900 * MIB


def test_memory_is_never_below_zero(host):
    """A group above its limit has nothing free."""
    files = {"memory.max": "100", "memory.current": "300"}
    assert available_memory_bytes(host(v2("", files))) == 0


def test_a_path_of_another_namespace_means_the_top_of_the_mount(host):
    """A container may be told the host's path of its group, which is not mounted in it."""
    tree = v2("", {"memory.max": str(64 * MIB)}, own="/../../other", inside="/kubepods/x")
    assert memory_limit_bytes(host(tree)) == 64 * MIB


def test_odd_mount_points_are_understood(host):
    """Spaces are written in octal."""
    tree = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "1 2 0:1 / /my\\040groups rw - cgroup2 cgroup rw\n",
        "my groups/memory.max": str(64 * MIB),
    }
    assert memory_limit_bytes(host(tree)) == 64 * MIB


# ---------------------------------------------------------------- what follows from it


@pytest.mark.parametrize(
    ("memory_mib", "n_cores", "expected"),
    [(1 << 20, 2, 50_000_000), (1 << 20, 16, 400_000_000), (1024, 16, 31_580_641), (0, 2, 1)],
)
def test_decode_pixels_are_limited_by_cores_and_memory(memory_mib, n_cores, expected):
    """25 million pixels a core, at most half of the memory at 17 bytes a pixel, at least one."""
    assert decode_pixels(memory_mib * MIB, n_cores) == expected


@pytest.mark.parametrize(("quota", "variable"), [("200000", "2"), ("-1", None)])
def test_libraries_are_told_the_quota(host, monkeypatch, quota, variable):
    """OpenMP, OpenBLAS and TensorFlow would start a thread for each core of the host."""
    files = {"cpu,cpuacct/cpu.cfs_quota_us": quota, "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    n_cores = cores(host(v1(files, own="/")))
    monkeypatch.setattr(machine_limits, "cores", lambda: n_cores)
    environ = {"OPENBLAS_NUM_THREADS": "7"}
    monkeypatch.setattr(os, "environ", environ)

    limit_library_threads()

    assert environ.get("OMP_NUM_THREADS") == environ.get("TF_NUM_INTRAOP_THREADS") == variable
    assert environ["OPENBLAS_NUM_THREADS"] == "7"
