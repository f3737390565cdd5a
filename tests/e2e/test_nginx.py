"""deploy/nginx.conf before the real service, with other ports, folders and certificate."""

from __future__ import annotations

import contextlib
import functools
import getpass
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.clients import FORM, form, get, metrics, n_in_flight, value
from tests.helpers.crawling import Crawler
from tests.helpers.paths import ROOT
from tests.helpers.pictures import file_of, noise_picture
from tests.helpers.servers import Server, free_port, running
from tests.helpers.waiting import PATIENCE_S, wait_for

NAME = "localhost"
MOST = 20 * 2**20  # bytes of a body
SEARCH = "/api/v1/search"
COLLECTION = "/api/v1/collection"
# What Debian's /etc/nginx/nginx.conf does for the files of conf.d, without the packaged folders.
AROUND = """
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/lookalike.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes
    ----------
    program : str
    folder : Path
        What it keeps, and `error.log`.
    plain, secure : int
        Ports for HTTP and HTTPS.
    """

    program: str
    folder: Path
    plain: int
    secure: int

    @property
    def certificate(self) -> Path:
        """What clients are to believe."""
        return self.folder / "certificate.pem"

    @property
    def command(self) -> list[str]:
        """How it is started."""
        log = str(self.folder / "error.log")
        return [self.program, "-e", log, "-p", str(self.folder), "-c", str(self.folder / "conf")]

    def log(self) -> str:
        """Return what it has complained of."""
        return (self.folder / "error.log").read_text()


@pytest.fixture(scope="module")
def nginx() -> str:
    """Give the nginx of this machine, or the one that bin/test has fetched."""
    if sys.platform != "linux":
        pytest.skip("clients come from 127.0.0.2 and so on, which only Linux has by itself")
    places = [os.environ["PATH"], "/usr/sbin", f"{sys.prefix}/nginx/usr/sbin"]
    program = shutil.which("nginx", path=os.pathsep.join(places))
    if program is None:
        pytest.skip("there is no nginx here: apt-get install nginx")
    return program


@contextlib.contextmanager
def proxying(
    program: str, folder: Path, service_port: int, text_of: Callable[[Proxy, int], str]
) -> Iterator[Proxy]:
    """Run nginx before a port of this machine; `text_of` returns its site file."""
    folder.mkdir()
    proxy = Proxy(program, folder, free_port(), free_port())
    make_certificate(folder)
    (folder / "lookalike.conf").write_text(text_of(proxy, service_port))
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""  # to reach the test's folder
    (folder / "conf").write_text(user + AROUND.format(folder=folder))
    process = subprocess.Popen(proxy.command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or is_open(proxy.secure))
        assert process.poll() is None, proxy.log()
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def site(proxy: Proxy, service_port: int) -> str:
    """Return deploy/nginx.conf for this machine."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    certificates = "/etc/letsencrypt/live/pictures.example.org"
    changes = {
        "    listen [::]:80;\n": "",  # not every machine has IPv6
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80;": f"listen 127.0.0.1:{proxy.plain};",
        "listen 443 ": f"listen 127.0.0.1:{proxy.secure} ",
        "127.0.0.1:8000;": f"127.0.0.1:{service_port};",
        "pictures.example.org;": f"{NAME};",
        f"{certificates}/fullchain.pem": str(proxy.certificate),
        f"{certificates}/privkey.pem": str(proxy.folder / "key.pem"),
        "/var/cache/lookalike": str(proxy.folder / "cache"),
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def site_below_a_path(proxy: Proxy, service_port: int, keeps_prefix: bool) -> str:
    """Return the lines of docs/deploying.md in a site that has nothing else."""
    page = (ROOT / "docs" / "deploying.md").read_text()
    (lines,) = re.findall(r"```nginx\n(.*?)```", page, re.S)
    if keeps_prefix:
        lines = lines.replace("http://127.0.0.1:8000/;", "http://127.0.0.1:8000;")
    lines = lines.replace("127.0.0.1:8000", f"127.0.0.1:{service_port}")
    whole = site(proxy, service_port).replace("proxy_pass http://lookalike;", "return 404;")
    start = "    location / {\n        return 404;"
    assert whole.count(start) == 1
    return whole.replace(start, lines + start)


def make_certificate(folder: Path) -> None:
    """Make a key and a certificate for the name."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def is_open(port: int) -> bool:
    """Say whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Site:
    """The service and nginx before it."""

    server: Server
    proxy: Proxy


@contextlib.contextmanager
def serving(nginx: str, built, folder: Path, **settings: str) -> Iterator[Site]:
    """Run both."""
    folder.mkdir()
    variables = {f"LOOKALIKE_{name}": text for name, text in settings.items()}
    with (
        running(built, folder / "log", LOOKALIKE_PROXIES="1", **variables) as server,
        proxying(nginx, folder / "nginx", server.address[1], site) as proxy,
    ):
        yield Site(server, proxy)


@pytest.fixture(scope="module")
def open_site(nginx, built, tmp_path_factory) -> Iterator[Site]:
    """Give a site whose service works on one request at a time and has seven threads."""
    folder = tmp_path_factory.mktemp("open") / "site"
    with serving(nginx, built, folder, WORKERS="1", THREADS="1", QUEUE="2") as one:
        yield one


@pytest.fixture(scope="module")
def keyed_site(nginx, built, tmp_path_factory) -> Iterator[Site]:
    """Give a site that asks for a key, and takes three requests an hour of one client."""
    folder = tmp_path_factory.mktemp("keyed") / "site"
    limits = {"API_KEY": "secret", "RATE_LIMIT": "3/hour"}
    with serving(nginx, built, folder, WORKERS="2", **limits) as one:
        yield one


def connect(proxy: Proxy, source: str = "127.0.0.1") -> ssl.SSLSocket:
    """Open a TLS connection from an address of this machine."""
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    plain = socket.create_connection(("127.0.0.1", proxy.secure), PATIENCE_S, (source, 0))
    return context.wrap_socket(plain, server_hostname=NAME)


def ask(proxy: Proxy, address: str, method="GET", body=None, source="127.0.0.1", **headers):
    """Ask on a connection of its own; return status, headers and body."""
    connection = http.client.HTTPConnection(NAME, proxy.secure, timeout=PATIENCE_S)
    connection.sock = connect(proxy, source)
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused half-way
            connection.request(method, address, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def upload(proxy: Proxy, body, address=SEARCH, source="127.0.0.1"):
    """Send a form, in chunks if it is an iterable; return status, headers and body."""
    return ask(proxy, address, "POST", body, source, **{"Content-Type": FORM})


def body_of(n_bytes: int) -> bytes:
    """Return a form of so many bytes with a picture that has a tail."""
    picture = file_of(noise_picture(777), "PNG")
    return form(picture + bytes(n_bytes - len(form(picture))))


def test_nginx_has_no_fault_to_find(open_site):
    """`nginx -t` passes without a warning."""
    done = subprocess.run([*open_site.proxy.command, "-t"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "syntax is ok" in done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
def test_upload_just_under_the_limit_passes(open_site, chunked):
    """A body of 20 MiB less one byte is searched with, and nginx does not write it to a disk."""
    body = body_of(MOST - 1)
    pieces = [body[start : start + 10**6] for start in range(0, len(body), 10**6)]
    status, _, answer = upload(open_site.proxy, iter(pieces) if chunked else body)
    assert (status, json.loads(answer)["mode"]) == (200, "encoded")
    assert "buffered to a temporary file" not in open_site.proxy.log()


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
def test_upload_past_the_limit_is_refused_in_json(open_site, chunked):
    """One byte more is a 413 in the form of every error."""
    body = body_of(MOST + 1)
    pieces = [body[start : start + 10**6] for start in range(0, len(body), 10**6)]
    status, headers, answer = upload(open_site.proxy, iter(pieces) if chunked else body)
    error = json.loads(answer)["error"]
    assert (status, error["code"], error["details"]) == (413, "too_large", None)
    assert headers["Content-Type"] == "application/json"


def test_page_past_the_limit_says_so(open_site):
    """Who sends too large a picture on a page gets a page."""
    status, headers, answer = upload(open_site.proxy, body_of(MOST + 1), "/search")
    assert status == 413
    assert headers["Content-Type"] == "text/html"
    assert b"send a smaller one" in answer


def test_http2_upload(open_site, tmp_path):
    """The same over HTTP/2."""
    picture = tmp_path / "new.png"
    picture.write_bytes(file_of(noise_picture(778), "PNG") + bytes(15_000_000))
    proxy = open_site.proxy
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", proxy.certificate, "-F", f"image=@{picture}",
         "-w", "\n%{http_version} %{http_code}", f"https://{NAME}:{proxy.secure}{SEARCH}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    answer, _, how = done.stdout.rpartition("\n")
    assert how == "2 200"
    assert json.loads(answer)["total"] == 41
    assert "buffered to a temporary file" not in proxy.log()


def test_slow_uploads_reach_no_worker(open_site):
    """While 40 pictures trickle no thread knows of them; whoever ends is answered."""
    proxy = open_site.proxy
    body = form(file_of(noise_picture(779), "PNG"))
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: {FORM}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        sources = [f"127.0.0.{2 + n % 8}" for n in range(40)]
        clients = [stack.enter_context(connect(proxy, source)) for source in sources]
        for client in clients:
            client.sendall(head.encode() + body[:100])
        for step in range(100, 105):
            for client in clients:
                client.sendall(body[step : step + 1])
            assert upload(proxy, body)[0] == 200
        # Only /metrics itself; what has just been answered may take a moment to leave.
        wait_for(lambda: n_in_flight(open_site.server) == 1)
        clients[0].sendall(body[105:])
        answer = stack.enter_context(contextlib.closing(http.client.HTTPResponse(clients[0])))
        answer.begin()
        assert answer.status == 200


def test_one_address_has_eight_uploads_at_a_time(open_site):
    """The ninth is told to wait, in JSON; other addresses and requests are served."""
    proxy = open_site.proxy
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000\r\n\r\n"
    body = form(file_of(noise_picture(780), "PNG"))
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connect(proxy, "127.0.0.30")).sendall(head.encode())
        wait_for(lambda: upload(proxy, body, source="127.0.0.30")[0] == 429)
        status, headers, answer = upload(proxy, body, source="127.0.0.30")
        assert (status, json.loads(answer)["error"]["code"]) == (429, "rate_limited")
        assert headers["Retry-After"] == "2"
        assert upload(proxy, body, source="127.0.0.31")[0] == 200
        assert ask(proxy, COLLECTION, source="127.0.0.30")[0] == 200


def test_slow_readers_keep_no_worker(open_site):
    """Answers that nobody takes wait in nginx, not in the service's threads."""
    image_id = get(open_site.server, "/api/v1/images?limit=1")["images"][0]["id"]
    address = f"/api/v1/images/{image_id}/similar?limit=41&with_vector=true"  # about 1.6 MB
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            client = stack.enter_context(connect(open_site.proxy))
            client.sendall(f"GET {address} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            wait_for(lambda: n_in_flight(open_site.server) == 1)
        assert ask(open_site.proxy, COLLECTION)[0] == 200
    assert "buffered to a temporary file" not in open_site.proxy.log()


def test_plain_requests_are_sent_to_tls(open_site):
    """What comes over HTTP is told the same address with https."""
    connection = http.client.HTTPConnection("127.0.0.1", open_site.proxy.plain, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", "/browse?offset=20", headers={"Host": NAME})
        answer = connection.getresponse()
        assert answer.status == 301
        assert answer.headers["Location"] == f"https://{NAME}/browse?offset=20"


def test_redirects_name_no_host(open_site):
    """A client stays on the host, port and scheme that it asked."""
    proxy = open_site.proxy
    status, headers, _ = ask(proxy, "/api/v1//collection")
    assert status == 308
    assert headers["Location"] == COLLECTION
    image = json.loads(ask(proxy, "/api/v1/images?limit=1")[2])["images"][0]
    assert image["thumbnail_url"].startswith("/api/v1/images/")


THUMBNAILS = 'lookalike_requests_total{method="GET",route="/api/v1/images/<image_id>/thumbnail"'


def test_thumbnail_is_kept(open_site):
    """It is asked of the service once, may be kept by browsers for good, and has its ETag."""
    proxy, server = open_site.proxy, open_site.server
    address = get(server, "/api/v1/images?limit=1&offset=9")["images"][0]["thumbnail_url"]
    before = value(metrics(server), THUMBNAILS + ',status="200"}')
    answers = [ask(proxy, address + query) for query in ("", "", "?x=1")]
    assert [status for status, _, _ in answers] == [200, 200, 200]
    assert len({body for _, _, body in answers}) == 1
    assert value(metrics(server), THUMBNAILS + ',status="200"}') == before + 1
    headers = answers[-1][1]
    assert headers["Cache-Control"] == "max-age=31536000, immutable"
    assert headers["X-Request-ID"] is None
    known = {"If-None-Match": headers["ETag"]}
    assert ask(proxy, address, **known)[0] == 304


def test_thumbnail_behind_a_key_is_not_kept(keyed_site):
    """Who has the key leaves nothing behind for who has not."""
    proxy = keyed_site.proxy
    row = json.loads(ask(proxy, "/api/v1/images?limit=1", **{"X-API-Key": "secret"})[2])
    address = row["images"][0]["thumbnail_url"]
    status, headers, _ = ask(proxy, address, **{"X-API-Key": "secret"})
    assert status == 200
    assert "private" in headers["Cache-Control"]
    assert ask(proxy, address)[0] == 401
    assert ask(proxy, address, Authorization="Basic YW55OnNlY3JldA==")[0] == 200  # any:secret
    assert [path for path in (proxy.folder / "cache").rglob("*") if path.is_file()] == []


def test_clients_are_told_apart_by_their_own_address(keyed_site):
    """The limit holds for each address as nginx sees it, whatever a client says of itself."""
    proxy = keyed_site.proxy

    def statuses(source):
        forged = [{"X-Forwarded-For": f"192.0.2.{n}"} for n in range(4)]
        return [ask(proxy, COLLECTION, source=source, **one)[0] for one in forged]

    assert statuses("127.0.0.40") == [401, 401, 401, 429]
    assert statuses("127.0.0.41") == [401, 401, 401, 429]


def test_fixed_files_are_compressed(open_site):
    """The service leaves those to nginx."""
    script = "/docs/swagger-ui-bundle.js"
    plain = ask(open_site.proxy, script)[2]
    status, headers, small = ask(open_site.proxy, script, **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(small) == plain
    assert len(small) < len(plain) / 2


def test_metrics_are_not_for_the_world(open_site):
    """Prometheus asks the service itself."""
    assert ask(open_site.proxy, "/metrics")[0] == 404
    assert "lookalike_in_flight" in metrics(open_site.server)


def test_service_that_is_down_is_a_503(nginx, tmp_path):
    """The API says so in the form of every error, a page as a page; both say when to ask again."""
    with proxying(nginx, tmp_path / "nginx", free_port(), site) as proxy:
        status, headers, answer = ask(proxy, COLLECTION)
        assert (status, json.loads(answer)["error"]["code"]) == (503, "not_ready")
        assert headers["Retry-After"] == "5"
        status, headers, answer = ask(proxy, "/browse")
        assert (status, headers["Content-Type"]) == (503, "text/html")
        assert b"does not answer" in answer


ADDRESSES_OF_AN_IMAGE = ("thumbnail_url", "file_url", "reconstruction_url")
WAYS = {
    "removed by nginx": (False, {"LOOKALIKE_PROXIES": "1"}),
    "kept by nginx": (True, {"LOOKALIKE_PREFIX": "/look", "LOOKALIKE_PROXIES": "1"}),
    "SCRIPT_NAME": (True, {"SCRIPT_NAME": "/look"}),
}


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def site_below_look(request, nginx, built, tmp_path_factory) -> Iterator[Site]:
    """Give a site with the service below /look/ and nothing anywhere else."""
    keeps_prefix, variables = request.param
    folder = tmp_path_factory.mktemp("below")
    text_of = functools.partial(site_below_a_path, keeps_prefix=keeps_prefix)
    with (
        running(built, folder / "log", **variables) as server,
        proxying(nginx, folder / "nginx", server.address[1], text_of) as proxy,
    ):
        yield Site(server, proxy)


def test_every_address_below_a_path_works(site_below_look):
    """Links, forms, pictures, scripts, styles and JSON stay below /look/ and are found there."""
    connection = http.client.HTTPConnection(NAME, site_below_look.proxy.secure, timeout=PATIENCE_S)
    connection.sock = connect(site_below_look.proxy)

    def ask_on(method, address, body, kind):
        connection.request(method, address, body, {"Content-Type": kind} if body else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()

    crawler = Crawler(ask_on, "/look/", file_of(noise_picture(781), "PNG"))
    with contextlib.closing(connection):
        crawler.run()
        document = json.loads(ask_on("GET", "/look/openapi.json", b"", "")[2])
        (server,) = document["servers"]
        for path in document["paths"]:
            if "{" not in path and path != "/metrics" and "get" in document["paths"][path]:
                address = server["url"] + path
                crawler.answered[address] = ask_on("GET", address, b"", "")[0]
        images = json.loads(ask_on("GET", "/look/api/v1/images?limit=99", b"", "")[2])["images"]
        assert ask_on("GET", "/look/metrics", b"", "")[0] == 404
        assert ask_on("GET", "/look/search", b"", "")[1]["Location"] == "/look/"
    assert crawler.strays == set()
    assert {one: status for one, status in crawler.answered.items() if status != 200} == {}
    expected = {f"GET /look/similar/{image['id']}" for image in images}
    expected |= {f"GET {image[name]}" for image in images for name in ADDRESSES_OF_AN_IMAGE}
    assert len(expected) == 4 * 41
    assert expected <= set(crawler.answered)
    forms = {one.partition("=")[0] for one in crawler.answered}
    assert {"POST /look/search", "GET /look/like?positive", "GET /look/map?cluster"} <= forms
