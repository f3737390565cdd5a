"""Progress bars for long work, and a factory for bars that show nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Progress = Callable[..., Any]  # a tqdm-compatible factory, called with total, desc and unit
QUIET: Progress = functools.partial(tqdm, disable=True)
