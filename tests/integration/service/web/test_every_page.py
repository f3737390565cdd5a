"""What holds for every page."""

from __future__ import annotations

import re

import pytest

from tests.helpers.pages import ADDRESSES, RED, Page, upload
from tests.helpers.pictures import picture_bytes

MODEL_WORDS = re.compile(r"medoid|vector|encod|cached|elbow|cosine", re.I)


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_is_complete(client, address):
    """Every page has a title, a language, one heading, and an alt text for every picture."""
    answer = client.get(address)
    page = Page(answer.text)
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert page.all("html", "lang") == ["en"]
    assert "<title>" in answer.text
    assert [tag for tag, _ in page.tags].count("h1") == 1
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert all("alt" in attrs for attrs in images)


@pytest.mark.parametrize("address", [*ADDRESSES, "/nothing", "/api/v1/images"])
def test_headers_allow_nothing_from_elsewhere(client, address):
    """Every response carries the policy: nothing inline, nothing from other hosts, no frames."""
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Referrer-Policy" in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_follows_the_policy(client, address):
    """A page has no inline script or style, and this server has every file that it needs."""
    html = client.get(address).text
    page = Page(html)
    assert "<style" not in html
    assert not [attrs for _, attrs in page.tags if "style" in attrs]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    sources = page.all("script", "src") + page.all("link", "href") + page.all("img", "src")
    assert sources
    for source in set(sources):
        assert source.startswith("/")
        with client.get(source) as answer:
            assert answer.status_code == 200
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.S)
    assert not any(text.strip() for text in scripts)


@pytest.mark.parametrize("address", ADDRESSES)
def test_links_lead_somewhere(client, address):
    """Every link on a page works."""
    page = Page(client.get(address).text)
    for link in set(page.all("a", "href")) - {"#main"}:
        with client.get(link) as answer:
            assert answer.status_code == 200, link


def test_names_are_escaped(client, ids):
    """A tag in a file name is shown as text, on every page that shows the name."""
    for address in ("/browse", f"/similar/{ids[RED]}"):
        html = client.get(address).text
        assert "red &amp; &lt;b&gt;.png" in html
        assert "& <b>" not in html


@pytest.mark.parametrize("address", ["/similar/none", "/groups/77", "/nothing", "/browse/x"])
def test_unknown_address_is_a_page(client, address):
    """People get a page with the error, not JSON."""
    answer = client.get(address)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>Not found</h1>" in answer.text


def test_pages_before_the_first_snapshot(empty_client):
    """Without a snapshot, each page says which command to run."""
    for address in set(ADDRESSES) - {"/docs"}:  # needs no snapshot
        answer = empty_client.get(address)
        assert "lookalike build" in answer.text
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_unknown_fields_are_ignored(client):
    """A field that another site appended to a link does no harm."""
    assert client.get("/browse?offset=2&fbclid=x").status_code == 200


def test_page_has_no_words_of_the_model(client, ids):
    """People read about pictures; what the model does is under "Technical details" only."""
    pages = [client.get(address).text for address in ADDRESSES if address != "/docs"]
    pages += [
        client.get(f"/similar/{ids[RED]}").text,
        client.get(f"/like?positive={ids[RED]}").text,
    ]
    pages += [upload(client, picture_bytes((3, 3, 3))).text, client.get("/nothing").text]
    for html in pages:
        without_details = re.sub(
            r"<details>\s*<summary>Technical details.*?</details>", "", html, flags=re.S
        )
        words = re.sub(r"<[^>]*>", " ", without_details.split(">Technical details<")[0])
        assert MODEL_WORDS.findall(words) == []
