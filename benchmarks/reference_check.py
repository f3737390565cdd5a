"""Compare the top-k table and the index of a snapshot with the NumPy reference, on all rows.

    python -m benchmarks.reference_check DATA

Prints how many lines of the table, and how many answers of the index, differ from brute force
when ties (scores within 1e-6) are minded, and the seconds that each took for all rows.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from benchmarks.machine import machine_line
from index.search.reference import ReferenceStore
from index.snapshot import DataFolder

_TOLERANCE = 1e-6
_BLOCK = 256


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
def main(data: Path) -> None:
    """Compare the live snapshot in DATA with brute force."""
    click.echo(machine_line())
    with DataFolder(data).open_current() as snapshot:
        n, k = len(snapshot), snapshot.topk.k
        reference = ReferenceStore.from_vectors(snapshot.store.vectors(np.arange(n)))
        n_table = n_index = 0
        seconds = {"reference": 0.0, "index": 0.0}
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n))
            vectors = snapshot.store.vectors(rows)
            begin = time.perf_counter()
            wanted = reference.search(vectors, k)
            seconds["reference"] += time.perf_counter() - begin
            begin = time.perf_counter()
            found = snapshot.store.search(vectors, k)
            seconds["index"] += time.perf_counter() - begin
            table = snapshot.topk.scores[rows], snapshot.topk.rows[rows]
            n_table += differing(*table, *wanted)
            n_index += differing(*found, *wanted)
    click.echo(f"{n} rows, k = {k}: {n_table} lines of the table differ, {n_index} answers")
    click.echo(f"all rows: index {seconds['index']:.1f} s, NumPy {seconds['reference']:.1f} s")


def differing(
    scores: np.ndarray, rows: np.ndarray, wanted_scores: np.ndarray, wanted_rows: np.ndarray
) -> int:
    """Count lines whose scores differ, or that hold a row which no tie excuses."""
    wrong_scores = np.abs(scores - wanted_scores).max(axis=1) > _TOLERANCE
    last = wanted_scores[:, -1]
    strangers = [
        bool(((score > end + _TOLERANCE) & ~np.isin(row, wanted)).any())
        for score, row, wanted, end in zip(scores, rows, wanted_rows, last, strict=True)
    ]
    return int((wrong_scores | np.array(strangers)).sum())


if __name__ == "__main__":
    main()
