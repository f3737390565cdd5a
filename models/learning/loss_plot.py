"""Draw how the loss fell."""

from pathlib import Path
from typing import Any


def plot_history(history: list[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss over epochs.

    Parameters
    ----------
    history : list of dict
        As in `TrainingResult`; with keys epoch, loss and val_loss.
    path : Path
        Of the PNG to write.
    """
    # Only whoever draws needs matplotlib, and no display: hence not pyplot.
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
