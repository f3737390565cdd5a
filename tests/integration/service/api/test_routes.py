from __future__ import annotations

import base64
import hashlib
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from service.route_table import API
from service.settings import Settings
from tests.helpers.apps import running_app
from tests.helpers.fakes import FakeEncoder
from tests.helpers.pictures import noise_picture, picture_bytes
from tests.hostile import forge

RESULT_FIELDS = {
    "id", "score", "path", "cluster", "width", "height", "thumbnail_url", "metadata",
}  # fmt: skip
RED = "later/red & <b>.png"


def upload(client, data, name="image", **fields):
    """Search with an uploaded file."""
    form = {name: (io.BytesIO(data), "client.bin"), **fields}
    return client.post("/api/v1/search", data=form)


def paths(answer):
    """Return the paths of an answer, best first."""
    return [result["path"] for result in answer.json["results"]]


def test_upload_of_a_new_picture_is_encoded(client):
    """A dark picture that nobody has indexed is encoded, and finds black first."""
    answer = upload(client, picture_bytes((3, 3, 3)), limit="2")
    assert answer.status_code == 200
    assert (answer.json["mode"], answer.json["total"]) == ("encoded", 13)
    assert paths(answer)[0] == "later/black.png"


def test_answer_has_the_fields_of_the_contract(client, ids):
    """Every field that DESIGN names is there, and no other."""
    answer = client.post("/api/v1/search", json={"id": ids["later/black.png"]}).json
    assert set(answer) == {"snapshot", "mode", "total", "time_ms", "results"}
    first = answer["results"][0]
    assert set(first) == RESULT_FIELDS
    assert (first["score"], first["width"], first["height"]) == (1.0, 40, 30)
    assert first["metadata"] == {"mood": "<i>dark</i>"}
    assert first["cluster"] in (0, 1, 2)


@pytest.mark.parametrize("way", ["file", "pixels", "id", "similar", "base64"])
def test_known_picture_is_cached_in_every_way(client, ids, place, way):
    """As its own file, re-saved without loss, by id or as base64, the answer is the same."""
    data = (place.pictures / "003.png").read_bytes()
    other = io.BytesIO()
    Image.open(io.BytesIO(data)).save(other, "BMP")
    asks = {
        "file": lambda: upload(client, data),
        "pixels": lambda: upload(client, other.getvalue()),
        "id": lambda: client.post("/api/v1/search", json={"id": ids["003.png"]}),
        "similar": lambda: client.get(f"/api/v1/images/{ids['003.png']}/similar"),
        "base64": lambda: client.post(
            "/api/v1/search", json={"image": base64.b64encode(data).decode()}
        ),
    }
    answer, plain = asks[way]().json, asks["id"]().json
    assert answer["mode"] == "cached"
    assert answer["results"] == plain["results"]
    assert answer["results"][0]["path"] == "003.png"


def test_copy_answers_itself_first(client, ids):
    """Of two byte-identical pictures each is first in its own answer, the other second."""
    assert ids["copy.png"] == ids["000.png"] + "-2"
    answer = client.get(f"/api/v1/images/{ids['copy.png']}/similar?limit=2")
    assert paths(answer) == ["copy.png", "000.png"]
    assert [result["score"] for result in answer.json["results"]] == [1.0, 1.0]


def test_without_itself_by_row(client, ids):
    """`include_self=false` leaves out one picture, not the first answer."""
    address = f"/api/v1/images/{ids['copy.png']}/similar?limit=1&include_self=false"
    answer = client.get(address)
    assert paths(answer) == ["000.png"]
    assert answer.json["total"] == 12


def test_vector_of_the_client(client):
    """A vector is answered as it is, in mode `vector`; red is (2, 0, 0, 1) / sqrt(5)."""
    body = {"vector": [2, 0, 0, 1], "limit": 2, "with_vector": True}
    answer = client.post("/api/v1/search", json=body)
    assert answer.json["mode"] == "vector"
    first = answer.json["results"][0]
    assert (first["path"], first["score"]) == (RED, 1.0)
    np.testing.assert_allclose(first["vector"], np.array([2, 0, 0, 1]) / np.sqrt(5), atol=1e-6)


def test_score_threshold_and_total(client):
    """Red and black score 1/sqrt(5) = 0.447; only red passes 0.99."""
    body = {"vector": [2, 0, 0, 1], "score_threshold": 0.99}
    assert client.post("/api/v1/search", json=body).json["total"] == 1


DARK = {"must": [{"key": "metadata.mood", "match": {"value": "<i>dark</i>"}}]}
LATER = {"should": [{"key": "path", "match": {"value": "later/"}}]}


@pytest.mark.parametrize(("wanted", "total"), [(DARK, 1), (LATER, 2), ({}, 13)])
def test_filter_in_every_way_of_asking(client, ids, wanted, total):
    """As JSON, as a form field, in an address and on the list, the same pictures pass."""
    text = json.dumps(wanted)
    body = {"id": ids["000.png"], "filter": wanted, "limit": 100}
    by_json = client.post("/api/v1/search", json=body).json
    address = f"/api/v1/images/{ids['000.png']}/similar"
    by_id = client.get(address, query_string={"filter": text, "limit": 100}).json
    by_form = upload(client, picture_bytes((9, 9, 9)), filter=text, limit="100").json
    listed = client.get("/api/v1/images", query_string={"filter": text, "limit": 100}).json
    assert [a["total"] for a in (by_json, by_id, by_form, listed)] == [total] * 4
    assert by_json["results"] == by_id["results"]
    shown = {image["path"] for image in listed["images"]}
    assert len(shown) == total
    assert (
        shown == {r["path"] for r in by_json["results"]} == {r["path"] for r in by_form["results"]}
    )


@pytest.mark.parametrize("typed", ["Scho\u0308n/", "Sch\u00f6n/"], ids=["NFD", "NFC"])
def test_filter_on_path_in_another_normal_form(place, app_of, typed):
    """A folder named on a Mac is found by a typed name, in every way of asking; paths stay."""
    (place.pictures / "later").rename(place.pictures / "Scho\u0308n")
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    wanted = {"must": [{"key": "path", "match": {"value": typed}}]}
    listed = client.get("/api/v1/images", query_string={"filter": json.dumps(wanted)}).json
    paths = {image["path"] for image in listed["images"]}
    assert paths == {"Scho\u0308n/black.png", "Scho\u0308n/red & <b>.png"}
    body = {"vector": [1, 0, 0, 1], "filter": wanted}
    searched = client.post("/api/v1/search", json=body).json
    assert {one["path"] for one in searched["results"]} == paths
    uploaded = upload(client, picture_bytes((9, 9, 9)), filter=json.dumps(wanted)).json
    assert {one["path"] for one in uploaded["results"]} == paths


def test_filtered_list_is_paged(client):
    """The list of those that pass is cut like the whole list, in the order of rows."""
    page = client.get(
        "/api/v1/images", query_string={"limit": 1, "offset": 1, "filter": json.dumps(LATER)}
    )
    assert [image["path"] for image in page.json["images"]] == [RED]


def test_filter_by_cluster_gives_that_group(client):
    """What a filter by cluster lets through are the members of that group."""
    for label in range(3):
        wanted = {"must": [{"key": "cluster", "match": {"value": label}}]}
        body = {"vector": [1, 1, 1, 1], "filter": wanted, "limit": 100}
        found = client.post("/api/v1/search", json=body).json
        members = client.get(f"/api/v1/clusters/{label}").json
        assert found["total"] == members["total"]
        assert {r["cluster"] for r in found["results"]} == {label}


def test_unknown_key_is_answered_with_those_that_there_are(client):
    """A misspelt key is a 422 that names the keys, the user's own among them."""
    wanted = {"must": [{"key": "mood", "match": {"value": "dark"}}]}
    answer = client.post("/api/v1/search", json={"vector": [1, 1, 1, 1], "filter": wanted})
    assert (answer.status_code, answer.json["error"]["code"]) == (422, "invalid")
    (detail,) = answer.json["error"]["details"]
    assert detail["field"] == "filter"
    assert detail["message"].endswith("cluster, path, width, height, metadata.mood")


def test_pages_of_a_search_are_one_answer(client, ids):
    """Offset and limit cut one list."""
    address = f"/api/v1/images/{ids['001.png']}/similar"
    whole = paths(client.get(address + "?limit=13"))
    parts = [paths(client.get(f"{address}?limit=4&offset={offset}")) for offset in (0, 4, 8, 12)]
    assert sum(parts, []) == whole
    assert len(set(whole)) == 13


def test_scores_are_cosines_of_the_vectors(client, ids):
    """A score is what NumPy makes of the two vectors."""
    answer = client.get(f"/api/v1/images/{ids['002.png']}/similar?with_vector=true&limit=13").json
    vectors = np.array([result["vector"] for result in answer["results"]])
    scores = [result["score"] for result in answer["results"]]
    np.testing.assert_allclose(scores, vectors @ vectors[0], atol=1e-6)
    own = FakeEncoder().encode(np.asarray(noise_picture(2).resize((256, 256), 2))[None])
    np.testing.assert_allclose(vectors[0], own[0], atol=1e-6)


def test_images_are_listed_in_pages(client):
    """The list is in the order of rows, with an exact total."""
    page = client.get("/api/v1/images?limit=2&offset=9").json
    assert page["total"] == 13
    assert [image["path"] for image in page["images"]] == ["009.png", "copy.png"]
    assert client.get("/api/v1/images?offset=13").json["images"] == []


def test_image_by_id(client, ids):
    """One picture is described in full."""
    image = client.get(f"/api/v1/images/{ids[RED]}").json
    assert (image["path"], image["width"], image["height"], image["format"]) == (RED, 30, 20, "PNG")
    assert client.get(image["file_url"], buffered=True).status_code == 200


def test_file_is_the_original(client, ids, place):
    """The bytes are those on the disk, as the type that they were decoded as."""
    answer = client.get(f"/api/v1/images/{ids[RED]}/file", buffered=True)
    assert answer.data == (place.pictures / RED).read_bytes()
    assert answer.mimetype == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_file_is_sent_once(client, ids):
    """Who has it already is told so."""
    address = f"/api/v1/images/{ids[RED]}/file"
    tag = client.get(address, buffered=True).headers["ETag"]
    again = client.get(address, headers={"If-None-Match": tag}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


def test_file_in_parts(client, ids, place):
    """A range of the file can be asked for."""
    address = f"/api/v1/images/{ids[RED]}/file"
    answer = client.get(address, headers={"Range": "bytes=1-3"}, buffered=True)
    assert (answer.status_code, answer.data) == (206, b"PNG")
    beyond = client.get(address, headers={"Range": "bytes=999999-"}, buffered=True)
    assert (beyond.status_code, beyond.json["error"]["code"]) == (
        416,
        "requested_range_not_satisfiable",
    )


def test_a_file_with_other_content_is_never_sent(client, ids, place):
    """Neither size nor mtime tell of the edit. A client that has the old content is told so too."""
    file = place.pictures / RED
    address = f"/api/v1/images/{ids[RED]}/file"
    tag = client.get(address, buffered=True).headers["ETag"]
    original, times = file.read_bytes(), file.stat().st_mtime_ns
    file.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    os.utime(file, ns=(times, times))

    for headers in ({}, {"If-None-Match": tag}, {"Range": "bytes=1-3"}):
        answer = client.get(address, headers=headers, buffered=True)
        assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
        assert "has changed since it was indexed" in answer.json["error"]["message"]

    file.unlink()
    file.write_bytes(original)  # restored, with other times and another inode
    answer = client.get(address, buffered=True)
    assert (answer.data, answer.headers["ETag"]) == (original, tag)
    assert answer.content_length == len(original)


def test_missing_file_says_what_to_set(client, ids, place):
    """Pictures that have been moved away are not found, and the cure is named."""
    (place.pictures / RED).unlink()
    answer = client.get(f"/api/v1/images/{ids[RED]}/file", buffered=True)
    assert answer.status_code == 404
    assert "LOOKALIKE_IMAGES" in answer.json["error"]["message"]


def test_moved_image_root(place, app_of, tmp_path):
    """With LOOKALIKE_IMAGES the originals are found where they are now."""
    place.publish()
    moved = tmp_path / "moved"
    place.pictures.rename(moved)
    client = app_of(Settings(data=place.data.root, images=moved)).test_client()
    image = client.get("/api/v1/images").json["images"][4]
    answer = client.get(image["file_url"], buffered=True)
    assert hashlib.sha256(answer.data).hexdigest().startswith(image["id"])


def test_link_out_of_the_root_is_not_followed(client, ids, place, tmp_path):
    """A path never leaves the image root, not even through a link."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (place.pictures / RED).unlink()
    (place.pictures / RED).symlink_to(secret)
    answer = client.get(f"/api/v1/images/{ids[RED]}/file", buffered=True)
    assert answer.status_code == 404
    assert b"secret" not in answer.data


def test_thumbnail(client, ids):
    """A small JPEG that browsers may keep for good."""
    answer = client.get(f"/api/v1/images/{ids[RED]}/thumbnail")
    assert Image.open(io.BytesIO(answer.data)).size == (30, 20)
    assert "immutable" in answer.headers["Cache-Control"]
    again = client.get(answer.request.path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_snapshot_without_thumbnails_and_groups(place, app_of):
    """What has not been made is null or a 404 that says so; searching works all the same."""
    place.publish(thumbnails=False)
    client = app_of(Settings(data=place.data.root)).test_client()
    image = client.get("/api/v1/images").json["images"][0]
    assert (image["thumbnail_url"], image["cluster"]) == (None, None)
    for address in (f"/api/v1/images/{image['id']}/thumbnail", "/api/v1/clusters"):
        assert client.get(address).status_code == 404
    about = client.get("/api/v1/collection").json
    assert (about["clustering"], about["quality"]) == (None, None)
    assert client.get("/").status_code == 200


def test_clusters_and_members(client):
    """Groups come largest first, their members medoid first; together they are everything."""
    answer = client.get("/api/v1/clusters").json
    sizes = [cluster["size"] for cluster in answer["clusters"]]
    assert answer["total"] == 3
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 13
    for cluster in answer["clusters"]:
        members = client.get(f"/api/v1/clusters/{cluster['label']}").json
        assert members["total"] == cluster["size"] == len(members["members"])
        images = [member["image"] for member in members["members"]]
        assert images[:5] == [cluster["medoid"], *cluster["closest"]]
        assert members["members"][0]["score"] == pytest.approx(1, abs=1e-6)
        assert {m["image"]["cluster"] for m in members["members"]} == {cluster["label"]}


def test_members_score_is_the_cosine_with_the_medoid(client, ids):
    """A member's score is the one that a search with the medoid gives it, falling."""
    (first, *_) = members = client.get("/api/v1/clusters/0").json["members"]
    found = client.get(f"/api/v1/images/{first['image']['id']}/similar?limit=13").json["results"]
    scores = {result["id"]: result["score"] for result in found}
    for member in members:
        assert member["score"] == pytest.approx(scores[member["image"]["id"]], abs=1e-6)
    assert [m["score"] for m in members] == sorted((m["score"] for m in members), reverse=True)


def test_cluster_pages(client):
    """Members are paged like everything else."""
    whole = client.get("/api/v1/clusters/0").json["members"]
    assert client.get("/api/v1/clusters/0?limit=1&offset=1").json["members"] == whole[1:2]
    groups = client.get("/api/v1/clusters").json["clusters"]
    assert client.get("/api/v1/clusters?limit=1&offset=2").json["clusters"] == groups[2:]


def test_unknown_cluster_is_not_found(client):
    """A label beyond the last is a 404."""
    assert client.get("/api/v1/clusters/3").status_code == 404


def test_collection(client):
    """Counts, the encoder, quality and the elbow curve."""
    about = client.get("/api/v1/collection").json
    assert (about["n_images"], about["dim"], about["top_k"]) == (13, 4, 13)
    assert about["encoder"]["fingerprint"] == FakeEncoder.fingerprint
    assert about["quality"] == {"n_labelled": 4, "precision_at_10": 0.25}
    found = about["clustering"]
    assert (found["n_clusters"], found["rule"], found["wce_method"]) == (3, "elbow", "kmedoids")
    assert (found["elbow_clear"], found["knee_strength"]) == (True, 1.5)
    assert found["elbow"] == [
        {"n_clusters": 2, "wce": 3.0},
        {"n_clusters": 3, "wce": 1.5},
        {"n_clusters": 4, "wce": 1.0},
    ]


def test_head_has_no_body(client):
    """HEAD is GET without its body."""
    answer = client.head("/api/v1/collection")
    assert (answer.status_code, answer.data) == (200, b"")


def test_duplicates(client, ids):
    """The copy is found with its original, by score and size."""
    answer = client.get("/api/v1/duplicates?threshold=1").json
    assert (answer["total"], answer["threshold"]) == (1, 1.0)
    (group,) = answer["groups"]
    assert (group["kind"], group["size"]) == ("exact", 2)
    paths = {member["image"]["path"]: member["score"] for member in group["members"]}
    assert paths == {"000.png": 1.0, "copy.png": 1.0}
    assert group["members"][0]["image"] == client.get(f"/api/v1/images/{ids['000.png']}").json


def test_duplicates_are_paged(client):
    """All noise is alike to the fake encoder: groups are cut like every list, `total` is of all."""
    whole = client.get("/api/v1/duplicates?threshold=0.999").json
    pages = [
        client.get(f"/api/v1/duplicates?threshold=0.999&limit=1&offset={offset}").json
        for offset in range(whole["total"] + 1)
    ]
    assert {page["total"] for page in pages} == {whole["total"]}
    assert sum((page["groups"] for page in pages), []) == whole["groups"]
    sizes = [group["size"] for group in whole["groups"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("threshold", ["1.01", "-2", "x", "nan"])
def test_impossible_threshold_is_refused(client, threshold):
    """A threshold is a score."""
    answer = client.get(f"/api/v1/duplicates?threshold={threshold}")
    assert (answer.status_code, answer.json["error"]["details"][0]["field"]) == (422, "threshold")


def test_batch_answers_each_search_by_itself(client, ids):
    """Answers come in order, each as it would alone; a mistake in one harms no other."""
    searches = [
        {"id": ids["003.png"], "limit": 2},
        {"id": "none"},
        {"vector": [2, 0, 0, 1], "score_threshold": 0.99},
        {"image": base64.b64encode(b"no picture").decode()},
        {"image": base64.b64encode(picture_bytes((3, 3, 3))).decode(), "limit": 1},
        "not a search",
        {"vector": [1, 2]},
        {"id": ids["003.png"], "limt": 2},
    ]
    answer = client.post("/api/v1/search/batch", json={"searches": searches})
    assert answer.status_code == 200
    entries = answer.json["answers"]
    assert [entry["status"] for entry in entries] == [200, 404, 200, 415, 200, 422, 422, 422]
    for search, entry in zip(searches, entries, strict=True):
        alone = client.post("/api/v1/search", json=search)
        assert alone.status_code == entry["status"]
        if entry["status"] == 200:
            assert set(entry) == {"status", "answer"}
            assert entry["answer"]["results"] == alone.json["results"]
            assert entry["answer"]["snapshot"] == answer.json["snapshot"]
        else:
            assert set(entry) == {"status", "error"}
            assert entry["error"] == alone.json["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"searches": []}, 422),
        ({"searches": [{"id": "a"}] * 65}, 422),
        ({"searches": {"id": "a"}}, 422),
        ({}, 422),
        ({"searches": [{"id": "a"}] * 64}, 200),
        ({"searches": [{"vector": [float("inf")]}]}, 200),
    ],
)
def test_batch_holds_1_to_64_searches(client, body, status):
    """A batch that is none is refused as a whole."""
    assert client.post("/api/v1/search/batch", json=body).status_code == status


def test_bounds_are_settings(place):
    """The operator's limits hold in addresses, JSON, batches and forms, and are documented."""
    place.publish()
    settings = Settings(data=place.data.root, max_limit=12, max_batch=2)
    with running_app(settings) as app:
        client = app.test_client()
        searches = [{"vector": [0, 0, 0, 1], "limit": limit} for limit in (12, 13)]
        assert client.get(f"{API}/images?limit=12").status_code == 200
        assert client.get(f"{API}/images?limit=13").status_code == 422
        assert [client.post(f"{API}/search", json=one).status_code for one in searches] == [
            200,
            422,
        ]
        answer = client.post(f"{API}/search/batch", json={"searches": searches})
        assert [one["status"] for one in answer.json["answers"]] == [200, 422]
        three = {"searches": [*searches, searches[0]]}
        assert client.post(f"{API}/search/batch", json=three).status_code == 422
        form = {"image": (io.BytesIO(picture_bytes()), "a.png"), "limit": "13"}
        assert client.post(f"{API}/search", data=form).status_code == 422
        batch = client.get("/openapi.json").json["components"]["schemas"]["BatchBody"]
        assert batch["properties"]["searches"]["maxItems"] == 2


def test_encode_gives_the_vector_that_search_uses(client, place):
    """Red is (2, 0, 0, 1) / sqrt(5), new or not; a search with it answers as the picture does."""
    for data, mode in [
        ((place.pictures / RED).read_bytes(), "cached"),
        (picture_bytes((255, 0, 0), (30, 20), "BMP"), "cached"),  # the same pixels in another file
        (picture_bytes((255, 0, 0), (31, 20)), "encoded"),  # the same ones only once it is squeezed
        (picture_bytes((254, 0, 0)), "encoded"),
    ]:
        answer = client.post("/api/v1/encode", data={"image": (io.BytesIO(data), "a")})
        assert (answer.json["mode"], answer.json["encoder"]) == (mode, FakeEncoder.fingerprint)
        wanted = np.array([2, 0, 0, 1]) / np.sqrt(5)
        np.testing.assert_allclose(answer.json["vector"], wanted, atol=0.002)
        by_vector = client.post("/api/v1/search", json={"vector": answer.json["vector"]}).json
        assert by_vector["results"] == upload(client, data).json["results"]
        as_json = {"image": base64.b64encode(data).decode()}
        assert client.post("/api/v1/encode", json=as_json).json == answer.json


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"data": b"", "content_type": "image/png"}, 415),
        ({"json": {}}, 422),
        ({"json": {"image": "", "limit": 1}}, 422),
        ({"data": {"limit": "1"}, "content_type": "multipart/form-data"}, 422),
        ({"data": {"image": (io.BytesIO(b"x"), "a"), "limit": "1"}}, 422),
        ({"data": {"image": (io.BytesIO(b"x"), "a")}}, 415),
    ],
)
def test_encode_takes_one_picture_and_nothing_else(client, how, status):
    """What the route does not take is refused, and so is what is no picture."""
    assert client.post("/api/v1/encode", **how).status_code == status


def unit(vector):
    """Scale a vector to length 1."""
    return np.asarray(vector) / np.linalg.norm(vector)


BLACK = "later/black.png"
OF_RED, OF_BLACK = unit([2, 0, 0, 1]), unit([0, 0, 0, 1])


@pytest.mark.parametrize(
    ("positive", "negative", "vector"),
    [
        ([RED], [], OF_RED),
        ([RED, BLACK], [], unit(OF_RED + OF_BLACK)),
        ([RED], [BLACK], unit(2 * OF_RED - OF_BLACK)),
        ([RED, RED, BLACK], [BLACK], unit(2 * (2 * OF_RED + OF_BLACK) / 3 - OF_BLACK)),
    ],
)
def test_examples_make_one_vector(client, ids, positive, negative, vector):
    """Twice the mean of the positive ones less the mean of the negative ones, of unit length."""
    body = {"positive": [ids[p] for p in positive], "limit": 13, "with_vector": True}
    if negative:
        body["negative"] = [ids[p] for p in negative]
    answer = client.post("/api/v1/search", json=body)
    assert answer.json["mode"] == "vector"
    examples = {*positive, *negative}
    assert answer.json["total"] == 13 - len(examples)
    assert not examples & set(paths(answer))
    for result in answer.json["results"]:
        assert result["score"] == pytest.approx(np.dot(result["vector"], vector), abs=2e-6)
    scores = [result["score"] for result in answer.json["results"]]
    assert scores == sorted(scores, reverse=True)
    own = client.post("/api/v1/search", json=body | {"include_self": True}).json
    assert own["total"] == 13
    others = [one for one in own["results"] if one["path"] not in examples]
    assert others == answer.json["results"]


def test_examples_are_left_out_of_pages_totals_and_filters(client, ids):
    """As if the collection had never had them, whichever way the answer is found."""
    body = {"positive": [ids["000.png"], ids["004.png"]], "limit": 13}
    whole = client.post("/api/v1/search", json=body).json["results"]
    pages = [
        client.post("/api/v1/search", json=body | {"limit": 2, "offset": offset}).json["results"]
        for offset in range(0, 12, 2)
    ]
    assert [one for page in pages for one in page] == whole
    everything = {"must": [{"key": "width", "range": {"gte": 1}}]}
    filtered = client.post("/api/v1/search", json=body | {"filter": everything}).json
    assert (filtered["results"], filtered["total"]) == (whole, 11)
    for threshold in (0.0, whole[4]["score"], 1.0):
        n_passing = sum(one["score"] >= threshold for one in whole)
        some = client.post(
            "/api/v1/search", json=body | {"score_threshold": threshold, "limit": 2}
        ).json
        assert (some["total"], some["results"]) == (n_passing, whole[: min(2, n_passing)])


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"positive": ["none"]}, 404, None),
        ({"positive": []}, 422, "positive"),
        ({"positive": ["x"] * 65}, 422, "positive"),
        ({"negative": ["x"]}, 422, ""),
        ({"id": "x", "negative": ["x"]}, 422, ""),
        ({"id": "x", "positive": ["x"]}, 422, ""),
        ({"positive": [1]}, 422, "positive.0"),
    ],
)
def test_examples_that_cannot_be_used(client, body, status, field):
    """Each mistake is named."""
    answer = client.post("/api/v1/search", json=body)
    assert answer.status_code == status
    if field is not None:
        assert answer.json["error"]["details"][0]["field"] == field


def halves(size=(64, 48), left=(255, 0, 0), right=(0, 0, 0), **options):
    """Return the file of a picture whose left half has one colour and whose right half another."""
    picture = Image.new("RGB", size, right)
    picture.paste(left, (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


LEFT, RIGHT = [0, 0, 0.5, 1], [0.5, 0, 0.5, 1]


@pytest.mark.parametrize(("region", "path"), [(LEFT, RED), (RIGHT, BLACK)], ids=["left", "right"])
@pytest.mark.parametrize("way", ["form", "json"])
def test_part_of_an_uploaded_picture(client, region, path, way):
    """Only the part that is asked for counts; it was encoded just now."""
    if way == "form":
        answer = upload(client, halves(), region=json.dumps(region), limit="1")
    else:
        image = base64.b64encode(halves()).decode()
        body = {"image": image, "region": region, "limit": 1}
        answer = client.post("/api/v1/search", json=body)
    assert (answer.status_code, answer.json["mode"]) == (200, "encoded")
    assert paths(answer) == [path]
    assert answer.json["results"][0]["score"] == 1.0


def test_part_is_of_the_upright_picture(client):
    """A picture that is stored lying is turned before it is cut: its left half stands on top."""
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn clockwise
    data = halves(exif=turned)
    for region, path in (([0, 0, 1, 0.5], RED), ([0, 0.5, 1, 0.5], BLACK)):
        assert paths(upload(client, data, region=json.dumps(region), limit="1")) == [path]


def test_part_of_a_picture_of_the_collection(client, place, ids):
    """Its original is cut; it may be left out of its own answers, and has to be as it was."""
    whole = (place.pictures / "003.png").read_bytes()
    region = [0.25, 0.25, 0.5, 0.5]
    body = {"id": ids["003.png"], "region": region, "limit": 13}
    answer = client.post("/api/v1/search", json=body).json
    assert (answer["mode"], answer["total"]) == ("encoded", 13)
    uploaded = upload(client, whole, region=json.dumps(region), limit="13").json
    assert answer["results"] == uploaded["results"]
    others = client.post("/api/v1/search", json=body | {"include_self": False}).json
    assert others["results"] == [r for r in answer["results"] if r["id"] != body["id"]]
    (place.pictures / "003.png").write_bytes(halves())
    changed = client.post("/api/v1/search", json=body)
    assert changed.status_code == 404
    assert "has changed since it was indexed" in changed.json["error"]["message"]
    (place.pictures / "003.png").unlink()
    gone = client.post("/api/v1/search", json=body)
    assert (gone.status_code, gone.json["error"]["code"]) == (404, "not_found")
    assert "not found in the picture folder" in gone.json["error"]["message"]


@pytest.mark.parametrize(
    ("region", "field", "message"),
    [
        ([0, 0, 1], "region", "at least 4 items"),
        ([0, 0, 1, 1, 1], "region", "at most 4 items"),
        ([-0.1, 0, 1, 1], "region.0", "greater than or equal to 0"),
        ([0, 0, 1, 1.1], "region.3", "less than or equal to 1"),
        ([0.5, 0, 0.6, 1], "", "extends beyond the picture"),
        ([0, 0, 0.1, 1], "region", "is too small (6 x 48 of 64 x 48 pixels)"),
        ([0, 0, 0, 0], "region", "is too small (0 x 0 of"),
        (["left", 0, 1, 1], "region.0", "should be a valid number"),
    ],
)
def test_part_that_cannot_be_cut_out(client, region, field, message):
    """Each mistake is named, in a form as in JSON."""
    image = base64.b64encode(halves()).decode()
    by_json = client.post("/api/v1/search", json={"image": image, "region": region})
    by_form = upload(client, halves(), region=json.dumps(region))
    for answer in (by_json, by_form):
        assert answer.status_code == 422
        assert answer.json["error"]["details"][0]["field"] == field
        assert message in answer.json["error"]["details"][0]["message"]


def test_part_needs_a_picture(client, ids):
    """A vector has no region, and text must be a list to be one."""
    for query in ({"vector": [1, 0, 0, 0]}, {"positive": [ids["000.png"]]}):
        answer = client.post("/api/v1/search", json=query | {"region": LEFT})
        assert answer.status_code == 422
        assert "region requires id or image" in answer.json["error"]["message"]
    assert upload(client, halves(), region="0;0;1;1").json["error"]["details"] == [
        {"field": "region", "message": "is not a list of numbers"}
    ]


def test_region_of_rounded_numbers_is_inside(client):
    """Shares that add up to 1 but for rounding are taken."""
    assert upload(client, halves(), region="[0.1, 0.7, 0.9, 0.30000001]").status_code == 200


def test_region_of_a_form_may_lack_brackets(client):
    """As Swagger UI sends it, and as people type it."""
    texts = ("[0, 0, 0.5, 1]", "0, 0, 0.5, 1", " 0,0,0.5,1 ")
    answers = [upload(client, halves(), region=text, limit="3").json["results"] for text in texts]
    assert answers[0][0]["path"] == RED
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


def test_whole_region_is_no_part(client, ids):
    """The picture is known again, as without it."""
    body = {"id": ids["003.png"], "region": [0, 0, 1, 1]}
    assert client.post("/api/v1/search", json=body).json["mode"] == "cached"


def test_large_picture_of_the_collection_is_searched_by_region(place, app_of):
    """60 megapixels are indexed, so a region of them can be searched; an upload is refused."""
    row = bytes(8_000 // 8)
    palette = forge.chunk(b"PLTE", bytes((255, 0, 0)))
    large = forge.png(8_000, 7_500, row, palette, bits=1, kind=3)
    (place.pictures / "large.png").write_bytes(large)
    place.publish()
    client = app_of(Settings(data=place.data.root)).test_client()
    images = client.get("/api/v1/images?limit=1000").json["images"]
    (id_,) = (image["id"] for image in images if image["path"] == "large.png")
    region = [0.25, 0.25, 0.5, 0.5]
    answer = client.post("/api/v1/search", json={"id": id_, "region": region, "limit": 2})
    assert (answer.status_code, answer.json["mode"]) == (200, "encoded")
    assert {result["path"] for result in answer.json["results"]} == {"large.png", RED}
    assert upload(client, large[:-20] + b"x" + large[-19:]).status_code == 413
