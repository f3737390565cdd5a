"""Draw the loss of a training over its epochs."""

from pathlib import Path
from typing import Any


def plot_history(history: list[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss over epochs.

    Parameters
    ----------
    history : list of dict
        As in `TrainingResult`: keys epoch, loss and val_loss.
    path : Path
        PNG file to write.
    """
    # Imported here because only this needs matplotlib. Not pyplot, which needs a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = [entry["epoch"] for entry in history]
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [entry[key] for entry in history], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel="loss", title="Training")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="png", dpi=120)
