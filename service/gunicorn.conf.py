"""gunicorn's configuration, made of the service's own settings (docs/http-api.md).

Each worker opens the snapshot for itself, after the fork: FAISS's and LiteRT's threads do not
survive one, and the mapped files are shared by the page cache all the same.
"""

import os

from service.errors import SettingsError
from service.process import shared_folder
from service.process.memory import give_back_large_blocks
from service.process.worker import Worker
from service.settings import Settings

try:
    _settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(str(error)) from None

# Read by the numeric libraries when they are first loaded, which is in the workers. One request
# is one thread's work; without this every worker would start as many threads as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", str(_settings.search_threads))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Read by prometheus_client when it makes the first metric, which is in the workers as well.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared_folder.make())

_SPARE_THREADS = 4  # for health checks, refusals, and bodies that are still on their way

bind = _settings.bind
workers = _settings.workers
worker_class = Worker
Worker.client_s = _settings.client_s
worker_connections = 500  # with files and pipes well below the usual 1,024 descriptors
threads = _settings.threads + _settings.queue + _SPARE_THREADS
preload_app = False

# Seconds without a sign of life, after which a worker is replaced. Requests have a limit of their
# own between their steps; this is for a step that does not end.
timeout = max(60, int(2 * _settings.request_s))
graceful_timeout = 20  # seconds for requests in flight when the service is stopped
keepalive = 5
max_requests = _settings.max_requests
max_requests_jitter = _settings.max_requests // 10  # or all workers would be replaced at once

forwarded_allow_ips = ""  # only ProxyFix believes proxies, and only if the settings say so
control_socket_disable = True  # it would lie in the home folder
# The sign of life is a file's time stamp; on a busy disk writing it may block.
worker_tmp_dir = str(shared_folder.base()) if shared_folder.base() == shared_folder.MEMORY else None


def pre_fork(server, worker):
    """Give a worker the lowest number that no living one has."""
    taken = {one.number for one in server.WORKERS.values()}
    worker.number = next(n for n in range(1, len(taken) + 2) if n not in taken)


def post_fork(server, worker):
    """Let a worker know its number, and keep no more memory than it needs."""
    shared_folder.set_worker(worker.number)
    give_back_large_blocks()


def child_exit(server, worker):
    """Forget what a worker had in flight."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.number, str(shared_folder.make()))


def on_exit(server):
    """Remove what the workers shared."""
    shared_folder.remove()
