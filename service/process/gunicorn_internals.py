"""What the service needs of gunicorn that gunicorn does not document, and the reason for each.

gunicorn may change any of these in a minor version, so requirements-service.txt pins the minor
version for which worker.py and gunicorn.conf.py were written. To move to another version, run
tests/unit/service/process/test_gunicorn_internals.py: it names everything that has changed.
"""

from __future__ import annotations

OVERRIDDEN = {
    "gunicorn.workers.gthread.ThreadWorker.__init__": "adds the requests that wait or run; "
    "creates poller, pending_conns, keepalived_conns and nr_conns, which the worker uses",
    "gunicorn.workers.gthread.ThreadWorker.check_config": "refuses TLS: the worker reads the head "
    "of a request before gunicorn would start TLS",
    "gunicorn.workers.gthread.ThreadWorker.enqueue_req": "gives a thread only to a whole head",
    "gunicorn.workers.gthread.ThreadWorker.on_client_socket_readable": "collects the next head of "
    "a kept connection, where gunicorn gives it a thread at its first byte",
    "gunicorn.workers.gthread.ThreadWorker.on_pending_socket_readable": "collects a head in the "
    "main thread, without blocking",
    "gunicorn.workers.gthread.ThreadWorker.handle": "counts the time that a client keeps a thread "
    "waiting, and closes the connection in that thread",
    "gunicorn.workers.base.Worker.notify": "cuts off slow clients, and sends no heartbeat while a "
    "request does not end",
}

USED = {
    "gunicorn.workers.base.Worker.__init__": "must keep the configuration in cfg",
    "gunicorn.workers.gthread.ThreadWorker.accept": "must pass each new connection to enqueue_req",
    "gunicorn.workers.gthread.ThreadWorker.finish_request": "must wait for the next request of a "
    "kept connection with on_client_socket_readable, and pass pipelined requests to enqueue_req",
    "gunicorn.workers.gthread.ThreadWorker.murder_pending": "must close the connections whose head "
    "is late: those in pending_conns whose timeout has passed",
    "gunicorn.workers.gthread.ThreadWorker.run": "must call notify at least once a second, also "
    "while it stops, and murder_pending",
    "gunicorn.workers.gthread.TConn.__init__": "must keep the socket in sock, where the worker "
    "replaces it with its own, and the deadline in timeout",
    "gunicorn.workers.gthread.TConn.init": "must create the parser from sock; a second call must "
    "do nothing, since handle calls it again",
    "gunicorn.workers.gthread.TConn.close": "must close sock",
    "gunicorn.http.parser.Parser.__init__": "must read through unreader",
    "gunicorn.http.unreader.Unreader.unread": "must put back the head that has been read already",
    "gunicorn.http.unreader.SocketUnreader.chunk": "must read with recv, which counts the waiting",
    "gunicorn.util.close_graceful": "must end at once after say_goodbye, since it runs in the "
    "thread that accepts connections",
    "gunicorn.arbiter.Arbiter.spawn_worker": "must call pre_fork before it adds the worker to "
    "WORKERS: gunicorn.conf.py takes the lowest free number",
}
