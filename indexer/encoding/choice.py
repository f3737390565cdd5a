"""The choice of a collection's encoder: the one that it has, or a newly trained one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.durable import sync_file, sync_folder
from index.errors import CorruptSnapshot, NewerSchema, NoSnapshot
from index.layout import (
    CROP_ENCODER_FILE,
    ENCODER_FILE,
    ENCODER_FILES,
    ENCODER_INFO_FILE,
    HISTORY_PLOT_FILE,
    NEW_ENCODER_FOLDER,
)
from index.manifest import REMEDY
from index.snapshot import DataFolder, Snapshot
from indexer.collection.records import Collected
from indexer.options import BuildOptions
from indexer.stages import Stages
from models.encoder import Encoder, EncoderInfo
from models.errors import ModelMismatch, ModelsError
from models.schema1 import crop_encoder_in


def find_or_train_encoder(
    data: DataFolder, options: BuildOptions, collected: Collected, stages: Stages
) -> Path:
    """Return the folder of the collection's encoder. Train an encoder if there is none."""
    existing = None if options.retrain else _encoder_of_live_snapshot(data, collected.root, stages)
    if existing is not None:
        stages.say("Using the collection's encoder. To train a new one, add --retrain.")
        return existing
    return train_encoder(data, options, collected, stages)


def _encoder_of_live_snapshot(data: DataFolder, root: Path, stages: Stages) -> Path | None:
    try:
        with data.open_current() as live:
            known = live.image_root == root and live.file(ENCODER_FILE) is not None
            return live.folder if known else None
    except NoSnapshot:
        return None
    except (CorruptSnapshot, NewerSchema) as error:  # the build replaces the snapshot
        stages.say(f"The earlier encoder cannot be used: {error}")
        return None


def train_encoder(
    data: DataFolder, options: BuildOptions, collected: Collected, stages: Stages
) -> Path:
    """Train an encoder on the pictures, or resume an interrupted training on the same pictures.

    Returns
    -------
    Path
        Folder of the encoder files.
    """
    # TensorFlow takes seconds to import, and only training needs it.
    from models.export import export_autoencoder
    from models.learning.loss_plot import plot_history
    from models.training import TrainingSettings, train

    settings = TrainingSettings(seed=options.seed, **options.training.known())
    folder = data.training / _training_key(collected, options)
    with stages.stage("train"):
        trained = train(collected.source, settings, folder, progress=stages.progress)
    with stages.stage("export"), new_encoder_folder(data) as new:
        info = export_autoencoder(trained, settings, new)
        plot_history(trained.history, new / HISTORY_PLOT_FILE)
        return move_into_place(new, data.encoders / info.fingerprint)


def _training_key(collected: Collected, options: BuildOptions) -> str:
    """Return a name for a training. It depends on the pictures, network and seed only."""
    how = f"{options.training.architecture} {options.training.objective} {options.seed}"
    digest = hashlib.sha256(how.encode())
    for pixels in collected.source.digests:
        digest.update(bytes.fromhex(pixels))
    return digest.hexdigest()[:16]


@contextmanager
def new_encoder_folder(data: DataFolder) -> Iterator[Path]:
    """Provide an empty folder for encoder files. The caller holds the data folder's lock."""
    new = data.encoders / NEW_ENCODER_FOLDER
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def move_into_place(new: Path, final: Path) -> Path:
    """Rename a folder of encoder files to its final name, durably. Return the final folder."""
    for path in new.iterdir():
        sync_file(path)
    sync_folder(new)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():  # the same encoder, because the name identifies the content
        shutil.rmtree(new)
    else:
        new.rename(final)
    sync_folder(final.parent)
    return final


def encoder_findings(snapshot: Snapshot) -> Iterator[str]:
    """Yield a message if the snapshot's encoder is not the one that made its vectors."""
    try:
        encoder = Encoder.open(snapshot.folder / ENCODER_FILE)
    except (ModelsError, OSError) as error:
        yield f"The encoder of snapshot {snapshot.id} cannot be used: {error}"
        return
    finding = snapshot.encoder_finding(encoder.fingerprint, encoder.dim)
    if finding is not None:
        yield finding


def check_encoder_of(snapshot: Snapshot) -> None:
    """Check that the encoder of a snapshot is the one that made its vectors.

    Raises
    ------
    ModelMismatch
        If it is another encoder, or cannot be used.
    """
    for finding in encoder_findings(snapshot):
        raise ModelMismatch(f"{finding}; {REMEDY}")


def copy_encoder(source: Path, folder: Path) -> None:
    """Copy the files of an encoder from one folder to another, under today's names."""
    files = {name: source / name for name in ENCODER_FILES}
    files[CROP_ENCODER_FILE] = crop_encoder_in(source)
    for name, path in files.items():
        if path.exists():
            shutil.copyfile(path, folder / name)
    EncoderInfo.load(source / ENCODER_INFO_FILE).save(folder / ENCODER_INFO_FILE)
