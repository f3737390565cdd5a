"""Verification: check the content of a snapshot and name every part that is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from index.arrays import Mask, Rows, Scores, blocks
from index.errors import CorruptSnapshot
from index.progress import QUIET, Progress
from index.search.store import TIE
from index.snapshot import Snapshot

_BLOCK = 256
_SAMPLE = 1024  # rows of the table that are compared with a search by default


def verify(snapshot: Snapshot, all_rows: bool = False, progress: Progress = QUIET) -> Iterator[str]:
    """Check a snapshot and yield a sentence for each thing that is wrong.

    Parameters
    ----------
    snapshot : Snapshot
        Opening it has checked the manifest, the counts and the small files.
    all_rows : bool
        Compare every row of the top-k table with a search, not 1,024 evenly spaced rows.
    progress : callable
        tqdm-compatible factory.

    Yields
    ------
    str

    Notes
    -----
    The checks are: every file has its checksum; every vector has unit length; every picture finds
    itself, that is, its own row is among those within 1e-6 of the best; the top-k table equals a
    search, apart from the order of ties.
    """
    yield from _checksum_findings(snapshot)
    n = len(snapshot)
    compared = np.arange(n) if all_rows else np.unique(np.linspace(0, n - 1, _SAMPLE, dtype=int))
    with progress(total=n, desc="verify", unit="image") as bar:
        for rows in blocks(np.arange(n), _BLOCK):
            yield from _row_findings(snapshot, rows, np.isin(rows, compared))
            bar.update(len(rows))


def _checksum_findings(snapshot: Snapshot) -> Iterator[str]:
    for name in sorted(snapshot.manifest.files):
        try:
            snapshot.check_files([name])
        except (CorruptSnapshot, OSError) as error:
            yield str(error)


def _row_findings(snapshot: Snapshot, rows: Rows, compared: Mask) -> Iterator[str]:
    vectors = snapshot.store.vectors(rows)
    lengths = np.linalg.norm(vectors, axis=1)
    for row in rows[np.abs(lengths - 1) > 1e-4]:
        yield f"the vector of row {row} does not have unit length"
    scores, found = snapshot.store.search(vectors, snapshot.topk.k)
    own = snapshot.store.scores(vectors, rows[:, None])[:, 0]
    for row in rows[own < scores[:, 0] - TIE]:
        yield f"picture {_path_and_row(snapshot, row)} does not find itself"
    for line in np.flatnonzero(compared):
        if not _table_agrees(snapshot, int(rows[line]), scores[line], found[line]):
            yield f"the top-k table of {_path_and_row(snapshot, rows[line])} differs from a search"


def _table_agrees(snapshot: Snapshot, row: int, scores: Scores, found: Rows) -> bool:
    """Return whether a row of the table equals a search. A tie at the last rank may differ."""
    table_rows, table_scores = snapshot.topk.rows[row], snapshot.topk.scores[row]
    if table_rows[0] != row or np.abs(table_scores - scores).max() > TIE:
        return False
    outside = table_rows[~np.isin(table_rows, found)]
    if len(outside) == 0:
        return bool(len(np.unique(table_rows)) == len(table_rows))
    query = snapshot.store.vectors(np.array([row]))
    true_scores = snapshot.store.scores(query, outside[None])[0]
    return bool((np.abs(true_scores - scores[-1]) <= TIE).all())


def _path_and_row(snapshot: Snapshot, row: int) -> str:
    record = snapshot.catalogue.image(int(row))
    return f"{record.path} (row {row})"
