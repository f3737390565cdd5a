"""Progress: how long work tells a user how far it is, and how it tells nobody."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Progress = Callable[..., Any]  # a tqdm-compatible factory, called with total, desc and unit
QUIET: Progress = functools.partial(tqdm, disable=True)
