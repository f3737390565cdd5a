"""The command line, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import GOLDEN_ENCODER, ROOT


def run(*arguments: object) -> int:
    """Run `python -m indexer` in this process and return its exit code."""
    from indexer.cli import main  # only where it is called: the service's tests go without it

    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def build_untrained(images: object, data: object, *more: object) -> None:
    """Build a collection with the golden encoder and two groups, so without training."""
    encoder = GOLDEN_ENCODER / "encoder.tflite"
    assert run("build", images, "--data", data, "--encoder", encoder, "--clusters", 2, *more) == 0


def run_process(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run `python -m indexer` in a process of its own, without settings of Lookalike.

    `options` are those of `subprocess.run`.
    """
    return subprocess.run(
        [sys.executable, "-m", "indexer", *map(str, arguments)],
        cwd=ROOT, env=plain_environment(), capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


def plain_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of Lookalike, and with some more."""
    kept = {k: v for k, v in os.environ.items() if k != "PORT" and not k.startswith("LOOKALIKE_")}
    return kept | variables
