"""The whole corpus of hostile and odd files, made anew each time, the same each time.

``python -m tests.hostile`` sends all of it to a real server and prints a table.
"""

from __future__ import annotations

from tests.hostile import broken, foreign, large, odd
from tests.hostile.case import Case

CASES: list[Case] = [*odd.cases(), *broken.cases(), *large.cases(), *foreign.cases()]
BY_NAME = {case.name: case for case in CASES}
