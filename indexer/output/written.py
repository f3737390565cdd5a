"""Keep what Lookalike writes out of the collection.

Commands that write files refuse targets inside the image root. A folder elsewhere may become part
of an image root later, or be linked into one. So each such folder has a list of the files written
to it, and the walk leaves these files out; other files in the folder count as usual.
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
    """Refuse to write inside the image root, through links as well: raise OutputInFolder."""
    if target.resolve().is_relative_to(root.resolve()):
        raise OutputInFolder(
            f"{target} is inside the picture folder {root}, so the next `reindex` would add these "
            "files to the collection. Choose a place outside of it."
        )


def note_written(folder: Path, names: Iterable[str]) -> None:
    """Add files to the list of what Lookalike wrote to a folder. `names` are relative to it."""
    listed = {path.as_posix() for path in written_files(folder)} | set(names)
    replace_text(folder / OUTPUT_LIST, json.dumps({"files": sorted(listed)}))


def written_files(folder: Path) -> set[Path]:
    """Return the files that the lists of a folder name, relative to the folder.

    A list that cannot be read names none: only files that Lookalike wrote are left out.
    """
    found: set[Path] = set()
    for name in OUTPUT_LISTS:
        try:
            listed = json.loads((folder / name).read_text(encoding="utf-8"))["files"]
            found |= {Path(one) for one in listed if isinstance(one, str)}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found
