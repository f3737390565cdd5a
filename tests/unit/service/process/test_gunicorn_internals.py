"""gunicorn is still as it was when service/process/worker.py was written for it."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import re
from importlib.metadata import version

import pytest
from gunicorn.workers.gthread import ThreadWorker

from service.process.gunicorn_internals import OVERRIDDEN, USED
from service.process.worker import Worker
from tests.helpers import paths

FINGERPRINTS = {
    "gunicorn.workers.gthread.ThreadWorker.__init__": "5681b8b542ea91bf",
    "gunicorn.workers.gthread.ThreadWorker.check_config": "677dafbcca4e7fb4",
    "gunicorn.workers.gthread.ThreadWorker.enqueue_req": "c9f428953d24acef",
    "gunicorn.workers.gthread.ThreadWorker.on_client_socket_readable": "aead1a3ea7b7daff",
    "gunicorn.workers.gthread.ThreadWorker.on_pending_socket_readable": "2475f7087832c086",
    "gunicorn.workers.gthread.ThreadWorker.handle": "ca85c9be3df75da4",
    "gunicorn.workers.base.Worker.notify": "7f509bc4046b0e97",
    "gunicorn.workers.base.Worker.__init__": "e0f1de2d60574066",
    "gunicorn.workers.gthread.ThreadWorker.accept": "f8dcead3dce5c851",
    "gunicorn.workers.gthread.ThreadWorker.finish_request": "616e7bb15a009ff7",
    "gunicorn.workers.gthread.ThreadWorker.murder_pending": "7bf11f46454296e1",
    "gunicorn.workers.gthread.ThreadWorker.run": "f92c7394d85715a4",
    "gunicorn.workers.gthread.TConn.__init__": "c8763d7c65974e1b",
    "gunicorn.workers.gthread.TConn.init": "5ff3d4ba451cfdf3",
    "gunicorn.workers.gthread.TConn.close": "6d1c334ed1979fcb",
    "gunicorn.http.parser.Parser.__init__": "604084ecb33b3dbd",
    "gunicorn.http.unreader.Unreader.unread": "8e325744dfcaca7f",
    "gunicorn.http.unreader.SocketUnreader.chunk": "9f62532259f8468e",
    "gunicorn.util.close_graceful": "0e5925bfc017bc4e",
    "gunicorn.arbiter.Arbiter.spawn_worker": "6abc0d90b0b9f80b",
}
REASONS = OVERRIDDEN | USED


def found(name):
    """Return what a dotted name stands for in the installed gunicorn; None if it is gone."""
    parts = name.split(".")
    for n_module in range(len(parts) - 1, 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:n_module]))
        except ModuleNotFoundError:
            continue
        for part in parts[n_module:]:
            value = getattr(value, part, None)
        return value
    return None


def fingerprint(value):
    """Return a digest of a function's source; "missing" if there is no function."""
    if value is None:
        return "missing"
    return hashlib.sha256(inspect.getsource(value).encode()).hexdigest()[:16]


def complaint(name, value):
    """Return the sentence for whoever has installed another gunicorn; None if all is well."""
    now = fingerprint(value)
    if now == FINGERPRINTS[name]:
        return None
    return (
        f"gunicorn {version('gunicorn')} has changed {name}, on which the service relies: it "
        f"{REASONS[name]}. Compare it with service/process/worker.py and gunicorn.conf.py, adapt "
        f"them, run tests/e2e/test_operations.py, then set its fingerprint to {now!r}."
    )


@pytest.mark.parametrize("name", REASONS)
def test_gunicorn_has_not_changed_what_the_service_relies_on(name):
    """Each internal has the source for which the worker was written."""
    problem = complaint(name, found(name))
    assert problem is None, problem


def test_change_would_be_noticed():
    """The test above can fail: for another source, and for a function that is gone."""
    (name, *_) = REASONS
    for value in (ThreadWorker.handle, found("gunicorn.workers.gthread.ThreadWorker.gone")):
        assert "has changed gunicorn.workers.gthread.ThreadWorker.__init__" in complaint(
            name, value
        )


def test_every_override_is_listed():
    """No method of the worker replaces one of gunicorn's without a reason in the table."""
    replaced = {name for name in vars(Worker) if inspect.isroutine(getattr(ThreadWorker, name, 0))}
    assert replaced == {name.rpartition(".")[2] for name in OVERRIDDEN}


def test_every_attribute_in_use_is_set_by_a_listed_function():
    """What the worker reads from itself and from a connection is its own or in the table."""
    own = {*vars(Worker), "head"}
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(Worker)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "conn")
    }
    listed = "".join(inspect.getsource(found(name)) for name in REASONS)
    unknown = {name for name in used - own if not name.startswith("_")}
    assert {
        name for name in unknown if not re.search(rf"self\.{name} =|def {name}\(", listed)
    } == set()


def test_gunicorn_is_pinned_to_the_minor_version_of_the_worker():
    """The installed version is within the pin, and the pin does not reach the next minor one."""
    text = (paths.ROOT / "requirements-service.txt").read_text(encoding="utf-8")
    least, major, minor = re.search(r"^gunicorn>=([\d.]+),<(\d+)\.(\d+)\b", text, re.M).groups()
    first = tuple(map(int, least.split(".")))
    installed = tuple(map(int, version("gunicorn").split(".")))
    assert (int(major), int(minor)) == (first[0], first[1] + 1)
    assert installed >= first
    assert installed[:2] == first[:2]
