import base64
import csv
import hashlib
import importlib.machinery
import importlib.util
import io
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import paths

SCRIPT = paths.ROOT / "bin" / "fetch-demo-images"
# Fox, hash key with and without leading zeros (two drawings of one emoji), a skin-tone variant,
# and a bald man of one skin tone.
MEMBERS = ["1f98a", "0023-fe0f-20e3", "23-fe0f-20e3", "1f44b-1f3fd", "1f468-1f3ff-200d-1f9b2"]


@pytest.fixture
def script():
    """Import bin/fetch-demo-images, which has no suffix, as a fresh module."""
    loader = importlib.machinery.SourceFileLoader("fetch_demo_images", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules[loader.name]


def drawing() -> Image.Image:
    """Return a red block of 64 x 32 pixels at (100, 50), on 256 x 256 transparent pixels."""
    image = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (100, 50, 164, 82))
    return image


def pack(path: Path, names: list[str]) -> Path:
    """Write an npm package with the drawing under each of the names."""
    buffer = io.BytesIO()
    drawing().save(buffer, "WEBP", lossless=True)
    files = {f"package/assets/{name}.webp": buffer.getvalue() for name in names}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"package/package.json": b"{}", **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def integrity(path: Path) -> str:
    """Return npm's form of a file's SHA-512."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


@pytest.fixture
def offline(script, tmp_path, monkeypatch):
    """Give the script a package made here instead of the one from npm."""
    archive = pack(tmp_path / "package.tgz", MEMBERS)
    monkeypatch.setattr(script, "find_npm", lambda: "npm")
    monkeypatch.setattr(script, "npm_pack", lambda npm, folder: archive)
    monkeypatch.setattr(script, "INTEGRITY", integrity(archive))
    return script


def files_in(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_pictures_are_named_by_emoji_without_skin_tones(offline, tmp_path):
    """A picture lies in group/subgroup/name; a second drawing of one emoji gets a number."""
    assert offline.main([str(tmp_path / "out")]) == 0

    assert files_in(tmp_path / "out") == [
        "animals-nature/animal-mammal/fox.webp",
        "labels.csv",
        "symbols/keycap/keycap-hash-2.webp",
        "symbols/keycap/keycap-hash.webp",
    ]


def test_labels_tell_group_name_and_base_of_variants(offline, tmp_path):
    """labels.csv has one row a picture; a skin-tone variant names the emoji that it varies."""
    assert offline.main(["--all", str(tmp_path / "out")]) == 0

    with (tmp_path / "out" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "group", "subgroup", "name", "base"]
    assert [tuple(row.values()) for row in rows if row["name"] != row["base"]] == [
        (
            "people-body/hand-fingers-open/waving-hand-medium-skin-tone.webp",
            "people-body",
            "hand-fingers-open",
            "waving hand: medium skin tone",
            "waving hand",
        ),
        (
            "people-body/person/man-dark-skin-tone-bald.webp",
            "people-body",
            "person",
            "man: dark skin tone, bald",
            "man: bald",
        ),
    ]
    assert sorted(row["path"] for row in rows) == [
        path for path in files_in(tmp_path / "out") if path != "labels.csv"
    ]


def test_drawing_is_cropped_to_its_alpha_box_on_a_white_square(offline, tmp_path):
    """64 x 32 drawn pixels become 68 x 68: a margin of 2, then 18 white rows above and below."""
    offline.main([str(tmp_path / "out")])

    with Image.open(tmp_path / "out/animals-nature/animal-mammal/fox.webp") as image:
        assert (image.mode, image.size) == ("RGB", (68, 68))
        white = Image.new("RGB", image.size, "white")
        expected = white.copy()
        expected.paste((255, 0, 0), (2, 18, 66, 50))
        assert image.tobytes() == expected.tobytes()


def test_second_call_does_nothing_and_all_completes_a_smaller_set(offline, tmp_path, capsys):
    """What is there is kept; --all replaces the set without skin tones by the whole one."""
    out = tmp_path / "out"
    offline.main([str(out)])
    before = (out / "labels.csv").stat().st_mtime_ns

    assert offline.main([str(out)]) == 0
    assert (out / "labels.csv").stat().st_mtime_ns == before
    assert "already holds" in capsys.readouterr().out
    assert offline.main(["--all", str(out)]) == 0
    assert len(files_in(out)) == len(MEMBERS) + 1


def test_wrong_integrity_is_refused_and_leaves_nothing(offline, tmp_path, monkeypatch, capsys):
    """A package with another SHA-512 is not unpacked; nothing is left behind."""
    monkeypatch.setattr(offline, "INTEGRITY", "sha512-AAAA")
    out = tmp_path / "pictures" / "out"

    assert offline.main([str(out)]) == 1
    assert "not the expected one" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


def test_interrupted_call_leaves_nothing(offline, tmp_path, monkeypatch):
    """The folder appears whole or not at all, also when Ctrl-C comes in between."""

    def interrupt(labels, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "write_labels", interrupt)
    out = tmp_path / "pictures" / "out"

    assert offline.main([str(out)]) == 130
    assert list(out.parent.iterdir()) == []


def test_folder_of_other_files_is_refused(offline, tmp_path, capsys):
    """A folder with the user's own files is never written to."""
    (tmp_path / "holiday.jpg").write_bytes(b"mine")

    assert offline.main([str(tmp_path)]) == 1
    assert "holds other files" in capsys.readouterr().err


def test_member_outside_the_assets_is_ignored(offline, tmp_path):
    """Only package/assets/<code points>.webp is read: no member can choose where it is written."""
    archive = pack(tmp_path / "hostile.tgz", ["../../escape", "1f98a/../../x", "1f98a"])

    assert [codes for codes, _ in offline.read_archive(archive, True)] == [["1f98a"]]


def test_npm_failure_is_one_sentence_with_the_cure(script, tmp_path, monkeypatch, capsys):
    """Without a network, npm's reason and the command to run again stand in one line."""
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\n[ $1 = --version ] && exit 0\necho 'getaddrinfo ENOTFOUND' >&2\nexit 1\n"
    )
    npm.chmod(0o755)
    monkeypatch.setattr(script, "find_npm", lambda: str(npm))

    assert script.main([str(tmp_path / "out")]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "getaddrinfo ENOTFOUND" in last
    assert "run again: bin/fetch-demo-images" in last


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flag: Åland Islands", "flag-aland-islands"),
        ("flag: São Tomé & Príncipe", "flag-sao-tome-and-principe"),
        ("keycap: *", "keycap-asterisk"),
        ("woman’s clothes", "womans-clothes"),
        ("Japanese “here” button", "japanese-here-button"),
    ],
)
def test_slug_is_a_plain_file_name(script, name, expected):
    """File names are made of a-z, 0-9 and '-' alone."""
    assert script.slug(name) == expected


def test_label_table_names_each_emoji_once(script):
    """No line of the label table hides another, and no two names share a file."""
    lines = script.LABELS.read_text(encoding="utf-8").splitlines()
    names = script.read_names(script.LABELS)
    paths = {f"{group}/{subgroup}/{script.slug(name)}" for group, subgroup, name in names.values()}

    assert len(names) == sum(not line.startswith(("#", "[")) for line in lines) == 1855
    assert len(paths) == 1855
