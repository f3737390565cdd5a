"""What the model keeps of a picture, over HTTP."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from models.decoder import Decoder
from models.encoder import Encoder
from service.settings import Settings
from tests.helpers import paths
from tests.helpers.pictures import picture_bytes

GOLDEN = paths.GOLDEN_ENCODER
NAMES = ("encoder.tflite", "encoder.json", "decoder.tflite", "decoder.json")


@pytest.fixture
def trained(place, app_of):
    """Give a function files -> client of a collection with a trained encoder, and with them."""

    def make(files):
        encoder = Encoder.open(GOLDEN / "encoder.tflite")
        place.publish(encoder=encoder, files=files)
        return app_of(Settings(data=place.data.root), lambda snapshot: encoder).test_client()

    return make


@pytest.fixture
def client_with_decoder(trained):
    """Give a client of a collection whose encoder and decoder belong together."""
    return trained({name: (GOLDEN / name).read_bytes() for name in NAMES})


def image_of(client, path):
    """Return the answer about the picture of a path."""
    images = client.get("/api/v1/images?limit=1000").json["images"]
    return next(image for image in images if image["path"] == path)


def test_painted_from_the_stored_vector(client_with_decoder):
    """It is what the decoder makes of the vector, in the proportions of the picture."""
    client = client_with_decoder
    image = image_of(client, "003.png")
    answer = client.get(image["reconstruction_url"])
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    painted = Image.open(io.BytesIO(answer.data))
    assert painted.size == (256, 192)  # of 64 x 48
    body = {"id": image["id"], "limit": 1, "with_vector": True}
    vector = client.post("/api/v1/search", json=body).json["results"][0]["vector"]
    decoder = Decoder.open(GOLDEN / "decoder.tflite")
    wanted = Image.fromarray(decoder.decode_vectors(np.array([vector], np.float32))[0])
    difference = np.abs(np.asarray(wanted.resize((256, 192)), int) - np.asarray(painted, int))
    assert difference.mean() < 3  # grey levels, which JPEG loses


def test_it_is_not_sent_twice(client_with_decoder):
    """Its ETag is its own, and who has it gets no second one."""
    client = client_with_decoder
    first = client.get(image_of(client, "003.png")["reconstruction_url"])
    other = client.get(image_of(client, "004.png")["reconstruction_url"])
    assert first.headers["ETag"] != other.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get(first.request.path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_page_shows_it(client_with_decoder):
    """With the picture itself, and not with an uploaded one or a part."""
    client = client_with_decoder
    image = image_of(client, "003.png")
    assert f'src="{image["reconstruction_url"]}"' in client.get(f"/similar/{image['id']}").text
    assert "reconstruction" not in client.get(f"/similar/{image['id']}?left=50").text
    form = {"image": (io.BytesIO(picture_bytes((1, 2, 3))), "x.png")}
    assert "reconstruction" not in client.post("/search", data=form).text


@pytest.mark.parametrize("files", ["none", "of another encoder"])
def test_without_a_decoder_it_is_said(trained, files):
    """A 404 with a sentence; and no page or answer offers it unless there is a file."""
    given = {}
    if files != "none":
        info = json.loads((GOLDEN / "decoder.json").read_text()) | {"encoder_fingerprint": "x" * 16}
        given["decoder.json"] = json.dumps(info).encode()
        given["decoder.tflite"] = (GOLDEN / "decoder.tflite").read_bytes()
    client = trained(given)
    image = image_of(client, "003.png")
    assert (image["reconstruction_url"] is None) == (files == "none")
    answer = client.get(f"/api/v1/images/{image['id']}/reconstruction")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")
    assert "has no decoder" in answer.json["error"]["message"]


def test_unknown_picture(client_with_decoder):
    """It is a 404, as everywhere."""
    assert client_with_decoder.get("/api/v1/images/none/reconstruction").status_code == 404
