"""What keeps the real server up: metrics of all workers, slow clients, overload, stop, no disk."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.clients import (
    FORM,
    SEARCH_HEAD,
    answer_of,
    connect,
    form,
    get,
    metrics,
    n_in_flight,
    status_of,
    value,
)
from tests.helpers.pictures import file_of, noise_picture
from tests.helpers.servers import running
from tests.helpers.waiting import PATIENCE_S, wait_for


@pytest.fixture
def serving(built, tmp_path):
    """Give a function settings -> running server; all are stopped at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            running(built, tmp_path / "log", **{f"LOOKALIKE_{n}": v for n, v in settings.items()})
        )


COLLECTION = 'lookalike_requests_total{method="GET",route="/api/v1/collection",status="200"}'
BATCH = 'lookalike_requests_total{method="POST",route="/api/v1/search/batch",status="200"}'


def test_metrics_are_of_all_workers(serving):
    """Whichever worker is asked, it counts what both have answered."""
    server = serving(WORKERS="2", POLL_S="0.1")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: status_of(server), range(60))) == {200}
    assert {value(metrics(server), COLLECTION) for _ in range(12)} == {60.0}
    current = (server.collection.data / "CURRENT").read_text().strip()
    wait_for(lambda: value(
        metrics(server), f'lookalike_snapshot_workers{{snapshot="{current}"}}') == 2)  # fmt: skip


def test_nothing_is_lost_when_workers_are_replaced(serving):
    """Workers that have answered 20 requests make place for others, and no request notices."""
    server = serving(WORKERS="2", MAX_REQUESTS="20")
    first = set(server.workers())
    folder = shared_folder_of(server)
    assert [status_of(server) for _ in range(150)] == [200] * 150
    wait_for(lambda: not first & set(server.workers()))
    assert value(metrics(server), COLLECTION) == 150
    # Numbers are used again: a worker, its follower, and one more that overlaps at most.
    assert len(list(folder.glob("counter_*.db"))) <= 4


def shared_folder_of(server):
    """Return the folder that the workers share: gunicorn's parent holds it open."""
    links = [os.readlink(link.path) for link in os.scandir(f"/proc/{server.process.pid}/fd")]
    (folder,) = [link for link in links if "/lookalike-" in link and os.path.isdir(link)]
    return Path(folder)


def test_killed_worker_has_nothing_in_flight(serving):
    """A worker that dies in the middle of a request does not count as busy for ever."""
    server = serving(WORKERS="1")
    with connect(server) as client:
        client.sendall(f"{SEARCH_HEAD}Content-Length: 100000\r\n\r\n".encode())
        wait_for(lambda: n_in_flight(server) == 2)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: worker not in server.workers())
    wait_for(lambda: is_up(server))
    assert n_in_flight(server) == 1


def is_up(server):
    """Say whether anybody answers."""
    try:
        return status_of(server, "/readyz") == 200
    except OSError:
        return False


def test_shared_folder_goes_with_the_server(serving):
    """Nothing stays in memory or among the temporary files."""
    server = serving(WORKERS="2", RATE_LIMIT="1000/second")
    folder = shared_folder_of(server)
    assert status_of(server) == 200
    assert (folder / "rates.sqlite").exists()
    server.process.terminate()
    assert server.process.wait(timeout=PATIENCE_S) == 0
    assert not folder.exists()


def test_workers_count_rates_together(serving):
    """Ten an hour are ten, however many workers there are."""
    server = serving(WORKERS="2", RATE_LIMIT="10/hour")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: status_of(server), range(40)))
    assert sorted(statuses) == [200] * 10 + [429] * 30
    assert status_of(server, "/livez") == 200


def test_proxy_is_believed_only_where_it_is_expected(serving):
    """No forwarded header is believed by gunicorn itself, either."""
    server = serving(WORKERS="1", RATE_LIMIT="2/hour")
    headers = [{"X-Forwarded-For": f"192.0.2.{n}", "X-Forwarded-Proto": "https"} for n in range(3)]
    assert [status_of(server, **one) for one in headers] == [200, 200, 429]


def test_unfinished_heads_hold_no_thread(serving):
    """While 200 clients let their heads come a byte at a time, others are answered."""
    server = serving(WORKERS="1", THREADS="1", QUEUE="0")  # five threads
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(200)]
        for client in clients[:150]:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: ")  # the others say nothing at all
        clients[0].sendall(b"x\r\n\r\n")  # whoever ends in time is answered
        assert answer_of(clients[0]) == (200, {"status": "alive"})
        assert [status_of(server) for _ in range(10)] == [200] * 10
        wait_for(lambda: closed(clients[1]) and closed(clients[199]))


def closed(client):
    """Say whether the server has closed a connection."""
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_head_in_pieces_is_a_head(serving):
    """Also the second of a connection, and one together with its body."""
    server = serving(WORKERS="1")
    data = file_of(noise_picture(3), "PNG")
    with connect(server) as client:
        for _ in range(2):
            for piece in (b"GET /livez HT", b"TP/1.1\r\nHost: x\r\n", b"\r", b"\n"):
                client.sendall(piece)
                time.sleep(0.05)  # so that each piece comes alone
            assert answer_of(client) == (200, {"status": "alive"})
        body = form(data)
        client.sendall(f"{SEARCH_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert answer_of(client)[0] == 200
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3)  # three at once
        answers = b""
        while answers.count(b'"alive"') < 3:
            answers += client.recv(1 << 16)
        assert answers.count(b"HTTP/1.1 200") == 3


def test_unfinished_bodies_give_way(serving):
    """When slow bodies hold every thread, they are cut off with 408 and others are answered."""
    server = serving(WORKERS="1", THREADS="1", QUEUE="0")  # five threads
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(12)]
        stop = threading.Event()
        for client in clients:
            client.sendall(
                f"{SEARCH_HEAD}Content-Length: 1000000\r\n\r\n".encode() + form(b"")[:50]
            )
        dripping = threading.Thread(target=drip, args=(clients, stop), daemon=True)
        dripping.start()
        assert status_of(server) == 200
        stop.set()
        dripping.join()
        status, answer = answer_of(clients[0])
        assert (status, answer["error"]["code"]) == (408, "too_slow")


def drip(clients, stop):
    """Send a byte to each connection again and again."""
    while not stop.wait(0.3):
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(b"x")


@pytest.mark.parametrize("how", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_body_has_its_time(serving, how):
    """A body that stops is answered 408 after `client_s`, whether its length was said or not."""
    server = serving(WORKERS="1", CLIENT_S="1")
    begun = b"ffff\r\n--" if "chunked" in how else b"--"
    with connect(server) as client:
        client.sendall(f"{SEARCH_HEAD}{how}\r\n\r\n".encode() + begun)
        status, answer = answer_of(client)
    assert (status, answer["error"]["code"]) == (408, "too_slow")
    assert status_of(server) == 200


def test_broken_chunks_are_the_clients_fault(serving):
    """A body whose chunks cannot be read is a 400, never a 500."""
    server = serving(WORKERS="1")
    for chunks in (b"zz\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n"):
        with connect(server) as client:
            client.sendall(f"{SEARCH_HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
            assert answer_of(client)[0] == 400


def test_answers_that_are_not_taken_give_way(serving):
    """Clients that ask for megabytes and read none of them do not keep the threads."""
    server = serving(WORKERS="1", THREADS="1", QUEUE="0")  # five threads
    image_id = get(server, "/api/v1/images?limit=1")["images"][0]["id"]
    one = {"id": image_id, "limit": 1000, "with_vector": True}
    body = json.dumps({"searches": [one] * 3}).encode()
    head = "POST /api/v1/search/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as stack:
        for n in range(1, 7):
            client = stack.enter_context(connect(server))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_for(lambda n=n: value(metrics(server), BATCH) == n)
        assert status_of(server) == 200


def test_goodbye_to_one_client_keeps_no_other_waiting(serving):
    """Connections that were to end and are left open do not stop the server from taking others."""
    server = serving(WORKERS="1")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(150)]
        for client in clients:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        # gunicorn by itself would take two seconds for each, longer than this waits for an answer.
        assert status_of(server) == 200
        assert answer_of(clients[0])[0] == 200


def test_overload_is_answered(serving):
    """At sixty uploads at a time each is answered or refused, and health is told all the while."""
    server = serving(WORKERS="1", THREADS="1", QUEUE="2", WAIT_S="0.2")
    pictures = [form(file_of(noise_picture(900 + n), "PNG")) for n in range(120)]
    with ThreadPoolExecutor(60) as pool:
        answers = [pool.submit(upload, server, body) for body in pictures]
        health = [status_of(server, "/livez") for _ in range(5)]
        counts = [one.result() for one in answers]
    assert health == [200] * 5
    assert set(counts) == {200, 503}
    refused = value(metrics(server), 'lookalike_rejected_total{reason="overloaded_queue"}')
    assert refused == counts.count(503)


def upload(server, body):
    """Send a form; return the status."""
    return status_of(server, "/api/v1/search", "POST", body, **{"Content-Type": FORM})


def test_log_holds_nothing_of_a_client(serving, tmp_path):
    """Neither keys, nor names of files, nor bytes, nor what gunicorn itself refuses."""
    server = serving(WORKERS="1", API_KEY="geheim-1")
    body = form(b"geheim-2").replace(b'filename="a"', b'filename="geheim-3"')
    head = f"{SEARCH_HEAD}X-API-Key: geheim-1\r\nContent-Length: {len(body)}\r\n\r\n"
    requests = [
        head.encode() + body,
        b"GET /geheim-4?geheim-5 HTTP/1.1\r\nHost: geheim-6\r\nX-API-Key: geheim-7\r\n\r\n",
        b"GEHEIM8 / HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for request in requests:
        with connect(server) as client:
            client.sendall(request)
            client.recv(1 << 16)
    server.process.terminate()
    server.process.wait(timeout=PATIENCE_S)
    log = (tmp_path / "log").read_text()
    assert log.count("request=") >= 3
    assert not re.search("geheim", log, re.I)


@pytest.mark.parametrize("how", ["form", "chunked", "json"])
def test_uploads_touch_no_disk(built, tmp_path, how):
    """Half-way through 8 MB, and after them, no worker has a file open that it could write to."""
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    body = form(os.urandom(8_000_000))
    if how == "json":
        body = b'{"image": "' + b"A" * 8_000_000 + b'"}'
    kind = "application/json" if how == "json" else FORM
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    length = "Transfer-Encoding: chunked" if how == "chunked" else f"Content-Length: {len(body)}"
    frame = f"{len(body):x}\r\n".encode() if how == "chunked" else b""
    end = b"\r\n0\r\n\r\n" if how == "chunked" else b""
    with running(built, tmp_path / "log", TMPDIR=str(tmp), LOOKALIKE_WORKERS="1") as server:
        (worker,) = server.workers()
        before = writable(worker)
        with connect(server) as client:
            client.sendall(f"{head}{length}\r\n\r\n".encode() + frame + body[:5_000_000])
            wait_for(lambda: n_in_flight(server) == 2)
            assert writable(worker) <= before | {"socket", "pipe"}
            client.sendall(body[5_000_000:] + end)
            assert answer_of(client)[0] in (415, 422)
        assert writable(worker) <= before | {"socket", "pipe"}
        assert list(tmp.iterdir()) == []


def writable(process):
    """Return the files that a process may write to, as the system names them."""
    found = set()
    for number in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            about = Path(f"/proc/{process}/fdinfo/{number}").read_text()
            flags = about.split("flags:")[1].split()[0]
            if int(flags, 8) & (os.O_WRONLY | os.O_RDWR):
                found.add(os.readlink(f"/proc/{process}/fd/{number}").split(":[")[0])
    return found
