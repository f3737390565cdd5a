from __future__ import annotations

import re

from tests.helpers.paths import ROOT


def test_every_line_is_printed_by_the_terminal_module():
    """No command prints a line by itself, which would not be escaped."""
    files = [path for path in (ROOT / "indexer").rglob("*.py") if path.name != "terminal.py"]
    prints = re.compile(r"\b(click\.s?echo|print)\(|sys\.std(out|err)\.write")
    assert [str(path) for path in files if prints.search(path.read_text(encoding="utf-8"))] == []
