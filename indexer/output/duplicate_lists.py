"""Groups of duplicates as lines of text: a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from index.search.duplicates import DuplicateGroup
from index.text import ascii_json


def as_table(groups: Iterable[DuplicateGroup]) -> Iterator[str]:
    """Yield a heading for each group, and a line for each picture."""
    for number, group in enumerate(groups, 1):
        yield f"group {number}: {len(group.images)} pictures, {group.kind}"
        for image, score in zip(group.images, group.scores, strict=True):
            size = f"{image.width} x {image.height}"
            yield f"  {score:.4f}  {size:>13}  {image.size_bytes:>11,} B  {image.path}"


def as_json(groups: Iterable[DuplicateGroup]) -> Iterator[str]:
    """Yield one JSON object for each group."""
    for group in groups:
        yield ascii_json(as_dict(group))


def as_dict(group: DuplicateGroup) -> dict[str, Any]:
    """Return the JSON value of a group."""
    images = [
        {
            "id": image.id,
            "path": image.path,
            "width": image.width,
            "height": image.height,
            "size_bytes": image.size_bytes,
            "score": score,
        }
        for image, score in zip(group.images, group.scores, strict=True)
    ]
    return {"kind": group.kind, "images": images}


def as_csv(groups: Iterable[DuplicateGroup]) -> Iterator[str]:
    """Yield a heading, and a line for each picture. Groups are numbered from 1."""
    yield "group,kind,id,path,width,height,size_bytes,score"
    for number, group in enumerate(groups, 1):
        for image in as_dict(group)["images"]:
            yield _csv_line([number, group.kind, *image.values()])


def _csv_line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


WRITERS: dict[str, Callable[[Iterable[DuplicateGroup]], Iterator[str]]] = {
    "table": as_table,
    "json": as_json,
    "csv": as_csv,
}
