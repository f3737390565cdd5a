"""Send every file of the corpus to a real server and print what came of it.

::

    python -m tests.hostile DATA [ROUTE]

DATA is what the indexer has made; ROUTE is /api/v1/search (the default), /api/v1/encode or
/search. Exit 1 if an answer is not the documented one, or the worker grew by over 100 MB or died.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.helpers.servers import Collection, running
from tests.hostile.corpus import CASES
from tests.hostile.server import Sent, send_all

MOST_MB = 100


def main(data: str, route: str = "/api/v1/search") -> int:
    """Run the table and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection(Path(data), Path(data))
        with running(collection, Path(folder) / "log", LOOKALIKE_WORKERS="1") as server:
            (worker,) = server.workers()
            rows = []
            print(f"{'file':32} {'bytes':>8}  status  {'code':17} {'ms':>6} {'MB':>6}")
            for sent in send_all(server.url, worker, route, CASES):
                rows.append(sent)
                print(_line(sent), flush=True)
            same = server.workers() == [worker]
    wrong = [sent for sent in rows if not _is_right(sent)]
    print(
        f"{len(rows)} files to {route}, {len(wrong)} answered wrongly; slowest "
        f"{max(sent.ms for sent in rows):.0f} ms, largest growth "
        f"{max(sent.grown_mb or 0 for sent in rows):.0f} MB; the worker is "
        f"{'the same' if same else 'another'} as before"
    )
    return 1 if wrong or not same else 0


def _line(sent: Sent) -> str:
    mark = "" if _is_right(sent) else f"  WRONG: should be {sent.case.status} {sent.case.code}"
    grown = "-" if sent.grown_mb is None else f"{sent.grown_mb:.1f}"
    return (
        f"{sent.case.name:32} {sent.size_bytes:8}  {sent.status:6}  {sent.code or '':17} "
        f"{sent.ms:6.1f} {grown:>6}{mark}"
    )


def _is_right(sent: Sent) -> bool:
    is_page = sent.code is None
    return (
        sent.status == sent.case.status
        and (is_page or sent.code == sent.case.code)
        and (sent.grown_mb or 0) <= MOST_MB
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
