"""Layout: the name of every file in a data folder and in a snapshot.

docs/snapshot-format.md describes the content of each file. `models.files` repeats the names of the
files that `models` writes, because neither package imports the other. A test compares the two.
"""

from __future__ import annotations

# The data folder.
CURRENT_FILE = "CURRENT"
LOCK_FILE = "lock"
SNAPSHOTS_FOLDER = "snapshots"
TRAINING_FOLDER = "training"
ENCODERS_FOLDER = "encoders"
OTHER_FILES_FILE = "other_files.json"  # a cache of files that are not pictures

# Prefixes of folder names in snapshots/. Readers ignore every name that starts with a dot.
DRAFT_PREFIX = ".new-"
PRUNED_PREFIX = ".old-"
NEW_ENCODER_FOLDER = ".new"  # in encoders/, while an encoder is being written

# Files of a snapshot: the manifest, the vectors and their nearest neighbours.
MANIFEST_FILE = "manifest.json"
VECTORS_FILE = "vectors.faiss"
TOPK_ROWS_FILE = "topk_rows.npy"
TOPK_SCORES_FILE = "topk_scores.npy"

# The pictures.
CATALOGUE_FILE = "catalogue.sqlite"
THUMBNAILS_FILE = "thumbnails.sqlite"
SKIPPED_FILE = "skipped.json"
REMOVED_FILE = "removed.json"

# Derived from the vectors.
CLUSTERS_FILE = "clusters.json"
ELBOW_PLOT_FILE = "elbow.png"
MAP_FILE = "map.npy"
QUALITY_FILE = "quality.json"
FIT_FILE = "fit.json"

# The encoder and the other files of its training.
ENCODER_FILE = "encoder.tflite"
ENCODER_INFO_FILE = "encoder.json"
CROP_ENCODER_FILE = "crops.tflite"
DECODER_FILE = "decoder.tflite"
DECODER_INFO_FILE = "decoder.json"
AUTOENCODER_FILE = "autoencoder.keras"
HISTORY_FILE = "history.json"
HISTORY_PLOT_FILE = "history.png"

# Files that belong together. A step that replaces one of them replaces or removes all of them.
GROUP_FILES = (CLUSTERS_FILE, ELBOW_PLOT_FILE)
ENCODER_FILES = (
    ENCODER_FILE,
    ENCODER_INFO_FILE,
    CROP_ENCODER_FILE,
    DECODER_FILE,
    DECODER_INFO_FILE,
    AUTOENCODER_FILE,
    HISTORY_FILE,
    HISTORY_PLOT_FILE,
)
