"""The service below a prefix, such as /look, that a proxy or a setting names."""

from __future__ import annotations

import re

import pytest

from tests.helpers.pages import ADDRESSES, Page, upload
from tests.helpers.pictures import picture_bytes

HEADER = "X-Forwarded-Prefix"
ODD = [
    "//evil.example", "/look//x", "look", "/look/../x", "/./x", "/..", "/a b", "/a%2fb", "/a?b",
    "/a#b", "/a\\b", "\\\\evil.example", "/é", "/a;b", "/a:b", "/a@b", '/a"><b', "/" + "a" * 255,
    "https://evil.example", "/look, //evil.example",
]  # fmt: skip


def named(*prefixes):
    """Return the header as proxies write it."""
    return {"headers": {HEADER: ", ".join(prefixes)}}


def addresses_of(html):
    """Return every address on a page, except for `data:` URLs and places on the page itself."""
    page = Page(html)
    attributes = ("href", "src", "action", "data-picture", "data-document")
    found = [attrs[name] for _, attrs in page.tags for name in attributes if attrs.get(name)]
    return {one for one in found if not one.startswith(("data:", "#"))}


def addresses_in(value):
    """Return every `..._url` of a JSON value."""
    if isinstance(value, list):
        return {one for item in value for one in addresses_in(item)}
    if not isinstance(value, dict):
        return set()
    own = {one for name, one in value.items() if name.endswith("_url") and one}
    return own | addresses_in(list(value.values()))


@pytest.fixture(params=["removed by a proxy", "removed here", "removed by both"])
def below(request, client_of):
    """Give a function address, options -> the response to that address below /look."""
    if request.param == "removed by a proxy":
        client = client_of(proxies=1)
        return lambda address, **how: client.open(address, **how, **named("/look"))
    client = client_of(prefix="/look")
    start = "/look" if request.param == "removed here" else ""
    return lambda address, **how: client.open(start + address, **how)


@pytest.mark.parametrize("address", [*ADDRESSES, "/map", "/search", "/nothing"])
def test_every_address_of_a_page_has_the_prefix(below, address):
    """Links, forms, pictures, scripts and styles stay below the prefix, on error pages too."""
    response = below(address)
    if response.status_code == 302:
        assert response.headers["Location"] == "/look/"
    else:
        found = addresses_of(response.text)
        assert {"/look/", "/look/browse", "/look/static/upload.js"} <= found
        assert [one for one in found if not one.startswith("/look/")] == []


def test_every_address_in_json_has_the_prefix(below):
    """Thumbnails, originals and results name addresses that a client can fetch as they are."""
    images = below("/api/v1/images").json
    image_id = images["images"][0]["id"]
    bodies = [images, below(f"/api/v1/images/{image_id}/similar").json]
    bodies += [below("/api/v1/clusters").json, below("/api/v1/duplicates").json]
    bodies += [below("/api/v1/search", method="POST", json={"id": image_id}).json]
    for body in bodies:
        found = addresses_in(body)
        assert found
        assert [one for one in found if not one.startswith("/look/api/v1/images/")] == []
    address = images["images"][0]["thumbnail_url"].removeprefix("/look")
    assert below(address).mimetype == "image/jpeg"


def test_openapi_names_the_prefix_as_its_server(below):
    """Generated clients and the page /docs send their requests below the prefix."""
    assert below("/openapi.json").json["servers"] == [{"url": "/look"}]


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("/api/v1//collection?x=1", "/look/api/v1/collection?x=1"),
        ("/groups//0", "/look/groups/0"),
    ],
)
def test_corrected_address_has_the_prefix(below, address, target):
    """A redirect names the path alone, so it stays below the prefix and on the same host."""
    response = below(address, base_url="http://127.0.0.1:8000")
    assert response.status_code == 308
    assert response.headers["Location"] == target


@pytest.mark.parametrize("scheme", ["https", "javascript", "\xff <b>"])
def test_redirect_ignores_the_scheme_of_a_header(client_of, scheme):
    """Whatever `X-Forwarded-Proto` contains, a redirect names the path alone."""
    headers = {HEADER: "/look", "X-Forwarded-Proto": scheme}
    response = client_of(proxies=1).get("/groups//0", headers=headers)
    assert response.headers["Location"] == "/look/groups/0"


def test_openapi_names_no_server_without_a_prefix(client):
    """The default is the server that sent the document."""
    assert "servers" not in client.get("/openapi.json").json


def test_upload_below_a_prefix_leads_on_below_it(client_of):
    """The results of an upload, and the forms on that page, stay below the prefix."""
    client = client_of(prefix="/look")
    html = upload(client, picture_bytes((9, 9, 9))).text
    assert "Look-alikes" in html
    assert [one for one in addresses_of(html) if not one.startswith("/look/")] == []


def test_prefix_alone_leads_to_the_start_page(client_of):
    """A slash that somebody leaves out is added."""
    client = client_of(prefix="/look")
    assert client.get("/look").headers["Location"] == "/look/"
    assert "What looks like this?" in client.get("/look/").text


@pytest.mark.parametrize("address", ["/livez", "/look/livez", "/metrics"])
def test_addresses_without_the_prefix_still_work(client_of, address):
    """Health checks and Prometheus ask the service itself, past the proxy."""
    assert client_of(prefix="/look").get(address).status_code == 200


def test_longer_name_is_not_the_prefix(client_of):
    """/lookout is not below /look."""
    client = client_of(prefix="/look")
    assert client.get("/lookout").status_code == 404
    assert client.get("/look/look/browse").status_code == 404


def test_prefix_may_be_the_name_of_a_page(client_of):
    """Below /search, /search/search is the page /search."""
    client = client_of(prefix="/search")
    assert "What looks like this?" in client.get("/search/").text
    assert client.get("/search/search").headers["Location"] == "/search/"
    proxied = client_of(proxies=1)
    assert proxied.get("/search", **named("/search")).headers["Location"] == "/search/"


def test_prefix_is_believed_of_trusted_proxies_only(client_of):
    """Without proxies the header changes nothing, even if it is odd."""
    client = client_of()
    for prefix in ("/look", "//evil.example"):
        response = client.get("/browse", headers={HEADER: prefix, "Script-Name": prefix})
        assert (response.status_code, "evil" in response.text) == (200, False)
        assert 'href="/groups"' in response.text


def test_setting_wins_over_the_header(client_of):
    """What a client sends through a proxy cannot move a service whose prefix is set."""
    html = client_of(proxies=1, prefix="/look").get("/look/browse", **named("/evil")).text
    assert 'href="/look/groups"' in html


@pytest.mark.parametrize(
    ("n_proxies", "values", "prefix"),
    [
        (1, ["/look"], "/look"),
        (1, ["/look/"], "/look"),
        (1, ["/forged", "/look"], "/look"),
        (2, ["/look"], "/look"),
        (2, ["/forged", "/outer", "/inner"], "/outer/inner"),
        (2, ["/a/b", "/c.d/e_f~g-h"], "/a/b/c.d/e_f~g-h"),
        (1, ["/"], ""),
        (1, [""], ""),
    ],
)
def test_prefix_of_several_proxies(client_of, n_proxies, values, prefix):
    """Each proxy adds the part that it has removed; what came before the trusted ones is lost."""
    html = client_of(proxies=n_proxies).get("/browse", **named(*values)).text
    assert f'href="{prefix}/groups"' in html


@pytest.mark.parametrize("odd", ODD)
def test_odd_prefix_is_refused(client_of, odd):
    """What could lead to another host, or is not plainly a path, gets a 400 without links to it."""
    client = client_of(proxies=1)
    header = odd.encode().decode("latin-1")
    response = client.get("/api/v1/images", **named(header))
    assert (response.status_code, response.json["error"]["code"]) == (400, "malformed")
    assert HEADER in response.json["error"]["message"]
    page = client.get("/browse", **named(header))
    assert page.status_code == 400
    assert re.findall(r"evil", page.text) == []


def test_prefix_that_a_proxy_keeps_is_explained(client_of):
    """A header alone never changes a path, or clients could get past a proxy's rules for paths."""
    client = client_of(proxies=1)
    response = client.get("/look/metrics", **named("/look"))
    assert response.status_code == 404
    assert "LOOKALIKE_PREFIX=/look" in response.text
    in_json = client.get("/api/api/v1/images", **named("/api"))
    assert "LOOKALIKE_PREFIX=/api" in in_json.json["error"]["message"]
    assert "LOOKALIKE_PREFIX" not in client.get("/nothing", **named("/look")).text


@pytest.mark.parametrize("way", ["setting", "header"])
def test_key_is_asked_for_below_a_prefix(client_of, way):
    """No spelling of an address gets past the keys."""
    options = {"prefix": "/livez"} if way == "setting" else {"proxies": 1}
    client = client_of(api_key=("secret",), **options)
    how = {} if way == "setting" else named("/livez")
    for address in ("/livez/browse", "/browse", "/livez/api/v1/images", "//livez/../browse"):
        assert client.get(address, **how).status_code == 401
