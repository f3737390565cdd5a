"""Work in several threads, with the results in order and a bounded number of them in memory.

Decoding and LiteRT work outside the interpreter's lock, so threads use every core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from models.runtime.machine_limits import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n_threads: int | None = None,
    n_ahead: int | None = None,
) -> Generator[Result, None, None]:
    """Yield a function's result for each item, in the order of the items.

    Parameters
    ----------
    function : callable
        Called in other threads, several at a time.
    items : iterable
        Read in the caller's thread and only as far as `n_ahead` allows, so it may be endless.
    n_threads : int, optional
        By default one for each core.
    n_ahead : int, optional
        Results that are being worked on or wait to be taken, the next one included; at least 1.
        By default twice the threads.

    Raises
    ------
    Exception
        The first one of the function, in place of that item's result, or one of `items`.

    Notes
    -----
    If the caller stops early or an error ends the work, calls that have not begun are cancelled.
    Those that have begun are waited for.
    """
    n_threads = n_threads or cores()
    n_ahead = n_ahead or 2 * n_threads
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
