from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from service.process import worker
from service.process.worker import ClientSocket, Worker
from tests.helpers.waiting import PATIENCE_S, wait_for


@pytest.fixture
def pair():
    """Give the server's end of a connection, as the worker sees it, and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ClientSocket(ours), theirs


def test_waiting_for_the_client_is_counted(pair):
    """While a thread receives, the time runs; work is not counted, and each request begins anew."""
    ours, theirs = pair
    ours.begin()
    got = []
    thread = threading.Thread(target=lambda: got.append(ours.recv(10)))
    thread.start()
    wait_for(lambda: ours.waited_s() > 0.2)
    theirs.sendall(b"hello")
    thread.join(PATIENCE_S)
    assert got == [b"hello"]
    waited = ours.waited_s()
    time.sleep(0.05)
    assert ours.waited_s() == waited >= 0.2
    assert ours.worked_s() >= 0.05
    ours.begin()
    assert ours.waited_s() == 0


def test_who_receives_can_still_answer_when_it_is_cut_off(pair):
    """The thread finds the end of the body, and its answer reaches the client."""
    ours, theirs = pair
    got = []
    thread = threading.Thread(target=lambda: got.append(ours.recv(10)))
    thread.start()
    wait_for(lambda: ours.waited_s() > 0)
    ours.cut_off()
    thread.join(PATIENCE_S)
    assert got == [b""]
    ours.sendall(b"too slow")
    assert theirs.recv(100) == b"too slow"


def test_who_sends_is_woken_when_it_is_cut_off(pair):
    """A client that does not take its answer does not keep the thread."""
    ours, _ = pair
    failed = threading.Event()

    def send():
        try:
            ours.sendall(b"x" * 50_000_000)
        except OSError:
            failed.set()

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: ours.waited_s() > 0.1)
    ours.cut_off()
    thread.join(PATIENCE_S)
    assert failed.is_set()


def test_goodbye_waits_for_the_client_but_not_for_ever(pair, monkeypatch):
    """After it nothing is received, so whoever closes the connection waits no second time."""
    monkeypatch.setattr(worker, "GOODBYE_S", 0.05)
    ours, theirs = pair
    theirs.sendall(b"unread")
    ours.say_goodbye()
    assert theirs.recv(10) == b""
    assert ours.recv(10) == b""


def test_tls_is_refused_with_a_sentence():
    """Who gives gunicorn a certificate hears where TLS belongs instead of time-outs."""
    cfg = SimpleNamespace(is_ssl=True, worker_connections=500, threads=4, keepalive=5)
    with pytest.raises(SystemExit, match="proxy"):
        Worker.check_config(cfg, None)


class BareWorker(Worker):
    """A worker without a process: only what its heartbeat depends on."""

    def __init__(self, *worked_s):
        self.cfg = SimpleNamespace(timeout=60)
        self.beats = 0
        self.tmp = SimpleNamespace(notify=self.beat)
        self._queued, self._next_look = {}, 0.0
        self._busy = [SimpleNamespace(sock=Busy(seconds)) for seconds in worked_s]

    def beat(self):
        """Count a heartbeat."""
        self.beats += 1


class Busy:
    """A connection whose request has been worked on for some seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def worked_s(self):
        """Return them."""
        return self.seconds

    def waited_s(self):
        """Say that the client is quick."""
        return 0.0


@pytest.mark.parametrize(("worked_s", "beats"), [((), 1), ((1, 59), 1), ((1, 61), 0)])
def test_worker_with_an_endless_request_has_no_heartbeat(worked_s, beats):
    """Only then does gunicorn replace it: its main thread would send heartbeats for ever."""
    one = BareWorker(*worked_s)
    one.notify()
    assert one.beats == beats
