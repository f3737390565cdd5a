import os
from pathlib import Path

import pytest
from PIL import Image

from models.learning.loss_plot import plot_history
from models.runtime.quiet import quiet_stderr


def test_plot_history_draws_both_losses(tmp_path: Path) -> None:
    """The PNG is a picture with two curves' colours in it, and no display is needed."""
    history = [{"epoch": i, "loss": 1 / i, "val_loss": 1.2 / i} for i in range(1, 9)]
    plot_history(history, tmp_path / "history.png")
    with Image.open(tmp_path / "history.png") as image:
        assert (image.format, image.size) == ("PNG", (840, 480))
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert {(31, 119, 180), (255, 127, 14)} <= colours


def test_plot_history_draws_an_empty_one(tmp_path: Path) -> None:
    """A training that was stopped at once has a plot too."""
    plot_history([], tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 0


def test_quiet_stderr_holds_back_what_libraries_say(capfd: pytest.CaptureFixture[str]) -> None:
    """What is written to the descriptor inside is gone, what comes later is not."""
    with quiet_stderr():
        os.write(2, b"chatter")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_quiet_stderr_tells_all_when_loading_fails(capfd: pytest.CaptureFixture[str]) -> None:
    """If an import fails, what the library said about it is shown."""

    def load() -> None:
        with quiet_stderr():
            os.write(2, b"libfoo.so is missing")
            raise ImportError("foo")

    with pytest.raises(ImportError, match="foo"):
        load()
    assert capfd.readouterr().err == "libfoo.so is missing"
