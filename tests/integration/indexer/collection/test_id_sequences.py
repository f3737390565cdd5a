"""Ids and removals after any sequence of changes, against a plain model of their rules."""

import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import image_id
from indexer.collection.changes import FolderChanges
from indexer.collection.ids import ImageIds
from indexer.collection.records import Collected
from indexer.collection.removals import Removal, Removals
from indexer.folder.dataset import PixelSource
from indexer.folder.walk import walk
from models.preprocess import file_digest
from tests.helpers.pictures import picture_bytes

NAMES = "abcdefgh"
CONTENTS = [picture_bytes((60 * n, 10, 10), (8 + n, 8)) for n in range(3)]


@dataclass
class Model:
    """What is indexed, in tuples: (path, digest, inode, id), and (path, digest, inode)."""

    indexed: list[tuple] = field(default_factory=list)
    removed: list[tuple] = field(default_factory=list)

    def update(self, disk):
        """Index what is on the disk: (digest, inode) by path."""
        here = {(path, digest) for path, (digest, _) in disk.items()}
        kept = {(path, digest): id_ for path, digest, _, id_ in self.indexed}
        out = {(path, digest) for path, digest, _ in self.removed}
        left = [one for one in self.indexed if one[:2] not in here]
        left.sort(key=lambda one: (one[0] in disk, one[0]))
        used = {one[3] for one in self.indexed}
        after = []
        for path, (digest, inode) in sorted(disk.items()):
            if (path, digest) in out:
                self.removed.remove(next(r for r in self.removed if r[:2] == (path, digest)))
                self.removed.append((path, digest, inode))
                continue
            if (path, digest) in kept:
                after.append((path, digest, inode, kept[path, digest]))
                continue
            gone = sorted(r for r in self.removed if r[1] == digest and r[:2] not in here)
            moved = [one for one in left if one[1] == digest]
            removal = next((one for one in gone if one[2] == inode), None)
            original = next((one for one in moved if one[2] == inode), None)
            if removal is None and original is None and gone:
                removal = gone[0]
            if removal is not None:
                self.removed.remove(removal)
                self.removed.append((path, digest, inode))
                continue
            original = original or next(iter(moved), None)
            if original is not None:
                left.remove(original)
                after.append((path, digest, inode, original[3]))
                continue
            numbered = (image_id(digest, number) for number in itertools.count(1))
            new_id = next(one for one in numbered if one not in used)
            used.add(new_id)
            after.append((path, digest, inode, new_id))
        self.indexed = after

    def remove(self, row):
        """Remove a picture."""
        self.removed.append(self.indexed.pop(row)[:3])


class Index:
    """The same, by the code."""

    def __init__(self, root: Path) -> None:
        self.root, self.records, self.removals = root, [], Removals()

    def update(self, is_build):
        """Re-index the folder, or build it again."""
        files = walk(self.root).files
        to_read = set(files) if is_build else None
        folder = FolderChanges(
            self.root, files, self.records, self.removals, to_read, keeps_vectors=not is_build
        )
        with PixelSource(self.root, self.root.parent, len(files), 1 << 24) as source:
            collected = Collected(self.root, source, None, ImageIds(folder.earlier))
            for found in folder.pictures():
                collected.add(found)
        assert collected.skipped == []
        self.records = collected.records

    def remove(self, row):
        """Remove a picture."""
        self.removals.add([Removal.of(self.records.pop(row))])

    def add(self, name):
        """Take back a removed picture, as `add` does before the picture is indexed."""
        only = FolderChanges(
            self.root,
            [Path(name)],
            removals=self.removals,
            to_read={Path(name)},
            takes_back=True,
        )
        list(only.pictures())


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "new",
                "new",
                "copy",
                "copy",
                "delete",
                "rename",
                "rename",
                "edit",
                "swap",
                "remove",
                "remove",
                "add",
                "reindex",
                "reindex",
                "reindex",
                "build",
            ]
        ),
        st.integers(0, 7),
        st.integers(0, 7),
    ),
    min_size=6,
    max_size=20,
)


def change(root, attic, operation, one, other, step):
    """Change the folder. Deleted files are kept elsewhere, so that no inode is used twice."""
    a, b = root / NAMES[one], root / NAMES[other]
    if operation == "new" and not a.exists():
        a.write_bytes(CONTENTS[other % 3])
    elif operation == "copy" and a.exists() and not b.exists():
        shutil.copy(a, b)
    elif operation == "delete" and a.exists():
        a.rename(attic / f"{step}")
    elif operation == "rename" and a.exists() and a != b:
        if b.exists():
            b.rename(attic / f"{step}")
        a.rename(b)
    elif operation == "edit" and a.exists():
        a.write_bytes(CONTENTS[other % 3])
    elif operation == "swap" and a.exists() and b.exists() and a != b:
        a.rename(attic / "swap")
        b.rename(a)
        (attic / "swap").rename(b)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(operations=OPERATIONS)
def test_any_sequence_keeps_ids_and_removals(tmp_path_factory, operations):
    """The code does what the model does; untouched files keep their ids, and nothing is lost."""
    base = tmp_path_factory.mktemp("sequence")
    root, attic = base / "images", base / "attic"
    root.mkdir()
    attic.mkdir()
    for name, n in zip("abcdef", [0, 0, 0, 1, 1, 2], strict=True):
        (root / name).write_bytes(CONTENTS[n])
    index, model = Index(root), Model()
    reindex = ("reindex", 0, 0)
    for step, (operation, one, other) in enumerate([reindex, *operations, reindex]):
        if operation in ("reindex", "build"):
            disk = on_disk(root)
            before = {(r.path, r.sha256): r.id for r in index.records}
            index.update(operation == "build")
            model.update(disk)
            check(index, model, disk, before)
        elif operation == "remove" and index.records:
            row = one % len(index.records)
            index.remove(row)
            model.remove(row)
        elif operation == "add" and (root / NAMES[one]).exists():
            take_back(model, NAMES[one], on_disk(root))
            index.add(NAMES[one])
        else:
            change(root, attic, operation, one, other, step)
    shutil.rmtree(base)


def take_back(model, name, disk):
    """Forget what was removed at a path, and the removed picture that moved there."""
    digest, inode = disk[name]
    here = [one for one in model.removed if one[0] == name]
    if not any(one[1] == digest for one in here):
        left = [
            one
            for one in model.removed
            if one[1] == digest and disk.get(one[0], (None, None))[0] != digest
        ]
        left.sort(key=lambda one: (one[2] != inode, one))
        here += left[:1]
    model.removed = [one for one in model.removed if one not in here]


def check(index, model, disk, before):
    """Compare code and model, and check what must hold whatever the model says."""
    found = {record.path: record.id for record in index.records}
    assert found == {path: id_ for path, _, _, id_ in model.indexed}
    assert {(r.path, r.sha256) for r in index.removals} == {one[:2] for one in model.removed}
    assert len(set(found.values())) == len(found)
    for path, id_ in found.items():
        assert id_[:16] == disk[path][0][:16]
        assert before.get((path, disk[path][0]), id_) == id_
    out = {r.path for r in index.removals if disk.get(r.path, (None,))[0] == r.sha256}
    assert found.keys() | out == disk.keys()
    assert not found.keys() & out


def on_disk(root):
    """Return (digest, inode) by path."""
    return {
        path.name: (file_digest(path.read_bytes()), os.stat(path).st_ino)
        for path in sorted(root.iterdir())
    }
