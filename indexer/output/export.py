"""Export: a collection as plain files, in the formats of the original notebooks.

Like those of the original, the square files contain negated cosines: -1 is most similar. They are
written row by row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from index.arrays import blocks
from index.artefacts.clusters import k_groups
from index.progress import QUIET, Progress
from index.snapshot import Snapshot

DEFAULT_FULL_LIMIT = 5_000
ENCODINGS_FILE = "encodings.npy"
CATALOGUE_FILE = "catalogue.csv"
MATRIX_FILE = "cosine_similarity_matrix.npy"
SORTED_FILE = "sim_mat_sorted.json"
GROUPS_FILE = "k_groups.json"
_BLOCK = 256
_DECIMALS = 7


def export(
    snapshot: Snapshot,
    out: Path,
    full_limit: int = DEFAULT_FULL_LIMIT,
    progress: Progress = QUIET,
) -> list[str]:
    """Write a snapshot as plain files. Existing files with the same names are overwritten.

    Parameters
    ----------
    snapshot : Snapshot
    out : Path
        Folder. Created if it does not exist.
    full_limit : int
        Above this number of pictures, the top-k table replaces the square files.
    progress : callable
        tqdm-compatible factory.

    Returns
    -------
    messages : list of str
        One for each file that was omitted or shortened, for the user.

    Notes
    -----
    The files are:

    - encodings.npy: (n, dim) float32 unit rows.
    - catalogue.csv: one line for each row, in the same order.
    - cosine_similarity_matrix.npy: (n, n) float32, negated.
    - sim_mat_sorted.json: for each row, ["row number as text", negated score] pairs, most similar
      first.
    - k_groups.json: [medoids, clusters] as row numbers.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_encodings(snapshot, out / ENCODINGS_FILE)
    _write_catalogue(snapshot, out / CATALOGUE_FILE)
    messages = []
    if len(snapshot) <= full_limit:
        _write_matrix(snapshot, out / MATRIX_FILE, progress)
        lines = _full_lines(np.load(out / MATRIX_FILE, mmap_mode="r"))
    else:
        (out / MATRIX_FILE).unlink(missing_ok=True)
        lines = _topk_lines(snapshot)
        messages.append(
            f"{len(snapshot):,} pictures exceed --full-limit {full_limit:,}. {MATRIX_FILE} is "
            f"omitted, and {SORTED_FILE} contains the {snapshot.topk.k} nearest neighbours."
        )
    _write_sorted(out / SORTED_FILE, lines, len(snapshot), progress)
    return messages + _write_groups(snapshot, out / GROUPS_FILE)


def _write_encodings(snapshot: Snapshot, path: Path) -> None:
    shape = (len(snapshot), snapshot.store.dim)
    encodings = open_memmap(path, "w+", np.float32, shape)
    for rows in blocks(np.arange(len(snapshot)), _BLOCK):
        encodings[rows] = snapshot.store.vectors(rows)
    encodings.flush()


def _write_catalogue(snapshot: Snapshot, path: Path) -> None:
    labels = None if snapshot.clusters is None else snapshot.clusters.labels
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "id", "path", "sha256", "width", "height", "cluster"])
        for one in snapshot.catalogue:
            cluster = "" if labels is None else int(labels[one.row])
            writer.writerow([one.row, one.id, one.path, one.sha256, one.width, one.height, cluster])


def _write_matrix(snapshot: Snapshot, path: Path, progress: Progress) -> None:
    n = len(snapshot)
    matrix = open_memmap(path, "w+", np.float32, (n, n))
    vectors = snapshot.store.vectors(np.arange(n))
    with progress(total=n, desc="matrix", unit="row") as bar:
        for rows in blocks(np.arange(len(snapshot)), _BLOCK):
            matrix[rows] = -np.clip(vectors[rows] @ vectors.T, -1.0, 1.0)
            bar.update(len(rows))
    matrix.flush()


def _full_lines(matrix: NDArray[np.float32]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for negated in matrix:
        rows = np.argsort(negated, kind="stable")
        yield rows, -negated[rows]


def _topk_lines(snapshot: Snapshot) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    yield from zip(snapshot.topk.rows, snapshot.topk.scores, strict=True)


def _write_sorted(
    path: Path,
    lines: Iterator[tuple[NDArray[Any], NDArray[Any]]],
    n: int,
    progress: Progress,
) -> None:
    with (
        path.open("w", encoding="utf-8") as file,
        progress(total=n, desc="lists", unit="row") as bar,
    ):
        separator = "["
        for rows, scores in lines:
            negated = np.round(-scores.astype(np.float64), _DECIMALS) + 0.0  # no "-0.0"
            pairs = list(zip(map(str, rows.tolist()), negated.tolist(), strict=True))
            file.write(separator + json.dumps(pairs))
            separator = ",\n"
            bar.update(1)
        file.write("]\n")


def _write_groups(snapshot: Snapshot, path: Path) -> list[str]:
    if snapshot.clusters is None:
        path.unlink(missing_ok=True)
        return [
            f"This collection has no groups, so {path.name} is omitted. "
            "Run `bin/lookalike cluster` first."
        ]
    path.write_text(json.dumps(k_groups(snapshot.clusters)) + "\n", encoding="utf-8")
    return []
