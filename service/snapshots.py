"""The live snapshot: opened, watched, and exchanged between two requests.

A daemon thread reads CURRENT every second or so. A new snapshot is opened beside the old one and
takes its place when it is whole; requests in flight end on the one that they began with, and the
last of them closes it. A snapshot that cannot be used is named in /readyz and the old one goes on.
docs/decisions/0031-snapshot-swap.md says why.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from index.errors import CorruptSnapshot, IndexFailure
from index.layout import CURRENT_FILE, ENCODER_FILE
from index.snapshot import DataFolder, Snapshot
from index.text import printable
from models.errors import ModelMismatch, ModelsError
from service.duplicate_cache import DuplicateCache
from service.errors import NotReady
from service.images.reconstructions import open_decoder

if TYPE_CHECKING:
    from models.decoder import Decoder

log = logging.getLogger(__name__)

RETRY_S = 60.0  # until a snapshot that could not be used is tried again
_CURRENT = CURRENT_FILE  # stands for a snapshot's id where even that cannot be read
_MOST_TRIED = 3  # snapshots older than CURRENT that may stand in for it, CURRENT counted


class EncodesPictures(Protocol):
    """What the service needs of `models.encoder.Encoder`."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""

    @property
    def fingerprint(self) -> str:
        """Name of the encoder, as manifests write it."""

    def encode_query(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (256, 256, 3) uint8 pixels, and crops of them, to (1 + m, dim) unit rows."""


OpenEncoder = Callable[[Snapshot], EncodesPictures]


@dataclass
class Live:
    """A snapshot in use, and the encoder that made its vectors."""

    snapshot: Snapshot
    encoder: EncodesPictures
    users: int = 0
    retired: bool = False
    checked: bool = False
    _folder: int | None = None

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return self.snapshot.id

    @cached_property
    def decoder(self) -> Decoder:
        """What paints vectors; opened when it is first needed, NoReconstruction without one."""
        return open_decoder(self.snapshot)

    @cached_property
    def duplicates(self) -> DuplicateCache:
        """Groups of pictures that look the same; found when they are first asked for."""
        return DuplicateCache(self.snapshot)

    def check_large_files(self) -> None:
        """Compare the large files with the manifest, unless another process answers for them.

        Whoever checks keeps a lock for as long as the snapshot proves good and is open. So the
        other workers need no message: while it is held there is nothing to fear, and once it is
        free the next one checks for itself. Nothing is written, so the disk may be read-only.

        Raises
        ------
        CorruptSnapshot
            If one has changed.
        """
        if self._folder is None:
            self._folder = os.open(self.snapshot.folder, os.O_RDONLY)
        if _locked(self._folder):
            self.snapshot.check_large_files()
            self.checked = True

    def close(self) -> None:
        """Close the snapshot; nobody may be using it."""
        if self._folder is not None:
            os.close(self._folder)
        self.snapshot.close()


@dataclass(frozen=True)
class Problem:
    """Why a snapshot is not used.

    Attributes
    ----------
    snapshot_id : str
    message : str
    until_s : float
        `time.monotonic()` from which on it is tried again.
    """

    snapshot_id: str
    message: str
    until_s: float = field(repr=False)


def open_encoder(n_threads: int, with_crops: bool = True) -> OpenEncoder:
    """Return a function that opens a snapshot's own encoder with LiteRT.

    Parameters
    ----------
    n_threads : int
        Threads that work on one picture.
    with_crops : bool
        Whether an upload is also searched with as a piece of something larger.
    """
    from models.encoder import Encoder  # LiteRT is only loaded where it is used

    def open_(snapshot: Snapshot) -> EncodesPictures:
        path = snapshot.file(ENCODER_FILE)
        if path is None:
            raise CorruptSnapshot(f"snapshot {snapshot.id} has no {ENCODER_FILE}: build again")
        return Encoder.open(path, n_threads, with_crops)

    return open_


class SnapshotHolder:
    """Hold the live snapshot of a data folder; safe for any number of threads.

    Parameters
    ----------
    data : DataFolder
    open_encoder : callable
        Opens the encoder that belongs to a snapshot.
    poll_s : float
        Seconds between two looks at CURRENT.
    note : callable, optional
        Told of every exchange: the ids of the snapshot that was live and of the one that is, None
        where there is none.
    """

    def __init__(
        self,
        data: DataFolder,
        open_encoder: OpenEncoder,
        poll_s: float = 1.0,
        note: Callable[[str | None, str | None], None] = lambda old, new: None,
    ) -> None:
        self._data = data
        self._open_encoder = open_encoder
        self._poll_s = poll_s
        self._note = note
        self._lock = threading.Lock()  # guards _live, its counts, and _problems
        self._looking = threading.Lock()  # one look at a time
        self._live: Live | None = None
        self._wanted: str | None = None  # what CURRENT said at the last look
        self._problems: dict[str, Problem] = {}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Open the current snapshot, if there is one, and begin to watch for the next."""
        self._look_or_log()
        for work in (self._watch, self._keep_checking):
            thread = threading.Thread(target=work, name=f"snapshots{work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the watch; the last user closes what is open."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._swap(None)

    @contextmanager
    def use(self) -> Iterator[Live]:
        """Give the live snapshot, which stays open until the end of the block.

        Raises
        ------
        NotReady
            If there is none.
        """
        live = self._take()
        try:
            yield live
        finally:
            self._give_back(live)

    def problem(self) -> Problem | None:
        """Return why the snapshot that CURRENT names is not the live one, or None."""
        with self._lock:
            return self._problems.get(self._wanted or "")

    def look(self) -> None:
        """Open the snapshot that should be live now, unless it is already."""
        with self._looking:
            self._wanted = self._data.current_id()
            self._forget(_CURRENT)
            if self._wanted is not None and not self._is_live(self._wanted):
                self._open_first(self._fallbacks(self._wanted))

    def _watch(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self._look_or_log()

    def _look_or_log(self) -> None:
        try:
            self.look()
        except (OSError, UnicodeDecodeError) as error:  # the old snapshot, if any, goes on
            self._wanted = _CURRENT
            if _CURRENT not in self._problems:  # said once, not at every look
                self._reject(_CURRENT, f"the data folder cannot be read: {error}")

    def _take(self) -> Live:
        with self._lock:
            if self._live is None:
                raise NotReady(self._why_not_ready())
            self._live.users += 1
            return self._live

    def _give_back(self, live: Live) -> None:
        with self._lock:
            live.users -= 1
            last = live.retired and live.users == 0
        if last:
            live.close()

    def _swap(self, new: Live | None) -> None:
        with self._lock:
            old, self._live = self._live, new
            if old is not None:
                old.retired = True
            idle = old is not None and old.users == 0
            self._note(None if old is None else old.id, None if new is None else new.id)
        if old is not None and idle:
            old.close()

    def _is_live(self, snapshot_id: str) -> bool:
        with self._lock:
            return self._live is not None and self._live.id == snapshot_id

    def _fallbacks(self, wanted: str) -> list[str]:
        """Return the wanted snapshot, then those before it, newest first."""
        older = [snapshot_id for snapshot_id in self._data.ids() if snapshot_id < wanted]
        return [wanted, *reversed(older)][:_MOST_TRIED]

    def _open_first(self, ids: list[str]) -> bool:
        """Make the first usable of some snapshots live; say whether there is one."""
        for snapshot_id in ids:
            if self._is_live(snapshot_id):
                return True
            if self._may_be_tried(snapshot_id) and self._open(snapshot_id):
                return True
        return False

    def _may_be_tried(self, snapshot_id: str) -> bool:
        with self._lock:
            problem = self._problems.get(snapshot_id)
        return problem is None or time.monotonic() >= problem.until_s

    def _open(self, snapshot_id: str) -> bool:
        started = time.perf_counter()
        try:
            live = self._opened(snapshot_id)
        except (IndexFailure, ModelsError, OSError) as error:
            self._reject(snapshot_id, str(error))
            return False
        self._forget(snapshot_id)
        self._swap(live)
        n_images, seconds = len(live.snapshot), time.perf_counter() - started
        log.info("snapshot %s: %d images, opened in %.3f s", snapshot_id, n_images, seconds)
        return True

    def _opened(self, snapshot_id: str) -> Live:
        snapshot = self._data.open(snapshot_id)
        try:
            encoder = self._open_encoder(snapshot)
            _check_belongs(snapshot, encoder)
        except BaseException:
            snapshot.close()
            raise
        return Live(snapshot, encoder)

    def _reject(self, snapshot_id: str, message: str, retry_s: float = RETRY_S) -> None:
        log.error("snapshot %s cannot be used: %s", snapshot_id, printable(message))
        problem = Problem(snapshot_id, message, time.monotonic() + retry_s)
        with self._lock:
            self._problems[snapshot_id] = problem

    def _forget(self, snapshot_id: str) -> None:
        with self._lock:
            self._problems.pop(snapshot_id, None)

    def _keep_checking(self) -> None:
        while not self._stopped.is_set():
            self._check()
            self._stopped.wait(self._poll_s)

    def _check(self) -> None:
        try:
            with self.use() as live:
                if not live.checked:
                    self._check_or_leave(live)
        except NotReady:
            pass  # nothing to check

    def _check_or_leave(self, live: Live) -> None:
        try:
            live.check_large_files()
        except (CorruptSnapshot, OSError) as error:
            self._leave(live, str(error))

    def _leave(self, live: Live, message: str) -> None:
        """Swap to the snapshot before it; without one, answer nothing rather than nonsense.

        The other snapshot is opened before the swap, so no request finds none live.
        """
        with self._looking:
            is_left = not self._is_live(live.id) or self._open_first(self._fallbacks(live.id)[1:])
            # For good: opening would not notice it, so a second try would answer from it again.
            self._reject(live.id, message, retry_s=math.inf)
            if not is_left:
                self._swap(None)

    def _why_not_ready(self) -> str:
        if self._problems:
            problem = next(reversed(self._problems.values()))
            return f"snapshot {problem.snapshot_id} cannot be used: {problem.message}"
        return "no pictures have been indexed yet: run `bin/lookalike build IMAGES` on the server"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then every worker checks
        return True
    return True


def _check_belongs(snapshot: Snapshot, encoder: EncodesPictures) -> None:
    """Refuse a snapshot whose encoder or groups are of other pictures, before it is live."""
    finding = snapshot.encoder_finding(encoder.fingerprint, encoder.dim)
    if finding is not None:
        raise ModelMismatch(f"{finding}: build again")
    _ = snapshot.clusters  # reading them is the check
