"""The service needs no more than requirements-service.txt: no TensorFlow, no plots."""

import json
import subprocess
import urllib.request
from pathlib import Path

from tests.helpers.pictures import noise_picture
from tests.helpers.servers import running


def test_it_serves_uploads_and_lookups(small_environment, built, tmp_path):
    """An upload is encoded by LiteRT, a picture of the collection is looked up; no TensorFlow."""
    packages = subprocess.check_output([small_environment, "-m", "pip", "list", "--format", "json"])
    assert not {"tensorflow", "keras", "matplotlib"} & {p["name"] for p in json.loads(packages)}

    with running(built, tmp_path / "log", python=small_environment) as server:
        new = tmp_path / "new.png"
        noise_picture(999).save(new)
        modes = [ask(server.url, path) for path in (built.pictures / "003.png", new)]

    assert modes == ["cached", "encoded"]


def ask(url: str, picture: Path) -> str:
    """Upload a picture and return the mode of the answer."""
    command = ["curl", "-sS", "--fail", "-F", f"image=@{picture}", f"{url}/api/v1/search"]
    return json.loads(subprocess.check_output(command))["mode"]


def test_the_collection_is_described(small_environment, built, tmp_path):
    """The JSON API answers from the snapshot alone."""
    with (
        running(built, tmp_path / "log", python=small_environment) as server,
        urllib.request.urlopen(f"{server.url}/api/v1/collection") as answer,
    ):
        assert json.load(answer)["n_images"] == 41
