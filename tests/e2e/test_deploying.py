"""What deploy/ and docs/deploying.md promise: the units, the container's files, a bare machine."""

from __future__ import annotations

import ast
import configparser
import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from service.settings import Settings, variable
from tests.e2e.test_service_only import ask
from tests.helpers.commands import plain_environment
from tests.helpers.paths import ROOT
from tests.helpers.pictures import noise_picture
from tests.helpers.servers import free_port, wait_until_ready
from tests.helpers.waiting import PATIENCE_S

DEPLOY = ROOT / "deploy"
UNITS = ["lookalike.service", "lookalike-reindex.service", "lookalike-reindex.timer"]
NOBODY = "65534"


class Unit(configparser.ConfigParser):
    """A unit file; a name that is given more than once keeps all its values, a line each."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",), dict_type=_Gathering)
        self.optionxform = str  # type: ignore[assignment, method-assign]
        self.read_string((DEPLOY / name).read_text())

    def lines(self, name: str) -> list[str]:
        """Return every value of a name in [Service]."""
        return self["Service"][name].split("\n")


class _Gathering(dict):
    """A dictionary whose lists of lines grow instead of being replaced; see configparser."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            value = [*self[key], *value]
        super().__setitem__(key, value)


def containerfile() -> list[tuple[str, str]]:
    """Return the instructions of deploy/Containerfile: word, rest."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def container_environment() -> dict[str, str]:
    """Return what ENV sets, but the search path."""
    found = [pair for word, rest in containerfile() if word == "ENV" for pair in shlex.split(rest)]
    return {name: text for name, _, text in (pair.partition("=") for pair in found)}


def copied() -> list[tuple[str, str]]:
    """Return what the container takes from the repository: source, target."""
    copies = [shlex.split(rest) for word, rest in containerfile() if word == "COPY"]
    return [(source, target) for source, target in (c for c in copies if "--from" not in c[0])]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit(name, tmp_path):
    """No fault is found in it by systemd, with this project where the unit looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    for unit in UNITS:
        text = (DEPLOY / unit).read_text().replace("/opt/lookalike/.venv", sys.prefix)
        (tmp_path / unit).write_text(text.replace("/opt/lookalike", str(ROOT)))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if "ookalike" in line]
    assert (complaints, done.returncode) == ([], 0)


def test_units_start_what_there_is():
    """The service is the Procfile's command, re-indexing the command line's; both know the data."""
    service, reindex = Unit("lookalike.service"), Unit("lookalike-reindex.service")
    folder = service["Service"]["WorkingDirectory"]
    procfile = shlex.split((ROOT / "Procfile").read_text())[1:]
    assert shlex.split(service["Service"]["ExecStart"]) == [
        f"{folder}/.venv/bin/{procfile[0]}", *procfile[1:]
    ]  # fmt: skip
    python, *arguments = shlex.split(reindex["Service"]["ExecStart"])
    assert python == f"{folder}/.venv/bin/python"
    assert arguments == ["-m", "indexer", "reindex"]
    assert importlib.util.find_spec("indexer.__main__")
    data = "LOOKALIKE_DATA=/var/lib/lookalike"
    assert data in service.lines("Environment")
    assert data in reindex.lines("Environment")
    assert reindex["Service"]["StateDirectory"] == "lookalike"
    assert reindex["Service"]["User"] == service["Service"]["SupplementaryGroups"]


def test_settings_of_the_unit_exist():
    """A misspelt one would stop the start."""
    given = dict(line.split("=", 1) for line in Unit("lookalike.service").lines("Environment"))
    settings = Settings.from_environment(given)
    assert (settings.proxies, settings.workers) == (1, 2)
    assert all(name.startswith("LOOKALIKE_") for name in given)


def test_container_takes_files_that_exist():
    """Each is sent to the builder, and none of them is the user's data."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    sources = [source.rstrip("/") for source, _ in copied()]
    assert sorted(sources) == ["index", "models", "requirements-service.txt", "service"]
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


def test_container_installs_what_serving_needs():
    """One line installs requirements-service.txt, and the user is not root."""
    instructions = containerfile()
    runs = [rest for word, rest in instructions if word == "RUN"]
    installs = [run for run in runs if "pip install" in run]
    assert [re.findall(r"-r /(\S+)", run) for run in installs] == [["requirements-service.txt"]]
    (user,) = [rest for word, rest in instructions if word == "USER"]
    assert int(user) > 0


def test_container_may_read_files_of_a_strict_checkout(tmp_path):
    """Files that only their owner may read, as umask 077 makes them, are readable in the image."""
    for source, target in copied():
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, tmp_path / target, ignore=ignore)
    for path in tmp_path.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    instructions = containerfile()
    after = [word for word, _ in instructions].index("WORKDIR")
    runs = [rest for word, rest in instructions[after:] if word == "RUN"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for run in runs:
        subprocess.run(["sh", "-c", run], cwd=tmp_path, check=True, env={"PATH": path})
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert len(modes) > 100
    wanted = {path: 0o005 if path.is_dir() else 0o004 for path in modes}
    assert [path for path, mode in modes.items() if mode & 0o007 != wanted[path]] == []


def test_unit_can_listen_on_a_unix_socket():
    """Its folder exists and others may enter it, and gunicorn may call chown on the socket."""
    service = Unit("lookalike.service")
    assert service["Service"]["RuntimeDirectory"] == "lookalike"
    assert service["Service"].get("RuntimeDirectoryMode", "0755") == "0755"
    filters = service.lines("SystemCallFilter")
    assert filters.index("@chown") > filters.index("~@privileged")
    assert "AF_UNIX" in service["Service"]["RestrictAddressFamilies"].split()
    assert Settings.from_environment({"LOOKALIKE_BIND": "unix:/run/lookalike/socket"})
    page = (ROOT / "docs" / "deploying.md").read_text()
    assert "`unix:/run/lookalike/socket`" in page


def test_unit_never_gives_up():
    """A service that cannot start yet is tried again, however often it has failed."""
    service = Unit("lookalike.service")
    assert service["Service"]["Restart"] == "always"
    assert service["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.fixture
def image(tmp_path) -> Path:
    """Return a folder with what the container holds of the repository, write-protected."""
    folder = tmp_path / "app"
    folder.mkdir()
    for source, target in copied():
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, folder / target, ignore=ignore)
    protect(folder)
    return folder


def protect(folder: Path) -> None:
    """Let everybody read a folder and nobody write into it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def as_stranger() -> list[str]:
    """Return what starts a command as a user who owns nothing.

    Without root's rights but that of reading, as this Python may lie in root's home.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    only = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    return ["setpriv", *who, *only, "--bounding-set=-all,+dac_read_search"]


@pytest.fixture
def systemd(tmp_path):
    """Give the socket that systemd would listen on for a unit of Type=notify."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        address.chmod(0o666)
        listener.settimeout(PATIENCE_S)
        yield listener


@contextlib.contextmanager
def container(image, python, systemd, log, **settings):
    """Run CMD in the environment of ENV, with the packages of a Python, as a stranger."""
    port = free_port()
    environment = plain_environment(**container_environment(), HOME="/nonexistent")
    environment |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "PORT": str(port)}
    environment |= {"NOTIFY_SOCKET": systemd.getsockname()} | settings
    command = [*as_stranger(), *instruction("CMD"), "--bind", f"127.0.0.1:{port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=image, env=environment, stdout=out, stderr=out)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, log)
        yield url, environment
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


def test_container_serves(small_environment, image, collection, systemd, tmp_path):
    """Its files and packages are enough for a user who may write nothing.

    The same holds for lookalike.service; its start is told to systemd, and HEALTHCHECK sees it.
    """
    protect(collection.data)
    before = times(collection.data)
    picture = tmp_path / "new.png"
    noise_picture(888).save(picture)
    settings = {"LOOKALIKE_DATA": str(collection.data), "LOOKALIKE_WORKERS": "2"}
    log = tmp_path / "log"
    with container(image, small_environment, systemd, log, **settings) as (url, environment):
        assert b"READY=1" in systemd.recv(1000)
        assert ask(url, picture) == "encoded"
        assert ask(url, collection.pictures / "003.png") == "cached"
        with urllib.request.urlopen(url + "/readyz") as answer:
            checks = json.load(answer)["checks"]
        assert all(check["ok"] for check in checks.values())
        assert subprocess.run(instruction("HEALTHCHECK"), env=environment).returncode == 0
    late = subprocess.run(instruction("HEALTHCHECK"), env=environment, stderr=subprocess.DEVNULL)
    assert late.returncode == 1
    assert times(collection.data) == before
    assert list(image.rglob("__pycache__")) == []


def instruction(word: str) -> list[str]:
    """Return the command of CMD or HEALTHCHECK."""
    (rest,) = [rest for found, rest in containerfile() if found == word]
    return ast.literal_eval(rest[rest.index("[") :])


def times(folder: Path) -> dict[str, int]:
    """Return when each file and folder was changed last."""
    return {str(p): p.stat(follow_symlinks=False).st_mtime_ns for p in folder.rglob("*")}


def test_data_of_the_service_is_readable_to_its_group():
    """With the unit's UMask what re-indexing writes can be read by the group, and by no other."""
    mask = int(Unit("lookalike-reindex.service")["Service"]["UMask"], 8)
    assert 0o666 & ~mask == stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP
    assert Unit("lookalike-reindex.service")["Service"]["StateDirectoryMode"] == "0750"


def test_settings_and_files_of_the_page_exist():
    """Each setting that docs/deploying.md or a file in deploy/ names is in the table."""
    page = ROOT / "docs" / "deploying.md"
    known = {variable(line) for line in dataclasses.fields(Settings)}
    texts = [path.read_text() for path in (page, *DEPLOY.iterdir())]
    named = {name for text in texts for name in re.findall(r"\bLOOKALIKE_[A-Z_]+\b", text)}
    assert len(named) > 5
    assert named <= known
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert len(links) > 5
    assert all((page.parent / link).exists() for link in links)
