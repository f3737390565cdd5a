"""Use cases of `evaluate`: measures with labels, or recall of altered copies without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.layout import ENCODER_FILE
from index.progress import QUIET, Progress
from index.snapshot import Snapshot
from index.text import printable
from indexer.errors import IndexerError
from indexer.quality.alterations import ALTERATIONS
from indexer.quality.altered_copies import DEFAULT_SAMPLE, SelfCheck, Subject, self_check
from indexer.quality.label_scores import ClassQuality, Rankings, labels_of, rank_labelled
from indexer.quality.worst_sheet import SheetTile, query_sheet
from models.encoder import Encoder

N_WORST = 20
_MEASURES = ("p_at_1", "p_at_10", "r_precision", "mean_average_precision")


class Labelled:
    """The labelled pictures of a snapshot, each ranked as a query among the others."""

    def __init__(
        self,
        snapshot: Snapshot,
        source: str,
        column: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._snapshot = snapshot
        self._labels = labels_of(snapshot, source, column, say)
        self._rows = sorted(self._labels)
        self.rankings: Rankings = rank_labelled(snapshot, self._labels)

    def as_dict(self) -> dict[str, Any]:
        """Return all measures: the means, `per_class`, and the `worst` queries."""
        return asdict(self.rankings.quality()) | {
            "per_class": [asdict(one) for one in self.rankings.per_class()],
            "worst": [self._query(i) for i in self._worst()],
        }

    def write_sheet(self, path: Path) -> None:
        """Draw the worst queries with their nearest neighbours, and frames around wrong ones.

        Raises
        ------
        IndexerError
            If the snapshot has no thumbnails.
        """
        if self._snapshot.thumbnails is None:
            raise IndexerError(
                "The snapshot has no thumbnails to draw. Build the collection again."
            )
        lines = [self._line(i) for i in self._worst()]
        title = f"The {len(lines)} worst of {len(self.rankings.queries):,} queries"
        query_sheet(f"{title} and their nearest neighbours", lines, self._thumbnail, path)

    def _worst(self) -> list[int]:
        return [int(i) for i in self.rankings.worst(N_WORST)]

    def _query(self, i: int) -> dict[str, Any]:
        row = self._rows[self.rankings.queries[i]]
        return {
            "path": self._snapshot.catalogue.image(row).path,
            "label": self._labels[row],
            "p_at_10": float(self.rankings.p_at_10[i]),
            "average_precision": float(self.rankings.average_precision[i]),
        }

    def _line(self, i: int) -> list[SheetTile]:
        query = self._rows[self.rankings.queries[i]]
        nearest = [self._rows[position] for position in self.rankings.nearest[i]]
        label = self._labels[query]
        results = [SheetTile(row, self._labels[row], self._labels[row] != label) for row in nearest]
        return [SheetTile(query, label), *results]

    def _thumbnail(self, row: int) -> bytes:
        assert self._snapshot.thumbnails is not None
        return self._snapshot.thumbnails.jpeg(self._snapshot.catalogue.image(row).id) or b""


def check_snapshot(
    snapshot: Snapshot,
    images: Path | None = None,
    seed: int = 0,
    n_pictures: int = DEFAULT_SAMPLE,
    progress: Progress = QUIET,
) -> SelfCheck:
    """Check a snapshot without labels; see `altered_copies.self_check`.

    Parameters
    ----------
    snapshot : Snapshot
    images : Path, optional
        Folder of the pictures, if it has moved.
    seed, n_pictures, progress
        As in `self_check`.
    """
    encoder = Encoder.open(snapshot.folder / ENCODER_FILE)
    root = images or snapshot.image_root
    subject = Subject(snapshot.store, encoder, snapshot.catalogue.records, root)
    return self_check(subject, seed, n_pictures, progress=progress)


def labelled_lines(labelled: Labelled, is_per_class: bool) -> Iterator[str]:
    """Yield the lines that `evaluate --labels` prints."""
    quality = asdict(labelled.rankings.quality())
    yield f"{quality.pop('n_queries')} labelled pictures, each a query among the others"
    for name, value in quality.items():
        yield f"{name:<24}{value:.3f}"
    if is_per_class:
        yield ""
        yield from _class_table(labelled.rankings.per_class())


def _class_table(classes: Sequence[ClassQuality]) -> Iterator[str]:
    width = max(5, *(len(printable(one.label)) for one in classes))
    yield f"{'class':<{width}}  queries    P@1   P@10 R-prec    mAP  mistaken for"
    for one in classes:
        figures = "".join(f"{getattr(one, name):>7.3f}" for name in _MEASURES)
        mistaken = printable(one.mistaken_for) if one.mistaken_for is not None else "-"
        yield f"{printable(one.label):<{width}}  {one.n_queries:>7}{figures}  {mistaken}"


def check_lines(check: SelfCheck) -> Iterator[str]:
    """Yield the lines that `evaluate` prints without labels."""
    yield check.recall.sentence()
    if check.recall.n_unread:
        yield f"{check.recall.n_unread} more pictures are missing, unreadable or have changed"
    yield ""
    yield "altered copies that find their original first"
    recall = check.recall.recall_at_1
    for one in ALTERATIONS:
        yield f"  {one.phrase:<24}{recall[one.name]:.3f}"
    yield ""
    spread = check.spread
    yield f"spread of {spread.n_pictures} encodings"
    yield f"  {'effective rank':<24}{spread.effective_rank:.1f}"
    yield f"  {'nearest score, median':<24}{spread.median_nearest_score:.3f}"
    for name, score in spread.background_scores.items():
        yield f"  {'any two, percentile ' + name[1:]:<24}{score:.3f}"
