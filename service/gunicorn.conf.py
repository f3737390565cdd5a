"""gunicorn's configuration, made of the service's own settings (docs/http-api.md).

Each worker opens the snapshot for itself, after the fork: FAISS's and LiteRT's threads do not
survive one, and the mapped files are shared by the page cache all the same.
"""

import os
from pathlib import Path

from service.errors import SettingsError
from service.settings import Settings

try:
    _settings = Settings.from_environment()
except SettingsError as error:
    raise SystemExit(str(error)) from None

# Read by the numeric libraries when they are first loaded, which is in the workers. One request
# is one thread's work; without this every worker would start as many threads as there are cores.
os.environ.setdefault("OMP_NUM_THREADS", str(_settings.search_threads))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

bind = _settings.bind
workers = _settings.workers
worker_class = "gthread"
threads = _settings.threads
preload_app = False

timeout = 60  # seconds without a sign of life, after which a worker is replaced
graceful_timeout = 20  # seconds for requests in flight when the service is stopped
keepalive = 5
max_requests = 0  # workers are not recycled; with a number here, the jitter spreads it
max_requests_jitter = 0

control_socket_disable = True  # it would lie in the home folder
_shared_memory = Path("/dev/shm")
# The sign of life is a file's time stamp; on a busy disk writing it may block.
worker_tmp_dir = str(_shared_memory) if os.access(_shared_memory, os.W_OK) else None
