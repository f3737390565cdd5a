"""Request counts that all workers share, so that a rate limit holds for all of them together.

They are in a small SQLite file in the shared folder: it needs no server, and each count is one
statement. Without a shared folder there is only one process, and SQLite keeps them in memory.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from limits.storage import Storage

_BUSY_S = 1.0  # longest wait for another worker's statement
_SWEEP_EVERY = 1000  # statements between two removals of expired counts
_TABLE = "CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, until REAL, n INT) WITHOUT ROWID"
_ADD = """
INSERT INTO counts VALUES (:key, :now + :seconds, :amount) ON CONFLICT (key) DO UPDATE SET
    n = CASE WHEN until <= :now THEN excluded.n ELSE n + excluded.n END,
    until = CASE WHEN until <= :now THEN excluded.until ELSE until END
RETURNING n
"""


class SharedCounts(Storage):
    """Counts that expire, in a file; safe for any number of threads and processes.

    Parameters
    ----------
    path : Path or None
        Created if it does not exist. None: in this process's memory.
    """

    STORAGE_SCHEME = None
    base_exceptions = sqlite3.Error

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._n_statements = 0
        self._file = sqlite3.connect(
            path or ":memory:", timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = OFF")  # a power cut clears the folder anyway
        self._file.execute(_TABLE)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count and return it; it starts again `expiry` seconds after it started."""
        given = {"key": key, "now": time.time(), "seconds": expiry, "amount": amount}
        with self._lock:
            self._sweep()
            (n,) = self._file.execute(_ADD, given).fetchone()
        return int(n)

    def get(self, key: str) -> int:
        """Return a count; 0 if it has expired."""
        found = self._row(key)
        return 0 if found is None else int(found[0])

    def get_expiry(self, key: str) -> float:
        """Return when a count expires, in seconds since 1970; now if there is no such count."""
        found = self._row(key)
        return time.time() if found is None else float(found[1])

    def check(self) -> bool:
        """Return whether the file can be read."""
        return self._row("") is None

    def reset(self) -> int:
        """Remove all counts; return how many there were."""
        with self._lock:
            return self._file.execute("DELETE FROM counts").rowcount

    def clear(self, key: str) -> None:
        """Remove one count."""
        with self._lock:
            self._file.execute("DELETE FROM counts WHERE key = ?", [key])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _row(self, key: str) -> tuple[int, float] | None:
        wanted = [key, time.time()]
        with self._lock:
            found: tuple[int, float] | None = self._file.execute(
                "SELECT n, until FROM counts WHERE key = ? AND until > ?", wanted
            ).fetchone()
        return found

    def _sweep(self) -> None:
        """Remove expired counts now and then; otherwise every address would stay for ever."""
        self._n_statements += 1
        if self._n_statements % _SWEEP_EVERY == 0:
            self._file.execute("DELETE FROM counts WHERE until <= ?", [time.time()])
