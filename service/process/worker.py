"""gunicorn's threaded worker, protected against slow clients and endless requests.

A thread that waits for a client answers no other request. A connection therefore gets a thread only
after the whole head of a request has arrived. After that, a client may keep the thread waiting for
its body and its response only for a limited time, which is shorter while other requests wait for a
thread. If a request never ends, the worker stops its heartbeat, and gunicorn replaces it.
docs/decisions/0060-service-limits.md says what is left to a proxy in front of the service.
gunicorn_internals.py lists the parts of gunicorn that this worker overrides and uses.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_S = 10.0  # for a whole head to arrive
GOODBYE_S = 1.0  # for a client to read the last response of a connection
PRESSED_S = 5.0  # for a client to keep a thread waiting while requests wait for a thread
_PRESSURE_S = 1.0  # for a request to wait for a thread before PRESSED_S applies
_LOOK_EVERY_S = 0.5
_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD_BYTES = 1 << 16  # gunicorn's parser accepts less


class ClientSocket:
    """A connection that measures how long the thread has waited for the client.

    Parameters
    ----------
    plain : socket
        Does everything but receiving and sending.
    """

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._waited_s = 0.0
        self._since: float | None = None
        self._began = time.monotonic()
        self._sends = False
        self._has_said_goodbye = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def begin(self) -> None:
        """Start measuring: a request has got a thread."""
        self._waited_s, self._began = 0.0, time.monotonic()

    def waited_s(self) -> float:
        """Return the seconds that the thread has waited for the client."""
        since = self._since
        return self._waited_s + (0.0 if since is None else time.monotonic() - since)

    def worked_s(self) -> float:
        """Return the seconds that the thread has not waited for the client."""
        return time.monotonic() - self._began - self.waited_s()

    def recv(self, *how: Any) -> bytes:
        """Receive, as `socket.recv`; after the goodbye, b""."""
        if self._has_said_goodbye:
            return b""
        with self._waiting(sends=False):
            return self._plain.recv(*how)

    def sendall(self, *how: Any) -> None:
        """Send, as `socket.sendall`."""
        with self._waiting(sends=True):
            self._plain.sendall(*how)

    def sendfile(self, *how: Any, **more: Any) -> int:
        """Send a file, as `socket.sendfile`."""
        with self._waiting(sends=True):
            return self._plain.sendfile(*how, **more)

    def cut_off(self) -> None:
        """Wake the waiting thread, as if the client had closed the connection.

        A thread that was receiving can still send its response.
        """
        with contextlib.suppress(OSError):  # the client has gone already
            self._plain.shutdown(socket.SHUT_RDWR if self._sends else socket.SHUT_RD)

    def say_goodbye(self) -> None:
        """Wait until the client has read the response, or at most GOODBYE_S, before the close.

        Closing a connection with unread data from the client could lose the response.
        """
        end = time.monotonic() + GOODBYE_S
        with contextlib.suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)
            while (left_s := end - time.monotonic()) > 0:
                self._plain.settimeout(left_s)
                if not self._plain.recv(_MAX_HEAD_BYTES):
                    break
        self._has_said_goodbye = True

    @contextmanager
    def _waiting(self, sends: bool) -> Iterator[None]:
        self._sends, self._since = sends, time.monotonic()
        try:
            yield
        finally:
            self._waited_s, self._since = self.waited_s(), None


class Worker(ThreadWorker):
    """A threaded worker in which no thread waits long for a client.

    Attributes
    ----------
    client_s : float
        Seconds that a client may keep a thread waiting for its body and its response together.
    """

    client_s: ClassVar[float] = 60.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse TLS: this worker reads heads before gunicorn would start TLS."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit(
                "this service does not support TLS: terminate TLS in a proxy in front of it"
            )

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self._queued: dict[TConn, float] = {}  # whole heads that wait for a thread, since when
        self._busy: set[TConn] = set()
        self._next_look = 0.0

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread; wait for the first head of a new connection."""
        if isinstance(conn.sock, ClientSocket):
            self._queued[conn] = time.monotonic()
            super().enqueue_req(conn)
        else:
            conn.sock = ClientSocket(conn.sock)
            self._await_head(conn)

    def on_client_socket_readable(self, conn: TConn, client: ClientSocket) -> None:
        """Start reading the next request of a kept connection."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn)

    def _await_head(self, conn: TConn) -> None:
        conn.head = bytearray()
        conn.timeout = time.monotonic() + HEAD_S
        conn.sock.setblocking(False)
        self.pending_conns.append(conn)
        read = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, read)

    def on_pending_socket_readable(self, conn: TConn, client: ClientSocket) -> None:
        """Read some of a head; `murder_pending` closes a connection whose head is late."""
        try:
            data = client.recv(_MAX_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.head += data
        if data and _END_OF_HEAD not in conn.head and len(conn.head) < _MAX_HEAD_BYTES:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if data:
            self.enqueue_req(conn)
        else:  # the client closed the connection before it sent a request
            self.nr_conns -= 1
            conn.close()

    def handle(self, conn: TConn) -> Any:
        """Answer the request whose head has arrived; runs in a thread."""
        self._queued.pop(conn, None)
        conn.sock.begin()
        self._busy.add(conn)
        try:
            self._hand_over_head(conn)
            is_kept = super().handle(conn)
            if not is_kept:
                # gunicorn would do this in the one thread that accepts connections.
                conn.sock.say_goodbye()
            return is_kept
        finally:
            self._busy.discard(conn)

    def _hand_over_head(self, conn: TConn) -> None:
        """Pass the head, which has been read already, to gunicorn's parser."""
        conn.sock.setblocking(True)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.head))
        conn.head.clear()

    def notify(self) -> None:
        """Send a heartbeat unless a request does not end; called at least every second."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._cut_off_slow_clients(now)
        if not any(conn.sock.worked_s() > self.cfg.timeout for conn in list(self._busy)):
            super().notify()

    def _cut_off_slow_clients(self, now: float) -> None:
        pressed = any(now - since > _PRESSURE_S for since in list(self._queued.values()))
        most_s = min(PRESSED_S, self.client_s) if pressed else self.client_s
        for conn in list(self._busy):
            if conn.sock.waited_s() > most_s:
                conn.sock.cut_off()
