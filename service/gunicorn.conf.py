"""gunicorn's configuration, derived from the service's own settings (docs/http-api.md).

Each worker opens the snapshot itself, after the fork, because the threads of FAISS and LiteRT do
not survive a fork. The mapped files are shared through the page cache all the same.
"""

import os

from models.runtime.memory import give_back_large_blocks
from models.runtime.standard_streams import open_standard_streams
from service.errors import SettingsError
from service.process import listening, shared_folder
from service.process.worker import Worker
from service.settings import Settings

open_standard_streams()

# gunicorn reads SCRIPT_NAME too, and would refuse paths without it, such as those of health checks.
_script_name = os.environ.pop("SCRIPT_NAME", "")
if _script_name and not os.environ.get("LOOKALIKE_PREFIX"):
    os.environ["LOOKALIKE_PREFIX"] = _script_name

try:
    _settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(str(error)) from None

# The numeric libraries read these when they are first loaded, in the workers. One request runs in
# one thread; without these settings each worker would start as many threads as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", str(_settings.search_threads))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# prometheus_client reads this when it creates the first metric, also in the workers.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared_folder.make())

_SPARE_THREADS = 4  # for health checks, refusals, and bodies that are still arriving

bind = listening.sockets(_settings.addresses)
workers = _settings.workers
worker_class = Worker
Worker.client_s = _settings.client_s
worker_connections = 500  # with files and pipes well below the usual 1,024 descriptors
threads = _settings.threads + _settings.queue + _SPARE_THREADS
preload_app = False

# Seconds without a heartbeat until a worker is replaced. A request has its own deadline between
# its steps; this timeout is for a step that does not end.
timeout = max(60, int(2 * _settings.request_s))
graceful_timeout = 20  # seconds for requests in flight when the service is stopped
keepalive = 5
max_requests = _settings.max_requests
max_requests_jitter = max_requests // 10  # otherwise all workers would be replaced at once

forwarded_allow_ips = ""  # only ProxyFix trusts proxies, and only if the settings say so
control_socket_disable = True  # it would be a file in the home folder
# The heartbeat is the time stamp of a file. Writing it to a busy disk could block.
worker_tmp_dir = str(shared_folder.base()) if shared_folder.base() == shared_folder.MEMORY else None


def pre_fork(server, worker):
    """Give a worker the lowest number that no running worker has."""
    taken = {one.number for one in server.WORKERS.values()}
    worker.number = next(n for n in range(1, len(taken) + 2) if n not in taken)


def post_fork(server, worker):
    """Tell a worker its number, and let it return the memory of large pictures."""
    shared_folder.set_worker(worker.number)
    give_back_large_blocks()


def child_exit(server, worker):
    """Remove the counts of the requests that an ended worker had in flight."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.number, str(shared_folder.make()))


def on_exit(server):
    """Remove the shared folder."""
    shared_folder.remove()
