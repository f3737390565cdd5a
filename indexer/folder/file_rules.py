"""Rules that decide by the path whether a file of the picture folder is a candidate for indexing.

`build`, `reindex` and `add` use the same rules. A file is left out if a rule excludes it or one of
its folders, unless a pattern of `--include` matches it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from indexer.errors import BadPattern

HIDDEN = "hidden"
HELPER = "helper files of file managers and storage systems"
USER = "excluded by --exclude"

# In lower case. Names are compared without case, as several of these systems do.
HELPER_FOLDERS = frozenset(
    {
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx",
        "lost+found", "$recycle.bin", "recycler", "system volume information", "_thumb",
        "picasaoriginals", "resource.frk", "network trash folder", "temporary items", "_gsdata_",
    }
)  # fmt: skip
HELPER_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"}
)


@dataclass(frozen=True)
class FileRules:
    """The rules of one collection.

    Attributes
    ----------
    include, exclude : tuple of str
        Patterns as in a .gitignore file, relative to the image root.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.include, *self.exclude):
            _spec((pattern,))

    def excluding(self, relative: Path, is_folder: bool = False) -> str | None:
        """Return the rule that leaves a file or folder out, or None.

        A folder is entered if a pattern of `include` could match a file in it.
        """
        text = relative.as_posix() + ("/" if is_folder else "")
        if self.include and (is_folder or _spec(self.include).match_file(text)):
            return None
        if self.exclude and _spec(self.exclude).match_file(text):
            return USER
        return _default_rule(relative.parts[:-1], relative.name, is_folder)


def _default_rule(folders: tuple[str, ...], name: str, is_folder: bool) -> str | None:
    folded = [one.casefold() for one in (*folders, name)]
    in_folders = folded if is_folder else folded[:-1]
    if any(one in HELPER_FOLDERS for one in in_folders):
        return HELPER
    if not is_folder and (folded[-1] in HELPER_FILES or name.startswith("._")):
        return HELPER
    return HIDDEN if any(one.startswith(".") for one in folded) else None


@functools.cache
def _spec(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise BadPattern(
            f"{patterns[0]!r} is not a valid pattern ({error}). Write it as in a .gitignore file."
        ) from error
