"""Lists of the files that Lookalike wrote, which keep these files out of the collection.

Commands do not write inside the image root. But another folder may later become part of an image
root, or be linked into one. So each output folder has a list of the files that Lookalike wrote to
it. The walk leaves these files out, but no other files of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from index.durable import replace_text
from indexer.errors import OutputInFolder

PARTITION_LIST = ".lookalike-partition.json"
OUTPUT_LIST = ".lookalike-output.json"
OUTPUT_LISTS = (PARTITION_LIST, OUTPUT_LIST)


def check_outside(target: Path, root: Path) -> None:
    """Raise OutputInFolder if a target is inside the image root, possibly through links."""
    if target.resolve().is_relative_to(root.resolve()):
        raise OutputInFolder(
            f"{target} is inside the picture folder {root}, so the next `reindex` would add these "
            "files to the collection. Choose a folder outside of it."
        )


def add_to_list(folder: Path, names: Iterable[str]) -> None:
    """Add files to the list of a folder. `names` are relative to the folder."""
    listed = {path.as_posix() for path in written_files(folder)} | set(names)
    replace_text(folder / OUTPUT_LIST, json.dumps({"files": sorted(listed)}))


def written_files(folder: Path) -> set[Path]:
    """Return the files in the lists of a folder, relative to the folder.

    A list that cannot be read counts as empty.
    """
    found: set[Path] = set()
    for name in OUTPUT_LISTS:
        try:
            listed = json.loads((folder / name).read_text(encoding="utf-8"))["files"]
            found |= {Path(one) for one in listed if isinstance(one, str)}
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found
