"""gunicorn's worker with threads, made proof against slow clients.

A thread that waits for a client answers nobody else. So none is given to a connection before the
whole head of a request has come, and the rest of a request's way, its body and its answer, may keep
a thread waiting only so long: much less while others wait for a thread. And a thread that
neither waits nor ends takes the worker's sign of life, so that gunicorn replaces it.
docs/decisions/0060-service-limits.md says what remains for a proxy before the service.
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

HEAD_S = 10.0  # for a whole head to come
GOODBYE_S = 1.0  # for a client to read an answer after which the connection ends
PRESSED_S = 5.0  # that a client may keep a thread waiting while others wait for one
_PRESSURE_S = 1.0  # how long somebody waits for a thread before that holds
_LOOK_EVERY_S = 0.5
_END_OF_HEAD = b"\r\n\r\n"
_MOST_OF_HEAD = 1 << 16  # gunicorn's parser takes less


class ClientSocket:
    """A connection to a client that knows how long the client has been waited for.

    Parameters
    ----------
    plain : socket
        Everything but receiving and sending is left to it.
    """

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._waited_s = 0.0
        self._since: float | None = None
        self._began = time.monotonic()
        self._sends = False
        self._said_goodbye = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def begin(self) -> None:
        """Count from now on: a thread has been given to a request."""
        self._waited_s, self._began = 0.0, time.monotonic()

    def waited_s(self) -> float:
        """Return how many seconds the thread has waited for the client."""
        since = self._since
        return self._waited_s + (0.0 if since is None else time.monotonic() - since)

    def worked_s(self) -> float:
        """Return how many seconds the thread has done something else."""
        return time.monotonic() - self._began - self.waited_s()

    def recv(self, *how: Any) -> bytes:
        """Receive; as `socket.recv`, but nothing more after a goodbye."""
        if self._said_goodbye:
            return b""
        with self._waiting(sends=False):
            return self._plain.recv(*how)

    def sendall(self, *how: Any) -> None:
        """Send; as `socket.sendall`."""
        with self._waiting(sends=True):
            self._plain.sendall(*how)

    def sendfile(self, *how: Any, **more: Any) -> int:
        """Send a file; as `socket.sendfile`."""
        with self._waiting(sends=True):
            return self._plain.sendfile(*how, **more)

    def cut_off(self) -> None:
        """Wake the thread that waits: its client has nothing more to say.

        One that was receiving can still answer.
        """
        with contextlib.suppress(OSError):  # it has gone by itself
            self._plain.shutdown(socket.SHUT_RDWR if self._sends else socket.SHUT_RD)

    def say_goodbye(self) -> None:
        """End the connection once the client has read the answer, or after a moment.

        If it were closed while something of the client's was unread, the answer could be lost.
        """
        end = time.monotonic() + GOODBYE_S
        with contextlib.suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)
            while (left_s := end - time.monotonic()) > 0:
                self._plain.settimeout(left_s)
                if not self._plain.recv(_MOST_OF_HEAD):
                    break
        self._said_goodbye = True

    @contextmanager
    def _waiting(self, sends: bool) -> Iterator[None]:
        self._sends, self._since = sends, time.monotonic()
        try:
            yield
        finally:
            self._waited_s, self._since = self.waited_s(), None


class Worker(ThreadWorker):
    """A worker with threads, none of which waits long for a client.

    Attributes
    ----------
    client_s : float
        Seconds that a client may keep a thread waiting for a body, or until it takes an answer.
    """

    client_s: ClassVar[float] = 60.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker cannot do: it reads heads before there is a parser."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit("this service speaks no TLS: end it in a proxy before the service")

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self._queued: dict[TConn, float] = {}  # since when; whole heads without a thread
        self._busy: set[TConn] = set()
        self._next_look = 0.0

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread, a new one as soon as its first head is whole."""
        if isinstance(conn.sock, ClientSocket):
            self._queued[conn] = time.monotonic()
            super().enqueue_req(conn)
        else:
            conn.sock = ClientSocket(conn.sock)
            self._await_head(conn)

    def on_client_socket_readable(self, conn: TConn, client: ClientSocket) -> None:
        """Begin to read the next request of a connection that was kept."""
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
        """Read what there is of a head; `murder_pending` closes what is not whole in time."""
        try:
            data = client.recv(_MOST_OF_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        conn.head += data
        if data and _END_OF_HEAD not in conn.head and len(conn.head) < _MOST_OF_HEAD:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if data:
            self.enqueue_req(conn)
        else:  # it has closed before it asked
            self.nr_conns -= 1
            conn.close()

    def handle(self, conn: TConn) -> Any:
        """Answer the request whose head has come; runs in a thread."""
        self._queued.pop(conn, None)
        conn.sock.begin()
        self._busy.add(conn)
        try:
            self._hand_over_head(conn)
            is_kept = super().handle(conn)
            if not is_kept:
                # gunicorn would wait for it in the one thread that takes new connections.
                conn.sock.say_goodbye()
            return is_kept
        finally:
            self._busy.discard(conn)

    def _hand_over_head(self, conn: TConn) -> None:
        """Let gunicorn's parser find what has been read already."""
        conn.sock.setblocking(True)
        conn.init()
        conn.parser.unreader.unread(bytes(conn.head))
        conn.head.clear()

    def notify(self) -> None:
        """Give a sign of life, unless a request does not end; called every second or oftener."""
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
