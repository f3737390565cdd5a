"""The shell commands in bin/, run as a user runs them, in a copy of the repository's bin/.

A stand-in .venv, indexer and gunicorn make them quick: what is tested here is what the scripts
promise, not training and serving.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.commands import plain_environment
from tests.helpers.paths import ROOT
from tests.helpers.servers import free_port
from tests.helpers.waiting import PATIENCE_S, wait_for

TOOLS = ["bash", "sh", "env", "dirname", "basename", "cat", "cksum", "df", "awk", "id", "uname"]
TOOLS += ["sed", "readlink", "mkdir", "sleep"]

INDEXER = """
import json, os, pathlib, sys
command, images, *options = sys.argv[1:]
data = pathlib.Path(options[options.index("--data") + 1])
(data / "snapshots" / "one").mkdir(parents=True, exist_ok=True)
(data / "snapshots" / "one" / "manifest.json").write_text(json.dumps({"image_root": images}))
(data / "CURRENT").write_text("one\\n")
with (data / "builds.jsonl").open("a") as file:
    file.write(json.dumps([command, images, options]) + "\\n")
"""

GUNICORN = """#!{python}
import http.server, os, pathlib, sys
host, port = sys.argv[sys.argv.index("-b") + 1].split(":")
pathlib.Path(os.environ["LOOKALIKE_DATA"], "gunicorn.pid").write_text(str(os.getpid()))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join([os.getcwd(), *sys.argv[1:]]).encode())
http.server.HTTPServer((host, int(port)), Ready).serve_forever()
"""


def write_script(path: Path, text: str) -> Path:
    """Write an executable file; in place of a link, not through it into the machine's own tool."""
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def copy(tmp_path):
    """Return a folder with the repository's bin/, Procfile and requirements, and nothing else."""
    folder = tmp_path / "a copy"
    shutil.copytree(ROOT / "bin", folder / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["Procfile", "requirements.txt", "requirements-service.txt"]:
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def tools(tmp_path):
    """Return a folder for the PATH that holds plain tools and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture
def installed(copy):
    """Return the copy with a stand-in environment, indexer and gunicorn in place."""
    venv_bin = copy / ".venv" / "bin"
    venv_bin.mkdir(parents=True)
    # Not a link: a linked python takes .venv for its own environment and finds no packages.
    write_script(venv_bin / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    write_script(venv_bin / "gunicorn", GUNICORN.format(python=sys.executable))
    (copy / "indexer").mkdir()
    (copy / "indexer" / "__main__.py").write_text(INDEXER)
    stamp = subprocess.run(
        "cat requirements-service.txt requirements.txt | cksum",
        shell=True, cwd=copy, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (copy / ".venv" / ".installed-requirements").write_text(stamp)
    return copy


def demo(copy: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run bin/demo to its end."""
    return subprocess.run(
        ["/bin/bash", str(copy / "bin" / "demo"), *arguments],
        env=plain_environment(**changes), capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip


def python_shim(path: Path, *, without: str = "") -> Path:
    """Write a name for this Python; with `without`, one that lacks this module."""
    refuse = f'case "$*" in *{without}*) exit 1 ;; esac\n' if without else ""
    return write_script(path, f'#!/bin/sh\n{refuse}exec "{sys.executable}" "$@"\n')


def fake_df(folder: Path, *, free_kb: int) -> Path:
    """Write a df that reports this much free, on a disk with spaces in its names."""
    header = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    line = f"map auto home 9000000 8700000 {free_kb} 97% /a disk"
    return write_script(folder / "df", f"#!/bin/sh\necho '{header}'\necho '{line}'\n")


def test_demo_without_python_says_how_to_get_one(copy, tools):
    """No usable Python: one sentence, with the versions that will do."""
    write_script(tools / "python3.13", "#!/bin/sh\nexit 127\n")

    done = demo(copy, PATH=str(tools))

    assert done.returncode == 1
    assert done.stderr.startswith("bin/demo: no Python 3.11, 3.12 or 3.13 runs here; install one")
    assert len(done.stderr.splitlines()) == 1


def test_demo_skips_an_empty_shim_and_names_the_missing_venv_package(copy, tools):
    """A python3.13 that fails is passed over; a missing venv module has its package named."""
    write_script(tools / "python3.13", "#!/bin/sh\nexit 127\n")
    python_shim(tools / "python3.11", without="ensurepip")

    done = demo(copy, PATH=str(tools))

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert "python3.11 has no venv module" in done.stderr
    assert f"apt-get install python{version}-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_demo_prefers_a_python_that_can_make_an_environment(copy, tools):
    """Of two that run, the one with a venv module is taken."""
    python_shim(tools / "python3.13", without="ensurepip")
    python_shim(tools / "python3.11")
    fake_df(tools, free_kb=1000)

    assert demo(copy, PATH=str(tools)).stderr.startswith("bin/demo: 1 MB are free")


def test_demo_with_too_little_disk_says_what_is_free(copy, tools):
    """Under 5 GB of free disk: one sentence with both figures, and nothing is made."""
    python_shim(tools / "python3.11")
    fake_df(tools, free_kb=300_000)

    done = demo(copy, PATH=str(tools))

    assert done.returncode == 1
    assert "300 MB are free" in done.stderr
    assert "5000 are needed" in done.stderr
    assert not (copy / ".venv").exists()


def test_demo_without_network_says_so_in_one_sentence(copy, tmp_path):
    """An index that cannot be reached is named at once, not after minutes of retries."""
    fake_df(tmp_path, free_kb=9_000_000)

    done = demo(
        copy,
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_FIND_LINKS="",
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("bin/demo: pip cannot reach its package index")
    assert not (copy / ".venv" / ".installed-requirements").exists()


def test_demo_refuses_what_is_no_folder(copy, tmp_path):
    """A wrong folder is said before anything is installed."""
    done = demo(copy, str(tmp_path / "absent"))

    assert done.returncode == 1
    assert "is no folder" in done.stderr


def test_demo_help_names_its_settings(copy):
    """--help tells the environment variables and the exit status; a wrong option is usage."""
    done = demo(copy, "--help")

    assert done.returncode == 0
    assert all(name in done.stdout for name in ["PORT", "LOOKALIKE_DATA", "LOOKALIKE_DEMO_MINUTES"])
    assert demo(copy, "--fast").returncode == 2


class RunningDemo:
    """bin/demo in the background, its output in a file."""

    def __init__(self, copy: Path, *arguments: str, **changes: str) -> None:
        self.log = copy / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", str(copy / "bin" / "demo"), *arguments],
                env=plain_environment(**changes), stdout=log, stderr=log, start_new_session=True,
                # A shell that runs the tests in the background has SIGINT ignored, for good.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def text(self) -> str:
        """Return what it printed so far."""
        return self.log.read_text()

    def wait_for(self, condition) -> None:
        """Wait until `condition()` holds, or the demo has ended."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert condition(), self.text()

    def address(self) -> str:
        """Return the printed address once it is there."""
        self.wait_for(lambda: "ready: http" in self.text())
        return self.text().split("ready: ")[1].split()[0]

    def end(self, signal_number: int) -> int:
        """Send a signal to the script alone; return its status."""
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def start(installed):
    """Start demos in the copy and end them after the test."""
    started: list[RunningDemo] = []

    def start_one(*arguments: str, **changes: str) -> RunningDemo:
        started.append(RunningDemo(installed, *arguments, **changes))
        return started[-1]

    yield start_one
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)


def is_alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_demo_builds_once_serves_by_the_procfile_and_ends_cleanly(installed, start, tmp_path):
    """Own folder with spaces: built once, served by the Procfile, ended by Ctrl-C with status 0."""
    images, data, port = tmp_path / "my pictures", installed / "data", free_port()
    images.mkdir()

    for _ in range(2):
        one = start(str(images), PORT=str(port))
        assert one.address() == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(one.address()) as answer:
            served = answer.read().decode()
        assert served.startswith(f"{installed} -c service/gunicorn.conf.py service:create_app()")
        server = int((data / "gunicorn.pid").read_text())
        assert one.end(signal.SIGINT) == 0
        assert not is_alive(server)

    builds = [json.loads(line) for line in (data / "builds.jsonl").read_text().splitlines()]
    assert builds == [["build", str(images), ["--data", str(data), "--minutes", "3"]]]


def test_demo_builds_anew_for_another_folder(installed, start, tmp_path):
    """A snapshot of another folder is not taken for this one."""
    for name in ["first", "second"]:
        (tmp_path / name).mkdir()
        one = start(str(tmp_path / name), PORT=str(free_port()), LOOKALIKE_DEMO_MINUTES="1")
        one.address()
        one.end(signal.SIGINT)

    builds = (installed / "data" / "builds.jsonl").read_text().splitlines()
    assert [json.loads(line)[2][-1] for line in builds] == ["1", "1"]


def test_demo_takes_another_port_when_its_own_is_taken(start, tmp_path):
    """A taken port is said, and a free one is used."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = start(str(tmp_path), PORT=str(port))

        assert one.address() != f"http://127.0.0.1:{port}"
        assert f"port {port} is taken" in one.text()


def test_ctrl_c_during_the_build_ends_the_build_too(installed, start, tmp_path):
    """Ctrl-C before the server is up: status 130, and the build is gone with it."""
    pid_file = tmp_path / "build.pid"
    (installed / "indexer" / "__main__.py").write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    one = start(str(tmp_path))
    one.wait_for(lambda: pid_file.exists() and pid_file.read_text())

    assert one.end(signal.SIGINT) == 130
    assert not is_alive(int(pid_file.read_text()))
    assert "the next call goes on from here" in one.text()


def test_demo_says_when_the_server_ends_at_once(installed, start, tmp_path):
    """A server that cannot start is a sentence and status 1, not an endless wait."""
    write_script(installed / ".venv" / "bin" / "gunicorn", "#!/bin/sh\necho no model >&2\nexit 3\n")

    one = start(str(tmp_path))

    assert one.process.wait(timeout=PATIENCE_S) == 1
    assert "no model\nbin/demo: the server did not become ready" in one.text()


def test_lookalike_runs_from_any_folder_through_a_link(installed, tmp_path):
    """The caller's folder stays the working directory, and its modules are not taken for ours."""
    (installed / "indexer" / "__main__.py").write_text(
        "import os, sys\nprint(os.getcwd(), sys.argv[1:])\n"
    )
    here = tmp_path / "elsewhere"
    (here / "indexer").mkdir(parents=True)
    (here / "indexer" / "__main__.py").write_text("raise SystemExit('the wrong indexer')")
    (tmp_path / "link").symlink_to(installed / "bin" / "lookalike")
    (here / "lookalike").symlink_to("../link")

    done = subprocess.run(
        ["./lookalike", "search", "a b.jpg"], cwd=here, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{here} ['search', 'a b.jpg']\n"


def test_lookalike_without_requirements_says_what_to_run(copy, tools):
    """No .venv and a Python without the requirements: one sentence with both ways out."""
    python_shim(tools / "python3", without="faiss")

    done = subprocess.run(
        ["/bin/bash", str(copy / "bin" / "lookalike")],
        env=plain_environment(PATH=str(tools)), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "bin/demo once, or: pip install -r" in done.stderr


def test_procfile_is_the_promised_command():
    """Hosts that read a Procfile start the service with gunicorn and its configuration file."""
    assert (ROOT / "Procfile").read_text() == (
        "web: gunicorn -c service/gunicorn.conf.py 'service:create_app()'\n"
    )
