"""Every file name of a snapshot and of the data folder is defined once."""

import ast

import index.schema1
import models.schema1
from index import layout
from models import files
from tests.helpers import paths

PACKAGES = ("index", "indexer", "models", "service", "benchmarks")
WHERE_DEFINED = {paths.ROOT / "index" / "layout.py", paths.ROOT / "models" / "files.py"}


def constants(module) -> dict[str, str]:
    """Return the names that a module defines."""
    return {name: value for name, value in vars(module).items() if name.endswith("_FILE")}


OF_DATA_FOLDER = {layout.CURRENT_FILE, layout.LOCK_FILE, layout.OTHER_FILES_FILE}
NAMES = set(constants(layout).values()) - {layout.LOCK_FILE}  # a word that occurs elsewhere, too


def texts(path) -> set[str]:
    """Return every text constant of a source file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in found if isinstance(value, str)}


def sources():
    """Return every source file that may not spell a name itself."""
    found = {path for name in PACKAGES for path in (paths.ROOT / name).rglob("*.py")}
    return sorted(found - WHERE_DEFINED)


def test_no_other_module_spells_a_name():
    """A name that is spelled twice can be changed in one place and forgotten in the other."""
    spelled = {str(path.relative_to(paths.ROOT)): texts(path) & NAMES for path in sources()}

    assert len(spelled) > 100
    assert {path: names for path, names in spelled.items() if names} == {}


def test_models_writes_the_files_that_a_snapshot_holds():
    """The two packages do not import each other, so each names these files."""
    names = constants(files)

    assert names == {name: getattr(layout, name) for name in names}
    assert set(names.values()) == set(layout.ENCODER_FILES) - {layout.HISTORY_PLOT_FILE}


def test_both_packages_know_the_same_old_names():
    """An encoder's folder can be opened by itself, so models knows what schema 1 called its parts.

    A snapshot of schema 1 holds such a folder.
    """
    assert index.schema1.OLD_FILES == {
        files.CROP_ENCODER_FILE: models.schema1.OLD_CROP_ENCODER_FILE
    }
    assert index.schema1.NEW_ENCODER_KEYS == models.schema1.NEW_KEYS


def test_the_documentation_lists_every_file():
    """A reader of docs/snapshot-format.md learns of every file."""
    text = (paths.ROOT / "docs" / "snapshot-format.md").read_text(encoding="utf-8")

    assert [name for name in NAMES - OF_DATA_FOLDER if f"`{name}`" not in text] == []
