"""The Markdown pages keep their form: short lines, links that resolve, paths that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers import paths

MAX_LINE = 100
MAX_README_LINES = 120
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.M | re.S)
MODULE = re.compile(r"\b(?:models|index|indexer|service|tests|benchmarks)/[\w/.]*\w\.py\b")


def tracked_pages() -> list[str]:
    """Return the Markdown files that git tracks, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=paths.ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [name for name in listed.stdout.splitlines() if (paths.ROOT / name).exists()]


PAGES = tracked_pages()


def text_of(page: str) -> str:
    """Return what a page says."""
    return (paths.ROOT / page).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def test_the_pages_are_found():
    """The tests below read the pages, not an empty list."""
    assert {"README.md", "docs/http-api.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page):
    """No line is longer than 100 characters, in tables and generated parts too."""
    assert [line for line in text_of(page).splitlines() if len(line) > MAX_LINE] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page):
    """A link names a file or folder of the repository and, after `#`, one of its headings."""
    missing = [
        link
        for link in LINK.findall(CODE.sub("", text_of(page)))
        if "://" not in link and not resolves(page, link)
    ]

    assert missing == []


def resolves(page: str, link: str) -> bool:
    """Return whether a link of a page leads to a file, a folder or a heading."""
    name, _, anchor = link.partition("#")
    target = (paths.ROOT / page).parent / name if name else paths.ROOT / page
    return target.exists() and (not anchor or anchor in anchors(target.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES)
def test_every_module_named_exists(page):
    """A path such as `index/layout.py` is that of a file of the repository."""
    assert [
        name for name in MODULE.findall(text_of(page)) if not Path(paths.ROOT, name).exists()
    ] == []


def test_the_readme_is_short():
    """It is read whole by somebody who has never seen the project."""
    assert len(text_of("README.md").splitlines()) <= MAX_README_LINES


def test_every_decision_is_listed():
    """docs/decisions/README.md links each note, so that a new one can be found."""
    folder = paths.ROOT / "docs" / "decisions"
    notes = {path.name for path in folder.glob("0*.md")}

    assert notes - set(LINK.findall((folder / "README.md").read_text("utf-8"))) == set()
