"""The server as the Procfile starts it, over a collection that the real indexer has made."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from index.search.crops import exact_scores
from index.snapshot import DataFolder
from models.encoder import Encoder
from models.preprocess import decode, to_pixels
from tests.helpers.clients import (
    FORM,
    FORM_END,
    SEARCH_HEAD,
    answer_of,
    connect,
    form,
    get,
    n_in_flight,
    post_json,
    search,
)
from tests.helpers.commands import plain_environment
from tests.helpers.paths import ROOT
from tests.helpers.pictures import file_of, noise_picture
from tests.helpers.published import publish_again
from tests.helpers.servers import Server, free_port, running, serve_command, wait_until_ready
from tests.helpers.waiting import PATIENCE_S, wait_for


def test_picture_of_the_collection_is_cached(server):
    """The file itself, and the same pixels as PNG, BMP or WEBP, answer as the id does."""
    data = (server.collection.pictures / "007.png").read_bytes()
    picture = Image.open(io.BytesIO(data))
    image_id = get(server, "/api/v1/images?offset=7&limit=1")["images"][0]["id"]
    wanted = get(server, f"/api/v1/images/{image_id}/similar")
    forms = [
        data,
        file_of(picture, "PNG", compress_level=1),
        file_of(picture, "BMP"),
        file_of(picture, "WEBP", lossless=True),
    ]
    for one in forms:
        answer = search(server, one)
        assert answer["mode"] == "cached"
        assert answer["results"] == wanted["results"]
    assert wanted["results"][0]["path"] == "007.png"
    assert wanted["total"] == 41


def test_altered_picture_is_encoded_and_finds_the_original(server):
    """Resized and saved as JPEG it is another file with other pixels, but the same sight."""
    for row in (0, 11, 23):
        data = file_of(noise_picture(row).resize((300, 300)), "JPEG", quality=90)
        answer = search(server, data)
        assert answer["mode"] == "encoded"
        assert answer["results"][0]["path"] in (f"{row:03d}.png", "copy.png")


@pytest.mark.parametrize("switch", ["on", "off"])
def test_uploads_may_be_pieces_unless_that_is_switched_off(built, tmp_path, switch):
    """A piece's scores are those of all its vectors, or of the first alone, which are others."""
    with Image.open(built.pictures / "007.png") as picture:
        piece = file_of(picture.crop((4, 4, picture.width, picture.height)), "PNG")
    with DataFolder(built.data).open_current() as snapshot:
        encoder = Encoder.open(snapshot.folder / "encoder.tflite")
        vectors = encoder.encode_query(to_pixels(decode(piece)))
        rows = np.arange(len(snapshot))
        framed, whole = (exact_scores(snapshot.store, v, rows) for v in (vectors, vectors[:1]))
    assert (framed - whole).max() > 1e-4, "or there is nothing to tell the two by"
    wanted = sorted((framed if switch == "on" else whole).tolist(), reverse=True)
    with running(built, tmp_path / "log", LOOKALIKE_CROP_SEARCH=switch) as server:
        found = [result["score"] for result in search(server, piece)["results"]]
    np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-5)


def test_own_vector_finds_itself(server):
    """The vector that the service gives out finds its picture again."""
    image_id = get(server, "/api/v1/images?offset=5&limit=1")["images"][0]["id"]
    similar = get(server, f"/api/v1/images/{image_id}/similar?limit=1&with_vector=true")
    (first,) = similar["results"]
    assert len(first["vector"]) == 4096
    found = post_json(server, "/api/v1/search", {"vector": first["vector"], "limit": 1})
    assert (found["mode"], found["results"][0]["id"]) == ("vector", image_id)


def test_collection_says_what_the_indexer_did(server):
    """Encoder and groups of the real indexer are read."""
    about = get(server, "/api/v1/collection")
    snapshot = server.collection.data / "snapshots" / about["snapshot"]
    assert about["encoder"] == json.loads((snapshot / "encoder.json").read_text())
    assert about["clustering"]["n_clusters"] == 4
    assert get(server, "/api/v1/clusters")["total"] == 4


@pytest.mark.parametrize("says_length", [True, False], ids=["with length", "chunked"])
@pytest.mark.parametrize("kind", ["application/json", FORM])
def test_too_large_a_body_is_answered(server, says_length, kind):
    """A client that sends 25 MB gets a 413 that it can read, and the worker goes on."""
    chunks = [b"[" + b" " * 999_999] * 25
    if kind == FORM:
        chunks = [form(b"").removesuffix(FORM_END), *chunks]
    connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE_S)
    headers = {"Content-Type": kind}
    if says_length:
        headers["Content-Length"] = str(sum(map(len, chunks)))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read all of it
        connection.request(
            "POST", "/api/v1/search", iter(chunks), headers, encode_chunked=not says_length
        )
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.load(answer)["error"]["code"] == "too_large"
    connection.close()
    assert get(server, "/livez")["status"] == "alive"


def test_swap_under_load(collection, tmp_path):
    """While snapshots are swapped, each of hundreds of requests is answered by one of them."""
    known = (collection.pictures / "001.png").read_bytes()
    new = file_of(noise_picture(500), "PNG")
    with running(
        collection, tmp_path / "log", LOOKALIKE_WORKERS="2", LOOKALIKE_POLL_S="0.05"
    ) as server:
        published = {get(server, "/api/v1/collection")["snapshot"]}
        stop, answered, seen, lists = threading.Event(), [], set(), set()

        def ask(data):
            while not stop.is_set():
                answer = search(server, data)
                answered.append(answer["mode"])
                seen.add(answer["snapshot"])
                lists.add((data == known, *(result["id"] for result in answer["results"])))

        with ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask, data) for data in (known, new, known, new)]
            try:
                for _ in range(6):
                    last = publish_again(DataFolder(collection.data))
                    published.add(last)
                    wait_for(lambda last=last: last in seen)
                wait_for(lambda: len(answered) >= 200)
            finally:
                stop.set()
            for one in asking:
                one.result()
        assert seen == published
        assert len(lists) == 2  # the same answers from every snapshot
        kept = {path.name for path in (collection.data / "snapshots").iterdir()}
        wait_for(lambda: held(server, collection) <= {last})
        assert published <= kept


def held(server, collection):
    """Return the ids of the snapshots that the workers have open (Linux only)."""
    ids = set()
    for worker in server.workers():
        for link in os.scandir(f"/proc/{worker}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found = re.search(r"/snapshots/([^/]+)", os.readlink(link.path))
                ids |= {found.group(1)} if found else set()
    return ids


def test_stop_lets_a_request_in_flight_end(built, tmp_path):
    """A request that has begun is answered although the server has been told to stop."""
    log = tmp_path / "log"
    with running(built, log, LOOKALIKE_WORKERS="1") as server:
        body = form((built.pictures / "002.png").read_bytes())
        head = f"{SEARCH_HEAD}Content-Length: {len(body)}\r\n\r\n"
        with connect(server) as client:
            client.sendall(head.encode() + body[:100])
            wait_for(lambda: n_in_flight(server) == 2)
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "Handling signal: term" in log.read_text())
            client.sendall(body[100:])
            status, answer = answer_of(client)
        assert (status, answer["mode"]) == (200, "cached")
        assert server.process.wait(timeout=PATIENCE_S) == 0


def test_unknown_setting_stops_the_start(tmp_path):
    """A misspelt setting is one sentence and exit 1, not a server with other settings."""
    done = subprocess.run(
        serve_command(free_port()),
        cwd=ROOT,
        env=plain_environment(LOOKALIKE_DATA=str(tmp_path), LOOKALIKE_THREAD="2"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "did you mean LOOKALIKE_THREADS?" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_written_by_serving(server):
    """Serving leaves the data folder as it was: it may be on a read-only disk."""

    def state():
        found = sorted(server.collection.data.rglob("*"))
        return [(str(path), path.stat().st_mtime_ns) for path in found]

    before = state()
    search(server, file_of(noise_picture(501), "PNG"))
    get(server, "/api/v1/images?limit=50")
    assert state() == before


def test_server_without_standard_streams(built, tmp_path):
    """A scheduler may close stdin, stdout and stderr; the service starts and encodes uploads."""
    port = free_port()
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *serve_command(port)]
    environment = plain_environment(LOOKALIKE_DATA=str(built.data), LOOKALIKE_WORKERS="1")
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, tmp_path / "no log")
        answer = search(Server(url, process, built), file_of(noise_picture(501), "PNG"))
        assert (answer["mode"], answer["total"]) == ("encoded", 41)
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0
